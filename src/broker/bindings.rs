//! Operations on bindings (§1.7.2.3, §1.7.2.5; RabbitMQ's exchange.bind and unbind).

use std::sync::Arc;

use lepus_protocol::FieldTable;

use super::exchange::{Destination, Exchange};
use super::exchanges::refuse_default;
use super::route::{Passage, Routes};
use super::session::Session;
use crate::auth::Access;
use crate::clock::Timestamp;
use crate::exception::ChannelException;
use crate::exchange::{Binding, ExchangeType};
use crate::message::Message;
use crate::name::Name;
use crate::queue::arguments::ARGUMENTS_MAX;

/// Where a binding is to lead.
#[derive(Clone, Debug)]
pub enum BindTo {
    /// To the queue of this name.
    Queue(Name),
    /// To the exchange of this name.
    Exchange(Name),
}

/// A binding to make or to remove.
#[derive(Clone, Debug)]
pub struct Bind {
    /// The exchange it leads from.
    pub source: Name,
    /// Where it leads.
    pub destination: BindTo,
    /// Its key.
    pub key: Box<[u8]>,
    /// Its arguments.
    pub arguments: FieldTable,
}

impl Session {
    /// Makes a binding; one that exists is left as it is. Messages that the exchange remembers are passed on.
    ///
    /// # Errors
    /// 403 for the default exchange or no permission, 404 if either end is missing, 405 if the queue is another
    /// connection's, 406 if the exchange does not accept the arguments.
    pub fn bind(&self, bind: Bind, now: Timestamp) -> Result<(), ChannelException> {
        self.check_bind(&bind)?;
        let mut topology = self.vhost.topology();
        let (source, destination) = self.ends(&bind)?;
        check_destination(&source, &destination)?;
        let is_durable = source.options.durable && destination.is_durable();
        self.check_disk(is_durable, format_args!("bind to {}", self.exchange_text(&source.name)))?;
        let binding = Binding { key: bind.key, arguments: bind.arguments, destination: destination.clone() };
        let missed = self.vhost.add_binding(&mut topology, &source, binding);
        let missed = missed.map_err(ChannelException::precondition_failed)?;
        self.answer_after(&topology);
        drop(topology);
        for message in missed {
            self.pass_on(&destination, &message, now);
        }
        Ok(())
    }

    /// Gives a message to what has just been bound.
    fn pass_on(&self, destination: &Destination, message: &Message, now: Timestamp) {
        let mut routes = Routes::new();
        let passage = match destination {
            Destination::Queue(queue) => {
                routes.push(Arc::clone(queue));
                Passage::default()
            }
            Destination::Exchange(exchange) => self.route(exchange, message, &[], now, &mut routes),
        };
        self.enqueue(&mut routes, passage, message, now);
    }

    /// Removes a binding. RabbitMQ: neither it nor its ends need exist.
    ///
    /// # Errors
    /// 403 for the default exchange or no permission, 405 if the queue is another connection's.
    pub fn unbind(&self, bind: Bind) -> Result<(), ChannelException> {
        self.check_bind(&bind)?;
        let mut topology = self.vhost.topology();
        let Ok((source, destination)) = self.ends(&bind) else {
            return self.check_destination_owner(&bind);
        };
        let binding = Binding { key: bind.key, arguments: bind.arguments, destination };
        self.vhost.remove_binding(&mut topology, &source, &binding);
        self.answer_after(&topology);
        Ok(())
    }

    fn check_bind(&self, bind: &Bind) -> Result<(), ChannelException> {
        refuse_default(&bind.source)?;
        match &bind.destination {
            BindTo::Queue(queue) => self.check_queue(Access::Write, queue)?,
            BindTo::Exchange(exchange) => {
                refuse_default(exchange)?;
                self.check_exchange(Access::Write, exchange)?;
            }
        }
        self.check_exchange(Access::Read, &bind.source)?;
        if let Some(topics) = self.topic_grant(&bind.source)
            && let Some(exchange) = self.vhost.exchange(bind.source.as_str())
        {
            self.check_topic(&topics, Access::Read, &exchange, &bind.key)?;
        }
        if bind.arguments.len() > ARGUMENTS_MAX {
            return Err(ChannelException::precondition_failed(format_args!(
                "{} binding arguments, at most {ARGUMENTS_MAX} are accepted",
                bind.arguments.len()
            )));
        }
        Ok(())
    }

    fn ends(&self, bind: &Bind) -> Result<(Arc<Exchange>, Destination), ChannelException> {
        let source = self.existing_exchange(&bind.source)?;
        let destination = match &bind.destination {
            BindTo::Queue(name) => Destination::Queue(self.existing_queue(name)?),
            BindTo::Exchange(name) => Destination::Exchange(self.existing_exchange(name)?),
        };
        Ok((source, destination))
    }

    fn check_destination_owner(&self, bind: &Bind) -> Result<(), ChannelException> {
        let BindTo::Queue(name) = &bind.destination else { return Ok(()) };
        self.vhost.queue(name.as_str()).map_or(Ok(()), |queue| self.check_owner(&queue))
    }
}

/// RabbitMQ: `x-local-random` chooses among classic queues only.
fn check_destination(source: &Exchange, destination: &Destination) -> Result<(), ChannelException> {
    if source.routes_as() != ExchangeType::LocalRandom {
        return Ok(());
    }
    match destination {
        Destination::Queue(queue) if queue.options.arguments.is_quorum() => {
            Err(ChannelException::precondition_failed(
                "Queue type rabbit_quorum_queue not valid for this exchange type",
            ))
        }
        Destination::Queue(_) => Ok(()),
        Destination::Exchange(_) => Err(ChannelException::precondition_failed("Destination not found")),
    }
}
