//! What an error closes: a soft one the channel, a hard one the connection, and nothing else.

use crate::support::*;

const MISSING: &str = "NOT_FOUND - no queue 'nobody-has-this' in vhost '/'";

#[tokio::test]
async fn after_a_soft_error_the_channel_ignores_everything_until_close_ok() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    let q = unique("q");
    peer.call(1, declare(&q).flag("exclusive")).await;
    peer.send(1, passive("nobody-has-this")).await;
    // Under way when the error is found: a publication, a request, another error.
    peer.publish(1, publish("", &q, "ignored")).await;
    peer.send(1, declare(&q).flag("exclusive")).await;
    peer.send(1, ack(99)).await;
    peer.expect_channel_close(1, 404, MISSING, (50, 10)).await;
    peer.open(1).await;
    peer.expect_empty(1, &q).await;
}

#[tokio::test]
async fn a_close_that_crosses_a_close_is_answered() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    peer.send(1, passive("nobody-has-this")).await;
    peer.send(1, close_channel()).await;
    peer.expect(1, "channel.close").await;
    peer.expect(1, "channel.close-ok").await;
    peer.send(1, Method::new("channel.close-ok")).await;
    peer.open(1).await;
}

#[tokio::test]
async fn a_soft_error_leaves_other_channels_alone() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    let q = unique("q");
    peer.open(2).await;
    peer.call(2, declare(&q).flag("exclusive")).await;
    peer.call(2, consume(&q, "c")).await;
    peer.expect_soft_error(1, passive("nobody-has-this"), 404, MISSING).await;
    peer.publish(2, publish("", &q, "hello")).await;
    peer.expect_delivery(2, "hello").await;
}

#[tokio::test]
async fn a_hard_error_leaves_other_connections_alone() {
    let broker = Broker::start().await;
    let mut other = broker.channel().await;
    let mut peer = broker.channel().await;
    let text = "NOT_IMPLEMENTED - requeue=false";
    peer.expect_hard_error(1, Method::new("basic.recover"), 540, text).await;
    other.call(1, qos(0)).await;
}

#[tokio::test]
async fn after_a_hard_error_the_connection_ignores_everything_until_close_ok() {
    let broker = Broker::start().await;
    let mut other = broker.channel().await;
    let mut peer = broker.channel().await;
    let q = unique("q");
    peer.open(2).await;
    peer.send(1, Method::new("basic.recover")).await;
    peer.send(2, declare(&q)).await;
    // The other channel may have been served before the error was found; nothing is after it.
    loop {
        let frame = peer.expect_frame().await;
        if frame.channel == 0 {
            break;
        }
    }
    peer.send(2, declare(&q)).await;
    peer.publish(2, publish("", &q, "ignored")).await;
    peer.send(0, Method::new("connection.close-ok")).await;
    peer.expect_eof().await;
    other.call(1, delete(&q)).await;
}

#[tokio::test]
async fn a_hard_error_requeues_and_ends_exclusive_queues() {
    let broker = Broker::start().await;
    let mut other = broker.channel().await;
    let mut peer = broker.channel().await;
    let (shared, own) = (unique("shared"), unique("own"));
    peer.call(1, declare(&shared).flag("durable")).await;
    peer.call(1, declare(&own).flag("exclusive")).await;
    peer.publish(1, publish("", &shared, "m")).await;
    peer.expect_get(1, &shared, "m").await;
    let text = "NOT_IMPLEMENTED - requeue=false";
    peer.expect_hard_error(1, Method::new("basic.recover"), 540, text).await;
    let got = other.expect_get(1, &shared, "m").await;
    other.same("redelivered", &got.redelivered(), &true);
    other.call(1, delete(&shared)).await;
    let text = format!("NOT_FOUND - no queue '{own}' in vhost '/'");
    other.expect_soft_error(1, passive(&own), 404, &text).await;
}

#[tokio::test]
async fn long_texts_end_in_dots_at_255_octets() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    let q = "x".repeat(250);
    let text = format!("NOT_FOUND - no queue '{q}' in vhost '/'");
    let cut = format!("{}...", &text[..252]);
    peer.expect_soft_error(1, passive(&q), 404, &cut).await;
}

#[tokio::test]
async fn shutdown_closes_connections_with_320() {
    let Some(broker) = Broker::start_with(|_| {}).await else { return };
    let mut peer = broker.channel().await;
    let stopping = broker.shutdown();
    let dialogue = async {
        let close = peer.expect(0, "connection.close").await;
        peer.same("reply-code", &close.number("reply-code"), &320);
        let text = close.text("reply-text");
        assert!(text.starts_with("CONNECTION_FORCED - "), "{text}");
        peer.send(0, Method::new("connection.close-ok")).await;
        peer.expect_eof().await;
    };
    tokio::join!(stopping, dialogue);
}
