//! An exchange as an entity: how it was declared, and its bindings.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use lepus_protocol::{FieldTable, FieldValue};
use parking_lot::{Mutex, RwLock};

use crate::exchange::arguments::{is_volatile, routing_type};
use crate::exchange::{Binding, ExchangeType, History, MemoryBudget, Router, Seen, Target};
use crate::id::EntityId;
use crate::metadata::DestinationKind;
use crate::metrics::SharedTally;
use crate::name::Name;
use crate::policy::Applied;
use crate::queue::Queue;

/// The argument that names an exchange for messages that this one cannot route (RabbitMQ).
pub const ALTERNATE_EXCHANGE: &str = "alternate-exchange";

/// The revision of an exchange that is deleted.
const ENDED: u64 = u64::MAX;

/// How an exchange was declared (§1.6.2.1).
#[derive(Clone, Debug)]
pub struct ExchangeOptions {
    /// How it routes.
    pub kind: ExchangeType,
    /// Survives a restart.
    pub durable: bool,
    /// Goes when its last binding has gone.
    pub auto_delete: bool,
    /// Publishers may not use it; only other exchanges (RabbitMQ).
    pub internal: bool,
    /// The arguments.
    pub arguments: FieldTable,
}

/// An exchange.
pub struct Exchange {
    /// Its identity: a later exchange of the same name has another.
    pub id: EntityId,
    /// Its name; empty for the default exchange.
    pub name: Name,
    /// How it was declared.
    pub options: ExchangeOptions,
    /// The policies that hold, and where messages go that it cannot route.
    effective: RwLock<Effective>,
    /// Messages published to it and passed on by it to queues.
    pub tally: SharedTally,
    /// Its bindings. Changed by [`Self::rewire`] under the topology's lock only.
    pub(super) router: RwLock<Router<Destination>>,
    /// Counts the changes of its bindings; [`ENDED`] once it is deleted.
    revision: AtomicU64,
    /// The last messages, where the type keeps them. Locked before the bindings.
    pub(super) history: Option<Mutex<History>>,
    /// What it has seen, where the type lets nothing through twice.
    pub(super) seen: Option<Arc<Mutex<Seen>>>,
    /// What that may be kept under.
    pub(super) memory: Option<EntityId>,
}

impl Exchange {
    /// An exchange without bindings, that has seen nothing. What it sees is kept under `memory`.
    pub(super) fn new(
        id: EntityId,
        name: Name,
        options: ExchangeOptions,
        memory: Option<EntityId>,
        memories: &Arc<MemoryBudget>,
    ) -> Arc<Self> {
        let effective = RwLock::new(Effective::new(&options, Applied::default()));
        let router = RwLock::new(Router::new(options.kind, &options.arguments));
        let routes_as = routing_type(options.kind, &options.arguments);
        let history = (routes_as == ExchangeType::RecentHistory)
            .then(|| Mutex::new(History::new(&options.arguments, Arc::clone(memories))));
        let seen = (routes_as == ExchangeType::MessageDeduplication)
            .then(|| Arc::new(Mutex::new(Seen::new(&options.arguments, Arc::clone(memories)))));
        let (tally, revision) = (SharedTally::default(), AtomicU64::default());
        Arc::new(Self { id, name, options, effective, tally, router, revision, history, seen, memory })
    }
}

impl Exchange {
    /// The policies that hold for it.
    pub fn applied(&self) -> Arc<Applied> {
        Arc::clone(&self.effective.read().applied)
    }

    /// Where messages go that it cannot route.
    pub fn alternate(&self) -> Option<Name> {
        self.effective.read().alternate.clone()
    }

    /// Other policies hold from now on.
    pub(super) fn apply(&self, applied: Applied) {
        if let Some(seen) = &self.seen {
            seen.lock().reconfigure(&self.options.arguments, &applied.definition);
        }
        *self.effective.write() = Effective::new(&self.options, applied);
    }

    /// What it sees is kept under this identity, if it is kept.
    pub(super) fn kept_under(&self) -> Option<EntityId> {
        self.memory.filter(|_| !self.effective.read().is_volatile)
    }

    /// Changes its bindings.
    pub(super) fn rewire<R>(&self, change: impl FnOnce(&mut Router<Destination>) -> R) -> R {
        let mut router = self.router.write();
        let result = change(&mut router);
        self.revision.fetch_add(1, Ordering::Release);
        result
    }

    /// A number that moves with its bindings: what was found out before is to be found out again then. `None` once it
    /// is deleted.
    pub(super) fn revision(&self) -> Option<u64> {
        Some(self.revision.load(Ordering::Acquire)).filter(|&revision| revision != ENDED)
    }

    /// It is deleted: nothing that was found out holds from here on.
    pub(super) fn end(&self) {
        self.revision.store(ENDED, Ordering::Release);
    }

    /// Its bindings, in no particular order.
    pub fn bindings(&self) -> Vec<Binding<Destination>> {
        self.router.read().bindings().cloned().collect()
    }

    /// Its bindings to one queue or exchange, in no particular order.
    pub fn bindings_to(&self, destination: &Destination) -> Vec<Binding<Destination>> {
        self.router.read().bindings_to(destination).cloned().collect()
    }

    /// No bindings, of its type.
    pub(super) fn empty_router(&self) -> Router<Destination> {
        Router::new(self.options.kind, &self.options.arguments)
    }

    /// How it routes.
    pub(super) fn routes_as(&self) -> ExchangeType {
        routing_type(self.options.kind, &self.options.arguments)
    }

    /// Whether it lives for its bindings and has none left.
    pub(super) fn is_unused(&self) -> bool {
        self.options.auto_delete && self.router.read().is_empty()
    }
}

/// What holds for an exchange at the moment.
struct Effective {
    applied: Arc<Applied>,
    alternate: Option<Name>,
    /// What it sees is kept in memory only.
    is_volatile: bool,
}

impl Effective {
    /// RabbitMQ: the argument holds, if there is one.
    fn new(options: &ExchangeOptions, applied: Applied) -> Self {
        let argument = options.arguments.get(ALTERNATE_EXCHANGE);
        let alternate = argument.or_else(|| applied.definition.get(ALTERNATE_EXCHANGE));
        let alternate = alternate.and_then(FieldValue::as_str).map(Name::from);
        let is_volatile = is_volatile(&options.arguments, &applied.definition);
        Self { applied: Arc::new(applied), alternate, is_volatile }
    }
}

impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exchange").field("id", &self.id).field("name", &self.name).finish_non_exhaustive()
    }
}

/// Where a binding leads.
#[derive(Clone, Debug)]
pub enum Destination {
    /// To a queue.
    Queue(Arc<Queue>),
    /// To another exchange (RabbitMQ).
    Exchange(Arc<Exchange>),
}

impl Destination {
    /// The identity of the queue or exchange.
    pub fn id(&self) -> EntityId {
        match self {
            Self::Queue(queue) => queue.id,
            Self::Exchange(exchange) => exchange.id,
        }
    }

    /// Its name.
    pub fn name(&self) -> &Name {
        match self {
            Self::Queue(queue) => &queue.name,
            Self::Exchange(exchange) => &exchange.name,
        }
    }

    /// Whether it survives a restart.
    pub fn is_durable(&self) -> bool {
        match self {
            Self::Queue(queue) => queue.options.durable,
            Self::Exchange(exchange) => exchange.options.durable,
        }
    }

    /// Which of the two it is.
    pub fn kind(&self) -> DestinationKind {
        match self {
            Self::Queue(_) => DestinationKind::Queue,
            Self::Exchange(_) => DestinationKind::Exchange,
        }
    }
}

impl Target for Destination {
    fn stable_name(&self) -> Vec<u8> {
        let kind = match self {
            Self::Queue(_) => b'q',
            Self::Exchange(_) => b'e',
        };
        std::iter::once(kind).chain(self.name().as_str().bytes()).collect()
    }
}

impl PartialEq for Destination {
    fn eq(&self, other: &Self) -> bool {
        self.id() == other.id()
    }
}

impl Eq for Destination {}

impl Hash for Destination {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.id().hash(state);
    }
}
