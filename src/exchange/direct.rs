//! The direct exchange (§3.1.3.1): a binding's key equals the message's routing key.

use std::hash::Hash;

use ahash::AHashMap;

use super::dense_map::shrink;
use super::destinations::Destinations;

/// The destinations of each binding key.
#[derive(Debug)]
pub(super) struct Direct<D> {
    keys: AHashMap<Box<[u8]>, Destinations<D>>,
}

impl<D: Clone + Eq + Hash> Direct<D> {
    pub(super) fn new() -> Self {
        Self { keys: AHashMap::new() }
    }

    pub(super) fn insert(&mut self, key: &[u8], destination: &D) {
        if let Some(destinations) = self.keys.get_mut(key) {
            return destinations.add(destination);
        }
        self.keys.entry(key.into()).or_insert_with(Destinations::new).add(destination);
    }

    pub(super) fn remove(&mut self, key: &[u8], destination: &D) {
        let Some(destinations) = self.keys.get_mut(key) else { return };
        destinations.remove(destination);
        if destinations.is_empty() {
            self.keys.remove(key);
            shrink(&mut self.keys);
        }
    }

    pub(super) fn route(&self, routing_key: &[u8], found: &mut dyn FnMut(&D)) {
        if let Some(destinations) = self.keys.get(routing_key) {
            destinations.for_each(found);
        }
    }

    #[cfg(test)]
    pub(super) fn rule_count(&self) -> usize {
        self.keys.len()
    }
}
