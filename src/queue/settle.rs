//! How leases end, and consumers with what they hold.

use std::sync::Arc;

use super::retry::Cause;
use super::state::{Command, Effects};
use super::{ConsumerId, Inner, LeaseRef, Queue, Settlement};
use crate::clock::Timestamp;

impl Queue {
    /// Ends leases of this queue, all in one way, and delivers what can be delivered.
    pub fn settle(self: &Arc<Self>, leases: &[LeaseRef], how: Settlement, now: Timestamp) {
        self.change(now, |inner, after| {
            inner.last_active = now;
            inner.end_leases(leases, how, now, &mut after.effects);
            self.dispatch(inner, after, now);
        });
    }

    /// Removes a consumer; its leases stay with its channel. Returns whether it was the last one.
    pub fn cancel(self: &Arc<Self>, consumer: ConsumerId, now: Timestamp) -> bool {
        self.leave(&[consumer], &[], now)
    }

    /// Channels end: their consumers go and what they hold comes back as one step, so that it is at its place before
    /// anybody else is served. Returns whether the last consumer was among them.
    pub fn leave(self: &Arc<Self>, consumers: &[ConsumerId], leases: &[LeaseRef], now: Timestamp) -> bool {
        self.change(now, |inner, after| {
            if !leases.is_empty() {
                inner.last_active = now;
            }
            inner.end_leases(leases, Settlement::Fail, now, &mut after.effects);
            let removed = consumers.iter().filter(|consumer| inner.consumers.remove(**consumer)).count();
            if !consumers.is_empty() {
                inner.last_used = now;
            }
            self.dispatch(inner, after, now);
            removed > 0 && inner.consumers.is_empty()
        })
    }
}

impl Inner {
    /// Ends leases, all in one way. Nobody is served meanwhile.
    pub(super) fn end_leases(
        &mut self,
        leases: &[LeaseRef],
        how: Settlement,
        now: Timestamp,
        effects: &mut Effects,
    ) {
        self.tally.ack += if how == Settlement::Ack { leases.len() as u64 } else { 0 };
        for lease in leases {
            // A lease that has run out is settled in vain, whoever holds the message by now.
            let Some(since) = self.state.leases().held_since(lease.seq, lease.holder) else { continue };
            let command = match how {
                Settlement::Ack => Command::Settle(lease.seq),
                Settlement::Discard => Command::Discard(lease.seq),
                Settlement::Requeue => Command::Return(lease.seq, Cause::Returned),
                Settlement::PutBack => Command::Return(lease.seq, Cause::Seen),
                Settlement::Fail => Command::Return(lease.seq, Cause::Failed),
            };
            self.state.apply(command, now, effects);
            if how != Settlement::PutBack {
                self.held.count(now.millis_since(since));
            }
            self.consumers.release(lease.holder, lease.seq, since);
        }
    }
}
