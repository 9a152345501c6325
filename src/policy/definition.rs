//! The keys of a policy's definition: what values they may have, which kind of policy may use them, what they suit.

use std::fmt;

use lepus_protocol::{FieldTable, FieldValue};

use super::{PolicyError, Subject};
use crate::erlang::Term;
use crate::metadata::PolicyKind;

/// A key of definitions.
struct Key {
    name: &'static str,
    /// What its value is, in RabbitMQ's words.
    what: &'static str,
    is_valid: fn(&FieldValue) -> bool,
    /// Operator policies may use it.
    for_operators: bool,
}

const fn key(name: &'static str, what: &'static str, is_valid: fn(&FieldValue) -> bool) -> Key {
    Key { name, what, is_valid, for_operators: false }
}

/// A key of operator policies too.
const fn operators_key(name: &'static str, what: &'static str, is_valid: fn(&FieldValue) -> bool) -> Key {
    Key { name, what, is_valid, for_operators: true }
}

/// By name, as RabbitMQ and its plugin for deduplication have them. Those of streams, of several nodes and of memory
/// are accepted and have nothing to act upon.
const KEYS: &[Key] = &[
    key("alternate-exchange", "alternate exchange name", is_text),
    key("consumer-disconnected-timeout", "consumer disconnected timeout", is_natural),
    key("consumer-timeout", "consumer timeout", is_natural),
    key("dead-letter-exchange", "dead letter exchange name", is_text),
    key("dead-letter-routing-key", "dead letter routing key", is_routing_key),
    key("dead-letter-strategy", "dead letter strategy", is_strategy),
    operators_key("delayed-retry-max", "delayed retry maximum in milliseconds", is_natural),
    operators_key("delayed-retry-min", "delayed retry minimum in milliseconds", is_natural),
    operators_key("delayed-retry-multiplier", "delayed retry multiplier", is_positive),
    operators_key("delayed-retry-type", "delayed retry type", is_retry_type),
    operators_key("delivery-limit", "delivery limit", is_integer),
    operators_key("expires", "queue expiry", is_positive),
    key("initial-cluster-size", "cluster size", is_natural),
    key("max-age", "max age", is_age),
    operators_key("max-in-memory-bytes", "maximum memory in bytes", is_natural),
    operators_key("max-in-memory-length", "maximum memory in bytes", is_natural),
    operators_key("max-length", "maximum length", is_natural),
    operators_key("max-length-bytes", "maximum length in bytes", is_natural),
    operators_key("member-placement-tag", "member placement tag", is_text),
    operators_key("message-ttl", "message TTL", is_natural),
    operators_key("overflow", "overflow value", is_overflow),
    key("queue-leader-locator", "queue leader locator value", is_locator),
    key("queue-mode", "queue-mode value", is_queue_mode),
    operators_key("queue-version", "queue-version value", is_queue_version),
    key("stream-filter-size-bytes", "filter size. Valid range is 16-255", is_filter_size),
    key("stream-max-segment-size-bytes", "segment size", is_natural),
    operators_key("target-group-size", "target group size", is_positive),
    key("x-cache-persistence", "persistence of a cache: 'memory' or 'disk'", is_persistence),
    key("x-cache-size", "size of a cache: an integer greater than 0", is_positive),
    key("x-cache-ttl", "time to live in a cache: an integer greater than 0", is_positive),
    key("x-message-deduplication", "message deduplication: true or false", is_flag),
];

/// Keys that keep a whole policy from a classic queue (RabbitMQ 4).
const NOT_CLASSIC: &[&str] = &[
    "consumer-disconnected-timeout",
    "dead-letter-strategy",
    "initial-cluster-size",
    "max-age",
    "max-in-memory-bytes",
    "max-in-memory-length",
    "member-placement-tag",
    "stream-max-segment-size-bytes",
    "target-group-size",
];

/// Keys that keep a whole policy from a quorum queue (RabbitMQ 4).
const NOT_QUORUM: &[&str] =
    &["initial-cluster-size", "max-age", "queue-mode", "stream-max-segment-size-bytes"];

/// Checks a definition.
///
/// # Errors
/// The first key, by name, with a value that it cannot have; then all keys that are not known.
pub(super) fn check(kind: PolicyKind, definition: &FieldTable) -> Result<(), PolicyError> {
    if definition.is_empty() {
        return Err(PolicyError::NoDefinition);
    }
    let known = || KEYS.iter().filter(|key| kind == PolicyKind::User || key.for_operators);
    for key in known() {
        match definition.get(key.name) {
            Some(value) if !(key.is_valid)(value) => {
                return Err(PolicyError::InvalidValue(value.clone(), key.what));
            }
            _ => {}
        }
    }
    let unknown = definition.iter().filter(|(name, _)| !known().any(|key| name == key.name));
    let unknown: Vec<_> = unknown.map(|(name, value)| (name.to_string(), value.clone())).collect();
    if unknown.is_empty() { Ok(()) } else { Err(PolicyError::Unrecognised(unknown)) }
}

/// Checks that values do not contradict each other; a policy that was accepted before may.
///
/// # Errors
/// The value that does.
pub(super) fn check_agreement(definition: &FieldTable) -> Result<(), PolicyError> {
    let [min, max] = ["delayed-retry-min", "delayed-retry-max"].map(|key| definition.get(key));
    match (min.and_then(FieldValue::as_integer), max) {
        (Some(min), Some(max)) if max.as_integer().is_some_and(|max| max < min) => {
            Err(PolicyError::InvalidValue(max.clone(), "delayed retry maximum: it is below the minimum"))
        }
        _ => Ok(()),
    }
}

/// RabbitMQ: a policy with a key that means nothing to a type of queue does not hold for it at all.
pub(super) fn suits(definition: &FieldTable, subject: Subject) -> bool {
    let unsuitable = match subject {
        Subject::Exchange => return true,
        Subject::ClassicQueue => NOT_CLASSIC,
        Subject::QuorumQueue => NOT_QUORUM,
    };
    unsuitable.iter().all(|key| definition.get(key).is_none())
}

fn is_text(value: &FieldValue) -> bool {
    value.as_str().is_some()
}

fn is_routing_key(value: &FieldValue) -> bool {
    value.as_str().is_some_and(|key| key.len() <= lepus_protocol::ShortStr::LENGTH_MAX)
}

fn is_flag(value: &FieldValue) -> bool {
    value.as_bool().is_some()
}

fn is_persistence(value: &FieldValue) -> bool {
    is_one_of(value, &["memory", "disk"])
}

fn is_integer(value: &FieldValue) -> bool {
    value.as_integer().is_some()
}

fn is_natural(value: &FieldValue) -> bool {
    value.as_integer().is_some_and(|number| number >= 0)
}

fn is_positive(value: &FieldValue) -> bool {
    value.as_integer().is_some_and(|number| number >= 1)
}

fn is_one_of(value: &FieldValue, words: &[&str]) -> bool {
    value.as_str().is_some_and(|word| words.contains(&word))
}

fn is_overflow(value: &FieldValue) -> bool {
    is_one_of(value, &["drop-head", "reject-publish", "reject-publish-dlx"])
}

fn is_retry_type(value: &FieldValue) -> bool {
    is_one_of(value, &["disabled", "all", "failed", "returned"])
}

fn is_strategy(value: &FieldValue) -> bool {
    is_one_of(value, &["at-most-once", "at-least-once"])
}

fn is_queue_mode(value: &FieldValue) -> bool {
    is_one_of(value, &["default", "lazy"])
}

fn is_locator(value: &FieldValue) -> bool {
    is_one_of(value, &["client-local", "balanced", "random", "least-leaders"])
}

fn is_queue_version(value: &FieldValue) -> bool {
    matches!(value.as_integer(), Some(1 | 2))
}

fn is_filter_size(value: &FieldValue) -> bool {
    matches!(value.as_integer(), Some(16..=255))
}

/// A number and a unit: `7D`.
fn is_age(value: &FieldValue) -> bool {
    let Some((unit, number)) = value.as_str().and_then(|age| age.as_bytes().split_last()) else {
        return false;
    };
    b"YMDhms".contains(unit) && !number.is_empty() && number.iter().all(u8::is_ascii_digit)
}

/// Prints a value that came as JSON, as RabbitMQ does.
pub(super) struct Json<'a>(pub(super) &'a FieldValue);

impl fmt::Display for Json<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if matches!(self.0, FieldValue::Void) {
            return f.write_str("null");
        }
        if let Some(values) = self.0.as_array() {
            let values: Vec<_> = values.iter().map(|value| Json(value).to_string()).collect();
            return write!(f, "[{}]", values.join(","));
        }
        if let Some(table) = self.0.as_table() {
            let entry = |name: &str, value| format!("{} => {}", Term(&FieldValue::from(name)), Json(value));
            let entries: Vec<_> = table.iter().map(|(name, value)| entry(&name.to_string(), value)).collect();
            return write!(f, "#{{{}}}", entries.join(","));
        }
        Term(self.0).fmt(f)
    }
}
