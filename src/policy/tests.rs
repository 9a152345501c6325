use super::*;

fn table(entries: &[(&str, FieldValue)]) -> FieldTable {
    let mut table = FieldTable::new();
    entries.iter().for_each(|(key, value)| table.insert(key, value.clone()));
    table
}

fn policy(kind: PolicyKind, entries: &[(&str, FieldValue)]) -> Result<Policy, PolicyError> {
    let definition = PolicyDefinition {
        pattern: "^q".to_owned(),
        apply_to: "all".to_owned(),
        priority: 0,
        definition: table(entries),
    };
    Policy::new(kind, Name::from("p"), definition)
}

fn refusal(key: &str, value: impl Into<FieldValue>) -> String {
    policy(PolicyKind::User, &[(key, value.into())]).unwrap_err().to_string()
}

/// A set with one policy of each kind.
fn both(user: &[(&str, FieldValue)], operator: &[(&str, FieldValue)]) -> Policies {
    let mut policies = Policies::default();
    policies.put(PolicyKind::User, policy(PolicyKind::User, user).unwrap()).unwrap();
    policies.put(PolicyKind::Operator, policy(PolicyKind::Operator, operator).unwrap()).unwrap();
    policies
}

#[test]
fn bad_values_are_refused_in_rabbitmqs_words() {
    // Seen on RabbitMQ 3.10.8.
    assert_eq!(refusal("max-length", "x"), "<<\"x\">> is not a valid maximum length");
    assert_eq!(refusal("max-length", -1), "-1 is not a valid maximum length");
    assert_eq!(refusal("max-length", FieldValue::Void), "null is not a valid maximum length");
    assert_eq!(refusal("message-ttl", 1.5), "1.5 is not a valid message TTL");
    assert_eq!(refusal("message-ttl", true), "true is not a valid message TTL");
    assert_eq!(refusal("expires", 0), "0 is not a valid queue expiry");
    assert_eq!(refusal("overflow", "x"), "<<\"x\">> is not a valid overflow value");
    assert_eq!(
        refusal("dead-letter-exchange", vec!["a".into()]),
        "[<<\"a\">>] is not a valid dead letter exchange name"
    );
    assert_eq!(
        refusal("dead-letter-routing-key", table(&[("a", 1.into())])),
        "#{<<\"a\">> => 1} is not a valid dead letter routing key"
    );
    assert_eq!(refusal("max-age", "7"), "<<\"7\">> is not a valid max age");
    assert_eq!(refusal("nonsense", 1), "[{<<\"nonsense\">>,1}] are not recognised policy settings");
}

#[test]
fn the_first_bad_value_by_name_is_told_before_unknown_keys() {
    let error = policy(
        PolicyKind::User,
        &[("nonsense", 1.into()), ("max-length", "x".into()), ("expires", (-5).into())],
    );
    assert_eq!(error.unwrap_err().to_string(), "-5 is not a valid queue expiry");
    assert_eq!(policy(PolicyKind::User, &[]).unwrap_err().to_string(), "no policy provided");
}

#[test]
fn operators_have_fewer_keys() {
    let error = policy(PolicyKind::Operator, &[("alternate-exchange", "a".into())]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "[{<<\"alternate-exchange\">>,<<\"a\">>}] are not recognised policy settings"
    );
    assert!(policy(PolicyKind::Operator, &[("overflow", "drop-head".into())]).is_ok());
}

/// Every key with a value that it may have, one that it may not have, and whether operators have it.
#[test]
fn every_key_has_its_values_and_its_kinds_of_policy() {
    let text = |value: &str| FieldValue::from(value);
    let number = |value: i64| FieldValue::from(value);
    let rows = [
        ("alternate-exchange", text("x"), number(1), false),
        ("consumer-disconnected-timeout", number(0), number(-1), false),
        ("consumer-timeout", number(0), number(-1), false),
        ("dead-letter-exchange", text(""), number(1), false),
        ("dead-letter-routing-key", text(""), text(&"k".repeat(256)), false),
        ("dead-letter-strategy", text("at-least-once"), text("always"), false),
        ("delayed-retry-max", number(0), number(-1), true),
        ("delayed-retry-min", number(0), number(-1), true),
        ("delayed-retry-multiplier", number(1), number(0), true),
        ("delayed-retry-type", text("all"), text("some"), true),
        ("delivery-limit", number(-1), text("1"), true),
        ("expires", number(1), number(0), true),
        ("initial-cluster-size", number(0), number(-1), false),
        ("max-age", text("7D"), text("D"), false),
        ("max-in-memory-bytes", number(0), number(-1), true),
        ("max-in-memory-length", number(0), number(-1), true),
        ("max-length", number(0), number(-1), true),
        ("max-length-bytes", number(0), number(-1), true),
        ("member-placement-tag", text("ssd"), number(1), true),
        ("message-ttl", number(0), number(-1), true),
        ("overflow", text("reject-publish-dlx"), text("reject"), true),
        ("queue-leader-locator", text("balanced"), text("left"), false),
        ("queue-mode", text("lazy"), text("eager"), false),
        ("queue-version", number(2), number(3), true),
        ("stream-filter-size-bytes", number(255), number(256), false),
        ("stream-max-segment-size-bytes", number(0), number(-1), false),
        ("target-group-size", number(1), number(0), true),
        ("x-cache-persistence", text("disk"), text("paper"), false),
        ("x-cache-size", number(1), number(0), false),
        ("x-cache-ttl", number(1), number(0), false),
        ("x-message-deduplication", true.into(), text("true"), false),
    ];
    for (key, good, bad, for_operators) in rows {
        let set = |kind, value: &FieldValue| policy(kind, &[(key, value.clone())]).err();
        assert_eq!(set(PolicyKind::User, &good), None, "{key}");
        let refusal = set(PolicyKind::User, &bad);
        assert!(matches!(refusal, Some(PolicyError::InvalidValue(value, _)) if value == bad), "{key}");
        let refused = set(PolicyKind::Operator, &good);
        assert_eq!(refused.is_none(), for_operators, "{key}");
        assert!(refused.is_none_or(|error| matches!(error, PolicyError::Unrecognised(_))), "{key}");
    }
}

#[test]
fn an_operator_bounds_what_users_ask_for() {
    let policies = both(
        &[("max-length", 100.into()), ("message-ttl", 5.into()), ("overflow", "drop-head".into())],
        &[("max-length", 10.into()), ("message-ttl", 50.into()), ("overflow", "reject-publish".into())],
    );
    let applied = policies.applied_to(&Name::from("q"), Subject::ClassicQueue);
    assert_eq!(applied.definition.get("max-length").unwrap().as_integer(), Some(10));
    assert_eq!(applied.definition.get("message-ttl").unwrap().as_integer(), Some(5));
    assert_eq!(applied.definition.get("overflow").unwrap().as_str(), Some("reject-publish"));
}

#[test]
fn a_negative_delivery_limit_is_no_limit_and_wins() {
    let limit = |user: i32, operator: i32| {
        let policies = both(&[("delivery-limit", user.into())], &[("delivery-limit", operator.into())]);
        let applied = policies.applied_to(&Name::from("q"), Subject::QuorumQueue);
        applied.definition.get("delivery-limit").unwrap().as_integer()
    };
    assert_eq!((limit(5, 7), limit(5, -1), limit(-1, 7)), (Some(5), Some(5), Some(7)));
}

#[test]
fn the_highest_priority_that_matches_and_suits_holds() {
    let mut policies = Policies::default();
    for (name, priority, apply_to, key) in [
        ("low", 1, "all", "max-length"),
        ("high", 5, "queues", "max-length"),
        ("higher", 6, "quorum_queues", "delivery-limit"),
        ("elsewhere", 9, "exchanges", "alternate-exchange"),
    ] {
        let value = if key == "alternate-exchange" { "a".into() } else { FieldValue::from(priority) };
        let definition = PolicyDefinition {
            pattern: "^q".to_owned(),
            apply_to: apply_to.to_owned(),
            priority: i64::from(priority),
            definition: table(&[(key, value)]),
        };
        let policy = Policy::new(PolicyKind::User, Name::from(name), definition).unwrap();
        assert_eq!(policies.put(PolicyKind::User, policy), Ok(true));
    }
    let holds = |name: &str, subject| {
        let applied = policies.applied_to(&Name::from(name), subject);
        applied.policy.map(|policy| policy.name.as_str().to_owned())
    };
    assert_eq!(holds("q", Subject::ClassicQueue).as_deref(), Some("high"));
    assert_eq!(holds("q", Subject::QuorumQueue).as_deref(), Some("higher"));
    assert_eq!(holds("q", Subject::Exchange).as_deref(), Some("elsewhere"));
    assert_eq!(holds("other", Subject::ClassicQueue), None);
}

#[test]
fn a_policy_for_another_type_of_queue_does_not_hold_at_all() {
    let policies = both(&[("max-age", "7D".into()), ("max-length", 1.into())], &[("expires", 1.into())]);
    let applied = policies.applied_to(&Name::from("q"), Subject::ClassicQueue);
    assert!(applied.policy.is_none() && applied.definition.get("max-length").is_none());
    assert!(applied.operator.is_some());
}

#[test]
fn an_empty_pattern_is_found_in_every_name() {
    let definition = PolicyDefinition {
        pattern: String::new(),
        apply_to: "queues".to_owned(),
        priority: 0,
        definition: table(&[("max-length", 1.into())]),
    };
    let policy = Policy::new(PolicyKind::User, Name::from("p"), definition).unwrap();
    assert!(policy.matches(&Name::from("anything"), Subject::ClassicQueue));
}

#[test]
fn what_cannot_be_understood_is_refused_with_its_reason() {
    let refusal = |pattern: &str, apply_to: &str| {
        let definition = PolicyDefinition {
            pattern: pattern.to_owned(),
            apply_to: apply_to.to_owned(),
            priority: 0,
            definition: table(&[("max-length", 1.into())]),
        };
        Policy::new(PolicyKind::User, Name::from("p"), definition).unwrap_err().to_string()
    };
    let reason = refusal("(", "all");
    assert!(reason.starts_with("pattern should be regular expression but is invalid: "), "{reason}");
    assert_eq!(
        refusal("q", "foo"),
        "apply-to 'foo' unrecognised; should be one of: 'queues', 'classic_queues', 'quorum_queues', 'streams', \
         'exchanges', or 'all'"
    );
}

#[test]
fn a_policy_that_contradicts_itself_is_refused_as_a_whole_and_one_that_was_kept_stays() {
    let mut definition = FieldTable::new();
    definition.insert("delayed-retry-min", 5);
    definition.insert("delayed-retry-max", 4);
    let asked = || PolicyDefinition {
        pattern: ".*".to_owned(),
        apply_to: "all".to_owned(),
        priority: 0,
        definition: definition.clone(),
    };
    let refused = Policy::new(PolicyKind::Operator, Name::from("p"), asked()).unwrap_err();
    assert_eq!(refused.to_string(), "4 is not a valid delayed retry maximum: it is below the minimum");
    assert!(Policy::kept(PolicyKind::Operator, Name::from("p"), asked()).is_ok());
}
