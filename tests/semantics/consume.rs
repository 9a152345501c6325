//! basic.consume, cancel, qos, and to whom messages go.

use super::queues::locked;
use crate::support::*;

async fn queue(peer: &mut Peer) -> String {
    let q = unique("q");
    peer.call(1, declare(&q).flag("exclusive")).await;
    q
}

async fn publish_all(peer: &mut Peer, q: &str, bodies: &[&str]) {
    for body in bodies {
        peer.publish(1, publish("", q, body)).await;
    }
}

/// The consumers of the next deliveries on channel 1, in order.
async fn consumers_of(peer: &mut Peer, bodies: &[&str]) -> Vec<String> {
    let mut tags = Vec::new();
    for body in bodies {
        tags.push(peer.expect_delivery(1, body).await.method.text("consumer-tag"));
    }
    tags
}

#[tokio::test]
async fn deliveries_carry_consumer_exchange_key_and_properties() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    let q = queue(&mut peer).await;
    peer.call(1, bind(&q, "amq.topic", &q)).await;
    peer.call(1, consume(&q, "my-tag")).await;
    let content = publish("amq.topic", &q, "hello")
        .property("content-type", "text/plain")
        .property("content-encoding", "utf-8")
        .property("delivery-mode", 2)
        .property("priority", 3)
        .property("correlation-id", "c")
        .property("reply-to", "r")
        .property("message-id", "m")
        .property("timestamp", 1_700_000_000)
        .property("type", "t")
        .property("user-id", "guest")
        .property("app-id", "a")
        .property("cluster-id", "k")
        .header("text", "value")
        .header("list", ["a", "b"])
        .header("table", Table::default().with("void", Value::Void).with("time", Value::Time(5)))
        .header("number", Value::F64(0.5));
    peer.publish(1, content.clone()).await;
    let delivery = peer.expect_delivery(1, "hello").await;
    peer.same("consumer-tag", &delivery.method.text("consumer-tag").as_str(), &"my-tag");
    peer.same("delivery-tag", &delivery.delivery_tag(), &1);
    peer.same("redelivered", &delivery.redelivered(), &false);
    peer.same("exchange", &delivery.method.text("exchange").as_str(), &"amq.topic");
    peer.same("routing-key", &delivery.method.text("routing-key"), &q);
    // Byte for byte.
    peer.same("content header", &delivery.encode_header(), &content.encode_header());
}

#[tokio::test]
async fn no_ack_deliveries_are_settled_when_sent() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    let q = queue(&mut peer).await;
    peer.call(1, qos(1)).await;
    publish_all(&mut peer, &q, &["a", "b", "c"]).await;
    peer.call(1, consume(&q, "c").flag("no-ack")).await;
    // Prefetch does not hold them back.
    for body in ["a", "b", "c"] {
        peer.expect_delivery(1, body).await;
    }
    peer.call(1, close_channel()).await;
    peer.open(1).await;
    peer.expect_counts(1, &q, 0, 0).await;
}

#[tokio::test]
async fn acking_a_no_ack_delivery_is_an_unknown_tag() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    let q = queue(&mut peer).await;
    peer.call(1, consume(&q, "c").flag("no-ack")).await;
    peer.publish(1, publish("", &q, "a")).await;
    let delivery = peer.expect_delivery(1, "a").await;
    let text = "PRECONDITION_FAILED - unknown delivery tag 1";
    peer.expect_soft_error(1, ack(delivery.delivery_tag()), 406, text).await;
}

#[tokio::test]
async fn the_broker_names_a_consumer_that_has_no_tag() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    let q = queue(&mut peer).await;
    let tag = peer.call(1, consume(&q, "")).await.text("consumer-tag");
    let random = tag.strip_prefix("amq.ctag-").expect("the prefix of generated tags");
    assert_eq!(random.len(), 22, "{tag}");
    let other = peer.call(1, consume(&q, "")).await.text("consumer-tag");
    assert_ne!(tag, other);
    peer.call(1, cancel(&tag)).await;
    peer.expect_counts(1, &q, 0, 1).await;
}

#[tokio::test]
async fn reusing_a_consumer_tag_closes_the_connection() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    let q = queue(&mut peer).await;
    peer.call(1, consume(&q, "tag")).await;
    // Another channel has its own tags.
    peer.open(2).await;
    peer.call(2, consume(&q, "tag")).await;
    let text = "NOT_ALLOWED - attempt to reuse consumer tag 'tag'";
    peer.expect_hard_error(1, consume(&q, "tag"), 530, text).await;
}

#[tokio::test]
async fn a_cancelled_tag_may_be_used_again() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    let q = queue(&mut peer).await;
    peer.call(1, consume(&q, "tag")).await;
    let ok = peer.call(1, cancel("tag")).await;
    peer.same("consumer-tag", &ok.text("consumer-tag").as_str(), &"tag");
    peer.call(1, consume(&q, "tag")).await;
}

#[tokio::test]
async fn cancelling_an_unknown_tag_succeeds() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    let ok = peer.call(1, cancel("nobody")).await;
    peer.same("consumer-tag", &ok.text("consumer-tag").as_str(), &"nobody");
}

#[tokio::test]
async fn cancel_keeps_deliveries_with_the_channel() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    let q = queue(&mut peer).await;
    peer.call(1, consume(&q, "tag")).await;
    peer.publish(1, publish("", &q, "a")).await;
    let delivery = peer.expect_delivery(1, "a").await;
    peer.call(1, cancel("tag")).await;
    peer.expect_empty(1, &q).await;
    peer.send(1, ack(delivery.delivery_tag())).await;
    peer.call(1, close_channel()).await;
    peer.open(1).await;
    peer.expect_empty(1, &q).await;
}

#[tokio::test]
async fn an_exclusive_consumer_tolerates_no_other() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    let q = queue(&mut peer).await;
    let text = format!("ACCESS_REFUSED - queue '{q}' in vhost '/' in exclusive use");
    peer.open(2).await;
    peer.call(2, consume(&q, "first")).await;
    peer.expect_refusal(1, consume(&q, "second").flag("exclusive"), 403, &text).await;
    peer.call(2, cancel("first")).await;
    peer.call(2, consume(&q, "first").flag("exclusive")).await;
    peer.expect_refusal(1, consume(&q, "second"), 403, &text).await;
    peer.expect_refusal(1, consume(&q, "second").flag("exclusive"), 403, &text).await;
    peer.call(2, cancel("first")).await;
    peer.call(1, consume(&q, "second")).await;
}

#[tokio::test]
async fn consumers_are_told_when_their_queue_is_deleted() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    let mut other = broker.channel().await;
    let q = unique("q");
    peer.call(1, declare(&q).flag("durable")).await;
    peer.call(1, consume(&q, "tag")).await;
    other.call(1, delete(&q)).await;
    let cancel = peer.expect(1, "basic.cancel").await;
    peer.same("consumer-tag", &cancel.text("consumer-tag").as_str(), &"tag");
    peer.same("no-wait", &cancel.is("no-wait"), &true);
    // The channel goes on, and the tag is free.
    let q = queue(&mut peer).await;
    peer.call(1, consume(&q, "tag")).await;
}

#[tokio::test]
async fn consumers_without_the_capability_are_not_told() {
    let broker = Broker::start().await;
    let mut other = broker.channel().await;
    let mut peer = broker.dial().await;
    let mut credentials = Credentials::plain("guest", "guest");
    credentials.capabilities = Table::default();
    peer.handshake_with(&credentials, 0).await;
    peer.open(1).await;
    let q = unique("q");
    peer.call(1, declare(&q).flag("durable")).await;
    peer.call(1, consume(&q, "tag")).await;
    other.call(1, delete(&q)).await;
    peer.call(1, qos(0)).await;
    peer.call(1, qos(0)).await;
}

#[tokio::test]
async fn messages_go_round_the_consumers() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    let q = queue(&mut peer).await;
    for tag in ["a", "b", "c"] {
        peer.call(1, consume(&q, tag)).await;
    }
    let bodies = ["1", "2", "3", "4", "5", "6"];
    publish_all(&mut peer, &q, &bodies).await;
    let tags = consumers_of(&mut peer, &bodies).await;
    assert_eq!(tags, ["a", "b", "c", "a", "b", "c"]);
}

#[tokio::test]
async fn consumers_of_higher_priority_come_first() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    let q = queue(&mut peer).await;
    peer.call(1, qos(2)).await;
    peer.call(1, consume(&q, "low").arg("x-priority", -5)).await;
    peer.call(1, consume(&q, "high").arg("x-priority", 10)).await;
    peer.call(1, consume(&q, "normal")).await;
    let bodies = ["1", "2", "3", "4", "5"];
    publish_all(&mut peer, &q, &bodies).await;
    let tags = consumers_of(&mut peer, &bodies).await;
    assert_eq!(tags, ["high", "high", "normal", "normal", "low"]);
    peer.send(1, ack(1)).await;
    publish_all(&mut peer, &q, &["6"]).await;
    assert_eq!(consumers_of(&mut peer, &["6"]).await, ["high"]);
}

#[tokio::test]
async fn a_consumer_priority_is_an_integer() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    let q = queue(&mut peer).await;
    let text = format!(
        "PRECONDITION_FAILED - invalid arg 'x-priority' for queue '{q}' in vhost '/': \
         \"expected integer, got longstr\""
    );
    peer.expect_refusal(1, consume(&q, "c").arg("x-priority", "high"), 406, &text).await;
}

#[tokio::test]
async fn a_single_active_consumer_is_followed_by_the_next() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    let q = unique("q");
    peer.call(1, declare(&q).flag("exclusive").arg("x-single-active-consumer", true)).await;
    for tag in ["a", "b", "c"] {
        peer.call(1, consume(&q, tag)).await;
    }
    let bodies = ["1", "2", "3"];
    publish_all(&mut peer, &q, &bodies).await;
    assert_eq!(consumers_of(&mut peer, &bodies).await, ["a", "a", "a"]);
    peer.call(1, cancel("a")).await;
    publish_all(&mut peer, &q, &["4"]).await;
    assert_eq!(consumers_of(&mut peer, &["4"]).await, ["b"]);
    peer.call(1, cancel("c")).await;
    publish_all(&mut peer, &q, &["5"]).await;
    assert_eq!(consumers_of(&mut peer, &["5"]).await, ["b"]);
}

#[tokio::test]
async fn exclusive_consumers_and_single_active_consumers_exclude_each_other() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    let q = unique("q");
    peer.call(1, declare(&q).flag("exclusive").arg("x-single-active-consumer", true)).await;
    let text = format!("ACCESS_REFUSED - queue '{q}' in vhost '/' in exclusive use");
    peer.expect_refusal(1, consume(&q, "c").flag("exclusive"), 403, &text).await;
}

#[tokio::test]
async fn prefetch_limits_each_new_consumer() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    let q = queue(&mut peer).await;
    peer.call(1, qos(2)).await;
    peer.call(1, consume(&q, "two")).await;
    peer.call(1, qos(1)).await;
    peer.call(1, consume(&q, "one")).await;
    publish_all(&mut peer, &q, &["1", "2", "3", "4", "5"]).await;
    let tags = consumers_of(&mut peer, &["1", "2", "3"]).await;
    assert_eq!(tags.iter().filter(|tag| *tag == "two").count(), 2);
    peer.expect_counts(1, &q, 2, 2).await;
    // The first of "two" is settled: one more for it.
    peer.send(1, ack(1)).await;
    peer.expect_delivery(1, "4").await;
    peer.send(1, nack(2)).await;
    peer.expect_delivery(1, "5").await;
    peer.expect_counts(1, &q, 0, 2).await;
}

#[tokio::test]
async fn prefetch_zero_is_no_limit() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    let q = queue(&mut peer).await;
    peer.call(1, qos(1)).await;
    peer.call(1, qos(0)).await;
    peer.call(1, consume(&q, "c")).await;
    publish_all(&mut peer, &q, &["1", "2", "3"]).await;
    consumers_of(&mut peer, &["1", "2", "3"]).await;
}

#[tokio::test]
async fn global_prefetch_limits_the_channel() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    let (x, y) = (queue(&mut peer).await, queue(&mut peer).await);
    peer.call(1, consume(&x, "before")).await;
    peer.call(1, qos(3).flag("global")).await;
    peer.call(1, consume(&y, "after")).await;
    publish_all(&mut peer, &x, &["1", "2"]).await;
    consumers_of(&mut peer, &["1", "2"]).await;
    publish_all(&mut peer, &y, &["3", "4"]).await;
    consumers_of(&mut peer, &["3"]).await;
    peer.expect_counts(1, &y, 1, 1).await;
    peer.send(1, ack(1)).await;
    consumers_of(&mut peer, &["4"]).await;
    peer.expect_counts(1, &y, 0, 1).await;
    // Raised, it lets more through.
    publish_all(&mut peer, &y, &["5"]).await;
    peer.expect_counts(1, &y, 1, 1).await;
    peer.send(1, qos(4).flag("global")).await;
    let first = peer.expect_method(1).await;
    // Whether the answer or the delivery comes first is left open.
    if first.name == "basic.qos-ok" {
        consumers_of(&mut peer, &["5"]).await;
    }
}

#[tokio::test]
async fn gets_do_not_count_towards_prefetch() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    let q = queue(&mut peer).await;
    peer.call(1, qos(1)).await;
    publish_all(&mut peer, &q, &["1", "2", "3"]).await;
    peer.expect_get(1, &q, "1").await;
    peer.expect_get(1, &q, "2").await;
    peer.call(1, consume(&q, "c")).await;
    consumers_of(&mut peer, &["3"]).await;
}

#[tokio::test]
async fn a_prefetch_size_is_540() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    let text = "NOT_IMPLEMENTED - prefetch_size!=0 (1000)";
    peer.expect_hard_error(1, qos(5).set("prefetch-size", 1000), 540, text).await;
}

#[tokio::test]
async fn no_local_is_ignored() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    let q = queue(&mut peer).await;
    peer.call(1, consume(&q, "c").flag("no-local")).await;
    peer.publish(1, publish("", &q, "mine")).await;
    peer.expect_delivery(1, "mine").await;
}

#[tokio::test]
async fn consuming_another_connections_exclusive_queue_is_405() {
    let broker = Broker::start().await;
    let mut owner = broker.channel().await;
    let mut other = broker.channel().await;
    let q = queue(&mut owner).await;
    other.expect_soft_error(1, consume(&q, "c"), 405, &locked(&q)).await;
}

#[tokio::test]
async fn one_channel_to_one_channel_keeps_the_order() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    let q = queue(&mut peer).await;
    peer.open(2).await;
    peer.call(2, qos(7)).await;
    peer.call(2, consume(&q, "c")).await;
    for number in 0..500 {
        peer.publish(1, publish("", &q, &number.to_string())).await;
    }
    for number in 0..500 {
        let delivery = peer.expect_delivery(2, &number.to_string()).await;
        peer.same("delivery-tag", &delivery.delivery_tag(), &(number + 1));
        peer.send(2, ack(delivery.delivery_tag())).await;
    }
}

#[tokio::test]
async fn a_fetched_message_does_not_count_towards_the_channels_prefetch() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    let q = queue(&mut peer).await;
    peer.call(1, qos(1).flag("global")).await;
    publish_all(&mut peer, &q, &["fetched", "delivered"]).await;
    peer.expect_get(1, &q, "fetched").await;
    peer.call(1, consume(&q, "c")).await;
    peer.expect_delivery(1, "delivered").await;
}
