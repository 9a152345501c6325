//! The management API and metrics with their sockets: bound with the others, so that a port in use ends the start.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;

use crate::auth::{OperatorFile, OperatorToken};
use crate::broker::Broker;
use crate::config::Config;
use crate::management::{Door, ListenerFacts, Management, NodeFacts, Service};
use crate::tls::Tls;

/// Sockets that nobody serves yet.
pub(super) struct Bound {
    sockets: Vec<Socket>,
    node: NodeFacts,
}

/// A bound socket, and what it is for.
struct Socket {
    listener: TcpListener,
    place: Place,
    tls: Option<Arc<Tls>>,
}

/// Where something is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) address: SocketAddr,
    pub(super) service: Service,
    pub(super) is_tls: bool,
}

/// The management API that runs; none if it is off.
#[derive(Debug)]
pub(super) struct Running {
    management: Option<Management>,
    /// Where it listens, and for what.
    places: Vec<Place>,
    /// The data directory with the operator file, which goes at the end.
    operator_dir: Option<PathBuf>,
}

/// Binds what the configuration says.
pub(super) fn bind(config: &Config, tls: Option<Arc<Tls>>) -> io::Result<Bound> {
    let (management, prometheus) = (&config.management, &config.prometheus);
    let mut sockets = Vec::new();
    for (addresses, service, tls) in [
        (&management.listen, Service::Api, None),
        (&management.tls_listen, Service::Api, tls.as_ref()),
        (&prometheus.listen, Service::Metrics, None),
        (&prometheus.tls_listen, Service::Metrics, tls.as_ref()),
    ] {
        for address in addresses {
            let (listener, address) = listen(*address, service)?;
            let place = Place { address, service, is_tls: tls.is_some() };
            sockets.push(Socket { listener, place, tls: tls.map(Arc::clone) });
        }
    }
    Ok(Bound { sockets, node: NodeFacts { tls, ..node_facts(config) } })
}

fn listen(address: SocketAddr, service: Service) -> io::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind(address).map_err(|error| {
        let what = match service {
            Service::Api => "the management API",
            Service::Metrics => "Prometheus",
        };
        let text = format!("cannot listen on {address} for {what}: {error}");
        io::Error::new(error.kind(), text)
    })?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

impl Place {
    /// RabbitMQ's name of what is spoken there.
    fn protocol(self) -> &'static str {
        match (self.service, self.is_tls) {
            (Service::Api, false) => "http",
            (Service::Api, true) => "https",
            (Service::Metrics, false) => "http/prometheus",
            (Service::Metrics, true) => "https/prometheus",
        }
    }
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
                places: Vec::new(),
                operator_dir: self.admit_operator(amqp)?,
            });
        }
        let operator_dir = self.admit_operator(amqp)?;
        let amqp = amqp.iter().map(|address| ListenerFacts { protocol: "amqp", address: *address });
        let tls = tls.iter().map(|address| ListenerFacts { protocol: "amqp/ssl", address: *address });
        self.node.listeners.extend(amqp.chain(tls));
        let (mut doors, mut places) = (Vec::new(), Vec::new());
        for Socket { listener, place, tls } in self.sockets {
            let (address, protocol) = (place.address, place.protocol());
            tracing::info!(%address, protocol, "listening for HTTP");
            self.node.listeners.push(ListenerFacts { protocol, address });
            doors.push(Door { listener, service: place.service, tls });
            places.push(place);
        }
        let management = Management::start(doors, Arc::clone(broker), self.node)?;
        Ok(Running { management: Some(management), places, operator_dir })
    }

    /// Writes the file by which who administers this machine is let in.
    fn admit_operator(&self, amqp: &[SocketAddr]) -> io::Result<Option<PathBuf>> {
        let (Some(dir), Some(token)) = (&self.node.data_dir, &self.node.operator) else { return Ok(None) };
        // Over TLS the tools here would have to trust the certificate.
        let places = self.sockets.iter().map(|socket| socket.place);
        let api = places.filter(|place| place.service == Service::Api && !place.is_tls);
        let file = OperatorFile {
            node: self.node.name.clone(),
            pid: std::process::id(),
            amqp: amqp.first().copied().map(local),
            api: api.map(|place| local(place.address)).find(|address| address.ip().is_loopback()),
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
    /// The first address that serves `wanted`, with or without TLS.
    pub(super) fn address(&self, wanted: Service, is_tls: bool) -> Option<SocketAddr> {
        let is_it = |place: &&Place| place.service == wanted && place.is_tls == is_tls;
        self.places.iter().find(is_it).map(|place| place.address)
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
