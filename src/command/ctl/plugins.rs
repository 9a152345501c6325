//! `rabbitmq-plugins`: what RabbitMQ has as plugins and this broker has built in is enabled, always; what it has not is
//! refused. None of this asks a broker, so that image recipes can call it.

use serde_json::{Value, json};

use super::rows::rows;
use super::stop::{Done, EX_DATAERR, EX_UNAVAILABLE, Stop};
use super::{ANY, Command, Ctl, Formatter, command};
use crate::command::context::print;

pub(super) const COMMANDS: &[Command] = &[
    command("list", "[pattern] [--minimal]", (0, 1), list),
    command("enable", "<plugin>|--all [<plugin> ...]", (0, ANY), enable),
    command("set", "<plugin> [<plugin> ...]", (0, ANY), enable),
    command("disable", "<plugin> [<plugin> ...]", (0, ANY), disable),
    command("is_enabled", "<plugin> [<plugin> ...]", (1, ANY), is_enabled),
];

/// RabbitMQ's names of plugins whose work is done here without one.
const BUILT_IN: &[&str] = &[
    "rabbitmq_auth_mechanism_ssl",
    "rabbitmq_consistent_hash_exchange",
    "rabbitmq_delayed_message_exchange",
    "rabbitmq_management",
    "rabbitmq_management_agent",
    "rabbitmq_message_deduplication",
    "rabbitmq_prometheus",
    "rabbitmq_random_exchange",
    "rabbitmq_recent_history_exchange",
    "rabbitmq_web_dispatch",
];

/// Those of the arguments that are not built in.
fn unknown(ctl: &Ctl) -> Vec<&str> {
    let asked = ctl.line.arguments.iter().flat_map(|words| words.split([',', ' ']));
    asked.filter(|name| !name.is_empty() && !BUILT_IN.contains(name)).collect()
}

fn list(ctl: &Ctl) -> Done {
    let pattern = ctl.line.arguments.first().map_or(".*", String::as_str);
    let matching = regex::Regex::new(pattern)
        .map_err(|error| Stop::new(EX_DATAERR, format!("'{pattern}' is no regular expression: {error}")))?;
    let found: Vec<&str> = BUILT_IN.iter().copied().filter(|name| matching.is_match(name)).collect();
    if ctl.line.formatter != Formatter::Table {
        let version = env!("CARGO_PKG_VERSION");
        let row = |name: &&str| vec![json!(name), json!("enabled"), json!(version), Value::Bool(true)];
        let columns = ["name", "enabled", "version", "running"];
        return rows(&ctl.line, &columns, &found.iter().map(row).collect::<Vec<_>>());
    }
    if ctl.line.has("minimal") {
        return Ok(print(&found.iter().map(|name| format!("{name}\n")).collect::<String>())?);
    }
    ctl.banner(format!(
        "Listing plugins with pattern \"{pattern}\" ...\n Configured: E = explicitly enabled; e = implicitly \
         enabled\n | Status: * = running on {}\n |/",
        ctl.node()
    ))?;
    let line = |name: &&str| format!("[E*] {name} {}\n", env!("CARGO_PKG_VERSION"));
    Ok(print(&found.iter().map(line).collect::<String>())?)
}

fn enable(ctl: &Ctl) -> Done {
    let missing = unknown(ctl);
    if !missing.is_empty() {
        let text = format!(
            "The following plugins could not be found: {}. There are no plugins here: what is built in is listed by \
             'rabbitmq-plugins list'",
            missing.join(", ")
        );
        return Err(Stop::new(EX_DATAERR, text));
    }
    ctl.banner(format!("Enabling plugins on node {}:\n{}", ctl.node(), ctl.line.arguments.join("\n")))?;
    ctl.say("Plugin configuration unchanged.")
}

fn disable(ctl: &Ctl) -> Done {
    let named: Vec<&str> = ctl.line.arguments.iter().map(String::as_str).collect();
    let built_in: Vec<&str> = named.into_iter().filter(|name| BUILT_IN.contains(name)).collect();
    if built_in.is_empty() {
        return ctl.say("Plugin configuration unchanged.");
    }
    let text = format!(
        "{} cannot be disabled: it is part of the broker. Listeners are switched off by settings, such as \
         management.listen = \"off\"",
        built_in.join(", ")
    );
    Err(Stop::new(EX_UNAVAILABLE, text))
}

fn is_enabled(ctl: &Ctl) -> Done {
    ctl.banner(format!("Asking node {} if plugins are enabled...", ctl.node()))?;
    let missing = unknown(ctl);
    if missing.is_empty() {
        return ctl.say(format!(
            "Plugins {} are enabled on node {}",
            ctl.line.arguments.join(", "),
            ctl.node()
        ));
    }
    Err(Stop::new(EX_UNAVAILABLE, format!("Plugins {} are not enabled", missing.join(", "))))
}
