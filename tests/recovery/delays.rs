//! Delayed messages and retries across restarts: each is there when it is due, once, and not before.

use std::collections::BTreeSet;
use std::time::Duration;

use lepus::clock::Clock;
use tempfile::TempDir;

use crate::binary::Binary;
use crate::messages::persistent;
use crate::support::*;

/// The wall clock, by which a message is due also after a restart.
fn now() -> Duration {
    Duration::from_millis(Clock::start().now().as_millis())
}

/// What clocks of two processes may differ by, which count whole milliseconds.
const SLACK: Duration = Duration::from_millis(2);

#[tokio::test]
async fn delayed_messages_survive_a_kill_with_their_time_and_transient_ones_do_not() {
    let dir = TempDir::new().unwrap();
    let broker = Binary::start(&dir);
    let mut peer = broker.channel().await;
    peer.call(1, declare("q").flag("durable")).await;
    peer.call(1, confirm_select()).await;
    let sent = now();
    peer.publish(1, persistent("", "q", "due").header("x-delay", 1_500)).await;
    peer.publish(1, publish("", "q", "transient").header("x-delay", 1_000)).await;
    peer.publish(1, persistent("", "q", "late").header("x-delay", 3_600_000)).await;
    peer.publish(1, persistent("", "q", "at once")).await;
    peer.expect_confirms(1, 1, 4).await;
    broker.kill();

    let broker = Binary::start(&dir);
    let mut peer = broker.channel().await;
    peer.call(1, consume("q", "c").flag("no-ack")).await;
    peer.expect_delivery(1, "at once").await;
    peer.expect_delivery(1, "due").await;
    assert!(now() - sent + SLACK >= Duration::from_millis(1_500), "{:?}", now() - sent);
    peer.call(1, cancel("c")).await;
    let purged = peer.call(1, purge("q")).await;
    peer.same("purged", &purged.number("message-count"), &1);
}

#[tokio::test]
async fn a_message_that_was_due_while_the_broker_was_away_comes_at_the_start() {
    let dir = TempDir::new().unwrap();
    let broker = Binary::start(&dir);
    let mut peer = broker.channel().await;
    peer.call(1, declare("q").flag("durable")).await;
    peer.call(1, confirm_select()).await;
    // More than need no slot, so that some are in one.
    let count = 600;
    for number in 0..count {
        peer.publish(1, persistent("", "q", &number.to_string()).header("x-delay", 4_000 + number)).await;
    }
    peer.expect_confirms(1, 1, 600).await;
    let sent = now();
    drop(peer);
    broker.terminate();
    while now() - sent < Duration::from_millis(4_700) {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }

    let broker = Binary::start(&dir);
    let mut peer = broker.channel().await;
    peer.call(1, consume("q", "c").flag("no-ack")).await;
    for number in 0..count {
        peer.expect_delivery(1, &number.to_string()).await;
    }
}

#[tokio::test]
async fn a_retry_survives_a_kill_with_its_time_and_its_count() {
    let dir = TempDir::new().unwrap();
    let broker = Binary::start(&dir);
    let mut peer = broker.channel().await;
    let method = declare("q").flag("durable").arg("x-delivery-limit", 1).arg("x-dead-letter-exchange", "");
    let method = method.arg("x-dead-letter-routing-key", "dead").arg("x-delayed-retry-min", 1_200);
    peer.call(1, method).await;
    peer.call(1, declare("dead").flag("durable")).await;
    peer.call(1, confirm_select()).await;
    peer.publish(1, persistent("", "q", "m")).await;
    peer.expect_confirm(1, 1).await;
    let got = peer.expect_get(1, "q", "m").await;
    let returned = now();
    peer.send(1, nack(got.delivery_tag()).flag("requeue")).await;
    // A confirm that comes after it covers it: the log is one.
    peer.publish(1, persistent("", "dead", "marker")).await;
    peer.expect_confirm(1, 2).await;
    broker.kill();

    let broker = Binary::start(&dir);
    let mut peer = broker.channel().await;
    peer.expect_get(1, "dead", "marker").await;
    peer.call(1, consume("q", "c")).await;
    let delivery = peer.expect_delivery(1, "m").await;
    assert!(now() - returned + SLACK >= Duration::from_millis(1_200), "{:?}", now() - returned);
    peer.same("redelivered", &delivery.redelivered(), &true);
    // The second time is one too many.
    peer.call(1, consume("dead", "d").flag("no-ack")).await;
    peer.send(1, nack(delivery.delivery_tag()).flag("requeue")).await;
    let letter = peer.expect_delivery(1, "m").await;
    let reason = letter.headers().get("x-first-death-reason").cloned();
    peer.same("reason", &reason, &Some(Value::from("delivery_limit")));
}

#[tokio::test]
async fn no_delayed_message_is_lost_or_doubled_however_often_the_broker_is_killed() {
    let dir = TempDir::new().unwrap();
    let mut published = 0;
    for round in 0..4 {
        let broker = Binary::start(&dir);
        let mut peer = broker.channel().await;
        peer.call(1, declare("q").flag("durable")).await;
        peer.call(1, confirm_select()).await;
        for number in 0..400 {
            // Some are due in this round, some while the broker is away, some in later rounds.
            let delay = 10 + number * 7 + round * 100;
            let body = (published + number).to_string();
            peer.publish(1, persistent("", "q", &body).header("x-delay", delay)).await;
        }
        peer.expect_confirms(1, 1, 400).await;
        published += 400;
        peer.call(1, consume("q", "c")).await;
        for _ in 0..100 {
            // None is acknowledged: all come back.
            peer.expect_content(1, "basic.deliver").await;
        }
        broker.kill();
    }
    let broker = Binary::start(&dir);
    let mut peer = broker.channel().await;
    peer.call(1, consume("q", "c")).await;
    let mut seen = BTreeSet::new();
    for _ in 0..published {
        let delivery = peer.expect_content(1, "basic.deliver").await;
        assert!(seen.insert(delivery.body.clone()), "{:?} came twice", delivery.body);
    }
    peer.expect_counts(1, "q", 0, 1).await;
}
