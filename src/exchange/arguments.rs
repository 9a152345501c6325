//! The arguments of exchange.declare that mean something to one type of exchange (RabbitMQ; its texts).

use std::error::Error;
use std::fmt;

use lepus_protocol::{FieldTable, FieldValue};

use super::exchange_type::ExchangeType;
use crate::erlang::Term;

/// Names the header that `x-consistent-hash` hashes.
const HASH_HEADER: &str = "hash-header";

/// Names the property that `x-consistent-hash` hashes.
const HASH_PROPERTY: &str = "hash-property";

/// How many messages `x-recent-history` keeps.
const HISTORY_LENGTH: &str = "x-recent-history-length";

/// How many headers `x-message-deduplication` remembers.
const CACHE_SIZE: &str = "x-cache-size";

/// For how many milliseconds.
const CACHE_TTL: &str = "x-cache-ttl";

/// Where.
const CACHE_PERSISTENCE: &str = "x-cache-persistence";

/// How `x-delayed-message` routes.
const DELAYED_TYPE: &str = "x-delayed-type";

/// Messages that `x-recent-history` keeps if it is not told (RabbitMQ).
const HISTORY_LENGTH_DEFAULT: usize = 20;

/// An argument that an exchange of this type does not accept.
#[derive(Clone, Debug, PartialEq)]
pub enum ArgumentError {
    /// It has to be a string; its name and value.
    NotText(&'static str, FieldValue),
    /// Both arguments that say what to hash.
    HeaderAndProperty,
    /// There is no such property, or it cannot be hashed.
    UnsupportedProperty(String),
    /// It has to be a positive integer; its name and value.
    NotPositive(&'static str, FieldValue),
    /// How many headers are to be remembered has to be said, as a positive integer.
    NoCacheSize,
    /// For how long they are to be remembered is no positive integer.
    BadCacheTtl,
    /// They are remembered in memory or on disk.
    BadCachePersistence,
    /// How to route has to be said, by the name of another type.
    BadDelayedType,
    /// There is no type of this name.
    UnknownType(String),
}

/// What `x-message-deduplication` remembers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Deduplication {
    /// How many headers.
    pub(super) size_max: usize,
    /// For how many milliseconds; `None`: as long as there is room.
    pub(super) ttl_ms: Option<u64>,
    /// In memory only, though the exchange be durable.
    pub(super) is_volatile: bool,
}

/// What `x-consistent-hash` takes the hash of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum HashOn {
    /// The routing key.
    #[default]
    RoutingKey,
    /// The header of this name.
    Header(String),
    /// The property correlation-id.
    CorrelationId,
    /// The property message-id.
    MessageId,
    /// The property timestamp.
    Timestamp,
}

/// Checks the arguments that mean something to exchanges of `kind`.
///
/// # Errors
/// The first that is not accepted.
pub fn check(kind: ExchangeType, arguments: &FieldTable) -> Result<(), ArgumentError> {
    match kind {
        ExchangeType::ConsistentHash => HashOn::from_arguments(arguments).map(drop),
        ExchangeType::RecentHistory => history_length(arguments).map(drop),
        ExchangeType::MessageDeduplication => Deduplication::from_arguments(arguments).map(drop),
        ExchangeType::DelayedMessage => check(delayed_type(arguments)?, arguments),
        ExchangeType::Direct
        | ExchangeType::Fanout
        | ExchangeType::Topic
        | ExchangeType::Headers
        | ExchangeType::ModulusHash
        | ExchangeType::Random
        | ExchangeType::LocalRandom => Ok(()),
    }
}

/// How an exchange of a type routes that was declared with these arguments, which were [checked](check).
pub fn routing_type(kind: ExchangeType, arguments: &FieldTable) -> ExchangeType {
    if kind == ExchangeType::DelayedMessage { delayed_type(arguments).unwrap_or(kind) } else { kind }
}

/// What arguments, which were [checked](check), and a policy's definition say together of what a deduplicating exchange
/// remembers: the policy's holds, as the size has to be an argument in any case.
fn with_policy(arguments: &FieldTable, policy: &FieldTable) -> FieldTable {
    let mut merged = arguments.clone();
    for key in [CACHE_SIZE, CACHE_TTL, CACHE_PERSISTENCE] {
        policy.get(key).into_iter().for_each(|value| merged.insert(key, value.clone()));
    }
    merged
}

/// Whether what such an exchange remembers is in memory only, though it be durable.
pub fn is_volatile(arguments: &FieldTable, policy: &FieldTable) -> bool {
    Deduplication::holding(arguments, policy).is_volatile
}

fn delayed_type(arguments: &FieldTable) -> Result<ExchangeType, ArgumentError> {
    let name =
        arguments.get(DELAYED_TYPE).and_then(FieldValue::as_str).ok_or(ArgumentError::BadDelayedType)?;
    match ExchangeType::from_name(name) {
        Some(ExchangeType::DelayedMessage) => Err(ArgumentError::BadDelayedType),
        Some(kind) => Ok(kind),
        None => Err(ArgumentError::UnknownType(name.to_owned())),
    }
}

impl HashOn {
    pub(super) fn from_arguments(arguments: &FieldTable) -> Result<Self, ArgumentError> {
        let (header, property) = (text(arguments, HASH_HEADER)?, text(arguments, HASH_PROPERTY)?);
        match (header, property) {
            (None, None) => Ok(Self::RoutingKey),
            (Some(header), None) => Ok(Self::Header(header.to_owned())),
            (None, Some("correlation_id")) => Ok(Self::CorrelationId),
            (None, Some("message_id")) => Ok(Self::MessageId),
            (None, Some("timestamp")) => Ok(Self::Timestamp),
            (None, Some(other)) => Err(ArgumentError::UnsupportedProperty(other.to_owned())),
            (Some(_), Some(_)) => Err(ArgumentError::HeaderAndProperty),
        }
    }
}

impl Deduplication {
    /// What holds for an exchange that was declared with these arguments.
    pub(super) fn holding(arguments: &FieldTable, policy: &FieldTable) -> Self {
        // What was declared was accepted, and so was the policy, so there is no error to come.
        Self::from_arguments(&with_policy(arguments, policy)).unwrap_or_default()
    }

    pub(super) fn from_arguments(arguments: &FieldTable) -> Result<Self, ArgumentError> {
        let size = arguments.get(CACHE_SIZE).and_then(positive).ok_or(ArgumentError::NoCacheSize)?;
        let ttl = arguments.get(CACHE_TTL).map(|value| positive(value).ok_or(ArgumentError::BadCacheTtl));
        let is_volatile = match arguments.get(CACHE_PERSISTENCE).map(FieldValue::as_str) {
            None | Some(Some("disk")) => false,
            Some(Some("memory")) => true,
            Some(_) => return Err(ArgumentError::BadCachePersistence),
        };
        let size_max = usize::try_from(size).unwrap_or(usize::MAX);
        Ok(Self { size_max, ttl_ms: ttl.transpose()?, is_volatile })
    }
}

/// A positive integer, which the plugin also takes as decimal digits.
fn positive(value: &FieldValue) -> Option<u64> {
    let by_digits = || value.as_str()?.parse().ok();
    let number = value.as_integer().or_else(by_digits)?;
    u64::try_from(number).ok().filter(|number| *number > 0)
}

/// How many messages an exchange of type `x-recent-history` keeps.
///
/// # Errors
/// When the argument is not a positive integer.
pub fn history_length(arguments: &FieldTable) -> Result<usize, ArgumentError> {
    let Some(value) = arguments.get(HISTORY_LENGTH) else { return Ok(HISTORY_LENGTH_DEFAULT) };
    match value.as_integer().and_then(|length| usize::try_from(length).ok()) {
        Some(length @ 1..) => Ok(length),
        _ => Err(ArgumentError::NotPositive(HISTORY_LENGTH, value.clone())),
    }
}

fn text<'a>(arguments: &'a FieldTable, key: &'static str) -> Result<Option<&'a str>, ArgumentError> {
    let Some(value) = arguments.get(key) else { return Ok(None) };
    value.as_str().map(Some).ok_or_else(|| ArgumentError::NotText(key, value.clone()))
}

impl fmt::Display for ArgumentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // RabbitMQ: 541.
            Self::NotText(key, value) => {
                write!(f, "Invalid argument {}, '{key}' must be a string", Term(value))
            }
            Self::HeaderAndProperty => f.write_str("hash-header and hash-property are mutually exclusive"),
            Self::UnsupportedProperty(property) => write!(f, "Unsupported property: {property}"),
            Self::NotPositive(key, value) => {
                write!(f, "Invalid argument {}, '{key}' must be a positive integer", Term(value))
            }
            Self::NoCacheSize => {
                write!(f, "Missing or invalid argument, '{CACHE_SIZE}' must be an integer greater than 0")
            }
            Self::BadCacheTtl => {
                write!(f, "Invalid argument, '{CACHE_TTL}' must be an integer greater than 0")
            }
            Self::BadDelayedType => {
                write!(f, "Invalid argument, '{DELAYED_TYPE}' must be an existing exchange type")
            }
            Self::UnknownType(name) => write!(f, "unknown exchange type '{name}'"),
            Self::BadCachePersistence => {
                write!(f, "Invalid argument, '{CACHE_PERSISTENCE}' must be either 'memory' or 'disk'")
            }
        }
    }
}

impl Error for ArgumentError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(kind: ExchangeType, entries: &[(&str, FieldValue)]) -> String {
        let mut arguments = FieldTable::new();
        entries.iter().for_each(|(key, value)| arguments.insert(key, value.clone()));
        check(kind, &arguments).map_or_else(|error| error.to_string(), |()| "accepted".to_owned())
    }

    #[test]
    fn what_to_hash_is_one_header_or_one_of_three_properties() {
        let refused = |entries: &[_]| refusal(ExchangeType::ConsistentHash, entries);
        for property in ["correlation_id", "message_id", "timestamp"] {
            assert_eq!(refused(&[("hash-property", property.into())]), "accepted");
        }
        assert_eq!(refused(&[("hash-header", "h".into())]), "accepted");
        assert_eq!(refused(&[("hash-property", "user_id".into())]), "Unsupported property: user_id");
        assert_eq!(
            refused(&[("hash-header", "h".into()), ("hash-property", "timestamp".into())]),
            "hash-header and hash-property are mutually exclusive"
        );
        assert_eq!(
            refused(&[("hash-header", 5_i32.into())]),
            "Invalid argument 5, 'hash-header' must be a string"
        );
    }

    #[test]
    fn what_is_remembered_of_duplicates_has_a_size_and_may_have_a_time() {
        let refused = |entries: &[_]| refusal(ExchangeType::MessageDeduplication, entries);
        let size = |size: FieldValue| ("x-cache-size", size);
        assert_eq!(refused(&[size(5_i32.into()), ("x-cache-ttl", "1000".into())]), "accepted");
        let reason = "Missing or invalid argument, 'x-cache-size' must be an integer greater than 0";
        for entries in [&[][..], &[size(0_i32.into())], &[size("x".into())], &[size(true.into())]] {
            assert_eq!(refused(entries), reason);
        }
        let reason = "Invalid argument, 'x-cache-ttl' must be an integer greater than 0";
        assert_eq!(refused(&[size(5_i32.into()), ("x-cache-ttl", 0_i32.into())]), reason);
        for persistence in ["memory", "disk"] {
            let entries = [size(5_i32.into()), ("x-cache-persistence", persistence.into())];
            assert_eq!(refused(&entries), "accepted");
            let mut arguments = FieldTable::new();
            entries.iter().for_each(|(key, value)| arguments.insert(key, value.clone()));
            assert_eq!(is_volatile(&arguments, &FieldTable::new()), persistence == "memory");
            let mut policy = FieldTable::new();
            policy.insert("x-cache-persistence", "memory");
            assert!(is_volatile(&arguments, &policy), "the policy holds");
        }
        let reason = "Invalid argument, 'x-cache-persistence' must be either 'memory' or 'disk'";
        assert_eq!(refused(&[size(5_i32.into()), ("x-cache-persistence", "paper".into())]), reason);
    }

    #[test]
    fn a_delayed_exchange_routes_as_another_type_and_accepts_what_that_accepts() {
        let refused = |entries: &[_]| refusal(ExchangeType::DelayedMessage, entries);
        let routes_as = |name: &str| ("x-delayed-type", FieldValue::from(name));
        let reason = "Invalid argument, 'x-delayed-type' must be an existing exchange type";
        for entries in [&[][..], &[("x-delayed-type", 5.into())], &[routes_as("x-delayed-message")]] {
            assert_eq!(refused(entries), reason);
        }
        assert_eq!(refused(&[routes_as("nonsense")]), "unknown exchange type 'nonsense'");
        for kind in ExchangeType::ALL.into_iter().filter(|kind| *kind != ExchangeType::DelayedMessage) {
            let entries = [routes_as(kind.name()), ("x-cache-size", 5.into())];
            assert_eq!(refused(&entries), "accepted", "{kind:?}");
        }
        let both = [("hash-header", "h".into()), ("hash-property", "timestamp".into())];
        assert!(refused(&[&[routes_as("x-consistent-hash")], &both[..]].concat()).contains("exclusive"));
    }

    #[test]
    fn a_history_s_length_is_a_positive_integer() {
        let refused = |value: FieldValue| refusal(ExchangeType::RecentHistory, &[(HISTORY_LENGTH, value)]);
        assert_eq!(refused(1_i32.into()), "accepted");
        let reason = "'x-recent-history-length' must be a positive integer";
        assert_eq!(refused(0_i32.into()), format!("Invalid argument 0, {reason}"));
        assert_eq!(refused((-1_i64).into()), format!("Invalid argument -1, {reason}"));
        assert_eq!(refused("5".into()), format!("Invalid argument <<\"5\">>, {reason}"));
        assert_eq!(refused(true.into()), format!("Invalid argument true, {reason}"));
    }
}
