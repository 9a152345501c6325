//! Retries with backoff: what comes back to its queue is delivered again later, and later still the next time.

use std::time::Duration;

use lepus::metadata::PolicyKind;
use tokio::time::Instant;

use crate::policies::Operator;
use crate::support::*;

/// The dialogues need a broker that retries on every queue: this one.
async fn broker() -> Option<(Broker, Peer)> {
    let broker = Broker::start_with(|_| {}).await?;
    let peer = broker.channel().await;
    Some((broker, peer))
}

fn retrying(queue: &str, kind: &str, min: i32) -> Method {
    declare(queue).flag("exclusive").arg("x-delayed-retry-type", kind).arg("x-delayed-retry-min", min)
}

/// Gives the delivery back; how long it takes until it comes again.
async fn returned_in(
    peer: &mut Peer,
    give_back: fn(u64) -> Method,
    delivery: &Content,
) -> (Duration, Content) {
    let given = Instant::now();
    peer.send(1, give_back(delivery.delivery_tag()).flag("requeue")).await;
    let again = peer.expect_delivery(1, "m").await;
    (given.elapsed(), again)
}

fn millis(number: u64) -> Duration {
    Duration::from_millis(number)
}

#[tokio::test]
async fn each_retry_waits_longer_than_the_one_before_up_to_the_longest() {
    let Some((_broker, mut peer)) = broker().await else { return };
    let q = unique("q");
    peer.call(1, retrying(&q, "all", 20).arg("x-delayed-retry-max", 50)).await;
    peer.call(1, consume(&q, "c")).await;
    peer.publish(1, publish("", &q, "m")).await;
    let mut delivery = peer.expect_delivery(1, "m").await;
    for (give_back, least) in [(nack as fn(u64) -> Method, 20), (reject, 40), (nack, 50), (reject, 50)] {
        let (time, again) = returned_in(&mut peer, give_back, &delivery).await;
        assert!(time + millis(1) >= millis(least), "{time:?} of {least} ms");
        peer.same("redelivered", &again.redelivered(), &true);
        delivery = again;
    }
}

#[tokio::test]
async fn a_multiplier_makes_each_retry_wait_so_many_times_longer() {
    let Some((_broker, mut peer)) = broker().await else { return };
    let q = unique("q");
    // A minimum alone is enough.
    let method =
        declare(&q).flag("exclusive").arg("x-delayed-retry-min", 10).arg("x-delayed-retry-multiplier", 3);
    peer.call(1, method).await;
    peer.call(1, consume(&q, "c")).await;
    peer.publish(1, publish("", &q, "m")).await;
    let mut delivery = peer.expect_delivery(1, "m").await;
    for least in [10, 30, 90] {
        let (time, again) = returned_in(&mut peer, nack, &delivery).await;
        assert!(time + millis(1) >= millis(least), "{time:?} of {least} ms");
        delivery = again;
    }
}

#[tokio::test]
async fn what_is_not_of_the_type_comes_back_at_once_to_its_place() {
    let Some((_broker, mut peer)) = broker().await else { return };
    for (kind, give_back) in [("failed", nack as fn(u64) -> Method), ("returned", reject), ("disabled", nack)]
    {
        let q = unique("q");
        peer.call(1, retrying(&q, kind, 3_600_000)).await;
        peer.publish(1, publish("", &q, "first")).await;
        peer.publish(1, publish("", &q, "second")).await;
        let got = peer.expect_get(1, &q, "first").await;
        peer.send(1, give_back(got.delivery_tag()).flag("requeue")).await;
        peer.expect_get(1, &q, "first").await;
    }
}

#[tokio::test]
async fn what_a_lost_channel_held_has_failed_and_what_is_recovered_was_returned() {
    let Some((broker, mut peer)) = broker().await else { return };
    let (failed, returned) = (unique("q"), unique("q"));
    peer.call(1, retrying(&failed, "failed", 3_600_000)).await;
    peer.call(1, retrying(&returned, "returned", 3_600_000)).await;
    for q in [&failed, &returned] {
        peer.publish(1, publish("", q, "m")).await;
        peer.expect_get(1, q, "m").await;
    }
    let vhost = broker.app().unwrap().broker().vhost("/").unwrap();
    let delayed = |q: &str| vhost.queue(q).unwrap().counts().delayed;
    peer.call(1, recover().flag("requeue")).await;
    assert_eq!((delayed(&failed), delayed(&returned)), (0, 1));
    peer.expect_get(1, &failed, "m").await;
    peer.call(1, close_channel()).await;
    peer.open(1).await;
    peer.expect_counts(1, &failed, 0, 0).await;
    assert_eq!((delayed(&failed), delayed(&returned)), (1, 1));
}

#[tokio::test]
async fn past_the_delivery_limit_a_message_is_dead_lettered_on_every_type_of_queue() {
    let Some((_broker, mut peer)) = broker().await else { return };
    for kind in ["classic", "quorum"] {
        let (q, dead) = (unique("q"), unique("dead"));
        peer.call(1, declare(&dead).flag("exclusive")).await;
        let method = declare(&q).flag("durable").arg("x-queue-type", kind).arg("x-delivery-limit", 2);
        let method = method.arg("x-delayed-retry-type", "all").arg("x-delayed-retry-min", 5);
        peer.call(1, method.arg("x-dead-letter-exchange", "").arg("x-dead-letter-routing-key", &dead)).await;
        peer.call(1, consume(&q, kind)).await;
        peer.call(1, consume(&dead, &dead).flag("no-ack")).await;
        peer.publish(1, publish("", &q, "m").property("delivery-mode", 2)).await;
        for _ in 0..3 {
            let delivery = peer.expect_delivery(1, "m").await;
            peer.send(1, nack(delivery.delivery_tag()).flag("requeue")).await;
        }
        let letter = peer.expect_delivery(1, "m").await;
        let reason = letter.headers().get("x-first-death-reason").cloned();
        peer.same("reason", &reason, &Some(Value::from("delivery_limit")));
        peer.call(1, cancel(kind)).await;
        peer.call(1, delete(&q)).await;
    }
}

#[tokio::test]
async fn a_message_that_is_retried_gets_no_more_time_to_live() {
    let Some((_broker, mut peer)) = broker().await else { return };
    let (q, dead) = (unique("q"), unique("dead"));
    peer.call(1, declare(&dead).flag("exclusive")).await;
    let method = retrying(&q, "all", 30).arg("x-message-ttl", 20).arg("x-dead-letter-exchange", "");
    peer.call(1, method.arg("x-dead-letter-routing-key", &dead)).await;
    peer.call(1, consume(&q, "c")).await;
    peer.call(1, consume(&dead, "d").flag("no-ack")).await;
    peer.publish(1, publish("", &q, "m")).await;
    let delivery = peer.expect_delivery(1, "m").await;
    peer.send(1, nack(delivery.delivery_tag()).flag("requeue")).await;
    let letter = peer.expect_delivery(1, "m").await;
    let reason = letter.headers().get("x-first-death-reason").cloned();
    peer.same("reason", &reason, &Some(Value::from("expired")));
}

#[tokio::test]
async fn a_policy_makes_a_queue_retry() {
    let Some((broker, mut peer)) = broker().await else { return };
    let operator = Operator::of(&broker);
    let q = unique("q");
    peer.call(1, declare(&q).flag("exclusive")).await;
    operator.user(&q, &[("delayed-retry-type", "all".into()), ("delayed-retry-min", 30.into())]);
    peer.call(1, consume(&q, "c")).await;
    peer.publish(1, publish("", &q, "m")).await;
    let delivery = peer.expect_delivery(1, "m").await;
    let (time, again) = returned_in(&mut peer, nack, &delivery).await;
    assert!(time + millis(1) >= millis(30), "{time:?}");
    operator.clear(PolicyKind::User, "p");
    returned_in(&mut peer, nack, &again).await;
}

#[tokio::test]
async fn bad_retry_arguments_are_refused_and_nothing_is_declared() {
    let Some((_broker, mut peer)) = broker().await else { return };
    let cases: [(&str, Value, &str); 8] = [
        ("x-delayed-retry-type", "often".into(), "invalid_delayed_retry_type"),
        ("x-delayed-retry-type", 1.into(), "{unacceptable_type,signedint}"),
        ("x-delayed-retry-type", "all".into(), "delayed_retry_min_not_defined"),
        ("x-delayed-retry-min", (-1).into(), "{value_negative,-1}"),
        ("x-delayed-retry-min", "1".into(), "\"expected integer, got longstr\""),
        ("x-delayed-retry-max", (-1).into(), "{value_negative,-1}"),
        ("x-delayed-retry-multiplier", 0.into(), "{value_zero,0}"),
        ("x-delayed-retry-multiplier", "2".into(), "\"expected integer, got longstr\""),
    ];
    for (name, value, reason) in cases {
        let q = unique("q");
        let text =
            format!("PRECONDITION_FAILED - invalid arg '{name}' for queue '{q}' in vhost '/': {reason}");
        peer.expect_refusal(1, declare(&q).flag("exclusive").arg(name, value), 406, &text).await;
        let text = format!("NOT_FOUND - no queue '{q}' in vhost '/'");
        peer.expect_refusal(1, passive(&q), 404, &text).await;
    }
}
