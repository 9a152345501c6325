//! Lists: which columns, in which order, which rows.

use clap::Args;
use regex::Regex;
use serde_json::{Map, Value};

use super::client::Path;
use super::context::{Context, Done};
use super::failure::Failure;
use super::text::{Column, at, plain};

/// What every list can be asked.
#[derive(Debug, Args)]
pub(crate) struct List {
    /// Columns to show: of the usual ones, or any field of the API's JSON by its path, such as
    /// `message_stats.publish_details.rate`.
    #[arg(long, value_delimiter = ',', value_name = "NAME,...")]
    columns: Vec<String>,
    /// Sort by this column.
    #[arg(long, value_name = "COLUMN")]
    sort: Option<String>,
    /// The other way round.
    #[arg(long)]
    reverse: bool,
    /// Only what has a name in which this regular expression is found.
    #[arg(long, value_name = "REGEX")]
    filter: Option<String>,
}

impl List {
    /// Asks for the list at `path` and prints it.
    pub(super) fn run(&self, context: &Context, path: Path, columns: &[Column]) -> Done {
        let rows = context.client.get(path)?;
        self.print(context, rows, columns)
    }

    /// Prints these rows.
    pub(super) fn print(&self, context: &Context, rows: Value, usual: &[Column]) -> Done {
        let Value::Array(mut rows) = rows else {
            return Err(Failure::Broken("the broker's answer is not a list".to_owned()));
        };
        if let Some(filter) = &self.filter {
            let filter = Regex::new(filter)
                .map_err(|error| Failure::Usage(format!("--filter is no regular expression: {error}")))?;
            rows.retain(|row| at(row, "name").as_str().is_some_and(|name| filter.is_match(name)));
        }
        let chosen: Vec<Column> = self.columns.iter().map(|name| named(name, usual)).collect();
        if let Some(sort) = &self.sort {
            let path = named(sort, usual).path;
            rows.sort_by(|one, other| compare(at(one, &path), at(other, &path)));
        }
        if self.reverse {
            rows.reverse();
        }
        if chosen.is_empty() {
            return context.table(usual, &Value::Array(rows));
        }
        let rows = rows.iter().map(|row| only(row, &chosen)).collect();
        context.table(&flat(chosen), &Value::Array(rows))
    }
}

/// The usual column of this name, or the field at this path.
fn named(name: &str, usual: &[Column]) -> Column {
    let known = usual.iter().find(|column| column.head.eq_ignore_ascii_case(name) || column.path == name);
    known.cloned().unwrap_or_else(|| plain(name))
}

/// The fields that are asked for, by their columns' names.
fn only(row: &Value, columns: &[Column]) -> Value {
    let fields = columns.iter().map(|column| (column.head.clone(), at(row, &column.path).clone()));
    Value::Object(fields.collect::<Map<_, _>>())
}

/// A field of rows made by [`only`] is found by its column's name.
fn flat(columns: Vec<Column>) -> Vec<Column> {
    columns.into_iter().map(|column| Column { path: column.head.clone(), ..column }).collect()
}

/// Numbers by size, text by its characters, what is missing first.
pub(super) fn compare(one: &Value, other: &Value) -> std::cmp::Ordering {
    match (one.as_f64(), other.as_f64()) {
        (Some(one), Some(other)) => one.total_cmp(&other),
        (_, _) => text(one).cmp(&text(other)),
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => value.to_string(),
    }
}
