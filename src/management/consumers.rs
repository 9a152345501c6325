//! `/api/consumers`.

use std::sync::Arc;

use axum::extract::State;

use super::answer::Answer;
use super::api::Api;
use super::caller::Caller;
use super::listing::{Key, ListQuery, Sink};
use super::path::Segments;
use super::view::consumer::Consumer;
use crate::broker::Vhost;
use crate::queue::{Queue, Subscriber};

type Handle = (Arc<Vhost>, Arc<Queue>, Subscriber);

/// GET `/api/consumers` and `/api/consumers/{vhost}`.
pub(super) async fn list(
    State(api): State<Arc<Api>>,
    caller: Caller,
    path: Segments,
    query: ListQuery,
) -> Answer {
    let mut consumers = Vec::new();
    for vhost in api.visible_vhosts(&caller, path.vhost())? {
        for queue in vhost.queues() {
            let of_queue = queue.subscribers().into_iter();
            consumers.extend(of_queue.map(|found| (Arc::clone(&vhost), Arc::clone(&queue), found)));
        }
    }
    let key = |(vhost, queue, subscriber): &Handle| {
        Key::new(vhost.name.as_str(), format!("{} {}", queue.name, subscriber.origin.tag))
    };
    let view = |(vhost, queue, subscriber): &Handle, sink: Sink<'_>| {
        sink.put(&Consumer::new(vhost.name.as_str(), queue, subscriber, &api))
    };
    query.answer(consumers, key, view).await
}
