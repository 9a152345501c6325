//! The one place that wires the parts together: a [`Config`] in, a running broker out.

mod management;
pub mod telemetry;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::RwLock;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::auth::Authority;
use crate::broker::data_dir::KEPT_MESSAGE_MAX;
use crate::broker::{Broker, DataDir, MemoryLimits};
use crate::clock::Clock;
use crate::config::Config;
use crate::connection::Settings;
use crate::server::{Room, Server};

/// A running broker.
#[derive(Debug)]
pub struct App {
    broker: Arc<Broker>,
    settings: Arc<Settings>,
    addresses: Vec<SocketAddr>,
    stopping: CancellationToken,
    tasks: TaskTracker,
    timers: JoinHandle<()>,
    management: management::Running,
    drain_timeout: Duration,
}

impl App {
    /// Starts the broker: listens, then serves in the background.
    ///
    /// # Errors
    /// When an address cannot be listened on, or the data directory cannot be used.
    pub async fn start(config: Config) -> io::Result<Self> {
        let mut listeners = Vec::new();
        for address in &config.listen {
            listeners.push(Server::bind(*address).await?);
        }
        let management = management::bind(&config)?;
        let data = config.data_dir.as_deref().map(DataDir::open).transpose()?;
        check(&config)?;
        let authority = Authority::new(config.anonymous);
        let broker = {
            let memory = MemoryLimits { alarm: config.memory_limit, messages: config.message_memory };
            Broker::new(authority, Clock::start(), memory, data)?
        };
        let stopping = CancellationToken::new();
        let tasks = TaskTracker::new();
        let room = Arc::new(Room::default());
        let settings = Arc::new(Settings {
            broker: Arc::clone(&broker),
            limits: RwLock::new(Arc::new(config.limits)),
            identity: config.identity,
            rabbitmq_version: config.rabbitmq_version,
            stopping: stopping.clone(),
        });
        let mut addresses = Vec::new();
        for listener in listeners {
            let address = listener.local_addr()?;
            tracing::info!(%address, "listening for AMQP 0-9-1");
            addresses.push(address);
            let server = Server::new(listener, Arc::clone(&settings), Arc::clone(&room), tasks.clone());
            tasks.spawn(server.run());
        }
        let timers = tokio::spawn({
            let broker = Arc::clone(&broker);
            async move { broker.run_timers().await }
        });
        let management = management.serve(&addresses, &broker)?;
        // Tools wait for exactly these words (Testcontainers: RabbitMQ's line).
        tracing::info!("Server startup complete");
        let drain_timeout = config.drain_timeout;
        Ok(Self { broker, settings, addresses, stopping, tasks, timers, management, drain_timeout })
    }

    /// Takes over those of the settings in `config` that need no restart. The log is not the broker's, and has its own
    /// way.
    ///
    /// # Errors
    /// When they cannot be used; then nothing has changed.
    pub fn reload(&self, config: &Config) -> io::Result<()> {
        check(config)?;
        self.broker.alarms.set_memory_limit(config.memory_limit);
        self.settings.set_limits(config.limits.clone());
        Ok(())
    }

    /// The address of the first listener.
    pub fn local_addr(&self) -> SocketAddr {
        self.addresses.first().copied().unwrap_or_else(|| SocketAddr::from(([0, 0, 0, 0], 0)))
    }

    /// Where the management API listens first; `None` if it is off.
    pub fn management_addr(&self) -> Option<SocketAddr> {
        self.management.addresses.first().copied()
    }

    /// The broker, for whoever embeds or inspects it.
    pub fn broker(&self) -> &Arc<Broker> {
        &self.broker
    }

    /// Stops: accepts nobody, sends each client connection.close 320, waits for them up to the drain timeout.
    pub async fn shutdown(self) {
        self.stopping.cancel();
        self.tasks.close();
        if tokio::time::timeout(self.drain_timeout, self.tasks.wait()).await.is_err() {
            tracing::warn!(connections = self.tasks.len(), "clients did not close in time");
        }
        self.management.stop().await;
        self.timers.abort();
        self.broker.flush().await;
        if let Err(error) = self.broker.close() {
            tracing::warn!(%error, "the end could not be marked as an orderly one");
        }
        tracing::info!("stopped");
    }
}

/// What the parts can do together.
fn check(config: &Config) -> io::Result<()> {
    let message_size_max = config.limits.message_size_max;
    if config.data_dir.is_some() && message_size_max > KEPT_MESSAGE_MAX {
        return Err(io::Error::other(format!(
            "messages of up to {message_size_max} octets are allowed, at most {KEPT_MESSAGE_MAX} can be kept"
        )));
    }
    Ok(())
}
