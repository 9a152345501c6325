//! Settling deliveries: ack, nack, reject, recover, and what happens to those that never are.

use crate::support::*;

/// An exclusive queue with the given messages.
async fn queue_of(peer: &mut Peer, bodies: &[&str]) -> String {
    let q = unique("q");
    peer.call(1, declare(&q).flag("exclusive")).await;
    for body in bodies {
        peer.publish(1, publish("", &q, body)).await;
    }
    q
}

/// The bodies and redelivered flags of all ready messages, taken from the queue.
async fn take_all(peer: &mut Peer, q: &str, bodies: &[(&str, bool)]) {
    for (body, redelivered) in bodies {
        let got = peer.expect_get(1, q, body).await;
        peer.same("redelivered", &got.redelivered(), redelivered);
    }
    peer.expect_empty(1, q).await;
}

#[tokio::test]
async fn ack_removes_the_message() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    let q = queue_of(&mut peer, &["a", "b"]).await;
    let got = peer.expect_get(1, &q, "a").await;
    peer.send(1, ack(got.delivery_tag())).await;
    peer.call(1, close_channel()).await;
    peer.open(1).await;
    take_all(&mut peer, &q, &[("b", false)]).await;
}

#[tokio::test]
async fn delivery_tags_count_from_one_on_each_channel_for_deliver_and_get() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    let q = queue_of(&mut peer, &["a", "b", "c", "d"]).await;
    let tags =
        [peer.expect_get(1, &q, "a").await.delivery_tag(), peer.expect_get(1, &q, "b").await.delivery_tag()];
    assert_eq!(tags, [1, 2]);
    peer.call(1, consume(&q, "c")).await;
    let tags = [
        peer.expect_delivery(1, "c").await.delivery_tag(),
        peer.expect_delivery(1, "d").await.delivery_tag(),
    ];
    assert_eq!(tags, [3, 4]);
    peer.open(2).await;
    peer.call(1, cancel("c")).await;
    peer.publish(2, publish("", &q, "e")).await;
    assert_eq!(peer.expect_get(2, &q, "e").await.delivery_tag(), 1);
}

#[tokio::test]
async fn ack_multiple_settles_all_up_to_the_tag() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    let q = queue_of(&mut peer, &["a", "b", "c"]).await;
    for body in ["a", "b", "c"] {
        peer.expect_get(1, &q, body).await;
    }
    peer.send(1, ack(2).flag("multiple")).await;
    peer.call(1, close_channel()).await;
    peer.open(1).await;
    take_all(&mut peer, &q, &[("c", true)]).await;
}

#[tokio::test]
async fn ack_multiple_of_tag_zero_settles_all() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    let q = queue_of(&mut peer, &["a", "b", "c"]).await;
    // Also where nothing is outstanding.
    peer.send(1, ack(0).flag("multiple")).await;
    for body in ["a", "b", "c"] {
        peer.expect_get(1, &q, body).await;
    }
    peer.send(1, ack(0).flag("multiple")).await;
    peer.call(1, close_channel()).await;
    peer.open(1).await;
    take_all(&mut peer, &q, &[]).await;
}

#[tokio::test]
async fn unknown_delivery_tags_are_406() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    let unknown = |tag: u64| format!("PRECONDITION_FAILED - unknown delivery tag {tag}");
    for method in [ack, nack, reject] {
        peer.expect_refusal(1, method(5), 406, &unknown(5)).await;
        // Tag 0 alone means nothing.
        peer.expect_refusal(1, method(0), 406, &unknown(0)).await;
    }
    peer.expect_refusal(1, ack(5).flag("multiple"), 406, &unknown(5)).await;
    peer.expect_refusal(1, nack(5).flag("multiple"), 406, &unknown(5)).await;
}

#[tokio::test]
async fn a_delivery_is_settled_once() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    let q = queue_of(&mut peer, &["a", "b"]).await;
    peer.expect_get(1, &q, "a").await;
    peer.send(1, ack(1)).await;
    peer.expect_refusal(1, ack(1), 406, "PRECONDITION_FAILED - unknown delivery tag 1").await;
    peer.expect_get(1, &q, "b").await;
    peer.send(1, reject(1)).await;
    peer.expect_refusal(1, nack(1), 406, "PRECONDITION_FAILED - unknown delivery tag 1").await;
}

#[tokio::test]
async fn tags_of_another_channel_are_unknown() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    let q = queue_of(&mut peer, &["a"]).await;
    peer.open(2).await;
    peer.expect_get(1, &q, "a").await;
    peer.expect_soft_error(2, ack(1), 406, "PRECONDITION_FAILED - unknown delivery tag 1").await;
    // Channel 1 still holds it.
    peer.send(1, ack(1)).await;
    peer.expect_empty(1, &q).await;
}

#[tokio::test]
async fn nack_with_requeue_redelivers_at_the_head() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    let q = queue_of(&mut peer, &["a", "b", "c"]).await;
    peer.expect_get(1, &q, "a").await;
    peer.send(1, nack(1).flag("requeue")).await;
    take_all(&mut peer, &q, &[("a", true), ("b", false), ("c", false)]).await;
}

#[tokio::test]
async fn reject_with_requeue_redelivers_at_the_head() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    let q = queue_of(&mut peer, &["a", "b"]).await;
    peer.expect_get(1, &q, "a").await;
    peer.send(1, reject(1).flag("requeue")).await;
    take_all(&mut peer, &q, &[("a", true), ("b", false)]).await;
}

#[tokio::test]
async fn requeued_messages_return_to_their_places() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    let q = queue_of(&mut peer, &["a", "b", "c", "d", "e"]).await;
    for body in ["a", "b", "c", "d"] {
        peer.expect_get(1, &q, body).await;
    }
    // In whatever order they come back.
    peer.send(1, nack(4).flag("requeue")).await;
    peer.send(1, reject(1).flag("requeue")).await;
    peer.send(1, ack(2)).await;
    peer.send(1, nack(3).flag("requeue")).await;
    take_all(&mut peer, &q, &[("a", true), ("c", true), ("d", true), ("e", false)]).await;
}

#[tokio::test]
async fn nack_multiple_requeues_in_order() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    let q = queue_of(&mut peer, &["a", "b", "c", "d"]).await;
    for body in ["a", "b", "c"] {
        peer.expect_get(1, &q, body).await;
    }
    peer.send(1, nack(2).flag("multiple").flag("requeue")).await;
    take_all(&mut peer, &q, &[("a", true), ("b", true), ("d", false)]).await;
    peer.send(1, nack(0).flag("multiple").flag("requeue")).await;
    take_all(&mut peer, &q, &[("a", true), ("b", true), ("c", true), ("d", true)]).await;
}

#[tokio::test]
async fn nack_and_reject_without_requeue_drop() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    let q = queue_of(&mut peer, &["a", "b", "c", "d"]).await;
    for body in ["a", "b", "c", "d"] {
        peer.expect_get(1, &q, body).await;
    }
    peer.send(1, reject(4)).await;
    peer.send(1, nack(3)).await;
    peer.send(1, nack(2).flag("multiple")).await;
    peer.call(1, close_channel()).await;
    peer.open(1).await;
    take_all(&mut peer, &q, &[]).await;
}

#[tokio::test]
async fn a_requeued_message_goes_to_waiting_consumers() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    let q = queue_of(&mut peer, &[]).await;
    peer.call(1, consume(&q, "a")).await;
    peer.open(2).await;
    peer.publish(1, publish("", &q, "m")).await;
    peer.expect_delivery(1, "m").await;
    peer.call(1, cancel("a")).await;
    peer.call(2, consume(&q, "b")).await;
    peer.send(1, nack(1).flag("requeue")).await;
    let delivery = peer.expect_delivery(2, "m").await;
    peer.same("redelivered", &delivery.redelivered(), &true);
}

#[tokio::test]
async fn recover_requeues_everything_unacked() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    let q = queue_of(&mut peer, &["a", "b", "c"]).await;
    for body in ["a", "b"] {
        peer.expect_get(1, &q, body).await;
    }
    peer.call(1, recover()).await;
    take_all(&mut peer, &q, &[("a", true), ("b", true), ("c", false)]).await;
    // Tags go on counting.
    peer.call(1, recover()).await;
    assert_eq!(peer.expect_get(1, &q, "a").await.delivery_tag(), 6);
    peer.send(1, Method::new("basic.recover-async").flag("requeue")).await;
    assert_eq!(peer.expect_get(1, &q, "a").await.delivery_tag(), 7);
}

#[tokio::test]
async fn recover_without_requeue_is_540() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    let text = "NOT_IMPLEMENTED - requeue=false";
    peer.expect_hard_error(1, Method::new("basic.recover"), 540, text).await;
}

#[tokio::test]
async fn closing_the_channel_requeues_in_order() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    let q = queue_of(&mut peer, &["a", "b", "c"]).await;
    peer.call(1, qos(2)).await;
    peer.call(1, consume(&q, "c")).await;
    peer.expect_delivery(1, "a").await;
    peer.expect_delivery(1, "b").await;
    peer.call(1, close_channel()).await;
    peer.open(1).await;
    peer.expect_counts(1, &q, 3, 0).await;
    take_all(&mut peer, &q, &[("a", true), ("b", true), ("c", false)]).await;
}

#[tokio::test]
async fn a_soft_error_requeues() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    let q = queue_of(&mut peer, &["a"]).await;
    peer.expect_get(1, &q, "a").await;
    peer.expect_refusal(1, ack(9), 406, "PRECONDITION_FAILED - unknown delivery tag 9").await;
    take_all(&mut peer, &q, &[("a", true)]).await;
}

#[tokio::test]
async fn loss_of_the_connection_requeues() {
    let broker = Broker::start().await;
    let mut keeper = broker.channel().await;
    let q = unique("q");
    keeper.call(1, declare(&q).flag("durable")).await;
    keeper.publish(1, publish("", &q, "a")).await;
    keeper.expect_counts(1, &q, 1, 0).await;
    let mut peer = broker.channel().await;
    peer.call(1, consume(&q, "c")).await;
    peer.expect_delivery(1, "a").await;
    keeper.call(1, consume(&q, "k")).await;
    // The socket ends without a word.
    drop(peer);
    let delivery = keeper.expect_delivery(1, "a").await;
    keeper.same("redelivered", &delivery.redelivered(), &true);
    keeper.call(1, cancel("k")).await;
    keeper.call(1, delete(&q)).await;
}
