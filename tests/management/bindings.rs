//! Bindings: made, named by their properties key, removed.

use crate::http::Broker;
use serde_json::json;

#[tokio::test]
async fn a_binding_is_found_where_its_location_says() {
    let broker = Broker::start().await;
    broker.put("/queues/%2F/q%2F1", "{}").await;
    let body = r#"{"routing_key":"a key/~","arguments":{"k":"v"}}"#;
    let made = broker.post("/bindings/%2F/e/amq.direct/q/q%2F1", body).await;
    assert_eq!(made.status, 201);
    let location = made.header("location").unwrap().to_owned();
    let path = location.strip_prefix("/api").unwrap();
    let found = broker.json(path).await;
    assert_eq!((&found["routing_key"], &found["arguments"]), (&json!("a key/~"), &json!({"k": "v"})));
    assert_eq!((&found["destination"], &found["destination_type"]), (&json!("q/1"), &json!("queue")));
    assert_eq!(broker.delete(path).await.status, 204);
    assert_eq!(broker.get(path).await.status, 404);
    assert_eq!(broker.delete(path).await.status, 404);
}

#[tokio::test]
async fn a_binding_without_properties_is_called_tilde() {
    let broker = Broker::start().await;
    broker.put("/exchanges/%2F/next", r#"{"type":"fanout"}"#).await;
    let made = broker.post("/bindings/%2F/e/amq.fanout/e/next", "{}").await;
    assert_eq!(made.header("location"), Some("/api/bindings/%2F/e/amq.fanout/e/next/~"));
    let between = broker.json("/bindings/%2F/e/amq.fanout/e/next").await;
    assert_eq!((between.as_array().unwrap().len(), &between[0]["properties_key"]), (1, &json!("~")));
    let from = broker.json("/exchanges/%2F/amq.fanout/bindings/source").await;
    let to = broker.json("/exchanges/%2F/next/bindings/destination").await;
    assert_eq!((&from[0], &to[0]), (&between[0], &between[0]));
    assert_eq!(broker.delete("/bindings/%2F/e/amq.fanout/e/next/~").await.status, 204);
    assert_eq!(broker.json("/bindings/%2F").await, json!([]));
}

#[tokio::test]
async fn a_binding_needs_both_its_ends() {
    let broker = Broker::start().await;
    assert_eq!(broker.post("/bindings/%2F/e/amq.direct/q/missing", "{}").await.status, 404);
    assert_eq!(broker.post("/bindings/%2F/e/missing/e/amq.fanout", "{}").await.status, 404);
    assert_eq!(broker.post("/bindings/%2F/e/amq.direct/x/amq.fanout", "{}").await.status, 404);
    broker.put("/queues/%2F/q", "{}").await;
    assert_eq!(broker.post("/bindings/%2F/e/amq.default/q/q", "{}").await.status, 403);
}
