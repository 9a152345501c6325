//! Messages that are not due yet, in bounded memory however many they are.
//!
//! ```text
//!              height 6 .. 1: wide slots, opened long before      height 0: slots of a second
//!   arrival -> [           ] [           ] -> [  ] [  ] [  ]   -> [][][][] -> near (by due time) -> ready
//!                  on disk, in order of arrival, sorted one step at a time        in memory
//! ```
//!
//! A slot is a lane of the store that holds what is due within a stretch of time, in order of arrival. It is opened one
//! width before it begins: its messages move on, to slots below or to `near`, which alone is sorted. A queue with few
//! such messages has all of them there, and no slots.
//!
//! Of what is due at the same moment the first to arrive is ready first: a message goes to the highest slot that covers
//! its moment and is not opened yet, or not emptied yet, so that none overtakes another.

mod page;
mod slot;

use std::collections::BTreeMap;

use super::lane::Lane;
use super::ready::{Departures, Entry, Head, Home, Level, Seq};
use crate::clock::Timestamp;
use crate::message::Message;

pub use page::{Bookmark, DelayedPage, NoBookmark, Waiting};

use slot::{DUE_MAX, HEIGHTS, NEAR, Slot};

/// Messages that stay near although they are due late: most queues never need a slot.
const RESTING: Share = Share { count: 256, octets: 64 * 1024 };

/// Messages that slots bring near before they are due: some of a second's, the rest follows when these are gone.
const DRAINED: Share = Share { count: 16 * 1024, octets: 4 * 1024 * 1024 };

/// A number of messages and their octets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Share {
    count: usize,
    octets: usize,
}

/// Why a message is near.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Came {
    /// It is due at once, or nearly.
    Due,
    /// There was room.
    Rests,
    /// The last slot that it was in is open.
    Drained,
}

/// Where a message goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Near(Came),
    Slot(Slot),
}

/// What is known of a lane.
#[derive(Debug, Default)]
struct LaneUse {
    /// The last place given.
    last: u64,
    /// The slot that it is used for.
    slot: Option<Slot>,
}

/// Messages that are not due.
#[derive(Debug, Default)]
pub(super) struct Delayed {
    /// By due time, then in the order in which they came here.
    near: BTreeMap<(Timestamp, u64), (Came, Entry)>,
    arrivals: u64,
    resting: Share,
    drained: Share,
    /// None of them is empty.
    slots: BTreeMap<Slot, Level>,
    lanes: BTreeMap<Lane, LaneUse>,
    len: usize,
    /// How many are on disk only.
    cold: usize,
    /// Slots that were to be opened by then are open.
    now: Timestamp,
}

impl Delayed {
    /// Number of messages.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Lanes that have been used.
    pub(super) fn lanes(&self) -> impl Iterator<Item = Lane> {
        self.lanes.keys().copied()
    }

    /// Takes a message in that is due later. Returns its place.
    pub(super) fn push(
        &mut self,
        message: Message,
        due: Timestamp,
        home: Home,
        now: Timestamp,
    ) -> (Lane, Seq) {
        let due = due.min(DUE_MAX);
        self.len += 1;
        self.put(self.place(due, now, HEIGHTS), message, due, home)
    }

    /// The highest slot below a height that covers the moment and is not opened, or not emptied.
    fn place(&self, due: Timestamp, now: Timestamp, below: u8) -> Place {
        let mut slots = (0..below).rev().map(|height| Slot::covering(due, height));
        let Some(slot) = slots.find(|slot| slot.opens() > now || self.slots.contains_key(slot)) else {
            return Place::Near(Came::Due);
        };
        if self.slots.contains_key(&slot) {
            return Place::Slot(slot);
        }
        if self.lanes.get(&slot.lane()).is_some_and(|lane| lane.slot.is_some()) {
            // One that is long past still needs its lane: only if it cannot be read.
            return Place::Near(Came::Due);
        }
        let has_room = self.resting.count < RESTING.count && self.resting.octets < RESTING.octets;
        if has_room { Place::Near(Came::Rests) } else { Place::Slot(slot) }
    }

    fn put(&mut self, place: Place, message: Message, due: Timestamp, home: Home) -> (Lane, Seq) {
        let level = match place {
            Place::Near(_) => NEAR,
            Place::Slot(slot) => slot.lane(),
        };
        let used = self.lanes.entry(level).or_default();
        used.last += 1;
        let seq = Seq::new(used.last);
        let entry = Entry { seq, message, level, expires: Some(due), deliveries: 0, home };
        match place {
            Place::Near(came) => self.bring_near(came, entry),
            Place::Slot(slot) => {
                used.slot = Some(slot);
                self.slots.entry(slot).or_default().push(entry);
            }
        }
        (level, seq)
    }

    fn bring_near(&mut self, came: Came, entry: Entry) {
        self.count(came, &entry, true);
        self.arrivals += 1;
        self.near.insert((due_of(&entry), self.arrivals), (came, entry));
    }

    fn count(&mut self, came: Came, entry: &Entry, comes: bool) {
        let share = match came {
            Came::Due => return,
            Came::Rests => &mut self.resting,
            Came::Drained => &mut self.drained,
        };
        let octets = entry.message.memory_len();
        if comes {
            (share.count, share.octets) = (share.count + 1, share.octets + octets);
        } else {
            (share.count, share.octets) = (share.count - 1, share.octets - octets);
        }
    }

    /// Moves messages of open slots on, `most` at the utmost. `moved` sees each that is kept elsewhere now: as it was,
    /// and its new place.
    pub(super) fn advance(&mut self, now: Timestamp, most: usize, moved: &mut dyn FnMut(&Entry, Lane, Seq)) {
        // Who was told the time earlier may come later.
        self.now = self.now.max(now);
        let (mut left, now) = (most, self.now);
        for slot in self.open_slots().map(|(slot, _)| *slot).collect::<Vec<_>>() {
            while left > 0 && self.advance_one(slot, now, moved) {
                left -= 1;
            }
        }
    }

    /// Moves the next message of a slot on, if there is one in memory and room for it.
    fn advance_one(&mut self, slot: Slot, now: Timestamp, moved: &mut dyn FnMut(&Entry, Lane, Seq)) -> bool {
        let Some(Head::Entry(head)) = self.slots.get(&slot).map(Level::head) else { return false };
        let due = due_of(head);
        let below = if slot.covers(due) { slot.height() } else { HEIGHTS };
        let place = self.place(due, now, below);
        if place == Place::Near(Came::Due) && self.is_brimming() {
            return false;
        }
        let Some(entry) = self.slots.get_mut(&slot).and_then(Level::pop) else { return false };
        if self.slots.get(&slot).is_some_and(Level::is_empty) {
            self.close(slot);
        }
        match place {
            Place::Near(Came::Due) => self.bring_near(Came::Drained, entry),
            Place::Near(came) => self.bring_near(came, entry),
            Place::Slot(_) => {
                let (level, seq) = self.put(place, entry.message.clone(), due, moved_home(entry.home));
                moved(&entry, level, seq);
            }
        }
        true
    }

    fn close(&mut self, slot: Slot) {
        self.slots.remove(&slot);
        if let Some(lane) = self.lanes.get_mut(&slot.lane()) {
            lane.slot = None;
        }
    }

    fn open_slots(&self) -> impl Iterator<Item = (&Slot, &Level)> {
        self.slots.iter().take_while(|(slot, _)| slot.opens() <= self.now)
    }

    /// Whether no more can be brought near before some of it is due.
    fn is_brimming(&self) -> bool {
        self.drained.count >= DRAINED.count || self.drained.octets >= DRAINED.octets
    }

    /// Whether what is due at a moment may be ready: nothing that arrived before it is still in a slot. Where a second
    /// has more messages than can be near, those that are have to do.
    fn is_free(&self, due: Timestamp) -> bool {
        self.is_brimming() || self.open_slots().all(|(slot, _)| slot.start() > due)
    }

    /// Takes the next message that is due.
    pub(super) fn pop_due(&mut self, now: Timestamp) -> Option<Entry> {
        let due = self.near.first_key_value().map(|((due, _), _)| *due)?;
        if due > now || !self.is_free(due) {
            return None;
        }
        let (_, (came, entry)) = self.near.pop_first()?;
        self.count(came, &entry, false);
        self.len -= 1;
        Some(entry)
    }

    /// When there is something to do: a message is due, or a slot has something to move on.
    pub(super) fn deadline(&self) -> Option<Timestamp> {
        let due = self.near.first_key_value().map(|((due, _), _)| *due).filter(|due| self.is_free(*due));
        // What is on disk comes by itself; what has no room waits for what is due.
        let can_go_on = |slot: &Slot, level: &Level| {
            slot.opens() > self.now || !self.is_brimming() && matches!(level.head(), Head::Entry(_))
        };
        let slot =
            self.slots.iter().find(|(slot, level)| can_go_on(slot, level)).map(|(slot, _)| slot.opens());
        due.into_iter().chain(slot).min()
    }

    /// The lane of which messages should be read back now.
    pub(super) fn wanted(&self) -> Option<Lane> {
        if self.cold == 0 || self.is_brimming() {
            return None;
        }
        let misses = |level: &Level| matches!(level.head(), Head::Cold) || level.runs_low();
        self.open_slots().find(|(_, level)| misses(level)).map(|(slot, _)| slot.lane())
    }

    /// The lowest places of a lane that are in the log only and in the spill only.
    pub(super) fn coldest(&self, lane: Lane) -> (Option<Seq>, Option<Seq>) {
        let level = self.slot_of(lane).and_then(|slot| self.slots.get(&slot));
        level.map(|level| level.cold.firsts()).unwrap_or_default()
    }

    fn slot_of(&self, lane: Lane) -> Option<Slot> {
        self.lanes.get(&lane)?.slot
    }

    /// Takes messages of a lane in that were read back, in order; `each` sees those that were missing. Returns how
    /// many.
    pub(super) fn load(&mut self, lane: Lane, entries: Vec<Entry>, each: &mut dyn FnMut(&Entry)) -> usize {
        let Some(level) = self.slot_of(lane).and_then(|slot| self.slots.get_mut(&slot)) else { return 0 };
        let taken = level.load(entries, each);
        self.cold -= taken;
        taken
    }

    /// Calls `each` with all messages that are in memory.
    pub(super) fn each_in_memory(&self, each: &mut dyn FnMut(&Entry)) {
        self.near.values().for_each(|(_, entry)| each(entry));
        self.slots.values().for_each(|level| level.each_evictable(0, usize::MAX, each));
    }

    /// Calls `each` with about `most` messages that may leave the memory: some of each slot, and more of those that are
    /// due last. What came last to a slot may not be on disk yet, and must not be in the way of all others.
    pub(super) fn each_evictable(&self, most: usize, each: &mut dyn FnMut(&Entry)) {
        for (slot, quota) in self.quotas(most) {
            let level = self.slots.get(&slot);
            level.into_iter().for_each(|level| level.each_evictable(0, quota, each));
        }
    }

    /// Lets those of the same messages go of which `stored` says where they are.
    pub(super) fn evict(&mut self, most: usize, stored: &mut dyn FnMut(&Entry) -> Option<Home>) {
        for (slot, quota) in self.quotas(most) {
            let Some(level) = self.slots.get_mut(&slot) else { continue };
            let before = level.cold.len();
            level.evict(0, quota, stored);
            self.cold += level.cold.len() - before;
        }
    }

    /// How many of `most` messages may leave of each slot that is not open, those that are due last first.
    fn quotas(&self, most: usize) -> Vec<(Slot, usize)> {
        let closed = self.slots.iter().rev().take_while(|(slot, _)| slot.opens() > self.now);
        let warm = closed.map(|(slot, level)| (*slot, level.warm_len())).filter(|(_, warm)| *warm > 0);
        let warm: Vec<_> = warm.collect();
        let share = most.checked_div(warm.len()).unwrap_or_default().max(1);
        let mut left = most.saturating_sub(warm.iter().map(|(_, warm)| share.min(*warm)).sum());
        let quota = |(slot, warm): (Slot, usize)| {
            let more = left.min(warm.saturating_sub(share));
            left -= more;
            (slot, share.min(warm) + more)
        };
        warm.into_iter().map(quota).collect()
    }

    /// Forgets everything; `departures` is told of what was stored, `each` sees what was in memory. Returns how many
    /// there were.
    pub(super) fn clear(&mut self, departures: &mut Departures, each: &mut dyn FnMut(&Entry)) -> usize {
        for (_, entry) in std::mem::take(&mut self.near).into_values() {
            departures.push(entry.home, entry.level, entry.seq);
            each(&entry);
        }
        for (slot, mut level) in std::mem::take(&mut self.slots) {
            let cold = std::mem::take(&mut level.cold);
            for home in [Home::Log, Home::Spill] {
                for (first, last) in cold.runs(home, Seq::new(0), Seq::new(u64::MAX)) {
                    departures.push_run(home, slot.lane(), Seq::new(first), Seq::new(last));
                }
            }
            while let Some(entry) = level.pop() {
                departures.push(entry.home, entry.level, entry.seq);
                each(&entry);
            }
        }
        self.lanes.values_mut().for_each(|lane| lane.slot = None);
        (self.resting, self.drained, self.cold) = (Share::default(), Share::default(), 0);
        std::mem::take(&mut self.len)
    }

    /// Messages of a lane that are there at the start, on disk only, the first of them due at `due`. Places up to
    /// `last` have been given. Returns whether the lane can hold them.
    pub(super) fn restore(&mut self, lane: Lane, runs: &[(u64, u64)], due: Timestamp, last: Seq) -> bool {
        let Some(slot) = Slot::of_lane(lane, due) else { return false };
        let level = self.slots.entry(slot).or_default();
        runs.iter().for_each(|run| level.cold.insert_logged(*run));
        let count = level.cold.len();
        self.len += count;
        self.cold += count;
        self.lanes.insert(lane, LaneUse { last: last.get(), slot: Some(slot) });
        true
    }

    /// A message that was near before the start.
    pub(super) fn restore_near(&mut self, entry: Entry) {
        self.len += 1;
        self.bring_near(Came::Rests, entry);
    }

    /// Places up to `last` of a lane have been given before the start.
    pub(super) fn restore_last(&mut self, lane: Lane, last: Seq) {
        let used = self.lanes.entry(lane).or_default();
        used.last = used.last.max(last.get());
    }
}

/// Whether a lane is read as a whole at the start.
pub(super) fn is_near(lane: Lane) -> bool {
    lane == NEAR
}

fn due_of(entry: &Entry) -> Timestamp {
    entry.expires.unwrap_or_default()
}

/// What was read from the spill goes there again if it has to.
pub(super) fn moved_home(home: Home) -> Home {
    if home == Home::Log { Home::Log } else { Home::Memory }
}

#[cfg(test)]
mod tests;
