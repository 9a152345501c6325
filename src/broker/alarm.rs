//! Alarms: while one is raised publishers are blocked, consumers go on (RabbitMQ: connection.blocked).

use std::sync::atomic::{AtomicI64, AtomicU8, AtomicU64, Ordering};

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

/// Why the disk counts as full. One alarm, which lasts as long as any of them does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskCause {
    /// Less is free than there should be.
    FreeSpace,
    /// The log cannot grow, or messages cannot be moved out of it.
    Log,
    /// Definitions cannot be written.
    Definitions,
}

impl DiskCause {
    fn bit(self) -> u8 {
        match self {
            Self::FreeSpace => 1,
            Self::Log => 2,
            Self::Definitions => 4,
        }
    }
}

/// Counts the octets of all messages, and raises and clears alarms.
#[derive(Debug)]
pub struct Alarms {
    used: AtomicI64,
    raise_at: AtomicI64,
    /// Causes of the disk's alarm, by their bits.
    disk: AtomicU8,
    /// Octets that the disk had left when it was last asked, and should have.
    disk_free: AtomicU64,
    disk_free_limit: AtomicU64,
    raised: watch::Sender<Raised>,
}

impl Alarms {
    /// The memory alarm is raised above `memory_limit` octets, and cleared below nine tenths of it so that it does not
    /// flap.
    pub fn new(memory_limit: u64) -> Self {
        let (raised, _) = watch::channel(Raised::default());
        Self {
            used: AtomicI64::new(0),
            raise_at: AtomicI64::new(signed(memory_limit)),
            disk: AtomicU8::new(0),
            disk_free: AtomicU64::new(u64::MAX),
            disk_free_limit: AtomicU64::new(0),
            raised,
        }
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

    /// Octets above which the memory alarm is raised.
    pub fn memory_limit(&self) -> u64 {
        self.raise_at.load(Ordering::Relaxed).unsigned_abs()
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

    /// The disk is full for this cause, or not any more.
    pub fn set_disk(&self, cause: DiskCause, full: bool) {
        if full {
            self.disk.fetch_or(cause.bit(), Ordering::Relaxed);
        } else {
            self.disk.fetch_and(!cause.bit(), Ordering::Relaxed);
        }
        // Looked at under the lock of what is raised: the last of those who change it sees all.
        self.set(|raised| raised.disk = self.disk.load(Ordering::Relaxed) != 0);
    }

    /// Octets that the disk should have left, from here on.
    pub fn set_disk_free_limit(&self, limit: u64) {
        self.disk_free_limit.store(limit, Ordering::Relaxed);
    }

    /// Octets that the disk should have left.
    pub fn disk_free_limit(&self) -> u64 {
        self.disk_free_limit.load(Ordering::Relaxed)
    }

    /// Octets that the disk had left when it was last asked; the most there can be before.
    pub fn disk_free(&self) -> u64 {
        self.disk_free.load(Ordering::Relaxed)
    }

    /// The disk has so many octets left. Below the limit the alarm is raised; once it is, a tenth more must be free, so
    /// that it does not flap.
    pub fn set_disk_free(&self, free: u64) {
        self.disk_free.store(free, Ordering::Relaxed);
        let limit = self.disk_free_limit();
        let is_raised = self.is_disk_full(DiskCause::FreeSpace);
        let needed = if is_raised { limit.saturating_add(limit / 10) } else { limit };
        if is_raised != (free < needed) {
            tracing::warn!(
                free,
                limit,
                "the disk has {} free space",
                if is_raised { "enough" } else { "too little" }
            );
            self.set_disk(DiskCause::FreeSpace, !is_raised);
        }
    }

    /// Whether the disk is full for this cause.
    pub fn is_disk_full(&self, cause: DiskCause) -> bool {
        self.disk.load(Ordering::Relaxed) & cause.bit() != 0
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
    fn the_disk_s_alarm_lasts_as_long_as_any_of_its_causes() {
        let alarms = Alarms::new(0);
        let state = alarms.subscribe();
        alarms.set_disk(DiskCause::Log, true);
        alarms.set_disk(DiskCause::FreeSpace, true);
        alarms.set_disk(DiskCause::Log, false);
        assert!(state.borrow().disk && alarms.is_disk_full(DiskCause::FreeSpace));
        alarms.set_disk(DiskCause::FreeSpace, false);
        assert!(!state.borrow().any());
    }

    #[test]
    fn the_disk_s_alarm_is_raised_below_the_limit_and_cleared_a_tenth_above() {
        let alarms = Alarms::new(0);
        let state = alarms.subscribe();
        alarms.set_disk_free(0);
        assert!(!state.borrow().any(), "a limit of 0 is none");
        alarms.set_disk_free_limit(1000);
        for (free, is_raised) in [(1000, false), (999, true), (1099, true), (1100, false)] {
            alarms.set_disk_free(free);
            assert_eq!(state.borrow().disk, is_raised, "{free}");
        }
    }

    #[test]
    fn each_alarm_has_its_words() {
        let alarms = Alarms::new(0);
        let state = alarms.subscribe();
        alarms.set_disk(DiskCause::Log, true);
        assert_eq!(state.borrow().reason(), "low on disk");
        alarms.account(1);
        assert_eq!(state.borrow().reason(), "low on memory & disk");
    }
}
