//! Exchanges, queues and bindings.

use tempfile::TempDir;

use crate::binary::Binary;
use crate::support::*;

#[tokio::test]
async fn a_durable_topology_that_was_answered_is_there_after_a_kill() {
    let dir = TempDir::new().unwrap();
    let broker = Binary::start(&dir);
    let mut peer = broker.channel().await;
    peer.call(1, declare_exchange("logs", "topic").flag("durable")).await;
    peer.call(1, declare_exchange("errors", "fanout").flag("durable").arg("alternate-exchange", "logs"))
        .await;
    peer.call(1, declare("mail").flag("durable").arg("x-max-length", 10)).await;
    peer.call(1, bind_exchange("errors", "logs", "*.error")).await;
    peer.call(1, bind("mail", "errors", "")).await;
    broker.kill();

    let broker = Binary::start(&dir);
    let mut peer = broker.channel().await;
    peer.call(1, declare("mail").flag("durable").arg("x-max-length", 10)).await;
    peer.call(1, declare_exchange("errors", "fanout").flag("passive")).await;
    peer.publish(1, publish("logs", "db.error", "disk full")).await;
    peer.expect_get(1, "mail", "disk full").await;
}

#[tokio::test]
async fn what_is_transient_exclusive_or_deleted_is_gone_after_a_kill() {
    let dir = TempDir::new().unwrap();
    let broker = Binary::start(&dir);
    let mut peer = broker.channel().await;
    peer.call(1, declare("transient")).await;
    peer.call(1, declare("exclusive").flag("durable").flag("exclusive")).await;
    peer.call(1, declare("deleted").flag("durable")).await;
    peer.call(1, declare("bound").flag("durable")).await;
    peer.call(1, bind("bound", "amq.direct", "key")).await;
    peer.call(1, unbind("bound", "amq.direct", "key")).await;
    peer.call(1, delete("deleted")).await;
    broker.kill();

    let broker = Binary::start(&dir);
    let mut peer = broker.channel().await;
    for name in ["transient", "exclusive", "deleted"] {
        let text = format!("NOT_FOUND - no queue '{name}' in vhost '/'");
        peer.expect_refusal(1, passive(name), 404, &text).await;
    }
    peer.publish(1, publish("amq.direct", "key", "lost").flag("mandatory")).await;
    peer.expect_return(1, 312, "NO_ROUTE").await;
}

#[tokio::test]
async fn pipelined_declares_are_answered_in_order_and_all_are_there_after_a_kill() {
    const COUNT: u64 = 500;
    let dir = TempDir::new().unwrap();
    let broker = Binary::start(&dir);
    let mut peer = broker.channel().await;
    for n in 0..COUNT {
        peer.send(1, declare(&format!("q{n}")).flag("durable")).await;
    }
    for n in 0..COUNT {
        let answer = peer.expect(1, "queue.declare-ok").await;
        peer.same("queue", &answer.text("queue"), &format!("q{n}"));
    }
    broker.kill();

    let broker = Binary::start(&dir);
    let mut peer = broker.channel().await;
    for n in 0..COUNT {
        peer.call(1, passive(&format!("q{n}"))).await;
    }
}

/// Publishes under many keys and returns how many messages came to each queue, which is empty then.
async fn spread(peer: &mut Peer, queues: [&str; 3]) -> Vec<u64> {
    for key in 0..60 {
        peer.publish(1, publish("shards", &format!("key-{key}"), "hello")).await;
    }
    let mut counts = Vec::new();
    for queue in queues {
        counts.push(peer.call(1, purge(queue)).await.number("message-count"));
    }
    counts
}

#[tokio::test]
async fn a_consistent_hash_routes_after_a_kill_as_it_did_before() {
    const QUEUES: [&str; 3] = ["one", "two", "three"];
    let dir = TempDir::new().unwrap();
    let broker = Binary::start(&dir);
    let mut peer = broker.channel().await;
    peer.call(1, declare_exchange("shards", "x-consistent-hash").flag("durable")).await;
    for queue in QUEUES {
        peer.call(1, declare(queue).flag("durable")).await;
        peer.call(1, bind(queue, "shards", "1")).await;
    }
    let before = spread(&mut peer, QUEUES).await;
    assert!(before.iter().all(|count| *count > 0), "{before:?}");
    broker.kill();

    let broker = Binary::start(&dir);
    let mut peer = broker.channel().await;
    let after = spread(&mut peer, QUEUES).await;
    peer.same("messages in each queue", &after, &before);
}
