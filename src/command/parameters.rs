//! `lepus parameter` and `lepus global-parameter`.

use clap::Subcommand;
use serde_json::{Value, json};

use super::arguments;
use super::client::{Path, path};
use super::context::{Context, Done};
use super::listing::List;
use super::text::plain;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List parameters.
    List(List),
    /// Set a parameter of the virtual host.
    Set {
        component: String,
        name: String,
        /// JSON.
        #[arg(value_parser = arguments::json)]
        value: Value,
    },
    /// Delete a parameter of the virtual host.
    Clear { component: String, name: String },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Global {
    /// List global parameters.
    List(List),
    /// Set a global parameter.
    Set {
        name: String,
        /// JSON.
        #[arg(value_parser = arguments::json)]
        value: Value,
    },
    /// Delete a global parameter.
    Clear { name: String },
}

impl Command {
    pub(super) fn run(self, context: &Context) -> Done {
        match self {
            Self::List(list) => {
                let columns = ["vhost", "component", "name", "value"].map(plain);
                let mut rows = context.client.get(path(&["parameters"]))?;
                if let (Some(vhost), Some(rows)) = (&context.vhost, rows.as_array_mut()) {
                    rows.retain(|row| row.get("vhost").and_then(Value::as_str) == Some(vhost));
                }
                list.print(context, rows, &columns)
            }
            Self::Set { component, name, value } => {
                let body = json!({
                    "component": component, "vhost": context.vhost(), "name": name, "value": value,
                });
                context.client.put(one(context, &component, &name), &body)?;
                context.say(format!("{}: set", context.in_vhost(&component, &name)))
            }
            Self::Clear { component, name } => {
                context.client.delete(one(context, &component, &name))?;
                context.say(format!("{}: cleared", context.in_vhost(&component, &name)))
            }
        }
    }
}

fn one(context: &Context, component: &str, name: &str) -> Path {
    path(&["parameters", component, context.vhost(), name]).about(context.in_vhost(component, name))
}

impl Global {
    pub(super) fn run(self, context: &Context) -> Done {
        let one = |name: &str| path(&["global-parameters", name]).about(format!("global parameter '{name}'"));
        match self {
            Self::List(list) => {
                list.run(context, path(&["global-parameters"]), &["name", "value"].map(plain))
            }
            Self::Set { name, value } => {
                context.client.put(one(&name), &json!({ "name": name, "value": value }))?;
                context.say(format!("global parameter '{name}': set"))
            }
            Self::Clear { name } => {
                context.client.delete(one(&name))?;
                context.say(format!("global parameter '{name}': cleared"))
            }
        }
    }
}
