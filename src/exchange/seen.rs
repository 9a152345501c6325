//! What a deduplicating exchange (RabbitMQ's plugin) remembers: the headers `x-deduplication-header` that it has
//! seen, for some time and up to some number. The oldest make room.
//!
//! Each has a place, counted in order of arrival. Of those that are kept on disk somebody is told by and by what is
//! forgotten; after a restart they are given back.

use std::collections::VecDeque;
use std::sync::Arc;

use ahash::AHashMap;
use lepus_protocol::{FieldTable, FieldValue};

use super::arguments::Deduplication;
use super::budget::MemoryBudget;
use crate::clock::Timestamp;
use crate::fingerprint::Fingerprint;

/// The header that says how long this message's is remembered.
const TTL_HEADER: &str = "x-cache-ttl";

/// Octets of one entry: its fingerprint, times and places in both collections.
const ENTRY_OCTETS: u64 = 96;

/// The fingerprints seen.
#[derive(Debug)]
pub struct Seen {
    size_max: usize,
    ttl_ms: Option<u64>,
    entries: AHashMap<Fingerprint, Entry>,
    /// In order of arrival, with the arrival's number: an entry that was seen anew stands here twice.
    order: VecDeque<(Fingerprint, u64)>,
    arrivals: u64,
    /// Places of what was kept and is forgotten.
    forgotten: Vec<u64>,
    budget: Arc<MemoryBudget>,
}

/// Forgotten places that are told at once: neighbours are told as one.
const TOLD_AT_ONCE: usize = 64;

#[derive(Clone, Copy, Debug)]
struct Entry {
    arrival: u64,
    expires: Option<Timestamp>,
    is_kept: bool,
}

/// What has been seen, as it is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// Its place.
    pub place: u64,
    /// What tells it apart.
    pub fingerprint: Fingerprint,
    /// Until when it is remembered; `None`: as long as there is room.
    pub expires: Option<Timestamp>,
}

/// What a message is to an exchange that has seen others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sighting {
    /// It cannot be told apart: it has no header.
    Anonymous,
    /// It is new, and remembered from now on.
    New(Fingerprint),
    /// Its like has been seen.
    Duplicate,
}

impl Seen {
    /// Nothing seen yet.
    pub fn new(arguments: &FieldTable, budget: Arc<MemoryBudget>) -> Self {
        let Deduplication { size_max, ttl_ms, .. } = Deduplication::holding(arguments, &FieldTable::new());
        let (entries, order, forgotten) = (AHashMap::new(), VecDeque::new(), Vec::new());
        Self { size_max, ttl_ms, entries, order, arrivals: 0, forgotten, budget }
    }

    /// Another policy holds: for the size at once, for the time of what comes from now on.
    pub fn reconfigure(&mut self, arguments: &FieldTable, policy: &FieldTable) {
        let Deduplication { size_max, ttl_ms, .. } = Deduplication::holding(arguments, policy);
        (self.size_max, self.ttl_ms) = (size_max, ttl_ms);
        while self.entries.len() > self.size_max
            && let Some((oldest, _)) = self.order.front().copied()
        {
            self.forget(oldest);
        }
    }

    /// Looks at a message with these headers, and remembers it.
    pub fn see(&mut self, headers: Option<&FieldTable>, now: Timestamp) -> Sighting {
        let Some(fingerprint) = headers.and_then(Fingerprint::of_headers) else { return Sighting::Anonymous };
        if let Some(entry) = self.entries.get(&fingerprint)
            && entry.expires.is_none_or(|expires| expires > now)
        {
            return Sighting::Duplicate;
        }
        let own_ttl = headers.and_then(|headers| headers.get(TTL_HEADER)).and_then(FieldValue::as_integer);
        let ttl = own_ttl.and_then(|ttl| u64::try_from(ttl).ok()).or(self.ttl_ms);
        self.arrivals += 1;
        let expires = ttl.map(|ttl| now.plus_millis(ttl));
        self.enter(fingerprint, Entry { arrival: self.arrivals, expires, is_kept: false });
        Sighting::New(fingerprint)
    }

    fn enter(&mut self, fingerprint: Fingerprint, entry: Entry) {
        self.forget(fingerprint);
        self.make_room();
        self.order.push_back((fingerprint, entry.arrival));
        self.entries.insert(fingerprint, entry);
        self.budget.take(ENTRY_OCTETS);
    }

    /// Takes a sighting back: the message went nowhere, and may come again.
    pub fn forget(&mut self, fingerprint: Fingerprint) {
        if let Some(entry) = self.entries.remove(&fingerprint) {
            self.budget.give_back(ENTRY_OCTETS);
            self.forgotten.extend(entry.is_kept.then_some(entry.arrival));
        }
        self.drop_leading_gaps();
    }

    /// A sighting is kept on disk from now on: how. `None` if it is already, or made room meanwhile.
    pub fn keep(&mut self, fingerprint: Fingerprint) -> Option<Memory> {
        let entry = self.entries.get_mut(&fingerprint).filter(|entry| !entry.is_kept)?;
        entry.is_kept = true;
        Some(Memory { place: entry.arrival, fingerprint, expires: entry.expires })
    }

    /// Places of what was kept and is forgotten, if there are many enough to be told.
    pub fn take_forgotten(&mut self) -> Vec<u64> {
        if self.forgotten.len() < TOLD_AT_ONCE { Vec::new() } else { std::mem::take(&mut self.forgotten) }
    }

    /// What was kept is remembered again, in order of its places; places up to `last` were given. Returns the places of
    /// what is not: its time is over, or there is no room.
    pub fn restore(&mut self, kept: &[Memory], last: u64, now: Timestamp) -> Vec<u64> {
        for Memory { place, fingerprint, expires } in kept {
            if expires.is_some_and(|expires| expires <= now) {
                self.forgotten.push(*place);
            } else {
                self.enter(*fingerprint, Entry { arrival: *place, expires: *expires, is_kept: true });
            }
        }
        self.arrivals = self.arrivals.max(last);
        std::mem::take(&mut self.forgotten)
    }

    fn make_room(&mut self) {
        while self.entries.len() >= self.size_max || !self.budget.has_room_for(ENTRY_OCTETS) {
            let Some((oldest, _)) = self.order.front().copied() else { return };
            self.forget(oldest);
        }
        // What was taken back leaves gaps in the middle: they must not pile up.
        if self.order.len() > 2 * self.entries.len() + 16 {
            let entries = &self.entries;
            self.order.retain(|(fingerprint, arrival)| is_current(entries, *fingerprint, *arrival));
        }
    }

    fn drop_leading_gaps(&mut self) {
        while let Some((fingerprint, arrival)) = self.order.front()
            && !is_current(&self.entries, *fingerprint, *arrival)
        {
            self.order.pop_front();
        }
    }
}

impl Drop for Seen {
    fn drop(&mut self) {
        self.budget.give_back(ENTRY_OCTETS * self.entries.len() as u64);
    }
}

fn is_current(entries: &AHashMap<Fingerprint, Entry>, fingerprint: Fingerprint, arrival: u64) -> bool {
    entries.get(&fingerprint).is_some_and(|entry| entry.arrival == arrival)
}

#[cfg(test)]
mod tests {
    use super::super::budget::ALL_MEMORIES_OCTETS_MAX;
    use super::*;

    const HEADER: &str = "x-deduplication-header";

    fn table(entries: &[(&str, FieldValue)]) -> FieldTable {
        let mut table = FieldTable::new();
        entries.iter().for_each(|(key, value)| table.insert(key, value.clone()));
        table
    }

    fn seen(size: i32, ttl: Option<i32>) -> Seen {
        let mut arguments = table(&[("x-cache-size", size.into())]);
        ttl.into_iter().for_each(|ttl| arguments.insert("x-cache-ttl", ttl));
        Seen::new(&arguments, Arc::default())
    }

    fn is_new(seen: &mut Seen, value: impl Into<FieldValue>, at: u64) -> bool {
        let headers = table(&[(HEADER, value.into())]);
        matches!(seen.see(Some(&headers), Timestamp::from_millis(at)), Sighting::New(_))
    }

    #[test]
    fn what_was_seen_is_a_duplicate_and_what_has_no_header_never_is() {
        let mut seen = seen(10, None);
        assert!(is_new(&mut seen, "a", 0) && is_new(&mut seen, "b", 0));
        assert!(!is_new(&mut seen, "a", 1_000_000));
        assert_eq!(seen.see(None, Timestamp::default()), Sighting::Anonymous);
        assert_eq!(seen.see(Some(&FieldTable::new()), Timestamp::default()), Sighting::Anonymous);
    }

    #[test]
    fn a_sighting_ends_with_its_time() {
        let mut seen = seen(10, Some(100));
        assert!(is_new(&mut seen, "a", 0) && !is_new(&mut seen, "a", 99) && is_new(&mut seen, "a", 100));
        let own = table(&[(HEADER, "b".into()), (TTL_HEADER, 10_i32.into())]);
        assert!(matches!(seen.see(Some(&own), Timestamp::from_millis(0)), Sighting::New(_)));
        assert!(is_new(&mut seen, "b", 10), "the message's own time counts");
    }

    #[test]
    fn the_oldest_make_room() {
        let mut seen = seen(2, None);
        for value in ["a", "b", "c"] {
            assert!(is_new(&mut seen, value, 0));
        }
        assert!(!is_new(&mut seen, "b", 0) && !is_new(&mut seen, "c", 0) && is_new(&mut seen, "a", 0));
    }

    #[test]
    fn a_sighting_that_is_taken_back_was_none() {
        let mut seen = seen(100, None);
        for round in 0..1_000 {
            let headers = table(&[(HEADER, "a".into())]);
            let Sighting::New(fingerprint) = seen.see(Some(&headers), Timestamp::default()) else {
                panic!("seen in round {round}")
            };
            seen.forget(fingerprint);
        }
        assert!(seen.entries.is_empty() && seen.order.is_empty());
    }

    #[test]
    fn what_is_kept_is_known_again_and_what_is_forgotten_is_told() {
        let mut before = seen(100, Some(1_000));
        let kept: Vec<_> = (0..100_u32)
            .map(|value| {
                let headers = table(&[(HEADER, i64::from(value).into())]);
                let at = Timestamp::from_millis(u64::from(value));
                let Sighting::New(fingerprint) = before.see(Some(&headers), at) else { panic!("{value}") };
                before.keep(fingerprint).unwrap()
            })
            .collect();
        assert_eq!((kept[99].place, kept[99].expires), (100, Some(Timestamp::from_millis(1_099))));
        assert!(before.keep(kept[0].fingerprint).is_none(), "once");
        for value in 1_000..1_063 {
            assert!(is_new(&mut before, value, 0) && before.take_forgotten().is_empty());
        }
        assert!(is_new(&mut before, 1_063, 0));
        assert_eq!(before.take_forgotten(), (1..=64).collect::<Vec<_>>());

        let mut after = seen(10, Some(1_000));
        let now = Timestamp::from_millis(1_050);
        let gone = after.restore(&kept, 200, now);
        assert_eq!(gone, (1..=90).collect::<Vec<_>>(), "expired, or beyond the size");
        let headers = table(&[(HEADER, 99_i64.into())]);
        assert_eq!(after.see(Some(&headers), now), Sighting::Duplicate);
        assert!(is_new(&mut after, 0, 1_050));
        let headers = table(&[(HEADER, 0_i64.into())]);
        assert_eq!(after.see(Some(&headers), now), Sighting::Duplicate);
        assert_eq!(after.arrivals, 201, "no place is given twice");
    }

    #[test]
    fn a_policy_changes_the_size_at_once_and_the_time_from_then_on() {
        let arguments = table(&[("x-cache-size", 10.into())]);
        let mut seen = Seen::new(&arguments, Arc::default());
        for value in 0..5 {
            assert!(is_new(&mut seen, value, 0));
        }
        seen.reconfigure(&arguments, &table(&[("x-cache-size", 2.into()), ("x-cache-ttl", 50.into())]));
        assert!(!is_new(&mut seen, 3, 100) && !is_new(&mut seen, 4, 100), "they came before");
        assert!(is_new(&mut seen, 2, 100) && !is_new(&mut seen, 2, 149) && is_new(&mut seen, 2, 150));
        seen.reconfigure(&arguments, &FieldTable::new());
        assert!(is_new(&mut seen, 7, 200) && !is_new(&mut seen, 7, 1_000_000));
    }

    #[test]
    fn memory_is_bounded_and_given_back() {
        let budget: Arc<MemoryBudget> = Arc::default();
        budget.take(ALL_MEMORIES_OCTETS_MAX - 10 * ENTRY_OCTETS);
        let mut seen = Seen::new(&table(&[("x-cache-size", 1_000_000.into())]), Arc::clone(&budget));
        for value in 0..1_000 {
            assert!(is_new(&mut seen, value, 0));
        }
        assert_eq!(seen.entries.len(), 10);
        drop(seen);
        assert_eq!(budget.taken(), ALL_MEMORIES_OCTETS_MAX - 10 * ENTRY_OCTETS);
    }
}
