//! What a binding to a headers exchange asks of a message's headers.

use std::borrow::Cow;

use lepus_protocol::{FieldTable, FieldValue};

use super::super::binding::{BindError, HEADERS_MATCHED_MAX};
use super::super::dense_map::DenseMap;
use super::term::Term;

/// The argument that says how the others are matched.
const MATCH_ARGUMENT: &str = "x-match";

/// The arguments of a binding, understood. Patterns that ask the same are equal.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Pattern {
    pub(super) mode: Mode,
    /// Sorted, each once.
    pub(super) requirements: Box<[Requirement<'static>]>,
}

/// How many of its requirements a pattern insists on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Mode {
    All,
    Any,
}

/// A header by this name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Requirement<'a> {
    pub(super) name: Cow<'a, [u8]>,
    /// Of this value; `None` for any.
    pub(super) value: Option<Term<'a>>,
}

impl Pattern {
    /// # Errors
    /// [`BindError::UnknownMatch`], [`BindError::TooManyHeaders`].
    pub(super) fn new(arguments: &FieldTable) -> Result<Self, BindError> {
        let (mode, with_x) = mode(arguments)?;
        // §3.1.3.4 leaves names with "x-" to the broker. RabbitMQ: the -with-x modes match them too, other than
        // the one that sets the mode.
        let is_matched =
            |name: &[u8]| if with_x { name != MATCH_ARGUMENT.as_bytes() } else { !name.starts_with(b"x-") };
        let mut fields: Vec<_> = arguments.iter().filter(|(name, _)| is_matched(name.as_bytes())).collect();
        if fields.len() > HEADERS_MATCHED_MAX {
            return Err(BindError::TooManyHeaders(fields.len()));
        }
        fields.sort_by_key(|(name, _)| name);
        let mut requirements: Vec<_> =
            fields.into_iter().map(|(name, value)| Requirement::new(name.as_bytes(), value)).collect();
        requirements.dedup();
        Ok(Self { mode, requirements: requirements.into() })
    }

    /// Whether these headers meet every requirement.
    pub(super) fn is_met_by(&self, headers: &Headers<'_>) -> bool {
        self.requirements.iter().all(|requirement| headers.meet(requirement))
    }
}

/// The mode, and whether names with "x-" are matched.
fn mode(arguments: &FieldTable) -> Result<(Mode, bool), BindError> {
    // RabbitMQ: all is the default, where §3.1.3.4 has none.
    let Some(value) = arguments.get(MATCH_ARGUMENT) else { return Ok((Mode::All, false)) };
    match value.as_str() {
        Some("all") => Ok((Mode::All, false)),
        Some("any") => Ok((Mode::Any, false)),
        Some("all-with-x") => Ok((Mode::All, true)),
        Some("any-with-x") => Ok((Mode::Any, true)),
        _ => Err(BindError::UnknownMatch(value.clone())),
    }
}

impl Requirement<'static> {
    fn new(name: &[u8], value: &FieldValue) -> Self {
        // §3.1.3.4: a field without a value matches if the header is there at all.
        let value = if *value == FieldValue::Void { None } else { Some(Term::new(value).into_owned()) };
        Self { name: Cow::Owned(name.to_vec()), value }
    }
}

/// A message's headers, as requirements that they meet: each by its name and value.
#[derive(Debug)]
pub(super) struct Headers<'a> {
    by_name: DenseMap<&'a [u8], Requirement<'a>>,
}

impl<'a> Headers<'a> {
    /// RabbitMQ: of several headers by one name the last counts.
    pub(super) fn new(table: &'a FieldTable) -> Self {
        let mut by_name = DenseMap::new();
        for (name, value) in table {
            let name = name.as_bytes();
            let header = Requirement { name: name.into(), value: Some(Term::new(value)) };
            match by_name.get_mut(name) {
                Some(earlier) => *earlier = header,
                None => by_name.insert_new(name, header),
            }
        }
        Self { by_name }
    }

    fn meet(&self, requirement: &Requirement<'static>) -> bool {
        let header = self.by_name.get(&*requirement.name);
        header.is_some_and(|header| requirement.value.is_none() || header == requirement)
    }

    /// All requirements that one header meets, header by header.
    pub(super) fn met(&self) -> impl Iterator<Item = Cow<'_, Requirement<'a>>> {
        self.by_name.iter().flat_map(|(name, header)| {
            let presence = Requirement { name: Cow::Borrowed(*name), value: None };
            [Cow::Owned(presence), Cow::Borrowed(header)]
        })
    }
}
