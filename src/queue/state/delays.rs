//! Messages that are not ready yet: those whose publisher wants them later, and those that come back and are to be
//! tried again later. Both wait in the queue's [`Delayed`](crate::queue::delayed::Delayed) until they are due, and are
//! arrivals again then: their time to live begins, limits hold for them, the last place of their priority is theirs.

use super::{DropReason, Effects, Lease, Remains, State, memory_of};
use crate::clock::Timestamp;
use crate::message::{Message, Retried};
use crate::queue::delayed::{Bookmark, DelayedPage, is_near, moved_home};
use crate::queue::lane::Lane;
use crate::queue::ready::{Departures, Entry, Home, Seq};
use crate::queue::retry::Cause;
use crate::queue::state::residence::Stored;

/// Messages that are moved on, or made ready, in one step: as long as the queue's lock is held.
const STEP_MESSAGES: usize = 1024;

/// Logged messages that are kept in another place than before.
#[derive(Debug, Default)]
pub struct Moves {
    /// What is to be logged.
    pub placed: Vec<Moved>,
    /// What is to be forgotten when that is logged.
    pub left: Departures,
}

/// A message in its new place.
#[derive(Clone, Debug)]
pub struct Moved {
    /// The lane.
    pub level: Lane,
    /// The place there.
    pub seq: Seq,
    /// When it expires, or is due if the lane is one of delayed messages.
    pub expires: Option<Timestamp>,
    /// The message.
    pub message: Message,
}

/// A message that came back to be tried later and is not in memory; or that came back behind one, whose turn is first.
#[derive(Clone, Debug)]
pub struct Absent {
    /// Its lane.
    pub level: Lane,
    /// Its place there.
    pub seq: Seq,
    /// Which store has it.
    pub home: Home,
    /// When it is due.
    pub due: Timestamp,
    /// What it has gone through.
    pub retried: Retried,
    /// The message, if it is in memory.
    pub message: Option<Message>,
    /// Octets of its body.
    body_len: u32,
}

impl Moves {
    /// Whether nothing has moved.
    pub fn is_empty(&self) -> bool {
        self.placed.is_empty() && self.left.is_empty()
    }
}

impl State {
    /// Takes an arrival in that is due after `delay_ms`.
    pub(super) fn delay(&mut self, message: Message, delay_ms: u64, now: Timestamp, effects: &mut Effects) {
        self.memory += memory_of(&message);
        self.begin_waiting(&message);
        let home = self.home_of(&message);
        let due = now.plus_millis(delay_ms);
        let (level, seq) = self.delayed.push(message, due, home, now);
        if home == Home::Log {
            effects.placed = Some((level, seq, Some(due)));
        }
    }

    /// Makes ready what is due, and moves on what will be; a bounded step.
    pub fn advance(&mut self, now: Timestamp, effects: &mut Effects) {
        if self.delayed.is_empty() {
            return;
        }
        let moves = &mut effects.moves;
        self.delayed.advance(now, STEP_MESSAGES, &mut |entry, level, seq| {
            moves.left.push(entry.home, entry.level, entry.seq);
            if entry.home == Home::Log {
                let (message, expires) = (entry.message.clone(), entry.expires);
                moves.placed.push(Moved { level, seq, expires, message });
            }
        });
        for _ in 0..STEP_MESSAGES {
            let Some(entry) = self.delayed.pop_due(now) else { break };
            self.make_ready(entry, now, effects);
        }
    }

    fn make_ready(&mut self, entry: Entry, now: Timestamp, effects: &mut Effects) {
        effects.moves.left.push(entry.home, entry.level, entry.seq);
        let message = entry.message;
        let retried = message.retried();
        self.end_waiting(&message);
        self.last_seq += 1;
        let seq = Seq::new(self.last_seq);
        if let Some(fingerprint) = self.fingerprint_of(&message) {
            self.present.enter(seq, fingerprint);
        }
        let level = Lane::of_priority(self.limits.level_of(&message));
        let expires = match retried {
            Some(retried) => retried.expires,
            None => self.limits.ttl_of(&message).map(|ttl| now.plus_millis(ttl)),
        };
        let home = moved_home(entry.home);
        if home == Home::Log {
            effects.moves.placed.push(Moved { level, seq, expires, message: message.clone() });
        }
        let deliveries = retried.map_or(0, |retried| retried.deliveries);
        self.ready.push(Entry { seq, message, level, expires, deliveries, home });
    }

    /// A message comes back: ready again at its place, or later, or gone if it came back too often.
    pub(super) fn give_back(&mut self, seq: Seq, cause: Cause, now: Timestamp, effects: &mut Effects) {
        let Some(lease) = self.take_lease(seq) else { return };
        if self.limits.is_spent(lease.deliveries) {
            return self.bury_leased(lease, DropReason::DeliveryLimit, now, effects);
        }
        let delay = self.limits.retry.and_then(|retry| retry.delay_ms(lease.deliveries, cause));
        match delay {
            Some(delay_ms) => self.retry_later(lease, now.plus_millis(delay_ms), now, effects),
            None => self.put_back(lease),
        }
    }

    fn retry_later(&mut self, lease: Lease, due: Timestamp, now: Timestamp, effects: &mut Effects) {
        let Lease { seq, level, home, deliveries, expires, body_len, .. } = lease;
        let retried = Retried { deliveries, expires };
        let absent = Absent { level, seq, home, due, retried, message: lease.message, body_len };
        match &absent.message {
            // What comes back together is tried again in that order, though some must be read for it.
            Some(message) if effects.absent.is_empty() => self.retry(&absent, message, now, effects),
            Some(_) | None => effects.absent.push(absent),
        }
    }

    /// Takes a message in that is to be tried again later.
    pub fn retry(&mut self, absent: &Absent, message: &Message, now: Timestamp, effects: &mut Effects) {
        let message = message.with_retried(absent.retried);
        self.memory += memory_of(&message);
        self.present.leave(absent.seq);
        self.begin_waiting(&message);
        effects.moves.left.push(absent.home, absent.level, absent.seq);
        let home = moved_home(absent.home);
        let (level, seq) = self.delayed.push(message.clone(), absent.due, home, now);
        if home == Home::Log {
            effects.moves.placed.push(Moved { level, seq, expires: Some(absent.due), message });
        }
    }

    /// Puts a message back that was to be tried again later and cannot be read now.
    pub fn put_back_absent(&mut self, absent: &Absent) {
        let Absent { level, seq, home, body_len, .. } = *absent;
        self.put_back_cold(level, seq, home, absent.retried.deliveries, body_len);
    }

    fn put_back(&mut self, lease: Lease) {
        let Lease { seq, level, home, deliveries, expires, .. } = lease;
        match lease.message {
            Some(message) => {
                self.memory += memory_of(&message);
                self.ready.put_back(Entry { seq, message, level, expires, deliveries, home });
            }
            None => self.put_back_cold(level, seq, home, deliveries, lease.body_len),
        }
    }

    fn put_back_cold(&mut self, level: Lane, seq: Seq, home: Home, deliveries: u32, body_len: u32) {
        let body_len = if seq.get() <= self.uncounted { 0 } else { u64::from(body_len) };
        self.ready.put_back_cold(level, seq, home, deliveries, body_len);
    }

    /// Removes everything that is not due. Returns how many.
    pub(super) fn purge_delayed(&mut self, effects: &mut Effects) -> u64 {
        let mut octets = 0;
        let count = self.delayed.clear(&mut effects.gone, &mut |entry| octets += memory_of(&entry.message));
        self.memory -= octets;
        self.waiting_octets = 0;
        count as u64
    }

    /// Number of messages that are not due.
    pub fn delayed_len(&self) -> usize {
        self.delayed.len()
    }

    /// At most so many messages that are not due, `after` a bookmark.
    pub fn delayed_page(&self, after: Option<Bookmark>, most: usize) -> DelayedPage {
        self.delayed.page(after, most)
    }

    /// Lanes that messages were in that were not due.
    pub fn delayed_lanes(&self) -> impl Iterator<Item = Lane> {
        self.delayed.lanes()
    }

    /// Logged messages of a lane that were there at the start and not due, the first of them due at `due`; places up to
    /// `last` had been given. Returns whether the lane can hold them.
    pub fn restore_delayed(&mut self, lane: Lane, runs: &[(u64, u64)], due: Timestamp, last: Seq) -> bool {
        self.delayed.restore(lane, runs, due, last)
    }

    /// Messages of the lane that is read as a whole at the start; places up to `last` had been given there.
    pub fn restore_near(&mut self, lane: Lane, messages: Vec<Stored>, last: Seq) {
        self.delayed.restore_last(lane, last);
        for Stored { seq, message, expires, home, .. } in messages {
            self.memory += memory_of(&message);
            self.begin_waiting(&message);
            self.delayed.restore_near(Entry { seq, message, level: lane, expires, deliveries: 0, home });
        }
    }
}

/// What of messages that are not due has to be read at the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadAtStart {
    /// All of the lane: there are few.
    All,
    /// The first.
    First,
}

impl ReadAtStart {
    /// Of a lane of messages that are not due; `None`: what is in this one is ready.
    pub fn of(lane: Lane) -> Option<Self> {
        match lane.priority() {
            Some(_) => None,
            None => Some(if is_near(lane) { Self::All } else { Self::First }),
        }
    }
}

pub(super) fn remains(lease: Lease) -> Remains {
    match lease.message {
        Some(message) => Remains::Message(message),
        None => Remains::Stored(lease.level, lease.seq, lease.home),
    }
}
