//! What the pager's threads have to do, and in which order.

use std::collections::VecDeque;
use std::sync::{Arc, Weak};

use tokio::sync::oneshot;

use crate::broker::get::HeadRead;
use crate::clock::Timestamp;
use crate::queue::Queue;

/// A round in milliseconds: what could not be done is tried again after so many rounds.
pub(super) const ROUND_MS: u64 = 20;

/// Rounds after which all queues are gone through again if that freed nothing.
pub(super) const SWEEP_ROUNDS: u32 = 50;

/// What is to be done.
#[derive(Default)]
pub(super) struct Work {
    /// Queues whose next message somebody gets, and who waits for it: at most one for each connection.
    pub(super) heads: VecDeque<(Weak<Queue>, oneshot::Sender<HeadRead>)>,
    /// Queues that miss messages.
    pub(super) reads: VecDeque<Weak<Queue>>,
    /// Queues that miss messages which could not be read, and the rounds to wait.
    pub(super) failed: Vec<(u32, Weak<Queue>)>,
    /// Queues that grew while the budget was exceeded.
    pub(super) large: VecDeque<Weak<Queue>>,
    /// Those of which nothing could leave the memory at the last look, and the rounds to wait.
    pub(super) stuck: Vec<(u32, Weak<Queue>)>,
    /// Rounds before all queues are gone through again; then it is done when there is nothing else to do, and after as
    /// many rounds more in any case.
    pub(super) sweep_in: u32,
    overdue: u32,
    next_round: Timestamp,
    pub(super) is_sweeping: bool,
    pub(super) is_closing: bool,
}

/// One piece of it.
pub(super) enum Job {
    Head(Arc<Queue>, oneshot::Sender<HeadRead>),
    Read(Arc<Queue>),
    Shrink(Arc<Queue>),
    Sweep,
    Stop,
}

impl Work {
    /// What can be done at once; reading comes first, for somebody waits for it.
    pub(super) fn next(&mut self) -> Option<Job> {
        while let Some((queue, answer)) = self.heads.pop_front() {
            if let Some(queue) = queue.upgrade() {
                return Some(Job::Head(queue, answer));
            }
        }
        take_live(&mut self.reads).map(Job::Read).or_else(|| take_live(&mut self.large).map(Job::Shrink))
    }

    /// Whether somebody waits for messages.
    pub(super) fn is_awaited(&self) -> bool {
        !self.heads.is_empty() || !self.reads.is_empty()
    }

    /// Counts the rounds down, one at a time however often it is asked.
    pub(super) fn pass_time(&mut self, now: Timestamp, is_over: bool) {
        if now < self.next_round {
            return;
        }
        self.next_round = now.plus_millis(ROUND_MS);
        self.sweep_in = self.sweep_in.saturating_sub(1);
        self.overdue = if is_over && self.sweep_in == 0 { self.overdue.saturating_add(1) } else { 0 };
        count_down(&mut self.stuck, &mut self.large);
        count_down(&mut self.failed, &mut self.reads);
    }

    pub(super) fn is_sweep_due(&self, is_over: bool) -> bool {
        let is_idle = self.large.is_empty() && self.reads.is_empty() && self.overdue > 0;
        is_over && !self.is_sweeping && self.sweep_in == 0 && (is_idle || self.overdue > SWEEP_ROUNDS)
    }
}

/// Moves on what has waited long enough.
fn count_down(waiting: &mut Vec<(u32, Weak<Queue>)>, due: &mut VecDeque<Weak<Queue>>) {
    for (rounds, queue) in &mut *waiting {
        *rounds = rounds.saturating_sub(1);
        if *rounds == 0 {
            due.push_back(Weak::clone(queue));
        }
    }
    waiting.retain(|(rounds, _)| *rounds > 0);
}

fn take_live(queues: &mut VecDeque<Weak<Queue>>) -> Option<Arc<Queue>> {
    while let Some(queue) = queues.pop_front() {
        if let Some(queue) = queue.upgrade() {
            return Some(queue);
        }
    }
    None
}
