//! `/api/queues`: list, declare, delete, purge.

mod leases;
mod messages;
mod moving;
mod waiting;

use std::collections::HashMap;
use std::sync::Arc;

use axum::extract::{FromRequestParts, Query, State};
use axum::http::request::Parts;
use serde::Deserialize;
use serde_json::{Map, Value};

pub(super) use leases::leases;
pub(super) use messages::get as get_messages;
pub(super) use waiting::waiting;

use super::answer::{Answer, done, put};
use super::api::Api;
use super::body::{Json, flag};
use super::caller::Caller;
use super::listing::{Key, ListQuery, Sink};
use super::path::Segments;
use super::refusal::Refusal;
use super::table::from_json;
use super::view::consumer::Consumer;
use super::view::queue::Queue;
use crate::broker::{DeleteOnly, QueueDeclaration, Vhost};
use crate::name::Name;
use crate::queue::Queue as CoreQueue;

/// The body of a declaration.
#[derive(Debug, Deserialize)]
struct Declaration {
    #[serde(default = "yes", deserialize_with = "flag")]
    durable: bool,
    #[serde(default, deserialize_with = "flag")]
    auto_delete: bool,
    #[serde(default)]
    arguments: Map<String, Value>,
}

fn yes() -> bool {
    true
}

/// The body of an action.
#[derive(Debug, Deserialize)]
struct Action {
    action: String,
    /// Where messages are to be moved.
    to: Option<String>,
    /// How many; all without it.
    count: Option<u64>,
}

/// Flags in a query, such as `if-unused=true`.
#[derive(Debug)]
pub(super) struct Flags(HashMap<String, String>);

impl<S: Send + Sync> FromRequestParts<S> for Flags {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        let query = Query::<HashMap<String, String>>::from_request_parts(parts, state).await;
        let Query(query) =
            query.map_err(|error| Refusal::bad_request(format!("the query cannot be read: {error}")))?;
        Ok(Self(query))
    }
}

impl Flags {
    pub(super) fn is_set(&self, name: &str) -> bool {
        self.get(name) == Some("true")
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }
}

type Handle = (Arc<Vhost>, Arc<CoreQueue>);

/// GET `/api/queues` and `/api/queues/{vhost}`.
pub(super) async fn list(
    State(api): State<Arc<Api>>,
    caller: Caller,
    path: Segments,
    query: ListQuery,
) -> Answer {
    let mut queues = Vec::new();
    for vhost in api.visible_vhosts(&caller, path.vhost())? {
        queues.extend(vhost.queues().into_iter().map(|queue| (Arc::clone(&vhost), queue)));
    }
    let key = |(vhost, queue): &Handle| Key::new(vhost.name.as_str(), queue.name.as_str());
    let view =
        |(vhost, queue): &Handle, sink: Sink<'_>| sink.put(&Queue::new(vhost.name.as_str(), queue, &api));
    query.answer(queues, key, view).await
}

/// GET `/api/queues/{vhost}/{queue}`.
pub(super) async fn get(
    State(api): State<Arc<Api>>,
    caller: Caller,
    path: Segments,
    query: ListQuery,
) -> Answer {
    let (vhost, queue) = find(&api, &caller, &path)?;
    let vhost = vhost.name.as_str();
    let subscribers = queue.subscribers();
    let consumers = subscribers.iter().map(|subscriber| Consumer::new(vhost, &queue, subscriber, &api));
    query.one(&Queue::new(vhost, &queue, &api).with_consumers(consumers.collect()))
}

/// PUT `/api/queues/{vhost}/{queue}`.
pub(super) async fn declare(
    State(api): State<Arc<Api>>,
    caller: Caller,
    path: Segments,
    body: Json,
) -> Answer {
    let session = api.session(&caller, path.vhost())?;
    let name = path.name("queue")?;
    let Declaration { durable, auto_delete, arguments } = body.parse()?;
    let arguments = from_json(&arguments)?;
    let is_new = session.vhost.queue(name.as_str()).is_none();
    let declaration = QueueDeclaration { name, durable, exclusive: false, auto_delete, arguments };
    session.declare_queue(declaration, api.now())?;
    session.durable().await;
    put(is_new)
}

/// DELETE `/api/queues/{vhost}/{queue}?if-empty=true&if-unused=true`.
pub(super) async fn delete(
    State(api): State<Arc<Api>>,
    caller: Caller,
    path: Segments,
    flags: Flags,
) -> Answer {
    let session = api.session(&caller, path.vhost())?;
    let name = existing(&session.vhost, &path)?;
    let only = DeleteOnly { if_unused: flags.is_set("if-unused"), if_empty: flags.is_set("if-empty") };
    drop(session.delete_queue(&name, only, api.now())?);
    session.durable().await;
    done()
}

/// DELETE `/api/queues/{vhost}/{queue}/contents`.
pub(super) async fn purge(State(api): State<Arc<Api>>, caller: Caller, path: Segments) -> Answer {
    let session = api.session(&caller, path.vhost())?;
    let name = existing(&session.vhost, &path)?;
    session.purge_queue(&name, api.now())?;
    done()
}

/// POST `/api/queues/{vhost}/{queue}/actions`: of RabbitMQ's, those of mirrors have nothing to do here. `move`,
/// `pause` and `resume` are ours.
pub(super) async fn act(State(api): State<Arc<Api>>, caller: Caller, path: Segments, body: Json) -> Answer {
    let session = api.session(&caller, path.vhost())?;
    let name = existing(&session.vhost, &path)?;
    let Action { action, to, count } = body.parse()?;
    match action.as_str() {
        "sync" | "cancel_sync" => done(),
        "pause" | "resume" => {
            session.pause_queue(&name, action == "pause", api.now())?;
            session.durable().await;
            done()
        }
        "move" => {
            let to = to.ok_or_else(|| Refusal::bad_request("the body does not say 'to' which queue"))?;
            moving::move_messages(&api, &session, &name, &to, count.unwrap_or(u64::MAX)).await
        }
        unknown => Err(Refusal::bad_request(format!("Unknown action: {unknown}"))),
    }
}

/// The queue that a path names, for a look at it.
pub(super) fn find(api: &Api, caller: &Caller, path: &Segments) -> Result<Handle, Refusal> {
    let vhost = api.visible_vhost(caller, path.vhost())?;
    let queue = vhost.queue(path.get("queue")).ok_or_else(Refusal::not_found)?;
    Ok((vhost, queue))
}

/// The name of a queue that must be there.
fn existing(vhost: &Vhost, path: &Segments) -> Result<Name, Refusal> {
    let name = path.name("queue")?;
    if vhost.queue(name.as_str()).is_none() {
        return Err(Refusal::not_found());
    }
    Ok(name)
}
