//! `lepus connection`, `lepus channel` and `lepus consumer`.

use clap::Subcommand;

use super::client::{Path, path};
use super::context::{Context, Done};
use super::failure::Failure;
use super::listing::List;
use super::queues::all;
use super::text::{Show, column, plain};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List connections.
    List(List),
    /// Show everything about a connection.
    Show { name: String },
    /// Close connections; their clients are told why (connection.close 320).
    Close {
        /// The connection's name, as listed.
        #[arg(required_unless_present = "of_user", conflicts_with = "of_user")]
        name: Option<String>,
        /// All connections of this user.
        #[arg(long, value_name = "USER")]
        of_user: Option<String>,
        /// What the clients are told.
        #[arg(long, default_value = "closed by an operator")]
        reason: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Channels {
    /// List channels.
    List(List),
    /// Show everything about a channel.
    Show { name: String },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Consumers {
    /// List consumers.
    List(List),
}

/// Lists of clients stand below the virtual host, when one is asked for.
fn listed(kind: &str, context: &Context) -> Path {
    match &context.vhost {
        None => path(&[kind]),
        Some(vhost) => path(&["vhosts", vhost, kind]).about(format!("virtual host '{vhost}'")),
    }
}

impl Command {
    pub(super) fn run(self, context: &Context) -> Done {
        match self {
            Self::List(list) => {
                let columns = [
                    plain("name"),
                    column("client", "user_provided_name", Show::Plain),
                    plain("user"),
                    plain("vhost"),
                    plain("state"),
                    plain("channels"),
                    column("tls", "ssl", Show::Plain),
                    column("since", "connected_at", Show::Moment),
                    column("in B/s", "recv_oct_details.rate", Show::Rate),
                    column("out B/s", "send_oct_details.rate", Show::Rate),
                ];
                list.run(context, listed("connections", context), &columns)
            }
            Self::Show { name } => context.document(&context.client.get(one("connections", &name))?),
            Self::Close { name: Some(name), of_user: _, reason } => {
                context.client.delete_with(one("connections", &name), ("x-reason", header(&reason)?))?;
                context.say(format!("connection '{name}': closed"))
            }
            Self::Close { name: None, of_user, reason } => {
                let user = of_user.unwrap_or_default();
                let path = path(&["connections", "username", &user]).about(format!("user '{user}'"));
                context.client.delete_with(path, ("x-reason", header(&reason)?))?;
                context.say(format!("connections of user '{user}': closed"))
            }
        }
    }
}

/// A reason travels in a header.
fn header(reason: &str) -> Result<&str, Failure> {
    if reason.chars().all(|character| (' '..='~').contains(&character)) {
        return Ok(reason);
    }
    Err(Failure::Usage("--reason takes ASCII characters only".to_owned()))
}

fn one(kind: &str, name: &str) -> Path {
    path(&[kind, name]).about(format!("{} '{name}'", kind.trim_end_matches('s')))
}

impl Channels {
    pub(super) fn run(self, context: &Context) -> Done {
        match self {
            Self::List(list) => {
                let columns = [
                    plain("name"),
                    plain("user"),
                    plain("vhost"),
                    column("consumers", "consumer_count", Show::Plain),
                    column("unacked", "messages_unacknowledged", Show::Plain),
                    column("unconfirmed", "messages_unconfirmed", Show::Plain),
                    column("uncommitted", "messages_uncommitted", Show::Plain),
                    column("prefetch", "prefetch_count", Show::Plain),
                    plain("confirm"),
                    column("tx", "transactional", Show::Plain),
                    column("in/s", "message_stats.publish_details.rate", Show::Rate),
                    column("out/s", "message_stats.deliver_get_details.rate", Show::Rate),
                ];
                list.run(context, listed("channels", context), &columns)
            }
            Self::Show { name } => context.document(&context.client.get(one("channels", &name))?),
        }
    }
}

impl Consumers {
    pub(super) fn run(self, context: &Context) -> Done {
        let Self::List(list) = self;
        let columns = [
            column("vhost", "queue.vhost", Show::Plain),
            column("queue", "queue.name", Show::Plain),
            column("tag", "consumer_tag", Show::Plain),
            plain("active"),
            column("acks", "ack_required", Show::Plain),
            column("prefetch", "prefetch_count", Show::Plain),
            column("lease", "consumer_timeout", Show::Period),
            plain("user"),
            column("channel", "channel_details.name", Show::Plain),
        ];
        list.run(context, all("consumers", context), &columns)
    }
}
