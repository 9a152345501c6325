//! The broker: virtual hosts with their exchanges, queues and bindings, and the operations on them.
//!
//! [`Session`] is the façade: what one logged-in connection may do in its virtual host. Channels, and whatever else
//! works on behalf of a user, call it and nothing below it.
//!
//! ```text
//!   Session::publish
//!     -> exchange (routing key, headers -> destinations), over exchange-to-exchange bindings   route.rs
//!     -> each queue once                                                                        queue/
//! ```

mod administration;
pub mod alarm;
mod bindings;
pub mod churn;
pub mod connections;
pub mod data_dir;
mod dead_letter;
pub mod exchange;
mod exchanges;
pub mod firehose;
mod first;
mod foundation;
mod free_space;
mod get;
mod global_parameters;
pub mod journal;
mod known_route;
mod lane;
mod memories;
mod message_log;
mod pager;
pub mod policies;
mod publish;
mod queues;
mod restore;
pub mod route;
mod seats;
pub mod session;
mod spill;
mod surroundings;
pub mod timers;
mod unused;
pub mod upkeep;
pub mod vhost;
mod vhosts;
pub mod waiting;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use dashmap::DashMap;
use parking_lot::Mutex;

use crate::auth::{Accounts, Authority, KnownAccounts, LoginRules};
use crate::clock::Clock;
use crate::id::ConnectionId;
use crate::metadata::Recovered;
use crate::name::Name;
use crate::queue::arguments::TTL_MAX_MS;

use alarm::{Alarms, DiskCause};
use connections::Connections;
use foundation::Foundation;
use global_parameters::GlobalParameters;
use message_log::StoreLog;
use pager::{Pager, PagerThreads};
use restore::StoredMessages;
use seats::Seats;
use timers::Timers;

pub use administration::NewPassword;
pub use bindings::{Bind, BindTo};
pub use data_dir::DataDir;
pub use exchanges::ExchangeDeclaration;
pub use first::FirstUser;
pub use get::Polled;
pub use journal::{Durability, Journal, LogPosition, OnDurable};
pub use known_route::KnownRoute;
pub use publish::{Accepted, Clearance};
pub use queues::{DeleteOnly, QueueDeclaration};
pub use route::{Passage, Routes};
pub use seats::{ChannelSeat, Seat};
pub use session::Session;
pub use vhost::Vhost;
pub use vhosts::{DurabilityDeclaration, VHOSTS_MAX, VhostDeclaration};

/// Everything that connections share.
#[derive(Debug)]
pub struct Broker {
    /// Who may come in.
    pub authority: Authority,
    /// The time.
    pub clock: Clock,
    /// Who is connected.
    pub connections: Connections,
    /// Raised while messages take too much memory.
    pub alarms: Arc<Alarms>,
    vhosts: DashMap<Name, Arc<Vhost>>,
    seats: Arc<Seats>,
    /// Changes to which virtual hosts there are, and to permissions for them, are made one at a time.
    administration: Mutex<()>,
    global_parameters: GlobalParameters,
    foundation: Foundation,
    connection_ids: AtomicU64,
    #[expect(dead_code, reason = "held for what its end does: the threads end with the broker")]
    paging: Option<PagerThreads>,
}

/// Memory for messages, in octets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryLimits {
    /// Above this publishers are blocked.
    pub alarm: u64,
    /// Above this messages leave the memory for the disk.
    pub messages: u64,
}

impl Broker {
    /// A broker with what `data` holds; without it nothing is kept, and all messages stay in memory. Where there are
    /// neither users nor virtual hosts, `first` are the first ones.
    ///
    /// # Errors
    /// When something that was kept is not understood, or cannot be read; when `first` cannot be made.
    pub fn new(
        rules: LoginRules,
        first: &FirstUser,
        clock: Clock,
        memory: MemoryLimits,
        data: Option<DataDir>,
    ) -> io::Result<Arc<Self>> {
        let (broker, pager) = Self::assemble(rules, first, clock, memory, data)?;
        let paging = pager.map(|pager| pager.start()).transpose()?;
        Ok(Arc::new(Self { paging, ..broker }))
    }

    /// The broker with all its content, and the pager that is to be started.
    fn assemble(
        rules: LoginRules,
        first: &FirstUser,
        clock: Clock,
        memory: MemoryLimits,
        data: Option<DataDir>,
    ) -> io::Result<(Self, Option<Arc<Pager>>)> {
        let alarms = Arc::new(Alarms::new(memory.alarm));
        let timers = Arc::new(Timers::new(clock));
        let Some(data) = data else {
            let mut defined = Recovered::default();
            first.begin(&mut defined)?;
            return Ok((Self::with(&mut defined, rules, clock, Foundation::new(timers, alarms)), None));
        };
        let DataDir { definitions, mut defined, store, stored, after_crash, spill, durability } = data;
        let full = Arc::clone(&alarms);
        definitions.on_full(move |is_full| full.set_disk(DiskCause::Definitions, is_full));
        let log = Arc::new(StoreLog::new(store));
        let definitions = Arc::new(definitions);
        let journal = Journal::new(Some(Arc::<StoreLog>::clone(&log))).behind(&definitions);
        let journal = Arc::new(journal);
        log.watch(&journal, Arc::clone(&alarms));
        let (pages, told, octets) = (Arc::clone(&log), Arc::clone(&alarms), memory.messages);
        let pager = Arc::new(Pager::new(pages, spill, Arc::clone(&journal), told, clock, octets));
        definitions.record_all(first.begin(&mut defined)?);
        let foundation = Foundation {
            definitions: Some(definitions),
            journal,
            durability,
            pager: Some(Arc::clone(&pager)),
            ids: Arc::new(AtomicU64::new(defined.next_id)),
            ..Foundation::new(timers, alarms)
        };
        let broker = Self::with(&mut defined, rules, clock, foundation);
        broker.restore(defined, &StoredMessages::new(&stored, after_crash), log.store())?;
        Ok((broker, Some(pager)))
    }

    /// A broker with the accounts and the virtual hosts of `defined`, which are empty.
    fn with(defined: &mut Recovered, rules: LoginRules, clock: Clock, foundation: Foundation) -> Self {
        let known = KnownAccounts {
            users: std::mem::take(&mut defined.users),
            permissions: std::mem::take(&mut defined.permissions),
            topic_permissions: std::mem::take(&mut defined.topic_permissions),
        };
        let accounts = Arc::new(Accounts::new(known, foundation.definitions.clone()));
        let alarms = Arc::clone(&foundation.alarms);
        let broker = Self {
            authority: Authority::new(rules, accounts),
            clock,
            connections: Connections::default(),
            alarms,
            vhosts: DashMap::new(),
            seats: Arc::default(),
            administration: Mutex::default(),
            global_parameters: GlobalParameters::new(std::mem::take(&mut defined.global_parameters)),
            foundation,
            connection_ids: AtomicU64::new(0),
            paging: None,
        };
        for (name, definition) in std::mem::take(&mut defined.vhosts) {
            broker.add_vhost(name, definition);
        }
        broker
    }

    /// Notes that the end is an orderly one; everything recorded must be on disk.
    ///
    /// # Errors
    /// When the disk refuses; the next start is as after a crash then.
    pub fn close(&self) -> io::Result<()> {
        self.foundation.journal.close()
    }

    /// What the store of messages has done; `None` if nothing is kept.
    pub fn log_figures(&self) -> Option<journal::LogFigures> {
        self.foundation.journal.figures()
    }

    /// Waits until everything recorded so far is on disk.
    pub async fn flush(&self) {
        // Definitions first: the log is told of deletions by them.
        if let Some(definitions) = &self.foundation.definitions {
            definitions.flush().await;
        }
        self.foundation.journal.flush().await;
    }

    /// How long consumers may hold a delivery where neither they, nor the queue, nor a policy says; `ZERO` is without
    /// end. It holds at once, for deliveries that are held already too.
    pub fn set_consumer_timeout(&self, timeout: Duration) {
        let millis = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX).min(TTL_MAX_MS.unsigned_abs());
        if self.foundation.lease.set(millis) {
            let now = self.clock.now();
            self.vhosts().iter().for_each(|vhost| vhost.reapply_lease_default(now));
        }
    }

    /// A number for a new connection.
    pub fn next_connection(&self) -> ConnectionId {
        ConnectionId::new(self.connection_ids.fetch_add(1, Ordering::Relaxed) + 1)
    }

    /// Ticks queues for ever: message expiry, leases of consumers, and queue leases. Somebody must poll this.
    pub async fn run_timers(&self) {
        self.foundation.timers.run().await;
    }
}
