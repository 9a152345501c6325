//! The fanout exchange (§3.1.3.2): every bound destination gets every message.

use std::hash::Hash;

use super::destinations::Destinations;

/// All destinations, whatever the keys they are bound with.
#[derive(Debug)]
pub(super) struct Fanout<D> {
    destinations: Destinations<D>,
}

impl<D: Clone + Eq + Hash> Fanout<D> {
    pub(super) const fn new() -> Self {
        Self { destinations: Destinations::new() }
    }

    pub(super) fn insert(&mut self, destination: &D) {
        self.destinations.add(destination);
    }

    pub(super) fn remove(&mut self, destination: &D) {
        self.destinations.remove(destination);
    }

    pub(super) fn route(&self, found: &mut dyn FnMut(&D)) {
        self.destinations.for_each(found);
    }

    #[cfg(test)]
    pub(super) fn rule_count(&self) -> usize {
        usize::from(!self.destinations.is_empty())
    }
}
