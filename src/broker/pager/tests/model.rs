//! Paging changes nothing that anybody can see: random operations on a queue whose messages leave the memory at once,
//! and on one whose messages never do, give the same.

use proptest::prelude::*;

use super::*;
use crate::queue::{LeaseRef, Settlement};

#[derive(Clone, Copy, Debug)]
enum Step {
    Publish {
        persistent: bool,
        priority: u8,
    },
    Get {
        no_ack: bool,
    },
    Settle {
        which: usize,
        how: Settlement,
    },
    Purge,
    /// The pager has time to work.
    Page,
    /// The pager looks at the queue again, leases included.
    Squeeze,
}

fn step() -> impl Strategy<Value = Step> {
    let how = prop_oneof![Just(Settlement::Ack), Just(Settlement::Requeue), Just(Settlement::Discard)];
    prop_oneof![
        8 => (any::<bool>(), 0..4_u8).prop_map(|(persistent, priority)| Step::Publish { persistent, priority }),
        5 => any::<bool>().prop_map(|no_ack| Step::Get { no_ack }),
        4 => (any::<usize>(), how).prop_map(|(which, how)| Step::Settle { which, how }),
        1 => Just(Step::Purge),
        4 => Just(Step::Page),
        2 => Just(Step::Squeeze),
    ]
}

/// A queue, where its dead letters go, and what is leased from it.
struct Side {
    world: World,
    queue: Arc<Queue>,
    dead: Arc<Queue>,
    leases: Vec<LeaseRef>,
    pages: bool,
}

impl Side {
    fn new(dir: &Path, budget: u64, priorities: bool) -> Self {
        let world = World::open_with(dir, budget);
        let mut arguments = FieldTable::new();
        arguments.insert("x-dead-letter-exchange", "");
        arguments.insert("x-dead-letter-routing-key", "dead");
        if priorities {
            arguments.insert("x-max-priority", 3_i64);
        }
        let (queue, dead) = (world.declare("q", arguments), world.declare("dead", FieldTable::new()));
        Self { world, queue, dead, leases: Vec::new(), pages: budget == 0 }
    }

    /// Carries a step out; what a client would see.
    fn take(&mut self, number: usize, step: Step) -> String {
        let now = self.world.broker.clock.now();
        match step {
            Step::Publish { persistent, priority } => {
                let envelope = Envelope { persistent, priority, ..PERSISTENT };
                self.world.publish(&self.queue, envelope, &number.to_string());
                String::new()
            }
            Step::Get { no_ack } => loop {
                match self.queue.get(no_ack, now) {
                    Got::Empty => break "empty".to_owned(),
                    Got::Cold => assert!(self.world.pager.read_head(&self.queue, now).unwrap()),
                    Got::Message(got) => {
                        if !no_ack {
                            self.leases.push(LeaseRef { seq: got.seq, holder: got.holder });
                        }
                        break format!("{:?} {} {}", got.message, got.redelivered, got.remaining);
                    }
                }
            },
            Step::Settle { which, how } => {
                if self.leases.is_empty() {
                    return String::new();
                }
                let lease = self.leases.remove(which % self.leases.len());
                self.queue.settle(&[lease], how, now);
                String::new()
            }
            Step::Purge => self.queue.purge(now).to_string(),
            Step::Page if self.pages => {
                self.world.work_off();
                String::new()
            }
            Step::Squeeze if self.pages => {
                self.world.pager.grew(&self.queue);
                self.world.work_off();
                String::new()
            }
            Step::Page | Step::Squeeze => String::new(),
        }
    }

    fn rest(&self) -> (Vec<String>, Vec<String>) {
        (self.world.drain(&self.queue), self.world.drain(&self.dead))
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn paging_is_not_to_be_seen(steps in prop::collection::vec(step(), 1..80), priorities in any::<bool>()) {
        let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let mut paged = Side::new(dirs[0].path(), 0, priorities);
        let mut plain = Side::new(dirs[1].path(), u64::MAX, priorities);
        for (number, step) in steps.into_iter().enumerate() {
            prop_assert_eq!(paged.take(number, step), plain.take(number, step));
            prop_assert_eq!(paged.queue.counts(), plain.queue.counts());
        }
        let report = |side: &Side| side.queue.report().ready_octets;
        prop_assert_eq!(report(&paged), report(&plain));
        prop_assert_eq!(paged.rest(), plain.rest());
        prop_assert!(paged.queue.memory() <= plain.queue.memory(), "leases may have left the memory");
    }
}
