//! A small map kept in one vector.
//!
//! Most keys of an exchange have one destination and most queues have one binding, while a few have
//! a hundred thousand. A vector serves both: a scan finds an entry while there are few of them, and
//! an index finds it once there are many. Either way routing walks a vector, in an order that
//! depends on the calls made and never on a hash, so that a simulation can be replayed.

use std::borrow::Borrow;
use std::hash::Hash;

use ahash::AHashMap;

/// Up to this many entries a scan is as fast as hashing, and saves the index's memory.
const SCANNED_MAX: usize = 8;

/// A map from `K` to `V`; cloning a `K` has to be cheap, because the index holds a second one.
#[derive(Debug)]
pub(super) struct DenseMap<K, V> {
    entries: Vec<(K, V)>,
    /// Where each key stands in `entries`; present exactly while they are too many to scan.
    positions: Option<Box<AHashMap<K, usize>>>,
}

impl<K: Clone + Eq + Hash, V> DenseMap<K, V> {
    pub(super) const fn new() -> Self {
        Self { entries: Vec::new(), positions: None }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.entries.iter().map(|(key, value)| (key, value))
    }

    /// The entry of this number, counted from 0.
    pub(super) fn nth(&self, number: usize) -> Option<(&K, &V)> {
        self.entries.get(number).map(|(key, value)| (key, value))
    }

    pub(super) fn contains<Q>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        self.position(key).is_some()
    }

    pub(super) fn get<Q>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        let position = self.position(key)?;
        self.entries.get(position).map(|(_, value)| value)
    }

    pub(super) fn get_mut<Q>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        let position = self.position(key)?;
        self.entries.get_mut(position).map(|(_, value)| value)
    }

    /// Sets the value of a key that the caller knows to be absent.
    pub(super) fn insert_new(&mut self, key: K, value: V) {
        debug_assert!(!self.contains(&key), "the key is already there");
        if self.entries.len() < SCANNED_MAX {
            // A vector's first step would be to four entries, where one is the rule.
            self.entries.reserve_exact(1);
        }
        if let Some(positions) = &mut self.positions {
            positions.insert(key.clone(), self.entries.len());
        }
        self.entries.push((key, value));
        if self.entries.len() > SCANNED_MAX && self.positions.is_none() {
            self.positions = Some(Box::new(self.positions()));
        }
    }

    /// Removes an entry; the last one takes its place.
    pub(super) fn remove<Q>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        let position = self.position(key)?;
        let (_, value) = self.entries.swap_remove(position);
        if let Some(positions) = &mut self.positions {
            positions.remove(key);
            if let Some((moved, _)) = self.entries.get(position) {
                positions.insert(moved.clone(), position);
            }
        }
        self.shrink();
        Some(value)
    }

    /// Gives memory back once most of it is unused, so that a crowd that left leaves nothing behind.
    fn shrink(&mut self) {
        let entry_count = self.entries.len();
        // Half of the limit, so that a map at the limit does not build an index with every second call.
        if entry_count <= SCANNED_MAX / 2 {
            self.positions = None;
        }
        if self.entries.capacity() / 4 >= entry_count.max(1) {
            self.entries.shrink_to(entry_count * 2);
            if let Some(positions) = &mut self.positions {
                positions.shrink_to(entry_count * 2);
            }
        }
    }

    fn position<Q>(&self, key: &Q) -> Option<usize>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        match &self.positions {
            Some(positions) => positions.get(key).copied(),
            None => self.entries.iter().position(|(other, _)| other.borrow() == key),
        }
    }

    fn positions(&self) -> AHashMap<K, usize> {
        let keys = self.entries.iter().map(|(key, _)| key.clone());
        keys.enumerate().map(|(position, key)| (key, position)).collect()
    }
}

/// Gives a map's memory back once most of it is unused: reply queues come and go in great numbers.
pub(super) fn shrink<K: Eq + Hash, V>(map: &mut AHashMap<K, V>) {
    let entry_count = map.len();
    if map.capacity() / 4 > entry_count {
        map.shrink_to(entry_count * 2);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_holds_what_a_plain_map_holds(
            calls in prop::collection::vec((any::<bool>(), 0_u8..24), 0..200),
        ) {
            let mut map = DenseMap::new();
            let mut model = BTreeMap::new();
            for (step, (inserts, key)) in calls.into_iter().enumerate() {
                if inserts && !model.contains_key(&key) {
                    map.insert_new(key, step);
                    model.insert(key, step);
                } else if !inserts {
                    prop_assert_eq!(map.remove(&key), model.remove(&key));
                }
                prop_assert_eq!(map.get(&key), model.get(&key));
                prop_assert_eq!(map.len(), model.len());
            }
            let held: BTreeMap<_, _> = map.iter().map(|(key, step)| (*key, *step)).collect();
            prop_assert_eq!(held, model);
        }
    }

    #[test]
    fn a_crowd_that_left_leaves_no_memory_behind() {
        let mut map = DenseMap::new();
        for key in 0..10_000 {
            map.insert_new(key, ());
        }
        for key in 0..10_000 {
            map.remove(&key);
        }
        assert!(map.is_empty() && map.positions.is_none());
        assert!(map.entries.capacity() <= 2 * SCANNED_MAX);
    }
}
