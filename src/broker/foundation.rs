//! What the virtual hosts of a broker share, and what each of them may have in its own way.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::alarm::Alarms;
use super::journal::{Durability, Journal};
use super::pager::Pager;
use super::timers::Timers;
use super::vhost::Vhost;
use crate::exchange::MemoryBudget;
use crate::metadata::Definitions;
use crate::name::Name;

/// What virtual hosts share.
#[derive(Clone, Debug)]
pub(super) struct Foundation {
    pub(super) timers: Arc<Timers>,
    pub(super) alarms: Arc<Alarms>,
    pub(super) definitions: Option<Arc<Definitions>>,
    pub(super) journal: Arc<Journal>,
    /// What durable means in a virtual host that says nothing else.
    pub(super) durability: Durability,
    /// Keeps messages within their memory; `None`: they stay there.
    pub(super) pager: Option<Arc<Pager>>,
    pub(super) ids: Arc<AtomicU64>,
    pub(super) memories: Arc<MemoryBudget>,
    pub(super) lease: Arc<LeaseDefault>,
}

/// How long consumers may hold a delivery where nothing else is said, in milliseconds; 0 is without end.
#[derive(Debug)]
pub(super) struct LeaseDefault(AtomicU64);

impl LeaseDefault {
    pub(super) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Says whether that is another one than before.
    pub(super) fn set(&self, millis: u64) -> bool {
        self.0.swap(millis, Ordering::Relaxed) != millis
    }
}

/// RabbitMQ's 30 minutes.
impl Default for LeaseDefault {
    fn default() -> Self {
        Self(AtomicU64::new(30 * 60 * 1000))
    }
}

impl Foundation {
    /// One on which nothing is kept.
    pub(super) fn new(timers: Arc<Timers>, alarms: Arc<Alarms>) -> Self {
        Self {
            timers,
            alarms,
            definitions: None,
            journal: Arc::default(),
            durability: Durability::default(),
            pager: None,
            ids: Arc::default(),
            memories: Arc::default(),
            lease: Arc::default(),
        }
    }
}

impl Vhost {
    /// What a confirm in this virtual host promises.
    pub fn durability(&self) -> Durability {
        self.journal().durability()
    }

    /// What confirms promise from now on, what the server does if nothing is `asked`; those that wait already may go by
    /// either.
    pub(super) fn promise(&self, asked: Option<Durability>) {
        let durability = asked.unwrap_or(self.server_durability);
        let is_change = durability != self.durability();
        self.journal().set_durability(durability);
        if is_change && self.journal().is_kept() {
            tell(&self.name, durability);
        }
    }
}

/// Says in the log what confirms in a virtual host wait for.
fn tell(vhost: &Name, durability: Durability) {
    match durability {
        Durability::Fsync => tracing::info!(%vhost, "confirms in this virtual host wait for fsync"),
        Durability::Os => tracing::warn!(
            %vhost,
            "confirms in this virtual host wait for the operating system only: a power cut may lose confirmed messages"
        ),
    }
}
