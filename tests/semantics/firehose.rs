//! The firehose: copies of what is published and delivered.

use crate::support::wire::Value;
use crate::support::*;

/// A broker with the firehose on, and a queue that gets all copies.
async fn traced() -> Option<(Broker, Peer, String)> {
    let broker = Broker::start_with(|_| ()).await?;
    let mut peer = broker.channel().await;
    let copies = unique("copies");
    peer.call(1, declare(&copies)).await;
    peer.call(1, bind(&copies, "amq.rabbitmq.trace", "#")).await;
    broker.app().unwrap().broker().vhost("/").unwrap().set_tracing(true);
    Some((broker, peer, copies))
}

fn text(table: &Table, name: &str) -> String {
    table.get(name).map(Value::text).unwrap_or_default()
}

#[tokio::test]
async fn what_is_published_is_copied_with_what_is_known_of_it() {
    let Some((_broker, mut peer, copies)) = traced().await else { return };
    let q = unique("q");
    peer.call(1, declare(&q)).await;
    peer.call(1, bind(&q, "amq.topic", "a.#")).await;
    let message = publish("amq.topic", "a.b", "hello").property("message-id", "m-1").header("colour", "red");
    peer.publish(1, message).await;
    let copy = peer.expect_get(1, &copies, "hello").await;
    peer.same("routing-key", &copy.method.text("routing-key").as_str(), &"publish.amq.topic");
    let headers = copy.headers();
    peer.same("exchange_name", &text(&headers, "exchange_name").as_str(), &"amq.topic");
    peer.same("routing_keys", headers.get("routing_keys").unwrap(), &array(&["a.b"]));
    peer.same("routed_queues", headers.get("routed_queues").unwrap(), &array(&[&q]));
    peer.same(
        "vhost and user",
        &(text(&headers, "vhost"), text(&headers, "user")),
        &("/".into(), "guest".into()),
    );
    peer.same("channel", &headers.get("channel").unwrap().number(), &1);
    assert!(text(&headers, "connection").contains(" -> "), "{headers:?}");
    let properties = headers.get("properties").unwrap().table().clone();
    peer.same("message_id", &text(&properties, "message_id").as_str(), &"m-1");
    peer.same("colour", &text(properties.get("headers").unwrap().table(), "colour").as_str(), &"red");
    peer.expect_empty(1, &copies).await;
}

fn array(items: &[&str]) -> Value {
    Value::Array(items.iter().map(|item| Value::from(*item)).collect())
}

#[tokio::test]
async fn what_is_delivered_is_copied_once_for_each_delivery() {
    let Some((broker, mut peer, copies)) = traced().await else { return };
    let q = unique("q");
    peer.call(1, declare(&q)).await;
    peer.publish(1, publish("", &q, "hello")).await;
    peer.expect_get(1, &copies, "hello").await;
    peer.call(1, consume(&q, "tag")).await;
    let tag = peer.expect_delivery(1, "hello").await.delivery_tag();
    let mut observer = broker.channel().await;
    observer.eventually_counts(1, &copies, 1, 0).await;
    let copy = observer.expect_get(1, &copies, "hello").await;
    let key = format!("deliver.{q}");
    observer.same("routing-key", &copy.method.text("routing-key"), &key);
    observer.same("redelivered", &copy.headers().get("redelivered").unwrap().number(), &0);
    peer.call(1, cancel("tag")).await;
    peer.send(1, nack(tag).flag("requeue")).await;
    peer.expect_get(1, &q, "hello").await;
    let copy = observer.expect_get(1, &copies, "hello").await;
    observer.same("redelivered", &copy.headers().get("redelivered").unwrap().number(), &1);
}

#[tokio::test]
async fn copies_are_not_copied_and_nothing_is_once_the_firehose_is_off() {
    let Some((broker, mut peer, copies)) = traced().await else { return };
    peer.call(1, consume(&copies, "tag").flag("no-ack")).await;
    peer.publish(1, publish("", "nowhere", "one")).await;
    let copy = peer.expect_delivery(1, "one").await;
    // The default exchange has no name.
    peer.same("routing-key", &copy.method.text("routing-key").as_str(), &"publish.");
    broker.app().unwrap().broker().vhost("/").unwrap().set_tracing(false);
    peer.publish(1, publish("", "nowhere", "two")).await;
    peer.call(1, cancel("tag")).await;
    peer.expect_counts(1, &copies, 0, 0).await;
}
