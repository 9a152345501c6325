//! Dead letters that must arrive (RabbitMQ: `x-dead-letter-strategy` at-least-once): their queue keeps what has died
//! until every queue that the letter is for has it.

use crate::support::*;

/// A queue that keeps its dead messages, and sends their letters to `exchange` with `key`.
async fn careful(peer: &mut Peer, exchange: &str, key: &str) -> String {
    let q = unique("careful");
    let method =
        declare(&q).flag("durable").arg("x-queue-type", "quorum").arg("x-overflow", "reject-publish");
    let method = method.arg("x-dead-letter-exchange", exchange).arg("x-dead-letter-routing-key", key);
    peer.call(1, method.arg("x-dead-letter-strategy", "at-least-once")).await;
    q
}

/// A queue that takes one message at a time.
async fn narrow(peer: &mut Peer) -> String {
    let q = unique("narrow");
    let method = declare(&q).flag("exclusive").arg("x-max-length", 1);
    peer.call(1, method.arg("x-overflow", "reject-publish")).await;
    q
}

/// A consumer rejects a new message of the queue.
async fn die(peer: &mut Peer, q: &str, body: &str) {
    peer.publish(1, publish("", q, body)).await;
    let got = peer.expect_get(1, q, body).await;
    peer.send(1, reject(got.delivery_tag())).await;
}

async fn end(peer: &mut Peer, q: &str) {
    peer.call(1, delete(q)).await;
}

#[tokio::test]
async fn a_letter_that_a_full_queue_refuses_arrives_when_there_is_room() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    let dead = narrow(&mut peer).await;
    let q = careful(&mut peer, "", &dead).await;
    peer.publish(1, publish("", &dead, "in the way")).await;
    die(&mut peer, &q, "rejected").await;
    peer.publish(1, publish("", &q, "expired").property("expiration", "1")).await;
    peer.eventually_counts(1, &q, 0, 0).await;
    peer.call(1, consume(&dead, "c").flag("no-ack")).await;
    peer.expect_delivery(1, "in the way").await;
    let mut reasons = Vec::new();
    for _ in 0..2 {
        let letter = peer.expect_content(1, "basic.deliver").await;
        let reason = letter.headers().get("x-first-death-reason").cloned();
        let body = String::from_utf8(letter.body).unwrap();
        peer.same("reason", &reason, &Some(Value::from(&body)));
        reasons.push(body);
    }
    reasons.sort();
    peer.same("letters", &reasons, &vec!["expired".to_owned(), "rejected".to_owned()]);
    end(&mut peer, &q).await;
}

#[tokio::test]
async fn a_letter_without_a_way_waits_for_one() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    let (x, dead) = (unique("x"), unique("dead"));
    let q = careful(&mut peer, &x, "k").await;
    die(&mut peer, &q, "before the exchange").await;
    peer.call(1, declare_exchange(&x, "direct")).await;
    die(&mut peer, &q, "before the binding").await;
    peer.call(1, declare(&dead).flag("exclusive")).await;
    peer.call(1, bind(&dead, &x, "k")).await;
    peer.eventually_counts(1, &dead, 2, 0).await;
    die(&mut peer, &q, "after it").await;
    peer.eventually_counts(1, &dead, 3, 0).await;
    end(&mut peer, &q).await;
    peer.call(1, delete_exchange(&x)).await;
}

#[tokio::test]
async fn a_queue_that_has_the_letter_gets_it_once_while_another_refuses_it() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    let (x, wide, full) = (unique("x"), unique("wide"), narrow(&mut peer).await);
    let q = careful(&mut peer, &x, "").await;
    peer.call(1, declare_exchange(&x, "fanout").flag("auto-delete")).await;
    peer.call(1, declare(&wide).flag("exclusive")).await;
    for bound in [&wide, &full] {
        peer.call(1, bind(bound, &x, "")).await;
    }
    peer.publish(1, publish("", &full, "in the way")).await;
    die(&mut peer, &q, "m").await;
    peer.eventually_counts(1, &wide, 1, 0).await;
    peer.call(1, consume(&full, "c").flag("no-ack")).await;
    peer.expect_delivery(1, "in the way").await;
    peer.expect_delivery(1, "m").await;
    peer.expect_counts(1, &wide, 1, 0).await;
    end(&mut peer, &q).await;
}

#[tokio::test]
async fn letters_go_over_many_such_queues() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    let last = unique("last");
    peer.call(1, declare(&last).flag("exclusive")).await;
    let mut queues = vec![last.clone()];
    for _ in 0..28 {
        let next = careful(&mut peer, "", queues.last().unwrap()).await;
        queues.push(next);
    }
    let first = queues.last().unwrap().clone();
    for body in ["a", "b", "c"] {
        peer.publish(1, publish("", &first, body).property("expiration", "1")).await;
    }
    // What expires once has no expiration any more, so that somebody rejects it from there on.
    for q in queues.iter().rev().skip(1).take(27) {
        peer.eventually_counts(1, q, 3, 0).await;
        for body in ["a", "b", "c"] {
            let got = peer.expect_get(1, q, body).await;
            peer.send(1, reject(got.delivery_tag())).await;
        }
    }
    for body in ["a", "b", "c"] {
        let got = peer.expect_get(1, &last, body).await;
        let Some(Value::Array(deaths)) = got.headers().get("x-death").cloned() else {
            peer.fail("expected x-death")
        };
        peer.same("deaths", &deaths.len(), &28);
    }
    for q in queues.iter().skip(1) {
        end(&mut peer, q).await;
    }
}

#[tokio::test]
async fn letters_are_sent_once_where_the_queue_drops_its_head() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    let (x, dead, q) = (unique("x"), unique("dead"), unique("q"));
    let method = declare(&q).flag("durable").arg("x-queue-type", "quorum").arg("x-dead-letter-exchange", &x);
    peer.call(1, method.arg("x-dead-letter-strategy", "at-least-once")).await;
    die(&mut peer, &q, "lost").await;
    peer.call(1, declare_exchange(&x, "fanout").flag("auto-delete")).await;
    peer.call(1, declare(&dead).flag("exclusive")).await;
    peer.call(1, bind(&dead, &x, "")).await;
    die(&mut peer, &q, "m").await;
    peer.expect_get(1, &dead, "m").await;
    peer.expect_empty(1, &dead).await;
    end(&mut peer, &q).await;
}
