//! Dead messages that stay in their queue until their letters have arrived (RabbitMQ: `x-dead-letter-strategy`
//! at-least-once).
//!
//! ```text
//!   expired, rejected, spent --> leased to Holder::Post --> Effects::dead --> the broker carries a letter
//!                                       ^                                        |            |
//!                                       |      no route, or a queue refused: again later      every queue has it:
//!                                       +----------------------------------------+            gone
//! ```
//!
//! A lease keeps the message in the store and lets it leave the memory. A restart ends all leases: the message is ready
//! again at its place, and dies again there. An expiry is stored with the message; that a consumer rejected it, or that
//! it came back too often, is what its stored count of deliveries says then ([`verdict`]).

use std::collections::VecDeque;

use super::{DropReason, Dropped, Effects, Remains, State, memory_of_lease};
use crate::clock::Timestamp;
use crate::id::EntityId;
use crate::queue::lease::{Holder, Lease};
use crate::queue::ready::{Entry, Head, Home, Seq};

use super::delays::remains;

/// Dead messages that a queue keeps before those that have expired wait at its head, and everything behind them: each
/// takes some hundred octets of memory besides what the pager sees to.
const KEPT_MAX: usize = 65_536;

/// Letters that are tried again at a time; each may have to be read from disk.
const TRIED_AT_ONCE: usize = 64;

/// Milliseconds until letters are tried again.
const AGAIN_AFTER_MS: u64 = 1_000;

/// Counts of deliveries that no message gets to: a consumer has rejected it.
const REJECTED: u32 = u32::MAX;

/// It came back more often than its queue allowed.
const SPENT: u32 = u32::MAX - 1;

/// A message whose letter is to be carried.
#[derive(Clone, Debug)]
pub struct Dead {
    /// Its place.
    pub seq: Seq,
    /// The message.
    pub message: Remains,
    /// Why it died.
    pub reason: DropReason,
    /// Queues that have its letter already.
    pub reached: Vec<EntityId>,
    /// Whether its letter was under way before.
    pub is_again: bool,
}

/// A message whose letter did not arrive everywhere.
#[derive(Debug)]
struct Undelivered {
    seq: Seq,
    reason: DropReason,
    reached: Vec<EntityId>,
}

/// Letters that are to be tried again.
#[derive(Debug, Default)]
pub(super) struct Undeliverable {
    waiting: VecDeque<Undelivered>,
    again_at: Option<Timestamp>,
}

/// Why a message is dead that was given out `deliveries` times, as far as the store says.
fn verdict(deliveries: u32) -> Option<DropReason> {
    match deliveries {
        REJECTED => Some(DropReason::Rejected),
        SPENT => Some(DropReason::DeliveryLimit),
        _ => None,
    }
}

/// What the store is to say of a message that died of this and would not die of it again after a restart.
fn stored_as(reason: DropReason) -> Option<u32> {
    match reason {
        DropReason::Rejected => Some(REJECTED),
        DropReason::DeliveryLimit => Some(SPENT),
        DropReason::Expired | DropReason::MaxLength => None,
    }
}

impl State {
    /// Whether a ready message may die now: its letter can be kept, or needs not.
    pub(super) fn has_room_for_dead(&self) -> bool {
        !self.limits.keeps_dead || self.leases.dead_len() < KEPT_MAX
    }

    /// Why an entry is dead, if its time `is_over` or it was before the start.
    pub(super) fn death(entry: &Entry, is_over: impl Fn(Timestamp) -> bool) -> Option<DropReason> {
        verdict(entry.deliveries)
            .or_else(|| entry.expires.is_some_and(is_over).then_some(DropReason::Expired))
    }

    /// The next message that may be given out. One that is dead and finds no room is not, nor what is behind it.
    pub fn next(&self, now: Timestamp) -> Head<'_> {
        match self.head() {
            Head::Entry(entry) if Self::death(entry, |expires| expires < now).is_some() => Head::Empty,
            head @ (Head::Empty | Head::Cold | Head::Entry(_)) => head,
        }
    }

    /// A message that was ready has died.
    pub(super) fn bury(&mut self, entry: Entry, reason: DropReason, now: Timestamp, effects: &mut Effects) {
        if self.limits.keeps_dead {
            // In memory it weighs what it did.
            let lease = Lease::new(&entry, Holder::Post, now);
            self.memory -= memory_of_lease(&lease);
            return self.keep_dead(lease, reason, now, effects);
        }
        self.leave(&entry, effects);
        effects.dropped.push(Dropped { message: Remains::Message(entry.message), reason });
    }

    /// A message that was held by a consumer has died; its lease has ended.
    pub(super) fn bury_leased(
        &mut self,
        lease: Lease,
        reason: DropReason,
        now: Timestamp,
        effects: &mut Effects,
    ) {
        if self.limits.keeps_dead {
            return self.keep_dead(lease, reason, now, effects);
        }
        self.present.leave(lease.seq);
        effects.gone.push(lease.home, lease.level, lease.seq);
        effects.dropped.push(Dropped { message: remains(lease), reason });
    }

    fn keep_dead(&mut self, lease: Lease, reason: DropReason, now: Timestamp, effects: &mut Effects) {
        self.present.leave(lease.seq);
        if let Some(deliveries) = stored_as(reason).filter(|_| lease.home == Home::Log) {
            effects.counted.push((lease.level, lease.seq, deliveries));
        }
        let seq = lease.seq;
        let message = remains(lease.clone());
        effects.dead.push(Dead { seq, message, reason, reached: Vec::new(), is_again: false });
        self.memory += memory_of_lease(&lease);
        self.leases.insert(Lease { holder: Holder::Post, since: now, ..lease });
    }

    /// Letters of these have arrived wherever they are to, those of `undelivered` have not. `is_again`: they were tried
    /// again.
    pub fn carried(
        &mut self,
        arrived: &[Seq],
        undelivered: Vec<Dead>,
        is_again: bool,
        now: Timestamp,
        effects: &mut Effects,
    ) {
        for seq in arrived {
            if self.leases.held_since(*seq, Holder::Post).is_some() {
                drop(self.end_lease(*seq, effects));
            }
        }
        let all_arrived = undelivered.is_empty();
        let Undeliverable { waiting, again_at } = &mut self.undeliverable;
        // Some may have been purged meanwhile.
        let undelivered = undelivered.into_iter().filter(|dead| self.leases.holds(dead.seq));
        waiting.extend(undelivered.map(|Dead { seq, reason, reached, .. }| Undelivered {
            seq,
            reason,
            reached,
        }));
        if waiting.is_empty() {
            *again_at = None;
        } else if is_again && all_arrived {
            // Whatever was in the way is gone.
            *again_at = Some(now);
        } else {
            again_at.get_or_insert(now.plus_millis(AGAIN_AFTER_MS));
        }
    }

    /// Letters are tried again whose time has come; the longest waiting first, and not all at once.
    pub fn try_letters_again(&mut self, now: Timestamp, effects: &mut Effects) {
        if self.undeliverable.again_at.is_none_or(|at| at > now) {
            return;
        }
        let waiting = &mut self.undeliverable.waiting;
        let some = waiting.drain(..waiting.len().min(TRIED_AT_ONCE));
        let leases = &self.leases;
        effects.dead.extend(some.filter_map(|Undelivered { seq, reason, reached }| {
            let message = remains(leases.get(seq)?.clone());
            Some(Dead { seq, message, reason, reached, is_again: true })
        }));
        // Also if nobody says what became of them.
        let rest = !self.undeliverable.waiting.is_empty();
        self.undeliverable.again_at = rest.then(|| now.plus_millis(AGAIN_AFTER_MS));
    }

    /// Removes everything that is dead. Returns how many.
    pub(super) fn purge_dead(&mut self, effects: &mut Effects) -> u64 {
        self.undeliverable = Undeliverable::default();
        let dead = self.leases.iter().filter(|lease| lease.holder == Holder::Post);
        let mut dead: Vec<_> = dead.map(|lease| lease.seq).collect();
        dead.sort_unstable();
        dead.iter().for_each(|seq| drop(self.end_lease(*seq, effects)));
        dead.len() as u64
    }

    /// When letters are to be tried again.
    pub(super) fn again_at(&self) -> Option<Timestamp> {
        self.undeliverable.again_at
    }
}

#[cfg(test)]
mod tests {
    use super::super::Command;
    use super::super::residence::Stored;
    use super::*;
    use crate::message::{Envelope, Message};
    use crate::queue::lane::Lane;
    use crate::queue::lease::FetchId;
    use crate::queue::limits::{Limits, Overflow};
    use crate::queue::retry::Cause;

    const NOW: Timestamp = Timestamp::from_millis(1_000);
    const GET: Holder = Holder::Get(FetchId::new(0));

    fn state(limits: Limits) -> State {
        State::new(Limits { keeps_dead: true, overflow: Overflow::RejectPublish, ..limits }, true)
    }

    fn enqueue(state: &mut State, ttl_ms: Option<u64>) {
        let message = Message::new(&Envelope { persistent: true, ttl_ms, ..Envelope::default() }, b"m");
        state.apply(Command::Enqueue(message), NOW, &mut Effects::default());
    }

    fn expire(state: &mut State, now: Timestamp) -> Effects {
        let mut effects = Effects::default();
        while !state.expire_until(now, &mut effects) {}
        effects
    }

    fn reject(state: &mut State) -> Effects {
        let seq = state.lease_head(GET, NOW, &mut Effects::default()).unwrap().seq;
        let mut effects = Effects::default();
        state.apply(Command::Discard(seq), NOW, &mut effects);
        effects
    }

    fn again(state: &mut State, now: Timestamp) -> Vec<Dead> {
        let mut effects = Effects::default();
        state.try_letters_again(now, &mut effects);
        effects.dead
    }

    #[test]
    fn a_dead_message_stays_until_its_letter_has_arrived() {
        let mut state = state(Limits::default());
        enqueue(&mut state, Some(10));
        let memory = state.memory();
        let effects = expire(&mut state, NOW.plus_millis(10));
        assert!(effects.dropped.is_empty() && effects.gone.is_empty());
        let [dead] = effects.dead.as_slice() else { panic!("one has died: {effects:?}") };
        assert_eq!(
            (dead.reason, state.leases().dead_len(), state.memory()),
            (DropReason::Expired, 1, memory)
        );
        let mut effects = Effects::default();
        state.carried(&[dead.seq], Vec::new(), false, NOW, &mut effects);
        assert_eq!(effects.gone.logged.len(), 1);
        assert_eq!((state.leases().dead_len(), state.memory(), state.deadline(true)), (0, 0, None));
    }

    #[test]
    fn a_letter_that_did_not_arrive_is_tried_again_later_where_it_is_not_yet() {
        let mut state = state(Limits::default());
        enqueue(&mut state, None);
        let mut dead = reject(&mut state).dead;
        dead[0].reached.push(EntityId::new(7));
        state.carried(&[], dead, false, NOW, &mut Effects::default());
        let at = NOW.plus_millis(AGAIN_AFTER_MS);
        assert_eq!(state.deadline(true), Some(at));
        assert!(again(&mut state, NOW).is_empty());
        let dead = again(&mut state, at);
        assert_eq!((dead[0].reached.as_slice(), dead[0].is_again), (&[EntityId::new(7)][..], true));
        assert_eq!((state.deadline(true), state.leases().dead_len()), (None, 1));
    }

    #[test]
    fn letters_are_tried_again_a_few_at_a_time_and_at_once_when_they_arrive() {
        let mut state = state(Limits::default());
        (0..2 * TRIED_AT_ONCE).for_each(|_| enqueue(&mut state, Some(0)));
        let dead = expire(&mut state, NOW).dead;
        state.carried(&[], dead, false, NOW, &mut Effects::default());
        let at = NOW.plus_millis(AGAIN_AFTER_MS);
        let first: Vec<_> = again(&mut state, at).iter().map(|dead| dead.seq).collect();
        assert_eq!(first.len(), TRIED_AT_ONCE);
        state.carried(&first, Vec::new(), true, at, &mut Effects::default());
        assert_eq!(state.deadline(true), Some(at));
        let last = again(&mut state, at);
        assert_eq!(last.len(), TRIED_AT_ONCE);
        state.carried(&[], last, true, at, &mut Effects::default());
        assert_eq!(state.deadline(true), Some(at.plus_millis(AGAIN_AFTER_MS)));
    }

    #[test]
    fn a_restart_does_not_bring_back_what_was_rejected_or_came_back_too_often() {
        let mut before = state(Limits { delivery_limit: Some(0), ..Limits::default() });
        enqueue(&mut before, None);
        enqueue(&mut before, None);
        let mut counted = reject(&mut before).counted;
        let seq = before.lease_head(GET, NOW, &mut Effects::default()).unwrap().seq;
        let mut effects = Effects::default();
        before.apply(Command::Return(seq, Cause::Returned), NOW, &mut effects);
        counted.extend(effects.counted);

        let mut after = state(Limits::default());
        let level = Lane::default();
        after.restore(level, &[(1, 2)], None);
        let stored = counted.iter().map(|(_, seq, deliveries)| Stored {
            seq: *seq,
            message: Message::new(&Envelope::default(), b"m"),
            expires: None,
            deliveries: *deliveries,
            home: Home::Log,
        });
        assert_eq!(after.load(level, stored.collect()), 2);
        let mut effects = Effects::default();
        after.expire_before(NOW, &mut effects);
        let reasons: Vec<_> = effects.dead.iter().map(|dead| dead.reason).collect();
        assert_eq!(reasons, [DropReason::Rejected, DropReason::DeliveryLimit]);
    }

    #[test]
    fn a_purge_takes_dead_messages_and_those_whose_letters_are_under_way() {
        let mut state = state(Limits::default());
        (0..3).for_each(|_| enqueue(&mut state, None));
        let mut dead = reject(&mut state).dead;
        state.carried(&[], dead.clone(), false, NOW, &mut Effects::default());
        dead = reject(&mut state).dead;
        let mut effects = Effects::default();
        state.apply(Command::Purge, NOW, &mut effects);
        assert_eq!((effects.purged, state.leases().len(), state.memory()), (3, 0, 0));
        assert_eq!(effects.gone.logged.len(), 1, "one run");
        state.carried(&[], dead, false, NOW, &mut Effects::default());
        assert_eq!(state.deadline(true), None, "it is gone");
    }

    #[test]
    fn too_many_dead_messages_hold_up_those_that_have_expired() {
        let mut state = state(Limits::default());
        (0..=KEPT_MAX).for_each(|_| enqueue(&mut state, Some(0)));
        let later = NOW.plus_millis(1);
        let dead = expire(&mut state, later).dead;
        assert_eq!((dead.len(), state.ready_len()), (KEPT_MAX, 1));
        assert!(matches!(state.next(later), Head::Empty), "it is dead");
        assert_eq!(state.deadline(true), None, "nothing happens before there is room");
        state.carried(&[dead[0].seq], Vec::new(), false, later, &mut Effects::default());
        assert_eq!(expire(&mut state, later).dead.len(), 1);
    }
}
