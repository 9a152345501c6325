//! A connection: one socket, one reader, one writer, up to 2,047 channels.
//!
//! ```text
//!   serve()  accept -> greet (handshake) -> Connection::run -> end
//!   run()    read what is there -> every frame, without an await in between -> flush confirms, wake the writer -> wait
//! ```
//!
//! Errors end exactly what their type says: a channel exception closes its channel, a connection exception this
//! connection, and neither touches another one.

mod frames;
mod greet;
mod handshake;
mod input;
mod renewal;
mod run;
mod writer;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ahash::RandomState;
use lepus_protocol::method::connection;
use lepus_protocol::{ChannelId, ClassId, Method, MethodId, ShortStr};
use parking_lot::RwLock;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, info_span};

use crate::broker::connections::ConnectionFacts;
use crate::broker::{Broker, Session};
use crate::channel::{Channel, Context, Departure, Holdings};
use crate::clock::Timestamp;
use crate::config::{ConnectionLimits, Identity};
use crate::exception::ConnectionException;
use crate::id::ConnectionId;
use crate::outbound::Outbound;
use crate::tls;

use handshake::{Opened, Tuning, has_capability};
use input::Input;
use renewal::Renewal;

/// How long a peer may take to answer connection.close before the socket is closed anyway.
const CLOSE_OK_TIMEOUT: Duration = Duration::from_secs(10);

/// What connections need besides their socket.
#[derive(Debug)]
pub struct Settings {
    /// The broker.
    pub broker: Arc<Broker>,
    /// Limits of each connection that comes; those that are open keep theirs.
    pub limits: RwLock<Arc<ConnectionLimits>>,
    /// How the broker presents itself.
    pub identity: Identity,
    /// The version that it presents as RabbitMQ.
    pub rabbitmq_version: String,
    /// Cancelled when the broker stops: clients get connection.close 320.
    pub stopping: CancellationToken,
}

impl Settings {
    /// The limits for a connection that comes now.
    pub fn limits(&self) -> Arc<ConnectionLimits> {
        Arc::clone(&self.limits.read())
    }

    /// Other limits for connections from here on.
    pub fn set_limits(&self, limits: ConnectionLimits) {
        *self.limits.write() = Arc::new(limits);
    }
}

/// The two ends of a socket.
#[derive(Clone, Debug)]
pub struct Ends {
    /// Where the client is.
    pub peer: SocketAddr,
    /// The address that it reached.
    pub local: SocketAddr,
    /// What was agreed on, if they speak TLS.
    pub tls: Option<Arc<tls::Secured>>,
}

/// Serves one connection until it ends.
pub async fn serve<R, W>(reader: R, writer: W, ends: Ends, settings: Arc<Settings>)
where
    R: AsyncRead + Unpin + Send,
    W: AsyncWrite + Unpin + Send + 'static,
{
    let id = settings.broker.next_connection();
    let peer = ends.peer;
    let span = info_span!(
        "connection",
        id = %id,
        %peer,
        vhost = tracing::field::Empty,
        user = tracing::field::Empty,
        name = tracing::field::Empty,
    );
    async {
        let mut input = Input::new(reader);
        let mut writer = writer;
        let limits = settings.limits();
        let greeted = greet::greet(&mut input, &mut writer, &ends, &settings, &limits).await;
        let Some(opened) = greeted else { return };
        let span = tracing::Span::current();
        span.record("vhost", tracing::field::display(&opened.vhost.name));
        span.record("user", tracing::field::display(&opened.client.user.name));
        if let Some(name) = opened.client.connection_name() {
            span.record("name", tracing::field::display(name));
        }
        tracing::info!("connection opened");
        Connection::new(id, opened, ends, settings, &limits).run(input, writer).await;
    }
    .instrument(span)
    .await;
}

/// A connection that is open.
struct Connection {
    settings: Arc<Settings>,
    context: Arc<Context>,
    outbound: Arc<Outbound>,
    tuning: Tuning,
    channels: HashMap<ChannelId, Slot, RandomState>,
    /// Channels that did something with messages since the last flush.
    active: Vec<ChannelId>,
    /// The channel that has gathered something that is not given to queues yet.
    running: Option<ChannelId>,
    /// Whether it ever published: only publishers are blocked by an alarm (RabbitMQ).
    publishes: bool,
    /// The client understands connection.blocked.
    notify_blocked: bool,
    /// The client has sent another secret, which is not answered yet.
    renewal: Option<Renewal>,
}

/// A channel number in use.
enum Slot {
    Open(Box<Channel>),
    /// channel.close has been sent: everything but close and close-ok is ignored (§1.5.2.5).
    Closing,
}

/// What a batch of frames led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Continue,
    /// Too many answers wait to be read: the rest of the frames must wait too.
    Paused,
    /// A frame asks for a message that is being read: it and the rest must wait, and it is carried out again.
    Again,
    /// The client sent connection.close.
    ClosedByClient,
}

/// A connection exception and the method that it is about (0, 0 if none).
#[derive(Debug)]
struct Failure {
    exception: ConnectionException,
    class: ClassId,
    method: MethodId,
}

impl Connection {
    fn new(
        id: ConnectionId,
        opened: Opened,
        ends: Ends,
        settings: Arc<Settings>,
        limits: &Arc<ConnectionLimits>,
    ) -> Self {
        let outbound = Arc::new(Outbound::new());
        let facts = facts(&opened, ends, settings.broker.clock.now());
        let entry = settings.broker.connections.enter(id, facts, Arc::clone(&outbound));
        let capability = |name| has_capability(&opened.client.properties, name);
        let notify_cancel = capability("consumer_cancel_notify");
        let notify_blocked = capability("connection.blocked");
        let context = Context {
            session: Session::new(
                (opened.vhost, Some(opened.seat)),
                opened.client.user,
                Arc::clone(&settings.broker.authority.accounts),
                id,
            ),
            entry,
            outbound: Arc::clone(&outbound),
            frame_max: opened.tuning.frame_max,
            clock: settings.broker.clock,
            limits: Arc::clone(limits),
            holdings: Holdings::new(limits.message_size_max),
            notify_cancel,
            overdue: Arc::default(),
        };
        settings.broker.recheck(&context.entry, &context.session);
        Self {
            settings,
            context: Arc::new(context),
            outbound,
            tuning: opened.tuning,
            channels: HashMap::default(),
            active: Vec::new(),
            running: None,
            publishes: false,
            notify_blocked,
            renewal: None,
        }
    }

    fn now(&self) -> Timestamp {
        self.context.clock.now()
    }

    fn send<'m>(&self, method: impl Into<Method<'m>>) {
        let method = method.into();
        self.outbound.append(|frames| method.encode(ChannelId::CONNECTION, frames));
    }

    /// connection.close (§1.4.2.9).
    fn send_close(&self, failure: &Failure) {
        self.send(connection::Close {
            reply_code: failure.exception.code(),
            reply_text: ShortStr::truncated(failure.exception.text()),
            class_id: failure.class,
            method_id: failure.method,
        });
        self.outbound.wake();
    }

    /// Closes all channels and gives up what belongs to the connection. Doing it twice changes nothing.
    fn tear_down(&mut self) {
        let now = self.now();
        let mut channels: Vec<_> = self.channels.drain().collect();
        channels.sort_unstable_by_key(|(id, _)| *id);
        let mut departure = Departure::default();
        for (_, slot) in channels {
            if let Slot::Open(channel) = slot {
                channel.leave(&mut departure, now);
            }
        }
        departure.complete(&self.context.session, now);
        self.context.session.end(now);
        self.settings.broker.connections.leave(self.context.entry.id);
    }
}

/// What others see of the connection.
fn facts(opened: &Opened, ends: Ends, since: Timestamp) -> ConnectionFacts {
    ConnectionFacts {
        peer: ends.peer,
        local: ends.local,
        tls: ends.tls,
        user: opened.client.user.name.clone(),
        vhost: opened.vhost.name.clone(),
        properties: opened.client.properties.clone(),
        mechanism: opened.client.mechanism.clone(),
        channel_max: opened.tuning.channel_max,
        frame_max: opened.tuning.frame_max,
        heartbeat: opened.tuning.heartbeat,
        since,
    }
}

/// Whatever ends the task, leases go back and exclusive queues go.
impl Drop for Connection {
    fn drop(&mut self) {
        self.tear_down();
        self.outbound.close_now();
    }
}
