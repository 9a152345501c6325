//! Health checks: what they say goes to standard output, 69 says that something is wrong.

use serde_json::Value;

use super::node::{greets, reachable};
use super::stop::{Done, EX_UNAVAILABLE, EX_USAGE, Stop};
use super::{Command, Ctl, command};
use crate::command::client::path;
use crate::command::text::at;

pub(super) const COMMANDS: &[Command] = &[
    command("node_health_check", "", (0, 0), node_health_check),
    command("alarms", "", (0, 0), alarms),
    command("check_alarms", "", (0, 0), alarms),
    command("check_local_alarms", "", (0, 0), alarms),
    command("check_port_connectivity", "[--address <address>]", (0, 0), port_connectivity),
    command("check_port_listener", "<port>", (1, 1), port_listener),
    command("check_protocol_listener", "<protocol>", (1, 1), protocol_listener),
    command("check_virtual_hosts", "", (0, 0), virtual_hosts),
    command("check_certificate_expiration", "--within <period> --unit <unit>", (0, 0), certificates),
    command("check_if_node_is_quorum_critical", "", (0, 0), single_node),
    command("check_if_node_is_mirror_sync_critical", "", (0, 0), single_node),
    command("check_if_any_deprecated_features_are_used", "", (0, 0), virtual_hosts),
    command("check_if_cluster_has_classic_queue_mirroring_policy", "", (0, 0), virtual_hosts),
];

/// Asks for a check: whether it is well, and what was said.
fn check(ctl: &Ctl, segments: &[&str]) -> Result<(bool, Value), Stop> {
    let whole: Vec<&str> = ["health", "checks"].into_iter().chain(segments.iter().copied()).collect();
    let answer = ctl.context.client.check(path(&whole))?;
    Ok((answer.status == 200, answer.body))
}

fn unwell(text: impl Into<String>) -> Stop {
    Stop::new(EX_UNAVAILABLE, text).plain()
}

fn node_health_check(ctl: &Ctl) -> Done {
    ctl.banner(format!("Checking health of node {} ...", ctl.node()))?;
    reachable(ctl)?;
    let (is_well, body) = check(ctl, &["local-alarms"])?;
    if !is_well {
        return Err(unwell(format!("Health check failed: {}", resources(&body))));
    }
    ctl.say("Health check passed")
}

fn resources(body: &Value) -> String {
    let alarms = at(body, "alarms").as_array().into_iter().flatten();
    alarms.filter_map(|alarm| at(alarm, "resource").as_str()).collect::<Vec<_>>().join(", ")
}

fn alarms(ctl: &Ctl) -> Done {
    let (node, only_local) = (ctl.node(), ctl.line.command == "check_local_alarms");
    let which = if ctl.line.command == "alarms" { "known" } else { "local" };
    ctl.banner(format!("Asking node {node} to report any {which} resource alarms ..."))?;
    let (is_well, body) = check(ctl, &["local-alarms"])?;
    match (is_well, only_local) {
        (true, true) => ctl.say(format!("Node {node} reported no local alarms")),
        (true, false) => ctl.say(format!("Node {node} reported no alarms, local or clusterwide")),
        (false, _) if ctl.line.command == "alarms" => {
            ctl.say(format!("Node {node} reported alarms: {}", resources(&body)))
        }
        (false, _) => Err(unwell(format!("Error:\nNode {node} reported local alarms: {}", resources(&body)))),
    }
}

/// Connects to every listener; without a login to the one of AMQP.
fn port_connectivity(ctl: &Ctl) -> Done {
    let node = ctl.node();
    ctl.banner(format!("Testing TCP connections to all active listeners on node {node} ..."))?;
    reachable(ctl)?;
    let Ok(overview) = ctl.get(&["overview"]) else {
        return ctl.say(format!("Successfully connected to the AMQP port on node {node}."));
    };
    let (mut connected, mut failed) = (Vec::new(), Vec::new());
    for listener in at(&overview, "listeners").as_array().into_iter().flatten() {
        let port = at(listener, "port").to_string();
        if connects(listener) { connected.push(port) } else { failed.push(port) }
    }
    if failed.is_empty() {
        return ctl.say(format!("Successfully connected to ports {} on node {node}.", connected.join(", ")));
    }
    Err(unwell(format!("Error:\nConnection to ports {} on node {node} failed", failed.join(", "))))
}

fn connects(listener: &Value) -> bool {
    let ip = at(listener, "ip_address").as_str().unwrap_or_default();
    let port = at(listener, "port").as_u64().and_then(|port| u16::try_from(port).ok());
    let (Ok(ip), Some(port)) = (ip.parse::<std::net::IpAddr>(), port) else { return false };
    let address = crate::command::access::reached_at(std::net::SocketAddr::new(ip, port));
    match at(listener, "protocol").as_str() {
        Some("amqp") => greets(address),
        _ => std::net::TcpStream::connect(address).is_ok(),
    }
}

fn port_listener(ctl: &Ctl) -> Done {
    let (node, port) = (ctl.node(), ctl.argument(0));
    if port.parse::<u16>().is_err() {
        return Err(Stop::new(EX_USAGE, format!("Error (argument validation): '{port}' is no port")).plain());
    }
    ctl.banner(format!("Asking node {node} if there's an active listener on port {port} ..."))?;
    let (is_well, body) = check(ctl, &["port-listener", port])?;
    if is_well {
        return ctl.say(format!("A listener for port {port} is running on node {node}."));
    }
    let ports = super::rows::cell(at(&body, "ports"));
    Err(unwell(format!(
        "No listener for port {port} is active on node {node}. Found listeners that use the following ports: {}",
        ports.trim_matches(['[', ']'])
    )))
}

fn protocol_listener(ctl: &Ctl) -> Done {
    let (node, protocol) = (ctl.node(), ctl.argument(0));
    ctl.banner(format!("Asking node {node} if there's an active listener for protocol {protocol} ..."))?;
    let (is_well, body) = check(ctl, &["protocol-listener", protocol])?;
    if is_well {
        return ctl.say(format!("A listener for protocol {protocol} is running on node {node}."));
    }
    let known = super::rows::cell(at(&body, "protocols"));
    Err(unwell(format!(
        "No listener for protocol {protocol} is active on node {node}. Found listeners for the following protocols: {}",
        known.trim_matches(['[', ']'])
    )))
}

fn virtual_hosts(ctl: &Ctl) -> Done {
    let node = ctl.node();
    ctl.banner(format!("Checking if all vhosts are running on node {node} ..."))?;
    let (is_well, _) = check(ctl, &["virtual-hosts"])?;
    if is_well {
        return ctl.say(format!("Node {node} reported all vhosts as running"));
    }
    Err(unwell(format!("Some virtual hosts on node {node} are down")))
}

fn certificates(ctl: &Ctl) -> Done {
    let (within, unit) =
        (ctl.line.option("within").unwrap_or("4"), ctl.line.option("unit").unwrap_or("weeks"));
    ctl.banner(format!("Checking certificate expiration on node {} ...", ctl.node()))?;
    let (is_well, body) = check(ctl, &["certificate-expiration", within, unit])?;
    if is_well {
        return ctl.say(format!("No certificates are expiring within {within} {unit}."));
    }
    Err(unwell(format!("Error:\nCertificates are expiring: {}", at(&body, "expired"))))
}

fn single_node(ctl: &Ctl) -> Done {
    reachable(ctl)?;
    let text = "seems to be the only one in a single node cluster, the check does not apply";
    ctl.say(format!("Node {} {text}", ctl.node()))
}
