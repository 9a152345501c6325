//! How the store's queues relate to the broker's: each priority of a queue is a queue of the store, so that messages of
//! one priority can be read without those of the others.

use crate::id::EntityId;
use crate::storage::QueueId;

/// The level is kept in the highest octet: ids of entities count up from 1 and do not get there.
const LEVEL_SHIFT: u32 = 56;

/// The store's queue for a level of a queue; a queue without priorities has level 0 alone.
pub(super) const fn lane(queue: EntityId, level: u8) -> QueueId {
    QueueId(queue.get() | (level as u64) << LEVEL_SHIFT)
}

/// The queue and the level that a queue of the store belongs to.
pub(super) const fn of_lane(lane: QueueId) -> (EntityId, u8) {
    let [level, ..] = lane.0.to_be_bytes();
    (EntityId::new(lane.0 & ((1 << LEVEL_SHIFT) - 1)), level)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lane_names_its_queue_and_level() {
        let queue = EntityId::new(77);
        assert_eq!(lane(queue, 0), QueueId(77));
        assert_eq!(of_lane(lane(queue, 0)), (queue, 0));
        assert_eq!(of_lane(lane(queue, 255)), (queue, 255));
    }
}
