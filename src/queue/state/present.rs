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
    seqs: AHashMap<Fingerprint, Seq>,
}

impl Present {
    pub(super) fn holds(&self, fingerprint: Fingerprint) -> bool {
        self.seqs.contains_key(&fingerprint)
    }

    pub(super) fn enter(&mut self, seq: Seq, fingerprint: Fingerprint) {
        self.by_seq.insert(seq, fingerprint);
        self.seqs.insert(fingerprint, seq);
    }

    pub(super) fn leave(&mut self, seq: Seq) {
        let Some(fingerprint) = self.by_seq.remove(&seq) else { return };
        if self.seqs.get(&fingerprint) == Some(&seq) {
            self.seqs.remove(&fingerprint);
        }
    }

    /// Only these stay.
    pub(super) fn retain(&mut self, stays: impl Fn(Seq) -> bool) {
        self.by_seq.retain(|seq, _| stays(*seq));
        self.seqs.retain(|_, seq| stays(*seq));
    }

    /// Octets of memory that this takes.
    pub(super) fn memory(&self) -> u64 {
        self.by_seq.len() as u64 * ENTRY_OCTETS
    }
}
