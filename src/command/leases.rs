//! `lepus lease`: who holds which message.

use clap::Subcommand;
use serde_json::Value;

use super::client::path;
use super::context::{Context, Done};
use super::listing::List;
use super::queues::all;
use super::text::{Column, Show, at, column, plain};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List leases of all queues, or of the virtual host's; the oldest of each queue first.
    List(List),
    /// List leases of a queue.
    Show { queue: String },
}

fn columns() -> Vec<Column> {
    vec![
        column("message", "position", Show::Plain),
        column("deliveries", "delivery_count", Show::Plain),
        column("since", "leased_at", Show::Moment),
        column("held for", "held_for", Show::Period),
        column("until", "expires_at", Show::Moment),
        column("consumer", "consumer_tag", Show::Plain),
        column("user", "channel_details.user", Show::Plain),
        column("channel", "channel_details.name", Show::Plain),
        column("delivery tag", "delivery_tag", Show::Plain),
    ]
}

impl Command {
    pub(super) fn run(self, context: &Context) -> Done {
        match self {
            Self::List(list) => {
                let mut usual = vec![plain("vhost"), plain("queue")];
                usual.extend(columns());
                list.print(context, every(context)?, &usual)
            }
            Self::Show { queue } => of_queue(context, context.vhost(), &queue),
        }
    }
}

/// Prints the leases of one queue.
pub(super) fn of_queue(context: &Context, vhost: &str, queue: &str) -> Done {
    let path = path(&["queues", vhost, queue, "leases"]).about(context.in_vhost("queue", queue));
    context.table(&columns(), &context.client.get(path)?)
}

/// The leases of every queue that has some, each with its queue.
fn every(context: &Context) -> Result<Value, super::failure::Failure> {
    let queues =
        context.client.get(all("queues", context).query("columns", "vhost,name,messages_unacknowledged"))?;
    let mut leases = Vec::new();
    for queue in queues.as_array().into_iter().flatten() {
        let (Some(vhost), Some(name)) = (at(queue, "vhost").as_str(), at(queue, "name").as_str()) else {
            continue;
        };
        if at(queue, "messages_unacknowledged").as_u64() == Some(0) {
            continue;
        }
        // A queue that has gone meanwhile has no leases.
        let Ok(Value::Array(found)) = context.client.get(path(&["queues", vhost, name, "leases"])) else {
            continue;
        };
        for mut lease in found {
            if let Some(fields) = lease.as_object_mut() {
                fields.insert("vhost".to_owned(), vhost.into());
                fields.insert("queue".to_owned(), name.into());
            }
            leases.push(lease);
        }
    }
    Ok(Value::Array(leases))
}
