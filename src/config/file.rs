//! `lepus.toml`: what it gives, with the line and column of each value.

use std::ops::Range;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::load::{Given, Origin, Problem};
use super::value::Raw;

/// Tables deeper than this hold no setting. The parser has a limit of its own for what is nested on a line.
const TABLE_DEPTH_MAX: usize = 8;

/// Takes `text`, the contents of `path`, apart.
///
/// # Errors
/// When it is not TOML.
pub(super) fn read(path: &Path, text: &str) -> Result<Vec<Given>, Problem> {
    let document = Document { path, text };
    let table = DeTable::parse(text).map_err(|error| {
        let origin = document.origin(error.span().unwrap_or_default());
        Problem::new(origin, error.message().replace('\n', ", "))
    })?;
    let mut given = Vec::new();
    document.walk(table.get_ref(), "", 0, &mut given);
    // The parser's tables are in alphabetical order.
    given.sort_by_key(|given| given.origin.position());
    Ok(given)
}

/// A file that is being read.
struct Document<'d> {
    path: &'d Path,
    text: &'d str,
}

impl Document<'_> {
    /// Every key that is not a table, by its full path. An empty table is given as well: it may be an unknown one.
    fn walk(&self, table: &DeTable<'_>, prefix: &str, depth: usize, given: &mut Vec<Given>) {
        for (name, value) in table {
            let key = if prefix.is_empty() {
                name.get_ref().to_string()
            } else {
                format!("{prefix}.{}", name.get_ref())
            };
            match value.get_ref() {
                DeValue::Table(table) if !table.is_empty() && depth < TABLE_DEPTH_MAX => {
                    self.walk(table, &key, depth + 1, given);
                }
                DeValue::Table(_) => {
                    given.push(Given { key, raw: Raw::Other("a table"), origin: self.origin(name.span()) });
                }
                DeValue::String(_)
                | DeValue::Integer(_)
                | DeValue::Float(_)
                | DeValue::Boolean(_)
                | DeValue::Datetime(_)
                | DeValue::Array(_) => {
                    given.push(Given { key, raw: raw(value), origin: self.origin(name.span()) });
                }
            }
        }
    }

    /// Lines and columns count from 1, columns in characters.
    fn origin(&self, span: Range<usize>) -> Origin {
        let before = self.text.get(..span.start).unwrap_or(self.text);
        let line = before.matches('\n').count() + 1;
        let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
        Origin::File { path: self.path.to_owned(), line, column }
    }
}

fn raw(value: &Spanned<DeValue<'_>>) -> Raw {
    match value.get_ref() {
        DeValue::String(text) => Raw::Text(text.to_string()),
        DeValue::Integer(number) => {
            let number = i64::from_str_radix(number.as_str(), number.radix());
            number.map_or(Raw::Other("a number that does not fit into 64 bits"), Raw::Integer)
        }
        DeValue::Float(number) => number.as_str().parse().map_or(Raw::Other("a number"), Raw::Float),
        DeValue::Boolean(is) => Raw::Boolean(*is),
        DeValue::Datetime(_) => Raw::Other("a date"),
        DeValue::Array(items) => Raw::List(items.iter().map(raw).collect()),
        DeValue::Table(_) => Raw::Other("a table"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(text: &str) -> Vec<(String, Raw, String)> {
        let given = read(Path::new("f"), text).unwrap();
        given.into_iter().map(|given| (given.key, given.raw, given.origin.to_string())).collect()
    }

    #[test]
    fn keys_bear_their_tables_and_places() {
        let text = "# x\nlisten = [\"a\"]\n\n[limits]\n  heartbeat = 0x10\nanonymous = false\n";
        assert_eq!(
            given(text),
            [
                ("listen".to_owned(), Raw::List(vec![Raw::Text("a".to_owned())]), "f:2:1".to_owned()),
                ("limits.heartbeat".to_owned(), Raw::Integer(16), "f:5:3".to_owned()),
                ("limits.anonymous".to_owned(), Raw::Boolean(false), "f:6:1".to_owned()),
            ]
        );
    }

    #[test]
    fn an_empty_table_is_seen() {
        assert_eq!(given("[limts]\n")[0].0, "limts");
    }

    #[test]
    fn what_is_not_toml_is_told_with_its_place() {
        let problem = read(Path::new("f"), "listen = [\n\"a\"\nidentity = 1").unwrap_err().to_string();
        assert!(problem.starts_with("f:"), "{problem}");
        assert!(!problem.contains('\n'), "{problem}");
    }
}
