//! `lepus policy` and `lepus operator-policy`.

use clap::Subcommand;
use serde_json::{Value, json};

use super::arguments;
use super::client::{Path, path};
use super::context::{Context, Done};
use super::listing::List;
use super::queues::all;
use super::text::{Show, column, plain};

/// Where policies stand in the API.
pub(super) const USER: &str = "policies";

/// Where operator policies stand.
pub(super) const OPERATOR: &str = "operator-policies";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List policies.
    List(List),
    /// Set a policy; it takes effect at once on what is there.
    Set {
        name: String,
        /// A regular expression: for queues and exchanges with such names.
        pattern: String,
        /// What holds for them, as JSON: {"max-length": 1000}.
        #[arg(value_parser = arguments::json)]
        definition: Value,
        /// Of several policies that match, the highest holds.
        #[arg(long, default_value_t = 0, allow_negative_numbers = true)]
        priority: i64,
        /// queues, classic_queues, quorum_queues, exchanges or all.
        #[arg(long, default_value = "all")]
        apply_to: String,
    },
    /// Delete a policy.
    Clear { name: String },
}

impl Command {
    pub(super) fn run(self, kind: &str, context: &Context) -> Done {
        match self {
            Self::List(list) => {
                let columns = [
                    plain("vhost"),
                    plain("name"),
                    plain("priority"),
                    column("apply to", "apply-to", Show::Plain),
                    plain("pattern"),
                    plain("definition"),
                ];
                list.run(context, all(kind, context), &columns)
            }
            Self::Set { name, pattern, definition, priority, apply_to } => {
                let body = json!({
                    "pattern": pattern, "definition": definition, "priority": priority, "apply-to": apply_to,
                });
                context.client.put(one(kind, context, &name), &body)?;
                context.say(format!("{}: set", context.in_vhost("policy", &name)))
            }
            Self::Clear { name } => {
                context.client.delete(one(kind, context, &name))?;
                context.say(format!("{}: cleared", context.in_vhost("policy", &name)))
            }
        }
    }
}

fn one(kind: &str, context: &Context, name: &str) -> Path {
    path(&[kind, context.vhost(), name]).about(context.in_vhost("policy", name))
}
