//! The broker under test: in this process on a free port, or the one that `LEPUS_TEST_BROKER` names.

use std::net::SocketAddr;
use std::sync::Arc;

use lepus::app::App;
use lepus::config::Config;

use super::{Credentials, Peer};

/// `host:port` of a running broker to hold the dialogues with, to check the dialogues themselves.
const REMOTE: &str = "LEPUS_TEST_BROKER";

pub(crate) struct Broker {
    address: SocketAddr,
    app: Option<App>,
    is_rabbitmq_3: bool,
}

impl Broker {
    pub(crate) async fn start() -> Self {
        match std::env::var(REMOTE) {
            Ok(address) => Self::remote(address.parse().unwrap()).await,
            Err(_) => Self::local(Config::default()).await,
        }
    }

    /// A broker with a configuration of its own; `None`, and a line that says so, where the broker is a remote one.
    pub(crate) async fn start_with(configure: impl FnOnce(&mut Config)) -> Option<Self> {
        if std::env::var_os(REMOTE).is_some() {
            println!("skipped: {REMOTE} names a broker whose configuration is not ours");
            return None;
        }
        let mut config = Config::default();
        configure(&mut config);
        Some(Self::local(config).await)
    }

    async fn local(mut config: Config) -> Self {
        config.listen = vec![SocketAddr::from(([127, 0, 0, 1], 0))];
        let app = App::start(config).await.unwrap();
        Self { address: app.local_addr(), app: Some(app), is_rabbitmq_3: false }
    }

    async fn remote(address: SocketAddr) -> Self {
        let mut peer = Peer::dial(address).await;
        let version = peer.receive_start().await.table("server-properties").get("version").unwrap().text();
        Self { address, app: None, is_rabbitmq_3: version.starts_with("3.") }
    }

    /// A broker in this process and the way to administer it; `None`, and a line that says so, where it is remote.
    pub(crate) async fn start_administered() -> Option<(Self, Arc<lepus::broker::Broker>)> {
        let broker = Self::start_with(|_| {}).await?;
        let inner = Arc::clone(broker.app.as_ref()?.broker());
        Some((broker, inner))
    }

    /// A connection with channel 1 open, as this user in the virtual host `/`.
    pub(crate) async fn channel_as(&self, user: &str, password: &str) -> Peer {
        let mut peer = self.dial().await;
        peer.handshake_with(&Credentials::plain(user, password), 0).await;
        peer.open(1).await;
        peer
    }

    /// RabbitMQ 3.x stands in: its texts differ from 4.0's here and there.
    pub(crate) fn is_rabbitmq_3(&self) -> bool {
        self.is_rabbitmq_3
    }

    /// The broker itself; `None` for a remote one.
    pub(crate) fn app(&self) -> Option<&App> {
        self.app.as_ref()
    }

    /// A connection that has not sent a byte.
    pub(crate) async fn dial(&self) -> Peer {
        Peer::dial(self.address).await
    }

    /// A connection that has opened the virtual host `/` as guest.
    pub(crate) async fn connect(&self) -> Peer {
        let mut peer = self.dial().await;
        peer.handshake().await;
        peer
    }

    /// A connection with channel 1 open.
    pub(crate) async fn channel(&self) -> Peer {
        let mut peer = self.connect().await;
        peer.open(1).await;
        peer
    }

    /// As `channel`, for a peer that will not read.
    pub(crate) async fn channel_with_small_window(&self) -> Peer {
        let mut peer = Peer::dial_with_small_window(self.address).await;
        peer.handshake().await;
        peer.open(1).await;
        peer
    }

    /// Ends the broker as a signal would; nothing to do for a remote one.
    pub(crate) async fn shutdown(self) {
        if let Some(app) = self.app {
            app.shutdown().await;
        }
    }
}
