//! How often a message came back is known after a restart, so that a delivery limit holds over restarts.

use tempfile::TempDir;

use crate::binary::Binary;
use crate::messages::persistent;
use crate::support::*;

fn count(content: &Content) -> Option<Value> {
    content.headers().get("x-delivery-count").cloned()
}

async fn give_back(peer: &mut Peer, times: u64) {
    for _ in 0..times {
        let got = peer.expect_get(1, "q", "m").await;
        peer.send(1, nack(got.delivery_tag()).flag("requeue")).await;
    }
}

#[tokio::test]
async fn delivery_counts_survive_a_stop_and_a_kill() {
    let dir = TempDir::new().unwrap();
    let broker = Binary::start(&dir);
    let mut peer = broker.channel().await;
    let limited = declare("q").flag("durable").arg("x-queue-type", "quorum").arg("x-delivery-limit", 5);
    let limited = limited.arg("x-dead-letter-exchange", "").arg("x-dead-letter-routing-key", "dead");
    peer.call(1, limited).await;
    peer.call(1, declare("dead").flag("durable")).await;
    peer.call(1, confirm_select()).await;
    for body in ["m", "untouched"] {
        peer.publish(1, persistent("", "q", body)).await;
    }
    peer.expect_confirms(1, 1, 2).await;
    give_back(&mut peer, 3).await;
    drop(peer);
    broker.terminate();

    let broker = Binary::start(&dir);
    let mut peer = broker.channel().await;
    let got = peer.expect_get(1, "q", "m").await;
    peer.same("count", &count(&got), &Some(Value::I64(3)));
    // Held when the broker is killed: a confirm says that the log has heard of it.
    peer.call(1, confirm_select()).await;
    peer.publish(1, persistent("", "q", "later")).await;
    peer.expect_confirm(1, 1).await;
    broker.kill();

    let broker = Binary::start(&dir);
    let mut peer = broker.channel().await;
    let got = peer.expect_get(1, "q", "m").await;
    peer.same("count", &count(&got), &Some(Value::I64(4)));
    peer.send(1, nack(got.delivery_tag()).flag("requeue")).await;
    give_back(&mut peer, 1).await;
    // Six times is one too many.
    peer.eventually_counts(1, "dead", 1, 0).await;
    let got = peer.expect_get(1, "q", "untouched").await;
    peer.same("redelivered", &got.redelivered(), &true);
    peer.same("count", &count(&got), &None);
}
