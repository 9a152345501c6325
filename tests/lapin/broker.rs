//! The broker under test: one in this process for each test, or the running one that `LEPUS_TEST_BROKER` (host:port)
//! names.
use lepus::{app::App, config::Config};
use std::net::{Ipv4Addr, SocketAddr};
use tempfile::TempDir;

pub(crate) struct Broker {
    address: SocketAddr,
    /// None when the broker is not ours to stop.
    app: Option<App>,
}

impl Broker {
    pub(crate) async fn start() -> Self {
        match std::env::var("LEPUS_TEST_BROKER") {
            Ok(address) => {
                Self { address: address.parse().expect("LEPUS_TEST_BROKER is host:port"), app: None }
            }
            Err(_) => Self::start_in_process(Config::default()).await,
        }
    }

    /// One that keeps what is durable in `dir`; none if the broker is not ours to start again.
    #[allow(dead_code, reason = "the examples are run by a broker that keeps nothing")]
    pub(crate) async fn start_on(dir: &TempDir) -> Option<Self> {
        if std::env::var("LEPUS_TEST_BROKER").is_ok() {
            return None;
        }
        let config = Config { data_dir: Some(dir.path().into()), ..Config::default() };
        Some(Self::start_in_process(config).await)
    }

    async fn start_in_process(config: Config) -> Self {
        let any_port = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let config = Config { listen: vec![any_port], ..config };
        let app = App::start(config).await.expect("the broker starts");
        Self { address: app.local_addr(), app: Some(app) }
    }

    /// The broker, if it is ours.
    #[allow(dead_code, reason = "the examples and the bench need no operator")]
    pub(crate) fn app(&self) -> Option<&App> {
        self.app.as_ref()
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn uri(&self) -> String {
        format!("amqp://guest:guest@{}", self.address())
    }

    pub(crate) async fn stop(self) {
        if let Some(app) = self.app {
            app.shutdown().await;
        }
    }
}
