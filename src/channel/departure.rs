//! The end of channels: what they leave to queues.

use std::collections::BTreeMap;
use std::sync::Arc;

use lepus_protocol::DeliveryTag;

use super::unacked::Unacked;
use super::{Channel, Mode};
use crate::broker::Session;
use crate::clock::Timestamp;
use crate::queue::{ConsumerId, LeaseRef, Queue};

/// What channels leave: their consumers, and the deliveries that nobody has settled.
///
/// Each queue is told of all of it at once: what comes back is at its place before the next consumer is served, and
/// nothing goes to another channel that ends too.
#[derive(Debug, Default)]
pub struct Departure {
    consumers: Vec<(Arc<Queue>, ConsumerId)>,
    deliveries: Vec<Unacked>,
}

/// What one queue is told.
#[derive(Default)]
struct Left {
    consumers: Vec<ConsumerId>,
    leases: Vec<LeaseRef>,
}

impl Channel {
    /// Ends the channel: consumers go, unsettled deliveries go back to their queues.
    pub fn close(self, now: Timestamp) {
        let context = Arc::clone(&self.context);
        let mut departure = Departure::default();
        self.leave(&mut departure, now);
        departure.complete(&context.session, now);
    }

    /// Ends the channel, which takes no more deliveries, except for what its queues are to be told.
    pub fn leave(mut self, departure: &mut Departure, now: Timestamp) {
        self.finish_run(now);
        self.fold_tally(now);
        self.context.entry.leave_channel(self.id);
        let consumers = self.deliveries.close().into_iter();
        departure.consumers.extend(consumers.filter_map(|consumer| consumer.subscription()));
        let unsettled = self.deliveries.take_through(DeliveryTag::ALL).unwrap_or_default();
        departure.deliveries.extend(unsettled);
        match std::mem::take(&mut self.mode) {
            Mode::Tx(tx) => departure.deliveries.extend(tx.into_unacked()),
            Mode::Confirm(confirms) => confirms.close(),
            Mode::Plain => {}
        }
    }
}

impl Departure {
    /// Tells the queues.
    pub fn complete(self, session: &Session, now: Timestamp) {
        let mut left = BTreeMap::<_, (Arc<Queue>, Left)>::new();
        for (queue, consumer) in self.consumers {
            let (_, of_queue) = left.entry(queue.id).or_insert_with(|| (queue, Left::default()));
            of_queue.consumers.push(consumer);
        }
        for Unacked { queue, lease, .. } in self.deliveries {
            let (_, of_queue) = left.entry(queue.id).or_insert_with(|| (queue, Left::default()));
            of_queue.leases.push(lease);
        }
        for (queue, Left { consumers, leases }) in left.into_values() {
            session.leave(&queue, &consumers, &leases, now);
        }
    }
}
