//! Octets that exchanges may hold together for what they remember.

use std::sync::atomic::{AtomicU64, Ordering};

/// Octets that the memories of all exchanges together may take. What they remember does not drain as queues do, so that
/// it must not be what publishers wait for.
pub(super) const ALL_MEMORIES_OCTETS_MAX: u64 = 256 * 1024 * 1024;

/// What is taken of it.
#[derive(Debug, Default)]
pub struct MemoryBudget(AtomicU64);

impl MemoryBudget {
    /// Whether so many octets more can be taken.
    pub(super) fn has_room_for(&self, octets: u64) -> bool {
        self.taken() + octets <= ALL_MEMORIES_OCTETS_MAX
    }

    /// Octets that are taken.
    pub(super) fn taken(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    pub(super) fn take(&self, octets: u64) {
        self.0.fetch_add(octets, Ordering::Relaxed);
    }

    pub(super) fn give_back(&self, octets: u64) {
        self.0.fetch_sub(octets, Ordering::Relaxed);
    }
}
