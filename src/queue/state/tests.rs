use super::residence::{Evictable, Stored, Whereabouts};
use super::*;
use crate::message::Envelope;
use crate::queue::lease::FetchId;
use crate::queue::ready::Departed;
use crate::queue::retry::{Retry, RetryOn};
use lepus_protocol::{FieldTable, Properties};

/// Somebody who fetches.
const GET: Holder = Holder::Get(FetchId::new(0));

const NOW: Timestamp = Timestamp::from_millis(1_000);
const LANE: Lane = Lane::of_priority(0);

fn message(body: &str) -> Message {
    Message::new(&Envelope::default(), body.as_bytes())
}

fn with_ttl(body: &str, ttl_ms: u64) -> Message {
    Message::new(&Envelope { ttl_ms: Some(ttl_ms), ..Envelope::default() }, body.as_bytes())
}

fn head(state: &State) -> &Entry {
    match state.head() {
        Head::Entry(entry) => entry,
        Head::Empty | Head::Cold => panic!("the next message is not in memory"),
    }
}

fn enqueue(state: &mut State, message: Message) -> Effects {
    let mut effects = Effects::default();
    state.apply(Command::Enqueue(message), NOW, &mut effects);
    effects
}

fn bodies(state: &mut State) -> Vec<String> {
    std::iter::from_fn(|| state.settle_head(&mut Effects::default()))
        .map(|entry| String::from_utf8_lossy(entry.message.body()).into_owned())
        .collect()
}

#[test]
fn a_returned_message_is_ready_at_its_original_place_and_marked() {
    let mut state = State::new(Limits::default(), false);
    for body in ["a", "b", "c"] {
        enqueue(&mut state, message(body));
    }
    let first = state.lease_head(GET, NOW, &mut Effects::default()).unwrap();
    let second = state.lease_head(GET, NOW, &mut Effects::default()).unwrap();
    for seq in [second.seq, first.seq] {
        state.apply(Command::Return(seq, Cause::Returned), NOW, &mut Effects::default());
    }
    assert_eq!(head(&state).deliveries, 1);
    assert_eq!(bodies(&mut state), ["a", "b", "c"]);
}

#[test]
fn a_settled_message_is_gone_and_its_memory_too() {
    let mut state = State::new(Limits::default(), false);
    enqueue(&mut state, message("a"));
    let entry = state.lease_head(GET, NOW, &mut Effects::default()).unwrap();
    assert!(state.memory() > 0);
    for _ in 0..2 {
        state.apply(Command::Settle(entry.seq), NOW, &mut Effects::default());
    }
    assert_eq!((state.memory(), state.leases().len(), state.ready_len()), (0, 0, 0));
}

#[test]
fn a_discarded_message_is_reported_as_rejected() {
    let mut state = State::new(Limits::default(), false);
    enqueue(&mut state, message("a"));
    let entry = state.lease_head(GET, NOW, &mut Effects::default()).unwrap();
    let mut effects = Effects::default();
    state.apply(Command::Discard(entry.seq), NOW, &mut effects);
    assert_eq!(effects.dropped.first().unwrap().reason, DropReason::Rejected);
}

#[test]
fn purge_takes_what_is_ready_and_leaves_what_is_leased() {
    let mut state = State::new(Limits::default(), false);
    for body in ["a", "b", "c"] {
        enqueue(&mut state, message(body));
    }
    let held = state.lease_head(GET, NOW, &mut Effects::default()).unwrap();
    let mut effects = Effects::default();
    state.apply(Command::Purge, NOW, &mut effects);
    assert_eq!(effects.purged, 2);
    state.apply(Command::Return(held.seq, Cause::Returned), NOW, &mut Effects::default());
    assert_eq!(bodies(&mut state), ["a"]);
}

#[test]
fn reject_publish_refuses_the_arrival_that_would_be_one_too_many() {
    let limits = Limits { length_max: Some(1), overflow: Overflow::RejectPublish, ..Limits::default() };
    let mut state = State::new(limits, false);
    assert!(!enqueue(&mut state, message("a")).refused);
    assert!(enqueue(&mut state, message("b")).refused);
    state.lease_head(GET, NOW, &mut Effects::default()).unwrap();
    assert!(!enqueue(&mut state, message("c")).refused, "only ready messages count");
}

#[test]
fn drop_head_makes_room_by_length_and_by_octets() {
    let limits = Limits { length_max: Some(3), bytes_max: Some(5), ..Limits::default() };
    let mut state = State::new(limits, false);
    for body in ["aa", "bb", "cc"] {
        enqueue(&mut state, message(body));
    }
    let mut effects = Effects::default();
    state.drop_overflow(&mut effects);
    assert_eq!(effects.dropped.first().unwrap().reason, DropReason::MaxLength);
    assert_eq!(bodies(&mut state), ["bb", "cc"]);
}

#[test]
fn the_smaller_ttl_counts_and_the_deadline_is_the_heads() {
    let mut state = State::new(Limits { message_ttl_ms: Some(50), ..Limits::default() }, false);
    enqueue(&mut state, with_ttl("long", 60_000));
    enqueue(&mut state, with_ttl("short", 10));
    assert_eq!(state.deadline(true), Some(NOW.plus_millis(50)));

    let mut effects = Effects::default();
    state.expire_until(NOW.plus_millis(49), &mut effects);
    assert!(effects.dropped.is_empty(), "RabbitMQ: messages expire at the head only");
    state.expire_until(NOW.plus_millis(50), &mut effects);
    assert_eq!(effects.dropped.len(), 2);
}

#[test]
fn many_messages_that_expire_at_once_do_so_step_by_step_and_none_is_given_out_meanwhile() {
    let mut state = State::new(Limits { message_ttl_ms: Some(50), ..Limits::default() }, false);
    (0..=EXPIRED_AT_ONCE).for_each(|_| drop(enqueue(&mut state, message("old"))));
    let now = NOW.plus_millis(51);
    let mut effects = Effects::default();
    assert!(!state.expire_until(now, &mut effects));
    assert_eq!((effects.dropped.len(), state.ready_len()), (EXPIRED_AT_ONCE, 1));
    assert!(matches!(state.next(now), Head::Empty));
    assert_eq!(state.deadline(true), Some(NOW.plus_millis(50)), "the rest is due at once");
    state.expire_all_before(now, &mut effects);
    assert_eq!((effects.dropped.len(), state.ready_len()), (EXPIRED_AT_ONCE + 1, 0));
}

#[test]
fn a_ttl_of_zero_survives_the_instant_of_its_arrival() {
    let mut state = State::new(Limits::default(), false);
    enqueue(&mut state, with_ttl("now", 0));
    let mut effects = Effects::default();
    state.expire_before(NOW, &mut effects);
    assert_eq!(state.ready_len(), 1);
    state.expire_until(NOW, &mut effects);
    assert_eq!(state.ready_len(), 0);
}

fn persistent(body: &str) -> Message {
    Message::new(&Envelope { persistent: true, ..Envelope::default() }, body.as_bytes())
}

#[test]
fn only_persistent_messages_of_a_durable_queue_are_logged() {
    let mut durable = State::new(Limits::default(), true);
    assert!(enqueue(&mut durable, message("transient")).placed.is_none());
    assert_eq!(enqueue(&mut durable, persistent("kept")).placed, Some((LANE, Seq::new(2), None)));
    let mut transient = State::new(Limits::default(), false);
    assert!(enqueue(&mut transient, persistent("not kept")).placed.is_none());
}

#[test]
fn every_way_out_of_a_queue_is_reported_once() {
    let limits = Limits { length_max: Some(4), ..Limits::default() };
    let mut state = State::new(limits, true);
    let mut effects = Effects::default();
    for body in ["over", "settled", "discarded", "taken", "purged"] {
        state.apply(Command::Enqueue(persistent(body)), NOW, &mut effects);
    }
    state.drop_overflow(&mut effects);
    let settled = state.lease_head(GET, NOW, &mut effects).unwrap();
    let discarded = state.lease_head(GET, NOW, &mut effects).unwrap();
    assert_eq!(effects.delivered, [(LANE, discarded.seq)]);
    state.apply(Command::Settle(settled.seq), NOW, &mut effects);
    state.apply(Command::Discard(discarded.seq), NOW, &mut effects);
    state.settle_head(&mut effects);
    state.apply(Command::Purge, NOW, &mut effects);
    assert_eq!(effects.gone.logged, [Departed { level: LANE, first: Seq::new(1), last: Seq::new(5) }]);
}

/// What a store gives for a message.
fn stored(seq: u64, body: &str) -> Stored {
    Stored { seq: Seq::new(seq), message: persistent(body), expires: None, deliveries: 0, home: Home::Log }
}

/// The log has everything.
fn everywhere() -> Whereabouts {
    Whereabouts { logged: vec![(LANE, vec![(0, u64::MAX)])], spilled: Vec::new() }
}

#[test]
fn restored_messages_keep_their_places_and_later_ones_come_after() {
    let mut state = State::new(Limits::default(), true);
    state.restore(LANE, &[(3, 3)], None);
    state.restored(Seq::new(9), true);
    assert_eq!(state.ready_len(), 1);
    assert_eq!(state.load(LANE, vec![stored(3, "old")]), 1);
    assert!(state.is_redelivered(head(&state)), "what had been delivered is not known");
    assert_eq!(head(&state).deliveries, 0);
    assert_eq!(enqueue(&mut state, persistent("new")).placed, Some((LANE, Seq::new(10), None)));
    assert_eq!(bodies(&mut state), ["old", "new"]);
}

#[test]
fn bodies_that_nobody_has_measured_count_while_they_are_in_memory() {
    let mut state = State::new(Limits::default(), true);
    state.restore(LANE, &[(1, 2)], None);
    assert_eq!(state.ready.body_bytes(), 0);
    state.load(LANE, vec![stored(1, "four"), stored(2, "four")]);
    assert_eq!(state.ready.body_bytes(), 8);
    state.evict(&Evictable::default(), everywhere());
    assert_eq!((state.ready.body_bytes(), state.memory()), (0, 0));
}

#[test]
fn memory_follows_what_leaves_it_and_comes_back() {
    let mut state = State::new(Limits::default(), true);
    for body in ["a", "b"] {
        enqueue(&mut state, persistent(body));
    }
    enqueue(&mut state, message("transient"));
    let before = state.memory();
    let candidates = state.evictable(0, 0);
    assert_eq!(candidates.logged, [(LANE, Seq::new(1), Seq::new(2))]);
    assert_eq!(candidates.unstored.len(), 1);
    let evicted =
        state.evict(&candidates, Whereabouts { spilled: vec![(LANE, Seq::new(3))], ..everywhere() });
    assert_eq!((evicted.octets, evicted.spilled), (before, vec![(LANE, Seq::new(3))]));
    assert_eq!((state.memory(), state.ready_len()), (0, 3));
    let spilled = Stored { home: Home::Spill, ..stored(3, "transient") };
    assert_eq!(state.load(LANE, vec![stored(1, "a"), stored(2, "b"), spilled]), 3);
    assert_eq!((state.memory(), bodies(&mut state).join(" ")), (before, "a b transient".to_owned()));
}

#[test]
fn a_lease_outlives_its_message_in_memory_and_gives_it_back() {
    let mut state = State::new(Limits::default(), true);
    for body in ["a", "b", "c"] {
        enqueue(&mut state, persistent(body));
    }
    let mut effects = Effects::default();
    let seqs: Vec<_> =
        (0..3).filter_map(|_| state.lease_head(GET, NOW, &mut effects)).map(|e| e.seq).collect();
    let candidates = state.evictable(0, 0);
    assert!(state.evict(&candidates, everywhere()).octets > 0);
    state.apply(Command::Settle(seqs[0]), NOW, &mut effects);
    state.apply(Command::Discard(seqs[1]), NOW, &mut effects);
    let remains = &effects.dropped.first().unwrap().message;
    assert!(matches!(remains, Remains::Stored(LANE, seq, Home::Log) if *seq == seqs[1]), "{remains:?}");
    state.apply(Command::Return(seqs[2], Cause::Returned), NOW, &mut effects);
    assert!(matches!(state.head(), Head::Cold));
    assert_eq!(state.wanted(true, NOW), Some(LANE));
    state.load(LANE, vec![stored(3, "c")]);
    assert_eq!(head(&state).deliveries, 1);
    assert_eq!(bodies(&mut state), ["c"]);
    assert_eq!(state.memory(), 0);
}

#[test]
fn counts_of_deliveries_take_memory_also_when_their_messages_do_not() {
    let mut state = State::new(Limits::default(), true);
    let mut effects = Effects::default();
    for body in ["a", "b"] {
        enqueue(&mut state, persistent(body));
    }
    for _ in 0..2 {
        let held = state.lease_head(GET, NOW, &mut effects).unwrap();
        state.apply(Command::Return(held.seq, Cause::Returned), NOW, &mut effects);
    }
    state.evict(&Evictable::default(), everywhere());
    assert_eq!(state.ready.cold_len(), 2);
    let counted = state.memory();
    assert!(counted > 0);
    state.load(LANE, vec![stored(1, "a")]);
    assert_eq!((state.ready.cold_memory(), head(&state).deliveries), (0, 2));
    state.evict(&state.evictable(0, 0), everywhere());
    assert_eq!(state.memory(), counted);
    state.apply(Command::Purge, NOW, &mut effects);
    assert_eq!(state.memory(), 0);
}

#[test]
fn as_many_octets_stay_as_are_to_be_kept() {
    let mut state = State::new(Limits::default(), true);
    (0..100).for_each(|_| drop(enqueue(&mut state, persistent(&"x".repeat(1000)))));
    let candidates = state.evictable(state.memory() / 4, 0);
    state.evict(&candidates, everywhere());
    assert_eq!(state.ready.len() - state.ready.cold_len(), 25);
}

#[test]
fn a_message_that_the_log_does_not_have_yet_stays_in_memory() {
    let mut state = State::new(Limits::default(), true);
    for body in ["a", "b", "c"] {
        enqueue(&mut state, persistent(body));
    }
    let known = Whereabouts { logged: vec![(LANE, vec![(1, 1), (3, 3)])], spilled: Vec::new() };
    state.evict(&Evictable::default(), known);
    assert_eq!(state.coldest(LANE), (Some(Seq::new(1)), None));
    state.load(LANE, vec![stored(1, "a")]);
    assert_eq!(state.settle_head(&mut Effects::default()).unwrap().seq, Seq::new(1));
    assert_eq!(head(&state).message.body(), b"b");
}

#[test]
fn a_full_queue_reads_back_what_it_must_drop() {
    let mut state = State::new(Limits { length_max: Some(2), ..Limits::default() }, true);
    for body in ["a", "b"] {
        enqueue(&mut state, persistent(body));
    }
    state.evict(&Evictable::default(), everywhere());
    assert_eq!(state.wanted(false, NOW), None);
    enqueue(&mut state, persistent("c"));
    state.drop_overflow(&mut Effects::default());
    assert_eq!(state.wanted(false, NOW), Some(LANE));
    state.load(LANE, vec![stored(1, "a"), stored(2, "b")]);
    let mut effects = Effects::default();
    state.drop_overflow(&mut effects);
    assert_eq!(effects.gone.logged, [Departed { level: LANE, first: Seq::new(1), last: Seq::new(1) }]);
}

#[test]
fn what_comes_back_is_kept_where_arrivals_are_refused() {
    let limits = Limits { length_max: Some(1), overflow: Overflow::RejectPublish, ..Limits::default() };
    let mut state = State::new(limits, false);
    enqueue(&mut state, message("first"));
    let held = state.lease_head(GET, NOW, &mut Effects::default()).unwrap();
    assert!(!enqueue(&mut state, message("second")).refused);
    let mut effects = Effects::default();
    state.apply(Command::Return(held.seq, Cause::Returned), NOW, &mut effects);
    state.drop_overflow(&mut effects);
    assert!(effects.dropped.is_empty());
    assert_eq!(bodies(&mut state), ["first", "second"]);
}

#[test]
fn a_message_comes_back_as_often_as_the_delivery_limit_says() {
    let mut state = State::new(Limits { delivery_limit: Some(2), ..Limits::default() }, false);
    enqueue(&mut state, message("poison"));
    let mut effects = Effects::default();
    for _ in 0..3 {
        let held = state.lease_head(GET, NOW, &mut effects).unwrap();
        state.apply(Command::Return(held.seq, Cause::Returned), NOW, &mut effects);
    }
    assert_eq!(effects.dropped.first().unwrap().reason, DropReason::DeliveryLimit);
    assert_eq!((state.ready_len(), state.memory()), (0, 0));
}

/// A message with a header that tells it apart.
fn told_apart() -> Message {
    told_apart_after(None)
}

fn told_apart_after(delay_ms: Option<u64>) -> Message {
    let mut headers = FieldTable::new();
    headers.insert("x-deduplication-header", 1_i64);
    let (mut encoded, mut properties) = (Vec::new(), Vec::new());
    headers.encode(&mut encoded);
    Properties { headers: Some(&encoded), ..Properties::default() }.encode(&mut properties);
    Message::new(&Envelope { properties: &properties, delay_ms, ..Envelope::default() }, b"m")
}

#[test]
fn what_waits_for_its_retry_is_there_and_its_like_a_duplicate() {
    let retry = Retry { on: RetryOn::All, min_ms: 1, max_ms: None, multiplier: None };
    let limits = Limits { deduplicates: true, retry: Some(retry), ..Limits::default() };
    let mut state = State::new(limits, false);
    enqueue(&mut state, told_apart());
    let first = state.lease_head(GET, NOW, &mut Effects::default()).unwrap();
    state.apply(Command::Return(first.seq, Cause::Returned), NOW, &mut Effects::default());
    assert!(enqueue(&mut state, told_apart()).duplicate);
    state.advance(NOW.plus_millis(1), &mut Effects::default());
    assert_eq!(state.ready_len(), 1);
    assert!(enqueue(&mut state, told_apart()).duplicate);
    assert!(state.settle_head(&mut Effects::default()).is_some());
    assert!(!enqueue(&mut state, told_apart()).duplicate);
    state.apply(Command::Purge, NOW, &mut Effects::default());
    assert!(!enqueue(&mut state, told_apart()).duplicate);
}

#[test]
fn what_waits_when_duplicates_begin_to_be_refused_is_known() {
    let mut state = State::new(Limits::default(), false);
    state.apply(Command::Enqueue(told_apart_after(Some(5))), NOW, &mut Effects::default());
    state.set_limits(Limits { deduplicates: true, ..Limits::default() });
    assert!(enqueue(&mut state, told_apart()).duplicate);
    let mut effects = Effects::default();
    state.apply(Command::Purge, NOW, &mut effects);
    assert_eq!((effects.purged, state.memory()), (1, 0));
    assert!(!enqueue(&mut state, told_apart()).duplicate);
}

#[test]
fn where_arrivals_are_refused_what_is_not_due_takes_its_room() {
    let limits = Limits { length_max: Some(2), overflow: Overflow::RejectPublish, ..Limits::default() };
    let mut state = State::new(limits, false);
    let later = || Message::new(&Envelope { delay_ms: Some(5), ..Envelope::default() }, b"m");
    assert!(!enqueue(&mut state, later()).refused);
    assert!(!enqueue(&mut state, message("m")).refused);
    assert!(enqueue(&mut state, later()).refused);
    assert!(enqueue(&mut state, message("m")).refused);
    state.advance(NOW.plus_millis(5), &mut Effects::default());
    assert_eq!(state.ready_len(), 2);
    state.set_limits(Limits { bytes_max: Some(2), overflow: Overflow::RejectPublish, ..Limits::default() });
    assert!(enqueue(&mut state, message("m")).refused);
    assert!(state.settle_head(&mut Effects::default()).is_some());
    assert!(!enqueue(&mut state, later()).refused);
    assert!(enqueue(&mut state, message("m")).refused);
}
