//! Queues, connections, channels and exchanges: their sums, or each of them.

use std::sync::Arc;

use super::own;
use super::text::{Kind, Text};
use crate::broker::Vhost;
use crate::broker::connections::{ConnectionEntry, Observed};
use crate::clock::Timestamp;
use crate::management::api::Api;
use crate::management::view::channel::name as channel_name;
use crate::metrics::DurationTally;
use crate::queue::{Queue, Report};
use lepus_protocol::ChannelId;

/// Objects written before others get a turn on the thread.
const BATCH: usize = 256;

/// RabbitMQ's names of groups of metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    QueueCoarse,
    QueueConsumers,
    QueueMetrics,
    QueueDelivery,
    /// Ours: how long deliveries are held and messages wait. Thirty-four lines for each queue, so only for who asks.
    QueueLeases,
    ConnectionCoarse,
    ConnectionMetrics,
    ChannelMetrics,
    ChannelProcess,
    Exchange,
    VhostStatus,
}

impl Family {
    const ALL: [(&'static str, Self); 11] = [
        ("queue_coarse_metrics", Self::QueueCoarse),
        ("queue_consumer_count", Self::QueueConsumers),
        ("queue_metrics", Self::QueueMetrics),
        ("queue_delivery_metrics", Self::QueueDelivery),
        ("queue_lease_metrics", Self::QueueLeases),
        ("connection_coarse_metrics", Self::ConnectionCoarse),
        ("connection_metrics", Self::ConnectionMetrics),
        ("channel_metrics", Self::ChannelMetrics),
        ("channel_queue_exchange_metrics", Self::ChannelProcess),
        ("exchange_metrics", Self::Exchange),
        ("vhost_status", Self::VhostStatus),
    ];

    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(known, _)| *known == name).map(|(_, family)| *family)
    }
}

/// Which families of which virtual hosts.
#[derive(Debug)]
pub(super) struct Selection {
    pub(super) families: Vec<Family>,
    /// None named means all.
    pub(super) vhosts: Vec<String>,
}

impl Selection {
    pub(super) fn nothing() -> Self {
        Self { families: Vec::new(), vhosts: Vec::new() }
    }

    pub(super) fn everything() -> Self {
        let families = Family::ALL.iter().map(|(_, family)| *family);
        Self {
            families: families.filter(|family| *family != Family::QueueLeases).collect(),
            vhosts: Vec::new(),
        }
    }

    fn has(&self, family: Family) -> bool {
        self.families.contains(&family)
    }

    fn has_vhost(&self, name: &str) -> bool {
        self.vhosts.is_empty() || self.vhosts.iter().any(|wanted| wanted == name)
    }
}

/// A value of a queue: name, kind, help, where it stands.
type QueueMetric = (Family, &'static str, Kind, &'static str, fn(&Report) -> u64);

const QUEUE_METRICS: &[QueueMetric] = &[
    (
        Family::QueueCoarse,
        "queue_messages_ready",
        Kind::Gauge,
        "Messages ready to be delivered to consumers",
        |of| of.counts.ready as u64,
    ),
    (
        Family::QueueCoarse,
        "queue_messages_unacked",
        Kind::Gauge,
        "Messages delivered to consumers but not yet acknowledged",
        |of| of.counts.leased as u64,
    ),
    (
        Family::QueueCoarse,
        "queue_messages_delayed",
        Kind::Gauge,
        "Messages that are not due yet, or to be retried later",
        |of| of.counts.delayed as u64,
    ),
    (
        Family::QueueCoarse,
        "queue_messages_dlx",
        Kind::Gauge,
        "Dead messages that are kept until their dead letters have arrived",
        |of| of.counts.dead as u64,
    ),
    (
        Family::QueueCoarse,
        "queue_messages",
        Kind::Gauge,
        "Sum of ready, unacknowledged, delayed and dead messages",
        |of| (of.counts.ready + of.counts.leased + of.counts.delayed + of.counts.dead) as u64,
    ),
    (Family::QueueConsumers, "queue_consumers", Kind::Gauge, "Consumers on a queue", |of| {
        of.counts.consumers as u64
    }),
    (
        Family::QueueMetrics,
        "queue_process_memory_bytes",
        Kind::Gauge,
        "Memory in bytes used by the queue",
        |of| of.memory,
    ),
    (Family::QueueMetrics, "queue_messages_ready_bytes", Kind::Gauge, "Size of ready messages", |of| {
        of.ready_octets
    }),
    (
        Family::QueueDelivery,
        "queue_messages_published_total",
        Kind::Counter,
        "Total number of messages published to a queue",
        |of| of.tally.publish,
    ),
    (
        Family::QueueDelivery,
        "queue_messages_delivered_ack_total",
        Kind::Counter,
        "Total number of messages delivered in manual acknowledgement mode",
        |of| of.tally.deliver,
    ),
    (
        Family::QueueDelivery,
        "queue_messages_delivered_total",
        Kind::Counter,
        "Total number of messages delivered in automatic acknowledgement mode",
        |of| of.tally.deliver_no_ack,
    ),
    (
        Family::QueueDelivery,
        "queue_messages_redelivered_total",
        Kind::Counter,
        "Total number of messages redelivered",
        |of| of.tally.redeliver,
    ),
    (
        Family::QueueDelivery,
        "queue_messages_acked_total",
        Kind::Counter,
        "Total number of messages acknowledged",
        |of| of.tally.ack,
    ),
    (Family::QueueDelivery, "queue_get_ack_total", Kind::Counter, "Total number of messages fetched", |of| {
        of.tally.get
    }),
    (
        Family::QueueDelivery,
        "queue_get_total",
        Kind::Counter,
        "Total number of messages fetched in automatic acknowledgement mode",
        |of| of.tally.get_no_ack,
    ),
    (
        Family::QueueDelivery,
        "queue_get_empty_total",
        Kind::Counter,
        "Total number of fetches that found no message",
        |of| of.tally.get_empty,
    ),
];

/// Sums over all objects.
pub(super) async fn totals(text: &mut Text, api: &Api) {
    let vhosts = api.broker.vhosts();
    let connections = api.broker.connections.list();
    let channels: usize = connections.iter().map(|entry| entry.channel_count()).sum();
    let (mut queues, mut exchanges) = (0, 0);
    // Counters of queues that have gone are not in the sums: only what goes up and down is told.
    let gauges: Vec<_> = QUEUE_METRICS.iter().filter(|metric| metric.2 == Kind::Gauge).collect();
    let mut sums = vec![0; gauges.len()];
    let (now, mut times) = (api.now(), own::Times::default());
    for vhost in &vhosts {
        exchanges += vhost.exchange_count();
        times.held.add(&vhost.held_before());
        times.waited.add(&vhost.waited_before());
        for batch in vhost.queues().chunks(BATCH) {
            queues += batch.len();
            for report in batch.iter().map(|queue| queue.report()) {
                times.oldest_ms = times.oldest_ms.max(age_ms(&report, now));
                times.held.add(&report.held);
                times.waited.add(&report.waited);
                for (sum, (.., value)) in sums.iter_mut().zip(&gauges) {
                    *sum += value(&report);
                }
            }
            tokio::task::yield_now().await;
        }
    }
    let objects = [
        ("connections", "Connections currently open", connections.len()),
        ("channels", "Channels currently open", channels),
        ("queues", "Queues available", queues),
        ("exchanges", "Exchanges available", exchanges),
        ("vhosts", "Virtual hosts available", vhosts.len()),
    ];
    for (name, help, count) in objects {
        text.single(name, Kind::Gauge, help, &[], count as u64);
    }
    for ((_, name, kind, help, _), sum) in gauges.into_iter().zip(sums) {
        text.single(name, *kind, help, &[], sum);
    }
    own::totals(text, api, &times);
}

/// How long the oldest ready message has been waiting; 0 without one.
fn age_ms(report: &Report, now: Timestamp) -> u64 {
    report.oldest_since.map_or(0, |since| now.millis_since(since))
}

/// Each object of the selection.
pub(super) async fn write(text: &mut Text, api: &Api, selection: &Selection) {
    let mut vhosts = api.broker.vhosts();
    vhosts.retain(|vhost| selection.has_vhost(vhost.name.as_str()));
    queues(text, &vhosts, selection, api.now()).await;
    if selection.has(Family::Exchange) {
        exchanges(text, &vhosts);
    }
    let mut connections = api.broker.connections.list();
    connections.retain(|entry| selection.has_vhost(entry.facts.vhost.as_str()));
    connections_of(text, &connections, selection);
    if selection.has(Family::ChannelMetrics) {
        channels(text, &connections).await;
    }
    if selection.has(Family::VhostStatus) {
        text.family("cluster_vhost_status", Kind::Gauge, "Whether a virtual host is running");
        for vhost in &vhosts {
            text.value("cluster_vhost_status", &[("vhost", vhost.name.as_str())], 1);
        }
    }
}

async fn queues(text: &mut Text, vhosts: &[Arc<Vhost>], selection: &Selection, now: Timestamp) {
    let metrics: Vec<_> = QUEUE_METRICS.iter().filter(|metric| selection.has(metric.0)).collect();
    if metrics.is_empty() && !selection.has(Family::QueueLeases) {
        return;
    }
    let mut reports: Vec<Reported> = Vec::new();
    for vhost in vhosts {
        for batch in vhost.queues().chunks(BATCH) {
            let report = |queue: &Arc<Queue>| (Arc::clone(vhost), Arc::clone(queue), queue.report());
            reports.extend(batch.iter().map(report));
            tokio::task::yield_now().await;
        }
    }
    for (_, name, kind, help, value) in metrics {
        text.family(name, *kind, help);
        for batch in reports.chunks(BATCH) {
            for (vhost, queue, report) in batch {
                let labels = [("vhost", vhost.name.as_str()), ("queue", queue.name.as_str())];
                text.value(name, &labels, value(report));
            }
            tokio::task::yield_now().await;
        }
    }
    own_of_queues(text, &reports, selection, now).await;
}

type Reported = (Arc<Vhost>, Arc<Queue>, Report);

/// What RabbitMQ does not tell of a queue.
async fn own_of_queues(text: &mut Text, reports: &[Reported], selection: &Selection, now: Timestamp) {
    if selection.has(Family::QueueCoarse) {
        text.family(own::AGE, Kind::Gauge, own::AGE_HELP);
        for (vhost, queue, report) in reports {
            let labels = [("vhost", vhost.name.as_str()), ("queue", queue.name.as_str())];
            text.value(own::AGE, &labels, age_ms(report, now) / 1000);
        }
        tokio::task::yield_now().await;
    }
    if selection.has(Family::QueueLeases) {
        times_of_queues(text, reports, (own::HELD, own::HELD_HELP), |report| &report.held).await;
        times_of_queues(text, reports, (own::WAITED, own::WAITED_HELP), |report| &report.waited).await;
    }
}

async fn times_of_queues(
    text: &mut Text,
    reports: &[Reported],
    (name, help): (&str, &str),
    tally: fn(&Report) -> &DurationTally,
) {
    text.family(name, Kind::Histogram, help);
    for batch in reports.chunks(BATCH) {
        for (vhost, queue, report) in batch {
            let labels = [("vhost", vhost.name.as_str()), ("queue", queue.name.as_str())];
            text.durations(name, &labels, tally(report));
        }
        tokio::task::yield_now().await;
    }
}

fn exchanges(text: &mut Text, vhosts: &[Arc<Vhost>]) {
    let tallies: Vec<_> = vhosts
        .iter()
        .flat_map(|vhost| vhost.exchanges().into_iter().map(move |exchange| (vhost, exchange)))
        .map(|(vhost, exchange)| (vhost, exchange.tally.load(), exchange))
        .collect();
    for (name, help, is_in) in [
        ("exchange_messages_published_in_total", "Total number of messages published to an exchange", true),
        ("exchange_messages_published_out_total", "Total number of messages routed by an exchange", false),
    ] {
        text.family(name, Kind::Counter, help);
        for (vhost, tally, exchange) in &tallies {
            let labels = [("vhost", vhost.name.as_str()), ("exchange", exchange.name.as_str())];
            text.value(name, &labels, if is_in { tally.publish_in } else { tally.publish_out });
        }
    }
}

/// A value of a connection: family, name, kind, help, where it stands.
type ConnectionMetric = (Family, &'static str, Kind, &'static str, fn(&ConnectionEntry) -> u64);

const CONNECTION_METRICS: &[ConnectionMetric] = &[
    (
        Family::ConnectionCoarse,
        "connection_incoming_bytes_total",
        Kind::Counter,
        "Total number of bytes received on a connection",
        |entry| entry.traffic().received,
    ),
    (
        Family::ConnectionCoarse,
        "connection_outgoing_bytes_total",
        Kind::Counter,
        "Total number of bytes sent on a connection",
        |entry| entry.traffic().sent,
    ),
    (
        Family::ConnectionMetrics,
        "connection_incoming_packets_total",
        Kind::Counter,
        "Total number of packets received on a connection",
        |entry| entry.traffic().reads,
    ),
    (
        Family::ConnectionMetrics,
        "connection_outgoing_packets_total",
        Kind::Counter,
        "Total number of packets sent on a connection",
        |entry| entry.traffic().writes,
    ),
    (
        Family::ConnectionMetrics,
        "connection_pending_packets",
        Kind::Gauge,
        "Number of bytes waiting to be sent on a connection",
        |entry| entry.traffic().pending,
    ),
    (Family::ConnectionMetrics, "connection_channels", Kind::Gauge, "Channels on a connection", |entry| {
        entry.channel_count() as u64
    }),
];

fn connections_of(text: &mut Text, connections: &[Arc<ConnectionEntry>], selection: &Selection) {
    for (_, name, kind, help, value) in CONNECTION_METRICS.iter().filter(|metric| selection.has(metric.0)) {
        text.family(name, *kind, help);
        for entry in connections {
            let connection = entry.name();
            let labels = [("connection", connection.as_str()), ("vhost", entry.facts.vhost.as_str())];
            text.value(name, &labels, value(entry));
        }
    }
}

/// A value of a channel: name, kind, help, where it stands.
type ChannelMetric = (&'static str, Kind, &'static str, fn(&dyn Observed) -> u64);

const CHANNEL_METRICS: &[ChannelMetric] = &[
    ("channel_consumers", Kind::Gauge, "Consumers on a channel", |of| of.report().consumers as u64),
    ("channel_messages_unacked", Kind::Gauge, "Delivered but not yet acknowledged messages", |of| {
        of.report().unacked as u64
    }),
    ("channel_messages_unconfirmed", Kind::Gauge, "Published but not yet confirmed messages", |of| {
        of.report().unconfirmed
    }),
    (
        "channel_messages_uncommitted",
        Kind::Gauge,
        "Messages received in a transaction but not yet committed",
        |of| of.report().uncommitted,
    ),
    ("channel_prefetch", Kind::Gauge, "Total limit of unacknowledged messages for all consumers", |of| {
        of.report().global_prefetch
    }),
    ("channel_messages_published_total", Kind::Counter, "Total number of messages published", |of| {
        of.tally().publish
    }),
    ("channel_messages_confirmed_total", Kind::Counter, "Total number of messages confirmed", |of| {
        of.tally().confirm
    }),
    ("channel_messages_delivered_total", Kind::Counter, "Total number of messages delivered", |of| {
        of.tally().deliver_get()
    }),
    ("channel_messages_acked_total", Kind::Counter, "Total number of messages acknowledged", |of| {
        of.tally().ack
    }),
];

async fn channels(text: &mut Text, connections: &[Arc<ConnectionEntry>]) {
    let named = |entry: &Arc<ConnectionEntry>| {
        let entry = Arc::clone(entry);
        let channels = entry.channels().into_iter();
        channels
            .map(move |(id, channel): (ChannelId, _)| (channel_name(&entry, id), channel))
            .collect::<Vec<_>>()
    };
    let channels: Vec<(String, Arc<dyn Observed>)> = connections.iter().flat_map(named).collect();
    for (name, kind, help, value) in CHANNEL_METRICS {
        text.family(name, *kind, help);
        for batch in channels.chunks(BATCH) {
            for (channel_name, channel) in batch {
                text.value(name, &[("channel", channel_name)], value(&**channel));
            }
            tokio::task::yield_now().await;
        }
    }
}
