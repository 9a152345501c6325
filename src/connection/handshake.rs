//! From the protocol header to an open connection (§1.4, §2.2.4), without I/O.
//!
//! ```text
//!   client: protocol header                                 start-ok           tune-ok   open
//!   server:                  start (or 8 octets, close)               tune                     open-ok
//!   state:                   Started                  ----> Proposed    ----> Tuned     ----> Opened
//! ```

use std::net::IpAddr;
use std::sync::Arc;

use lepus_protocol::frame::FRAME_MAX_MIN;
use lepus_protocol::method::connection::{self, Method as ConnectionMethod};
use lepus_protocol::{FieldTable, FieldValue, Method, ReplyCode, ShortStr};

use crate::auth::{LoginError, User};
use crate::broker::{Broker, Vhost};
use crate::config::{ConnectionLimits, Identity};
use crate::exception::ConnectionException;
use crate::name::Name;

/// What RabbitMQ's extensions a server announces; all of them are honoured here.
const CAPABILITIES: &[&str] = &[
    "publisher_confirms",
    "exchange_exchange_bindings",
    "basic.nack",
    "consumer_cancel_notify",
    "connection.blocked",
    "consumer_priorities",
    "authentication_failure_close",
    "per_consumer_qos",
    "direct_reply_to",
];

/// What the handshake needs to know.
#[derive(Debug)]
pub(super) struct Terms<'a> {
    pub(super) broker: &'a Broker,
    pub(super) limits: &'a ConnectionLimits,
    pub(super) identity: Identity,
    pub(super) rabbitmq_version: &'a str,
    pub(super) peer: IpAddr,
}

/// What is expected next.
#[derive(Debug)]
pub(super) enum Handshake {
    /// connection.start-ok.
    Started,
    /// connection.tune-ok.
    Proposed { client: Client },
    /// connection.open.
    Tuned { client: Client, tuning: Tuning },
}

/// Who connects.
#[derive(Clone, Debug)]
pub(super) struct Client {
    pub(super) user: Arc<User>,
    pub(super) properties: FieldTable,
    /// The SASL mechanism of the login.
    pub(super) mechanism: String,
}

/// The limits agreed on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tuning {
    pub(super) channel_max: u16,
    pub(super) frame_max: u32,
    /// Seconds; 0 is none.
    pub(super) heartbeat: u16,
}

/// The handshake is over.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) client: Client,
    pub(super) tuning: Tuning,
    pub(super) vhost: Arc<Vhost>,
}

/// What follows from a method.
#[derive(Debug)]
pub(super) enum Step {
    /// Send the answer, if there is one, and go on.
    Continue(Handshake, Option<Method<'static>>),
    /// The connection may be used once open-ok is sent.
    Done(Opened),
}

/// Why there will be no connection.
#[derive(Debug)]
pub(super) enum Refusal {
    /// Told with connection.close.
    Exception(ConnectionException),
    /// The client cannot take a close at this point: silence, then the socket is closed (RabbitMQ).
    Silent,
}

/// connection.start (§1.4.2.1).
pub(super) fn start(terms: &Terms<'_>) -> Method<'static> {
    Method::from(connection::Start {
        version_major: 0,
        version_minor: 9,
        server_properties: server_properties(terms),
        mechanisms: terms.broker.authority.mechanisms().as_bytes(),
        locales: b"en_US",
    })
}

fn server_properties(terms: &Terms<'_>) -> FieldTable {
    let version = match terms.identity {
        Identity::RabbitMq => terms.rabbitmq_version,
        Identity::Lepus => env!("CARGO_PKG_VERSION"),
    };
    let mut capabilities = FieldTable::new();
    for capability in CAPABILITIES {
        capabilities.insert(capability, true);
    }
    let mut properties = FieldTable::new();
    properties.insert("capabilities", capabilities);
    properties.insert("cluster_name", "lepus");
    properties.insert("copyright", "Copyright the authors of Lepus");
    properties
        .insert("information", concat!("Lepus ", env!("CARGO_PKG_VERSION"), ". Licensed under Apache-2.0."));
    properties.insert("platform", concat!("Lepus ", env!("CARGO_PKG_VERSION")));
    properties.insert("product", terms.identity.product());
    properties.insert("version", version);
    properties
}

impl Handshake {
    /// Takes the client's next method.
    pub(super) fn on_method(self, method: ConnectionMethod<'_>, terms: &Terms<'_>) -> Result<Step, Refusal> {
        match (self, method) {
            (Self::Started, ConnectionMethod::StartOk(start_ok)) => on_start_ok(start_ok, terms),
            (Self::Proposed { client }, ConnectionMethod::TuneOk(tune_ok)) => {
                let tuning = agree(&tune_ok, terms.limits)?;
                Ok(Step::Continue(Self::Tuned { client, tuning }, None))
            }
            (Self::Tuned { client, tuning }, ConnectionMethod::Open(open)) => {
                let vhost = find_vhost(&open, &client, terms)?;
                Ok(Step::Done(Opened { client, tuning, vhost }))
            }
            (_, _) => {
                Err(ConnectionException::new(ReplyCode::COMMAND_INVALID, "unimplemented method").into())
            }
        }
    }
}

fn on_start_ok(start_ok: connection::StartOk<'_>, terms: &Terms<'_>) -> Result<Step, Refusal> {
    let login = terms.broker.authority.login(start_ok.mechanism, start_ok.response, terms.peer);
    let user = login.map_err(|error| refuse_login(&error, &start_ok))?;
    let limits = terms.limits;
    let tune = Method::from(connection::Tune {
        channel_max: limits.channel_max,
        frame_max: limits.frame_max,
        heartbeat: limits.heartbeat,
    });
    let mechanism = start_ok.mechanism.to_string();
    let client = Client { user, properties: start_ok.client_properties, mechanism };
    Ok(Step::Continue(Handshake::Proposed { client }, Some(tune)))
}

fn refuse_login(error: &LoginError, start_ok: &connection::StartOk<'_>) -> Refusal {
    let mechanism = start_ok.mechanism;
    match error {
        LoginError::UnknownMechanism => Refusal::Exception(ConnectionException::new(
            ReplyCode::COMMAND_INVALID,
            format_args!("unknown authentication mechanism '{mechanism}'"),
        )),
        LoginError::Refused(reason) => {
            tracing::warn!(%mechanism, reason, "login refused");
            if has_capability(&start_ok.client_properties, "authentication_failure_close") {
                Refusal::Exception(ConnectionException::new(
                    ReplyCode::ACCESS_REFUSED,
                    format_args!(
                        "Login was refused using authentication mechanism {mechanism}. For details see the broker \
                         logfile."
                    ),
                ))
            } else {
                Refusal::Silent
            }
        }
    }
}

/// Whether the client announced this among its capabilities.
pub(super) fn has_capability(client_properties: &FieldTable, capability: &str) -> bool {
    let capabilities = client_properties.get("capabilities").and_then(FieldValue::as_table);
    capabilities.and_then(|table| table.get(capability)).and_then(FieldValue::as_bool).unwrap_or(false)
}

/// §1.4.2.6: the client may lower the limits, not raise them. RabbitMQ's texts.
fn agree(tune_ok: &connection::TuneOk, limits: &ConnectionLimits) -> Result<Tuning, Refusal> {
    check_limit("frame_max", tune_ok.frame_max, FRAME_MAX_MIN, limits.frame_max)?;
    check_limit("channel_max", tune_ok.channel_max.into(), 1, limits.channel_max.into())?;
    Ok(Tuning {
        channel_max: tune_ok.channel_max,
        frame_max: tune_ok.frame_max,
        heartbeat: tune_ok.heartbeat,
    })
}

fn check_limit(field: &str, client: u32, min: u32, max: u32) -> Result<(), Refusal> {
    let (than, bound) = if client != 0 && client < min {
        ("lower than the minimum", min)
    } else if max != 0 && (client == 0 || client > max) {
        ("higher than the maximum", max)
    } else {
        return Ok(());
    };
    let detail = if field == "channel_max" && client == 0 { " (no limit)" } else { "" };
    let text = format!("negotiated {field} = {client}{detail} is {than} allowed value ({bound})");
    Err(ConnectionException::new(ReplyCode::NOT_ALLOWED, text).into())
}

fn find_vhost(
    open: &connection::Open<'_>,
    client: &Client,
    terms: &Terms<'_>,
) -> Result<Arc<Vhost>, Refusal> {
    let not_allowed = |text: String| Refusal::from(ConnectionException::new(ReplyCode::NOT_ALLOWED, text));
    let name = open.virtual_host;
    let vhost = name.as_str().and_then(|name| terms.broker.vhost(name));
    let vhost = vhost.ok_or_else(|| not_allowed(format!("vhost {name} not found")))?;
    if !client.user.may_open(&vhost.name) {
        let user = &client.user.name;
        return Err(not_allowed(format!("access to vhost '{}' refused for user '{user}'", vhost.name)));
    }
    Ok(vhost)
}

impl Client {
    /// The name that the client gave its connection (RabbitMQ), cut to a sensible length for the log.
    pub(super) fn connection_name(&self) -> Option<Name> {
        let name = self.properties.get("connection_name").and_then(FieldValue::as_str)?;
        ShortStr::truncated(name).as_str().map(Name::from)
    }
}

impl From<ConnectionException> for Refusal {
    fn from(exception: ConnectionException) -> Self {
        Self::Exception(exception)
    }
}
