//! Queues, connections, definitions, tracing.

use std::path::Path;

use serde_json::Value;

use super::lists::pid;
use super::stop::{Done, EX_DATAERR, EX_UNAVAILABLE, EX_USAGE, Stop};
use super::{Command, Ctl, command};
use crate::command::arguments::{STDIO, read};
use crate::command::client::path;
use crate::command::context::print;
use crate::command::definitions::write_private;
use crate::command::failure::Failure;
use crate::command::text::at;

pub(super) const COMMANDS: &[Command] = &[
    command("delete_queue", "[--vhost <vhost>] <queue> [--if-empty] [--if-unused]", (1, 1), delete_queue),
    command("purge_queue", "[--vhost <vhost>] <queue>", (1, 1), purge_queue),
    command("close_connection", "<connection> <explanation>", (2, 2), close_connection),
    command(
        "close_all_connections",
        "[--vhost <vhost>|--global] [--limit <limit>] <explanation>",
        (1, 1),
        close_all_connections,
    ),
    command("close_all_user_connections", "<username> <explanation>", (2, 2), close_all_user_connections),
    command("export_definitions", "<file>", (1, 1), export_definitions),
    command("import_definitions", "<file>", (1, 1), import_definitions),
    command("trace_on", "[--vhost <vhost>]", (0, 0), trace_on),
    command("trace_off", "[--vhost <vhost>]", (0, 0), trace_off),
];

fn delete_queue(ctl: &Ctl) -> Done {
    let (queue, vhost) = (ctl.argument(0), ctl.vhost());
    let flags = [("if-empty", "if_empty"), ("if-unused", "if_unused")];
    let set: Vec<&str> = flags.iter().filter(|(flag, _)| ctl.line.has(flag)).map(|(_, name)| *name).collect();
    let only = if set.is_empty() { String::new() } else { format!(" if {}", set.join(" and ")) };
    ctl.banner(format!("Deleting queue '{queue}' on vhost '{vhost}'{only} ..."))?;
    let found = ctl.context.client.get(path(&["queues", vhost, queue])).map_err(not_found)?;
    let mut target = path(&["queues", vhost, queue]);
    for (flag, _) in flags.iter().filter(|(flag, _)| ctl.line.has(flag)) {
        target = target.query(flag, "true");
    }
    ctl.context.client.delete(target).map_err(not_found)?;
    ctl.say(format!("Queue was successfully deleted with {} ready messages", at(&found, "messages_ready")))
}

/// RabbitMQ says 64 for a queue to delete.
fn not_found(failure: Failure) -> Stop {
    Stop::where_missing(failure, EX_USAGE, "Queue not found")
}

fn purge_queue(ctl: &Ctl) -> Done {
    let (queue, vhost) = (ctl.argument(0), ctl.vhost());
    ctl.banner(format!("Purging queue '{queue}' in vhost '{vhost}' ..."))?;
    match ctl.context.client.delete(path(&["queues", vhost, queue, "contents"])) {
        Err(Failure::Missing(_)) => Err(Stop::new(EX_UNAVAILABLE, "not_found")),
        done => Ok(done?),
    }
}

/// Closes a connection; that it has gone meanwhile is as good.
fn close(ctl: &Ctl, name: &str, why: &str) -> Done {
    let why: String =
        why.chars().map(|character| if (' '..='~').contains(&character) { character } else { '?' }).collect();
    match ctl.context.client.delete_with(path(&["connections", name]), ("x-reason", &why)) {
        Err(Failure::Missing(_)) => Ok(()),
        done => Ok(done?),
    }
}

/// The connection's pid, as listed, or its name.
fn close_connection(ctl: &Ctl) -> Done {
    let (wanted, why) = (ctl.argument(0), ctl.argument(1));
    ctl.banner(format!("Closing connection {wanted}, reason: {why}..."))?;
    for connection in ctl.list(&["connections"])? {
        let Some(name) = at(&connection, "name").as_str() else { continue };
        if name == wanted || pid(name) == wanted {
            return close(ctl, name, why);
        }
    }
    Err(Stop::new(EX_UNAVAILABLE, format!("there is no connection {wanted}")))
}

fn close_all_connections(ctl: &Ctl) -> Done {
    let (why, everywhere) = (ctl.argument(0), ctl.line.has("global"));
    let (vhost, limit) = (ctl.vhost(), ctl.line.option("limit").and_then(|limit| limit.parse().ok()));
    let scope =
        if everywhere { "connections to node".to_owned() } else { format!("connections in vhost {vhost}") };
    ctl.banner(format!("Closing all {scope}, reason: {why}..."))?;
    let matching = |connection: &Value| everywhere || at(connection, "vhost").as_str() == Some(vhost);
    let closed = close_matching(ctl, why, limit.filter(|limit| *limit > 0), matching)?;
    ctl.say(format!("Closed {closed} connections"))
}

fn close_all_user_connections(ctl: &Ctl) -> Done {
    let (user, why) = (ctl.argument(0), ctl.argument(1));
    ctl.banner(format!("Closing connections of user {user}, reason: {why} ..."))?;
    close_matching(ctl, why, None, |connection| at(connection, "user").as_str() == Some(user)).map(drop)
}

fn close_matching(
    ctl: &Ctl,
    why: &str,
    limit: Option<usize>,
    matching: impl Fn(&Value) -> bool,
) -> Result<usize, Stop> {
    let mut closed = 0;
    for connection in ctl.list(&["connections"])?.iter().filter(|connection| matching(connection)) {
        if limit.is_some_and(|limit| closed >= limit) {
            break;
        }
        close(ctl, at(connection, "name").as_str().unwrap_or_default(), why)?;
        closed += 1;
    }
    Ok(closed)
}

fn export_definitions(ctl: &Ctl) -> Done {
    let file = ctl.argument(0);
    let is_json = ctl.line.option("format").is_none_or(|format| format.eq_ignore_ascii_case("json"));
    if !is_json {
        return Err(Stop::new(EX_USAGE, "Error (argument validation): definitions are JSON here").plain());
    }
    if file != STDIO {
        ctl.banner(format!("Exporting definitions in JSON to a file at \"{file}\" ..."))?;
    }
    let text = format!("{}\n", ctl.get(&["definitions"])?);
    if file == STDIO { Ok(print(&text)?) } else { Ok(write_private(Path::new(file), &text)?) }
}

fn import_definitions(ctl: &Ctl) -> Done {
    let file = ctl.argument(0);
    ctl.banner(format!("Importing definitions in JSON from a file at \"{file}\" ..."))?;
    let body: Value = serde_json::from_slice(&read(Path::new(file))?)
        .map_err(|error| Stop::new(EX_DATAERR, format!("{file} is not JSON: {error}")))?;
    ctl.context.client.post(path(&["definitions"]), &body)?;
    ctl.say("Successfully imported definitions.")
}

fn trace_on(ctl: &Ctl) -> Done {
    ctl.banner(format!("Starting tracing for vhost \"{}\" ...", ctl.vhost()))?;
    trace(ctl, true)?;
    ctl.say(format!("Trace enabled for vhost {}", ctl.vhost()))
}

fn trace_off(ctl: &Ctl) -> Done {
    ctl.banner(format!("Stopping tracing for vhost \"{}\" ...", ctl.vhost()))?;
    trace(ctl, false)?;
    ctl.say(format!("Trace disabled for vhost {}", ctl.vhost()))
}

/// The rest of the virtual host stays as it is.
fn trace(ctl: &Ctl, on: bool) -> Done {
    let vhost = ctl.vhost();
    let at_vhost = || path(&["vhosts", vhost]).about(format!("virtual host '{vhost}'"));
    let found = ctl.context.client.get(at_vhost())?;
    let mut body = at(&found, "metadata").clone();
    if let Some(fields) = body.as_object_mut() {
        fields.insert("tracing".to_owned(), on.into());
    }
    ctl.context.client.put(at_vhost(), &body)?;
    Ok(())
}
