//! How many connections there may be.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Counts connections, whichever listener they came in by.
#[derive(Debug, Default)]
pub struct Room {
    taken: AtomicUsize,
}

/// A connection's place. Dropping it makes room for another one.
#[derive(Debug)]
pub(super) struct Place(Arc<Room>);

impl Room {
    /// A place, unless `limit` are taken.
    pub(super) fn enter(self: &Arc<Self>, limit: usize) -> Option<Place> {
        let next = |taken| (taken < limit).then_some(taken + 1);
        self.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).ok()?;
        Some(Place(Arc::clone(self)))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.taken.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_that_is_left_can_be_taken_again() {
        let room = Arc::new(Room::default());
        let first = room.enter(1);
        assert!(first.is_some() && room.enter(1).is_none());
        assert!(room.enter(2).is_some(), "a higher limit counts at once");
        drop(first);
        assert!(room.enter(1).is_some());
    }
}
