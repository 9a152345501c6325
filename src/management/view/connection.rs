//! A connection.

use serde::Serialize;

use super::stats::Rate;
use crate::broker::connections::ConnectionEntry;
use crate::management::api::Api;
use crate::management::table::Table;

/// As in `/api/connections`.
#[derive(Debug, Serialize)]
pub(in crate::management) struct Connection<'c> {
    auth_mechanism: &'c str,
    channel_max: u16,
    channels: usize,
    client_properties: Table<'c>,
    connected_at: u64,
    frame_max: u32,
    host: String,
    name: String,
    node: &'c str,
    peer_cert_issuer: Option<&'c str>,
    peer_cert_subject: Option<&'c str>,
    peer_cert_validity: Option<&'c str>,
    peer_host: String,
    peer_port: u16,
    port: u16,
    protocol: &'static str,
    recv_cnt: u64,
    recv_oct: u64,
    recv_oct_details: Rate,
    send_cnt: u64,
    send_oct: u64,
    send_oct_details: Rate,
    send_pend: u64,
    ssl: bool,
    ssl_cipher: Option<&'c str>,
    ssl_protocol: Option<&'c str>,
    state: &'static str,
    timeout: u16,
    #[serde(rename = "type")]
    kind: &'static str,
    user: &'c str,
    user_provided_name: Option<&'c str>,
    user_who_performed_action: &'c str,
    vhost: &'c str,
}

impl<'c> Connection<'c> {
    pub(in crate::management) fn new(entry: &'c ConnectionEntry, api: &'c Api) -> Self {
        let facts = &entry.facts;
        let traffic = entry.traffic();
        let tls = facts.tls.as_deref();
        let change = api.rates.connection(entry.id);
        Self {
            auth_mechanism: &facts.mechanism,
            channel_max: facts.channel_max,
            channels: entry.channel_count(),
            client_properties: Table(&facts.properties),
            connected_at: facts.since.as_millis(),
            frame_max: facts.frame_max,
            host: facts.local.ip().to_string(),
            name: entry.name(),
            node: &api.node.name,
            peer_cert_issuer: None,
            peer_cert_subject: tls.and_then(|tls| tls.subject.as_deref()),
            peer_cert_validity: None,
            peer_host: facts.peer.ip().to_string(),
            peer_port: facts.peer.port(),
            port: facts.local.port(),
            protocol: "AMQP 0-9-1",
            recv_cnt: traffic.reads,
            recv_oct: traffic.received,
            recv_oct_details: Rate::of_count(change.delta.received, change.seconds),
            send_cnt: traffic.writes,
            send_oct: traffic.sent,
            send_oct_details: Rate::of_count(change.delta.sent, change.seconds),
            send_pend: traffic.pending,
            ssl: tls.is_some(),
            ssl_cipher: tls.map(|tls| tls.cipher.as_str()),
            ssl_protocol: tls.map(|tls| tls.version.as_str()),
            state: if entry.is_blocked() { "blocked" } else { "running" },
            timeout: facts.heartbeat,
            kind: "network",
            user: facts.user.as_str(),
            user_provided_name: entry.client_name(),
            user_who_performed_action: facts.user.as_str(),
            vhost: facts.vhost.as_str(),
        }
    }
}

/// As in `/api/connections/username/{user}`.
#[derive(Debug, Serialize)]
pub(in crate::management) struct TrackedConnection<'c> {
    name: String,
    node: &'c str,
    user: &'c str,
    vhost: &'c str,
}

impl<'c> TrackedConnection<'c> {
    pub(in crate::management) fn new(entry: &'c ConnectionEntry, api: &'c Api) -> Self {
        Self {
            name: entry.name(),
            node: &api.node.name,
            user: entry.facts.user.as_str(),
            vhost: entry.facts.vhost.as_str(),
        }
    }
}
