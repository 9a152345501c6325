//! Which messages are in a queue that takes no duplicates (`x-message-deduplication` of RabbitMQ's plugin), ready or
//! leased: while one is, its like is not taken in.

use ahash::AHashMap;

use super::State;
use crate::fingerprint::Fingerprint;
use crate::message::Message;
use crate::queue::lease::Holder;
use crate::queue::ready::Seq;

impl State {
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
        }
        self.present = present;
    }
}

/// Octets of one entry in both tables, which are between half full and full.
const ENTRY_OCTETS: u64 = 80;

/// Fingerprints of what is in the queue.
#[derive(Debug, Default)]
pub(super) struct Present {
    by_seq: AHashMap<Seq, Fingerprint>,
    /// How many messages have it. More than one, if one came back late to be tried again.
    counts: AHashMap<Fingerprint, usize>,
}

impl Present {
    pub(super) fn holds(&self, fingerprint: Fingerprint) -> bool {
        self.counts.contains_key(&fingerprint)
    }

    /// A message is there; it may have been known before.
    pub(super) fn enter(&mut self, seq: Seq, fingerprint: Fingerprint) {
        self.leave(seq);
        self.by_seq.insert(seq, fingerprint);
        *self.counts.entry(fingerprint).or_default() += 1;
    }

    pub(super) fn leave(&mut self, seq: Seq) {
        let Some(fingerprint) = self.by_seq.remove(&seq) else { return };
        let left = self.counts.remove(&fingerprint).unwrap_or_default().saturating_sub(1);
        if left > 0 {
            self.counts.insert(fingerprint, left);
        }
    }

    /// Only these stay.
    pub(super) fn retain(&mut self, stays: impl Fn(Seq) -> bool) {
        let left: Vec<_> = self.by_seq.keys().copied().filter(|seq| !stays(*seq)).collect();
        left.into_iter().for_each(|seq| self.leave(seq));
    }

    /// Octets of memory that this takes.
    pub(super) fn memory(&self) -> u64 {
        self.by_seq.len() as u64 * ENTRY_OCTETS
    }
}
