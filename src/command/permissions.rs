//! `lepus permission` and `lepus topic-permission`.

use clap::Subcommand;
use serde_json::json;

use super::client::{Path, path};
use super::context::{Context, Done};
use super::listing::List;
use super::text::plain;

/// Matches every name.
const ANYTHING: &str = ".*";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List permissions.
    List(List),
    /// Permit a user to use what has such names in the virtual host; by default everything.
    Set {
        user: String,
        /// A regular expression: what may be declared and deleted.
        #[arg(default_value = ANYTHING)]
        configure: String,
        /// A regular expression: what messages may be put into.
        #[arg(default_value = ANYTHING)]
        write: String,
        /// A regular expression: what messages may be taken from.
        #[arg(default_value = ANYTHING)]
        read: String,
    },
    /// Permit a user nothing in the virtual host.
    Clear { user: String },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Topics {
    /// List topic permissions.
    List(List),
    /// Permit a user only such routing keys at a topic exchange.
    Set {
        user: String,
        exchange: String,
        /// A regular expression: keys to publish with.
        write: String,
        /// A regular expression: keys to bind with.
        read: String,
    },
    /// Lift what restricts a user at topic exchanges, or at this one.
    Clear { user: String, exchange: Option<String> },
}

/// Lists stand below the virtual host, when one is asked for.
fn listed(kind: &str, context: &Context) -> Path {
    match &context.vhost {
        None => path(&[kind]),
        Some(vhost) => path(&["vhosts", vhost, kind]).about(format!("virtual host '{vhost}'")),
    }
}

fn of_user(kind: &str, context: &Context, user: &str) -> Path {
    let vhost = context.vhost();
    path(&[kind, vhost, user])
        .about(format!("such virtual host '{vhost}' or user '{user}', or no permission there"))
}

impl Command {
    pub(super) fn run(self, context: &Context) -> Done {
        let vhost = context.vhost();
        match self {
            Self::List(list) => {
                let columns = ["vhost", "user", "configure", "write", "read"].map(plain);
                list.run(context, listed("permissions", context), &columns)
            }
            Self::Set { user, configure, write, read } => {
                let body = json!({ "configure": configure, "write": write, "read": read });
                context.client.put(of_user("permissions", context, &user), &body)?;
                context.say(format!("user '{user}' in virtual host '{vhost}': permissions set"))
            }
            Self::Clear { user } => {
                context.client.delete(of_user("permissions", context, &user))?;
                context.say(format!("user '{user}' in virtual host '{vhost}': permissions cleared"))
            }
        }
    }
}

impl Topics {
    pub(super) fn run(self, context: &Context) -> Done {
        let vhost = context.vhost();
        match self {
            Self::List(list) => {
                let columns = ["vhost", "user", "exchange", "write", "read"].map(plain);
                list.run(context, listed("topic-permissions", context), &columns)
            }
            Self::Set { user, exchange, write, read } => {
                let body = json!({ "exchange": exchange, "write": write, "read": read });
                context.client.put(of_user("topic-permissions", context, &user), &body)?;
                context.say(format!("user '{user}' in virtual host '{vhost}': topic permissions set"))
            }
            Self::Clear { user, exchange } => {
                let path = match &exchange {
                    None => of_user("topic-permissions", context, &user),
                    Some(exchange) => path(&["topic-permissions", vhost, &user, exchange])
                        .about(format!("topic permission of user '{user}' at exchange '{exchange}'")),
                };
                context.client.delete(path)?;
                context.say(format!("user '{user}' in virtual host '{vhost}': topic permissions cleared"))
            }
        }
    }
}
