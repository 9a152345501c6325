//! The consistent-hash exchange (RabbitMQ's plugin): each message goes to one destination, equal keys to the same one,
//! and the binding key is the destination's weight.
//!
//! Every destination draws a lot for each key, a number that depends on nothing but the two, and the best one wins
//! (weighted rendezvous hashing). So a destination that joins takes its share from all others, one that leaves gives
//! only its own keys away, shares follow the weights exactly, and the order of binds does not matter: the same
//! bindings route the same way after a restart. The price is a look at every destination.

use lepus_protocol::{FieldTable, FieldValue};
use twox_hash::XxHash64;

use super::arguments::HashOn;
use super::binding::BindError;
use super::dense_map::DenseMap;
use super::subject::{Subject, Target};

/// Most destinations of an exchange that chooses among all of them for every message: at some 10 ns each.
pub const CHOICES_MAX: usize = 4096;

/// What messages without the header or property that is hashed have in common: they go to one destination (RabbitMQ).
const NO_VALUE: &[u8] = b"";

/// Destinations with their weights.
#[derive(Debug)]
pub(super) struct ConsistentHash<D> {
    on: HashOn,
    choices: DenseMap<D, Choice>,
}

#[derive(Debug)]
struct Choice {
    /// The sum over its bindings. Each is at most `u32::MAX`, and there are at most 2^24.
    weight: u64,
    /// Stands for the destination's name.
    seed: u64,
}

impl<D: Target> ConsistentHash<D> {
    pub(super) fn new(arguments: &FieldTable) -> Self {
        // What was declared was accepted, so there is no error to come.
        Self { on: HashOn::from_arguments(arguments).unwrap_or_default(), choices: DenseMap::new() }
    }

    pub(super) fn insert(&mut self, key: &[u8], destination: &D) -> Result<(), BindError> {
        let weight = weight(key)?;
        if let Some(choice) = self.choices.get_mut(destination) {
            choice.weight += weight;
            return Ok(());
        }
        if self.choices.len() >= CHOICES_MAX {
            return Err(BindError::TooManyDestinations);
        }
        let seed = XxHash64::oneshot(0, &destination.stable_name());
        self.choices.insert_new(destination.clone(), Choice { weight, seed });
        Ok(())
    }

    pub(super) fn remove(&mut self, key: &[u8], destination: &D) {
        let Some(choice) = self.choices.get_mut(destination) else { return };
        choice.weight = choice.weight.saturating_sub(weight(key).unwrap_or_default());
        if choice.weight == 0 {
            self.choices.remove(destination);
        }
    }

    pub(super) fn route(&self, subject: &Subject<'_>, found: &mut dyn FnMut(&D)) {
        let key = self.hash_of(subject);
        let lots = self.choices.iter().map(|(destination, choice)| (choice.lot(key), destination));
        if let Some((_, destination)) = lots.max_by(|(one, _), (other, _)| one.total_cmp(other)) {
            found(destination);
        }
    }

    fn hash_of(&self, subject: &Subject<'_>) -> u64 {
        let hash = |octets: &[u8]| XxHash64::oneshot(0, octets);
        let property = || subject.headers.properties();
        match &self.on {
            HashOn::RoutingKey => hash(subject.key()),
            HashOn::Header(name) => {
                let value = subject.headers.table().and_then(|table| table.get(name));
                value.map_or_else(|| hash(NO_VALUE), hash_of_value)
            }
            HashOn::CorrelationId => {
                hash(property().and_then(|all| all.correlation_id).map_or(NO_VALUE, |id| id.as_bytes()))
            }
            HashOn::MessageId => {
                hash(property().and_then(|all| all.message_id).map_or(NO_VALUE, |id| id.as_bytes()))
            }
            HashOn::Timestamp => {
                let timestamp = property().and_then(|all| all.timestamp);
                timestamp.map_or_else(|| hash(NO_VALUE), |seconds| hash(&seconds.to_be_bytes()))
            }
        }
    }

    #[cfg(test)]
    pub(super) fn rule_count(&self) -> usize {
        self.choices.len()
    }
}

impl Choice {
    /// The destination's lot for a key: the larger the weight, the likelier it is to be the greatest, in proportion.
    fn lot(&self, key: u64) -> f64 {
        const STEPS: f64 = (1_u64 << 53) as f64;
        // 53 bits are what a float holds; the half keeps the logarithm finite.
        let chance = ((mixed(self.seed ^ key) >> 11) as f64 + 0.5) / STEPS;
        self.weight as f64 / -chance.ln()
    }
}

/// Spreads every bit over all others (the finalizer of SplitMix64).
fn mixed(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

/// An integer counts by its value, whatever its width: clients choose the width by themselves.
fn hash_of_value(value: &FieldValue) -> u64 {
    if let Some(number) = value.as_integer() {
        return XxHash64::oneshot(1, &number.to_be_bytes());
    }
    if let FieldValue::LongString(octets) | FieldValue::Bytes(octets) = value {
        return XxHash64::oneshot(0, octets);
    }
    let mut encoded = Vec::new();
    let mut table = FieldTable::new();
    table.insert("", value.clone());
    table.encode(&mut encoded);
    XxHash64::oneshot(2, &encoded)
}

/// The weight that a binding key is: a positive integer in decimal, as Erlang reads one.
fn weight(key: &[u8]) -> Result<u64, BindError> {
    let not_integer = || BindError::WeightNotInteger(key.to_vec());
    let text = std::str::from_utf8(key).map_err(|_| not_integer())?;
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return Err(not_integer());
    }
    if text.starts_with('-') || digits.bytes().all(|digit| digit == b'0') {
        return Err(BindError::WeightNotPositive);
    }
    digits.parse::<u32>().map(u64::from).map_err(|_| BindError::WeightTooLarge)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    const KEYS: u32 = 10_000;

    fn table(key: &str, value: FieldValue) -> FieldTable {
        let mut table = FieldTable::new();
        table.insert(key, value);
        table
    }

    fn bound(weights: &[(u32, &str)]) -> ConsistentHash<u32> {
        let mut rules = ConsistentHash::new(&FieldTable::new());
        weights.iter().for_each(|(queue, weight)| rules.insert(weight.as_bytes(), queue).unwrap());
        rules
    }

    fn routed(rules: &ConsistentHash<u32>, key: &str) -> Option<u32> {
        let keys = [key.as_bytes()];
        let mut all = Vec::new();
        rules.route(&Subject::by_keys(&keys), &mut |queue| all.push(*queue));
        assert!(all.len() <= 1, "one destination for each message");
        all.pop()
    }

    fn placement(rules: &ConsistentHash<u32>) -> Vec<u32> {
        (0..KEYS).map(|key| routed(rules, &format!("key-{key}")).unwrap()).collect()
    }

    fn moved(before: &[u32], after: &[u32]) -> Vec<(u32, u32)> {
        before
            .iter()
            .zip(after)
            .filter(|(one, other)| one != other)
            .map(|(one, other)| (*one, *other))
            .collect()
    }

    #[test]
    fn shares_follow_the_weights() {
        let mut shares = BTreeMap::new();
        for queue in placement(&bound(&[(1, "1"), (2, "1"), (3, "2")])) {
            *shares.entry(queue).or_insert(0) += 1;
        }
        // The same on every run: four standard deviations are 173 and 200.
        for (queue, share) in [(1, 2_500), (2, 2_500), (3, 5_000)] {
            let off: i32 = shares[&queue] - share;
            assert!(off.abs() < 200, "queue {queue} has {} of {KEYS} keys", shares[&queue]);
        }
    }

    #[test]
    fn who_joins_takes_its_share_and_nothing_else_moves() {
        let before = placement(&bound(&[(1, "1"), (2, "1"), (3, "1")]));
        let after = placement(&bound(&[(1, "1"), (2, "1"), (3, "1"), (4, "1")]));
        let moved = moved(&before, &after);
        assert!(moved.iter().all(|(_, to)| *to == 4));
        assert!((2_300..2_700).contains(&moved.len()), "{} of {KEYS} keys moved", moved.len());
    }

    #[test]
    fn who_leaves_gives_away_its_own_and_nothing_else_moves() {
        let mut rules = bound(&[(1, "1"), (2, "3"), (3, "1")]);
        let before = placement(&rules);
        rules.remove(b"3", &2);
        let moved = moved(&before, &placement(&rules));
        assert!(!moved.is_empty() && moved.iter().all(|(from, _)| *from == 2));
        rules.remove(b"1", &1);
        rules.remove(b"1", &3);
        assert_eq!((routed(&rules, "k"), rules.rule_count()), (None, 0));
    }

    #[test]
    fn the_order_of_binds_does_not_matter() {
        let one = bound(&[(1, "1"), (2, "2"), (3, "3"), (1, "4")]);
        let other = bound(&[(3, "3"), (1, "4"), (1, "1"), (2, "2")]);
        assert_eq!(placement(&one), placement(&other));
    }

    #[test]
    fn a_header_is_hashed_by_its_value_whatever_the_width_of_an_integer() {
        let rules = {
            let mut rules = ConsistentHash::new(&table("hash-header", "h".into()));
            (0_u32..50).for_each(|queue| rules.insert(b"1", &queue).unwrap());
            rules
        };
        let to = |value: FieldValue| {
            let headers = table("h", value);
            let mut all = Vec::new();
            rules.route(&Subject { headers: &headers, ..Subject::by_keys(&[b"k"]) }, &mut |queue| {
                all.push(*queue);
            });
            all
        };
        assert_eq!(to(7_i32.into()), to(7_i64.into()));
        let destinations: std::collections::BTreeSet<_> =
            (0..50).map(|number: i32| to(number.into())).collect();
        assert!(destinations.len() > 10, "{} destinations for 50 values", destinations.len());
    }

    #[test]
    fn a_weight_is_a_positive_integer() {
        for good in ["1", "+1", "01", "4294967295"] {
            assert!(weight(good.as_bytes()).is_ok(), "{good}");
        }
        for bad in ["", "a", "1.5", " 1", "1 ", "--1", "\u{e9}"] {
            assert_eq!(weight(bad.as_bytes()), Err(BindError::WeightNotInteger(bad.into())), "{bad}");
        }
        assert_eq!(weight(b"0"), Err(BindError::WeightNotPositive));
        assert_eq!(weight(b"-1"), Err(BindError::WeightNotPositive));
        assert_eq!(weight(b"4294967296"), Err(BindError::WeightTooLarge));
    }

    #[test]
    fn there_are_only_so_many_destinations_to_choose_from() {
        let mut rules = bound(&[]);
        (0..4096_u32).for_each(|queue| rules.insert(b"1", &queue).unwrap());
        assert_eq!(rules.insert(b"1", &5000), Err(BindError::TooManyDestinations));
        assert_eq!(rules.insert(b"1", &1), Ok(()));
    }
}
