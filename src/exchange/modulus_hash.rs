//! The modulus-hash exchange (RabbitMQ): each message goes to the destination whose number is the hash of its routing
//! keys modulo how many there are, in order of their names. For a fixed set of destinations.

use twox_hash::XxHash64;

use super::binding::BindError;
use super::consistent_hash::CHOICES_MAX;
use super::subject::{Subject, Target};

/// Destinations in order of their names.
#[derive(Debug)]
pub(super) struct ModulusHash<D> {
    choices: Vec<Choice<D>>,
}

#[derive(Debug)]
struct Choice<D> {
    name: Vec<u8>,
    destination: D,
    bindings: usize,
}

impl<D: Target> ModulusHash<D> {
    pub(super) const fn new() -> Self {
        Self { choices: Vec::new() }
    }

    pub(super) fn insert(&mut self, destination: &D) -> Result<(), BindError> {
        let name = destination.stable_name();
        match self.position(&name) {
            Ok(at) => self.choices.get_mut(at).into_iter().for_each(|choice| choice.bindings += 1),
            Err(_) if self.choices.len() >= CHOICES_MAX => return Err(BindError::TooManyDestinations),
            Err(at) => {
                self.choices.insert(at, Choice { name, destination: destination.clone(), bindings: 1 });
            }
        }
        Ok(())
    }

    pub(super) fn remove(&mut self, destination: &D) {
        let Ok(at) = self.position(&destination.stable_name()) else { return };
        let Some(choice) = self.choices.get_mut(at) else { return };
        choice.bindings -= 1;
        if choice.bindings == 0 {
            self.choices.remove(at);
        }
    }

    pub(super) fn route(&self, subject: &Subject<'_>, found: &mut dyn FnMut(&D)) {
        let hash = subject.keys.iter().fold(0, |seed, key| XxHash64::oneshot(seed, key));
        let number = usize::try_from(hash >> 1).unwrap_or_default().checked_rem(self.choices.len());
        if let Some(choice) = number.and_then(|number| self.choices.get(number)) {
            found(&choice.destination);
        }
    }

    fn position(&self, name: &[u8]) -> Result<usize, usize> {
        self.choices.binary_search_by(|choice| choice.name.as_slice().cmp(name))
    }

    #[cfg(test)]
    pub(super) fn rule_count(&self) -> usize {
        self.choices.len()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn bound(queues: &[u32]) -> ModulusHash<u32> {
        let mut rules = ModulusHash::new();
        queues.iter().for_each(|queue| rules.insert(queue).unwrap());
        rules
    }

    fn routed(rules: &ModulusHash<u32>, key: &str) -> Vec<u32> {
        let mut found = Vec::new();
        rules.route(&Subject::by_keys(&[key.as_bytes()]), &mut |queue| found.push(*queue));
        found
    }

    #[test]
    fn equal_keys_go_to_one_destination_whatever_the_order_of_binds() {
        let (one, other) = (bound(&[1, 2, 3]), bound(&[3, 1, 2, 2]));
        let mut reached = BTreeSet::new();
        for key in 0..100 {
            let found = routed(&one, &key.to_string());
            assert_eq!(found.len(), 1);
            assert_eq!(found, routed(&other, &key.to_string()));
            reached.extend(found);
        }
        assert_eq!(reached, BTreeSet::from([1, 2, 3]));
    }

    #[test]
    fn without_destinations_a_message_goes_nowhere() {
        let mut rules = bound(&[1, 1]);
        rules.remove(&1);
        assert_eq!(routed(&rules, "k"), [1]);
        rules.remove(&1);
        assert!(routed(&rules, "k").is_empty());
    }
}
