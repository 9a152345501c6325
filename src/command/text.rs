//! Text for people: cells, aligned tables, fields. Whatever a name holds, it cannot steer a terminal.

use std::time::{Duration, SystemTime};

use serde_json::Value;

/// A column of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Column {
    pub(super) head: String,
    /// The field's path in the API's JSON, between dots.
    pub(super) path: String,
    pub(super) show: Show,
}

/// How a cell reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Show {
    Plain,
    /// Per second.
    Rate,
    /// Milliseconds since 1970.
    Moment,
    /// Milliseconds.
    Period,
    /// `1.5 MiB`.
    Octets,
}

/// A column whose head is its field's name.
pub(super) fn plain(path: &str) -> Column {
    column(path, path, Show::Plain)
}

/// A column.
pub(super) fn column(head: &str, path: &str, show: Show) -> Column {
    Column { head: head.to_owned(), path: path.to_owned(), show }
}

/// The value at a path, `Null` if there is none. A field whose name has dots comes before a path.
pub(super) fn at<'v>(value: &'v Value, path: &str) -> &'v Value {
    let found = value.get(path).or_else(|| path.split('.').try_fold(value, |value, key| value.get(key)));
    found.unwrap_or(&Value::Null)
}

/// An aligned table: text to the left, numbers to the right.
pub(super) fn table(columns: &[Column], rows: &[Value]) -> String {
    let head = columns.iter().map(|column| column.head.to_uppercase()).collect();
    let cells = |row: &Value| columns.iter().map(|column| cell(at(row, &column.path), column.show)).collect();
    let lines: Vec<Vec<String>> = std::iter::once(head).chain(rows.iter().map(cells)).collect();
    let is_number = |column: &Column| {
        column.show != Show::Moment && rows.iter().all(|row| at(row, &column.path).is_number())
    };
    let to_the_right: Vec<bool> =
        columns.iter().map(|column| !rows.is_empty() && is_number(column)).collect();
    aligned(&lines, &to_the_right)
}

/// Lines of cells with the columns below each other; `to_the_right`: which of them end below each other.
pub(super) fn aligned(lines: &[Vec<String>], to_the_right: &[bool]) -> String {
    let width = |column: usize| {
        let cells = lines.iter().filter_map(|line| line.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..to_the_right.len()).map(width).collect();
    let mut text = String::new();
    for line in lines {
        let cells = line.iter().zip(&widths).zip(to_the_right);
        let cells = cells.map(
            |((cell, &width), right)| {
                if *right { format!("{cell:>width$}") } else { format!("{cell:width$}") }
            },
        );
        text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
    }
    text
}

/// A line for each field of a document; those of documents in it with the path to them.
pub(super) fn fields(document: &Value) -> String {
    let mut lines = Vec::new();
    collect("", document, &mut lines);
    aligned(&lines, &[false, false])
}

fn collect(path: &str, value: &Value, lines: &mut Vec<Vec<String>>) {
    let Value::Object(fields) = value else {
        return lines.push(vec![path.to_owned(), cell(value, Show::Plain)]);
    };
    for (name, value) in fields {
        let name = printable(name);
        let path = if path.is_empty() { name } else { format!("{path}.{name}") };
        collect(&path, value, lines);
    }
}

/// A value as a cell.
pub(super) fn cell(value: &Value, show: Show) -> String {
    match (value, show) {
        (Value::Null, _) => "-".to_owned(),
        (Value::Bool(is), _) => if *is { "yes" } else { "no" }.to_owned(),
        (Value::Number(_), Show::Rate) => format!("{:.1}", value.as_f64().unwrap_or_default()),
        (Value::Number(_), Show::Moment) => moment(value.as_u64().unwrap_or_default()),
        (Value::Number(_), Show::Period) => period(value.as_u64().unwrap_or_default()),
        (Value::Number(_), Show::Octets) => octets(value.as_f64().unwrap_or_default()),
        (Value::Number(number), Show::Plain) => number.to_string(),
        (Value::String(text), _) if text.is_empty() => "\"\"".to_owned(),
        (Value::String(text), _) => printable(text),
        (Value::Array(items), _) => {
            let items: Vec<String> = items.iter().map(|item| cell(item, Show::Plain)).collect();
            if items.is_empty() { "-".to_owned() } else { items.join(",") }
        }
        (Value::Object(fields), _) if fields.is_empty() => "-".to_owned(),
        (Value::Object(_), _) => printable(&value.to_string()),
    }
}

/// Control characters as escapes: a name must not move the cursor or colour the screen.
pub(super) fn printable(text: &str) -> String {
    let escaped = |character: char| {
        if character.is_control() {
            character.escape_default().collect::<String>()
        } else {
            character.to_string()
        }
    };
    if text.chars().any(char::is_control) { text.chars().map(escaped).collect() } else { text.to_owned() }
}

fn moment(millis: u64) -> String {
    match SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(millis)) {
        Some(time) if millis < MILLIS_MAX => humantime::format_rfc3339_seconds(time).to_string(),
        Some(_) | None => millis.to_string(),
    }
}

/// The year 9999 ends: later dates have no form.
const MILLIS_MAX: u64 = 253_402_300_800_000;

fn period(millis: u64) -> String {
    // Nobody reads the milliseconds of hours.
    let shown = if millis < 10_000 { millis } else { millis / 1000 * 1000 };
    humantime::format_duration(Duration::from_millis(shown)).to_string()
}

/// `1.5 MiB`.
pub(super) fn octets(mut count: f64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut unit = UNITS[0];
    for larger in UNITS.into_iter().skip(1) {
        if count < 1024.0 {
            break;
        }
        count /= 1024.0;
        unit = larger;
    }
    if unit == "B" { format!("{count:.0} B") } else { format!("{count:.1} {unit}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn numbers_end_below_each_other_and_text_begins_so() {
        let rows = [json!({"name": "a", "n": 1}), json!({"name": "long", "n": 1000})];
        let text = table(&[plain("name"), plain("n")], &rows);
        assert_eq!(text, "NAME     N\na        1\nlong  1000\n");
    }

    #[test]
    fn an_empty_list_is_its_head() {
        assert_eq!(table(&[plain("name"), plain("x.y")], &[]), "NAME  X.Y\n");
    }

    #[test]
    fn a_name_cannot_steer_the_terminal() {
        let rows = [json!({"name": "a\u{1b}[2Jb\n"})];
        assert_eq!(table(&[plain("name")], &rows), "NAME\na\\u{1b}[2Jb\\n\n");
        assert_eq!(fields(&json!({"a\r": {"b": "\u{7}"}})), "a\\r.b  \\u{7}\n");
    }

    #[test]
    fn cells_read_well() {
        assert_eq!(cell(&json!(12.345), Show::Rate), "12.3");
        assert_eq!(cell(&json!(1536), Show::Octets), "1.5 KiB");
        assert_eq!(cell(&json!(90_061_000), Show::Period), "1day 1h 1m 1s");
        assert_eq!(cell(&json!(1_000), Show::Moment), "1970-01-01T00:00:01Z");
        assert_eq!(cell(&json!(u64::MAX), Show::Moment), u64::MAX.to_string());
        assert_eq!(cell(&json!(["a", 1]), Show::Plain), "a,1");
        assert_eq!(cell(&json!(null), Show::Rate), "-");
        assert_eq!(cell(&json!(true), Show::Plain), "yes");
    }
}
