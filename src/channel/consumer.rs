//! A consumer as its queue sees it.

use std::sync::{Arc, OnceLock, Weak};

use lepus_protocol::ShortString;

use super::deliveries::Deliveries;
use super::tap::Tap;
use crate::clock::Clock;
use crate::outbound::{Offered, Resume};
use crate::queue::{ConsumerId, Delivery, Outlet, Queue};

/// One subscription of a channel to a queue.
pub(super) struct Consumer {
    /// The tag, unique on the channel.
    pub(super) tag: ShortString,
    /// Deliveries are settled as they are sent.
    pub(super) no_ack: bool,
    deliveries: Arc<Deliveries>,
    tap: Arc<Tap>,
    clock: Clock,
    /// Known once the queue has accepted the subscription, before the first delivery.
    subscription: OnceLock<(Weak<Queue>, ConsumerId)>,
    me: Weak<Self>,
}

impl Consumer {
    pub(super) fn new(
        tag: ShortString,
        no_ack: bool,
        deliveries: Arc<Deliveries>,
        tap: Arc<Tap>,
        clock: Clock,
    ) -> Arc<Self> {
        Arc::new_cyclic(|me| Self {
            tag,
            no_ack,
            deliveries,
            tap,
            clock,
            subscription: OnceLock::new(),
            me: Weak::clone(me),
        })
    }

    /// The queue has accepted the subscription.
    pub(super) fn subscribed(&self, queue: &Arc<Queue>, id: ConsumerId) {
        let _only_once = self.subscription.set((Arc::downgrade(queue), id));
    }

    /// The queue, if it is still there, and the consumer's number in it.
    pub(super) fn subscription(&self) -> Option<(Arc<Queue>, ConsumerId)> {
        let (queue, id) = self.subscription.get()?;
        Some((queue.upgrade()?, *id))
    }

    /// Whom to tell when there is room again.
    pub(super) fn waiter(&self) -> Arc<dyn Resume> {
        Arc::new(Waiter(Weak::clone(&self.me)))
    }
}

impl Outlet for Consumer {
    fn offer(&self, delivery: &Delivery<'_>) -> Offered {
        let Some((_, id)) = self.subscription.get() else { return Offered::Refused };
        let offered = self.deliveries.offer(self, *id, delivery);
        if self.tap.is_open() && offered != Offered::Refused {
            self.tap.note(delivery);
            return Offered::Taken { wake: true };
        }
        offered
    }

    fn wake(&self) {
        self.deliveries.wake();
        self.tap.pass_on(|| self.clock.now());
    }

    fn cancelled(&self) {
        self.deliveries.consumer_cancelled(self);
    }

    fn expired(&self, limit_ms: u64) {
        let Some((queue, id)) = self.subscription() else { return };
        tracing::warn!(
            consumer = %self.tag,
            queue = %queue.name,
            limit_ms,
            "a delivery was not settled in time: its consumer is cancelled and what it held goes back"
        );
        self.deliveries.consumer_expired(self, &queue, id, limit_ms);
        for waiter in self.deliveries.take_resumable() {
            waiter.resume();
        }
    }
}

/// A consumer that may be gone by the time there is room again.
struct Waiter(Weak<Consumer>);

impl Resume for Waiter {
    fn resume(&self) {
        let Some(consumer) = self.0.upgrade() else { return };
        if let Some((queue, id)) = consumer.subscription() {
            queue.resume(id, consumer.clock.now());
        }
    }

    fn is_gone(&self) -> bool {
        self.0.strong_count() == 0
    }
}
