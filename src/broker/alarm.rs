//! The memory alarm: above the limit publishers are blocked, consumers go on (RabbitMQ: connection.blocked).

use std::sync::atomic::{AtomicI64, Ordering};

use tokio::sync::watch;

/// Counts the octets of all messages and raises or clears the alarm.
#[derive(Debug)]
pub struct MemoryAlarm {
    used: AtomicI64,
    raise_at: i64,
    clear_at: i64,
    raised: watch::Sender<bool>,
}

/// The reason that connection.blocked gives (RabbitMQ).
pub const LOW_ON_MEMORY: &str = "low on memory";

impl MemoryAlarm {
    /// An alarm that is raised above `limit` octets, and cleared below nine tenths of it so that it does not flap.
    pub fn new(limit: u64) -> Self {
        let raise_at = i64::try_from(limit).unwrap_or(i64::MAX);
        let (raised, _) = watch::channel(false);
        Self { used: AtomicI64::new(0), raise_at, clear_at: raise_at / 10 * 9, raised }
    }

    /// The octets in use have changed by `delta`.
    pub fn account(&self, delta: i64) {
        let used = self.used.fetch_add(delta, Ordering::Relaxed) + delta;
        if delta > 0 && used > self.raise_at && !*self.raised.borrow() {
            self.set(true);
        } else if delta < 0 && used <= self.clear_at && *self.raised.borrow() {
            self.set(false);
        }
    }

    fn set(&self, raised: bool) {
        let changed = self.raised.send_if_modified(|state| std::mem::replace(state, raised) != raised);
        if changed {
            let used = self.used.load(Ordering::Relaxed);
            tracing::warn!(raised, used, limit = self.raise_at, "memory alarm");
        }
    }

    /// Octets of messages in all queues; a message counts once for each queue that holds it.
    pub fn used(&self) -> u64 {
        u64::try_from(self.used.load(Ordering::Relaxed)).unwrap_or(0)
    }

    /// Follows the alarm's state.
    pub fn subscribe(&self) -> watch::Receiver<bool> {
        self.raised.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_alarm_is_raised_above_the_limit_and_cleared_well_below() {
        let alarm = MemoryAlarm::new(1000);
        let state = alarm.subscribe();
        alarm.account(1001);
        assert!(*state.borrow());
        alarm.account(-50);
        assert!(*state.borrow());
        alarm.account(-60);
        assert!(!*state.borrow());
        assert_eq!(alarm.used(), 891);
    }
}
