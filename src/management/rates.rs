//! Rates: every so often all counters are looked at, and what has changed since the last look is a rate.
//!
//! Only what has ever counted something is remembered. A look takes a handle of each queue at a time and no lock for
//! longer than a copy of its counters; with very many queues looks become rarer, so that they never take more than one
//! part in a hundred of a core.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use ahash::RandomState;
use lepus_protocol::ChannelId;
use parking_lot::Mutex;

use crate::broker::Broker;
use crate::broker::churn::QueueChurn;
use crate::broker::connections::{Churn, ConnectionEntry, Traffic};
use crate::clock::Timestamp;
use crate::id::{ConnectionId, EntityId};
use crate::metrics::MessageTally;
use crate::name::Name;
use crate::queue::{Counts, Queue};

/// Between two looks (RabbitMQ's `collect_statistics_interval`).
pub(super) const INTERVAL: Duration = Duration::from_secs(5);

/// What a look may cost of the time between two: one part in so many.
pub(super) const SHARE: u32 = 100;

/// Queues looked at before others get a turn on the thread.
const BATCH: usize = 1024;

/// Something that only grows, or a depth that goes up and down.
pub(super) trait Sample: Copy + Default + PartialEq {
    /// The difference to an earlier one.
    fn since(&self, earlier: &Self) -> Self;
}

impl Sample for MessageTally {
    fn since(&self, earlier: &Self) -> Self {
        Self::since(self, earlier)
    }
}

/// Messages in queues.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Depth {
    pub(super) ready: i64,
    pub(super) unacked: i64,
    pub(super) delayed: i64,
    /// Dead, and kept until their letters have arrived.
    pub(super) dead: i64,
}

impl Sample for Depth {
    fn since(&self, earlier: &Self) -> Self {
        Self {
            ready: self.ready - earlier.ready,
            unacked: self.unacked - earlier.unacked,
            delayed: self.delayed - earlier.delayed,
            dead: self.dead - earlier.dead,
        }
    }
}

impl Depth {
    pub(super) fn of(counts: Counts) -> Self {
        let count = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        Self {
            ready: count(counts.ready),
            unacked: count(counts.leased),
            delayed: count(counts.delayed),
            dead: count(counts.dead),
        }
    }

    /// Messages in whatever state.
    pub(super) fn all(&self) -> i64 {
        self.ready + self.unacked + self.delayed + self.dead
    }

    pub(super) fn add(&mut self, other: Self) {
        self.ready += other.ready;
        self.unacked += other.unacked;
        self.delayed += other.delayed;
        self.dead += other.dead;
    }
}

/// A queue, or all queues of a virtual host.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Messages {
    pub(super) tally: MessageTally,
    pub(super) depth: Depth,
}

impl Sample for Messages {
    fn since(&self, earlier: &Self) -> Self {
        Self { tally: self.tally.since(&earlier.tally), depth: self.depth.since(&earlier.depth) }
    }
}

/// Octets over a connection, or over all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Octets {
    pub(super) received: u64,
    pub(super) sent: u64,
}

impl Sample for Octets {
    fn since(&self, earlier: &Self) -> Self {
        Self {
            received: self.received.saturating_sub(earlier.received),
            sent: self.sent.saturating_sub(earlier.sent),
        }
    }
}

impl From<Traffic> for Octets {
    fn from(traffic: Traffic) -> Self {
        Self { received: traffic.received, sent: traffic.sent }
    }
}

impl Sample for QueueChurn {
    fn since(&self, earlier: &Self) -> Self {
        // A virtual host may have gone with what it counted.
        Self {
            declared: self.declared.saturating_sub(earlier.declared),
            created: self.created.saturating_sub(earlier.created),
            deleted: self.deleted.saturating_sub(earlier.deleted),
        }
    }
}

impl Sample for Churn {
    fn since(&self, earlier: &Self) -> Self {
        Self {
            connections_opened: self.connections_opened - earlier.connections_opened,
            connections_closed: self.connections_closed - earlier.connections_closed,
            channels_opened: self.channels_opened - earlier.channels_opened,
            channels_closed: self.channels_closed - earlier.channels_closed,
        }
    }
}

/// What changed between the last two looks, and how long that took.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Change<T> {
    pub(super) delta: T,
    pub(super) seconds: f64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Track<T> {
    last: T,
    delta: T,
}

type Tracks<K, T> = HashMap<K, Track<T>, RandomState>;

/// The last look.
#[derive(Debug, Default)]
struct Look {
    at: Timestamp,
    seconds: f64,
    queues: Tracks<EntityId, Messages>,
    exchanges: Tracks<EntityId, MessageTally>,
    channels: Tracks<(ConnectionId, ChannelId), MessageTally>,
    connections: Tracks<ConnectionId, Octets>,
    vhosts: Tracks<Name, Messages>,
    all: Track<Messages>,
    churn: Track<Churn>,
    queue_churn: Track<QueueChurn>,
}

/// What is known of rates.
#[derive(Debug)]
pub(super) struct Rates {
    last: Mutex<Look>,
}

impl Rates {
    pub(super) fn new(now: Timestamp) -> Self {
        Self { last: Mutex::new(Look { at: now, ..Look::default() }) }
    }

    /// Takes a look at everything.
    pub(super) async fn look(&self, broker: &Broker) {
        let mut next = Look { at: broker.clock.now(), ..Look::default() };
        self.look_at_vhosts(broker, &mut next).await;
        self.look_at_connections(broker, &mut next).await;
        let mut last = self.last.lock();
        next.all = follow(&last.all, next.all.last);
        next.churn = follow(&last.churn, broker.connections.churn());
        next.queue_churn = follow(&last.queue_churn, broker.queue_churn());
        let millis = next.at.millis_since(last.at);
        next.seconds = Duration::from_millis(millis).as_secs_f64();
        *last = next;
    }

    async fn look_at_vhosts(&self, broker: &Broker, next: &mut Look) {
        let tallies = broker.connections.tallies();
        for vhost in broker.vhosts() {
            let mut depth = Depth::default();
            for queues in vhost.queues().chunks(BATCH) {
                depth.add(self.look_at_queues(queues, next));
                tokio::task::yield_now().await;
            }
            let last = self.last.lock();
            for exchange in vhost.exchanges() {
                remember(&last.exchanges, &mut next.exchanges, exchange.id, exchange.tally.load());
            }
            let tally = tallies.get(&vhost.name).copied().unwrap_or_default();
            next.all.last.depth.add(depth);
            remember(&last.vhosts, &mut next.vhosts, vhost.name.clone(), Messages { tally, depth });
        }
        for tally in tallies.values() {
            next.all.last.tally.add(tally);
        }
    }

    /// Returns how much is in them.
    fn look_at_queues(&self, queues: &[Arc<Queue>], next: &mut Look) -> Depth {
        let last = self.last.lock();
        let mut all = Depth::default();
        for queue in queues {
            let report = queue.report();
            let depth = Depth::of(report.counts);
            all.add(depth);
            remember(&last.queues, &mut next.queues, queue.id, Messages { tally: report.tally, depth });
        }
        all
    }

    fn look_at_entries(&self, entries: &[Arc<ConnectionEntry>], next: &mut Look) {
        let last = self.last.lock();
        for entry in entries {
            remember(&last.connections, &mut next.connections, entry.id, entry.traffic().into());
            for (number, channel) in entry.channels() {
                remember(&last.channels, &mut next.channels, (entry.id, number), channel.tally());
            }
        }
    }

    async fn look_at_connections(&self, broker: &Broker, next: &mut Look) {
        for entries in broker.connections.list().chunks(BATCH) {
            self.look_at_entries(entries, next);
            tokio::task::yield_now().await;
        }
    }

    /// Forgets what was seen: the next look starts anew.
    pub(super) async fn forget(&self, broker: &Broker) {
        self.look(broker).await;
        self.last.lock().seconds = 0.0;
    }

    pub(super) fn queue(&self, id: EntityId) -> Change<Messages> {
        let last = self.last.lock();
        last.change(last.queues.get(&id))
    }

    pub(super) fn exchange(&self, id: EntityId) -> Change<MessageTally> {
        let last = self.last.lock();
        last.change(last.exchanges.get(&id))
    }

    pub(super) fn channel(&self, connection: ConnectionId, number: ChannelId) -> Change<MessageTally> {
        let last = self.last.lock();
        last.change(last.channels.get(&(connection, number)))
    }

    pub(super) fn connection(&self, id: ConnectionId) -> Change<Octets> {
        let last = self.last.lock();
        last.change(last.connections.get(&id))
    }

    pub(super) fn vhost(&self, name: &Name) -> Change<Messages> {
        let last = self.last.lock();
        last.change(last.vhosts.get(name))
    }

    pub(super) fn all(&self) -> Change<Messages> {
        let last = self.last.lock();
        last.change(Some(&last.all))
    }

    pub(super) fn queue_churn(&self) -> Change<QueueChurn> {
        let last = self.last.lock();
        last.change(Some(&last.queue_churn))
    }

    pub(super) fn churn(&self) -> Change<Churn> {
        let last = self.last.lock();
        last.change(Some(&last.churn))
    }
}

impl Look {
    fn change<T: Sample>(&self, track: Option<&Track<T>>) -> Change<T> {
        Change { delta: track.map(|track| track.delta).unwrap_or_default(), seconds: self.seconds }
    }
}

fn follow<T: Sample>(last: &Track<T>, sample: T) -> Track<T> {
    Track { last: sample, delta: sample.since(&last.last) }
}

/// What has never counted anything is not remembered, and what is not remembered has counted nothing.
fn remember<K: std::hash::Hash + Eq, T: Sample>(
    last: &Tracks<K, T>,
    next: &mut Tracks<K, T>,
    key: K,
    sample: T,
) {
    let before = last.get(&key).copied().unwrap_or_default();
    if sample != T::default() || before.last != T::default() {
        next.insert(key, follow(&before, sample));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_what_changed_since_the_last_look() {
        let (mut one, mut two) = (Tracks::default(), Tracks::default());
        let sample = |publish| MessageTally { publish, ..MessageTally::default() };
        remember(&Tracks::default(), &mut one, 7, sample(40));
        remember(&one, &mut two, 7, sample(100));
        assert_eq!(two[&7].delta.publish, 60);
        let look = Look { seconds: 5.0, ..Look::default() };
        assert_eq!(look.change(two.get(&7)), Change { delta: sample(60), seconds: 5.0 });
    }

    #[test]
    fn what_never_counted_is_not_remembered() {
        let mut tracks = Tracks::default();
        remember(&Tracks::default(), &mut tracks, 1, MessageTally::default());
        assert!(tracks.is_empty());
    }

    #[test]
    fn a_depth_may_fall() {
        let (now, before) =
            (Depth { ready: 1, unacked: 5, delayed: 2, dead: 3 }, Depth { ready: 4, ..Depth::default() });
        assert_eq!(now.since(&before), Depth { ready: -3, unacked: 5, delayed: 2, dead: 3 });
    }
}
