//! The part of a channel that queues reach: delivery tags, unsettled deliveries, consumers.
//!
//! A queue delivers from whatever task it is changed by, so that this has a lock of its own. Lock order: queue, then
//! this, then the outbound buffer. Nothing here calls a queue with the lock held.

use std::collections::HashMap;
use std::sync::Arc;

use ahash::RandomState;
use lepus_protocol::method::basic;
use lepus_protocol::{ChannelId, DeliveryTag, Method, ShortStr, ShortString, encoder};
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::Context;
use super::consumer::Consumer;
use super::counted::with_counts;
use super::unacked::{Unacked, UnackedDeliveries, UnknownTag};
use crate::broker::connections::Held;
use crate::id::EntityId;
use crate::message::Parts;
use crate::metrics::MessageTally;
use crate::outbound::{Offered, Outbound, Resume};
use crate::queue::{ConsumerId, Delivery, Fetched, Holder, LeaseRef, Queue};

/// Shared by a channel and its consumers.
pub(super) struct Deliveries {
    channel: ChannelId,
    frame_max: u32,
    outbound: Arc<Outbound>,
    /// The client understands a basic.cancel from the server (RabbitMQ: consumer_cancel_notify).
    notify_cancel: bool,
    /// The connection is told when a channel is to be closed.
    overdue: Arc<Notify>,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    last_tag: u64,
    unacked: UnackedDeliveries,
    tally: MessageTally,
    /// RabbitMQ: basic.qos with global=true limits the channel as a whole.
    limit: Option<usize>,
    /// Consumers that were refused because of that limit.
    over_limit: Vec<Arc<dyn Resume>>,
    consumers: HashMap<ShortString, Registered, RandomState>,
    closed: bool,
    /// A delivery was held for longer than so many milliseconds, and the client understands nothing less than the end
    /// of the channel.
    overdue_ms: Option<u64>,
}

/// Counts of a channel's deliveries.
#[derive(Clone, Copy, Debug)]
pub(super) struct Counts {
    pub(super) consumers: usize,
    pub(super) unacked: usize,
    pub(super) limit: Option<usize>,
    pub(super) tally: MessageTally,
}

/// A consumer of the channel.
struct Registered {
    consumer: Arc<Consumer>,
    /// The client knows of it.
    announced: bool,
    /// Its queue went before the client knew of it.
    gone: bool,
}

impl Deliveries {
    pub(super) fn new(channel: ChannelId, context: &Context) -> Self {
        Self {
            channel,
            frame_max: context.frame_max,
            outbound: Arc::clone(&context.outbound),
            notify_cancel: context.notify_cancel,
            overdue: Arc::clone(&context.overdue),
            inner: Mutex::default(),
        }
    }

    /// Sends a delivery to `consumer`, unless a limit is reached; then the consumer will be resumed.
    pub(super) fn offer(&self, consumer: &Consumer, id: ConsumerId, delivery: &Delivery<'_>) -> Offered {
        let mut inner = self.inner.lock();
        if inner.closed {
            return Offered::Refused;
        }
        if !consumer.no_ack && inner.is_over_limit() {
            if inner.over_limit.len() == inner.over_limit.capacity() {
                inner.over_limit.retain(|waiter| !waiter.is_gone());
            }
            inner.over_limit.push(consumer.waiter());
            return Offered::Refused;
        }
        let tag = DeliveryTag::new(inner.last_tag + 1);
        let offered = self.outbound.offer(
            || consumer.waiter(),
            |frames| self.encode_delivery(frames, consumer.tag.as_short_str(), tag, delivery),
        );
        if offered != Offered::Refused {
            inner.last_tag = tag.get();
            inner.tally.count_delivery(consumer.no_ack);
            inner.tally.redeliver += u64::from(delivery.redelivered);
            if !consumer.no_ack {
                let lease = LeaseRef { seq: delivery.seq, holder: Holder::Consumer(id) };
                let queue = Arc::clone(delivery.queue);
                inner.unacked.push(Unacked { tag, queue, lease, is_over: false });
            }
        }
        offered
    }

    fn encode_delivery(
        &self,
        frames: &mut Vec<u8>,
        consumer_tag: ShortStr<'_>,
        tag: DeliveryTag,
        delivery: &Delivery<'_>,
    ) {
        let Parts { exchange, routing_key, properties, body } = delivery.message.parts();
        let method = basic::Deliver {
            consumer_tag,
            delivery_tag: tag,
            redelivered: delivery.redelivered,
            exchange: short(exchange),
            routing_key: short(routing_key),
        };
        let properties = with_counts(properties, delivery.returns);
        encoder::deliver(frames, self.channel, &method, &properties, body, self.frame_max);
    }

    /// Sends a message fetched with basic.get (§1.8.3.11).
    pub(super) fn send_fetched(&self, queue: Arc<Queue>, fetched: &Fetched, no_ack: bool) {
        let mut inner = self.inner.lock();
        inner.last_tag += 1;
        inner.tally.count_get(no_ack);
        inner.tally.redeliver += u64::from(fetched.redelivered);
        let tag = DeliveryTag::new(inner.last_tag);
        let message = &fetched.message;
        let method = Method::from(basic::GetOk {
            delivery_tag: tag,
            redelivered: fetched.redelivered,
            exchange: short(message.exchange()),
            routing_key: short(message.routing_key()),
            message_count: u32::try_from(fetched.remaining).unwrap_or(u32::MAX),
        });
        self.outbound.append(|frames| {
            method.encode(self.channel, frames);
            let properties = with_counts(message.properties(), fetched.returns);
            encoder::content(frames, self.channel, &properties, message.body(), self.frame_max);
        });
        if !no_ack {
            let lease = LeaseRef { seq: fetched.seq, holder: fetched.holder };
            inner.unacked.push(Unacked { tag, queue, lease, is_over: false });
        }
    }

    /// Takes out one unsettled delivery.
    pub(super) fn take(&self, tag: DeliveryTag) -> Result<Unacked, UnknownTag> {
        self.inner.lock().unacked.take(tag)
    }

    /// Takes out all unsettled deliveries up to `tag`.
    pub(super) fn take_through(&self, tag: DeliveryTag) -> Result<Vec<Unacked>, UnknownTag> {
        self.inner.lock().unacked.take_through(tag)
    }

    /// Puts deliveries back that were taken out.
    pub(super) fn put_back(&self, deliveries: Vec<Unacked>) {
        self.inner.lock().unacked.put_back(deliveries);
    }

    /// Sets the limit for the channel as a whole; `None` is no limit.
    pub(super) fn set_limit(&self, limit: Option<usize>) {
        self.inner.lock().limit = limit;
    }

    /// Consumers that wait because of the channel's limit, if it is not reached any more. The caller resumes them.
    pub(super) fn take_resumable(&self) -> Vec<Arc<dyn Resume>> {
        let mut inner = self.inner.lock();
        if inner.over_limit.is_empty() || inner.is_over_limit() {
            return Vec::new();
        }
        std::mem::take(&mut inner.over_limit)
    }

    /// Whether a consumer has this tag.
    pub(super) fn has_consumer(&self, tag: &ShortString) -> bool {
        self.inner.lock().consumers.contains_key(tag)
    }

    /// Number of consumers.
    pub(super) fn consumer_count(&self) -> usize {
        self.inner.lock().consumers.len()
    }

    /// Records a consumer, before its queue can know of it.
    pub(super) fn add_consumer(&self, consumer: Arc<Consumer>) {
        let registered = Registered { consumer, announced: false, gone: false };
        self.inner.lock().consumers.insert(registered.consumer.tag.clone(), registered);
    }

    /// Lets the client know of the consumer, with consume-ok unless it wants no answer; and at once of its end, if its
    /// queue has gone meanwhile.
    pub(super) fn announce(&self, tag: &ShortString, no_wait: bool) {
        let mut inner = self.inner.lock();
        let Some(registered) = inner.consumers.get_mut(tag) else { return };
        registered.announced = true;
        let gone = registered.gone;
        if !no_wait {
            let answer = Method::from(basic::ConsumeOk { consumer_tag: tag.as_short_str() });
            self.outbound.append(|frames| answer.encode(self.channel, frames));
        }
        if gone {
            inner.consumers.remove(tag);
            self.send_cancel(tag);
        }
    }

    /// Takes a consumer out; its queue does not know yet.
    pub(super) fn remove_consumer(&self, tag: &ShortString) -> Option<Arc<Consumer>> {
        self.inner.lock().consumers.remove(tag).map(|registered| registered.consumer)
    }

    /// The consumer's queue is gone: the client is told, if it can be (RabbitMQ).
    pub(super) fn consumer_cancelled(&self, consumer: &Consumer) {
        self.end_consumer(&mut self.inner.lock(), consumer);
    }

    /// A delivery was held for longer than `limit_ms`: the consumer has ended, and the client is told, by the end of
    /// the channel if it understands nothing less (RabbitMQ). All that the consumer held is back in its queue; the
    /// client may still settle it, to no effect.
    pub(super) fn consumer_expired(&self, consumer: &Consumer, queue: &Queue, id: ConsumerId, limit_ms: u64) {
        let mut inner = self.inner.lock();
        if self.notify_cancel {
            self.end_consumer(&mut inner, consumer);
        } else {
            inner.overdue_ms = Some(limit_ms);
            self.overdue.notify_one();
        }
        inner.unacked.end_leases(queue.id, Holder::Consumer(id));
    }

    /// How long a delivery was allowed to be held, if one was held for longer and the channel is to be closed for it.
    pub(super) fn overdue_ms(&self) -> Option<u64> {
        self.inner.lock().overdue_ms
    }

    fn end_consumer(&self, inner: &mut Inner, consumer: &Consumer) {
        // Its tag may have been given to another consumer meanwhile.
        let registered = inner.consumers.get_mut(&consumer.tag);
        match registered.filter(|registered| std::ptr::eq(&*registered.consumer, consumer)) {
            None => {}
            Some(registered) if !registered.announced => registered.gone = true,
            Some(_) => {
                inner.consumers.remove(&consumer.tag);
                self.send_cancel(&consumer.tag);
            }
        }
    }

    fn send_cancel(&self, tag: &ShortString) {
        if self.notify_cancel {
            let cancel = Method::from(basic::Cancel { consumer_tag: tag.as_short_str(), no_wait: true });
            self.outbound.send(|frames| cancel.encode(self.channel, frames));
        }
    }

    /// Counts of the moment.
    pub(super) fn counts(&self) -> Counts {
        let inner = self.inner.lock();
        Counts {
            consumers: inner.consumers.len(),
            unacked: inner.unacked.len(),
            limit: inner.limit,
            tally: inner.tally,
        }
    }

    /// Unsettled deliveries of `queue` after `tag`, among the next `max`; with the tag to go on after.
    pub(super) fn held_of(
        &self,
        queue: EntityId,
        after: DeliveryTag,
        max: usize,
    ) -> (Vec<Held>, Option<DeliveryTag>) {
        self.inner.lock().unacked.held_of(queue, after, max)
    }

    /// Tells the writer that there are deliveries.
    pub(super) fn wake(&self) {
        self.outbound.wake();
    }

    /// Takes no more deliveries, and hands over the consumers.
    pub(super) fn close(&self) -> Vec<Arc<Consumer>> {
        let mut inner = self.inner.lock();
        inner.closed = true;
        inner.over_limit.clear();
        let mut consumers: Vec<_> = std::mem::take(&mut inner.consumers).into_iter().collect();
        drop(inner);
        consumers.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        consumers.into_iter().map(|(_, registered)| registered.consumer).collect()
    }
}

impl Inner {
    /// Whether consumers hold as many deliveries as the channel may have (RabbitMQ: basic.get does not count).
    fn is_over_limit(&self) -> bool {
        self.limit.is_some_and(|limit| self.unacked.consumed() >= limit)
    }
}

/// A name or key of a message: it came as a short string.
pub(super) fn short(octets: &[u8]) -> ShortStr<'_> {
    ShortStr::new(octets).unwrap_or_default()
}
