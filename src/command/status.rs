//! `lepus status`.

use clap::Args;
use serde_json::{Value, json};

use super::access::Format;
use super::client::path;
use super::context::{Context, Done, print};
use super::text::{Show, aligned, at, cell, octets};

/// What the broker is and how it does.
#[derive(Debug, Args)]
pub(crate) struct Status {}

impl Status {
    pub(super) fn run(self, context: &Context) -> Done {
        let overview = context.client.get(path(&["overview"]))?;
        // Who may not see nodes is told the rest.
        let nodes = context.client.get(path(&["nodes"])).unwrap_or(Value::Null);
        let node = nodes.get(0).cloned().unwrap_or(Value::Null);
        match context.format {
            Format::Json => context.json(&json!({ "overview": overview, "node": node })),
            Format::Table => print(&text(&overview, &node)),
        }
    }
}

fn text(overview: &Value, node: &Value) -> String {
    let mut lines = Vec::new();
    let mut line = |name: &str, value: String| lines.push(vec![name.to_owned(), value]);
    let plain = |value: &Value, path: &str| cell(at(value, path), Show::Plain);
    line("node", plain(overview, "node"));
    line(
        "version",
        format!("{}, as RabbitMQ {}", plain(overview, "lepus_version"), plain(overview, "rabbitmq_version")),
    );
    if !node.is_null() {
        line("up for", cell(at(node, "uptime"), Show::Period));
        line("process", plain(node, "os_pid"));
        line("data", plain(node, "db_dir"));
        line("memory", of(node, "mem_used", "mem_limit", "alarm at"));
        line("disk left", of(node, "disk_free", "disk_free_limit", "alarm below"));
        line("alarms", alarms(node));
        line("file handles", format!("{} of {}", plain(node, "fd_used"), plain(node, "fd_total")));
    }
    for (name, path) in [
        ("connections", "object_totals.connections"),
        ("channels", "object_totals.channels"),
        ("exchanges", "object_totals.exchanges"),
        ("queues", "object_totals.queues"),
        ("consumers", "object_totals.consumers"),
        ("messages ready", "queue_totals.messages_ready"),
        ("messages unacked", "queue_totals.messages_unacknowledged"),
        ("messages delayed", "queue_totals.messages_delayed"),
    ] {
        line(name, plain(overview, path));
    }
    for (name, path) in [
        ("published", "message_stats.publish_details.rate"),
        ("delivered", "message_stats.deliver_get_details.rate"),
        ("acknowledged", "message_stats.ack_details.rate"),
    ] {
        line(name, format!("{}/s", cell(at(overview, path), Show::Rate)));
    }
    for listener in at(overview, "listeners").as_array().into_iter().flatten() {
        let (ip, port) = (plain(listener, "ip_address"), plain(listener, "port"));
        line("listens", format!("{ip}:{port} {}", plain(listener, "protocol")));
    }
    aligned(&lines, &[false, false])
}

fn of(node: &Value, used: &str, limit: &str, what: &str) -> String {
    let number = |name: &str| octets(at(node, name).as_f64().unwrap_or_default());
    format!("{}, {what} {}", number(used), number(limit))
}

fn alarms(node: &Value) -> String {
    let raised: Vec<&str> = [("mem_alarm", "memory"), ("disk_free_alarm", "disk")]
        .into_iter()
        .filter(|(field, _)| at(node, field) == &Value::Bool(true))
        .map(|(_, name)| name)
        .collect();
    if raised.is_empty() { "none".to_owned() } else { raised.join(", ") }
}
