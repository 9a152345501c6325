//! Publishers with confirms and consumers with acks while the broker is killed, again and again: nothing confirmed is
//! lost, nothing that was not acked is gone, nothing comes back unmarked, the order holds.
//!
//! `LEPUS_KILL_ROUNDS` makes it a long one.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_lite::StreamExt;
use lapin::options::*;
use lapin::types::FieldTable;
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties};
use tempfile::TempDir;

use crate::binary::Binary;
use crate::kill_loads::{self, Loads};
use crate::kill_ring;

const QUEUES: [&str; 3] = ["one", "two", "three"];

/// Queues without consumers: each transaction publishes to both.
const PAIR: [&str; 2] = ["left", "right"];
const ROUNDS: usize = 4;

/// How long the clients may take to notice that the broker is gone. lapin now and then forgets to tell a waiting
/// confirm; what it waits for is not confirmed, so that the test goes on without it.
const NOTICE: Duration = Duration::from_secs(3);

/// What the clients saw, by queue.
#[derive(Default)]
struct Seen {
    /// The number published last.
    last: u64,
    confirmed: BTreeSet<u64>,
    /// For each queue: every delivery.
    delivered: [BTreeSet<u64>; 3],
    /// For each queue: those that may be gone, for an ack of them was given to the client or they were taken for good.
    /// What was delivered and not acked must come again.
    settled: [BTreeSet<u64>; 3],
    unmarked_again: u64,
    out_of_order: u64,
    /// Numbers whose transaction was answered.
    committed: BTreeSet<u64>,
}

async fn channel(broker: &Binary) -> (Connection, Channel) {
    let uri = format!("amqp://guest:guest@{}", broker.address());
    let connection = Connection::connect(&uri, ConnectionProperties::default()).await.unwrap();
    let channel = connection.create_channel().await.unwrap();
    (connection, channel)
}

/// Publishes numbers to all queues until the broker is gone.
async fn publish(channel: Channel, seen: Arc<Mutex<Seen>>) {
    let persistent = BasicProperties::default().with_delivery_mode(2);
    if channel.confirm_select(ConfirmSelectOptions::default()).await.is_err() {
        return;
    }
    loop {
        let mut window = Vec::new();
        for _ in 0..50 {
            let number = next_number(&seen);
            let body = number.to_be_bytes();
            let options = BasicPublishOptions::default();
            let sent =
                channel.basic_publish("amq.fanout".into(), "".into(), options, &body, persistent.clone());
            match sent.await {
                Ok(confirm) => window.push((number, confirm)),
                Err(_) => return,
            }
        }
        for (number, confirm) in window {
            match confirm.await {
                Ok(confirmation) if confirmation.is_ack() => {
                    seen.lock().unwrap().confirmed.insert(number);
                }
                Ok(_) => {}
                Err(_) => return,
            }
        }
    }
}

/// Publishes each number to both queues of the pair in one transaction until the broker is gone.
async fn transact(channel: Channel, seen: Arc<Mutex<Seen>>) {
    let persistent = BasicProperties::default().with_delivery_mode(2);
    if channel.tx_select().await.is_err() {
        return;
    }
    loop {
        let number = next_number(&seen);
        for queue in PAIR {
            let (options, body) = (BasicPublishOptions::default(), number.to_be_bytes());
            if channel
                .basic_publish("".into(), queue.into(), options, &body, persistent.clone())
                .await
                .is_err()
            {
                return;
            }
        }
        if channel.tx_commit().await.is_err() {
            return;
        }
        seen.lock().unwrap().committed.insert(number);
    }
}

fn next_number(seen: &Mutex<Seen>) -> u64 {
    let mut seen = seen.lock().unwrap();
    seen.last += 1;
    seen.last
}

/// Consumes a queue until the broker is gone. Now and then it acks all that it has, so that some has always been
/// delivered and not acked.
async fn consume(channel: Channel, at: usize, seen: Arc<Mutex<Seen>>) {
    let _limited = channel.basic_qos(20, BasicQosOptions::default()).await;
    let options = BasicConsumeOptions::default();
    let Ok(mut consumer) =
        channel.basic_consume(QUEUES[at].into(), "".into(), options, FieldTable::default()).await
    else {
        return;
    };
    let (mut highest, mut held) = (0, Vec::new());
    while let Some(Ok(delivery)) = consumer.next().await {
        let number = u64::from_be_bytes(delivery.data.as_slice().try_into().unwrap());
        held.push(number);
        note(&mut seen.lock().unwrap(), at, number, delivery.redelivered, &mut highest);
        if held.len() < 7 {
            continue;
        }
        seen.lock().unwrap().settled[at].extend(held.drain(..));
        if delivery.ack(BasicAckOptions { multiple: true }).await.is_err() {
            return;
        }
    }
}

fn note(seen: &mut Seen, at: usize, number: u64, redelivered: bool, highest: &mut u64) {
    let is_new = seen.delivered[at].insert(number);
    seen.unmarked_again += u64::from(!is_new && !redelivered);
    seen.out_of_order += u64::from(number < *highest);
    *highest = number.max(*highest);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_confirmed_is_lost_however_often_the_broker_is_killed() {
    let rounds =
        std::env::var("LEPUS_KILL_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(ROUNDS);
    let dir = TempDir::new().unwrap();
    let seen = Arc::new(Mutex::new(Seen::default()));
    let loads = Arc::new(Mutex::new(Loads::default()));
    for round in 0..rounds {
        // In every other round all messages leave the memory at once.
        let broker = Binary::start_with(&dir, if round % 2 == 0 { &[] } else { &["--message-memory", "0"] });
        let (connection, admin) = channel(&broker).await;
        kill_loads::check_queues(&connection, &loads).await;
        kill_loads::prepare(&admin).await;
        kill_ring::prepare(&admin, round == 0).await;
        for queue in QUEUES {
            let durable = QueueDeclareOptions { durable: true, ..Default::default() };
            admin.queue_declare(queue.into(), durable, FieldTable::default()).await.unwrap();
            let (bind, table) = (QueueBindOptions::default(), FieldTable::default());
            admin.queue_bind(queue.into(), "amq.fanout".into(), "".into(), bind, table).await.unwrap();
        }
        for queue in PAIR {
            let durable = QueueDeclareOptions { durable: true, ..Default::default() };
            admin.queue_declare(queue.into(), durable, FieldTable::default()).await.unwrap();
        }
        let mut tasks = Vec::new();
        for at in 0..QUEUES.len() {
            let consumer = connection.create_channel().await.unwrap();
            tasks.push(tokio::spawn(consume(consumer, at, Arc::clone(&seen))));
        }
        let (other, publisher) = channel(&broker).await;
        tasks.push(tokio::spawn(publish(publisher, Arc::clone(&seen))));
        let transactions = other.create_channel().await.unwrap();
        tasks.push(tokio::spawn(transact(transactions, Arc::clone(&seen))));
        tasks.push(tokio::spawn(kill_ring::turn(other.create_channel().await.unwrap())));
        let (third, _) = channel(&broker).await;
        tasks.extend(kill_loads::start(&third, &loads).await);
        // Killed in the middle of the load: once so many more are confirmed.
        let before = seen.lock().unwrap().confirmed.len();
        while seen.lock().unwrap().confirmed.len() < before + 500 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        broker.kill();
        for mut task in tasks {
            if tokio::time::timeout(NOTICE, &mut task).await.is_err() {
                task.abort();
            }
        }
    }
    let broker = Binary::start(&dir);
    let pair = drain(&broker, &seen).await;
    let (connection, reader) = channel(&broker).await;
    kill_loads::check_queues(&connection, &loads).await;
    let others = kill_loads::check_messages(&reader, &loads).await;
    kill_ring::check(&reader).await;
    let seen = seen.lock().unwrap();
    assert_eq!(pair[0], pair[1], "a transaction reached one queue and not the other, or in another order");
    let there: BTreeSet<u64> = pair[0].iter().copied().collect();
    assert_eq!(there.len(), pair[0].len(), "a transaction came twice");
    assert!(seen.committed.is_subset(&there), "committed and lost");
    assert!(!seen.committed.is_empty());
    for settled in &seen.settled {
        let lost: Vec<_> = seen.confirmed.difference(settled).collect();
        assert!(lost.is_empty(), "{} confirmed and lost: {lost:?}", lost.len());
    }
    assert_eq!((seen.unmarked_again, seen.out_of_order), (0, 0), "unmarked duplicates, out of order");
    let (confirmed, committed) = (seen.confirmed.len(), seen.committed.len());
    println!("{rounds} kills: {confirmed} confirmed in 3 queues, {committed} transactions; {others}");
}

/// Takes what is left in the queues; the numbers in those of the pair.
async fn drain(broker: &Binary, seen: &Arc<Mutex<Seen>>) -> [Vec<u64>; 2] {
    let (_connection, channel) = channel(broker).await;
    for (at, queue) in QUEUES.into_iter().enumerate() {
        let mut highest = 0;
        while let Some(got) = channel.basic_get(queue.into(), BasicGetOptions { no_ack: true }).await.unwrap()
        {
            let number = u64::from_be_bytes(got.data.as_slice().try_into().unwrap());
            let mut seen = seen.lock().unwrap();
            note(&mut seen, at, number, got.redelivered, &mut highest);
            seen.settled[at].insert(number);
        }
    }
    let mut pair = [Vec::new(), Vec::new()];
    for (queue, numbers) in PAIR.into_iter().zip(&mut pair) {
        while let Some(got) = channel.basic_get(queue.into(), BasicGetOptions { no_ack: true }).await.unwrap()
        {
            numbers.push(u64::from_be_bytes(got.data.as_slice().try_into().unwrap()));
        }
        assert!(numbers.is_sorted(), "{queue} is out of order");
    }
    pair
}
