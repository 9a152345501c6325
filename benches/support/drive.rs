//! How load is made and what it costs is taken.

use std::collections::VecDeque;
use std::io;
use std::thread;
use std::time::Instant;

use super::report::Figure;
use super::server::Server;
use lepus::bench::client::{self, Acks, Client, Incoming, Mode, Options};

/// A published chunk: one write of the publisher.
pub(crate) const CHUNK_OCTETS: usize = 64 * 1024;

/// Unconfirmed messages at a time.
const CONFIRM_WINDOW: u64 = 2000;

/// Deliveries that one ack settles.
const ACK_EVERY: u64 = 100;
const PREFETCH: u16 = 1000;

/// How much of everything: `--quick` divides the messages.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scale(pub(crate) u64);

impl Scale {
    pub(crate) fn of(self, messages: u64) -> u64 {
        messages / self.0
    }
}

/// Measures what `work` costs per message.
pub(crate) fn measure(
    server: &Server,
    messages: u64,
    work: impl FnOnce() -> io::Result<()>,
) -> io::Result<Vec<Figure>> {
    let before = server.usage()?;
    let started = now();
    work()?;
    let elapsed = started.elapsed();
    let after = server.usage()?;
    let messages = float(messages);
    Ok(vec![
        ("messages/s", messages / elapsed.as_secs_f64()),
        ("server CPU ns/message", float(after.cpu_ns - before.cpu_ns) / messages),
        ("switches/message", float(after.switches - before.switches) / messages),
        ("resident MiB", mebibytes(server.resident()?)),
    ])
}

/// Writes `messages` copies, a chunk at a time; `pace` is asked before each chunk, given how many are published.
pub(crate) fn publish(
    publisher: &mut Client,
    message: &[u8],
    messages: u64,
    mut pace: impl FnMut(u64) -> io::Result<()>,
) -> io::Result<()> {
    let chunk = message.repeat((CHUNK_OCTETS / message.len()).max(1));
    let mut published = 0;
    while published < messages {
        pace(published)?;
        let count = (messages - published).min((chunk.len() / message.len()) as u64);
        let octets = usize::try_from(count).unwrap_or(usize::MAX) * message.len();
        publisher.send(chunk.get(..octets).unwrap_or_default())?;
        published += count;
    }
    Ok(())
}

/// Persistent messages through a durable queue: confirmed to the publisher, acked by the consumer.
pub(crate) fn confirmed(server: &Server, body: usize, messages: u64) -> io::Result<Vec<Figure>> {
    let queue = "bench-confirmed";
    let mut publisher = Client::connect(server.address)?;
    publisher.declare(queue, Options::Durable)?;
    publisher.select_confirms()?;
    let mut consumer = Client::connect(server.address)?.with_big_buffer();
    consumer.prefetch(PREFETCH)?;
    consumer.consume(queue, Acks::Manual)?;
    let message = client::message("", queue, Mode::Persistent, &vec![b'x'; body]);
    let mut latencies = Vec::new();
    let mut figures = measure(server, messages, || {
        thread::scope(|scope| {
            let publishing =
                scope.spawn(|| publish_confirmed(&mut publisher, &message, messages, &mut latencies));
            consume_acking(&mut consumer, messages)?;
            publishing.join().map_err(|_| io::Error::other("the publisher panicked"))?
        })
    })?;
    drop(consumer);
    publisher.delete(queue)?;
    figures.extend(percentiles(&mut latencies));
    Ok(figures)
}

/// Keeps the window as full as half a window at a time allows. `latencies`: from the sending of each half to the
/// confirm of its last message, in ns.
fn publish_confirmed(
    publisher: &mut Client,
    message: &[u8],
    messages: u64,
    latencies: &mut Vec<u64>,
) -> io::Result<()> {
    let half = CONFIRM_WINDOW / 2;
    let chunk = message.repeat(usize::try_from(half).unwrap_or_default());
    let mut under_way = VecDeque::new();
    let (mut published, mut confirmed) = (0, 0);
    while confirmed < messages {
        if published < messages && published - confirmed <= half {
            let count = half.min(messages - published);
            let octets = usize::try_from(count).unwrap_or(usize::MAX) * message.len();
            published += count;
            under_way.push_back((published, now()));
            publisher.send(chunk.get(..octets).unwrap_or_default())?;
        } else {
            publisher.receive(|incoming| {
                if let Incoming::Confirmed { tag, .. } = incoming {
                    confirmed = confirmed.max(tag);
                }
            })?;
            while let Some((_, sent)) = under_way.pop_front_if(|(last, _)| *last <= confirmed) {
                latencies.push(nanos(sent));
            }
        }
    }
    Ok(())
}

fn consume_acking(consumer: &mut Client, messages: u64) -> io::Result<()> {
    let (mut received, mut acked) = (0, 0);
    while received < messages {
        consumer.receive(|incoming| received += u64::from(matches!(incoming, Incoming::Delivery)))?;
        let due = if received == messages { received } else { received - received % ACK_EVERY };
        let mut acks = Vec::new();
        while acked < due {
            acked = due.min(acked + ACK_EVERY);
            acks.extend(client::ack(acked));
        }
        consumer.send(&acks)?;
    }
    Ok(())
}

/// Median and 99th percentile of nanoseconds.
pub(crate) fn percentiles(samples: &mut [u64]) -> [Figure; 2] {
    samples.sort_unstable();
    [("p50 µs", percentile(samples, 50)), ("p99 µs", percentile(samples, 99))]
}

/// The disk by itself, to see the other figures beside.
pub(crate) fn bare_sync(server: &Server) -> io::Result<Figure> {
    let mut samples = server.bare_syncs()?;
    samples.sort_unstable();
    Ok(("p50 µs of a bare fdatasync", percentile(&samples, 50)))
}

fn percentile(sorted_ns: &[u64], percent: usize) -> f64 {
    let index = (sorted_ns.len() * percent / 100).min(sorted_ns.len().saturating_sub(1));
    float(sorted_ns.get(index).copied().unwrap_or_default()) / 1000.0
}

#[expect(clippy::disallowed_methods, reason = "a measurement is about real time")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

pub(crate) fn nanos(start: Instant) -> u64 {
    u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX)
}

pub(crate) fn float(number: u64) -> f64 {
    number as f64
}

pub(crate) fn mebibytes(octets: u64) -> f64 {
    float(octets) / 1024.0 / 1024.0
}
