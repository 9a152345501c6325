//! Stretches of time: which one a moment belongs to, when its messages are to be sorted more finely, which lane they
//! are kept in meanwhile.

use crate::clock::Timestamp;
use crate::queue::lane::Lane;

/// Moments are told apart up to here, the year 10889: seven heights of slots reach that far. What is due later is due
/// then.
pub(super) const DUE_MAX: Timestamp = Timestamp::from_millis((1 << 48) - 1);

/// The lane of what needs no slot.
pub(super) const NEAR: Lane = Lane::of_delayed(0);

/// The lowest slots are 2^10 ms wide.
const WIDTH_BITS: u32 = 10;

/// Slots of one height that make one of the next: each message is written again for each height that it passes
/// through, so they should be few; each slot in use takes a little memory, so they should not be too fine either.
const FANOUT_BITS: u32 = 6;

/// How many heights there are. A second, a minute, an hour, three days, half a year, 35 years, 2,200 years.
pub(super) const HEIGHTS: u8 = 7;

/// Lanes of one height: a slot is opened one width before it begins, so that what lies below this one and the next one
/// of the height above may be in use.
const RING: u64 = 2 << FANOUT_BITS;

/// A stretch of time that begins at a multiple of its width. In order of the moments at which they are opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Slot {
    opens: Timestamp,
    start: Timestamp,
    height: u8,
}

impl Slot {
    /// The slot of a height in which a moment lies.
    pub(super) fn covering(due: Timestamp, height: u8) -> Self {
        let width = width(height);
        let start = due.as_millis() / width * width;
        Self {
            opens: Timestamp::from_millis(start.saturating_sub(width)),
            start: Timestamp::from_millis(start),
            height,
        }
    }

    /// The slot of a height that begins at a moment, if one does.
    pub(super) fn starting(start: Timestamp, height: u8) -> Option<Self> {
        let slot = (height < HEIGHTS && start <= DUE_MAX).then(|| Self::covering(start, height))?;
        (slot.start == start).then_some(slot)
    }

    /// When its messages are to move on: long enough before the first is due that there is time for all.
    pub(super) fn opens(self) -> Timestamp {
        self.opens
    }

    /// The first moment in it.
    pub(super) fn start(self) -> Timestamp {
        self.start
    }

    /// Its height.
    pub(super) fn height(self) -> u8 {
        self.height
    }

    /// Whether a moment lies in it.
    pub(super) fn covers(self, due: Timestamp) -> bool {
        due.as_millis() / width(self.height) == self.start.as_millis() / width(self.height)
    }

    /// The lane of its messages: slots of one height use the lanes in turn.
    pub(super) fn lane(self) -> Lane {
        let turn = self.start.as_millis() / width(self.height) % RING;
        let number = 1 + u64::from(self.height) * RING + turn;
        Lane::of_delayed(u16::try_from(number).unwrap_or(u16::MAX))
    }

    /// The slot that a lane is used for, if a moment lies in it.
    pub(super) fn of_lane(lane: Lane, due: Timestamp) -> Option<Self> {
        (0..HEIGHTS).map(|height| Self::covering(due, height)).find(|slot| slot.lane() == lane)
    }
}

const fn width(height: u8) -> u64 {
    1 << (WIDTH_BITS + FANOUT_BITS * height as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_that_may_be_in_use_together_have_lanes_of_their_own() {
        let at = Timestamp::from_millis(1_800_000_000_123);
        for height in 0..HEIGHTS {
            let upper = width(height) << FANOUT_BITS;
            let last = (at.as_millis() / upper + 2) * upper;
            let starts =
                (at.as_millis() / width(height)..last / width(height)).map(|index| index * width(height));
            let lanes = starts.map(|start| Slot::covering(Timestamp::from_millis(start), height).lane());
            let mut lanes: Vec<_> = lanes.collect();
            let count = lanes.len();
            lanes.sort_unstable();
            lanes.dedup();
            assert_eq!(lanes.len(), count, "height {height}");
        }
    }

    #[test]
    fn a_lane_and_a_moment_give_the_slot_back() {
        let due = Timestamp::from_millis(1_800_000_000_123);
        for height in 0..HEIGHTS {
            let slot = Slot::covering(due, height);
            assert!(slot.covers(due) && slot.start() <= due && slot.opens() <= slot.start());
            assert_eq!(Slot::of_lane(slot.lane(), due), Some(slot));
        }
        assert_eq!(Slot::of_lane(NEAR, due), None);
    }

    #[test]
    fn the_highest_slots_reach_to_the_last_moment() {
        let last = Slot::covering(DUE_MAX, HEIGHTS - 1);
        assert!(last.start().as_millis() / width(HEIGHTS - 1) < RING);
    }
}
