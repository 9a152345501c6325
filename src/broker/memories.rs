//! What deduplicating exchanges have seen, kept over restarts: each sighting is a message of some octets in a lane of
//! the store that the exchange has to itself.
//!
//! The log hears of a message before it hears that it was seen, and a confirm waits for both: after a crash a message
//! that nobody has is not taken for a duplicate. A duplicate's confirm waits for what its like's waits for. Sightings
//! of messages that no log keeps are kept in memory only.

use std::io;

use smallvec::smallvec;

use super::exchange::{Exchange, ExchangeOptions};
use super::journal::{Journal, Record};
use super::lane::lane;
use super::message_log::expiry;
use super::restore::{PIECE, StoredMessages};
use super::route::Passage;
use super::vhost::{Topology, Vhost};
use crate::clock::Timestamp;
use crate::exchange::arguments::routing_type;
use crate::exchange::{ExchangeType, Memory};
use crate::fingerprint::Fingerprint;
use crate::id::EntityId;
use crate::message::{Envelope, Message};
use crate::metadata::{Change, ExchangeDefinition};
use crate::name::Name;
use crate::queue::{Departed, Lane, Placement, Seq};
use crate::storage::{Store, StoredMessage};

impl Passage {
    /// The message is in the log: what was seen of it goes there too.
    pub(super) fn keep(self, journal: &Journal) {
        for (exchange, fingerprint) in self.sightings {
            let (Some(seen), Some(id)) = (&exchange.seen, exchange.kept_under()) else { continue };
            let (memory, forgotten) = {
                let mut seen = seen.lock();
                (seen.keep(fingerprint), seen.take_forgotten())
            };
            if let Some(memory) = memory {
                let place = Placement {
                    queue: id,
                    level: Lane::SEEN,
                    seq: Seq::new(memory.place),
                    expires: memory.expires,
                };
                journal.record(Record::Publish(smallvec![place], message_of(&memory)));
            }
            forget(journal, id, &forgotten);
        }
    }
}

impl Vhost {
    /// Adds an exchange; the caller has seen that there is none of this name.
    pub(super) fn add_exchange(&self, topology: &mut Topology, name: Name, options: ExchangeOptions) {
        let mut memory = None;
        if options.durable {
            let may_keep = self.definitions().is_some() && deduplicates(&options);
            memory = may_keep.then(|| self.next_id());
            let definition = ExchangeDefinition {
                kind: options.kind.name().to_owned(),
                auto_delete: options.auto_delete,
                internal: options.internal,
                arguments: options.arguments.clone(),
                memory,
            };
            self.record(topology, Change::PutExchange(self.name.clone(), name.clone(), definition));
        }
        self.insert_exchange(name, options, memory);
    }

    /// Adds an exchange that is recorded, or need not be.
    pub(super) fn insert_exchange(&self, name: Name, options: ExchangeOptions, memory: Option<EntityId>) {
        let exchange = Exchange::new(self.next_id(), name.clone(), options, memory, &self.memories);
        exchange.apply(self.exchange_policy(&name));
        self.exchanges.insert(name, exchange);
    }

    /// Puts an exchange back that is recorded, with what it has seen.
    pub(super) fn restore_exchange(
        &self,
        name: Name,
        options: ExchangeOptions,
        memory: Option<EntityId>,
        (messages, store): (&StoredMessages, &Store),
        now: Timestamp,
    ) -> io::Result<()> {
        let may_keep = deduplicates(&options);
        let Some(id) = memory.filter(|id| may_keep && !messages.is_deleted(*id)) else {
            if may_keep {
                // It has none yet, or one under which the log would ignore everything.
                self.add_exchange(&mut self.topology(), name, options);
            } else {
                self.insert_exchange(name, options, None);
            }
            return Ok(());
        };
        self.insert_exchange(name.clone(), options, Some(id));
        let Some(seen) = self.exchange(name.as_str()).and_then(|exchange| exchange.seen.clone()) else {
            return Ok(());
        };
        let (kept, last) = read_memories(id, messages, store)?;
        let forgotten = seen.lock().restore(&kept, last, now);
        forget(self.journal(), id, &forgotten);
        Ok(())
    }
}

fn deduplicates(options: &ExchangeOptions) -> bool {
    routing_type(options.kind, &options.arguments) == ExchangeType::MessageDeduplication
}

/// Tells the log what is not remembered any more.
fn forget(journal: &Journal, id: EntityId, places: &[u64]) {
    let departed =
        |place: &u64| Departed { level: Lane::SEEN, first: Seq::new(*place), last: Seq::new(*place) };
    if !places.is_empty() {
        journal.record(Record::Gone(id, places.iter().map(departed).collect()));
    }
}

/// What is kept of an exchange, in order of its places, and the last place that was given.
fn read_memories(id: EntityId, messages: &StoredMessages, store: &Store) -> io::Result<(Vec<Memory>, u64)> {
    let Some(known) = messages.lane(id, Lane::SEEN) else { return Ok((Vec::new(), 0)) };
    let (mut from, mut kept) = (known.first, Vec::new());
    while let Some(first) = from {
        let mut piece = Vec::new();
        store.read(lane(id, Lane::SEEN), first, PIECE, &mut piece).map_err(io::Error::other)?;
        from = piece.last().map(|last| last.seq.next());
        kept.extend(piece.iter().filter_map(memory_of));
    }
    Ok((kept, known.next_seq.0.saturating_sub(1)))
}

fn message_of(memory: &Memory) -> Message {
    let envelope = Envelope { persistent: true, ..Envelope::default() };
    Message::new(&envelope, &memory.fingerprint.to_octets())
}

fn memory_of(stored: &StoredMessage) -> Option<Memory> {
    let octets = Message::from_image(&stored.image).body().try_into().ok()?;
    let fingerprint = Fingerprint::from_octets(octets);
    Some(Memory { place: stored.seq.0, fingerprint, expires: expiry(stored.expires_ms) })
}
