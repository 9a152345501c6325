//! How long messages have been waiting.
//!
//! A message does not say when it came: that would be eight octets of memory for each. Places are given in order of
//! arrival, so that a few marks, each a place and the moment it was given, tell how old any place is: at least as young
//! as the mark before it, and that is what is told. Marks are a millisecond apart at first; when there are too many,
//! those go that are closer than a thirty-second of the time they cover, so that any age is known to about that much of
//! the oldest one: what has waited for a day is known to less than an hour.

use std::collections::VecDeque;

use super::Seq;
use crate::clock::Timestamp;

/// Marks of a queue: 1 KiB.
const MARKS_MAX: usize = 64;

/// Into so many parts the time is divided that marks cover, at least.
const PARTS: u64 = MARKS_MAX as u64 / 2;

/// Milliseconds between marks at first: the clock knows no less.
const SPACING_MIN_MS: u64 = 1;

/// When places were given.
#[derive(Debug)]
pub(super) struct Ages {
    marks: VecDeque<(Seq, Timestamp)>,
    spacing_ms: u64,
    /// What was there before the first mark has been there since then at the latest.
    since: Timestamp,
    /// What was found for the place asked for last.
    known: Option<Stretch>,
}

/// Places that were given at about the same moment.
#[derive(Clone, Copy, Debug)]
struct Stretch {
    first: Seq,
    /// The first that is younger, if any is.
    end: Option<Seq>,
    since: Timestamp,
}

impl Ages {
    /// Of a queue that is made, or restored, now.
    pub(super) fn new(now: Timestamp) -> Self {
        Self { marks: VecDeque::new(), spacing_ms: SPACING_MIN_MS, since: now, known: None }
    }

    /// Whether an arrival at this moment is worth a mark.
    pub(super) fn is_due(&self, now: Timestamp) -> bool {
        self.marks.back().is_none_or(|(_, at)| now.millis_since(*at) >= self.spacing_ms)
    }

    /// The place was given now; `oldest` is the first that is still waiting.
    pub(super) fn mark(&mut self, seq: Seq, now: Timestamp, oldest: Option<Seq>) {
        self.known = None;
        let oldest = oldest.unwrap_or(seq);
        while self.marks.get(1).is_some_and(|(next, _)| *next <= oldest) {
            self.marks.pop_front();
        }
        if oldest >= seq {
            self.marks.clear();
            self.spacing_ms = SPACING_MIN_MS;
        }
        if self.marks.len() >= MARKS_MAX {
            self.thin(now);
        } else if self.marks.len() < MARKS_MAX / 4 {
            // What they cover has become less.
            self.spacing_ms = self.fitting_spacing(now);
        }
        self.marks.push_back((seq, now));
    }

    /// Since when a place has been waiting, at the earliest.
    pub(super) fn since(&self, seq: Seq) -> Timestamp {
        self.stretch(seq).since
    }

    /// As [`Self::since`], for places that are asked for one after the other.
    pub(super) fn since_in_turn(&mut self, seq: Seq) -> Timestamp {
        if let Some(known) = self.known.filter(|known| known.holds(seq)) {
            return known.since;
        }
        let found = self.stretch(seq);
        self.known = Some(found);
        // What is given out now is mostly the oldest: marks need cover no more than what has come since.
        let covered = self.marks.back().map_or(0, |(_, last)| last.millis_since(found.since));
        self.spacing_ms = self.spacing_ms.min((covered / PARTS).max(SPACING_MIN_MS));
        found.since
    }

    fn stretch(&self, seq: Seq) -> Stretch {
        let after = self.marks.partition_point(|(marked, _)| *marked <= seq);
        let end = self.marks.get(after).map(|(seq, _)| *seq);
        let mark = after.checked_sub(1).and_then(|at| self.marks.get(at));
        let (first, since) = mark.copied().unwrap_or((Seq::new(0), self.since));
        Stretch { first, end, since }
    }

    /// Lets marks go that are closer than they need be.
    fn thin(&mut self, now: Timestamp) {
        self.spacing_ms = self.fitting_spacing(now).max(self.spacing_ms.saturating_mul(2));
        let mut last: Option<Timestamp> = None;
        self.marks.retain(|(_, at)| {
            let stays = last.is_none_or(|last| at.millis_since(last) >= self.spacing_ms);
            last = if stays { Some(*at) } else { last };
            stays
        });
    }

    fn fitting_spacing(&self, now: Timestamp) -> u64 {
        let covered = self.marks.front().map_or(0, |(_, at)| now.millis_since(*at));
        (covered / PARTS).max(SPACING_MIN_MS)
    }
}

impl Stretch {
    fn holds(self, seq: Seq) -> bool {
        seq >= self.first && self.end.is_none_or(|end| seq < end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    /// One arrival each 100 ms, of which none leaves.
    fn arrivals(count: u64) -> Ages {
        let mut ages = Ages::new(at(0));
        for number in 1..=count {
            let now = at(number * 100);
            if ages.is_due(now) {
                ages.mark(Seq::new(number), now, Some(Seq::new(1)));
            }
        }
        ages
    }

    #[test]
    fn ages_are_known_exactly_at_first_and_never_too_small() {
        let (few, ages) = (arrivals(60), arrivals(600));
        for number in 1..=600 {
            let (came, told) = (at(number * 100), ages.since(Seq::new(number)));
            assert!(told <= came && came.millis_since(told) <= 60_000 / 16, "{number}: {told:?}");
            if number <= 60 {
                assert_eq!(few.since(Seq::new(number)), came, "{number}");
            }
        }
    }

    #[test]
    fn places_asked_for_in_turn_are_as_old_as_those_asked_for_one_by_one() {
        let mut ages = arrivals(600);
        for number in (1..=600).chain([7, 600, 1]).chain(590..=620) {
            if number > 600 {
                ages.mark(Seq::new(number), at(number * 100), Some(Seq::new(590)));
            }
            let seq = Seq::new(number);
            assert_eq!(ages.since_in_turn(seq), ages.since(seq), "{number}");
        }
    }

    #[test]
    fn ages_are_known_well_again_once_an_old_backlog_is_gone() {
        let mut ages = arrivals(1_000_000);
        let (start, first) = (100_000_000, 1_000_001);
        for number in first..first + 1000 {
            let now = at(start + (number - first));
            ages.since_in_turn(Seq::new(number - 5));
            if ages.is_due(now) {
                ages.mark(Seq::new(number), now, Some(Seq::new(number - 5)));
            }
        }
        let last = first + 999;
        let (came, told) = (at(start + 999), ages.since(Seq::new(last)));
        assert!(came.millis_since(told) <= 2, "{told:?}");
    }

    #[test]
    fn however_many_arrive_there_are_few_marks_and_ages_are_known_to_a_share_of_them() {
        let ages = arrivals(1_000_000);
        assert!(ages.marks.len() <= MARKS_MAX);
        for number in (1..=1_000_000).step_by(777) {
            let (came, told) = (at(number * 100), ages.since(Seq::new(number)));
            assert!(told <= came && came.millis_since(told) <= 100_000_000 / 16, "{number}: {told:?}");
        }
    }

    #[test]
    fn marks_of_what_has_left_go_and_an_empty_queue_begins_anew() {
        let mut ages = arrivals(1_000_000);
        ages.mark(Seq::new(1_000_001), at(200_000_000), Some(Seq::new(1_000_000)));
        assert_eq!(ages.marks.len(), 2);
        ages.mark(Seq::new(1_000_002), at(300_000_000), Some(Seq::new(1_000_002)));
        assert_eq!((ages.marks.len(), ages.spacing_ms), (1, SPACING_MIN_MS));
    }

    #[test]
    fn what_was_there_at_the_start_is_as_old_as_that() {
        let mut ages = Ages::new(at(50));
        ages.mark(Seq::new(10), at(5000), Some(Seq::new(3)));
        assert_eq!((ages.since(Seq::new(3)), ages.since(Seq::new(10))), (at(50), at(5000)));
    }
}
