//! `lepus bench`: its options, its progress and its results.

use std::cell::Cell;
use std::io::IsTerminal;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use serde::Serialize;

use super::load::{Churn, End, Exchange, Load};
use super::measure::Outcome;
use super::scenarios::{self, PLAIN, SCENARIOS};
use super::uri::Uri;
use super::{Progress, report, run};

/// How often the progress is told.
const TELL: Duration = Duration::from_secs(1);

/// Options that change a load: of each scenario that is named, or of a plain one.
#[derive(Debug, Args)]
pub struct Bench {
    /// Loads by name, one after another; `all` for every one. Without a name the options make the load.
    scenarios: Vec<String>,
    /// Print the names of the loads.
    #[arg(long)]
    list: bool,
    /// The broker: any for AMQP 0-9-1.
    #[arg(long, env = "LEPUS_BENCH_URI", default_value = "amqp://guest:guest@127.0.0.1:5672/")]
    uri: Uri,
    /// Its process on this machine: its CPU time, context switches and memory are measured.
    #[arg(long, env = "LEPUS_BENCH_SERVER_PID")]
    server_pid: Option<u32>,
    /// Runs of each load; the medians are printed.
    #[arg(long, default_value_t = 1)]
    runs: usize,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    change: Change,
}

/// What differs from the load.
#[derive(Debug, Default, Args)]
struct Change {
    /// Connections that publish.
    #[arg(long)]
    publishers: Option<usize>,
    /// Connections that consume; 0: nobody does.
    #[arg(long)]
    consumers: Option<usize>,
    /// Queues.
    #[arg(long)]
    queues: Option<usize>,
    /// Through what messages are routed.
    #[arg(long)]
    exchange: Option<Exchange>,
    /// Octets of a body.
    #[arg(long)]
    size: Option<usize>,
    /// Durable queues, persistent messages.
    #[arg(long)]
    durable: bool,
    /// Messages of a publisher that may be unconfirmed; 1: each confirm is awaited.
    #[arg(long)]
    window: Option<u64>,
    /// Deliveries that one acknowledgement settles; without it they are settled as they are sent.
    #[arg(long)]
    ack_every: Option<u64>,
    /// Deliveries that may be unsettled.
    #[arg(long)]
    prefetch: Option<u16>,
    /// Messages in a second, of all publishers together.
    #[arg(long)]
    rate: Option<u64>,
    /// Messages, or rounds of churn, of all publishers together.
    #[arg(long, conflicts_with = "seconds")]
    count: Option<u64>,
    /// Seconds that are published.
    #[arg(long)]
    seconds: Option<u64>,
    /// Consumers begin when all is published.
    #[arg(long)]
    backlog: bool,
    /// Let connections, channels or queues come and go instead.
    #[arg(long)]
    churn: Option<Churn>,
}

impl Change {
    fn of(&self, load: &Load) -> Load {
        let end =
            self.count.map(End::Count).or_else(|| self.seconds.map(Duration::from_secs).map(End::After));
        Load {
            publishers: self.publishers.unwrap_or(load.publishers),
            consumers: self.consumers.unwrap_or(load.consumers),
            queues: self.queues.unwrap_or(load.queues),
            exchange: self.exchange.unwrap_or(load.exchange),
            size: self.size.unwrap_or(load.size),
            durable: self.durable || load.durable,
            window: self.window.or(load.window),
            ack_every: self.ack_every.or(load.ack_every),
            prefetch: self.prefetch.unwrap_or(load.prefetch),
            rate: self.rate.or(load.rate),
            end: end.unwrap_or(load.end),
            backlog: self.backlog || load.backlog,
            churn: self.churn.or(load.churn),
        }
    }
}

/// What one load came to.
#[derive(Debug, Serialize)]
struct Measured {
    scenario: String,
    load: Load,
    outcomes: Vec<Outcome>,
}

/// Carries it out: 0, 1 where a broker fails, 2 where the options make no sense.
pub fn main(bench: &Bench) -> ExitCode {
    if bench.list {
        list();
        return ExitCode::SUCCESS;
    }
    let loads = match loads(bench) {
        Ok(loads) => loads,
        Err(reason) => return fail(2, &reason),
    };
    let mut results = Vec::new();
    for (scenario, load) in loads {
        match measured(bench, &scenario, &load) {
            Ok(outcomes) => results.push(Measured { scenario, load, outcomes }),
            Err(error) => {
                let Uri { host, port, .. } = &bench.uri;
                return fail(1, &format!("{scenario}, {host}:{port}: {error}"));
            }
        }
    }
    print(bench, &results);
    ExitCode::SUCCESS
}

/// The loads that are asked for.
fn loads(bench: &Bench) -> Result<Vec<(String, Load)>, String> {
    let mut loads = Vec::new();
    for name in &bench.scenarios {
        if name == "all" {
            loads.extend(SCENARIOS.iter().map(|(name, _, load)| ((*name).to_owned(), load)));
        } else if let Some(load) = scenarios::find(name) {
            loads.push((name.clone(), load));
        } else {
            return Err(format!("no load is named '{name}': `lepus bench --list` names them"));
        }
    }
    if loads.is_empty() {
        loads.push(("plain".to_owned(), &PLAIN));
    }
    let changed = loads.into_iter().map(|(name, load)| (name, bench.change.of(load)));
    changed.map(|(name, load)| load.check().map(|()| (name, load))).collect()
}

/// The medians of the runs, phase by phase.
fn measured(bench: &Bench, scenario: &str, load: &Load) -> std::io::Result<Vec<Outcome>> {
    let mut runs = Vec::new();
    for _ in 0..bench.runs.max(1) {
        let ticker = Ticker { scenario, last: Cell::default() };
        runs.push(run(load, &bench.uri, bench.server_pid, &|progress| ticker.tell(progress))?);
    }
    let phases = runs.first().map_or(0, Vec::len);
    let of_phase = |phase: usize| {
        let outcomes: Vec<Outcome> = runs.iter().filter_map(|run| run.get(phase).cloned()).collect();
        Outcome::median(&outcomes)
    };
    Ok((0..phases).map(of_phase).collect())
}

/// Tells how far a run is, where somebody can see it.
struct Ticker<'s> {
    scenario: &'s str,
    last: Cell<Option<Progress>>,
}

impl Ticker<'_> {
    #[expect(clippy::print_stderr, reason = "for those who watch")]
    fn tell(&self, progress: Progress) {
        let last = self.last.get().unwrap_or(Progress {
            elapsed: Duration::ZERO,
            published: 0,
            confirmed: 0,
            delivered: 0,
        });
        let passed = progress.elapsed.saturating_sub(last.elapsed);
        if passed < TELL || !std::io::stderr().is_terminal() {
            return;
        }
        self.last.set(Some(progress));
        let rate = |now: u64, then: u64| now.saturating_sub(then) as f64 / passed.as_secs_f64();
        eprintln!(
            "{} {:>5.1} s: {:>9.0} published/s {:>9.0} confirmed/s {:>9.0} delivered/s",
            self.scenario,
            progress.elapsed.as_secs_f64(),
            rate(progress.published, last.published),
            rate(progress.confirmed, last.confirmed),
            rate(progress.delivered, last.delivered),
        );
    }
}

#[expect(clippy::print_stdout, reason = "a program that reports")]
fn list() {
    for (name, what, _) in SCENARIOS {
        println!("{name:<20}{what}");
    }
}

#[expect(clippy::print_stdout, reason = "a program that reports")]
fn print(bench: &Bench, results: &[Measured]) {
    if bench.json {
        println!("{}", serde_json::to_string_pretty(results).unwrap_or_default());
        return;
    }
    let rows: Vec<(String, Outcome)> = results
        .iter()
        .flat_map(|result| result.outcomes.iter().map(|outcome| (result.scenario.clone(), outcome.clone())))
        .collect();
    print!("{}", report::table(&rows));
}

#[expect(clippy::print_stderr, reason = "a program that reports")]
fn fail(code: u8, reason: &str) -> ExitCode {
    eprintln!("lepus bench: {reason}");
    ExitCode::from(code)
}
