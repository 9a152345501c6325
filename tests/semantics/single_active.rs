//! Single active consumers (RabbitMQ: `x-single-active-consumer`): who is served, and who takes over.

use crate::support::*;

const SINGLE: &str = "x-single-active-consumer";

/// Publishes messages, which are in the queue when the peer's next call is answered.
async fn publish_numbers(peer: &mut Peer, q: &str, count: u64) {
    for number in 0..count {
        peer.publish(1, publish("", q, &number.to_string())).await;
    }
}

async fn expect_numbers(peer: &mut Peer, channel: u16, numbers: std::ops::Range<u64>) {
    for number in numbers {
        peer.expect_delivery(channel, &number.to_string()).await;
    }
}

/// A queue whose active consumer is of another connection and holds three of five messages; the next in line waits.
async fn held_by_another(broker: &Broker, timeout_ms: Option<i64>) -> (Peer, Peer, String) {
    let (mut active, mut next) = (broker.channel().await, broker.channel().await);
    let q = unique("q");
    next.call(1, declare(&q).arg(SINGLE, true)).await;
    publish_numbers(&mut next, &q, 5).await;
    next.expect_counts(1, &q, 5, 0).await;
    active.call(1, qos(3)).await;
    let ask = consume(&q, "active");
    let ask = timeout_ms.map_or_else(|| ask.clone(), |ms| ask.clone().arg("x-consumer-timeout", ms));
    // It gets all three at once, however short its time is.
    active.call(1, ask).await;
    next.call(1, consume(&q, "next")).await;
    expect_numbers(&mut active, 1, 0..3).await;
    (active, next, q)
}

#[tokio::test]
async fn what_the_active_one_held_comes_first_when_its_channel_closes() {
    let broker = Broker::start().await;
    let (mut active, mut next, q) = held_by_another(&broker, None).await;
    active.call(1, close_channel()).await;
    expect_numbers(&mut next, 1, 0..5).await;
    next.call(1, delete(&q)).await;
}

#[tokio::test]
async fn what_the_active_one_held_comes_first_when_its_connection_closes() {
    let broker = Broker::start().await;
    let (active, mut next, q) = held_by_another(&broker, None).await;
    active.close().await;
    expect_numbers(&mut next, 1, 0..5).await;
    next.call(1, delete(&q)).await;
}

#[tokio::test]
async fn what_the_active_one_held_comes_first_when_its_socket_is_lost() {
    let broker = Broker::start().await;
    let (active, mut next, q) = held_by_another(&broker, None).await;
    drop(active);
    expect_numbers(&mut next, 1, 0..5).await;
    next.call(1, delete(&q)).await;
}

#[tokio::test]
async fn what_the_active_one_held_comes_first_when_it_has_held_it_for_too_long() {
    let Some(broker) = Broker::start_with(|_| ()).await else { return };
    let (mut active, mut next, q) = held_by_another(&broker, Some(40)).await;
    active.expect(1, "basic.cancel").await;
    expect_numbers(&mut next, 1, 0..5).await;
    next.call(1, delete(&q)).await;
}

#[tokio::test]
async fn channels_that_end_together_give_back_everything_before_the_next_one_is_served() {
    let broker = Broker::start().await;
    let (mut ending, mut next) = (broker.channel().await, broker.channel().await);
    ending.open(2).await;
    let q = unique("q");
    next.call(1, declare(&q).arg(SINGLE, true)).await;
    ending.call(2, qos(2)).await;
    ending.call(2, consume(&q, "active")).await;
    ending.call(1, consume(&q, "second")).await;
    next.call(1, consume(&q, "next")).await;
    publish_numbers(&mut next, &q, 4).await;
    expect_numbers(&mut ending, 2, 0..2).await;
    // The second one takes over, and all that it gets comes back as well.
    ending.send(2, cancel("active").flag("no-wait")).await;
    expect_numbers(&mut ending, 1, 2..4).await;
    drop(ending);
    expect_numbers(&mut next, 1, 0..4).await;
    next.call(1, delete(&q)).await;
}

#[tokio::test]
async fn a_consumer_that_is_cancelled_keeps_what_it_holds_and_the_next_goes_on_behind_it() {
    let broker = Broker::start().await;
    let (mut active, mut next, q) = held_by_another(&broker, None).await;
    active.call(1, cancel("active")).await;
    expect_numbers(&mut next, 1, 3..5).await;
    active.call(1, close_channel()).await;
    expect_numbers(&mut next, 1, 0..3).await;
    next.call(1, delete(&q)).await;
}

/// A quorum queue that `low` has two messages of, when `high` comes; one more is there.
async fn with_a_higher_one(peer: &mut Peer) -> String {
    let q = unique("q");
    peer.open(2).await;
    let method = declare(&q).flag("durable").arg(SINGLE, true).arg("x-queue-type", "quorum");
    peer.call(1, method).await;
    peer.call(2, consume(&q, "low")).await;
    publish_numbers(peer, &q, 2).await;
    expect_numbers(peer, 2, 0..2).await;
    peer.call(1, consume(&q, "high").arg("x-priority", 5)).await;
    peer.publish(1, publish("", &q, "2")).await;
    peer.expect_counts(1, &q, 1, 2).await;
    q
}

#[tokio::test]
async fn on_a_quorum_queue_a_higher_priority_takes_over_once_the_active_one_has_settled_everything() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    let q = with_a_higher_one(&mut peer).await;
    peer.send(2, ack(1)).await;
    peer.expect_counts(2, &q, 1, 2).await;
    peer.send(2, ack(2)).await;
    expect_numbers(&mut peer, 1, 2..3).await;
    // An equal one waits.
    peer.call(2, consume(&q, "equal").arg("x-priority", 5)).await;
    peer.send(1, ack(1)).await;
    peer.publish(1, publish("", &q, "3")).await;
    expect_numbers(&mut peer, 1, 3..4).await;
    peer.call(1, delete(&q)).await;
}

#[tokio::test]
async fn the_active_one_goes_on_when_the_higher_priority_goes_before_it_was_active() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    let q = with_a_higher_one(&mut peer).await;
    peer.send(1, cancel("high").flag("no-wait")).await;
    expect_numbers(&mut peer, 2, 2..3).await;
    peer.call(1, delete(&q)).await;
}

#[tokio::test]
async fn on_a_classic_queue_the_active_one_stays_and_the_highest_priority_is_the_next() {
    let broker = Broker::start().await;
    let (mut first, mut others) = (broker.channel().await, broker.channel().await);
    let q = unique("q");
    first.call(1, declare(&q).arg(SINGLE, true)).await;
    first.call(1, consume(&q, "first")).await;
    others.call(1, consume(&q, "low")).await;
    others.call(1, consume(&q, "high").arg("x-priority", 5)).await;
    others.publish(1, publish("", &q, "0")).await;
    first.expect_delivery(1, "0").await;
    first.call(1, close_channel()).await;
    let delivery = others.expect_delivery(1, "0").await;
    others.same("consumer-tag", &delivery.method.text("consumer-tag").as_str(), &"high");
    others.call(1, delete(&q)).await;
}
