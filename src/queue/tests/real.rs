//! The queue, with a store and consumers that do as they are told, at a time that the test decides.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use lepus_protocol::{ChannelId, FieldTable, Properties, ShortString};
use parking_lot::Mutex;
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;

use super::{Consume, End, Given, Publish, Rules, Seen, Step};
use crate::clock::Timestamp;
use crate::fingerprint::Fingerprint;
use crate::id::{ConnectionId, EntityId};
use crate::message::{Envelope, Message};
use crate::name::Name;
use crate::queue::settings::Settings;
use crate::queue::{
    ConsumerId, Counts, Dead, Delivery, Departures, Dropped, Enqueued, Got, Holder, Home, Host, Lane,
    LeaseRef, Moves, Offered, Origin, Outlet, PageWanted, Queue, QueueArguments, QueueOptions, ReadAtStart,
    Remains, Seq, Settlement, Stored, Subscription, Turn, Whereabouts,
};

/// A message of a store: with its expiry and how often it was given out, as far as the store was told.
type Kept = (Message, Option<Timestamp>, u32);

/// What the queue's surroundings know.
#[derive(Default)]
struct World {
    log: BTreeMap<(Lane, Seq), Kept>,
    spill: BTreeMap<(Lane, Seq), Kept>,
    /// What has left the log, maybe before it was there.
    left: BTreeSet<(Lane, Seq)>,
    /// Up to where each lane was given out, maybe before it was there.
    delivered: BTreeMap<Lane, Seq>,
    armed: BTreeSet<Timestamp>,
    wants_page: bool,
    given: Vec<(Given, Option<LeaseRef>)>,
    dead: Vec<(u32, &'static str)>,
    expired: Vec<usize>,
    octets: i64,
    /// Letters do not arrive.
    is_post_closed: bool,
}

#[derive(Default)]
struct Surroundings(Mutex<World>);

impl World {
    fn kept(&mut self, home: Home) -> &mut BTreeMap<(Lane, Seq), Kept> {
        match home {
            Home::Log => &mut self.log,
            Home::Spill => &mut self.spill,
            Home::Memory => panic!("memory is no store"),
        }
    }

    fn forget(&mut self, gone: &Departures) {
        for (home, runs) in [(Home::Log, &gone.logged), (Home::Spill, &gone.spilled)] {
            for run in runs {
                for seq in run.first.get()..=run.last.get() {
                    let place = (run.level, Seq::new(seq));
                    let was_there = self.kept(home).remove(&place).is_some();
                    if home == Home::Log {
                        assert!(self.left.insert(place), "{place:?} has left twice");
                    } else {
                        assert!(was_there, "{place:?} was not spilled");
                    }
                }
            }
        }
    }

    fn keep(&mut self, level: Lane, seq: Seq, message: Message, expires: Option<Timestamp>) {
        if !self.left.contains(&(level, seq)) {
            let is_delivered = self.delivered.get(&level).is_some_and(|last| *last >= seq);
            let before = self.log.insert((level, seq), (message, expires, u32::from(is_delivered)));
            assert!(before.is_none(), "{level:?} {seq:?} is given twice");
        }
    }

    fn page(&mut self, wanted: PageWanted) -> Vec<Stored> {
        let mut page = Vec::new();
        for (home, from) in [(Home::Log, wanted.logged), (Home::Spill, wanted.spilled)] {
            let Some(from) = from else { continue };
            let lane = (wanted.level, from)..=(wanted.level, Seq::new(u64::MAX));
            page.extend(self.kept(home).range(lane).map(|((_, seq), (message, expires, deliveries))| {
                Stored {
                    seq: *seq,
                    message: message.clone(),
                    expires: *expires,
                    deliveries: *deliveries,
                    home,
                }
            }));
        }
        page.sort_by_key(|stored| stored.seq);
        page
    }
}

impl Host for Surroundings {
    fn arm(&self, _: &Arc<Queue>, at: Timestamp) {
        self.0.lock().armed.insert(at);
    }

    fn delivered(&self, _: &Queue, level: Lane, last: Seq) {
        let mut world = self.0.lock();
        world.delivered.insert(level, last);
        let up_to = world.log.range_mut((level, Seq::new(0))..=(level, last));
        up_to.for_each(|(_, (_, _, deliveries))| *deliveries = (*deliveries).max(1));
    }

    fn counted(&self, _: &Queue, level: Lane, seq: Seq, deliveries: u32) {
        if let Some((_, _, known)) = self.0.lock().log.get_mut(&(level, seq)) {
            *known = deliveries;
        }
    }

    fn moved(&self, _: &Queue, moves: Moves) {
        let mut world = self.0.lock();
        moves.placed.into_iter().for_each(|to| world.keep(to.level, to.seq, to.message, to.expires));
        world.forget(&moves.left);
    }

    fn fetch(&self, _: &Queue, level: Lane, seq: Seq, home: Home) -> Option<Message> {
        self.0.lock().kept(home).get(&(level, seq)).map(|(message, _, _)| message.clone())
    }

    fn left(&self, queue: &Queue, dropped: Vec<Dropped>, gone: Departures, _: Option<Turn>, _: Timestamp) {
        for Dropped { message, reason } in dropped {
            let message = match message {
                Remains::Message(message) => message,
                Remains::Stored(level, seq, home) => self.fetch(queue, level, seq, home).unwrap(),
            };
            self.0.lock().dead.push((number(&message), reason.name()));
        }
        self.0.lock().forget(&gone);
    }

    fn died(&self, queue: &Arc<Queue>, dead: Vec<Dead>, turn: Option<Turn>, now: Timestamp) {
        drop(turn);
        let is_again = dead.iter().any(|dead| dead.is_again);
        if self.0.lock().is_post_closed {
            return queue.carried(&[], dead, is_again, now);
        }
        let seqs: Vec<_> = dead.iter().map(|dead| dead.seq).collect();
        for Dead { message, reason, .. } in dead {
            let message = match message {
                Remains::Message(message) => message,
                Remains::Stored(level, seq, home) => self.fetch(queue, level, seq, home).unwrap(),
            };
            self.0.lock().dead.push((number(&message), reason.name()));
        }
        queue.carried(&seqs, Vec::new(), is_again, now);
    }

    fn account(&self, _: &Arc<Queue>, octets: i64) {
        self.0.lock().octets += octets;
    }

    fn page_in(&self, _: &Arc<Queue>) {
        self.0.lock().wants_page = true;
    }
}

/// A consumer.
struct Reader {
    number: usize,
    no_ack: bool,
    id: OnceLock<ConsumerId>,
    is_blocked: AtomicBool,
    world: Arc<Surroundings>,
}

impl Outlet for Reader {
    fn offer(&self, delivery: &Delivery<'_>) -> Offered {
        if self.is_blocked.load(Ordering::Relaxed) {
            return Offered::Refused;
        }
        let holder = Holder::Consumer(*self.id.get().unwrap());
        let lease = (!self.no_ack).then_some(LeaseRef { seq: delivery.seq, holder });
        let Delivery { message, redelivered, returns, .. } = *delivery;
        let given = Given { to: Some(self.number), number: number(message), redelivered, returns };
        self.world.0.lock().given.push((given, lease));
        Offered::Taken { wake: false }
    }

    fn wake(&self) {}

    fn cancelled(&self) {}

    fn expired(&self, _: u64) {
        self.world.0.lock().expired.push(self.number);
    }
}

pub(super) struct Real {
    queue: Arc<Queue>,
    world: Arc<Surroundings>,
    now: Timestamp,
    readers: Vec<Arc<Reader>>,
    /// All that were ever given.
    leases: Vec<LeaseRef>,
    /// Those that their holders have not settled.
    unsettled: BTreeMap<usize, Option<usize>>,
    rules: Rules,
    seen: Seen,
}

impl Real {
    pub(super) fn new(rules: &Rules) -> Self {
        let now = Timestamp::from_millis(1_000_000);
        let world = Arc::new(Surroundings::default());
        let queue = declare(rules, &world, now);
        let (readers, leases, unsettled) = (Vec::new(), Vec::new(), BTreeMap::new());
        let (rules, seen) = (rules.clone(), Seen::default());
        Self { queue, world, now, readers, leases, unsettled, rules, seen }
    }

    pub(super) fn step(&mut self, step: &Step) -> Seen {
        match step {
            Step::Publish(publish) => self.publish(publish),
            Step::Get { no_ack } => self.get(*no_ack),
            Step::Settle { lease, end } => self.settle(*lease, *end),
            Step::Consume(asks) => self.consume(asks),
            Step::Cancel { consumer } => self.cancel(*consumer),
            Step::Lose { consumer } => {
                let held = self.take_all_of(*consumer);
                self.queue.leave(&[self.id(*consumer)], &held, self.now);
                self.work_off();
            }
            Step::Block { consumer } => self.readers[*consumer].is_blocked.store(true, Ordering::Relaxed),
            Step::Unblock { consumer } => {
                self.readers[*consumer].is_blocked.store(false, Ordering::Relaxed);
                self.queue.resume(self.id(*consumer), self.now);
            }
            Step::Purge => self.seen.answer = self.queue.purge(self.now).to_string(),
            Step::Pass { ms } => {
                for _ in 1..*ms {
                    self.now = self.now.plus_millis(1);
                    self.tick();
                }
                self.now = self.now.plus_millis(1);
            }
            Step::Evict => self.evict(),
            Step::Govern(rules) => {
                self.rules = rules.clone();
                let arguments = QueueArguments::parse(arguments(rules)).unwrap();
                self.queue.reconfigure(Settings::of(&arguments), self.now);
            }
            Step::Post { is_open } => self.world.0.lock().is_post_closed = !is_open,
            Step::Restart { is_crash } => self.restart(*is_crash),
        }
        self.tick();
        let (counts, octets) = (self.queue.counts(), self.queue.report().ready_octets);
        let Counts { ready, leased, delayed, dead, consumers } = counts;
        self.seen.counts = (ready, leased, delayed, dead, consumers, octets);
        std::mem::take(&mut self.seen)
    }

    /// When everything has gone nothing is left, neither in memory nor in the stores.
    pub(super) fn check_rest(&mut self) -> Result<(), TestCaseError> {
        // Of a queue before a restart too: their numbers are given again.
        (0..self.readers.len()).for_each(|consumer| self.cancel(consumer));
        self.work_off();
        let held: Vec<_> = self.unsettled.keys().copied().collect();
        held.into_iter().for_each(|lease| self.settle(lease, End::Ack));
        self.queue.purge(self.now);
        let counts = self.queue.counts();
        prop_assert_eq!((counts.ready, counts.leased, counts.delayed, counts.dead), (0, 0, 0, 0));
        let world = self.world.0.lock();
        prop_assert_eq!((self.queue.memory(), world.octets), (0, 0));
        prop_assert_eq!((&world.log, &world.spill), (&BTreeMap::new(), &BTreeMap::new()));
        Ok(())
    }

    fn id(&self, consumer: usize) -> ConsumerId {
        *self.readers[consumer].id.get().unwrap()
    }

    fn publish(&mut self, publish: &Publish) {
        let properties = properties(publish.header);
        let envelope = Envelope {
            properties: &properties,
            persistent: publish.persistent,
            priority: publish.priority,
            ttl_ms: publish.ttl_ms,
            delay_ms: publish.delay_ms,
            ..Envelope::default()
        };
        let message = Message::new(&envelope, publish.body().as_bytes());
        let enqueued = self.queue.publish(message.clone(), self.now);
        self.seen.answer = match enqueued {
            Enqueued::Refused => "refused".to_owned(),
            Enqueued::Duplicate => "duplicate".to_owned(),
            Enqueued::Accepted(placement) => {
                if let Some(placement) = placement {
                    self.world.0.lock().keep(placement.level, placement.seq, message, placement.expires);
                }
                "accepted".to_owned()
            }
        };
    }

    fn get(&mut self, no_ack: bool) {
        loop {
            match self.queue.get(no_ack, self.now) {
                Got::Empty => return self.seen.answer = "empty".to_owned(),
                Got::Cold => {
                    let wanted = self.queue.page_of_head(self.now).unwrap();
                    assert!(self.read(wanted) > 0, "the next message is in no store");
                }
                Got::Message(got) => {
                    let number = number(&got.message);
                    let lease = (!no_ack).then_some(LeaseRef { seq: got.seq, holder: got.holder });
                    let given =
                        Given { to: None, number, redelivered: got.redelivered, returns: got.returns };
                    self.world.0.lock().given.push((given, lease));
                    return self.seen.answer = format!("{} left", got.remaining);
                }
            }
        }
    }

    fn consume(&mut self, asks: &Consume) {
        let reader = Arc::new(Reader {
            number: self.readers.len(),
            no_ack: asks.no_ack,
            id: OnceLock::new(),
            is_blocked: AtomicBool::new(false),
            world: Arc::clone(&self.world),
        });
        let origin = Origin {
            connection: ConnectionId::new(1),
            channel: ChannelId::new(1),
            tag: ShortString::default(),
            arguments: FieldTable::new(),
        };
        let subscription = Subscription {
            outlet: Arc::<Reader>::clone(&reader),
            origin: Arc::new(origin),
            no_ack: asks.no_ack,
            exclusive: false,
            priority: asks.priority,
            prefetch: asks.prefetch,
            lease_ms: asks.lease_ms,
        };
        let id = self.queue.subscribe(subscription, self.now).unwrap();
        reader.id.set(id).unwrap();
        self.readers.push(reader);
        self.queue.resume(id, self.now);
    }

    fn cancel(&mut self, consumer: usize) {
        self.queue.cancel(self.id(consumer), self.now);
    }

    fn settle(&mut self, lease: usize, end: End) {
        let how = match end {
            End::Ack => Settlement::Ack,
            End::Discard => Settlement::Discard,
            End::Nack => Settlement::Requeue,
            End::Reject => Settlement::Fail,
        };
        self.unsettled.remove(&lease);
        self.queue.settle(&[self.leases[lease]], how, self.now);
        self.work_off();
    }

    /// All that a consumer has not settled, which it will not any more.
    fn take_all_of(&mut self, consumer: usize) -> Vec<LeaseRef> {
        let its = self.unsettled.extract_if(.., |_, by| *by == Some(consumer));
        its.map(|(lease, _)| self.leases[lease]).collect()
    }

    /// The queue as a start finds it: what the log has.
    fn restart(&mut self, is_crash: bool) {
        let mut world = self.world.0.lock();
        (world.wants_page, world.octets) = (false, 0);
        world.armed.clear();
        world.spill.clear();
        let mut lanes: BTreeMap<Lane, (Vec<Stored>, Seq)> = BTreeMap::new();
        for (lane, seq) in world.log.keys().chain(&world.left) {
            let (_, last) = lanes.entry(*lane).or_insert_with(|| (Vec::new(), Seq::new(0)));
            *last = (*last).max(*seq);
        }
        for (&(lane, seq), (message, expires, deliveries)) in &world.log {
            let (message, home) = (message.clone(), Home::Log);
            let stored = Stored { seq, message, expires: *expires, deliveries: *deliveries, home };
            lanes.entry(lane).and_modify(|(messages, _)| messages.push(stored));
        }
        drop(world);
        self.unsettled.clear();
        self.queue = declare(&self.rules, &self.world, self.now);
        let mut last_ready = Seq::new(0);
        for (lane, (messages, last)) in lanes {
            match (ReadAtStart::of(lane), messages.first().and_then(|message| message.expires)) {
                (Some(ReadAtStart::First), Some(due)) => {
                    let octets = messages.iter().map(|stored| stored.message.body().len() as u64).sum();
                    let present: Vec<_> = messages.iter().filter_map(fingerprint).collect();
                    let present = if self.rules.deduplicates { present } else { Vec::new() };
                    self.queue.restore_waiting(octets, &present);
                    assert!(self.queue.restore_delayed(lane, &runs(&messages), due, last), "{lane:?}");
                }
                (Some(_), _) => self.queue.restore_near(lane, messages, last),
                (None, _) => {
                    let octets = messages.iter().map(|stored| stored.message.body().len() as u64).sum();
                    let present =
                        messages.iter().filter_map(|stored| Some((stored.seq, fingerprint(stored)?)));
                    if self.rules.deduplicates {
                        self.queue.restore_present(&present.collect::<Vec<_>>());
                    }
                    self.queue.restore(lane, &runs(&messages), Some(octets));
                    last_ready = last_ready.max(last);
                }
            }
        }
        self.queue.restored(last_ready, is_crash, self.now);
    }

    /// Fires what is due, until nothing more comes of it.
    fn tick(&mut self) {
        while !self.seen.is_over {
            self.work_off();
            let due: Vec<_> = self.world.0.lock().armed.range(..=self.now).copied().collect();
            for at in &due {
                self.world.0.lock().armed.remove(at);
                self.seen.is_over |= self.queue.tick(*at, self.now).is_over;
            }
            if self.seen.is_over {
                self.work_off();
                return drop(self.queue.delete(self.now, |_| Ok::<_, ()>(())));
            }
            self.work_off();
            let mut expired = std::mem::take(&mut self.world.0.lock().expired);
            expired.sort_unstable();
            if due.is_empty() && expired.is_empty() {
                return;
            }
            for consumer in expired {
                self.seen.expired.push(consumer);
                drop(self.take_all_of(consumer));
            }
        }
    }

    /// Reads what is asked for, and takes down what was given out.
    fn work_off(&mut self) {
        while std::mem::take(&mut self.world.0.lock().wants_page) {
            while let Some(wanted) = self.queue.page_wanted(self.now) {
                assert!(self.read(wanted) > 0, "{wanted:?} is in no store");
            }
        }
        let mut world = self.world.0.lock();
        for (given, lease) in std::mem::take(&mut world.given) {
            if let Some(lease) = lease {
                self.unsettled.insert(self.leases.len(), given.to);
                self.leases.push(lease);
            }
            self.seen.given.push(given);
        }
        self.seen.dead.append(&mut world.dead);
    }

    fn read(&self, wanted: PageWanted) -> usize {
        let page = self.world.0.lock().page(wanted);
        self.queue.paged_in(wanted.level, page, self.now)
    }

    fn evict(&mut self) {
        if !self.rules.pages {
            return;
        }
        let candidates = self.queue.page_out_candidates(0);
        let known = {
            let mut world = self.world.0.lock();
            let mut spilled = Vec::new();
            for unstored in &candidates.unstored {
                let kept = (unstored.message.clone(), unstored.expires, 0);
                world.spill.insert((unstored.level, unstored.seq), kept);
                spilled.push((unstored.level, unstored.seq));
            }
            let runs = |&(level, first, last): &(Lane, Seq, Seq)| {
                let there = world.log.range((level, first)..=(level, last));
                (level, there.map(|((_, seq), _)| (seq.get(), seq.get())).collect())
            };
            Whereabouts { logged: candidates.logged.iter().map(runs).collect(), spilled }
        };
        let taken = known.spilled.clone();
        let used: BTreeSet<_> =
            self.queue.page_out(&candidates, known, self.now).spilled.into_iter().collect();
        let mut world = self.world.0.lock();
        taken.iter().filter(|place| !used.contains(place)).for_each(|place| drop(world.spill.remove(place)));
    }
}

/// A queue without messages.
fn declare(rules: &Rules, world: &Arc<Surroundings>, now: Timestamp) -> Arc<Queue> {
    let arguments = QueueArguments::parse(arguments(rules)).unwrap();
    let settings = Settings::of(&arguments);
    let options = QueueOptions { durable: true, auto_delete: false, exclusive_to: None, arguments };
    let queue =
        Queue::new(EntityId::new(1), Name::from("q"), options, Arc::<Surroundings>::clone(world), now);
    queue.reconfigure(settings, now);
    queue
}

fn fingerprint(stored: &Stored) -> Option<Fingerprint> {
    Fingerprint::of_properties(stored.message.properties())
}

fn runs(messages: &[Stored]) -> Vec<(u64, u64)> {
    messages.iter().map(|stored| (stored.seq.get(), stored.seq.get())).collect()
}

/// The body begins with it.
fn number(message: &Message) -> u32 {
    std::str::from_utf8(&message.body()[..4]).unwrap().parse().unwrap()
}

fn properties(header: Option<u32>) -> Vec<u8> {
    let mut headers = FieldTable::new();
    if let Some(header) = header {
        headers.insert("x-deduplication-header", i64::from(header));
    }
    let (mut encoded, mut raw) = (Vec::new(), Vec::new());
    headers.encode(&mut encoded);
    Properties { headers: Some(&encoded), ..Properties::default() }.encode(&mut raw);
    raw
}

fn arguments(rules: &Rules) -> FieldTable {
    let mut table = FieldTable::new();
    let retry = rules.retry.as_ref();
    let numbers = [
        ("x-max-priority", rules.priority_max.map(u64::from)),
        ("x-message-ttl", rules.ttl_ms),
        ("x-max-length", rules.length_max),
        ("x-max-length-bytes", rules.bytes_max),
        ("x-delivery-limit", rules.delivery_limit.map(u64::from)),
        ("x-consumer-timeout", rules.lease_ms),
        ("x-expires", rules.idle_ms),
        ("x-delayed-retry-min", retry.map(|retry| retry.min_ms)),
        ("x-delayed-retry-max", retry.and_then(|retry| retry.max_ms)),
        ("x-delayed-retry-multiplier", retry.and_then(|retry| retry.multiplier)),
    ];
    for (name, number) in numbers {
        if let Some(number) = number {
            table.insert(name, i64::try_from(number).unwrap());
        }
    }
    table.insert("x-overflow", rules.overflow);
    table.insert("x-single-active-consumer", rules.single_active);
    table.insert("x-message-deduplication", rules.deduplicates);
    if let Some(retry) = retry {
        table.insert("x-delayed-retry-type", retry.on);
    }
    if rules.quorum {
        table.insert("x-queue-type", "quorum");
    }
    if rules.keeps_dead {
        table.insert("x-dead-letter-exchange", "post");
        table.insert("x-dead-letter-strategy", "at-least-once");
    }
    table
}
