//! Messages that wait for a consumer, in the order in which they were published.

mod cold;
mod departures;
mod level;

use std::iter;

use super::lane::Lane;
use crate::clock::Timestamp;
use crate::message::Message;

pub use departures::{Departed, Departures};

use cold::COUNT_OCTETS;
pub(super) use level::{Glimpse, Level, is_in};

/// A message's place in its queue: counted from 1 in order of arrival, never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Seq(u64);

impl Seq {
    /// The place numbered `seq`.
    pub const fn new(seq: u64) -> Self {
        Self(seq)
    }

    /// The number.
    pub const fn get(self) -> u64 {
        self.0
    }
}

/// Where a message is besides memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Home {
    /// Nowhere: it goes with the process.
    Memory,
    /// In the log, for good: its end is to be logged too.
    Log,
    /// In the spill, which goes with the process.
    Spill,
}

/// A message in a queue.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Its place.
    pub seq: Seq,
    /// The message.
    pub message: Message,
    /// Its lane: for ready messages their priority, 0 in a queue that has none (RabbitMQ's `x-max-priority`).
    pub level: Lane,
    /// When it expires, if ever.
    pub expires: Option<Timestamp>,
    /// How often it has been given to a consumer.
    pub deliveries: u32,
    /// Where it is besides memory.
    pub home: Home,
}

/// The next message.
#[derive(Debug)]
pub enum Head<'a> {
    /// There is none.
    Empty,
    /// It is on disk and must be read first.
    Cold,
    /// Here it is.
    Entry(&'a Entry),
}

/// Ready messages, by priority and then by place.
///
/// A queue without priorities has one level. Which levels hold anything is a bit each, so that the cost of the next
/// message does not depend on their number. The highest is served first; where levels share, every third turn is the
/// lowest's.
#[derive(Debug, Default)]
pub struct Ready {
    levels: Vec<Level>,
    /// A bit for each level that is not empty.
    occupied: [u64; 4],
    len: usize,
    /// How many of them are on disk only.
    cold: usize,
    /// How many of these have a count of deliveries of their own in memory.
    counted: usize,
    body_bytes: u64,
    /// Where levels share: how many turns there have been since the last that was the lowest level's.
    turns: Option<u8>,
}

/// Turns of the highest level for each of the lowest, where they share (RabbitMQ 4.0: on quorum queues).
const TURNS_OF_HIGHEST: u8 = 2;

impl Ready {
    /// Nothing yet; `shares`: no level waits for ever because of those above.
    pub fn new(shares: bool) -> Self {
        Self { turns: shares.then_some(0), ..Self::default() }
    }

    /// Appends an arrival; its seq is greater than any before.
    pub fn push(&mut self, entry: Entry) {
        self.count_in(body_len(&entry), 1);
        self.occupy(entry.level).push(entry);
    }

    /// Puts a message back to its original place.
    pub fn put_back(&mut self, entry: Entry) {
        self.count_in(body_len(&entry), 1);
        self.occupy(entry.level).put_back(entry);
    }

    /// Puts a message of `body_len` octets back to its original place that is on disk only.
    pub fn put_back_cold(&mut self, level: Lane, seq: Seq, home: Home, deliveries: u32, body_len: u64) {
        self.count_in(body_len, 1);
        self.cold += 1;
        let cold = &mut self.occupy(level).cold;
        let before = cold.counted();
        cold.insert_seq(seq, home, deliveries);
        let more = cold.counted() - before;
        self.counted += more;
    }

    /// Takes runs of logged messages in that are on disk only, with `bytes` octets of bodies.
    pub fn restore(&mut self, level: Lane, runs: &[(u64, u64)], bytes: u64) {
        let count = runs.iter().map(|(first, last)| last - first + 1).sum::<u64>();
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        if count == 0 {
            return;
        }
        self.count_in(bytes, count);
        self.cold += count;
        let level = self.occupy(level);
        runs.iter().for_each(|run| level.cold.insert_logged(*run));
    }

    /// The next message to deliver.
    pub fn head(&self) -> Head<'_> {
        self.next_level().and_then(|level| self.levels.get(level)).map_or(Head::Empty, Level::head)
    }

    /// The first place that was given of all messages here.
    pub fn oldest(&self) -> Option<Seq> {
        let levels = self.occupied_levels().filter_map(|level| self.levels.get(level));
        levels.filter_map(Level::first).min()
    }

    /// Takes the next message to deliver, unless it is on disk only.
    pub fn pop(&mut self) -> Option<Entry> {
        let entry = self.pop_from(self.next_level()?)?;
        if self.len > 0 {
            self.turns = self.turns.map(|turns| if turns < TURNS_OF_HIGHEST { turns + 1 } else { 0 });
        }
        Some(entry)
    }

    /// Takes a message that `is_dead`, if one stands at the head of a level (RabbitMQ: only there).
    pub fn pop_dead(&mut self, is_dead: impl Fn(&Entry) -> bool) -> Option<Entry> {
        // Asked several times for each message, and most queues are empty or have one level.
        if self.len == 0 {
            return None;
        }
        let is_dead = |level: &usize| match self.levels.get(*level).map(Level::head) {
            Some(Head::Entry(entry)) => is_dead(entry),
            Some(Head::Cold | Head::Empty) | None => false,
        };
        let dead = self.occupied_levels().find(is_dead)?;
        self.pop_from(dead)
    }

    /// When the first head of a level expires; of heads on disk only `with_cold`, and if it is known.
    pub fn deadline(&self, with_cold: bool) -> Option<Timestamp> {
        let levels = self.occupied_levels().filter_map(|level| self.levels.get(level));
        let levels = levels.filter(|level| with_cold || !matches!(level.head(), Head::Cold));
        levels.filter_map(Level::head_expiry).min()
    }

    /// Number of messages.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Number of those that are on disk only.
    pub fn cold_len(&self) -> usize {
        self.cold
    }

    /// Octets of memory that is kept for those.
    pub fn cold_memory(&self) -> u64 {
        self.counted as u64 * COUNT_OCTETS
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Octets of all bodies (what `x-max-length-bytes` counts).
    pub fn body_bytes(&self) -> u64 {
        self.body_bytes
    }

    /// The level of which messages should be read back now: that whose turn it is, if the next message is asked for
    /// (`hungry`) and not in memory or one of the last that are; else one whose head may have expired.
    pub fn wanted(&self, hungry: bool, now: Timestamp) -> Option<Lane> {
        if self.cold == 0 {
            return None;
        }
        let level = |number: usize| self.levels.get(number);
        let next = self.next_level().filter(|_| hungry);
        let next = next.filter(|&number| {
            level(number).is_some_and(|level| matches!(level.head(), Head::Cold) || level.runs_low())
        });
        let mut unknown = self
            .occupied_levels()
            .filter(|&number| level(number).is_some_and(|level| level.is_head_unknown(now)));
        next.or_else(|| unknown.next()).and_then(|number| u8::try_from(number).ok()).map(Lane::of_priority)
    }

    /// The lowest seqs of a level that are in the log only and in the spill only.
    pub fn coldest(&self, level: Lane) -> (Option<Seq>, Option<Seq>) {
        self.levels.get(level.index()).map(|level| level.cold.firsts()).unwrap_or_default()
    }

    /// Takes messages in that were read back; `each` sees those that were missing. Returns how many.
    pub fn load(&mut self, level: Lane, entries: Vec<Entry>, each: &mut dyn FnMut(&Entry)) -> usize {
        let Some(level) = self.levels.get_mut(level.index()) else { return 0 };
        let before = level.cold.counted();
        let taken = level.load(entries, each);
        self.cold -= taken;
        self.counted -= before - level.cold.counted();
        taken
    }

    /// Calls `each` with messages that may leave the memory, about `most` of each level; all but the first `keep`.
    pub fn each_evictable(&self, keep: usize, most: usize, each: &mut dyn FnMut(&Entry)) {
        self.levels.iter().for_each(|level| level.each_evictable(keep, most, each));
    }

    /// Lets those of the same messages go of which `stored` says where they are. Returns how many.
    pub fn evict(
        &mut self,
        keep: usize,
        most: usize,
        stored: &mut dyn FnMut(&Entry) -> Option<Home>,
    ) -> usize {
        let mut gone = 0;
        for level in &mut self.levels {
            let (before, counted) = (level.cold.len(), level.cold.counted());
            level.evict(keep, most, stored);
            gone += level.cold.len() - before;
            self.counted += level.cold.counted() - counted;
        }
        self.cold += gone;
        gone
    }

    /// Forgets everything on disk only; `departures` is told what that was.
    pub fn clear_cold(&mut self, departures: &mut Departures) {
        for (number, level) in self.levels.iter_mut().enumerate() {
            let lane = Lane::of_priority(u8::try_from(number).unwrap_or(u8::MAX));
            let cold = std::mem::take(&mut level.cold);
            for home in [Home::Log, Home::Spill] {
                for (first, last) in cold.runs(home, Seq::new(0), Seq::new(u64::MAX)) {
                    departures.push_run(home, lane, Seq::new(first), Seq::new(last));
                }
            }
            self.len -= cold.len();
            self.cold -= cold.len();
            self.counted -= cold.counted();
            if level.is_empty()
                && let Some(word) = self.occupied.get_mut(number / 64)
            {
                *word &= !(1 << (number % 64));
            }
        }
        if self.len == 0 {
            self.emptied();
        }
    }

    /// Octets of bodies on disk only that were not counted before are known now, or no longer.
    pub fn adjust_body_bytes(&mut self, delta: i64) {
        self.body_bytes = self.body_bytes.saturating_add_signed(delta);
    }

    /// The level for a lane, marked as not empty.
    fn occupy(&mut self, lane: Lane) -> &mut Level {
        let level = self.level(lane);
        if let Some(word) = self.occupied.get_mut(level / 64) {
            *word |= 1 << (level % 64);
        }
        #[expect(clippy::indexing_slicing, reason = "made to hold it just above")]
        &mut self.levels[level]
    }

    /// Notes that a logged message of a level was given out; whether it is the latest so far.
    pub fn note_delivered(&mut self, lane: Lane, seq: Seq) -> bool {
        let level = self.level(lane);
        let Some(level) = self.levels.get_mut(level) else { return false };
        let is_latest = level.last_delivered.is_none_or(|last| last < seq);
        if is_latest {
            level.last_delivered = Some(seq);
        }
        is_latest
    }

    fn level(&mut self, lane: Lane) -> usize {
        let level = lane.index();
        if level >= self.levels.len() {
            self.levels.resize_with(level + 1, Level::default);
        }
        level
    }

    fn count_in(&mut self, body_bytes: u64, count: usize) {
        self.body_bytes += body_bytes;
        self.len += count;
    }

    fn pop_from(&mut self, number: usize) -> Option<Entry> {
        let level = self.levels.get_mut(number)?;
        let entry = level.pop()?;
        if level.is_empty()
            && let Some(word) = self.occupied.get_mut(number / 64)
        {
            *word &= !(1 << (number % 64));
        }
        self.len -= 1;
        self.body_bytes = self.body_bytes.saturating_sub(body_len(&entry));
        if self.len == 0 {
            self.emptied();
        }
        Some(entry)
    }

    /// Nothing is left.
    fn emptied(&mut self) {
        // What went without being read was not measured.
        self.body_bytes = 0;
        self.turns = self.turns.map(|_| 0);
    }

    /// The level whose turn it is.
    fn next_level(&self) -> Option<usize> {
        match self.turns {
            Some(TURNS_OF_HIGHEST) => self.occupied_levels().last(),
            Some(_) | None => self.highest(),
        }
    }

    fn highest(&self) -> Option<usize> {
        highest(&self.occupied)
    }

    /// Levels that hold something, the highest first.
    fn occupied_levels(&self) -> impl Iterator<Item = usize> {
        let mut occupied = self.occupied;
        iter::from_fn(move || {
            let highest = highest(&occupied)?;
            occupied.get_mut(highest / 64).map(|word| *word &= !(1 << (highest % 64)))?;
            Some(highest)
        })
    }
}

/// The highest bit that is set.
fn highest(occupied: &[u64; 4]) -> Option<usize> {
    let at = occupied.iter().rposition(|word| *word != 0)?;
    Some(at * 64 + occupied.get(at)?.ilog2() as usize)
}

fn body_len(entry: &Entry) -> u64 {
    entry.message.body().len() as u64
}

#[cfg(test)]
mod tests;
