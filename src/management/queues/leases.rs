//! GET `/api/queues/{vhost}/{queue}/leases`: who holds which message, since when, until when.

use std::collections::HashMap;
use std::sync::Arc;

use axum::extract::State;
use lepus_protocol::{ChannelId, DeliveryTag};

use super::find;
use crate::broker::connections::ConnectionEntry;
use crate::clock::Timestamp;
use crate::id::EntityId;
use crate::management::answer::Answer;
use crate::management::api::Api;
use crate::management::caller::Caller;
use crate::management::listing::{Key, ListQuery};
use crate::management::path::Segments;
use crate::management::view::channel::ChannelDetails;
use crate::management::view::consumer::Lease;
use crate::queue::{Holder, LeaseRef, LeaseReport};

/// Deliveries of a channel that are looked at before it is let go.
const BATCH: usize = 1024;

/// Which delivery of which channel a leased message is.
type Held = HashMap<LeaseRef, (Arc<ConnectionEntry>, ChannelId, DeliveryTag)>;

/// GET `/api/queues/{vhost}/{queue}/leases`.
pub(in crate::management) async fn leases(
    State(api): State<Arc<Api>>,
    caller: Caller,
    path: Segments,
    query: ListQuery,
) -> Answer {
    let (vhost, queue) = find(&api, &caller, &path)?;
    let leases = queue.leases();
    let held =
        if leases.is_empty() { Held::new() } else { holders(&api, vhost.name.as_str(), queue.id).await };
    let tags: HashMap<_, _> =
        queue.subscribers().into_iter().map(|found| (found.id, found.origin.tag.to_string())).collect();
    let now = api.now();
    let view = |lease: &LeaseReport| {
        let held = held.get(&LeaseRef { seq: lease.seq, holder: lease.holder });
        Lease {
            position: lease.seq.get(),
            delivery_count: lease.deliveries,
            leased_at: lease.since.as_millis(),
            held_for: now.millis_since(lease.since),
            expires_at: lease.until.map(Timestamp::as_millis),
            consumer_tag: match lease.holder {
                Holder::Consumer(id) => tags.get(&id).cloned(),
                Holder::Get(_) | Holder::Post => None,
            },
            is_dead: lease.holder == Holder::Post,
            delivery_tag: held.map(|(_, _, tag)| tag.get()),
            channel_details: held.map(|(entry, number, _)| ChannelDetails::new(entry, *number, &api)),
        }
    };
    let key = |lease: &LeaseReport| Key::new("", format!("{:020}", lease.seq.get()));
    query.answer(leases, key, |lease, sink| sink.put(&view(lease))).await
}

/// Asks the channels of the virtual host, a piece at a time, what they hold of the queue.
async fn holders(api: &Api, vhost: &str, queue: EntityId) -> Held {
    let mut held = Held::new();
    let entries = api.broker.connections.list();
    for entry in entries.iter().filter(|entry| entry.facts.vhost.as_str() == vhost) {
        for (number, channel) in entry.channels() {
            let mut after = Some(DeliveryTag::ALL);
            while let Some(tag) = after {
                let (some, next) = channel.held_of(queue, tag, BATCH);
                let known = some.into_iter().map(|held| (held.lease, (Arc::clone(entry), number, held.tag)));
                held.extend(known);
                after = next;
                tokio::task::yield_now().await;
            }
        }
    }
    held
}
