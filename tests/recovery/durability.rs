//! What a confirm waits for, and what happens when the disk does not do what it was asked.

use std::time::Duration;

use lepus::broker::{Durability, DurabilityDeclaration, VhostDeclaration};
use lepus::name::Name;
use tempfile::TempDir;
use tokio::time::timeout;

use crate::accounts::{start, stop};
use crate::binary::Binary;
use crate::faulty::FaultyDisk;
use crate::support::*;

/// How long nothing is to come where something may not come yet.
const MOMENT: Duration = Duration::from_millis(50);

fn persistent(body: &str) -> Content {
    publish("", "q", body).property("delivery-mode", 2)
}

/// A publisher in confirm mode and a channel in a transaction, on the queue q.
async fn publishers(broker: &Binary) -> (Peer, Peer) {
    let (mut publisher, mut transaction) = (broker.channel().await, broker.channel().await);
    publisher.call(1, declare("q").flag("durable")).await;
    publisher.call(1, confirm_select()).await;
    transaction.call(1, tx_select()).await;
    (publisher, transaction)
}

#[tokio::test]
async fn confirms_and_commits_wait_for_the_sync() {
    let Some(disk) = FaultyDisk::new() else { return };
    let dir = TempDir::new().unwrap();
    let broker = Binary::start_on(&dir, |command| disk.put_under(command));
    let (mut publisher, mut transaction) = publishers(&broker).await;
    disk.ask("stall-messages");
    publisher.publish(1, persistent("one")).await;
    transaction.publish(1, persistent("two")).await;
    transaction.send(1, commit()).await;
    for peer in [&mut publisher, &mut transaction] {
        // It may miss what comes later; it never fails for nothing.
        assert!(timeout(MOMENT, peer.expect_frame()).await.is_err(), "answered too early");
    }
    disk.relent("stall-messages");
    publisher.expect_confirm(1, 1).await;
    transaction.expect(1, "tx.commit-ok").await;
}

#[tokio::test]
async fn with_durability_os_they_wait_for_the_write_alone_and_survive_a_kill() {
    let Some(disk) = FaultyDisk::new() else { return };
    let dir = TempDir::new().unwrap();
    let broker = Binary::start_on(&dir, |command| {
        disk.put_under(command);
        command.args(["--durability", "os"]);
    });
    let (mut publisher, mut transaction) = publishers(&broker).await;
    disk.ask("stall-messages");
    publisher.publish(1, persistent("one")).await;
    publisher.expect_confirm(1, 1).await;
    transaction.publish(1, persistent("two")).await;
    transaction.call(1, commit()).await;
    broker.kill();
    disk.relent("stall-messages");

    let broker = Binary::start(&dir);
    let mut peer = broker.channel().await;
    peer.expect_get(1, "q", "one").await;
    peer.expect_get(1, "q", "two").await;
}

#[tokio::test]
async fn what_a_virtual_host_says_of_durability_holds_after_a_restart_whatever_the_server_says() {
    let Some(disk) = FaultyDisk::new() else { return };
    for (of_vhost, of_server, line) in [
        (Durability::Os, "fsync", "confirms in this virtual host wait for the operating system only"),
        (Durability::Fsync, "os", "confirms in this virtual host wait for fsync"),
    ] {
        let dir = TempDir::new().unwrap();
        let app = start(dir.path()).await;
        let durability = DurabilityDeclaration::Is(of_vhost);
        let declaration = VhostDeclaration { durability, ..VhostDeclaration::default() };
        app.broker().put_vhost(&Name::from("/"), declaration).await.unwrap();
        stop(app).await;

        let broker = Binary::start_on(&dir, |command| {
            disk.put_under(command);
            command.args(["--durability", of_server]);
        });
        assert!(broker.greeting.iter().any(|said| said.contains(line)), "{:?}", broker.greeting);
        let (mut publisher, _) = publishers(&broker).await;
        disk.ask("stall-messages");
        publisher.publish(1, persistent("one")).await;
        if of_vhost == Durability::Fsync {
            // It may miss what comes later; it never fails for nothing.
            assert!(timeout(MOMENT, publisher.expect_frame()).await.is_err(), "answered too early");
            disk.relent("stall-messages");
            publisher.expect_confirm(1, 1).await;
        } else {
            publisher.expect_confirm(1, 1).await;
            disk.relent("stall-messages");
        }
    }
}

#[tokio::test]
async fn a_failed_sync_of_the_log_ends_the_process_with_a_line_that_says_so() {
    let Some(disk) = FaultyDisk::new() else { return };
    let dir = TempDir::new().unwrap();
    let broker = Binary::start_on(&dir, |command| disk.put_under(command));
    let (mut publisher, _) = publishers(&broker).await;
    publisher.publish(1, persistent("confirmed")).await;
    publisher.expect_confirm(1, 1).await;
    disk.ask("fail-messages");
    publisher.publish(1, persistent("never confirmed")).await;
    let log = broker.failed();
    let last = log.last().unwrap();
    assert!(last.contains("the log has failed, stopping at once") && last.contains("cannot sync"), "{last}");
    assert_eq!(publisher.expect_abrupt_end().await, None, "and nothing was confirmed");
    disk.relent("fail-messages");

    let broker = Binary::start(&dir);
    broker.channel().await.expect_get(1, "q", "confirmed").await;
}
