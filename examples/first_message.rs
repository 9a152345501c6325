//! First message: does a message reach its consumer, and does the broker say so?
//!
//! Declares a queue, publishes one message with a publisher confirm (the broker answers only when it has taken the
//! message over), consumes it and acknowledges it. After the ack the queue is empty.
//!
//! ```text
//! cargo run --release -- server           # in one terminal
//! cargo run --example first_message       # in another
//! ```
//!
//! `LEPUS_URI` names another broker; without it, `amqp://guest:guest@127.0.0.1:5672`.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use futures_lite::StreamExt;
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties, options::*, types::FieldTable};
use std::{error::Error, time::Duration};
use tokio::time::timeout;

type Outcome<T = ()> = Result<T, Box<dyn Error + Send + Sync>>;

const QUEUE: &str = "example.first_message";
const BODY: &[u8] = b"Hello, Lepus!";
const PATIENCE: Duration = Duration::from_secs(30);

#[tokio::main]
async fn main() -> Outcome {
    let uri = std::env::var("LEPUS_URI").unwrap_or_else(|_| "amqp://guest:guest@127.0.0.1:5672".into());
    timeout(PATIENCE, run(&uri)).await.map_err(|_| "promise broken: it did not end in time")?
}

async fn run(uri: &str) -> Outcome {
    let connection = Connection::connect(uri, ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;

    // An exclusive queue belongs to this connection and goes away with it.
    channel.queue_declare(QUEUE.into(), QueueDeclareOptions::exclusive(), FieldTable::default()).await?;
    println!("declared the queue {QUEUE}");

    publish(&channel).await?;
    consume(&channel).await?;

    connection.close(200, "done".into()).await?;
    Ok(())
}

/// The default exchange, named "", routes to the queue whose name is the routing key.
async fn publish(channel: &Channel) -> Outcome {
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    let properties = BasicProperties::default().with_content_type("text/plain".into());
    let confirm =
        channel.basic_publish("".into(), QUEUE.into(), mandatory(), BODY, properties).await?.await?;
    promise(confirm.is_ack(), "the broker confirmed the message")?;
    promise(confirm.take_message().is_none(), "it was routed, not returned")
}

/// Mandatory: a message no queue would get comes back instead of vanishing.
fn mandatory() -> BasicPublishOptions {
    BasicPublishOptions { mandatory: true, ..Default::default() }
}

async fn consume(channel: &Channel) -> Outcome {
    let mut consumer = channel
        .basic_consume(QUEUE.into(), "".into(), BasicConsumeOptions::default(), FieldTable::default())
        .await?;
    let delivery = consumer.try_next().await?.ok_or("the consumer was cancelled")?;
    println!("received: {}", String::from_utf8_lossy(&delivery.data));
    promise(delivery.data == BODY, "the message arrived as it was sent")?;

    // Until this ack the broker keeps the message, and would deliver it again if we died.
    delivery.ack(BasicAckOptions::default()).await?;
    let queue =
        channel.queue_declare(QUEUE.into(), QueueDeclareOptions::exclusive(), FieldTable::default()).await?;
    promise(queue.message_count() == 0, "nothing is left in the queue")
}

fn promise(kept: bool, what: &str) -> Outcome {
    if !kept {
        return Err(format!("promise broken: {what}").into());
    }
    println!("promise kept: {what}");
    Ok(())
}
