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
//! No clock, no randomness, no I/O, no hash order. Who gets which message is decided outside
//! ([`super::consumers`]): that is volatile, this is what a log would replay.

use super::lease::{Holder, Lease, Leases};
use super::limits::{Limits, Overflow};
use super::ready::{Entry, Ready, Seq};
use crate::clock::Timestamp;
use crate::message::Message;

/// What a queue can be told.
#[derive(Clone, Debug)]
pub enum Command {
    /// A message arrives.
    Enqueue(Message),
    /// The holder is done with a message (§1.8.3.13 ack; nack and reject without requeue).
    Settle(Seq),
    /// As `Settle`, but the holder refused the message.
    Discard(Seq),
    /// The holder gives a message back; it is ready again at its original place.
    Return(Seq),
    /// Everything that is ready goes (§1.7.2.7).
    Purge,
}

/// What follows from commands; the caller collects it and acts once no lock is held.
#[derive(Debug, Default)]
pub struct Effects {
    /// The arrival was not accepted: its publisher gets a nack.
    pub refused: bool,
    /// Number of messages that a purge removed.
    pub purged: u64,
    /// Messages that left without being acknowledged, in order.
    pub dropped: Vec<Dropped>,
    /// The arrival is to be logged, with this place and expiry.
    pub placed: Option<(Seq, Option<Timestamp>)>,
    /// Logged messages that have left, whatever the reason.
    pub gone: Vec<Seq>,
    /// Logged messages up to this one may have been given to a consumer.
    pub delivered: Option<Seq>,
}

/// A message that left its queue without being acknowledged.
#[derive(Clone, Debug)]
pub struct Dropped {
    /// The message.
    pub message: Message,
    /// Why.
    pub reason: DropReason,
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

fn memory_of(message: &Message) -> u64 {
    message.memory_len() as u64 + ENTRY_OVERHEAD
}

/// The state machine.
#[derive(Debug, Default)]
pub struct State {
    limits: Limits,
    /// Persistent messages are logged.
    durable: bool,
    last_seq: u64,
    /// The latest logged message that was ever leased.
    last_delivered: u64,
    ready: Ready,
    leases: Leases,
    memory: u64,
}

impl State {
    /// An empty queue with `limits`. In a durable queue persistent messages are logged.
    pub fn new(limits: Limits, durable: bool) -> Self {
        Self { limits, durable, ..Self::default() }
    }

    /// Puts a logged message back at the start; they come in order of their places.
    pub fn restore(&mut self, seq: Seq, message: Message, expires: Option<Timestamp>, deliveries: u32) {
        self.memory += memory_of(&message);
        self.last_seq = self.last_seq.max(seq.get());
        let priority = self.limits.priority_of(&message);
        self.ready.push(Entry { seq, message, priority, expires, deliveries, logged: true });
    }

    /// Places up to this one were given before the start.
    pub fn restore_last_seq(&mut self, last: Seq) {
        self.last_seq = self.last_seq.max(last.get());
    }

    /// Carries out one command.
    pub fn apply(&mut self, command: Command, now: Timestamp, effects: &mut Effects) {
        match command {
            Command::Enqueue(message) => self.enqueue(message, now, effects),
            Command::Settle(seq) => drop(self.end_lease(seq, effects)),
            Command::Discard(seq) => self.discard(seq, effects),
            Command::Return(seq) => self.give_back(seq, effects),
            Command::Purge => self.purge(effects),
        }
    }

    fn enqueue(&mut self, message: Message, now: Timestamp, effects: &mut Effects) {
        if self.limits.overflow != Overflow::DropHead && self.would_overflow(&message) {
            effects.refused = true;
            if self.limits.overflow == Overflow::RejectPublishDlx {
                effects.dropped.push(Dropped { message, reason: DropReason::MaxLength });
            }
            return;
        }
        self.last_seq += 1;
        self.memory += memory_of(&message);
        let expires = self.limits.ttl_of(&message).map(|ttl| now.plus_millis(ttl));
        let priority = self.limits.priority_of(&message);
        let seq = Seq::new(self.last_seq);
        let logged = self.durable && message.is_persistent();
        if logged {
            effects.placed = Some((seq, expires));
        }
        self.ready.push(Entry { seq, message, priority, expires, deliveries: 0, logged });
    }

    /// RabbitMQ: only ready messages count towards a queue's limits.
    fn would_overflow(&self, message: &Message) -> bool {
        let bytes = self.ready.body_bytes() + message.body().len() as u64;
        self.limits.is_exceeded_by(self.ready.len() as u64 + 1, bytes)
    }

    fn discard(&mut self, seq: Seq, effects: &mut Effects) {
        if let Some(lease) = self.end_lease(seq, effects) {
            effects.dropped.push(Dropped { message: lease.entry.message, reason: DropReason::Rejected });
        }
    }

    fn end_lease(&mut self, seq: Seq, effects: &mut Effects) -> Option<Lease> {
        let lease = self.leases.remove(seq)?;
        self.leave(&lease.entry, effects);
        Some(lease)
    }

    fn give_back(&mut self, seq: Seq, effects: &mut Effects) {
        let Some(lease) = self.leases.remove(seq) else { return };
        if self.limits.is_spent(lease.entry.deliveries) {
            self.leave(&lease.entry, effects);
            effects.dropped.push(Dropped { message: lease.entry.message, reason: DropReason::DeliveryLimit });
        } else {
            self.ready.put_back(lease.entry);
        }
    }

    fn purge(&mut self, effects: &mut Effects) {
        effects.purged += self.ready.len() as u64;
        while self.pop(effects).is_some() {}
    }

    /// The next message to deliver.
    pub fn head(&self) -> Option<&Entry> {
        self.ready.head()
    }

    /// Leases the head to `holder`.
    pub fn lease_head(&mut self, holder: Holder, now: Timestamp, effects: &mut Effects) -> Option<Entry> {
        let mut entry = self.ready.pop()?;
        entry.deliveries = entry.deliveries.saturating_add(1);
        if entry.logged && entry.seq.get() > self.last_delivered {
            self.last_delivered = entry.seq.get();
            effects.delivered = Some(entry.seq);
        }
        self.leases.insert(Lease { entry: entry.clone(), holder, since: now });
        Some(entry)
    }

    /// Takes the head for good (no_ack: §1.8.3.3, it is settled as soon as it is sent).
    pub fn settle_head(&mut self, effects: &mut Effects) -> Option<Entry> {
        self.pop(effects)
    }

    /// Drops ready messages at the head whose time is before `now`.
    pub fn expire_before(&mut self, now: Timestamp, effects: &mut Effects) {
        self.expire_while(|expires| expires < now, effects);
    }

    /// Drops ready messages at the head whose time has come.
    ///
    /// A message with a TTL of zero may still be delivered in the instant of its arrival, so the two differ.
    pub fn expire_until(&mut self, now: Timestamp, effects: &mut Effects) {
        self.expire_while(|expires| expires <= now, effects);
    }

    fn expire_while(&mut self, is_over: impl Fn(Timestamp) -> bool, effects: &mut Effects) {
        while let Some(entry) = self.ready.pop_expired(&is_over) {
            self.leave(&entry, effects);
            effects.dropped.push(Dropped { message: entry.message, reason: DropReason::Expired });
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
        while self.limits.is_exceeded_by(self.ready.len() as u64, self.ready.body_bytes()) {
            let Some(entry) = self.pop(effects) else { break };
            effects.dropped.push(Dropped { message: entry.message, reason: DropReason::MaxLength });
        }
    }

    fn pop(&mut self, effects: &mut Effects) -> Option<Entry> {
        let entry = self.ready.pop()?;
        self.leave(&entry, effects);
        Some(entry)
    }

    fn leave(&mut self, entry: &Entry, effects: &mut Effects) {
        self.memory -= memory_of(&entry.message);
        if entry.logged {
            effects.gone.push(entry.seq);
        }
    }

    /// When the next message expires.
    pub fn deadline(&self) -> Option<Timestamp> {
        self.ready.deadline()
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

    /// Octets of the messages it holds, ready and leased.
    pub fn memory(&self) -> u64 {
        self.memory
    }
}

#[cfg(test)]
mod tests;
