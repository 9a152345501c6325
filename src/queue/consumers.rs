//! Who gets the next message: consumers by priority, then in turn, as long as they have credit.
//!
//! ```text
//!   priority 10: [c1] [c4]      <- only consumers that can take a message stand in a ring
//!   priority  0: [c2]           <- served when no ring above has anybody
//!                c3 (credit used up), c5 (its outbound buffer is full): in no ring
//! ```
//!
//! Where a single consumer is active (RabbitMQ: `x-single-active-consumer`) only that one stands in a ring. Whoever
//! takes over is the one of highest priority, of equals the longest subscribed. On a quorum queue one of higher
//! priority takes over from one that is there: that one gets no more, and once it has settled what it holds the other
//! is active.
//!
//! Volatile state: it goes with the process, the messages do not.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::sync::Arc;

use super::arguments::QueueArguments;
use super::inspect::{Origin, Subscriber};
use super::lease::{FetchId, Holder};
use super::outlet::Outlet;
use super::overdue::{LeaseTimes, Tenant};
use super::ready::Seq;
use crate::clock::Timestamp;

/// A consumer of one queue, in order of subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConsumerId(u64);

impl ConsumerId {
    /// The number.
    pub const fn get(self) -> u64 {
        self.0
    }
}

/// What a consumer asks for (§1.8.3.3).
pub struct Subscription {
    /// Where its deliveries go.
    pub outlet: Arc<dyn Outlet>,
    /// Whose it is, for those who look on.
    pub origin: Arc<Origin>,
    /// Deliveries are settled as they are sent.
    pub no_ack: bool,
    /// Nobody else may consume.
    pub exclusive: bool,
    /// `x-priority` (RabbitMQ): higher is served first.
    pub priority: i64,
    /// Unacknowledged deliveries it may hold; `None` is no limit.
    pub prefetch: Option<u32>,
    /// `x-consumer-timeout` (RabbitMQ): how long it may hold one, in milliseconds; 0 is without end, `None` as long as
    /// the queue says.
    pub lease_ms: Option<u64>,
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription")
            .field("no_ack", &self.no_ack)
            .field("exclusive", &self.exclusive)
            .field("priority", &self.priority)
            .field("prefetch", &self.prefetch)
            .finish_non_exhaustive()
    }
}

#[derive(Debug)]
pub(super) struct Consumer {
    pub(super) subscription: Subscription,
    leased: u32,
    pub(super) tenant: Tenant,
    /// It refused a delivery, or is not started yet: waits for [`Consumers::resume`].
    paused: bool,
    in_ring: bool,
}

impl Consumer {
    fn has_credit(&self) -> bool {
        self.subscription.no_ack || self.subscription.prefetch.is_none_or(|limit| self.leased < limit)
    }
}

/// Who is served.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Service {
    /// Everybody.
    #[default]
    All,
    /// One, as long as it is there.
    Single,
    /// One, until another of higher priority is there (RabbitMQ: on quorum queues).
    SingleByPriority,
}

impl Service {
    /// What a queue's arguments say.
    pub fn of(arguments: &QueueArguments) -> Self {
        match (arguments.single_active_consumer, arguments.is_quorum()) {
            (false, _) => Self::All,
            (true, false) => Self::Single,
            (true, true) => Self::SingleByPriority,
        }
    }
}

/// The consumers of one queue.
#[derive(Debug, Default)]
pub struct Consumers {
    pub(super) by_id: BTreeMap<ConsumerId, Consumer>,
    rings: BTreeMap<Reverse<i64>, VecDeque<ConsumerId>>,
    last_id: u64,
    exclusive: bool,
    service: Service,
    /// Unless all are served: who is.
    active: Option<ConsumerId>,
    /// Likewise: who is to take over, the first of them first.
    line: BTreeSet<(Reverse<i64>, ConsumerId)>,
    /// An operator has paused the queue: it is nobody's turn.
    on_hold: bool,
    pub(super) times: LeaseTimes,
}

/// Somebody consumes exclusively, or wants to while others are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExclusiveClash;

impl Consumers {
    /// No consumers yet.
    pub fn new(service: Service) -> Self {
        Self { service, ..Self::default() }
    }

    /// Adds a consumer, paused, so that its subscription can be answered before its first delivery.
    ///
    /// # Errors
    /// When exclusive use is asked for or held (§1.8.3.3: exclusive).
    pub fn add(&mut self, subscription: Subscription) -> Result<ConsumerId, ExclusiveClash> {
        // RabbitMQ: a single active consumer has the queue to itself already.
        let shared = self.service != Service::All || !self.by_id.is_empty();
        if self.exclusive || (subscription.exclusive && shared) {
            return Err(ExclusiveClash);
        }
        self.exclusive = subscription.exclusive;
        self.last_id += 1;
        let id = ConsumerId(self.last_id);
        let tenant = Tenant::new(subscription.lease_ms);
        if self.service != Service::All {
            self.line.insert((Reverse(subscription.priority), id));
        }
        self.by_id.insert(id, Consumer { subscription, leased: 0, tenant, paused: true, in_ring: false });
        self.elect();
        Ok(id)
    }

    /// Removes a consumer. Whoever comes next as single active consumer takes over.
    pub fn remove(&mut self, id: ConsumerId) -> bool {
        let Some(consumer) = self.by_id.remove(&id) else { return false };
        if consumer.in_ring {
            self.leave_ring(id, consumer.subscription.priority);
        }
        self.exclusive &= !consumer.subscription.exclusive;
        self.line.remove(&(Reverse(consumer.subscription.priority), id));
        self.times.depart(id, consumer.subscription.outlet, consumer.tenant);
        self.elect();
        true
    }

    /// Removes all consumers and returns where they are to be told.
    pub fn remove_all(&mut self) -> Vec<Arc<dyn Outlet>> {
        self.rings.clear();
        self.line.clear();
        self.active = None;
        self.times = LeaseTimes::default();
        self.exclusive = false;
        std::mem::take(&mut self.by_id).into_values().map(|consumer| consumer.subscription.outlet).collect()
    }

    /// Nobody is served from here on, or those who were served before.
    pub fn set_on_hold(&mut self, is_on_hold: bool) {
        self.on_hold = is_on_hold;
    }

    /// Whether nobody is served.
    pub fn is_on_hold(&self) -> bool {
        self.on_hold
    }

    /// The consumer whose turn it is.
    pub fn next(&self) -> Option<(ConsumerId, &Subscription)> {
        if self.on_hold {
            return None;
        }
        let id = *self.rings.values().next()?.front()?;
        Some((id, &self.by_id.get(&id)?.subscription))
    }

    /// The consumer whose turn it was took a delivery; leased unless it does not acknowledge. Returns since when.
    pub fn took_turn(&mut self, id: ConsumerId, now: Timestamp) -> Timestamp {
        let Some(consumer) = self.by_id.get_mut(&id) else { return now };
        let mut since = now;
        if !consumer.subscription.no_ack {
            consumer.leased += 1;
            since = consumer.tenant.begin(id, now, &mut self.times);
        }
        let priority = consumer.subscription.priority;
        let stays = consumer.has_credit();
        consumer.in_ring = stays;
        if let Some(ring) = self.rings.get_mut(&Reverse(priority)) {
            match (stays, ring.len()) {
                (true, 1) => (),
                (true, _) => ring.rotate_left(1),
                (false, _) => drop(ring.pop_front()),
            }
            if ring.is_empty() {
                self.rings.remove(&Reverse(priority));
            }
        }
        since
    }

    /// Somebody fetches a message with basic.get; who that is, to the queue.
    pub fn fetched(&mut self, seq: Seq, no_ack: bool, now: Timestamp) -> Holder {
        if !no_ack {
            self.times.fetch(seq, now);
        }
        self.last_id += 1;
        Holder::Get(FetchId::new(self.last_id))
    }

    /// The consumer refused a delivery: it is not asked again before [`Self::resume`].
    pub fn pause(&mut self, id: ConsumerId) {
        if let Some(consumer) = self.by_id.get_mut(&id) {
            consumer.paused = true;
        }
        self.refresh(id);
    }

    /// The consumer can take deliveries again.
    pub fn resume(&mut self, id: ConsumerId) {
        if let Some(consumer) = self.by_id.get_mut(&id) {
            consumer.paused = false;
        }
        self.refresh(id);
    }

    /// A lease ends that was held since then.
    pub fn release(&mut self, holder: Holder, seq: Seq, since: Timestamp) {
        let id = match holder {
            Holder::Consumer(id) => id,
            Holder::Get(_) => return self.times.end_fetch(seq, since),
            Holder::Post => return,
        };
        let Some(consumer) = self.by_id.get_mut(&id) else { return self.times.end_departed(id, since) };
        consumer.leased = consumer.leased.saturating_sub(1);
        consumer.tenant.end(since);
        let is_free = consumer.leased == 0;
        if !consumer.in_ring {
            self.refresh(id);
        }
        if is_free && self.active == Some(id) {
            self.elect();
        }
    }

    /// All consumers, in order of subscription.
    pub fn list(&self) -> Vec<Subscriber> {
        let describe = |(id, consumer): (&ConsumerId, &Consumer)| Subscriber {
            id: *id,
            origin: Arc::clone(&consumer.subscription.origin),
            no_ack: consumer.subscription.no_ack,
            exclusive: consumer.subscription.exclusive,
            prefetch: consumer.subscription.prefetch,
            leased: consumer.leased,
            lease_ms: consumer.tenant.limit_ms(&self.times),
            active: self.service == Service::All || self.active == Some(*id),
        };
        self.by_id.iter().map(describe).collect()
    }

    /// Number of consumers, paused or not.
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Whether nobody consumes.
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// Sees to it that the one is active who is to be, if only one is.
    fn elect(&mut self) {
        let (next, before) = (self.elected(), self.active);
        self.active = next;
        for id in before.into_iter().chain(next) {
            self.refresh(id);
        }
    }

    fn elected(&self) -> Option<ConsumerId> {
        let (_, first) = self.line.first()?;
        let active = self.active.and_then(|id| Some((id, self.by_id.get(&id)?)));
        match active {
            Some((id, consumer)) if !self.must_give_way(consumer) || consumer.leased > 0 => Some(id),
            Some(_) | None => Some(*first),
        }
    }

    /// Whether somebody of higher priority waits for the one who is active.
    fn must_give_way(&self, active: &Consumer) -> bool {
        let first = self.line.first().map(|(Reverse(priority), _)| *priority);
        self.service == Service::SingleByPriority
            && first.is_some_and(|first| first > active.subscription.priority)
    }

    fn may_be_served(&self, id: ConsumerId) -> bool {
        let gives_way = || self.by_id.get(&id).is_some_and(|consumer| self.must_give_way(consumer));
        self.service == Service::All || self.active == Some(id) && !gives_way()
    }

    /// Puts the consumer into its ring or takes it out, as its state demands.
    fn refresh(&mut self, id: ConsumerId) {
        let may_be_served = self.may_be_served(id);
        let Some(consumer) = self.by_id.get_mut(&id) else { return };
        let belongs = may_be_served && !consumer.paused && consumer.has_credit();
        if belongs == consumer.in_ring {
            return;
        }
        consumer.in_ring = belongs;
        let priority = consumer.subscription.priority;
        if belongs {
            self.rings.entry(Reverse(priority)).or_default().push_back(id);
        } else {
            self.leave_ring(id, priority);
        }
    }

    fn leave_ring(&mut self, id: ConsumerId, priority: i64) {
        if let Some(ring) = self.rings.get_mut(&Reverse(priority)) {
            ring.retain(|member| *member != id);
            if ring.is_empty() {
                self.rings.remove(&Reverse(priority));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::outlet::{Delivery, Offered};
    use super::*;
    use crate::id::ConnectionId;
    use lepus_protocol::{ChannelId, FieldTable, ShortString};

    const NOW: Timestamp = Timestamp::from_millis(1_000);

    struct Sink;

    impl Outlet for Sink {
        fn offer(&self, _: &Delivery<'_>) -> Offered {
            Offered::Taken { wake: false }
        }
        fn wake(&self) {}
        fn cancelled(&self) {}
        fn expired(&self, _: u64) {}
    }

    fn subscription(priority: i64, prefetch: Option<u32>) -> Subscription {
        let origin = Origin {
            connection: ConnectionId::new(1),
            channel: ChannelId::new(1),
            tag: ShortString::default(),
            arguments: FieldTable::new(),
        };
        let (outlet, origin) = (Arc::new(Sink), Arc::new(origin));
        Subscription { outlet, origin, no_ack: false, exclusive: false, priority, prefetch, lease_ms: None }
    }

    fn start(consumers: &mut Consumers, priority: i64, prefetch: Option<u32>) -> ConsumerId {
        let id = consumers.add(subscription(priority, prefetch)).unwrap();
        consumers.resume(id);
        id
    }

    fn serve(consumers: &mut Consumers, turns: usize) -> Vec<u64> {
        let mut served = Vec::new();
        for _ in 0..turns {
            let Some((id, _)) = consumers.next() else { break };
            consumers.took_turn(id, NOW);
            served.push(id.0);
        }
        served
    }

    #[test]
    fn equal_consumers_are_served_in_turn() {
        let mut consumers = Consumers::new(Service::All);
        for _ in 0..3 {
            start(&mut consumers, 0, None);
        }
        assert_eq!(serve(&mut consumers, 7), [1, 2, 3, 1, 2, 3, 1]);
    }

    #[test]
    fn a_lower_priority_is_served_when_those_above_have_no_credit() {
        let mut consumers = Consumers::new(Service::All);
        let low = start(&mut consumers, 0, None);
        let high = start(&mut consumers, 5, Some(2));
        assert_eq!(serve(&mut consumers, 4), [high.0, high.0, low.0, low.0]);
        consumers.release(Holder::Consumer(high), Seq::new(1), NOW);
        assert_eq!(serve(&mut consumers, 2), [high.0, low.0]);
    }

    #[test]
    fn a_consumer_is_served_only_once_it_has_started() {
        let mut consumers = Consumers::new(Service::All);
        let id = consumers.add(subscription(0, None)).unwrap();
        assert!(consumers.next().is_none());
        consumers.resume(id);
        assert!(consumers.next().is_some());
        consumers.pause(id);
        assert!(consumers.next().is_none());
    }

    #[test]
    fn the_next_in_line_takes_over_as_single_active_consumer() {
        let mut consumers = Consumers::new(Service::Single);
        let first = start(&mut consumers, 0, None);
        let second = start(&mut consumers, 9, None);
        assert_eq!(serve(&mut consumers, 2), [first.0, first.0]);
        consumers.remove(first);
        assert_eq!(serve(&mut consumers, 1), [second.0]);
    }

    #[test]
    fn of_those_who_wait_the_one_of_highest_priority_takes_over() {
        let mut consumers = Consumers::new(Service::Single);
        let first = start(&mut consumers, 0, None);
        let [_, high, _] = [1, 9, 9].map(|priority| start(&mut consumers, priority, None));
        consumers.remove(first);
        assert_eq!(serve(&mut consumers, 1), [high.0]);
    }

    #[test]
    fn one_of_higher_priority_takes_over_when_the_active_one_holds_nothing_any_more() {
        let mut consumers = Consumers::new(Service::SingleByPriority);
        let low = start(&mut consumers, 0, None);
        assert_eq!(serve(&mut consumers, 2), [low.0, low.0]);
        let high = start(&mut consumers, 1, None);
        let higher = start(&mut consumers, 2, None);
        let is_active =
            |consumers: &Consumers| consumers.list().into_iter().find(|one| one.active).unwrap().id;
        assert_eq!((serve(&mut consumers, 1), is_active(&consumers)), (vec![], low), "it gives way");
        consumers.release(Holder::Consumer(low), Seq::new(1), NOW);
        assert_eq!(serve(&mut consumers, 1), [] as [u64; 0]);
        consumers.release(Holder::Consumer(low), Seq::new(2), NOW);
        assert_eq!((serve(&mut consumers, 1), is_active(&consumers)), (vec![higher.0], higher));
        consumers.remove(higher);
        assert_eq!(serve(&mut consumers, 1), [high.0]);
    }

    #[test]
    fn the_active_one_goes_on_if_who_was_to_take_over_goes() {
        let mut consumers = Consumers::new(Service::SingleByPriority);
        let low = start(&mut consumers, 0, None);
        serve(&mut consumers, 1);
        let high = start(&mut consumers, 1, None);
        consumers.remove(high);
        assert_eq!(serve(&mut consumers, 1), [low.0]);
        let equal = start(&mut consumers, 0, None);
        consumers.release(Holder::Consumer(low), Seq::new(1), NOW);
        consumers.release(Holder::Consumer(low), Seq::new(2), NOW);
        assert_eq!(serve(&mut consumers, 1), [low.0], "not for an equal one");
        consumers.remove(low);
        assert_eq!(serve(&mut consumers, 1), [equal.0]);
    }

    #[test]
    fn exclusive_use_is_granted_once_and_ends_with_its_consumer() {
        let mut consumers = Consumers::new(Service::All);
        let exclusive = || Subscription { exclusive: true, ..subscription(0, None) };
        let id = consumers.add(exclusive()).unwrap();
        assert_eq!(consumers.add(subscription(0, None)), Err(ExclusiveClash));
        consumers.remove(id);
        consumers.add(subscription(0, None)).unwrap();
        assert_eq!(consumers.add(exclusive()), Err(ExclusiveClash));
    }

    #[test]
    fn nobody_is_served_on_hold_and_turns_are_kept_meanwhile() {
        let mut consumers = Consumers::new(Service::All);
        for _ in 0..2 {
            start(&mut consumers, 0, None);
        }
        assert_eq!(serve(&mut consumers, 1), [1]);
        consumers.set_on_hold(true);
        let late = start(&mut consumers, 0, None);
        assert_eq!(serve(&mut consumers, 5), [0; 0]);
        consumers.set_on_hold(false);
        assert_eq!(serve(&mut consumers, 3), [2, 1, late.0]);
    }

    #[test]
    fn removing_everybody_leaves_no_residue() {
        let mut consumers = Consumers::new(Service::All);
        let (one, two) = (start(&mut consumers, 1, Some(1)), start(&mut consumers, 2, None));
        serve(&mut consumers, 3);
        consumers.remove(one);
        consumers.remove(two);
        assert!(consumers.is_empty() && consumers.rings.is_empty() && consumers.line.is_empty());
    }
}
