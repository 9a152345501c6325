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
