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

pub mod alarm;
mod bindings;
pub mod connections;
pub mod data_dir;
mod dead_letter;
pub mod exchange;
mod exchanges;
pub mod firehose;
pub mod journal;
mod lane;
mod message_log;
mod pager;
mod publish;
mod queues;
mod restore;
pub mod route;
pub mod session;
mod spill;
mod surroundings;
pub mod timers;
pub mod vhost;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use dashmap::DashMap;

use crate::auth::Authority;
use crate::clock::Clock;
use crate::id::ConnectionId;
use crate::name::Name;

use alarm::Alarms;
use connections::Connections;
use message_log::StoreLog;
use pager::{Pager, PagerThreads};
use restore::StoredMessages;
use timers::Timers;
use vhost::Foundation;

pub use bindings::{Bind, BindTo};
pub use data_dir::DataDir;
pub use exchanges::ExchangeDeclaration;
pub use journal::{Journal, LogPosition, OnDurable};
pub use publish::Accepted;
pub use queues::{DeleteOnly, QueueDeclaration};
pub use route::Routes;
pub use session::Session;
pub use vhost::Vhost;

/// The virtual host that always exists.
pub const DEFAULT_VHOST: &str = "/";

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
    /// A broker with the default virtual host, and what `data` holds; without it nothing is kept, and all messages
    /// stay in memory.
    ///
    /// # Errors
    /// When something that was kept is not understood, or cannot be read.
    pub fn new(
        authority: Authority,
        clock: Clock,
        memory: MemoryLimits,
        data: Option<DataDir>,
    ) -> io::Result<Arc<Self>> {
        let (broker, pager) = Self::assemble(authority, clock, memory, data)?;
        let paging = pager.map(|pager| pager.start()).transpose()?;
        Ok(Arc::new(Self { paging, ..broker }))
    }

    /// The broker with all its content, and the pager that is to be started.
    fn assemble(
        authority: Authority,
        clock: Clock,
        memory: MemoryLimits,
        data: Option<DataDir>,
    ) -> io::Result<(Self, Option<Arc<Pager>>)> {
        let alarms = Arc::new(Alarms::new(memory.alarm));
        let timers = Arc::new(Timers::new(clock));
        let Some(data) = data else {
            let (journal, ids) = (Arc::new(Journal::default()), Arc::default());
            let histories = Arc::default();
            let foundation =
                Foundation { timers, alarms, definitions: None, journal, pager: None, ids, histories };
            return Ok((Self::empty(authority, clock, foundation), None));
        };
        let DataDir { definitions, defined, store, stored, after_crash, spill } = data;
        let log = Arc::new(StoreLog::new(store));
        let journal = Arc::new(Journal::new(Some(Arc::<StoreLog>::clone(&log))));
        log.watch(&journal, Arc::clone(&alarms));
        let (pages, told, octets) = (Arc::clone(&log), Arc::clone(&alarms), memory.messages);
        let pager = Arc::new(Pager::new(pages, spill, Arc::clone(&journal), told, clock, octets));
        let foundation = Foundation {
            timers,
            alarms,
            definitions: Some(Arc::new(definitions)),
            journal,
            pager: Some(Arc::clone(&pager)),
            ids: Arc::new(AtomicU64::new(defined.next_id)),
            histories: Arc::default(),
        };
        let broker = Self::empty(authority, clock, foundation);
        broker.restore(defined, &StoredMessages::new(&stored, after_crash), log.store())?;
        Ok((broker, Some(pager)))
    }

    fn empty(authority: Authority, clock: Clock, foundation: Foundation) -> Self {
        let alarms = Arc::clone(&foundation.alarms);
        let broker = Self {
            authority,
            clock,
            connections: Connections::default(),
            alarms,
            vhosts: DashMap::new(),
            foundation,
            connection_ids: AtomicU64::new(0),
            paging: None,
        };
        broker.add_vhost(Name::from(DEFAULT_VHOST));
        broker
    }

    fn add_vhost(&self, name: Name) {
        self.vhosts.insert(name.clone(), Vhost::new(name, self.foundation.clone()));
    }

    /// Notes that the end is an orderly one; everything recorded must be on disk.
    ///
    /// # Errors
    /// When the disk refuses; the next start is as after a crash then.
    pub fn close(&self) -> io::Result<()> {
        self.foundation.journal.close()
    }

    /// Waits until everything recorded so far is on disk.
    pub async fn flush(&self) {
        self.foundation.journal.flush().await;
        if let Some(definitions) = &self.foundation.definitions {
            definitions.flush().await;
        }
    }

    /// The virtual host of this name.
    pub fn vhost(&self, name: &str) -> Option<Arc<Vhost>> {
        self.vhosts.get(name).map(|vhost| Arc::clone(&vhost))
    }

    /// All virtual hosts, by name.
    pub fn vhosts(&self) -> Vec<Arc<Vhost>> {
        let mut vhosts: Vec<_> = self.vhosts.iter().map(|vhost| Arc::clone(&vhost)).collect();
        vhosts.sort_unstable_by(|one, other| one.name.cmp(&other.name));
        vhosts
    }

    /// A number for a new connection.
    pub fn next_connection(&self) -> ConnectionId {
        ConnectionId::new(self.connection_ids.fetch_add(1, Ordering::Relaxed) + 1)
    }

    /// Ticks queues for ever: message expiry and queue leases. Somebody must poll this.
    pub async fn run_timers(&self) {
        self.foundation.timers.run().await;
    }
}
