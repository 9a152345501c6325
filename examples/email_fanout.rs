//! E-mail fanout: if one of five subscribers fails, what happens to the other four?
//!
//! Users register; e-mail, SMS, marketing, statistics and audit each have a queue of their own on one fanout
//! exchange. The SMS provider is down: each of its attempts fails and is nacked with requeue, so the broker
//! redelivers it. The provider comes back only after the other four have finished everything. That this program ends
//! at all shows that nobody waited for SMS; the table shows who needed how many attempts.
//!
//! ```text
//! cargo run --release -- server          # in one terminal
//! cargo run --example email_fanout       # in another
//! ```
//!
//! `LEPUS_URI` names another broker; without it, `amqp://guest:guest@127.0.0.1:5672`.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use futures_lite::StreamExt;
use lapin::{
    BasicProperties, Channel, Connection, ConnectionProperties, Consumer, ExchangeKind, message::Delivery,
    options::*, types::FieldTable,
};
use std::{collections::BTreeMap, error::Error, time::Duration};
use tokio::{
    sync::watch,
    time::{sleep, timeout},
};

type Outcome<T = ()> = Result<T, Box<dyn Error + Send + Sync>>;
/// Attempts by user.
type Attempts = BTreeMap<String, u32>;

const EXCHANGE: &str = "example.user_registered";
const USERS: [&str; 3] = ["ada", "grace", "linus"];
const SUBSCRIBERS: [&str; 5] = ["e-mail", "sms", "marketing", "statistics", "audit"];
const FAILING: &str = "sms";
const FAILED_ATTEMPTS_MIN: u32 = 3;
const PAUSE_BEFORE_RETRY: Duration = Duration::from_millis(20);
const PATIENCE: Duration = Duration::from_secs(30);

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
            ExchangeKind::Fanout,
            ExchangeDeclareOptions::default(),
            FieldTable::default(),
        )
        .await?;

    let outcome = timeout(PATIENCE, register_users(uri, &channel)).await;

    channel.exchange_delete(EXCHANGE.into(), ExchangeDeleteOptions::default()).await?;
    outcome.map_err(|_| "promise broken: it did not end in time")??;
    connection.close(200, "done".into()).await?;
    Ok(())
}

async fn register_users(uri: &str, channel: &Channel) -> Outcome {
    // How many subscribers have finished; the SMS provider watches it to know when to come back.
    let (finished, provider) = watch::channel(0);
    let mut working = Vec::new();
    for name in SUBSCRIBERS {
        let subscriber = Subscriber::start(uri, name, provider.clone()).await?;
        working.push(tokio::spawn(subscriber.work(finished.clone())));
    }

    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    for user in USERS {
        let (options, properties) = (BasicPublishOptions::default(), BasicProperties::default());
        channel
            .basic_publish(EXCHANGE.into(), "".into(), options, user.as_bytes(), properties)
            .await?
            .await?;
        println!("{user} registered");
    }

    let mut table = BTreeMap::new();
    for (name, work) in SUBSCRIBERS.into_iter().zip(working) {
        table.insert(name, work.await??);
    }
    print_table(&table);
    check(&table)
}

struct Subscriber {
    name: &'static str,
    // The queue is exclusive: it lives as long as this connection.
    connection: Connection,
    registrations: Consumer,
    finished: watch::Receiver<usize>,
}

impl Subscriber {
    async fn start(uri: &str, name: &'static str, finished: watch::Receiver<usize>) -> Outcome<Self> {
        let connection = Connection::connect(uri, ConnectionProperties::default()).await?;
        let channel = connection.create_channel().await?;
        let queue = format!("example.user_registered.{name}");
        channel
            .queue_declare(queue.as_str().into(), QueueDeclareOptions::exclusive(), FieldTable::default())
            .await?;
        channel
            .queue_bind(
                queue.as_str().into(),
                EXCHANGE.into(),
                "".into(),
                QueueBindOptions::default(),
                FieldTable::default(),
            )
            .await?;
        // One at a time: a registration that is retried keeps its place in the queue.
        channel.basic_qos(1, BasicQosOptions::default()).await?;
        let registrations = channel
            .basic_consume(
                queue.as_str().into(),
                "".into(),
                BasicConsumeOptions::default(),
                FieldTable::default(),
            )
            .await?;
        Ok(Self { name, connection, registrations, finished })
    }

    async fn work(mut self, finished: watch::Sender<usize>) -> Outcome<Attempts> {
        let mut attempts = Attempts::new();
        let mut served = 0;
        while served < USERS.len() {
            let delivery = self.registrations.try_next().await?.ok_or("cancelled")?;
            let user = std::str::from_utf8(&delivery.data)?.to_owned();
            let attempt = attempts.entry(user.clone()).or_insert(0);
            *attempt += 1;
            if self.try_to_serve(*attempt) {
                delivery.ack(BasicAckOptions::default()).await?;
                println!("{} served {user} at attempt {attempt}", self.name);
                served += 1;
            } else {
                println!("{} failed for {user} at attempt {attempt}", self.name);
                retry(delivery).await?;
            }
        }
        finished.send_modify(|finished| *finished += 1);
        println!("{} finished", self.name);
        self.connection.close(200, "done".into()).await?;
        Ok(attempts)
    }

    /// Everybody succeeds at once, but for SMS: its provider drops the first attempts for each user, and everything
    /// while the others are at work.
    fn try_to_serve(&self, attempt: u32) -> bool {
        let others_finished = *self.finished.borrow() == SUBSCRIBERS.len() - 1;
        let provider_is_back = others_finished && attempt > FAILED_ATTEMPTS_MIN;
        self.name != FAILING || provider_is_back
    }
}

/// Gives the registration back to its queue, which delivers it again.
async fn retry(delivery: Delivery) -> Outcome {
    sleep(PAUSE_BEFORE_RETRY).await;
    delivery.nack(BasicNackOptions { requeue: true, ..Default::default() }).await?;
    Ok(())
}

fn print_table(table: &BTreeMap<&str, Attempts>) {
    print!("attempts   ");
    for user in USERS {
        print!(" {user:>6}");
    }
    println!();
    for name in SUBSCRIBERS {
        print!("{name:<11}");
        for user in USERS {
            let attempts = table.get(name).and_then(|attempts| attempts.get(user));
            print!(" {:>6}", attempts.unwrap_or(&0));
        }
        println!();
    }
}

fn check(table: &BTreeMap<&str, Attempts>) -> Outcome {
    let once = |attempts: &Attempts| USERS.iter().all(|user| attempts.get(*user) == Some(&1));
    let undisturbed = table.iter().filter(|(name, _)| **name != FAILING).all(|(_, attempts)| once(attempts));
    promise(undisturbed, "the other four served every user at the first attempt, while sms was failing")?;

    let failing = table.get(FAILING).ok_or("sms is missing")?;
    promise(
        USERS.iter().all(|user| failing.get(*user).is_some_and(|attempts| *attempts > FAILED_ATTEMPTS_MIN)),
        "sms was retried until it had served every user",
    )
}

fn promise(kept: bool, what: &str) -> Outcome {
    if !kept {
        return Err(format!("promise broken: {what}").into());
    }
    println!("promise kept: {what}");
    Ok(())
}
