//! Where the publish before went, so that the next one with the same key need not search.

use std::sync::Arc;

use super::exchange::Exchange;
use super::route::Routes;
use crate::queue::Queue;

/// An exchange whose bindings were at a revision: what was found out of it holds until that moves.
#[derive(Debug)]
pub(super) struct Standing {
    exchange: Arc<Exchange>,
    revision: u64,
}

impl Standing {
    /// The exchange as it is now; `None` if it is deleted.
    pub(super) fn of(exchange: &Arc<Exchange>) -> Option<Self> {
        Some(Self { revision: exchange.revision()?, exchange: Arc::clone(exchange) })
    }

    /// The exchange, if its bindings are what they were.
    pub(super) fn holds(&self) -> Option<&Arc<Exchange>> {
        (self.exchange.revision() == Some(self.revision)).then_some(&self.exchange)
    }
}

/// The queues that an exchange and a routing key lead to, as was found out last.
#[derive(Debug, Default)]
pub struct KnownRoute {
    source: Option<Standing>,
    key: Vec<u8>,
    queues: Routes,
}

impl KnownRoute {
    /// Whether it is known where this key leads from this exchange.
    pub fn holds(&self, exchange: &Exchange, key: &[u8]) -> bool {
        let source = self.source.as_ref().and_then(Standing::holds);
        source.is_some_and(|source| std::ptr::eq(&**source, exchange)) && self.key == key && self.are_there()
    }

    /// The queues; meaningful while it holds.
    pub fn queues(&self) -> &[Arc<Queue>] {
        &self.queues
    }

    /// Bindings to a queue go with it and move the revision. The default exchange has none: there the queue tells.
    fn are_there(&self) -> bool {
        let is_default = self.source.as_ref().is_some_and(|source| source.exchange.name.is_empty());
        !is_default || self.queues.iter().all(|queue| !queue.is_deleted())
    }

    pub(super) fn remember(&mut self, source: Option<Standing>, key: &[u8], queues: &Routes) {
        self.source = source;
        self.key.clear();
        self.key.extend_from_slice(key);
        self.queues.clone_from(queues);
    }

    /// Nothing is known.
    pub fn forget(&mut self) {
        *self = Self::default();
    }
}
