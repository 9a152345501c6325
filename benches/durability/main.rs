//! What keeping messages costs: confirms, backlogs beyond the memory, delayed messages, restarts after SIGKILL, durable
//! declares.
//!
//! ```text
//! cargo bench --bench durability                       # one run of each, about five minutes
//! cargo bench --bench durability -- --large            # backlogs of 30 million messages too: 4 GiB of disk
//! cargo bench --bench durability -- --quick            # a look, a fortieth of the messages
//! cargo bench --bench durability -- --json
//! cargo bench --bench durability -- --runs 5 confirms  # medians of five runs, only what is named so
//! ```
//!
//! Each run starts a broker of its own with default settings on a new directory in TMPDIR: its disk is measured too.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program that reports")]

mod delayed;
mod scenarios;
#[path = "../support/mod.rs"]
#[allow(dead_code, reason = "the support code serves several benches")]
mod support;

use std::io;
use std::process::ExitCode;

use clap::Parser;
use scenarios::{SCENARIOS, Scenario, Size};
use support::drive::Scale;
use support::report::{Figure, json, line, medians};
use support::server::Server;

/// MiB that the broker may be resident with at any time, whatever waits: publishers are held back at twice its
/// `message_memory`, and the rest (the idle broker, the log's buffers, what the allocator keeps) does not grow with
/// the backlog.
const RESIDENT_MAX: f64 = 2.0 * 128.0 + 64.0;

/// How the figures begin that this holds for.
const MOST_RESIDENT: &str = "MiB at most";

/// A look has this fraction of the messages.
const QUICK: u64 = 40;

/// Measures what it costs Lepus to keep messages.
#[derive(Debug, Parser)]
struct Arguments {
    /// Few messages, one run.
    #[arg(long)]
    quick: bool,

    /// The largest backlogs too.
    #[arg(long)]
    large: bool,

    /// Print JSON.
    #[arg(long)]
    json: bool,

    /// Runs of each scenario; the medians are printed.
    #[arg(long, default_value_t = 1)]
    runs: usize,

    /// Only scenarios whose name holds this text.
    filter: Option<String>,

    /// Given by `cargo bench`, and not by `cargo test --all-targets`.
    #[arg(long, hide = true)]
    bench: bool,

    /// Given by those who want no measurement.
    #[arg(long, hide = true)]
    test: bool,
}

impl Arguments {
    fn names(&self, scenario: &str, size: Size) -> bool {
        let is_asked = self.filter.as_deref().is_none_or(|filter| scenario.contains(filter));
        is_asked && (self.large || matches!(size, Size::Usual))
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if arguments.test || !arguments.bench {
        return ExitCode::SUCCESS;
    }
    let (mut results, mut is_bounded) = (Vec::new(), true);
    for (name, _, scenario) in SCENARIOS.iter().filter(|(name, size, _)| arguments.names(name, *size)) {
        match runs(&arguments, *scenario) {
            Ok(figures) => {
                if !arguments.json {
                    println!("{}", line(name, &figures));
                }
                for (metric, most) in figures.iter().filter(|(metric, _)| metric.starts_with(MOST_RESIDENT)) {
                    let holds = *most <= RESIDENT_MAX;
                    is_bounded &= holds;
                    let verdict = if holds { "PASS" } else { "FAIL" };
                    eprintln!("{verdict}: {metric} {most:.0}, at most {RESIDENT_MAX} allowed ({name})");
                }
                results.push((*name, figures));
            }
            Err(error) => {
                eprintln!("{name}: {error}");
                return ExitCode::FAILURE;
            }
        }
    }
    if arguments.json {
        println!("{}", json(&results));
    }
    if is_bounded { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The medians over all runs of a scenario, each with a server of its own.
fn runs(arguments: &Arguments, scenario: Scenario) -> io::Result<Vec<Figure>> {
    let (runs, scale) = if arguments.quick { (1, Scale(QUICK)) } else { (arguments.runs.max(1), Scale(1)) };
    let all: Vec<Vec<Figure>> =
        (0..runs).map(|_| scenario(&mut Server::start(&[])?, scale)).collect::<Result<_, _>>()?;
    Ok(medians(&all))
}
