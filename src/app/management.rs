//! The management API and metrics with their sockets: bound with the others, so that a port in use ends the start.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;

use crate::auth::{OperatorFile, OperatorToken};
use crate::broker::Broker;
use crate::config::Config;
use crate::management::{ListenerFacts, Management, NodeFacts, Service};
use crate::tls::Tls;

/// Sockets that nobody serves yet.
pub(super) struct Bound {
    sockets: Vec<(TcpListener, SocketAddr, Service)>,
    node: NodeFacts,
}

/// The management API that runs; none if it is off.
#[derive(Debug)]
pub(super) struct Running {
    management: Option<Management>,
    /// Where it listens, and for what.
    addresses: Vec<(SocketAddr, Service)>,
    /// The data directory with the operator file, which goes at the end.
    operator_dir: Option<PathBuf>,
}

/// Binds what the configuration says.
pub(super) fn bind(config: &Config, tls: Option<Arc<Tls>>) -> io::Result<Bound> {
    let api = config.management.listen.iter().map(|address| (address, Service::Api));
    let metrics = config.prometheus.listen.iter().map(|address| (address, Service::Metrics));
    let sockets = api.chain(metrics).map(listen).collect::<Result<_, _>>()?;
    Ok(Bound { sockets, node: NodeFacts { tls, ..node_facts(config) } })
}

fn listen((address, service): (&SocketAddr, Service)) -> io::Result<(TcpListener, SocketAddr, Service)> {
    let listener = TcpListener::bind(address).map_err(|error| {
        let what = match service {
            Service::Api => "the management API",
            Service::Metrics => "Prometheus",
        };
        let text = format!("cannot listen on {address} for {what}: {error}");
        io::Error::new(error.kind(), text)
    })?;
    let address = listener.local_addr()?;
    Ok((listener, address, service))
}

/// What the management API says of this node.
fn node_facts(config: &Config) -> NodeFacts {
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    NodeFacts {
        name: config.management.node_name.clone().unwrap_or_else(|| format!("lepus@{host}")),
        product: config.identity.product(),
        rabbitmq_version: config.rabbitmq_version.clone(),
        listeners: Vec::new(),
        connections_max: config.limits.connections_max,
        data_dir: config.data_dir.clone(),
        tls: None,
        operator: config.data_dir.is_some().then(OperatorToken::random),
    }
}

impl Bound {
    /// Serves; `amqp` and `tls` are the addresses of the other listeners.
    pub(super) fn serve(
        mut self,
        amqp: &[SocketAddr],
        tls: &[SocketAddr],
        broker: &Arc<Broker>,
    ) -> io::Result<Running> {
        if self.sockets.is_empty() {
            return Ok(Running {
                management: None,
                addresses: Vec::new(),
                operator_dir: self.admit_operator(amqp)?,
            });
        }
        let operator_dir = self.admit_operator(amqp)?;
        let amqp = amqp.iter().map(|address| ListenerFacts { protocol: "amqp", address: *address });
        let tls = tls.iter().map(|address| ListenerFacts { protocol: "amqp/ssl", address: *address });
        self.node.listeners.extend(amqp.chain(tls));
        let (mut services, mut addresses) = (Vec::new(), Vec::new());
        for (listener, address, service) in self.sockets {
            let protocol = match service {
                Service::Api => "http",
                Service::Metrics => "http/prometheus",
            };
            tracing::info!(%address, protocol, "listening for HTTP");
            self.node.listeners.push(ListenerFacts { protocol, address });
            services.push((listener, service));
            addresses.push((address, service));
        }
        let management = Management::start(services, Arc::clone(broker), self.node)?;
        Ok(Running { management: Some(management), addresses, operator_dir })
    }

    /// Writes the file by which who administers this machine is let in.
    fn admit_operator(&self, amqp: &[SocketAddr]) -> io::Result<Option<PathBuf>> {
        let (Some(dir), Some(token)) = (&self.node.data_dir, &self.node.operator) else { return Ok(None) };
        let api = self.sockets.iter().filter(|(.., service)| *service == Service::Api);
        let file = OperatorFile {
            node: self.node.name.clone(),
            pid: std::process::id(),
            amqp: amqp.first().copied().map(local),
            api: api.map(|(_, address, _)| local(*address)).find(|address| address.ip().is_loopback()),
            token: token.clone(),
        };
        file.write(dir)?;
        Ok(Some(dir.clone()))
    }
}

/// Where this machine reaches a listener.
fn local(address: SocketAddr) -> SocketAddr {
    if !address.ip().is_unspecified() {
        return address;
    }
    let loopback: IpAddr =
        if address.is_ipv4() { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() };
    SocketAddr::new(loopback, address.port())
}

impl Running {
    /// The first address that serves `wanted`.
    pub(super) fn address(&self, wanted: Service) -> Option<SocketAddr> {
        self.addresses.iter().find(|(_, service)| *service == wanted).map(|(address, _)| *address)
    }

    /// Lets answers that are under way go out.
    pub(super) async fn stop(self) {
        if let Some(dir) = &self.operator_dir {
            OperatorFile::remove(dir);
        }
        if let Some(management) = self.management {
            management.stop().await;
        }
    }
}
