//! Ticks for queues: message expiry, leases of consumers, and queue leases. One task, one heap, for all queues.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::sync::Weak;

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::vhost::Vhost;
use crate::clock::{Clock, Timestamp};
use crate::id::EntityId;
use crate::name::Name;
use crate::queue::Ticked;

/// Ticks handled before others get a turn on this thread: expiry of very many queues at once must not stall I/O.
const TICKS_AT_ONCE: usize = 256;

/// Pending ticks, the soonest first.
///
/// A queue asks for a tick only when it has none pending that is as early, so that there are few per queue.
#[derive(Debug)]
pub struct Timers {
    clock: Clock,
    heap: Mutex<BinaryHeap<Tick>>,
    sooner: Notify,
}

#[derive(Debug)]
struct Tick {
    at: Timestamp,
    vhost: Weak<Vhost>,
    /// By name and identity: a queue that is gone must not be kept by its ticks.
    queue: Name,
    id: EntityId,
}

impl Timers {
    /// No ticks pending.
    pub fn new(clock: Clock) -> Self {
        Self { clock, heap: Mutex::default(), sooner: Notify::new() }
    }

    /// Ticks the queue at `at`, or as soon after as possible.
    pub fn arm(&self, at: Timestamp, vhost: Weak<Vhost>, queue: Name, id: EntityId) {
        let is_soonest = {
            let mut heap = self.heap.lock();
            let is_soonest = heap.peek().is_none_or(|soonest| at < soonest.at);
            heap.push(Tick { at, vhost, queue, id });
            is_soonest
        };
        if is_soonest {
            self.sooner.notify_one();
        }
    }

    /// Carries out ticks for ever.
    pub async fn run(&self) {
        loop {
            self.wait().await;
            let now = self.clock.now();
            for tick in self.take_due(now) {
                tick.carry_out(now);
            }
            tokio::task::yield_now().await;
        }
    }

    /// Waits until a tick is due.
    async fn wait(&self) {
        loop {
            let soonest = self.heap.lock().peek().map(|tick| tick.at);
            match soonest {
                None => self.sooner.notified().await,
                Some(at) if at <= self.clock.now() => return,
                Some(at) => {
                    tokio::select! {
                        () = tokio::time::sleep_until(self.clock.instant_of(at)) => return,
                        () = self.sooner.notified() => {}
                    }
                }
            }
        }
    }

    fn take_due(&self, now: Timestamp) -> Vec<Tick> {
        let mut heap = self.heap.lock();
        let mut due = Vec::new();
        while due.len() < TICKS_AT_ONCE && heap.peek().is_some_and(|tick| tick.at <= now) {
            due.extend(heap.pop());
        }
        due
    }
}

impl Tick {
    fn carry_out(self, now: Timestamp) {
        let Some(vhost) = self.vhost.upgrade() else { return };
        let queue = vhost.queue(self.queue.as_str()).filter(|queue| queue.id == self.id);
        let Some(queue) = queue else { return };
        let Ticked { is_over, lost_consumers } = queue.tick(self.at, now);
        if is_over {
            vhost.expire_queue(&queue, now);
        }
        if lost_consumers && queue.options.auto_delete {
            vhost.delete_queue_if_unused(&queue, now);
        }
    }
}

/// The greatest of the heap is the soonest.
impl Ord for Tick {
    fn cmp(&self, other: &Self) -> Ordering {
        other.at.cmp(&self.at)
    }
}

impl PartialOrd for Tick {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Tick {
    fn eq(&self, other: &Self) -> bool {
        self.at == other.at
    }
}

impl Eq for Tick {}
