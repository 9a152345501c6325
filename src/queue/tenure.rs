//! Since when leases are held, so that the oldest is known without looking at any of them.

use std::collections::VecDeque;

use crate::clock::Timestamp;

/// Gaps that are tolerated however few moments are left.
const GAPS_MIN: usize = 64;

/// The moments at which one holder's leases began, each with how many have not ended.
///
/// Leases mostly end in the order in which they began, so that this is a queue; what ends out of order leaves a gap. It
/// takes 16 octets for each millisecond in which a lease began, whatever the number of leases.
#[derive(Debug, Default)]
pub(super) struct Tenure {
    /// Ascending; the first is no gap.
    moments: VecDeque<(Timestamp, u32)>,
    live: usize,
}

impl Tenure {
    /// A lease begins. Returns since when it counts: never before the one that began last, whoever read the clock.
    pub(super) fn begin(&mut self, now: Timestamp) -> Timestamp {
        match self.moments.back_mut() {
            Some((since, count)) if *since >= now => {
                self.live += usize::from(*count == 0);
                *count += 1;
                *since
            }
            _ => {
                self.live += 1;
                self.moments.push_back((now, 1));
                now
            }
        }
    }

    /// A lease that began then ends.
    pub(super) fn end(&mut self, since: Timestamp) {
        let at = self.moments.binary_search_by_key(&since, |(moment, _)| *moment);
        let Some((_, count)) = at.ok().and_then(|at| self.moments.get_mut(at)) else { return };
        let had_any = *count > 0;
        *count = count.saturating_sub(1);
        if had_any && *count == 0 {
            self.live -= 1;
            self.close_gaps();
        }
    }

    /// Since when the oldest lease is held.
    pub(super) fn oldest(&self) -> Option<Timestamp> {
        self.moments.front().map(|(since, _)| *since)
    }

    fn close_gaps(&mut self) {
        while self.moments.front().is_some_and(|(_, count)| *count == 0) {
            self.moments.pop_front();
        }
        if self.moments.len() > 2 * self.live + GAPS_MIN {
            self.moments.retain(|(_, count)| *count > 0);
            self.moments.shrink_to(2 * self.live);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(millis: u64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    #[test]
    fn the_oldest_is_the_first_that_has_not_ended() {
        let mut tenure = Tenure::default();
        for now in [10, 10, 20, 30] {
            tenure.begin(at(now));
        }
        tenure.end(at(20));
        tenure.end(at(10));
        assert_eq!(tenure.oldest(), Some(at(10)));
        tenure.end(at(10));
        assert_eq!(tenure.oldest(), Some(at(30)));
        tenure.end(at(30));
        assert_eq!(tenure.oldest(), None);
    }

    #[test]
    fn a_clock_that_was_read_earlier_counts_from_the_last_beginning() {
        let mut tenure = Tenure::default();
        tenure.begin(at(20));
        assert_eq!(tenure.begin(at(19)), at(20));
        tenure.end(at(20));
        assert_eq!(tenure.oldest(), Some(at(20)));
    }

    #[test]
    fn one_old_lease_does_not_pin_the_memory_of_later_ones() {
        let mut tenure = Tenure::default();
        for now in 0..10_000 {
            tenure.begin(at(now));
        }
        (1..10_000).for_each(|since| tenure.end(at(since)));
        assert!(tenure.moments.len() <= 2 + GAPS_MIN);
        assert_eq!(tenure.oldest(), Some(at(0)));
    }
}
