//! A load generator for brokers of AMQP 0-9-1: `lepus bench`.
//!
//! ```text
//! Load --> topology (declared) --> Publisher, Consumer: a thread for each connection --> Counts --> Outcome
//! ```
//! Sockets block, frames are encoded beforehand and incoming ones stepped over by their lengths, so that the broker is
//! what is measured. Bodies hold the time at which a message was due, not the one at which it was sent: a broker that
//! makes publishers wait does not look faster by it.

mod churn;
pub mod client;
pub mod command;
mod consumer;
mod load;
mod measure;
mod publisher;
mod report;
pub mod scenarios;
mod template;
mod topology;
mod uri;
mod usage;

pub use load::{Churn, End, Exchange, Load};
pub use measure::{Cost, Latency, Outcome};
pub use uri::Uri;
pub use usage::{Usage, field};

use std::io;
use std::net::TcpStream;
use std::sync::atomic::Ordering;
use std::thread::{self, ScopedJoinHandle};
use std::time::Duration;

use hdrhistogram::Histogram;

use client::Client;
use consumer::Consumer;
use measure::{Counts, Meter, Time};
use publisher::Publisher;

/// How often the main thread looks whether all is done.
const LOOK: Duration = Duration::from_millis(2);

/// Without a delivery for so long, messages are lost.
const PATIENCE: Duration = Duration::from_secs(30);

/// What has happened so far, for those who watch.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// Since the run began.
    pub elapsed: Duration,
    /// Messages published.
    pub published: u64,
    /// Messages confirmed.
    pub confirmed: u64,
    /// Messages delivered.
    pub delivered: u64,
}

/// Makes a load and measures it; `watch` is told now and then how far it is. A backlog has two outcomes: publishing it,
/// and draining it.
///
/// # Errors
/// The broker cannot be reached, refuses something, or does not deliver what it took.
pub fn run(
    load: &Load,
    uri: &Uri,
    server: Option<u32>,
    watch: &dyn Fn(Progress),
) -> io::Result<Vec<Outcome>> {
    let mut client = Client::connect(uri.clone())?;
    if let Some(what) = load.churn {
        return Ok(vec![churn(what, load, uri, server, watch)?]);
    }
    topology::declare(&mut client, load)?;
    let outcomes = if load.backlog {
        let publish = phase(load, uri, server, Some(true), 0, watch)?;
        let drain = phase(load, uri, server, Some(false), publish.published, watch)?;
        vec![
            Outcome { phase: Some("publish"), ..publish },
            Outcome { phase: Some("drain"), published: 0, ..drain },
        ]
    } else {
        vec![phase(load, uri, server, None, 0, watch)?]
    };
    topology::delete(&mut client, load)?;
    client.close()?;
    Ok(outcomes)
}

/// Publishers, consumers or, with `None`, both. `waiting`: messages that are there already.
fn phase(
    load: &Load,
    uri: &Uri,
    server: Option<u32>,
    publishing: Option<bool>,
    waiting: u64,
    watch: &dyn Fn(Progress),
) -> io::Result<Outcome> {
    let publishers = if publishing == Some(false) { 0 } else { load.publishers };
    let consumers = if publishing == Some(true) { 0 } else { load.consumers };
    let publishers: Vec<Publisher<'_>> =
        (0..publishers).map(|number| Publisher::connect(load, uri, number)).collect::<io::Result<_>>()?;
    let consumers: Vec<Consumer> =
        (0..consumers).map(|number| Consumer::connect(load, uri, number)).collect::<io::Result<_>>()?;
    let handles: Vec<TcpStream> = consumers.iter().map(Consumer::handle).collect::<io::Result<_>>()?;
    let counts = Counts::default();
    let meter = Meter::start(server)?;
    let time = Time::start();
    let is_consumed = !consumers.is_empty();
    thread::scope(|scope| {
        let (time, counts) = (&time, &counts);
        let consuming: Vec<_> =
            consumers.into_iter().map(|consumer| scope.spawn(move || consumer.run(time, counts))).collect();
        let publishing: Vec<_> = publishers
            .into_iter()
            .map(|publisher| scope.spawn(move || publisher.run(time, counts)))
            .collect();
        let published = wait_for_publishers(&publishing, time, counts, watch);
        let confirms = join(publishing);
        let expected = (waiting + published) * load.deliveries_per_message();
        let delivered = if is_consumed && confirms.is_ok() {
            wait_for_deliveries(expected, time, counts, watch)
        } else {
            Ok(())
        };
        let mut outcome = Outcome::of(counts, meter, time);
        counts.is_done.store(true, Ordering::Release);
        handles.iter().for_each(consumer::end);
        let delivers = join(consuming);
        if let Ok(outcome) = &mut outcome {
            outcome.confirm = Latency::of(&confirms?);
            outcome.deliver = Latency::of(&delivers?);
        }
        delivered?;
        outcome
    })
}

fn churn(
    what: Churn,
    load: &Load,
    uri: &Uri,
    server: Option<u32>,
    watch: &dyn Fn(Progress),
) -> io::Result<Outcome> {
    let counts = Counts::default();
    let meter = Meter::start(server)?;
    let time = Time::start();
    thread::scope(|scope| {
        let (time, counts) = (&time, &counts);
        let threads: Vec<_> = (0..load.publishers)
            .map(|number| scope.spawn(move || churn::run(what, number, load, uri, time, counts)))
            .collect();
        wait_for_publishers(&threads, time, counts, watch);
        let rounds = join(threads)?;
        Ok(Outcome { deliver: Latency::of(&rounds), ..Outcome::of(counts, meter, time)? })
    })
}

type Thread<'s> = ScopedJoinHandle<'s, io::Result<Histogram<u64>>>;

/// Waits until all publishers have ended. Returns how many messages they have published.
fn wait_for_publishers(
    threads: &[Thread<'_>],
    time: &Time,
    counts: &Counts,
    watch: &dyn Fn(Progress),
) -> u64 {
    while !threads.iter().all(ScopedJoinHandle::is_finished) {
        thread::sleep(LOOK);
        watch(counts.progress(time));
    }
    counts.published.load(Ordering::Relaxed)
}

fn wait_for_deliveries(
    expected: u64,
    time: &Time,
    counts: &Counts,
    watch: &dyn Fn(Progress),
) -> io::Result<()> {
    loop {
        let delivered = counts.delivered.load(Ordering::Relaxed);
        if delivered >= expected || counts.failed.load(Ordering::Relaxed) {
            return Ok(());
        }
        let idle = Duration::from_nanos(time.now_ns().saturating_sub(counts.last_ns()));
        if idle > PATIENCE {
            let text =
                format!("{delivered} of {expected} deliveries came, and none for {} s", PATIENCE.as_secs());
            return Err(io::Error::other(text));
        }
        thread::sleep(LOOK);
        watch(counts.progress(time));
    }
}

/// All their latencies together.
fn join(threads: Vec<Thread<'_>>) -> io::Result<Histogram<u64>> {
    let mut all = measure::histogram()?;
    for thread in threads {
        let latencies = thread.join().map_err(|_| io::Error::other("a thread panicked"))??;
        all.add(&latencies).map_err(io::Error::other)?;
    }
    Ok(all)
}
