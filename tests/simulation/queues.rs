//! Queues on a simulated disk: messages that wait until they are due, come back to be tried again, and die. Whatever
//! crashes, each that was kept is in one place, due when it was, or its dead letter is there.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use lepus::clock::Timestamp;
use lepus::id::EntityId;
use lepus::message::{Envelope, Message};
use lepus::name::Name;
use lepus::queue::{
    Dead, Departures, Dropped, Enqueued, Got, Home, Host, Lane, LeaseRef, Moves, PageWanted, Queue,
    QueueArguments, QueueOptions, ReadAtStart, Remains, Seq, Settlement, Stored, Turn, Whereabouts,
};
use lepus::storage::env::{CrashPlan, SimEnv};
use lepus::storage::{self, Durability, LogPosition, Options, Placement, QueueId, Record, SeqRun, Store};
use lepus_protocol::FieldTable;
use parking_lot::Mutex;

use crate::workload::{open, small_options};
use crate::{Random, for_seeds};

/// The queue that is used, and the one of its dead letters.
const WORK: EntityId = EntityId::new(1);
const DEAD: EntityId = EntityId::new(2);

/// Messages that are due in ten years: enough that others are kept in slots.
const CROWD: u32 = 260;
const YEAR_MS: u64 = 365 * 24 * 3_600_000;

const START: Timestamp = Timestamp::from_millis(1_800_000_000_000);

/// A record that waits for the end of its batch.
enum Written {
    Publish(Placement, Message),
    Gone(EntityId, Departures),
    Delivered(EntityId, Lane, Seq),
    Counted(EntityId, Lane, Seq, u32),
}

/// What surrounds both queues.
struct Desk {
    store: Arc<Store>,
    dead: Mutex<Option<Arc<Queue>>>,
    batch: Mutex<Vec<Written>>,
    armed: Mutex<BTreeSet<(u64, Timestamp)>>,
    /// Numbers of messages that were dropped, once for each time.
    died: Mutex<Vec<u32>>,
    last: Mutex<LogPosition>,
    random: Mutex<Random>,
    has_failed: AtomicBool,
}

fn lane(queue: EntityId, lane: Lane) -> QueueId {
    QueueId(queue.get() << 16 | u64::from(lane.number()))
}

fn number(message: &Message) -> u32 {
    u32::from_le_bytes(message.body().try_into().unwrap())
}

fn placement(queue: EntityId, level: Lane, seq: Seq, expires: Option<Timestamp>) -> Placement {
    let expires_ms = expires.map_or(0, Timestamp::as_millis);
    Placement { queue: lane(queue, level), seq: storage::Seq(seq.get()), expires_ms }
}

impl Desk {
    fn new(store: Store, seed: u64) -> Arc<Self> {
        Arc::new(Self {
            store: Arc::new(store),
            dead: Mutex::default(),
            batch: Mutex::default(),
            armed: Mutex::default(),
            died: Mutex::default(),
            last: Mutex::new(LogPosition(0)),
            random: Mutex::new(Random::new(seed)),
            has_failed: AtomicBool::new(false),
        })
    }

    fn write(&self, written: Written) {
        self.batch.lock().push(written);
    }

    /// Appends what was written since the last time.
    fn flush(&self) -> LogPosition {
        let batch = std::mem::take(&mut *self.batch.lock());
        self.append(&batch, false);
        *self.last.lock()
    }

    fn append(&self, batch: &[Written], atomic: bool) {
        let mut runs = Vec::new();
        for written in batch {
            let Written::Gone(queue, gone) = written else { continue };
            let mut of_lanes: BTreeMap<QueueId, Vec<SeqRun>> = BTreeMap::new();
            for run in &gone.logged {
                let (first, last) = (storage::Seq(run.first.get()), storage::Seq(run.last.get()));
                of_lanes.entry(lane(*queue, run.level)).or_default().push(SeqRun { first, last });
            }
            runs.push(of_lanes);
        }
        let mut of_lanes = runs.iter();
        let mut records = Vec::new();
        for written in batch {
            match written {
                Written::Publish(placement, message) => {
                    let placements = std::slice::from_ref(placement);
                    records.push(Record::Publish { placements, image: message.image() });
                }
                Written::Gone(..) => {
                    let of_lanes = of_lanes.next().into_iter().flatten();
                    records.extend(of_lanes.map(|(queue, runs)| Record::Ack { queue: *queue, runs }));
                }
                Written::Delivered(queue, level, seq) => {
                    let up_to = storage::Seq(seq.get());
                    records.push(Record::Delivered { queue: lane(*queue, *level), up_to });
                }
                Written::Counted(queue, level, seq, count) => {
                    let (queue, seq) = (lane(*queue, *level), storage::Seq(seq.get()));
                    records.push(Record::DeliveryCount { queue, seq, count: *count });
                }
            }
        }
        if records.is_empty() {
            return;
        }
        let appended =
            if atomic { self.store.append(&[Record::Tx(&records)]) } else { self.store.append(&records) };
        match appended {
            Ok(position) => *self.last.lock() = position,
            Err(_) => {
                // It will never be durable.
                *self.last.lock() = LogPosition(u64::MAX);
                self.has_failed.store(true, Ordering::Relaxed);
            }
        }
        // The log's own thread commits when it likes.
        let is_commit = self.random.lock().once_in(3);
        if is_commit && self.store.commit().is_err() {
            self.has_failed.store(true, Ordering::Relaxed);
        }
    }

    /// Reads messages of a lane; none if the disk has failed.
    fn read(&self, of: (EntityId, Lane), from: Seq, budget: usize) -> Vec<Stored> {
        let mut found = Vec::new();
        let read = self.store.read(lane(of.0, of.1), storage::Seq(from.get()), budget, &mut found);
        if read.is_err() {
            self.has_failed.store(true, Ordering::Relaxed);
        }
        let stored = |message: storage::StoredMessage| Stored {
            seq: Seq::new(message.seq.0),
            message: Message::from_image(&message.image),
            expires: Some(message.expires_ms).filter(|ms| *ms > 0).map(Timestamp::from_millis),
            deliveries: message.deliveries,
            home: Home::Log,
        };
        found.into_iter().map(stored).collect()
    }
}

impl Host for Desk {
    fn arm(&self, queue: &Arc<Queue>, at: Timestamp) {
        self.armed.lock().insert((queue.id.get(), at));
    }

    fn delivered(&self, queue: &Queue, level: Lane, seq: Seq) {
        self.write(Written::Delivered(queue.id, level, seq));
    }

    fn counted(&self, queue: &Queue, level: Lane, seq: Seq, deliveries: u32) {
        self.write(Written::Counted(queue.id, level, seq, deliveries));
    }

    fn moved(&self, queue: &Queue, moves: Moves) {
        let placed = moves.placed.into_iter();
        let placed =
            placed.map(|to| Written::Publish(placement(queue.id, to.level, to.seq, to.expires), to.message));
        let all: Vec<_> = placed.chain([Written::Gone(queue.id, moves.left)]).collect();
        self.append(&all, true);
    }

    fn fetch(&self, queue: &Queue, level: Lane, seq: Seq, _: Home) -> Option<Message> {
        let found = self.read((queue.id, level), seq, 1).into_iter().next();
        found.filter(|found| found.seq == seq).map(|found| found.message)
    }

    /// The letters, then that the messages are gone.
    fn left(
        &self,
        queue: &Queue,
        dropped: Vec<Dropped>,
        gone: Departures,
        turn: Option<Turn>,
        now: Timestamp,
    ) {
        drop(turn);
        for Dropped { message, .. } in dropped {
            let message = match message {
                Remains::Message(message) => Some(message),
                Remains::Stored(level, seq, home) => self.fetch(queue, level, seq, home),
            };
            let Some(message) = message else { continue };
            self.died.lock().push(number(&message));
            let letter = Message::new(&Envelope { persistent: true, ..Envelope::default() }, message.body());
            let dead = self.dead.lock().clone().unwrap();
            if let Enqueued::Accepted(Some(place)) = dead.publish(letter.clone(), now) {
                self.write(Written::Publish(placement(DEAD, place.level, place.seq, place.expires), letter));
            }
        }
        self.write(Written::Gone(queue.id, gone));
    }

    fn died(&self, _: &Arc<Queue>, dead: Vec<Dead>, _: Option<Turn>, _: Timestamp) {
        panic!("no queue here keeps its dead messages: {dead:?}");
    }

    fn account(&self, _: &Arc<Queue>, _: i64) {}

    fn page_in(&self, _: &Arc<Queue>) {}
}

/// What is known of a message.
#[derive(Debug, Default)]
struct Fact {
    /// Where the log said that it was there.
    published: LogPosition,
    /// Where the log said that it was settled.
    settled: Option<LogPosition>,
    /// When it was to be due, each time that it was to wait.
    dues: Vec<Timestamp>,
    /// How often it was given out.
    given: u32,
    /// How often it died.
    deaths: usize,
}

struct World {
    env: SimEnv,
    random: Random,
    options: Options,
    desk: Arc<Desk>,
    work: Arc<Queue>,
    now: Timestamp,
    facts: BTreeMap<u32, Fact>,
    numbers: u32,
}

fn queue(desk: &Arc<Desk>, id: EntityId, arguments: FieldTable, now: Timestamp) -> Arc<Queue> {
    let arguments = QueueArguments::parse(arguments).unwrap();
    let options = QueueOptions { durable: true, auto_delete: false, exclusive_to: None, arguments };
    Queue::new(id, Name::from("q"), options, Arc::<Desk>::clone(desk), now)
}

fn open_queues(desk: &Arc<Desk>, seed: u64, now: Timestamp) -> Arc<Queue> {
    let mut arguments = FieldTable::new();
    arguments.insert("x-dead-letter-exchange", "");
    arguments.insert("x-delayed-retry-type", "all");
    for (name, value) in [("x-delayed-retry-min", 1_500), ("x-delivery-limit", 2)] {
        arguments.insert(name, value);
    }
    if seed.is_multiple_of(2) {
        arguments.insert("x-max-length", 6);
    }
    *desk.dead.lock() = Some(queue(desk, DEAD, FieldTable::new(), now));
    queue(desk, WORK, arguments, now)
}

impl World {
    fn new(seed: u64) -> Self {
        let (env, mut random) = (SimEnv::new(), Random::new(seed));
        let options = Options { durability: Durability::Fsync, ..small_options(&mut random) };
        let desk = Desk::new(open(&env, options).unwrap().0, seed);
        let work = open_queues(&desk, seed, START);
        let (facts, now) = (BTreeMap::new(), START);
        let mut world = Self { env, random, options, desk, work, now, facts, numbers: 0 };
        (0..CROWD).for_each(|_| world.publish(Some(10 * YEAR_MS)));
        world.desk.store.commit().unwrap();
        world
    }

    fn has_failed(&self) -> bool {
        self.desk.has_failed.load(Ordering::Relaxed) || self.env.has_crashed()
    }

    fn publish(&mut self, delay_ms: Option<u64>) {
        self.numbers += 1;
        let envelope = Envelope { persistent: true, delay_ms, ..Envelope::default() };
        let message = Message::new(&envelope, &self.numbers.to_le_bytes());
        let Enqueued::Accepted(Some(place)) = self.work.publish(message.clone(), self.now) else {
            panic!("it is refused")
        };
        self.desk.write(Written::Publish(placement(WORK, place.level, place.seq, place.expires), message));
        let published = self.desk.flush();
        let dues = delay_ms.map(|delay_ms| self.now.plus_millis(delay_ms)).into_iter().collect();
        self.facts.insert(self.numbers, Fact { published, dues, ..Fact::default() });
        self.note_deaths();
    }

    fn note_deaths(&mut self) {
        for number in std::mem::take(&mut *self.desk.died.lock()) {
            self.facts.get_mut(&number).unwrap().deaths += 1;
        }
    }

    /// Takes the next message, and ends its lease.
    fn get(&mut self) -> bool {
        loop {
            match self.work.get(false, self.now) {
                Got::Empty => break,
                Got::Cold => {
                    let wanted = self.work.page_of_head(self.now);
                    if wanted.is_none_or(|wanted| !self.read_page(wanted)) {
                        break;
                    }
                }
                Got::Message(got) => {
                    let number = number(&got.message);
                    self.facts.get_mut(&number).unwrap().given += 1;
                    self.settle(number, LeaseRef { seq: got.seq, holder: got.holder });
                    return true;
                }
            }
        }
        self.desk.flush();
        self.note_deaths();
        false
    }

    fn settle(&mut self, number: u32, lease: LeaseRef) {
        let how = match self.random.below(4) {
            0 => Settlement::Ack,
            1 => Settlement::Discard,
            _ => Settlement::Requeue,
        };
        self.work.settle(&[lease], how, self.now);
        let position = self.desk.flush();
        let fact = self.facts.get_mut(&number).unwrap();
        match how {
            Settlement::Ack => fact.settled = Some(position),
            // Each time later than the time before.
            Settlement::Requeue => fact.dues.extend((1..=3).map(|times| self.now.plus_millis(times * 1_500))),
            Settlement::Discard | Settlement::Fail | Settlement::PutBack => {}
        }
        self.note_deaths();
    }

    fn read_page(&mut self, wanted: PageWanted) -> bool {
        let Some(from) = wanted.logged else { panic!("nothing is spilled") };
        let page = self.desk.read((WORK, wanted.level), from, 4096);
        let taken = self.work.paged_in(wanted.level, page, self.now);
        assert!(taken > 0 || self.has_failed(), "{wanted:?} is not in the log");
        taken > 0
    }

    /// Whatever has to be done by now.
    fn work_off(&mut self) {
        loop {
            while let Some(wanted) = self.work.page_wanted(self.now) {
                if !self.read_page(wanted) {
                    return;
                }
            }
            let due: Vec<_> = self.desk.armed.lock().extract_if(.., |(_, at)| *at <= self.now).collect();
            for (queue, at) in &due {
                if *queue == WORK.get() {
                    self.work.tick(*at, self.now);
                }
            }
            self.desk.flush();
            self.note_deaths();
            if due.is_empty() || self.has_failed() {
                return;
            }
        }
    }

    fn evict(&mut self) {
        let candidates = self.work.page_out_candidates(0);
        let live = |&(level, first, last): &(Lane, Seq, Seq)| {
            let (first, last) = (storage::Seq(first.get()), storage::Seq(last.get()));
            (level, self.desk.store.live(lane(WORK, level), first, last))
        };
        let logged = candidates.logged.iter().map(live).collect();
        self.work.page_out(&candidates, Whereabouts { logged, spilled: Vec::new() }, self.now);
    }

    fn step(&mut self) {
        match self.random.below(14) {
            0..4 => {
                let delays = [None, None, Some(700), Some(3_000), Some(90_000), Some(9_000_000)];
                let delay_ms = delays[self.random.below(delays.len() as u64) as usize];
                self.publish(delay_ms);
            }
            4..8 => drop(self.get()),
            8..11 => {
                let steps = [40, 1_100, 1_100, 70_000, 4_000_000];
                self.now = self.now.plus_millis(steps[self.random.below(steps.len() as u64) as usize]);
            }
            11 => self.evict(),
            12 => drop(self.desk.store.commit()),
            _ => drop(self.desk.store.maintain()),
        }
        self.work_off();
    }

    /// The end of the process and of what was not on the disk, then a start.
    fn crash(&mut self, seed: u64) {
        let durable = self.desk.store.durable();
        self.env.set_plan(CrashPlan::default());
        let mut random = self.random.clone();
        self.env.crash(&mut || random.next());
        self.random = random;
        let (store, recovered) = open(&self.env, self.options).unwrap();
        self.desk = Desk::new(store, self.random.next());
        self.work = open_queues(&self.desk, seed, self.now);
        let mut last = Seq::new(0);
        let (mut in_work, mut in_dead) = (Vec::new(), Vec::new());
        for known in recovered.queues {
            let (id, level) = (EntityId::new(known.id.0 >> 16), Lane::new((known.id.0 & 0xffff) as u16));
            let highest = Seq::new(known.next_seq.0.saturating_sub(1));
            let all = self.desk.read((id, level), Seq::new(0), usize::MAX);
            let runs: Vec<_> = all.iter().map(|stored| (stored.seq.get(), stored.seq.get())).collect();
            if id == DEAD {
                in_dead.extend(all.iter().map(|stored| number(&stored.message)));
                let dead = self.desk.dead.lock().clone().unwrap();
                dead.restore(level, &runs, None);
                dead.restored(highest, true, self.now);
                continue;
            }
            self.check_waiting(level, &all);
            in_work.extend(all.iter().map(|stored| number(&stored.message)));
            match (ReadAtStart::of(level), all.first().and_then(|first| first.expires)) {
                (Some(ReadAtStart::First), Some(due)) => {
                    assert!(self.work.restore_delayed(level, &runs, due, highest), "{level:?}");
                }
                (Some(_), _) => self.work.restore_near(level, all, highest),
                (None, _) => {
                    self.work.restore(level, &runs, None);
                    last = last.max(highest);
                }
            }
        }
        self.work.restored(last, true, self.now);
        self.check(durable, &in_work, &in_dead);
        self.work_off();
    }

    /// What waits is due when it was to be, and was given out as often.
    fn check_waiting(&self, level: Lane, all: &[Stored]) {
        for stored in all {
            let fact = &self.facts[&number(&stored.message)];
            if level.priority().is_none() {
                assert!(stored.expires.is_some_and(|due| fact.dues.contains(&due)), "{stored:?} {fact:?}");
            }
            let given = stored.message.retried().map_or(0, |retried| retried.deliveries);
            assert!(given <= fact.given, "{stored:?} {fact:?}");
        }
    }

    fn check(&mut self, durable: LogPosition, in_work: &[u32], in_dead: &[u32]) {
        let count = |list: &[u32], number: u32| list.iter().filter(|known| **known == number).count();
        self.facts.retain(|&number, fact| {
            let (works, letters) = (count(in_work, number), count(in_dead, number));
            assert!(works <= 1 && letters <= fact.deaths, "{number}: {works}, {letters} letters of {fact:?}");
            if fact.published <= durable && fact.settled.is_none() {
                assert!(works == 1 || letters > 0, "{number} is lost: {fact:?}");
            }
            if fact.settled.is_some_and(|settled| settled <= durable) {
                assert_eq!(works, 0, "{number} is back: {fact:?}");
            }
            // Positions are counted anew.
            fact.published = LogPosition(0);
            fact.settled = fact.settled.filter(|_| works == 0).map(|_| LogPosition(0));
            works + letters > 0
        });
        let known = in_work.iter().chain(in_dead).all(|number| self.facts.contains_key(number));
        assert!(known, "something is there that nobody has published");
    }

    /// Everything comes out that is still there.
    fn drain(&mut self) {
        self.desk.store.commit().unwrap();
        self.now = self.now.plus_millis(11 * YEAR_MS);
        self.work_off();
        for _ in 0..4 * self.facts.len() {
            self.get();
            self.now = self.now.plus_millis(10_000);
            self.work_off();
            if self.work.counts().ready + self.work.counts().delayed == 0 {
                break;
            }
        }
        let counts = self.work.counts();
        assert_eq!((counts.ready, counts.leased, counts.delayed), (0, 0, 0));
        for (number, fact) in &self.facts {
            assert!(fact.settled.is_some() || fact.deaths > 0, "{number} has not come: {fact:?}");
        }
    }
}

#[test]
fn what_waits_is_tried_again_or_dies_is_there_after_any_crash() {
    for_seeds(2_000, |seed| {
        let mut world = World::new(seed);
        for _ in 0..3 {
            let crash_at = Some(world.env.changes() + world.random.below(60));
            world.env.set_plan(CrashPlan { crash_at, ..CrashPlan::default() });
            for _ in 0..200 {
                world.step();
                if world.has_failed() {
                    break;
                }
            }
            world.crash(seed);
        }
        world.drain();
    });
}
