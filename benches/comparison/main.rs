//! Lepus beside RabbitMQ: the loads of `lepus bench` on both, in turn, and the medians of each.
//!
//! ```text
//! cargo bench --bench comparison                        # three runs of each load on each broker
//! cargo bench --bench comparison -- --runs 5 durable    # loads whose names hold a text
//! cargo bench --bench comparison -- --json
//! ```
//! Both are started on loopback with their default settings and new directories; RabbitMQ is the one that is installed
//! (`apt install rabbitmq-server`). Lepus syncs before it confirms; RabbitMQ's classic queues do not.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program that reports")]

mod rabbitmq;
#[path = "../support/mod.rs"]
#[allow(dead_code, reason = "the support code serves several benches")]
mod support;

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use lepus::bench::scenarios::SCENARIOS;
use lepus::bench::{End, Latency, Load, Outcome, Uri, Usage, run};
use rabbitmq::RabbitMq;
use serde::Serialize;
use support::server::Server;

/// A look has this fraction of the messages.
const QUICK: u64 = 20;

/// Measures Lepus and RabbitMQ in turn.
#[derive(Debug, Parser)]
struct Arguments {
    /// Few messages, one run.
    #[arg(long)]
    quick: bool,

    /// Runs of each load on each broker; the medians are printed.
    #[arg(long, default_value_t = 3)]
    runs: usize,

    /// Print JSON.
    #[arg(long)]
    json: bool,

    /// The script that starts RabbitMQ, if it is not where packages put it.
    #[arg(long)]
    rabbitmq: Option<PathBuf>,

    /// Only loads whose name holds one of these texts.
    filter: Vec<String>,

    /// Given by `cargo bench`, and not by `cargo test --all-targets`.
    #[arg(long, hide = true)]
    bench: bool,

    /// Given by those who want no measurement.
    #[arg(long, hide = true)]
    test: bool,
}

/// A broker that is measured.
struct Broker {
    uri: Uri,
    pid: u32,
}

/// Medians of one load, phase by phase.
#[derive(Debug, Serialize)]
struct Row {
    scenario: String,
    lepus: Outcome,
    rabbitmq: Option<Outcome>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if arguments.test || !arguments.bench {
        return ExitCode::SUCCESS;
    }
    match compare(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn compare(arguments: &Arguments) -> io::Result<()> {
    let lepus = Server::start(&[])?;
    let rabbitmq = RabbitMq::start(arguments.rabbitmq.as_deref())?;
    if rabbitmq.is_none() {
        eprintln!("RabbitMQ is not installed here: Lepus is measured alone");
    }
    let mut brokers = vec![Broker { uri: lepus.address.into(), pid: lepus.pid() }];
    brokers.extend(rabbitmq.iter().map(|server| Broker { uri: server.address.into(), pid: server.pid }));
    for (broker, name) in brokers.iter().zip(["Lepus", "RabbitMQ"]) {
        let resident = Usage::of(broker.pid)?.resident as f64 / 1024.0 / 1024.0;
        eprintln!("{name}: {resident:.0} MiB resident, idle");
    }
    let mut rows = Vec::new();
    for (name, _, load) in SCENARIOS {
        let is_named = |text: &String| name.contains(text.as_str());
        if !arguments.filter.is_empty() && !arguments.filter.iter().any(is_named) {
            continue;
        }
        for row in measured(arguments, name, load, &brokers)? {
            if !arguments.json {
                println!("{}", line(&row));
            }
            rows.push(row);
        }
    }
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&rows)?);
    }
    Ok(())
}

/// All runs of a load, the brokers in turn.
fn measured(arguments: &Arguments, name: &str, load: &Load, brokers: &[Broker]) -> io::Result<Vec<Row>> {
    let load = if arguments.quick { quick(load) } else { load.clone() };
    let runs = if arguments.quick { 1 } else { arguments.runs.max(1) };
    let mut outcomes: Vec<Vec<Vec<Outcome>>> = brokers.iter().map(|_| Vec::new()).collect();
    for _ in 0..runs {
        for (broker, outcomes) in brokers.iter().zip(&mut outcomes) {
            outcomes.push(run(&load, &broker.uri, Some(broker.pid), &|_| ())?);
        }
    }
    let phases = outcomes.first().and_then(|runs| runs.first()).map_or(0, Vec::len);
    let median = |broker: usize, phase: usize| {
        let runs: Vec<Outcome> =
            outcomes.get(broker)?.iter().filter_map(|run| run.get(phase).cloned()).collect();
        Some(Outcome::median(&runs))
    };
    let row = |phase: usize| {
        let lepus = median(0, phase).unwrap_or_default();
        let scenario = lepus.phase.map_or_else(|| name.to_owned(), |phase| format!("{name}, {phase}"));
        Row { scenario, lepus, rabbitmq: median(1, phase) }
    };
    Ok((0..phases).map(row).collect())
}

fn quick(load: &Load) -> Load {
    let end = match load.end {
        End::Count(count) => End::Count((count / QUICK).max(10)),
        End::After(after) => End::After(after / 5),
    };
    Load { end, ..load.clone() }
}

/// A row of a table: rate, CPU per message and median and 99th percentile of each, and how many times the CPU.
fn line(row: &Row) -> String {
    let figures = |outcome: &Outcome| {
        let cpu = outcome.server.map_or(f64::NAN, |cost| cost.cpu_ns / 1000.0);
        let latency = |of: Option<Latency>| {
            of.map_or_else(
                || "-".to_owned(),
                |of| format!("{:.2} / {:.2}", of.p50_us / 1000.0, of.p99_us / 1000.0),
            )
        };
        format!(
            "{:>9.0}/s {cpu:>7.2} µs  confirm {:>15} ms  deliver {:>15} ms",
            outcome.messages_per_second,
            latency(outcome.confirm),
            latency(outcome.deliver),
        )
    };
    let other = row.rabbitmq.as_ref().map_or_else(String::new, |outcome| {
        let cpu = |outcome: &Outcome| outcome.server.map_or(f64::NAN, |cost| cost.cpu_ns);
        format!(
            "\n{:<24}{}  {:.1} times the CPU",
            "  RabbitMQ",
            figures(outcome),
            cpu(outcome) / cpu(&row.lepus)
        )
    });
    format!("{:<24}{}{other}", row.scenario, figures(&row.lepus))
}
