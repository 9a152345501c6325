//! Who is connected: what an operator sees of connections and their channels, and how one is closed from outside.
//!
//! A connection enters itself when it is open and leaves when it ends; its channels likewise. Nobody who looks on holds
//! a lock for longer than it takes to copy handles.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use lepus_protocol::{ChannelId, DeliveryTag, FieldTable, FieldValue};
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use crate::clock::Timestamp;
use crate::id::{ConnectionId, EntityId};
use crate::metrics::{DurationTally, MessageTally, SharedDurations, SharedSizes};
use crate::name::Name;
use crate::outbound::Outbound;
use crate::queue::LeaseRef;
use crate::tls;

/// All connections.
#[derive(Debug, Default)]
pub struct Connections {
    inner: Mutex<Inner>,
    sizes: Arc<SharedSizes>,
    confirm_waits: Arc<SharedDurations>,
}

#[derive(Debug, Default)]
struct Inner {
    open: BTreeMap<ConnectionId, Arc<ConnectionEntry>>,
    /// What channels of connections that have ended counted, by virtual host.
    ended: HashMap<Name, MessageTally>,
    churn: Churn,
}

/// How many came and went since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Churn {
    /// Connections that were opened.
    pub connections_opened: u64,
    /// Connections that have ended.
    pub connections_closed: u64,
    /// Channels that were opened.
    pub channels_opened: u64,
    /// Channels that have ended.
    pub channels_closed: u64,
}

/// What does not change while a connection is open.
#[derive(Clone, Debug)]
pub struct ConnectionFacts {
    /// Where the client is.
    pub peer: SocketAddr,
    /// The address that it reached.
    pub local: SocketAddr,
    /// What was agreed on, if they speak TLS.
    pub tls: Option<Arc<tls::Secured>>,
    /// Who logged in.
    pub user: Name,
    /// The virtual host.
    pub vhost: Name,
    /// What the client says of itself (§1.4.2.2).
    pub properties: FieldTable,
    /// The SASL mechanism of the login.
    pub mechanism: String,
    /// Highest channel number (negotiated).
    pub channel_max: u16,
    /// Octets of the largest frame (negotiated).
    pub frame_max: u32,
    /// Seconds between heartbeats (negotiated); 0 is none.
    pub heartbeat: u16,
    /// Since when it is open.
    pub since: Timestamp,
}

/// A connection as others see it.
pub struct ConnectionEntry {
    /// Its number.
    pub id: ConnectionId,
    /// What does not change.
    pub facts: ConnectionFacts,
    /// Of messages from all connections.
    pub sizes: Arc<SharedSizes>,
    /// How long publishers of all connections waited for confirms.
    pub confirm_waits: Arc<SharedDurations>,
    outbound: Arc<Outbound>,
    received: AtomicU64,
    reads: AtomicU64,
    blocked: AtomicBool,
    channels: Mutex<Channels>,
    closing: CancellationToken,
    /// Why it is to close.
    reason: OnceLock<String>,
}

#[derive(Default)]
struct Channels {
    open: BTreeMap<ChannelId, Arc<dyn Observed>>,
    /// What channels counted that have ended.
    ended: MessageTally,
    opened: u64,
}

/// Octets that went over a connection since it is open, and in how many reads and writes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Octets received.
    pub received: u64,
    /// Reads that brought them.
    pub reads: u64,
    /// Octets sent.
    pub sent: u64,
    /// Writes that took them.
    pub writes: u64,
    /// Octets that wait to be sent.
    pub pending: u64,
}

/// A channel as others see it.
pub trait Observed: Send + Sync {
    /// What it is at the moment.
    fn report(&self) -> ChannelReport;

    /// What it has counted.
    fn tally(&self) -> MessageTally;

    /// Unsettled deliveries from `queue` with tags above `after`, in order; at most `max` are looked at. With the tag
    /// to go on after, unless that was all.
    fn held_of(&self, queue: EntityId, after: DeliveryTag, max: usize) -> (Vec<Held>, Option<DeliveryTag>);
}

/// An unsettled delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// The lease, as its queue knows it.
    pub lease: LeaseRef,
    /// The delivery's number on the channel.
    pub tag: DeliveryTag,
}

/// A channel at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ChannelReport {
    /// Deliveries each new consumer may hold; 0 is no limit.
    pub prefetch: u32,
    /// Deliveries that the channel may hold in all; 0 is no limit.
    pub global_prefetch: u64,
    /// Consumers.
    pub consumers: usize,
    /// Deliveries that are not settled.
    pub unacked: usize,
    /// Publishes that are not confirmed.
    pub unconfirmed: u64,
    /// Publishes that wait for a commit.
    pub uncommitted: u64,
    /// Settlements that wait for a commit.
    pub acks_uncommitted: u64,
    /// Whether publishes are confirmed.
    pub confirms: bool,
    /// Whether it works in transactions.
    pub transactional: bool,
    /// When it last did something.
    pub idle_since: Timestamp,
}

impl Connections {
    /// A connection is open.
    pub fn enter(
        &self,
        id: ConnectionId,
        facts: ConnectionFacts,
        outbound: Arc<Outbound>,
    ) -> Arc<ConnectionEntry> {
        let entry = Arc::new(ConnectionEntry {
            id,
            facts,
            sizes: Arc::clone(&self.sizes),
            confirm_waits: Arc::clone(&self.confirm_waits),
            outbound,
            received: AtomicU64::new(0),
            reads: AtomicU64::new(0),
            blocked: AtomicBool::new(false),
            channels: Mutex::default(),
            closing: CancellationToken::new(),
            reason: OnceLock::new(),
        });
        let mut inner = self.inner.lock();
        inner.churn.connections_opened += 1;
        inner.open.insert(id, Arc::clone(&entry));
        entry
    }

    /// A connection has ended, and its channels before it. Doing it twice changes nothing.
    pub fn leave(&self, id: ConnectionId) {
        let mut inner = self.inner.lock();
        let Some(entry) = inner.open.remove(&id) else { return };
        let (counted, opened, open) = {
            let channels = entry.channels.lock();
            (channels.total(), channels.opened, channels.open.len() as u64)
        };
        inner.ended.entry(entry.facts.vhost.clone()).or_default().add(&counted);
        inner.churn.connections_closed += 1;
        inner.churn.channels_opened += opened;
        inner.churn.channels_closed += opened;
        debug_assert_eq!(open, 0, "channels leave before their connection");
    }

    /// All connections, in order of their arrival.
    pub fn list(&self) -> Vec<Arc<ConnectionEntry>> {
        self.inner.lock().open.values().map(Arc::clone).collect()
    }

    /// Closes the connections that `which` chooses: their clients are sent connection.close 320 with `reason`.
    pub fn close_where(&self, reason: &str, which: impl Fn(&ConnectionFacts) -> bool) {
        for entry in self.list() {
            if which(&entry.facts) {
                entry.close(reason.to_owned());
            }
        }
    }

    /// How many connections there are.
    pub fn len(&self) -> usize {
        self.inner.lock().open.len()
    }

    /// Whether nobody is connected.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The connection of this number.
    pub fn get(&self, id: ConnectionId) -> Option<Arc<ConnectionEntry>> {
        self.inner.lock().open.get(&id).map(Arc::clone)
    }

    /// The connection of this name; the oldest if several have it.
    pub fn named(&self, name: &str) -> Option<Arc<ConnectionEntry>> {
        self.list().into_iter().find(|entry| entry.name() == name)
    }

    /// Sizes of the messages that have come since the start.
    pub fn sizes(&self) -> &SharedSizes {
        &self.sizes
    }

    /// How long publishers have waited for confirms since the start.
    pub fn confirm_waits(&self) -> DurationTally {
        self.confirm_waits.load()
    }

    /// What channels have counted since the start, by virtual host.
    pub fn tallies(&self) -> HashMap<Name, MessageTally> {
        let (mut tallies, open) = {
            let inner = self.inner.lock();
            (inner.ended.clone(), inner.open.values().map(Arc::clone).collect::<Vec<_>>())
        };
        for entry in open {
            let counted = entry.channels.lock().total();
            tallies.entry(entry.facts.vhost.clone()).or_default().add(&counted);
        }
        tallies
    }

    /// How many came and went.
    pub fn churn(&self) -> Churn {
        let (mut churn, open) = {
            let inner = self.inner.lock();
            (inner.churn, inner.open.values().map(Arc::clone).collect::<Vec<_>>())
        };
        for entry in open {
            let channels = entry.channels.lock();
            churn.channels_opened += channels.opened;
            churn.channels_closed += channels.opened - channels.open.len() as u64;
        }
        churn
    }
}

impl ConnectionEntry {
    /// RabbitMQ's name of a connection: where it comes from and where it goes.
    pub fn name(&self) -> String {
        format!("{} -> {}", self.facts.peer, self.facts.local)
    }

    /// The name that the client gave it.
    pub fn client_name(&self) -> Option<&str> {
        self.facts.properties.get("connection_name").and_then(FieldValue::as_str)
    }

    /// Closes the connection: its client is sent connection.close 320 with `reason`.
    pub fn close(&self, reason: String) {
        let _the_first_reason_counts = self.reason.set(reason);
        self.closing.cancel();
    }

    /// Waits until somebody wants the connection closed, and says why.
    pub async fn closing(&self) -> &str {
        self.closing.cancelled().await;
        self.unwanted().unwrap_or_default()
    }

    /// Why it is to be closed, if somebody wants that.
    pub fn unwanted(&self) -> Option<&str> {
        self.closing.is_cancelled().then(|| self.reason.get().map_or("", String::as_str))
    }

    /// Octets have come.
    pub fn on_read(&self, octets: usize) {
        self.received.fetch_add(octets as u64, Ordering::Relaxed);
        self.reads.fetch_add(1, Ordering::Relaxed);
    }

    /// An alarm keeps the connection from being read, or does so no more.
    pub fn set_blocked(&self, blocked: bool) {
        self.blocked.store(blocked, Ordering::Relaxed);
    }

    /// Whether an alarm keeps it from being read.
    pub fn is_blocked(&self) -> bool {
        self.blocked.load(Ordering::Relaxed)
    }

    /// Octets so far.
    pub fn traffic(&self) -> Traffic {
        let sent = self.outbound.sent();
        Traffic {
            received: self.received.load(Ordering::Relaxed),
            reads: self.reads.load(Ordering::Relaxed),
            sent: sent.octets,
            writes: sent.writes,
            pending: sent.pending,
        }
    }

    /// A channel is open.
    pub fn enter_channel(&self, id: ChannelId, channel: Arc<dyn Observed>) {
        let mut channels = self.channels.lock();
        channels.opened += 1;
        channels.open.insert(id, channel);
    }

    /// A channel has ended.
    pub fn leave_channel(&self, id: ChannelId) {
        let mut channels = self.channels.lock();
        if let Some(channel) = channels.open.remove(&id) {
            channels.ended.add(&channel.tally());
        }
    }

    /// The channels by number.
    pub fn channels(&self) -> Vec<(ChannelId, Arc<dyn Observed>)> {
        self.channels.lock().open.iter().map(|(id, channel)| (*id, Arc::clone(channel))).collect()
    }

    /// How many channels there are.
    pub fn channel_count(&self) -> usize {
        self.channels.lock().open.len()
    }
}

impl Channels {
    fn total(&self) -> MessageTally {
        let mut total = self.ended;
        for channel in self.open.values() {
            total.add(&channel.tally());
        }
        total
    }
}

impl fmt::Debug for ConnectionEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectionEntry")
            .field("id", &self.id)
            .field("facts", &self.facts)
            .finish_non_exhaustive()
    }
}
