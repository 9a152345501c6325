//! What holds for a queue: its arguments, and what policies make of them (RabbitMQ).

use std::sync::Arc;

use lepus_protocol::{FieldTable, FieldValue};

use super::Queue;
use super::arguments::{DELIVERY_LIMIT_DEFAULT, DeadLetterTarget, QueueArguments, overflow_named};
use super::limits::{Limits, Overflow};
use super::retry::Retry;
use crate::clock::Timestamp;
use crate::name::Name;
use crate::policy::Applied;

/// What holds for a queue at the moment.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Length, octets, time.
    pub limits: Limits,
    /// Where dropped messages go.
    pub dead_letter: Option<DeadLetterTarget>,
    /// Why dead letters are sent once, and not until they arrive, though that was asked for.
    pub fallback: Option<&'static str>,
    /// How long a consumer may hold a delivery, in milliseconds; `None` is without end.
    pub lease_ms: Option<u64>,
    /// The policies that make it so.
    pub applied: Arc<Applied>,
}

impl Settings {
    /// What `arguments` say where no policy holds.
    pub fn of(arguments: &QueueArguments) -> Self {
        Self::new(arguments, Applied::default())
    }

    /// What `arguments` and policies say together.
    pub fn new(arguments: &QueueArguments, applied: Applied) -> Self {
        let policy = &applied.definition;
        let delivery_limit = delivery_limit(arguments, policy);
        let operator = applied.operator.as_ref().map(|operator| &operator.definition);
        let retry = Retry::bounded(arguments.raw(), policy, operator);
        let overflow = overflow(arguments, policy);
        let dead_letter = dead_letter(arguments, policy);
        let is_careful = arguments.is_quorum() && asks_for_arrival(arguments, policy);
        let fallback = fallback(dead_letter.as_ref(), overflow).filter(|_| is_careful);
        let limits = Limits {
            message_ttl_ms: smaller(arguments.limits.message_ttl_ms, number(policy, "message-ttl")),
            length_max: smaller(arguments.limits.length_max, number(policy, "max-length")),
            bytes_max: smaller(arguments.limits.bytes_max, number(policy, "max-length-bytes")),
            idle_ms: smaller(arguments.limits.idle_ms, number(policy, "expires")),
            overflow,
            priorities: arguments.limits.priorities,
            deduplicates: deduplicates(arguments, policy),
            delivery_limit,
            retry,
            tells_deliveries: arguments.is_quorum() || delivery_limit.is_some() || retry.is_some(),
            keeps_dead: is_careful && fallback.is_none(),
        };
        let lease_ms = lease_ms(arguments.lease_ms, number(policy, "consumer-timeout"));
        Self { limits, dead_letter, fallback, lease_ms, applied: Arc::new(applied) }
    }

    /// The same, where `lease_ms` milliseconds is how long consumers may hold a delivery of a queue that does not say.
    #[must_use]
    pub fn with_lease_default(self, lease_ms: u64) -> Self {
        let lease_ms = Some(self.lease_ms.unwrap_or(lease_ms)).filter(|limit| *limit > 0);
        Self { lease_ms, ..self }
    }
}

impl Queue {
    /// Other policies hold: from now on, and for the length of what is there at once.
    pub fn reconfigure(self: &Arc<Self>, settings: Settings, now: Timestamp) {
        self.change(now, |inner, after| {
            inner.state.set_limits(settings.limits.clone());
            inner.consumers.set_lease_limit(settings.lease_ms);
            inner.settings = settings;
            self.dispatch(inner, after, now);
        });
    }

    /// What holds for it at the moment.
    pub fn settings(&self) -> Settings {
        self.inner.lock().settings.clone()
    }

    /// Where dropped messages go.
    pub fn dead_letter_target(&self) -> Option<DeadLetterTarget> {
        self.inner.lock().settings.dead_letter.clone()
    }
}

/// RabbitMQ: the smaller one; but 0 is without end and gives way.
fn lease_ms(argument: Option<u64>, policy: Option<u64>) -> Option<u64> {
    let limits = [argument, policy].into_iter().flatten();
    limits.min_by_key(|limit| if *limit == 0 { u64::MAX } else { *limit })
}

fn smaller(argument: Option<u64>, policy: Option<u64>) -> Option<u64> {
    match (argument, policy) {
        (Some(argument), Some(policy)) => Some(argument.min(policy)),
        (argument, policy) => argument.or(policy),
    }
}

fn number(policy: &FieldTable, key: &str) -> Option<u64> {
    policy.get(key).and_then(FieldValue::as_integer).and_then(|number| u64::try_from(number).ok())
}

/// RabbitMQ: a classic queue's own argument holds, a quorum queue's policy does.
fn overflow(arguments: &QueueArguments, policy: &FieldTable) -> Overflow {
    let by_policy = policy.get("overflow").and_then(FieldValue::as_str);
    let argument_holds = !arguments.is_quorum() && arguments.raw().get("x-overflow").is_some();
    match by_policy {
        Some(name) if !argument_holds => overflow_named(name, arguments.is_quorum()),
        _ => arguments.limits.overflow,
    }
}

/// The argument if there is one; the plugin has the same name for its policies.
fn deduplicates(arguments: &QueueArguments, policy: &FieldTable) -> bool {
    let key = "x-message-deduplication";
    arguments.raw().get(key).or_else(|| policy.get(key)).and_then(FieldValue::as_bool).unwrap_or(false)
}

/// RabbitMQ: the smaller one, but a negative one is no limit and gives way. Quorum queues have one in any case.
fn delivery_limit(arguments: &QueueArguments, policy: &FieldTable) -> Option<u32> {
    let argument = arguments.raw().get("x-delivery-limit").and_then(FieldValue::as_integer);
    let policy = policy.get("delivery-limit").and_then(FieldValue::as_integer);
    let limit = match (argument, policy) {
        (Some(one), Some(other)) if one < 0 || other < 0 => one.max(other),
        (Some(one), Some(other)) => one.min(other),
        (None, None) if !arguments.is_quorum() => return None,
        (one, other) => one.or(other).unwrap_or_else(|| i64::from(DELIVERY_LIMIT_DEFAULT)),
    };
    (limit >= 0).then(|| u32::try_from(limit).unwrap_or(u32::MAX))
}

/// RabbitMQ: the argument if there is one.
fn asks_for_arrival(arguments: &QueueArguments, policy: &FieldTable) -> bool {
    let strategy =
        arguments.raw().get("x-dead-letter-strategy").or_else(|| policy.get("dead-letter-strategy"));
    strategy.and_then(FieldValue::as_str) == Some("at-least-once")
}

/// RabbitMQ: why letters are sent once where more is asked for. What makes room for others cannot be kept.
fn fallback(target: Option<&DeadLetterTarget>, overflow: Overflow) -> Option<&'static str> {
    match (target, overflow) {
        (None, _) => Some("it has no dead-letter exchange"),
        (Some(_), Overflow::DropHead | Overflow::RejectPublishDlx) => {
            Some("its overflow is not reject-publish")
        }
        (Some(_), Overflow::RejectPublish) => None,
    }
}

/// RabbitMQ: each of the two is the argument if there is one.
fn dead_letter(arguments: &QueueArguments, policy: &FieldTable) -> Option<DeadLetterTarget> {
    let text = |argument: &str, key: &str| {
        let value = arguments.raw().get(argument).or_else(|| policy.get(key));
        value.and_then(FieldValue::as_str).map(str::to_owned)
    };
    let exchange = Name::from(text("x-dead-letter-exchange", "dead-letter-exchange")?);
    let routing_key = text("x-dead-letter-routing-key", "dead-letter-routing-key").map(String::into_bytes);
    Some(DeadLetterTarget { exchange, routing_key })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(entries: &[(&str, FieldValue)]) -> FieldTable {
        let mut table = FieldTable::new();
        entries.iter().for_each(|(key, value)| table.insert(key, value.clone()));
        table
    }

    fn settings(arguments: &[(&str, FieldValue)], policy: &[(&str, FieldValue)]) -> Settings {
        let arguments = QueueArguments::parse(table(arguments)).unwrap();
        Settings::new(&arguments, Applied { definition: table(policy), ..Applied::default() })
    }

    fn quorum() -> (&'static str, FieldValue) {
        ("x-queue-type", "quorum".into())
    }

    #[test]
    fn the_smaller_of_argument_and_policy_holds() {
        let both = settings(
            &[("x-max-length", 5.into()), ("x-message-ttl", 50.into())],
            &[("max-length", 10.into()), ("message-ttl", 10.into()), ("expires", 7.into())],
        );
        let limits = both.limits;
        assert_eq!((limits.length_max, limits.message_ttl_ms, limits.idle_ms), (Some(5), Some(10), Some(7)));
    }

    #[test]
    fn an_argument_s_dead_letter_exchange_holds_and_a_policy_s_key_completes_it() {
        let policy =
            [("dead-letter-exchange", "by-policy".into()), ("dead-letter-routing-key", "key".into())];
        let target =
            settings(&[("x-dead-letter-exchange", "by-argument".into())], &policy).dead_letter.unwrap();
        assert_eq!(
            (target.exchange.as_str(), target.routing_key.as_deref()),
            ("by-argument", Some(&b"key"[..]))
        );
        let target = settings(&[], &policy).dead_letter.unwrap();
        assert_eq!(target.exchange.as_str(), "by-policy");
        assert!(settings(&[], &policy[1..]).dead_letter.is_none());
    }

    #[test]
    fn dead_messages_are_kept_where_their_queue_can_and_its_argument_is_asked_first() {
        let (least, most) = (FieldValue::from("at-least-once"), FieldValue::from("at-most-once"));
        let reject = ("x-overflow", FieldValue::from("reject-publish"));
        let target = ("x-dead-letter-exchange", FieldValue::from("x"));
        let asks = |strategy: &FieldValue| ("x-dead-letter-strategy", strategy.clone());
        let kept = |arguments: &[(&str, FieldValue)], policy: &[(&str, FieldValue)]| {
            let settings = settings(arguments, policy);
            (settings.limits.keeps_dead, settings.fallback.is_some())
        };
        let whole = [quorum(), target.clone(), reject.clone(), asks(&least)];
        assert_eq!(kept(&whole, &[]), (true, false));
        assert_eq!(kept(&whole, &[("overflow", "drop-head".into())]), (false, true));
        assert_eq!(kept(&whole, &[("dead-letter-strategy", most.clone())]), (true, false));
        assert_eq!(kept(&[quorum(), reject.clone(), asks(&least)], &[]), (false, true));
        assert_eq!(kept(&[quorum(), target.clone(), reject.clone(), asks(&most)], &[]), (false, false));
        let policy = [("dead-letter-strategy", least), ("overflow", "reject-publish".into())];
        assert_eq!(kept(&[quorum(), target.clone()], &policy), (true, false));
        assert_eq!(kept(&[quorum(), target.clone(), asks(&most)], &policy), (false, false));
        assert_eq!(kept(&[target], &policy), (false, false), "a classic queue sends once");
    }

    #[test]
    fn overflow_is_the_classic_queue_s_argument_and_the_quorum_queue_s_policy() {
        let argument = ("x-overflow", FieldValue::from("drop-head"));
        let policy = [("overflow", "reject-publish".into())];
        assert_eq!(settings(std::slice::from_ref(&argument), &policy).limits.overflow, Overflow::DropHead);
        assert_eq!(settings(&[], &policy).limits.overflow, Overflow::RejectPublish);
        assert_eq!(settings(&[argument, quorum()], &policy).limits.overflow, Overflow::RejectPublish);
    }

    #[test]
    fn a_negative_delivery_limit_gives_way() {
        let limit = |argument: i32, policy: i32| {
            let argument = [quorum(), ("x-delivery-limit", argument.into())];
            settings(&argument, &[("delivery-limit", policy.into())]).limits.delivery_limit
        };
        assert_eq!(
            (limit(5, 3), limit(-1, 3), limit(5, -1), limit(-1, -1)),
            (Some(3), Some(3), Some(5), None)
        );
        assert_eq!(settings(&[quorum()], &[]).limits.delivery_limit, Some(20));
        assert_eq!(settings(&[], &[("delivery-limit", 3.into())]).limits.delivery_limit, Some(3));
        assert_eq!(settings(&[], &[]).limits.delivery_limit, None);
    }
}
