//! What the tests share: a client, short names for lapin's calls, and a cable that can be cut.
use crate::broker::Broker;
use futures_lite::{StreamExt, future};
use lapin::{
    BasicProperties, Channel, Confirmation, Connection, ConnectionProperties, Consumer, Error, ErrorKind,
    ExchangeKind,
    message::Delivery,
    options::*,
    types::{AMQPValue, FieldTable},
};
use std::{
    process,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};
use tokio::time::timeout;

/// Far above what any test needs: it only turns a hang into a failure.
const GENEROUS: Duration = Duration::from_secs(120);

/// Runs a test against a broker.
pub(crate) async fn with_broker(test: impl AsyncFnOnce(&Broker)) {
    let broker = Broker::start().await;
    timeout(GENEROUS, Box::pin(test(&broker))).await.expect("the test ends in time");
    broker.stop().await;
}

/// Runs a test with one connection and one channel in confirm mode.
pub(crate) async fn with_client(test: impl AsyncFnOnce(&Client)) {
    with_broker(async |broker| {
        let client = Client::connect(broker).await;
        test(&client).await;
    })
    .await;
}

/// As `with_client`, with a broker of this process: what the test is about, others do not have.
pub(crate) async fn with_own_client(test: impl AsyncFnOnce(&Client)) {
    if std::env::var_os("LEPUS_TEST_BROKER").is_some() {
        eprintln!("SKIPPED: not every broker has this");
        return;
    }
    with_client(test).await;
}

/// A connection and a channel in confirm mode, so that after `publish` the message is where it belongs.
pub(crate) struct Client {
    pub(crate) connection: Connection,
    pub(crate) channel: Channel,
}

impl Client {
    pub(crate) async fn connect(broker: &Broker) -> Self {
        Self::connect_to(&broker.uri()).await
    }

    pub(crate) async fn connect_to(uri: &str) -> Self {
        let connection = connect(uri).await.unwrap();
        let channel = confirming_channel(&connection).await;
        Self { connection, channel }
    }

    pub(crate) async fn close(self) {
        self.connection.close(200, "done".into()).await.unwrap();
    }
}

pub(crate) async fn connect(uri: &str) -> lapin::Result<Connection> {
    Connection::connect(uri, ConnectionProperties::default()).await
}

pub(crate) async fn confirming_channel(connection: &Connection) -> Channel {
    let channel = connection.create_channel().await.unwrap();
    channel.confirm_select(ConfirmSelectOptions::default()).await.unwrap();
    channel
}

/// A name no other test uses, for brokers that several tests share.
pub(crate) fn unique(name: &str) -> String {
    static COUNTER: AtomicU32 = AtomicU32::new(0);
    format!("{name}-{}-{}", process::id(), COUNTER.fetch_add(1, Ordering::Relaxed))
}

/// An exclusive queue with a name of the broker's choice.
pub(crate) async fn queue(channel: &Channel) -> String {
    queue_with(channel, FieldTable::default()).await
}

pub(crate) async fn queue_with(channel: &Channel, arguments: FieldTable) -> String {
    let queue = channel.queue_declare("".into(), QueueDeclareOptions::exclusive(), arguments).await;
    queue.unwrap().name().to_string()
}

/// A queue that other connections can use too; it goes away with its last consumer, or with `delete`.
pub(crate) async fn shared_queue(channel: &Channel, name: &str) -> String {
    let queue = unique(name);
    let options = QueueDeclareOptions::default().auto_delete();
    channel.queue_declare(queue.as_str().into(), options, FieldTable::default()).await.unwrap();
    queue
}

/// Deletes a queue; returns how many messages it held.
pub(crate) async fn delete(channel: &Channel, queue: &str) -> u32 {
    channel.queue_delete(queue.into(), QueueDeleteOptions::default()).await.unwrap()
}

/// Messages ready for delivery, and consumers. Answered in turn with everything sent before on the channel.
pub(crate) async fn counts(channel: &Channel, queue: &str) -> (u32, u32) {
    let options = QueueDeclareOptions::default().passive();
    let queue = channel.queue_declare(queue.into(), options, FieldTable::default()).await.unwrap();
    (queue.message_count(), queue.consumer_count())
}

pub(crate) async fn ready(channel: &Channel, queue: &str) -> u32 {
    counts(channel, queue).await.0
}

/// An exchange that goes away with its last binding.
pub(crate) async fn exchange(channel: &Channel, kind: ExchangeKind) -> String {
    exchange_with(channel, kind, FieldTable::default()).await
}

pub(crate) async fn exchange_with(channel: &Channel, kind: ExchangeKind, arguments: FieldTable) -> String {
    let name = unique("exchange");
    let options = ExchangeDeclareOptions { auto_delete: true, ..Default::default() };
    channel.exchange_declare(name.as_str().into(), kind, options, arguments).await.unwrap();
    name
}

pub(crate) async fn bind(channel: &Channel, queue: &str, exchange: &str, key: &str) {
    bind_with(channel, queue, exchange, key, FieldTable::default()).await;
}

pub(crate) async fn bind_with(
    channel: &Channel,
    queue: &str,
    exchange: &str,
    key: &str,
    arguments: FieldTable,
) {
    let options = QueueBindOptions::default();
    channel.queue_bind(queue.into(), exchange.into(), key.into(), options, arguments).await.unwrap();
}

/// Publishes and waits for the confirm.
pub(crate) async fn publish(channel: &Channel, exchange: &str, key: &str, body: &str) -> Confirmation {
    publish_with(channel, exchange, key, body, BasicProperties::default()).await
}

pub(crate) async fn publish_with(
    channel: &Channel,
    exchange: &str,
    key: &str,
    body: &str,
    properties: BasicProperties,
) -> Confirmation {
    let options = BasicPublishOptions { mandatory: true, ..Default::default() };
    let confirm = channel
        .basic_publish(exchange.into(), key.into(), options, body.as_bytes(), properties)
        .await
        .unwrap();
    confirm.await.unwrap()
}

/// Publishes to a queue and waits for the confirms.
pub(crate) async fn fill(channel: &Channel, queue: &str, bodies: &[&str]) {
    for body in bodies {
        assert_eq!(publish(channel, "", queue, body).await, Confirmation::Ack(None));
    }
}

pub(crate) async fn consume(channel: &Channel, queue: &str) -> Consumer {
    consume_with(channel, queue, BasicConsumeOptions::default(), FieldTable::default()).await
}

pub(crate) async fn consume_with(
    channel: &Channel,
    queue: &str,
    options: BasicConsumeOptions,
    arguments: FieldTable,
) -> Consumer {
    channel.basic_consume(queue.into(), "".into(), options, arguments).await.unwrap()
}

pub(crate) async fn next(consumer: &mut Consumer) -> Delivery {
    consumer.next().await.expect("not cancelled").unwrap()
}

pub(crate) async fn next_n(consumer: &mut Consumer, n: usize) -> Vec<Delivery> {
    let mut deliveries = Vec::new();
    while deliveries.len() < n {
        deliveries.push(next(consumer).await);
    }
    deliveries
}

/// Whether the consumer has nothing at hand. Meaningful after a synchronous call on its channel, whose answer comes
/// behind the deliveries.
pub(crate) async fn is_idle(consumer: &mut Consumer) -> bool {
    future::poll_once(consumer.next()).await.is_none()
}

pub(crate) fn body(delivery: &Delivery) -> &str {
    std::str::from_utf8(&delivery.data).unwrap()
}

pub(crate) fn bodies(deliveries: &[Delivery]) -> Vec<&str> {
    deliveries.iter().map(body).collect()
}

pub(crate) async fn ack(delivery: &Delivery) {
    assert!(delivery.ack(BasicAckOptions::default()).await.unwrap());
}

pub(crate) async fn requeue(delivery: &Delivery) {
    let options = BasicNackOptions { requeue: true, ..Default::default() };
    assert!(delivery.nack(options).await.unwrap());
}

/// Takes one message, automatically acknowledged.
pub(crate) async fn take(channel: &Channel, queue: &str) -> Option<Delivery> {
    let message = channel.basic_get(queue.into(), BasicGetOptions { no_ack: true }).await.unwrap();
    message.map(|message| message.delivery)
}

/// Takes every message.
pub(crate) async fn drain(channel: &Channel, queue: &str) -> Vec<String> {
    let mut bodies = Vec::new();
    while let Some(delivery) = take(channel, queue).await {
        bodies.push(body(&delivery).to_owned());
    }
    bodies
}

pub(crate) fn table<const N: usize>(entries: [(&str, AMQPValue); N]) -> FieldTable {
    let mut table = FieldTable::default();
    for (key, value) in entries {
        table.insert(key.into(), value);
    }
    table
}

pub(crate) fn string(value: &str) -> AMQPValue {
    AMQPValue::LongString(value.into())
}

/// The code and text with which the broker closed a channel or a connection.
pub(crate) fn refusal(error: &Error) -> (u16, String) {
    let ErrorKind::ProtocolError(error) = error.kind() else { panic!("not the broker's refusal: {error:?}") };
    (error.get_id(), error.get_message().to_string())
}
