//! `/api/nodes`: the one node there is.

use std::path::Path;
use std::sync::Arc;

use axum::extract::State;
use serde::Serialize;

use super::answer::{Answer, json};
use super::api::Api;
use super::caller::{Caller, Tag};
use super::listing::{Key, ListQuery};
use super::overview::{NO_ERLANG, exchange_types};
use super::path::Segments;
use super::refusal::Refusal;
use super::view::node::{Application, AuthMechanism, Node};

/// What the system says of this process.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Process {
    /// Octets of resident memory.
    pub(super) resident: u64,
    /// Open files and sockets.
    pub(super) fds: u64,
    /// How many may be open; 0 is unknown.
    pub(super) fds_max: u64,
    pub(super) threads: u64,
    /// Octets free where data is kept.
    pub(super) disk_free: u64,
}

impl Process {
    /// Asks the system; what it does not say is 0.
    pub(super) fn ask(data_dir: Option<&Path>) -> Self {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
        let fds_max = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
        let disk = rustix::fs::statvfs(data_dir.unwrap_or_else(|| Path::new("."))).ok();
        Self {
            resident: field(&status, "VmRSS:") * 1024,
            fds: std::fs::read_dir("/proc/self/fd").map_or(0, |fds| fds.count() as u64),
            fds_max: fds_max
                .and_then(|rest| rest.split_whitespace().next()?.parse().ok())
                .unwrap_or_default(),
            threads: field(&status, "Threads:"),
            disk_free: disk.map_or(0, |disk| disk.f_bavail.saturating_mul(disk.f_frsize)),
        }
    }
}

/// The number behind `name` in a file of names and numbers.
fn field(text: &str, name: &str) -> u64 {
    let value = text.lines().find_map(|line| line.strip_prefix(name));
    value.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or_default()
}

/// GET `/api/nodes`.
pub(super) async fn list(State(api): State<Arc<Api>>, caller: Caller, query: ListQuery) -> Answer {
    caller.need(Tag::Monitoring)?;
    let key = |(): &()| Key::new("", api.node.name.as_str());
    query.answer(vec![()], key, |(), sink| sink.put(&node(&api))).await
}

/// GET `/api/nodes/{node}`.
pub(super) async fn get(
    State(api): State<Arc<Api>>,
    caller: Caller,
    path: Segments,
    query: ListQuery,
) -> Answer {
    caller.need(Tag::Monitoring)?;
    check_name(&api, &path)?;
    query.one(&node(&api))
}

fn check_name(api: &Api, path: &Segments) -> Result<(), Refusal> {
    if path.get("node") == api.node.name { Ok(()) } else { Err(Refusal::not_found()) }
}

fn node(api: &Api) -> Node<'_> {
    let process = Process::ask(api.node.data_dir.as_deref());
    let raised = *api.broker.alarms.subscribe().borrow();
    let mechanisms = api.broker.authority.mechanisms(false);
    let mechanism = |name: &str| AuthMechanism { name: name.to_owned(), description: "", enabled: true };
    let version = api.node.rabbitmq_version.as_str();
    let application = |name, description| Application { name, description, version };
    Node {
        name: &api.node.name,
        kind: "disc",
        running: true,
        being_drained: false,
        uptime: api.now().millis_since(api.started),
        os_pid: std::process::id().to_string(),
        processors: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        run_queue: 0,
        mem_used: process.resident,
        mem_limit: api.broker.alarms.memory_limit(),
        mem_alarm: raised.memory,
        disk_free: process.disk_free,
        disk_free_limit: api.broker.alarms.disk_free_limit(),
        disk_free_alarm: raised.disk,
        fd_used: process.fds,
        fd_total: process.fds_max,
        sockets_used: api.broker.connections.len(),
        sockets_total: api.node.connections_max,
        proc_used: process.threads,
        proc_total: 1_048_576,
        rates_mode: "basic",
        net_ticktime: 60,
        db_dir: api.node.data_dir.as_ref().map_or_else(String::new, |dir| dir.display().to_string()),
        log_files: ["<stderr>"],
        config_files: [],
        enabled_plugins: ["rabbitmq_management", "rabbitmq_prometheus"],
        applications: vec![
            application("rabbit", "Lepus, in the place of RabbitMQ"),
            application("rabbitmq_management", "Management API"),
        ],
        auth_mechanisms: mechanisms.split(' ').map(mechanism).collect(),
        exchange_types: exchange_types(),
        contexts: [],
        partitions: [],
        cluster_links: [],
        rabbitmq_version: version,
        lepus_version: env!("CARGO_PKG_VERSION"),
        erlang_version: NO_ERLANG,
        erlang_full_version: NO_ERLANG,
    }
}

#[derive(Serialize)]
struct Footprint {
    memory: Breakdown,
}

/// RabbitMQ's parts that have something to answer to here; the others are 0.
#[derive(Default, Serialize)]
struct Breakdown {
    connection_readers: u64,
    connection_writers: u64,
    connection_channels: u64,
    connection_other: u64,
    queue_procs: u64,
    quorum_queue_procs: u64,
    stream_queue_procs: u64,
    stream_queue_replica_reader_procs: u64,
    stream_queue_coordinator_procs: u64,
    plugins: u64,
    metadata_store: u64,
    other_proc: u64,
    metrics: u64,
    mgmt_db: u64,
    mnesia: u64,
    quorum_ets: u64,
    metadata_store_ets: u64,
    other_ets: i64,
    binary: u64,
    msg_index: u64,
    code: u64,
    atom: u64,
    other_system: u64,
    allocated_unused: u64,
    reserved_unallocated: u64,
    strategy: &'static str,
    total: Totals,
}

#[derive(Default, Serialize)]
struct Totals {
    rss: u64,
    allocated: u64,
    erlang: u64,
}

/// GET `/api/nodes/{node}/memory`: messages in queues, and the rest.
pub(super) async fn memory(State(api): State<Arc<Api>>, caller: Caller, path: Segments) -> Answer {
    caller.need(Tag::Monitoring)?;
    check_name(&api, &path)?;
    let rss = Process::ask(None).resident;
    let queues = api.broker.alarms.used();
    json(&Footprint {
        memory: Breakdown {
            queue_procs: queues,
            other_system: rss.saturating_sub(queues),
            strategy: "rss",
            total: Totals { rss, allocated: rss, erlang: rss },
            ..Breakdown::default()
        },
    })
}
