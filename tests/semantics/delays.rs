//! Delayed messages: they wait in their queues until they are due.

use tokio::time::Instant;

use crate::support::*;

/// A message that is due after `millis`: the broker counts whole ones.
fn delayed(exchange: &str, key: &str, body: &str, millis: i64) -> Content {
    publish(exchange, key, body).header("x-delay", millis)
}

/// The dialogues need a broker that knows delays: this one.
async fn broker() -> Option<(Broker, Peer)> {
    let broker = Broker::start_with(|_| {}).await?;
    let peer = broker.channel().await;
    Some((broker, peer))
}

async fn queue(peer: &mut Peer) -> String {
    let q = unique("q");
    peer.call(1, declare(&q).flag("exclusive")).await;
    q
}

#[tokio::test]
async fn a_delayed_message_comes_when_it_is_due_and_not_before() {
    let Some((_broker, mut peer)) = broker().await else { return };
    let q = queue(&mut peer).await;
    peer.call(1, consume(&q, "c").flag("no-ack")).await;
    let sent = Instant::now();
    peer.publish(1, delayed("", &q, "later", 60)).await;
    peer.publish(1, publish("", &q, "now")).await;
    peer.expect_delivery(1, "now").await;
    let delivery = peer.expect_delivery(1, "later").await;
    assert!(sent.elapsed().as_millis() + 1 >= 60, "{:?}", sent.elapsed());
    peer.same("redelivered", &delivery.redelivered(), &false);
    // Who publishes it again with these headers asks for no delay.
    peer.same("x-delay", &delivery.headers().get("x-delay").cloned(), &Some(Value::I32(-60)));
}

#[tokio::test]
async fn delayed_messages_come_in_order_of_their_time_then_of_their_arrival() {
    let Some((_broker, mut peer)) = broker().await else { return };
    let q = queue(&mut peer).await;
    // One transaction is published at one moment.
    peer.call(1, tx_select()).await;
    for (body, delay) in [("third", 70), ("first", 30), ("fourth", 70), ("second", 30)] {
        peer.publish(1, delayed("", &q, body, delay)).await;
    }
    peer.call(1, commit()).await;
    peer.call(1, consume(&q, "c").flag("no-ack")).await;
    for body in ["first", "second", "third", "fourth"] {
        peer.expect_delivery(1, body).await;
    }
}

#[tokio::test]
async fn what_is_no_positive_number_is_no_delay() {
    let Some((_broker, mut peer)) = broker().await else { return };
    let q = queue(&mut peer).await;
    let values = [
        Value::I32(0),
        Value::I32(-1000),
        Value::from("soon"),
        Value::Bool(true),
        Value::Table(Table::default()),
    ];
    for value in values {
        peer.publish(1, publish("", &q, "now").header("x-delay", value)).await;
        peer.expect_get(1, &q, "now").await;
    }
}

#[tokio::test]
async fn a_delay_of_ten_thousand_years_is_accepted_and_confirmed() {
    let Some((_broker, mut peer)) = broker().await else { return };
    let q = queue(&mut peer).await;
    peer.call(1, confirm_select()).await;
    for delay in [31_536_000_000_i64, 315_360_000_000_000, i64::MAX] {
        peer.publish(1, delayed("", &q, "far", delay)).await;
    }
    peer.expect_confirms(1, 1, 3).await;
    peer.expect_empty(1, &q).await;
}

#[tokio::test]
async fn a_delayed_message_goes_to_the_queues_that_were_bound_when_it_was_published() {
    let Some((_broker, mut peer)) = broker().await else { return };
    let (bound, late) = (queue(&mut peer).await, queue(&mut peer).await);
    peer.call(1, bind(&bound, "amq.topic", "a.*")).await;
    peer.publish(1, delayed("amq.topic", "a.b", "m", 40)).await;
    peer.call(1, bind(&late, "amq.topic", "#")).await;
    peer.call(1, unbind(&bound, "amq.topic", "a.*")).await;
    peer.call(1, consume(&bound, "c").flag("no-ack")).await;
    peer.expect_delivery(1, "m").await;
    peer.expect_empty(1, &late).await;
    peer.call(1, unbind(&late, "amq.topic", "#")).await;
    // Where nothing is bound it comes back at once.
    peer.publish(1, delayed("amq.topic", "nowhere", "lost", 3_600_000).flag("mandatory")).await;
    peer.expect_return(1, 312, "NO_ROUTE").await;
}

#[tokio::test]
async fn delayed_messages_are_not_counted_as_ready_and_are_purged_and_keep_a_queue_from_being_empty() {
    let Some((_broker, mut peer)) = broker().await else { return };
    let q = queue(&mut peer).await;
    peer.publish(1, delayed("", &q, "later", 3_600_000)).await;
    peer.publish(1, publish("", &q, "now")).await;
    peer.expect_counts(1, &q, 1, 0).await;
    let text = format!("PRECONDITION_FAILED - queue '{q}' in vhost '/' not empty");
    peer.expect_get(1, &q, "now").await;
    peer.expect_refusal(1, delete(&q).flag("if-empty"), 406, &text).await;
    let purged = peer.call(1, purge(&q)).await;
    // The delayed one, and the one that the closed channel held.
    peer.same("purged", &purged.number("message-count"), &2);
    peer.call(1, delete(&q).flag("if-empty")).await;
}

#[tokio::test]
async fn the_time_to_live_of_a_delayed_message_begins_when_it_is_due() {
    let Some((_broker, mut peer)) = broker().await else { return };
    let (q, dead) = (unique("q"), queue(&mut peer).await);
    let method = declare(&q).flag("exclusive").arg("x-dead-letter-exchange", "");
    peer.call(1, method.arg("x-dead-letter-routing-key", &dead)).await;
    peer.call(1, consume(&dead, "c").flag("no-ack")).await;
    let sent = Instant::now();
    peer.publish(1, delayed("", &q, "m", 40).property("expiration", "30")).await;
    let letter = peer.expect_delivery(1, "m").await;
    assert!(sent.elapsed().as_millis() + 1 >= 70, "{:?}", sent.elapsed());
    // It is delayed once, not again where it goes from there.
    let reason = letter.headers().get("x-first-death-reason").cloned();
    peer.same("reason", &reason, &Some(Value::from("expired")));
}

#[tokio::test]
async fn limits_hold_for_a_delayed_message_when_it_is_due() {
    let Some((_broker, mut peer)) = broker().await else { return };
    let (q, dead) = (unique("q"), queue(&mut peer).await);
    let method = declare(&q).flag("exclusive").arg("x-max-length", 1).arg("x-dead-letter-exchange", "");
    peer.call(1, method.arg("x-dead-letter-routing-key", &dead)).await;
    peer.call(1, consume(&dead, "c").flag("no-ack")).await;
    peer.publish(1, delayed("", &q, "later", 40)).await;
    peer.publish(1, delayed("", &q, "much later", 3_600_000)).await;
    peer.publish(1, publish("", &q, "now")).await;
    peer.expect_counts(1, &q, 1, 0).await;
    let letter = peer.expect_delivery(1, "now").await;
    let reason = letter.headers().get("x-first-death-reason").cloned();
    peer.same("reason", &reason, &Some(Value::from("maxlen")));
    peer.expect_get(1, &q, "later").await;
}

#[tokio::test]
async fn where_publishers_are_refused_a_delayed_message_takes_its_room_at_once_and_is_not_lost_when_due() {
    let Some((_broker, mut peer)) = broker().await else { return };
    let (q, dead) = (unique("q"), queue(&mut peer).await);
    let method = declare(&q).flag("exclusive").arg("x-max-length", 2).arg("x-overflow", "reject-publish-dlx");
    let method = method.arg("x-dead-letter-exchange", "").arg("x-dead-letter-routing-key", &dead);
    peer.call(1, method).await;
    peer.call(1, confirm_select()).await;
    peer.publish(1, publish("", &q, "now")).await;
    peer.expect_confirm(1, 1).await;
    peer.publish(1, delayed("", &q, "later", 60)).await;
    peer.expect_confirm(1, 2).await;
    for (tag, content) in [(3, delayed("", &q, "much later", 3_600_000)), (4, publish("", &q, "too many"))] {
        peer.publish(1, content).await;
        let refused = peer.expect(1, "basic.nack").await;
        peer.same("delivery-tag", &refused.number("delivery-tag"), &tag);
    }
    peer.eventually_counts(1, &q, 2, 0).await;
    for body in ["now", "later"] {
        peer.expect_get(1, &q, body).await;
    }
    for body in ["much later", "too many"] {
        peer.expect_get(1, &dead, body).await;
    }
}

#[tokio::test]
async fn the_like_of_a_message_that_is_not_due_is_a_duplicate() {
    let Some((_broker, mut peer)) = broker().await else { return };
    let q = unique("q");
    let method = declare(&q).flag("exclusive").arg("x-message-deduplication", true);
    peer.call(1, method.arg("x-delayed-retry-min", 60)).await;
    peer.call(1, confirm_select()).await;
    peer.publish(1, delayed("", &q, "first", 60).header("x-deduplication-header", "a")).await;
    peer.publish(1, publish("", &q, "second").header("x-deduplication-header", "a")).await;
    peer.expect_confirms(1, 1, 2).await;
    peer.eventually_counts(1, &q, 1, 0).await;
    let first = peer.expect_get(1, &q, "first").await;
    // It comes back, and waits again.
    peer.send(1, nack(first.delivery_tag()).flag("requeue")).await;
    peer.publish(1, delayed("", &q, "third", 3_600_000).header("x-deduplication-header", "a")).await;
    peer.expect_confirm(1, 3).await;
    peer.eventually_counts(1, &q, 1, 0).await;
    peer.expect_get(1, &q, "first").await;
    let purged = peer.call(1, purge(&q)).await;
    peer.same("purged", &purged.number("message-count"), &0);
}

#[tokio::test]
async fn a_delayed_exchange_routes_as_the_type_that_it_names() {
    let Some((_broker, mut peer)) = broker().await else { return };
    let (x, q) = (unique("x"), queue(&mut peer).await);
    let method = declare_exchange(&x, "x-delayed-message").flag("auto-delete");
    peer.call(1, method.arg("x-delayed-type", "topic")).await;
    peer.call(1, bind(&q, &x, "a.#")).await;
    peer.call(1, consume(&q, "c").flag("no-ack")).await;
    let sent = Instant::now();
    peer.publish(1, delayed(&x, "a.b.c", "later", 50)).await;
    peer.publish(1, publish(&x, "b", "elsewhere")).await;
    peer.publish(1, publish(&x, "a", "now")).await;
    peer.expect_delivery(1, "now").await;
    peer.expect_delivery(1, "later").await;
    assert!(sent.elapsed().as_millis() + 1 >= 50, "{:?}", sent.elapsed());
}

#[tokio::test]
async fn a_delayed_exchange_must_name_a_type_that_there_is() {
    let Some((_broker, mut peer)) = broker().await else { return };
    let missing =
        "PRECONDITION_FAILED - Invalid argument, 'x-delayed-type' must be an existing exchange type";
    let method = || declare_exchange("delays", "x-delayed-message");
    let unknown = "PRECONDITION_FAILED - unknown exchange type 'nonsense'";
    let cases = [
        (method(), missing),
        (method().arg("x-delayed-type", 5), missing),
        (method().arg("x-delayed-type", "x-delayed-message"), missing),
        (method().arg("x-delayed-type", "nonsense"), unknown),
    ];
    for (method, text) in cases {
        peer.expect_refusal(1, method, 406, text).await;
    }
}
