//! basic.get.

use super::queues::locked;
use crate::support::*;

#[tokio::test]
async fn get_answers_with_the_message_and_what_is_left() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    let q = unique("q");
    peer.call(1, declare(&q).flag("exclusive")).await;
    peer.expect_empty(1, &q).await;
    peer.publish(1, publish("", &q, "a")).await;
    peer.publish(1, publish("", &q, "b").property("message-id", "m")).await;
    let got = peer.expect_get(1, &q, "a").await;
    peer.same("message-count", &got.method.number("message-count"), &1);
    peer.same("exchange", &got.method.text("exchange").as_str(), &"");
    peer.same("routing-key", &got.method.text("routing-key"), &q);
    peer.same("redelivered", &got.redelivered(), &false);
    let got = peer.expect_get(1, &q, "b").await;
    peer.same("message-count", &got.method.number("message-count"), &0);
    peer.same("message-id", &got.properties.get("message-id"), &Some(&Value::from("m")));
    peer.expect_empty(1, &q).await;
}

#[tokio::test]
async fn get_with_no_ack_settles_at_once() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    let q = unique("q");
    peer.call(1, declare(&q).flag("exclusive")).await;
    peer.publish(1, publish("", &q, "a")).await;
    peer.send(1, get(&q).flag("no-ack")).await;
    peer.expect_content(1, "basic.get-ok").await;
    peer.call(1, recover()).await;
    peer.expect_empty(1, &q).await;
    peer.expect_soft_error(1, ack(1), 406, "PRECONDITION_FAILED - unknown delivery tag 1").await;
}

#[tokio::test]
async fn bodies_of_any_size_come_back() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    let q = unique("q");
    peer.call(1, declare(&q).flag("exclusive")).await;
    // Around the frame's limit: 131072 with its 8 octets of wrapping.
    for size in [0, 1, 131_063, 131_064, 131_065, 262_128, 262_129, 3_000_000] {
        let mut content = publish("", &q, "");
        content.body = (0..size).map(|index: u32| index.to_le_bytes()[0]).collect();
        peer.publish(1, content.clone()).await;
        peer.send(1, get(&q).flag("no-ack")).await;
        let got = peer.expect_content(1, "basic.get-ok").await;
        assert!(got.body == content.body, "{size} octets");
    }
}

#[tokio::test]
async fn get_on_a_quorum_queue_with_a_single_active_consumer_is_405() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    let q = unique("q");
    let method = declare(&q).flag("durable").arg("x-queue-type", "quorum");
    peer.call(1, method.arg("x-single-active-consumer", true)).await;
    let text = format!(
        "RESOURCE_LOCKED - cannot obtain access to locked queue '{q}' in vhost '/'. basic.get operations are not \
         supported by quorum queues with single active consumer"
    );
    peer.expect_refusal(1, get(&q), 405, &text).await;
    peer.call(1, delete(&q)).await;
}

#[tokio::test]
async fn get_on_a_classic_queue_with_a_single_active_consumer_is_served() {
    // RabbitMQ: only quorum queues refuse it.
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    let q = unique("q");
    peer.call(1, declare(&q).flag("exclusive").arg("x-single-active-consumer", true)).await;
    peer.publish(1, publish("", &q, "a")).await;
    peer.expect_get(1, &q, "a").await;
}

#[tokio::test]
async fn get_from_another_connections_exclusive_queue_is_405() {
    let broker = Broker::start().await;
    let mut owner = broker.channel().await;
    let mut other = broker.channel().await;
    let q = unique("q");
    owner.call(1, declare(&q).flag("exclusive")).await;
    other.expect_soft_error(1, get(&q), 405, &locked(&q)).await;
}
