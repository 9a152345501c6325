//! The storage engine, and queues upon it, on a simulated disk: random workloads, crashes at every change, torn and
//! reordered writes, full and failing disks, flipped bits. Everything follows from a seed, which a failure prints.
//!
//! `LEPUS_SIM_SEED` sets the first seed, `LEPUS_SIM_COUNT` how many are run (for a long run: 100000).

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::print_stdout,
    reason = "in a test a panic is the report, and its numbers are small"
)]

mod crashes;
mod damage;
mod model;
mod queues;
mod repair;
mod threads;
mod workload;

use std::time::{Duration, Instant};

/// Time that a test takes at most if no count is asked for.
const TIME_MAX: Duration = Duration::from_secs(12);

/// A stream of numbers from a seed (splitmix64).
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    /// The stream of `seed`.
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `end`.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next() % end.max(1)
    }

    /// True once in `times`.
    pub(crate) fn once_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }
}

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// Runs `act` with seed after seed: as many as asked for, or `count` within the time.
pub(crate) fn for_seeds(count: u64, act: impl Fn(u64)) {
    for_seeds_at_least(1, count, act);
}

/// As [`for_seeds`], with so many of them however long it takes, unless fewer are asked for. Returns whether they were
/// as many: what they lead to together means something then.
pub(crate) fn for_seeds_at_least(least: u64, count: u64, act: impl Fn(u64)) -> bool {
    let first = setting("LEPUS_SIM_SEED").unwrap_or(1);
    let asked = setting("LEPUS_SIM_COUNT");
    #[expect(clippy::disallowed_methods, reason = "bounds the test, decides nothing")]
    let start = Instant::now();
    let mut ran = 0;
    for seed in first..first + asked.unwrap_or(count) {
        if asked.is_none() && ran >= least && start.elapsed() > TIME_MAX {
            break;
        }
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| act(seed)));
        if let Err(cause) = outcome {
            println!("failed with LEPUS_SIM_SEED={seed} LEPUS_SIM_COUNT=1");
            std::panic::resume_unwind(cause);
        }
        ran += 1;
    }
    ran >= least
}
