//! Direct reply-to: answers without a queue.

use crate::support::*;

const REPLY_TO: &str = "amq.rabbitmq.reply-to";

fn listen() -> Method {
    consume(REPLY_TO, "").flag("no-ack")
}

/// A server's queue, its consumer on channel 2, and the client's request as the server sees it.
async fn request(peer: &mut Peer) -> (String, Content) {
    let q = unique("server");
    peer.open(2).await;
    peer.call(2, declare(&q).flag("exclusive")).await;
    peer.call(2, consume(&q, "server").flag("no-ack")).await;
    peer.publish(1, publish("", &q, "ping").property("reply-to", REPLY_TO)).await;
    let request = peer.expect_delivery(2, "ping").await;
    (request.properties.get("reply-to").unwrap().text(), request)
}

#[tokio::test]
async fn a_reply_goes_to_the_channel_that_asked() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    let tag = peer.call(1, listen()).await.text("consumer-tag");
    let (address, _) = request(&mut peer).await;
    assert!(address.starts_with("amq.rabbitmq.reply-to."), "{address}");
    let mut server = broker.channel().await;
    server.publish(1, publish("", &address, "pong").property("correlation-id", "7")).await;
    let reply = peer.expect_delivery(1, "pong").await;
    peer.same("consumer-tag", &reply.method.text("consumer-tag"), &tag);
    peer.same("routing-key", &reply.method.text("routing-key"), &address);
    peer.same("exchange", &reply.method.text("exchange").as_str(), &"");
    peer.same("redelivered", &reply.redelivered(), &false);
    peer.same("correlation-id", &reply.properties.get("correlation-id"), &Some(&Value::from("7")));
}

#[tokio::test]
async fn replies_are_confirmed() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    peer.call(1, listen()).await;
    let (address, _) = request(&mut peer).await;
    let mut server = broker.channel().await;
    server.call(1, confirm_select()).await;
    server.publish(1, publish("", &address, "pong")).await;
    server.expect_confirm(1, 1).await;
    peer.expect_delivery(1, "pong").await;
}

#[tokio::test]
async fn a_mandatory_reply_that_is_delivered_is_not_returned() {
    // RabbitMQ 3.10: it is returned as well, although it arrived; releases that route replies to a queue do not.
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    peer.call(1, listen()).await;
    let (address, _) = request(&mut peer).await;
    let mut server = broker.channel().await;
    if broker.is_rabbitmq_3() {
        return;
    }
    server.publish(1, publish("", &address, "pong").flag("mandatory")).await;
    peer.expect_delivery(1, "pong").await;
    // The next answer is not a return.
    server.call(1, qos(1)).await;
}

#[tokio::test]
async fn a_reply_address_can_be_probed() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    peer.call(1, listen()).await;
    let (address, _) = request(&mut peer).await;
    let mut server = broker.channel().await;
    server.call(1, passive(&address)).await;
    // As its name stands, it is there for everyone.
    server.call(1, passive(REPLY_TO)).await;
    peer.call(1, close_channel()).await;
    let text = format!("NOT_FOUND - no queue '{address}' in vhost '/'");
    server.expect_soft_error(1, passive(&address), 404, &text).await;
}

#[tokio::test]
async fn a_reply_to_nobody_comes_back() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    let mut server = broker.channel().await;
    peer.call(1, listen()).await;
    let (address, _) = request(&mut peer).await;
    peer.call(1, close_channel()).await;
    server.publish(1, publish("", &address, "pong").flag("mandatory")).await;
    server.expect_return(1, 312, "NO_ROUTE").await;
}

#[tokio::test]
async fn asking_without_a_reply_consumer_is_406() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    let text = "PRECONDITION_FAILED - fast reply consumer does not exist";
    peer.publish(1, publish("", "k", "ping").property("reply-to", REPLY_TO)).await;
    peer.expect_channel_close(1, 406, text, (60, 40)).await;
}

#[tokio::test]
async fn a_channel_has_one_reply_consumer() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    peer.call(1, listen()).await;
    let text = "PRECONDITION_FAILED - reply consumer already set";
    peer.expect_soft_error(1, listen(), 406, text).await;
}

#[tokio::test]
async fn a_reply_consumer_cannot_acknowledge() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    let text = "PRECONDITION_FAILED - reply consumer cannot acknowledge";
    peer.expect_soft_error(1, consume(REPLY_TO, "c"), 406, text).await;
}

#[tokio::test]
async fn a_cancelled_reply_consumer_may_be_followed_by_another() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    let tag = peer.call(1, listen()).await.text("consumer-tag");
    peer.call(1, cancel(&tag)).await;
    peer.call(1, listen()).await;
    let (address, _) = request(&mut peer).await;
    peer.publish(2, publish("", &address, "pong")).await;
    peer.expect_delivery(1, "pong").await;
}

#[tokio::test]
async fn a_reply_address_of_ones_own_is_left_alone() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    let q = unique("q");
    peer.call(1, declare(&q).flag("exclusive")).await;
    peer.publish(1, publish("", &q, "ping").property("reply-to", "my-queue")).await;
    let got = peer.expect_get(1, &q, "ping").await;
    peer.same("reply-to", &got.properties.get("reply-to"), &Some(&Value::from("my-queue")));
}
