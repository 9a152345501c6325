//! What is measured. Each scenario brings its queues along and takes them away again.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::drive::{Scale, confirmed, float, measure, mebibytes, nanos, now, percentiles, publish};
use crate::support::report::Figure;
use crate::support::server::Server;
use crate::topologies;
use lepus::bench::client::{self, Acks, Client, Incoming, Mode, Options};
use lepus_protocol::FieldTable;

/// How far a publisher without confirms may be ahead of the consumer: no backlog is to be measured where none is named.
const AHEAD_OCTETS: u64 = 8 * 1024 * 1024;

/// How long a publisher that is ahead looks away.
const PAUSE: Duration = Duration::from_micros(100);

const FANOUT_QUEUES: usize = 10;
const LATENCY_RATE: u64 = 50_000;
const CONNECTIONS: usize = 1000;
const QUEUES: usize = 10_000;

/// One run against a server.
pub(crate) type Scenario = fn(&Server, Scale) -> io::Result<Vec<Figure>>;

/// By name, in the order of the report.
pub(crate) const SCENARIOS: &[(&str, Scenario)] = &[
    ("transient 16 B, auto-ack", |server, scale| one_to_one(server, 16, scale.of(5_000_000))),
    ("transient 1 KiB, auto-ack", |server, scale| one_to_one(server, 1024, scale.of(1_000_000))),
    ("persistent 16 B, confirms, acks", |server, scale| confirmed(server, 16, scale.of(2_000_000))),
    ("persistent 1 KiB, confirms, acks", |server, scale| confirmed(server, 1024, scale.of(500_000))),
    ("publish into a backlog, 16 B", |server, scale| backlog(server, scale.of(2_000_000), Phase::Publish)),
    ("drain a backlog, 16 B", |server, scale| backlog(server, scale.of(2_000_000), Phase::Drain)),
    ("fanout 1 to 10, 16 B, per delivery", |server, scale| fanout(server, scale.of(500_000))),
    ("latency at 50,000/s", |server, scale| latency(server, scale.of(200_000))),
    ("topic, 10,000 bindings, 28 words", |server, scale| topologies::topics(server, scale.of(2_000_000))),
    ("ttl and dead letters, per hop of 10", |server, scale| topologies::chain(server, scale.of(200_000))),
    ("short-lived queues", |server, scale| topologies::short_lived_queues(server, scale.of(100_000))),
    ("idle", |server, _| Ok(vec![("resident MiB", mebibytes(server.resident()?))])),
    ("idle connections", |server, _| idle_connections(server)),
    ("idle queues", |server, _| idle_queues(server)),
];

fn one_to_one(server: &Server, body: usize, messages: u64) -> io::Result<Vec<Figure>> {
    let queue = "bench-one-to-one";
    let mut publisher = Client::connect(server.address)?;
    publisher.declare(queue, Options::Transient)?;
    let mut consumer = Client::connect(server.address)?.with_big_buffer();
    consumer.consume(queue, Acks::Automatic)?;
    let message = client::message("", queue, Mode::Transient, &vec![b'x'; body]);
    let figures =
        measure(server, messages, || pump(&mut publisher, &message, messages, &mut consumer, messages))?;
    publisher.delete(queue)?;
    Ok(figures)
}

fn fanout(server: &Server, messages: u64) -> io::Result<Vec<Figure>> {
    let exchange = "bench-fanout";
    let mut publisher = Client::connect(server.address)?;
    let mut consumer = Client::connect(server.address)?.with_big_buffer();
    publisher.declare_exchange(exchange, "fanout")?;
    for number in 0..FANOUT_QUEUES {
        consumer.declare(&format!("bench-fanout-{number}"), Options::Exclusive)?;
        consumer.bind(&format!("bench-fanout-{number}"), exchange, "", FieldTable::new())?;
    }
    for number in 0..FANOUT_QUEUES {
        consumer.consume(&format!("bench-fanout-{number}"), Acks::Automatic)?;
    }
    let message = client::message(exchange, "", Mode::Transient, &[b'x'; 16]);
    let deliveries = messages * FANOUT_QUEUES as u64;
    measure(server, deliveries, || pump(&mut publisher, &message, messages, &mut consumer, deliveries))
}

/// Publishes all messages on one thread and waits for all deliveries on this one.
fn pump(
    publisher: &mut Client,
    message: &[u8],
    messages: u64,
    consumer: &mut Client,
    deliveries: u64,
) -> io::Result<()> {
    let per_message = deliveries / messages;
    let ahead = AHEAD_OCTETS / (message.len() as u64 * per_message);
    let consumed = AtomicU64::new(0);
    thread::scope(|scope| {
        let publishing = scope.spawn(|| {
            publish(publisher, message, messages, |published| {
                while published > consumed.load(Ordering::Relaxed) / per_message + ahead {
                    thread::sleep(PAUSE);
                }
                Ok(())
            })
        });
        let mut received = 0;
        while received < deliveries {
            consumer.receive(|incoming| received += u64::from(matches!(incoming, Incoming::Delivery)))?;
            consumed.store(received, Ordering::Relaxed);
        }
        publishing.join().map_err(|_| io::Error::other("the publisher panicked"))?
    })
}

/// Which part of a backlog's life is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Publish,
    Drain,
}

fn backlog(server: &Server, messages: u64, measured: Phase) -> io::Result<Vec<Figure>> {
    let queue = "bench-backlog";
    let mut publisher = Client::connect(server.address)?;
    publisher.declare(queue, Options::Transient)?;
    let message = client::message("", queue, Mode::Transient, &[b'x'; 16]);
    let filled = measure(server, messages, || {
        publish(&mut publisher, &message, messages, |_| Ok(()))?;
        // Its answer comes behind all that was published.
        publisher.declare(queue, Options::Passive)
    })?;
    let drained = measure(server, messages, || {
        let mut consumer = Client::connect(server.address)?.with_big_buffer();
        consumer.consume(queue, Acks::Automatic)?;
        let mut received = 0;
        while received < messages {
            consumer.receive(|incoming| received += u64::from(matches!(incoming, Incoming::Delivery)))?;
        }
        Ok(())
    })?;
    publisher.delete(queue)?;
    Ok(if measured == Phase::Publish { filled } else { drained })
}

/// Bodies carry when they were sent.
fn latency(server: &Server, messages: u64) -> io::Result<Vec<Figure>> {
    let queue = "bench-latency";
    let mut publisher = Client::connect(server.address)?;
    publisher.declare(queue, Options::Transient)?;
    let mut consumer = Client::connect(server.address)?.with_big_buffer();
    consumer.consume(queue, Acks::Automatic)?;
    let start = now();
    let mut samples = Vec::new();
    let mut figures = measure(server, messages, || {
        thread::scope(|scope| {
            let publishing = scope.spawn(|| publish_at_rate(&mut publisher, queue, messages, start));
            while (samples.len() as u64) < messages {
                consumer.receive(|incoming| {
                    if let Incoming::Body(body) = incoming {
                        let sent = body.first_chunk().map_or(0, |sent| u64::from_be_bytes(*sent));
                        samples.push(nanos(start).saturating_sub(sent));
                    }
                })?;
            }
            publishing.join().map_err(|_| io::Error::other("the publisher panicked"))?
        })
    })?;
    publisher.delete(queue)?;
    figures.extend(percentiles(&mut samples));
    Ok(figures)
}

fn publish_at_rate(publisher: &mut Client, queue: &str, messages: u64, start: Instant) -> io::Result<()> {
    let mut message = client::message("", queue, Mode::Transient, &[0; 16]);
    // The body is the last but for the end octet.
    let body = message.len() - 17;
    let base = nanos(start);
    let mut published = 0;
    while published < messages {
        let due = ((nanos(start) - base) * LATENCY_RATE / 1_000_000_000).min(messages);
        while published < due {
            if let Some(stamp) = message.get_mut(body..body + 8) {
                stamp.copy_from_slice(&nanos(start).to_be_bytes());
            }
            publisher.send(&message)?;
            published += 1;
        }
        thread::sleep(Duration::from_micros(20));
    }
    Ok(())
}

fn idle_connections(server: &Server) -> io::Result<Vec<Figure>> {
    let before = server.resident()?;
    let clients: Vec<Client> =
        (0..CONNECTIONS).map(|_| Client::connect(server.address)).collect::<Result<_, _>>()?;
    let grown = server.resident()?.saturating_sub(before);
    drop(clients);
    Ok(vec![("KiB each", float(grown) / 1024.0 / CONNECTIONS as f64)])
}

fn idle_queues(server: &Server) -> io::Result<Vec<Figure>> {
    let mut client = Client::connect(server.address)?;
    let before = server.resident()?;
    for number in 0..QUEUES {
        client.declare(&format!("bench-idle-queue-{number}"), Options::Exclusive)?;
    }
    let grown = server.resident()?.saturating_sub(before);
    Ok(vec![("KiB each", float(grown) / 1024.0 / QUEUES as f64)])
}
