//! `lepus publish` and `lepus get`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clap::{ArgAction, Args};
use serde_json::{Value, json};

use super::arguments::{object, pair, read};
use super::client::path;
use super::context::{Context, Done};
use super::failure::Failure;
use super::queues::below;
use super::text::{Show, at, column, plain};

/// How the default exchange, whose name is empty, is written in a path.
const DEFAULT_EXCHANGE: &str = "amq.default";

/// Publishes a message.
#[derive(Debug, Args)]
pub(crate) struct Publish {
    /// The routing key; at the default exchange it is the queue's name.
    routing_key: String,
    /// The body; without it, standard input is read.
    payload: Option<String>,
    /// The exchange.
    #[arg(long, default_value = "", hide_default_value = true)]
    exchange: String,
    /// A property, such as content_type=text/plain or delivery_mode=2.
    #[arg(long = "property", value_name = "NAME=VALUE", value_parser = pair, action = ArgAction::Append)]
    properties: Vec<(String, Value)>,
    /// A header, such as x-delay=60000.
    #[arg(long = "header", value_name = "NAME=VALUE", value_parser = pair, action = ArgAction::Append)]
    headers: Vec<(String, Value)>,
    /// The message is to survive a restart.
    #[arg(long)]
    persistent: bool,
}

/// Looks at messages.
#[derive(Debug, Args)]
pub(crate) struct Get {
    queue: String,
    /// How many.
    #[arg(long, default_value_t = 1)]
    count: u64,
    /// Take them out of the queue for good; without this they go back, marked as redelivered.
    #[arg(long)]
    ack: bool,
    /// Show at most so many octets of each body.
    #[arg(long, value_name = "OCTETS")]
    truncate: Option<u64>,
}

impl Publish {
    pub(super) fn run(self, context: &Context) -> Done {
        let body = match self.payload {
            Some(text) => text.into_bytes(),
            None => read("-".as_ref())?,
        };
        let mut properties = self.properties;
        if self.persistent {
            properties.push(("delivery_mode".to_owned(), 2.into()));
        }
        if !self.headers.is_empty() {
            properties.push(("headers".to_owned(), object(self.headers)));
        }
        let exchange = if self.exchange.is_empty() { DEFAULT_EXCHANGE } else { &self.exchange };
        let path = path(&["exchanges", context.vhost(), exchange, "publish"])
            .about(context.in_vhost("exchange", &self.exchange));
        let request = json!({
            "routing_key": self.routing_key, "properties": object(properties),
            "payload": STANDARD.encode(body), "payload_encoding": "base64",
        });
        let answer = context.client.post(path, &request)?;
        if at(&answer, "routed") == &Value::Bool(true) {
            return context.say("published");
        }
        Err(Failure::Refused("no queue has taken the message: none is bound, or it is full".to_owned()))
    }
}

impl Get {
    pub(super) fn run(self, context: &Context) -> Done {
        let mode = if self.ack { "ack_requeue_false" } else { "ack_requeue_true" };
        let mut request = json!({ "count": self.count, "ackmode": mode, "encoding": "auto" });
        if let (Some(octets), Some(fields)) = (self.truncate, request.as_object_mut()) {
            fields.insert("truncate".to_owned(), octets.into());
        }
        let messages = context.client.post(below(context, &self.queue, "get"), &request)?;
        let columns = [
            plain("exchange"),
            plain("routing_key"),
            plain("redelivered"),
            plain("properties"),
            column("octets", "payload_bytes", Show::Plain),
            plain("payload"),
        ];
        context.table(&columns, &messages)
    }
}
