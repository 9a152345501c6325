//! `rabbitmq.conf`: what Lepus knows of it is taken over, the rest is named in one warning.
//!
//! ```text
//!   key.of.parts = value        # from here on a comment
//!   key = 'value with # in it'
//!   key = $(NAME_OF_AN_ENVIRONMENT_VARIABLE)
//! ```

mod combine;
pub(super) mod environment;
mod mapping;

use std::collections::BTreeMap;
use std::path::Path;

use super::load::{Given, Origin, Problem};
use super::setting::Meta;

/// Ignored keys that the warning names; a file made for RabbitMQ alone may have hundreds.
const IGNORED_SHOWN: usize = 40;

/// What a file gives.
#[derive(Debug, Default)]
pub(super) struct Contents {
    pub(super) given: Vec<Given>,
    /// One at most, of all that is ignored.
    pub(super) warning: Option<String>,
    pub(super) problems: Vec<Problem>,
}

/// A line's key and value.
#[derive(Clone, Debug)]
struct Entry {
    value: String,
    line: usize,
    column: usize,
}

/// Takes `text`, the contents of `path`, apart. `settings` are those that there are.
pub(super) fn read(path: &Path, text: &str, settings: &[Meta], variables: &[(String, String)]) -> Contents {
    let mut contents = Contents::default();
    let mut entries = BTreeMap::new();
    for (index, line) in text.lines().enumerate() {
        match entry(line, variables) {
            Ok(None) => {}
            // RabbitMQ: of a key that is given twice, the last one counts.
            Ok(Some((key, value, column))) => {
                entries.insert(key, Entry { value, line: index + 1, column });
            }
            Err(text) => contents.problems.push(Problem::new(place(path, index + 1, 1), text)),
        }
    }
    combine::combine(&mut entries);
    take_over(path, &entries, settings, &mut contents);
    contents
}

fn place(path: &Path, line: usize, column: usize) -> Origin {
    Origin::File { path: path.to_owned(), line, column }
}

fn take_over(path: &Path, entries: &BTreeMap<String, Entry>, settings: &[Meta], contents: &mut Contents) {
    let mut ignored = Vec::new();
    for (key, entry) in entries {
        let known =
            mapping::find(key).filter(|(mapping, _)| settings.iter().any(|meta| meta.key() == mapping.key));
        let Some((mapping, part)) = known else {
            ignored.push((entry.line, key.as_str()));
            continue;
        };
        let origin = place(path, entry.line, entry.column);
        match mapping.convert(part, &entry.value) {
            Ok(None) => {}
            Ok(Some(raw)) => mapping::give(&mut contents.given, mapping, raw, origin),
            Err(text) => contents.problems.push(Problem::new(origin, format!("{key}: {text}"))),
        }
    }
    contents.given.sort_by_key(|given| given.origin.position());
    ignored.sort_unstable();
    contents.warning = warning(path, &ignored);
}

fn warning(path: &Path, ignored: &[(usize, &str)]) -> Option<String> {
    let shown: Vec<String> =
        ignored.iter().take(IGNORED_SHOWN).map(|(line, key)| format!("{key} (line {line})")).collect();
    let more = ignored.len().saturating_sub(IGNORED_SHOWN);
    let more = if more == 0 { String::new() } else { format!(", and {more} more") };
    (!ignored.is_empty()).then(|| format!("{}: ignored: {}{more}", path.display(), shown.join(", ")))
}

/// Key, value and the key's column of a line that has any.
fn entry(line: &str, variables: &[(String, String)]) -> Result<Option<(String, String, usize)>, String> {
    let trimmed = line.trim_start();
    if trimmed.is_empty() || trimmed.starts_with('#') {
        return Ok(None);
    }
    let column = line.chars().count() - trimmed.chars().count() + 1;
    let (key, rest) = trimmed.split_once('=').ok_or("is no 'key = value'")?;
    let key = key.trim();
    if key.is_empty() || key.contains(char::is_whitespace) {
        return Err(format!("'{key}' is no key"));
    }
    Ok(Some((key.to_owned(), value(rest.trim_start(), variables)?, column)))
}

/// The value at the start of `rest`, without its quotes or the comment behind it.
fn value(rest: &str, variables: &[(String, String)]) -> Result<String, String> {
    if let Some(quoted) = rest.strip_prefix('\'') {
        let (value, behind) = quoted.split_once('\'').ok_or("a quote ' is not closed")?;
        let is_end = behind.trim_start().is_empty() || behind.trim_start().starts_with('#');
        return if is_end {
            Ok(value.to_owned())
        } else {
            Err("something follows the closing quote '".to_owned())
        };
    }
    let value = rest.split('#').next().unwrap_or_default().trim_end();
    if value.starts_with("encrypted:") {
        return Err("encrypted values cannot be read: write the value, or $(VARIABLE)".to_owned());
    }
    interpolate(value, variables)
}

fn interpolate(value: &str, variables: &[(String, String)]) -> Result<String, String> {
    let Some((before, rest)) = value.split_once("$(") else { return Ok(value.to_owned()) };
    let (name, after) = rest.split_once(')').ok_or("$( is not closed")?;
    let variable = variables.iter().find(|(known, _)| known == name);
    let (_, text) = variable.ok_or_else(|| format!("there is no environment variable {name}"))?;
    Ok(format!("{before}{text}{}", interpolate(after, variables)?))
}

#[cfg(test)]
mod tests;
