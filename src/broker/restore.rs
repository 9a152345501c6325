//! Putting durable definitions back in place at the start.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::io;
use std::sync::Arc;

use super::Broker;
use super::exchange::{Destination, ExchangeOptions};
use super::lane::of_lane;
use super::pager::stored;
use super::vhost::Vhost;
use crate::clock::Timestamp;
use crate::exchange::{Binding, ExchangeType};
use crate::fingerprint::Fingerprint;
use crate::id::EntityId;
use crate::message::Message;
use crate::metadata::{
    BindingDefinition, DestinationKind, ExchangeDefinition, PolicyKind, QueueDefinition, Recovered,
};
use crate::name::Name;
use crate::queue::limits::Limits;
use crate::queue::{Home, Lane, Queue, QueueArguments, QueueOptions, ReadAtStart, Seq};
use crate::storage::{self, RecoveredQueue, Store, StoredMessage};

/// Octets of messages that are read at once.
pub(super) const PIECE: usize = 4 * 1024 * 1024;

impl Broker {
    /// Puts everything back, or says what it does not understand: half a topology would lose messages in silence.
    pub(super) fn restore(
        &self,
        recovered: Recovered,
        messages: &StoredMessages,
        store: &Store,
    ) -> io::Result<()> {
        let counts = (recovered.exchanges.len(), recovered.queues.len(), recovered.bindings.len());
        let policies =
            [(PolicyKind::User, recovered.policies), (PolicyKind::Operator, recovered.operator_policies)];
        for (kind, policies) in policies {
            for (vhost, name, definition) in policies {
                let restored = self.known_vhost(&vhost)?.restore_policy(kind, name.clone(), definition);
                restored.map_err(|error| unknown(format_args!("policy '{name}': {error};")))?;
            }
        }
        for (vhost, name, definition) in recovered.exchanges {
            let vhost = self.known_vhost(&vhost)?;
            restore_exchange(&vhost, name, definition, (messages, store), self.clock.now())?;
        }
        for (vhost, name, definition) in recovered.queues {
            let vhost = self.known_vhost(&vhost)?;
            let queue = self.restore_queue(&vhost, name, definition, messages)?;
            messages.restore(&queue, store, self.clock.now())?;
        }
        for (vhost, definition) in recovered.bindings {
            restore_binding(&*self.known_vhost(&vhost)?, definition)?;
        }
        let (exchanges, queues, bindings) = counts;
        tracing::info!(exchanges, queues, bindings, "durable definitions restored");
        Ok(())
    }

    fn restore_queue(
        &self,
        vhost: &Vhost,
        name: Name,
        definition: QueueDefinition,
        messages: &StoredMessages,
    ) -> io::Result<Arc<Queue>> {
        let arguments = QueueArguments::accepted(definition.arguments);
        let options = QueueOptions {
            durable: true,
            auto_delete: definition.auto_delete,
            exclusive_to: None,
            arguments,
        };
        let (now, paused) = (self.clock.now(), definition.paused);
        if messages.is_deleted(definition.id) {
            // An end that came between two writes. The log would ignore every message of this identity.
            tracing::warn!(queue = %name, "a queue that the log holds as deleted gets a new identity, it is empty");
            return Ok(vhost.add_queue(&mut vhost.topology(), name, options, now));
        }
        let queue = vhost.restore_queue(definition.id, name, options, now);
        queue.set_paused(paused, now);
        Ok(queue)
    }
}

/// What the store knows of the messages of each queue.
pub(super) struct StoredMessages {
    /// The levels of each queue.
    queues: HashMap<EntityId, Vec<(Lane, RecoveredQueue)>>,
    deleted: HashSet<EntityId>,
    after_crash: bool,
}

impl StoredMessages {
    pub(super) fn new(stored: &storage::Recovered, after_crash: bool) -> Self {
        let mut queues: HashMap<_, Vec<_>> = HashMap::new();
        for known in &stored.queues {
            let (queue, level) = of_lane(known.id);
            queues.entry(queue).or_default().push((level, *known));
        }
        let deleted = stored.deleted.iter().map(|lane| of_lane(*lane).0).collect();
        Self { queues, deleted, after_crash }
    }

    /// Whether the log holds this identity as deleted: it ignores what comes under it.
    pub(super) fn is_deleted(&self, id: EntityId) -> bool {
        self.deleted.contains(&id)
    }

    /// What is known of a lane.
    pub(super) fn lane(&self, id: EntityId, lane: Lane) -> Option<&RecoveredQueue> {
        let lanes = self.queues.get(&id)?;
        lanes.iter().find(|(known, _)| *known == lane).map(|(_, known)| known)
    }

    /// Tells a queue which messages it has; they are read when they are needed.
    fn restore(&self, queue: &Arc<Queue>, store: &Store, now: Timestamp) -> io::Result<()> {
        let levels = self.queues.get(&queue.id).map(Vec::as_slice).unwrap_or_default();
        let mut last = 0;
        for (level, known) in levels {
            // A limit must know what it limits, and a queue without duplicates what it has; otherwise nobody needs to
            // read everything.
            let limits = queue.settings().limits;
            let is_surveyed = limits.bytes_max.is_some() || limits.deduplicates;
            if let Some(read) = ReadAtStart::of(*level) {
                restore_delayed(queue, *level, known, read, store)?;
                if is_surveyed && read == ReadAtStart::First {
                    survey_delayed(queue, known, &limits, store)?;
                }
                continue;
            }
            let runs = store.live(known.id, storage::Seq(0), storage::Seq(u64::MAX));
            let body_bytes = is_surveyed.then(|| survey(queue, known, &limits, store)).transpose()?;
            queue.restore(*level, &runs, body_bytes.filter(|_| limits.bytes_max.is_some()));
            last = last.max(known.next_seq.0.saturating_sub(1));
        }
        queue.restored(Seq::new(last), self.after_crash, now);
        Ok(())
    }
}

/// Tells a queue which messages it has in a lane of those that are not due. Few are read: when the first is due says
/// when the others are to be.
fn restore_delayed(
    queue: &Arc<Queue>,
    lane: Lane,
    known: &RecoveredQueue,
    read: ReadAtStart,
    store: &Store,
) -> io::Result<()> {
    let last = Seq::new(known.next_seq.0.saturating_sub(1));
    let budget = if read == ReadAtStart::All { PIECE } else { 1 };
    let (mut from, mut messages) = (known.first, Vec::new());
    while let Some(first) = from {
        let mut piece = Vec::new();
        store.read(known.id, first, budget, &mut piece).map_err(io::Error::other)?;
        from = piece.last().map(|last| last.seq.next()).filter(|_| read == ReadAtStart::All);
        messages.extend(piece.iter().map(|message| stored(message, Home::Log)));
    }
    let due = messages.first().and_then(|message| message.expires);
    let runs = store.live(known.id, storage::Seq(0), storage::Seq(u64::MAX));
    let can_hold = match (read, due) {
        (ReadAtStart::First, Some(due)) => queue.restore_delayed(lane, &runs, due, last),
        (ReadAtStart::All, _) | (ReadAtStart::First, None) => {
            queue.restore_near(lane, messages, last);
            true
        }
    };
    let wrong =
        || io::Error::other(format!("a delayed message of queue '{}' is in a wrong lane", queue.name));
    if can_hold { Ok(()) } else { Err(wrong()) }
}

/// Octets of the bodies of all messages of a level; a queue that takes no duplicates is told of each.
fn survey(queue: &Queue, known: &RecoveredQueue, limits: &Limits, store: &Store) -> io::Result<u64> {
    let mut octets = 0;
    read_all(known, store, |piece| {
        octets += piece.iter().map(body_len).sum::<u64>();
        if limits.deduplicates {
            queue.restore_present(&piece.iter().filter_map(present).collect::<Vec<_>>());
        }
    })?;
    Ok(octets)
}

/// The same for a lane of messages that are not due.
fn survey_delayed(queue: &Queue, known: &RecoveredQueue, limits: &Limits, store: &Store) -> io::Result<()> {
    read_all(known, store, |piece| {
        let octets = piece.iter().map(body_len).sum();
        let present = piece.iter().filter(|_| limits.deduplicates).filter_map(present);
        queue.restore_waiting(octets, &present.map(|(_, known)| known).collect::<Vec<_>>());
    })
}

/// Reads all messages of a lane, a piece at a time.
fn read_all(known: &RecoveredQueue, store: &Store, mut each: impl FnMut(&[StoredMessage])) -> io::Result<()> {
    let mut from = known.first;
    while let Some(first) = from {
        let mut piece = Vec::new();
        store.read(known.id, first, PIECE, &mut piece).map_err(io::Error::other)?;
        from = piece.last().map(|last| last.seq.next());
        each(&piece);
    }
    Ok(())
}

fn body_len(stored: &StoredMessage) -> u64 {
    Message::from_image(&stored.image).body().len() as u64
}

/// What tells a message apart.
fn present(stored: &StoredMessage) -> Option<(Seq, Fingerprint)> {
    let known = Fingerprint::of_properties(Message::from_image(&stored.image).properties())?;
    Some((Seq::new(stored.seq.0), known))
}

fn restore_exchange(
    vhost: &Vhost,
    name: Name,
    definition: ExchangeDefinition,
    stored: (&StoredMessages, &Store),
    now: Timestamp,
) -> io::Result<()> {
    let kind = ExchangeType::from_name(&definition.kind)
        .ok_or_else(|| unknown(format_args!("type '{}' of exchange '{name}'", definition.kind)))?;
    let options = ExchangeOptions {
        kind,
        durable: true,
        auto_delete: definition.auto_delete,
        internal: definition.internal,
        arguments: definition.arguments,
    };
    vhost.restore_exchange(name, options, definition.memory, stored, now)
}

fn restore_binding(vhost: &Vhost, definition: BindingDefinition) -> io::Result<()> {
    let BindingDefinition { source, kind, destination, key, arguments } = definition;
    let exchange = vhost.exchange(source.as_str());
    let to = match kind {
        DestinationKind::Queue => vhost.queue(destination.as_str()).map(Destination::Queue),
        DestinationKind::Exchange => vhost.exchange(destination.as_str()).map(Destination::Exchange),
    };
    let (Some(exchange), Some(to)) = (exchange, to) else {
        return Err(unknown(format_args!("an end of the binding from '{source}' to '{destination}'")));
    };
    let binding = Binding { key: key.into(), arguments, destination: to };
    vhost
        .restore_binding(&exchange, binding)
        .map_err(|error| unknown(format_args!("binding from '{source}' to '{destination}': {error}")))
}

fn unknown(what: impl fmt::Display) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("definitions: {what} is not known to this release"))
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;
    use crate::auth::LoginRules;
    use crate::broker::journal::Record;
    use crate::broker::publish::give;
    use crate::broker::{DataDir, FirstUser, MemoryLimits, Routes};
    use crate::clock::Clock;
    use crate::message::{Envelope, MessageBuilder};

    fn open(dir: &TempDir) -> (Arc<Broker>, Arc<Vhost>) {
        let data = DataDir::open(dir.path(), 0).unwrap();
        let memory = MemoryLimits { alarm: 1 << 20, messages: 1 << 20 };
        let broker =
            Broker::new(LoginRules::default(), &FirstUser::default(), Clock::start(), memory, Some(data))
                .unwrap();
        let vhost = broker.vhost("/").unwrap();
        (broker, vhost)
    }

    fn message() -> Message {
        let envelope = Envelope {
            exchange: b"",
            routing_key: b"q",
            properties: &[0, 0],
            persistent: true,
            priority: 0,
            ttl_ms: None,
            dead_letter: false,
            delay_ms: None,
        };
        MessageBuilder::new(&envelope, 0).finish()
    }

    #[tokio::test]
    async fn a_queue_that_the_log_holds_as_deleted_keeps_what_comes_later() {
        let dir = TempDir::new().unwrap();
        let options = QueueOptions {
            durable: true,
            auto_delete: false,
            exclusive_to: None,
            arguments: QueueArguments::default(),
        };
        let (broker, vhost) = open(&dir);
        let now = broker.clock.now();
        let before = vhost.add_queue(&mut vhost.topology(), Name::from("q"), options, now).id;
        vhost.journal().record(Record::QueueDeleted(before, vec![Lane::default()]));
        broker.flush().await;
        drop((broker, vhost));

        let (broker, vhost) = open(&dir);
        let queue = vhost.queue("q").unwrap();
        assert_ne!(queue.id, before);
        let mut routes = Routes::new();
        routes.push(queue);
        let given = give(&mut routes, &message(), now);
        assert_eq!(given.awaited.len(), 1, "its confirm waits for the new identity");
        vhost.journal().record(Record::Publish(given.placements, message()));
        broker.flush().await;
        drop((broker, vhost, given.awaited));

        let (_broker, vhost) = open(&dir);
        assert_eq!(vhost.queue("q").unwrap().counts().ready, 1);
    }
}
