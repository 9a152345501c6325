//! `/api/bindings`, and the bindings of an exchange or a queue.

use std::sync::Arc;

use axum::extract::State;
use lepus_protocol::FieldTable;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::answer::{Answer, created_at, done};
use super::api::Api;
use super::body::Json;
use super::caller::Caller;
use super::listing::{Key, ListQuery, Sink};
use super::path::{Segments, encode};
use super::refusal::Refusal;
use super::table::from_json;
use super::view::binding::{Binding, properties_key};
use crate::broker::exchange::{Destination, Exchange};
use crate::broker::{Bind, BindTo, Session, Vhost};
use crate::exchange::Binding as CoreBinding;
use crate::name::Name;
use crate::queue::Queue;

#[derive(Debug, Deserialize)]
struct Properties {
    #[serde(default)]
    routing_key: String,
    #[serde(default)]
    arguments: Map<String, Value>,
}

/// A binding with the names of what it leads from.
struct Handle {
    vhost: Arc<Vhost>,
    source: Name,
    binding: CoreBinding<Destination>,
}

/// GET `/api/bindings` and `/api/bindings/{vhost}`.
pub(super) async fn list(
    State(api): State<Arc<Api>>,
    caller: Caller,
    path: Segments,
    query: ListQuery,
) -> Answer {
    let mut bindings = Vec::new();
    for vhost in api.visible_vhosts(&caller, path.vhost())? {
        for exchange in vhost.exchanges() {
            bindings.extend(of_source(&vhost, &exchange));
        }
    }
    answer(&query, bindings).await
}

/// GET `/api/exchanges/{vhost}/{exchange}/bindings/source`.
pub(super) async fn of_exchange(
    State(api): State<Arc<Api>>,
    caller: Caller,
    path: Segments,
    query: ListQuery,
) -> Answer {
    let vhost = api.visible_vhost(&caller, path.vhost())?;
    let exchange = exchange(&vhost, &path.exchange("exchange")?)?;
    answer(&query, of_source(&vhost, &exchange)).await
}

/// GET `/api/exchanges/{vhost}/{exchange}/bindings/destination`.
pub(super) async fn to_exchange(
    State(api): State<Arc<Api>>,
    caller: Caller,
    path: Segments,
    query: ListQuery,
) -> Answer {
    let vhost = api.visible_vhost(&caller, path.vhost())?;
    let exchange = exchange(&vhost, &path.exchange("exchange")?)?;
    answer(&query, to_destination(&vhost, &Destination::Exchange(exchange))).await
}

/// GET `/api/queues/{vhost}/{queue}/bindings`.
pub(super) async fn to_queue(
    State(api): State<Arc<Api>>,
    caller: Caller,
    path: Segments,
    query: ListQuery,
) -> Answer {
    let (vhost, queue) = super::queues::find(&api, &caller, &path)?;
    answer(&query, to_destination(&vhost, &Destination::Queue(queue))).await
}

/// GET `/api/bindings/{vhost}/e/{source}/q|e/{destination}`.
pub(super) async fn between(
    State(api): State<Arc<Api>>,
    caller: Caller,
    path: Segments,
    query: ListQuery,
) -> Answer {
    let vhost = api.visible_vhost(&caller, path.vhost())?;
    let (source, destination) = ends(&vhost, &path)?;
    answer(&query, of_both(&vhost, &source, &destination)).await
}

/// GET `/api/bindings/{vhost}/e/{source}/q|e/{destination}/{props}`.
pub(super) async fn get(
    State(api): State<Arc<Api>>,
    caller: Caller,
    path: Segments,
    query: ListQuery,
) -> Answer {
    let vhost = api.visible_vhost(&caller, path.vhost())?;
    let found = find(&vhost, &path)?;
    query.one(&Binding::new(vhost.name.as_str(), found.source.as_str(), &found.binding))
}

/// POST `/api/bindings/{vhost}/e/{source}/q|e/{destination}`.
pub(super) async fn bind(State(api): State<Arc<Api>>, caller: Caller, path: Segments, body: Json) -> Answer {
    let session = api.session(&caller, path.vhost())?;
    let Properties { routing_key, arguments } = body.parse()?;
    let arguments = from_json(&arguments)?;
    ends(&session.vhost, &path)?;
    let key = routing_key.into_bytes().into_boxed_slice();
    let properties = encode(&properties_key(&key, &arguments));
    session.bind(bind_of(&path, key, arguments)?, api.now())?;
    session.durable().await;
    let [vhost, source, destination] = ["vhost", "source", "destination"].map(|name| encode(path.get(name)));
    let kind = path.get("kind");
    created_at(&format!("/api/bindings/{vhost}/e/{source}/{kind}/{destination}/{properties}"))
}

/// DELETE `/api/bindings/{vhost}/e/{source}/q|e/{destination}/{props}`.
pub(super) async fn unbind(State(api): State<Arc<Api>>, caller: Caller, path: Segments) -> Answer {
    let session: Session = api.session(&caller, path.vhost())?;
    let found = find(&session.vhost, &path)?;
    let CoreBinding { key, arguments, .. } = found.binding;
    session.unbind(bind_of(&path, key, arguments)?)?;
    session.durable().await;
    done()
}

fn bind_of(path: &Segments, key: Box<[u8]>, arguments: FieldTable) -> Result<Bind, Refusal> {
    let destination = match path.get("kind") {
        "q" => BindTo::Queue(path.name("destination")?),
        "e" => BindTo::Exchange(path.exchange("destination")?),
        _ => return Err(Refusal::not_found()),
    };
    Ok(Bind { source: path.exchange("source")?, destination, key, arguments })
}

fn exchange(vhost: &Vhost, name: &Name) -> Result<Arc<Exchange>, Refusal> {
    vhost.exchange(name.as_str()).ok_or_else(Refusal::not_found)
}

/// The two ends that a path names.
fn ends(vhost: &Vhost, path: &Segments) -> Result<(Arc<Exchange>, Destination), Refusal> {
    let source = exchange(vhost, &path.exchange("source")?)?;
    let destination = match path.get("kind") {
        "q" => Destination::Queue(vhost.queue(path.get("destination")).ok_or_else(Refusal::not_found)?),
        "e" => Destination::Exchange(exchange(vhost, &path.exchange("destination")?)?),
        _ => return Err(Refusal::not_found()),
    };
    Ok((source, destination))
}

fn find(vhost: &Arc<Vhost>, path: &Segments) -> Result<Handle, Refusal> {
    let (source, destination) = ends(vhost, path)?;
    let wanted = path.get("props");
    let mut bindings = of_both(vhost, &source, &destination).into_iter();
    let is_wanted = |found: &Handle| properties_key(&found.binding.key, &found.binding.arguments) == wanted;
    bindings.find(is_wanted).ok_or_else(Refusal::not_found)
}

/// The bindings that lead from an exchange. Those of the default exchange are its queues' names (§3.1.3.1).
fn of_source(vhost: &Arc<Vhost>, source: &Exchange) -> Vec<Handle> {
    if source.name.is_empty() {
        return vhost.queues().iter().map(|queue| implicit(vhost, queue)).collect();
    }
    let handle = |binding| Handle { vhost: Arc::clone(vhost), source: source.name.clone(), binding };
    source.bindings().into_iter().map(handle).collect()
}

fn implicit(vhost: &Arc<Vhost>, queue: &Arc<Queue>) -> Handle {
    let binding = CoreBinding {
        key: queue.name.as_str().as_bytes().into(),
        arguments: FieldTable::new(),
        destination: Destination::Queue(Arc::clone(queue)),
    };
    Handle { vhost: Arc::clone(vhost), source: Name::from(""), binding }
}

fn of_both(vhost: &Arc<Vhost>, source: &Exchange, destination: &Destination) -> Vec<Handle> {
    match destination {
        Destination::Queue(queue) if source.name.is_empty() => vec![implicit(vhost, queue)],
        Destination::Queue(_) | Destination::Exchange(_) => {
            let handle = |binding| Handle { vhost: Arc::clone(vhost), source: source.name.clone(), binding };
            source.bindings_to(destination).into_iter().map(handle).collect()
        }
    }
}

fn to_destination(vhost: &Arc<Vhost>, destination: &Destination) -> Vec<Handle> {
    let mut bindings: Vec<_> = vhost
        .sources_of(destination.id())
        .iter()
        .flat_map(|source| of_both(vhost, source, destination))
        .collect();
    if let Destination::Queue(queue) = destination {
        bindings.push(implicit(vhost, queue));
    }
    bindings
}

async fn answer(query: &ListQuery, bindings: Vec<Handle>) -> Answer {
    let key = |found: &Handle| {
        let key = String::from_utf8_lossy(&found.binding.key);
        let name = format!("{}\0{}\0{key}", found.source, found.binding.destination.name());
        Key::new(found.vhost.name.as_str(), name)
    };
    let view = |found: &Handle, sink: Sink<'_>| {
        sink.put(&Binding::new(found.vhost.name.as_str(), found.source.as_str(), &found.binding))
    };
    query.answer(bindings, key, view).await
}
