//! tx: publications and acks that count on commit.

use crate::support::*;

async fn queue(peer: &mut Peer) -> String {
    let q = unique("q");
    peer.call(1, declare(&q).flag("exclusive")).await;
    q
}

#[tokio::test]
async fn publications_are_seen_after_commit() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    let q = queue(&mut peer).await;
    peer.call(1, tx_select()).await;
    peer.publish(1, publish("", &q, "a")).await;
    peer.publish(1, publish("", &q, "b")).await;
    peer.expect_empty(1, &q).await;
    peer.call(1, commit()).await;
    peer.expect_get(1, &q, "a").await;
    peer.expect_get(1, &q, "b").await;
    peer.expect_empty(1, &q).await;
}

#[tokio::test]
async fn rollback_forgets_publications() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    let q = queue(&mut peer).await;
    peer.call(1, tx_select()).await;
    peer.publish(1, publish("", &q, "a")).await;
    peer.call(1, rollback()).await;
    peer.call(1, commit()).await;
    peer.expect_empty(1, &q).await;
    // The channel stays transactional.
    peer.publish(1, publish("", &q, "b")).await;
    peer.expect_empty(1, &q).await;
    peer.call(1, commit()).await;
    peer.expect_get(1, &q, "b").await;
}

#[tokio::test]
async fn closing_the_channel_forgets_publications() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    let q = queue(&mut peer).await;
    peer.call(1, tx_select()).await;
    peer.publish(1, publish("", &q, "a")).await;
    peer.call(1, close_channel()).await;
    peer.open(1).await;
    peer.expect_empty(1, &q).await;
}

#[tokio::test]
async fn acks_count_on_commit() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    let q = queue(&mut peer).await;
    for body in ["a", "b", "c"] {
        peer.publish(1, publish("", &q, body)).await;
    }
    peer.call(1, tx_select()).await;
    peer.expect_get(1, &q, "a").await;
    peer.expect_get(1, &q, "b").await;
    peer.send(1, ack(1)).await;
    peer.call(1, commit()).await;
    peer.send(1, ack(2)).await;
    peer.call(1, close_channel()).await;
    peer.open(1).await;
    // The second ack was not committed.
    peer.expect_get(1, &q, "b").await;
    peer.expect_get(1, &q, "c").await;
    peer.expect_empty(1, &q).await;
}

#[tokio::test]
async fn rollback_returns_acks_to_unacked() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    let q = queue(&mut peer).await;
    peer.publish(1, publish("", &q, "a")).await;
    peer.call(1, tx_select()).await;
    peer.expect_get(1, &q, "a").await;
    peer.send(1, ack(1)).await;
    peer.call(1, rollback()).await;
    // It is neither gone nor ready: the tag stands.
    peer.expect_empty(1, &q).await;
    peer.send(1, ack(1)).await;
    peer.call(1, commit()).await;
    peer.call(1, recover()).await;
    peer.expect_empty(1, &q).await;
}

#[tokio::test]
async fn nack_and_reject_count_on_commit() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    let q = queue(&mut peer).await;
    peer.publish(1, publish("", &q, "a")).await;
    peer.publish(1, publish("", &q, "b")).await;
    peer.call(1, tx_select()).await;
    peer.expect_get(1, &q, "a").await;
    peer.expect_get(1, &q, "b").await;
    peer.send(1, nack(1).flag("requeue")).await;
    peer.send(1, reject(2).flag("requeue")).await;
    peer.expect_empty(1, &q).await;
    peer.call(1, commit()).await;
    peer.expect_get(1, &q, "a").await;
    peer.expect_get(1, &q, "b").await;
}

#[tokio::test]
async fn an_unknown_tag_is_refused_before_commit() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    peer.call(1, tx_select()).await;
    peer.expect_soft_error(1, ack(5), 406, "PRECONDITION_FAILED - unknown delivery tag 5").await;
}

#[tokio::test]
async fn returns_come_before_commit_ok() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    peer.call(1, tx_select()).await;
    peer.publish(1, publish("", &unique("nobody"), "a").flag("mandatory")).await;
    peer.send(1, commit()).await;
    peer.expect_return(1, 312, "NO_ROUTE").await;
    peer.expect(1, "tx.commit-ok").await;
}

#[tokio::test]
async fn commit_and_rollback_need_select() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    let text = "PRECONDITION_FAILED - channel is not transactional";
    peer.expect_refusal(1, commit(), 406, text).await;
    peer.expect_refusal(1, rollback(), 406, text).await;
    // Twice is allowed.
    peer.call(1, tx_select()).await;
    peer.call(1, tx_select()).await;
    peer.call(1, rollback()).await;
    peer.call(1, commit()).await;
}

#[tokio::test]
async fn other_channels_are_not_part_of_the_transaction() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    let q = queue(&mut peer).await;
    peer.open(2).await;
    peer.call(1, tx_select()).await;
    peer.publish(1, publish("", &q, "held")).await;
    peer.publish(2, publish("", &q, "free")).await;
    peer.expect_get(2, &q, "free").await;
    peer.call(1, rollback()).await;
    peer.expect_empty(2, &q).await;
}

#[tokio::test]
async fn a_message_that_expires_in_the_transaction_counts_from_commit() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    let q = unique("q");
    peer.call(1, declare(&q).flag("exclusive").arg("x-message-ttl", 60_000)).await;
    peer.call(1, tx_select()).await;
    peer.publish(1, publish("", &q, "a")).await;
    peer.call(1, commit()).await;
    peer.expect_get(1, &q, "a").await;
}

#[tokio::test]
async fn a_publication_behind_a_pending_commit_is_in_the_next_transaction_or_504() {
    let broker = Broker::start().await;
    let mut other = broker.channel().await;
    let mut peer = broker.channel().await;
    let q = unique("q");
    other.call(1, declare(&q).flag("durable")).await;
    peer.call(1, tx_select()).await;
    peer.publish(1, publish("", &q, "first").property("delivery-mode", 2)).await;
    peer.send(1, commit()).await;
    peer.publish(1, publish("", &q, "second").property("delivery-mode", 2)).await;
    peer.send(1, rollback()).await;
    // RabbitMQ: 504 while the commit waits for the disk, else as if one after the other.
    let frame = peer.expect_frame().await;
    let answer = Method::decode(&frame.payload).unwrap();
    if answer.name == "tx.commit-ok" {
        peer.expect(1, "tx.rollback-ok").await;
    } else {
        peer.same("reply-code", &answer.number("reply-code"), &504);
    }
    // Whatever became of the channel, the first is there and the second is not.
    other.call(1, consume(&q, "c").flag("no-ack")).await;
    other.expect_delivery(1, "first").await;
    other.expect_counts(1, &q, 0, 1).await;
    other.call(1, cancel("c")).await;
    other.call(1, delete(&q)).await;
}
