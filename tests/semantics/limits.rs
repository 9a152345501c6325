//! Limits of queues: length and time.

use crate::support::*;

/// Declares an exclusive queue with one argument.
async fn queue_with(peer: &mut Peer, name: &str, value: impl Into<Value>) -> String {
    let q = unique("q");
    peer.call(1, declare(&q).flag("exclusive").arg(name, value)).await;
    q
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
async fn consumers_without_a_tag_count_towards_the_limit_too() {
    let Some(broker) = Broker::start_with(|config| config.limits.consumers_max = 2).await else { return };
    let mut peer = broker.channel().await;
    let q = unique("q");
    peer.call(1, declare(&q).flag("exclusive")).await;
    for _ in 0..2 {
        peer.call(1, consume(&q, "")).await;
    }
    let text = "NOT_ALLOWED - reached maximum (2) of consumers per channel";
    peer.expect_hard_error(1, consume(&q, ""), 530, text).await;
}
