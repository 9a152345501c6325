//! Policies, operator policies and parameters: set, shown where they hold, deleted, and what is refused.

use crate::http::Broker;
use serde_json::json;

#[tokio::test]
async fn a_policy_is_set_shown_changed_and_deleted() {
    for kind in ["policies", "operator-policies"] {
        let broker = Broker::start().await;
        let path = format!("/{kind}/%2F/short");
        let body = r#"{"pattern":"^q","definition":{"max-length":1},"apply-to":"queues","priority":3}"#;
        assert_eq!(broker.put(&path, body).await.status, 201);
        let expected = json!({
            "vhost": "/", "name": "short", "pattern": "^q", "apply-to": "queues", "priority": 3,
            "definition": {"max-length": 1},
        });
        assert_eq!(broker.json(&path).await, expected);
        assert_eq!(broker.json(&format!("/{kind}")).await, json!([expected]));
        assert_eq!(broker.json(&format!("/{kind}/%2F")).await, json!([expected]));
        let body = r#"{"pattern":"^q","definition":{"max-length":2}}"#;
        assert_eq!(broker.put(&path, body).await.status, 204);
        assert_eq!(broker.json(&path).await["apply-to"], "all");
        assert_eq!(broker.delete(&path).await.status, 204);
        assert_eq!(broker.delete(&path).await.status, 404);
        assert_eq!(broker.get(&path).await.status, 404);
    }
}

#[tokio::test]
async fn queues_and_exchanges_show_what_holds_for_them() {
    let broker = Broker::start().await;
    broker.put("/queues/%2F/q", "{}").await;
    broker.put("/exchanges/%2F/qx", r#"{"type":"direct"}"#).await;
    let body = r#"{"pattern":"^q","definition":{"max-length":9,"alternate-exchange":"amq.fanout"}}"#;
    broker.put("/policies/%2F/user", body).await;
    broker.put("/operator-policies/%2F/bound", r#"{"pattern":"^q$","definition":{"max-length":4}}"#).await;
    let queue = broker.json("/queues/%2F/q").await;
    assert_eq!((&queue["policy"], &queue["operator_policy"]), (&json!("user"), &json!("bound")));
    let effective = json!({"max-length": 4, "alternate-exchange": "amq.fanout"});
    assert_eq!(queue["effective_policy_definition"], effective);
    let exchange = broker.json("/exchanges/%2F/qx").await;
    assert_eq!((&exchange["policy"], &exchange["operator_policy"]), (&json!("user"), &json!(null)));
    broker.delete("/policies/%2F/user").await;
    assert_eq!(broker.json("/queues/%2F/q").await["policy"], json!(null));
    assert_eq!(broker.json("/exchanges/%2F/qx").await["effective_policy_definition"], json!({}));
}

#[tokio::test]
async fn what_is_no_policy_is_refused_in_rabbitmqs_words_and_changes_nothing() {
    let broker = Broker::start().await;
    let good = r#"{"pattern":"^q","definition":{"max-length":1}}"#;
    assert_eq!(broker.put("/policies/%2F/p", good).await.status, 201);
    let before = broker.json("/policies").await;
    for (body, reason) in [
        (r#"{"pattern":"a","definition":{}}"#, "no policy provided"),
        (r#"{"pattern":"a","definition":{"max-length":"x"}}"#, "<<\"x\">> is not a valid maximum length"),
        (
            r#"{"pattern":"a","definition":{"nonsense":1}}"#,
            "[{<<\"nonsense\">>,1}] are not recognised policy settings",
        ),
    ] {
        let refused = broker.put("/policies/%2F/p", body).await;
        assert_eq!((refused.status, refused.refusal().1), (400, format!("Validation failed\n\n{reason}\n")));
    }
    for (body, reason) in [
        (r#"{"pattern":"a"}"#, "definition"),
        (r#"{"definition":{"max-length":1}}"#, "pattern"),
        (r#"{"pattern":"(","definition":{"expires":1}}"#, "regular expression"),
        (r#"{"pattern":"a","definition":{"expires":1},"apply-to":"cats"}"#, "cats"),
        (r#"{"pattern":"a","definition":{"expires":1},"priority":"high"}"#, "high"),
    ] {
        let refused = broker.put("/policies/%2F/p", body).await;
        assert_eq!(refused.status, 400, "{body}");
        assert!(refused.refusal().1.contains(reason), "{refused:?}");
    }
    let dead_letters = r#"{"pattern":"a","definition":{"dead-letter-exchange":"x"}}"#;
    assert_eq!(broker.put("/operator-policies/%2F/p", dead_letters).await.status, 400, "not for operators");
    assert_eq!(broker.put("/policies/missing/p", good).await.status, 404);
    assert_eq!(broker.json("/policies").await, before);
    assert_eq!(broker.json("/operator-policies").await, json!([]));
}

#[tokio::test]
async fn a_policy_with_one_bad_value_or_key_is_refused_as_a_whole() {
    let broker = Broker::start().await;
    assert_eq!(broker.put("/queues/%2F/q", "{}").await.status, 201);
    for (key, value, reason) in [
        ("alternate-exchange", json!(5), "5 is not a valid alternate exchange name"),
        ("consumer-timeout", json!(-1), "-1 is not a valid consumer timeout"),
        ("dead-letter-exchange", json!(5), "5 is not a valid dead letter exchange name"),
        ("dead-letter-routing-key", json!([]), "[] is not a valid dead letter routing key"),
        ("dead-letter-strategy", json!("x"), "<<\"x\">> is not a valid dead letter strategy"),
        ("delayed-retry-type", json!("x"), "<<\"x\">> is not a valid delayed retry type"),
        ("delayed-retry-min", json!(-1), "-1 is not a valid delayed retry minimum in milliseconds"),
        ("delayed-retry-multiplier", json!(0), "0 is not a valid delayed retry multiplier"),
        ("delivery-limit", json!("5"), "<<\"5\">> is not a valid delivery limit"),
        ("expires", json!(0), "0 is not a valid queue expiry"),
        ("max-age", json!("5"), "<<\"5\">> is not a valid max age"),
        ("max-length", json!(-1), "-1 is not a valid maximum length"),
        ("max-length-bytes", json!("5"), "<<\"5\">> is not a valid maximum length in bytes"),
        ("message-ttl", json!(1.5), "1.5 is not a valid message TTL"),
        ("message-ttl", json!(null), "null is not a valid message TTL"),
        ("overflow", json!("x"), "<<\"x\">> is not a valid overflow value"),
        ("queue-mode", json!("x"), "<<\"x\">> is not a valid queue-mode value"),
        ("odd", json!({"a": 1}), "[{<<\"odd\">>,#{<<\"a\">> => 1}}] are not recognised policy settings"),
    ] {
        // The rest of it would hold for the queue. (RabbitMQ looks at the keys in the order of their names.)
        let body = json!({"pattern": "", "definition": {"queue-version": 2, key: value}}).to_string();
        let refused = broker.put("/policies/%2F/p", &body).await;
        assert_eq!((refused.status, refused.refusal().1), (400, format!("Validation failed\n\n{reason}\n")));
    }
    for pattern in ["(", "*", "[", "(?<=", "\\"] {
        let body = json!({"pattern": pattern, "definition": {"max-length": 5}}).to_string();
        let refused = broker.put("/policies/%2F/p", &body).await;
        let reason = "Validation failed\n\npattern should be regular expression but is invalid: ";
        assert!(refused.status == 400 && refused.refusal().1.starts_with(reason), "{pattern}: {refused:?}");
    }
    assert_eq!(broker.json("/policies").await, json!([]));
    assert_eq!(broker.json("/queues/%2F/q").await["effective_policy_definition"], json!({}));
}

#[tokio::test]
async fn a_policymaker_sets_policies_in_its_own_vhosts_and_leaves_operators_alone() {
    let broker = Broker::start().await;
    broker.put("/users/maker", r#"{"password":"secret","tags":"policymaker"}"#).await;
    broker.put("/permissions/%2F/maker", r#"{"configure":"","write":"","read":""}"#).await;
    broker.put("/vhosts/other", "{}").await;
    let body = r#"{"pattern":"^q","definition":{"expires":60000}}"#;
    let put = async |path: &str| broker.request_as("maker:secret", "PUT", path, "", body).await.status;
    assert_eq!(put("/policies/%2F/p").await, 201);
    assert_eq!(put("/policies/other/p").await, 403);
    assert_eq!(put("/operator-policies/%2F/p").await, 403);
    let get = async |path: &str| broker.request_as("maker:secret", "GET", path, "", "").await;
    assert_eq!(get("/policies?columns=name").await.json(), json!([{"name": "p"}]));
    assert_eq!(get("/policies/other").await.status, 403);
    let delete = broker.request_as("maker:secret", "DELETE", "/policies/%2F/p", "", "").await;
    assert_eq!(delete.status, 204);
}

#[tokio::test]
async fn parameters_are_limits_and_operator_policies_and_no_others() {
    let broker = Broker::start().await;
    assert_eq!(broker.json("/parameters").await, json!([]));
    let limits = "/parameters/vhost-limits/%2F/limits";
    assert_eq!(broker.put(limits, r#"{"value":{"max-queues":7}}"#).await.status, 201);
    assert_eq!(broker.json("/vhost-limits").await[0]["value"], json!({"max-queues": 7}));
    let expected =
        json!({"vhost": "/", "component": "vhost-limits", "name": "limits", "value": {"max-queues": 7}});
    assert_eq!(broker.json(limits).await, expected);
    assert_eq!(broker.json("/parameters/vhost-limits/%2F").await, json!([expected]));
    let policy = "/parameters/operator_policy/%2F/p";
    let value = json!({"pattern": "^q", "apply-to": "queues", "definition": {"expires": 5}, "priority": 2});
    assert_eq!(broker.put(policy, &json!({ "value": value }).to_string()).await.status, 201);
    assert_eq!(broker.json("/operator-policies/%2F/p").await["priority"], 2);
    assert_eq!(broker.json(policy).await["value"], value);
    assert_eq!(broker.json("/parameters/operator_policy").await.as_array().unwrap().len(), 1);
    for path in [limits, policy] {
        assert_eq!(broker.delete(path).await.status, 204);
        assert_eq!((broker.delete(path).await.status, broker.get(path).await.status), (404, 404));
    }
    assert_eq!(broker.json("/parameters").await, json!([]));
    let shovel = broker.put("/parameters/shovel/%2F/mover", r#"{"value":{}}"#).await;
    let reason = "Validation failed\n\ncomponent shovel not found\n";
    assert_eq!((shovel.status, shovel.refusal().1.as_str()), (400, reason));
    assert_eq!(broker.get("/parameters/shovel/%2F/mover").await.status, 404);
    for (path, body) in [
        (limits, r#"{"value":{"max-cats":7}}"#),
        (limits, r#"{"value":7}"#),
        (limits, "{}"),
        ("/parameters/vhost-limits/%2F/others", r#"{"value":{"max-queues":7}}"#),
        (policy, r#"{"value":{"pattern":"("}}"#),
    ] {
        assert_eq!(broker.put(path, body).await.status, 400, "{path} {body}");
    }
}

#[tokio::test]
async fn global_parameters_are_kept_for_whoever_sets_them() {
    let directory = tempfile::tempdir().unwrap();
    let broker = Broker::start_with(|config| config.data_dir = Some(directory.path().join("data"))).await;
    let value = json!({"owner": ["ops", 7, null]});
    let body = json!({ "name": "notes", "value": value }).to_string();
    assert_eq!(broker.put("/global-parameters/notes", &body).await.status, 201);
    assert_eq!(broker.put("/global-parameters/notes", &body).await.status, 204);
    broker.put("/global-parameters/gone", r#"{"value":1}"#).await;
    assert_eq!(broker.delete("/global-parameters/gone").await.status, 204);
    assert_eq!(broker.delete("/global-parameters/gone").await.status, 404);
    let long = format!(r#"{{"value":"{}"}}"#, "x".repeat(70_000));
    assert_eq!(broker.put("/global-parameters/long", &long).await.status, 400);
    broker.app.shutdown().await;
    let again = Broker::start_with(|config| config.data_dir = Some(directory.path().join("data"))).await;
    assert_eq!(again.json("/global-parameters").await, json!([{"name": "notes", "value": value}]));
}
