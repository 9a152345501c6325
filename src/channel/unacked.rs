//! Deliveries of one channel that the client has not settled, by delivery tag.

use std::collections::VecDeque;
use std::sync::Arc;

use lepus_protocol::DeliveryTag;

use crate::broker::connections::Held;
use crate::id::EntityId;
use crate::queue::{Holder, LeaseRef, Queue};

/// A delivery: which message of which queue.
#[derive(Clone, Debug)]
pub(super) struct Unacked {
    /// Its number on the channel.
    pub(super) tag: DeliveryTag,
    /// The queue that leased it.
    pub(super) queue: Arc<Queue>,
    /// The lease.
    pub(super) lease: LeaseRef,
    /// The lease has run out: the client may still settle the delivery, to no effect.
    pub(super) is_over: bool,
}

impl Unacked {
    /// 1 if a consumer holds it.
    fn is_consumed(&self) -> usize {
        let is_consumed = matches!(self.lease.holder, Holder::Consumer(_));
        usize::from(is_consumed && !self.is_over)
    }
}

/// Unsettled deliveries in order of their tags.
///
/// Clients mostly settle the oldest first, so that this is a queue. What is settled out of order leaves a gap,
/// which goes when it reaches the front, or when gaps outnumber what is left: a delivery that is held for days does
/// not pin the memory of all that followed it.
#[derive(Debug, Default)]
pub(super) struct UnackedDeliveries {
    slots: VecDeque<(DeliveryTag, Option<Unacked>)>,
    live: usize,
    /// Those that consumers hold; the rest was fetched by basic.get.
    consumed: usize,
}

/// The client named a delivery that is not unsettled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct UnknownTag;

impl UnackedDeliveries {
    /// Gaps that are tolerated however few deliveries are left.
    const GAPS_MIN: usize = 64;

    /// Records a delivery; its tag is greater than any before.
    pub(super) fn push(&mut self, delivery: Unacked) {
        self.live += 1;
        self.consumed += delivery.is_consumed();
        self.slots.push_back((delivery.tag, Some(delivery)));
    }

    /// Takes out the delivery of this tag.
    pub(super) fn take(&mut self, tag: DeliveryTag) -> Result<Unacked, UnknownTag> {
        let taken = if self.slots.front().is_some_and(|(oldest, _)| *oldest == tag) {
            self.slots.pop_front().and_then(|(_, slot)| slot)
        } else {
            let at = self.slots.binary_search_by_key(&tag, |(tag, _)| *tag).map_err(|_| UnknownTag)?;
            self.slots.get_mut(at).and_then(|(_, slot)| slot.take())
        };
        let taken = taken.ok_or(UnknownTag)?;
        self.live -= 1;
        self.consumed -= taken.is_consumed();
        self.close_gaps();
        Ok(taken)
    }

    /// Takes out all deliveries up to this tag; all there are for [`DeliveryTag::ALL`] (§1.8.3.13: multiple).
    pub(super) fn take_through(&mut self, tag: DeliveryTag) -> Result<Vec<Unacked>, UnknownTag> {
        if tag == DeliveryTag::ALL {
            return Ok(self.take_all());
        }
        let at = self.slots.binary_search_by_key(&tag, |(tag, _)| *tag).map_err(|_| UnknownTag)?;
        let taken: Vec<_> = self.slots.drain(..=at).filter_map(|(_, slot)| slot).collect();
        self.live -= taken.len();
        self.consumed -= taken.iter().map(Unacked::is_consumed).sum::<usize>();
        self.close_gaps();
        Ok(taken)
    }

    /// Takes out everything, in order.
    pub(super) fn take_all(&mut self) -> Vec<Unacked> {
        self.live = 0;
        self.consumed = 0;
        std::mem::take(&mut self.slots).into_iter().filter_map(|(_, slot)| slot).collect()
    }

    /// Puts deliveries back that were taken out (tx.rollback).
    pub(super) fn put_back(&mut self, deliveries: Vec<Unacked>) {
        self.consumed += deliveries.iter().map(Unacked::is_consumed).sum::<usize>();
        self.slots.retain(|(_, slot)| slot.is_some());
        self.slots.extend(deliveries.into_iter().map(|delivery| (delivery.tag, Some(delivery))));
        self.slots.make_contiguous().sort_unstable_by_key(|(tag, _)| *tag);
        self.live = self.slots.len();
    }

    /// The leases of one holder have run out.
    pub(super) fn end_leases(&mut self, queue: EntityId, holder: Holder) {
        for delivery in self.slots.iter_mut().filter_map(|(_, slot)| slot.as_mut()) {
            if delivery.queue.id == queue && delivery.lease.holder == holder && !delivery.is_over {
                self.consumed -= delivery.is_consumed();
                delivery.is_over = true;
            }
        }
    }

    /// Number of unsettled deliveries that consumers hold.
    pub(super) fn consumed(&self) -> usize {
        self.consumed
    }

    /// Number of unsettled deliveries.
    pub(super) fn len(&self) -> usize {
        self.live
    }

    /// Deliveries of `queue` with tags above `after` among the next `max` slots; the last tag looked at, if there are
    /// more.
    pub(super) fn held_of(
        &self,
        queue: EntityId,
        after: DeliveryTag,
        max: usize,
    ) -> (Vec<Held>, Option<DeliveryTag>) {
        let start = self.slots.partition_point(|(tag, _)| *tag <= after);
        let end = self.slots.len().min(start.saturating_add(max));
        let looked_at = self.slots.range(start..end);
        let of_queue = |delivery: &&Unacked| delivery.queue.id == queue;
        let held = looked_at.filter_map(|(_, slot)| slot.as_ref()).filter(of_queue);
        let held = held.map(|delivery| Held { lease: delivery.lease, tag: delivery.tag }).collect();
        let more = end < self.slots.len();
        (held, self.slots.get(end.wrapping_sub(1)).map(|(tag, _)| *tag).filter(|_| more))
    }

    fn close_gaps(&mut self) {
        while self.slots.front().is_some_and(|(_, slot)| slot.is_none()) {
            self.slots.pop_front();
        }
        let gaps = self.slots.len() - self.live;
        if gaps > self.live + Self::GAPS_MIN {
            self.slots.retain(|(_, slot)| slot.is_some());
            self.slots.shrink_to(2 * self.live);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;
    use crate::id::EntityId;
    use crate::message::Message;
    use crate::name::Name;
    use crate::queue::{
        Dead, Departures, Dropped, FetchId, Home, Host, Lane, Moves, QueueArguments, QueueOptions, Seq, Turn,
    };

    struct Nobody;

    impl Host for Nobody {
        fn arm(&self, _: &Arc<Queue>, _: Timestamp) {}
        fn delivered(&self, _: &Queue, _: Lane, _: Seq) {}
        fn counted(&self, _: &Queue, _: Lane, _: Seq, _: u32) {}
        fn left(&self, _: &Queue, _: Vec<Dropped>, _: Departures, _: Option<Turn>, _: Timestamp) {}
        fn moved(&self, _: &Queue, _: Moves) {}
        fn died(&self, _: &Arc<Queue>, _: Vec<Dead>, _: Option<Turn>, _: Timestamp) {}
        fn fetch(&self, _: &Queue, _: Lane, _: Seq, _: Home) -> Option<Message> {
            None
        }
        fn account(&self, _: &Arc<Queue>, _: i64) {}
        fn page_in(&self, _: &Arc<Queue>) {}
    }

    fn queue() -> Arc<Queue> {
        let options = QueueOptions {
            durable: false,
            auto_delete: false,
            exclusive_to: None,
            arguments: QueueArguments::default(),
        };
        Queue::new(EntityId::new(1), Name::from("q"), options, Arc::new(Nobody), Timestamp::default())
    }

    fn deliveries(count: u64) -> UnackedDeliveries {
        let queue = queue();
        let mut unacked = UnackedDeliveries::default();
        for tag in 1..=count {
            unacked.push(Unacked {
                tag: DeliveryTag::new(tag),
                queue: Arc::clone(&queue),
                lease: LeaseRef { seq: Seq::new(tag), holder: Holder::Get(FetchId::new(tag)) },
                is_over: false,
            });
        }
        unacked
    }

    fn tags(taken: &[Unacked]) -> Vec<u64> {
        taken.iter().map(|delivery| delivery.tag.get()).collect()
    }

    #[test]
    fn a_delivery_is_settled_once() {
        let mut unacked = deliveries(3);
        assert!(unacked.take(DeliveryTag::new(2)).is_ok());
        assert_eq!(unacked.take(DeliveryTag::new(2)).unwrap_err(), UnknownTag);
        assert_eq!(unacked.take(DeliveryTag::new(4)).unwrap_err(), UnknownTag);
        assert_eq!(unacked.live, 2);
    }

    #[test]
    fn multiple_takes_everything_up_to_the_tag_and_zero_takes_all() {
        let mut unacked = deliveries(5);
        unacked.take(DeliveryTag::new(1)).unwrap();
        assert_eq!(tags(&unacked.take_through(DeliveryTag::new(3)).unwrap()), [2, 3]);
        assert_eq!(tags(&unacked.take_through(DeliveryTag::ALL).unwrap()), [4, 5]);
        assert!(unacked.take_through(DeliveryTag::new(5)).is_err());
    }

    #[test]
    fn what_is_put_back_takes_its_place() {
        let mut unacked = deliveries(4);
        let taken =
            vec![unacked.take(DeliveryTag::new(3)).unwrap(), unacked.take(DeliveryTag::new(1)).unwrap()];
        unacked.put_back(taken);
        assert_eq!(tags(&unacked.take_all()), [1, 2, 3, 4]);
    }

    #[test]
    fn one_old_delivery_does_not_pin_the_memory_of_later_ones() {
        let mut unacked = deliveries(10_000);
        for tag in 2..=10_000 {
            unacked.take(DeliveryTag::new(tag)).unwrap();
        }
        assert_eq!(unacked.live, 1);
        assert!(unacked.slots.len() <= 2 + UnackedDeliveries::GAPS_MIN);
        assert!(unacked.take(DeliveryTag::new(1)).is_ok());
    }
}
