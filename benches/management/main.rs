//! What the management API costs with many queues and connections: how long each call takes, and what deliveries
//! notice of it.
//!
//! ```text
//! cargo bench --bench management                 # 10,000 queues, 5,000 connections: two minutes
//! cargo bench --bench management -- --quick      # a tenth of that
//! cargo bench --bench management -- --json
//! ```
//!
//! Half of the queues have a consumer each, on a connection of its own. It ends with 1 if a call takes longer than
//! 200 ms in the median.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program that reports")]

#[path = "../support/mod.rs"]
#[allow(dead_code, reason = "the support code serves several benches")]
mod support;

use std::io;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use clap::Parser;
use lepus::bench::client::{Acks, Client, Options};
use lepus::bench::scenarios::PLAIN;
use lepus::bench::{End, Latency, Load};
use ureq::Agent;

use support::drive::{float, mebibytes, nanos, now, percentiles};
use support::report::{Figure, json, line};
use support::server::Server;

/// What an operator waits for without noticing.
const LONGEST: Duration = Duration::from_millis(200);

/// How often each call is made.
const REPEATS: usize = 15;

/// Messages in a second while latency is taken, and for how long.
const RATE: u64 = 1000;
const SECONDS: u64 = 10;

/// guest, whose password is guest.
const GUEST: &str = "Basic Z3Vlc3Q6Z3Vlc3Q=";

/// Octets of an answer.
const ANSWER_MAX: u64 = 1 << 30;

/// Calls of the browser's pages, lists as tools ask for them, and what Prometheus reads.
const CALLS: &[(&str, &str)] = &[
    ("overview", "/api/overview"),
    ("a page of queues", "/api/queues?page=1&page_size=100&name=&use_regex=false&pagination=true"),
    ("a page of queues, sorted", "/api/queues?page=1&page_size=100&sort=messages&sort_reverse=true"),
    ("a page of queues, by name", "/api/queues?page=1&page_size=100&name=9.*7&use_regex=true"),
    ("one queue", "/api/queues/%2F/scale-7"),
    ("a page of connections", "/api/connections?page=1&page_size=100"),
    ("a page of channels", "/api/channels?page=1&page_size=100"),
    ("a page of exchanges", "/api/exchanges?page=1&page_size=100"),
    ("nodes", "/api/nodes"),
    ("virtual hosts", "/api/vhosts"),
    ("queues, three columns", "/api/queues?columns=name,messages,consumers"),
    ("all queues", "/api/queues"),
    ("all connections", "/api/connections"),
    ("all channels", "/api/channels"),
    ("all consumers", "/api/consumers"),
    ("all bindings", "/api/bindings"),
    ("definitions", "/api/definitions"),
    ("metrics", "/metrics"),
    ("metrics of each object", "/metrics/per-object"),
    ("metrics of each queue", "/metrics/detailed?family=queue_coarse_metrics&family=queue_consumer_count"),
];

/// Measures the management API of a broker with many queues and connections.
#[derive(Debug, Parser)]
struct Arguments {
    /// A tenth of everything.
    #[arg(long)]
    quick: bool,

    /// Print JSON.
    #[arg(long)]
    json: bool,

    /// Given by `cargo bench`, and not by `cargo test --all-targets`.
    #[arg(long, hide = true)]
    bench: bool,

    /// Given by those who want no measurement.
    #[arg(long, hide = true)]
    test: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if arguments.test || !arguments.bench {
        return ExitCode::SUCCESS;
    }
    match run(&arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Whether every call was short enough.
fn run(arguments: &Arguments) -> io::Result<bool> {
    let parts = if arguments.quick { 10 } else { 1 };
    let (queues, connections) = (10_000 / parts, 5_000 / parts);
    let anywhere = "127.0.0.1:0";
    let server = Server::start(&["--management-listen", anywhere, "--prometheus-listen", anywhere])?;
    let mut first = Client::connect(server.address)?;
    (0..queues).try_for_each(|number| first.declare(&name(number), Options::Durable))?;
    let _held = consumers(&server, connections)?;
    let mut results: Vec<(&str, Vec<Figure>)> = Vec::new();
    let mut tell = |name: &'static str, figures: Vec<Figure>| {
        if !arguments.json {
            println!("{}", line(name, &figures));
        }
        results.push((name, figures));
    };
    tell("broker", vec![("queues", float(queues)), ("connections", float(connections)), resident(&server)?]);
    tell("deliveries, nobody calls", latency(&server)?);
    let mut longest = 0.0_f64;
    for (name, path) in CALLS {
        let figures = time(&server, path)?;
        longest = longest.max(figures.first().map_or(0.0, |(_, median)| *median));
        tell(name, figures);
    }
    tell("deliveries, somebody always calls", latency_with_calls(&server)?);
    tell("broker afterwards", vec![resident(&server)?]);
    if arguments.json {
        println!("{}", json(&results));
    }
    let is_short = longest <= LONGEST.as_secs_f64() * 1e3;
    eprintln!("the longest call takes {longest:.0} ms in the median, {} may be", LONGEST.as_millis());
    Ok(is_short)
}

fn name(number: u64) -> String {
    format!("scale-{number}")
}

fn resident(server: &Server) -> io::Result<Figure> {
    Ok(("MiB resident", mebibytes(server.resident()?)))
}

/// Connections with a consumer each.
fn consumers(server: &Server, count: u64) -> io::Result<Vec<Client>> {
    let connect = |number| {
        let mut client = Client::connect(server.address)?;
        client.consume(&name(number), Acks::Manual)?;
        Ok(client)
    };
    (0..count).map(connect).collect()
}

/// A call again and again: ms, and how much it answers with.
fn time(server: &Server, path: &str) -> io::Result<Vec<Figure>> {
    let agent = agent();
    let url = url(server, path)?;
    let mut octets = get(&agent, &url)?;
    let mut samples = Vec::with_capacity(REPEATS);
    for _ in 0..REPEATS {
        let started = now();
        octets = get(&agent, &url)?;
        samples.push(nanos(started));
    }
    let [(_, median), (_, longest)] = percentiles(&mut samples);
    Ok(vec![("ms p50", median / 1e3), ("ms p99", longest / 1e3), ("KiB", float(octets as u64) / 1024.0)])
}

fn agent() -> Agent {
    Agent::config_builder().proxy(None).build().new_agent()
}

/// Metrics have an address of their own.
fn url(server: &Server, path: &str) -> io::Result<String> {
    let listener = if path.starts_with("/metrics") { "http/prometheus" } else { "http" };
    Ok(format!("http://{}{path}", server.listener(listener)?))
}

/// The octets of the answer.
fn get(agent: &Agent, url: &str) -> io::Result<usize> {
    let answer = agent.get(url).header("authorization", GUEST).call();
    let mut answer = answer.map_err(io::Error::other)?;
    let body = answer.body_mut().with_config().limit(ANSWER_MAX).read_to_vec();
    Ok(body.map_err(io::Error::other)?.len())
}

/// How long deliveries take that are due at a steady rate.
fn latency(server: &Server) -> io::Result<Vec<Figure>> {
    let load = Load { rate: Some(RATE), end: End::After(Duration::from_secs(SECONDS)), ..PLAIN };
    let outcomes = lepus::bench::run(&load, &server.address.into(), None, &|_| ())?;
    let delivered = outcomes.first().and_then(|outcome| outcome.deliver);
    let Latency { p50_us, p99_us, max_us, .. } =
        delivered.ok_or_else(|| io::Error::other("no deliveries"))?;
    Ok(vec![("p50 µs", p50_us), ("p99 µs", p99_us), ("max µs", max_us)])
}

/// The same while somebody makes every call, one after the other, without a pause.
fn latency_with_calls(server: &Server) -> io::Result<Vec<Figure>> {
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let calling = scope.spawn(|| -> io::Result<u64> {
            let (agent, mut calls) = (agent(), 0);
            for (_, path) in CALLS.iter().cycle() {
                if is_over.load(Ordering::Relaxed) {
                    break;
                }
                get(&agent, &url(server, path)?)?;
                calls += 1;
            }
            Ok(calls)
        });
        let figures = latency(server);
        is_over.store(true, Ordering::Relaxed);
        let calls = calling.join().map_err(|_| io::Error::other("the caller panicked"))??;
        let mut figures = figures?;
        figures.push(("calls/s", float(calls) / float(SECONDS)));
        Ok(figures)
    })
}
