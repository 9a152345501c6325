//! What a queue is to do, told as simply as it can be: a list of messages that is searched each time.
//!
//! Written from what RabbitMQ promises, not from the queue: quadratic, without lanes, levels, rings or pages.

use std::cmp::Reverse;

use super::{AGAIN_AFTER_MS, Backoff, Consume, End, Given, Publish, Rules, Seen, Step};

/// A quorum queue's delivery limit where none is asked for.
const QUORUM_DELIVERIES: u32 = 20;

#[derive(Clone, Debug)]
enum Where {
    Ready,
    /// Not settled.
    Held {
        lease: usize,
        by: Option<usize>,
        since: u64,
    },
    /// Not due: its turn among those that are due at the same moment.
    Waiting {
        due: u64,
        turn: usize,
    },
    /// Its letter has not arrived.
    Dead,
}

#[derive(Clone, Debug)]
struct Message {
    publish: Publish,
    level: u8,
    /// Its place in its level.
    place: usize,
    expires: Option<u64>,
    deliveries: u32,
    /// The same, as far as the store was told.
    stored: u32,
    /// A crash has left open whether it was given out before.
    uncertain: bool,
    /// Why it was dead before a restart.
    verdict: Option<&'static str>,
    /// It came back and waits, or has waited, to be tried again.
    retried: bool,
    at: Where,
}

#[derive(Clone, Debug)]
struct Consumer {
    asks: Consume,
    gone: bool,
    blocked: bool,
    /// It has refused a delivery, and has not said since that it takes some.
    paused: bool,
}

#[derive(Debug, Default)]
pub(super) struct Model {
    rules: Rules,
    now: u64,
    messages: Vec<Message>,
    consumers: Vec<Consumer>,
    /// Where only one consumer is served: who.
    active: Option<usize>,
    /// Consumers that can take something, in the order in which it is their turn.
    turns: Vec<usize>,
    places: usize,
    leases: usize,
    /// Messages of a quorum queue that left it from its head, since it was empty: every third is a normal one.
    served: usize,
    /// Leases that their holders have not settled, run out or not.
    unsettled: Vec<(usize, Option<usize>)>,
    /// When somebody consumed last, or began or ended to, or fetched.
    last_used: u64,
    /// Dead letters do not arrive.
    is_post_closed: bool,
    /// When they are tried again.
    again_at: Option<u64>,
    seen: Seen,
}

impl Model {
    pub(super) fn new(rules: Rules) -> Self {
        Self { rules, ..Self::default() }
    }

    /// Whether there are letters that would arrive if they were tried again.
    pub(super) fn letters_wait(&self) -> bool {
        let is_dead = |message: &Message| matches!(message.at, Where::Dead);
        !self.is_post_closed && self.messages.iter().any(is_dead)
    }

    /// Consumers that there are.
    pub(super) fn consuming(&self) -> Vec<usize> {
        (0..self.consumers.len()).filter(|number| !self.consumers[*number].gone).collect()
    }

    /// Leases that can be settled.
    pub(super) fn unsettled(&self) -> Vec<usize> {
        self.unsettled.iter().map(|(lease, _)| *lease).collect()
    }

    pub(super) fn step(&mut self, step: &Step) -> Seen {
        match step {
            Step::Publish(publish) => self.publish(publish),
            Step::Get { no_ack } => self.get(*no_ack),
            Step::Settle { lease, end } => {
                self.unsettled.retain(|(known, _)| known != lease);
                self.settle(*lease, *end);
                self.deliver();
            }
            Step::Consume(asks) => {
                let asks = asks.clone();
                self.consumers.push(Consumer { asks, gone: false, blocked: false, paused: false });
                self.last_used = self.now;
                self.deliver();
            }
            Step::Cancel { consumer } => self.cancel(*consumer),
            Step::Lose { consumer } => {
                self.consumers[*consumer].gone = true;
                self.last_used = self.now;
                let held = self.take_all_of(*consumer);
                held.into_iter().for_each(|lease| self.settle(lease, End::Reject));
                self.deliver();
            }
            Step::Block { consumer } => self.consumers[*consumer].blocked = true,
            Step::Unblock { consumer } => {
                (self.consumers[*consumer].blocked, self.consumers[*consumer].paused) = (false, false);
                self.deliver();
            }
            Step::Purge => self.purge(),
            Step::Pass { ms } => {
                for _ in 1..*ms {
                    self.now += 1;
                    self.tick();
                }
                self.now += 1;
            }
            Step::Evict => {}
            Step::Govern(rules) => {
                self.rules = rules.clone();
                self.deliver();
            }
            Step::Post { is_open } => self.is_post_closed = !is_open,
            Step::Restart { is_crash } => self.restart(*is_crash),
        }
        self.tick();
        self.seen.counts = self.counts();
        std::mem::take(&mut self.seen)
    }

    fn counts(&self) -> (usize, usize, usize, usize, usize, u64) {
        let count = |is: fn(&Where) -> bool| self.messages.iter().filter(|message| is(&message.at)).count();
        (
            count(|at| matches!(at, Where::Ready)),
            count(|at| matches!(at, Where::Held { .. })),
            count(|at| matches!(at, Where::Waiting { .. })),
            count(|at| matches!(at, Where::Dead)),
            self.consuming().len(),
            self.ready().map(|message| message.publish.body().len() as u64).sum(),
        )
    }

    fn ready(&self) -> impl Iterator<Item = &Message> {
        self.messages.iter().filter(|message| matches!(message.at, Where::Ready))
    }

    /// Where in the list the next message is: of those of the highest level the first.
    fn next(&self) -> Option<usize> {
        let ready = (0..self.messages.len()).filter(|at| matches!(self.messages[*at].at, Where::Ready));
        let is_normals_turn = self.rules.quorum && self.served % 3 == 2;
        let rank = |level: u8| if is_normals_turn { u8::MAX - level } else { level };
        ready.min_by_key(|at| (Reverse(rank(self.messages[*at].level)), self.messages[*at].place))
    }

    /// A message has left from the head.
    fn count_served(&mut self) {
        self.served += 1;
        self.forget_served();
    }

    fn forget_served(&mut self) {
        if self.ready().next().is_none() {
            self.served = 0;
        }
    }

    fn publish(&mut self, publish: &Publish) {
        let is_like = |message: &Message| {
            message.publish.header == publish.header && !matches!(message.at, Where::Dead)
        };
        let is_there = self.messages.iter().any(is_like);
        if self.rules.deduplicates && publish.header.is_some() && is_there {
            self.seen.answer = "duplicate".to_owned();
            return;
        }
        let rejects = match self.rules.overflow {
            // It is for classic queues.
            "reject-publish-dlx" => !self.rules.quorum,
            overflow => overflow == "reject-publish",
        };
        // What is not due has its room already.
        let waiting = self.messages.iter().filter(|message| matches!(message.at, Where::Waiting { .. }));
        let waiting: Vec<_> = waiting.map(|message| message.publish.body().len() as u64).collect();
        let octets = waiting.iter().sum::<u64>() + publish.body().len() as u64;
        if rejects && self.is_too_much(waiting.len() as u64 + 1, octets) {
            self.seen.answer = "refused".to_owned();
            if self.rules.overflow == "reject-publish-dlx" {
                self.seen.dead.push((publish.number, "maxlen"));
            }
            return;
        }
        self.seen.answer = "accepted".to_owned();
        let level = match self.rules.priority_max {
            _ if self.rules.quorum => u8::from(publish.priority > 4),
            max => max.map_or(0, |max| publish.priority.min(max)),
        };
        let message = Message {
            publish: publish.clone(),
            level,
            place: 0,
            expires: None,
            deliveries: 0,
            stored: 0,
            uncertain: false,
            verdict: None,
            retried: false,
            at: Where::Ready,
        };
        match publish.delay_ms {
            Some(delay) => self.wait(message, delay),
            None => self.arrive(message),
        }
        self.deliver();
    }

    fn is_too_much(&self, more: u64, octets: u64) -> bool {
        let (ready, .., ready_octets) = self.counts();
        self.rules.length_max.is_some_and(|max| ready as u64 + more > max)
            || self.rules.bytes_max.is_some_and(|max| ready_octets + octets > max)
    }

    /// The last of its level.
    fn arrive(&mut self, mut message: Message) {
        self.places += 1;
        message.place = self.places;
        message.at = Where::Ready;
        if !message.retried {
            let ttl = [self.rules.ttl_ms, message.publish.ttl_ms].into_iter().flatten().min();
            message.expires = ttl.map(|ttl| self.now + ttl);
        }
        self.messages.push(message);
    }

    fn wait(&mut self, mut message: Message, delay_ms: u64) {
        self.places += 1;
        message.at = Where::Waiting { due: self.now + delay_ms, turn: self.places };
        self.messages.push(message);
    }

    /// What is due becomes ready, in order of its time, then of its arrival.
    fn make_due_ready(&mut self) {
        let due = |message: &Message| match message.at {
            Where::Waiting { due, turn } => (due <= self.now).then_some((due, turn)),
            Where::Ready | Where::Held { .. } | Where::Dead => None,
        };
        let mut ready: Vec<_> =
            self.messages.iter().filter(|message| due(message).is_some()).cloned().collect();
        ready.sort_by_key(&due);
        let now = self.now;
        self.messages.retain(|message| !matches!(message.at, Where::Waiting { due, .. } if due <= now));
        ready.into_iter().for_each(|message| self.arrive(message));
    }

    /// Heads of levels go whose time is over; the highest level first.
    fn expire(&mut self, is_over: impl Fn(u64) -> bool) {
        loop {
            let head =
                |level: u8| self.ready().filter(|message| message.level == level).min_by_key(|m| m.place);
            let heads = (0..=u8::MAX).rev().filter_map(head);
            let reason = |head: &Message| {
                head.verdict.or_else(|| head.expires.is_some_and(&is_over).then_some("expired"))
            };
            let over = heads.filter_map(|head| Some((head.publish.number, reason(head)?)));
            let Some((number, reason)) = over.take(1).next() else { return };
            self.die(number, reason);
        }
    }

    fn die(&mut self, number: u32, reason: &'static str) {
        if !(self.rules.keeps_dead && self.is_post_closed) {
            self.messages.retain(|message| message.publish.number != number);
            self.forget_served();
            self.seen.dead.push((number, reason));
            return;
        }
        let dying = self.messages.iter_mut().filter(|message| message.publish.number == number);
        dying.for_each(|message| {
            message.at = Where::Dead;
            message.verdict = Some(reason);
        });
        self.forget_served();
        self.again_at.get_or_insert(self.now + AGAIN_AFTER_MS);
    }

    /// Letters that did not arrive are tried again.
    fn try_again(&mut self) {
        if self.again_at.is_none_or(|at| at > self.now) {
            return;
        }
        self.again_at = self.is_post_closed.then_some(self.now + AGAIN_AFTER_MS);
        if self.is_post_closed {
            return;
        }
        let dead = |message: &mut Message| matches!(message.at, Where::Dead);
        let arrived = self.messages.extract_if(.., dead);
        self.seen.dead.extend(arrived.map(|dead| (dead.publish.number, dead.verdict.unwrap_or_default())));
    }

    /// What the log has is there again, and nobody who consumes.
    fn restart(&mut self, is_crash: bool) {
        let keeps_all = self.rules.quorum;
        self.messages.retain(|message| keeps_all || message.publish.persistent);
        for message in &mut self.messages {
            if matches!(message.at, Where::Waiting { .. }) {
                continue;
            }
            message.at = Where::Ready;
            message.deliveries = message.stored;
            message.uncertain = is_crash;
            // It expires once more.
            message.verdict = message.verdict.filter(|reason| *reason != "expired");
        }
        self.consumers.iter_mut().for_each(|consumer| consumer.gone = true);
        self.turns.clear();
        self.served = 0;
        self.unsettled.clear();
        (self.again_at, self.last_used) = (None, self.now);
        self.deliver();
    }

    /// Everything that can be given out is given out; then what cannot stay goes.
    fn deliver(&mut self) {
        self.make_due_ready();
        let now = self.now;
        loop {
            self.expire(|expires| expires < now);
            self.take_turns();
            let Some(at) = self.next() else { break };
            let highest = self.turns.iter().map(|turn| self.consumers[*turn].asks.priority).max();
            let turn =
                self.turns.iter().position(|turn| Some(self.consumers[*turn].asks.priority) == highest);
            let Some(turn) = turn else { break };
            let consumer = self.turns.remove(turn);
            if self.consumers[consumer].blocked {
                self.consumers[consumer].paused = true;
                continue;
            }
            let no_ack = self.consumers[consumer].asks.no_ack;
            self.give(at, Some(consumer), no_ack);
        }
        self.expire(|expires| expires <= now);
        let drops = self.rules.overflow == "drop-head"
            || self.rules.overflow == "reject-publish-dlx" && self.rules.quorum;
        while drops && self.is_too_much(0, 0) {
            let Some(at) = self.next() else { break };
            self.die(self.messages[at].publish.number, "maxlen");
            self.count_served();
        }
        // Whatever is at the head now.
        self.expire(|expires| expires <= now);
    }

    /// Who can take something now is the last to have a turn; who cannot has none.
    fn take_turns(&mut self) {
        self.elect();
        let can = |number: usize| self.can_take(number);
        let turns: Vec<_> = self.turns.iter().copied().filter(|turn| can(*turn)).collect();
        let new = (0..self.consumers.len()).filter(|number| can(*number) && !turns.contains(number));
        self.turns = turns.iter().copied().chain(new).collect();
    }

    /// Who takes over is the first of the highest priority.
    fn elect(&mut self) {
        let priority = |number: &usize| self.consumers[*number].asks.priority;
        let best = self.consuming().into_iter().max_by_key(|number| (priority(number), Reverse(*number)));
        match self.active.filter(|active| !self.consumers[*active].gone) {
            Some(active) if !self.must_give_way(active) || self.held_by(active) > 0 => {}
            _ => self.active = best,
        }
    }

    /// On a quorum queue one of higher priority takes over.
    fn must_give_way(&self, active: usize) -> bool {
        let priority = |number: usize| self.consumers[number].asks.priority;
        self.rules.quorum && self.consuming().into_iter().any(|other| priority(other) > priority(active))
    }

    fn can_take(&self, number: usize) -> bool {
        let Consumer { asks, gone, paused, .. } = &self.consumers[number];
        let is_served = self.active == Some(number) && !self.must_give_way(number);
        let has_credit =
            asks.no_ack || asks.prefetch.is_none_or(|limit| self.held_by(number) < limit as usize);
        !gone && !paused && has_credit && (is_served || !self.rules.single_active)
    }

    fn held_by(&self, number: usize) -> usize {
        let held = |message: &&Message| matches!(message.at, Where::Held { by, .. } if by == Some(number));
        self.messages.iter().filter(held).count()
    }

    fn give(&mut self, at: usize, to: Option<usize>, no_ack: bool) {
        let message = &mut self.messages[at];
        let (number, redelivered) = (message.publish.number, message.deliveries > 0 || message.uncertain);
        let Rules { quorum, delivery_limit, retry, .. } = &self.rules;
        let tells = *quorum || delivery_limit.is_some() || retry.is_some();
        let returns = if tells { message.deliveries } else { 0 };
        self.seen.given.push(Given { to, number, redelivered, returns });
        if no_ack {
            self.messages.remove(at);
        } else {
            message.deliveries += 1;
            message.stored = if tells { message.deliveries } else { message.stored.max(1) };
            message.at = Where::Held { lease: self.leases, by: to, since: self.now };
            self.unsettled.push((self.leases, to));
            self.leases += 1;
        }
        self.count_served();
    }

    fn get(&mut self, no_ack: bool) {
        self.last_used = self.now;
        self.make_due_ready();
        let now = self.now;
        self.expire(|expires| expires < now);
        match self.next() {
            None => self.seen.answer = "empty".to_owned(),
            Some(at) => {
                self.give(at, None, no_ack);
                self.seen.answer = format!("{} left", self.ready().count());
            }
        }
    }

    /// Ends a lease, unless it has run out.
    fn settle(&mut self, lease: usize, end: End) {
        let held =
            |message: &Message| matches!(message.at, Where::Held { lease: known, .. } if known == lease);
        let Some(at) = self.messages.iter().position(held) else { return };
        let number = self.messages[at].publish.number;
        match end {
            End::Ack => drop(self.messages.remove(at)),
            End::Discard => self.die(number, "rejected"),
            End::Nack | End::Reject => self.give_back(at, end),
        }
        self.take_turns();
    }

    fn give_back(&mut self, at: usize, end: End) {
        let mut message = self.messages[at].clone();
        let limit = self.rules.delivery_limit.or_else(|| self.rules.quorum.then_some(QUORUM_DELIVERIES));
        if limit.is_some_and(|limit| message.deliveries > limit) {
            return self.die(message.publish.number, "delivery_limit");
        }
        match self.rules.retry.as_ref().and_then(|backoff| backoff.delay_ms(message.deliveries, end)) {
            Some(delay_ms) => {
                self.messages.remove(at);
                message.retried = true;
                message.stored = message.deliveries;
                message.uncertain = false;
                self.wait(message, delay_ms);
            }
            None => self.messages[at].at = Where::Ready,
        }
    }

    fn cancel(&mut self, consumer: usize) {
        self.consumers[consumer].gone = true;
        self.last_used = self.now;
        self.deliver();
    }

    /// All that a consumer has not settled, which it will not any more.
    fn take_all_of(&mut self, consumer: usize) -> Vec<usize> {
        let (its, others): (Vec<_>, _) = self.unsettled.iter().partition(|(_, by)| *by == Some(consumer));
        self.unsettled = others;
        its.into_iter().map(|(lease, _)| lease).collect()
    }

    fn purge(&mut self) {
        let before = self.messages.len();
        self.messages.retain(|message| matches!(message.at, Where::Held { .. }));
        self.again_at = None;
        self.seen.answer = (before - self.messages.len()).to_string();
        self.forget_served();
    }

    /// Time has come: for messages, and for those who hold some for too long.
    fn tick(&mut self) {
        if self.seen.is_over {
            return;
        }
        let now = self.now;
        let mut fetched = Vec::new();
        let mut expired = Vec::new();
        for message in &self.messages {
            let Where::Held { lease, by, since } = message.at else { continue };
            let own = by.and_then(|consumer| self.consumers[consumer].asks.lease_ms);
            let limit = own.or(self.rules.lease_ms).filter(|limit| *limit > 0);
            match (limit, by) {
                (Some(limit), Some(consumer)) if since + limit <= now => expired.push(consumer),
                (Some(limit), None) if since + limit <= now => fetched.push((since, message.place, lease)),
                (_, _) => {}
            }
        }
        fetched.sort_unstable();
        fetched.iter().for_each(|(_, _, lease)| self.settle(*lease, End::Nack));
        expired.sort_unstable();
        expired.dedup();
        expired.iter().for_each(|consumer| self.consumers[*consumer].gone = true);
        // In the order of the queue.
        let mut held: Vec<_> = self
            .messages
            .iter()
            .filter_map(|message| match message.at {
                Where::Held { lease, by: Some(by), .. } if expired.contains(&by) => {
                    Some((message.place, lease))
                }
                Where::Held { .. } | Where::Ready | Where::Waiting { .. } | Where::Dead => None,
            })
            .collect();
        held.sort_unstable();
        held.into_iter().for_each(|(_, lease)| self.settle(lease, End::Nack));
        expired.iter().for_each(|consumer| drop(self.take_all_of(*consumer)));
        if !expired.is_empty() {
            self.last_used = now;
        }
        self.seen.expired.extend(expired);
        self.expire(|expires| expires <= now);
        self.try_again();
        self.deliver();
        let is_idle = |idle_ms: u64| self.consuming().is_empty() && self.last_used + idle_ms <= now;
        if self.rules.idle_ms.is_some_and(is_idle) {
            self.seen.is_over = true;
            self.messages.clear();
        }
    }
}

impl Backoff {
    /// By how much a message is delayed that was given out so many times.
    fn delay_ms(&self, deliveries: u32, end: End) -> Option<u64> {
        let is_meant = match self.on {
            "failed" => end == End::Reject,
            "returned" => end == End::Nack,
            _ => true,
        };
        let delay = match self.multiplier {
            Some(multiplier) => self.min_ms * multiplier.pow(deliveries - 1),
            None => self.min_ms * u64::from(deliveries),
        };
        is_meant.then(|| self.max_ms.map_or(delay, |max| delay.min(max)))
    }
}
