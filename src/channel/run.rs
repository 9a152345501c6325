//! What follows each other on a channel and goes to the same place is given there together: publishes to the same
//! queues, acks of the same queue. A queue is locked once for all of them.
//!
//! A run never outlives the frames that were read together, and ends before anything else on its connection is carried
//! out: nobody can see that it was not done at once.

use std::sync::Arc;

use super::Channel;
use super::confirms::Outcome;
use super::unacked::Unacked;
use crate::broker::Accepted;
use crate::clock::Timestamp;
use crate::message::Message;
use crate::queue::{LeaseRef, Queue, Settlement};

/// Messages or acks in a run: a queue is not locked for longer.
const RUN_MAX: usize = 256;

/// Octets of messages after which a run ends.
const RUN_OCTETS_MAX: usize = 64 * 1024;

/// Room for as many messages and acks is kept between batches.
const KEPT: usize = 16;

/// What is not given to queues yet.
#[derive(Debug, Default)]
pub(super) struct Run {
    /// Messages for the queues of the channel's known route.
    messages: Vec<Message>,
    octets: usize,
    /// Leases of this queue that are acked.
    acked: Option<Arc<Queue>>,
    leases: Vec<LeaseRef>,
}

impl Run {
    fn is_full(&self) -> bool {
        self.messages.len() >= RUN_MAX || self.octets >= RUN_OCTETS_MAX || self.leases.len() >= RUN_MAX
    }
}

impl Channel {
    /// Whether anything is not given to queues yet.
    pub fn has_run(&self) -> bool {
        !self.run.messages.is_empty() || self.run.acked.is_some()
    }

    /// Gives queues what is theirs.
    pub fn finish_run(&mut self, now: Timestamp) {
        self.finish_publishes(now);
        self.finish_acks(now);
    }

    /// A message for the queues of the known route.
    pub(super) fn join_publish(&mut self, message: Message, now: Timestamp) {
        self.finish_acks(now);
        self.run.octets += message.memory_len();
        self.run.messages.push(message);
        if self.run.is_full() {
            self.finish_publishes(now);
        }
    }

    /// A delivery is acked.
    pub(super) fn join_ack(&mut self, delivery: Unacked, now: Timestamp) {
        self.finish_publishes(now);
        if self.run.acked.as_ref().is_some_and(|queue| queue.id != delivery.queue.id) {
            self.finish_acks(now);
        }
        self.run.leases.push(delivery.lease);
        self.run.acked.get_or_insert(delivery.queue);
        if self.run.is_full() {
            self.finish_acks(now);
        }
    }

    pub(super) fn finish_publishes(&mut self, now: Timestamp) {
        if self.run.messages.is_empty() {
            return;
        }
        let (queues, messages) = (self.known.queues(), &self.run.messages);
        let mode = &self.mode;
        self.context.session.enqueue_all(queues, messages, now, |Accepted(accepted)| {
            mode.confirm(if accepted { Outcome::Ack } else { Outcome::Nack });
        });
        self.run.messages.clear();
        self.run.octets = 0;
    }

    fn finish_acks(&mut self, now: Timestamp) {
        let Some(queue) = self.run.acked.take() else { return };
        self.context.session.settle(&queue, &self.run.leases, Settlement::Ack, now);
        self.run.leases.clear();
        self.resume_consumers();
    }

    /// The batch is over: an idle channel is small.
    pub(super) fn release_run(&mut self) {
        if self.run.messages.capacity() + self.run.leases.capacity() > KEPT {
            self.run = Run::default();
        }
    }
}
