//! Exchanges: list, declare, delete, publish.

use crate::http::Broker;
use serde_json::json;

#[tokio::test]
async fn every_vhost_has_its_exchanges() {
    let broker = Broker::start().await;
    let list = broker.json("/exchanges/%2F?columns=name,type").await;
    assert_eq!(list[0], json!({"name": "", "type": "direct"}));
    assert_eq!(list.as_array().unwrap().len(), 7);
    assert_eq!(broker.json("/exchanges/%2F/amq.default").await["name"], "");
    assert_eq!(broker.json("/exchanges/%2F/amq.topic").await["type"], "topic");
}

#[tokio::test]
async fn an_exchange_is_declared_once_and_deleted() {
    let broker = Broker::start().await;
    let body = r#"{"type":"topic","durable":false,"auto_delete":true,"internal":true,
        "arguments":{"alternate-exchange":"amq.fanout"}}"#;
    assert_eq!(broker.put("/exchanges/%2F/events", body).await.status, 201);
    assert_eq!(broker.put("/exchanges/%2F/events", body).await.status, 204);
    let found = broker.json("/exchanges/%2F/events").await;
    let flags = ["durable", "auto_delete", "internal"].map(|key| found[key].as_bool().unwrap());
    assert_eq!(
        (flags, &found["arguments"]["alternate-exchange"]),
        ([false, true, true], &json!("amq.fanout"))
    );
    let other = broker.put("/exchanges/%2F/events", r#"{"type":"direct"}"#).await;
    assert_eq!(other.status, 400);
    assert!(other.refusal().1.contains("inequivalent arg 'type'"), "{other:?}");
    assert_eq!(broker.delete("/exchanges/%2F/events").await.status, 204);
    assert_eq!(broker.delete("/exchanges/%2F/events").await.status, 404);
}

#[tokio::test]
async fn what_may_not_be_declared_is_refused() {
    let broker = Broker::start().await;
    let unknown = broker.put("/exchanges/%2F/e", r#"{"type":"x-none"}"#).await;
    assert_eq!(unknown.status, 400);
    assert!(unknown.refusal().1.contains("unknown exchange type"), "{unknown:?}");
    assert_eq!(broker.put("/exchanges/%2F/amq.mine", r#"{"type":"direct"}"#).await.status, 403);
    assert_eq!(broker.delete("/exchanges/%2F/amq.default").await.status, 403);
    assert_eq!(broker.delete("/exchanges/%2F/amq.direct").await.status, 403);
    assert_eq!(broker.get("/exchanges/%2F/e").await.status, 404);
}

#[tokio::test]
async fn a_publish_says_whether_it_was_routed() {
    let broker = Broker::start().await;
    let body = r#"{"routing_key":"nowhere","payload":"x","payload_encoding":"string","properties":{}}"#;
    let answer = broker.post("/exchanges/%2F/amq.direct/publish", body).await;
    assert_eq!((answer.status, answer.json()), (200, json!({"routed": false})));
    assert_eq!(broker.post("/exchanges/%2F/missing/publish", body).await.status, 404);
    for (what, body) in [
        ("payload", r#"{"routing_key":"q","payload_encoding":"string","properties":{}}"#),
        ("encoding", r#"{"routing_key":"q","payload":"x","payload_encoding":"hex","properties":{}}"#),
        ("base64", r#"{"routing_key":"q","payload":"!","payload_encoding":"base64","properties":{}}"#),
        (
            "priority",
            r#"{"routing_key":"q","payload":"x","payload_encoding":"string","properties":{"priority":999}}"#,
        ),
        (
            "headers",
            r#"{"routing_key":"q","payload":"x","payload_encoding":"string","properties":{"headers":[]}}"#,
        ),
        (
            "expiration",
            r#"{"routing_key":"q","payload":"x","payload_encoding":"string","properties":{"expiration":"soon"}}"#,
        ),
    ] {
        let answer = broker.post("/exchanges/%2F/amq.direct/publish", body).await;
        assert_eq!((answer.status, answer.refusal().0.as_str()), (400, "bad_request"), "{what}");
    }
}
