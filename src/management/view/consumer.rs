//! A consumer, and a delivery lease.

use serde::Serialize;

use super::channel::ChannelDetails;
use super::queue::QueueName;
use crate::management::api::Api;
use crate::management::table::Table;
use crate::queue::{Queue, Subscriber};

/// As in `/api/consumers`.
#[derive(Debug, Serialize)]
pub(in crate::management) struct Consumer<'c> {
    ack_required: bool,
    active: bool,
    activity_status: &'static str,
    arguments: Table<'c>,
    channel_details: Option<ChannelDetails>,
    consumer_tag: String,
    /// Milliseconds; 0 is without end.
    consumer_timeout: u64,
    exclusive: bool,
    prefetch_count: u32,
    queue: QueueName<'c>,
    user: Option<String>,
}

impl<'c> Consumer<'c> {
    pub(in crate::management) fn new(
        vhost: &'c str,
        queue: &'c Queue,
        subscriber: &'c Subscriber,
        api: &'c Api,
    ) -> Self {
        let origin = &subscriber.origin;
        let entry = api.broker.connections.get(origin.connection);
        let single = queue.options.arguments.single_active_consumer;
        Self {
            ack_required: !subscriber.no_ack,
            active: subscriber.active,
            activity_status: match (single, subscriber.active) {
                (false, _) => "up",
                (true, true) => "single_active",
                (true, false) => "waiting",
            },
            arguments: Table(&origin.arguments),
            channel_details: entry.as_ref().map(|entry| ChannelDetails::new(entry, origin.channel, api)),
            consumer_tag: origin.tag.to_string(),
            consumer_timeout: subscriber.lease_ms.unwrap_or_default(),
            exclusive: subscriber.exclusive,
            prefetch_count: subscriber.prefetch.unwrap_or_default(),
            queue: QueueName { name: queue.name.as_str(), vhost },
            user: entry.map(|entry| entry.facts.user.to_string()),
        }
    }
}

/// A message that somebody holds.
#[derive(Debug, Serialize)]
pub(in crate::management) struct Lease {
    /// The message's place in its queue.
    pub(in crate::management) position: u64,
    /// How often it has been given out, this time included.
    pub(in crate::management) delivery_count: u32,
    /// Milliseconds since the epoch.
    pub(in crate::management) leased_at: u64,
    /// Milliseconds.
    pub(in crate::management) held_for: u64,
    /// Milliseconds since the epoch; nothing if it does not run out.
    pub(in crate::management) expires_at: Option<u64>,
    /// The consumer's tag; nothing if it was fetched with basic.get, or the consumer is gone.
    pub(in crate::management) consumer_tag: Option<String>,
    /// Nobody holds it: it is dead, and kept until its dead letter has arrived.
    #[serde(rename = "dead")]
    pub(in crate::management) is_dead: bool,
    /// The delivery's number on its channel.
    pub(in crate::management) delivery_tag: Option<u64>,
    /// Which channel it is.
    pub(in crate::management) channel_details: Option<ChannelDetails>,
}
