//! Settling deliveries: ack, nack, reject, recover (§1.8.3.13 to §1.8.3.17, and RabbitMQ's basic.nack).

use lepus_protocol::DeliveryTag;
use lepus_protocol::method::basic;

use super::publish::not_implemented;
use super::unacked::{Unacked, UnknownTag};
use super::{Channel, Mode};
use crate::clock::Timestamp;
use crate::exception::{ChannelException, Exception};
use crate::queue::{LeaseRef, Settlement};

impl Channel {
    pub(super) fn ack(&mut self, ack: &basic::Ack, now: Timestamp) -> Result<(), Exception> {
        self.settle(ack.delivery_tag, ack.multiple, Settlement::Ack, now)
    }

    pub(super) fn nack(&mut self, nack: &basic::Nack, now: Timestamp) -> Result<(), Exception> {
        let back = if nack.requeue { Settlement::Requeue } else { Settlement::Discard };
        self.settle(nack.delivery_tag, nack.multiple, back, now)
    }

    pub(super) fn reject(&mut self, reject: &basic::Reject, now: Timestamp) -> Result<(), Exception> {
        let back = if reject.requeue { Settlement::Fail } else { Settlement::Discard };
        self.settle(reject.delivery_tag, false, back, now)
    }

    /// All unsettled deliveries go back to their queues (RabbitMQ: only with requeue). The answer, if one is wanted,
    /// goes out before the messages do again: clients forget at this point what they hold.
    pub(super) fn recover(
        &mut self,
        requeue: bool,
        answer: Option<basic::RecoverOk>,
        now: Timestamp,
    ) -> Result<(), Exception> {
        if !requeue {
            return Err(not_implemented("requeue=false"));
        }
        let deliveries = self.deliveries.take_through(DeliveryTag::ALL).unwrap_or_default();
        if let Some(answer) = answer {
            self.reply(answer);
        }
        self.settle_all(deliveries, Settlement::Requeue, now);
        Ok(())
    }

    fn settle(
        &mut self,
        tag: DeliveryTag,
        multiple: bool,
        how: Settlement,
        now: Timestamp,
    ) -> Result<(), Exception> {
        if let Mode::Tx(tx) = &mut self.mode {
            let taken = if multiple {
                self.deliveries.take_through(tag)
            } else {
                self.deliveries.take(tag).map(|delivery| vec![delivery])
            };
            return Ok(tx.settle(how, taken.map_err(|_| unknown(tag))?)?);
        }
        if multiple {
            self.finish_run(now);
            let taken = self.deliveries.take_through(tag).map_err(|_| unknown(tag))?;
            self.count_settled(how, taken.len());
            self.settle_all(taken, how, now);
        } else {
            let taken = self.deliveries.take(tag).map_err(|UnknownTag| unknown(tag))?;
            self.count_settled(how, 1);
            if how == Settlement::Ack {
                self.join_ack(taken, now);
                return Ok(());
            }
            self.context.session.settle(&taken.queue, &[taken.lease], how, now);
            self.resume_consumers();
        }
        Ok(())
    }

    /// RabbitMQ counts acknowledgements only.
    fn count_settled(&mut self, how: Settlement, count: usize) {
        self.tally.ack += if how == Settlement::Ack { count as u64 } else { 0 };
    }

    /// Settles deliveries of any queues, each queue's at once and in order.
    pub(super) fn settle_all(&self, mut deliveries: Vec<Unacked>, how: Settlement, now: Timestamp) {
        deliveries.sort_by_key(|delivery| delivery.queue.id);
        for of_one_queue in deliveries.chunk_by(|one, other| one.queue.id == other.queue.id) {
            let Some(first) = of_one_queue.first() else { continue };
            let leases: Vec<LeaseRef> = of_one_queue.iter().map(|delivery| delivery.lease).collect();
            self.context.session.settle(&first.queue, &leases, how, now);
        }
        self.resume_consumers();
    }

    /// Consumers that waited because of the channel's prefetch limit go on.
    pub(super) fn resume_consumers(&self) {
        for waiter in self.deliveries.take_resumable() {
            waiter.resume();
        }
    }
}

/// RabbitMQ: also for a delivery that was settled before.
fn unknown(tag: DeliveryTag) -> Exception {
    ChannelException::precondition_failed(format_args!("unknown delivery tag {tag}")).into()
}
