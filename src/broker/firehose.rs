//! The firehose (RabbitMQ): while it is on, a copy of every message that is published in a virtual host and of every
//! delivery goes to `amq.rabbitmq.trace`, with the keys `publish.<exchange>` and `deliver.<queue>`, and in its headers
//! what is known of it.

use std::sync::atomic::Ordering;

use lepus_protocol::{FieldTable, FieldValue, Properties, ShortStr};

use super::publish::give;
use super::route::{Routes, route};
use super::vhost::{TRACE_EXCHANGE, Vhost};
use crate::clock::Timestamp;
use crate::message::{Envelope, Message};
use crate::name::Name;

/// What the header `node` says: there is one.
const NODE: &str = "lepus@localhost";

/// On whose channel a message went.
#[derive(Clone, Debug)]
pub struct Tapped {
    /// The connection's name, as RabbitMQ gives it.
    pub connection: String,
    /// The channel's number.
    pub channel: u16,
    /// Who is logged in.
    pub user: Name,
}

impl Vhost {
    /// Turns the firehose on or off. It is off after a start.
    pub fn set_tracing(&self, on: bool) {
        self.tracing.store(on, Ordering::Relaxed);
        tracing::info!(vhost = %self.name, on, "firehose switched");
    }

    /// Whether the firehose is on.
    pub fn is_tracing(&self) -> bool {
        self.tracing.load(Ordering::Relaxed)
    }

    /// Copies a message that was published and goes to `routes`.
    pub fn trace_publish(
        &self,
        by: &Tapped,
        message: &Message,
        extra_keys: &[Vec<u8>],
        routes: &Routes,
        now: Timestamp,
    ) {
        let queues = routes.iter().map(|queue| FieldValue::from(queue.name.as_str())).collect();
        let mut headers = self.describe(by, message, extra_keys);
        headers.insert("routed_queues", FieldValue::Array(queues));
        self.publish_trace("publish", message.exchange(), message, &headers, now);
    }

    /// Copies a message that was delivered from `queue`.
    pub fn trace_delivery(
        &self,
        by: &Tapped,
        queue: &Name,
        message: &Message,
        redelivered: bool,
        now: Timestamp,
    ) {
        if is_trace(message) {
            return;
        }
        let mut headers = self.describe(by, message, &copied_keys(message));
        headers.insert("redelivered", i32::from(redelivered));
        self.publish_trace("deliver", queue.as_str().as_bytes(), message, &headers, now);
    }

    fn describe(&self, by: &Tapped, message: &Message, extra_keys: &[Vec<u8>]) -> FieldTable {
        let text = |octets: &[u8]| FieldValue::LongString(octets.to_vec());
        let keys = std::iter::once(message.routing_key()).chain(extra_keys.iter().map(Vec::as_slice));
        let mut headers = FieldTable::new();
        headers.insert("exchange_name", text(message.exchange()));
        headers.insert("routing_keys", FieldValue::Array(keys.map(text).collect()));
        headers.insert("properties", FieldValue::Table(properties_table(message)));
        headers.insert("node", NODE);
        headers.insert("vhost", self.name.as_str());
        headers.insert("connection", by.connection.as_str());
        headers.insert("channel", i32::from(by.channel));
        headers.insert("user", by.user.as_str());
        headers
    }

    fn publish_trace(
        &self,
        what: &str,
        about: &[u8],
        message: &Message,
        headers: &FieldTable,
        now: Timestamp,
    ) {
        let Some(exchange) = self.exchange(TRACE_EXCHANGE).filter(|_| !is_trace(message)) else { return };
        let mut raw_headers = Vec::new();
        headers.encode(&mut raw_headers);
        let mut properties = Vec::new();
        Properties { headers: Some(&raw_headers), ..Properties::default() }.encode(&mut properties);
        let key = [what.as_bytes(), b".", about].concat();
        let envelope = Envelope {
            exchange: TRACE_EXCHANGE.as_bytes(),
            routing_key: &key,
            properties: &properties,
            ..Envelope::default()
        };
        let copy = Message::new(&envelope, message.body());
        let mut routes = Routes::new();
        let _nothing_to_remember = route(self, &exchange, &copy, &[], now, &mut routes);
        // A copy is not persistent: nothing is to be logged.
        let _not_logged = give(&mut routes, &copy, now);
    }
}

/// Copies of copies would never end.
fn is_trace(message: &Message) -> bool {
    message.exchange() == TRACE_EXCHANGE.as_bytes()
}

/// The keys in the header CC; those of BCC are gone since the message was published.
fn copied_keys(message: &Message) -> Vec<Vec<u8>> {
    let headers = Properties::parse(message.properties()).ok().and_then(|properties| properties.headers);
    let table = headers.and_then(|raw| FieldTable::parse(raw).ok()).unwrap_or_default();
    let keys = table.get("CC").and_then(FieldValue::as_array).unwrap_or_default();
    keys.iter().filter_map(FieldValue::as_str).map(|key| key.as_bytes().to_vec()).collect()
}

/// The properties that a message has, by their names in RabbitMQ.
fn properties_table(message: &Message) -> FieldTable {
    let mut table = FieldTable::new();
    let Ok(properties) = Properties::parse(message.properties()) else { return table };
    let mut text = |name: &str, value: Option<ShortStr<'_>>| {
        if let Some(value) = value {
            table.insert(name, FieldValue::LongString(value.as_bytes().to_vec()));
        }
    };
    text("content_type", properties.content_type);
    text("content_encoding", properties.content_encoding);
    text("correlation_id", properties.correlation_id);
    text("reply_to", properties.reply_to);
    text("expiration", properties.expiration);
    text("message_id", properties.message_id);
    text("type", properties.kind);
    text("user_id", properties.user_id);
    text("app_id", properties.app_id);
    text("cluster_id", properties.cluster_id);
    if let Some(headers) = properties.headers.and_then(|raw| FieldTable::parse(raw).ok()) {
        table.insert("headers", FieldValue::Table(headers));
    }
    for (name, value) in [("delivery_mode", properties.delivery_mode), ("priority", properties.priority)] {
        value.into_iter().for_each(|value| table.insert(name, i32::from(value)));
    }
    if let Some(seconds) = properties.timestamp {
        table.insert("timestamp", i64::try_from(seconds).unwrap_or(i64::MAX));
    }
    table
}
