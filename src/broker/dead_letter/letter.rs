//! A dead letter: what a message says of its deaths when it goes on (RabbitMQ: `x-death`, `x-first-death-*`,
//! `x-last-death-*`), and which queues get it.

use std::sync::Arc;

use lepus_protocol::{FieldTable, FieldValue, Properties};

use crate::broker::journal::Record;
use crate::broker::publish::{Given, give};
use crate::broker::route::{Passage, Routes, route};
use crate::broker::vhost::Vhost;
use crate::clock::Timestamp;
use crate::id::EntityId;
use crate::message::{Envelope, Message};
use crate::name::Name;
use crate::queue::arguments::DeadLetterTarget;
use crate::queue::{DropReason, Queue};

/// Deaths that a message remembers; one for each queue and reason. Who has died as often in different ways goes no
/// further, unless a consumer rejects it: that a cycle is one is known only from what is remembered.
const DEATHS_MAX: usize = 128;

/// A message on its way from the queue where it died.
pub(super) struct Letter {
    pub(super) vhost: Arc<Vhost>,
    pub(super) from: Name,
    pub(super) target: DeadLetterTarget,
    pub(super) message: Message,
    pub(super) reason: DropReason,
    pub(super) now: Timestamp,
}

/// What became of a letter.
#[derive(Default)]
pub(super) struct Delivery {
    /// A queue keeps it whose definition is not on disk.
    pub(super) is_undefined: bool,
    /// Every queue that it is for has it, and there is one.
    pub(super) has_arrived: bool,
}

impl Letter {
    /// Gives it to the queues that it is for; not to those that it has `reached` before, to which others are added.
    pub(super) fn deliver(self, reached: Option<&mut Vec<EntityId>>) -> Delivery {
        let Some(exchange) = self.vhost.exchange(self.target.exchange.as_str()) else {
            tracing::debug!(queue = %self.from, exchange = %self.target.exchange, "no dead-letter exchange");
            return Delivery::default();
        };
        let message = &self.message;
        let Ok(properties) = Properties::parse(message.properties()) else { return Delivery::default() };
        let mut headers = properties.headers.and_then(|raw| FieldTable::parse(raw).ok()).unwrap_or_default();
        if self.is_worn_out(&headers) {
            tracing::debug!(queue = %self.from, deaths = DEATHS_MAX, "a message has died too often");
            return Delivery::default();
        }
        let keys = routing_keys(message, &headers);
        self.record_death(&mut headers, &properties, &keys);
        let deaths = deaths(&headers);
        let keys = match &self.target.routing_key {
            Some(key) => {
                headers.remove("CC");
                vec![key.clone()]
            }
            None => keys,
        };
        let letter = self.letter(properties, &headers, keys.first().map(Vec::as_slice).unwrap_or_default());
        let mut routes = Routes::new();
        let extra_keys = keys.get(1..).unwrap_or_default();
        let passage = route(&self.vhost, &exchange, &letter, extra_keys, self.now, &mut routes);
        routes.retain(|queue| !self.is_cycle(&queue.name, &deaths));
        self.give(&mut routes, letter, passage, reached)
    }

    /// Gives it to these queues. If an exchange on its `passage` has seen its like, it goes nowhere and is done with.
    fn give(
        &self,
        routes: &mut Routes,
        letter: Message,
        passage: Passage,
        reached: Option<&mut Vec<EntityId>>,
    ) -> Delivery {
        let mut nobody = Vec::new();
        let keeps = reached.is_some();
        let reached = reached.unwrap_or(&mut nobody);
        let is_routed = passage.is_duplicate() || !routes.is_empty() || !reached.is_empty();
        let is_undefined = |queue: &Arc<Queue>| self.vhost.undefined(queue).is_some();
        let mut waits =
            keeps && routes.iter().any(|queue| reached.contains(&queue.id) && is_undefined(queue));
        routes.retain(|queue| !reached.contains(&queue.id));
        if keeps {
            reached.extend(routes.iter().map(|queue| queue.id));
        }
        let Given { refusals, placements, awaited, .. } = give(routes, &letter, self.now);
        reached.retain(|queue| !refusals.contains(queue));
        let is_logged = !placements.is_empty();
        if is_logged {
            self.vhost.journal().record(Record::Publish(placements, letter));
        }
        if !is_routed || !refusals.is_empty() {
            passage.forget();
        } else if is_logged {
            passage.keep(self.vhost.journal());
        }
        waits |= awaited.iter().any(is_undefined);
        // What is kept stays until the definition is on disk: the log must not hear before that it has gone.
        Delivery { is_undefined: waits, has_arrived: is_routed && refusals.is_empty() && !(keeps && waits) }
    }

    /// Whether it has died in so many ways that a cycle could not be told.
    fn is_worn_out(&self, headers: &FieldTable) -> bool {
        let known = self.message.is_dead_letter();
        known && self.reason != DropReason::Rejected && deaths(headers).len() >= DEATHS_MAX
    }

    /// The message as it is published again: with its history, without its expiration.
    fn letter(&self, properties: Properties<'_>, headers: &FieldTable, routing_key: &[u8]) -> Message {
        let mut raw_headers = Vec::new();
        headers.encode(&mut raw_headers);
        let mut raw = Vec::new();
        Properties { headers: Some(&raw_headers), expiration: None, ..properties }.encode(&mut raw);
        let message = &self.message;
        let envelope = Envelope {
            exchange: self.target.exchange.as_str().as_bytes(),
            routing_key,
            properties: &raw,
            persistent: message.is_persistent(),
            priority: message.priority(),
            ttl_ms: None,
            dead_letter: true,
            delay_ms: None,
        };
        Message::new(&envelope, message.body())
    }

    /// Adds this death: counted if the message died in this queue of this before, the most recent first.
    fn record_death(&self, headers: &mut FieldTable, properties: &Properties<'_>, keys: &[Vec<u8>]) {
        let message = &self.message;
        let (queue, reason) = (self.from.as_str(), self.reason.name());
        // RabbitMQ 4: what a client says of deaths is not believed.
        let mut deaths = if message.is_dead_letter() { deaths(headers) } else { Vec::new() };
        let again = deaths
            .iter()
            .position(|death| text(death, "queue") == Some(queue) && text(death, "reason") == Some(reason));
        let death = match again.map(|at| deaths.remove(at)) {
            Some(mut death) => {
                let count = death.get("count").and_then(FieldValue::as_integer).unwrap_or_default();
                death.insert("count", count.saturating_add(1));
                death
            }
            None => self.first_death(properties, keys),
        };
        if deaths.is_empty() && again.is_none() {
            self.name_death(headers, "first");
        }
        self.name_death(headers, "last");
        deaths.insert(0, death);
        deaths.truncate(DEATHS_MAX);
        headers.insert("x-death", FieldValue::Array(deaths.into_iter().map(FieldValue::Table).collect()));
    }

    fn first_death(&self, properties: &Properties<'_>, keys: &[Vec<u8>]) -> FieldTable {
        let exchange = FieldValue::LongString(self.message.exchange().to_vec());
        let keys = keys.iter().cloned().map(FieldValue::LongString).collect();
        let mut death = FieldTable::new();
        death.insert("count", 1_i64);
        death.insert("reason", self.reason.name());
        death.insert("queue", self.from.as_str());
        death.insert("time", FieldValue::Timestamp(self.now.as_millis() / 1000));
        death.insert("exchange", exchange);
        death.insert("routing-keys", FieldValue::Array(keys));
        if let Some(expiration) = properties.expiration {
            death.insert("original-expiration", FieldValue::LongString(expiration.as_bytes().to_vec()));
        }
        death
    }

    /// `x-first-death-*` or `x-last-death-*`.
    fn name_death(&self, headers: &mut FieldTable, which: &str) {
        let exchange = FieldValue::LongString(self.message.exchange().to_vec());
        headers.insert(&format!("x-{which}-death-reason"), self.reason.name());
        headers.insert(&format!("x-{which}-death-queue"), self.from.as_str());
        headers.insert(&format!("x-{which}-death-exchange"), exchange);
    }

    /// RabbitMQ: a message that comes back to a queue where it died goes no further, unless a consumer rejected it on
    /// the way: that is a retry, the rest would turn for ever.
    fn is_cycle(&self, to: &Name, deaths: &[FieldTable]) -> bool {
        if self.reason == DropReason::Rejected {
            return false;
        }
        let Some(before) = deaths.iter().position(|death| text(death, "queue") == Some(to.as_str())) else {
            return false;
        };
        let rejected = DropReason::Rejected.name();
        deaths.iter().take(before + 1).all(|death| text(death, "reason") != Some(rejected))
    }
}

/// The keys that a message was routed with: its own and those of CC. BCC is gone since it was published.
fn routing_keys(message: &Message, headers: &FieldTable) -> Vec<Vec<u8>> {
    let copies = headers.get("CC").and_then(FieldValue::as_array).unwrap_or_default();
    let copies = copies.iter().filter_map(FieldValue::as_str).map(|key| key.as_bytes().to_vec());
    std::iter::once(message.routing_key().to_vec()).chain(copies).collect()
}

fn deaths(headers: &FieldTable) -> Vec<FieldTable> {
    let deaths = headers.get("x-death").and_then(FieldValue::as_array).unwrap_or_default();
    deaths.iter().filter_map(FieldValue::as_table).cloned().collect()
}

fn text<'t>(table: &'t FieldTable, key: &str) -> Option<&'t str> {
    table.get(key).and_then(FieldValue::as_str)
}
