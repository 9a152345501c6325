//! Publishing (§1.8.3.7): the exchange checked, the message routed, each queue given it.

use std::sync::Arc;

use super::exchange::Exchange;
use super::journal::Record;
use super::route::{Passage, Routes, route};
use super::session::Session;
use super::vhost::Vhost;
use crate::auth::{Access, TopicGrant};
use crate::clock::Timestamp;
use crate::exception::ChannelException;
use crate::message::Message;
use crate::metadata::Position;
use crate::name::Name;
use crate::queue::{Enqueued, Placement, Queue};

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
        if !clearance.holds(name, self.generation()) {
            *clearance = self.clear(name)?;
        }
        let exchange = self.existing_exchange(name)?;
        if exchange.options.internal {
            return Err(ChannelException::access_refused(format_args!(
                "cannot publish to internal {}",
                self.exchange_text(name)
            )));
        }
        Ok(exchange)
    }

    /// 403 unless the user may publish to the exchange, also while others change what is permitted.
    fn clear(&self, exchange: &Name) -> Result<Clearance, ChannelException> {
        // Read before the check: what changes after it is seen by the next publish.
        let generation = self.generation();
        self.check_exchange(Access::Write, exchange)?;
        let topics = self.topic_grant(exchange);
        Ok(Clearance { exchange: Some(exchange.clone()), generation, topics })
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

    /// Gives the message to each queue; what is to be kept goes to the log once. RabbitMQ: refused if any queue
    /// refuses, though others keep their copy.
    pub fn enqueue(&self, routes: &mut Routes, message: &Message, now: Timestamp) -> Accepted {
        let Given { refused, placements, awaited } = give(routes, message, now);
        if !placements.is_empty() {
            self.vhost.journal().record(Record::Publish(placements, message.clone()));
        }
        for position in awaited.iter().filter_map(|queue| self.vhost.undefined(queue)) {
            self.answer_after_change(position);
            self.vhost.journal().hold();
        }
        Accepted(!refused)
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
    /// The exchange; `None`: nothing has been found out.
    exchange: Option<Name>,
    /// What the accounts were when it was found out.
    generation: u64,
    /// Which keys are permitted, if not all are.
    topics: Option<Arc<TopicGrant>>,
}

impl Clearance {
    fn holds(&self, exchange: &Name, generation: u64) -> bool {
        self.generation == generation && self.exchange.as_ref() == Some(exchange)
    }
}

/// Whether all queues took a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accepted(pub bool);

/// What became of a message at its queues.
#[derive(Debug, Default)]
pub(super) struct Given {
    /// A queue refused it.
    pub(super) refused: bool,
    /// The places that are to be logged.
    pub(super) placements: Vec<Placement>,
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
            Enqueued::Refused => given.refused = true,
        }
    }
    given
}
