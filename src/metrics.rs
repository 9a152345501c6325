//! Counters of messages. Whoever counts holds plain numbers, under a lock that it has anyway, and adds them to shared
//! ones once per batch: no message pays for an atomic operation.

use std::sync::atomic::{AtomicU64, Ordering};

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
    fn deliveries_and_fetches_of_every_kind_add_up() {
        let mut tally = MessageTally::default();
        tally.count_delivery(false);
        tally.count_delivery(true);
        tally.count_get(false);
        tally.count_get(true);
        assert_eq!((tally.deliver_get(), tally.deliver, tally.get_no_ack), (4, 1, 1));
    }
}
