//! Whether the definition of a queue is known to be on disk.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::metadata::Position;

/// The change by which a queue was declared, until it is on disk. What a publisher is told of a message in the queue
/// depends on it: a queue that a crash takes away takes its messages along.
#[derive(Debug, Default)]
pub struct AwaitedDefinition(AtomicU64);

impl AwaitedDefinition {
    /// The declaration is the change at `position`.
    pub fn set(&self, position: Position) {
        self.0.store(position.get(), Ordering::Relaxed);
    }

    /// What is still to be waited for. Costs no more than a load: every publish asks.
    pub fn get(&self) -> Option<Position> {
        let position = self.0.load(Ordering::Relaxed);
        (position > 0).then(|| Position::new(position))
    }

    /// The definition is on disk.
    pub fn clear(&self) {
        self.0.store(0, Ordering::Relaxed);
    }
}
