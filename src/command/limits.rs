//! `lepus limit`: of virtual hosts and of users.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::client::{Path, path};
use super::context::{Context, Done};
use super::listing::List;
use super::text::{Column, Show, at, column, plain};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List limits of virtual hosts and users.
    List(List),
    /// Set a limit: max-connections and max-queues of a virtual host; max-connections and max-channels of a user.
    Set {
        limit: String,
        /// How many; -1 is no limit.
        #[arg(allow_negative_numbers = true)]
        value: i64,
        #[command(flatten)]
        whose: Whose,
    },
    /// Lift a limit.
    Clear {
        limit: String,
        #[command(flatten)]
        whose: Whose,
    },
}

/// Of whom: without this, of the virtual host.
#[derive(Debug, Args)]
pub(crate) struct Whose {
    /// Of this user.
    #[arg(long, value_name = "USER")]
    of_user: Option<String>,
}

impl Whose {
    fn path(&self, context: &Context, limit: &str) -> Path {
        match &self.of_user {
            Some(user) => path(&["user-limits", user, limit]).about(format!("user '{user}'")),
            None => path(&["vhost-limits", context.vhost(), limit])
                .about(format!("virtual host '{}'", context.vhost())),
        }
    }
}

fn columns() -> Vec<Column> {
    vec![plain("vhost"), plain("user"), plain("limit"), column("value", "value", Show::Plain)]
}

impl Command {
    pub(super) fn run(self, context: &Context) -> Done {
        match self {
            Self::List(list) => {
                let vhosts = context.client.get(super::queues::all("vhost-limits", context))?;
                let users = match context.vhost {
                    None => context.client.get(path(&["user-limits"]))?,
                    Some(_) => Value::Null,
                };
                let rows = rows(&vhosts, "vhost").into_iter().chain(rows(&users, "user")).collect();
                list.print(context, rows, &columns())
            }
            Self::Set { limit, value, whose } => {
                context.client.put(whose.path(context, &limit), &json!({ "value": value }))?;
                context.say(format!("{limit}: {value}"))
            }
            Self::Clear { limit, whose } => {
                context.client.delete(whose.path(context, &limit))?;
                context.say(format!("{limit}: cleared"))
            }
        }
    }
}

/// A row for each limit.
fn rows(limits: &Value, whose: &str) -> Vec<Value> {
    let of_one = |one: &Value| -> Vec<Value> {
        let fields = at(one, "value").as_object().into_iter().flatten();
        fields
            .map(|(limit, value)| json!({ whose: at(one, whose), "limit": limit, "value": value }))
            .collect()
    };
    limits.as_array().into_iter().flatten().flat_map(of_one).collect()
}
