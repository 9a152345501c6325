//! When delivery leases run out (RabbitMQ: consumer timeout).
//!
//! One deadline stands for all leases of a consumer: that of its oldest. It is looked at when it comes, and set anew if
//! that lease has ended meanwhile, so that the cost does not depend on the number of leases, nor on how fast they end.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use super::consumers::{ConsumerId, Consumers};
use super::outlet::Outlet;
use super::retry::Cause;
use super::tenure::Tenure;
use super::{Aftermath, Command, Inner, Seq, Settlement};
use crate::clock::Timestamp;

/// What a consumer holds, as far as time goes.
#[derive(Debug, Default)]
pub(super) struct Tenant {
    /// `x-consumer-timeout` of the consumer, in milliseconds; 0 is no limit.
    own_ms: Option<u64>,
    tenure: Tenure,
    /// When it is to be looked at.
    watched: Option<Timestamp>,
}

/// A consumer that is gone and still holds deliveries.
pub(super) struct Departed {
    outlet: Arc<dyn Outlet>,
    tenant: Tenant,
}

/// The times of a queue's leases.
#[derive(Debug, Default)]
pub(super) struct LeaseTimes {
    /// How long a lease lasts where the consumer does not say.
    limit_ms: Option<u64>,
    /// When to look at whom.
    watched: BTreeSet<(Timestamp, ConsumerId)>,
    departed: BTreeMap<ConsumerId, Departed>,
    /// Messages fetched with basic.get, and since when.
    fetched: BTreeSet<(Timestamp, Seq)>,
}

/// A consumer whose oldest lease has run out.
pub(super) struct OverdueConsumer {
    pub(super) id: ConsumerId,
    pub(super) outlet: Arc<dyn Outlet>,
    /// How long it had, in milliseconds.
    pub(super) limit_ms: u64,
}

/// Whose leases have run out.
#[derive(Default)]
pub(super) struct Overdue {
    pub(super) consumers: Vec<OverdueConsumer>,
    pub(super) fetched: Vec<Seq>,
}

impl Tenant {
    pub(super) fn new(own_ms: Option<u64>) -> Self {
        Self { own_ms, ..Self::default() }
    }

    /// A lease of consumer `id` begins. Returns since when it counts.
    pub(super) fn begin(&mut self, id: ConsumerId, now: Timestamp, times: &mut LeaseTimes) -> Timestamp {
        let since = self.tenure.begin(now);
        if self.watched.is_none() {
            self.watch(id, times);
        }
        since
    }

    /// A lease ends that began then.
    pub(super) fn end(&mut self, since: Timestamp) {
        self.tenure.end(since);
    }

    /// How long its leases last.
    pub(super) fn limit_ms(&self, times: &LeaseTimes) -> Option<u64> {
        self.own_ms.map_or(times.limit_ms, |own| (own > 0).then_some(own))
    }

    /// Looks again when the oldest lease runs out.
    fn watch(&mut self, id: ConsumerId, times: &mut LeaseTimes) {
        self.watched = self.deadline(times);
        times.watched.extend(self.watched.map(|at| (at, id)));
    }

    /// How long a lease lasts, if the oldest has lasted for longer.
    fn overdue_ms(&self, now: Timestamp, times: &LeaseTimes) -> Option<u64> {
        self.deadline(times).filter(|deadline| *deadline <= now)?;
        self.limit_ms(times)
    }

    fn deadline(&self, times: &LeaseTimes) -> Option<Timestamp> {
        Some(self.tenure.oldest()?.plus_millis(self.limit_ms(times)?))
    }
}

impl LeaseTimes {
    /// The next moment at which somebody is to be looked at.
    pub(super) fn deadline(&self) -> Option<Timestamp> {
        let watched = self.watched.first().map(|(at, _)| *at);
        match (watched, self.fetched_deadline()) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        }
    }

    /// A message was fetched with basic.get.
    pub(super) fn fetch(&mut self, seq: Seq, now: Timestamp) {
        self.fetched.insert((now, seq));
    }

    /// A message that was fetched then is settled.
    pub(super) fn end_fetch(&mut self, seq: Seq, since: Timestamp) {
        self.fetched.remove(&(since, seq));
    }

    /// A lease ends of a consumer that is gone.
    pub(super) fn end_departed(&mut self, id: ConsumerId, since: Timestamp) {
        let Some(departed) = self.departed.get_mut(&id) else { return };
        departed.tenant.tenure.end(since);
        if departed.tenant.tenure.oldest().is_none()
            && let Some(departed) = self.departed.remove(&id)
        {
            self.forget(id, &departed.tenant);
        }
    }

    /// The consumer is gone; what it holds is still to be watched.
    pub(super) fn depart(&mut self, id: ConsumerId, outlet: Arc<dyn Outlet>, tenant: Tenant) {
        if tenant.tenure.oldest().is_some() {
            self.departed.insert(id, Departed { outlet, tenant });
        } else {
            self.forget(id, &tenant);
        }
    }

    fn forget(&mut self, id: ConsumerId, tenant: &Tenant) {
        if let Some(at) = tenant.watched {
            self.watched.remove(&(at, id));
        }
    }

    fn fetched_deadline(&self) -> Option<Timestamp> {
        let (since, _) = self.fetched.first()?;
        Some(since.plus_millis(self.limit_ms?))
    }

    fn take_overdue_fetched(&mut self, now: Timestamp) -> Vec<Seq> {
        let mut overdue = Vec::new();
        while self.fetched_deadline().is_some_and(|deadline| deadline <= now) {
            overdue.extend(self.fetched.pop_first().map(|(_, seq)| seq));
        }
        overdue
    }
}

impl Consumers {
    /// How long a lease lasts where the consumer does not say; `None` is without end.
    pub(super) fn set_lease_limit(&mut self, limit_ms: Option<u64>) {
        if self.times.limit_ms == limit_ms {
            return;
        }
        self.times.limit_ms = limit_ms;
        self.times.watched.clear();
        for (id, consumer) in &mut self.by_id {
            consumer.tenant.watch(*id, &mut self.times);
        }
        let mut departed = std::mem::take(&mut self.times.departed);
        for (id, departed) in &mut departed {
            departed.tenant.watch(*id, &mut self.times);
        }
        self.times.departed = departed;
    }

    /// How long a lease of this consumer lasts; of one that is not known, as long as any that does not say.
    pub(super) fn lease_limit(&self, id: ConsumerId) -> Option<u64> {
        let living = self.by_id.get(&id).map(|consumer| &consumer.tenant);
        let tenant = living.or_else(|| self.times.departed.get(&id).map(|departed| &departed.tenant));
        tenant.map_or(self.times.limit_ms, |tenant| tenant.limit_ms(&self.times))
    }

    /// Takes out the consumers whose oldest lease has run out: they get nothing any more. Their leases are to be ended.
    pub(super) fn take_overdue(&mut self, now: Timestamp) -> Overdue {
        let mut overdue = Overdue { fetched: self.times.take_overdue_fetched(now), ..Overdue::default() };
        while let Some(&(at, id)) = self.times.watched.first()
            && at <= now
        {
            self.times.watched.pop_first();
            overdue.consumers.extend(self.look_at(id, now));
        }
        overdue
    }

    /// The consumer, if it is overdue; else it is looked at again later.
    fn look_at(&mut self, id: ConsumerId, now: Timestamp) -> Option<OverdueConsumer> {
        let times = &mut self.times;
        let mut departed = times.departed.remove(&id);
        let (outlet, tenant) = match (self.by_id.get_mut(&id), &mut departed) {
            (Some(consumer), _) => (&consumer.subscription.outlet, &mut consumer.tenant),
            (None, Some(departed)) => (&departed.outlet, &mut departed.tenant),
            (None, None) => return None,
        };
        let overdue = tenant.overdue_ms(now, times);
        let overdue = overdue.map(|limit_ms| OverdueConsumer { id, outlet: Arc::clone(outlet), limit_ms });
        tenant.watched = None;
        if overdue.is_none() {
            tenant.watch(id, times);
        }
        times.departed.extend(departed.map(|departed| (id, departed)));
        if overdue.is_some() {
            self.remove(id);
        }
        overdue
    }
}

impl Inner {
    /// Takes back what was fetched and held for too long, and all that consumers hold whose oldest lease has run out:
    /// before anybody else is served. Returns whether no consumer is left.
    pub(super) fn end_overdue_leases(&mut self, after: &mut Aftermath, now: Timestamp) -> bool {
        let overdue = self.consumers.take_overdue(now);
        for seq in overdue.fetched {
            self.state.apply(Command::Return(seq, Cause::Returned), now, &mut after.effects);
        }
        if overdue.consumers.is_empty() {
            return false;
        }
        let held = self.state.leases().held_by(overdue.consumers.iter().map(|consumer| consumer.id));
        self.end_leases(&held, Settlement::Requeue, now, &mut after.effects);
        self.last_used = now;
        after.overdue = overdue.consumers;
        self.consumers.is_empty()
    }
}

impl fmt::Debug for Departed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Departed").field("tenant", &self.tenant).finish_non_exhaustive()
    }
}
