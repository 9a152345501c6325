//! connection.blocked: publishers wait while memory is low, and nobody else does.

use crate::support::*;

const LIMIT: u64 = 1 << 20;

#[tokio::test]
async fn publishers_are_blocked_until_memory_is_free() {
    let Some(broker) = Broker::start_with(|config| config.memory_limit = Some(LIMIT)).await else { return };
    let mut publisher = broker.channel().await;
    let mut other = broker.channel().await;
    let q = unique("q");
    other.call(1, declare(&q)).await;
    let mut content = publish("", &q, "");
    content.body = vec![b'x'; 1 << 21];
    publisher.publish(1, content).await;
    // The next publication finds the alarm set.
    publisher.publish(1, publish("", &q, "later")).await;
    let blocked = publisher.expect(0, "connection.blocked").await;
    publisher.same("reason", &blocked.text("reason").as_str(), &"low on memory");
    // A connection that does not publish goes on, and frees the memory.
    other.call(1, consume(&q, "c").flag("no-ack")).await;
    other.expect_content(1, "basic.deliver").await;
    publisher.expect(0, "connection.unblocked").await;
    other.expect_delivery(1, "later").await;
    publisher.call(1, qos(0)).await;
}

#[tokio::test]
async fn clients_without_the_capability_are_blocked_in_silence() {
    let Some(broker) = Broker::start_with(|config| config.memory_limit = Some(LIMIT)).await else { return };
    let mut publisher = broker.dial().await;
    let mut credentials = Credentials::plain("guest", "guest");
    credentials.capabilities = Table::default();
    publisher.handshake_with(&credentials, 0).await;
    publisher.open(1).await;
    let mut other = broker.channel().await;
    let q = unique("q");
    other.call(1, declare(&q)).await;
    let mut content = publish("", &q, "");
    content.body = vec![b'x'; 1 << 21];
    publisher.publish(1, content).await;
    publisher.publish(1, publish("", &q, "later")).await;
    publisher.send(1, qos(0)).await;
    other.call(1, consume(&q, "c").flag("no-ack")).await;
    other.expect_content(1, "basic.deliver").await;
    other.expect_delivery(1, "later").await;
    publisher.expect(1, "basic.qos-ok").await;
}
