//! Delivery leases: messages that a consumer holds and has not settled.

use ahash::RandomState;
use std::collections::HashMap;

use super::consumers::ConsumerId;
use super::ready::{Entry, Seq};
use crate::clock::Timestamp;

/// Who holds a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holder {
    /// A consumer (§1.8.3.3 basic.consume).
    Consumer(ConsumerId),
    /// A channel that fetched it (§1.8.3.10 basic.get).
    Get,
}

/// One lease. It ends by ack, nack, reject, or the loss of its channel.
#[derive(Clone, Debug)]
pub struct Lease {
    /// The message.
    pub entry: Entry,
    /// Who holds it.
    pub holder: Holder,
    /// Since when.
    pub since: Timestamp,
}

/// The leases of one queue by place. No behaviour depends on hash order: who lists leases sorts them.
#[derive(Debug, Default)]
pub struct Leases {
    by_seq: HashMap<Seq, Lease, RandomState>,
}

impl Leases {
    /// Records a lease.
    pub fn insert(&mut self, lease: Lease) {
        self.by_seq.insert(lease.entry.seq, lease);
    }

    /// Ends a lease. `None` if it has ended before.
    pub fn remove(&mut self, seq: Seq) -> Option<Lease> {
        let lease = self.by_seq.remove(&seq);
        self.release_memory();
        lease
    }

    /// Number of leases.
    pub fn len(&self) -> usize {
        self.by_seq.len()
    }

    /// Whether nobody holds anything.
    pub fn is_empty(&self) -> bool {
        self.by_seq.is_empty()
    }

    /// All leases in no particular order: who shows them sorts them.
    pub fn iter(&self) -> impl Iterator<Item = &Lease> {
        self.by_seq.values()
    }

    /// A queue whose consumers once held many messages does not stay large.
    fn release_memory(&mut self) {
        const KEEP: usize = 1024;
        let capacity = self.by_seq.capacity();
        if capacity > KEEP && self.by_seq.len() < capacity / 8 {
            self.by_seq.shrink_to(capacity / 4);
        }
    }
}
