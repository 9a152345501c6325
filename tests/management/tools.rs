//! The calls that known tools make, one after the other.

use crate::http::Broker;
use serde_json::json;

/// Terraform's provider by way of rabbit-hole: exchanges, queues and bindings made, read back and removed.
#[tokio::test]
async fn terraform_makes_reads_and_removes() {
    let broker = Broker::start().await;
    assert_eq!(broker.json("/overview").await["rabbitmq_version"], "4.0.5");
    let exchange = r#"{"type":"direct","durable":true,"auto_delete":false}"#;
    assert_eq!(broker.put("/exchanges/%2F/tf", exchange).await.status, 201);
    let queue = r#"{"type":"","durable":true,"auto_delete":false,"arguments":{"x-queue-type":"quorum"}}"#;
    assert_eq!(broker.put("/queues/%2F/tf", queue).await.status, 201);
    assert_eq!(broker.json("/queues/%2F/tf").await["type"], "quorum");
    let binding = r#"{"source":"tf","vhost":"/","destination":"tf","destination_type":"queue","routing_key":"k",
        "arguments":{},"properties_key":""}"#;
    let made = broker.post("/bindings/%2F/e/tf/q/tf", binding).await;
    let properties_key = made.header("location").unwrap().rsplit('/').next().unwrap().to_owned();
    let bindings = broker.json("/bindings/%2F").await;
    let found = bindings.as_array().unwrap().iter().find(|binding| binding["source"] == "tf").unwrap();
    assert_eq!(found["properties_key"], json!(properties_key));
    assert_eq!(broker.delete(&format!("/bindings/%2F/e/tf/q/tf/{properties_key}")).await.status, 204);
    assert_eq!(broker.delete("/queues/%2F/tf").await.status, 204);
    assert_eq!(broker.delete("/exchanges/%2F/tf").await.status, 204);
}

/// Terraform's provider reads back what it set, field by field, and plans a change where one differs.
#[tokio::test]
async fn terraform_sets_policies_and_reads_them_back() {
    let broker = Broker::start().await;
    for kind in ["policies", "operator-policies"] {
        let path = format!("/{kind}/%2F/tf");
        let body = json!({"vhost": "/", "name": "tf", "pattern": ".*", "apply-to": "queues", "priority": 0,
            "definition": {"message-ttl": 1000, "overflow": "reject-publish"}});
        assert_eq!(broker.put(&path, &body.to_string()).await.status, 201);
        assert_eq!(broker.json(&path).await, body);
        assert_eq!(broker.delete(&path).await.status, 204);
        assert_eq!(broker.get(&path).await.status, 404);
    }
}

/// Old exporters ask for lists with an empty order.
#[tokio::test]
async fn exporters_read_lists_with_an_empty_order() {
    let broker = Broker::start().await;
    for list in ["queues", "exchanges", "nodes"] {
        assert!(broker.json(&format!("/{list}?sort=")).await.is_array(), "{list}");
    }
    assert!(broker.json("/overview?sort=").await.is_object());
}

/// The classic `rabbitmqadmin` sends every flag as text.
#[tokio::test]
async fn flags_of_declarations_may_be_text() {
    let broker = Broker::start().await;
    let body = r#"{"durable":"true","auto_delete":"false","arguments":{},"vhost":"/","name":"q"}"#;
    assert_eq!(broker.put("/queues/%2F/q", body).await.status, 201);
    assert_eq!(broker.json("/queues/%2F/q").await["durable"], true);
    let body = r#"{"type":"topic","durable":"false","auto_delete":"true","internal":"true"}"#;
    assert_eq!(broker.put("/exchanges/%2F/e", body).await.status, 201);
    let exchange = broker.json("/exchanges/%2F/e").await;
    assert_eq!(
        [&exchange["durable"], &exchange["auto_delete"], &exchange["internal"]],
        [&json!(false), &json!(true), &json!(true)]
    );
    assert_eq!(broker.put("/vhosts/traced", r#"{"tracing":"true"}"#).await.status, 201);
    assert_eq!(broker.json("/vhosts/traced").await["tracing"], true);
    assert_eq!(broker.put("/vhosts/traced", r#"{"tracing":null}"#).await.status, 204);
    assert_eq!(broker.json("/vhosts/traced").await["tracing"], true, "nothing was said of it");
    for flag in [r#""perhaps""#, "1", "null"] {
        let answer = broker.put("/queues/%2F/other", &format!(r#"{{"durable":{flag}}}"#)).await;
        assert_eq!(answer.status, 400, "{flag}");
        assert!(answer.refusal().1.contains("expected true or false"), "{flag}: {answer:?}");
    }
}
