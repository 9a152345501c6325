//! POST `/api/queues/{vhost}/{queue}/get`: a look at messages, which are put back or not.

use std::sync::Arc;

use axum::extract::State;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use lepus_protocol::{FieldTable, Properties, ShortStr};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use super::existing;
use crate::broker::Session;
use crate::clock::Timestamp;
use crate::management::answer::{Answer, json};
use crate::management::api::Api;
use crate::management::body::Json;
use crate::management::caller::Caller;
use crate::management::path::Segments;
use crate::management::refusal::Refusal;
use crate::management::table::table_to_json;
use crate::name::Name;
use crate::queue::{Fetched, LeaseRef, Queue, Settlement};

/// Messages of one request: they are leased while it is answered.
const MESSAGES_MAX: u64 = 10_000;

/// Octets of the bodies of one answer; one message goes out however large.
const OCTETS_MAX: usize = 64 * 1024 * 1024;

#[derive(Debug, Deserialize)]
struct Get {
    #[serde(deserialize_with = "count")]
    count: u64,
    #[serde(default)]
    ackmode: Option<AckMode>,
    /// Before RabbitMQ 3.7 this stood for `ackmode`.
    #[serde(default)]
    requeue: Option<bool>,
    encoding: Encoding,
    truncate: Option<usize>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum AckMode {
    AckRequeueTrue,
    AckRequeueFalse,
    RejectRequeueTrue,
    RejectRequeueFalse,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Encoding {
    Auto,
    Base64,
}

/// Some tools send the number as text.
fn count<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let value = Value::deserialize(deserializer)?;
    let number = value.as_u64().or_else(|| value.as_str()?.parse().ok());
    number.ok_or_else(|| serde::de::Error::custom("count is a whole number from 0 on"))
}

/// POST `/api/queues/{vhost}/{queue}/get`.
pub(in crate::management) async fn get(
    State(api): State<Arc<Api>>,
    caller: Caller,
    path: Segments,
    body: Json,
) -> Answer {
    let session = api.session(&caller, path.vhost())?;
    let name = existing(&session.vhost, &path)?;
    let asked: Get = body.parse()?;
    let ack_mode = match (asked.ackmode, asked.requeue) {
        (Some(mode), _) => mode,
        (None, Some(true)) => AckMode::AckRequeueTrue,
        (None, Some(false)) => AckMode::AckRequeueFalse,
        (None, None) => return Err(Refusal::bad_request("the body has no 'ackmode'")),
    };
    let (fetched, logged) = {
        let work = || fetch(&session, &name, &asked, ack_mode, api.now());
        session.journal().batch(work)
    };
    let messages: Vec<Value> = fetched?.iter().map(|fetched| view(fetched, &asked)).collect();
    if let Some(position) = logged {
        session.journal().durable(position).await;
    }
    json(&messages)
}

/// Takes messages out and settles them as asked. RabbitMQ: with `ack_requeue_true` they are put back without a trace
/// but the redelivered flag.
fn fetch(
    session: &Session,
    name: &Name,
    asked: &Get,
    mode: AckMode,
    now: Timestamp,
) -> Result<Vec<Fetched>, Refusal> {
    let (mut all, mut octets) = (Vec::new(), 0);
    let mut leases: Vec<(Arc<Queue>, LeaseRef)> = Vec::new();
    let no_ack = matches!(mode, AckMode::AckRequeueFalse);
    while (all.len() as u64) < asked.count.min(MESSAGES_MAX) && octets < OCTETS_MAX {
        let got = session.get(name, no_ack, now);
        let Some((queue, fetched)) = got.inspect_err(|_| give_back(session, &leases, mode, now))? else {
            break;
        };
        octets += fetched.message.body().len();
        if !no_ack {
            leases.push((queue, LeaseRef { seq: fetched.seq, holder: fetched.holder }));
        }
        all.push(fetched);
    }
    give_back(session, &leases, mode, now);
    Ok(all)
}

fn give_back(session: &Session, leases: &[(Arc<Queue>, LeaseRef)], mode: AckMode, now: Timestamp) {
    let how = match mode {
        AckMode::AckRequeueTrue => Settlement::PutBack,
        AckMode::RejectRequeueTrue => Settlement::Fail,
        AckMode::RejectRequeueFalse => Settlement::Discard,
        AckMode::AckRequeueFalse => Settlement::Ack,
    };
    for (queue, lease) in leases {
        session.settle(queue, &[*lease], how, now);
    }
}

fn view(fetched: &Fetched, asked: &Get) -> Value {
    let message = &fetched.message;
    let body = message.body();
    let shown = asked.truncate.and_then(|length| body.get(..length)).unwrap_or(body);
    let (payload, encoding) = match (asked.encoding, std::str::from_utf8(shown)) {
        (Encoding::Auto, Ok(text)) => (text.to_owned(), "string"),
        (Encoding::Auto, Err(_)) | (Encoding::Base64, _) => (STANDARD.encode(shown), "base64"),
    };
    serde_json::json!({
        "payload_bytes": body.len(),
        "redelivered": fetched.redelivered,
        "exchange": String::from_utf8_lossy(message.exchange()),
        "routing_key": String::from_utf8_lossy(message.routing_key()),
        "message_count": fetched.remaining,
        "properties": properties(message.properties()),
        "payload": payload,
        "payload_encoding": encoding,
    })
}

/// Properties by their names in RabbitMQ's API; only those that are there.
fn properties(raw: &[u8]) -> Value {
    let Ok(properties) = Properties::parse(raw) else { return Value::Object(Map::new()) };
    let text = |value: Option<ShortStr<'_>>| value.map(|value| Value::from(value.to_string()));
    let headers = properties.headers.and_then(|headers| FieldTable::parse(headers).ok());
    let fields = [
        ("content_type", text(properties.content_type)),
        ("content_encoding", text(properties.content_encoding)),
        ("headers", headers.map(|headers| table_to_json(&headers))),
        ("delivery_mode", properties.delivery_mode.map(Value::from)),
        ("priority", properties.priority.map(Value::from)),
        ("correlation_id", text(properties.correlation_id)),
        ("reply_to", text(properties.reply_to)),
        ("expiration", text(properties.expiration)),
        ("message_id", text(properties.message_id)),
        ("timestamp", properties.timestamp.map(Value::from)),
        ("type", text(properties.kind)),
        ("user_id", text(properties.user_id)),
        ("app_id", text(properties.app_id)),
        ("cluster_id", text(properties.cluster_id)),
    ];
    let present = fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    Value::Object(present.collect())
}
