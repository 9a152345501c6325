//! Queues that an operator has paused: what goes on, and what waits.

use lepus::broker::{Broker as Administered, Session};
use lepus::id::ConnectionId;
use lepus::name::Name;
use std::sync::Arc;

use crate::support::*;

/// Pauses a queue, or lets it go on, as an operator does.
fn pause(inner: &Arc<Administered>, queue: &str, is_paused: bool) {
    let vhost = inner.vhost("/").unwrap();
    let session = Session::of_broker(vhost, Arc::clone(&inner.authority.accounts));
    assert_ne!(session.connection, ConnectionId::new(1), "it is nobody's connection");
    session.pause_queue(&Name::from(queue), is_paused, inner.clock.now()).unwrap();
}

#[tokio::test]
async fn a_paused_queue_takes_messages_in_and_gives_none_out_until_it_goes_on() {
    let Some((broker, inner)) = Broker::start_administered().await else { return };
    let mut peer = broker.channel().await;
    peer.call(1, declare("q")).await;
    peer.call(1, confirm_select()).await;
    pause(&inner, "q", true);
    peer.call(1, consume("q", "c")).await;
    for tag in 1..=2 {
        peer.publish(1, publish("", "q", &format!("m{tag}"))).await;
        peer.expect_confirm(1, tag).await;
    }
    peer.expect_counts(1, "q", 2, 1).await;
    peer.expect_empty(1, "q").await;
    pause(&inner, "q", false);
    peer.expect_delivery(1, "m1").await;
    peer.expect_delivery(1, "m2").await;
}

#[tokio::test]
async fn leases_of_a_paused_queue_end_as_always_and_what_comes_back_waits_at_its_place() {
    let Some((broker, inner)) = Broker::start_administered().await else { return };
    let mut peer = broker.channel().await;
    peer.call(1, declare("q")).await;
    for body in ["a", "b", "c"] {
        peer.publish(1, publish("", "q", body)).await;
    }
    peer.call(1, qos(2)).await;
    peer.call(1, consume("q", "c")).await;
    let first = peer.expect_delivery(1, "a").await;
    let second = peer.expect_delivery(1, "b").await;
    pause(&inner, "q", true);
    peer.send(1, ack(first.delivery_tag())).await;
    peer.send(1, nack(second.delivery_tag()).flag("requeue")).await;
    peer.expect_counts(1, "q", 2, 1).await;
    pause(&inner, "q", false);
    assert!(peer.expect_delivery(1, "b").await.redelivered());
    peer.expect_delivery(1, "c").await;
}

#[tokio::test]
async fn a_paused_queue_keeps_its_limits_and_can_be_purged_and_deleted() {
    let Some((broker, inner)) = Broker::start_administered().await else { return };
    let mut peer = broker.channel().await;
    peer.call(1, declare("q").arg("x-max-length", 2)).await;
    pause(&inner, "q", true);
    for body in ["a", "b", "c"] {
        peer.publish(1, publish("", "q", body)).await;
    }
    peer.expect_counts(1, "q", 2, 0).await;
    assert_eq!(peer.call(1, purge("q")).await.number("message-count"), 2);
    peer.call(1, delete("q")).await;
    // Another one of its name is not paused.
    peer.call(1, declare("q")).await;
    peer.publish(1, publish("", "q", "d")).await;
    peer.expect_get(1, "q", "d").await;
}
