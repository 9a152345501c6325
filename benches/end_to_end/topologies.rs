//! Topologies that frameworks build: many bindings with long keys, chains of waiting queues, queues that come and go.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use crate::support::drive::{float, measure, mebibytes, now, publish};
use crate::support::report::Figure;
use crate::support::server::Server;
use lepus::bench::client::{self, Acks, Client, Incoming, Mode, Options};
use lepus_protocol::method::{basic, exchange, queue};
use lepus_protocol::{ChannelId, FieldTable, Method, ShortStr};

/// Bindings of the topic exchange, and the words of each key: as many as Celery's delayed delivery has bits.
const BINDINGS: u64 = 10_000;
const WORDS: u64 = 28;

/// Rounds of one message for each binding that a publisher is ahead.
const ROUNDS_AHEAD: u64 = 2;

/// Queues of a chain, and how long a message waits in each.
const HOPS: u64 = 10;
const WAIT_MS: i64 = 1;

/// Queues that are under way at a time, and how long each is there after its last use.
const QUEUES_AT_ONCE: u64 = 500;
const EXPIRES_MS: i64 = 5_000;

/// How often somebody looks whether all queues have gone, and for how long.
const LOOK_EVERY: Duration = Duration::from_millis(10);
const LOOKS_MAX: usize = 6_000;

/// Messages through a topic exchange with many bindings, each of which has a key of 28 words, a quarter of them
/// wildcards. No two messages in a row have the same key.
pub(crate) fn topics(server: &Server, messages: u64) -> io::Result<Vec<Figure>> {
    let (exchange, queue) = ("bench-topics", "bench-topic");
    let mut publisher = Client::connect(server.address)?;
    publisher.declare_exchange(exchange, "topic")?;
    publisher.declare(queue, Options::Transient)?;
    let before = server.resident()?;
    for number in 0..BINDINGS {
        publisher.bind(queue, exchange, &pattern(number), FieldTable::new())?;
    }
    let bound = server.resident()?.saturating_sub(before);
    let round: Vec<u8> = (0..BINDINGS)
        .flat_map(|number| client::message(exchange, &key(number), Mode::Transient, &[b'x'; 16]))
        .collect();
    let mut consumer = Client::connect(server.address)?.with_big_buffer();
    consumer.consume(queue, Acks::Automatic)?;
    let rounds = (messages / BINDINGS).max(1);
    let mut figures =
        measure(server, rounds * BINDINGS, || go_round(&mut publisher, &round, rounds, &mut consumer))?;
    publisher.delete(queue)?;
    figures.push(("B/binding", float(bound) / float(BINDINGS)));
    Ok(figures)
}

fn go_round(publisher: &mut Client, round: &[u8], rounds: u64, consumer: &mut Client) -> io::Result<()> {
    let consumed = AtomicU64::new(0);
    thread::scope(|scope| {
        let publishing = scope.spawn(|| {
            for number in 0..rounds {
                while number > consumed.load(Ordering::Relaxed) / BINDINGS + ROUNDS_AHEAD {
                    thread::sleep(Duration::from_micros(100));
                }
                publisher.send(round)?;
            }
            Ok(())
        });
        let mut received = 0;
        while received < rounds * BINDINGS {
            consumer.receive(|incoming| received += u64::from(matches!(incoming, Incoming::Delivery)))?;
            consumed.store(received, Ordering::Relaxed);
        }
        publishing.join().map_err(|_| io::Error::other("the publisher panicked"))?
    })
}

/// The bits of a number, a word each.
fn key(number: u64) -> String {
    words(number, |_, bit| bit)
}

/// Matches the key of the same number and few others.
fn pattern(number: u64) -> String {
    words(number, |word, bit| if (number + word).is_multiple_of(4) { "*" } else { bit })
}

fn words(number: u64, word: impl Fn(u64, &'static str) -> &'static str) -> String {
    // Spread over all bits.
    let bits = number.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> (64 - WORDS);
    let bit = |at: u64| word(at, if bits >> at & 1 == 1 { "1" } else { "0" });
    (0..WORDS).map(bit).collect::<Vec<_>>().join(".")
}

/// Messages that expire in each queue of a chain and go on to the next one; costs are for each hop.
pub(crate) fn chain(server: &Server, messages: u64) -> io::Result<Vec<Figure>> {
    let name = |hop: u64| format!("bench-chain-{hop}");
    let mut publisher = Client::connect(server.address)?;
    for hop in 0..HOPS {
        let mut arguments = FieldTable::new();
        arguments.insert("x-message-ttl", WAIT_MS);
        arguments.insert("x-dead-letter-exchange", "");
        arguments.insert("x-dead-letter-routing-key", name(hop + 1).as_str());
        publisher.call(declaration(&name(hop), arguments), queue::DeclareOk::ID)?;
    }
    publisher.declare(&name(HOPS), Options::Transient)?;
    let mut consumer = Client::connect(server.address)?.with_big_buffer();
    consumer.consume(&name(HOPS), Acks::Automatic)?;
    let message = client::message("", &name(0), Mode::Transient, &[b'x'; 16]);
    let figures = measure(server, messages * HOPS, || {
        publish(&mut publisher, &message, messages, |_| Ok(()))?;
        let mut received = 0;
        while received < messages {
            consumer.receive(|incoming| received += u64::from(matches!(incoming, Incoming::Delivery)))?;
        }
        Ok(())
    })?;
    (0..=HOPS).try_for_each(|hop| publisher.delete(&name(hop)))?;
    Ok(figures)
}

/// Queues that are declared, bound, get one message, are asked for it, and go because nobody uses them any more. The
/// exchange that they are bound to goes with the last of them.
pub(crate) fn short_lived_queues(server: &Server, queues: u64) -> io::Result<Vec<Figure>> {
    let exchange = "bench-short-lived";
    let idle = server.resident()?;
    let (used_before, started) = (server.usage()?, now());
    let mut client = Client::connect(server.address)?.with_big_buffer();
    client.declare_exchange(exchange, "direct")?;
    let (mut done, mut grown) = (0, 0);
    while done < queues {
        let last = queues.min(done + QUEUES_AT_ONCE);
        let lives: Vec<u8> = (done..last).flat_map(|number| life(number, exchange)).collect();
        client.send(&lives)?;
        let mut answers = 0;
        while answers < 3 * (last - done) {
            client.receive(|incoming| answers += u64::from(matches!(incoming, Incoming::Answer(_))))?;
        }
        done = last;
        grown = grown.max(server.resident()?.saturating_sub(idle));
    }
    let used = started.elapsed();
    let after = now();
    let mut looks = 0;
    while has_exchange(server, exchange)? {
        thread::sleep(LOOK_EVERY);
        looks += 1;
        if looks == LOOKS_MAX {
            return Err(io::Error::other("some queues do not go"));
        }
    }
    let gone = after.elapsed();
    let cpu_ns = server.usage()?.cpu_ns - used_before.cpu_ns;
    Ok(vec![
        ("queues/s declared and used", float(queues) / used.as_secs_f64()),
        ("server CPU µs/queue, its end too", float(cpu_ns) / 1000.0 / float(queues)),
        ("MiB more at most", mebibytes(grown)),
        ("s late, the last", gone.as_secs_f64() - EXPIRES_MS as f64 / 1000.0),
        ("MiB resident then", mebibytes(server.resident()?)),
    ])
}

fn life(number: u64, exchange: &str) -> Vec<u8> {
    let name = format!("bench-short-lived-{number}");
    let mut arguments = FieldTable::new();
    arguments.insert("x-expires", EXPIRES_MS);
    let mut octets = encoded(declaration(&name, arguments));
    octets.extend(encoded(queue::Bind {
        queue: ShortStr::truncated(&name),
        exchange: ShortStr::truncated(exchange),
        routing_key: ShortStr::truncated(&name),
        no_wait: false,
        arguments: FieldTable::new(),
    }));
    octets.extend(client::message(exchange, &name, Mode::Transient, &[b'x'; 16]));
    octets.extend(encoded(basic::Get { queue: ShortStr::truncated(&name), no_ack: true }));
    octets
}

/// A transient queue.
fn declaration(name: &str, arguments: FieldTable) -> queue::Declare<'_> {
    let queue = ShortStr::truncated(name);
    let (passive, durable, exclusive, auto_delete, no_wait) = (false, false, false, false, false);
    queue::Declare { queue, passive, durable, exclusive, auto_delete, no_wait, arguments }
}

fn encoded<'m>(method: impl Into<Method<'m>>) -> Vec<u8> {
    let mut octets = Vec::new();
    method.into().encode(ChannelId::new(1), &mut octets);
    octets
}

/// Asks over a connection of its own: if there is none the channel is closed (404).
fn has_exchange(server: &Server, name: &str) -> io::Result<bool> {
    let passive = exchange::Declare {
        exchange: ShortStr::truncated(name),
        kind: ShortStr::truncated("direct"),
        passive: true,
        durable: false,
        auto_delete: false,
        internal: false,
        no_wait: false,
        arguments: FieldTable::new(),
    };
    match Client::connect(server.address)?.call(passive, exchange::DeclareOk::ID) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::Other => Ok(false),
        Err(error) => Err(error),
    }
}
