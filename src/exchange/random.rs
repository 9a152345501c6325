//! The random exchanges (RabbitMQ): each message goes to one destination by chance.

use std::hash::Hash;

use super::binding::BindError;
use super::destinations::Destinations;
use super::subject::Subject;

/// All destinations, each as likely as the others however often it is bound.
#[derive(Debug)]
pub(super) struct Random<D> {
    destinations: Destinations<D>,
    /// Keys have to be empty (`x-local-random`).
    without_keys: bool,
}

impl<D: Clone + Eq + Hash> Random<D> {
    pub(super) const fn new(without_keys: bool) -> Self {
        Self { destinations: Destinations::new(), without_keys }
    }

    pub(super) fn insert(&mut self, key: &[u8], destination: &D) -> Result<(), BindError> {
        if self.without_keys && !key.is_empty() {
            return Err(BindError::KeyNotEmpty(key.to_vec()));
        }
        self.destinations.add(destination);
        Ok(())
    }

    pub(super) fn remove(&mut self, destination: &D) {
        self.destinations.remove(destination);
    }

    pub(super) fn route(&self, subject: &Subject<'_>, found: &mut dyn FnMut(&D)) {
        if self.destinations.len() > 1 {
            let number = usize::try_from((subject.random)() >> 1).unwrap_or_default();
            self.destinations.nth(number % self.destinations.len()).into_iter().for_each(found);
        } else {
            self.destinations.for_each(found);
        }
    }

    #[cfg(test)]
    pub(super) fn rule_count(&self) -> usize {
        usize::from(!self.destinations.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn routed(random: &Random<u32>, drawn: fn() -> u64) -> Vec<u32> {
        let mut found = Vec::new();
        random
            .route(&Subject { random: drawn, ..Subject::by_keys(&[b"k"]) }, &mut |queue| found.push(*queue));
        found
    }

    #[test]
    fn chance_decides_and_each_message_goes_to_one() {
        let mut random = Random::new(false);
        assert!(routed(&random, || 0).is_empty());
        for queue in [7, 8, 9, 9] {
            random.insert(b"any", &queue).unwrap();
        }
        assert_eq!(routed(&random, || 0), [7]);
        assert_eq!(routed(&random, || 2 << 1), [9]);
        assert_eq!(routed(&random, || 4 << 1), [8]);
    }

    #[test]
    fn a_local_random_exchange_takes_no_keys() {
        let mut random = Random::new(true);
        assert_eq!(random.insert(b"k", &1), Err(BindError::KeyNotEmpty(b"k".to_vec())));
        assert_eq!((random.insert(b"", &1), routed(&random, || 5)), (Ok(()), vec![1]));
    }
}
