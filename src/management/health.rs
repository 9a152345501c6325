//! `/api/health/checks/*` and `/api/aliveness-test`: 200 if all is well, 503 with the reason if not.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use lepus_protocol::FieldTable;
use serde::Serialize;
use serde_json::{Value, json as value};

use super::answer::{Answer, json};
use super::api::Api;
use super::caller::Caller;
use super::path::Segments;
use super::refusal::Refusal;
use super::view::queue::rfc3339;
use crate::broker::{Clearance, QueueDeclaration, Routes};
use crate::message::{Envelope, Message};
use crate::name::Name;

/// RabbitMQ's queue for the test; it stays, as there.
const ALIVENESS_QUEUE: &str = "aliveness-test";

#[derive(Serialize)]
struct Status {
    status: &'static str,
}

const OK: Status = Status { status: "ok" };

fn healthy() -> Answer {
    json(&OK)
}

fn unhealthy(mut details: Value) -> Answer {
    if let Some(object) = details.as_object_mut() {
        object.insert("status".to_owned(), Value::from("failed"));
    }
    let mut response = json(&details)?;
    *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    Ok(response)
}

/// GET `.../alarms` and `.../local-alarms`.
pub(super) async fn alarms(State(api): State<Arc<Api>>, _caller: Caller) -> Answer {
    let raised = *api.broker.alarms.subscribe().borrow();
    let resources = [(raised.memory, "memory"), (raised.disk, "disk")];
    let alarms: Vec<Value> = resources
        .iter()
        .filter(|(raised, _)| *raised)
        .map(|(_, resource)| value!({ "node": api.node.name, "resource": resource }))
        .collect();
    if alarms.is_empty() {
        return healthy();
    }
    unhealthy(value!({ "reason": "There are alarms in effect in the cluster", "alarms": alarms }))
}

/// GET `.../port-listener/{port}`.
pub(super) async fn port_listener(State(api): State<Arc<Api>>, _caller: Caller, path: Segments) -> Answer {
    let port: u16 = path.get("port").parse().map_err(|_| Refusal::bad_request("the port is not a number"))?;
    let ports: Vec<u16> = api.node.listeners.iter().map(|facts| facts.address.port()).collect();
    if ports.contains(&port) {
        return json(&value!({ "status": "ok", "port": port }));
    }
    unhealthy(value!({ "reason": "No active listener", "missing": port, "ports": ports }))
}

/// GET `.../protocol-listener/{protocol}`.
pub(super) async fn protocol_listener(
    State(api): State<Arc<Api>>,
    _caller: Caller,
    path: Segments,
) -> Answer {
    let wanted = path.get("protocol");
    let known: Vec<&str> = api.node.listeners.iter().map(|facts| facts.protocol).collect();
    // RabbitMQ knows several names of one protocol.
    let canonical = match wanted {
        "amqp091" | "amqp0.9.1" | "amqp-0-9-1" => "amqp",
        "amqps" => "amqp/ssl",
        other => other,
    };
    if known.contains(&canonical) {
        return json(&value!({ "status": "ok", "protocol": wanted }));
    }
    unhealthy(value!({ "reason": "No active listener", "missing": [wanted], "protocols": known }))
}

/// Checks of a single node that serves requests: there is no quorum to lose, and what it answers it has.
pub(super) async fn always(_caller: Caller) -> Answer {
    healthy()
}

/// GET `.../certificate-expiration/{within}/{unit}`: whether a certificate runs out by then, or has.
pub(super) async fn certificates(State(api): State<Arc<Api>>, _caller: Caller, path: Segments) -> Answer {
    let by = api.now().plus_millis(millis_within(path.get("within"), path.get("unit"))?);
    let identity = api.node.tls.as_ref().map(|tls| tls.identity());
    let shown = identity.iter().flat_map(|identity| identity.certificates());
    let expired: Vec<Value> = shown
        .filter(|certificate| certificate.not_after <= by)
        .map(|certificate| {
            value!({
                "node": api.node.name,
                "certfile": certificate.path.display().to_string(),
                "subject": certificate.subject,
                "certfile_expires_on": rfc3339(certificate.not_after),
            })
        })
        .collect();
    if expired.is_empty() {
        return healthy();
    }
    unhealthy(value!({ "reason": "Certificates expiring", "expired": expired }))
}

/// A period such as `1` `months`, in milliseconds.
fn millis_within(number: &str, unit: &str) -> Result<u64, Refusal> {
    const DAY_MS: u64 = 24 * 60 * 60 * 1000;
    let number: u64 = number.parse().map_err(|_| Refusal::bad_request("the period is not a whole number"))?;
    let days = match unit {
        "days" => 1,
        "weeks" => 7,
        "months" => 30,
        "years" => 365,
        _ => return Err(Refusal::bad_request("the unit is none of days, weeks, months, years")),
    };
    Ok(number.saturating_mul(days * DAY_MS))
}

/// GET `.../below-node-connection-limit`.
pub(super) async fn connection_limit(State(api): State<Arc<Api>>, _caller: Caller) -> Answer {
    let (current, limit) = (api.broker.connections.len(), api.node.connections_max);
    if current < limit {
        return json(&value!({ "status": "ok", "limit": limit, "connections": current }));
    }
    unhealthy(
        value!({ "reason": "node connection limit is reached", "limit": limit, "connections": current }),
    )
}

/// GET `/api/aliveness-test/{vhost}`: declares a queue, publishes to it and takes the message out.
pub(super) async fn aliveness(State(api): State<Arc<Api>>, caller: Caller, path: Segments) -> Answer {
    let session = api.session(&caller, path.vhost())?;
    let name = Name::from(ALIVENESS_QUEUE);
    let declaration = QueueDeclaration {
        name: name.clone(),
        durable: false,
        exclusive: false,
        auto_delete: false,
        arguments: FieldTable::new(),
    };
    let now = api.now();
    session.declare_queue(declaration, now)?;
    let exchange = session.exchange_to_publish(&Name::from(""), &mut Clearance::default())?;
    let key = name.as_str().as_bytes();
    let envelope = Envelope { routing_key: key, properties: &[0, 0], ..Envelope::default() };
    let message = Message::new(&envelope, b"test_message");
    let mut routes = Routes::new();
    let passage = session.route(&exchange, &message, &[], now, &mut routes);
    session.enqueue(&mut routes, passage, &message, now);
    match session.get(&name, true, now)? {
        Some(_) => healthy(),
        None => Err(Refusal::unavailable("the test message did not come back")),
    }
}
