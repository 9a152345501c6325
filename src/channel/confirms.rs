//! Publisher confirms (RabbitMQ): what became of each publish, told in order, in as few frames as possible, and not
//! before it is on disk.
//!
//! ```text
//!   record(outcome) ... seal(position) at the end of a batch       release(durable): runs from the front
//!   [ack 1-40, at 7] [nack 41, at 7] [ack 42-90, at 9] [ack 91-95, not sealed yet]
//! ```

use std::collections::VecDeque;
use std::sync::Arc;

use lepus_protocol::method::basic;
use lepus_protocol::{ChannelId, DeliveryTag, Method};
use parking_lot::Mutex;

use crate::broker::{LogPosition, OnDurable};
use crate::clock::Clock;
use crate::metrics::{DurationTally, SharedDurations};
use crate::outbound::Outbound;

/// What a publisher is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// basic.ack: every queue has it, or it went nowhere.
    Ack,
    /// basic.nack: a queue refused it.
    Nack,
}

/// The publishes of a channel in confirm mode. Shared with the log, which releases what has become durable.
#[derive(Debug)]
pub(super) struct Confirms {
    channel: ChannelId,
    outbound: Arc<Outbound>,
    clock: Clock,
    /// How long publishers waited, of all channels.
    waits: Arc<SharedDurations>,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    /// Publishes so far: they are numbered from 1.
    last: u64,
    /// Outcomes not yet told: runs of equal ones, in order.
    runs: VecDeque<Run>,
    /// Publishes confirmed so far.
    confirmed: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Run {
    outcome: Outcome,
    last: u64,
    count: u64,
    stage: Stage,
    /// When its batch was over, in microseconds of the clock.
    since: u64,
}

/// How far a run is from being told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Its batch is not over.
    Open,
    /// It waits for the log.
    Logged(LogPosition),
    /// Nothing of it is logged.
    Free,
}

impl Confirms {
    pub(super) fn new(
        channel: ChannelId,
        outbound: Arc<Outbound>,
        clock: Clock,
        waits: Arc<SharedDurations>,
    ) -> Arc<Self> {
        Arc::new(Self { channel, outbound, clock, waits, inner: Mutex::default() })
    }

    /// Records what became of the next publish.
    pub(super) fn record(&self, outcome: Outcome) {
        let mut inner = self.inner.lock();
        inner.last += 1;
        let last = inner.last;
        match inner.runs.back_mut() {
            Some(run) if run.outcome == outcome && run.stage == Stage::Open => {
                run.last = last;
                run.count += 1;
            }
            _ => inner.runs.push_back(Run { outcome, last, count: 1, stage: Stage::Open, since: 0 }),
        }
    }

    /// The batch is over: what it recorded may be told once the log is durable up to `position`. Returns whether
    /// there is anything to wait for or to tell.
    pub(super) fn seal(&self, position: Option<LogPosition>) -> bool {
        let stage = position.map_or(Stage::Free, Stage::Logged);
        let mut inner = self.inner.lock();
        if inner.runs.back().is_some_and(|run| run.stage == Stage::Open) {
            // Read once for all of the batch.
            let now = self.clock.micros();
            for run in inner.runs.iter_mut().rev().take_while(|run| run.stage == Stage::Open) {
                (run.stage, run.since) = (stage, now);
            }
        }
        !inner.runs.is_empty()
    }

    /// Publishes that are not told of yet, and those confirmed so far.
    pub(super) fn counts(&self) -> (u64, u64) {
        let inner = self.inner.lock();
        (inner.runs.iter().map(|run| run.count).sum(), inner.confirmed)
    }

    /// The channel is closing: what has not been told never will be.
    pub(super) fn close(&self) {
        self.inner.lock().runs.clear();
    }

    /// Tells what can be told, in order. Everything before a run has been told, so that `multiple` is exact.
    pub(super) fn release(&self, durable: LogPosition) {
        // The lock is held while the frames are appended: another release must not overtake.
        let mut inner = self.inner.lock();
        let mut waits = Waits { clock: self.clock, now: None, tally: DurationTally::default() };
        let ready = inner.take_ready(durable, &mut waits);
        if !ready.is_empty() {
            self.waits.fold(&waits.tally);
            self.outbound.send(|frames| {
                for run in &ready {
                    run.method().encode(self.channel, frames);
                }
            });
        }
    }
}

/// How long those waited who are told now. The clock is read once, and not for those who are not told.
struct Waits {
    clock: Clock,
    now: Option<u64>,
    tally: DurationTally,
}

impl Waits {
    fn count(&mut self, run: Run) {
        let now = *self.now.get_or_insert_with(|| self.clock.micros());
        self.tally.count_times(now.saturating_sub(run.since), run.count);
    }
}

impl Inner {
    /// Runs from the front that may be told; equal ones together.
    fn take_ready(&mut self, durable: LogPosition, waits: &mut Waits) -> Vec<Run> {
        let mut ready: Vec<Run> = Vec::new();
        while let Some(run) = self.runs.front().copied() {
            match run.stage {
                Stage::Open => break,
                Stage::Logged(position) if position > durable => break,
                Stage::Logged(_) | Stage::Free => {}
            }
            self.runs.pop_front();
            waits.count(run);
            self.confirmed += if run.outcome == Outcome::Ack { run.count } else { 0 };
            match ready.last_mut() {
                Some(before) if before.outcome == run.outcome => {
                    before.last = run.last;
                    before.count += run.count;
                }
                _ => ready.push(run),
            }
        }
        ready
    }
}

impl OnDurable for Confirms {
    fn on_durable(&self, position: LogPosition) {
        self.release(position);
    }
}

impl Run {
    fn method(self) -> Method<'static> {
        let delivery_tag = DeliveryTag::new(self.last);
        let multiple = self.count > 1;
        match self.outcome {
            Outcome::Ack => basic::Ack { delivery_tag, multiple }.into(),
            Outcome::Nack => basic::Nack { delivery_tag, multiple, requeue: false }.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn confirms() -> Arc<Confirms> {
        Confirms::new(ChannelId::new(1), Arc::new(Outbound::new()), Clock::start(), Arc::default())
    }

    fn ready(confirms: &Confirms, durable: u64) -> Vec<Method<'static>> {
        let mut waits = Waits { clock: confirms.clock, now: None, tally: DurationTally::default() };
        let ready = confirms.inner.lock().take_ready(LogPosition(durable), &mut waits);
        ready.into_iter().map(Run::method).collect()
    }

    fn ack(tag: u64, multiple: bool) -> Method<'static> {
        basic::Ack { delivery_tag: DeliveryTag::new(tag), multiple }.into()
    }

    #[test]
    fn equal_outcomes_in_a_row_are_told_at_once_and_in_order() {
        let confirms = confirms();
        for outcome in [Outcome::Ack, Outcome::Ack, Outcome::Nack, Outcome::Ack] {
            confirms.record(outcome);
        }
        assert_eq!(ready(&confirms, 0), [], "the batch is not over");
        assert!(confirms.seal(None));
        let nack = basic::Nack { delivery_tag: DeliveryTag::new(3), multiple: false, requeue: false };
        assert_eq!(ready(&confirms, 0), [ack(2, true), nack.into(), ack(4, false)]);
    }

    #[test]
    fn each_publish_that_is_told_of_is_counted_once_with_its_wait() {
        let confirms = confirms();
        for outcome in [Outcome::Ack, Outcome::Ack, Outcome::Nack] {
            confirms.record(outcome);
        }
        confirms.seal(Some(LogPosition(7)));
        let waited = || confirms.waits.load().counts.iter().sum::<u64>();
        confirms.release(LogPosition(6));
        assert_eq!(waited(), 0);
        confirms.release(LogPosition(7));
        confirms.release(LogPosition(8));
        assert_eq!(waited(), 3);
    }

    #[test]
    fn what_is_not_logged_waits_for_what_came_before_it() {
        let confirms = confirms();
        confirms.record(Outcome::Ack);
        confirms.seal(Some(LogPosition(7)));
        confirms.record(Outcome::Ack);
        confirms.seal(None);
        assert_eq!(ready(&confirms, 6), []);
        assert_eq!(ready(&confirms, 7), [ack(2, true)]);
        assert!(!confirms.seal(None));
    }
}
