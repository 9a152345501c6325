//! Delivery leases that run out: a delivery that is held for too long goes back, and its consumer ends.

use std::time::Duration;

use lepus::config::value::Timeout;
use lepus::metadata::{PolicyDefinition, PolicyKind};
use lepus::name::Name;
use lepus_protocol::FieldTable;

use crate::support::*;

const TIMEOUT: &str = "x-consumer-timeout";

/// Short, and nothing depends on how exactly it is kept.
const SHORT_MS: i64 = 40;

async fn expect_cancelled(peer: &mut Peer, tag: &str) {
    let cancel = peer.expect(1, "basic.cancel").await;
    peer.same("consumer-tag", &cancel.text("consumer-tag").as_str(), &tag);
}

/// Consumes, and gets a message that it does not settle.
async fn hold(peer: &mut Peer, consume: Method, q: &str, body: &str) {
    peer.call(1, consume).await;
    peer.publish(1, publish("", q, body)).await;
    peer.expect_delivery(1, body).await;
}

async fn redelivered(peer: &mut Peer, q: &str, body: &str) -> u64 {
    let got = peer.expect_get(1, q, body).await;
    peer.same("redelivered", &got.method.is("redelivered"), &true);
    got.delivery_tag()
}

fn without_cancel_notify() -> Credentials {
    let capabilities = Table::default().with("basic.nack", true).with("publisher_confirms", true);
    Credentials { capabilities, ..Credentials::plain("guest", "guest") }
}

#[tokio::test]
async fn a_delivery_held_for_too_long_goes_back_with_all_others_and_its_consumer_is_cancelled() {
    let Some(broker) = Broker::start_with(|_| ()).await else { return };
    let mut peer = broker.channel().await;
    let q = unique("q");
    peer.call(1, declare(&q).arg(TIMEOUT, SHORT_MS)).await;
    peer.call(1, consume(&q, "slow")).await;
    for body in ["a", "b", "c"] {
        peer.publish(1, publish("", &q, body)).await;
    }
    for body in ["a", "b", "c"] {
        peer.expect_delivery(1, body).await;
    }
    peer.send(1, ack(1)).await;
    expect_cancelled(&mut peer, "slow").await;
    peer.eventually_counts(1, &q, 2, 0).await;
    redelivered(&mut peer, &q, "b").await;
    peer.call(1, delete(&q)).await;
}

#[tokio::test]
async fn what_has_run_out_can_still_be_settled_to_no_effect() {
    let Some(broker) = Broker::start_with(|_| ()).await else { return };
    let mut peer = broker.channel().await;
    let q = unique("q");
    peer.call(1, declare(&q)).await;
    peer.call(1, consume(&q, "slow").arg(TIMEOUT, SHORT_MS)).await;
    peer.publish(1, publish("", &q, "a")).await;
    peer.publish(1, publish("", &q, "b")).await;
    peer.expect_delivery(1, "a").await;
    peer.expect_delivery(1, "b").await;
    expect_cancelled(&mut peer, "slow").await;
    peer.eventually_counts(1, &q, 2, 0).await;
    let mut other = broker.channel().await;
    let tag = redelivered(&mut other, &q, "a").await;
    peer.send(1, ack(1)).await;
    peer.send(1, nack(2).flag("multiple").flag("requeue")).await;
    peer.expect_counts(1, &q, 1, 0).await;
    // It is the other's now: it goes back from there, or goes.
    other.send(1, nack(tag).flag("requeue")).await;
    other.expect_counts(1, &q, 2, 0).await;
    peer.call(1, delete(&q)).await;
}

#[tokio::test]
async fn a_client_that_understands_no_cancel_loses_its_channel() {
    let Some(broker) = Broker::start_with(|_| ()).await else { return };
    let mut peer = broker.dial().await;
    peer.handshake_with(&without_cancel_notify(), 0).await;
    peer.open(1).await;
    peer.open(2).await;
    let q = unique("q");
    peer.call(1, declare(&q).arg(TIMEOUT, SHORT_MS)).await;
    hold(&mut peer, consume(&q, "slow"), &q, "a").await;
    let text = format!(
        "PRECONDITION_FAILED - delivery acknowledgement on channel 1 timed out. Timeout value used: {SHORT_MS} ms. \
         This timeout value can be configured, see consumers doc guide to learn more"
    );
    peer.expect_channel_close(1, 406, &text, (0, 0)).await;
    // The connection and its other channels go on.
    peer.expect_counts(2, &q, 1, 0).await;
    peer.call(2, delete(&q)).await;
}

#[tokio::test]
async fn the_consumer_s_own_time_counts_and_zero_is_without_end() {
    let Some(broker) = Broker::start_with(|_| ()).await else { return };
    let mut peer = broker.channel().await;
    let q = unique("q");
    peer.call(1, declare(&q).arg(TIMEOUT, SHORT_MS)).await;
    peer.call(1, qos(1)).await;
    hold(&mut peer, consume(&q, "patient").arg(TIMEOUT, 0), &q, "a").await;
    hold(&mut peer, consume(&q, "hasty"), &q, "b").await;
    expect_cancelled(&mut peer, "hasty").await;
    // The first still has the earlier one.
    peer.eventually_counts(1, &q, 1, 1).await;
    peer.send(1, ack(1)).await;
    peer.expect_delivery(1, "b").await;
    peer.call(1, delete(&q)).await;
}

#[tokio::test]
async fn a_policy_holds_for_deliveries_that_are_held_already() {
    let Some((broker, inner)) = Broker::start_administered().await else { return };
    let mut peer = broker.channel().await;
    let q = unique("q");
    peer.call(1, declare(&q)).await;
    hold(&mut peer, consume(&q, "slow"), &q, "a").await;
    let mut definition = FieldTable::new();
    definition.insert("consumer-timeout", SHORT_MS);
    let (pattern, apply_to) = (format!("^{q}$"), "queues".to_owned());
    let policy = PolicyDefinition { pattern, apply_to, priority: 0, definition };
    let vhost = inner.vhost("/").unwrap();
    vhost.put_policy(PolicyKind::User, Name::from("p"), policy, inner.clock.now()).unwrap();
    expect_cancelled(&mut peer, "slow").await;
    peer.eventually_counts(1, &q, 1, 0).await;
}

#[tokio::test]
async fn the_server_s_time_holds_where_nothing_else_is_said_and_can_be_changed() {
    let short = Timeout(Duration::from_millis(SHORT_MS.unsigned_abs()));
    let Some(broker) = Broker::start_with(|config| config.consumer_timeout = short).await else { return };
    let mut peer = broker.channel().await;
    let q = unique("q");
    peer.call(1, declare(&q)).await;
    hold(&mut peer, consume(&q, "slow"), &q, "a").await;
    expect_cancelled(&mut peer, "slow").await;
    peer.eventually_counts(1, &q, 1, 0).await;
    let queue = || broker.app().unwrap().broker().vhost("/").unwrap().queue(&q).unwrap();
    assert_eq!(queue().settings().lease_ms, Some(SHORT_MS.unsigned_abs()));
    broker.app().unwrap().broker().set_consumer_timeout(Duration::ZERO);
    assert_eq!(queue().settings().lease_ms, None);
}

#[tokio::test]
async fn a_fetched_message_goes_back_too_and_whoever_fetches_it_next_has_it_alone() {
    let Some(broker) = Broker::start_with(|_| ()).await else { return };
    let mut peer = broker.channel().await;
    let q = unique("q");
    peer.call(1, declare(&q).arg(TIMEOUT, SHORT_MS)).await;
    peer.publish(1, publish("", &q, "a")).await;
    peer.expect_get(1, &q, "a").await;
    peer.eventually_counts(1, &q, 1, 0).await;
    let tag = redelivered(&mut peer, &q, "a").await;
    peer.send(1, ack(1)).await;
    peer.send(1, nack(tag).flag("requeue")).await;
    peer.expect_counts(1, &q, 1, 0).await;
    peer.call(1, delete(&q)).await;
}

#[tokio::test]
async fn what_a_cancelled_consumer_holds_runs_out_as_well() {
    let Some(broker) = Broker::start_with(|_| ()).await else { return };
    let mut peer = broker.channel().await;
    let q = unique("q");
    peer.call(1, declare(&q).arg(TIMEOUT, SHORT_MS)).await;
    hold(&mut peer, consume(&q, "gone"), &q, "a").await;
    peer.call(1, cancel("gone")).await;
    peer.eventually_counts(1, &q, 1, 0).await;
    redelivered(&mut peer, &q, "a").await;
    peer.call(1, delete(&q)).await;
}

#[tokio::test]
async fn the_next_single_active_consumer_takes_over_from_one_that_holds_for_too_long() {
    let Some(broker) = Broker::start_with(|_| ()).await else { return };
    let mut peer = broker.channel().await;
    let q = unique("q");
    peer.call(1, declare(&q).arg("x-single-active-consumer", true)).await;
    peer.call(1, consume(&q, "first").arg(TIMEOUT, SHORT_MS)).await;
    let mut other = broker.channel().await;
    other.call(1, consume(&q, "second")).await;
    peer.publish(1, publish("", &q, "a")).await;
    peer.expect_delivery(1, "a").await;
    expect_cancelled(&mut peer, "first").await;
    let delivery = other.expect_delivery(1, "a").await;
    other.same("redelivered", &delivery.method.is("redelivered"), &true);
    peer.call(1, delete(&q)).await;
}

#[tokio::test]
async fn running_out_counts_towards_the_delivery_limit() {
    let Some(broker) = Broker::start_with(|_| ()).await else { return };
    let mut peer = broker.channel().await;
    let (q, dead) = (unique("q"), unique("dead"));
    peer.call(1, declare(&dead).flag("exclusive")).await;
    let quorum = declare(&q).flag("durable").arg("x-queue-type", "quorum").arg("x-delivery-limit", 0);
    let quorum = quorum.arg("x-dead-letter-exchange", "").arg("x-dead-letter-routing-key", &dead);
    peer.call(1, quorum.arg(TIMEOUT, SHORT_MS)).await;
    peer.call(1, consume(&q, "slow")).await;
    peer.publish(1, publish("", &q, "poison")).await;
    peer.expect_delivery(1, "poison").await;
    expect_cancelled(&mut peer, "slow").await;
    peer.eventually_counts(1, &dead, 1, 0).await;
    let got = peer.expect_get(1, &dead, "poison").await;
    let reason = got.headers().get("x-first-death-reason").cloned();
    peer.same("reason", &reason, &Some(Value::from("delivery_limit")));
    peer.call(1, delete(&q)).await;
}

#[tokio::test]
async fn an_auto_delete_queue_goes_with_its_last_consumer_also_when_that_is_taken_out() {
    let Some(broker) = Broker::start_with(|_| ()).await else { return };
    let mut peer = broker.channel().await;
    let q = unique("q");
    peer.call(1, declare(&q).flag("auto-delete").arg(TIMEOUT, SHORT_MS)).await;
    hold(&mut peer, consume(&q, "slow"), &q, "a").await;
    expect_cancelled(&mut peer, "slow").await;
    let vhost = broker.app().unwrap().broker().vhost("/").unwrap();
    let is_gone = async {
        while vhost.queue(&q).is_some() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), is_gone).await.unwrap();
}

#[tokio::test]
async fn a_consumer_timeout_is_a_count_of_milliseconds() {
    let Some(broker) = Broker::start_with(|_| ()).await else { return };
    let mut peer = broker.channel().await;
    let q = unique("q");
    let cases = [
        (Value::from(-1), "{value_negative,-1}"),
        (Value::from("10"), "\"expected integer, got longstr\""),
        (Value::I64(i64::MAX), "{value_too_large,9223372036854775807}"),
    ];
    for (value, why) in cases {
        let text =
            format!("PRECONDITION_FAILED - invalid arg '{TIMEOUT}' for queue '{q}' in vhost '/': {why}");
        peer.expect_refusal(1, declare(&q).arg(TIMEOUT, value.clone()), 406, &text).await;
        peer.call(1, declare(&q)).await;
        peer.expect_refusal(1, consume(&q, "c").arg(TIMEOUT, value), 406, &text).await;
        peer.call(1, delete(&q)).await;
    }
}
