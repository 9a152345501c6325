//! Messages on their way into a queue.

use std::sync::Arc;

use super::state::Command;
use super::{Aftermath, Enqueued, Inner, Placement, Queue};
use crate::clock::Timestamp;
use crate::message::Message;

impl Queue {
    /// Adds a message and delivers what can be delivered.
    pub fn publish(self: &Arc<Self>, message: Message, now: Timestamp) -> Enqueued {
        self.change(now, |inner, after| self.take_in(inner, after, message, now))
    }

    /// Adds messages one after the other, as [`Self::publish`] does, under one lock. `each` is called under it with the
    /// number of the message, in order, and what became of it.
    pub fn publish_all(
        self: &Arc<Self>,
        messages: &[Message],
        now: Timestamp,
        each: &mut impl FnMut(usize, Enqueued),
    ) {
        self.change(now, |inner, after| {
            for (at, message) in messages.iter().enumerate() {
                each(at, self.take_in(inner, after, message.clone(), now));
            }
        });
    }

    fn take_in(
        self: &Arc<Self>,
        inner: &mut Inner,
        after: &mut Aftermath,
        message: Message,
        now: Timestamp,
    ) -> Enqueued {
        if inner.deleted {
            return Enqueued::Accepted(None);
        }
        inner.last_active = now;
        inner.state.apply(Command::Enqueue(message), now, &mut after.effects);
        if std::mem::take(&mut after.effects.refused) {
            return Enqueued::Refused;
        }
        if std::mem::take(&mut after.effects.duplicate) {
            return Enqueued::Duplicate;
        }
        inner.tally.publish += 1;
        if inner.ages.is_due(now) {
            inner.ages.mark(inner.state.last_seq(), now, inner.state.oldest_ready());
        }
        self.dispatch(inner, after, now);
        let placed = after.effects.placed.take();
        Enqueued::Accepted(placed.map(|(level, seq, expires)| Placement {
            queue: self.id,
            level,
            seq,
            expires,
        }))
    }
}
