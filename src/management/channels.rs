//! `/api/channels`.

use std::sync::Arc;

use axum::extract::State;
use lepus_protocol::ChannelId;

use super::answer::Answer;
use super::api::Api;
use super::caller::Caller;
use super::connections;
use super::listing::{Key, ListQuery, Sink};
use super::path::Segments;
use super::refusal::Refusal;
use super::view::channel::{Channel, name};
use crate::broker::connections::{ConnectionEntry, Observed};

/// A channel of a connection.
type Handle = (Arc<ConnectionEntry>, ChannelId, Arc<dyn Observed>);

/// GET `/api/channels` and `/api/vhosts/{vhost}/channels`.
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
    let mut entries = connections::visible(&api, &caller);
    entries.retain(|entry| vhost.is_empty() || entry.facts.vhost.as_str() == vhost);
    answer(&api, &query, entries.iter().flat_map(of_connection).collect()).await
}

/// GET `/api/connections/{name}/channels`.
pub(super) async fn list_of_connection(
    State(api): State<Arc<Api>>,
    caller: Caller,
    path: Segments,
    query: ListQuery,
) -> Answer {
    let entry = connections::find(&api, &path)?;
    caller.see(entry.facts.user.as_str())?;
    answer(&api, &query, of_connection(&entry).collect()).await
}

/// GET `/api/channels/{name}`.
pub(super) async fn get(
    State(api): State<Arc<Api>>,
    caller: Caller,
    path: Segments,
    query: ListQuery,
) -> Answer {
    let (entry, number, channel) = find(&api, path.get("channel")).ok_or_else(Refusal::not_found)?;
    caller.see(entry.facts.user.as_str())?;
    query.one(&Channel::new(&entry, number, &*channel, &api))
}

async fn answer(api: &Arc<Api>, query: &ListQuery, channels: Vec<Handle>) -> Answer {
    let key = |(entry, number, _): &Handle| Key::new(entry.facts.vhost.as_str(), name(entry, *number));
    let view = |(entry, number, channel): &Handle, sink: Sink<'_>| {
        sink.put(&Channel::new(entry, *number, &**channel, api))
    };
    query.answer(channels, key, view).await
}

fn of_connection(entry: &Arc<ConnectionEntry>) -> impl Iterator<Item = Handle> {
    let entry = Arc::clone(entry);
    entry.channels().into_iter().map(move |(number, channel)| (Arc::clone(&entry), number, channel))
}

/// `127.0.0.1:50000 -> 127.0.0.1:5672 (1)`.
fn find(api: &Api, name: &str) -> Option<Handle> {
    let (connection, number) = name.strip_suffix(')')?.rsplit_once(" (")?;
    let number = ChannelId::new(number.parse().ok()?);
    let entry = api.broker.connections.named(connection)?;
    let (_, channel) = entry.channels().into_iter().find(|(known, _)| *known == number)?;
    Some((entry, number, channel))
}
