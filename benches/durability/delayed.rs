//! Many delayed messages: what they cost, and how late a message comes that is due meanwhile.

use std::io;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::support::drive::{CHUNK_OCTETS, float, measure, mebibytes};
use crate::support::report::Figure;
use crate::support::server::Server;
use lepus::bench::client::{self, Acks, Client, Incoming, Options};

/// Delays of the many, in ms: some are due while the others are looked at.
const MANY: std::ops::Range<u64> = 120_000..7_200_000;

/// Messages whose delivery is timed, and their delays in ms.
const TIMED: u64 = 30_000;
const SOON: std::ops::Range<u64> = 10_000..40_000;

/// Timed messages that are published at once: each waits for no other.
const TIMED_AT_ONCE: u64 = 100;

/// Fills a durable queue, then times deliveries from it, then kills the broker.
pub(crate) fn delayed(server: &mut Server, messages: u64) -> io::Result<Vec<Figure>> {
    let queue = "bench-delayed";
    let idle = server.resident()?;
    let mut publisher = Client::connect(server.address)?;
    publisher.declare(queue, Options::Durable)?;
    publisher.select_confirms()?;
    let mut chance = Chance(0x9E37_79B9_7F4A_7C15);
    let mut figures = vec![("MiB resident idle", mebibytes(idle))];
    figures.extend(measure(server, messages, || fill(&mut publisher, queue, messages, &mut chance))?);
    figures.push(("MiB on disk", mebibytes(server.disk()?)));
    figures.extend(lateness(server, &mut publisher, queue, messages, &mut chance)?);
    figures.push(("MiB at most", mebibytes(server.resident_max()?)));
    drop(publisher);
    let start = server.restart()?;
    figures.push(("s from SIGKILL to serving", start.as_secs_f64()));
    figures.push(("MiB resident then", mebibytes(server.resident()?)));
    Ok(figures)
}

/// Publishes messages with delays by chance; until all are confirmed.
fn fill(publisher: &mut Client, queue: &str, messages: u64, chance: &mut Chance) -> io::Result<()> {
    let (mut octets, mut confirmed) = (Vec::with_capacity(2 * CHUNK_OCTETS), 0);
    for number in 1..=messages {
        octets.extend(client::delayed_message(queue, chance.within(MANY), &[0; 16]));
        if octets.len() >= CHUNK_OCTETS || number == messages {
            publisher.send(&octets)?;
            octets.clear();
        }
        // As far ahead as confirms fit into the socket.
        while number - confirmed > 100_000 || number == messages && confirmed < messages {
            publisher.receive(|incoming| {
                if let Incoming::Confirmed { tag, .. } = incoming {
                    confirmed = confirmed.max(tag);
                }
            })?;
        }
    }
    Ok(())
}

/// How long after it was due each of the timed messages came, in ms.
fn lateness(
    server: &Server,
    publisher: &mut Client,
    queue: &str,
    before: u64,
    chance: &mut Chance,
) -> io::Result<Vec<Figure>> {
    for at_once in 1..=TIMED / TIMED_AT_ONCE {
        let now = wall_millis();
        for _ in 0..TIMED_AT_ONCE {
            let delay = chance.within(SOON);
            let mut body = [0; 16];
            body[..8].copy_from_slice(&(now + delay).to_be_bytes());
            publisher.send(&client::delayed_message(queue, delay, &body))?;
        }
        let (mut confirmed, last) = (0, before + at_once * TIMED_AT_ONCE);
        while confirmed < last {
            publisher.receive(|incoming| {
                if let Incoming::Confirmed { tag, .. } = incoming {
                    confirmed = confirmed.max(tag);
                }
            })?;
        }
    }
    let mut consumer = Client::connect(server.address)?.with_big_buffer();
    consumer.consume(queue, Acks::Automatic)?;
    let mut late = Vec::new();
    while (late.len() as u64) < TIMED {
        consumer.receive(|incoming| {
            let Incoming::Body(body) = incoming else { return };
            let due = body.first_chunk().map_or(0, |due| u64::from_be_bytes(*due));
            if due > 0 {
                late.push(wall_millis().saturating_sub(due));
            }
        })?;
    }
    late.sort_unstable();
    let at = |share: usize| float(late.get(late.len() * share / 1000).copied().unwrap_or_default());
    Ok(vec![("ms late p50", at(500)), ("ms late p99", at(990)), ("ms late p99.9", at(999))])
}

#[expect(clippy::disallowed_methods, reason = "a message is due by the wall clock")]
fn wall_millis() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Numbers that look like chance and are the same each time (xorshift).
struct Chance(u64);

impl Chance {
    fn within(&mut self, range: std::ops::Range<u64>) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        range.start + self.0 % (range.end - range.start)
    }
}
