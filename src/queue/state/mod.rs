//! The messages of one queue as a deterministic state machine: a command and the time go in, effects come out.
//!
//! ```text
//!                     Enqueue
//!                        |  over the limit (reject-publish): refused
//!                        v
//!   Return ---------> READY ----- expired, over the limit (drop-head), Purge ---> gone
//!     ^                  |
//!     |                take (lease)
//!     |                  v
//!     +-------------- LEASED ---- Settle ---> gone
//! ```
//!
//! Before READY, arrivals and what is returned may be DELAYED until they are due ([`delays`]).
//!
//! No clock, no randomness, no I/O, no hash order. Who gets which message is decided outside
//! ([`super::consumers`]): that is volatile, this is what a log would replay.

pub mod dead;
pub mod delays;
mod present;
pub mod residence;

use super::delayed::Delayed;
use super::lane::Lane;
use super::lease::{Holder, Lease, Leases};
use super::limits::{Limits, Overflow, Priorities};
use super::ready::{Departures, Entry, Head, Home, Ready, Seq};
use super::retry::Cause;
use crate::clock::Timestamp;
use crate::fingerprint::Fingerprint;
use crate::message::Message;

use dead::{Dead, Undeliverable};
use delays::{Absent, Moves};
use present::Present;

/// What a queue can be told.
#[derive(Clone, Debug)]
pub enum Command {
    /// A message arrives.
    Enqueue(Message),
    /// The holder is done with a message (§1.8.3.13 ack; nack and reject without requeue).
    Settle(Seq),
    /// As `Settle`, but the holder refused the message.
    Discard(Seq),
    /// The holder gives a message back; it is ready again at its original place, or later.
    Return(Seq, Cause),
    /// Everything that is ready, delayed, or dead and kept goes (§1.7.2.7).
    Purge,
}

/// What follows from commands; the caller collects it and acts once no lock is held.
#[derive(Debug, Default)]
pub struct Effects {
    /// The arrival was not accepted: its publisher gets a nack.
    pub refused: bool,
    /// The arrival was not taken in: its like is there.
    pub duplicate: bool,
    /// Number of messages that a purge removed.
    pub purged: u64,
    /// Messages that left without being acknowledged, in order.
    pub dropped: Vec<Dropped>,
    /// Messages that have died, in order, and stay until their letters have arrived.
    pub dead: Vec<Dead>,
    /// The arrival is to be logged, with this level, place and expiry.
    pub placed: Option<(Lane, Seq, Option<Timestamp>)>,
    /// Stored messages that have left, whatever the reason.
    pub gone: Departures,
    /// What is kept elsewhere than before.
    pub moves: Moves,
    /// Messages that are to be read, and then given to [`State::retry`].
    pub absent: Vec<Absent>,
    /// Logged messages of a level (the first) up to a place (the second) may have been given to a consumer.
    pub delivered: Vec<(Lane, Seq)>,
    /// Logged messages that were given out again, and how often by now.
    pub counted: Vec<(Lane, Seq, u32)>,
}

/// A message that left its queue without being acknowledged.
#[derive(Clone, Debug)]
pub struct Dropped {
    /// The message.
    pub message: Remains,
    /// Why.
    pub reason: DropReason,
}

/// What is left of a message that was dropped.
#[derive(Clone, Debug)]
pub enum Remains {
    /// The message.
    Message(Message),
    /// Where it can be read, for the moment: it was not in memory.
    Stored(Lane, Seq, Home),
}

/// Why a message was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DropReason {
    /// Its time to live is over.
    Expired,
    /// The queue had more than it may hold.
    MaxLength,
    /// A consumer refused it without requeue.
    Rejected,
    /// It came back more often than the queue allows.
    DeliveryLimit,
}

impl DropReason {
    /// RabbitMQ's name, in the header `x-death`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Expired => "expired",
            Self::MaxLength => "maxlen",
            Self::Rejected => "rejected",
            Self::DeliveryLimit => "delivery_limit",
        }
    }
}

/// Octets that a message takes in a queue besides its own: its entry and the two allocations.
const ENTRY_OVERHEAD: u64 = 128;

/// Messages that expire in one step: as long as the queue's lock is held, and whoever carries their letters is busy.
/// The tick of a queue with more of them comes again at once, behind those of other queues.
const EXPIRED_AT_ONCE: usize = 512;

/// Octets of a lease whose message is not in memory.
const LEASE_OVERHEAD: u64 = 96;

fn memory_of(message: &Message) -> u64 {
    message.memory_len() as u64 + ENTRY_OVERHEAD
}

fn memory_of_lease(lease: &Lease) -> u64 {
    lease.message.as_ref().map_or(LEASE_OVERHEAD, memory_of)
}

/// The state machine.
#[derive(Debug, Default)]
pub struct State {
    limits: Limits,
    /// Persistent messages are logged.
    durable: bool,
    /// All messages are (RabbitMQ: those of quorum queues).
    keeps_all: bool,
    last_seq: u64,
    /// Bodies of messages up to this one count only while they are in memory: nobody has measured them since the start.
    uncounted: u64,
    /// Messages up to this one may have been delivered before the start, whatever the store knows.
    uncertain: u64,
    ready: Ready,
    delayed: Delayed,
    /// Octets of the bodies of those.
    waiting_octets: u64,
    leases: Leases,
    /// In a queue that takes no duplicates.
    present: Present,
    undeliverable: Undeliverable,
    memory: u64,
    /// What was read back last was not due.
    loaded_delayed: bool,
}

impl State {
    /// An empty queue with `limits`. In a durable queue persistent messages are logged.
    pub fn new(limits: Limits, durable: bool) -> Self {
        let ready = Ready::new(limits.priorities == Priorities::NormalAndHigh);
        Self { limits, durable, ready, ..Self::default() }
    }

    /// The same; if it `keeps_all`, messages that are not persistent are logged too.
    #[must_use]
    pub fn keeping_all(self, keeps_all: bool) -> Self {
        Self { keeps_all, ..self }
    }

    /// Where an arrival is to be found later.
    fn home_of(&self, message: &Message) -> Home {
        if self.durable && (self.keeps_all || message.is_persistent()) { Home::Log } else { Home::Memory }
    }

    /// Other limits hold: for what comes from now on; see [`Self::drop_overflow`] for what is there.
    pub fn set_limits(&mut self, limits: Limits) {
        let before = std::mem::replace(&mut self.limits, limits);
        if before.deduplicates != self.limits.deduplicates {
            self.take_stock();
        }
    }

    /// Carries out one command.
    pub fn apply(&mut self, command: Command, now: Timestamp, effects: &mut Effects) {
        match command {
            Command::Enqueue(message) => self.enqueue(message, now, effects),
            Command::Settle(seq) => drop(self.end_lease(seq, effects)),
            Command::Discard(seq) => self.discard(seq, now, effects),
            Command::Return(seq, cause) => self.give_back(seq, cause, now, effects),
            Command::Purge => self.purge(effects),
        }
    }

    fn enqueue(&mut self, message: Message, now: Timestamp, effects: &mut Effects) {
        let fingerprint = self.fingerprint_of(&message);
        if fingerprint.is_some_and(|fingerprint| self.present.holds(fingerprint)) {
            effects.duplicate = true;
            return;
        }
        if self.limits.overflow != Overflow::DropHead && self.would_overflow(&message) {
            effects.refused = true;
            if self.limits.overflow == Overflow::RejectPublishDlx {
                effects
                    .dropped
                    .push(Dropped { message: Remains::Message(message), reason: DropReason::MaxLength });
            }
            return;
        }
        if let Some(delay_ms) = message.delay_ms() {
            return self.delay(message, delay_ms, now, effects);
        }
        self.last_seq += 1;
        self.memory += memory_of(&message);
        let expires = self.limits.ttl_of(&message).map(|ttl| now.plus_millis(ttl));
        let level = Lane::of_priority(self.limits.level_of(&message));
        let seq = Seq::new(self.last_seq);
        if let Some(fingerprint) = fingerprint {
            self.present.enter(seq, fingerprint);
        }
        let home = self.home_of(&message);
        if home == Home::Log {
            effects.placed = Some((level, seq, expires));
        }
        self.ready.push(Entry { seq, message, level, expires, deliveries: 0, home });
    }

    /// What tells a message apart, where that matters.
    fn fingerprint_of(&self, message: &Message) -> Option<Fingerprint> {
        if !self.limits.deduplicates {
            return None;
        }
        Fingerprint::of_properties(message.properties())
    }

    /// RabbitMQ: messages that are leased do not count towards a queue's limits. Those that are not due do where
    /// arrivals are refused: they have been confirmed, so that it is too late for that when they are due.
    fn would_overflow(&self, message: &Message) -> bool {
        let length = (self.ready.len() + self.delayed.len()) as u64 + 1;
        let bytes = self.ready.body_bytes() + self.waiting_octets + message.body().len() as u64;
        self.limits.is_exceeded_by(length, bytes)
    }

    fn discard(&mut self, seq: Seq, now: Timestamp, effects: &mut Effects) {
        if let Some(lease) = self.take_lease(seq) {
            self.bury_leased(lease, DropReason::Rejected, now, effects);
        }
    }

    fn take_lease(&mut self, seq: Seq) -> Option<Lease> {
        let lease = self.leases.remove(seq)?;
        self.memory -= memory_of_lease(&lease);
        Some(lease)
    }

    fn end_lease(&mut self, seq: Seq, effects: &mut Effects) -> Option<Lease> {
        let lease = self.take_lease(seq)?;
        self.present.leave(seq);
        effects.gone.push(lease.home, lease.level, lease.seq);
        Some(lease)
    }

    fn purge(&mut self, effects: &mut Effects) {
        effects.purged += self.ready.len() as u64 + self.purge_delayed(effects) + self.purge_dead(effects);
        // First what is on disk only, for the rest can be taken one by one then.
        self.ready.clear_cold(&mut effects.gone);
        while self.pop(effects).is_some() {}
        self.present.retain(|seq| self.leases.holds(seq));
        self.present.clear_waiting();
    }

    /// Whether a message may have been given to a consumer before.
    pub fn is_redelivered(&self, entry: &Entry) -> bool {
        entry.deliveries > 0 || entry.seq.get() <= self.uncertain
    }

    /// What consumers are told of how often a message came back.
    pub fn told_returns(&self, entry: &Entry) -> u32 {
        if self.limits.tells_deliveries { entry.deliveries } else { 0 }
    }

    /// The place that was given last.
    pub fn last_seq(&self) -> Seq {
        Seq::new(self.last_seq)
    }

    /// The first place of all that are ready, of every priority.
    pub fn oldest_ready(&self) -> Option<Seq> {
        self.ready.oldest()
    }

    /// The next message to deliver.
    pub fn head(&self) -> Head<'_> {
        self.ready.head()
    }

    /// Leases the head to `holder`.
    pub fn lease_head(&mut self, holder: Holder, now: Timestamp, effects: &mut Effects) -> Option<Entry> {
        let mut entry = self.ready.pop()?;
        entry.deliveries = entry.deliveries.saturating_add(1);
        if entry.home == Home::Log && self.ready.note_delivered(entry.level, entry.seq) {
            match effects.delivered.last_mut() {
                Some((level, seq)) if *level == entry.level => *seq = entry.seq,
                _ => effects.delivered.push((entry.level, entry.seq)),
            }
        }
        if entry.home == Home::Log && entry.deliveries > 1 && self.limits.tells_deliveries {
            effects.counted.push((entry.level, entry.seq, entry.deliveries));
        }
        self.leases.insert(Lease::new(&entry, holder, now));
        Some(entry)
    }

    /// Takes the head for good (no_ack: §1.8.3.3, it is settled as soon as it is sent).
    pub fn settle_head(&mut self, effects: &mut Effects) -> Option<Entry> {
        self.pop(effects)
    }

    /// Drops ready messages at the head whose time is before `now`; a bounded step. Returns whether that was all.
    pub fn expire_before(&mut self, now: Timestamp, effects: &mut Effects) -> bool {
        self.expire_while(|expires| expires < now, now, effects)
    }

    /// Drops all ready messages at the head whose time is before `now`: for who is told what the queue holds.
    pub fn expire_all_before(&mut self, now: Timestamp, effects: &mut Effects) {
        while !self.expire_before(now, effects) {}
    }

    /// Drops ready messages at the head whose time has come; a bounded step. Returns whether that was all.
    ///
    /// A message with a TTL of zero may still be delivered in the instant of its arrival, so the two differ.
    pub fn expire_until(&mut self, now: Timestamp, effects: &mut Effects) -> bool {
        self.expire_while(|expires| expires <= now, now, effects)
    }

    fn expire_while(
        &mut self,
        is_over: impl Fn(Timestamp) -> bool,
        now: Timestamp,
        effects: &mut Effects,
    ) -> bool {
        let is_dead = |entry: &Entry| Self::death(entry, &is_over).is_some();
        for _ in 0..EXPIRED_AT_ONCE {
            if !self.has_room_for_dead() {
                return true;
            }
            let Some(entry) = self.ready.pop_dead(is_dead) else { return true };
            let reason = Self::death(&entry, &is_over).unwrap_or(DropReason::Expired);
            self.bury(entry, reason, now, effects);
        }
        false
    }

    /// Drops what has expired at the head, then what is more than the limits allow.
    pub fn drop_surplus(&mut self, now: Timestamp, effects: &mut Effects) {
        // While there is more that has expired, that is why it goes.
        if self.expire_until(now, effects) {
            self.drop_overflow(effects);
        }
    }

    /// Drops messages at the head until the queue is within its limits.
    ///
    /// RabbitMQ: not where arrivals are refused instead. What comes back from a consumer may exceed the limit then: it
    /// was accepted once.
    pub fn drop_overflow(&mut self, effects: &mut Effects) {
        if self.limits.overflow != Overflow::DropHead {
            return;
        }
        while self.is_over_limit() {
            let Some(entry) = self.pop(effects) else { break };
            effects
                .dropped
                .push(Dropped { message: Remains::Message(entry.message), reason: DropReason::MaxLength });
        }
    }

    fn is_over_limit(&self) -> bool {
        self.limits.is_exceeded_by(self.ready.len() as u64, self.ready.body_bytes())
    }

    fn pop(&mut self, effects: &mut Effects) -> Option<Entry> {
        let entry = self.ready.pop()?;
        self.leave(&entry, effects);
        Some(entry)
    }

    fn leave(&mut self, entry: &Entry, effects: &mut Effects) {
        self.memory -= memory_of(&entry.message);
        self.present.leave(entry.seq);
        effects.gone.push(entry.home, entry.level, entry.seq);
    }

    /// When the next message expires or is due; of messages that are on disk only `with_cold`, and if it is known.
    pub fn deadline(&self, with_cold: bool) -> Option<Timestamp> {
        let expiry = self.ready.deadline(with_cold).filter(|_| self.has_room_for_dead());
        [expiry, self.delayed.deadline(), self.again_at()].into_iter().flatten().min()
    }

    /// Number of ready messages.
    pub fn ready_len(&self) -> usize {
        self.ready.len()
    }

    /// Octets of the bodies that are ready.
    pub fn ready_octets(&self) -> u64 {
        self.ready.body_bytes()
    }

    /// The leases: who holds which message.
    pub fn leases(&self) -> &Leases {
        &self.leases
    }

    /// Octets that the messages it holds take in memory, ready and leased, and what must be known of those on disk.
    pub fn memory(&self) -> u64 {
        self.memory + self.present.memory() + self.ready.cold_memory()
    }
}

#[cfg(test)]
mod tests;
