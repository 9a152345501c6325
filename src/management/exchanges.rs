//! `/api/exchanges`: list, declare, delete, publish.

use std::sync::Arc;

use axum::extract::State;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use lepus_protocol::{FieldTable, Properties, ShortStr};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::answer::{Answer, done, json, put};
use super::api::Api;
use super::body::{Json, flag};
use super::caller::Caller;
use super::listing::{Key, ListQuery, Sink};
use super::path::Segments;
use super::refusal::Refusal;
use super::table::from_json;
use super::view::exchange::Exchange;
use crate::broker::exchange::Exchange as CoreExchange;
use crate::broker::{Clearance, ExchangeDeclaration, Routes, Vhost};
use crate::delay;
use crate::message::{Envelope, Message};

/// delivery-mode of a persistent message (§1.8.1).
const PERSISTENT: u64 = 2;

/// The body of a declaration.
#[derive(Debug, Deserialize)]
struct Declaration {
    #[serde(rename = "type", default = "direct")]
    kind: String,
    #[serde(default = "yes", deserialize_with = "flag")]
    durable: bool,
    #[serde(default, deserialize_with = "flag")]
    auto_delete: bool,
    #[serde(default, deserialize_with = "flag")]
    internal: bool,
    #[serde(default)]
    arguments: Map<String, Value>,
}

fn direct() -> String {
    "direct".to_owned()
}

fn yes() -> bool {
    true
}

/// The body of a publish.
#[derive(Debug, Deserialize)]
struct Publish {
    routing_key: String,
    payload: String,
    payload_encoding: Encoding,
    properties: Map<String, Value>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Encoding {
    String,
    Base64,
}

#[derive(Debug, Serialize)]
struct Routed {
    routed: bool,
}

type Handle = (Arc<Vhost>, Arc<CoreExchange>);

/// GET `/api/exchanges` and `/api/exchanges/{vhost}`.
pub(super) async fn list(
    State(api): State<Arc<Api>>,
    caller: Caller,
    path: Segments,
    query: ListQuery,
) -> Answer {
    let mut exchanges = Vec::new();
    for vhost in api.visible_vhosts(&caller, path.vhost())? {
        exchanges.extend(vhost.exchanges().into_iter().map(|exchange| (Arc::clone(&vhost), exchange)));
    }
    let key = |(vhost, exchange): &Handle| Key::new(vhost.name.as_str(), exchange.name.as_str());
    let view = |(vhost, exchange): &Handle, sink: Sink<'_>| {
        sink.put(&Exchange::new(vhost.name.as_str(), exchange, &api))
    };
    query.answer(exchanges, key, view).await
}

/// GET `/api/exchanges/{vhost}/{exchange}`.
pub(super) async fn get(
    State(api): State<Arc<Api>>,
    caller: Caller,
    path: Segments,
    query: ListQuery,
) -> Answer {
    let vhost = api.visible_vhost(&caller, path.vhost())?;
    let name = path.exchange("exchange")?;
    let exchange = vhost.exchange(name.as_str()).ok_or_else(Refusal::not_found)?;
    query.one(&Exchange::new(vhost.name.as_str(), &exchange, &api))
}

/// PUT `/api/exchanges/{vhost}/{exchange}`.
pub(super) async fn declare(
    State(api): State<Arc<Api>>,
    caller: Caller,
    path: Segments,
    body: Json,
) -> Answer {
    let session = api.session(&caller, path.vhost())?;
    let name = path.exchange("exchange")?;
    let Declaration { kind, durable, auto_delete, internal, arguments } = body.parse()?;
    let arguments = from_json(&arguments)?;
    let is_new = session.vhost.exchange(name.as_str()).is_none();
    let declaration = ExchangeDeclaration { name, kind, durable, auto_delete, internal, arguments };
    session.declare_exchange(declaration)?;
    session.durable().await;
    put(is_new)
}

/// DELETE `/api/exchanges/{vhost}/{exchange}?if-unused=true`.
pub(super) async fn delete(
    State(api): State<Arc<Api>>,
    caller: Caller,
    path: Segments,
    flags: super::queues::Flags,
) -> Answer {
    let session = api.session(&caller, path.vhost())?;
    let name = path.exchange("exchange")?;
    if session.vhost.exchange(name.as_str()).is_none() {
        return Err(Refusal::not_found());
    }
    session.delete_exchange(&name, flags.is_set("if-unused"))?;
    session.durable().await;
    done()
}

/// POST `/api/exchanges/{vhost}/{exchange}/publish`.
pub(super) async fn publish(
    State(api): State<Arc<Api>>,
    caller: Caller,
    path: Segments,
    body: Json,
) -> Answer {
    let session = api.session(&caller, path.vhost())?;
    let publish: Publish = body.parse()?;
    let mut clearance = Clearance::default();
    let exchange = session.exchange_to_publish(&path.exchange("exchange")?, &mut clearance)?;
    let key = ShortStr::new(publish.routing_key.as_bytes())
        .map_err(|_| Refusal::bad_request("the routing key is longer than 255 octets"))?;
    session.check_routing_keys(&clearance, &exchange, [key.as_bytes()])?;
    let payload = match publish.payload_encoding {
        Encoding::String => publish.payload.into_bytes(),
        Encoding::Base64 => STANDARD
            .decode(&publish.payload)
            .map_err(|error| Refusal::bad_request(format!("the payload is not base64: {error}")))?,
    };
    let asked = asked(&publish.properties)?;
    let envelope = Envelope {
        exchange: exchange.name.as_str().as_bytes(),
        routing_key: key.as_bytes(),
        properties: &asked.octets,
        persistent: asked.persistent,
        priority: asked.priority,
        ttl_ms: asked.ttl_ms,
        dead_letter: false,
        delay_ms: asked.delay_ms,
    };
    let message = Message::new(&envelope, &payload);
    let mut routes = Routes::new();
    let now = api.now();
    let passage = session.route(&exchange, &message, &[], now, &mut routes);
    let routed = !routes.is_empty();
    let (accepted, logged) = session.journal().batch(|| {
        if routed {
            session.enqueue(&mut routes, passage, &message, now).0
        } else {
            passage.forget();
            true
        }
    });
    if let Some(position) = logged {
        session.journal().durable(position).await;
    }
    json(&Routed { routed: routed && accepted })
}

/// Properties as they go with the message, and what the broker itself needs of them.
struct Asked {
    octets: Vec<u8>,
    persistent: bool,
    priority: u8,
    ttl_ms: Option<u64>,
    delay_ms: Option<u64>,
}

/// Properties by their names in RabbitMQ's API.
fn asked(given: &Map<String, Value>) -> Result<Asked, Refusal> {
    let headers = match given.get("headers") {
        None | Some(Value::Null) => None,
        Some(Value::Object(headers)) => Some(from_json(headers)?),
        Some(_) => return Err(Refusal::bad_request("property 'headers' is not an object")),
    };
    let mut delay_ms = None;
    let headers = headers.map(|mut headers: FieldTable| {
        delay_ms = delay::take(&mut headers);
        let mut octets = Vec::new();
        headers.encode(&mut octets);
        octets
    });
    let delivery_mode = number(given, "delivery_mode")?;
    let priority = octet(given, "priority")?;
    let expiration = text(given, "expiration")?;
    let ttl_ms = expiration.map(|expiration| {
        let millis = expiration.as_str().and_then(|text| text.parse().ok());
        millis.ok_or_else(|| {
            Refusal::bad_request("property 'expiration' is not milliseconds in decimal digits")
        })
    });
    let properties = Properties {
        content_type: text(given, "content_type")?,
        content_encoding: text(given, "content_encoding")?,
        headers: headers.as_deref(),
        delivery_mode: octet(given, "delivery_mode")?,
        priority,
        correlation_id: text(given, "correlation_id")?,
        reply_to: text(given, "reply_to")?,
        expiration,
        message_id: text(given, "message_id")?,
        timestamp: number(given, "timestamp")?,
        kind: text(given, "type")?,
        user_id: text(given, "user_id")?,
        app_id: text(given, "app_id")?,
        cluster_id: text(given, "cluster_id")?,
    };
    let mut octets = Vec::new();
    properties.encode(&mut octets);
    Ok(Asked {
        octets,
        persistent: delivery_mode == Some(PERSISTENT),
        priority: priority.unwrap_or_default(),
        ttl_ms: ttl_ms.transpose()?,
        delay_ms,
    })
}

fn text<'v>(given: &'v Map<String, Value>, name: &str) -> Result<Option<ShortStr<'v>>, Refusal> {
    match given.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => ShortStr::new(text.as_bytes())
            .map(Some)
            .map_err(|_| Refusal::bad_request(format!("property '{name}' is longer than 255 octets"))),
        Some(_) => Err(Refusal::bad_request(format!("property '{name}' is not text"))),
    }
}

fn number(given: &Map<String, Value>, name: &str) -> Result<Option<u64>, Refusal> {
    match given.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => value.as_u64().map(Some).ok_or_else(|| {
            Refusal::bad_request(format!("property '{name}' is not a whole number from 0 on"))
        }),
    }
}

fn octet(given: &Map<String, Value>, name: &str) -> Result<Option<u8>, Refusal> {
    let Some(number) = number(given, name)? else { return Ok(None) };
    u8::try_from(number)
        .map(Some)
        .map_err(|_| Refusal::bad_request(format!("property '{name}' is {number}, of at most 255")))
}
