//! `/api/connections`: who is connected, and the end of a connection.

use std::sync::Arc;

use axum::extract::State;
use axum::http::HeaderMap;

use super::answer::{Answer, done};
use super::api::Api;
use super::caller::{Caller, Tag};
use super::listing::{Key, ListQuery};
use super::path::Segments;
use super::refusal::Refusal;
use super::view::connection::{Connection, TrackedConnection};
use crate::broker::connections::ConnectionEntry;

/// What a client is told when an operator gives no reason (RabbitMQ).
const REASON: &str = "Closed via management plugin";

/// Octets of a reason: with the reply text's head it must fit into a short string.
const REASON_OCTETS_MAX: usize = 220;

/// GET `/api/connections` and `/api/vhosts/{vhost}/connections`.
pub(super) async fn list(
    State(api): State<Arc<Api>>,
    caller: Caller,
    path: Segments,
    query: ListQuery,
) -> Answer {
    let vhost = path.vhost();
    if !vhost.is_empty() {
        api.visible_vhost(&caller, vhost)?;
    }
    let mut entries = visible(&api, &caller);
    entries.retain(|entry| vhost.is_empty() || entry.facts.vhost.as_str() == vhost);
    query.answer(entries, key, |entry, sink| sink.put(&Connection::new(entry, &api))).await
}

/// GET `/api/connections/username/{user}`.
pub(super) async fn list_of_user(
    State(api): State<Arc<Api>>,
    caller: Caller,
    path: Segments,
    query: ListQuery,
) -> Answer {
    let mut entries = visible(&api, &caller);
    entries.retain(|entry| entry.facts.user.as_str() == path.get("user"));
    query.answer(entries, key, |entry, sink| sink.put(&TrackedConnection::new(entry, &api))).await
}

/// GET `/api/connections/{name}`.
pub(super) async fn get(
    State(api): State<Arc<Api>>,
    caller: Caller,
    path: Segments,
    query: ListQuery,
) -> Answer {
    let entry = find(&api, &path)?;
    caller.see(entry.facts.user.as_str())?;
    query.one(&Connection::new(&entry, &api))
}

/// DELETE `/api/connections/{name}`; the header `X-Reason` says why.
pub(super) async fn delete(
    State(api): State<Arc<Api>>,
    caller: Caller,
    path: Segments,
    headers: HeaderMap,
) -> Answer {
    let entry = find(&api, &path)?;
    caller.end(entry.facts.user.as_str())?;
    entry.close(reason(&headers));
    done()
}

/// DELETE `/api/connections/username/{user}`.
pub(super) async fn delete_of_user(
    State(api): State<Arc<Api>>,
    caller: Caller,
    path: Segments,
    headers: HeaderMap,
) -> Answer {
    let user = path.get("user");
    caller.end(user)?;
    let reason = reason(&headers);
    for entry in api.broker.connections.list() {
        if entry.facts.user.as_str() == user {
            entry.close(reason.clone());
        }
    }
    done()
}

/// The connections that the caller may see.
pub(super) fn visible(api: &Api, caller: &Caller) -> Vec<Arc<ConnectionEntry>> {
    let mut entries = api.broker.connections.list();
    entries.retain(|entry| caller.has(Tag::Monitoring) || entry.facts.user == caller.user.name);
    entries
}

/// The connection that a path names.
pub(super) fn find(api: &Api, path: &Segments) -> Result<Arc<ConnectionEntry>, Refusal> {
    api.broker.connections.named(path.get("connection")).ok_or_else(Refusal::not_found)
}

fn key(entry: &Arc<ConnectionEntry>) -> Key {
    Key::new(entry.facts.vhost.as_str(), entry.name())
}

fn reason(headers: &HeaderMap) -> String {
    let reason = headers.get("x-reason").and_then(|reason| reason.to_str().ok()).unwrap_or(REASON);
    let end = reason.floor_char_boundary(REASON_OCTETS_MAX);
    reason.get(..end).unwrap_or(REASON).to_owned()
}
