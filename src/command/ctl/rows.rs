//! Rows as RabbitMQ's tools print them: separated by tabs, or JSON, CSV, a table with lines.

use serde_json::Value;

use super::line::{Formatter, Line};
use super::stop::Done;
use crate::command::context::print;
use crate::command::text::printable;

/// Prints rows with these columns. RabbitMQ: without rows there are no headers either.
pub(super) fn rows(line: &Line, columns: &[&str], rows: &[Vec<Value>]) -> Done {
    let headers = !line.has("no-table-headers") && !line.has("silent");
    let text = match line.formatter {
        Formatter::Table => tabs(columns, rows, headers),
        Formatter::Json => json(columns, rows),
        Formatter::Csv => csv(columns, rows, headers),
        Formatter::PrettyTable => boxes(columns, rows, headers),
    };
    Ok(print(&text)?)
}

fn tabs(columns: &[&str], rows: &[Vec<Value>], headers: bool) -> String {
    let mut text = String::new();
    if headers && !rows.is_empty() {
        text.push_str(&(columns.join("\t") + "\n"));
    }
    for row in rows {
        let cells: Vec<String> = row.iter().map(cell).collect();
        text.push_str(&(cells.join("\t") + "\n"));
    }
    text
}

fn json(columns: &[&str], rows: &[Vec<Value>]) -> String {
    let row = |row: &Vec<Value>| {
        // Written by hand: the columns stand in the order that was asked for.
        let fields = columns.iter().zip(row).map(|(name, value)| format!("{}:{value}", Value::from(*name)));
        format!("{{{}}}", fields.collect::<Vec<_>>().join(","))
    };
    let rows: Vec<String> = rows.iter().map(row).collect();
    format!("[\n{}\n]\n", rows.join("\n,"))
}

fn csv(columns: &[&str], rows: &[Vec<Value>], headers: bool) -> String {
    let quoted = |text: &str| format!("\"{}\"", text.replace('"', "\"\""));
    let mut text = String::new();
    if headers && !rows.is_empty() {
        text.push_str(&(columns.iter().map(|name| quoted(name)).collect::<Vec<_>>().join(",") + "\n"));
    }
    for row in rows {
        let cells: Vec<String> = row
            .iter()
            .map(|value| if value.is_number() { value.to_string() } else { quoted(&cell(value)) })
            .collect();
        text.push_str(&(cells.join(",") + "\n"));
    }
    text
}

fn boxes(columns: &[&str], rows: &[Vec<Value>], headers: bool) -> String {
    let mut lines: Vec<Vec<String>> = Vec::new();
    if headers {
        lines.push(columns.iter().map(|&name| name.to_owned()).collect());
    }
    lines.extend(rows.iter().map(|row| row.iter().map(cell).collect()));
    if rows.is_empty() {
        return String::new();
    }
    let width = |at: usize| {
        lines.iter().filter_map(|line| line.get(at)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns.len()).map(width).collect();
    let bar = |[left, cross, right]: [&str; 3]| {
        let dashes: Vec<String> = widths.iter().map(|width| "─".repeat(width + 2)).collect();
        format!("{left}{}{right}\n", dashes.join(cross))
    };
    let row = |line: &Vec<String>| {
        let cells = line.iter().zip(&widths).map(|(cell, &width)| format!(" {cell:width$} "));
        format!("│{}│\n", cells.collect::<Vec<_>>().join("│"))
    };
    let inner: Vec<String> = lines.iter().map(row).collect();
    format!("{}{}{}", bar(["┌", "┬", "┐"]), inner.join(&bar(["├", "┼", "┤"])), bar(["└", "┴", "┘"]))
}

/// A value as RabbitMQ's tools write it.
pub(super) fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::Bool(is) => is.to_string(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => printable(text),
        Value::Array(items) => format!("[{}]", items.iter().map(cell).collect::<Vec<_>>().join(", ")),
        Value::Object(fields) => {
            let field =
                |(name, value): (&String, &Value)| format!("{{{},{value}}}", Value::from(name.as_str()));
            printable(&format!("[{}]", fields.iter().map(field).collect::<Vec<_>>().join(", ")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn example() -> Vec<Vec<Value>> {
        vec![vec![json!("ann"), json!(["administrator", "x"])], vec![json!("b\"\t"), json!([])]]
    }

    #[test]
    fn rows_stand_between_tabs_below_their_names() {
        let text = tabs(&["user", "tags"], &example(), true);
        assert_eq!(text, "user\ttags\nann\t[administrator, x]\nb\"\\t\t[]\n");
        assert_eq!(tabs(&["user"], &[], true), "");
        assert_eq!(tabs(&["user"], &[vec![json!(1)]], false), "1\n");
    }

    #[test]
    fn json_and_csv_can_be_read_by_programs() {
        let text = json(&["user", "tags"], &example());
        let read: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(read[0], json!({"user": "ann", "tags": ["administrator", "x"]}));
        assert!(text.starts_with("[\n{\"user\":\"ann\",\"tags\":"), "{text}");
        assert_eq!(json(&["user"], &[]), "[\n\n]\n");
        let text = csv(&["user", "n"], &[vec![json!("a\"b"), json!(1)]], true);
        assert_eq!(text, "\"user\",\"n\"\n\"a\"\"b\",1\n");
    }

    #[test]
    fn boxes_are_as_wide_as_their_widest_cell() {
        let text = boxes(&["n"], &[vec![json!("abc")]], true);
        assert_eq!(text, "┌─────┐\n│ n   │\n├─────┤\n│ abc │\n└─────┘\n");
    }

    #[test]
    fn arguments_look_as_in_erlang() {
        assert_eq!(cell(&json!({"x-max-length": 10, "y": "a"})), "[{\"x-max-length\",10}, {\"y\",\"a\"}]");
        assert_eq!(
            (cell(&json!({})), cell(&json!(null)), cell(&json!(true))),
            ("[]".into(), "".into(), "true".into())
        );
    }
}
