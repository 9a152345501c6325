//! Which messages are in a queue that takes no duplicates (`x-message-deduplication` of RabbitMQ's plugin), ready or
//! leased: while one is, its like is not taken in.

use ahash::AHashMap;

use crate::fingerprint::Fingerprint;
use crate::queue::ready::Seq;

/// Octets of one entry in both tables.
const ENTRY_OCTETS: u64 = 96;

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
