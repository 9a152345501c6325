//! Which messages are in a queue that takes no duplicates (`x-message-deduplication` of RabbitMQ's plugin), ready,
//! leased or not due: while one is, its like is not taken in.

use ahash::AHashMap;

use super::State;
use crate::fingerprint::Fingerprint;
use crate::message::Message;
use crate::queue::lease::Holder;
use crate::queue::ready::Seq;

impl State {
    /// A message is there that is not due.
    pub(super) fn begin_waiting(&mut self, message: &Message) {
        self.waiting_octets += message.body().len() as u64;
        if let Some(known) = self.fingerprint_of(message) {
            self.present.begin_waiting(known);
        }
    }

    /// A message was not due and is now.
    pub(super) fn end_waiting(&mut self, message: &Message) {
        // Nobody has measured what was there at the start where nothing bounds it.
        self.waiting_octets = match self.delayed.len() {
            0 => 0,
            _ => self.waiting_octets.saturating_sub(message.body().len() as u64),
        };
        if let Some(known) = self.fingerprint_of(message) {
            self.present.end_waiting(known);
        }
    }

    /// Messages that are on disk and not due: octets of their bodies, and what tells them apart.
    pub fn restore_waiting(&mut self, octets: u64, present: &[Fingerprint]) {
        self.waiting_octets += octets;
        present.iter().for_each(|known| self.present.begin_waiting(*known));
    }

    /// Duplicates are refused from now on, or no longer. What of messages is on disk only is known once it is read.
    pub(super) fn take_stock(&mut self) {
        let mut present = Present::default();
        if self.limits.deduplicates {
            let mut enter = |seq, message: &Message| {
                if let Some(known) = Fingerprint::of_properties(message.properties()) {
                    present.enter(seq, known);
                }
            };
            self.ready.each_evictable(0, usize::MAX, &mut |entry| enter(entry.seq, &entry.message));
            let held = self.leases.iter().filter(|lease| lease.holder != Holder::Post);
            held.for_each(|lease| lease.message.iter().for_each(|message| enter(lease.seq, message)));
            self.delayed.each_in_memory(&mut |entry| {
                if let Some(known) = Fingerprint::of_properties(entry.message.properties()) {
                    present.begin_waiting(known);
                }
            });
        }
        self.present = present;
    }
}

/// Octets of one entry in both tables, which are between half full and full.
const ENTRY_OCTETS: u64 = 80;

/// Octets of what is not due, likewise: it is in one table.
const WAITING_OCTETS: u64 = 40;

/// Fingerprints of what is in the queue.
#[derive(Debug, Default)]
pub(super) struct Present {
    by_seq: AHashMap<Seq, Fingerprint>,
    /// How many messages have it. More than one, if they were there before duplicates were refused.
    counts: AHashMap<Fingerprint, usize>,
    /// The same of messages that are not due.
    waiting: AHashMap<Fingerprint, usize>,
}

fn take_one(counts: &mut AHashMap<Fingerprint, usize>, fingerprint: Fingerprint) {
    let left = counts.remove(&fingerprint).unwrap_or_default().saturating_sub(1);
    if left > 0 {
        counts.insert(fingerprint, left);
    }
}

impl Present {
    pub(super) fn holds(&self, fingerprint: Fingerprint) -> bool {
        self.counts.contains_key(&fingerprint) || self.waiting.contains_key(&fingerprint)
    }

    fn begin_waiting(&mut self, fingerprint: Fingerprint) {
        *self.waiting.entry(fingerprint).or_default() += 1;
    }

    fn end_waiting(&mut self, fingerprint: Fingerprint) {
        take_one(&mut self.waiting, fingerprint);
    }

    /// Nothing waits any more.
    pub(super) fn clear_waiting(&mut self) {
        self.waiting = AHashMap::default();
    }

    /// A message is there; it may have been known before.
    pub(super) fn enter(&mut self, seq: Seq, fingerprint: Fingerprint) {
        self.leave(seq);
        self.by_seq.insert(seq, fingerprint);
        *self.counts.entry(fingerprint).or_default() += 1;
    }

    pub(super) fn leave(&mut self, seq: Seq) {
        let Some(fingerprint) = self.by_seq.remove(&seq) else { return };
        take_one(&mut self.counts, fingerprint);
    }

    /// Only these stay.
    pub(super) fn retain(&mut self, stays: impl Fn(Seq) -> bool) {
        let left: Vec<_> = self.by_seq.keys().copied().filter(|seq| !stays(*seq)).collect();
        left.into_iter().for_each(|seq| self.leave(seq));
    }

    /// Octets of memory that this takes.
    pub(super) fn memory(&self) -> u64 {
        self.by_seq.len() as u64 * ENTRY_OCTETS + self.waiting.len() as u64 * WAITING_OCTETS
    }
}
