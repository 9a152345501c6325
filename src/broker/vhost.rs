//! A virtual host (§1.4.2.7): its exchanges, queues and bindings.
//!
//! Look-ups go to concurrent maps. Every change of the topology is made under one lock, so that a binding never
//! refers to what has gone, and cascades (a queue's bindings, then its auto-delete exchanges) happen as one step.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use ahash::RandomState;
use dashmap::DashMap;
use lepus_protocol::FieldTable;
use parking_lot::{Mutex, MutexGuard, RwLock};

use super::churn::Counters;
use super::exchange::{Destination, Exchange, ExchangeOptions};
use super::foundation::{Foundation, LeaseDefault};
use super::journal::{Durability, Journal, Record};
use super::policies::PolicySet;
use super::surroundings::Surroundings;
use crate::clock::Timestamp;
use crate::exchange::{BindError, Binding, ExchangeType, MemoryBudget};
use crate::id::{ConnectionId, EntityId};
use crate::message::Message;
use crate::metadata::{BindingDefinition, Change, Definitions, Position, QueueDefinition, VhostDefinition};
use crate::name::Name;
use crate::queue::{Counts, Deleted, Home, Lane, Queue, QueueOptions, Seq};

/// Exchanges that every virtual host has (§3.1.3, and RabbitMQ's).
const PREDECLARED: &[(&str, ExchangeType)] = &[
    ("", ExchangeType::Direct),
    ("amq.direct", ExchangeType::Direct),
    ("amq.fanout", ExchangeType::Fanout),
    ("amq.topic", ExchangeType::Topic),
    ("amq.headers", ExchangeType::Headers),
    ("amq.match", ExchangeType::Headers),
    (TRACE_EXCHANGE, ExchangeType::Topic),
];

/// RabbitMQ's exchange for the firehose: internal.
pub(super) const TRACE_EXCHANGE: &str = "amq.rabbitmq.trace";

/// Queues, and exchanges, of a virtual host: each takes some KiB, so that a client that declares without end is stopped
/// before the memory is.
pub const ENTITIES_MAX: usize = 1 << 20;

/// A virtual host.
pub struct Vhost {
    /// Its name.
    pub name: Name,
    pub(super) exchanges: DashMap<Name, Arc<Exchange>, RandomState>,
    pub(super) queues: DashMap<Name, Arc<Queue>, RandomState>,
    topology: Mutex<Topology>,
    pub(super) churn: Counters,
    /// Where durable definitions are kept; `None`: nowhere.
    definitions: Option<Arc<Definitions>>,
    journal: Arc<Journal>,
    /// What confirms promise where the definition says nothing.
    pub(super) server_durability: Durability,
    ids: Arc<AtomicU64>,
    pub(super) memories: Arc<MemoryBudget>,
    pub(super) lease: Arc<LeaseDefault>,
    /// Whether the firehose is on.
    pub(super) tracing: AtomicBool,
    pub(super) policies: PolicySet,
    pub(super) host: Arc<Surroundings>,
    pub(super) definition: RwLock<VhostDefinition>,
}

/// What is needed to take things away again. Its lock is the right to change the maps and routers.
#[derive(Debug, Default)]
pub(super) struct Topology {
    /// For each destination the exchanges that may have bindings to it.
    sources: HashMap<EntityId, HashMap<EntityId, Arc<Exchange>>>,
    /// Exclusive queues by the connection they go with.
    exclusive: HashMap<ConnectionId, HashMap<EntityId, Arc<Queue>>>,
    /// The last change to what is durable.
    last_change: Position,
    /// The virtual host has been deleted: nothing about it is recorded any more.
    pub(super) is_closed: bool,
}

impl Vhost {
    /// A virtual host with the exchanges that every one has.
    pub(super) fn new(name: Name, definition: VhostDefinition, foundation: Foundation) -> Arc<Self> {
        let Foundation { timers, alarms, definitions, journal, durability, pager, ids, memories, lease } =
            foundation;
        let journal = journal.branch(durability);
        let vhost = Arc::new_cyclic(|vhost| Self {
            name,
            exchanges: DashMap::default(),
            queues: DashMap::default(),
            topology: Mutex::default(),
            churn: Counters::default(),
            definitions,
            journal: Arc::clone(&journal),
            server_durability: durability,
            ids,
            memories,
            lease,
            tracing: AtomicBool::new(false),
            policies: PolicySet::default(),
            host: Arc::new(Surroundings { vhost: Weak::clone(vhost), timers, alarms, journal, pager }),
            definition: RwLock::new(definition),
        });
        vhost.promise(vhost.definition().durability);
        if let Some(pager) = &vhost.host.pager {
            pager.add_vhost(Arc::downgrade(&vhost));
        }
        for (name, kind) in PREDECLARED {
            vhost.insert_exchange(Name::from(*name), predeclared(*kind, name), None);
        }
        vhost
    }

    /// The right to change the topology. Taken before any queue's lock, never after.
    pub(super) fn topology(&self) -> MutexGuard<'_, Topology> {
        self.topology.lock()
    }

    /// The queue of this name.
    pub fn queue(&self, name: &str) -> Option<Arc<Queue>> {
        self.queues.get(name).map(|queue| Arc::clone(&queue))
    }

    /// The exchange of this name.
    pub fn exchange(&self, name: &str) -> Option<Arc<Exchange>> {
        self.exchanges.get(name).map(|exchange| Arc::clone(&exchange))
    }

    /// All queues, in no particular order.
    pub fn queues(&self) -> Vec<Arc<Queue>> {
        self.queues.iter().map(|queue| Arc::clone(&queue)).collect()
    }

    /// All exchanges, in no particular order.
    pub fn exchanges(&self) -> Vec<Arc<Exchange>> {
        self.exchanges.iter().map(|exchange| Arc::clone(&exchange)).collect()
    }

    /// Number of exchanges.
    pub fn exchange_count(&self) -> usize {
        self.exchanges.len()
    }

    /// The exchanges that may have bindings to this queue or exchange.
    pub fn sources_of(&self, destination: EntityId) -> Vec<Arc<Exchange>> {
        let topology = self.topology.lock();
        let sources = topology.sources.get(&destination);
        sources.into_iter().flat_map(HashMap::values).map(Arc::clone).collect()
    }

    /// The way to the log.
    pub(super) fn journal(&self) -> &Arc<Journal> {
        &self.journal
    }

    /// Whether publishers are to wait: more comes than can be written.
    pub(super) fn is_congested(&self) -> bool {
        self.journal.is_tight() || self.host.pager.as_ref().is_some_and(|pager| pager.is_behind())
    }

    /// Reads one message that its queue has let leave the memory; `None`, and said, if it cannot be read.
    pub(super) fn fetch(&self, queue: &Queue, level: Lane, seq: Seq, home: Home) -> Option<Message> {
        let fetched = self.host.pager.as_ref()?.fetch(queue.id, level, seq, home);
        fetched.unwrap_or_else(|error| {
            tracing::error!(
                queue = %queue.name,
                seq = seq.get(),
                %error,
                "a message cannot be read and does not go on; check the disk, then run `lepus store check`"
            );
            None
        })
    }

    /// The definitions, if they are kept.
    pub(super) fn definitions(&self) -> Option<&Arc<Definitions>> {
        self.definitions.as_ref()
    }

    /// Whether there may be no more queues or exchanges.
    pub(super) fn is_full(&self) -> bool {
        self.queues.len() >= ENTITIES_MAX || self.exchanges.len() >= ENTITIES_MAX
    }

    /// Number of queues.
    pub fn queue_count(&self) -> usize {
        self.queues.len()
    }

    /// Adds a queue; the caller has seen that there is none of this name.
    pub(super) fn add_queue(
        &self,
        topology: &mut Topology,
        name: Name,
        options: QueueOptions,
        now: Timestamp,
    ) -> Arc<Queue> {
        Counters::count(&self.churn.created);
        let id = self.next_id();
        let queue = self.make_queue(id, name, options, now);
        if self.record_queue(topology, &queue) {
            queue.definition.set(topology.last_change);
        }
        if let Some(owner) = queue.options.exclusive_to {
            topology.exclusive.entry(owner).or_default().insert(queue.id, Arc::clone(&queue));
        }
        self.queues.insert(queue.name.clone(), Arc::clone(&queue));
        queue
    }

    /// Records a queue as it is. Returns whether it is one that is kept.
    pub(super) fn record_queue(&self, topology: &mut Topology, queue: &Queue) -> bool {
        if queue.options.durable {
            let definition = QueueDefinition {
                id: queue.id,
                auto_delete: queue.options.auto_delete,
                arguments: queue.options.arguments.raw().clone(),
                paused: queue.is_paused(),
            };
            self.record(topology, Change::PutQueue(self.name.clone(), queue.name.clone(), definition));
        }
        queue.options.durable
    }

    /// Puts a queue back that is recorded.
    pub(super) fn restore_queue(
        &self,
        id: EntityId,
        name: Name,
        options: QueueOptions,
        now: Timestamp,
    ) -> Arc<Queue> {
        let queue = self.make_queue(id, name, options, now);
        self.queues.insert(queue.name.clone(), Arc::clone(&queue));
        queue
    }

    fn make_queue(&self, id: EntityId, name: Name, options: QueueOptions, now: Timestamp) -> Arc<Queue> {
        let host = Arc::<Surroundings>::clone(&self.host);
        let settings = self.queue_settings(&name, &options.arguments);
        let queue = Queue::new(id, name, options, host, now);
        queue.reconfigure(settings, now);
        queue
    }

    /// Adds a binding; one that exists is left as it is. Returns the messages that a new one is to get at once.
    pub(super) fn add_binding(
        &self,
        topology: &mut Topology,
        source: &Arc<Exchange>,
        binding: Binding<Destination>,
    ) -> Result<Vec<Message>, BindError> {
        let definition = self.binding_definition(source, &binding);
        topology.remember_source(&binding.destination, source);
        let history = source.history.as_ref().map(Mutex::lock);
        let is_new = source.rewire(|router| router.bind(binding))?;
        if !is_new {
            return Ok(Vec::new());
        }
        if let Some(definition) = definition {
            self.record(topology, Change::PutBinding(self.name.clone(), definition));
        }
        Ok(history.map(|history| history.messages()).unwrap_or_default())
    }

    /// Puts a binding back that is recorded.
    pub(super) fn restore_binding(
        &self,
        source: &Arc<Exchange>,
        binding: Binding<Destination>,
    ) -> Result<(), BindError> {
        self.topology().remember_source(&binding.destination, source);
        source.rewire(|router| router.bind(binding)).map(drop)
    }

    /// Removes a binding, if there is one; an exchange that lives for its bindings may go with it.
    pub(super) fn remove_binding(
        &self,
        topology: &mut Topology,
        source: &Arc<Exchange>,
        binding: &Binding<Destination>,
    ) {
        let Binding { key, arguments, destination } = binding;
        let removed = source.rewire(|router| router.unbind(key, arguments, destination));
        if !removed {
            return;
        }
        if let Some(definition) = self.binding_definition(source, binding) {
            self.record(topology, Change::DeleteBinding(self.name.clone(), definition));
        }
        self.delete_exchange_if_unused(topology, source);
    }

    /// What is kept of a binding: nothing unless both ends are durable.
    fn binding_definition(
        &self,
        source: &Exchange,
        binding: &Binding<Destination>,
    ) -> Option<BindingDefinition> {
        self.definitions.as_ref()?;
        let destination = &binding.destination;
        (source.options.durable && destination.is_durable()).then(|| BindingDefinition {
            source: source.name.clone(),
            kind: destination.kind(),
            destination: destination.name().clone(),
            key: binding.key.to_vec(),
            arguments: binding.arguments.clone(),
        })
    }

    /// Records a change to what is durable.
    pub(super) fn record(&self, topology: &mut Topology, change: Change) {
        if let Some(definitions) = &self.definitions
            && !topology.is_closed
        {
            topology.last_change = definitions.record(change);
        }
    }

    /// Deletes a queue with its bindings.
    ///
    /// # Errors
    /// What `may_delete` says of the queue's counts; nothing has happened then.
    pub(super) fn delete_queue<E>(
        &self,
        topology: &mut Topology,
        queue: &Arc<Queue>,
        now: Timestamp,
        may_delete: impl FnOnce(Counts) -> Result<(), E>,
    ) -> Result<Deleted, E> {
        let deleted = queue.delete(now, may_delete)?;
        Counters::count(&self.churn.deleted);
        let report = queue.report();
        self.churn.held.fold(&report.held);
        self.churn.waited.fold(&report.waited);
        self.queues.remove_if(&queue.name, |_, current| current.id == queue.id);
        topology.forget_exclusive(queue);
        let unused = self.unbind_everywhere(topology, &Destination::Queue(Arc::clone(queue)));
        self.delete_exchanges(topology, unused);
        if let Some(pager) = &self.host.pager {
            pager.forget_queue(queue.id, &deleted.lanes);
        }
        if queue.options.durable {
            let change = Change::DeleteQueue(self.name.clone(), queue.name.clone());
            self.record_deletion(topology, change, queue.id, deleted.lanes.clone());
        }
        Ok(deleted)
    }

    /// The log hears of it once the definition is gone from the disk. The other way round a crash in between would
    /// bring the queue back under an identity whose messages the log ignores. Messages of an unknown queue it drops.
    fn record_deletion(&self, topology: &mut Topology, change: Change, id: EntityId, lanes: Vec<Lane>) {
        let Some(definitions) = &self.definitions else { return };
        let journal = Arc::clone(&self.journal);
        if topology.is_closed {
            // All that was in the virtual host is gone from the disk already.
            return journal.record(Record::QueueDeleted(id, lanes));
        }
        topology.last_change =
            definitions.record_then(change, move || journal.record(Record::QueueDeleted(id, lanes)));
    }

    /// Deletes an exchange with the bindings from it and to it.
    pub(super) fn delete_exchange(&self, topology: &mut Topology, exchange: &Arc<Exchange>) {
        self.delete_exchanges(topology, vec![Arc::clone(exchange)]);
    }

    /// Deletes exchanges and those that go because of it. A list, not a recursion: chains may be long.
    pub(super) fn delete_exchanges(&self, topology: &mut Topology, mut going: Vec<Arc<Exchange>>) {
        while let Some(exchange) = going.pop() {
            let known = self.exchanges.remove_if(&exchange.name, |_, current| current.id == exchange.id);
            if known.is_none() {
                continue;
            }
            self.remove_bindings_from(topology, &exchange);
            going.extend(self.unbind_everywhere(topology, &Destination::Exchange(Arc::clone(&exchange))));
            let change = Change::DeleteExchange(self.name.clone(), exchange.name.clone());
            match exchange.memory {
                Some(memory) => self.record_deletion(topology, change, memory, vec![Lane::SEEN]),
                None if exchange.options.durable => self.record(topology, change),
                None => {}
            }
        }
    }

    fn remove_bindings_from(&self, topology: &mut Topology, exchange: &Arc<Exchange>) {
        let router = exchange.rewire(|router| std::mem::replace(router, exchange.empty_router()));
        exchange.end();
        for binding in router.bindings() {
            topology.forget_source(&binding.destination, exchange);
            if let Some(definition) = self.binding_definition(exchange, binding) {
                self.record(topology, Change::DeleteBinding(self.name.clone(), definition));
            }
        }
    }

    /// Removes all bindings to what has gone. Returns the exchanges that have lived for them.
    fn unbind_everywhere(&self, topology: &mut Topology, destination: &Destination) -> Vec<Arc<Exchange>> {
        let Some(sources) = topology.sources.remove(&destination.id()) else { return Vec::new() };
        let mut sources: Vec<_> = sources.into_values().collect();
        sources.sort_unstable_by_key(|source| source.id);
        sources.retain(|source| self.unbind(topology, source, destination) && source.is_unused());
        sources
    }

    /// Removes all bindings from `source` to `destination`. Returns whether there were any.
    fn unbind(&self, topology: &mut Topology, source: &Exchange, destination: &Destination) -> bool {
        source.rewire(|router| {
            for binding in router.bindings_to(destination) {
                if let Some(definition) = self.binding_definition(source, binding) {
                    self.record(topology, Change::DeleteBinding(self.name.clone(), definition));
                }
            }
            router.remove_destination(destination) > 0
        })
    }

    /// §1.6.2.1 auto-delete: the exchange goes when the last binding from it has gone.
    pub(super) fn delete_exchange_if_unused(&self, topology: &mut Topology, exchange: &Arc<Exchange>) {
        if exchange.is_unused() {
            self.delete_exchange(topology, exchange);
        }
    }

    /// Deletes the exclusive queues of a connection that ends.
    pub(super) fn delete_exclusive_queues(&self, owner: ConnectionId, now: Timestamp) {
        let mut topology = self.topology();
        let Some(queues) = topology.exclusive.remove(&owner) else { return };
        let mut queues: Vec<_> = queues.into_values().collect();
        queues.sort_unstable_by_key(|queue| queue.id);
        for queue in queues {
            let _told_at_once = self.delete_queue(&mut topology, &queue, now, |_| Ok::<_, ()>(()));
        }
    }

    pub(super) fn next_id(&self) -> EntityId {
        EntityId::new(self.ids.fetch_add(1, Ordering::Relaxed))
    }
}

fn predeclared(kind: ExchangeType, name: &str) -> ExchangeOptions {
    ExchangeOptions {
        kind,
        durable: true,
        auto_delete: false,
        internal: name == TRACE_EXCHANGE,
        arguments: FieldTable::new(),
    }
}

impl Topology {
    /// The last change to what is durable: once it is on disk, everything before it is.
    pub(super) fn last_change(&self) -> Position {
        self.last_change
    }

    /// There may be a binding from `source` to `destination`.
    fn remember_source(&mut self, destination: &Destination, source: &Arc<Exchange>) {
        let sources = self.sources.entry(destination.id()).or_default();
        sources.entry(source.id).or_insert_with(|| Arc::clone(source));
    }

    fn forget_source(&mut self, destination: &Destination, source: &Arc<Exchange>) {
        if let Some(sources) = self.sources.get_mut(&destination.id()) {
            sources.remove(&source.id);
            if sources.is_empty() {
                self.sources.remove(&destination.id());
            }
        }
    }

    fn forget_exclusive(&mut self, queue: &Queue) {
        let Some(owner) = queue.options.exclusive_to else { return };
        if let Some(queues) = self.exclusive.get_mut(&owner) {
            queues.remove(&queue.id);
            if queues.is_empty() {
                self.exclusive.remove(&owner);
            }
        }
    }
}

impl fmt::Debug for Vhost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vhost").field("name", &self.name).finish_non_exhaustive()
    }
}
