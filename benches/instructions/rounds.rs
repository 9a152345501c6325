//! How many instructions a message takes on its way through the broker, counted by Valgrind: the one figure that a
//! noisy machine cannot move. Each case fails above its limit, which is the count when it was set and a fifth.
//!
//! ```text
//! cargo install gungraun-runner --version 0.20.0 --locked      # and Debian's package valgrind
//! cargo bench -p lepus-instructions
//! ```
//!
//! A round carries [`path::DELIVERIES`] deliveries; divide by that. The client's side is in the count, and is next to
//! nothing.
#![expect(missing_docs, reason = "the macros make public items")]
#![expect(clippy::unwrap_used, reason = "a bench ends where it fails")]

mod path;

use gungraun::{
    Callgrind, EventKind, LibraryBenchmarkConfig, library_benchmark, library_benchmark_group, main,
};

use path::{Case, Path};

/// A round may take so many thousands of instructions.
fn at_most(thousands: u64) -> LibraryBenchmarkConfig {
    let mut callgrind = Callgrind::with_args(["--cache-sim=no"]);
    callgrind.hard_limits([(EventKind::Ir, thousands * 1000)]);
    let mut config = LibraryBenchmarkConfig::default();
    config.tool(callgrind);
    config
}

#[library_benchmark(setup = path::warm)]
#[bench::transient(args = (Case::Transient), config = at_most(5_100))]
#[bench::confirmed_and_acked(args = (Case::ConfirmedAndAcked), config = at_most(9_300))]
#[bench::kibibyte(args = (Case::Kibibyte), config = at_most(2_500))]
#[bench::fanout(args = (Case::Fanout), config = at_most(3_000))]
#[bench::topic(args = (Case::Topic), config = at_most(9_100))]
fn a_round(mut path: Path) -> Path {
    path.round();
    path
}

library_benchmark_group!(name = path_of_a_message, benchmarks = [a_round]);

main!(library_benchmark_groups = path_of_a_message);
