//! `/api/vhosts`.

use std::sync::Arc;

use axum::extract::State;

use super::answer::Answer;
use super::api::Api;
use super::caller::Caller;
use super::listing::{Key, ListQuery, Sink};
use super::overview::depth_of;
use super::path::Segments;
use super::rates::Depth;
use super::view::vhost::Vhost;
use crate::broker::Vhost as CoreVhost;

/// GET `/api/vhosts`.
pub(super) async fn list(State(api): State<Arc<Api>>, caller: Caller, query: ListQuery) -> Answer {
    let mut vhosts = Vec::new();
    for vhost in api.visible_vhosts(&caller, "")? {
        let depth = depth_of(&[Arc::clone(&vhost)]).await;
        vhosts.push((vhost, depth));
    }
    let tallies = api.broker.connections.tallies();
    let key = |(vhost, _): &(Arc<CoreVhost>, Depth)| Key::new("", vhost.name.as_str());
    let view = |(vhost, depth): &(Arc<CoreVhost>, Depth), sink: Sink<'_>| {
        let tally = tallies.get(&vhost.name).copied().unwrap_or_default();
        sink.put(&Vhost::new(vhost, *depth, tally, &api))
    };
    query.answer(vhosts, key, view).await
}

/// GET `/api/vhosts/{vhost}`.
pub(super) async fn get(
    State(api): State<Arc<Api>>,
    caller: Caller,
    path: Segments,
    query: ListQuery,
) -> Answer {
    let vhost = api.visible_vhost(&caller, path.vhost())?;
    let depth = depth_of(&[Arc::clone(&vhost)]).await;
    let tally = api.broker.connections.tallies().get(&vhost.name).copied().unwrap_or_default();
    query.one(&Vhost::new(&vhost, depth, tally, &api))
}
