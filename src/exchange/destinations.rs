//! The destinations that one rule of an exchange leads to.

use std::hash::Hash;

use super::dense_map::DenseMap;

/// A set of destinations. It counts the bindings that lead to each, since several may (with other
/// arguments, or in a fanout exchange with other keys), and a message is still routed there once.
#[derive(Debug)]
pub(super) struct Destinations<D> {
    binding_counts: DenseMap<D, usize>,
}

impl<D: Clone + Eq + Hash> Destinations<D> {
    pub(super) const fn new() -> Self {
        Self { binding_counts: DenseMap::new() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.binding_counts.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.binding_counts.len()
    }

    /// The destination of this number, counted from 0.
    pub(super) fn nth(&self, number: usize) -> Option<&D> {
        self.binding_counts.nth(number).map(|(destination, _)| destination)
    }

    /// Counts one more binding to the destination.
    pub(super) fn add(&mut self, destination: &D) {
        match self.binding_counts.get_mut(destination) {
            Some(count) => *count += 1,
            None => self.binding_counts.insert_new(destination.clone(), 1),
        }
    }

    /// Counts one binding less to the destination.
    pub(super) fn remove(&mut self, destination: &D) {
        if let Some(count) = self.binding_counts.get_mut(destination) {
            *count -= 1;
            if *count == 0 {
                self.binding_counts.remove(destination);
            }
        }
    }

    /// Calls `found` once for each destination.
    pub(super) fn for_each(&self, found: &mut dyn FnMut(&D)) {
        self.binding_counts.iter().for_each(|(destination, _)| found(destination));
    }
}
