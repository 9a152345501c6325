//! Delayed messages, retries, dead letters that must arrive, duplicates: over a restart of the broker.
use crate::broker::Broker;
use crate::support::*;
use lapin::{BasicProperties, Channel, Confirmation, ExchangeKind, message::Delivery, options::*, types::*};
use std::time::Duration;
use tempfile::TempDir;
use tokio::time::Instant;

fn persistent() -> BasicProperties {
    BasicProperties::default().with_delivery_mode(2)
}

fn delayed(millis: i32) -> BasicProperties {
    persistent().with_headers(table([("x-delay", AMQPValue::LongInt(millis))]))
}

async fn durable_queue(channel: &Channel, name: &str, arguments: FieldTable) {
    channel.queue_declare(name.into(), QueueDeclareOptions::durable(), arguments).await.unwrap();
}

fn header<'d>(delivery: &'d Delivery, name: &str) -> Option<&'d AMQPValue> {
    delivery.properties.headers().as_ref().and_then(|headers| headers.inner().get(name))
}

#[tokio::test(flavor = "multi_thread")]
async fn delayed_messages_and_retries_come_after_a_restart() {
    let dir = TempDir::new().unwrap();
    let Some(broker) = Broker::start_on(&dir).await else { return };
    let client = Client::connect(&broker).await;
    let channel = &client.channel;
    let retries = table([
        ("x-delayed-retry-min", AMQPValue::LongInt(500)),
        ("x-delivery-limit", AMQPValue::LongInt(3)),
    ]);
    durable_queue(channel, "work", retries).await;
    let sent = Instant::now();
    publish_with(channel, "", "work", "delayed", delayed(1_500)).await;
    publish_with(channel, "", "work", "retried", persistent()).await;
    let mut consumer = consume(channel, "work").await;
    let first = next(&mut consumer).await;
    assert_eq!((body(&first), first.redelivered), ("retried", false));
    // So that nobody gets it again before the restart.
    channel.basic_cancel(consumer.tag(), BasicCancelOptions::default()).await.unwrap();
    requeue(&first).await;
    client.close().await;
    broker.stop().await;

    let broker = Broker::start_on(&dir).await.unwrap();
    let client = Client::connect(&broker).await;
    let mut consumer = consume(&client.channel, "work").await;
    let found = next_n(&mut consumer, 2).await;
    let of = |name: &str| found.iter().find(|delivery| body(delivery) == name).unwrap();
    assert_eq!(header(of("retried"), "x-delivery-count"), Some(&AMQPValue::LongLongInt(1)));
    assert!(sent.elapsed() >= Duration::from_millis(1_498), "{:?}", sent.elapsed());
    client.close().await;
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_died_without_a_way_and_what_was_seen_are_known_after_a_restart() {
    let dir = TempDir::new().unwrap();
    let Some(broker) = Broker::start_on(&dir).await else { return };
    let client = Client::connect(&broker).await;
    let channel = &client.channel;
    let careful = table([
        ("x-queue-type", string("quorum")),
        ("x-overflow", string("reject-publish")),
        ("x-dead-letter-exchange", string("")),
        ("x-dead-letter-routing-key", string("dead")),
        ("x-dead-letter-strategy", string("at-least-once")),
    ]);
    durable_queue(channel, "careful", careful).await;
    let kind = ExchangeKind::Custom("x-message-deduplication".to_owned());
    let options = ExchangeDeclareOptions { durable: true, ..Default::default() };
    let size = table([("x-cache-size", AMQPValue::LongInt(100))]);
    channel.exchange_declare("once".into(), kind, options, size).await.unwrap();
    bind(channel, "careful", "once", "").await;
    let message = persistent().with_headers(table([("x-deduplication-header", string("id"))]));
    publish_with(channel, "once", "", "m", message.clone()).await;
    let mut consumer = consume(channel, "careful").await;
    assert!(next(&mut consumer).await.reject(BasicRejectOptions { requeue: false }).await.unwrap());
    // Behind the rejection: the queue that it would go to is not there.
    assert_eq!(publish_with(channel, "once", "", "m", message.clone()).await, Confirmation::Ack(None));
    client.close().await;
    broker.stop().await;

    let broker = Broker::start_on(&dir).await.unwrap();
    let client = Client::connect(&broker).await;
    let channel = &client.channel;
    publish_with(channel, "once", "", "m", message).await;
    assert_eq!(ready(channel, "careful").await, 0, "its like has been seen");
    durable_queue(channel, "dead", FieldTable::default()).await;
    let mut consumer = consume(channel, "dead").await;
    let letter = next(&mut consumer).await;
    assert_eq!(header(&letter, "x-first-death-reason"), Some(&string("rejected")));
    client.close().await;
    broker.stop().await;
}
