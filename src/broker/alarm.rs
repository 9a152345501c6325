//! Alarms: while one is raised publishers are blocked, consumers go on (RabbitMQ: connection.blocked).

use std::sync::atomic::{AtomicI64, Ordering};

use tokio::sync::watch;

/// Which alarms are raised.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Raised {
    /// Messages take more memory than they may.
    pub memory: bool,
    /// Messages cannot be written.
    pub disk: bool,
}

impl Raised {
    /// Whether any is.
    pub fn any(self) -> bool {
        self.memory || self.disk
    }

    /// The reason that connection.blocked gives (RabbitMQ's words).
    pub fn reason(self) -> &'static str {
        match (self.memory, self.disk) {
            (_, false) => "low on memory",
            (false, true) => "low on disk",
            (true, true) => "low on memory & disk",
        }
    }
}

/// Counts the octets of all messages, and raises and clears alarms.
#[derive(Debug)]
pub struct Alarms {
    used: AtomicI64,
    raise_at: AtomicI64,
    raised: watch::Sender<Raised>,
}

impl Alarms {
    /// The memory alarm is raised above `memory_limit` octets, and cleared below nine tenths of it so that it does not
    /// flap.
    pub fn new(memory_limit: u64) -> Self {
        let (raised, _) = watch::channel(Raised::default());
        Self { used: AtomicI64::new(0), raise_at: AtomicI64::new(signed(memory_limit)), raised }
    }

    /// Another limit from here on; the alarm follows it.
    pub fn set_memory_limit(&self, memory_limit: u64) {
        let raise_at = signed(memory_limit);
        if self.raise_at.swap(raise_at, Ordering::Relaxed) != raise_at {
            let used = self.used.load(Ordering::Relaxed);
            self.set(|raised| {
                raised.memory = used > if raised.memory { clear_at(raise_at) } else { raise_at }
            });
        }
    }

    /// The octets in use have changed by `delta`.
    pub fn account(&self, delta: i64) {
        let used = self.used.fetch_add(delta, Ordering::Relaxed) + delta;
        let raise_at = self.raise_at.load(Ordering::Relaxed);
        let raised = self.raised.borrow().memory;
        if delta > 0 && used > raise_at && !raised {
            self.set(|raised| raised.memory = true);
        } else if delta < 0 && used <= clear_at(raise_at) && raised {
            self.set(|raised| raised.memory = false);
        }
    }

    /// Messages cannot be written, or can be again.
    pub fn set_disk(&self, full: bool) {
        self.set(|raised| raised.disk = full);
    }

    fn set(&self, change: impl FnOnce(&mut Raised)) {
        let changed = self.raised.send_if_modified(|raised| {
            let before = *raised;
            change(raised);
            *raised != before
        });
        if changed {
            let raised = *self.raised.borrow();
            let used = self.used.load(Ordering::Relaxed);
            tracing::warn!(memory = raised.memory, disk = raised.disk, used, "alarms");
        }
    }

    /// Octets of messages in all queues; a message counts once for each queue that holds it.
    pub fn used(&self) -> u64 {
        u64::try_from(self.used.load(Ordering::Relaxed)).unwrap_or(0)
    }

    /// Follows the alarms.
    pub fn subscribe(&self) -> watch::Receiver<Raised> {
        self.raised.subscribe()
    }
}

fn signed(octets: u64) -> i64 {
    i64::try_from(octets).unwrap_or(i64::MAX)
}

/// Well below, so that the alarm does not flap.
fn clear_at(raise_at: i64) -> i64 {
    raise_at / 10 * 9
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_alarm_follows_a_new_limit() {
        let alarms = Alarms::new(1000);
        let state = alarms.subscribe();
        alarms.account(900);
        alarms.set_memory_limit(500);
        assert!(state.borrow().memory);
        alarms.set_memory_limit(950);
        assert!(state.borrow().memory, "not yet well below");
        alarms.set_memory_limit(2000);
        assert!(!state.borrow().any());
    }

    #[test]
    fn the_memory_alarm_is_raised_above_the_limit_and_cleared_well_below() {
        let alarms = Alarms::new(1000);
        let state = alarms.subscribe();
        alarms.account(1001);
        assert!(state.borrow().memory);
        alarms.account(-50);
        assert!(state.borrow().memory);
        alarms.account(-60);
        assert!(!state.borrow().any());
        assert_eq!(alarms.used(), 891);
    }

    #[test]
    fn each_alarm_has_its_words() {
        let alarms = Alarms::new(0);
        let state = alarms.subscribe();
        alarms.set_disk(true);
        assert_eq!(state.borrow().reason(), "low on disk");
        alarms.account(1);
        assert_eq!(state.borrow().reason(), "low on memory & disk");
    }
}
