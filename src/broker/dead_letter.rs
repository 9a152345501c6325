//! Dead letters (RabbitMQ): what a queue drops goes on to the exchange that the queue names, with its history in the
//! headers `x-death`, `x-first-death-*` and `x-last-death-*`.
//!
//! A queue reports what it dropped once its lock is released, from whatever thread that was; giving the message to the
//! next queue may drop more. So each thread works off a list instead of going deeper with each hop.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::sync::Arc;

use lepus_protocol::{FieldTable, FieldValue, Properties};

use super::journal::Record;
use super::publish::{Given, give};
use super::route::{Routes, route};
use super::vhost::Vhost;
use crate::clock::Timestamp;
use crate::message::{Envelope, Message};
use crate::name::Name;
use crate::queue::arguments::DeadLetterTarget;
use crate::queue::{DropReason, Dropped, Queue, Remains};

/// Deaths that a message remembers; one for each queue and reason. Who has died as often in different ways goes no
/// further, unless a consumer rejects it: that a cycle is one is known only from what is remembered.
const DEATHS_MAX: usize = 128;

/// Letters that may follow from each message that a queue drops, on average: topologies in which every queue passes on
/// to all others make factorials of it.
const LETTERS_PER_MESSAGE_MAX: usize = 64;

/// Letters that may follow in any case.
const LETTERS_MIN: usize = 8 * 1024;

thread_local! {
    /// Letters still to be carried; `None` while this thread carries none.
    static CARRYING: RefCell<Option<VecDeque<Letter>>> = const { RefCell::new(None) };
}

/// A message on its way from the queue where it died.
struct Letter {
    vhost: Arc<Vhost>,
    from: Name,
    target: DeadLetterTarget,
    message: Message,
    reason: DropReason,
    now: Timestamp,
}

/// Carries what `queue` dropped to where the queue says. Without a target it is gone.
pub(super) fn carry(vhost: &Arc<Vhost>, queue: &Queue, dropped: Vec<Dropped>, now: Timestamp) {
    let Some(target) = queue.dead_letter_target() else { return };
    let mut budget = LETTERS_MIN + LETTERS_PER_MESSAGE_MAX * dropped.len();
    let letters = dropped.into_iter().filter_map(|Dropped { message, reason }| {
        let message = match message {
            Remains::Message(message) => message,
            Remains::Stored(level, seq, home) => vhost.fetch(queue, level, seq, home)?,
        };
        let (from, target) = (queue.name.clone(), target.clone());
        Some(Letter { vhost: Arc::clone(vhost), from, target, message, reason, now })
    });
    // Read first: reading takes time, and this thread's list is borrowed below.
    let letters: Vec<_> = letters.collect();
    let carrying = CARRYING.with_borrow_mut(|pending| match pending {
        Some(pending) => {
            pending.extend(letters);
            true
        }
        None => {
            *pending = Some(letters.into());
            false
        }
    });
    if carrying {
        return;
    }
    let _done = Done;
    while let Some(letter) = CARRYING.with_borrow_mut(|pending| pending.as_mut()?.pop_front()) {
        if budget == 0 {
            tracing::warn!(queue = %letter.from, "too many dead letters follow from one another, the rest is dropped");
            return;
        }
        budget -= 1;
        letter.deliver();
    }
}

/// Ends this thread's carrying, also when a panic does.
struct Done;

impl Drop for Done {
    fn drop(&mut self) {
        CARRYING.set(None);
    }
}

impl Letter {
    fn deliver(self) {
        let Some(exchange) = self.vhost.exchange(self.target.exchange.as_str()) else {
            tracing::debug!(queue = %self.from, exchange = %self.target.exchange, "no dead-letter exchange");
            return;
        };
        let message = &self.message;
        let Ok(properties) = Properties::parse(message.properties()) else { return };
        let mut headers = properties.headers.and_then(|raw| FieldTable::parse(raw).ok()).unwrap_or_default();
        if self.is_worn_out(&headers) {
            tracing::debug!(queue = %self.from, deaths = DEATHS_MAX, "a message has died too often");
            return;
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
        let reached = !routes.is_empty();
        let Given { refused, placements, .. } = give(&mut routes, &letter, self.now);
        if refused || !reached {
            passage.forget();
        }
        if !placements.is_empty() {
            self.vhost.journal().record(Record::Publish(placements, letter));
        }
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
