//! What an operator can set. A plain value: it is made by the command line and handed to what needs it.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

/// The port of AMQP (§1.4.1).
const AMQP_PORT: u16 = 5672;

/// The version that RabbitMQ's clients choose semantics by.
pub const COMPATIBLE_VERSION: &str = "4.0.5";

/// All settings. Defaults are RabbitMQ 4's, except that only loopback is listened on.
#[derive(Clone, Debug)]
pub struct Config {
    /// Addresses to listen on.
    pub listen: Vec<SocketAddr>,
    /// Where durable definitions are kept; `None`: nowhere, all is in memory.
    pub data_dir: Option<PathBuf>,
    /// How the broker presents itself to clients.
    pub identity: Identity,
    /// The version that it presents as RabbitMQ.
    pub rabbitmq_version: String,
    /// Limits of a connection.
    pub limits: ConnectionLimits,
    /// Whether SASL ANONYMOUS logs in as guest (RabbitMQ 4.0; from loopback only).
    pub anonymous: bool,
    /// Octets of messages held in memory above which publishers are blocked.
    pub memory_limit: u64,
    /// How long clients get to answer `connection.close` when the broker stops.
    pub drain_timeout: Duration,
}

/// How the broker presents itself (§1.4.2.1: server-properties).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Identity {
    /// As RabbitMQ: kombu, amqplib and the Java client choose semantics by product and version.
    #[default]
    RabbitMq,
    /// As Lepus.
    Lepus,
}

impl Identity {
    /// The `product` property.
    pub fn product(self) -> &'static str {
        match self {
            Self::RabbitMq => "RabbitMQ",
            Self::Lepus => "Lepus",
        }
    }
}

/// Limits on connections and on what one of them may do.
#[derive(Clone, Debug)]
pub struct ConnectionLimits {
    /// Connections at a time.
    pub connections_max: usize,
    /// Time from accept to `connection.open`.
    pub handshake_timeout: Duration,
    /// Seconds between heartbeats that the server proposes; 0 is none. The client's value wins.
    pub heartbeat: u16,
    /// Octets of the largest frame that the server proposes.
    pub frame_max: u32,
    /// Highest channel number, and so channels per connection.
    pub channel_max: u16,
    /// Octets of the largest message body.
    pub message_size_max: u64,
    /// Consumers per channel.
    pub consumers_max: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: vec![SocketAddr::from((Ipv4Addr::LOCALHOST, AMQP_PORT))],
            data_dir: None,
            identity: Identity::default(),
            rabbitmq_version: COMPATIBLE_VERSION.to_owned(),
            limits: ConnectionLimits::default(),
            anonymous: true,
            memory_limit: 1024 * 1024 * 1024,
            drain_timeout: Duration::from_secs(5),
        }
    }
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self {
            connections_max: 16_384,
            handshake_timeout: Duration::from_secs(10),
            heartbeat: 60,
            frame_max: 131_072,
            // RabbitMQ's exact value; Go's client expects it.
            channel_max: 2047,
            message_size_max: 16 * 1024 * 1024,
            consumers_max: 65_536,
        }
    }
}
