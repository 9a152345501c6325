//! What else goes on while the broker is killed: messages that are not kept among those that are, more than memory
//! holds; queues that come and go; messages that expire and are carried to another queue.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use lapin::options::*;
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel, Connection};

/// The queue of both kinds, without a consumer.
const MIXED: &str = "mixed";

/// Where messages expire, and where they go then.
const EXPIRING: &str = "expiring";
const EXPIRED: &str = "expired";

/// A queue that keeps the last few of large messages, so that the log turns while the broker is killed: its files are
/// used again, and what is older than them moves on.
const LARGE: &str = "large";
const LARGE_KEPT: i32 = 20;
const LARGE_OCTETS: usize = 256 * 1024;

/// Milliseconds.
const TTL: i32 = 5;

/// Queues that one load keeps before it deletes the oldest.
const PASSING_MAX: usize = 5;

const WINDOW: usize = 50;

/// What the clients know.
#[derive(Debug, Default)]
pub(crate) struct Loads {
    last: u64,
    /// Persistent and confirmed in the mixed queue.
    kept: BTreeSet<u64>,
    /// Confirmed where messages expire.
    expiring: BTreeSet<u64>,
    /// Queues with one message, which is confirmed.
    there: BTreeSet<u64>,
    /// Queues whose deletion was answered.
    gone: BTreeSet<u64>,
    /// The large message that was confirmed last.
    large: u64,
}

/// The loads' own account, shared with their tasks.
pub(crate) type Shared = Arc<Mutex<Loads>>;

fn next(loads: &Shared) -> u64 {
    let mut loads = loads.lock().unwrap();
    loads.last += 1;
    loads.last
}

fn passing(number: u64) -> String {
    format!("passing-{number}")
}

async fn declare(channel: &Channel, queue: &str, arguments: FieldTable) -> lapin::Result<()> {
    let durable = QueueDeclareOptions { durable: true, ..Default::default() };
    channel.queue_declare(queue.into(), durable, arguments).await.map(drop)
}

/// Declares what the loads use.
pub(crate) async fn prepare(channel: &Channel) {
    let mut expires = FieldTable::default();
    expires.insert("x-message-ttl".into(), AMQPValue::LongInt(TTL));
    expires.insert("x-dead-letter-exchange".into(), AMQPValue::LongString("".into()));
    expires.insert("x-dead-letter-routing-key".into(), AMQPValue::LongString(EXPIRED.into()));
    declare(channel, MIXED, FieldTable::default()).await.unwrap();
    declare(channel, EXPIRED, FieldTable::default()).await.unwrap();
    declare(channel, EXPIRING, expires).await.unwrap();
    let mut few = FieldTable::default();
    few.insert("x-max-length".into(), AMQPValue::LongInt(LARGE_KEPT));
    declare(channel, LARGE, few).await.unwrap();
}

/// Publishes a window of messages, of which every one, or every other one, is persistent; the numbers confirmed of
/// these.
async fn window(channel: &Channel, queue: &str, all: bool, loads: &Shared) -> lapin::Result<Vec<u64>> {
    let mut sent = Vec::new();
    for _ in 0..WINDOW {
        let number = next(loads);
        let is_kept = all || number.is_multiple_of(2);
        let properties = BasicProperties::default().with_delivery_mode(if is_kept { 2 } else { 1 });
        let (options, body) = (BasicPublishOptions::default(), number.to_be_bytes());
        let confirm = channel.basic_publish("".into(), queue.into(), options, &body, properties).await?;
        sent.push((number, is_kept, confirm));
    }
    let mut confirmed = Vec::new();
    for (number, is_kept, confirm) in sent {
        if confirm.await?.is_ack() && is_kept {
            confirmed.push(number);
        }
    }
    Ok(confirmed)
}

/// Starts all loads; they end with the broker.
pub(crate) async fn start(connection: &Connection, loads: &Shared) -> Vec<tokio::task::JoinHandle<()>> {
    let mut channels = Vec::new();
    for _ in 0..4 {
        let channel = connection.create_channel().await.unwrap();
        channel.confirm_select(ConfirmSelectOptions::default()).await.unwrap();
        channels.push((channel, Arc::clone(loads)));
    }
    let [mixed, expiring, passing, large] = <[_; 4]>::try_from(channels).unwrap();
    vec![
        tokio::spawn(async move {
            while let Ok(confirmed) = window(&mixed.0, MIXED, false, &mixed.1).await {
                mixed.1.lock().unwrap().kept.extend(confirmed);
            }
        }),
        tokio::spawn(async move {
            while let Ok(confirmed) = window(&expiring.0, EXPIRING, true, &expiring.1).await {
                expiring.1.lock().unwrap().expiring.extend(confirmed);
            }
        }),
        tokio::spawn(async move { while publish_large(&large.0, &large.1).await.is_ok() {} }),
        tokio::spawn(async move { while come_and_go(&passing.0, &passing.1).await.is_ok() {} }),
    ]
}

/// One large message, confirmed.
async fn publish_large(channel: &Channel, loads: &Shared) -> lapin::Result<()> {
    let number = next(loads);
    let mut body = vec![0; LARGE_OCTETS];
    body[..8].copy_from_slice(&number.to_be_bytes());
    let (options, persistent) =
        (BasicPublishOptions::default(), BasicProperties::default().with_delivery_mode(2));
    let sent = channel.basic_publish("".into(), LARGE.into(), options, &body, persistent).await?;
    if sent.await?.is_ack() {
        loads.lock().unwrap().large = number;
    }
    Ok(())
}

/// One queue comes, with a message, and one goes.
async fn come_and_go(channel: &Channel, loads: &Shared) -> lapin::Result<()> {
    let number = next(loads);
    declare(channel, &passing(number), FieldTable::default()).await?;
    let (options, persistent) =
        (BasicPublishOptions::default(), BasicProperties::default().with_delivery_mode(2));
    let name = passing(number);
    let sent = channel.basic_publish("".into(), name.as_str().into(), options, b"one", persistent).await?;
    if sent.await?.is_ack() {
        loads.lock().unwrap().there.insert(number);
    }
    let oldest = {
        let mut loads = loads.lock().unwrap();
        // From here on nobody knows, until the answer comes.
        (loads.there.len() > PASSING_MAX).then(|| loads.there.pop_first()).flatten()
    };
    if let Some(oldest) = oldest {
        channel.queue_delete(passing(oldest).as_str().into(), QueueDeleteOptions::default()).await?;
        loads.lock().unwrap().gone.insert(oldest);
    }
    Ok(())
}

/// After a start: queues that were answered are there with their message, and those that are gone stay so.
pub(crate) async fn check_queues(connection: &Connection, loads: &Shared) {
    let (there, gone) = {
        let mut loads = loads.lock().unwrap();
        (loads.there.clone(), std::mem::take(&mut loads.gone))
    };
    let passive = QueueDeclareOptions { passive: true, ..Default::default() };
    for (number, is_there) in there.iter().map(|n| (n, true)).chain(gone.iter().map(|n| (n, false))) {
        // A queue that is not there costs the channel.
        let channel = connection.create_channel().await.unwrap();
        let name = passing(*number);
        let found = channel.queue_declare(name.as_str().into(), passive, FieldTable::default()).await;
        let messages = found.as_ref().ok().map(lapin::Queue::message_count);
        assert_eq!(messages, is_there.then_some(1), "queue {name}, which should be there: {is_there}");
        let _ended = channel.close(200, "done".into()).await;
    }
}

async fn drain(channel: &Channel, queue: &str) -> Vec<u64> {
    let mut numbers = Vec::new();
    let options = BasicGetOptions { no_ack: true };
    while let Some(got) = channel.basic_get(queue.into(), options).await.unwrap() {
        numbers.push(u64::from_be_bytes(*got.data.first_chunk().unwrap()));
    }
    numbers
}

/// After the last start: nothing confirmed is lost, nothing transient has outlived its broker. Says how much it was.
pub(crate) async fn check_messages(channel: &Channel, loads: &Shared) -> String {
    let loads = std::mem::take(&mut *loads.lock().unwrap());
    let mixed = drain(channel, MIXED).await;
    assert!(mixed.is_sorted() && mixed.iter().all(|number| number.is_multiple_of(2)), "{MIXED}: {mixed:?}");
    let there: BTreeSet<u64> = mixed.iter().copied().collect();
    assert_eq!(there.len(), mixed.len(), "twice in {MIXED}");
    let lost: Vec<_> = loads.kept.difference(&there).collect();
    assert!(lost.is_empty(), "{} confirmed and lost from {MIXED}: {lost:?}", lost.len());

    // What is past its time goes on by itself.
    let passive = QueueDeclareOptions { passive: true, ..Default::default() };
    loop {
        let waiting = channel.queue_declare(EXPIRING.into(), passive, FieldTable::default()).await.unwrap();
        if waiting.message_count() == 0 {
            break;
        }
        tokio::task::yield_now().await;
    }
    let expired: BTreeSet<u64> = drain(channel, EXPIRED).await.into_iter().collect();
    let lost: Vec<_> = loads.expiring.difference(&expired).collect();
    assert!(lost.is_empty(), "{} confirmed, expired and lost: {lost:?}", lost.len());
    assert!(expired.iter().all(|number| *number <= loads.last), "invented");
    let large = drain(channel, LARGE).await;
    assert!(large.is_sorted() && large.len() <= LARGE_KEPT.unsigned_abs() as usize, "{LARGE}: {large:?}");
    // What came after it, unconfirmed, may have pushed it out only with as many behind it.
    let is_there = large.contains(&loads.large) || large.first().is_none_or(|first| *first > loads.large);
    assert!(is_there && large.last().is_some_and(|last| *last >= loads.large), "{LARGE}: {large:?}");
    let (kept, expiring) = (loads.kept.len(), loads.expiring.len());
    format!("{kept} confirmed among transient ones and {expiring} that expired, none lost")
}
