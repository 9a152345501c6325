//! From the protocol header to an open connection (§1.4, §2.2.4), without I/O.
//!
//! ```text
//!   client: protocol header                                 start-ok               tune-ok   open
//!   server:                  start (or 8 octets, close)               check, tune                  open-ok
//!   state:                   Started                  ---->               Proposed ---> Tuned ---> Opened
//! ```

use std::sync::Arc;

use lepus_protocol::frame::FRAME_MAX_MIN;
use lepus_protocol::method::connection::{self, Method as ConnectionMethod};
use lepus_protocol::{FieldTable, FieldValue, Method, ReplyCode, ShortStr, ShortString};

use crate::auth::{Arrival, Claim, LoginError, User};
use crate::broker::{Broker, Seat, Vhost};
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
    pub(super) arrival: Arrival,
}

/// What the client said of itself, until it is known who it is.
#[derive(Debug)]
pub(super) struct Introduction {
    mechanism: ShortString,
    properties: FieldTable,
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
    pub(super) seat: Seat,
}

/// What follows from a method.
#[derive(Debug)]
pub(super) enum Step {
    /// Go on.
    Continue(Handshake),
    /// Check who the client is, then ask [`Introduction::checked`].
    Check(Claim, Introduction),
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
        mechanisms: terms.broker.authority.mechanisms(terms.arrival.certified.is_some()).as_bytes(),
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
                Ok(Step::Continue(Self::Tuned { client, tuning }))
            }
            (Self::Tuned { client, tuning }, ConnectionMethod::Open(open)) => {
                let vhost = open.virtual_host.to_string();
                let (vhost, seat) = terms.broker.admit(&client.user, &vhost)?;
                Ok(Step::Done(Opened { client, tuning, vhost, seat }))
            }
            (_, _) => {
                Err(ConnectionException::new(ReplyCode::COMMAND_INVALID, "unimplemented method").into())
            }
        }
    }
}

fn on_start_ok(start_ok: connection::StartOk<'_>, terms: &Terms<'_>) -> Result<Step, Refusal> {
    let connection::StartOk { client_properties: properties, mechanism, response, .. } = start_ok;
    match terms.broker.authority.claim(mechanism, response, &terms.arrival) {
        Ok(claim) => Ok(Step::Check(claim, Introduction { mechanism: mechanism.to_owned(), properties })),
        Err(error) => Err(refuse_login(&error, mechanism, &properties)),
    }
}

impl Introduction {
    /// The claim was true, or was not. Returns what follows and the answer.
    pub(super) fn checked(
        self,
        login: Result<Arc<User>, LoginError>,
        limits: &ConnectionLimits,
    ) -> Result<(Handshake, Method<'static>), Refusal> {
        let Self { mechanism, properties } = self;
        let user = login.map_err(|error| refuse_login(&error, mechanism.as_short_str(), &properties))?;
        let tune = Method::from(connection::Tune {
            channel_max: limits.channel_max,
            frame_max: limits.frame_max,
            heartbeat: limits.heartbeat,
        });
        let client = Client { user, properties, mechanism: mechanism.to_string() };
        Ok((Handshake::Proposed { client }, tune))
    }
}

fn refuse_login(error: &LoginError, mechanism: ShortStr<'_>, properties: &FieldTable) -> Refusal {
    match error {
        LoginError::UnknownMechanism => Refusal::Exception(ConnectionException::new(
            ReplyCode::COMMAND_INVALID,
            format_args!("unknown authentication mechanism '{mechanism}'"),
        )),
        LoginError::Refused(reason) => {
            tracing::warn!(%mechanism, reason, "login refused");
            if has_capability(properties, "authentication_failure_close") {
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
