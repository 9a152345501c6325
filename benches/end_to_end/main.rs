//! What a message costs from socket to socket: rate, server CPU, context switches, memory, latency; and what
//! topologies cost that frameworks build.
//!
//! ```text
//! cargo bench --bench end_to_end                       # medians of five runs
//! cargo bench --bench end_to_end -- --quick            # a look, a fortieth of the messages
//! cargo bench --bench end_to_end -- --json
//! cargo bench --bench end_to_end -- --address 127.0.0.1:5672 --server-pid 4711     # any AMQP broker
//! ```
//!
//! Each run of a scenario starts a broker of its own, unless it measures one that runs already. Two threads drive it
//! over blocking sockets with frames encoded beforehand. Server CPU is the figure that survives a noisy machine.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program that reports")]

mod scenarios;
#[path = "../support/mod.rs"]
#[allow(dead_code, reason = "the support code serves several benches")]
mod support;
mod topologies;

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::process::ExitCode;

use clap::Parser;
use scenarios::{SCENARIOS, Scenario};
use support::drive::Scale;
use support::report::{Figure, json, line, medians};
use support::server::Server;

/// A smoke test has this fraction of the messages.
const QUICK: u64 = 40;

/// The backlog is what is measured, not the alarm that it would raise.
const UNLIMITED: &[&str] = &["--memory-limit", "8589934592"];

/// Measures Lepus, or another broker for AMQP 0-9-1, end to end.
#[derive(Debug, Parser)]
struct Arguments {
    /// Few messages, one run.
    #[arg(long)]
    quick: bool,

    /// Print JSON.
    #[arg(long)]
    json: bool,

    /// Runs of each scenario; the medians are printed.
    #[arg(long, default_value_t = 5)]
    runs: usize,

    /// Address of a broker that runs already.
    #[arg(long, requires = "server_pid")]
    address: Option<String>,

    /// The same as `amqp://user@host:port`; guest logs in.
    #[arg(long, env = "LEPUS_BENCH_URI", requires = "server_pid", conflicts_with = "address")]
    uri: Option<String>,

    /// Its process.
    #[arg(long, env = "LEPUS_BENCH_SERVER_PID")]
    server_pid: Option<u32>,

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
    fn server(&self) -> io::Result<Server> {
        let Some(pid) = self.server_pid else { return Server::start(UNLIMITED) };
        let address = self.address.as_deref().or_else(|| self.uri.as_deref().map(authority));
        let address = address.ok_or_else(|| io::Error::other("--server-pid needs --address"))?;
        Ok(Server::at(resolve(address)?, pid))
    }

    fn names(&self, scenario: &str) -> bool {
        self.filter.as_deref().is_none_or(|filter| scenario.contains(filter))
    }
}

/// Host and port of a URI.
fn authority(uri: &str) -> &str {
    let (_, rest) = uri.split_once("://").unwrap_or(("", uri));
    let authority = rest.split('/').next().unwrap_or_default();
    authority.rsplit('@').next().unwrap_or_default()
}

fn resolve(address: &str) -> io::Result<SocketAddr> {
    address.to_socket_addrs()?.next().ok_or_else(|| io::Error::other(format!("{address} is nowhere")))
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if arguments.test || !arguments.bench {
        return ExitCode::SUCCESS;
    }
    let mut results = Vec::new();
    for (name, scenario) in SCENARIOS.iter().filter(|(name, _)| arguments.names(name)) {
        match runs(&arguments, *scenario) {
            Ok(figures) => {
                if !arguments.json {
                    println!("{}", line(name, &figures));
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
    ExitCode::SUCCESS
}

/// The medians over all runs of a scenario, each with a server of its own.
fn runs(arguments: &Arguments, scenario: Scenario) -> io::Result<Vec<Figure>> {
    let (runs, scale) = if arguments.quick { (1, Scale(QUICK)) } else { (arguments.runs.max(1), Scale(1)) };
    let all: Vec<Vec<Figure>> =
        (0..runs).map(|_| scenario(&arguments.server()?, scale)).collect::<Result<_, _>>()?;
    Ok(medians(&all))
}
