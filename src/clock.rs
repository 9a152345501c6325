//! The one place that reads the time. Everything else is told `now`.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

/// A moment: milliseconds since the Unix epoch. Message expiry and queue leases are counted in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Timestamp(u64);

impl Timestamp {
    /// `millis` milliseconds after the epoch.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the epoch.
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// This moment and `millis` milliseconds; never wraps.
    pub const fn plus_millis(self, millis: u64) -> Self {
        Self(self.0.saturating_add(millis))
    }

    /// Milliseconds from `earlier` to this moment, 0 if it is later.
    pub const fn millis_since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// The process's clock: the wall clock at start, moved on by the monotonic one, so that it never goes back.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    started_at: Timestamp,
    started: Instant,
}

impl Clock {
    /// Starts the clock.
    #[expect(clippy::disallowed_methods, reason = "this is the clock that everyone else asks")]
    pub fn start() -> Self {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let millis = u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX);
        Self { started_at: Timestamp(millis), started: Instant::now() }
    }

    /// The present moment, to the millisecond.
    pub fn now(&self) -> Timestamp {
        let elapsed = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.started_at.plus_millis(elapsed)
    }

    /// Microseconds since the clock was started, for what takes less than a millisecond.
    pub fn micros(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    /// When `moment` comes, for a timer. Rounded up, so that a timer never fires early.
    pub fn instant_of(&self, moment: Timestamp) -> Instant {
        self.started + Duration::from_millis(moment.millis_since(self.started_at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_saturate_instead_of_wrapping() {
        assert_eq!(Timestamp::from_millis(u64::MAX).plus_millis(1).as_millis(), u64::MAX);
        assert_eq!(Timestamp::from_millis(1).millis_since(Timestamp::from_millis(2)), 0);
    }
}
