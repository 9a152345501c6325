//! What an operator sees of a queue: counts, consumers, leases.

use std::fmt;

use lepus_protocol::{ChannelId, FieldTable, ShortString};

use super::delayed::{Bookmark, DelayedPage};
use super::lease::Lease;
use super::{ConsumerId, Holder, Inner, Queue, Seq};
use crate::clock::Timestamp;
use crate::id::ConnectionId;
use crate::metrics::{DurationTally, MessageTally};

/// Which consumer of which channel subscribed.
#[derive(Clone, Debug)]
pub struct Origin {
    /// Its connection.
    pub connection: ConnectionId,
    /// Its channel.
    pub channel: ChannelId,
    /// Its tag, unique on the channel.
    pub tag: ShortString,
    /// The arguments of the subscription.
    pub arguments: FieldTable,
}

/// Counts of the moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Messages waiting.
    pub ready: usize,
    /// Messages leased to consumers and channels.
    pub leased: usize,
    /// Dead messages whose letters have not arrived.
    pub dead: usize,
    /// Messages that are not due yet.
    pub delayed: usize,
    /// Consumers.
    pub consumers: usize,
}

/// A queue at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Messages and consumers.
    pub counts: Counts,
    /// Whether an operator has paused it.
    pub is_paused: bool,
    /// What has happened to messages since the start.
    pub tally: MessageTally,
    /// Octets of memory that its messages take.
    pub memory: u64,
    /// Octets of the bodies that are ready.
    pub ready_octets: u64,
    /// When it was last used.
    pub idle_since: Timestamp,
    /// Since when the oldest ready message has been waiting, at the earliest; `None` if there is none.
    pub oldest_since: Option<Timestamp>,
    /// How long deliveries were held that have been settled.
    pub held: DurationTally,
    /// How long messages waited until they were given out for the first time.
    pub waited: DurationTally,
}

/// A consumer of a queue.
#[derive(Clone)]
pub struct Subscriber {
    /// Its number in the queue.
    pub id: ConsumerId,
    /// Whose it is.
    pub origin: std::sync::Arc<Origin>,
    /// Deliveries are settled as they are sent.
    pub no_ack: bool,
    /// Nobody else may consume.
    pub exclusive: bool,
    /// Unacknowledged deliveries it may hold; `None` is no limit.
    pub prefetch: Option<u32>,
    /// Unacknowledged deliveries it holds.
    pub leased: u32,
    /// How long it may hold one, in milliseconds; `None` is without end.
    pub lease_ms: Option<u64>,
    /// Whether it is served: of a queue with a single active consumer all others wait.
    pub active: bool,
}

/// A delivery lease: who holds which message, since when, until when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaseReport {
    /// The message's place.
    pub seq: Seq,
    /// Who holds it.
    pub holder: Holder,
    /// Since when.
    pub since: Timestamp,
    /// When it runs out, if ever.
    pub until: Option<Timestamp>,
    /// How often the message has been given out, this time included.
    pub deliveries: u32,
}

impl Queue {
    /// What the queue is at this moment.
    pub fn report(&self) -> Report {
        let inner = self.inner.lock();
        Report {
            counts: inner.counts(),
            is_paused: inner.consumers.is_on_hold(),
            tally: inner.tally,
            memory: inner.state.memory(),
            ready_octets: inner.state.ready_octets(),
            idle_since: inner.last_active,
            oldest_since: inner.state.oldest_ready().map(|seq| inner.ages.since(seq)),
            held: inner.held.tally(),
            waited: inner.waited.tally(),
        }
    }

    /// The consumers, in order of subscription.
    pub fn subscribers(&self) -> Vec<Subscriber> {
        self.inner.lock().consumers.list()
    }

    /// At most so many messages that are not due, `after` a bookmark or from the first one on. What it costs depends on
    /// how many are asked for, not on how many there are.
    pub fn delayed_page(&self, after: Option<Bookmark>, most: usize) -> DelayedPage {
        self.inner.lock().state.delayed_page(after, most)
    }

    /// Who holds which message, since when, until when, in order of the messages.
    pub fn leases(&self) -> Vec<LeaseReport> {
        let mut leases: Vec<LeaseReport> = {
            let inner = self.inner.lock();
            let lease_report = |lease: &Lease| LeaseReport {
                seq: lease.seq,
                holder: lease.holder,
                since: lease.since,
                until: inner.lease_end(lease),
                deliveries: lease.deliveries,
            };
            inner.state.leases().iter().map(lease_report).collect()
        };
        leases.sort_unstable_by_key(|lease| lease.seq);
        leases
    }
}

impl Inner {
    fn lease_end(&self, lease: &Lease) -> Option<Timestamp> {
        let limit_ms = match lease.holder {
            Holder::Consumer(id) => self.consumers.lease_limit(id),
            Holder::Get(_) => self.settings.lease_ms,
            Holder::Post => None,
        };
        limit_ms.map(|limit_ms| lease.since.plus_millis(limit_ms))
    }
}

impl fmt::Debug for Subscriber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscriber")
            .field("id", &self.id)
            .field("origin", &self.origin)
            .finish_non_exhaustive()
    }
}
