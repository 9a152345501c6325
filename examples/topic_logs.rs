//! Topic logs: who gets which message when subscribers ask by pattern?
//!
//! Log lines are published with a routing key `facility.host.severity`. Three subscribers bind their queues with
//! patterns: `*` stands for exactly one word, `#` for any number of words. A line that matches two patterns of one
//! subscriber reaches it once.
//!
//! ```text
//! cargo run --release -- server        # in one terminal
//! cargo run --example topic_logs       # in another
//! ```
//!
//! `LEPUS_URI` names another broker; without it, `amqp://guest:guest@127.0.0.1:5672`.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use futures_lite::StreamExt;
use lapin::{
    BasicProperties, Channel, Connection, ConnectionProperties, Consumer, ExchangeKind, options::*,
    types::FieldTable,
};
use std::{error::Error, time::Duration};
use tokio::time::timeout;

type Outcome<T = ()> = Result<T, Box<dyn Error + Send + Sync>>;

const EXCHANGE: &str = "example.topic_logs";
const END: &str = "end of log";
const PATIENCE: Duration = Duration::from_secs(30);

const LOGS: [&str; 6] = [
    "auth.web1.info",
    "auth.web1.critical",
    "disk.db1.warning",
    "disk.db1.critical",
    "disk.web1.warning",
    "kernel.db1.info",
];

struct Subscription {
    name: &'static str,
    patterns: &'static [&'static str],
    expected: &'static [&'static str],
}

const SUBSCRIPTIONS: [Subscription; 3] = [
    Subscription { name: "archive", patterns: &["#"], expected: &LOGS },
    Subscription {
        name: "pager",
        patterns: &["*.*.critical"],
        expected: &["auth.web1.critical", "disk.db1.critical"],
    },
    // disk.db1.* matches both patterns, and arrives once.
    Subscription {
        name: "storage team",
        patterns: &["disk.#", "*.db1.*"],
        expected: &["disk.db1.warning", "disk.db1.critical", "disk.web1.warning", "kernel.db1.info"],
    },
];

#[tokio::main]
async fn main() -> Outcome {
    let uri = std::env::var("LEPUS_URI").unwrap_or_else(|_| "amqp://guest:guest@127.0.0.1:5672".into());
    run(&uri).await
}

async fn run(uri: &str) -> Outcome {
    let connection = Connection::connect(uri, ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;
    channel.exchange_delete(EXCHANGE.into(), ExchangeDeleteOptions::default()).await?;
    channel
        .exchange_declare(
            EXCHANGE.into(),
            ExchangeKind::Topic,
            ExchangeDeclareOptions::default(),
            FieldTable::default(),
        )
        .await?;

    let outcome = timeout(PATIENCE, log_to_subscribers(&channel)).await;

    channel.exchange_delete(EXCHANGE.into(), ExchangeDeleteOptions::default()).await?;
    outcome.map_err(|_| "promise broken: it did not end in time")??;
    connection.close(200, "done".into()).await?;
    Ok(())
}

async fn log_to_subscribers(channel: &Channel) -> Outcome {
    let mut consumers = Vec::new();
    for subscription in &SUBSCRIPTIONS {
        consumers.push(subscribe(channel, subscription.patterns).await?);
    }
    publish_logs(channel, &consumers).await?;
    for (subscription, consumer) in SUBSCRIPTIONS.iter().zip(consumers) {
        let received = receive_until_end(consumer).await?;
        println!("{} ({}) received:", subscription.name, subscription.patterns.join(", "));
        for line in &received {
            println!("    {line}");
        }
        promise(
            received == subscription.expected,
            &format!("the {} got exactly its lines, in order", subscription.name),
        )?;
    }
    Ok(())
}

/// A queue named by the broker, private to this connection, with one binding per pattern.
async fn subscribe(channel: &Channel, patterns: &[&str]) -> Outcome<Consumer> {
    let queue =
        channel.queue_declare("".into(), QueueDeclareOptions::exclusive(), FieldTable::default()).await?;
    for pattern in patterns {
        channel
            .queue_bind(
                queue.name().clone(),
                EXCHANGE.into(),
                (*pattern).into(),
                QueueBindOptions::default(),
                FieldTable::default(),
            )
            .await?;
    }
    let automatic_ack = BasicConsumeOptions { no_ack: true, ..Default::default() };
    Ok(channel.basic_consume(queue.name().clone(), "".into(), automatic_ack, FieldTable::default()).await?)
}

async fn publish_logs(channel: &Channel, consumers: &[Consumer]) -> Outcome {
    for key in LOGS {
        publish(channel, EXCHANGE, key, key).await?;
    }
    // Published behind the lines on the same channel, so it arrives behind them in every queue.
    for consumer in consumers {
        publish(channel, "", consumer.queue().as_str(), END).await?;
    }
    println!("published {} log lines", LOGS.len());
    Ok(())
}

async fn publish(channel: &Channel, exchange: &str, key: &str, line: &str) -> Outcome {
    let (options, properties) = (BasicPublishOptions::default(), BasicProperties::default());
    channel.basic_publish(exchange.into(), key.into(), options, line.as_bytes(), properties).await?.await?;
    Ok(())
}

async fn receive_until_end(mut consumer: Consumer) -> Outcome<Vec<String>> {
    let mut lines = Vec::new();
    loop {
        let delivery = consumer.try_next().await?.ok_or("the consumer was cancelled")?;
        let line = String::from_utf8(delivery.data)?;
        if line == END {
            return Ok(lines);
        }
        lines.push(line);
    }
}

fn promise(kept: bool, what: &str) -> Outcome {
    if !kept {
        return Err(format!("promise broken: {what}").into());
    }
    println!("promise kept: {what}");
    Ok(())
}
