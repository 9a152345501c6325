//! What is measured, each on a new broker.

use std::io::{self, Write};
use std::thread;

use crate::delayed::delayed;
use crate::support::drive::{
    self, Scale, bare_sync, float, measure, mebibytes, nanos, now, percentiles, publish,
};
use crate::support::report::Figure;
use crate::support::server::Server;
use lepus::bench::client::{self, Acks, Client, Incoming, Mode, Options};

/// Durable queues that get one message each per round.
const QUEUES: usize = 1000;

/// Octets of a small and of a usual message's body.
const SMALL: usize = 16;
const USUAL: usize = 1024;

/// Queues that are declared without waiting for answers.
const DECLARED_PIPELINED: u64 = 100_000;

/// When it is measured.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Size {
    /// Always.
    Usual,
    /// With `--large`: it takes minutes and gigabytes.
    Large,
}

/// One run on a server.
pub(crate) type Scenario = fn(&mut Server, Scale) -> io::Result<Vec<Figure>>;

/// By name, in the order of the report.
pub(crate) const SCENARIOS: &[(&str, Size, Scenario)] = &[
    ("confirms, window 2,000, 16 B", Size::Usual, |server, scale| window(server, SMALL, scale.of(2_000_000))),
    ("confirms, window 2,000, 1 KiB", Size::Usual, |server, scale| window(server, USUAL, scale.of(500_000))),
    ("confirms, one at a time, 16 B", Size::Usual, |server, scale| {
        one_by_one(server, SMALL, scale.of(20_000))
    }),
    ("confirms, one at a time, 1 KiB", Size::Usual, |server, scale| {
        one_by_one(server, USUAL, scale.of(20_000))
    }),
    ("confirms, 1,000 queues at a time", Size::Usual, |server, scale| rounds(server, scale.of(1000))),
    ("declares, one at a time", Size::Usual, |server, scale| declares(server, scale.of(1000))),
    ("declares, pipelined", Size::Usual, |server, scale| pipelined(server, scale.of(DECLARED_PIPELINED))),
    ("backlog, 1 M x 16 B", Size::Usual, |server, scale| backlog(server, SMALL, scale.of(1_000_000))),
    ("backlog, 10 M x 16 B", Size::Usual, |server, scale| backlog(server, SMALL, scale.of(10_000_000))),
    ("backlog, 30 M x 16 B", Size::Large, |server, scale| backlog(server, SMALL, scale.of(30_000_000))),
    ("backlog, 1 M x 1 KiB", Size::Usual, |server, scale| backlog(server, USUAL, scale.of(1_000_000))),
    ("delayed, 1 M x 16 B", Size::Usual, |server, scale| delayed(server, scale.of(1_000_000))),
    ("delayed, 10 M x 16 B", Size::Large, |server, scale| delayed(server, scale.of(10_000_000))),
    ("backlog, 10 M x 16 B, transient", Size::Usual, |server, scale| spilled(server, scale.of(10_000_000))),
];

/// Messages that are confirmed and acknowledged at once.
fn window(server: &Server, body: usize, messages: u64) -> io::Result<Vec<Figure>> {
    let before = server.written()?;
    let mut figures = drive::confirmed(server, body, messages)?;
    figures.push(written(server, before, messages)?);
    Ok(figures)
}

fn one_by_one(server: &Server, body: usize, messages: u64) -> io::Result<Vec<Figure>> {
    let queue = "bench-one-by-one";
    let mut publisher = Client::connect(server.address)?;
    publisher.declare(queue, Options::Durable)?;
    publisher.select_confirms()?;
    let message = client::message("", queue, Mode::Persistent, &vec![b'x'; body]);
    confirmed_rounds(server, &mut publisher, &message, 1, messages)
}

/// One message to each of many queues, then the confirms of all.
fn rounds(server: &Server, rounds: u64) -> io::Result<Vec<Figure>> {
    let mut publisher = Client::connect(server.address)?;
    let mut round = Vec::new();
    for number in 0..QUEUES {
        let queue = format!("bench-round-{number}");
        publisher.declare(&queue, Options::Durable)?;
        round.extend(client::message("", &queue, Mode::Persistent, &[b'x'; SMALL]));
    }
    publisher.select_confirms()?;
    confirmed_rounds(server, &mut publisher, &round, QUEUES as u64, rounds)
}

/// Sends a round of messages again and again, each time after the confirm of the last.
fn confirmed_rounds(
    server: &Server,
    publisher: &mut Client,
    round: &[u8],
    per_round: u64,
    rounds: u64,
) -> io::Result<Vec<Figure>> {
    let disk = bare_sync(server)?;
    let before = server.written()?;
    let mut latencies = Vec::new();
    let messages = per_round * rounds;
    let mut figures = measure(server, messages, || {
        for number in 1..=rounds {
            let sent = now();
            publisher.send(round)?;
            confirm(publisher, number * per_round)?;
            latencies.push(nanos(sent));
        }
        Ok(())
    })?;
    figures.extend(percentiles(&mut latencies));
    figures.extend([written(server, before, messages)?, disk]);
    Ok(figures)
}

/// Waits until everything up to `tag` is confirmed.
fn confirm(publisher: &mut Client, tag: u64) -> io::Result<()> {
    let mut confirmed = 0;
    while confirmed < tag {
        publisher.receive(|incoming| {
            if let Incoming::Confirmed { tag, .. } = incoming {
                confirmed = confirmed.max(tag);
            }
        })?;
    }
    Ok(())
}

fn declares(server: &Server, queues: u64) -> io::Result<Vec<Figure>> {
    let mut client = Client::connect(server.address)?;
    let mut latencies = Vec::new();
    let disk = bare_sync(server)?;
    let started = now();
    for number in 0..queues {
        let sent = now();
        client.declare(&format!("bench-declare-{number}"), Options::Durable)?;
        latencies.push(nanos(sent));
    }
    let seconds = started.elapsed().as_secs_f64();
    let [p50, p99] = percentiles(&mut latencies);
    Ok(vec![("s", seconds), ("declares/s", float(queues) / seconds), p50, p99, disk])
}

/// All are sent while the answers come; then the broker is killed and must know them all.
fn pipelined(server: &mut Server, queues: u64) -> io::Result<Vec<Figure>> {
    let mut client = Client::connect(server.address)?.with_big_buffer();
    let before = server.resident()?;
    let mut sender = client.sender()?;
    let started = now();
    thread::scope(|scope| {
        let sending = scope.spawn(move || {
            let name = |number| client::declare(&format!("bench-pipelined-{number}"), Options::Durable);
            let octets: Vec<u8> = (0..queues).flat_map(name).collect();
            sender.write_all(&octets)
        });
        let mut answers = 0;
        while answers < queues {
            client.receive(|incoming| answers += u64::from(matches!(incoming, Incoming::Answer(_))))?;
        }
        sending.join().map_err(|_| io::Error::other("the sender panicked"))?
    })?;
    let seconds = started.elapsed().as_secs_f64();
    let grown = server.resident()?.saturating_sub(before);
    let start = server.restart()?;
    Client::connect(server.address)?.declare(&format!("bench-pipelined-{}", queues - 1), Options::Passive)?;
    Ok(vec![
        ("s", seconds),
        ("declares/s", float(queues) / seconds),
        ("KiB each", float(grown) / 1024.0 / float(queues)),
        ("s from SIGKILL to serving", start.as_secs_f64()),
    ])
}

/// Fills a durable queue, kills the broker, and drains the queue from the next one.
fn backlog(server: &mut Server, body: usize, messages: u64) -> io::Result<Vec<Figure>> {
    let queue = "bench-backlog";
    let idle = server.resident()?;
    let before = server.written()?;
    let mut publisher = Client::connect(server.address)?;
    publisher.declare(queue, Options::Durable)?;
    let message = client::message("", queue, Mode::Persistent, &vec![b'x'; body]);
    let filled = measure(server, messages, || {
        publish(&mut publisher, &message, messages - 1, |_| Ok(()))?;
        // There is one log: what comes first in it is durable first.
        publisher.select_confirms()?;
        publisher.send(&message)?;
        confirm(&mut publisher, 1)
    })?;
    let mut figures = filling(server, idle, filled)?;
    figures.push(written(server, before, messages)?);
    figures.push(("MiB on disk", mebibytes(server.disk()?)));
    drop(publisher);

    let start = server.restart()?;
    figures.push(("s from SIGKILL to serving", start.as_secs_f64()));
    figures.push(("MiB resident then", mebibytes(server.resident()?)));
    count(server, queue, messages)?;
    figures.extend(drain(server, queue, messages, start.as_secs_f64())?);
    Ok(figures)
}

/// Fills a queue with messages that go with the process, and drains it.
fn spilled(server: &Server, messages: u64) -> io::Result<Vec<Figure>> {
    let queue = "bench-spilled";
    let idle = server.resident()?;
    let mut publisher = Client::connect(server.address)?;
    publisher.declare(queue, Options::Transient)?;
    let message = client::message("", queue, Mode::Transient, &[b'x'; SMALL]);
    let filled = measure(server, messages, || {
        publish(&mut publisher, &message, messages, |_| Ok(()))?;
        // Its answer comes behind all that was published.
        publisher.declare(queue, Options::Passive)
    })?;
    let mut figures = filling(server, idle, filled)?;
    figures.push(("MiB on disk", mebibytes(server.disk()?)));
    count(server, queue, messages)?;
    figures.extend(drain(server, queue, messages, 0.0)?.into_iter().skip(1));
    Ok(figures)
}

/// Memory beside what filling cost.
fn filling(server: &Server, idle: u64, filled: Vec<Figure>) -> io::Result<Vec<Figure>> {
    let mut figures = vec![("MiB resident idle", mebibytes(idle))];
    figures.extend(filled);
    figures.push(("MiB at most", mebibytes(server.resident_max()?)));
    Ok(figures)
}

/// Takes all messages with one consumer, `since` seconds after the start.
fn drain(server: &Server, queue: &str, messages: u64, since: f64) -> io::Result<Vec<Figure>> {
    let mut consumer = Client::connect(server.address)?.with_big_buffer();
    let (started, before) = (now(), server.usage()?);
    let (mut received, mut first, mut half) = (0, None, None);
    consumer.consume(queue, Acks::Automatic)?;
    while received < messages {
        consumer.receive(|incoming| received += u64::from(matches!(incoming, Incoming::Delivery)))?;
        if first.is_none() && received > 0 {
            first = Some(started.elapsed().as_secs_f64());
        }
        if half.is_none() && received >= messages / 2 {
            half = Some(server.resident()?);
        }
    }
    let seconds = started.elapsed().as_secs_f64();
    let cpu_ns = server.usage()?.cpu_ns - before.cpu_ns;
    count(server, queue, 0)?;
    Ok(vec![
        ("s from SIGKILL to the first delivery", since + first.unwrap_or_default()),
        ("drained/s", float(messages) / seconds),
        ("server CPU ns/drained", float(cpu_ns) / float(messages)),
        ("MiB half drained", mebibytes(half.unwrap_or_default())),
        ("MiB drained", mebibytes(server.resident()?)),
        ("MiB at most since", mebibytes(server.resident_max()?)),
    ])
}

/// An error unless the queue has exactly so many ready messages.
fn count(server: &Server, queue: &str, messages: u64) -> io::Result<()> {
    match Client::connect(server.address)?.count(queue)? {
        found if found == messages => Ok(()),
        found => Err(io::Error::other(format!("{found} messages are ready, {messages} should be"))),
    }
}

/// Octets that were written for each confirmed message, since `before`.
fn written(server: &Server, before: u64, messages: u64) -> io::Result<Figure> {
    Ok(("octets written/message", float(server.written()?.saturating_sub(before)) / float(messages)))
}
