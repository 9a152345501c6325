//! queue.declare, purge, delete.

use crate::support::*;

#[tokio::test]
async fn declare_answers_with_name_and_counts() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    let q = unique("q");
    let ok = peer.call(1, declare(&q).flag("exclusive")).await;
    peer.same("queue", &ok.text("queue"), &q);
}

#[tokio::test]
async fn passive_declare_of_a_missing_queue_is_404() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    peer.expect_refusal(1, passive("missing"), 404, "NOT_FOUND - no queue 'missing' in vhost '/'").await;
}
