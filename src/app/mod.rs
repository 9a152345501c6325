//! The one place that wires the parts together: a [`Config`] in, a running broker out.

mod listening;
mod management;
mod memory;
pub mod telemetry;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::RwLock;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::auth::{LoginRules, TokenVerifier};
use crate::broker::data_dir::KEPT_MESSAGE_MAX;
use crate::broker::{Broker, DataDir, Durability, FirstUser, MemoryLimits};
use crate::clock::Clock;
use crate::config::{self, AuthBackend, Config};
use crate::connection::Settings;
use crate::management::{Service, load_definitions};
use crate::server::{Room, Server};
use crate::tls::Tls;
use listening::Listening;

/// How long the end waits for the disk.
const FLUSH_MAX: Duration = Duration::from_secs(10);

/// A running broker.
#[derive(Debug)]
pub struct App {
    broker: Arc<Broker>,
    settings: Arc<Settings>,
    addresses: Vec<SocketAddr>,
    tls_addresses: Vec<SocketAddr>,
    tls: Option<Arc<Tls>>,
    stopping: CancellationToken,
    tasks: TaskTracker,
    /// Tasks of the broker's own, which never end.
    chores: JoinHandle<((), ())>,
    management: management::Running,
    drain_timeout: Duration,
}

impl App {
    /// Starts the broker: listens, then serves in the background.
    ///
    /// # Errors
    /// When an address cannot be listened on, or the data directory cannot be used.
    pub async fn start(config: Config) -> io::Result<Self> {
        let clock = Clock::start();
        let listening = Listening::start(&config, clock.now()).await?;
        let management = management::bind(&config, listening.tls.clone())?;
        let open = |dir| DataDir::open(dir, config.disk_free_limit);
        let data = config.data_dir.as_deref().map(open).transpose()?;
        check(&config)?;
        let data = data.map(|data| data.with_durability(promised(config.durability)));
        let rules = rules(&config)?;
        let first = FirstUser {
            name: config.default_user.into(),
            password: config.default_pass.0.into_bytes(),
            vhost: config.default_vhost.into(),
        };
        let broker = {
            let (alarm, messages) = memory::limits(config.memory_limit, config.message_memory);
            let memory = MemoryLimits { alarm, messages };
            Broker::new(rules, &first, clock, memory, data)?
        };
        broker.alarms.set_disk_free_limit(config.disk_free_limit);
        broker.set_consumer_timeout(config.consumer_timeout.0);
        if let Some(file) = &config.load_definitions {
            load_definitions(&broker, file).await?;
        }
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
        listening.tell();
        for (listener, transport) in listening.listeners {
            let (settings, room) = (Arc::clone(&settings), Arc::clone(&room));
            tasks.spawn(Server::new(listener, transport, settings, room, tasks.clone()).run());
        }
        let chores = tokio::spawn({
            let broker = Arc::clone(&broker);
            async move { tokio::join!(broker.run_timers(), broker.watch_disk()) }
        });
        let management = management.serve(&listening.addresses, &listening.tls_addresses, &broker)?;
        // Tools wait for exactly these words (Testcontainers: RabbitMQ's line).
        tracing::info!("Server startup complete");
        Ok(Self {
            broker,
            settings,
            addresses: listening.addresses,
            tls_addresses: listening.tls_addresses,
            tls: listening.tls,
            stopping,
            tasks,
            chores,
            management,
            drain_timeout: config.drain_timeout,
        })
    }

    /// Takes over those of the settings in `config` that need no restart. The log is not the broker's, and has its own
    /// way.
    ///
    /// # Errors
    /// When they cannot be used; then nothing has changed.
    pub fn reload(&self, config: &Config) -> io::Result<()> {
        check(config)?;
        let now = self.broker.clock.now();
        match (&self.tls, config.tls.is_on()) {
            (Some(tls), true) => tls.replace(listening::identity(&config.tls, now)?),
            (None, true) => tracing::warn!("TLS has been switched on: it needs a restart"),
            (Some(_), false) => tracing::warn!("TLS has been switched off: it needs a restart"),
            (None, false) => {}
        }
        let (alarm, _) = memory::limits(config.memory_limit, config.message_memory);
        self.broker.alarms.set_memory_limit(alarm);
        self.broker.set_consumer_timeout(config.consumer_timeout.0);
        self.settings.set_limits(config.limits.clone());
        Ok(())
    }

    /// The address of the first listener.
    pub fn local_addr(&self) -> SocketAddr {
        self.addresses.first().copied().unwrap_or_else(|| SocketAddr::from(([0, 0, 0, 0], 0)))
    }

    /// Where the management API listens first; `None` if it is off.
    pub fn management_addr(&self) -> Option<SocketAddr> {
        self.management.address(Service::Api, false)
    }

    /// Where metrics are served first; `None` if they are not.
    pub fn metrics_addr(&self) -> Option<SocketAddr> {
        self.management.address(Service::Metrics, false)
    }

    /// Where the management API listens for TLS first; `None` if it does not.
    pub fn management_tls_addr(&self) -> Option<SocketAddr> {
        self.management.address(Service::Api, true)
    }

    /// Where metrics are served over TLS first; `None` if they are not.
    pub fn metrics_tls_addr(&self) -> Option<SocketAddr> {
        self.management.address(Service::Metrics, true)
    }

    /// The address of the first listener for TLS.
    pub fn tls_addr(&self) -> Option<SocketAddr> {
        self.tls_addresses.first().copied()
    }

    /// TLS and its certificates, if there is any.
    pub fn tls(&self) -> Option<&Arc<Tls>> {
        self.tls.as_ref()
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
        self.chores.abort();
        // They hold the broker, and the broker the data directory: whoever comes next finds it free.
        let _aborted = self.chores.await;
        let flushed = tokio::time::timeout(FLUSH_MAX, self.broker.flush()).await;
        match flushed.map_err(io::Error::other).and_then(|()| self.broker.close()) {
            Ok(()) => {}
            // On a full disk there is no other end. What is not on disk was never confirmed.
            Err(error) => tracing::warn!(%error, "the end could not be marked as an orderly one"),
        }
        tracing::info!("stopped");
    }
}

/// Who may come in.
fn rules(config: &Config) -> io::Result<LoginRules> {
    let has = |backend| config.auth_backends.contains(&backend);
    let tokens = has(AuthBackend::OAuth2).then(|| TokenVerifier::new(&config.oauth2)).transpose()?;
    Ok(LoginRules {
        anonymous: config.anonymous,
        loopback_only: config.loopback_users.iter().cloned().collect(),
        accounts: has(AuthBackend::Internal),
        tokens: tokens.map(Arc::new),
    })
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

/// The core's word for the setting, told to whoever reads the log.
fn promised(durability: config::Durability) -> Durability {
    match durability {
        config::Durability::Fsync => {
            tracing::info!("confirms wait for fsync");
            Durability::Fsync
        }
        config::Durability::Os => {
            tracing::warn!(
                "confirms wait for the operating system only: a power cut may lose confirmed messages"
            );
            Durability::Os
        }
    }
}
