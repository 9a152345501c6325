//! Queues that go because nobody uses them.

use std::sync::Arc;

use super::vhost::Vhost;
use crate::clock::Timestamp;
use crate::queue::{Counts, Queue};

impl Vhost {
    /// The queue has lost its last consumer (§1.7.2.1 auto-delete). Somebody may have subscribed meanwhile.
    pub(super) fn delete_queue_if_unused(&self, queue: &Arc<Queue>, now: Timestamp) {
        let mut topology = self.topology();
        let _told_at_once = self.delete_queue(&mut topology, queue, now, unused);
    }

    /// The queue's lease has run out (`x-expires`). Messages are not dead-lettered (RabbitMQ).
    pub(super) fn expire_queue(&self, queue: &Arc<Queue>, now: Timestamp) {
        let mut topology = self.topology();
        if self.delete_queue(&mut topology, queue, now, unused).is_ok() {
            tracing::debug!(vhost = %self.name, queue = %queue.name, "queue lease expired");
        }
    }
}

/// Refuses to delete a queue that has consumers.
fn unused(counts: Counts) -> Result<(), Counts> {
    if counts.consumers == 0 { Ok(()) } else { Err(counts) }
}
