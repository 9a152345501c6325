//! Work queue: do competing consumers lose messages when one of them dies?
//!
//! Three workers share one queue, each with its own connection and at most five jobs in hand (prefetch). One of them,
//! carol, does three jobs, takes a fourth and dies before acknowledging it. The broker gives everything she held to the
//! others, flagged `redelivered`, and every job ends up done exactly once.
//!
//! ```text
//! cargo run --release -- server        # in one terminal
//! cargo run --example work_queue       # in another
//! ```
//!
//! `LEPUS_URI` names another broker; without it, `amqp://guest:guest@127.0.0.1:5672`.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use futures_lite::StreamExt;
use lapin::{
    BasicProperties, Channel, Connection, ConnectionProperties, Consumer, message::Delivery, options::*,
    types::FieldTable,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    error::Error,
    time::Duration,
};
use tokio::{
    sync::mpsc,
    time::{sleep, timeout},
};

type Outcome<T = ()> = Result<T, Box<dyn Error + Send + Sync>>;

const QUEUE: &str = "example.work_queue";
const JOBS: u32 = 60;
const PREFETCH: u16 = 5;
const JOBS_BEFORE_DEATH: usize = 3;
const PATIENCE: Duration = Duration::from_secs(30);

#[tokio::main]
async fn main() -> Outcome {
    let uri = std::env::var("LEPUS_URI").unwrap_or_else(|_| "amqp://guest:guest@127.0.0.1:5672".into());
    run(&uri).await
}

async fn run(uri: &str) -> Outcome {
    let connection = Connection::connect(uri, ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;
    // What an interrupted run may have left; deleting a queue that is not there is no error.
    channel.queue_delete(QUEUE.into(), QueueDeleteOptions::default()).await?;
    channel.queue_declare(QUEUE.into(), QueueDeclareOptions::durable(), FieldTable::default()).await?;

    let outcome = timeout(PATIENCE, do_all_jobs(uri, &channel)).await;

    // Without their queue the workers' consumers are cancelled, and the workers go home.
    let left_over = channel.queue_delete(QUEUE.into(), QueueDeleteOptions::default()).await?;
    outcome.map_err(|_| "promise broken: it did not end in time")??;
    promise(left_over == 0, "nothing is left in the queue")?;
    connection.close(200, "done".into()).await?;
    Ok(())
}

async fn do_all_jobs(uri: &str, channel: &Channel) -> Outcome {
    let (report, mut reports) = mpsc::channel(JOBS as usize);
    for name in ["alice", "bob"] {
        tokio::spawn(Worker::start(uri, name).await?.work(report.clone()));
    }
    let carol = tokio::spawn(Worker::start(uri, "carol").await?.die_at_work(report));

    publish_jobs(channel).await?;
    let dropped = carol.await??;
    println!("carol died over job {dropped} without acknowledging it");

    let mut done = Vec::new();
    while distinct(&done) < JOBS as usize {
        done.push(reports.recv().await.ok_or("no worker is left")?);
    }
    check(&done, dropped)
}

async fn publish_jobs(channel: &Channel) -> Outcome {
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    for job in 1..=JOBS {
        let properties = BasicProperties::default().with_delivery_mode(2); // persistent
        let options = BasicPublishOptions::default();
        channel
            .basic_publish("".into(), QUEUE.into(), options, job.to_string().as_bytes(), properties)
            .await?;
    }
    channel.wait_for_confirms().await?;
    println!("{JOBS} jobs published and confirmed");
    Ok(())
}

struct Worker {
    name: &'static str,
    // Dropping the connection is how carol dies.
    _connection: Connection,
    consumer: Consumer,
}

/// A job that was finished and acknowledged.
struct Done {
    job: u32,
    worker: &'static str,
    redelivered: bool,
}

impl Worker {
    async fn start(uri: &str, name: &'static str) -> Outcome<Self> {
        let connection = Connection::connect(uri, ConnectionProperties::default()).await?;
        let channel = connection.create_channel().await?;
        channel.basic_qos(PREFETCH, BasicQosOptions::default()).await?;
        let consumer = channel
            .basic_consume(QUEUE.into(), name.into(), BasicConsumeOptions::default(), FieldTable::default())
            .await?;
        Ok(Self { name, _connection: connection, consumer })
    }

    /// Works until the queue is deleted, which ends the consumer.
    async fn work(mut self, report: mpsc::Sender<Done>) -> Outcome {
        while let Some(delivery) = self.consumer.try_next().await? {
            self.finish(delivery, &report).await?;
        }
        Ok(())
    }

    /// Finishes a few jobs and dies over the next; returns that job.
    async fn die_at_work(mut self, report: mpsc::Sender<Done>) -> Outcome<u32> {
        for _ in 0..JOBS_BEFORE_DEATH {
            let delivery = self.consumer.try_next().await?.ok_or("cancelled")?;
            self.finish(delivery, &report).await?;
        }
        let unfinished = self.consumer.try_next().await?.ok_or("cancelled")?;
        job_of(&unfinished)
    }

    async fn finish(&self, delivery: Delivery, report: &mpsc::Sender<Done>) -> Outcome {
        sleep(Duration::from_millis(3)).await; // the work
        // Only now: a job acknowledged before it is done would be lost with its worker.
        delivery.ack(BasicAckOptions::default()).await?;
        let done = Done { job: job_of(&delivery)?, worker: self.name, redelivered: delivery.redelivered };
        report.send(done).await?;
        Ok(())
    }
}

fn job_of(delivery: &Delivery) -> Outcome<u32> {
    Ok(std::str::from_utf8(&delivery.data)?.parse()?)
}

fn distinct(done: &[Done]) -> usize {
    done.iter().map(|done| done.job).collect::<BTreeSet<_>>().len()
}

fn check(done: &[Done], dropped: u32) -> Outcome {
    let mut tally: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for done in done {
        let (jobs, redelivered) = tally.entry(done.worker).or_default();
        *jobs += 1;
        *redelivered += usize::from(done.redelivered);
    }
    for (worker, (jobs, redelivered)) in &tally {
        println!("{worker:<6} did {jobs:>2} jobs, {redelivered} of them redelivered");
    }
    println!("jobs published: {JOBS}, done: {}, lost: {}", done.len(), JOBS as usize - distinct(done));

    promise(distinct(done) == JOBS as usize, "every job was done, none lost")?;
    promise(done.len() == JOBS as usize, "no job was done twice")?;
    let rescued = done.iter().find(|done| done.job == dropped).ok_or("the dropped job is missing")?;
    println!("job {dropped} was taken over by {}", rescued.worker);
    promise(
        rescued.worker != "carol" && rescued.redelivered,
        "the dead worker's job came flagged redelivered",
    )
}

fn promise(kept: bool, what: &str) -> Outcome {
    if !kept {
        return Err(format!("promise broken: {what}").into());
    }
    println!("promise kept: {what}");
    Ok(())
}
