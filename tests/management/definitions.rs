//! Definitions: out and in again, RabbitMQ's own, and bad ones.

use crate::http::Broker;
use serde_json::{Value, json};

/// As RabbitMQ 4 exports them, shortened.
const RABBITMQ: &str = r#"{
    "rabbit_version": "4.0.5", "rabbitmq_version": "4.0.5", "product_name": "RabbitMQ",
    "users": [{"name": "app", "password_hash": "kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2POR",
        "hashing_algorithm": "rabbit_password_hashing_sha256", "tags": ["management"], "limits": {"max-channels": 9}}],
    "vhosts": [{"name": "shop", "description": "orders", "tags": [], "default_queue_type": "undefined",
        "metadata": {"description": "orders", "tags": []}}],
    "permissions": [{"user": "app", "vhost": "shop", "configure": ".*", "write": ".*", "read": ".*"}],
    "topic_permissions": [{"user": "app", "vhost": "shop", "exchange": "events", "write": "^a", "read": ".*"}],
    "parameters": [{"component": "vhost-limits", "vhost": "shop", "name": "limits", "value": {"max-queues": 50}},
        {"component": "operator_policy", "vhost": "shop", "name": "bound",
            "value": {"pattern": ".*", "apply-to": "queues", "definition": {"max-length": 50}, "priority": 0}},
        {"component": "shovel", "vhost": "shop", "name": "mover", "value": {"src-uri": "amqp://"}}],
    "global_parameters": [{"name": "internal_cluster_id", "value": "rabbitmq-cluster-id-1"}],
    "policies": [{"vhost": "shop", "name": "lengths", "pattern": "^orders$", "apply-to": "queues", "priority": 1,
        "definition": {"max-length": 100, "ha-mode": "all"}},
        {"vhost": "shop", "name": "mirrors", "pattern": "", "apply-to": "all", "definition": {"ha-mode": "all"}},
        {"vhost": "shop", "name": "ours", "pattern": "^(?!amq\\.).*", "apply-to": "exchanges", "priority": 0,
        "definition": {"alternate-exchange": "amq.fanout"}}],
    "queues": [{"name": "orders", "vhost": "shop", "durable": true, "auto_delete": false,
        "arguments": {"x-queue-type": "classic", "x-dead-letter-exchange": "events"}}],
    "exchanges": [{"name": "events", "vhost": "shop", "type": "topic", "durable": true, "auto_delete": false,
        "internal": false, "arguments": {}}],
    "bindings": [{"source": "events", "vhost": "shop", "destination": "orders", "destination_type": "queue",
        "routing_key": "order.#", "arguments": {}}]
}"#;

#[tokio::test]
async fn what_rabbitmq_exports_is_taken_over_and_the_rest_is_named() {
    let broker = Broker::start().await;
    let answer = broker.post("/definitions", RABBITMQ).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let ignored = [
        "key 'ha-mode' of policy 'lengths' in vhost 'shop'",
        "key 'ha-mode' of policy 'mirrors' in vhost 'shop'",
        "parameter 'mover' of 'shovel' in vhost 'shop'",
    ];
    assert_eq!(answer.json(), json!({ "ignored": ignored }));
    assert_eq!(broker.request_as("app:test12", "GET", "/queues/shop/orders", "", "").await.status, 200);
    assert_eq!(broker.json("/vhosts/shop").await["description"], "orders");
    assert_eq!(broker.json("/vhost-limits/shop").await[0]["value"], json!({"max-queues": 50}));
    assert_eq!(broker.json("/user-limits/app").await[0]["value"], json!({"max-channels": 9}));
    assert_eq!(broker.json("/topic-permissions/shop/app").await[0]["exchange"], "events");
    assert_eq!(broker.json("/queues/shop/orders/bindings").await[1]["routing_key"], "order.#");
    let orders = broker.json("/queues/shop/orders").await;
    assert_eq!((&orders["policy"], &orders["operator_policy"]), (&json!("lengths"), &json!("bound")));
    assert_eq!(orders["effective_policy_definition"], json!({"max-length": 50}));
    assert_eq!(broker.json("/exchanges/shop/events").await["policy"], "ours");
    assert_eq!(broker.json("/exchanges/shop/amq.direct").await["policy"], json!(null));
    assert_eq!(broker.json("/global-parameters").await[0]["value"], "rabbitmq-cluster-id-1");
}

#[tokio::test]
async fn what_goes_out_comes_in_again() {
    let one = Broker::start().await;
    one.post("/definitions", RABBITMQ).await;
    one.put("/vhosts/fast", r#"{"durability":"os"}"#).await;
    let out = one.json("/definitions").await;
    assert_eq!(out["rabbitmq_definition_format"], "cluster");
    let promises: Vec<_> =
        out["vhosts"].as_array().unwrap().iter().map(|vhost| &vhost["durability"]).collect();
    assert_eq!(promises, [&json!(null), &json!("os"), &json!(null)]);
    let other = Broker::start().await;
    assert_eq!(other.post("/definitions", &out.to_string()).await.status, 204);
    let mut again = other.json("/definitions").await;
    again["original_cluster_name"] = out["original_cluster_name"].clone();
    assert_eq!(again, out);
    assert_eq!(other.post("/definitions", &out.to_string()).await.status, 204, "what is there stays");
}

#[tokio::test]
async fn definitions_of_one_vhost_fit_into_another() {
    let broker = Broker::start().await;
    broker.post("/definitions", RABBITMQ).await;
    broker.put("/vhosts/copy", "{}").await;
    let out = broker.json("/definitions/shop").await;
    assert!(out["queues"][0].get("vhost").is_none(), "{out}");
    assert_eq!(broker.post("/definitions/copy", &out.to_string()).await.status, 204);
    assert_eq!(broker.json("/queues/copy/orders/bindings").await.as_array().unwrap().len(), 2);
    assert_eq!(broker.json("/vhost-limits/copy").await[0]["value"], json!({"max-queues": 50}));
    assert_eq!(broker.json("/policies/copy").await.as_array().unwrap().len(), 2);
    assert_eq!(broker.json("/operator-policies/copy/bound").await["definition"], json!({"max-length": 50}));
    assert_eq!(broker.get("/definitions/nowhere").await.status, 404);
}

#[tokio::test]
async fn transient_and_predeclared_things_are_not_in_an_export() {
    let broker = Broker::start().await;
    broker.put("/queues/%2F/passing", r#"{"durable":false}"#).await;
    broker.put("/queues/%2F/staying", "{}").await;
    broker.post("/bindings/%2F/e/amq.direct/q/passing", "{}").await;
    broker.post("/bindings/%2F/e/amq.direct/q/staying", "{}").await;
    let out = broker.json("/definitions").await;
    let names = |part: &str| -> Vec<Value> {
        out[part].as_array().unwrap().iter().map(|one| one["name"].clone()).collect()
    };
    assert_eq!((names("queues"), names("exchanges")), (vec![json!("staying")], vec![]));
    assert_eq!(
        (out["bindings"].as_array().unwrap().len(), &out["bindings"][0]["destination"]),
        (1, &json!("staying"))
    );
    assert_eq!(out["users"][0]["name"], "guest");
}

#[tokio::test]
async fn definitions_that_are_none_change_nothing() {
    let broker = Broker::start().await;
    let before = broker.json("/definitions").await;
    for (body, part) in [
        (r#"{"queues":{}}"#, "queues"),
        (r#"{"vhosts":[{"description":"without a name"}]}"#, "name"),
        (
            r#"{"vhosts":[{"name":"v"}],
                "policies":[{"vhost":"v","name":"p","pattern":"(","definition":{"expires":9}}]}"#,
            "pattern",
        ),
        (r#"{"vhosts":[{"name":"v"}],"queues":[{"name":"q","vhost":"v","arguments":[]}]}"#, "line"),
        (
            r#"{"vhosts":[{"name":"v"}],"bindings":[{"source":"","destination":"q","destination_type":"x"}]}"#,
            "variant",
        ),
        ("[]", "object"),
    ] {
        let answer = broker.post("/definitions", body).await;
        assert_eq!(answer.status, 400, "{part}");
    }
    assert_eq!(broker.json("/definitions").await, before);
    let unknown = broker.post("/definitions", r#"{"queues":[{"name":"q","vhost":"nowhere"}]}"#).await;
    assert_eq!((unknown.status, unknown.refusal().1.contains("nowhere")), (400, true));
}

#[tokio::test]
async fn definitions_are_loaded_from_a_file_at_the_start() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), RABBITMQ).unwrap();
    let broker = Broker::start_with(|config| config.load_definitions = Some(file.path().to_owned())).await;
    assert_eq!(broker.get("/queues/shop/orders").await.status, 200);
}
