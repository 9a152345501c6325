//! `lepus tail`: what goes through an exchange, as it comes.
//!
//! A queue of its own is bound to the exchange and read, so that nobody loses a message by it. It holds so many at most
//! that a slow reader loses the oldest and fills nobody's memory, and goes by itself when nobody reads any more.

use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};

use super::access::Format;
use super::client::{Path, path};
use super::context::{Context, Done, print};
use super::text::{Show, at, cell, printable};

/// Copies that may wait; then the oldest go.
const COPIES_MAX: u64 = 10_000;

/// Messages of one request.
const BATCH: u64 = 500;

/// Without a reader for so long, the queue goes.
const UNUSED_MS: u64 = 60_000;

/// Pause when there was nothing.
const PAUSE: Duration = Duration::from_millis(250);

/// Follows an exchange.
#[derive(Debug, Args)]
pub(crate) struct Tail {
    /// The exchange; amq.rabbitmq.trace has everything while tracing is on.
    exchange: String,
    /// Which routing keys, as in a binding [default: all at a topic exchange].
    #[arg(long)]
    routing_key: Option<String>,
    /// End after so many messages.
    #[arg(long, value_name = "MESSAGES")]
    count: Option<u64>,
}

impl Tail {
    pub(super) fn run(self, context: &Context) -> Done {
        let queue = format!("lepus.tail.{:016x}", rand::random::<u64>());
        let one = || path(&["queues", context.vhost(), &queue]).about(context.in_vhost("queue", &queue));
        let arguments = json!({
            "x-expires": UNUSED_MS, "x-max-length": COPIES_MAX, "x-overflow": "drop-head",
        });
        context
            .client
            .put(one(), &json!({ "durable": false, "auto_delete": false, "arguments": arguments }))?;
        let followed = self.bind(context, &queue).and_then(|()| self.follow(context, &queue));
        // It goes by itself otherwise, a minute later.
        let _ = context.client.delete(one());
        followed
    }

    fn bind(&self, context: &Context, queue: &str) -> Done {
        let source: Path = path(&["bindings", context.vhost(), "e", &self.exchange, "q", queue])
            .about(context.in_vhost("exchange", &self.exchange));
        let key = self.routing_key.as_deref().unwrap_or("#");
        context.client.post(source, &json!({ "routing_key": key, "arguments": {} })).map(drop)
    }

    fn follow(&self, context: &Context, queue: &str) -> Done {
        let mut left = self.count.unwrap_or(u64::MAX);
        while left > 0 {
            let get =
                path(&["queues", context.vhost(), queue, "get"]).about(context.in_vhost("queue", queue));
            let request = json!({
                "count": BATCH.min(left), "ackmode": "ack_requeue_false", "encoding": "auto",
            });
            let messages = context.client.post(get, &request)?;
            let messages = messages.as_array().map_or(&[][..], Vec::as_slice);
            for message in messages {
                print(&line(message, context.format))?;
            }
            left = left.saturating_sub(messages.len() as u64);
            if messages.is_empty() {
                std::thread::sleep(PAUSE);
            }
        }
        Ok(())
    }
}

/// A message on a line.
fn line(message: &Value, format: Format) -> String {
    match format {
        Format::Json => format!("{message}\n"),
        Format::Table => {
            let properties = cell(at(message, "properties"), Show::Plain);
            let payload = printable(at(message, "payload").as_str().unwrap_or_default());
            format!("{}  {properties}  {payload}\n", cell(at(message, "routing_key"), Show::Plain))
        }
    }
}
