//! What a policy and an operator policy say together (RabbitMQ): an operator bounds what users ask for.

use lepus_protocol::{FieldTable, FieldValue};

use super::Policy;

/// The definition that results; what only one of them says holds.
pub(super) fn merge(policy: Option<&Policy>, operator: Option<&Policy>) -> FieldTable {
    let mut merged = policy.map(|policy| policy.definition.clone()).unwrap_or_default();
    for (key, bound) in operator.iter().flat_map(|operator| operator.definition.iter()) {
        let key = key.to_string();
        let value = match merged.get(&key) {
            Some(asked) => stricter(&key, asked, bound),
            None => bound.clone(),
        };
        merged.insert(&key, value);
    }
    merged
}

fn stricter(key: &str, asked: &FieldValue, bound: &FieldValue) -> FieldValue {
    let (Some(one), Some(other)) = (asked.as_integer(), bound.as_integer()) else { return bound.clone() };
    let number = match key {
        // A negative one is no limit.
        "delivery-limit" if one < 0 || other < 0 => one.max(other),
        // RabbitMQ: an operator keeps retries from being fast.
        "delayed-retry-min" | "target-group-size" => one.max(other),
        "queue-version" => other,
        _ => one.min(other),
    };
    FieldValue::from(number)
}
