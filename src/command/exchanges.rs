//! `lepus exchange` and `lepus binding`.

use clap::{ArgAction, Args, Subcommand};
use serde_json::{Value, json};

use super::arguments::{object, pair};
use super::client::{Path, path};
use super::context::{Context, Done};
use super::failure::Failure;
use super::listing::List;
use super::queues::all;
use super::text::{Show, at, column, plain};

/// How the default exchange, whose name is empty, is written in a path.
const DEFAULT_EXCHANGE: &str = "amq.default";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List exchanges.
    List(List),
    /// Show everything about an exchange.
    Show { name: String },
    /// Declare an exchange; nothing happens if it is there with the same properties.
    Declare {
        name: String,
        /// direct, fanout, topic, headers, or a type of a plugin such as x-consistent-hash.
        #[arg(long = "type", value_name = "TYPE", default_value = "direct")]
        kind: String,
        /// It goes when the broker stops.
        #[arg(long)]
        transient: bool,
        /// It goes with its last binding.
        #[arg(long)]
        auto_delete: bool,
        /// Nobody may publish to it; other exchanges are bound to it.
        #[arg(long)]
        internal: bool,
        /// An argument, such as alternate-exchange=lost; of several, one option each.
        #[arg(long = "argument", value_name = "NAME=VALUE", value_parser = pair, action = ArgAction::Append)]
        arguments: Vec<(String, Value)>,
    },
    /// Delete an exchange.
    Delete {
        name: String,
        /// Only if nothing is bound to it.
        #[arg(long)]
        if_unused: bool,
    },
}

impl Command {
    pub(super) fn run(self, context: &Context) -> Done {
        match self {
            Self::List(list) => {
                let columns = [
                    plain("vhost"),
                    plain("name"),
                    plain("type"),
                    plain("durable"),
                    column("in/s", "message_stats.publish_in_details.rate", Show::Rate),
                    column("out/s", "message_stats.publish_out_details.rate", Show::Rate),
                    plain("policy"),
                    plain("arguments"),
                ];
                list.run(context, all("exchanges", context), &columns)
            }
            Self::Show { name } => context.document(&context.client.get(one(context, &name))?),
            Self::Declare { name, kind, transient, auto_delete, internal, arguments } => {
                let body = json!({
                    "type": kind, "durable": !transient, "auto_delete": auto_delete, "internal": internal,
                    "arguments": object(arguments),
                });
                let answer = context.client.put(one(context, &name), &body)?;
                let done = if answer.status == 201 { "declared" } else { "is there" };
                context.say(format!("{}: {done}", context.in_vhost("exchange", &name)))
            }
            Self::Delete { name, if_unused } => {
                let path = one(context, &name);
                let path = if if_unused { path.query("if-unused", "true") } else { path };
                context.client.delete(path)?;
                context.say(format!("{}: deleted", context.in_vhost("exchange", &name)))
            }
        }
    }
}

fn one(context: &Context, name: &str) -> Path {
    let segment = if name.is_empty() { DEFAULT_EXCHANGE } else { name };
    path(&["exchanges", context.vhost(), segment]).about(context.in_vhost("exchange", name))
}

#[derive(Debug, Subcommand)]
pub(crate) enum Bindings {
    /// List bindings.
    List(List),
    /// Bind a queue, or another exchange, to an exchange.
    Declare(Binding),
    /// Delete a binding.
    Delete(Binding),
}

/// Which binding.
#[derive(Debug, Args)]
pub(crate) struct Binding {
    /// The exchange that messages come from.
    source: String,
    /// The queue that they go to.
    destination: String,
    /// It is an exchange that they go to.
    #[arg(long)]
    to_exchange: bool,
    /// The routing key, or a pattern of such.
    #[arg(long, default_value = "", hide_default_value = true)]
    routing_key: String,
    /// An argument, such as x-match=all; of several, one option each.
    #[arg(long = "argument", value_name = "NAME=VALUE", value_parser = pair, action = ArgAction::Append)]
    arguments: Vec<(String, Value)>,
}

impl Bindings {
    pub(super) fn run(self, context: &Context) -> Done {
        match self {
            Self::List(list) => {
                let columns = [
                    plain("vhost"),
                    plain("source"),
                    plain("routing_key"),
                    plain("destination"),
                    column("to", "destination_type", Show::Plain),
                    plain("arguments"),
                ];
                list.run(context, all("bindings", context), &columns)
            }
            Self::Declare(binding) => {
                let (path, text) = (binding.path(context), binding.text());
                let body = json!({
                    "routing_key": binding.routing_key, "arguments": object(binding.arguments),
                });
                context.client.post(path, &body)?;
                context.say(format!("{text}: bound"))
            }
            Self::Delete(binding) => delete(context, binding),
        }
    }
}

impl Binding {
    fn segments<'s>(&'s self, context: &'s Context) -> [&'s str; 6] {
        let kind = if self.to_exchange { "e" } else { "q" };
        ["bindings", context.vhost(), "e", &self.source, kind, &self.destination]
    }

    fn path(&self, context: &Context) -> Path {
        path(&self.segments(context)).about(format!(
            "exchange '{}' or no destination '{}' in virtual host '{}'",
            self.source,
            self.destination,
            context.vhost()
        ))
    }

    fn text(&self) -> String {
        format!("'{}' from exchange '{}' with key '{}'", self.destination, self.source, self.routing_key)
    }
}

/// The broker names each binding by a key of its own, made of routing key and arguments.
fn delete(context: &Context, binding: Binding) -> Done {
    let between = context.client.get(binding.path(context))?;
    let text = binding.text();
    let (routing_key, arguments) = (binding.routing_key.clone(), object(binding.arguments.clone()));
    let found = between.as_array().into_iter().flatten().find(|found| {
        at(found, "routing_key").as_str() == Some(&routing_key) && at(found, "arguments") == &arguments
    });
    let Some(key) = found.and_then(|found| at(found, "properties_key").as_str()) else {
        return Err(Failure::Missing(format!("there is no binding of {text} with these arguments")));
    };
    let segments: Vec<&str> = binding.segments(context).into_iter().chain([key]).collect();
    context.client.delete(path(&segments).about(format!("binding of {text}")))?;
    context.say(format!("{text}: unbound"))
}
