//! Which queues are gone, for as long as the log may hold a record of theirs: it is ignored then.
//!
//! ```text
//!   deleted, or named again -> recent --(the log starts after what old was made at)--> old --(once more)--> forgotten
//! ```
//! Both steps take as long as the log takes to be reused as a whole. Who appends a record of a queue later than that
//! after its end leaves a message that nobody reads, until the next start.

use super::seq_set::SeqSet;

/// Ids of queues that are gone.
#[derive(Debug, Default)]
pub(super) struct Deleted {
    /// A block after `turned` may name them.
    recent: SeqSet,
    /// No block after `turned` names them.
    old: SeqSet,
    /// The last block when `old` was made.
    turned: u64,
}

impl Deleted {
    /// Those that a checkpoint names.
    pub(super) fn of(ids: SeqSet) -> Self {
        Self { recent: ids, ..Self::default() }
    }

    /// The queue is gone.
    pub(super) fn insert(&mut self, queue: u64) {
        self.old.remove(queue);
        self.recent.insert(queue);
    }

    /// Whether the queue that a record names is gone; it stays remembered then.
    pub(super) fn meets(&mut self, queue: u64) -> bool {
        if self.old.remove(queue) {
            self.recent.insert(queue);
        }
        self.recent.contains(queue)
    }

    /// Whether the queue is gone.
    pub(super) fn contains(&self, queue: u64) -> bool {
        self.recent.contains(queue) || self.old.contains(queue)
    }

    /// Of a log from block `start` to block `end`: forgets those that it cannot name.
    pub(super) fn age(&mut self, start: u64, end: u64) {
        if start > self.turned {
            self.old = std::mem::take(&mut self.recent);
            self.turned = end;
        }
    }

    /// How many are remembered.
    pub(super) fn len(&self) -> u64 {
        self.recent.len() + self.old.len()
    }

    /// All that are remembered.
    pub(super) fn all(&self) -> SeqSet {
        let mut all = self.recent.clone();
        self.old.runs(0, u64::MAX).into_iter().for_each(|(first, last)| all.insert_run(first, last));
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_is_forgotten_once_the_log_starts_after_the_last_block_that_names_it() {
        let mut deleted = Deleted::default();
        deleted.insert(7);
        deleted.age(5, 10);
        deleted.insert(8);
        deleted.age(10, 20);
        assert!(deleted.meets(7), "block 10 may name it");
        deleted.age(11, 21);
        assert_eq!(deleted.len(), 2, "both were named since");
        deleted.age(21, 30);
        assert_eq!(deleted.len(), 2);
        deleted.age(22, 31);
        assert_eq!((deleted.len(), deleted.meets(7)), (0, false));
    }
}
