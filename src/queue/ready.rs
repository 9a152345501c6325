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
    /// Its priority: 0 in a queue that has none (RabbitMQ's `x-max-priority`).
    pub priority: u8,
    /// When it expires, if ever.
    pub expires: Option<Timestamp>,
    /// How often it has been given to a consumer.
    pub deliveries: u32,
}

/// Ready messages, by priority and then by place.
///
/// A queue without priorities has one level. Which levels hold anything is a bit each, so that the cost of the next
/// message does not depend on their number.
#[derive(Debug, Default)]
pub struct Ready {
    levels: Vec<Level>,
    /// A bit for each level that is not empty.
    occupied: [u64; 4],
    len: usize,
    body_bytes: u64,
}

/// One priority. Arrivals go to the tail; what comes back from a consumer goes to its original place.
///
/// ```text
///   returned (by seq)   fresh (by seq)
///   [3] [7]             [9] [10] [11] ...     head = the smaller of the two fronts
/// ```
#[derive(Debug, Default)]
struct Level {
    fresh: VecDeque<Entry>,
    returned: BTreeMap<Seq, Entry>,
}

impl Ready {
    /// Appends an arrival; its seq is greater than any before.
    pub fn push(&mut self, entry: Entry) {
        self.level_for(&entry).fresh.push_back(entry);
    }

    /// Puts a message back to its original place.
    pub fn put_back(&mut self, entry: Entry) {
        self.level_for(&entry).returned.insert(entry.seq, entry);
    }

    /// The next message to deliver.
    pub fn head(&self) -> Option<&Entry> {
        self.levels.get(self.highest()?)?.head()
    }

    /// Takes the next message to deliver.
    pub fn pop(&mut self) -> Option<Entry> {
        self.pop_from(self.highest()?)
    }

    /// Takes a message whose time is over, if one stands at the head of a level (RabbitMQ: only there).
    pub fn pop_expired(&mut self, is_over: impl Fn(Timestamp) -> bool) -> Option<Entry> {
        let is_over = |level: usize| self.expiry_at(level).is_some_and(&is_over);
        let expired = self.occupied_levels().find(|level| is_over(*level))?;
        self.pop_from(expired)
    }

    /// When the first head of a level expires.
    pub fn deadline(&self) -> Option<Timestamp> {
        self.occupied_levels().filter_map(|level| self.expiry_at(level)).min()
    }

    /// Number of messages.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Octets of all bodies (what `x-max-length-bytes` counts).
    pub fn body_bytes(&self) -> u64 {
        self.body_bytes
    }

    /// Counts the entry in and returns its level.
    fn level_for(&mut self, entry: &Entry) -> &mut Level {
        self.body_bytes += body_len(entry);
        self.len += 1;
        let level = usize::from(entry.priority);
        if let Some(word) = self.occupied.get_mut(level / 64) {
            *word |= 1 << (level % 64);
        }
        if level >= self.levels.len() {
            self.levels.resize_with(level + 1, Level::default);
        }
        #[expect(clippy::indexing_slicing, reason = "resized to hold it just above")]
        &mut self.levels[level]
    }

    fn pop_from(&mut self, level: usize) -> Option<Entry> {
        let levels = self.levels.get_mut(level)?;
        let entry = levels.pop()?;
        if levels.is_empty()
            && let Some(word) = self.occupied.get_mut(level / 64)
        {
            *word &= !(1 << (level % 64));
        }
        self.body_bytes -= body_len(&entry);
        self.len -= 1;
        Some(entry)
    }

    fn highest(&self) -> Option<usize> {
        let at = self.occupied.iter().rposition(|word| *word != 0)?;
        Some(at * 64 + self.occupied.get(at)?.ilog2() as usize)
    }

    /// Levels that hold something, the highest first.
    fn occupied_levels(&self) -> impl Iterator<Item = usize> {
        let holds =
            |level: &usize| self.occupied.get(level / 64).is_some_and(|word| word >> (level % 64) & 1 == 1);
        (0..self.levels.len()).rev().filter(holds)
    }

    fn expiry_at(&self, level: usize) -> Option<Timestamp> {
        self.levels.get(level)?.head()?.expires
    }
}

impl Level {
    fn head(&self) -> Option<&Entry> {
        match (self.returned.values().next(), self.fresh.front()) {
            (Some(returned), Some(fresh)) => Some(if returned.seq < fresh.seq { returned } else { fresh }),
            (returned, fresh) => returned.or(fresh),
        }
    }

    fn pop(&mut self) -> Option<Entry> {
        let returned_first = match (self.returned.keys().next(), self.fresh.front()) {
            (Some(returned), Some(fresh)) => *returned < fresh.seq,
            (returned, _) => returned.is_some(),
        };
        if returned_first {
            return self.returned.pop_first().map(|(_, entry)| entry);
        }
        let entry = self.fresh.pop_front();
        self.release_memory();
        entry
    }

    fn is_empty(&self) -> bool {
        self.fresh.is_empty() && self.returned.is_empty()
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
        Entry { seq: Seq::new(seq), message, priority: 0, expires: None, deliveries: 0 }
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
    fn a_higher_priority_comes_first_and_a_returned_message_keeps_its_place() {
        let mut ready = Ready::default();
        for (seq, priority) in [(1, 0), (2, 255), (3, 64), (4, 255)] {
            ready.push(Entry { priority, ..entry(seq) });
        }
        let first = ready.pop().unwrap();
        assert_eq!(first.seq, Seq::new(2));
        ready.put_back(first);
        assert_eq!(drain(&mut ready), [2, 4, 3, 1]);
        assert!(ready.is_empty() && ready.head().is_none());
    }

    #[test]
    fn expiry_is_found_at_the_head_of_every_level() {
        let mut ready = Ready::default();
        let at = Timestamp::from_millis;
        ready.push(Entry { priority: 5, expires: Some(at(90)), ..entry(1) });
        ready.push(Entry { priority: 1, expires: Some(at(10)), ..entry(2) });
        assert_eq!(ready.deadline(), Some(at(10)));
        assert_eq!(ready.pop_expired(|expires| expires <= at(10)).unwrap().seq, Seq::new(2));
        assert!(ready.pop_expired(|expires| expires <= at(10)).is_none());
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
        assert!(ready.levels[0].fresh.capacity() <= 2048);
    }
}
