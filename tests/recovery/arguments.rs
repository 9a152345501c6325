//! What a queue was declared with holds after a kill: order, limits, times, dead letters.

use tempfile::TempDir;

use crate::binary::Binary;
use crate::messages::persistent;
use crate::support::*;

/// Starts the broker again after a kill, with a channel that confirms.
async fn killed(broker: Binary, dir: &TempDir) -> (Binary, Peer) {
    broker.kill();
    started(dir).await
}

async fn started(dir: &TempDir) -> (Binary, Peer) {
    let broker = Binary::start(dir);
    let mut peer = broker.channel().await;
    peer.call(1, confirm_select()).await;
    (broker, peer)
}

#[tokio::test]
async fn priorities_hold_for_what_was_there_before_and_for_what_comes() {
    let dir = TempDir::new().unwrap();
    let (broker, mut peer) = started(&dir).await;
    peer.call(1, declare("q").flag("durable").arg("x-max-priority", 5)).await;
    for (body, priority) in [("a", 0_u16), ("b", 5), ("c", 3), ("d", 9)] {
        peer.publish(1, persistent("", "q", body).property("priority", priority)).await;
    }
    peer.expect_confirms(1, 1, 4).await;
    let (_broker, mut peer) = killed(broker, &dir).await;
    peer.publish(1, persistent("", "q", "e").property("priority", 4_u16)).await;
    peer.expect_confirm(1, 1).await;
    for body in ["b", "d", "e", "c", "a"] {
        peer.expect_get(1, "q", body).await;
    }
}

#[tokio::test]
async fn limits_count_what_was_there_before() {
    let dir = TempDir::new().unwrap();
    let (broker, mut peer) = started(&dir).await;
    let rejecting = |name: &str| declare(name).flag("durable").arg("x-overflow", "reject-publish");
    peer.call(1, rejecting("by length").arg("x-max-length", 2)).await;
    peer.call(1, rejecting("by octets").arg("x-max-length-bytes", 8)).await;
    peer.call(1, declare("drops").flag("durable").arg("x-max-length", 2)).await;
    for q in ["by length", "by octets", "drops"] {
        for body in ["four", "more"] {
            peer.publish(1, persistent("", q, body)).await;
        }
    }
    peer.expect_confirms(1, 1, 6).await;
    let (_broker, mut peer) = killed(broker, &dir).await;
    for (tag, q) in [(1, "by length"), (2, "by octets")] {
        peer.publish(1, persistent("", q, "m")).await;
        let nack = peer.expect(1, "basic.nack").await;
        peer.same("delivery-tag", &nack.number("delivery-tag"), &tag);
        peer.expect_get(1, q, "four").await;
    }
    peer.publish(1, persistent("", "drops", "last")).await;
    peer.expect_confirm(1, 3).await;
    peer.expect_get(1, "drops", "more").await;
    peer.expect_get(1, "drops", "last").await;
}

#[tokio::test]
async fn times_and_dead_letters_hold_for_what_was_there_before() {
    let dir = TempDir::new().unwrap();
    let (broker, mut peer) = started(&dir).await;
    peer.call(1, declare_exchange("dlx", "fanout").flag("durable")).await;
    peer.call(1, declare("dead").flag("durable")).await;
    peer.call(1, bind("dead", "dlx", "")).await;
    let dying = |name: &str| declare(name).flag("durable").arg("x-dead-letter-exchange", "dlx");
    peer.call(1, dying("short").arg("x-message-ttl", 1_500)).await;
    peer.call(1, dying("limited").arg("x-queue-type", "quorum").arg("x-delivery-limit", 0)).await;
    peer.call(1, declare("unused").flag("durable").arg("x-expires", 1_500)).await;
    peer.publish(1, persistent("", "short", "late").property("expiration", "60000")).await;
    peer.publish(1, persistent("", "limited", "bad")).await;
    peer.expect_confirms(1, 1, 2).await;
    let (_broker, mut peer) = killed(broker, &dir).await;
    let got = peer.expect_get(1, "limited", "bad").await;
    peer.call(1, consume("dead", "letters").flag("no-ack")).await;
    peer.send(1, nack(got.delivery_tag()).flag("requeue")).await;
    // In either order: the kill and the start take their time.
    let mut reasons = Vec::new();
    for _ in 0..2 {
        let letter = peer.expect_content(1, "basic.deliver").await;
        reasons.push(letter.headers().get("x-first-death-reason").unwrap().text());
    }
    reasons.sort();
    assert_eq!(reasons, ["delivery_limit", "expired"]);
    // Nobody has used it since the start, nor does asking for it without its arguments.
    let mut looking = 0;
    loop {
        tokio::time::sleep(std::time::Duration::from_millis(1_600)).await;
        peer.send(1, passive("unused")).await;
        let answer = peer.expect_method(1).await;
        if answer.name == "channel.close" {
            peer.same("reply-code", &answer.number("reply-code"), &404);
            break;
        }
        looking += 1;
        assert!(looking < 10, "the queue is there after {looking} times its lease");
    }
}

#[tokio::test]
async fn the_longest_subscribed_is_the_single_active_consumer_of_a_queue_that_came_back() {
    let dir = TempDir::new().unwrap();
    let (broker, mut peer) = started(&dir).await;
    peer.call(1, declare("q").flag("durable").arg("x-single-active-consumer", true)).await;
    peer.publish(1, persistent("", "q", "m")).await;
    peer.expect_confirm(1, 1).await;
    let (_broker, mut peer) = killed(broker, &dir).await;
    for tag in ["first", "second"] {
        peer.send(1, consume("q", tag)).await;
    }
    peer.expect(1, "basic.consume-ok").await;
    let mut delivered = Vec::new();
    for _ in 0..2 {
        let method = peer.expect_method(1).await;
        if method.name == "basic.deliver" {
            delivered.push(peer.finish_content(1, method).await);
        }
    }
    let delivery = delivered.pop().unwrap();
    peer.same("consumer", &delivery.method.text("consumer-tag").as_str(), &"first");
    peer.call(1, cancel("first")).await;
    peer.send(1, nack(delivery.delivery_tag()).flag("requeue")).await;
    let again = peer.expect_delivery(1, "m").await;
    peer.same("consumer", &again.method.text("consumer-tag").as_str(), &"second");
}
