//! Publishing (§1.8.3.7): the exchange checked, the message routed, each queue given it.

use std::sync::Arc;

use super::exchange::Exchange;
use super::journal::Record;
use super::route::{Routes, route};
use super::session::Session;
use crate::auth::Access;
use crate::clock::Timestamp;
use crate::exception::ChannelException;
use crate::message::Message;
use crate::name::Name;
use crate::queue::{Enqueued, Placement};

impl Session {
    /// The exchange that a publisher names, if it may publish there.
    ///
    /// # Errors
    /// 403 without permission or if it is internal, 404 if there is none.
    pub fn exchange_to_publish(&self, name: &Name) -> Result<Arc<Exchange>, ChannelException> {
        self.check_exchange(Access::Write, name)?;
        let exchange = self.existing_exchange(name)?;
        if exchange.options.internal {
            return Err(ChannelException::access_refused(format_args!(
                "cannot publish to internal {}",
                self.exchange_text(name)
            )));
        }
        Ok(exchange)
    }

    /// Adds to `routes` the queues for a message with its own routing key and `extra_keys`.
    pub fn route(&self, exchange: &Exchange, message: &Message, extra_keys: &[Vec<u8>], routes: &mut Routes) {
        route(&self.vhost, exchange, message, extra_keys, routes);
    }

    /// Gives the message to each queue; what is to be kept goes to the log once. RabbitMQ: refused if any queue
    /// refuses, though others keep their copy.
    pub fn enqueue(&self, routes: &mut Routes, message: &Message, now: Timestamp) -> Accepted {
        let (refused, placements) = give(routes, message, now);
        if !placements.is_empty() {
            self.vhost.journal().record(Record::Publish(placements, message.clone()));
        }
        Accepted(!refused)
    }
}

/// Whether all queues took a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accepted(pub bool);

/// Gives the message to each queue. Returns whether one refused, and the places that are to be logged.
pub(super) fn give(routes: &mut Routes, message: &Message, now: Timestamp) -> (bool, Vec<Placement>) {
    let mut refused = false;
    let mut placements = Vec::new();
    for queue in routes.drain(..) {
        match queue.publish(message.clone(), now) {
            Enqueued::Accepted(placement) => placements.extend(placement),
            Enqueued::Refused => refused = true,
        }
    }
    (refused, placements)
}
