//! The broker under test: one in this process for each test, or the running one that `LEPUS_TEST_BROKER` (host:port)
//! names.
use lepus::{app::App, config::Config};
use std::net::{Ipv4Addr, SocketAddr};

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
            Err(_) => Self::start_in_process().await,
        }
    }

    async fn start_in_process() -> Self {
        let any_port = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let config = Config { listen: vec![any_port], ..Config::default() };
        let app = App::start(config).await.expect("the broker starts");
        Self { address: app.local_addr(), app: Some(app) }
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
