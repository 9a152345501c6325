//! Definitions and messages are kept apart: what must be on disk first is, whenever the broker is killed.

use std::time::Duration;

use tempfile::TempDir;
use tokio::time::timeout;

use crate::binary::Binary;
use crate::faulty::FaultyDisk;
use crate::support::*;

/// How long nothing is to come where something may not come yet.
const MOMENT: Duration = Duration::from_millis(50);

fn persistent(queue: &str, body: &str) -> Content {
    publish("", queue, body).property("delivery-mode", 2)
}

/// Publishes one message and waits for its confirm.
async fn confirmed(peer: &mut Peer, channel: u16, queue: &str, body: &str) {
    peer.call(channel, confirm_select()).await;
    peer.publish(channel, persistent(queue, body)).await;
    peer.expect_confirm(channel, 1).await;
}

/// Takes the queue q away by `remove` while definitions cannot be written, kills the broker, and sees that q has come
/// back and keeps what is confirmed.
async fn interrupted(q: Method, remove: impl AsyncFnOnce(&mut Peer)) {
    let Some(disk) = FaultyDisk::new() else { return };
    let dir = TempDir::new().unwrap();
    let broker = Binary::start_on(&dir, |command| disk.put_under(command));
    let mut peer = broker.channel().await;
    peer.call(1, q).await;
    peer.call(1, declare("other").flag("durable")).await;
    disk.ask("hold-meta");
    remove(&mut peer).await;
    let mut other = broker.channel().await;
    until(&mut other, "q", false).await;
    // The log goes on meanwhile: whatever it was told before is on disk with this.
    other.open(2).await;
    confirmed(&mut other, 2, "other", "after").await;
    broker.kill();
    disk.relent("hold-meta");

    let broker = Binary::start(&dir);
    let mut peer = broker.channel().await;
    peer.call(1, passive("q")).await;
    confirmed(&mut peer, 1, "q", "kept").await;
    broker.kill();

    let broker = Binary::start(&dir);
    let mut peer = broker.channel().await;
    peer.expect_get(1, "other", "after").await;
    peer.expect_get(1, "q", "kept").await;
}

/// Publishes until it is routed to the queue, or returned.
async fn until(peer: &mut Peer, queue: &str, is_there: bool) {
    peer.call(1, confirm_select()).await;
    for tag in 1..100_000 {
        peer.publish(1, publish("", queue, "").flag("mandatory")).await;
        let is_returned = peer.expect_method(1).await.name == "basic.return";
        if is_returned {
            // Its header; the body is empty.
            peer.expect_frame().await;
            peer.expect_confirm(1, tag).await;
        }
        if is_there != is_returned {
            return;
        }
    }
    peer.fail("the queue does not change");
}

#[tokio::test]
async fn a_queue_whose_deletion_was_cut_off_comes_back_and_keeps_what_is_confirmed() {
    let q = declare("q").flag("durable");
    interrupted(q, async |peer| peer.send(1, delete("q")).await).await;
}

#[tokio::test]
async fn so_does_one_that_went_with_its_last_consumer() {
    let q = declare("q").flag("durable").flag("auto-delete");
    interrupted(q, async |peer| {
        peer.call(1, consume("q", "c")).await;
        peer.send(1, cancel("c")).await;
    })
    .await;
}

#[tokio::test]
async fn a_confirm_waits_for_the_definition_of_the_queue() {
    let Some(disk) = FaultyDisk::new() else { return };
    let dir = TempDir::new().unwrap();
    let broker = Binary::start_on(&dir, |command| disk.put_under(command));
    let mut declarer = broker.channel().await;
    declarer.call(1, declare("settled").flag("durable")).await;
    disk.ask("hold-meta");
    declarer.send(1, declare("q").flag("durable")).await;
    let mut publisher = broker.channel().await;
    until(&mut publisher, "q", true).await;
    publisher.open(2).await;
    publisher.call(2, confirm_select()).await;
    publisher.publish(2, persistent("q", "early")).await;
    let mut transaction = broker.channel().await;
    transaction.call(1, tx_select()).await;
    transaction.publish(1, persistent("q", "committed")).await;
    transaction.send(1, commit()).await;
    // Nobody else waits: the log is on disk with this.
    confirmed(&mut broker.channel().await, 1, "settled", "meanwhile").await;
    for peer in [&mut publisher, &mut transaction, &mut declarer] {
        // It may miss what comes later; it never fails for nothing.
        assert!(timeout(MOMENT, peer.expect_frame()).await.is_err(), "answered too early");
    }

    disk.relent("hold-meta");
    publisher.expect_confirm(2, 1).await;
    transaction.expect(1, "tx.commit-ok").await;
    declarer.expect(1, "queue.declare-ok").await;
    // Once it is on disk nothing is waited for any more.
    disk.ask("hold-meta");
    publisher.publish(2, persistent("q", "late")).await;
    publisher.expect_confirm(2, 2).await;
    disk.relent("hold-meta");
}

/// A queue whose dead letters go to q, with one message; q is declared and its definition held back; then `bury` sends
/// the message there.
async fn buried(disk: &FaultyDisk, dir: &TempDir, bury: impl AsyncFnOnce(&mut Peer)) -> (Binary, Peer) {
    let broker = Binary::start_on(dir, |command| disk.put_under(command));
    let mut declarer = broker.channel().await;
    declarer.call(1, declare("settled").flag("durable")).await;
    let source = declare("source").flag("durable").arg("x-dead-letter-exchange", "");
    declarer.call(1, source.arg("x-dead-letter-routing-key", "q")).await;
    let mut mortician = broker.channel().await;
    confirmed(&mut mortician, 1, "source", "kept").await;
    disk.ask("hold-meta");
    declarer.send(1, declare("q").flag("durable")).await;
    until(&mut broker.channel().await, "q", true).await;
    bury(&mut mortician).await;
    // Nobody else waits: what the log was told by now is on disk with this.
    confirmed(&mut broker.channel().await, 1, "settled", "meanwhile").await;
    (broker, declarer)
}

/// Rejects the message of the source.
async fn reject_it(peer: &mut Peer) {
    peer.open(2).await;
    peer.expect_get(2, "source", "kept").await;
    peer.send(2, reject(1)).await;
    // Its answer comes after the rejection was carried out.
    peer.call(2, passive("source")).await;
}

#[tokio::test]
async fn a_dead_letter_is_kept_where_it_was_until_the_queue_it_goes_to_is_defined() {
    let Some(disk) = FaultyDisk::new() else { return };
    let dir = TempDir::new().unwrap();
    let (broker, _declarer) = buried(&disk, &dir, reject_it).await;
    broker.kill();
    disk.relent("hold-meta");
    let broker = Binary::start(&dir);
    broker.channel().await.expect_get(1, "source", "kept").await;
}

#[tokio::test]
async fn and_is_gone_from_there_afterwards() {
    let Some(disk) = FaultyDisk::new() else { return };
    let dir = TempDir::new().unwrap();
    let (broker, mut declarer) = buried(&disk, &dir, reject_it).await;
    disk.relent("hold-meta");
    declarer.expect(1, "queue.declare-ok").await;
    confirmed(&mut declarer, 1, "settled", "afterwards").await;
    broker.kill();
    let broker = Binary::start(&dir);
    let mut peer = broker.channel().await;
    peer.expect_empty(1, "source").await;
    peer.expect_get(1, "q", "kept").await;
}

#[tokio::test]
async fn a_transaction_with_a_queue_that_is_not_defined_holds_as_a_whole_or_not_at_all() {
    let Some(disk) = FaultyDisk::new() else { return };
    let dir = TempDir::new().unwrap();
    let (broker, _declarer) = buried(&disk, &dir, async |peer| {
        peer.open(2).await;
        peer.call(2, tx_select()).await;
        peer.expect_get(2, "source", "kept").await;
        peer.send(2, ack(1)).await;
        peer.publish(2, persistent("q", "moved")).await;
        peer.send(2, commit()).await;
        // It may miss what comes later; it never fails for nothing.
        assert!(timeout(MOMENT, peer.expect_frame()).await.is_err(), "answered too early");
    })
    .await;
    broker.kill();
    disk.relent("hold-meta");
    let broker = Binary::start(&dir);
    broker.channel().await.expect_get(1, "source", "kept").await;
}
