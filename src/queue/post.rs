//! What becomes of the letters of dead messages that stay until these have arrived.

use std::sync::Arc;

use super::arguments::DeadLetterTarget;
use super::{Dead, Queue, Seq};
use crate::clock::Timestamp;

impl Queue {
    /// Where dead messages go, and whether they are kept until they have arrived there.
    pub fn dead_letter_strategy(&self) -> (Option<DeadLetterTarget>, bool) {
        let inner = self.inner.lock();
        (inner.settings.dead_letter.clone(), inner.settings.limits.keeps_dead)
    }

    /// The letters of dead messages have arrived wherever they are to, those of `undelivered` have not. `is_again`:
    /// they were tried again.
    pub fn carried(
        self: &Arc<Self>,
        arrived: &[Seq],
        undelivered: Vec<Dead>,
        is_again: bool,
        now: Timestamp,
    ) {
        self.change(now, |inner, after| {
            if !inner.deleted {
                inner.state.carried(arrived, undelivered, is_again, now, &mut after.effects);
                self.dispatch(inner, after, now);
            }
        });
    }
}
