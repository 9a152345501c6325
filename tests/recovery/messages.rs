//! Messages: what was confirmed is there, what was settled is gone.

use tempfile::TempDir;

use crate::binary::Binary;
use crate::support::*;

pub(crate) fn persistent(exchange: &str, key: &str, body: &str) -> Content {
    publish(exchange, key, body).property("delivery-mode", 2)
}

/// Publishes and waits for the confirm; the channel is in confirm mode.
pub(crate) async fn confirmed(peer: &mut Peer, queue: &str, bodies: &[&str]) {
    peer.call(1, confirm_select()).await;
    for body in bodies {
        peer.publish(1, persistent("", queue, body)).await;
    }
    peer.expect_confirms(1, 1, bodies.len() as u64).await;
}

#[tokio::test]
async fn confirmed_messages_are_there_in_order_after_a_kill() {
    let dir = TempDir::new().unwrap();
    let broker = Binary::start(&dir);
    let mut peer = broker.channel().await;
    peer.call(1, declare("q").flag("durable")).await;
    let large = "x".repeat(1 << 20);
    confirmed(&mut peer, "q", &["one", "two", &large, "four"]).await;
    broker.kill();

    let broker = Binary::start(&dir);
    let mut peer = broker.channel().await;
    peer.expect_counts(1, "q", 4, 0).await;
    for body in ["one", "two", &large, "four"] {
        peer.expect_get(1, "q", body).await;
    }
}

#[tokio::test]
async fn properties_and_routing_come_back_as_they_were() {
    let dir = TempDir::new().unwrap();
    let broker = Binary::start(&dir);
    let mut peer = broker.channel().await;
    peer.call(1, declare("q").flag("durable")).await;
    peer.call(1, bind("q", "amq.topic", "a.#")).await;
    peer.call(1, confirm_select()).await;
    let message =
        persistent("amq.topic", "a.b", "body").property("correlation-id", "7").property("priority", 3);
    peer.publish(1, message).await;
    peer.expect_confirm(1, 1).await;
    broker.kill();

    let broker = Binary::start(&dir);
    let mut peer = broker.channel().await;
    let got = peer.expect_get(1, "q", "body").await;
    peer.same("exchange", &got.method.text("exchange"), &"amq.topic".to_owned());
    peer.same("routing-key", &got.method.text("routing-key"), &"a.b".to_owned());
    peer.same("correlation-id", &got.properties.get("correlation-id"), &Some(&Value::from("7")));
}

#[tokio::test]
async fn acknowledged_messages_do_not_come_back_and_unacknowledged_ones_do_marked() {
    let dir = TempDir::new().unwrap();
    let broker = Binary::start(&dir);
    let mut peer = broker.channel().await;
    peer.call(1, declare("q").flag("durable")).await;
    confirmed(&mut peer, "q", &["acked", "held", "waiting"]).await;
    peer.call(1, qos(2)).await;
    peer.call(1, consume("q", "c")).await;
    peer.expect_delivery(1, "acked").await;
    peer.expect_delivery(1, "held").await;
    peer.call(1, cancel("c")).await;
    peer.send(1, ack(1)).await;
    // A confirm that comes after the ack covers it: the log is one.
    peer.publish(1, persistent("", "q", "last")).await;
    peer.expect_confirm(1, 4).await;
    broker.kill();

    let broker = Binary::start(&dir);
    let mut peer = broker.channel().await;
    let held = peer.expect_get(1, "q", "held").await;
    peer.same("redelivered", &held.redelivered(), &true);
    peer.expect_get(1, "q", "waiting").await;
    peer.expect_get(1, "q", "last").await;
    peer.expect_empty(1, "q").await;
}

#[tokio::test]
async fn an_orderly_restart_knows_what_was_delivered() {
    let dir = TempDir::new().unwrap();
    let broker = Binary::start(&dir);
    let mut peer = broker.channel().await;
    peer.call(1, declare("q").flag("durable")).await;
    confirmed(&mut peer, "q", &["delivered", "fresh"]).await;
    peer.expect_get(1, "q", "delivered").await;
    drop(peer);
    broker.terminate();

    let broker = Binary::start(&dir);
    let mut peer = broker.channel().await;
    let delivered = peer.expect_get(1, "q", "delivered").await;
    let fresh = peer.expect_get(1, "q", "fresh").await;
    peer.same("redelivered", &(delivered.redelivered(), fresh.redelivered()), &(true, false));
}

#[tokio::test]
async fn transient_messages_and_those_of_transient_queues_are_gone() {
    let dir = TempDir::new().unwrap();
    let broker = Binary::start(&dir);
    let mut peer = broker.channel().await;
    peer.call(1, declare("q").flag("durable")).await;
    peer.call(1, confirm_select()).await;
    peer.publish(1, publish("", "q", "transient")).await;
    peer.publish(1, persistent("", "q", "persistent")).await;
    peer.expect_confirms(1, 1, 2).await;
    broker.kill();

    let broker = Binary::start(&dir);
    let mut peer = broker.channel().await;
    peer.expect_get(1, "q", "persistent").await;
    peer.expect_empty(1, "q").await;
}

#[tokio::test]
async fn every_queue_of_a_fanout_has_its_own_copy_after_a_kill() {
    let dir = TempDir::new().unwrap();
    let broker = Binary::start(&dir);
    let mut peer = broker.channel().await;
    for queue in ["mail", "sms", "audit"] {
        peer.call(1, declare(queue).flag("durable")).await;
        peer.call(1, bind(queue, "amq.fanout", "")).await;
    }
    peer.call(1, confirm_select()).await;
    peer.publish(1, persistent("amq.fanout", "", "registered")).await;
    peer.expect_confirm(1, 1).await;
    peer.expect_get(1, "sms", "registered").await;
    peer.send(1, ack(1)).await;
    peer.publish(1, persistent("amq.fanout", "", "again")).await;
    peer.expect_confirm(1, 2).await;
    broker.kill();

    let broker = Binary::start(&dir);
    let mut peer = broker.channel().await;
    peer.expect_get(1, "sms", "again").await;
    peer.expect_empty(1, "sms").await;
    for queue in ["mail", "audit"] {
        peer.expect_get(1, queue, "registered").await;
        peer.expect_get(1, queue, "again").await;
    }
}

#[tokio::test]
async fn a_committed_transaction_holds_after_a_kill_and_an_open_one_does_not() {
    let dir = TempDir::new().unwrap();
    let broker = Binary::start(&dir);
    let mut peer = broker.channel().await;
    for queue in ["from", "to"] {
        peer.call(1, declare(queue).flag("durable")).await;
    }
    confirmed(&mut peer, "from", &["moved", "stays"]).await;
    let mut mover = broker.channel().await;
    mover.call(1, tx_select()).await;
    mover.expect_get(1, "from", "moved").await;
    mover.send(1, ack(1)).await;
    mover.publish(1, persistent("", "to", "moved")).await;
    mover.call(1, commit()).await;
    mover.expect_get(1, "from", "stays").await;
    mover.send(1, ack(2)).await;
    mover.publish(1, persistent("", "to", "stays")).await;
    broker.kill();

    let broker = Binary::start(&dir);
    let mut peer = broker.channel().await;
    peer.expect_get(1, "to", "moved").await;
    peer.expect_empty(1, "to").await;
    peer.expect_get(1, "from", "stays").await;
    peer.expect_empty(1, "from").await;
}

#[tokio::test]
async fn purged_rejected_and_dead_lettered_messages_stay_where_they_went() {
    let dir = TempDir::new().unwrap();
    let broker = Binary::start(&dir);
    let mut peer = broker.channel().await;
    let work = declare("work").flag("durable").arg("x-dead-letter-exchange", "");
    peer.call(1, work.arg("x-dead-letter-routing-key", "dead")).await;
    for queue in ["dead", "purged"] {
        peer.call(1, declare(queue).flag("durable")).await;
    }
    peer.call(1, confirm_select()).await;
    peer.publish(1, persistent("", "work", "rejected")).await;
    peer.publish(1, persistent("", "purged", "gone")).await;
    peer.expect_confirms(1, 1, 2).await;
    peer.expect_get(1, "work", "rejected").await;
    peer.send(1, reject(1)).await;
    peer.call(1, purge("purged")).await;
    peer.publish(1, persistent("", "work", "covers what came before")).await;
    peer.expect_confirm(1, 3).await;
    broker.kill();

    let broker = Binary::start(&dir);
    let mut peer = broker.channel().await;
    peer.expect_get(1, "dead", "rejected").await;
    peer.expect_empty(1, "purged").await;
    peer.expect_get(1, "work", "covers what came before").await;
    peer.expect_empty(1, "work").await;
}

#[tokio::test]
async fn a_quorum_queue_keeps_every_message_that_it_confirmed() {
    let dir = TempDir::new().unwrap();
    let broker = Binary::start(&dir);
    let mut peer = broker.channel().await;
    peer.call(1, declare("q").flag("durable").arg("x-queue-type", "quorum")).await;
    peer.call(1, declare("classic").flag("durable")).await;
    peer.call(1, confirm_select()).await;
    for queue in ["q", "classic"] {
        peer.publish(1, publish("", queue, "not persistent")).await;
        peer.publish(1, persistent("", queue, "persistent")).await;
    }
    peer.publish(1, publish("", "q", "later").header("x-delay", 1)).await;
    peer.expect_confirms(1, 1, 5).await;
    broker.kill();

    let broker = Binary::start(&dir);
    let mut peer = broker.channel().await;
    peer.expect_get(1, "q", "not persistent").await;
    peer.expect_get(1, "q", "persistent").await;
    peer.expect_get(1, "q", "later").await;
    peer.expect_get(1, "classic", "persistent").await;
    peer.expect_empty(1, "classic").await;
}

#[tokio::test]
async fn what_was_purged_is_gone_once_that_is_answered() {
    let dir = TempDir::new().unwrap();
    for round in 0..5 {
        let broker = Binary::start(&dir);
        let mut peer = broker.channel().await;
        peer.call(1, declare("q").flag("durable")).await;
        peer.expect_empty(1, "q").await;
        confirmed(&mut peer, "q", &["a", "b", "c"]).await;
        peer.send(1, purge("q")).await;
        let answer = peer.expect(1, "queue.purge-ok").await;
        assert_eq!(answer.number("message-count"), 3, "round {round}");
        broker.kill();
    }
    let broker = Binary::start(&dir);
    broker.channel().await.expect_empty(1, "q").await;
}

#[tokio::test]
async fn a_message_that_expired_while_the_broker_was_down_is_not_delivered() {
    let dir = TempDir::new().unwrap();
    let broker = Binary::start(&dir);
    let mut peer = broker.channel().await;
    peer.call(1, declare("q").flag("durable")).await;
    peer.call(1, confirm_select()).await;
    // Its time is over before any restart can be.
    peer.publish(1, persistent("", "q", "late").property("expiration", "1")).await;
    peer.publish(1, persistent("", "q", "in time").property("expiration", "600000")).await;
    peer.expect_confirms(1, 1, 2).await;
    broker.kill();

    let broker = Binary::start(&dir);
    let mut peer = broker.channel().await;
    peer.expect_get(1, "q", "in time").await;
}

#[tokio::test]
async fn a_quorum_queue_knows_priorities_after_a_kill() {
    let dir = TempDir::new().unwrap();
    let broker = Binary::start(&dir);
    let mut peer = broker.channel().await;
    peer.call(1, declare("q").flag("durable").arg("x-queue-type", "quorum")).await;
    peer.call(1, confirm_select()).await;
    for (body, priority) in [("n1", 0), ("n2", 4), ("h1", 5), ("h2", 255), ("h3", 9)] {
        peer.publish(1, persistent("", "q", body).property("priority", Value::U8(priority))).await;
    }
    peer.expect_confirms(1, 1, 5).await;
    broker.kill();

    let broker = Binary::start(&dir);
    let mut peer = broker.channel().await;
    for body in ["h1", "h2", "n1", "h3", "n2"] {
        peer.expect_get(1, "q", body).await;
    }
    peer.expect_empty(1, "q").await;
}
