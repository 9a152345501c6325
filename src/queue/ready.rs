//! Messages that wait for a consumer, in the order in which they were published.

use std::collections::{BTreeMap, VecDeque};

use crate::clock::Timestamp;
use crate::message::Message;

/// A message's place in its queue: counted from 1 in order of arrival, never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Seq(u64);

impl Seq {
    /// The place numbered `seq`.
    pub const fn new(seq: u64) -> Self {
        Self(seq)
    }
}

/// A message in a queue.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Its place.
    pub seq: Seq,
    /// The message.
    pub message: Message,
    /// When it expires, if ever.
    pub expires: Option<Timestamp>,
    /// How often it has been given to a consumer.
    pub deliveries: u32,
}

/// Ready messages. Arrivals go to the tail; what comes back from a consumer goes to its original place.
///
/// ```text
///   returned (by seq)   fresh (by seq)
///   [3] [7]             [9] [10] [11] ...     head = the smaller of the two fronts
/// ```
#[derive(Debug, Default)]
pub struct Ready {
    fresh: VecDeque<Entry>,
    returned: BTreeMap<Seq, Entry>,
    body_bytes: u64,
}

impl Ready {
    /// Appends an arrival; its seq is greater than any before.
    pub fn push(&mut self, entry: Entry) {
        self.body_bytes += body_len(&entry);
        self.fresh.push_back(entry);
    }

    /// Puts a message back to its original place.
    pub fn put_back(&mut self, entry: Entry) {
        self.body_bytes += body_len(&entry);
        self.returned.insert(entry.seq, entry);
    }

    /// The next message to deliver.
    pub fn head(&self) -> Option<&Entry> {
        match (self.returned.values().next(), self.fresh.front()) {
            (Some(returned), Some(fresh)) => Some(if returned.seq < fresh.seq { returned } else { fresh }),
            (returned, fresh) => returned.or(fresh),
        }
    }

    /// Takes the next message to deliver.
    pub fn pop(&mut self) -> Option<Entry> {
        let returned_first = match (self.returned.keys().next(), self.fresh.front()) {
            (Some(returned), Some(fresh)) => *returned < fresh.seq,
            (returned, _) => returned.is_some(),
        };
        let entry = if returned_first {
            self.returned.pop_first().map(|(_, entry)| entry)
        } else {
            self.fresh.pop_front()
        }?;
        self.body_bytes -= body_len(&entry);
        self.release_memory();
        Some(entry)
    }

    /// Number of messages.
    pub fn len(&self) -> usize {
        self.fresh.len() + self.returned.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.fresh.is_empty() && self.returned.is_empty()
    }

    /// Octets of all bodies (what `x-max-length-bytes` counts).
    pub fn body_bytes(&self) -> u64 {
        self.body_bytes
    }

    /// Memory follows the backlog down: a queue that was long once does not stay large.
    fn release_memory(&mut self) {
        const KEEP: usize = 1024;
        let capacity = self.fresh.capacity();
        if capacity > KEEP && self.fresh.len() < capacity / 4 {
            self.fresh.shrink_to(capacity / 2);
        }
    }
}

fn body_len(entry: &Entry) -> u64 {
    entry.message.body().len() as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Envelope;

    fn entry(seq: u64) -> Entry {
        let message = Message::new(&Envelope::default(), b"four");
        Entry { seq: Seq::new(seq), message, expires: None, deliveries: 0 }
    }

    fn drain(ready: &mut Ready) -> Vec<u64> {
        std::iter::from_fn(|| ready.pop()).map(|entry| entry.seq.0).collect()
    }

    #[test]
    fn returned_messages_take_their_original_place() {
        let mut ready = Ready::default();
        for seq in 1..=5 {
            ready.push(entry(seq));
        }
        let (one, two) = (ready.pop().unwrap(), ready.pop().unwrap());
        let three = ready.pop().unwrap();
        ready.put_back(three);
        ready.put_back(one);
        assert_eq!(ready.head().unwrap().seq, Seq::new(1));
        ready.put_back(two);
        assert_eq!(drain(&mut ready), [1, 2, 3, 4, 5]);
    }

    #[test]
    fn body_bytes_follow_what_waits() {
        let mut ready = Ready::default();
        ready.push(entry(1));
        ready.push(entry(2));
        let taken = ready.pop().unwrap();
        assert_eq!(ready.body_bytes(), 4);
        ready.put_back(taken);
        assert_eq!(ready.body_bytes(), 8);
    }

    #[test]
    fn memory_goes_back_after_a_backlog_has_drained() {
        let mut ready = Ready::default();
        for seq in 0..100_000 {
            ready.push(entry(seq));
        }
        drain(&mut ready);
        assert!(ready.fresh.capacity() <= 2048, "{}", ready.fresh.capacity());
    }
}
