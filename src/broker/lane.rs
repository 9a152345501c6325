//! How the store's queues relate to the broker's: each lane of a queue is a queue of the store, so that messages of one
//! priority, or those that are due soon, can be read without the others.

use crate::id::EntityId;
use crate::queue::Lane;
use crate::storage::QueueId;

/// The lane is kept in the two highest octets, the lower of its own in the highest: ids of entities count up from 1
/// and do not get there.
const ID_BITS: u32 = 48;

/// The store's queue for a lane of a queue; a queue without priorities and delays has lane 0 alone.
pub(super) const fn lane(queue: EntityId, lane: Lane) -> QueueId {
    QueueId(queue.get() | (lane.number().swap_bytes() as u64) << ID_BITS)
}

/// The queue and the lane that a queue of the store belongs to.
pub(super) const fn of_lane(lane: QueueId) -> (EntityId, Lane) {
    let [priority, delayed, ..] = lane.0.to_be_bytes();
    (EntityId::new(lane.0 & ((1 << ID_BITS) - 1)), Lane::new(u16::from_be_bytes([delayed, priority])))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lane_names_its_queue() {
        let queue = EntityId::new(77);
        assert_eq!(lane(queue, Lane::default()), QueueId(77));
        assert_eq!(lane(queue, Lane::of_priority(3)), QueueId(77 | 3 << 56), "as it always was");
        let lanes =
            [Lane::of_priority(0), Lane::of_priority(255), Lane::of_delayed(0), Lane::of_delayed(900)];
        for of_queue in lanes {
            assert_eq!(of_lane(lane(queue, of_queue)), (queue, of_queue));
        }
    }
}
