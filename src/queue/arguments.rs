//! The arguments of queue.declare (§1.7.2.1), validated and compared as RabbitMQ does.

use lepus_protocol::{FieldTable, FieldValue, ShortStr};

use super::limits::{Limits, Overflow, Priorities};
use super::name_prefix::{self, NAME_PREFIX};
use super::retry::{self, Retry};
use crate::name::Name;

/// Ten years in milliseconds: RabbitMQ's upper bound of every time to live.
pub const TTL_MAX_MS: i64 = 10 * 365 * 24 * 3600 * 1000;

/// Arguments that two declarations of one queue must agree on. Others are ignored (RabbitMQ).
const COMPARED: &[&str] = &[
    "x-expires",
    "x-message-ttl",
    "x-dead-letter-exchange",
    "x-dead-letter-routing-key",
    "x-dead-letter-strategy",
    "x-max-length",
    "x-max-length-bytes",
    "x-max-priority",
    "x-overflow",
    "x-queue-mode",
    "x-single-active-consumer",
    QUEUE_TYPE,
    "x-delivery-limit",
    retry::TYPE,
    retry::MIN,
    retry::MAX,
    retry::MULTIPLIER,
    "x-queue-leader-locator",
    "x-quorum-initial-group-size",
];

/// Most entries that a queue's or exchange's arguments may have; RabbitMQ knows some thirty.
pub const ARGUMENTS_MAX: usize = 256;

/// Arguments that mean nothing to a classic queue and are refused (RabbitMQ, which adds the delivery limit).
const NOT_CLASSIC: &[&str] = &[
    "x-dead-letter-strategy",
    "x-max-in-memory-length",
    "x-max-in-memory-bytes",
    "x-quorum-initial-group-size",
    "x-quorum-target-group-size",
    "x-consumer-disconnected-timeout",
    "x-member-placement-tag",
    "x-max-age",
    "x-stream-max-segment-size-bytes",
    "x-stream-filter-size-bytes",
    "x-initial-cluster-size",
];

/// Arguments that mean nothing to a quorum queue and are refused (RabbitMQ).
const NOT_QUORUM: &[&str] = &[
    "x-max-priority",
    "x-queue-mode",
    "x-queue-version",
    "x-queue-master-locator",
    "x-max-age",
    "x-stream-max-segment-size-bytes",
    "x-stream-filter-size-bytes",
    "x-initial-cluster-size",
];

/// How often a message may come back to a quorum queue that does not say (RabbitMQ 4).
pub(super) const DELIVERY_LIMIT_DEFAULT: u32 = 20;

/// The argument for the type of a queue (RabbitMQ).
pub const QUEUE_TYPE: &str = "x-queue-type";

/// How long a consumer may hold a delivery, in milliseconds; of queues and of consumers (RabbitMQ).
pub const CONSUMER_TIMEOUT: &str = "x-consumer-timeout";

type Check = fn(&FieldValue, &FieldTable) -> Result<(), String>;

/// In the order of RabbitMQ, which tells of the first. The type first: it decides which of the others are looked at.
const CHECKS: &[(&str, Check)] = &[
    (QUEUE_TYPE, check_queue_type),
    ("x-expires", check_expires),
    ("x-message-ttl", check_message_ttl),
    ("x-dead-letter-routing-key", check_dead_letter_routing_key),
    ("x-dead-letter-strategy", check_dead_letter_strategy),
    ("x-max-length", check_non_negative),
    ("x-max-length-bytes", check_non_negative),
    ("x-max-in-memory-length", check_non_negative),
    ("x-max-in-memory-bytes", check_non_negative),
    ("x-max-priority", check_max_priority),
    ("x-overflow", check_overflow),
    ("x-queue-mode", check_queue_mode),
    ("x-queue-version", check_queue_version),
    ("x-single-active-consumer", check_bool),
    (NAME_PREFIX, |value, _| name_prefix::check(value)),
    ("x-quorum-initial-group-size", check_positive),
    ("x-quorum-target-group-size", check_positive),
    ("x-consumer-disconnected-timeout", check_non_negative),
    ("x-member-placement-tag", check_string),
    ("x-queue-leader-locator", check_leader_locator),
    ("x-delivery-limit", check_delivery_limit),
    (retry::TYPE, check_retry_type),
    (retry::MIN, check_non_negative),
    (retry::MAX, check_retry_max),
    (retry::MULTIPLIER, check_positive),
    ("x-message-deduplication", check_bool),
    (CONSUMER_TIMEOUT, check_message_ttl),
];

/// A queue's arguments: as they came, and what they mean.
#[derive(Clone, Debug, Default)]
pub struct QueueArguments {
    raw: FieldTable,
    /// Length, octets, time.
    pub limits: Limits,
    /// `x-single-active-consumer`.
    pub single_active_consumer: bool,
    /// Where dropped messages go.
    pub dead_letter: Option<DeadLetterTarget>,
    /// `x-consumer-timeout` in milliseconds; 0 is without end.
    pub lease_ms: Option<u64>,
}

/// `x-dead-letter-exchange` and `x-dead-letter-routing-key`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetterTarget {
    /// The exchange; it need not exist.
    pub exchange: Name,
    /// The routing key, if not the message's own.
    pub routing_key: Option<Vec<u8>>,
}

/// An argument that cannot be accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidArgument {
    /// Its name.
    pub key: &'static str,
    /// What is wrong, in RabbitMQ's words, such as `{value_negative,-1}`.
    pub reason: String,
}

impl QueueArguments {
    /// Validates `raw`.
    ///
    /// # Errors
    /// The first argument that has a wrong type or value; those of other [types](Self::foreign_argument) are not
    /// looked at.
    pub fn parse(raw: FieldTable) -> Result<Self, InvalidArgument> {
        let (foreign, _) = foreign_to(&raw);
        for (key, check) in CHECKS.iter().filter(|(key, _)| !foreign.contains(key)) {
            if let Some(value) = raw.get(key) {
                check(value, &raw).map_err(|reason| InvalidArgument { key, reason })?;
            }
        }
        Ok(Self::accepted(raw))
    }

    /// What arguments mean that were accepted before, maybe by another release: what would be refused today says
    /// nothing.
    pub fn accepted(raw: FieldTable) -> Self {
        let limits = Limits {
            message_ttl_ms: number(&raw, "x-message-ttl"),
            length_max: number(&raw, "x-max-length"),
            bytes_max: number(&raw, "x-max-length-bytes"),
            overflow: overflow(&raw),
            priorities: Priorities::of(is_quorum(&raw), number(&raw, "x-max-priority")),
            delivery_limit: delivery_limit(&raw),
            idle_ms: number(&raw, "x-expires"),
            retry: Retry::of(&raw, &FieldTable::new()),
            deduplicates: raw.get("x-message-deduplication").and_then(FieldValue::as_bool).unwrap_or(false),
            tells_deliveries: is_quorum(&raw),
            // Policies have a say in it.
            keeps_dead: false,
        };
        let single_active_consumer =
            raw.get("x-single-active-consumer").and_then(FieldValue::as_bool).unwrap_or(false);
        let dead_letter = dead_letter(&raw);
        let lease_ms = number(&raw, CONSUMER_TIMEOUT);
        Self { raw, limits, single_active_consumer, dead_letter, lease_ms }
    }

    /// The first argument that queues of this type do not have, and the name of the type.
    pub fn foreign_argument(&self) -> Option<(String, &'static str)> {
        let (foreign, kind) = foreign_to(&self.raw);
        let mut names = self.raw.iter().map(|(name, _)| name.to_string());
        names.find(|name| foreign.contains(&name.as_str())).map(|name| (name, kind))
    }

    /// RabbitMQ's name of the queue's type.
    pub fn type_name(&self) -> &'static str {
        foreign_to(&self.raw).1
    }

    /// The arguments as they were declared.
    pub fn raw(&self) -> &FieldTable {
        &self.raw
    }

    /// Whether the queue was declared with RabbitMQ's queue type `quorum`.
    pub fn is_quorum(&self) -> bool {
        is_quorum(&self.raw)
    }

    /// Compares with a later declaration of the same queue.
    ///
    /// # Errors
    /// The first argument that differs.
    pub fn check_equivalence(&self, declared: &FieldTable) -> Result<(), ArgumentMismatch> {
        COMPARED.iter().try_for_each(|key| match *key {
            QUEUE_TYPE => compare_queue_type(&self.raw, declared),
            key => compare(&self.raw, declared, key),
        })
    }
}

/// An argument on which two declarations differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArgumentMismatch {
    /// Its name.
    pub key: &'static str,
    /// How it was declared now, for a text: `'10'`, or `the value '10' of type 'signedint'` against `none`.
    pub received: String,
    /// How it stands, likewise.
    pub current: String,
}

/// Compares one argument of two tables: same value, and both of one kind (RabbitMQ: integers of any width).
///
/// # Errors
/// The two values in words.
pub fn compare(
    current: &FieldTable,
    received: &FieldTable,
    key: &'static str,
) -> Result<(), ArgumentMismatch> {
    let (current, received) = (current.get(key), received.get(key));
    let equal = match (current, received) {
        (None, None) => true,
        (Some(current), Some(received)) => same_value(current, received),
        (_, _) => false,
    };
    if equal {
        return Ok(());
    }
    let in_words = if current.is_some() && received.is_some() { in_short } else { in_full };
    Err(ArgumentMismatch { key, received: in_words(received), current: in_words(current) })
}

/// RabbitMQ: a queue without a type is a classic one.
fn compare_queue_type(current: &FieldTable, received: &FieldTable) -> Result<(), ArgumentMismatch> {
    let kind = |table: &FieldTable| -> String {
        table.get(QUEUE_TYPE).and_then(FieldValue::as_str).unwrap_or("classic").to_owned()
    };
    if kind(current) == kind(received) {
        return Ok(());
    }
    compare(current, received, QUEUE_TYPE)
}

fn same_value(current: &FieldValue, received: &FieldValue) -> bool {
    match (current.as_integer(), received.as_integer()) {
        (Some(current), Some(received)) => current == received,
        (_, _) => current == received,
    }
}

/// RabbitMQ's words where both declarations have the argument.
fn in_short(value: Option<&FieldValue>) -> String {
    format!("'{}'", value.map(plain).unwrap_or_default())
}

/// RabbitMQ's words where one of them does not.
fn in_full(value: Option<&FieldValue>) -> String {
    value.map_or_else(
        || "none".to_owned(),
        |value| format!("the value '{}' of type '{}'", plain(value), value.type_name()),
    )
}

/// A value as RabbitMQ prints it in a reply text.
fn plain(value: &FieldValue) -> String {
    if let Some(text) = value.as_str() {
        return text.to_owned();
    }
    if let Some(number) = value.as_integer() {
        return number.to_string();
    }
    value.as_bool().map_or_else(|| format!("{value:?}"), |flag| flag.to_string())
}

fn number(raw: &FieldTable, key: &str) -> Option<u64> {
    raw.get(key).and_then(FieldValue::as_integer).and_then(|value| u64::try_from(value).ok())
}

fn is_quorum(raw: &FieldTable) -> bool {
    raw.get(QUEUE_TYPE).and_then(FieldValue::as_str) == Some("quorum")
}

/// The arguments that queues of this type do not have, and RabbitMQ's name of the type.
fn foreign_to(raw: &FieldTable) -> (&'static [&'static str], &'static str) {
    if is_quorum(raw) { (NOT_QUORUM, "rabbit_quorum_queue") } else { (NOT_CLASSIC, "rabbit_classic_queue") }
}

/// A queue has the limit that it asks for, unless it is negative; a quorum queue that does not ask has one too
/// (RabbitMQ, where classic queues cannot ask).
fn delivery_limit(raw: &FieldTable) -> Option<u32> {
    match raw.get("x-delivery-limit").and_then(FieldValue::as_integer) {
        None => is_quorum(raw).then_some(DELIVERY_LIMIT_DEFAULT),
        Some(..0) => None,
        Some(limit) => Some(u32::try_from(limit).unwrap_or(u32::MAX)),
    }
}

fn dead_letter(raw: &FieldTable) -> Option<DeadLetterTarget> {
    let exchange = Name::from(raw.get("x-dead-letter-exchange")?.as_str()?);
    let routing_key = raw.get("x-dead-letter-routing-key").and_then(FieldValue::as_str);
    Some(DeadLetterTarget { exchange, routing_key: routing_key.map(|key| key.as_bytes().to_vec()) })
}

fn overflow(raw: &FieldTable) -> Overflow {
    let name = raw.get("x-overflow").and_then(FieldValue::as_str);
    name.map(|name| overflow_named(name, is_quorum(raw))).unwrap_or_default()
}

/// What RabbitMQ means by this value of `x-overflow`: a quorum queue accepts that of classic ones and does not know it.
pub(super) fn overflow_named(name: &str, is_quorum: bool) -> Overflow {
    match name {
        "reject-publish" => Overflow::RejectPublish,
        "reject-publish-dlx" if !is_quorum => Overflow::RejectPublishDlx,
        _ => Overflow::DropHead,
    }
}

/// `x-consumer-timeout` of a consumer, in milliseconds.
///
/// # Errors
/// Why it is none, in RabbitMQ's words.
pub fn consumer_timeout(arguments: &FieldTable) -> Result<Option<u64>, String> {
    let Some(value) = arguments.get(CONSUMER_TIMEOUT) else { return Ok(None) };
    check_message_ttl(value, arguments)?;
    Ok(number(arguments, CONSUMER_TIMEOUT))
}

fn integer(value: &FieldValue) -> Result<i64, String> {
    value.as_integer().ok_or_else(|| expected_integer(value))
}

/// Why something that is to be a number is none, in RabbitMQ's words.
pub fn expected_integer(value: &FieldValue) -> String {
    format!("\"expected integer, got {}\"", value.type_name())
}

pub(super) fn unacceptable_type(value: &FieldValue) -> String {
    format!("{{unacceptable_type,{}}}", value.type_name())
}

fn check_non_negative(value: &FieldValue, _: &FieldTable) -> Result<(), String> {
    match integer(value)? {
        negative @ ..0 => Err(format!("{{value_negative,{negative}}}")),
        _ => Ok(()),
    }
}

fn check_message_ttl(value: &FieldValue, arguments: &FieldTable) -> Result<(), String> {
    check_non_negative(value, arguments)?;
    match integer(value)? {
        large if large > TTL_MAX_MS => Err(format!("{{value_too_large,{large}}}")),
        _ => Ok(()),
    }
}

fn check_expires(value: &FieldValue, arguments: &FieldTable) -> Result<(), String> {
    match integer(value)? {
        0 => Err("{value_zero,0}".to_owned()),
        _ => check_message_ttl(value, arguments),
    }
}

fn check_string(value: &FieldValue, _: &FieldTable) -> Result<(), String> {
    value.as_str().map(drop).ok_or_else(|| unacceptable_type(value))
}

fn check_dead_letter_routing_key(value: &FieldValue, arguments: &FieldTable) -> Result<(), String> {
    check_string(value, arguments)?;
    if arguments.get("x-dead-letter-exchange").is_none() {
        return Err("routing_key_but_no_dlx_defined".to_owned());
    }
    match value.as_str() {
        // RabbitMQ accepts it, and could not send it.
        Some(key) if key.len() > ShortStr::LENGTH_MAX => {
            Err(format!("{{value_too_large,{} octets}}", key.len()))
        }
        _ => Ok(()),
    }
}

fn check_dead_letter_strategy(value: &FieldValue, arguments: &FieldTable) -> Result<(), String> {
    check_string(value, arguments)?;
    match value.as_str() {
        Some("at-most-once" | "at-least-once") => Ok(()),
        _ => Err("invalid_dlx_strategy".to_owned()),
    }
}

/// Where the leader of a replicated queue is to be: there is one place, so that only the word is checked.
fn check_leader_locator(value: &FieldValue, arguments: &FieldTable) -> Result<(), String> {
    check_string(value, arguments)?;
    match value.as_str() {
        Some("client-local" | "balanced" | "random" | "least-leaders") => Ok(()),
        _ => Err("invalid_queue_locator_arg".to_owned()),
    }
}

fn check_max_priority(value: &FieldValue, arguments: &FieldTable) -> Result<(), String> {
    check_non_negative(value, arguments)?;
    match integer(value)? {
        large if large > i64::from(u8::MAX) => Err(format!("{{max_value_exceeded,{large}}}")),
        _ => Ok(()),
    }
}

fn check_overflow(value: &FieldValue, arguments: &FieldTable) -> Result<(), String> {
    check_string(value, arguments)?;
    match value.as_str() {
        Some("drop-head" | "reject-publish" | "reject-publish-dlx") => Ok(()),
        _ => Err("invalid_overflow".to_owned()),
    }
}

fn check_queue_mode(value: &FieldValue, arguments: &FieldTable) -> Result<(), String> {
    check_string(value, arguments)?;
    match value.as_str() {
        Some("default" | "lazy") => Ok(()),
        other => Err(format!("\"unsupported queue mode '{}'\"", other.unwrap_or_default())),
    }
}

fn check_queue_version(value: &FieldValue, arguments: &FieldTable) -> Result<(), String> {
    check_non_negative(value, arguments)?;
    match integer(value)? {
        1 | 2 => Ok(()),
        other => Err(format!("\"unsupported queue version '{other}'\"")),
    }
}

fn check_delivery_limit(value: &FieldValue, _: &FieldTable) -> Result<(), String> {
    integer(value).map(drop)
}

/// RabbitMQ: one of four words, and all but the first need a minimum.
fn check_retry_type(value: &FieldValue, arguments: &FieldTable) -> Result<(), String> {
    check_string(value, arguments)?;
    match value.as_str() {
        Some("all" | "failed" | "returned") if arguments.get(retry::MIN).is_none() => {
            Err("delayed_retry_min_not_defined".to_owned())
        }
        Some("disabled" | "all" | "failed" | "returned") => Ok(()),
        _ => Err("invalid_delayed_retry_type".to_owned()),
    }
}

/// The longest delay is none that is shorter than the first.
fn check_retry_max(value: &FieldValue, arguments: &FieldTable) -> Result<(), String> {
    check_non_negative(value, arguments)?;
    let max = integer(value)?;
    match arguments.get(retry::MIN).and_then(FieldValue::as_integer) {
        Some(min) if max < min => Err(format!("{{value_less_than_delayed_retry_min,{max}}}")),
        _ => Ok(()),
    }
}

fn check_positive(value: &FieldValue, arguments: &FieldTable) -> Result<(), String> {
    check_non_negative(value, arguments)?;
    match integer(value)? {
        0 => Err("{value_zero,0}".to_owned()),
        _ => Ok(()),
    }
}

fn check_bool(value: &FieldValue, _: &FieldTable) -> Result<(), String> {
    value.as_bool().map(drop).ok_or_else(|| unacceptable_type(value))
}

fn check_queue_type(value: &FieldValue, arguments: &FieldTable) -> Result<(), String> {
    check_string(value, arguments)?;
    match value.as_str() {
        Some("classic" | "quorum") => Ok(()),
        other => Err(format!("\"unsupported queue type '{}'\"", other.unwrap_or_default())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(key: &str, value: impl Into<FieldValue>) -> FieldTable {
        let mut table = FieldTable::default();
        table.insert(key, value);
        table
    }

    fn reason(key: &str, value: impl Into<FieldValue>) -> String {
        QueueArguments::parse(table(key, value)).unwrap_err().reason
    }

    #[test]
    fn bad_values_are_refused_in_rabbitmqs_words() {
        assert_eq!(reason("x-message-ttl", -1), "{value_negative,-1}");
        assert_eq!(reason("x-message-ttl", "10"), "\"expected integer, got longstr\"");
        assert_eq!(reason("x-expires", 0), "{value_zero,0}");
        assert_eq!(reason("x-max-priority", 256), "{max_value_exceeded,256}");
        assert_eq!(reason("x-overflow", "drop"), "invalid_overflow");
        assert_eq!(reason(NAME_PREFIX, 5), "{unacceptable_type,signedint}");
        assert_eq!(reason(NAME_PREFIX, "x".repeat(65).as_str()), "{max_value_exceeded,65 octets}");
        assert_eq!(reason("x-dead-letter-routing-key", "k"), "routing_key_but_no_dlx_defined");
        assert_eq!(reason("x-delayed-retry-type", "some"), "invalid_delayed_retry_type");
        assert_eq!(reason("x-delayed-retry-type", 1), "{unacceptable_type,signedint}");
        assert_eq!(reason("x-delayed-retry-type", "all"), "delayed_retry_min_not_defined");
        assert_eq!(reason("x-delayed-retry-min", -5), "{value_negative,-5}");
        assert_eq!(reason("x-delayed-retry-max", "5"), "\"expected integer, got longstr\"");
        assert_eq!(reason("x-delayed-retry-multiplier", 0), "{value_zero,0}");
        let mut contradictory = table("x-delayed-retry-min", 5);
        contradictory.insert("x-delayed-retry-max", 4);
        let reason = QueueArguments::parse(contradictory).unwrap_err().reason;
        assert_eq!(reason, "{value_less_than_delayed_retry_min,4}");
    }

    #[test]
    fn unknown_arguments_are_neither_refused_nor_compared() {
        let arguments = QueueArguments::parse(table("x-unknown", 1)).unwrap();
        assert!(arguments.check_equivalence(&FieldTable::default()).is_ok());
    }

    #[test]
    fn integers_of_any_width_are_equal_by_value() {
        let arguments = QueueArguments::parse(table("x-max-length", 10_i32)).unwrap();
        assert!(arguments.check_equivalence(&table("x-max-length", 10_i64)).is_ok());
        let mismatch = arguments.check_equivalence(&FieldTable::default()).unwrap_err();
        assert_eq!(mismatch.received, "none");
        assert_eq!(mismatch.current, "the value '10' of type 'signedint'");
    }

    #[test]
    fn a_queue_without_a_type_is_classic() {
        let classic = QueueArguments::parse(table("x-queue-type", "classic")).unwrap();
        assert!(classic.check_equivalence(&FieldTable::default()).is_ok());
        assert!(classic.check_equivalence(&table("x-queue-type", "quorum")).is_err());
    }
}
