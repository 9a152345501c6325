//! Dead messages whose letters must arrive: they are there after a kill, dead of what they had died of.

use std::collections::BTreeMap;

use tempfile::TempDir;

use crate::binary::Binary;
use crate::messages::persistent;
use crate::support::*;

const REASONS: [&str; 3] = ["delivery_limit", "expired", "rejected"];

async fn declare_queues(peer: &mut Peer) {
    let method =
        declare("q").flag("durable").arg("x-queue-type", "quorum").arg("x-overflow", "reject-publish");
    let method = method.arg("x-dead-letter-exchange", "").arg("x-dead-letter-routing-key", "dead");
    peer.call(1, method.arg("x-dead-letter-strategy", "at-least-once").arg("x-delivery-limit", 0)).await;
    let narrow = declare("dead").flag("durable").arg("x-max-length", 1);
    peer.call(1, narrow.arg("x-overflow", "reject-publish")).await;
}

/// One message dies of each reason, one lives on, and all of it is in the log.
async fn die(peer: &mut Peer) {
    peer.call(1, confirm_select()).await;
    peer.publish(1, persistent("", "dead", "in the way")).await;
    peer.publish(1, persistent("", "q", "expired").property("expiration", "1")).await;
    peer.expect_confirms(1, 1, 2).await;
    peer.eventually_counts(1, "q", 0, 0).await;
    for (tag, body) in [(3, "rejected"), (4, "delivery_limit")] {
        peer.publish(1, persistent("", "q", body)).await;
        peer.expect_confirm(1, tag).await;
        let got = peer.expect_get(1, "q", body).await;
        let nack = nack(got.delivery_tag());
        peer.send(1, if body == "rejected" { nack } else { nack.flag("requeue") }).await;
    }
    peer.publish(1, persistent("", "q", "living")).await;
    peer.expect_confirm(1, 5).await;
}

/// Takes the letters out: how many there are of each body, which names the reason.
async fn letters(peer: &mut Peer, count: usize) -> BTreeMap<String, usize> {
    peer.call(1, consume("dead", "c").flag("no-ack")).await;
    peer.expect_delivery(1, "in the way").await;
    let mut letters = BTreeMap::new();
    while letters.len() < count {
        let letter = peer.expect_content(1, "basic.deliver").await;
        let body = String::from_utf8(letter.body.clone()).unwrap();
        let reason = letter.headers().get("x-last-death-reason").cloned();
        peer.same("reason", &reason, &Some(Value::from(&body)));
        *letters.entry(body).or_default() += 1;
    }
    letters
}

#[tokio::test]
async fn dead_messages_are_there_after_kills_and_dead_of_the_same() {
    let dir = TempDir::new().unwrap();
    let broker = Binary::start(&dir);
    let mut peer = broker.channel().await;
    declare_queues(&mut peer).await;
    die(&mut peer).await;
    broker.kill();

    // Nobody takes what is in the way, and nothing is lost for it.
    let broker = Binary::start(&dir);
    let mut peer = broker.channel().await;
    peer.eventually_counts(1, "q", 1, 0).await;
    broker.kill();

    let broker = Binary::start(&dir);
    let mut peer = broker.channel().await;
    let letters = letters(&mut peer, REASONS.len()).await;
    assert_eq!(letters, REASONS.map(|reason| (reason.to_owned(), 1)).into());
    peer.eventually_counts(1, "q", 1, 0).await;
    peer.expect_get(1, "q", "living").await;
    broker.terminate();
}

#[tokio::test]
async fn a_letter_that_has_arrived_is_in_one_queue_only_after_a_kill() {
    let dir = TempDir::new().unwrap();
    let broker = Binary::start(&dir);
    let mut peer = broker.channel().await;
    declare_queues(&mut peer).await;
    die(&mut peer).await;
    letters(&mut peer, REASONS.len()).await;
    // In the log behind what became of them.
    peer.publish(1, persistent("", "q", "later")).await;
    peer.expect_confirm(1, 6).await;
    broker.kill();

    let broker = Binary::start(&dir);
    let mut peer = broker.channel().await;
    for body in ["living", "later"] {
        peer.expect_get(1, "q", body).await;
    }
    peer.expect_empty(1, "q").await;
    peer.expect_empty(1, "dead").await;
}
