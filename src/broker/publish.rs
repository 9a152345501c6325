//! Publishing (§1.8.3.7): the exchange checked, the message routed, each queue given it.

use std::sync::Arc;

use super::exchange::Exchange;
use super::journal::{Placements, Record};
use super::known_route::{KnownRoute, Standing};
use super::route::{Passage, Routes, route};
use super::session::Session;
use super::vhost::Vhost;
use crate::auth::{Access, TopicGrant};
use crate::clock::Timestamp;
use crate::exception::ChannelException;
use crate::id::EntityId;
use crate::message::Message;
use crate::metadata::Position;
use crate::name::Name;
use crate::queue::{Enqueued, Queue};

impl Session {
    /// The exchange that a publisher names, if it may publish there. `clearance` is what was found out for the publish
    /// before.
    ///
    /// # Errors
    /// 403 without permission or if it is internal, 404 if there is none.
    pub fn exchange_to_publish(
        &self,
        name: &Name,
        clearance: &mut Clearance,
    ) -> Result<Arc<Exchange>, ChannelException> {
        if let Some(exchange) = clearance.holds(name, self.generation()) {
            return Ok(Arc::clone(exchange));
        }
        *clearance = self.clear(name)?;
        let exchange = self.existing_exchange(name)?;
        if exchange.options.internal {
            return Err(ChannelException::access_refused(format_args!(
                "cannot publish to internal {}",
                self.exchange_text(name)
            )));
        }
        clearance.exchange = Standing::of(&exchange);
        Ok(exchange)
    }

    /// 403 unless the user may publish to the exchange, also while others change what is permitted.
    fn clear(&self, exchange: &Name) -> Result<Clearance, ChannelException> {
        // Read before the check: what changes after it is seen by the next publish.
        let generation = self.generation();
        self.check_exchange(Access::Write, exchange)?;
        let topics = self.topic_grant(exchange);
        Ok(Clearance { exchange: None, generation, topics })
    }

    /// Checks the keys of a message for an exchange that `clearance` is for.
    ///
    /// # Errors
    /// 403 if it is a topic exchange where the user may not use one of them.
    pub fn check_routing_keys<'k>(
        &self,
        clearance: &Clearance,
        exchange: &Exchange,
        keys: impl IntoIterator<Item = &'k [u8]>,
    ) -> Result<(), ChannelException> {
        let Some(topics) = &clearance.topics else { return Ok(()) };
        keys.into_iter().try_for_each(|key| self.check_topic(topics, Access::Write, exchange, key))
    }

    /// Adds to `routes` the queues for a message with its own routing key and `extra_keys`.
    pub fn route(
        &self,
        exchange: &Arc<Exchange>,
        message: &Message,
        extra_keys: &[Vec<u8>],
        now: Timestamp,
        routes: &mut Routes,
    ) -> Passage {
        route(&self.vhost, exchange, message, extra_keys, now, routes)
    }

    /// As [`Self::route`]; what was found is in `known` afterwards, if it holds for the next message with that key too.
    pub fn route_and_remember(
        &self,
        exchange: &Arc<Exchange>,
        message: &Message,
        extra_keys: &[Vec<u8>],
        now: Timestamp,
        (routes, known): (&mut Routes, &mut KnownRoute),
    ) -> Passage {
        // Asked before the bindings are looked at: a change meanwhile makes what is found look old, not new.
        let standing = Standing::of(exchange);
        let passage = self.route(exchange, message, extra_keys, now, routes);
        if passage.is_plain() && extra_keys.is_empty() && !routes.is_empty() {
            known.remember(standing, message.routing_key(), routes);
        }
        passage
    }

    /// Gives messages to each of these queues; what is to be kept goes to the log once. RabbitMQ: a message is refused
    /// if any queue refuses it, though others keep their copy. Calls `each` with the answers, in order.
    pub fn enqueue_all(
        &self,
        queues: &[Arc<Queue>],
        messages: &[Message],
        now: Timestamp,
        mut each: impl FnMut(Accepted),
    ) {
        let mut all = GivenAll::default();
        for queue in queues {
            queue.publish_all(messages, now, &mut |at, enqueued| all.note(at, enqueued));
            if !all.placements.is_empty() && queue.definition.get().is_some() {
                self.answer_after_definition(queue);
            }
        }
        let placed =
            all.placements.into_iter().zip(messages).filter(|(placements, _)| !placements.is_empty());
        let records = placed.map(|(placements, message)| Record::Publish(placements, message.clone()));
        self.vhost.journal().record_all(records.chain(all.has_duplicate.then_some(Record::Barrier)));
        let mut refused = all.refused.into_iter().peekable();
        (0..messages.len()).for_each(|at| each(Accepted(refused.next_if_eq(&at).is_none())));
    }

    /// Gives the message to each queue; what is to be kept goes to the log once. RabbitMQ: refused if any queue
    /// refuses, though others keep their copy. What was seen of it on its `passage` is kept, or forgotten if it was
    /// refused.
    pub fn enqueue(
        &self,
        routes: &mut Routes,
        passage: Passage,
        message: &Message,
        now: Timestamp,
    ) -> Accepted {
        let Given { refusals, placements, awaited, has_duplicate } = give(routes, message, now);
        let is_logged = !placements.is_empty();
        if is_logged {
            self.vhost.journal().record(Record::Publish(placements, message.clone()));
        }
        if has_duplicate {
            // It is confirmed because its like is there: not before that is on disk.
            self.vhost.journal().record(Record::Barrier);
        }
        if !refusals.is_empty() {
            passage.forget();
        } else if is_logged {
            passage.keep(self.vhost.journal());
        }
        for position in awaited.iter().filter_map(|queue| self.vhost.undefined(queue)) {
            self.answer_after_change(position);
            self.vhost.journal().hold();
        }
        Accepted(refusals.is_empty())
    }
}

impl Vhost {
    /// The change by which the queue was declared, while that is not on disk.
    pub(super) fn undefined(&self, queue: &Queue) -> Option<Position> {
        let position = queue.definition.get()?;
        if self.definitions().is_some_and(|definitions| !definitions.is_durable(position)) {
            return Some(position);
        }
        queue.definition.clear();
        None
    }
}

/// That a user may publish to an exchange, as was found out last. A channel keeps it, so that a publish to the same
/// exchange as before costs a comparison.
#[derive(Debug, Default)]
pub struct Clearance {
    /// The exchange, if it was there.
    exchange: Option<Standing>,
    /// What the accounts were when it was found out.
    generation: u64,
    /// Which keys are permitted, if not all are.
    topics: Option<Arc<TopicGrant>>,
}

impl Clearance {
    /// The exchange, if all that was found out still holds.
    fn holds(&self, exchange: &Name, generation: u64) -> Option<&Arc<Exchange>> {
        let standing = self.exchange.as_ref().filter(|_| self.generation == generation)?;
        standing.holds().filter(|known| known.name == *exchange)
    }
}

/// Whether all queues took a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accepted(pub bool);

/// What became of messages at queues, by their number.
#[derive(Debug, Default)]
struct GivenAll {
    /// The places that are to be logged; empty at the end for those that have none.
    placements: Vec<Placements>,
    /// A queue has the like of one already.
    has_duplicate: bool,
    /// Messages that a queue refused, in order.
    refused: Vec<usize>,
}

impl GivenAll {
    fn note(&mut self, at: usize, enqueued: Enqueued) {
        match enqueued {
            Enqueued::Accepted(None) => {}
            Enqueued::Accepted(Some(placement)) => {
                if self.placements.len() <= at {
                    self.placements.resize_with(at + 1, Placements::new);
                }
                if let Some(placements) = self.placements.get_mut(at) {
                    placements.push(placement);
                }
            }
            Enqueued::Duplicate => self.has_duplicate = true,
            Enqueued::Refused => {
                if let Err(place) = self.refused.binary_search(&at) {
                    self.refused.insert(place, at);
                }
            }
        }
    }
}

/// What became of a message at its queues.
#[derive(Debug, Default)]
pub(super) struct Given {
    /// A queue has its like already.
    pub(super) has_duplicate: bool,
    /// Queues that refused it.
    pub(super) refusals: Vec<EntityId>,
    /// The places that are to be logged.
    pub(super) placements: Placements,
    /// Queues among them whose definition was not on disk when they were last looked at.
    pub(super) awaited: Vec<Arc<Queue>>,
}

/// Gives the message to each queue.
pub(super) fn give(routes: &mut Routes, message: &Message, now: Timestamp) -> Given {
    let mut given = Given::default();
    for queue in routes.drain(..) {
        match queue.publish(message.clone(), now) {
            Enqueued::Accepted(None) => {}
            Enqueued::Accepted(Some(placement)) => {
                given.placements.push(placement);
                if queue.definition.get().is_some() {
                    given.awaited.push(queue);
                }
            }
            Enqueued::Duplicate => given.has_duplicate = true,
            Enqueued::Refused => given.refusals.push(queue.id),
        }
    }
    given
}
