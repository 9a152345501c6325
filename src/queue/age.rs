//! How long the oldest message has been waiting.
//!
//! A message does not say when it came: that would be eight octets of memory for each. Places are given in order of
//! arrival, so that a few marks, each a place and the moment it was given, tell how old any place is: at least as young
//! as the mark before it, and that is what is told. Marks are a second apart at first; when there are too many, every
//! second one goes and the distance doubles, so that what has waited for a day is known to a few minutes.

use std::collections::VecDeque;

use super::Seq;
use crate::clock::Timestamp;

/// Marks of a queue: 1 KiB.
const MARKS_MAX: usize = 64;

/// Milliseconds between marks at first.
const SPACING_MIN_MS: u64 = 1000;

/// When places were given.
#[derive(Debug)]
pub(super) struct Ages {
    marks: VecDeque<(Seq, Timestamp)>,
    spacing_ms: u64,
    /// What was there before the first mark has been there since then at the latest.
    since: Timestamp,
}

impl Ages {
    /// Of a queue that is made, or restored, now.
    pub(super) fn new(now: Timestamp) -> Self {
        Self { marks: VecDeque::new(), spacing_ms: SPACING_MIN_MS, since: now }
    }

    /// Whether an arrival at this moment is worth a mark.
    pub(super) fn is_due(&self, now: Timestamp) -> bool {
        self.marks.back().is_none_or(|(_, at)| now.millis_since(*at) >= self.spacing_ms)
    }

    /// The place was given now; `oldest` is the first that is still waiting.
    pub(super) fn mark(&mut self, seq: Seq, now: Timestamp, oldest: Option<Seq>) {
        let oldest = oldest.unwrap_or(seq);
        while self.marks.get(1).is_some_and(|(next, _)| *next <= oldest) {
            self.marks.pop_front();
        }
        if oldest >= seq {
            self.marks.clear();
            self.spacing_ms = SPACING_MIN_MS;
        }
        if self.marks.len() >= MARKS_MAX {
            let mut keep = false;
            self.marks.retain(|_| {
                keep = !keep;
                keep
            });
            self.spacing_ms = self.spacing_ms.saturating_mul(2);
        }
        self.marks.push_back((seq, now));
    }

    /// Since when a place has been waiting, at the earliest.
    pub(super) fn since(&self, seq: Seq) -> Timestamp {
        let after = self.marks.partition_point(|(marked, _)| *marked <= seq);
        after.checked_sub(1).and_then(|at| self.marks.get(at)).map_or(self.since, |(_, at)| *at)
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
    fn an_age_is_known_to_a_second_at_first_and_never_too_small() {
        let ages = arrivals(600);
        for number in 1..=600 {
            let (came, told) = (at(number * 100), ages.since(Seq::new(number)));
            assert!(told <= came && came.millis_since(told) < 1000, "{number}: {told:?}");
        }
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
