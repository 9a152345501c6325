//! The node: is it there, what is it.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::stop::{Done, EX_TEMPFAIL, EX_UNAVAILABLE, Stop};
use super::{ANY, Command, Ctl, command};
use crate::command::context::print;
use crate::command::text::at;

pub(super) const COMMANDS: &[Command] = &[
    command("ping", "", (0, 0), ping),
    command("status", "", (0, 0), status),
    command("cluster_status", "", (0, 0), cluster_status),
    command("await_startup", "", (0, 0), await_startup),
    command("await_online_nodes", "<count>", (1, 1), await_startup),
    command("await_online_quorum_plus_one", "", (0, 0), await_startup),
    command("wait", "[<pidfile>] [--pid <pid>]", (0, 1), wait),
    command("server_version", "", (0, 0), server_version),
    command("listeners", "", (0, 0), listeners),
    command("is_running", "", (0, 0), check_running),
    command("check_running", "", (0, 0), check_running),
    command("is_booting", "", (0, 0), is_booting),
    command("force_gc", "", (0, 0), nothing_to_do),
    command("rotate_logs", "", (0, 0), nothing_to_do),
    command("rebalance", "<type>", (0, ANY), nothing_to_do),
    command("enable_feature_flag", "<flag>", (1, 1), nothing_to_do),
];

/// Seconds that whoever waits for a start waits (RabbitMQ).
const STARTUP: u64 = 300;

/// Between two looks whether it has started.
const PAUSE: Duration = Duration::from_millis(200);

/// Time for one such look.
const LOOK: Duration = Duration::from_secs(5);

/// The port of AMQP, where nobody says another.
const AMQP_PORT: u16 = 5672;

/// AMQP's protocol header (§4.2.2), and how many octets of a method frame tell it from anything else.
const HEADER: &[u8; 8] = b"AMQP\0\0\x09\x01";
const FRAME_HEAD: usize = 11;

/// connection.start on channel 0 (§4.2.3: type 1, channel 0, any size; class 10, method 10).
fn is_start(head: &[u8; FRAME_HEAD]) -> bool {
    let [kind, channel @ .., _, _, _, _, class_high, class_low, method_high, method_low] = head;
    *kind == 1 && channel == &[0, 0] && [*class_high, *class_low, *method_high, *method_low] == [0, 10, 0, 10]
}

/// Whether a broker greets there. That needs nobody's password.
pub(super) fn greets(address: SocketAddr) -> bool {
    let greeted = || -> std::io::Result<bool> {
        let mut socket = TcpStream::connect_timeout(&address, LOOK)?;
        socket.set_read_timeout(Some(LOOK))?;
        socket.write_all(HEADER)?;
        let mut head = [0; FRAME_HEAD];
        socket.read_exact(&mut head)?;
        Ok(is_start(&head))
    };
    greeted().unwrap_or(false)
}

/// Where AMQP is expected: as the operator file says, or the settings.
fn amqp(ctl: &Ctl) -> SocketAddr {
    let found = ctl.local.as_ref().and_then(|local| local.amqp);
    found.or(ctl.context.amqp).unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], AMQP_PORT)))
}

/// Greets at the AMQP port, so that a health check needs no credentials.
fn ping(ctl: &Ctl) -> Done {
    let seconds = ctl.line.timeout(super::TIMEOUT)?;
    ctl.banner(format!("Will ping {}. Timeout: {} ms.", ctl.node(), seconds.saturating_mul(1000)))?;
    reachable(ctl)?;
    ctl.say("Ping succeeded")
}

/// 69 unless a broker greets.
pub(super) fn reachable(ctl: &Ctl) -> Done {
    let address = amqp(ctl);
    if greets(address) {
        return Ok(());
    }
    let text = format!(
        "Error: unable to perform an operation on node '{}': no broker greets at {address}. Is it running?",
        ctl.node()
    );
    Err(Stop::new(EX_UNAVAILABLE, text).plain())
}

fn check_running(ctl: &Ctl) -> Done {
    ctl.banner(format!("Checking if RabbitMQ is running on node {} ...", ctl.node()))?;
    reachable(ctl)?;
    ctl.say(format!("RabbitMQ on node {} is fully booted and running", ctl.node()))
}

/// It listens only once it has booted.
fn is_booting(ctl: &Ctl) -> Done {
    ctl.banner(format!("Asking node {} for its boot status ...", ctl.node()))?;
    reachable(ctl)?;
    let text = "is fully booted (check with is_running), stopped or has not started booting yet";
    ctl.say(format!("RabbitMQ on node {} {text}", ctl.node()))
}

fn await_startup(ctl: &Ctl) -> Done {
    if ctl.line.command == "await_online_nodes" && ctl.argument(0) != "1" {
        let text = "the broker is a single node: no more than 1 will ever be online";
        return Err(Stop::new(EX_UNAVAILABLE, text));
    }
    until_started(ctl)
}

#[expect(clippy::disallowed_methods, reason = "a tool that waits for a process has no other clock")]
fn until_started(ctl: &Ctl) -> Done {
    let deadline = Instant::now().checked_add(Duration::from_secs(ctl.line.timeout(STARTUP)?));
    while !greets(amqp(ctl)) {
        if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            let text = format!("the broker at {} has not started in time", amqp(ctl));
            return Err(Stop::new(EX_TEMPFAIL, text));
        }
        std::thread::sleep(PAUSE);
    }
    Ok(())
}

/// Waits for a process by its file or number, then for its start.
fn wait(ctl: &Ctl) -> Done {
    if let Some(file) = ctl.line.arguments.first() {
        ctl.banner(format!("Waiting for pid file '{file}' to appear"))?;
    }
    ctl.banner(format!("Waiting for applications 'rabbit_and_plugins' to start on node '{}'", ctl.node()))?;
    until_started(ctl)?;
    ctl.banner(format!("Applications 'rabbit_and_plugins' are running on node '{}'", ctl.node()))
}

fn nothing_to_do(ctl: &Ctl) -> Done {
    reachable(ctl)
}

fn server_version(ctl: &Ctl) -> Done {
    ctl.banner(format!("Asking node {} for its RabbitMQ version...", ctl.node()))?;
    let overview = ctl.get(&["overview"])?;
    ctl.say(at(&overview, "rabbitmq_version").as_str().unwrap_or_default())
}

fn listeners(ctl: &Ctl) -> Done {
    ctl.banner(format!("Asking node {} to report its protocol listeners ...", ctl.node()))?;
    for listener in at(&ctl.get(&["overview"])?, "listeners").as_array().into_iter().flatten() {
        ctl.say(listener_line(listener))?;
    }
    Ok(())
}

fn listener_line(listener: &Value) -> String {
    let protocol = at(listener, "protocol").as_str().unwrap_or_default();
    let purpose = match protocol {
        "amqp" => "AMQP 0-9-1",
        "amqp/ssl" => "AMQP 0-9-1 over TLS",
        "http" | "https" => "HTTP API",
        "http/prometheus" | "https/prometheus" => "Prometheus exporter API",
        other => other,
    };
    let ip = at(listener, "ip_address").as_str().unwrap_or_default();
    let ip = if ip.contains(':') { format!("[{ip}]") } else { ip.to_owned() };
    format!("Interface: {ip}, port: {}, protocol: {protocol}, purpose: {purpose}", at(listener, "port"))
}

fn cluster_status(ctl: &Ctl) -> Done {
    let overview = ctl.get(&["overview"])?;
    let node = at(&overview, "node").as_str().unwrap_or_default();
    let version = at(&overview, "rabbitmq_version").as_str().unwrap_or_default();
    let name = at(&overview, "cluster_name").as_str().unwrap_or_default();
    if ctl.line.formatter == super::Formatter::Json {
        let status = serde_json::json!({
            "cluster_name": name, "disk_nodes": [node], "ram_nodes": [], "running_nodes": [node], "partitions": {},
            "alarms": [], "versions": { node: { "rabbitmq_version": version, "rabbitmq_name": "RabbitMQ" } },
            "maintenance_status": { node: "not under maintenance" },
        });
        return Ok(print(&format!("{status}\n"))?);
    }
    ctl.banner(format!("Cluster status of node {} ...", ctl.node()))?;
    ctl.say(format!(
        "Basics\n\nCluster name: {name}\n\nDisk Nodes\n\n{node}\n\nRunning Nodes\n\n{node}\n\nVersions\n\n{node}: \
         RabbitMQ {version}\n\nAlarms\n\n(none)\n\nNetwork Partitions\n\n(none)"
    ))
}

fn status(ctl: &Ctl) -> Done {
    let overview = ctl.get(&["overview"])?;
    let node = ctl.list(&["nodes"])?.into_iter().next().unwrap_or(Value::Null);
    if ctl.line.formatter == super::Formatter::Json {
        let status = serde_json::json!({
            "rabbitmq_version": at(&overview, "rabbitmq_version"), "product_name": at(&overview, "product_name"),
            "pid": at(&node, "os_pid").as_str().and_then(|pid| pid.parse::<u64>().ok()),
            "uptime": at(&node, "uptime").as_u64().map(|millis| millis / 1000),
            "disk_free": at(&node, "disk_free"), "disk_free_limit": at(&node, "disk_free_limit"),
            "memory": { "total": { "rss": at(&node, "mem_used") } },
            "vm_memory_high_watermark_limit": at(&node, "mem_limit"),
            "listeners": at(&overview, "listeners"), "totals": at(&overview, "object_totals"), "alarms": alarms(&node),
            "data_directory": at(&node, "db_dir"), "is_under_maintenance": false, "log_files": at(&node, "log_files"),
        });
        return Ok(print(&format!("{status}\n"))?);
    }
    ctl.banner(format!("Status of node {} ...", ctl.node()))?;
    ctl.say(status_text(&overview, &node))
}

fn alarms(node: &Value) -> Vec<&'static str> {
    let raised = [("mem_alarm", "memory"), ("disk_free_alarm", "disk")];
    raised
        .into_iter()
        .filter(|(field, _)| at(node, field) == &Value::Bool(true))
        .map(|(_, name)| name)
        .collect()
}

fn status_text(overview: &Value, node: &Value) -> String {
    let text = |value: &Value| super::rows::cell(value);
    let seconds = at(node, "uptime").as_u64().unwrap_or_default() / 1000;
    let gigabytes = |field: &str| format!("{:.4} gb", at(node, field).as_f64().unwrap_or_default() / 1e9);
    let raised = alarms(node);
    let listeners: Vec<String> =
        at(overview, "listeners").as_array().into_iter().flatten().map(listener_line).collect();
    format!(
        "Runtime\n\n\
         OS PID: {}\nOS: Linux\nUptime (seconds): {seconds}\nIs under maintenance?: false\n\
         RabbitMQ version: {}\nNode name: {}\n\n\
         Data directory\n\nNode data directory: {}\n\nAlarms\n\n{}\n\nMemory\n\n\
         Total memory used: {}\nMemory high watermark setting: computed to: {}\n\nFile Descriptors\n\n\
         Total: {}, limit: {}\n\nFree Disk Space\n\n\
         Low free disk space watermark: {}\nFree disk space: {}\n\nTotals\n\n\
         Connection count: {}\nQueue count: {}\n\nListeners\n\n{}",
        text(at(node, "os_pid")),
        text(at(overview, "rabbitmq_version")),
        text(at(overview, "node")),
        text(at(node, "db_dir")),
        if raised.is_empty() { "(none)".to_owned() } else { raised.join("\n") },
        gigabytes("mem_used"),
        gigabytes("mem_limit"),
        at(node, "fd_used"),
        at(node, "fd_total"),
        gigabytes("disk_free_limit"),
        gigabytes("disk_free"),
        at(overview, "object_totals.connections"),
        at(overview, "object_totals.queues"),
        listeners.join("\n"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn only_a_broker_greets() {
        for (answer, is_broker) in [
            (&b"\x01\x00\x00\x00\x00\x01\x00\x00\x0a\x00\x0a...."[..], true),
            (b"\x01\x00\x01\x00\x00\x01\x00\x00\x0a\x00\x0a....", false),
            (b"AMQP\0\x03\x01\x00\x00", false),
            (b"", false),
        ] {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let address = listener.local_addr().unwrap();
            let server = std::thread::spawn(move || {
                let (mut socket, _) = listener.accept().unwrap();
                socket.read_exact(&mut [0; 8]).unwrap();
                socket.write_all(answer).unwrap();
            });
            assert_eq!(greets(address), is_broker, "{answer:?}");
            server.join().unwrap();
        }
    }
}
