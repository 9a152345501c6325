//! A queue that an operator has paused: it takes messages in and gives none out.
//!
//! Leases stay as they are, and end as always; what comes back waits. Limits, expiry and dead letters go on.

use std::sync::Arc;

use super::Queue;
use crate::clock::Timestamp;

impl Queue {
    /// Stops deliveries, or lets them go on.
    pub fn set_paused(self: &Arc<Self>, is_paused: bool, now: Timestamp) {
        self.change(now, |inner, after| {
            inner.consumers.set_on_hold(is_paused);
            self.dispatch(inner, after, now);
        });
    }

    /// Whether deliveries are stopped.
    pub fn is_paused(&self) -> bool {
        self.inner.lock().consumers.is_on_hold()
    }
}
