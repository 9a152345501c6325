use proptest::prelude::*;

use super::*;
use crate::message::Envelope;

const START: u64 = 1_800_000_000_000;
const SECOND: u64 = 1_000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// Delayed messages with what a log would have of them.
struct World {
    delayed: Delayed,
    now: u64,
    /// Lane and place of each: when it is due, its number.
    log: BTreeMap<(Lane, u64), (u64, u64)>,
    /// The last place given in each lane.
    last: BTreeMap<Lane, u64>,
    numbers: u64,
    /// How often a message was written.
    written: u64,
}

impl World {
    fn new() -> Self {
        let (log, last) = (BTreeMap::new(), BTreeMap::new());
        Self { delayed: Delayed::default(), now: START, log, last, numbers: 0, written: 0 }
    }

    /// Messages enough that others need slots; due in a hundred years.
    fn crowded() -> Self {
        let mut world = Self::new();
        for _ in 0..RESTING.count {
            world.push(36_500 * DAY);
        }
        world
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.now)
    }

    fn push(&mut self, delay: u64) -> Lane {
        self.numbers += 1;
        let (due, now) = (self.now + delay, self.now());
        let message = Message::new(&Envelope::default(), &self.numbers.to_le_bytes());
        let (lane, seq) = self.delayed.push(message, Timestamp::from_millis(due), Home::Log, now);
        self.write(lane, seq, (due, self.numbers));
        lane
    }

    fn write(&mut self, lane: Lane, seq: Seq, what: (u64, u64)) {
        assert!(self.log.insert((lane, seq.get()), what).is_none(), "a place was given twice");
        let last = self.last.entry(lane).or_default();
        assert!(*last < seq.get(), "a place was given again");
        *last = seq.get();
        self.written += 1;
    }

    /// Everything of which the time has come: when each was due and its number, in order.
    fn work_off(&mut self) -> Vec<(u64, u64)> {
        let (now, mut ready) = (self.now(), Vec::new());
        for _ in 0..1_000_000 {
            let mut moves = Vec::new();
            self.delayed
                .advance(now, 7, &mut |entry, lane, seq| moves.push((entry.level, entry.seq, lane, seq)));
            for (from, old, lane, seq) in moves {
                let what = self.log.remove(&(from, old.get())).unwrap();
                self.write(lane, seq, what);
            }
            for entry in std::iter::from_fn(|| self.delayed.pop_due(now)) {
                ready.push(self.log.remove(&(entry.level, entry.seq.get())).unwrap());
            }
            let read = self.delayed.wanted().map(|lane| self.read(lane));
            if read.is_none() && self.delayed.deadline().is_none_or(|deadline| deadline > now) {
                return ready;
            }
        }
        panic!("it never ends");
    }

    /// Reads a page of a lane back.
    fn read(&mut self, lane: Lane) {
        let first = self.delayed.coldest(lane).0.unwrap();
        let page = self.log.range((lane, first.get())..=(lane, u64::MAX)).take(20);
        let page: Vec<_> = page.map(|((_, seq), what)| entry(lane, *seq, *what)).collect();
        assert!(self.delayed.load(lane, page, &mut |_| {}) > 0, "nothing of lane {lane:?} was missing");
    }

    fn evict(&mut self) -> usize {
        let mut evictable = 0;
        self.delayed.each_evictable(usize::MAX, &mut |_| evictable += 1);
        self.delayed.evict(usize::MAX, &mut |entry| Some(entry.home));
        evictable
    }

    fn restart(&mut self) {
        self.delayed = Delayed::default();
        for (&lane, &last) in &self.last {
            let stored: Vec<_> = self.log.range((lane, 0)..=(lane, u64::MAX)).collect();
            match stored.first() {
                Some((_, (due, _))) if !is_near(lane) => {
                    let runs: Vec<_> = stored.iter().map(|((_, seq), _)| (*seq, *seq)).collect();
                    assert!(self.delayed.restore(lane, &runs, Timestamp::from_millis(*due), Seq::new(last)));
                }
                _ => {
                    stored
                        .iter()
                        .for_each(|((_, seq), what)| self.delayed.restore_near(entry(lane, *seq, **what)));
                    self.delayed.restore_last(lane, Seq::new(last));
                }
            }
        }
    }
}

fn entry(level: Lane, seq: u64, (due, number): (u64, u64)) -> Entry {
    let message = Message::new(&Envelope::default(), &number.to_le_bytes());
    let (seq, expires) = (Seq::new(seq), Some(Timestamp::from_millis(due)));
    Entry { seq, message, level, expires, deliveries: 0, home: Home::Log }
}

#[test]
fn few_messages_need_no_slot() {
    let mut world = World::new();
    for delay in [5, MINUTE, DAY, 1000 * DAY] {
        assert!(is_near(world.push(delay)));
    }
    assert_eq!(world.delayed.deadline(), Some(Timestamp::from_millis(START + 5)));
    world.now += DAY;
    assert_eq!(world.work_off().iter().map(|(_, number)| *number).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!((world.written, world.delayed.len()), (4, 1));
}

#[test]
fn of_many_messages_few_are_in_memory_and_each_is_written_a_few_times() {
    let mut world = World::crowded();
    for number in 0..20_000 {
        world.push(number * HOUR / 10_000 + MINUTE);
    }
    assert_eq!(world.evict(), 20_000);
    let (mut ready, before) = (0, world.written);
    for _ in 0..130 {
        world.now += MINUTE;
        ready += world.work_off().len();
        world.evict();
        assert!(world.delayed.len() - world.delayed.cold <= 2_000, "{}", world.delayed.cold);
    }
    assert_eq!((ready, world.delayed.len()), (20_000, RESTING.count));
    assert!(world.written - before <= 3 * 20_000, "{}", world.written);
}

#[test]
fn what_is_not_on_disk_yet_of_one_stretch_of_time_does_not_keep_others_in_memory() {
    let mut world = World::crowded();
    for delay in [HOUR, DAY] {
        for _ in 0..100 {
            world.push(delay);
        }
    }
    let of_last = world.delayed.slots.keys().next_back().unwrap().lane();
    let mut candidates = 0;
    world.delayed.each_evictable(100, &mut |_| candidates += 1);
    assert_eq!(candidates, 100);
    world.delayed.evict(100, &mut |entry| (entry.level != of_last).then_some(entry.home));
    assert_eq!(world.delayed.cold, 50);
    let all = &mut |entry: &Entry| Some(entry.home);
    (0..2).for_each(|_| world.delayed.evict(100, all));
    assert_eq!(world.delayed.cold, 200);
}

#[test]
fn a_look_page_by_page_sees_each_once_wherever_it_is_and_those_due_soon_first() {
    let mut world = World::new();
    for number in 0..400 {
        world.push(number * MINUTE);
    }
    world.evict();
    for number in 0..50 {
        world.push(number * HOUR);
    }
    let (mut dues, mut cold, mut after) = (Vec::new(), 0, None);
    loop {
        let page = world.delayed.page(after, 7);
        assert!(page.messages.len() <= 7 && page.total == 450);
        for waiting in &page.messages {
            match waiting {
                Waiting::Here { due, message } => {
                    let number = u64::from_le_bytes(message.body().try_into().unwrap());
                    dues.push((due.as_millis(), number));
                }
                Waiting::Stored(lane, seq, home) => {
                    assert_eq!(*home, Home::Log);
                    cold += 1;
                    dues.push(world.log[&(*lane, seq.get())]);
                }
            }
        }
        let Some(next) = page.next else { break };
        assert_eq!(next.to_string().parse(), Ok(next));
        after = Some(next);
    }
    assert!(cold > 100, "{cold}");
    assert!(dues[..RESTING.count].is_sorted());
    dues.sort_unstable();
    let mut all: Vec<_> = world.log.values().copied().collect();
    all.sort_unstable();
    assert_eq!(dues, all);
}

#[test]
fn a_look_goes_on_behind_what_has_left_meanwhile() {
    let mut world = World::crowded();
    for _ in 0..20 {
        world.push(HOUR);
    }
    let begun = world.delayed.page(None, RESTING.count + 5);
    world.now += 2 * HOUR;
    world.work_off();
    assert!(world.delayed.page(begun.next, 100).messages.is_empty());
    assert_eq!(world.delayed.page(None, 1000).messages.len(), RESTING.count);
}

#[test]
fn what_is_no_bookmark_is_refused() {
    for text in [
        "",
        "near",
        "near-1",
        "near-1-2-3",
        "near--1",
        "slot-7-0-1",
        "slot-0-5-1",
        "slot-0-1024-x",
        "far-1-2",
    ] {
        assert_eq!(text.parse::<Bookmark>(), Err(NoBookmark), "{text}");
    }
    assert!("slot-0-1024-3".parse::<Bookmark>().is_ok());
    assert!(format!("slot-0-{}-3", u64::MAX).parse::<Bookmark>().is_err());
}

#[test]
fn more_messages_at_one_moment_than_may_be_near_are_all_ready_in_order_of_arrival() {
    let mut world = World::crowded();
    for _ in 0..DRAINED.count + 5_000 {
        world.push(HOUR);
    }
    world.evict();
    world.now += HOUR - SECOND / 2;
    assert_eq!(world.work_off().len(), 0);
    assert_eq!(world.delayed.near.len(), RESTING.count + DRAINED.count);
    world.now += SECOND / 2;
    let numbers: Vec<_> = world.work_off().iter().map(|(_, number)| *number).collect();
    assert!(numbers.is_sorted());
    assert_eq!(numbers.len(), DRAINED.count + 5_000);
}

#[test]
fn what_is_due_after_the_last_moment_is_due_then() {
    let mut world = World::crowded();
    let now = world.now();
    let message = Message::new(&Envelope::default(), b"late");
    let (lane, _) = world.delayed.push(message, Timestamp::from_millis(u64::MAX), Home::Memory, now);
    assert!(!is_near(lane));
    assert!(world.delayed.pop_due(Timestamp::from_millis(START + 1000 * DAY)).is_none());
    assert_eq!(world.delayed.slots.last_key_value().map(|(slot, _)| slot.covers(DUE_MAX)), Some(true));
}

#[test]
fn clearing_tells_of_everything_that_was_stored() {
    let mut world = World::crowded();
    for delay in [SECOND, MINUTE, 2 * MINUTE, HOUR] {
        world.push(delay);
    }
    world.evict();
    world.push(HOUR);
    let (mut departures, mut in_memory) = (Departures::default(), 0);
    assert_eq!(world.delayed.clear(&mut departures, &mut |_| in_memory += 1), RESTING.count + 5);
    let told: u64 = departures.logged.iter().map(|run| run.last.get() - run.first.get() + 1).sum();
    assert_eq!((told, in_memory), (RESTING.count as u64 + 5, RESTING.count + 2));
    assert!(
        world.delayed.is_empty() && world.delayed.deadline().is_none() && world.delayed.wanted().is_none()
    );
}

#[derive(Clone, Copy, Debug)]
enum Step {
    /// So many messages with about this delay.
    Push(u64, u64),
    Pass(u64),
    Evict,
    Restart,
}

fn stretch() -> impl Strategy<Value = u64> {
    prop_oneof![
        0..20_u64,
        0..4 * SECOND,
        0..5 * MINUTE,
        0..5 * HOUR,
        0..10 * DAY,
        Just(MINUTE),
        Just(HOUR),
        Just(DAY)
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (1..6_u64, stretch()).prop_map(|(count, delay)| Step::Push(count, delay)),
        4 => stretch().prop_map(Step::Pass),
        2 => Just(Step::Evict),
        1 => Just(Step::Restart),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn all_are_ready_when_they_are_due_and_not_before_and_in_order(
        steps in prop::collection::vec(step(), 1..60),
        crowded in any::<bool>(),
    ) {
        let mut world = if crowded { World::crowded() } else { World::new() };
        // When each is due and its number; 0 where a restart may have forgotten who came first.
        let mut waiting: Vec<(u64, u64, u64)> =
            world.log.values().map(|(due, number)| (*due, *number, *number)).collect();
        for step in steps {
            match step {
                Step::Push(count, delay) => for more in 0..count {
                    world.push(delay + more / 2);
                    waiting.push((world.now + delay + more / 2, world.numbers, world.numbers));
                },
                Step::Pass(millis) => world.now += millis,
                Step::Evict => drop(world.evict()),
                Step::Restart => {
                    world.restart();
                    waiting.iter_mut().for_each(|(_, rank, _)| *rank = 0);
                }
            }
            let ready = world.work_off();
            let due: Vec<_> = waiting.extract_if(.., |(due, ..)| *due <= world.now).collect();
            let known: BTreeMap<u64, u64> = due.iter().map(|(_, rank, number)| (*number, *rank)).collect();
            prop_assert_eq!(ready.len(), due.len());
            let ranked: Option<Vec<_>> =
                ready.iter().map(|(due, number)| known.get(number).map(|rank| (*due, *rank))).collect();
            prop_assert!(ranked.is_some_and(|ranked| ranked.is_sorted()), "{ready:?}");
            prop_assert_eq!(world.delayed.len(), waiting.len());
            prop_assert_eq!(world.log.len(), waiting.len());
        }
    }
}
