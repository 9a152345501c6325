//! Limits of queues: length, time and priority.

use crate::support::*;

/// Declares an exclusive queue with one argument.
async fn queue_with(peer: &mut Peer, name: &str, value: impl Into<Value>) -> String {
    let q = unique("q");
    peer.call(1, declare(&q).flag("exclusive").arg(name, value)).await;
    q
}

#[tokio::test]
async fn messages_of_higher_priority_come_first() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    let q = queue_with(&mut peer, "x-max-priority", 5).await;
    for (body, priority) in [("none", 0), ("one", 1), ("five", 5), ("nine", 9), ("five again", 5)] {
        peer.publish(1, publish("", &q, body).property("priority", priority)).await;
    }
    peer.publish(1, publish("", &q, "unmarked")).await;
    // More than the queue's highest is its highest.
    for body in ["five", "nine", "five again", "one", "none", "unmarked"] {
        peer.expect_get(1, &q, body).await;
    }
    peer.expect_empty(1, &q).await;
}

#[tokio::test]
async fn length_counts_ready_messages_only() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    let q = queue_with(&mut peer, "x-max-length", 1).await;
    peer.publish(1, publish("", &q, "held")).await;
    let held = peer.expect_get(1, &q, "held").await;
    peer.publish(1, publish("", &q, "ready")).await;
    peer.expect_get(1, &q, "ready").await;
    // Two are unacked; one comes back, and there is room for it.
    peer.send(1, nack(held.delivery_tag()).flag("requeue")).await;
    peer.expect_get(1, &q, "held").await;
}

#[tokio::test]
async fn length_in_octets_counts_bodies() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    let q = queue_with(&mut peer, "x-max-length-bytes", 10).await;
    for body in ["12345", "67890", "abc"] {
        peer.publish(1, publish("", &q, body).property("message-id", "not counted")).await;
    }
    peer.expect_get(1, &q, "67890").await;
    peer.expect_get(1, &q, "abc").await;
    peer.expect_empty(1, &q).await;
}

#[tokio::test]
async fn a_queue_of_length_zero_serves_waiting_consumers() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    let q = queue_with(&mut peer, "x-max-length", 0).await;
    peer.publish(1, publish("", &q, "dropped")).await;
    peer.expect_empty(1, &q).await;
    peer.call(1, consume(&q, "c")).await;
    peer.publish(1, publish("", &q, "seen")).await;
    peer.expect_delivery(1, "seen").await;
}

#[tokio::test]
async fn a_ttl_of_zero_serves_waiting_consumers() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    let q = queue_with(&mut peer, "x-message-ttl", 0).await;
    peer.publish(1, publish("", &q, "dropped")).await;
    peer.expect_empty(1, &q).await;
    peer.call(1, consume(&q, "c")).await;
    peer.publish(1, publish("", &q, "seen")).await;
    peer.expect_delivery(1, "seen").await;
}

#[tokio::test]
async fn what_is_dropped_for_length_is_dead_lettered() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    let (q, dead) = (unique("q"), unique("dead"));
    peer.call(1, declare(&dead).flag("exclusive")).await;
    let method = declare(&q).flag("exclusive").arg("x-max-length", 1);
    let method = method.arg("x-dead-letter-exchange", "").arg("x-dead-letter-routing-key", &dead);
    peer.call(1, method).await;
    peer.call(1, consume(&dead, "c").flag("no-ack")).await;
    peer.publish(1, publish("", &q, "old")).await;
    peer.publish(1, publish("", &q, "new")).await;
    let delivery = peer.expect_delivery(1, "old").await;
    let reason = delivery.headers().get("x-first-death-reason").cloned();
    peer.same("reason", &reason, &Some(Value::from("maxlen")));
    peer.expect_get(1, &q, "new").await;
}

#[tokio::test]
async fn dead_letters_keep_their_key_and_lose_their_expiration() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    let (q, dead, x) = (unique("q"), unique("dead"), unique("x"));
    peer.call(1, declare_exchange(&x, "fanout").flag("auto-delete")).await;
    peer.call(1, declare(&dead).flag("exclusive")).await;
    peer.call(1, bind(&dead, &x, "")).await;
    peer.call(1, declare(&q).flag("exclusive").arg("x-dead-letter-exchange", &x)).await;
    peer.call(1, consume(&dead, "c").flag("no-ack")).await;
    peer.publish(1, publish("", &q, "m").property("expiration", "1")).await;
    let delivery = peer.expect_delivery(1, "m").await;
    peer.same("routing-key", &delivery.method.text("routing-key"), &q);
    peer.same("exchange", &delivery.method.text("exchange"), &x);
    peer.same("expiration", &delivery.properties.get("expiration"), &None);
    let headers = delivery.headers();
    let Some(Value::Array(deaths)) = headers.get("x-death") else { peer.fail("expected x-death") };
    let original = deaths[0].table().get("original-expiration");
    peer.same("original-expiration", &original, &Some(&Value::from("1")));
}

#[tokio::test]
async fn a_message_that_died_twice_in_the_same_way_counts_two() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    let q = unique("q");
    let method = declare(&q).flag("exclusive").arg("x-dead-letter-exchange", "");
    peer.call(1, method).await;
    peer.call(1, consume(&q, "c")).await;
    peer.publish(1, publish("", &q, "m")).await;
    for count in 0..3 {
        let delivery = peer.expect_delivery(1, "m").await;
        if count > 0 {
            let headers = delivery.headers();
            let Some(Value::Array(deaths)) = headers.get("x-death") else { peer.fail("expected x-death") };
            peer.same("deaths", &deaths.len(), &1);
            peer.same("count", &deaths[0].table().get("count"), &Some(&Value::I64(count)));
        }
        peer.send(1, reject(delivery.delivery_tag())).await;
    }
    peer.expect_delivery(1, "m").await;
}
