//! What RabbitMQ's `rabbitmqctl`, `rabbitmq-diagnostics`, `rabbitmq-queues`, `rabbitmq-upgrade` and `rabbitmq-plugins`
//! do, for the commands that scripts, health checks and test suites call: their arguments, their output, their exit
//! codes.
//!
//! All of these programs know all of these commands. What has no meaning here is refused with the reason.

mod accounts;
mod entities;
mod governance;
mod health;
mod line;
mod lists;
mod node;
mod plugins;
mod rows;
mod stop;

use std::process::ExitCode;

use serde_json::Value;

use super::access::{Access, Local};
use super::client::path;
use super::context::{Context, print};
use line::{Formatter, Line};
use stop::{Done, EX_SOFTWARE, EX_UNAVAILABLE, EX_USAGE, Stop};

/// The programs that this stands for.
pub(crate) const PROGRAMS: &[&str] =
    &["rabbitmqctl", "rabbitmq-diagnostics", "rabbitmq-queues", "rabbitmq-upgrade", "rabbitmq-plugins"];

/// Seconds that a command waits without `--timeout` (RabbitMQ).
const TIMEOUT: u64 = 60;

/// A command: its name, its arguments as they are shown, how many there may be, and what it does.
struct Command {
    name: &'static str,
    usage: &'static str,
    least: usize,
    most: usize,
    run: fn(&Ctl) -> Done,
}

const fn command(
    name: &'static str,
    usage: &'static str,
    (least, most): (usize, usize),
    run: fn(&Ctl) -> Done,
) -> Command {
    Command { name, usage, least, most, run }
}

/// Arguments without end.
const ANY: usize = usize::MAX;

const COMMANDS: &[&[Command]] = &[
    node::COMMANDS,
    plugins::COMMANDS,
    health::COMMANDS,
    lists::COMMANDS,
    accounts::COMMANDS,
    governance::COMMANDS,
    entities::COMMANDS,
];

/// What a command works with.
struct Ctl {
    line: Line,
    context: Context,
    /// The broker on this machine, if its operator file can be read.
    local: Option<Local>,
}

/// Runs a command of `program`.
pub(crate) fn run(program: &str, arguments: &[String]) -> ExitCode {
    let done = Line::parse(arguments).and_then(|line| carry_out(program, line));
    done.map_or_else(|stop| stop.tell(), |()| ExitCode::SUCCESS)
}

fn carry_out(program: &str, line: Line) -> Done {
    if line.has("version") || line.command == "version" {
        return Ok(print(concat!(env!("CARGO_PKG_VERSION"), "\n"))?);
    }
    if line.command == "help" || line.has("help") {
        return Ok(print(&help(program))?);
    }
    if line.command.is_empty() {
        return Err(Stop::new(EX_USAGE, help(program)).plain());
    }
    let Some(known) = COMMANDS.iter().flat_map(|some| some.iter()).find(|known| known.name == line.command)
    else {
        return Err(unknown(program, &line.command));
    };
    let given = line.arguments.len();
    if given < known.least || given > known.most {
        let what = if given < known.least { "not enough arguments" } else { "too many arguments" };
        let usage = format!("{program} {} {}", known.name, known.usage);
        let text = format!("Error (argument validation): {what}.\nUsage\n\n{usage}");
        return Err(Stop::new(EX_USAGE, text).plain());
    }
    let ctl = Ctl::new(line)?;
    ctl.check_node()?;
    (known.run)(&ctl)
}

/// Commands of RabbitMQ's tools that mean nothing here, or too much, and why.
const REFUSED: &[(&[&str], &str)] = &[
    (
        &["eval", "eval_file", "exec", "remote_shell"],
        "the broker is no Erlang node: there is nothing to evaluate in",
    ),
    (
        &["stop_app", "start_app", "stop", "shutdown"],
        "the broker is started and stopped by whoever runs it: systemd, the container, or SIGTERM to its process",
    ),
    (
        &["reset", "force_reset", "force_boot"],
        "the broker does not throw its data away while it runs: stop it and start it with another --data-dir",
    ),
    (
        &[
            "join_cluster",
            "forget_cluster_node",
            "change_cluster_node_type",
            "rename_cluster_node",
            "update_cluster_nodes",
        ],
        "the broker is a single node",
    ),
    (&["sync_queue", "cancel_sync_queue"], "there are no mirrored queues"),
    (&["suspend_listeners", "resume_listeners", "drain", "revive"], "listeners cannot be suspended"),
    (
        &["set_vm_memory_high_watermark", "set_disk_free_limit", "set_log_level"],
        "this is a setting: change it in lepus.toml and send SIGHUP to the broker",
    ),
];

fn unknown(program: &str, name: &str) -> Stop {
    match REFUSED.iter().find(|(names, _)| names.contains(&name)) {
        Some((_, why)) => Stop::new(EX_UNAVAILABLE, format!("'{name}' is not supported: {why}")),
        None => {
            let text = format!("\nCommand '{name}' not found. \n\n{}", help(program));
            Stop::new(EX_USAGE, text).plain()
        }
    }
}

fn help(program: &str) -> String {
    let mut text = format!(
        "\nUsage\n\n{program} [--node <node>] [--timeout <timeout>] [--quiet] [--silent] [--formatter \
         table|json|csv|pretty_table] <command> [<command options>]\n\nAvailable commands:\n\n"
    );
    for known in COMMANDS.iter().flat_map(|some| some.iter()) {
        text.push_str(&format!("   {} {}\n", known.name, known.usage));
    }
    text
}

impl Ctl {
    fn new(line: Line) -> Result<Self, Stop> {
        let timeout = line.timeout(TIMEOUT)?;
        let access = Access::of_environment(timeout, line.vhost());
        let local = access.local();
        Ok(Self { context: access.context()?, local, line })
    }

    /// A node on another machine is out of reach: refused rather than taken for the one here.
    fn check_node(&self) -> Done {
        let Some(wanted) = self.line.option("node") else { return Ok(()) };
        let host = wanted.rsplit_once('@').map_or("localhost", |(_, host)| host);
        let own = rustix::system::uname().nodename().to_string_lossy().into_owned();
        let short = |name: &str| name.split('.').next().unwrap_or_default().to_owned();
        let is_local = host == "localhost" || short(host) == short(&own);
        if is_local || self.local.as_ref().is_some_and(|local| local.node == wanted) {
            return Ok(());
        }
        let text = format!(
            "Error: unable to perform an operation on node '{wanted}'. It is not on this machine: use `lepus --url \
             http://host:15672` for brokers elsewhere"
        );
        Err(Stop::new(EX_UNAVAILABLE, text).plain())
    }

    /// The node's name, for what is told.
    fn node(&self) -> &str {
        let local = self.local.as_ref().map(|local| local.node.as_str());
        local.or_else(|| self.line.option("node")).unwrap_or("rabbit@localhost")
    }

    /// Says what is being done, unless only the result is wanted.
    fn banner(&self, text: impl std::fmt::Display) -> Done {
        let is_quiet = self.line.has("quiet") || self.line.has("silent");
        let for_programs = matches!(self.line.formatter, Formatter::Json | Formatter::Csv);
        if is_quiet || for_programs { Ok(()) } else { Ok(print(&format!("{text}\n"))?) }
    }

    /// Says what came of it.
    fn say(&self, text: impl std::fmt::Display) -> Done {
        if self.line.has("silent") { Ok(()) } else { Ok(print(&format!("{text}\n"))?) }
    }

    fn vhost(&self) -> &str {
        self.line.vhost()
    }

    fn argument(&self, at: usize) -> &str {
        self.line.argument(at)
    }

    /// An argument that is JSON.
    fn json(&self, at: usize) -> Result<Value, Stop> {
        serde_json::from_str(self.argument(at))
            .map_err(|error| Stop::new(EX_UNAVAILABLE, format!("JSON decoding error. Reason: {error}")))
    }

    /// The document at a path.
    fn get(&self, segments: &[&str]) -> Result<Value, Stop> {
        Ok(self.context.client.get(path(segments))?)
    }

    /// The items of a list.
    fn list(&self, segments: &[&str]) -> Result<Vec<Value>, Stop> {
        match self.get(segments)? {
            Value::Array(items) => Ok(items),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => {
                Err(Stop::new(EX_SOFTWARE, "the broker's answer is not a list"))
            }
        }
    }
}
