use super::*;
use crate::message::Envelope;

const LANE: Lane = Lane::of_priority(0);

fn head(ready: &Ready) -> Option<u64> {
    match ready.head() {
        Head::Entry(entry) => Some(entry.seq.get()),
        Head::Empty | Head::Cold => None,
    }
}

fn entry(seq: u64) -> Entry {
    let message = Message::new(&Envelope::default(), b"four");
    Entry { seq: Seq::new(seq), message, level: LANE, expires: None, deliveries: 0, home: Home::Memory }
}

fn drain(ready: &mut Ready) -> Vec<u64> {
    iter::from_fn(|| ready.pop()).map(|entry| entry.seq.0).collect()
}

#[test]
fn returned_messages_take_their_original_place() {
    let mut ready = Ready::default();
    for seq in 1..=5 {
        ready.push(entry(seq));
    }
    let (one, two) = (ready.pop().unwrap(), ready.pop().unwrap());
    let three = ready.pop().unwrap();
    ready.put_back(three);
    ready.put_back(one);
    assert_eq!(head(&ready), Some(1));
    ready.put_back(two);
    assert_eq!(drain(&mut ready), [1, 2, 3, 4, 5]);
}

#[test]
fn a_higher_priority_comes_first_and_a_returned_message_keeps_its_place() {
    let mut ready = Ready::default();
    for (seq, priority) in [(1, 0), (2, 255), (3, 64), (4, 255)] {
        ready.push(Entry { level: Lane::of_priority(priority), ..entry(seq) });
    }
    let first = ready.pop().unwrap();
    assert_eq!(first.seq, Seq::new(2));
    ready.put_back(first);
    assert_eq!(drain(&mut ready), [2, 4, 3, 1]);
    assert!(ready.is_empty() && matches!(ready.head(), Head::Empty));
}

#[test]
fn where_levels_share_every_third_turn_is_the_lowest_s() {
    let mut ready = Ready::new(true);
    (1..=4).for_each(|seq| ready.push(entry(seq)));
    (5..=9).for_each(|seq| ready.push(Entry { level: Lane::of_priority(1), ..entry(seq) }));
    assert_eq!(drain(&mut ready), [5, 6, 1, 7, 8, 2, 9, 3, 4]);
    (10..=11).for_each(|seq| ready.push(entry(seq)));
    ready.push(Entry { level: Lane::of_priority(1), ..entry(12) });
    assert_eq!(drain(&mut ready), [12, 10, 11], "turns begin anew");
}

#[test]
fn expiry_is_found_at_the_head_of_every_level() {
    let mut ready = Ready::default();
    let at = Timestamp::from_millis;
    ready.push(Entry { level: Lane::of_priority(5), expires: Some(at(90)), ..entry(1) });
    ready.push(Entry { level: Lane::of_priority(1), expires: Some(at(10)), ..entry(2) });
    assert_eq!(ready.deadline(true), Some(at(10)));
    let is_over = |entry: &Entry| entry.expires.is_some_and(|expires| expires <= at(10));
    assert_eq!(ready.pop_dead(is_over).unwrap().seq, Seq::new(2));
    assert!(ready.pop_dead(is_over).is_none());
}

#[test]
fn body_bytes_follow_what_waits() {
    let mut ready = Ready::default();
    ready.push(entry(1));
    ready.push(entry(2));
    let taken = ready.pop().unwrap();
    assert_eq!(ready.body_bytes(), 4);
    ready.put_back(taken);
    assert_eq!(ready.body_bytes(), 8);
}

#[test]
fn memory_goes_back_after_a_backlog_has_drained() {
    let mut ready = Ready::default();
    for seq in 0..100_000 {
        ready.push(entry(seq));
    }
    drain(&mut ready);
    assert!(ready.levels[0].fresh_capacity() <= 2048);
}

fn logged(seq: u64) -> Entry {
    Entry { home: Home::Log, ..entry(seq) }
}

/// Puts what may leave the memory on disk only, if it is logged.
fn evict(ready: &mut Ready, keep: usize) -> usize {
    ready.evict(keep, usize::MAX, &mut |entry| (entry.home == Home::Log).then_some(Home::Log))
}

fn load(ready: &mut Ready, seqs: impl IntoIterator<Item = u64>) -> usize {
    ready.load(LANE, seqs.into_iter().map(logged).collect(), &mut |_| {})
}

#[test]
fn what_is_on_disk_only_is_counted_and_asked_for_when_its_turn_comes() {
    let mut ready = Ready::default();
    (1..=10).for_each(|seq| ready.push(logged(seq)));
    assert_eq!(evict(&mut ready, 2), 8);
    assert_eq!((ready.len(), ready.cold_len(), ready.body_bytes()), (10, 8, 40));
    assert_eq!(ready.wanted(false, Timestamp::default()), None);
    assert_eq!(drain(&mut ready), [1, 2]);
    assert!(matches!(ready.head(), Head::Cold));
    assert_eq!(ready.wanted(true, Timestamp::default()), Some(LANE));
    assert_eq!(ready.coldest(LANE), (Some(Seq::new(3)), None));
    assert_eq!(load(&mut ready, 3..=6), 4);
    assert_eq!(drain(&mut ready), [3, 4, 5, 6]);
    assert_eq!(load(&mut ready, 7..=10), 4);
    assert_eq!(drain(&mut ready), [7, 8, 9, 10]);
    assert_eq!((ready.len(), ready.cold_len(), ready.body_bytes()), (0, 0, 0));
}

#[test]
fn arrivals_and_returns_keep_their_places_around_what_is_on_disk_only() {
    let mut ready = Ready::default();
    (1..=5).for_each(|seq| ready.push(logged(seq)));
    let (one, two) = (ready.pop().unwrap(), ready.pop().unwrap());
    evict(&mut ready, 0);
    ready.push(entry(6));
    ready.put_back(two);
    ready.put_back_cold(LANE, one.seq, Home::Log, 1, 4);
    assert!(matches!(ready.head(), Head::Cold), "the first is on disk only");
    // What the store gives besides is not missing: leased, settled or in memory.
    assert_eq!(load(&mut ready, 1..=6), 4);
    assert_eq!(drain(&mut ready), [1, 2, 3, 4, 5, 6]);
}

#[test]
fn a_message_that_comes_back_from_disk_remembers_its_deliveries() {
    let mut ready = Ready::default();
    ready.push(Entry { deliveries: 3, ..logged(1) });
    evict(&mut ready, 0);
    load(&mut ready, [1]);
    assert_eq!(ready.pop().unwrap().deliveries, 3);
}

#[test]
fn the_expiry_of_a_head_that_left_the_memory_is_known_and_of_the_next_asked_for() {
    let at = Timestamp::from_millis;
    let mut ready = Ready::default();
    ready.push(Entry { expires: Some(at(50)), ..logged(1) });
    ready.push(Entry { expires: Some(at(60)), ..logged(2) });
    evict(&mut ready, 0);
    assert_eq!((ready.deadline(true), ready.deadline(false)), (Some(at(50)), None));
    assert_eq!(ready.wanted(false, at(49)), None);
    assert_eq!(ready.wanted(false, at(50)), Some(LANE));
    load(&mut ready, [1]);
    ready.pop();
    assert_eq!(ready.wanted(false, at(0)), Some(LANE), "nobody has seen this one's expiry as a head");
}

#[test]
fn what_is_on_disk_only_goes_without_being_read() {
    let mut ready = Ready::default();
    for seq in 1..=9 {
        ready.push(if seq % 2 == 0 { logged(seq) } else { entry(seq) });
    }
    ready.evict(0, usize::MAX, &mut |entry| {
        Some(if entry.home == Home::Log { Home::Log } else { Home::Spill })
    });
    ready.push(logged(10));
    let mut departures = Departures::default();
    ready.clear_cold(&mut departures);
    let firsts = |runs: &[Departed]| runs.iter().map(|run| run.first.get()).collect::<Vec<_>>();
    assert_eq!(firsts(&departures.logged), [2, 4, 6, 8]);
    assert_eq!(firsts(&departures.spilled), [1, 3, 5, 7, 9]);
    assert_eq!(drain(&mut ready), [10]);
}

#[test]
fn restored_runs_are_on_disk_only() {
    let mut ready = Ready::default();
    ready.restore(Lane::of_priority(3), &[(1, 4), (9, 9)], 0);
    assert_eq!((ready.len(), ready.cold_len()), (5, 5));
    assert_eq!(
        ready.wanted(false, Timestamp::default()),
        Some(Lane::of_priority(3)),
        "its head's expiry is not known"
    );
}
