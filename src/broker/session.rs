//! What one logged-in connection may do in its virtual host.

use std::sync::Arc;

use lepus_protocol::ReplyCode;
use parking_lot::Mutex;

use super::exchange::Exchange;
use super::get::Awaited;
use super::journal::{Journal, LogPosition};
use super::seats::{ChannelSeat, Seat};
use super::vhost::{ENTITIES_MAX, Topology, Vhost};
use crate::auth::{Access, Accounts, Resource, Rights, TopicGrant, User};
use crate::exception::{ChannelException, ConnectionException};
use crate::exchange::ExchangeType;
use crate::id::ConnectionId;
use crate::metadata::Position;
use crate::name::Name;
use crate::queue::Queue;

/// The name under which the default exchange's permissions are checked (RabbitMQ).
const DEFAULT_EXCHANGE_RESOURCE: &str = "amq.default";

/// Under which name the broker itself acts.
const OWN_USER: &str = "lepus";

/// A user in a virtual host, on behalf of a connection.
#[derive(Debug)]
pub struct Session {
    /// The virtual host.
    pub vhost: Arc<Vhost>,
    /// Who acts.
    pub user: Arc<User>,
    /// The connection: owner of exclusive queues.
    pub connection: ConnectionId,
    accounts: Arc<Accounts>,
    /// What the user may do, as it was when last asked for.
    rights: Mutex<Rights>,
    /// Whether anything is permitted: the broker itself acts.
    is_own: bool,
    /// The place among the connections of the user and the virtual host.
    seat: Option<Seat>,
    /// The last durable change that an answer of this session depends on.
    awaited: Mutex<Position>,
    /// The last place in the log that an answer of this session depends on, once it is known: a transaction may be held
    /// back from the log.
    awaited_log: Arc<Mutex<LogPosition>>,
    /// The message that is being read for it.
    pub(super) awaited_head: Mutex<Option<Awaited>>,
}

impl Session {
    /// A session of `user` in a virtual host, where the connection has a place; who works without one needs none.
    pub fn new(
        (vhost, seat): (Arc<Vhost>, Option<Seat>),
        user: Arc<User>,
        accounts: Arc<Accounts>,
        connection: ConnectionId,
    ) -> Self {
        Self {
            vhost,
            user,
            connection,
            accounts,
            rights: Mutex::default(),
            is_own: false,
            seat,
            awaited: Mutex::default(),
            awaited_log: Arc::default(),
            awaited_head: Mutex::default(),
        }
    }

    /// A session of the broker itself, for whom everything is permitted: who may import definitions may make what is in
    /// them (RabbitMQ).
    pub fn of_broker(vhost: Arc<Vhost>, accounts: Arc<Accounts>) -> Self {
        let user = Arc::new(User::named(OWN_USER));
        Self { is_own: true, ..Self::new((vhost, None), user, accounts, ConnectionId::new(0)) }
    }

    /// A place for one more channel.
    ///
    /// # Errors
    /// 530 if the user has as many as there may be (RabbitMQ's text).
    pub fn open_channel(&self) -> Result<ChannelSeat, ConnectionException> {
        let Some(seat) = &self.seat else { return Ok(ChannelSeat::default()) };
        let user = &self.user.name;
        let limit = self.accounts.user_limits(user.as_str()).max_channels;
        seat.channel(limit).map_err(|limit| {
            let text = format_args!(
                "number of channels opened for user '{user}' has reached the maximum allowed user limit of ({limit})"
            );
            ConnectionException::new(ReplyCode::NOT_ALLOWED, text)
        })
    }

    /// What the user may do now.
    fn rights(&self) -> Rights {
        let mut rights = self.rights.lock();
        if rights.generation != self.generation() {
            *rights = self.user.rights(&self.accounts, &self.vhost.name);
        }
        rights.clone()
    }

    /// What the user may do now: it moves with every change.
    pub(super) fn generation(&self) -> u64 {
        self.user.generation(&self.accounts)
    }

    /// With which keys the user may use a topic exchange, if not with all.
    pub(super) fn topic_grant(&self, exchange: &Name) -> Option<Arc<TopicGrant>> {
        self.rights().grant?.topics(exchange.as_str())
    }

    /// 403 unless the user may use the routing key at the topic exchange. RabbitMQ: other exchanges know no topics.
    pub(super) fn check_topic(
        &self,
        topics: &TopicGrant,
        access: Access,
        exchange: &Exchange,
        key: &[u8],
    ) -> Result<(), ChannelException> {
        if exchange.routes_as() != ExchangeType::Topic || topics.permits(access, key) {
            return Ok(());
        }
        Err(ChannelException::access_refused(format_args!(
            "{access} access to topic '{}' in {} refused for user '{}'",
            String::from_utf8_lossy(key),
            self.exchange_text(&exchange.name),
            self.user.name
        )))
    }

    /// 403 unless the user has any permission on the resource: enough to ask whether it is there.
    pub(super) fn check_any(&self, resource: Resource<'_>) -> Result<(), ChannelException> {
        let any =
            [Access::Write, Access::Read].into_iter().any(|access| self.check(access, resource).is_ok());
        if any { Ok(()) } else { self.check(Access::Configure, resource) }
    }

    /// Whether the user may say that a message is another's.
    pub fn is_impersonator(&self) -> bool {
        self.rights().impersonator
    }

    /// 403 unless the user may use the resource so.
    fn check(&self, access: Access, resource: Resource<'_>) -> Result<(), ChannelException> {
        let grant = self.rights().grant;
        if self.is_own || grant.is_some_and(|grant| grant.permits(access, resource.name().as_str())) {
            return Ok(());
        }
        Err(ChannelException::access_refused(format_args!(
            "{access} access to {} refused for user '{}'",
            resource.in_vhost(&self.vhost.name),
            self.user.name
        )))
    }

    /// What has just been done, or found done, may not be answered before it is on disk.
    pub(super) fn answer_after(&self, topology: &Topology) {
        self.answer_after_change(topology.last_change());
    }

    /// What is said of this queue holds only once its definition is on disk.
    pub(super) fn answer_after_definition(&self, queue: &Queue) {
        if let Some(position) = self.vhost.undefined(queue) {
            self.answer_after_change(position);
        }
    }

    pub(super) fn answer_after_change(&self, position: Position) {
        let mut awaited = self.awaited.lock();
        *awaited = position.max(*awaited);
    }

    /// The change that answers must wait for; `None` if there is none that is not on disk.
    fn undurable(&self) -> Option<Position> {
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
        let awaited = Arc::clone(&self.awaited_log);
        let (result, held) = self.journal().atomically(work, move |position| {
            let mut awaited = awaited.lock();
            *awaited = position.max(*awaited);
        });
        held.into_iter().for_each(|position| self.answer_after_change(position));
        result
    }

    /// Whether answers must wait for the disk.
    pub fn must_wait(&self) -> bool {
        self.undurable().is_some() || !self.journal().is_durable(*self.awaited_log.lock())
    }

    /// Waits until answers may go out.
    pub async fn durable(&self) {
        // Definitions first: what was held back for them is in the log then.
        if let (Some(definitions), Some(position)) = (self.vhost.definitions(), self.undurable()) {
            definitions.durable(position).await;
        }
        let logged = *self.awaited_log.lock();
        self.journal().durable(logged).await;
    }

    /// Checks a permission on a queue.
    pub(super) fn check_queue(&self, access: Access, queue: &Name) -> Result<(), ChannelException> {
        self.check(access, Resource::Queue(queue))
    }

    /// Checks a permission on an exchange.
    pub(super) fn check_exchange(&self, access: Access, exchange: &Name) -> Result<(), ChannelException> {
        if exchange.is_empty() {
            let exchange = Name::from(DEFAULT_EXCHANGE_RESOURCE);
            return self.check(access, Resource::Exchange(&exchange));
        }
        self.check(access, Resource::Exchange(exchange))
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

    /// 406 if the disk has no room for the definition: it would not be answered before there is.
    pub(super) fn check_disk(
        &self,
        is_durable: bool,
        what: std::fmt::Arguments<'_>,
    ) -> Result<(), ChannelException> {
        if is_durable && self.vhost.definitions().is_some_and(|definitions| definitions.is_full()) {
            return Err(ChannelException::precondition_failed(format_args!(
                "cannot {what}: the disk is full"
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
