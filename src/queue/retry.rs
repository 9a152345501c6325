//! Retries with backoff: by how much a message that comes back is delayed (RabbitMQ 4.3; the multiplier is LavinMQ's).

use lepus_protocol::{FieldTable, FieldValue};

/// Why a message comes back to its queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Its consumer could not deal with it, or is lost: basic.reject with requeue, the end of a channel.
    Failed,
    /// Its consumer gives it back: basic.nack with requeue, basic.recover, or it has held it for too long.
    Returned,
    /// An operator has looked at it.
    Seen,
}

/// Which messages that come back are delayed (`x-delayed-retry-type`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryOn {
    /// All.
    All,
    /// Those that failed.
    Failed,
    /// Those that were given back.
    Returned,
}

/// By how much they are delayed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry {
    /// Which.
    pub on: RetryOn,
    /// The first delay in milliseconds (`x-delayed-retry-min`).
    pub min_ms: u64,
    /// The longest (`x-delayed-retry-max`).
    pub max_ms: Option<u64>,
    /// What each delay is multiplied by to give the next; without one they grow by the first (`-multiplier`).
    pub multiplier: Option<u64>,
}

/// The names of the arguments, and of the policies' keys behind their prefix.
pub(super) const TYPE: &str = "x-delayed-retry-type";
pub(super) const MIN: &str = "x-delayed-retry-min";
pub(super) const MAX: &str = "x-delayed-retry-max";
pub(super) const MULTIPLIER: &str = "x-delayed-retry-multiplier";

/// What stands before the names of arguments and not before those of keys.
const PREFIX: &str = "x-";

impl Retry {
    /// What arguments and a policy say together. RabbitMQ: of each number the smaller one holds, and an argument's
    /// type. LavinMQ: a minimum without a type is enough.
    pub fn of(arguments: &FieldTable, policy: &FieldTable) -> Option<Self> {
        Self::bounded(arguments, policy, None)
    }

    /// The same, where an operator's policy has a minimum: no delay is shorter than that.
    pub fn bounded(
        arguments: &FieldTable,
        policy: &FieldTable,
        operator: Option<&FieldTable>,
    ) -> Option<Self> {
        let by_policy = |name: &str| policy.get(name.strip_prefix(PREFIX).unwrap_or(name));
        let number = |name: &str| {
            let numbers = [arguments.get(name), by_policy(name)].into_iter().flatten();
            numbers.filter_map(FieldValue::as_integer).filter_map(|number| u64::try_from(number).ok()).min()
        };
        let on = match arguments.get(TYPE).or_else(|| by_policy(TYPE)).and_then(FieldValue::as_str) {
            Some("disabled") => return None,
            Some("failed") => RetryOn::Failed,
            Some("returned") => RetryOn::Returned,
            _ => RetryOn::All,
        };
        let bound = operator.and_then(|operator| operator.get(MIN.strip_prefix(PREFIX).unwrap_or(MIN)));
        let bound = bound.and_then(FieldValue::as_integer).and_then(|bound| u64::try_from(bound).ok());
        let min_ms = number(MIN)?.max(bound.unwrap_or_default());
        let max_ms = number(MAX).map(|max| max.max(bound.unwrap_or_default()));
        Some(Self { on, min_ms, max_ms, multiplier: number(MULTIPLIER) })
    }

    /// By how much a message is delayed that was given out so many times; `None`: it is ready at once.
    pub fn delay_ms(self, deliveries: u32, cause: Cause) -> Option<u64> {
        let is_meant = match self.on {
            RetryOn::All => cause != Cause::Seen,
            RetryOn::Failed => cause == Cause::Failed,
            RetryOn::Returned => cause == Cause::Returned,
        };
        if !is_meant {
            return None;
        }
        let before = deliveries.saturating_sub(1);
        let delay = match self.multiplier {
            None => self.min_ms.saturating_mul(u64::from(deliveries.max(1))),
            Some(multiplier) => self.min_ms.saturating_mul(multiplier.saturating_pow(before)),
        };
        Some(self.max_ms.map_or(delay, |max| delay.min(max))).filter(|delay| *delay > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(entries: &[(&str, FieldValue)]) -> FieldTable {
        let mut table = FieldTable::new();
        entries.iter().for_each(|(key, value)| table.insert(key, value.clone()));
        table
    }

    fn delays(arguments: &[(&str, FieldValue)]) -> Vec<Option<u64>> {
        let retry = Retry::of(&table(arguments), &FieldTable::new()).unwrap();
        (1..=5).map(|deliveries| retry.delay_ms(deliveries, Cause::Failed)).collect()
    }

    #[test]
    fn delays_grow_by_the_first_or_by_a_factor_up_to_the_longest() {
        let (kind, min, max) = ((TYPE, "all".into()), (MIN, 100.into()), (MAX, 350.into()));
        assert_eq!(delays(&[kind, min.clone()]), [100, 200, 300, 400, 500].map(Some));
        assert_eq!(delays(&[min.clone(), max.clone()]), [100, 200, 300, 350, 350].map(Some));
        let twice = (MULTIPLIER, 2.into());
        assert_eq!(delays(&[min.clone(), twice.clone()]), [100, 200, 400, 800, 1600].map(Some));
        assert_eq!(delays(&[min.clone(), max, twice]), [100, 200, 350, 350, 350].map(Some));
        assert_eq!(delays(&[min, (MULTIPLIER, 1.into())]), [Some(100); 5]);
    }

    #[test]
    fn a_delay_never_wraps() {
        let retry = Retry { on: RetryOn::All, min_ms: u64::MAX, max_ms: None, multiplier: Some(u64::MAX) };
        assert_eq!(retry.delay_ms(u32::MAX, Cause::Failed), Some(u64::MAX));
    }

    #[test]
    fn the_type_says_which_messages_are_meant() {
        let meant = |kind: &str| {
            let retry = Retry::of(&table(&[(TYPE, kind.into()), (MIN, 1.into())]), &FieldTable::new());
            let delay = |cause| retry.and_then(|retry| retry.delay_ms(1, cause)).is_some();
            (delay(Cause::Failed), delay(Cause::Returned))
        };
        assert_eq!(meant("all"), (true, true));
        assert_eq!(meant("failed"), (true, false));
        assert_eq!(meant("returned"), (false, true));
        assert_eq!(meant("disabled"), (false, false));
    }

    #[test]
    fn a_policy_completes_the_arguments_and_the_smaller_number_holds() {
        let policy = table(&[("delayed-retry-min", 50.into()), ("delayed-retry-max", 500.into())]);
        let retry = Retry::of(&table(&[(TYPE, "failed".into()), (MIN, 100.into())]), &policy).unwrap();
        assert_eq!((retry.on, retry.min_ms, retry.max_ms), (RetryOn::Failed, 50, Some(500)));
        let operator = table(&[("delayed-retry-min", 200.into())]);
        let arguments = table(&[(MIN, 100.into()), (MAX, 150.into())]);
        let bounded = Retry::bounded(&arguments, &operator, Some(&operator)).unwrap();
        assert_eq!(
            (bounded.min_ms, bounded.max_ms),
            (200, Some(200)),
            "no delay is shorter than an operator's"
        );
        let disabled = table(&[("delayed-retry-type", "disabled".into()), ("delayed-retry-min", 50.into())]);
        assert_eq!(Retry::of(&FieldTable::new(), &disabled), None);
        assert_eq!(Retry::of(&table(&[(TYPE, "all".into())]), &FieldTable::new()), None);
    }
}
