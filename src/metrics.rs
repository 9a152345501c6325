//! Counters of messages. Whoever counts holds plain numbers, under a lock that it has anyway, and adds them to shared
//! ones once per batch: no message pays for an atomic operation.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Declares the counters once: a plain set of them and a shared one.
macro_rules! counters {
    ($($(#[$doc:meta])* $field:ident;)*) => {
        /// What happened to messages, at one place in the broker.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct MessageTally {
            $($(#[$doc])* pub $field: u64,)*
        }

        impl MessageTally {
            /// Adds what happened elsewhere.
            pub fn add(&mut self, other: &Self) {
                $(self.$field += other.$field;)*
            }

            /// What happened since `earlier`; never less than nothing.
            #[must_use]
            pub fn since(&self, earlier: &Self) -> Self {
                Self { $($field: self.$field.saturating_sub(earlier.$field),)* }
            }
        }

        /// As [`MessageTally`], for those who look on from other threads.
        #[derive(Debug, Default)]
        pub struct SharedTally {
            $($field: AtomicU64,)*
        }

        impl SharedTally {
            /// Adds what was counted, which starts anew.
            pub fn fold(&self, counted: &mut MessageTally) {
                $(if counted.$field > 0 {
                    self.$field.fetch_add(std::mem::take(&mut counted.$field), Ordering::Relaxed);
                })*
            }

            /// The counts of the moment.
            pub fn load(&self) -> MessageTally {
                MessageTally { $($field: self.$field.load(Ordering::Relaxed),)* }
            }
        }
    };
}

counters! {
    /// Published: by a channel, or into a queue.
    publish;
    /// Published on channels that confirm.
    publish_to_confirm;
    /// Published to an exchange.
    publish_in;
    /// Passed on to queues: once for each.
    publish_out;
    /// Confirmed to publishers.
    confirm;
    /// Not routed and given back.
    return_unroutable;
    /// Not routed and dropped.
    drop_unroutable;
    /// Given to consumers that acknowledge.
    deliver;
    /// Given to consumers that do not.
    deliver_no_ack;
    /// Fetched, to be acknowledged.
    get;
    /// Fetched, without acknowledgement.
    get_no_ack;
    /// Fetches that found nothing.
    get_empty;
    /// Given out not for the first time; counted besides deliveries and fetches.
    redeliver;
    /// Acknowledged.
    ack;
}

impl MessageTally {
    /// Deliveries and fetches of every kind.
    pub fn deliver_get(&self) -> u64 {
        self.deliver + self.deliver_no_ack + self.get + self.get_no_ack
    }

    /// Counts a delivery to a consumer, but not whether it is a repeated one.
    pub fn count_delivery(&mut self, no_ack: bool) {
        *(if no_ack { &mut self.deliver_no_ack } else { &mut self.deliver }) += 1;
    }

    /// Counts a fetch, but not whether it is a repeated delivery.
    pub fn count_get(&mut self, no_ack: bool) {
        *(if no_ack { &mut self.get_no_ack } else { &mut self.get }) += 1;
    }
}

/// Bounds of the classes of message sizes, in octets (RabbitMQ's); what is larger than the last one has a class too.
pub const SIZE_BOUNDS: [u64; 8] =
    [100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000, 50_000_000, 100_000_000];

/// Messages by size.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SizeTally {
    /// Messages of each class, not of those below it.
    pub counts: [u64; SIZE_BOUNDS.len() + 1],
    /// Octets of all bodies.
    pub octets: u64,
}

impl SizeTally {
    /// Counts a body.
    pub fn count(&mut self, octets: u64) {
        let class = SIZE_BOUNDS.iter().position(|bound| octets <= *bound).unwrap_or(SIZE_BOUNDS.len());
        if let Some(count) = self.counts.get_mut(class) {
            *count += 1;
        }
        self.octets += octets;
    }
}

/// As [`SizeTally`], for those who look on from other threads.
#[derive(Debug, Default)]
pub struct SharedSizes {
    counts: [AtomicU64; SIZE_BOUNDS.len() + 1],
    octets: AtomicU64,
}

impl SharedSizes {
    /// Adds what was counted, which starts anew.
    pub fn fold(&self, counted: &mut SizeTally) {
        for (shared, count) in self.counts.iter().zip(counted.counts).filter(|(_, count)| *count > 0) {
            shared.fetch_add(count, Ordering::Relaxed);
        }
        if counted.octets > 0 {
            self.octets.fetch_add(counted.octets, Ordering::Relaxed);
        }
        *counted = SizeTally::default();
    }

    /// The counts of the moment.
    pub fn load(&self) -> SizeTally {
        let octets = self.octets.load(Ordering::Relaxed);
        SizeTally { counts: self.counts.each_ref().map(|count| count.load(Ordering::Relaxed)), octets }
    }
}

/// Bounds of the classes of durations, in microseconds: from a disk's sync to a lease of half an hour. What is longer
/// than the last one has a class too.
pub const DURATION_BOUNDS_US: [u64; 14] = [
    100,
    500,
    1_000,
    5_000,
    10_000,
    50_000,
    100_000,
    500_000,
    1_000_000,
    5_000_000,
    30_000_000,
    60_000_000,
    300_000_000,
    1_800_000_000,
];

/// Durations by class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DurationTally {
    /// Durations of each class, not of those below it.
    pub counts: [u64; DURATION_BOUNDS_US.len() + 1],
    /// All of them together, in microseconds.
    pub micros: u64,
}

fn duration_class(micros: u64) -> usize {
    DURATION_BOUNDS_US.partition_point(|bound| *bound < micros)
}

impl DurationTally {
    /// Counts a duration.
    pub fn count(&mut self, micros: u64) {
        self.count_times(micros, 1);
    }

    /// Counts a duration that so many things took.
    pub fn count_times(&mut self, micros: u64, times: u64) {
        if let Some(count) = self.counts.get_mut(duration_class(micros)) {
            *count += times;
        }
        self.micros = self.micros.saturating_add(micros.saturating_mul(times));
    }

    /// Adds what was counted elsewhere.
    pub fn add(&mut self, other: &Self) {
        self.counts.iter_mut().zip(other.counts).for_each(|(count, more)| *count += more);
        self.micros = self.micros.saturating_add(other.micros);
    }
}

/// Durations that are mostly equal to the one before, as those of what comes and goes in batches: each costs a
/// comparison then. Takes little before something is counted.
#[derive(Debug, Default)]
pub struct DurationRuns {
    millis: u64,
    /// So many in a row took that long, and are not in the tally.
    run: u64,
    tally: Option<Box<DurationTally>>,
}

impl DurationRuns {
    /// Counts a duration.
    pub fn count(&mut self, millis: u64) {
        if millis != self.millis {
            self.end_run();
            self.millis = millis;
        }
        self.run += 1;
    }

    /// The counts of the moment.
    pub fn tally(&self) -> DurationTally {
        let mut tally = self.tally.as_deref().copied().unwrap_or_default();
        tally.count_times(self.millis.saturating_mul(1000), self.run);
        tally
    }

    fn end_run(&mut self) {
        if self.run > 0 {
            let run = std::mem::take(&mut self.run);
            self.tally.get_or_insert_default().count_times(self.millis.saturating_mul(1000), run);
        }
    }
}

/// As [`DurationTally`], for those who look on from other threads.
#[derive(Debug, Default)]
pub struct SharedDurations {
    counts: [AtomicU64; DURATION_BOUNDS_US.len() + 1],
    micros: AtomicU64,
}

impl SharedDurations {
    /// Counts a duration.
    pub fn count(&self, duration: Duration) {
        let mut tally = DurationTally::default();
        tally.count(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX));
        self.fold(&tally);
    }

    /// Adds what was counted elsewhere.
    pub fn fold(&self, counted: &DurationTally) {
        for (shared, count) in self.counts.iter().zip(counted.counts).filter(|(_, count)| *count > 0) {
            shared.fetch_add(count, Ordering::Relaxed);
        }
        self.micros.fetch_add(counted.micros, Ordering::Relaxed);
    }

    /// The counts of the moment.
    pub fn load(&self) -> DurationTally {
        let counts = self.counts.each_ref().map(|count| count.load(Ordering::Relaxed));
        DurationTally { counts, micros: self.micros.load(Ordering::Relaxed) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_folded_is_counted_once() {
        let shared = SharedTally::default();
        let mut counted = MessageTally { publish: 3, ..MessageTally::default() };
        shared.fold(&mut counted);
        shared.fold(&mut counted);
        assert_eq!(shared.load().publish, 3);
        assert_eq!(counted, MessageTally::default());
    }

    #[test]
    fn a_size_at_a_bound_belongs_to_the_class_below_it() {
        let (shared, mut tally) = (SharedSizes::default(), SizeTally::default());
        for octets in [0, 100, 101, 200_000_000] {
            tally.count(octets);
        }
        shared.fold(&mut tally);
        assert_eq!(shared.load().counts, [2, 1, 0, 0, 0, 0, 0, 0, 1]);
        assert_eq!(shared.load().octets, 200_000_201);
    }

    #[test]
    fn a_duration_at_a_bound_belongs_to_the_class_below_it() {
        let (shared, mut tally) = (SharedDurations::default(), DurationTally::default());
        for micros in [0, 100, 101, 1_800_000_000, 1_800_000_001] {
            tally.count(micros);
        }
        shared.fold(&tally);
        shared.count(Duration::from_micros(100));
        let found = shared.load();
        assert_eq!((found.counts[0], found.counts[1], found.counts[13], found.counts[14]), (3, 1, 1, 1));
        assert_eq!(found.micros, 3_600_000_302);
        tally.add(&tally.clone());
        assert_eq!(tally.counts[0], 4);
    }

    #[test]
    fn durations_in_a_row_are_counted_like_single_ones() {
        let (mut runs, mut tally) = (DurationRuns::default(), DurationTally::default());
        assert_eq!(runs.tally(), tally);
        for millis in [0, 0, 3, 3, 3, 0, 2_000_000, 2_000_000, 3] {
            runs.count(millis);
            tally.count(millis * 1000);
            assert_eq!(runs.tally(), tally);
        }
    }

    #[test]
    fn deliveries_and_fetches_of_every_kind_add_up() {
        let mut tally = MessageTally::default();
        tally.count_delivery(false);
        tally.count_delivery(true);
        tally.count_get(false);
        tally.count_get(true);
        assert_eq!((tally.deliver_get(), tally.deliver, tally.get_no_ack), (4, 1, 1));
    }
}
