//! The ready messages of one priority.

use std::collections::{BTreeMap, VecDeque};

use super::cold::Cold;
use super::{Departures, Entry, Head, Home, Seq};
use crate::clock::Timestamp;

/// One priority. Arrivals go to the tail; what comes back from a consumer goes to its original place. What lies
/// between the head and the tail may be on disk only, and is read back before its turn comes.
///
/// ```text
///   returned (by seq)   loaded (by seq)   cold (seqs only)   fresh (by seq)
///   [3] [7]             [9] [10]          11 .. 4,999,999    [5,000,000] ...    head = the lowest of the four fronts
/// ```
#[derive(Debug, Default)]
pub(in crate::queue) struct Level {
    returned: BTreeMap<Seq, Entry>,
    loaded: VecDeque<Entry>,
    /// How many were read back last: fewer than half of it left means that more should be on their way.
    loaded_last: usize,
    pub(in crate::queue) cold: Cold,
    fresh: VecDeque<Entry>,
    /// The latest logged message that was ever leased.
    pub(in crate::queue) last_delivered: Option<Seq>,
}

/// Which part the head is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Front {
    None,
    Returned,
    Loaded,
    Cold,
    Fresh,
}

/// A message that is looked at and stays where it is.
#[derive(Clone, Copy, Debug)]
pub(in crate::queue) enum Glimpse<'a> {
    /// In memory.
    Entry(&'a Entry),
    /// On disk only, in this store.
    Cold(Home),
}

impl Level {
    pub(in crate::queue) fn push(&mut self, entry: Entry) {
        self.fresh.push_back(entry);
    }

    pub(in crate::queue) fn put_back(&mut self, entry: Entry) {
        self.returned.insert(entry.seq, entry);
    }

    pub(in crate::queue) fn is_empty(&self) -> bool {
        self.front() == Front::None
    }

    pub(in crate::queue) fn head(&self) -> Head<'_> {
        let entry = match self.front() {
            Front::None => return Head::Empty,
            Front::Cold => return Head::Cold,
            Front::Returned => self.returned.values().next(),
            Front::Loaded => self.loaded.front(),
            Front::Fresh => self.fresh.front(),
        };
        entry.map_or(Head::Empty, Head::Entry)
    }

    /// The head's place.
    pub(in crate::queue) fn first(&self) -> Option<Seq> {
        match self.head() {
            Head::Entry(entry) => Some(entry.seq),
            Head::Cold => self.cold.first(),
            Head::Empty => None,
        }
    }

    /// The messages behind a place, in order.
    pub(in crate::queue) fn glimpses_after(&self, after: Seq) -> impl Iterator<Item = (Seq, Glimpse<'_>)> {
        let mut seen = after;
        std::iter::from_fn(move || {
            let found = self.glimpse_after(seen)?;
            seen = found.0;
            Some(found)
        })
    }

    fn glimpse_after(&self, seen: Seq) -> Option<(Seq, Glimpse<'_>)> {
        let behind = |entries: &'_ VecDeque<Entry>| entries.partition_point(|entry| entry.seq <= seen);
        let next = Seq::new(seen.get().saturating_add(1));
        let entries = [
            self.returned.range(next..).next().map(|(_, entry)| entry),
            self.loaded.get(behind(&self.loaded)),
            self.fresh.get(behind(&self.fresh)),
        ];
        let entries = entries.into_iter().flatten().map(|entry| (entry.seq, Glimpse::Entry(entry)));
        let cold = self.cold.next_from(next).map(|(seq, home)| (seq, Glimpse::Cold(home)));
        entries.chain(cold).min_by_key(|(seq, _)| *seq)
    }

    /// Takes the head, unless it is on disk only.
    pub(in crate::queue) fn pop(&mut self) -> Option<Entry> {
        match self.front() {
            Front::None | Front::Cold => None,
            Front::Returned => self.returned.pop_first().map(|(_, entry)| entry),
            Front::Loaded => self.loaded.pop_front(),
            Front::Fresh => {
                let entry = self.fresh.pop_front();
                release_memory(&mut self.fresh);
                entry
            }
        }
    }

    fn front(&self) -> Front {
        if self.returned.is_empty() && self.loaded.is_empty() && self.cold.is_empty() {
            return if self.fresh.is_empty() { Front::None } else { Front::Fresh };
        }
        let fronts = [
            (self.returned.keys().next().copied(), Front::Returned),
            (self.loaded.front().map(|entry| entry.seq), Front::Loaded),
            (self.cold.first(), Front::Cold),
            (self.fresh.front().map(|entry| entry.seq), Front::Fresh),
        ];
        let held = fronts.into_iter().filter_map(|(seq, front)| Some((seq?, front)));
        held.min_by_key(|(seq, _)| *seq).map_or(Front::None, |(_, front)| front)
    }

    /// When the head expires; of one on disk only if it is known.
    pub(in crate::queue) fn head_expiry(&self) -> Option<Timestamp> {
        match self.head() {
            Head::Empty => None,
            Head::Entry(entry) => entry.expires,
            Head::Cold => self.cold.head_expiry().flatten(),
        }
    }

    /// Whether the head must be read to know whether its time is over.
    pub(in crate::queue) fn is_head_unknown(&self, now: Timestamp) -> bool {
        let is_open = |expiry: Option<Option<Timestamp>>| match expiry {
            None => true,
            Some(expires) => expires.is_some_and(|expires| expires <= now),
        };
        matches!(self.head(), Head::Cold) && is_open(self.cold.head_expiry())
    }

    /// Whether what was read back will be used up soon.
    pub(in crate::queue) fn runs_low(&self) -> bool {
        !self.cold.is_empty() && self.loaded.len() <= self.loaded_last / 2
    }

    /// Takes messages in that were read back, in order of their seqs; those that are not missing here are ignored.
    /// `each` sees those taken. Returns how many.
    pub(in crate::queue) fn load(&mut self, entries: Vec<Entry>, each: &mut dyn FnMut(&Entry)) -> usize {
        let Some((first, last)) = entries.first().zip(entries.last()).map(|(a, b)| (a.seq, b.seq)) else {
            return 0;
        };
        let logged = self.cold.runs(Home::Log, first, last);
        let spilled = self.cold.runs(Home::Spill, first, last);
        let (mut taken, mut taken_runs) = (0, Departures::default());
        for mut entry in entries {
            if !is_in(if entry.home == Home::Log { &logged } else { &spilled }, entry.seq) {
                continue;
            }
            taken += 1;
            taken_runs.push(entry.home, entry.level, entry.seq);
            if let Some(deliveries) = self.cold.take_deliveries(entry.seq) {
                entry.deliveries = deliveries;
            }
            each(&entry);
            if self.loaded.back().is_none_or(|back| back.seq < entry.seq) {
                self.loaded.push_back(entry);
            } else {
                self.returned.insert(entry.seq, entry);
            }
        }
        for (home, runs) in [(Home::Log, &taken_runs.logged), (Home::Spill, &taken_runs.spilled)] {
            runs.iter().for_each(|run| self.cold.remove_run(home, (run.first.get(), run.last.get())));
        }
        self.loaded_last = taken;
        taken
    }

    /// Number of messages that are in memory.
    pub(in crate::queue) fn warm_len(&self) -> usize {
        self.returned.len() + self.loaded.len() + self.fresh.len()
    }

    /// Calls `each` with up to `most` messages that may leave the memory; the first `keep` stay.
    pub(in crate::queue) fn each_evictable(&self, keep: usize, most: usize, each: &mut dyn FnMut(&Entry)) {
        let (returned, loaded, fresh) = self.kept(keep);
        self.returned.values().rev().take(self.returned.len() - returned).take(most).for_each(&mut *each);
        self.loaded.iter().rev().take(self.loaded.len() - loaded).take(most).for_each(&mut *each);
        self.fresh.iter().skip(fresh).take(most).for_each(each);
    }

    /// Lets those of the same messages go of which `stored` says where they are.
    pub(in crate::queue) fn evict(
        &mut self,
        keep: usize,
        most: usize,
        stored: &mut dyn FnMut(&Entry) -> Option<Home>,
    ) {
        let (returned, loaded, fresh) = self.kept(keep);
        let back: Vec<_> =
            self.returned.keys().rev().take(self.returned.len() - returned).take(most).copied().collect();
        for seq in back {
            if let Some(entry) = self.returned.remove(&seq).and_then(|entry| self.cool(entry, stored)) {
                self.returned.insert(seq, entry);
            }
        }
        let tail = self.loaded.len() - (self.loaded.len() - loaded).min(most);
        for entry in self.loaded.split_off(tail) {
            let stays = self.cool(entry, stored);
            self.loaded.extend(stays);
        }
        let mut front: Vec<_> =
            self.fresh.drain(..self.fresh.len().min(fresh.saturating_add(most))).collect();
        for entry in front.split_off(front.len().min(fresh)) {
            let stays = self.cool(entry, stored);
            front.extend(stays);
        }
        front.into_iter().rev().for_each(|entry| self.fresh.push_front(entry));
        release_memory(&mut self.fresh);
        release_memory(&mut self.loaded);
    }

    /// Puts a message on disk only, if it is there; else it comes back.
    fn cool(&mut self, mut entry: Entry, stored: &mut dyn FnMut(&Entry) -> Option<Home>) -> Option<Entry> {
        let Some(home) = stored(&entry) else { return Some(entry) };
        entry.home = home;
        self.cold.insert(&entry);
        None
    }

    #[cfg(test)]
    pub(in crate::queue) fn fresh_capacity(&self) -> usize {
        self.fresh.capacity()
    }

    /// How many of each part are among the first `keep`, about: whatever comes back is served first.
    fn kept(&self, keep: usize) -> (usize, usize, usize) {
        let returned = self.returned.len().min(keep);
        let loaded = self.loaded.len().min(keep - returned);
        let fresh = if self.cold.is_empty() { keep - returned - loaded } else { 0 };
        (returned, loaded, self.fresh.len().min(fresh))
    }
}

/// Whether a seq is in ascending runs.
pub(in crate::queue) fn is_in(runs: &[(u64, u64)], seq: Seq) -> bool {
    let at = runs.partition_point(|&(_, last)| last < seq.get());
    runs.get(at).is_some_and(|&(first, _)| first <= seq.get())
}

/// Memory follows the backlog down: a queue that was long once does not stay large.
fn release_memory(entries: &mut VecDeque<Entry>) {
    const KEEP: usize = 1024;
    let capacity = entries.capacity();
    if capacity > KEEP && entries.len() < capacity / 4 {
        entries.shrink_to(capacity / 2);
    }
}
