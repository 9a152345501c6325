//! `lepus queue`.

use clap::{ArgAction, Subcommand};
use serde_json::{Value, json};

use super::arguments::{object, pair};
use super::client::{Path, path};
use super::context::{Context, Done};
use super::leases;
use super::listing::List;
use super::text::{Column, Show, at, column, plain};

/// Messages of one request to move some: the broker says how many it was.
const MOVED_AT_ONCE: u64 = 1000;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List queues.
    List(List),
    /// Show everything about a queue.
    Show { name: String },
    /// Declare a queue; nothing happens if it is there with the same properties.
    Declare {
        name: String,
        /// It goes when the broker stops.
        #[arg(long)]
        transient: bool,
        /// It goes with its last consumer.
        #[arg(long)]
        auto_delete: bool,
        /// classic or quorum.
        #[arg(long = "type", value_name = "TYPE")]
        kind: Option<String>,
        /// An argument, such as x-max-length=1000; of several, one option each.
        #[arg(long = "argument", value_name = "NAME=VALUE", value_parser = pair, action = ArgAction::Append)]
        arguments: Vec<(String, Value)>,
    },
    /// Delete a queue and its messages.
    Delete {
        name: String,
        /// Only if nobody consumes from it.
        #[arg(long)]
        if_unused: bool,
        /// Only if it holds no message.
        #[arg(long)]
        if_empty: bool,
    },
    /// Drop the messages of a queue that nobody holds.
    Purge { name: String },
    /// Move messages to the end of another queue, as they are; what consumers hold stays.
    Move {
        from: String,
        to: String,
        /// At most so many.
        #[arg(long, default_value_t = u64::MAX, hide_default_value = true)]
        count: u64,
    },
    /// Stop deliveries of a queue; it takes messages in as before, and what consumers hold stays theirs. A durable
    /// queue stays paused over restarts.
    Pause { name: String },
    /// Let deliveries of a paused queue go on.
    Resume { name: String },
    /// Who holds which message of a queue, since when, until when.
    Leases { name: String },
}

/// The columns of a list.
fn columns() -> Vec<Column> {
    vec![
        plain("vhost"),
        plain("name"),
        plain("type"),
        plain("durable"),
        column("ready", "messages_ready", Show::Plain),
        column("unacked", "messages_unacknowledged", Show::Plain),
        column("delayed", "messages_delayed", Show::Plain),
        plain("consumers"),
        column("in/s", "message_stats.publish_details.rate", Show::Rate),
        column("out/s", "message_stats.deliver_get_details.rate", Show::Rate),
        column("ack/s", "message_stats.ack_details.rate", Show::Rate),
        column("memory", "memory", Show::Octets),
        plain("state"),
        plain("policy"),
    ]
}

impl Command {
    pub(super) fn run(self, context: &Context) -> Done {
        match self {
            Self::List(list) => list.run(context, all("queues", context), &columns()),
            Self::Show { name } => context.document(&context.client.get(one(context, &name))?),
            Self::Declare { name, transient, auto_delete, kind, mut arguments } => {
                arguments.extend(kind.map(|kind| ("x-queue-type".to_owned(), Value::from(kind))));
                let body = json!({
                    "durable": !transient, "auto_delete": auto_delete, "arguments": object(arguments),
                });
                let answer = context.client.put(one(context, &name), &body)?;
                let done = if answer.status == 201 { "declared" } else { "is there" };
                context.say(format!("{}: {done}", context.in_vhost("queue", &name)))
            }
            Self::Delete { name, if_unused, if_empty } => {
                let mut path = one(context, &name);
                for (flag, _) in
                    [("if-unused", if_unused), ("if-empty", if_empty)].iter().filter(|flag| flag.1)
                {
                    path = path.query(flag, "true");
                }
                context.client.delete(path)?;
                context.say(format!("{}: deleted", context.in_vhost("queue", &name)))
            }
            Self::Purge { name } => {
                context.client.delete(below(context, &name, "contents"))?;
                context.say(format!("{}: purged", context.in_vhost("queue", &name)))
            }
            Self::Move { from, to, count } => move_messages(context, &from, &to, count),
            Self::Pause { name } => act(context, &name, "pause", "paused"),
            Self::Resume { name } => act(context, &name, "resume", "goes on"),
            Self::Leases { name } => leases::of_queue(context, context.vhost(), &name),
        }
    }
}

/// Has the broker do something with a queue.
fn act(context: &Context, name: &str, action: &str, done: &str) -> Done {
    context.client.post(below(context, name, "actions"), &json!({ "action": action }))?;
    context.say(format!("{}: {done}", context.in_vhost("queue", name)))
}

/// Asks for a piece at a time, so that no request takes long.
fn move_messages(context: &Context, from: &str, to: &str, count: u64) -> Done {
    let mut moved = 0;
    while moved < count {
        let some = MOVED_AT_ONCE.min(count - moved);
        let body = json!({ "action": "move", "to": to, "count": some });
        let answer = context.client.post(below(context, from, "actions"), &body);
        let now = match answer {
            Ok(answer) => at(&answer, "moved").as_u64().unwrap_or_default(),
            Err(failure) => {
                context.say(format!("{moved} messages moved before it failed"))?;
                return Err(failure);
            }
        };
        moved += now;
        if now < some {
            break;
        }
    }
    match context.format {
        super::access::Format::Json => context.json(&json!({ "moved": moved })),
        super::access::Format::Table => context.say(format!("{moved} messages moved")),
    }
}

/// The path of a list: of one virtual host, if one was asked for.
pub(super) fn all(kind: &str, context: &Context) -> Path {
    match &context.vhost {
        None => path(&[kind]),
        Some(vhost) => path(&[kind, vhost]).about(format!("virtual host '{vhost}'")),
    }
}

fn one(context: &Context, name: &str) -> Path {
    path(&["queues", context.vhost(), name]).about(context.in_vhost("queue", name))
}

/// A part of a queue.
pub(super) fn below(context: &Context, name: &str, part: &str) -> Path {
    path(&["queues", context.vhost(), name, part]).about(context.in_vhost("queue", name))
}
