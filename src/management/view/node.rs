//! This node.

use serde::Serialize;

use crate::management::api::ListenerFacts;

/// As in `/api/nodes`.
#[derive(Debug, Serialize)]
pub(in crate::management) struct Node<'n> {
    pub(in crate::management) name: &'n str,
    #[serde(rename = "type")]
    pub(in crate::management) kind: &'static str,
    pub(in crate::management) running: bool,
    pub(in crate::management) being_drained: bool,
    /// Milliseconds.
    pub(in crate::management) uptime: u64,
    pub(in crate::management) os_pid: String,
    pub(in crate::management) processors: usize,
    pub(in crate::management) run_queue: u32,
    pub(in crate::management) mem_used: u64,
    pub(in crate::management) mem_limit: u64,
    pub(in crate::management) mem_alarm: bool,
    pub(in crate::management) disk_free: u64,
    pub(in crate::management) disk_free_limit: u64,
    pub(in crate::management) disk_free_alarm: bool,
    pub(in crate::management) fd_used: u64,
    pub(in crate::management) fd_total: u64,
    pub(in crate::management) sockets_used: usize,
    pub(in crate::management) sockets_total: usize,
    pub(in crate::management) proc_used: u64,
    pub(in crate::management) proc_total: u64,
    pub(in crate::management) rates_mode: &'static str,
    pub(in crate::management) net_ticktime: u32,
    pub(in crate::management) db_dir: String,
    pub(in crate::management) log_files: [&'static str; 1],
    pub(in crate::management) config_files: [&'static str; 0],
    pub(in crate::management) enabled_plugins: [&'static str; 2],
    pub(in crate::management) applications: Vec<Application<'n>>,
    pub(in crate::management) auth_mechanisms: Vec<AuthMechanism>,
    pub(in crate::management) exchange_types: Vec<super::overview::ExchangeType>,
    pub(in crate::management) contexts: [(); 0],
    pub(in crate::management) partitions: [(); 0],
    pub(in crate::management) cluster_links: [(); 0],
    pub(in crate::management) rabbitmq_version: &'n str,
    pub(in crate::management) lepus_version: &'static str,
    pub(in crate::management) erlang_version: &'static str,
    pub(in crate::management) erlang_full_version: &'static str,
}

/// A part of the node: tools look for the version of `rabbit`.
#[derive(Debug, Serialize)]
pub(in crate::management) struct Application<'n> {
    pub(in crate::management) name: &'static str,
    pub(in crate::management) description: &'static str,
    pub(in crate::management) version: &'n str,
}

/// A SASL mechanism.
#[derive(Debug, Serialize)]
pub(in crate::management) struct AuthMechanism {
    pub(in crate::management) name: String,
    pub(in crate::management) description: &'static str,
    pub(in crate::management) enabled: bool,
}

/// A listening socket.
#[derive(Debug, Serialize)]
pub(in crate::management) struct Listener<'n> {
    node: &'n str,
    protocol: &'static str,
    ip_address: String,
    port: u16,
    tls: bool,
}

impl<'n> Listener<'n> {
    pub(in crate::management) fn new(node: &'n str, facts: &ListenerFacts) -> Self {
        Self {
            node,
            protocol: facts.protocol,
            ip_address: facts.address.ip().to_string(),
            port: facts.address.port(),
            tls: facts.protocol.ends_with("ssl") || facts.protocol.starts_with("https"),
        }
    }
}
