//! What an operator can set. [`Config`] is a plain value that is handed to what needs it.
//!
//! **To add a setting, add one line to [`Config`] or to one of its sections.** It then has a key in files, a flag, an
//! environment variable, its place in `--help`, in `lepus config show` and in `lepus.example.toml` (which a test wants
//! written again). What `reloads` is taken over by `App::reload`.
//!
//! ```text
//!   defaults < rabbitmq.conf < lepus.toml < RABBITMQ_* < LEPUS_* < flags          (load.rs)
//!       each: text -> Given { key, Raw, Origin } -> the field's Value::parse
//! ```

mod check;
pub mod environment;
pub mod example;
pub mod file;
mod first_user;
pub mod load;
mod log_filter;
pub mod memory;
mod oauth2;
mod rabbitmq;
pub mod setting;
mod suggest;
mod tls;
pub mod value;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

pub use log_filter::LogFilter;
pub use oauth2::{AuthBackend, OAuth2Settings, TokenAlgorithm};
use setting::{Field, Section, settings};
pub use tls::{ClientVerification, LoginFrom, SanType, TlsSettings, TlsVersion};
use value::{Secret, Timeout, choices};

/// The port of AMQP (§1.4.1).
const AMQP_PORT: u16 = 5672;

/// The port on which RabbitMQ serves metrics.
const PROMETHEUS_PORT: u16 = 15692;

/// The port of RabbitMQ's management API.
const MANAGEMENT_PORT: u16 = 15672;

/// RabbitMQ's default user and its password.
const GUEST: &str = "guest";

/// The version that RabbitMQ's clients choose semantics by.
pub const COMPATIBLE_VERSION: &str = "4.0.5";

settings! {
    /// All settings. Defaults are RabbitMQ 4's, except that only loopback is listened on.
    pub struct Config {
        /// Addresses and ports to listen on for AMQP; a port alone is every address.
        listen: Vec<SocketAddr> = vec![SocketAddr::from((Ipv4Addr::LOCALHOST, AMQP_PORT))];

        /// Unix sockets to listen on, by their paths.
        unix_socket: Vec<PathBuf> = Vec::new();

        /// Expect the PROXY protocol, version 1 or 2, first on every TCP connection: for brokers that are reached
        /// through a proxy alone. Who can connect directly could claim any address.
        proxy_protocol: bool = false;

        /// Directory of the broker's data; made if it is not there.
        data_dir: Option<PathBuf> = None;

        /// What confirms wait for: the disk (fsync), or only the operating system (os). With os a power cut may lose
        /// confirmed messages. A virtual host may say otherwise (`durability` in PUT /api/vhosts/{name}).
        durability: Durability = Durability::default();

        /// What to log: a level (error, warn, info, debug, trace) or `module=level,...`.
        log: LogFilter = LogFilter::default(), reloads;

        /// As which product to present the broker to clients: rabbitmq or lepus. Some choose their semantics by it.
        identity: Identity = Identity::default();

        /// Which version of RabbitMQ to present. With 3.13.7, kombu and Celery use channel-wide prefetch again, which
        /// can be changed while consumers run.
        rabbitmq_version: String = COMPATIBLE_VERSION.to_owned();

        /// Who says whether somebody may come in: internal (the broker's own accounts), oauth2 (tokens), or both.
        auth_backends: Vec<AuthBackend> = vec![AuthBackend::Internal];

        /// Let SASL ANONYMOUS log in as guest, from loopback only.
        anonymous: bool = true;

        /// Users who may only connect from the machine itself.
        loopback_users: Vec<String> = vec![GUEST.to_owned()];

        /// The first user of a new data directory, who may do everything. Later it changes nothing.
        default_user: String = GUEST.to_owned();

        /// The first user's password.
        default_pass: Secret = Secret(GUEST.to_owned()), secret;

        /// The first virtual host of a new data directory.
        default_vhost: String = "/".to_owned();

        /// Octets of messages held in memory above which publishers are blocked. Without it, six tenths of the memory
        /// that the machine or the container has.
        memory_limit: Option<u64> = None, octets, reloads;

        /// Octets of messages held in memory above which they leave it for the data directory; never more than a fifth
        /// of the memory that the machine or the container has.
        message_memory: u64 = 128 * 1024 * 1024, octets;

        /// Octets that the disk of the data directory should have left; publishers are blocked while it has less.
        disk_free_limit: u64 = 50_000_000, octets;

        /// How long a consumer may hold a delivery without settling it, where neither it, nor its queue, nor a policy
        /// says: then it is cancelled and the delivery goes back. 0 is without end.
        consumer_timeout: Timeout = Timeout(Duration::from_secs(30 * 60)), reloads;

        /// A file of definitions, as RabbitMQ exports them, to be taken over at every start.
        load_definitions: Option<PathBuf> = None;

        /// How long clients get to answer connection.close when the broker stops.
        drain_timeout: Duration = Duration::from_secs(5);

        section limits: ConnectionLimits;
        section management: ManagementConfig;
        section prometheus: PrometheusConfig;
        section tls: TlsSettings;
        section oauth2: OAuth2Settings;
    }
}

settings! {
    /// Limits on connections and on what one of them may do. Connections that are open keep those that they began with.
    pub struct ConnectionLimits {
        /// Connections at a time.
        connections_max: usize = 16_384, reloads;

        /// Time from accept to connection.open.
        handshake_timeout: Duration = Duration::from_secs(10), reloads;

        /// Seconds between heartbeats that the server proposes; 0 is none. The client's value wins.
        heartbeat: u16 = 60, seconds, reloads;

        /// Octets of the largest frame that the server proposes.
        frame_max: u32 = 131_072, octets, reloads;

        /// Highest channel number, and so channels per connection. 2047 is RabbitMQ's exact value; Go's client expects
        /// it.
        channel_max: u16 = 2047, reloads;

        /// Octets of the largest message body.
        message_size_max: u64 = 16 * 1024 * 1024, octets, reloads;

        /// Consumers per channel.
        consumers_max: usize = 65_536, reloads;
    }
}

settings! {
    /// The management API.
    pub struct ManagementConfig {
        /// Addresses and ports to serve RabbitMQ's management API on; `off` serves it nowhere.
        listen: Vec<SocketAddr> = Vec::new();

        /// Addresses and ports to serve it on over TLS (RabbitMQ's port is 15671), with tls.certificate; clients are
        /// not asked for theirs.
        tls_listen: Vec<SocketAddr> = Vec::new();

        /// The node's name there; by default lepus and the name of the machine.
        node_name: Option<String> = None;
    }
}

settings! {
    /// What Prometheus reads.
    pub struct PrometheusConfig {
        /// Addresses and ports to serve metrics on, without a login; `off` serves them nowhere.
        listen: Vec<SocketAddr> = Vec::new();

        /// Addresses and ports to serve them on over TLS (RabbitMQ's port is 15691), with tls.certificate.
        tls_listen: Vec<SocketAddr> = Vec::new();
    }
}

impl Config {
    /// The defaults of `lepus server`: unlike an embedded broker it keeps its data and can be managed.
    pub fn of_server() -> Self {
        let management = ManagementConfig {
            listen: vec![SocketAddr::from((Ipv4Addr::LOCALHOST, MANAGEMENT_PORT))],
            ..ManagementConfig::default()
        };
        let prometheus = PrometheusConfig {
            listen: vec![SocketAddr::from((Ipv4Addr::LOCALHOST, PROMETHEUS_PORT))],
            ..PrometheusConfig::default()
        };
        Self { data_dir: Some(PathBuf::from("data")), management, prometheus, ..Self::default() }
    }

    /// Takes over from `other` what a running broker can.
    pub fn take_over(&mut self, other: &Self) {
        let mut other = other.clone();
        for (field, other) in self.fields().into_iter().zip(other.fields()) {
            if field.meta.reloads {
                // What a setting shows can be set again; a test holds every one to that.
                let _ = field.value.set(&other.value.show(other.meta.unit), field.meta.unit);
            }
        }
    }

    /// Every setting.
    pub fn fields(&mut self) -> Vec<Field<'_>> {
        let mut fields = Vec::new();
        Section::fields(self, "", &mut fields);
        fields
    }
}

/// What a message survives once it is confirmed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// A loss of power: the disk has it.
    #[default]
    Fsync,
    /// The end of the process: the operating system has it.
    Os,
}

choices!(Durability { "fsync" => Fsync, "os" => Os });

/// How the broker presents itself (§1.4.2.1: server-properties).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Identity {
    /// As RabbitMQ: kombu, amqplib and the Java client choose semantics by product and version.
    #[default]
    RabbitMq,
    /// As Lepus.
    Lepus,
}

choices!(Identity { "rabbitmq" => RabbitMq, "lepus" => Lepus });

impl Identity {
    /// The `product` property.
    pub fn product(self) -> &'static str {
        match self {
            Self::RabbitMq => "RabbitMQ",
            Self::Lepus => "Lepus",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn no_two_settings_share_a_flag() {
        let mut config = Config::default();
        let fields = config.fields();
        let flags: BTreeSet<String> = fields.iter().map(|field| field.meta.flag()).collect();
        assert_eq!(flags.len(), fields.len());
    }

    #[test]
    fn what_a_setting_shows_can_be_set_again() {
        let mut config = Config::of_server();
        for field in config.fields() {
            let shown = field.value.show(field.meta.unit);
            assert_eq!(field.value.set(&shown, field.meta.unit), Ok(()), "{}", field.meta.key());
            assert_eq!(field.value.show(field.meta.unit), shown, "{}", field.meta.key());
        }
    }
}
