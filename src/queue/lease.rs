//! Delivery leases: messages that a consumer holds and has not settled.

use ahash::RandomState;
use std::collections::{BTreeSet, HashMap};

use super::consumers::ConsumerId;
use super::lane::Lane;
use super::operation::LeaseRef;
use super::ready::{Entry, Home, Seq};
use crate::clock::Timestamp;
use crate::message::Message;

/// One basic.get of a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FetchId(u64);

impl FetchId {
    /// The fetch of this number.
    pub const fn new(number: u64) -> Self {
        Self(number)
    }
}

/// Who holds a message. A message that came back and was given out again has another holder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Holder {
    /// A consumer (§1.8.3.3 basic.consume).
    Consumer(ConsumerId),
    /// A channel that fetched it (§1.8.3.10 basic.get).
    Get(FetchId),
    /// The broker, until its dead letter has arrived; it is nobody's again.
    Post,
}

/// One lease. It ends by ack, nack, reject, the loss of its channel, or when it has lasted too long.
#[derive(Clone, Debug)]
pub struct Lease {
    /// The message's place.
    pub seq: Seq,
    /// The message; `None` if it has left the memory.
    pub message: Option<Message>,
    /// Octets of its body.
    pub body_len: u32,
    /// Its lane in this queue.
    pub level: Lane,
    /// Where it is besides memory.
    pub home: Home,
    /// How often it has been given to a consumer.
    pub deliveries: u32,
    /// When it expires, if ever.
    pub expires: Option<Timestamp>,
    /// Who holds it.
    pub holder: Holder,
    /// Since when.
    pub since: Timestamp,
}

impl Lease {
    /// The lease of an entry.
    pub fn new(entry: &Entry, holder: Holder, since: Timestamp) -> Self {
        Self {
            seq: entry.seq,
            message: Some(entry.message.clone()),
            body_len: u32::try_from(entry.message.body().len()).unwrap_or(u32::MAX),
            level: entry.level,
            home: entry.home,
            deliveries: entry.deliveries,
            expires: entry.expires,
            holder,
            since,
        }
    }
}

/// The leases of one queue by place. No behaviour depends on hash order: who lists leases sorts them.
#[derive(Debug, Default)]
pub struct Leases {
    by_seq: HashMap<Seq, Lease, RandomState>,
    /// How many messages of them are not in memory.
    cold: usize,
    /// How many of them are dead messages.
    dead: usize,
}

impl Leases {
    /// Records a lease.
    pub fn insert(&mut self, lease: Lease) {
        self.cold += usize::from(lease.message.is_none());
        self.dead += usize::from(lease.holder == Holder::Post);
        self.by_seq.insert(lease.seq, lease);
    }

    /// Ends a lease. `None` if it has ended before.
    pub fn remove(&mut self, seq: Seq) -> Option<Lease> {
        let lease = self.by_seq.remove(&seq)?;
        self.cold -= usize::from(lease.message.is_none());
        self.dead -= usize::from(lease.holder == Holder::Post);
        self.release_memory();
        Some(lease)
    }

    /// Calls `each` with the leases whose messages may leave the memory, if they are worth a look: all must be looked
    /// at to find them.
    pub fn each_evictable(&self, each: &mut dyn FnMut(&Lease)) {
        let warm = self.by_seq.len() - self.cold;
        if warm > self.by_seq.len() / 4 {
            self.by_seq.values().filter(|lease| lease.message.is_some()).for_each(each);
        }
    }

    /// Lets messages of the leases in `seqs` leave the memory, where `stored` says that it can be read again.
    pub fn evict(&mut self, seqs: &[Seq], stored: &mut dyn FnMut(&Lease) -> bool) {
        for seq in seqs {
            if let Some(lease) = self.by_seq.get_mut(seq)
                && lease.message.is_some()
                && stored(lease)
            {
                lease.message = None;
                self.cold += 1;
            }
        }
    }

    /// Since when `holder` holds the message of this place, unless it holds it no more.
    pub fn held_since(&self, seq: Seq, holder: Holder) -> Option<Timestamp> {
        self.by_seq.get(&seq).filter(|lease| lease.holder == holder).map(|lease| lease.since)
    }

    /// The lease of the message of this place.
    pub fn get(&self, seq: Seq) -> Option<&Lease> {
        self.by_seq.get(&seq)
    }

    /// Whether somebody holds the message of this place.
    pub fn holds(&self, seq: Seq) -> bool {
        self.by_seq.contains_key(&seq)
    }

    /// What these consumers hold, by place: all leases are looked at once.
    pub fn held_by(&self, consumers: impl Iterator<Item = ConsumerId>) -> Vec<LeaseRef> {
        let consumers: BTreeSet<_> = consumers.collect();
        let is_theirs = |lease: &&Lease| match lease.holder {
            Holder::Consumer(id) => consumers.contains(&id),
            Holder::Get(_) | Holder::Post => false,
        };
        let theirs = self.by_seq.values().filter(is_theirs);
        let mut theirs: Vec<_> =
            theirs.map(|lease| LeaseRef { seq: lease.seq, holder: lease.holder }).collect();
        theirs.sort_unstable_by_key(|lease| lease.seq);
        theirs
    }

    /// Number of leases.
    pub fn len(&self) -> usize {
        self.by_seq.len()
    }

    /// How many of them are of dead messages whose letters have not arrived.
    pub fn dead_len(&self) -> usize {
        self.dead
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
