//! How many queues came and went: tools show it, and a client that declares without end stands out.

use std::sync::atomic::{AtomicU64, Ordering};

use super::Broker;
use super::vhost::Vhost;
use crate::metrics::{DurationTally, SharedDurations};

/// Queues that came and went since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueueChurn {
    /// Declarations, of queues that exist as well.
    pub declared: u64,
    /// Queues that were made.
    pub created: u64,
    /// Queues that have gone.
    pub deleted: u64,
}

/// The counters of a virtual host.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) declared: AtomicU64,
    pub(super) created: AtomicU64,
    pub(super) deleted: AtomicU64,
    /// How long deliveries were held in queues that have gone.
    pub(super) held: SharedDurations,
    /// How long messages waited in them.
    pub(super) waited: SharedDurations,
}

impl Counters {
    /// Counts one more.
    pub(super) fn count(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

impl Vhost {
    /// How long deliveries were held in queues that have gone.
    pub fn held_before(&self) -> DurationTally {
        self.churn.held.load()
    }

    /// How long messages waited in queues that have gone.
    pub fn waited_before(&self) -> DurationTally {
        self.churn.waited.load()
    }
}

impl Broker {
    /// How many queues came and went, in the virtual hosts that there are.
    pub fn queue_churn(&self) -> QueueChurn {
        let mut churn = QueueChurn::default();
        for vhost in self.vhosts() {
            churn.declared += vhost.churn.declared.load(Ordering::Relaxed);
            churn.created += vhost.churn.created.load(Ordering::Relaxed);
            churn.deleted += vhost.churn.deleted.load(Ordering::Relaxed);
        }
        churn
    }
}
