//! Lists as RabbitMQ gives them: sorted, a page at a time, filtered by name, with only the columns that are asked for.
//!
//! A list is made of handles; an item is written out only once its place in the answer is known, so that a page of a
//! hundred costs a hundred, however many there are.

use std::cmp::Ordering;
use std::collections::HashMap;

use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;
use regex::{Regex, RegexBuilder};
use serde::Serialize;
use serde_json::Value;

use super::answer::{Answer, json_octets};
use super::refusal::Refusal;

/// Items of a page (RabbitMQ).
const PAGE_SIZE_DEFAULT: usize = 100;

/// Items of a page at most (RabbitMQ).
const PAGE_SIZE_MAX: usize = 500;

/// Octets of a compiled pattern: one given by a user must not fill the memory.
const PATTERN_OCTETS_MAX: usize = 1 << 20;

/// Columns that may be asked for.
const COLUMNS_MAX: usize = 256;

/// Items written before others get a turn on the thread.
const BATCH: usize = 256;

/// What the query of a list asks for.
#[derive(Debug, Default)]
pub(super) struct ListQuery {
    page: Option<Page>,
    sort: Option<String>,
    sort_reverse: bool,
    columns: Option<Columns>,
}

#[derive(Debug)]
struct Page {
    number: usize,
    size: usize,
    filter: Filter,
}

#[derive(Debug)]
enum Filter {
    None,
    Contains(String),
    Matches(Regex),
}

/// Paths of fields that are wanted.
#[derive(Debug)]
pub(super) struct Columns(Vec<Vec<String>>);

/// What identifies an item: lists are in this order unless another is asked for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    pub(super) vhost: String,
    pub(super) name: String,
}

impl Key {
    /// For what belongs to a virtual host.
    pub(super) fn new(vhost: impl Into<String>, name: impl Into<String>) -> Self {
        Self { vhost: vhost.into(), name: name.into() }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for ListQuery {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        let query = Query::<HashMap<String, String>>::from_request_parts(parts, state).await;
        let Query(query) =
            query.map_err(|error| Refusal::bad_request(format!("the query cannot be read: {error}")))?;
        Self::parse(&query)
    }
}

impl ListQuery {
    fn parse(query: &HashMap<String, String>) -> Result<Self, Refusal> {
        let get = |key: &str| query.get(key).map(String::as_str).filter(|value| !value.is_empty());
        Ok(Self {
            page: Page::parse(&get)?,
            sort: get("sort").map(str::to_owned),
            sort_reverse: get("sort_reverse") == Some("true"),
            columns: get("columns").map(Columns::parse).transpose()?,
        })
    }

    /// Answers one document, with the columns that are asked for.
    pub(super) fn one(&self, view: &impl Serialize) -> Answer {
        let mut body = Vec::new();
        self.sink(&mut body).put(view)?;
        Ok(json_octets(body))
    }

    /// Answers a list of `items`.
    pub(super) async fn answer<T>(
        &self,
        items: Vec<T>,
        key: impl Fn(&T) -> Key,
        view: impl Fn(&T, Sink<'_>) -> Written,
    ) -> Answer {
        let total = items.len();
        let items = self.filtered(items, &key);
        let items = self.sorted(items, &key, &view)?;
        let mut body = Vec::new();
        let Some(page) = &self.page else {
            self.write_items(items.iter(), &view, &mut body).await?;
            return Ok(json_octets(body));
        };
        let of_page = page.cut(&items)?;
        let head = PageHead {
            total_count: total,
            item_count: of_page.len(),
            filtered_count: items.len(),
            page: page.number,
            page_size: page.size,
            page_count: items.len().div_ceil(page.size),
        };
        body = serde_json::to_vec(&head).map_err(|error| Refusal::internal(error.to_string()))?;
        body.pop();
        body.extend_from_slice(b",\"items\":");
        self.write_items(of_page.iter(), &view, &mut body).await?;
        body.push(b'}');
        Ok(json_octets(body))
    }

    fn filtered<T>(&self, mut items: Vec<T>, key: impl Fn(&T) -> Key) -> Vec<T> {
        let Some(page) = &self.page else { return items };
        match &page.filter {
            Filter::None => {}
            Filter::Contains(text) => items.retain(|item| key(item).name.to_lowercase().contains(text)),
            Filter::Matches(pattern) => items.retain(|item| pattern.is_match(&key(item).name)),
        }
        items
    }

    fn sorted<T>(
        &self,
        mut items: Vec<T>,
        key: impl Fn(&T) -> Key,
        view: impl Fn(&T, Sink<'_>) -> Written,
    ) -> Result<Vec<T>, Refusal> {
        match self.sort.as_deref() {
            None => items.sort_by_cached_key(&key),
            Some("name") => items.sort_by_cached_key(|item| {
                let Key { vhost, name } = key(item);
                (name, vhost)
            }),
            Some(column) => items = sorted_by(column, items, key, view)?,
        }
        if self.sort_reverse {
            items.reverse();
        }
        Ok(items)
    }

    async fn write_items<'i, T: 'i>(
        &self,
        items: impl Iterator<Item = &'i T>,
        view: &impl Fn(&T, Sink<'_>) -> Written,
        body: &mut Vec<u8>,
    ) -> Result<(), Refusal> {
        body.push(b'[');
        for (index, item) in items.enumerate() {
            if index > 0 {
                body.push(b',');
            }
            if index % BATCH == BATCH - 1 {
                tokio::task::yield_now().await;
            }
            view(item, self.sink(body))?;
        }
        body.push(b']');
        Ok(())
    }

    fn sink<'s>(&'s self, body: &'s mut Vec<u8>) -> Sink<'s> {
        match &self.columns {
            None => Sink::Whole(body),
            Some(columns) => Sink::Columns(columns, body),
        }
    }
}

/// Whether an item could be written.
pub(super) type Written = Result<(), Refusal>;

/// Where an item is written to.
pub(super) enum Sink<'s> {
    /// Into the answer as it is.
    Whole(&'s mut Vec<u8>),
    /// Into the answer, with some of its fields.
    Columns(&'s Columns, &'s mut Vec<u8>),
    /// Not into the answer: one of its fields is needed.
    Value(&'s mut Value),
}

impl Sink<'_> {
    /// Writes an item, once.
    pub(super) fn put(self, view: &impl Serialize) -> Written {
        let written = match self {
            Self::Whole(body) => serde_json::to_writer(body, view),
            Self::Columns(columns, body) => {
                serde_json::to_value(view).and_then(|value| serde_json::to_writer(body, &columns.pick(value)))
            }
            Self::Value(wanted) => serde_json::to_value(view).map(|value| *wanted = value),
        };
        written.map_err(|error| Refusal::internal(error.to_string()))
    }
}

#[derive(Serialize)]
struct PageHead {
    total_count: usize,
    item_count: usize,
    filtered_count: usize,
    page: usize,
    page_size: usize,
    page_count: usize,
}

impl Page {
    fn parse<'q>(get: &impl Fn(&str) -> Option<&'q str>) -> Result<Option<Self>, Refusal> {
        let Some(number) = get("page") else { return Ok(None) };
        let size = get("page_size");
        let parsed = (number.parse().ok(), size.map_or(Some(PAGE_SIZE_DEFAULT), |size| size.parse().ok()));
        let (Some(number @ 1..), Some(size @ 1..=PAGE_SIZE_MAX)) = parsed else {
            return Err(Refusal::bad_page(
                "invalid_pagination_parameters",
                format!(
                    "Invalid pagination parameters: page number {number}, page size {}",
                    size.unwrap_or("undefined")
                ),
            ));
        };
        let filter = match (get("name"), get("use_regex")) {
            (None, _) => Filter::None,
            (Some(pattern), Some("true")) => Filter::Matches(compile(pattern)?),
            (Some(text), _) => Filter::Contains(text.to_lowercase()),
        };
        Ok(Some(Self { number, size, filter }))
    }

    fn cut<'i, T>(&self, items: &'i [T]) -> Result<&'i [T], Refusal> {
        let start = (self.number - 1).saturating_mul(self.size);
        let end = start.saturating_add(self.size).min(items.len());
        items.get(start..end).ok_or_else(|| {
            let (page, size, length) = (self.number, self.size, items.len());
            Refusal::bad_page(
                "page_out_of_range",
                format!("Page out of range, page: {page} page size: {size}, len: {length}"),
            )
        })
    }
}

fn compile(pattern: &str) -> Result<Regex, Refusal> {
    let compiled = RegexBuilder::new(pattern).case_insensitive(true).size_limit(PATTERN_OCTETS_MAX).build();
    compiled.map_err(|error| Refusal::bad_request(format!("the pattern in 'name' is none: {error}")))
}

/// Sorts by a field of the view, dots leading inwards; then by key.
fn sorted_by<T>(
    column: &str,
    items: Vec<T>,
    key: impl Fn(&T) -> Key,
    view: impl Fn(&T, Sink<'_>) -> Written,
) -> Result<Vec<T>, Refusal> {
    let path: Vec<&str> = column.split('.').collect();
    let mut keyed = Vec::with_capacity(items.len());
    for item in items {
        let mut value = Value::Null;
        view(&item, Sink::Value(&mut value))?;
        let field = path.iter().try_fold(&value, |value, name| value.get(name)).cloned();
        keyed.push((field.unwrap_or_default(), key(&item), item));
    }
    keyed.sort_by(|(one, one_key, _), (other, other_key, _)| {
        compare(one, other).then_with(|| one_key.cmp(other_key))
    });
    Ok(keyed.into_iter().map(|(_, _, item)| item).collect())
}

/// RabbitMQ: what is missing counts as 0; numbers come before truth values, and those before text.
fn compare(one: &Value, other: &Value) -> Ordering {
    let number = |value: &Value| if value.is_null() { Some(0.0) } else { value.as_f64() };
    let rank = |value: &Value| match value {
        Value::Null | Value::Number(_) => 0,
        Value::Bool(_) => 1,
        Value::Object(_) => 2,
        Value::Array(_) => 3,
        Value::String(_) => 4,
    };
    match (number(one), number(other)) {
        (Some(one), Some(other)) => one.total_cmp(&other),
        (_, _) => match (one, other) {
            (Value::String(one), Value::String(other)) => one.cmp(other),
            (Value::Bool(one), Value::Bool(other)) => one.cmp(other),
            (_, _) => rank(one).cmp(&rank(other)),
        },
    }
}

impl Columns {
    fn parse(text: &str) -> Result<Self, Refusal> {
        let columns: Vec<Vec<String>> = text
            .split(',')
            .filter(|column| !column.is_empty())
            .take(COLUMNS_MAX + 1)
            .map(|column| column.split('.').map(str::to_owned).collect())
            .collect();
        if columns.len() > COLUMNS_MAX {
            return Err(Refusal::bad_request(format!("more than {COLUMNS_MAX} columns")));
        }
        Ok(Self(columns))
    }

    fn pick(&self, value: Value) -> Value {
        let paths: Vec<&[String]> = self.0.iter().map(Vec::as_slice).collect();
        pick(value, &paths)
    }
}

/// Keeps of an object the fields that paths start with, and of those what the paths go on to.
fn pick(value: Value, paths: &[&[String]]) -> Value {
    match value {
        Value::Object(object) => {
            let kept = object.into_iter().filter_map(|(name, value)| {
                let onward: Vec<&[String]> = paths
                    .iter()
                    .filter_map(|path| path.split_first())
                    .filter(|(first, _)| **first == name)
                    .map(|(_, rest)| rest)
                    .collect();
                if onward.is_empty() {
                    return None;
                }
                let whole = onward.iter().any(|rest| rest.is_empty());
                Some((name, if whole { value } else { pick(value, &onward) }))
            });
            Value::Object(kept.collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(|item| pick(item, paths)).collect()),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value,
    }
}

#[cfg(test)]
mod tests;
