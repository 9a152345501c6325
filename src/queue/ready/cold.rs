//! Ready messages that are on disk only: their seqs, and what little of them is worth its memory.

use std::collections::BTreeMap;

use super::{Entry, Home, Seq};
use crate::clock::Timestamp;
use crate::storage::SeqSet;

/// The messages of one level that are not in memory.
///
/// It is exact: a seq is in here if and only if the message is ready and its octets are not in memory. What the store
/// knows besides, such as messages that are leased or settled a moment ago, is none of this queue's ready messages.
#[derive(Debug, Default)]
pub(in crate::queue) struct Cold {
    logged: SeqSet,
    spilled: SeqSet,
    /// How often a message was given out, where that is not what the store says.
    deliveries: BTreeMap<u64, u32>,
    /// The lowest seq.
    first: Option<Seq>,
    /// When a message expires that was at the head once.
    known_expiry: Option<(Seq, Option<Timestamp>)>,
}

/// Octets that one of the counts of deliveries takes.
pub(super) const COUNT_OCTETS: u64 = 24;

/// A run of seqs, both ends included.
pub(in crate::queue) type Run = (u64, u64);

impl Cold {
    pub(in crate::queue) fn len(&self) -> usize {
        usize::try_from(self.logged.len() + self.spilled.len()).unwrap_or(usize::MAX)
    }

    /// How many messages have a count of deliveries of their own.
    pub(super) fn counted(&self) -> usize {
        self.deliveries.len()
    }

    pub(in crate::queue) fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    pub(in crate::queue) fn first(&self) -> Option<Seq> {
        self.first
    }

    /// The lowest seq in the log and the lowest in the spill.
    pub(in crate::queue) fn firsts(&self) -> (Option<Seq>, Option<Seq>) {
        (self.logged.first_from(0).map(Seq::new), self.spilled.first_from(0).map(Seq::new))
    }

    /// The lowest seq from this one on, and which store has it.
    pub(super) fn next_from(&self, from: Seq) -> Option<(Seq, Home)> {
        let logged = self.logged.first_from(from.get()).map(|seq| (Seq::new(seq), Home::Log));
        let spilled = self.spilled.first_from(from.get()).map(|seq| (Seq::new(seq), Home::Spill));
        logged.into_iter().chain(spilled).min_by_key(|(seq, _)| *seq)
    }

    /// When the lowest expires, if that is known: `Some(None)` is never.
    pub(in crate::queue) fn head_expiry(&self) -> Option<Option<Timestamp>> {
        self.known_expiry.filter(|(seq, _)| Some(*seq) == self.first).map(|(_, expires)| expires)
    }

    /// Takes a message in whose octets leave the memory.
    pub(in crate::queue) fn insert(&mut self, entry: &Entry) {
        let seq = entry.seq;
        self.insert_seq(seq, entry.home, entry.deliveries);
        if self.first == Some(seq) {
            self.known_expiry = Some((seq, entry.expires));
        }
    }

    /// Takes a message in that was out of memory already.
    pub(in crate::queue) fn insert_seq(&mut self, seq: Seq, home: Home, deliveries: u32) {
        let seqs = if home == Home::Log { &mut self.logged } else { &mut self.spilled };
        seqs.insert(seq.get());
        if deliveries > 0 {
            self.deliveries.insert(seq.get(), deliveries);
        }
        self.first = Some(self.first.map_or(seq, |first| first.min(seq)));
    }

    /// Takes a run of logged messages in.
    pub(in crate::queue) fn insert_logged(&mut self, (first, last): Run) {
        self.logged.insert_run(first, last);
        let first = Seq::new(first);
        self.first = Some(self.first.map_or(first, |known| known.min(first)));
    }

    /// The runs of a store's messages from `first` to `last`.
    pub(in crate::queue) fn runs(&self, home: Home, first: Seq, last: Seq) -> Vec<Run> {
        let seqs = if home == Home::Log { &self.logged } else { &self.spilled };
        seqs.runs(first.get(), last.get())
    }

    /// How often a message was given out, if that is not what the store says. It is asked once.
    pub(in crate::queue) fn take_deliveries(&mut self, seq: Seq) -> Option<u32> {
        self.deliveries.remove(&seq.get())
    }

    /// Lets a run go whose messages are in memory again, or gone.
    pub(in crate::queue) fn remove_run(&mut self, home: Home, (first, last): Run) {
        let seqs = if home == Home::Log { &mut self.logged } else { &mut self.spilled };
        seqs.remove_run(first, last);
        let (logged, spilled) = self.firsts();
        self.first = match (logged, spilled) {
            (Some(logged), Some(spilled)) => Some(logged.min(spilled)),
            (logged, spilled) => logged.or(spilled),
        };
    }
}
