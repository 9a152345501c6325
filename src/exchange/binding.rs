//! A binding, its limits, and why one may be refused.

use std::error::Error;
use std::fmt;

use lepus_protocol::{FieldTable, FieldValue, ShortStr};

use super::consistent_hash::CHOICES_MAX;
use crate::erlang::Term;

/// Longest binding key, in octets: a short string (§4.2.5.3). It bounds the depth of a topic exchange's
/// trie too, which also keys from a definitions file must keep to.
pub const KEY_LENGTH_MAX: usize = ShortStr::LENGTH_MAX;

/// Most headers that one binding may match. Each costs an entry in an index, so a frame full of them would
/// take many times its size; real bindings match a handful.
pub const HEADERS_MATCHED_MAX: usize = 1024;

/// Most bindings of one exchange. At some 300 octets each this many take 5 GB: beyond it a client has lost
/// track of what it binds.
pub const BINDINGS_MAX: usize = 1 << 24;

/// A rule that leads from an exchange to a destination.
///
/// RabbitMQ: key, destination and arguments together are a binding's identity; of the arguments the order
/// does not count, but the type of a number does.
#[derive(Clone, Debug, PartialEq)]
pub struct Binding<D> {
    /// The binding key: up to [`KEY_LENGTH_MAX`] octets of any kind.
    pub key: Box<[u8]>,
    /// Arguments, which only some exchange types look at.
    pub arguments: FieldTable,
    /// Where the messages go.
    pub destination: D,
}

/// Why a binding was refused. Its text is RabbitMQ's where RabbitMQ has one.
#[derive(Clone, Debug, PartialEq)]
pub enum BindError {
    /// The argument `x-match` is none of the four words it may be.
    UnknownMatch(FieldValue),
    /// The key has more than [`KEY_LENGTH_MAX`] octets; this many.
    KeyTooLong(usize),
    /// The arguments match more than [`HEADERS_MATCHED_MAX`] headers; this many.
    TooManyHeaders(usize),
    /// The key is to be a weight and is no integer.
    WeightNotInteger(Vec<u8>),
    /// The key is to be a weight and is less than 1.
    WeightNotPositive,
    /// The key is a weight beyond `u32::MAX`.
    WeightTooLarge,
    /// The key is not empty, as it has to be.
    KeyNotEmpty(Vec<u8>),
    /// The exchange chooses one of its destinations and has [`CHOICES_MAX`] already.
    TooManyDestinations,
    /// The exchange has [`BINDINGS_MAX`] bindings already.
    TooManyBindings,
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownMatch(value @ FieldValue::LongString(_)) => write!(
                f,
                "Invalid x-match field value {}; expected all, any, all-with-x, or any-with-x",
                Term(value)
            ),
            Self::UnknownMatch(value) => write!(
                f,
                "Invalid x-match field type {} (value {}); expected longstr",
                value.type_name(),
                Term(value)
            ),
            Self::KeyTooLong(length) => {
                write!(f, "binding key of {length} octets, of at most {KEY_LENGTH_MAX}")
            }
            Self::TooManyHeaders(count) => {
                write!(f, "binding matches {count} headers, of at most {HEADERS_MATCHED_MAX}")
            }
            Self::WeightNotInteger(key) => {
                write!(f, "The binding key must be an integer: {}", Term(&FieldValue::Bytes(key.clone())))
            }
            Self::WeightNotPositive => f.write_str("The binding key must be greater than 0"),
            Self::WeightTooLarge => write!(f, "The binding key must be at most {}", u32::MAX),
            Self::KeyNotEmpty(key) => {
                write!(f, "Non empty binding '{}' key not permitted", String::from_utf8_lossy(key))
            }
            Self::TooManyDestinations => write!(f, "exchange has {CHOICES_MAX} destinations already"),
            Self::TooManyBindings => write!(f, "exchange has {BINDINGS_MAX} bindings already"),
        }
    }
}

impl Error for BindError {}
