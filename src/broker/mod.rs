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
mod dead_letter;
pub mod exchange;
mod exchanges;
mod publish;
mod queues;
mod restore;
pub mod route;
pub mod session;
pub mod timers;
pub mod vhost;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use dashmap::DashMap;

use crate::auth::Authority;
use crate::clock::Clock;
use crate::id::ConnectionId;
use crate::metadata::{Definitions, Recovered};
use crate::name::Name;

use alarm::MemoryAlarm;
use timers::Timers;
use vhost::Foundation;

pub use bindings::{Bind, BindTo};
pub use exchanges::ExchangeDeclaration;
pub use queues::{DeleteOnly, QueueDeclaration};
pub use route::{LazyHeaders, Routes};
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
    /// Raised while messages take too much memory.
    pub alarm: Arc<MemoryAlarm>,
    vhosts: DashMap<Name, Arc<Vhost>>,
    foundation: Foundation,
    connections: AtomicU64,
}

impl Broker {
    /// A broker with the default virtual host, and what `definitions` hold; without them nothing is kept.
    /// `memory_limit` in octets of messages.
    ///
    /// # Errors
    /// When a definition is not understood.
    pub fn new(
        authority: Authority,
        clock: Clock,
        memory_limit: u64,
        definitions: Option<(Definitions, Recovered)>,
    ) -> io::Result<Arc<Self>> {
        let (definitions, recovered) = definitions.unzip();
        let recovered = recovered.unwrap_or_default();
        let foundation = Foundation {
            timers: Arc::new(Timers::new(clock)),
            alarm: Arc::new(MemoryAlarm::new(memory_limit)),
            definitions: definitions.map(Arc::new),
            ids: Arc::new(AtomicU64::new(recovered.next_id)),
        };
        let alarm = Arc::clone(&foundation.alarm);
        let vhosts = DashMap::new();
        let connections = AtomicU64::new(0);
        let broker = Self { authority, clock, alarm, vhosts, foundation, connections };
        broker.add_vhost(Name::from(DEFAULT_VHOST));
        broker.restore(recovered)?;
        Ok(Arc::new(broker))
    }

    fn add_vhost(&self, name: Name) {
        self.vhosts.insert(name.clone(), Vhost::new(name, self.foundation.clone()));
    }

    /// Waits until everything recorded so far is on disk.
    pub async fn flush(&self) {
        if let Some(definitions) = &self.foundation.definitions {
            definitions.flush().await;
        }
    }

    /// The virtual host of this name.
    pub fn vhost(&self, name: &str) -> Option<Arc<Vhost>> {
        self.vhosts.get(name).map(|vhost| Arc::clone(&vhost))
    }

    /// A number for a new connection.
    pub fn next_connection(&self) -> ConnectionId {
        ConnectionId::new(self.connections.fetch_add(1, Ordering::Relaxed) + 1)
    }

    /// Ticks queues for ever: message expiry and queue leases. Somebody must poll this.
    pub async fn run_timers(&self) {
        self.foundation.timers.run().await;
    }
}
