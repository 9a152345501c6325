//! Lists of what the API lists, with RabbitMQ's names of columns.

use serde_json::Value;

use super::rows::rows;
use super::stop::{Done, EX_USAGE, Stop};
use super::{ANY, Command, Ctl, command};
use crate::command::client::path;
use crate::command::text::at;

pub(super) const COMMANDS: &[Command] = &[
    command("list_queues", "[--vhost <vhost>] [<column> ...]", (0, ANY), |ctl| QUEUES.run(ctl)),
    command("list_exchanges", "[--vhost <vhost>] [<column> ...]", (0, ANY), |ctl| EXCHANGES.run(ctl)),
    command("list_bindings", "[--vhost <vhost>] [<column> ...]", (0, ANY), |ctl| BINDINGS.run(ctl)),
    command("list_consumers", "[--vhost <vhost>] [<column> ...]", (0, ANY), |ctl| CONSUMERS.run(ctl)),
    command("list_connections", "[<column> ...]", (0, ANY), |ctl| CONNECTIONS.run(ctl)),
    command("list_channels", "[<column> ...]", (0, ANY), |ctl| CHANNELS.run(ctl)),
    command("list_vhosts", "[<column> ...]", (0, ANY), |ctl| VHOSTS.run(ctl)),
    command("list_feature_flags", "[<column> ...]", (0, ANY), |ctl| FEATURE_FLAGS.run(ctl)),
    command("list_unresponsive_queues", "", (0, ANY), |ctl| {
        ctl.banner(format!("Listing unresponsive queues for vhost {} ...", ctl.vhost()))
    }),
];

/// A list.
struct List {
    /// What the API calls it.
    resource: &'static str,
    /// Whether it is of one virtual host, which stands in its path and in the banner.
    of_vhost: bool,
    banner: &'static str,
    /// RabbitMQ's names of columns, and where they stand in the API's JSON.
    columns: &'static [(&'static str, &'static str)],
    usual: &'static [&'static str],
}

const QUEUES: List = List {
    resource: "queues",
    of_vhost: true,
    banner: "Listing queues for vhost",
    usual: &["name", "messages"],
    columns: &[
        ("name", "name"),
        ("durable", "durable"),
        ("auto_delete", "auto_delete"),
        ("arguments", "arguments"),
        ("policy", "policy"),
        ("operator_policy", "operator_policy"),
        ("effective_policy_definition", "effective_policy_definition"),
        ("pid", "node"),
        ("leader", "leader"),
        ("members", "members"),
        ("online", "online"),
        ("owner_pid", "owner_pid_details.name"),
        ("exclusive", "exclusive"),
        ("exclusive_consumer_tag", "exclusive_consumer_tag"),
        ("single_active_consumer_tag", "single_active_consumer_tag"),
        ("messages_ready", "messages_ready"),
        ("messages_unacknowledged", "messages_unacknowledged"),
        ("messages_delayed", "messages_delayed"),
        ("messages", "messages"),
        ("message_bytes", "message_bytes"),
        ("message_bytes_ready", "message_bytes_ready"),
        ("consumers", "consumers"),
        ("consumer_utilisation", "consumer_utilisation"),
        ("consumer_capacity", "consumer_capacity"),
        ("memory", "memory"),
        ("state", "state"),
        ("type", "type"),
        ("vhost", "vhost"),
    ],
};

const EXCHANGES: List = List {
    resource: "exchanges",
    of_vhost: true,
    banner: "Listing exchanges for vhost",
    usual: &["name", "type"],
    columns: &[
        ("name", "name"),
        ("type", "type"),
        ("durable", "durable"),
        ("auto_delete", "auto_delete"),
        ("internal", "internal"),
        ("arguments", "arguments"),
        ("policy", "policy"),
        ("vhost", "vhost"),
    ],
};

const BINDINGS: List = List {
    resource: "bindings",
    of_vhost: true,
    banner: "Listing bindings for vhost",
    usual: &[
        "source_name",
        "source_kind",
        "destination_name",
        "destination_kind",
        "routing_key",
        "arguments",
    ],
    columns: &[
        ("source_name", "source"),
        ("source_kind", "source_kind"),
        ("destination_name", "destination"),
        ("destination_kind", "destination_type"),
        ("routing_key", "routing_key"),
        ("arguments", "arguments"),
        ("vhost", "vhost"),
    ],
};

const CONSUMERS: List = List {
    resource: "consumers",
    of_vhost: true,
    banner: "Listing consumers in vhost",
    usual: &[
        "queue_name",
        "channel_pid",
        "consumer_tag",
        "ack_required",
        "prefetch_count",
        "active",
        "arguments",
    ],
    columns: &[
        ("queue_name", "queue.name"),
        ("channel_pid", "channel_details.name"),
        ("consumer_tag", "consumer_tag"),
        ("ack_required", "ack_required"),
        ("prefetch_count", "prefetch_count"),
        ("active", "active"),
        ("activity_status", "activity_status"),
        ("arguments", "arguments"),
    ],
};

const CONNECTIONS: List = List {
    resource: "connections",
    of_vhost: false,
    banner: "Listing connections",
    usual: &["user", "peer_host", "peer_port", "state"],
    columns: &[
        ("pid", PID),
        ("name", "name"),
        ("user_provided_name", "user_provided_name"),
        ("host", "host"),
        ("port", "port"),
        ("peer_host", "peer_host"),
        ("peer_port", "peer_port"),
        ("ssl", "ssl"),
        ("ssl_protocol", "ssl_protocol"),
        ("ssl_cipher", "ssl_cipher"),
        ("peer_cert_subject", "peer_cert_subject"),
        ("state", "state"),
        ("channels", "channels"),
        ("protocol", "protocol"),
        ("auth_mechanism", "auth_mechanism"),
        ("user", "user"),
        ("vhost", "vhost"),
        ("timeout", "timeout"),
        ("frame_max", "frame_max"),
        ("channel_max", "channel_max"),
        ("client_properties", "client_properties"),
        ("connected_at", "connected_at"),
        ("recv_oct", "recv_oct"),
        ("recv_cnt", "recv_cnt"),
        ("send_oct", "send_oct"),
        ("send_cnt", "send_cnt"),
        ("send_pend", "send_pend"),
        ("node", "node"),
    ],
};

const CHANNELS: List = List {
    resource: "channels",
    of_vhost: false,
    banner: "Listing channels",
    usual: &["pid", "user", "consumer_count", "messages_unacknowledged"],
    columns: &[
        ("pid", PID),
        ("connection", "connection_details.name"),
        ("name", "name"),
        ("number", "number"),
        ("user", "user"),
        ("vhost", "vhost"),
        ("transactional", "transactional"),
        ("confirm", "confirm"),
        ("consumer_count", "consumer_count"),
        ("messages_unacknowledged", "messages_unacknowledged"),
        ("messages_uncommitted", "messages_uncommitted"),
        ("acks_uncommitted", "acks_uncommitted"),
        ("messages_unconfirmed", "messages_unconfirmed"),
        ("prefetch_count", "prefetch_count"),
        ("global_prefetch_count", "global_prefetch_count"),
    ],
};

const VHOSTS: List = List {
    resource: "vhosts",
    of_vhost: false,
    banner: "Listing vhosts",
    usual: &["name"],
    columns: &[
        ("name", "name"),
        ("tracing", "tracing"),
        ("description", "description"),
        ("tags", "tags"),
        ("default_queue_type", "default_queue_type"),
    ],
};

const FEATURE_FLAGS: List = List {
    resource: "feature-flags",
    of_vhost: false,
    banner: "Listing feature flags",
    usual: &["name", "state"],
    columns: &[("name", "name"), ("state", "state"), ("stability", "stability"), ("desc", "desc")],
};

/// Stands for a process: a name without spaces, made of the connection's.
const PID: &str = "";

/// What stands for a process of Erlang here, by the connection's or channel's name; `close_connection` takes it.
pub(super) fn pid(name: &str) -> String {
    format!("<{}>", name.replace(" -> ", "-").replace(' ', ""))
}

impl List {
    fn run(&self, ctl: &Ctl) -> Done {
        let columns = self.columns(ctl)?;
        if self.resource == "queues" {
            let seconds = ctl.line.timeout(super::TIMEOUT)?;
            ctl.banner(format!("Timeout: {seconds}.0 seconds ..."))?;
        }
        if self.of_vhost {
            // RabbitMQ writes it so.
            let space = if self.resource == "bindings" { "" } else { " " };
            ctl.banner(format!("{} {}{space}...", self.banner, ctl.vhost()))?;
        } else {
            ctl.banner(format!("{} ...", self.banner))?;
        }
        let mut segments = vec![self.resource];
        segments.extend(self.of_vhost.then(|| ctl.vhost()));
        let path = path(&segments).about(format!("virtual host '{}'", ctl.vhost()));
        let found = ctl.context.client.get(path)?;
        let items = found.as_array().map_or(&[][..], Vec::as_slice);
        let row = |item: &Value| columns.iter().map(|(_, path)| field(item, path)).collect();
        let table: Vec<Vec<Value>> = items.iter().map(row).collect();
        rows(&ctl.line, &columns.iter().map(|(name, _)| *name).collect::<Vec<_>>(), &table)
    }

    fn columns(&self, ctl: &Ctl) -> Result<Vec<(&'static str, &'static str)>, Stop> {
        let asked: Vec<&str> = ctl.line.arguments.iter().flat_map(|words| words.split([' ', ','])).collect();
        let asked = if asked.is_empty() { self.usual.to_vec() } else { asked };
        let (mut columns, mut unknown) = (Vec::new(), Vec::new());
        for name in asked.into_iter().filter(|name| !name.is_empty()) {
            match self.columns.iter().find(|(known, _)| *known == name) {
                Some(column) => columns.push(*column),
                None => unknown.push(name),
            }
        }
        if unknown.is_empty() {
            return Ok(columns);
        }
        let text =
            format!("Error (argument validation): Info key(s) {} are not supported", unknown.join(","));
        Err(Stop::new(EX_USAGE, text).plain())
    }
}

fn field(item: &Value, path: &str) -> Value {
    match path {
        PID => pid(at(item, "name").as_str().unwrap_or_default()).into(),
        // Only exchanges are.
        "source_kind" => "exchange".into(),
        path => at(item, path).clone(),
    }
}
