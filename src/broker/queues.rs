//! Operations on queues (§1.7).

use std::sync::Arc;

use lepus_protocol::{FieldTable, FieldValue, ReplyCode};

use super::churn::Counters;
use super::session::Session;
use super::vhost::Topology;
use crate::auth::{Access, Resource};
use crate::clock::Timestamp;
use crate::exception::{ChannelException, ConnectionException, Exception};
use crate::metadata::is_reached;
use crate::name::{Name, REPLY_TO};
use crate::queue::arguments::{ARGUMENTS_MAX, QUEUE_TYPE};
use crate::queue::name_prefix::{NAME_PREFIX, NAME_PREFIX_MAX};
use crate::queue::{
    ConsumerId, Counts, Deleted, LeaseRef, Queue, QueueArguments, QueueOptions, Settlement, SubscribeError,
    Subscription,
};

/// Prefix of queue names that the broker makes up (RabbitMQ).
const GENERATED_PREFIX: &str = "amq.gen-";

/// queue.declare (§1.7.2.1).
#[derive(Clone, Debug)]
pub struct QueueDeclaration {
    /// The name; empty for one that the broker makes up.
    pub name: Name,
    /// Survives a restart.
    pub durable: bool,
    /// Belongs to this connection and goes with it.
    pub exclusive: bool,
    /// Goes when its last consumer has gone.
    pub auto_delete: bool,
    /// Arguments, unchecked.
    pub arguments: FieldTable,
}

/// Conditions of queue.delete (§1.7.2.9).
#[derive(Clone, Copy, Debug, Default)]
pub struct DeleteOnly {
    /// Not while it has consumers.
    pub if_unused: bool,
    /// Not while it has ready messages.
    pub if_empty: bool,
}

impl Session {
    /// Declares a queue, or finds that it exists as declared. Returns its name and counts.
    ///
    /// # Errors
    /// 403 for a reserved name or no permission, 405 if it is another connection's, 406 if it differs from what
    /// exists or an argument is not valid.
    pub fn declare_queue(
        &self,
        mut declaration: QueueDeclaration,
        now: Timestamp,
    ) -> Result<(Name, Counts), ChannelException> {
        if declaration.name.is_empty() {
            check_may_be_unnamed(&declaration)?;
            declaration.name = Name::generate(generated_prefix(&declaration.arguments));
        } else if declaration.name.is_reserved() {
            return Err(ChannelException::access_refused(format_args!(
                "queue name '{}' contains reserved prefix 'amq.*'",
                declaration.name
            )));
        }
        self.check_queue(Access::Configure, &declaration.name)?;
        self.choose_type(&mut declaration);
        let mut topology = self.vhost.topology();
        let queue = match self.vhost.queue(declaration.name.as_str()) {
            Some(queue) => {
                self.check_equivalence(&queue, &declaration)?;
                queue.touch(now);
                queue
            }
            None => self.create_queue(&mut topology, declaration, now)?,
        };
        self.answer_after_definition(&queue);
        Counters::count(&self.vhost.churn.declared);
        Ok((queue.name.clone(), queue.counts()))
    }

    fn create_queue(
        &self,
        topology: &mut Topology,
        declaration: QueueDeclaration,
        now: Timestamp,
    ) -> Result<Arc<Queue>, ChannelException> {
        self.check_queue_limit(&declaration.name)?;
        self.check_dead_letter_exchange(&declaration)?;
        let options = self.queue_options(&declaration)?;
        let entity = self.queue_text(&declaration.name);
        self.check_room(&entity)?;
        self.check_disk(options.durable, format_args!("declare {entity}"))?;
        tracing::debug!(queue = %declaration.name, durable = options.durable, "queue declared");
        Ok(self.vhost.add_queue(topology, declaration.name, options, now))
    }

    /// 406 if the virtual host has as many queues as it may have (RabbitMQ's text).
    fn check_queue_limit(&self, name: &Name) -> Result<(), ChannelException> {
        let limit = self.vhost.definition.read().limits.max_queues;
        match is_reached(limit, self.vhost.queue_count()) {
            None => Ok(()),
            Some(limit) => Err(ChannelException::precondition_failed(format_args!(
                "cannot declare queue '{name}': queue limit in vhost '{}' ({limit}) is reached",
                self.vhost.name
            ))),
        }
    }

    /// What a queue drops is read from it and written to the exchange. RabbitMQ checks this argument's type apart from
    /// the others, with a text of its own.
    fn check_dead_letter_exchange(&self, declaration: &QueueDeclaration) -> Result<(), ChannelException> {
        let key = "x-dead-letter-exchange";
        let Some(value) = declaration.arguments.get(key) else { return Ok(()) };
        let Some(exchange) = value.as_str() else {
            return Err(ChannelException::precondition_failed(format_args!(
                "invalid type '{}' for arg '{key}' in {}",
                value.type_name(),
                self.queue_text(&declaration.name)
            )));
        };
        self.check_queue(Access::Read, &declaration.name)?;
        self.check_exchange(Access::Write, &Name::from(exchange))
    }

    /// RabbitMQ: the virtual host's type of queue, where none is asked for and the queue can be of it.
    fn choose_type(&self, declaration: &mut QueueDeclaration) {
        let definition = self.vhost.definition.read();
        let Some(kind) = &definition.default_queue_type else { return };
        let stays = declaration.is_durable() && !declaration.auto_delete;
        if declaration.arguments.get(QUEUE_TYPE).is_none() && (stays || kind == "classic") {
            declaration.arguments.insert(QUEUE_TYPE, kind.as_str());
        }
    }

    fn queue_options(&self, declaration: &QueueDeclaration) -> Result<QueueOptions, ChannelException> {
        let entity = self.queue_text(&declaration.name);
        if declaration.arguments.len() > ARGUMENTS_MAX {
            return Err(ChannelException::precondition_failed(format_args!(
                "{} arguments for {entity}, at most {ARGUMENTS_MAX} are accepted",
                declaration.arguments.len()
            )));
        }
        let arguments = QueueArguments::parse(declaration.arguments.clone()).map_err(|invalid| {
            ChannelException::precondition_failed(format_args!(
                "invalid arg '{}' for {entity}: {}",
                invalid.key, invalid.reason
            ))
        })?;
        if let Some((key, kind)) = arguments.foreign_argument() {
            return Err(ChannelException::precondition_failed(format_args!(
                "invalid arg '{key}' for {entity} of queue type {kind}"
            )));
        }
        if arguments.is_quorum() {
            check_quorum_flags(declaration, &entity)?;
        }
        Ok(QueueOptions {
            durable: declaration.is_durable(),
            auto_delete: declaration.auto_delete,
            exclusive_to: declaration.exclusive.then_some(self.connection),
            arguments,
        })
    }

    fn check_equivalence(
        &self,
        queue: &Queue,
        declaration: &QueueDeclaration,
    ) -> Result<(), ChannelException> {
        let entity = self.queue_text(&queue.name);
        let owner = declaration.exclusive.then_some(self.connection);
        if queue.options.exclusive_to != owner {
            return Err(self.locked(&queue.name));
        }
        let flags = [
            ("durable", declaration.is_durable(), queue.options.durable),
            ("auto_delete", declaration.auto_delete, queue.options.auto_delete),
        ];
        Self::same_flags(&entity, &flags)?;
        queue.options.arguments.check_equivalence(&declaration.arguments).map_err(|mismatch| {
            Self::inequivalent(mismatch.key, &entity, mismatch.received, mismatch.current)
        })
    }

    /// Stops deliveries of a queue, or lets them go on. A durable one stays so over restarts.
    ///
    /// # Errors
    /// 403 without permission to configure it, 404 if there is none, 405 if it is another connection's, 406 if the disk
    /// is full.
    pub fn pause_queue(&self, name: &Name, is_paused: bool, now: Timestamp) -> Result<(), ChannelException> {
        self.check_queue(Access::Configure, name)?;
        let mut topology = self.vhost.topology();
        let queue = self.existing_queue(name)?;
        if queue.is_paused() != is_paused {
            let entity = self.queue_text(name);
            self.check_disk(queue.options.durable, format_args!("pause or resume {entity}"))?;
            queue.set_paused(is_paused, now);
            self.vhost.record_queue(&mut topology, &queue);
            tracing::info!(queue = %name, is_paused, "deliveries stopped or let go on by an operator");
        }
        self.answer_after(&topology);
        Ok(())
    }

    /// Looks a queue up (queue.declare with passive).
    ///
    /// # Errors
    /// 403 without any permission on it, 404 if there is none, 405 if it is another connection's.
    pub fn find_queue(&self, name: &Name, now: Timestamp) -> Result<Counts, ChannelException> {
        if name.as_str().starts_with(REPLY_TO) {
            return self.find_reply_queue(name);
        }
        self.check_any(Resource::Queue(name))?;
        let queue = self.existing_queue(name)?;
        queue.touch(now);
        self.answer_after_definition(&queue);
        Ok(queue.counts())
    }

    /// RabbitMQ: a passive declare of a reply address tells whether its consumer is still there.
    fn find_reply_queue(&self, name: &Name) -> Result<Counts, ChannelException> {
        if name.as_str() != REPLY_TO && self.vhost.queue(name.as_str()).is_none() {
            return Err(self.no_queue(name));
        }
        Ok(Counts { consumers: 1, ..Counts::default() })
    }

    /// Removes all ready messages; returns how many (§1.7.2.7). Its answer must wait for the log: what was purged does
    /// not come back.
    ///
    /// # Errors
    /// 403, 404, 405.
    pub fn purge_queue(&self, name: &Name, now: Timestamp) -> Result<u64, ChannelException> {
        self.check_queue(Access::Read, name)?;
        let queue = self.existing_queue(name)?;
        Ok(self.transact(|| queue.purge(now)))
    }

    /// Deletes a queue (§1.7.2.9). Its consumers are told when what is returned is dropped. RabbitMQ: it need not
    /// exist.
    ///
    /// # Errors
    /// 403, 405, 406 if it is in use or not empty and that was asked; 540 for such a condition on a quorum queue.
    pub fn delete_queue(
        &self,
        name: &Name,
        only: DeleteOnly,
        now: Timestamp,
    ) -> Result<Option<Deleted>, Exception> {
        self.check_queue(Access::Configure, name)?;
        let mut topology = self.vhost.topology();
        let Some(queue) = self.vhost.queue(name.as_str()) else { return Ok(None) };
        self.check_owner(&queue)?;
        let entity = self.queue_text(name);
        if queue.options.arguments.is_quorum() {
            check_quorum_delete(only, &entity)?;
        }
        let deleted = self.vhost.delete_queue(&mut topology, &queue, now, |counts| {
            if only.if_unused && counts.consumers > 0 {
                return Err(ChannelException::precondition_failed(format_args!("{entity} in use")));
            }
            if only.if_empty && counts.ready + counts.delayed > 0 {
                return Err(ChannelException::precondition_failed(format_args!("{entity} not empty")));
            }
            Ok(())
        });
        self.answer_after(&topology);
        Ok(Some(deleted?))
    }

    /// The queue that a consumer asks for.
    ///
    /// # Errors
    /// 403, 404, 405.
    pub fn queue_to_consume(&self, name: &Name) -> Result<Arc<Queue>, ChannelException> {
        self.check_queue(Access::Read, name)?;
        self.existing_queue(name)
    }

    /// Adds a consumer, which gets nothing before [`Queue::resume`].
    ///
    /// # Errors
    /// 403 if exclusive use is asked for or held.
    pub fn subscribe(
        &self,
        queue: &Arc<Queue>,
        subscription: Subscription,
        now: Timestamp,
    ) -> Result<ConsumerId, ChannelException> {
        queue.subscribe(subscription, now).map_err(|error| match error {
            SubscribeError::Exclusive => ChannelException::access_refused(format_args!(
                "{} in exclusive use",
                self.queue_text(&queue.name)
            )),
            SubscribeError::Deleted => self.no_queue(&queue.name),
        })
    }

    /// Removes a consumer; its leases stay with its channel. An auto-delete queue may go with it.
    pub fn cancel(&self, queue: &Arc<Queue>, consumer: ConsumerId, now: Timestamp) {
        self.leave(queue, &[consumer], &[], now);
    }

    /// Channels end: removes consumers and gives back what they hold, as one step. An auto-delete queue may go then.
    pub fn leave(&self, queue: &Arc<Queue>, consumers: &[ConsumerId], leases: &[LeaseRef], now: Timestamp) {
        let was_last = queue.leave(consumers, leases, now);
        if was_last && queue.options.auto_delete {
            self.vhost.delete_queue_if_unused(queue, now);
        }
    }

    /// Ends leases of one queue, all in one way.
    pub fn settle(&self, queue: &Arc<Queue>, leases: &[LeaseRef], how: Settlement, now: Timestamp) {
        queue.settle(leases, how, now);
    }

    /// The connection ends: its exclusive queues go.
    pub fn end(&self, now: Timestamp) {
        self.vhost.delete_exclusive_queues(self.connection, now);
    }

    /// Makes the queue behind a direct reply-to address (RabbitMQ): it goes with its only consumer.
    pub fn create_reply_queue(&self, name: Name, arguments: FieldTable, now: Timestamp) -> Arc<Queue> {
        let options = QueueOptions {
            durable: false,
            auto_delete: true,
            exclusive_to: Some(self.connection),
            arguments: QueueArguments::parse(arguments).unwrap_or_default(),
        };
        self.vhost.add_queue(&mut self.vhost.topology(), name, options, now)
    }
}

impl QueueDeclaration {
    /// RabbitMQ: an exclusive queue goes with its connection, whatever else was asked.
    fn is_durable(&self) -> bool {
        self.durable && !self.exclusive
    }
}

/// What is no prefix is refused with the other arguments.
fn generated_prefix(arguments: &FieldTable) -> &str {
    let prefix = arguments.get(NAME_PREFIX).and_then(FieldValue::as_str);
    prefix.filter(|prefix| prefix.len() <= NAME_PREFIX_MAX).unwrap_or(GENERATED_PREFIX)
}

/// RabbitMQ: a quorum queue has a name of its client's.
fn check_may_be_unnamed(declaration: &QueueDeclaration) -> Result<(), ChannelException> {
    match declaration.arguments.get("x-queue-type").and_then(FieldValue::as_str) {
        Some("quorum") => Err(ChannelException::precondition_failed(
            "Cannot declare a server-named queue for type rabbit_quorum_queue",
        )),
        Some(_) | None => Ok(()),
    }
}

/// RabbitMQ: a quorum queue cannot tell whether it is unused or empty at the moment of its end.
fn check_quorum_delete(only: DeleteOnly, entity: &str) -> Result<(), ConnectionException> {
    let flag = match only {
        DeleteOnly { if_unused: true, .. } => "if-unused",
        DeleteOnly { if_empty: true, .. } => "if-empty",
        DeleteOnly { .. } => return Ok(()),
    };
    let text = format_args!(
        "cannot delete {entity}. queue.delete operations with {flag} flag set are not supported by quorum queues"
    );
    Err(ConnectionException::new(ReplyCode::NOT_IMPLEMENTED, text))
}

/// RabbitMQ: a quorum queue is durable, shared, and stays.
fn check_quorum_flags(declaration: &QueueDeclaration, entity: &str) -> Result<(), ChannelException> {
    let property = if declaration.exclusive {
        "exclusive-owner"
    } else if !declaration.durable {
        "non-durable"
    } else if declaration.auto_delete {
        "auto-delete"
    } else {
        return Ok(());
    };
    Err(ChannelException::precondition_failed(format_args!("invalid property '{property}' for {entity}")))
}
