//! What is counted while a load runs, and the figures that come of it.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use serde::Serialize;

use super::Progress;
use super::usage::Usage;

/// Latencies are kept with three digits, up to a minute.
const LATENCY_DIGITS: u8 = 3;
const LATENCY_MAX_NS: u64 = 60_000_000_000;

/// The time since a run began.
#[derive(Clone, Copy, Debug)]
pub(super) struct Time(Instant);

impl Time {
    #[expect(clippy::disallowed_methods, reason = "a measurement is about real time")]
    pub(super) fn start() -> Self {
        Self(Instant::now())
    }

    pub(super) fn now_ns(&self) -> u64 {
        u64::try_from(self.0.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}

/// What all threads of a run count together.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) published: AtomicU64,
    pub(super) confirmed: AtomicU64,
    pub(super) refused: AtomicU64,
    pub(super) delivered: AtomicU64,
    /// When the last of all that happened, in ns.
    last_ns: AtomicU64,
    /// Nothing more is expected.
    pub(super) is_done: AtomicBool,
    /// A thread has given up.
    pub(super) failed: AtomicBool,
}

impl Counts {
    pub(super) fn happened(&self, now_ns: u64) {
        self.last_ns.fetch_max(now_ns, Ordering::Relaxed);
    }

    pub(super) fn progress(&self, time: &Time) -> Progress {
        let load = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Progress {
            elapsed: Duration::from_nanos(time.now_ns()),
            published: load(&self.published),
            confirmed: load(&self.confirmed),
            delivered: load(&self.delivered),
        }
    }

    pub(super) fn last_ns(&self) -> u64 {
        self.last_ns.load(Ordering::Relaxed)
    }
}

/// An empty one.
pub(super) fn histogram() -> io::Result<Histogram<u64>> {
    Histogram::new_with_max(LATENCY_MAX_NS, LATENCY_DIGITS).map_err(io::Error::other)
}

/// Takes a latency down; one beyond the limit counts as the limit.
pub(super) fn record(latencies: &mut Histogram<u64>, ns: u64) {
    latencies.saturating_record(ns);
}

/// Latencies in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Latency {
    /// Half of them are below.
    pub p50_us: f64,
    /// 99 of 100 are below.
    pub p99_us: f64,
    /// 999 of 1,000 are below.
    pub p999_us: f64,
    /// The longest.
    pub max_us: f64,
}

impl Latency {
    /// `None`: there are none.
    pub(super) fn of(latencies: &Histogram<u64>) -> Option<Self> {
        let at = |quantile| micros(latencies.value_at_quantile(quantile));
        let max_us = micros(latencies.max());
        (!latencies.is_empty()).then(|| Self {
            p50_us: at(0.5),
            p99_us: at(0.99),
            p999_us: at(0.999),
            max_us,
        })
    }
}

fn micros(ns: u64) -> f64 {
    ns as f64 / 1000.0
}

/// What a process has spent on one message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Cost {
    /// CPU time in nanoseconds.
    pub cpu_ns: f64,
    /// Context switches.
    pub switches: f64,
    /// MiB resident at the end.
    pub resident_mib: f64,
}

impl Cost {
    pub(super) fn between(before: Usage, after: Usage, messages: u64) -> Self {
        let each = |total: u64| total as f64 / messages.max(1) as f64;
        Self {
            cpu_ns: each(after.cpu_ns.saturating_sub(before.cpu_ns)),
            switches: each(after.switches.saturating_sub(before.switches)),
            resident_mib: after.resident as f64 / 1024.0 / 1024.0,
        }
    }
}

/// Usage of the broker, if its process is known, and of this one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Meter {
    server: Option<u32>,
    before: (Option<Usage>, Usage),
}

impl Meter {
    pub(super) fn start(server: Option<u32>) -> io::Result<Self> {
        Ok(Self { server, before: Self::read(server)? })
    }

    fn read(server: Option<u32>) -> io::Result<(Option<Usage>, Usage)> {
        let usage = |pid| {
            Usage::of(pid).map_err(|error| io::Error::new(error.kind(), format!("process {pid}: {error}")))
        };
        Ok((server.map(usage).transpose()?, usage(std::process::id())?))
    }

    /// The broker's cost, and this process's.
    pub(super) fn stop(self, messages: u64) -> io::Result<(Option<Cost>, Cost)> {
        let (server, own) = Self::read(self.server)?;
        let server = self.before.0.zip(server).map(|(before, after)| Cost::between(before, after, messages));
        Ok((server, Cost::between(self.before.1, own, messages)))
    }
}

/// The figures of one run, or of one of its phases.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Outcome {
    /// The phase, where a load has several.
    pub phase: Option<&'static str>,
    /// From the first message to the last thing that happened.
    pub seconds: f64,
    /// Messages published, or rounds of churn.
    pub published: u64,
    /// Messages confirmed.
    pub confirmed: u64,
    /// Messages that the broker refused (`basic.nack`).
    pub refused: u64,
    /// Messages delivered.
    pub delivered: u64,
    /// What costs are divided by, and the rate counts: deliveries, else publications.
    pub messages_per_second: f64,
    /// From the time a message was due to its confirm.
    pub confirm: Option<Latency>,
    /// From the time a message was due to its delivery; for churn that of a round.
    pub deliver: Option<Latency>,
    /// What the broker spent on each.
    pub server: Option<Cost>,
    /// What this program spent on each.
    pub generator: Cost,
}

impl Outcome {
    pub(super) fn of(counts: &Counts, meter: Meter, time: &Time) -> io::Result<Self> {
        let load = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let (published, delivered) = (load(&counts.published), load(&counts.delivered));
        let messages = if delivered > 0 { delivered } else { published };
        let (server, generator) = meter.stop(messages)?;
        let ns = match counts.last_ns() {
            0 => time.now_ns(),
            last => last,
        };
        let seconds = Duration::from_nanos(ns).as_secs_f64();
        Ok(Self {
            seconds,
            published,
            delivered,
            confirmed: load(&counts.confirmed),
            refused: load(&counts.refused),
            messages_per_second: messages as f64 / seconds,
            server,
            generator,
            ..Self::default()
        })
    }

    /// The medians of several, figure by figure.
    #[must_use]
    pub fn median(runs: &[Self]) -> Self {
        let of = |figure: &dyn Fn(&Self) -> Option<f64>| {
            let mut values: Vec<f64> = runs.iter().filter_map(figure).collect();
            values.sort_unstable_by(f64::total_cmp);
            values.get(values.len() / 2).copied()
        };
        let latency = |which: fn(&Self) -> Option<Latency>| {
            let at = |figure: fn(&Latency) -> f64| of(&|run| which(run).as_ref().map(figure));
            Some(Latency {
                p50_us: at(|latency| latency.p50_us)?,
                p99_us: at(|latency| latency.p99_us)?,
                p999_us: at(|latency| latency.p999_us)?,
                max_us: at(|latency| latency.max_us)?,
            })
        };
        let cost = |which: fn(&Self) -> Option<Cost>| {
            let at = |figure: fn(&Cost) -> f64| of(&|run| which(run).as_ref().map(figure));
            Some(Cost {
                cpu_ns: at(|cost| cost.cpu_ns)?,
                switches: at(|cost| cost.switches)?,
                resident_mib: at(|cost| cost.resident_mib)?,
            })
        };
        Self {
            seconds: of(&|run| Some(run.seconds)).unwrap_or_default(),
            messages_per_second: of(&|run| Some(run.messages_per_second)).unwrap_or_default(),
            confirm: latency(|run| run.confirm),
            deliver: latency(|run| run.deliver),
            server: cost(|run| run.server),
            generator: cost(|run| Some(run.generator)).unwrap_or_default(),
            ..runs.first().cloned().unwrap_or_default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latencies_are_read_from_the_histogram_in_microseconds() {
        let mut latencies = histogram().unwrap();
        assert_eq!(Latency::of(&latencies), None);
        (1..=1000).for_each(|number| record(&mut latencies, number * 1000));
        let latency = Latency::of(&latencies).unwrap();
        assert!((latency.p50_us - 500.0).abs() < 1.0, "{latency:?}");
        assert!((latency.p99_us - 990.0).abs() < 1.0, "{latency:?}");
        assert!((latency.max_us - 1000.0).abs() < 1.0, "{latency:?}");
    }

    #[test]
    fn a_median_is_taken_of_each_figure() {
        let run = |rate, cpu_ns| Outcome {
            messages_per_second: rate,
            server: Some(Cost { cpu_ns, ..Cost::default() }),
            ..Outcome::default()
        };
        let median = Outcome::median(&[run(1.0, 30.0), run(3.0, 10.0), run(2.0, 20.0)]);
        assert!((median.messages_per_second - 2.0).abs() < f64::EPSILON);
        assert!((median.server.unwrap().cpu_ns - 20.0).abs() < f64::EPSILON);
    }
}
