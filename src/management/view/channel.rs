//! A channel.

use lepus_protocol::ChannelId;
use serde::Serialize;

use super::stats::{MessageStats, OF_CHANNEL};
use crate::broker::connections::{ConnectionEntry, Observed};
use crate::management::api::Api;

/// As in `/api/channels`.
#[derive(Debug, Serialize)]
pub(in crate::management) struct Channel<'c> {
    acks_uncommitted: u64,
    confirm: bool,
    connection_details: ConnectionDetails,
    consumer_count: usize,
    global_prefetch_count: u64,
    idle_since: String,
    message_stats: MessageStats,
    messages_unacknowledged: usize,
    messages_uncommitted: u64,
    messages_unconfirmed: u64,
    name: String,
    node: &'c str,
    number: u16,
    prefetch_count: u32,
    state: &'static str,
    transactional: bool,
    user: &'c str,
    user_who_performed_action: &'c str,
    vhost: &'c str,
}

/// Which connection it is.
#[derive(Debug, Serialize)]
pub(in crate::management) struct ConnectionDetails {
    name: String,
    peer_host: String,
    peer_port: u16,
}

/// Which channel a consumer or a lease belongs to.
#[derive(Debug, Serialize)]
pub(in crate::management) struct ChannelDetails {
    connection_name: String,
    name: String,
    node: String,
    number: u16,
    peer_host: String,
    peer_port: u16,
    user: String,
}

/// RabbitMQ's name of a channel: its connection's and its number.
pub(in crate::management) fn name(entry: &ConnectionEntry, number: ChannelId) -> String {
    format!("{} ({number})", entry.name())
}

impl<'c> Channel<'c> {
    pub(in crate::management) fn new(
        entry: &'c ConnectionEntry,
        number: ChannelId,
        channel: &dyn Observed,
        api: &'c Api,
    ) -> Self {
        let report = channel.report();
        let change = api.rates.channel(entry.id, number);
        Self {
            acks_uncommitted: report.acks_uncommitted,
            confirm: report.confirms,
            connection_details: ConnectionDetails::new(entry),
            consumer_count: report.consumers,
            global_prefetch_count: report.global_prefetch,
            idle_since: crate::management::view::queue::rfc3339(report.idle_since),
            message_stats: MessageStats::new(OF_CHANNEL, channel.tally(), change),
            messages_unacknowledged: report.unacked,
            messages_uncommitted: report.uncommitted,
            messages_unconfirmed: report.unconfirmed,
            name: name(entry, number),
            node: &api.node.name,
            number: number.get(),
            prefetch_count: report.prefetch,
            state: "running",
            transactional: report.transactional,
            user: entry.facts.user.as_str(),
            user_who_performed_action: entry.facts.user.as_str(),
            vhost: entry.facts.vhost.as_str(),
        }
    }
}

impl ConnectionDetails {
    pub(in crate::management) fn new(entry: &ConnectionEntry) -> Self {
        let peer = entry.facts.peer;
        Self { name: entry.name(), peer_host: peer.ip().to_string(), peer_port: peer.port() }
    }
}

impl ChannelDetails {
    pub(in crate::management) fn new(entry: &ConnectionEntry, number: ChannelId, api: &Api) -> Self {
        let peer = entry.facts.peer;
        Self {
            connection_name: entry.name(),
            name: name(entry, number),
            node: api.node.name.clone(),
            number: number.get(),
            peer_host: peer.ip().to_string(),
            peer_port: peer.port(),
            user: entry.facts.user.to_string(),
        }
    }
}
