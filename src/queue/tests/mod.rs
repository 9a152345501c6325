//! A queue with everything that it can do, beside a list that does the same: random operations give the same on both.
//!
//! More cases than the tests run: `PROPTEST_CASES=20000 cargo test --lib queue::tests`; others: `PROPTEST_RNG_SEED=1`.

mod model;
mod real;

use proptest::prelude::*;
use proptest::test_runner::{RngSeed, TestCaseError};

use model::Model;
use real::Real;

/// Cases that every run of the tests looks at: some seconds.
const CASES: u32 = 1_000;

/// The same ones each time, unless somebody asks for others.
const SEED: u64 = 7;

/// Milliseconds until dead letters are tried again that did not arrive.
const AGAIN_AFTER_MS: u64 = 1_000;

/// What holds for the queue.
#[derive(Clone, Debug, Default)]
struct Rules {
    /// Of the type quorum, which has two priorities.
    quorum: bool,
    priority_max: Option<u8>,
    ttl_ms: Option<u64>,
    length_max: Option<u64>,
    bytes_max: Option<u64>,
    overflow: &'static str,
    delivery_limit: Option<u32>,
    retry: Option<Backoff>,
    single_active: bool,
    deduplicates: bool,
    lease_ms: Option<u64>,
    /// `x-expires`.
    idle_ms: Option<u64>,
    /// Dead messages stay until their letters have arrived; of the type quorum then, and refusing what is too much.
    keeps_dead: bool,
    /// Messages leave the memory, and the broker is restarted.
    pages: bool,
}

/// `x-delayed-retry-*`.
#[derive(Clone, Debug)]
struct Backoff {
    on: &'static str,
    min_ms: u64,
    max_ms: Option<u64>,
    multiplier: Option<u64>,
}

/// A message to be published.
#[derive(Clone, Debug)]
struct Publish {
    /// Which it is.
    number: u32,
    /// Octets of its body besides the number.
    size: usize,
    persistent: bool,
    priority: u8,
    ttl_ms: Option<u64>,
    delay_ms: Option<u64>,
    /// `x-deduplication-header`.
    header: Option<u32>,
}

/// How leases end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Ack,
    Discard,
    /// nack with requeue.
    Nack,
    /// reject with requeue.
    Reject,
}

/// What a consumer asks for.
#[derive(Clone, Debug)]
struct Consume {
    priority: i64,
    prefetch: Option<u32>,
    no_ack: bool,
    lease_ms: Option<u64>,
}

/// One thing that happens. Consumers are numbered as they come, leases as they are given.
#[derive(Clone, Debug)]
enum Step {
    Publish(Publish),
    Get {
        no_ack: bool,
    },
    Settle {
        lease: usize,
        end: End,
    },
    Consume(Consume),
    Cancel {
        consumer: usize,
    },
    /// Its channel ends.
    Lose {
        consumer: usize,
    },
    /// It takes nothing any more.
    Block {
        consumer: usize,
    },
    Unblock {
        consumer: usize,
    },
    Purge,
    Pass {
        ms: u64,
    },
    /// What can leaves the memory.
    Evict,
    /// Another policy holds. What a queue is declared with stays.
    Govern(Rules),
    /// Dead letters arrive, or do not.
    Post {
        is_open: bool,
    },
    /// The broker ends, in an orderly way or not, and starts again.
    Restart {
        is_crash: bool,
    },
}

/// A message that was given out; to nobody in particular with basic.get.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Given {
    to: Option<usize>,
    number: u32,
    redelivered: bool,
    returns: u32,
}

/// What a step has led to, as it is to be seen from outside.
#[derive(Debug, Default, PartialEq, Eq)]
struct Seen {
    answer: String,
    given: Vec<Given>,
    /// Dead letters and why.
    dead: Vec<(u32, &'static str)>,
    /// Consumers that held something for too long.
    expired: Vec<usize>,
    /// Ready, leased, delayed, dead, consumers; octets of ready bodies.
    counts: (usize, usize, usize, usize, usize, u64),
    /// The queue is gone, for nobody used it.
    is_over: bool,
}

/// What is behind a message on disk and expires in this very millisecond is given out or not, as it happens. So where
/// messages leave the memory they live for odd times, and everything else takes even ones.
fn odd(ms: u64) -> u64 {
    ms | 1
}

fn even(ms: u64) -> u64 {
    ms & !1
}

impl Rules {
    fn apart(self) -> Self {
        if !self.pages {
            return self;
        }
        let Self { ttl_ms, lease_ms, retry, .. } = self;
        let retry = retry.map(|Backoff { on, min_ms, max_ms, multiplier }| Backoff {
            on,
            min_ms: 2 * min_ms,
            max_ms: max_ms.map(|max| 2 * max),
            multiplier,
        });
        Self { ttl_ms: ttl_ms.map(odd), lease_ms: lease_ms.map(even), retry, ..self }
    }
}

impl Step {
    fn apart(self) -> Self {
        match self {
            Self::Publish(publish) => {
                let (ttl_ms, delay_ms) = (publish.ttl_ms.map(odd), publish.delay_ms.map(|ms| 2 * ms));
                Self::Publish(Publish { ttl_ms, delay_ms, ..publish })
            }
            Self::Consume(consume) => {
                Self::Consume(Consume { lease_ms: consume.lease_ms.map(even), ..consume })
            }
            Self::Pass { ms } => Self::Pass { ms: 2 * ms },
            step @ (Self::Get { .. }
            | Self::Settle { .. }
            | Self::Cancel { .. }
            | Self::Lose { .. }
            | Self::Block { .. }
            | Self::Unblock { .. }
            | Self::Purge
            | Self::Evict
            | Self::Govern(_)
            | Self::Post { .. }
            | Self::Restart { .. }) => step,
        }
    }
}

impl Publish {
    fn body(&self) -> String {
        format!("{:04}{}", self.number, "x".repeat(self.size))
    }
}

fn rules() -> impl Strategy<Value = Rules> {
    let maybe = |range: std::ops::Range<u64>| prop::option::weighted(0.4, range);
    let overflow =
        prop::sample::select(vec!["drop-head", "drop-head", "reject-publish", "reject-publish-dlx"]);
    let backoff = (
        prop::sample::select(vec!["all", "failed", "returned"]),
        1..8_u64,
        prop::option::of(8..20_u64),
        prop::option::of(1..4_u64),
    );
    let backoff =
        backoff.prop_map(|(on, min_ms, max_ms, multiplier)| Backoff { on, min_ms, max_ms, multiplier });
    let limits = (maybe(0..25), maybe(0..6), maybe(0..40), overflow, prop::option::weighted(0.3, 0..4_u32));
    let switches = (any::<bool>(), prop::option::of(0..4_u8), any::<bool>(), any::<bool>(), any::<bool>());
    let leases = (maybe(5..30), prop::option::weighted(0.2, 10..60_u64), any::<bool>());
    (limits, switches, prop::option::weighted(0.4, backoff), leases).prop_map(
        |(limits, switches, retry, (lease_ms, idle_ms, keeps_dead))| {
            let (ttl_ms, length_max, bytes_max, overflow, delivery_limit) = limits;
            let (quorum, priority_max, single_active, deduplicates, pages) = switches;
            let quorum = quorum && priority_max.is_none();
            let keeps_dead = keeps_dead && quorum;
            let overflow = if keeps_dead { "reject-publish" } else { overflow };
            let rules =
                Rules { quorum, priority_max, ttl_ms, length_max, bytes_max, overflow, ..Rules::default() };
            let rules = Rules { delivery_limit, retry, single_active, deduplicates, lease_ms, ..rules };
            Rules { idle_ms, keeps_dead, pages, ..rules }.apart()
        },
    )
}

/// A step whose consumers and leases are still to be found among those that there are.
fn step() -> impl Strategy<Value = Step> {
    let maybe = |range: std::ops::Range<u64>| prop::option::weighted(0.25, range);
    let message = (0..8_usize, any::<bool>(), 0..8_u8, maybe(0..30), maybe(1..30));
    let publish = (message, prop::option::weighted(0.4, 0..2_u32)).prop_map(|(message, header)| {
        let (size, persistent, priority, ttl_ms, delay_ms) = message;
        Step::Publish(Publish { number: 0, size, persistent, priority, ttl_ms, delay_ms, header })
    });
    let end = prop::sample::select(vec![End::Ack, End::Discard, End::Nack, End::Reject]);
    let consume = (0..3_i64, prop::option::of(1..4_u32), any::<bool>(), maybe(0..20));
    let consume = consume.prop_map(|(priority, prefetch, no_ack, lease_ms)| {
        Step::Consume(Consume { priority, prefetch, no_ack, lease_ms })
    });
    let consumer = || any::<usize>();
    prop_oneof![
        10 => publish,
        3 => any::<bool>().prop_map(|no_ack| Step::Get { no_ack }),
        8 => (any::<usize>(), end).prop_map(|(lease, end)| Step::Settle { lease, end }),
        2 => consume,
        1 => consumer().prop_map(|consumer| Step::Cancel { consumer }),
        1 => consumer().prop_map(|consumer| Step::Lose { consumer }),
        1 => consumer().prop_map(|consumer| Step::Block { consumer }),
        2 => consumer().prop_map(|consumer| Step::Unblock { consumer }),
        1 => Just(Step::Purge),
        5 => (1..15_u64).prop_map(|ms| Step::Pass { ms }),
        4 => Just(Step::Evict),
        1 => rules().prop_map(Step::Govern),
        2 => any::<bool>().prop_map(|is_open| Step::Post { is_open }),
        1 => any::<bool>().prop_map(|is_crash| Step::Restart { is_crash }),
    ]
}

impl Rules {
    /// The same queue where `others` hold as far as a policy can say.
    fn governed(&self, others: &Self) -> Self {
        let Self { ttl_ms, length_max, bytes_max, delivery_limit, idle_ms, .. } = *others;
        let lease_ms = others.lease_ms;
        let overflow = if self.keeps_dead { self.overflow } else { others.overflow };
        let retry = others.retry.clone();
        let rules = Self { ttl_ms, length_max, bytes_max, delivery_limit, idle_ms, ..self.clone() };
        Self { lease_ms, overflow, retry, ..rules }.apart()
    }
}

/// The step with a consumer and a lease that there are; `None` if there is none.
fn resolved(step: Step, number: u32, rules: &Rules, model: &Model) -> Option<Step> {
    let one_of = |list: Vec<usize>, which: usize| list.get(which.checked_rem(list.len())?).copied();
    let consumer = |which| one_of(model.consuming(), which);
    let step = if rules.pages { step.apart() } else { step };
    Some(match step {
        Step::Publish(publish) => Step::Publish(Publish { number, ..publish }),
        Step::Settle { lease, end } => Step::Settle { lease: one_of(model.unsettled(), lease)?, end },
        Step::Cancel { consumer: which } => Step::Cancel { consumer: consumer(which)? },
        Step::Lose { consumer: which } => Step::Lose { consumer: consumer(which)? },
        Step::Block { consumer: which } => Step::Block { consumer: consumer(which)? },
        Step::Unblock { consumer: which } => Step::Unblock { consumer: consumer(which)? },
        // Until letters are tried again.
        Step::Post { .. } if model.letters_wait() => Step::Pass { ms: AGAIN_AFTER_MS },
        Step::Govern(others) => Step::Govern(rules.governed(&others)),
        // What a start has to read again is not there at once, as in a queue whose messages leave the memory.
        Step::Restart { is_crash } => rules.pages.then_some(Step::Restart { is_crash })?,
        step @ (Step::Get { .. } | Step::Consume(_) | Step::Purge | Step::Pass { .. }) => step,
        step @ (Step::Evict | Step::Post { .. }) => step,
    })
}

fn config() -> ProptestConfig {
    let asked = ProptestConfig::default();
    let cases = if std::env::var_os("PROPTEST_CASES").is_some() { asked.cases } else { CASES };
    let rng_seed = if asked.rng_seed == RngSeed::Random { RngSeed::Fixed(SEED) } else { asked.rng_seed };
    ProptestConfig { cases, rng_seed, failure_persistence: None, ..asked }
}

/// Does the steps on both sides.
fn agree(rules: &Rules, steps: Vec<Step>) -> Result<(), TestCaseError> {
    let mut model = Model::new(rules.clone());
    let mut real = Real::new(rules);
    let (mut rules, mut done) = (rules.clone(), Vec::new());
    for (number, step) in (0..).zip(steps) {
        let Some(step) = resolved(step, number, &rules, &model) else { continue };
        if let Step::Govern(others) = &step {
            rules = others.clone();
        }
        let (mut expected, mut seen) = (model.step(&step), real.step(&step));
        done.push(step);
        if rules.pages || rules.keeps_dead {
            // A lower level's dead need not wait until those of a higher one have been read, nor new ones for others
            // whose letters are tried again.
            expected.dead.sort_unstable();
            seen.dead.sort_unstable();
        }
        prop_assert_eq!(&seen, &expected, "left is the queue; after {:#?}", done);
        if seen.is_over {
            return Ok(());
        }
    }
    real.check_rest()
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_queue_does_what_a_simple_list_does(rules in rules(), steps in prop::collection::vec(step(), 1..60)) {
        agree(&rules, steps)?;
    }
}

#[test]
fn a_head_on_disk_expires_also_when_that_of_another_level_was_read_last() {
    let publish = |priority: u8, delay_ms: Option<u64>| {
        let (number, size, persistent, ttl_ms, header) = (0, 0, false, None, None);
        Step::Publish(Publish { number, size, persistent, priority, ttl_ms, delay_ms, header })
    };
    let rules = Rules {
        priority_max: Some(2),
        ttl_ms: Some(12),
        overflow: "drop-head",
        pages: true,
        ..Rules::default()
    };
    let steps = vec![
        publish(0, Some(1)),
        publish(1, None),
        Step::Pass { ms: 5 },
        publish(0, None),
        Step::Evict,
        Step::Pass { ms: 8 },
    ];
    agree(&rules, steps).unwrap();
}
