//! Octets that a connection makes the broker hold without having published them: bodies that are not complete,
//! transactions that are not committed.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Octets that the channels of one connection may hold together; at least twice the largest message.
const HELD_MAX: u64 = 256 * 1024 * 1024;

/// What one connection holds, over all its channels.
#[derive(Debug)]
pub struct Holdings {
    total: AtomicU64,
    max: u64,
}

/// One channel's part of it; given back when dropped.
#[derive(Debug)]
pub(super) struct Held {
    holdings: Arc<Holdings>,
    octets: u64,
}

/// The connection holds as much as it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TooMuch {
    /// Octets that it may hold.
    pub(super) max: u64,
}

impl Holdings {
    /// Nothing is held. `message_size_max` in octets.
    pub fn new(message_size_max: u64) -> Arc<Self> {
        Arc::new(Self { total: AtomicU64::new(0), max: HELD_MAX.max(message_size_max.saturating_mul(2)) })
    }

    pub(super) fn hold_none(self: &Arc<Self>) -> Held {
        Held { holdings: Arc::clone(self), octets: 0 }
    }
}

impl Held {
    /// Holds more.
    pub(super) fn grow(&mut self, octets: u64) -> Result<(), TooMuch> {
        self.octets += octets;
        let before = self.holdings.total.fetch_add(octets, Ordering::Relaxed);
        let max = self.holdings.max;
        if before + octets > max { Err(TooMuch { max }) } else { Ok(()) }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.holdings.total.fetch_sub(self.octets, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_share_the_limit_and_give_back_what_they_held() {
        let holdings = Holdings::new(0);
        let mut one = holdings.hold_none();
        let mut other = holdings.hold_none();
        one.grow(HELD_MAX - 10).unwrap();
        assert_eq!(other.grow(11), Err(TooMuch { max: HELD_MAX }));
        drop(other);
        drop(one);
        assert_eq!(holdings.total.load(Ordering::Relaxed), 0);
    }
}
