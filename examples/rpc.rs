//! RPC: how does a caller with several requests in flight get each answer, without a reply queue of its own?
//!
//! The caller consumes from the pseudo-queue `amq.rabbitmq.reply-to`; the broker turns that name in `reply_to` into
//! an address that leads straight back to the caller's channel. A correlation id tells the answers apart: the server
//! answers in reverse order on purpose.
//!
//! ```text
//! cargo run --release -- server     # in one terminal
//! cargo run --example rpc           # in another
//! ```
//!
//! `LEPUS_URI` names another broker; without it, `amqp://guest:guest@127.0.0.1:5672`.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use futures_lite::StreamExt;
use lapin::{
    BasicProperties, Channel, Connection, ConnectionProperties, Consumer, message::Delivery, options::*,
    types::FieldTable,
};
use std::{collections::BTreeMap, error::Error, time::Duration};
use tokio::time::timeout;

type Outcome<T = ()> = Result<T, Box<dyn Error + Send + Sync>>;

const QUEUE: &str = "example.rpc.square";
const REPLY_TO: &str = "amq.rabbitmq.reply-to";
const REQUESTS: u64 = 8;
const PATIENCE: Duration = Duration::from_secs(30);

#[tokio::main]
async fn main() -> Outcome {
    let uri = std::env::var("LEPUS_URI").unwrap_or_else(|_| "amqp://guest:guest@127.0.0.1:5672".into());
    timeout(PATIENCE, run(&uri)).await.map_err(|_| "promise broken: it did not end in time")?
}

async fn run(uri: &str) -> Outcome {
    let server = Server::start(uri).await?;
    let serving = tokio::spawn(server.answer_in_reverse());
    let outcome = call(uri).await;
    serving.await??;
    outcome
}

struct Server {
    connection: Connection,
    channel: Channel,
    requests: Consumer,
}

impl Server {
    async fn start(uri: &str) -> Outcome<Self> {
        let connection = Connection::connect(uri, ConnectionProperties::default()).await?;
        let channel = connection.create_channel().await?;
        let options = QueueDeclareOptions::default().auto_delete();
        channel.queue_declare(QUEUE.into(), options, FieldTable::default()).await?;
        let requests = channel
            .basic_consume(QUEUE.into(), "".into(), BasicConsumeOptions::default(), FieldTable::default())
            .await?;
        Ok(Self { connection, channel, requests })
    }

    async fn answer_in_reverse(mut self) -> Outcome {
        let mut waiting = Vec::new();
        for _ in 0..REQUESTS {
            waiting.push(self.requests.try_next().await?.ok_or("cancelled")?);
        }
        println!("server: {} requests in hand, answering the last one first", waiting.len());
        for request in waiting.iter().rev() {
            self.answer(request).await?;
        }
        // The last consumer gone, the auto-delete queue is deleted.
        self.connection.close(200, "done".into()).await?;
        Ok(())
    }

    async fn answer(&self, request: &Delivery) -> Outcome {
        let reply_to = request.properties.reply_to().clone().ok_or("a request without reply_to")?;
        let correlation_id = request.properties.correlation_id().clone().ok_or("no correlation id")?;
        let number: u64 = std::str::from_utf8(&request.data)?.parse()?;
        let square = (number * number).to_string();
        let properties = BasicProperties::default().with_correlation_id(correlation_id);
        let options = BasicPublishOptions::default();
        self.channel.basic_publish("".into(), reply_to, options, square.as_bytes(), properties).await?;
        request.ack(BasicAckOptions::default()).await?;
        Ok(())
    }
}

async fn call(uri: &str) -> Outcome {
    let connection = Connection::connect(uri, ConnectionProperties::default()).await?;
    // Requests must go out on the channel that consumes the replies.
    let channel = connection.create_channel().await?;
    let no_ack = BasicConsumeOptions { no_ack: true, ..Default::default() };
    let mut replies =
        channel.basic_consume(REPLY_TO.into(), "".into(), no_ack, FieldTable::default()).await?;

    let mut in_flight = send_requests(&channel).await?;
    println!("caller: {} requests in flight", in_flight.len());

    let mut order = Vec::new();
    while !in_flight.is_empty() {
        let reply = replies.try_next().await?.ok_or("the reply consumer was cancelled")?;
        let id = reply.properties.correlation_id().clone().ok_or("a reply without correlation id")?;
        let number = in_flight.remove(id.as_str()).ok_or("a reply to no request of ours")?;
        let square: u64 = std::str::from_utf8(&reply.data)?.parse()?;
        println!("caller: {id} answered: {number} squared is {square}");
        if square != number * number {
            return Err(format!("promise broken: {id} got another request's answer").into());
        }
        order.push(number);
    }
    promise(order.len() as u64 == REQUESTS, "every request got its own answer, once")?;
    promise(order.is_sorted_by(|a, b| a > b), "answers came in the server's order, not the caller's")?;
    connection.close(200, "done".into()).await?;
    Ok(())
}

/// Sends all requests without waiting for an answer; returns each number under its correlation id.
async fn send_requests(channel: &Channel) -> Outcome<BTreeMap<String, u64>> {
    let mut in_flight = BTreeMap::new();
    for number in 1..=REQUESTS {
        let id = format!("request-{number}");
        let properties =
            BasicProperties::default().with_reply_to(REPLY_TO.into()).with_correlation_id(id.as_str().into());
        let options = BasicPublishOptions { mandatory: true, ..Default::default() };
        channel
            .basic_publish("".into(), QUEUE.into(), options, number.to_string().as_bytes(), properties)
            .await?;
        in_flight.insert(id, number);
    }
    Ok(in_flight)
}

fn promise(kept: bool, what: &str) -> Outcome {
    if !kept {
        return Err(format!("promise broken: {what}").into());
    }
    println!("promise kept: {what}");
    Ok(())
}
