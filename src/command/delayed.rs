//! `lepus delayed`: what waits until it is due.

use clap::{Args, Subcommand};
use serde_json::Value;

use super::client::path;
use super::context::{Context, Done};
use super::failure::Failure;
use super::listing::List;
use super::queues::all;
use super::text::{Column, Show, at, column, plain};

/// Messages of one request.
const PAGE: u64 = 500;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List delayed messages of all queues, or of the virtual host's; of each queue those that are due next come first.
    List(Next),
    /// List delayed messages of a queue.
    Show {
        queue: String,
        /// At most so many.
        #[arg(long, default_value_t = 100)]
        count: u64,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Next {
    /// At most so many of each queue.
    #[arg(long, default_value_t = 100)]
    count: u64,
    #[command(flatten)]
    list: List,
}

fn columns() -> Vec<Column> {
    vec![
        column("due", "due_at", Show::Moment),
        column("in", "due_in", Show::Period),
        plain("reason"),
        column("deliveries", "delivery_count", Show::Plain),
        plain("exchange"),
        column("routing key", "routing_key", Show::Plain),
        column("message id", "message_id", Show::Plain),
        column("octets", "payload_bytes", Show::Plain),
    ]
}

impl Command {
    pub(super) fn run(self, context: &Context) -> Done {
        match self {
            Self::List(Next { count, list }) => {
                let mut usual = vec![plain("vhost"), plain("queue")];
                usual.extend(columns());
                list.print(context, every(context, count)?, &usual)
            }
            Self::Show { queue, count } => {
                let messages = of_queue(context, context.vhost(), &queue, count)?;
                context.table(&columns(), &Value::Array(messages))
            }
        }
    }
}

/// At most so many delayed messages of a queue, a page at a time.
fn of_queue(context: &Context, vhost: &str, queue: &str, count: u64) -> Result<Vec<Value>, Failure> {
    let (mut messages, mut after) = (Vec::new(), None::<String>);
    loop {
        let wanted = count.saturating_sub(messages.len() as u64).min(PAGE);
        if wanted == 0 {
            return Ok(messages);
        }
        let mut path = path(&["queues", vhost, queue, "delayed"])
            .about(context.in_vhost("queue", queue))
            .query("page_size", &wanted.to_string());
        if let Some(after) = &after {
            path = path.query("after", after);
        }
        let page = context.client.get(path)?;
        messages.extend(at(&page, "items").as_array().into_iter().flatten().cloned());
        match at(&page, "next").as_str() {
            Some(next) => after = Some(next.to_owned()),
            None => return Ok(messages),
        }
    }
}

/// The delayed messages of every queue that has some, each with its queue.
fn every(context: &Context, count: u64) -> Result<Value, Failure> {
    let queues =
        context.client.get(all("queues", context).query("columns", "vhost,name,messages_delayed"))?;
    let mut messages = Vec::new();
    for queue in queues.as_array().into_iter().flatten() {
        let (Some(vhost), Some(name)) = (at(queue, "vhost").as_str(), at(queue, "name").as_str()) else {
            continue;
        };
        if at(queue, "messages_delayed").as_u64().unwrap_or_default() == 0 {
            continue;
        }
        // A queue that has gone meanwhile has none.
        let Ok(found) = of_queue(context, vhost, name, count) else { continue };
        for mut message in found {
            if let Some(fields) = message.as_object_mut() {
                fields.insert("vhost".to_owned(), vhost.into());
                fields.insert("queue".to_owned(), name.into());
            }
            messages.push(message);
        }
    }
    Ok(Value::Array(messages))
}
