//! Messages that are encoded beforehand: one after the other, all of the same length, a turn through all routes. Before
//! they are sent each gets the time at which it should be.

use super::client::{self, Route};
use super::load::{Exchange, Load};
use super::topology::{EXCHANGE, queue_name};

/// Octets that are written at once, about.
const CHUNK_OCTETS: usize = 64 * 1024;

/// Octets of a time in a body; shorter bodies hold none, and their latencies are not measured.
pub(super) const STAMP: usize = 8;

/// Keys for an exchange that spreads by hash.
const HASH_KEYS: usize = 1000;

/// The messages.
#[derive(Debug)]
pub(super) struct Template {
    octets: Vec<u8>,
    /// Octets of each.
    stride: usize,
    /// Where its body begins, if it holds a time.
    stamp_at: Option<usize>,
    count: usize,
    /// The next to be sent.
    at: usize,
}

impl Template {
    /// Those of a load. `start`: the route to begin with.
    pub(super) fn new(load: &Load, start: usize) -> Self {
        let routes = match load.exchange {
            Exchange::Fanout => 1,
            Exchange::ConsistentHash => HASH_KEYS,
            Exchange::Default | Exchange::Direct | Exchange::Topic | Exchange::Headers => load.queues,
        };
        let body = vec![b'x'; load.size];
        let one = message(load, 0, &body);
        let turns = (CHUNK_OCTETS / (one.len() * routes)).max(1);
        let mut octets = Vec::with_capacity(one.len() * routes * turns);
        for number in 0..routes * turns {
            octets.extend(message(load, (start + number) % routes, &body));
        }
        let stamp_at = (load.size >= STAMP).then(|| client::body_at(&one)).flatten();
        Self { octets, stride: one.len(), stamp_at, count: routes * turns, at: 0 }
    }

    /// How many the next write may hold: at most `wanted`, and about a chunk.
    pub(super) fn available(&self, wanted: u64) -> u64 {
        let chunk = (CHUNK_OCTETS / self.stride).max(1).min(self.count - self.at);
        wanted.min(chunk as u64)
    }

    /// The next `count` messages, as many as [`Self::available`] says at most; the first is due at `due_ns`, and each
    /// other `step_ns` later.
    pub(super) fn take(&mut self, count: u64, due_ns: u64, step_ns: u64) -> &[u8] {
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        let first = self.at;
        let range = first * self.stride..(first + count) * self.stride;
        let octets = self.octets.get_mut(range).unwrap_or_default();
        if let Some(at) = self.stamp_at {
            let mut due = due_ns;
            for message in octets.chunks_exact_mut(self.stride) {
                if let Some(stamp) = message.get_mut(at..at + STAMP) {
                    stamp.copy_from_slice(&due.to_be_bytes());
                }
                due += step_ns;
            }
        }
        self.at = (first + count) % self.count;
        octets
    }
}

/// The time in a body.
pub(super) fn stamp(body: &[u8]) -> Option<u64> {
    body.first_chunk().map(|stamp| u64::from_be_bytes(*stamp))
}

/// A message on one of the routes; all of them have the same length.
fn message(load: &Load, route: usize, body: &[u8]) -> Vec<u8> {
    let mode = if load.durable { client::Mode::Persistent } else { client::Mode::Transient };
    let queue = queue_name(route);
    let (exchange, key, header) = match load.exchange {
        Exchange::Default => ("", queue.clone(), None),
        Exchange::Direct | Exchange::ConsistentHash => (EXCHANGE, queue.clone(), None),
        Exchange::Fanout => (EXCHANGE, String::new(), None),
        Exchange::Topic => (EXCHANGE, format!("bench.{queue}.some.more.words"), None),
        Exchange::Headers => (EXCHANGE, String::new(), Some(("queue", queue.as_str()))),
    };
    client::routed(&Route { exchange, key: &key, header, mode }, body)
}

#[cfg(test)]
mod tests {
    use super::super::load::Load;
    use super::super::scenarios::PLAIN;
    use super::*;

    #[test]
    fn all_messages_have_one_length_and_carry_the_time_at_which_they_are_due() {
        for exchange in [
            Exchange::Default,
            Exchange::Direct,
            Exchange::Fanout,
            Exchange::Topic,
            Exchange::Headers,
            Exchange::ConsistentHash,
        ] {
            let mut template = Template::new(&Load { exchange, queues: 12, ..PLAIN }, 3);
            assert_eq!(template.octets.len(), template.stride * template.count, "{exchange:?}");
            let at = template.stamp_at.unwrap();
            let stride = template.stride;
            let octets = template.take(3, 1000, 10);
            let stamps: Vec<_> =
                octets.chunks(stride).map(|message| stamp(&message[at..]).unwrap()).collect();
            assert_eq!(stamps, [1000, 1010, 1020], "{exchange:?}");
        }
    }

    #[test]
    fn the_routes_are_taken_in_turn_and_begin_again() {
        let mut template = Template::new(&Load { queues: 2, size: 40_000, ..PLAIN }, 0);
        let names: Vec<bool> = (0..4)
            .map(|_| {
                assert_eq!(template.available(9), 1);
                let octets = template.take(1, 0, 0);
                octets.windows(queue_name(0).len()).any(|found| found == queue_name(0).as_bytes())
            })
            .collect();
        assert_eq!(names, [true, false, true, false]);
    }

    #[test]
    fn short_bodies_carry_no_time() {
        let mut template = Template::new(&Load { size: 7, ..PLAIN }, 0);
        assert!(template.stamp_at.is_none());
        let stride = template.stride;
        assert_eq!(template.take(2, 1, 1).len(), 2 * stride);
    }
}
