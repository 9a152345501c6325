//! Which of a queue's messages are in memory. None of it changes what the queue holds or in which order: messages leave
//! the memory once they can be read from the store, and come back before their turn.

use super::{LEASE_OVERHEAD, State, memory_of};
use crate::clock::Timestamp;
use crate::fingerprint::Fingerprint;
use crate::message::Message;
use crate::queue::lane::Lane;
use crate::queue::limits::Overflow;
use crate::queue::ready::{Entry, Home, Seq, is_in};

/// Messages of each level that are looked at in one step: as long as the queue's lock is held.
const STEP_MESSAGES: usize = 8 * 1024;

/// Octets that one step writes to the spill.
const SPILL_OCTETS: usize = 4 * 1024 * 1024;

/// A message read back from a store.
#[derive(Debug)]
pub struct Stored {
    /// Its place.
    pub seq: Seq,
    /// The message.
    pub message: Message,
    /// When it expires, if ever.
    pub expires: Option<Timestamp>,
    /// How often it has been given to a consumer, as far as the store knows.
    pub deliveries: u32,
    /// Which store has it.
    pub home: Home,
}

/// What may leave the memory.
#[derive(Debug, Default)]
pub struct Evictable {
    /// For each level the lowest and the highest seq of logged messages.
    pub logged: Vec<(Lane, Seq, Seq)>,
    /// Messages that are nowhere else yet.
    pub unstored: Vec<Unstored>,
    /// Leased messages among them.
    leased: Vec<Seq>,
    /// Messages of each level that stay.
    keep: usize,
    /// How many are in the spill already.
    spilled: usize,
}

/// A message that is in memory only.
#[derive(Debug)]
pub struct Unstored {
    /// Its level.
    pub level: Lane,
    /// Its place.
    pub seq: Seq,
    /// The message.
    pub message: Message,
    /// When it expires, if ever.
    pub expires: Option<Timestamp>,
}

/// Where messages can be read.
#[derive(Debug, Default)]
pub struct Whereabouts {
    /// Messages that the log has: ascending runs of seqs for each level.
    pub logged: Vec<(Lane, Vec<(u64, u64)>)>,
    /// Messages that the spill has just taken, in the order in which they were candidates.
    pub spilled: Vec<(Lane, Seq)>,
}

/// What has left the memory.
#[derive(Debug, Default)]
pub struct Evicted {
    /// Octets that are free now.
    pub octets: u64,
    /// Messages that were in memory only and are in the spill now.
    pub spilled: Vec<(Lane, Seq)>,
}

impl Whereabouts {
    fn home(&self, level: Lane, seq: Seq, home: Home) -> Option<Home> {
        match home {
            Home::Log => {
                let has = |(known, runs): &(Lane, Vec<_>)| *known == level && is_in(runs, seq);
                self.logged.iter().any(has).then_some(Home::Log)
            }
            Home::Memory => self.spilled.binary_search(&(level, seq)).is_ok().then_some(Home::Spill),
            Home::Spill => Some(Home::Spill),
        }
    }

    /// As [`Self::home`] expects it.
    fn sorted(mut self) -> Self {
        self.spilled.sort_unstable();
        self
    }
}

impl State {
    /// Logged messages of a level that are there at the start, as runs, with the octets of their bodies if somebody has
    /// measured them.
    pub fn restore(&mut self, level: Lane, runs: &[(u64, u64)], body_bytes: Option<u64>) {
        let last = runs.last().map_or(0, |(_, last)| *last);
        self.last_seq = self.last_seq.max(last);
        if body_bytes.is_none() {
            self.uncounted = self.uncounted.max(last);
        }
        self.ready.restore(level, runs, body_bytes.unwrap_or_default());
    }

    /// What tells a message apart that is there at the start.
    pub fn restore_present(&mut self, seq: Seq, fingerprint: Fingerprint) {
        self.present.enter(seq, fingerprint);
    }

    /// The end of restoring: places up to `last` were given before the start. `uncertain`: what had been delivered by
    /// then is not known, so that every message may have been.
    pub fn restored(&mut self, last: Seq, uncertain: bool) {
        self.last_seq = self.last_seq.max(last.get());
        if uncertain {
            self.uncertain = self.last_seq;
        }
    }

    /// The level of which messages should be read back now; `hungry`: somebody waits for the next message.
    ///
    /// Of ready messages and of those that are not due, those come first that did not come first the last time.
    pub fn wanted(&self, hungry: bool, now: Timestamp) -> Option<Lane> {
        let delayed = self.delayed.wanted();
        let ready = || self.wanted_of_ready(hungry, now);
        if self.loaded_delayed { ready().or(delayed) } else { delayed.or_else(ready) }
    }

    /// The level of ready messages that should be read back now.
    pub fn wanted_of_ready(&self, hungry: bool, now: Timestamp) -> Option<Lane> {
        if self.ready.cold_len() == 0 {
            return None;
        }
        let makes_room = self.limits.overflow == Overflow::DropHead && self.is_over_limit();
        self.ready.wanted(hungry || makes_room, now)
    }

    /// The lowest seqs of a level that are in the log only and in the spill only.
    pub fn coldest(&self, level: Lane) -> (Option<Seq>, Option<Seq>) {
        if level.priority().is_none() { self.delayed.coldest(level) } else { self.ready.coldest(level) }
    }

    /// Takes messages of a level back in, in order; others than those that are missing are ignored. Returns how many.
    pub fn load(&mut self, level: Lane, messages: Vec<Stored>) -> usize {
        let entries: Vec<_> = messages.into_iter().map(|stored| self.entry(level, stored)).collect();
        self.loaded_delayed = level.priority().is_none();
        if self.loaded_delayed {
            let memory = &mut self.memory;
            return self.delayed.load(level, entries, &mut |entry| *memory += memory_of(&entry.message));
        }
        let (mut memory, mut uncounted) = (0, 0);
        let (deduplicates, present) = (self.limits.deduplicates, &mut self.present);
        let taken = self.ready.load(level, entries, &mut |entry| {
            memory += memory_of(&entry.message);
            if deduplicates && let Some(known) = Fingerprint::of_properties(entry.message.properties()) {
                present.enter(entry.seq, known);
            }
            if entry.seq.get() <= self.uncounted {
                uncounted += entry.message.body().len() as u64;
            }
        });
        self.memory += memory;
        self.ready.adjust_body_bytes(uncounted.cast_signed());
        taken
    }

    fn entry(&self, level: Lane, stored: Stored) -> Entry {
        let Stored { seq, message, expires, deliveries, home } = stored;
        let is_ready = level.priority().is_some();
        let known = message.retried().map_or(0, |retried| retried.deliveries).max(deliveries);
        let deliveries = if is_ready { known } else { 0 };
        Entry { seq, message, level, expires, deliveries, home }
    }

    /// What may leave the memory in one step; all but about the first `kept` octets of each level, and at least the
    /// first `least` messages.
    pub fn evictable(&self, kept: u64, least: usize) -> Evictable {
        let warm = self.ready.len() - self.ready.cold_len() + self.leases.len();
        let keep = (kept * warm as u64).checked_div(self.memory).and_then(|keep| usize::try_from(keep).ok());
        let keep = keep.unwrap_or_default().max(least);
        let mut evictable = Evictable { keep, ..Evictable::default() };
        let mut octets = 0;
        let each = &mut |entry: &Entry| match entry.home {
            Home::Log => evictable.note(entry.level, entry.seq),
            Home::Memory if octets < SPILL_OCTETS => {
                octets += entry.message.memory_len();
                let (level, seq, expires) = (entry.level, entry.seq, entry.expires);
                evictable.unstored.push(Unstored { level, seq, message: entry.message.clone(), expires });
            }
            Home::Memory => {}
            Home::Spill => evictable.spilled += 1,
        };
        self.ready.each_evictable(keep, STEP_MESSAGES, each);
        self.delayed.each_evictable(STEP_MESSAGES, each);
        self.leases.each_evictable(&mut |lease| {
            if lease.home != Home::Memory {
                evictable.leased.push(lease.seq);
            }
            if lease.home == Home::Log {
                evictable.note(lease.level, lease.seq);
            }
        });
        evictable
    }

    /// Lets messages leave the memory that were evictable and can be read.
    pub fn evict(&mut self, candidates: &Evictable, known: Whereabouts) -> Evicted {
        let known = known.sorted();
        let (mut evicted, mut uncounted) = (Evicted::default(), 0);
        let limit = self.uncounted;
        let stored = &mut |entry: &Entry| {
            let home = known.home(entry.level, entry.seq, entry.home)?;
            evicted.octets += memory_of(&entry.message);
            if entry.home == Home::Memory {
                evicted.spilled.push((entry.level, entry.seq));
            }
            if entry.level.priority().is_some() && entry.seq.get() <= limit {
                uncounted += entry.message.body().len() as u64;
            }
            Some(home)
        };
        self.ready.evict(candidates.keep, STEP_MESSAGES, stored);
        self.delayed.evict(STEP_MESSAGES, stored);
        self.leases.evict(&candidates.leased, &mut |lease| {
            let is_stored = known.home(lease.level, lease.seq, lease.home).is_some();
            let octets = lease.message.as_ref().filter(|_| is_stored).map_or(LEASE_OVERHEAD, memory_of);
            evicted.octets += octets - LEASE_OVERHEAD;
            is_stored
        });
        self.memory -= evicted.octets;
        self.ready.adjust_body_bytes(-uncounted.cast_signed());
        evicted
    }
}

impl Evictable {
    fn note(&mut self, level: Lane, seq: Seq) {
        match self.logged.iter_mut().find(|(known, _, _)| *known == level) {
            Some((_, first, last)) => (*first, *last) = ((*first).min(seq), (*last).max(seq)),
            None => self.logged.push((level, seq, seq)),
        }
    }

    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.logged.is_empty() && self.unstored.is_empty() && self.leased.is_empty() && self.spilled == 0
    }
}
