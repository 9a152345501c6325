//! Rows as `rabbitmqadmin` prints them.

use serde_json::Value;

use super::line::{Format, Line};
use crate::command::context::{Done, print};
use crate::command::text::{at, printable};

/// Columns that come first, where none are asked for.
const FIRST: &[&str] = &["vhost", "name", "type", "source", "destination", "destination_type", "routing_key"];

/// Prints rows: with these columns, or with all that there are down to the depth that was asked for.
pub(super) fn rows(line: &Line, columns: &[&str], rows: Value) -> Done {
    match line.format {
        Format::RawJson => return print(&format!("{rows}\n")),
        Format::PrettyJson => {
            return print(&format!("{}\n", serde_json::to_string_pretty(&rows).unwrap_or_default()));
        }
        Format::Table | Format::Tsv | Format::Long | Format::KeyValue | Format::Bash => {}
    }
    let rows = rows.as_array().map_or(&[][..], Vec::as_slice);
    if rows.is_empty() {
        return if line.quiet { Ok(()) } else { print("No items\n") };
    }
    let columns: Vec<String> = if columns.is_empty() {
        all(rows, line.depth.unwrap_or(1))
    } else {
        columns.iter().map(|&name| name.to_owned()).collect()
    };
    let lines: Vec<Vec<String>> =
        rows.iter().map(|row| columns.iter().map(|name| cell(at(row, name))).collect()).collect();
    print(&match line.format {
        Format::Tsv => tabs(&columns, &lines, !line.quiet),
        Format::Long => long(&columns, &lines),
        Format::KeyValue => pairs(&columns, &lines),
        Format::Bash => names(&columns, &lines),
        Format::Table | Format::RawJson | Format::PrettyJson => table(&columns, &lines),
    })
}

/// Paths of all fields that are no objects, so deep.
fn all(rows: &[Value], depth: usize) -> Vec<String> {
    let mut found = Vec::new();
    rows.iter().for_each(|row| collect(row, "", depth, &mut found));
    found.sort();
    found.dedup();
    let place = |name: &String| FIRST.iter().position(|first| first == name).unwrap_or(FIRST.len());
    found.sort_by_key(place);
    found
}

fn collect(value: &Value, prefix: &str, depth: usize, found: &mut Vec<String>) {
    for (name, value) in value.as_object().into_iter().flatten() {
        let path = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
        if value.is_object() {
            // Definitions and values are shown as JSON (the tool has them so).
            match name.as_str() {
                "definition" | "value" => found.push(path),
                _ if depth > 1 => collect(value, &path, depth - 1, found),
                _ => {}
            }
        } else {
            found.push(path);
        }
    }
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::Bool(true) => "True".to_owned(),
        Value::Bool(false) => "False".to_owned(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => printable(text),
        Value::Array(items) if items.iter().all(Value::is_string) => {
            items.iter().map(cell).collect::<Vec<_>>().join(" ")
        }
        Value::Array(_) | Value::Object(_) => printable(&value.to_string()),
    }
}

fn tabs(columns: &[String], lines: &[Vec<String>], head: bool) -> String {
    let head = head.then(|| columns.join("\t") + "\n");
    head.into_iter().chain(lines.iter().map(|line| line.join("\t") + "\n")).collect()
}

fn long(columns: &[String], lines: &[Vec<String>]) -> String {
    let separator = format!("\n{}\n\n", "-".repeat(80));
    let width = columns.iter().map(|name| name.chars().count()).max().unwrap_or(0);
    let mut text = separator.clone();
    for line in lines {
        text.extend(columns.iter().zip(line).map(|(name, cell)| format!("{name:>width$}: {cell}\n")));
        text.push_str(&separator);
    }
    text
}

fn pairs(columns: &[String], lines: &[Vec<String>]) -> String {
    let line = |line: &Vec<String>| {
        let pairs = columns.iter().zip(line).map(|(name, cell)| format!("{name}=\"{cell}\""));
        pairs.collect::<Vec<_>>().join(" ") + "\n"
    };
    lines.iter().map(line).collect()
}

fn names(columns: &[String], lines: &[Vec<String>]) -> String {
    let Some(place) = columns.iter().position(|name| name == "name") else { return String::new() };
    let names: Vec<&str> = lines.iter().filter_map(|line| line.get(place)).map(String::as_str).collect();
    names.join(" ") + "\n"
}

fn table(columns: &[String], lines: &[Vec<String>]) -> String {
    let width = |at: usize| {
        let cells = std::iter::once(columns).chain(lines.iter().map(Vec::as_slice));
        cells.filter_map(|line| line.get(at)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns.len()).map(width).collect();
    let dashes: Vec<String> = widths.iter().map(|width| "-".repeat(width + 2)).collect();
    let bar = format!("+{}+\n", dashes.join("+"));
    let head: Vec<String> =
        columns.iter().zip(&widths).map(|(name, &width)| format!(" {name:^width$} ")).collect();
    let mut text = format!("{bar}|{}|\n{bar}", head.join("|"));
    for line in lines {
        let cells: Vec<String> =
            line.iter().zip(&widths).map(|(cell, &width)| format!(" {cell:<width$} ")).collect();
        text.push_str(&format!("|{}|\n", cells.join("|")));
    }
    text + &bar
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_table_has_its_heads_in_the_middle() {
        let text = table(&["name".to_owned(), "n".to_owned()], &[vec!["a".to_owned(), "100".to_owned()]]);
        assert_eq!(text, "+------+-----+\n| name |  n  |\n+------+-----+\n| a    | 100 |\n+------+-----+\n");
    }

    #[test]
    fn without_columns_there_are_all_so_deep() {
        let rows = [json!({"b": 1, "name": "x", "deep": {"er": 2}, "definition": {"k": 1}})];
        assert_eq!(all(&rows, 1), ["name", "b", "definition"]);
        assert_eq!(all(&rows, 2), ["name", "b", "deep.er", "definition"]);
        assert_eq!(cell(at(&rows[0], "definition")), "{\"k\":1}");
    }
}
