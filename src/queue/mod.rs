//! Queues: messages in order, the consumers they go to, and the leases in between.
//!
//! [`Queue`] is what the broker holds: one lock around [`state::State`] (the messages; deterministic) and
//! [`consumers::Consumers`] (who is next; volatile). Whatever else follows from a change, such as waking a writer or
//! dead-lettering, is done once the lock is dropped, through values that the queue was given ([`outlet`]).

mod age;
pub mod arguments;
mod arrival;
pub mod consumers;
pub mod definition;
mod delayed;
pub mod inspect;
mod lane;
pub mod lease;
pub mod limits;
pub mod name_prefix;
mod operation;
pub mod outlet;
mod overdue;
mod paging;
mod pause;
mod post;
pub mod ready;
pub mod retry;
pub mod settings;
mod settle;
pub mod state;
mod tenure;
mod turn;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use parking_lot::Mutex;

use crate::clock::Timestamp;
use crate::id::{ConnectionId, EntityId};
use crate::metrics::{DurationRuns, MessageTally};
use crate::name::Name;

pub use arguments::QueueArguments;
pub use consumers::{ConsumerId, Subscription};
pub use definition::AwaitedDefinition;
pub use delayed::{Bookmark, DelayedPage, NoBookmark, Waiting};
pub use inspect::{Counts, LeaseReport, Origin, Report, Subscriber};
pub use lane::Lane;
pub use lease::{FetchId, Holder};
pub use operation::{Enqueued, Fetched, Got, LeaseRef, Placement, Settlement, SubscribeError, Ticked};
pub use outlet::{Delivery, Host, Offered, Outlet};
pub use paging::{HeadNeed, PageWanted};
pub use ready::{Departed, Departures, Entry, Head, Home, Seq};
pub use retry::Cause;
pub use state::dead::Dead;
pub use state::delays::{Moved, Moves, ReadAtStart};
pub use state::residence::{Evictable, Evicted, Stored, Unstored, Whereabouts};
pub use state::{Command, DropReason, Dropped, Remains};
pub use turn::Turn;

use age::Ages;
use consumers::{Consumers, Service};
use overdue::OverdueConsumer;
use settings::Settings;
use state::{Effects, State};
use turn::Turns;

/// How a queue was declared (§1.7.2.1).
#[derive(Clone, Debug)]
pub struct QueueOptions {
    /// Survives a restart.
    pub durable: bool,
    /// Goes when its last consumer has gone.
    pub auto_delete: bool,
    /// The connection that alone may use it, and with which it goes.
    pub exclusive_to: Option<ConnectionId>,
    /// The arguments.
    pub arguments: QueueArguments,
}

/// A queue.
pub struct Queue {
    /// Its identity: a later queue of the same name has another.
    pub id: EntityId,
    /// Its name.
    pub name: Name,
    /// How it was declared.
    pub options: QueueOptions,
    /// What keeps its messages from being confirmed.
    pub definition: AwaitedDefinition,
    host: Arc<dyn Host>,
    inner: Mutex<Inner>,
    turns: Arc<Turns>,
    is_paging_out: AtomicBool,
    /// How many wait for its next message to be read: see [`HeadNeed`].
    heads_needed: AtomicUsize,
    /// What [`Inner::deleted`] is, to be looked at without the lock.
    is_deleted: AtomicBool,
}

struct Inner {
    state: State,
    consumers: Consumers,
    settings: Settings,
    deleted: bool,
    /// Last declare, get, or presence of a consumer: what the queue lease counts from.
    last_used: Timestamp,
    /// Last time that a message came or went.
    last_active: Timestamp,
    tally: MessageTally,
    /// How long deliveries were held.
    held: DurationRuns,
    /// How long messages waited until they were given out for the first time.
    waited: DurationRuns,
    ages: Ages,
    /// The earliest tick asked for and not yet come.
    armed: Option<Timestamp>,
    /// Octets reported to the host.
    reported: u64,
    /// Messages are being read back.
    paging_in: bool,
}

/// What a deleted queue leaves. Dropping it tells its consumers: whoever answers the delete does that before.
#[must_use]
pub struct Deleted {
    /// Messages that were ready.
    pub ready: usize,
    /// The lanes that it may have had messages in.
    pub lanes: Vec<Lane>,
    consumers: Vec<Arc<dyn Outlet>>,
}

impl Drop for Deleted {
    fn drop(&mut self) {
        for consumer in self.consumers.drain(..) {
            consumer.cancelled();
        }
    }
}

impl fmt::Debug for Deleted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Deleted").field("ready", &self.ready).finish_non_exhaustive()
    }
}

/// What follows a change once the lock is dropped.
#[derive(Default)]
struct Aftermath {
    effects: Effects,
    /// When to carry what has died.
    turn: Option<Turn>,
    wakes: Vec<Arc<dyn Outlet>>,
    overdue: Vec<OverdueConsumer>,
    arm: Option<Timestamp>,
    octets: i64,
    page_in: bool,
}

impl Queue {
    /// An empty queue without consumers.
    pub fn new(
        id: EntityId,
        name: Name,
        options: QueueOptions,
        host: Arc<dyn Host>,
        now: Timestamp,
    ) -> Arc<Self> {
        let settings = Settings::of(&options.arguments);
        let inner = Inner {
            state: State::new(settings.limits.clone(), options.durable)
                .keeping_all(options.arguments.is_quorum()),
            consumers: Consumers::new(Service::of(&options.arguments)),
            settings,
            deleted: false,
            last_used: now,
            last_active: now,
            tally: MessageTally::default(),
            held: DurationRuns::default(),
            waited: DurationRuns::default(),
            ages: Ages::new(now),
            armed: None,
            reported: 0,
            paging_in: false,
        };
        let queue = Arc::new(Self {
            id,
            name,
            options,
            definition: AwaitedDefinition::default(),
            host,
            inner: Mutex::new(inner),
            turns: Arc::default(),
            is_paging_out: AtomicBool::new(false),
            heads_needed: AtomicUsize::new(0),
            is_deleted: AtomicBool::new(false),
        });
        queue.change(now, |_, _| ());
        queue
    }

    /// Adds a consumer. It gets nothing before [`Self::resume`], so that basic.consume can be answered first.
    ///
    /// # Errors
    /// When exclusive use is asked for or held, or the queue is gone.
    pub fn subscribe(
        self: &Arc<Self>,
        subscription: Subscription,
        now: Timestamp,
    ) -> Result<ConsumerId, SubscribeError> {
        self.change(now, |inner, _| {
            if inner.deleted {
                return Err(SubscribeError::Deleted);
            }
            inner.last_used = now;
            inner.consumers.add(subscription).map_err(|_| SubscribeError::Exclusive)
        })
    }

    /// The consumer can take deliveries (again).
    pub fn resume(self: &Arc<Self>, consumer: ConsumerId, now: Timestamp) {
        self.change(now, |inner, after| {
            inner.consumers.resume(consumer);
            self.dispatch(inner, after, now);
        });
    }

    /// Fetches one message (§1.8.3.10); leased to the channel unless `no_ack`.
    pub fn get(self: &Arc<Self>, no_ack: bool, now: Timestamp) -> Got {
        self.change(now, |inner, after| {
            inner.last_used = now;
            inner.last_active = now;
            inner.state.advance(now, &mut after.effects);
            inner.state.expire_all_before(now, &mut after.effects);
            let (seq, redelivered, returns) = match inner.state.next(now) {
                Head::Empty => {
                    inner.tally.get_empty += 1;
                    return Got::Empty;
                }
                Head::Cold => return Got::Cold,
                Head::Entry(entry) => {
                    (entry.seq, inner.state.is_redelivered(entry), inner.state.told_returns(entry))
                }
            };
            inner.tally.count_get(no_ack);
            inner.count_given(seq, redelivered, now);
            let holder = inner.consumers.fetched(seq, no_ack, now);
            let Some(entry) = inner.hand_out(no_ack, holder, now, &mut after.effects) else {
                return Got::Empty;
            };
            let remaining = inner.state.ready_len();
            Got::Message(Fetched { message: entry.message, seq, holder, redelivered, returns, remaining })
        })
    }

    /// Removes all messages that are ready or delayed; returns how many.
    pub fn purge(self: &Arc<Self>, now: Timestamp) -> u64 {
        self.change(now, |inner, after| {
            inner.state.apply(Command::Purge, now, &mut after.effects);
            after.effects.purged
        })
    }

    /// Ends the queue: its messages go, its consumers are told when what is returned is dropped.
    ///
    /// `may_delete` is asked under the queue's lock. The caller takes the queue out of the topology.
    ///
    /// # Errors
    /// What `may_delete` says; nothing has happened then.
    pub fn delete<E>(
        self: &Arc<Self>,
        now: Timestamp,
        may_delete: impl FnOnce(Counts) -> Result<(), E>,
    ) -> Result<Deleted, E> {
        let (state, consumers) = self.change(now, |inner, _| {
            may_delete(inner.counts())?;
            inner.deleted = true;
            self.is_deleted.store(true, Ordering::Release);
            // Freed once the lock is dropped: a long backlog takes its time.
            Ok((std::mem::take(&mut inner.state), inner.consumers.remove_all()))
        })?;
        Ok(Deleted { ready: state.ready_len(), lanes: self.lanes(&state), consumers })
    }

    fn lanes(&self, state: &State) -> Vec<Lane> {
        let highest = self.options.arguments.limits.priorities.highest();
        (0..=highest).map(Lane::of_priority).chain(state.delayed_lanes()).collect()
    }

    /// The moment `at`, that was asked for, has come: messages expire, and leases of consumers.
    pub fn tick(self: &Arc<Self>, at: Timestamp, now: Timestamp) -> Ticked {
        self.change(now, |inner, after| {
            if inner.armed != Some(at) || inner.deleted {
                // An earlier moment was asked for meanwhile; that tick has seen to everything.
                return Ticked::default();
            }
            inner.armed = None;
            // What comes back is before what it was before, also of those that expire now.
            let lost_consumers = inner.end_overdue_leases(after, now);
            inner.state.expire_until(now, &mut after.effects);
            inner.state.try_letters_again(now, &mut after.effects);
            self.dispatch(inner, after, now);
            let is_over = self.lease_deadline(inner).is_some_and(|deadline| deadline <= now);
            Ticked { is_over, lost_consumers }
        })
    }

    /// Somebody declared the queue again: its lease starts anew.
    pub fn touch(&self, now: Timestamp) {
        self.inner.lock().last_used = now;
    }

    /// Whether it has come to its end. Costs no lock.
    pub fn is_deleted(&self) -> bool {
        self.is_deleted.load(Ordering::Acquire)
    }

    /// Counts of the moment.
    pub fn counts(&self) -> Counts {
        self.inner.lock().counts()
    }

    /// Gives out messages as long as there are some and somebody takes them.
    fn dispatch(self: &Arc<Self>, inner: &mut Inner, after: &mut Aftermath, now: Timestamp) {
        inner.state.advance(now, &mut after.effects);
        loop {
            inner.state.expire_before(now, &mut after.effects);
            let (Head::Entry(entry), Some((id, subscription))) =
                (inner.state.next(now), inner.consumers.next())
            else {
                break;
            };
            let delivery = Delivery {
                queue: self,
                seq: entry.seq,
                message: &entry.message,
                redelivered: inner.state.is_redelivered(entry),
                returns: inner.state.told_returns(entry),
            };
            let no_ack = subscription.no_ack;
            match subscription.outlet.offer(&delivery) {
                Offered::Refused => inner.consumers.pause(id),
                Offered::Taken { wake } => {
                    if wake {
                        after.wakes.push(Arc::clone(&subscription.outlet));
                    }
                    let (seq, redelivered) = (delivery.seq, delivery.redelivered);
                    inner.tally.count_delivery(no_ack);
                    inner.count_given(seq, redelivered, now);
                    let since = inner.consumers.took_turn(id, now);
                    inner.hand_out(no_ack, Holder::Consumer(id), since, &mut after.effects);
                }
            }
        }
        inner.state.drop_surplus(now, &mut after.effects);
    }

    /// Runs `change` under the lock, then does what follows from it without the lock.
    fn change<R>(
        self: &Arc<Self>,
        now: Timestamp,
        change: impl FnOnce(&mut Inner, &mut Aftermath) -> R,
    ) -> R {
        let mut after = Aftermath::default();
        let result = {
            let mut inner = self.inner.lock();
            let result = change(&mut inner, &mut after);
            after.turn = self.turn(&inner, &after.effects);
            after.page_in = inner.wants_page(now);
            after.octets = inner.memory_delta();
            after.arm = self.rearm(&mut inner, now);
            result
        };
        self.follow_up(after, now);
        result
    }

    /// The turn in which to carry what has died, if that goes anywhere.
    fn turn(&self, inner: &Inner, effects: &Effects) -> Option<Turn> {
        let has_died = !effects.dropped.is_empty() || !effects.dead.is_empty();
        (has_died && inner.settings.dead_letter.is_some()).then(|| self.turns.next())
    }

    fn follow_up(self: &Arc<Self>, mut after: Aftermath, now: Timestamp) {
        if after.octets != 0 {
            self.host.account(self, after.octets);
        }
        if after.page_in {
            self.host.page_in(self);
        }
        if let Some(at) = after.arm {
            self.host.arm(self, at);
        }
        if !after.effects.moves.is_empty() {
            self.host.moved(self, after.effects.moves);
        }
        for (level, seq) in after.effects.delivered {
            self.host.delivered(self, level, seq);
        }
        for (level, seq, deliveries) in after.effects.counted {
            self.host.counted(self, level, seq, deliveries);
        }
        if !after.effects.dropped.is_empty() || !after.effects.gone.is_empty() {
            let turn = after.turn.take_if(|_| !after.effects.dropped.is_empty());
            self.host.left(self, after.effects.dropped, after.effects.gone, turn, now);
        }
        if !after.effects.dead.is_empty() {
            self.host.died(self, after.effects.dead, after.turn.take(), now);
        }
        drop(after.turn);
        // Behind the turn: what a wake leads to may drop messages elsewhere.
        for outlet in &after.wakes {
            outlet.wake();
        }
        for absent in after.effects.absent {
            let fetched = || self.host.fetch(self, absent.level, absent.seq, absent.home);
            let message = absent.message.clone().or_else(fetched);
            self.change(now, |inner, after| match message {
                Some(message) => inner.state.retry(&absent, &message, now, &mut after.effects),
                None => inner.state.put_back_absent(&absent),
            });
        }
        for consumer in after.overdue {
            consumer.outlet.expired(consumer.limit_ms);
        }
    }

    /// The next tick to ask for, unless an earlier one is under way.
    fn rearm(&self, inner: &mut Inner, now: Timestamp) -> Option<Timestamp> {
        if inner.deleted {
            return None;
        }
        let deadlines = [
            inner.state.deadline(!inner.paging_in),
            inner.consumers.times.deadline(),
            self.lease_deadline(inner),
        ];
        let deadline = deadlines.into_iter().flatten().min()?.max(now);
        if inner.armed.is_some_and(|armed| armed <= deadline) {
            return None;
        }
        inner.armed = Some(deadline);
        inner.armed
    }

    /// When the queue goes for lack of use; `None` while somebody consumes.
    fn lease_deadline(&self, inner: &Inner) -> Option<Timestamp> {
        let idle_ms = inner.settings.limits.idle_ms?;
        inner.consumers.is_empty().then(|| inner.last_used.plus_millis(idle_ms))
    }
}

impl Inner {
    /// Takes the head: for good, or as a lease.
    fn hand_out(
        &mut self,
        no_ack: bool,
        holder: Holder,
        since: Timestamp,
        effects: &mut Effects,
    ) -> Option<Entry> {
        if no_ack { self.state.settle_head(effects) } else { self.state.lease_head(holder, since, effects) }
    }

    /// A message is given out: how long it waited is told of the first time.
    fn count_given(&mut self, seq: Seq, redelivered: bool, now: Timestamp) {
        if redelivered {
            self.tally.redeliver += 1;
        } else {
            self.waited.count(now.millis_since(self.ages.since_in_turn(seq)));
        }
    }

    fn counts(&self) -> Counts {
        Counts {
            ready: self.state.ready_len(),
            leased: self.state.leases().len() - self.state.leases().dead_len(),
            dead: self.state.leases().dead_len(),
            delayed: self.state.delayed_len(),
            consumers: self.consumers.len(),
        }
    }

    fn memory_delta(&mut self) -> i64 {
        let memory = self.state.memory();
        let delta = memory.cast_signed() - self.reported.cast_signed();
        self.reported = memory;
        delta
    }
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue").field("id", &self.id).field("name", &self.name).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
