//! What one logged-in connection may do in its virtual host.

use std::sync::Arc;

use parking_lot::Mutex;

use super::exchange::Exchange;
use super::journal::{Journal, LogPosition};
use super::vhost::{ENTITIES_MAX, Topology, Vhost};
use crate::auth::{Access, Resource, User};
use crate::exception::ChannelException;
use crate::id::ConnectionId;
use crate::metadata::Position;
use crate::name::Name;
use crate::queue::Queue;

/// The name under which the default exchange's permissions are checked (RabbitMQ).
const DEFAULT_EXCHANGE_RESOURCE: &str = "amq.default";

/// A user in a virtual host, on behalf of a connection.
#[derive(Debug)]
pub struct Session {
    /// The virtual host.
    pub vhost: Arc<Vhost>,
    /// Who acts.
    pub user: Arc<User>,
    /// The connection: owner of exclusive queues.
    pub connection: ConnectionId,
    /// The last durable change that an answer of this session depends on.
    awaited: Mutex<Position>,
    /// The last place in the log that an answer of this session depends on.
    awaited_log: Mutex<LogPosition>,
}

impl Session {
    /// A session of `user` in `vhost`.
    pub fn new(vhost: Arc<Vhost>, user: Arc<User>, connection: ConnectionId) -> Self {
        Self { vhost, user, connection, awaited: Mutex::default(), awaited_log: Mutex::default() }
    }

    /// What has just been done, or found done, may not be answered before it is on disk.
    pub(super) fn answer_after(&self, topology: &Topology) {
        *self.awaited.lock() = topology.last_change();
    }

    /// The change that answers must wait for; `None` if there is none that is not on disk.
    pub fn undurable(&self) -> Option<Position> {
        let definitions = self.vhost.definitions()?;
        let awaited = *self.awaited.lock();
        (!definitions.is_durable(awaited)).then_some(awaited)
    }

    /// The way to the log.
    pub fn journal(&self) -> &Arc<Journal> {
        self.vhost.journal()
    }

    /// Whether publishers are to wait: more comes than can be written.
    pub fn is_congested(&self) -> bool {
        self.vhost.is_congested()
    }

    /// Carries out a transaction: after a crash all of it holds or none. Its answer must wait for the log.
    pub fn transact<R>(&self, work: impl FnOnce() -> R) -> R {
        let (result, position) = self.journal().atomically(work);
        if let Some(position) = position {
            *self.awaited_log.lock() = position;
        }
        result
    }

    /// Whether answers must wait for the log.
    pub fn is_unlogged(&self) -> bool {
        !self.journal().is_durable(*self.awaited_log.lock())
    }

    /// Waits until answers may go out.
    pub async fn durable(&self) {
        let logged = *self.awaited_log.lock();
        self.journal().durable(logged).await;
        if let (Some(definitions), Some(position)) = (self.vhost.definitions(), self.undurable()) {
            definitions.durable(position).await;
        }
    }

    /// Checks a permission on a queue.
    pub(super) fn check_queue(&self, access: Access, queue: &Name) -> Result<(), ChannelException> {
        self.user.check(access, &self.vhost.name, Resource::Queue(queue))
    }

    /// Checks a permission on an exchange.
    pub(super) fn check_exchange(&self, access: Access, exchange: &Name) -> Result<(), ChannelException> {
        if exchange.is_empty() {
            let exchange = Name::from(DEFAULT_EXCHANGE_RESOURCE);
            return self.user.check(access, &self.vhost.name, Resource::Exchange(&exchange));
        }
        self.user.check(access, &self.vhost.name, Resource::Exchange(exchange))
    }

    /// The queue of this name, if this connection may use it.
    ///
    /// # Errors
    /// 404 if there is none, 405 if it is exclusive to another connection.
    pub(super) fn existing_queue(&self, name: &Name) -> Result<Arc<Queue>, ChannelException> {
        let queue = self.vhost.queue(name.as_str()).ok_or_else(|| self.no_queue(name))?;
        self.check_owner(&queue)?;
        Ok(queue)
    }

    /// The exchange of this name.
    ///
    /// # Errors
    /// 404 if there is none.
    pub(super) fn existing_exchange(&self, name: &Name) -> Result<Arc<Exchange>, ChannelException> {
        self.vhost.exchange(name.as_str()).ok_or_else(|| {
            ChannelException::not_found(format_args!(
                "no {}",
                Resource::Exchange(name).in_vhost(&self.vhost.name)
            ))
        })
    }

    /// 405 if the queue is exclusive to another connection.
    pub(super) fn check_owner(&self, queue: &Queue) -> Result<(), ChannelException> {
        match queue.options.exclusive_to {
            Some(owner) if owner != self.connection => Err(self.locked(&queue.name)),
            _ => Ok(()),
        }
    }

    /// 406 if there are as many queues or exchanges as there may be.
    pub(super) fn check_room(&self, entity: &str) -> Result<(), ChannelException> {
        if self.vhost.is_full() {
            return Err(ChannelException::precondition_failed(format_args!(
                "cannot declare {entity}: the limit of {ENTITIES_MAX} is reached"
            )));
        }
        Ok(())
    }

    /// 405 (RabbitMQ's text).
    pub(super) fn locked(&self, queue: &Name) -> ChannelException {
        ChannelException::resource_locked(format_args!(
            "cannot obtain exclusive access to locked {}. It could be originally declared on another connection or \
             the exclusive property value does not match that of the original declaration.",
            self.queue_text(queue)
        ))
    }

    /// 404 for a queue.
    pub(super) fn no_queue(&self, name: &Name) -> ChannelException {
        ChannelException::not_found(format_args!("no {}", self.queue_text(name)))
    }

    /// How a queue appears in a reply text.
    pub fn queue_text(&self, name: &Name) -> String {
        Resource::Queue(name).in_vhost(&self.vhost.name)
    }

    /// How an exchange appears in a reply text.
    pub(super) fn exchange_text(&self, name: &Name) -> String {
        Resource::Exchange(name).in_vhost(&self.vhost.name)
    }

    /// 406 for a declaration that differs from what exists (RabbitMQ's text).
    pub(super) fn inequivalent(
        key: &str,
        entity: &str,
        received: impl std::fmt::Display,
        current: impl std::fmt::Display,
    ) -> ChannelException {
        ChannelException::precondition_failed(format_args!(
            "inequivalent arg '{key}' for {entity}: received {received} but current is {current}"
        ))
    }

    /// Compares flags of two declarations: name, received, current.
    pub(super) fn same_flags(entity: &str, flags: &[(&str, bool, bool)]) -> Result<(), ChannelException> {
        match flags.iter().find(|(_, received, current)| received != current) {
            None => Ok(()),
            Some((key, received, current)) => {
                let (received, current) = (format!("'{received}'"), format!("'{current}'"));
                Err(Self::inequivalent(key, entity, received, current))
            }
        }
    }
}
