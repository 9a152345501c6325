//! What happens to logged messages, on its way to the log.
//!
//! ```text
//!   queues: placed, delivered, gone --> this thread's batch --> MessageLog::append, once per batch --> position
//!                                                                                                         |
//!   publishers' confirms, tx.commit-ok <---------------------------- released once the log is durable there
//! ```
//!
//! Whatever one read of a connection leads to becomes one append. Without a batch a record is appended by itself.
//! Each virtual host has a journal of its own, for the hosts may differ in what durable means to them; the log is one.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::id::EntityId;
use crate::message::Message;
use crate::queue::{Departed, Placement, Seq};

pub use crate::storage::{Durability, LogPosition};

/// Something that must survive a restart.
#[derive(Clone, Debug)]
pub enum Record {
    /// A message was placed in queues; one body however many.
    Publish(Vec<Placement>, Message),
    /// Messages have left a queue.
    Gone(EntityId, Vec<Departed>),
    /// Messages of a queue's level up to this one may have been given to a consumer.
    Delivered(EntityId, u8, Seq),
    /// A queue is gone with all its messages; its highest level.
    QueueDeleted(EntityId, u8),
}

/// Where records go.
pub trait MessageLog: Send + Sync + fmt::Debug {
    /// Appends records in order, to be durable in the sense of `durability`; `atomic`: after a crash all of them hold,
    /// or none.
    fn append(&self, records: &[Record], atomic: bool, durability: Durability) -> LogPosition;

    /// Everything up to this position is durable, in the sense in which it was appended.
    fn durable(&self) -> LogPosition;

    /// The operating system has everything up to this position.
    fn written(&self) -> LogPosition;

    /// Publishers are to wait: more comes than can be written.
    fn is_tight(&self) -> bool;

    /// Notes that the end is an orderly one: all that was delivered is known, and on disk whatever durable means.
    ///
    /// # Errors
    /// When the disk refuses; the next start is as after a crash then.
    fn close(&self) -> io::Result<()>;
}

/// Somebody who waits for the log.
pub trait OnDurable: Send + Sync {
    /// The log is durable up to `position`. Called without any lock held.
    fn on_durable(&self, position: LogPosition);
}

thread_local! {
    /// Records of the batch that this thread works on; `None` between batches.
    static BATCH: RefCell<Option<Vec<Record>>> = const { RefCell::new(None) };
}

/// The way to the log; without a log nothing is kept.
#[derive(Debug, Default)]
pub struct Journal {
    log: Option<Arc<dyn MessageLog>>,
    waiting: Mutex<Waiting>,
    /// The position of the last append of any branch.
    last: Arc<AtomicU64>,
    /// Durable is what the operating system has.
    is_os: AtomicBool,
    /// Those who are told what this one is told.
    branches: Mutex<Vec<Weak<Self>>>,
}

/// Who waits, by position, then in order of arrival.
#[derive(Default)]
struct Waiting {
    by_position: BTreeMap<(LogPosition, u64), Arc<dyn OnDurable>>,
    arrivals: u64,
}

impl Journal {
    /// A journal that appends to `log`.
    pub fn new(log: Option<Arc<dyn MessageLog>>) -> Self {
        Self { log, ..Self::default() }
    }

    /// A journal on the same log, told of its progress by this one, with a durability of its own.
    pub fn branch(&self, durability: Durability) -> Arc<Self> {
        let branch = Self { log: self.log.clone(), last: Arc::clone(&self.last), ..Self::default() };
        branch.set_durability(durability);
        let branch = Arc::new(branch);
        let mut branches = self.branches.lock();
        branches.retain(|known| known.strong_count() > 0);
        branches.push(Arc::downgrade(&branch));
        branch
    }

    /// When something recorded here is durable.
    pub fn durability(&self) -> Durability {
        if self.is_os.load(Ordering::Relaxed) { Durability::Os } else { Durability::Fsync }
    }

    /// What is recorded from now on is durable in this sense.
    pub fn set_durability(&self, durability: Durability) {
        self.is_os.store(durability == Durability::Os, Ordering::Relaxed);
    }

    /// Whether anything is kept.
    pub fn is_kept(&self) -> bool {
        self.log.is_some()
    }

    /// Records something: with this thread's batch, or by itself.
    pub fn record(&self, record: Record) {
        let Some(log) = &self.log else { return };
        let mut alone = Some(record);
        BATCH.with_borrow_mut(|batch| {
            if let Some(batch) = batch {
                batch.extend(alone.take());
            }
        });
        if let Some(record) = alone {
            self.append(log, &[record], false);
        }
    }

    /// Appends what `work` records as one batch. The position covers it; `None` if there was nothing.
    pub fn batch<R>(&self, work: impl FnOnce() -> R) -> (R, Option<LogPosition>) {
        self.gather(work, false)
    }

    /// As [`Self::batch`], and after a crash all of it holds or none. Inside a batch it is appended on its own, before
    /// the rest of the batch.
    pub fn atomically<R>(&self, work: impl FnOnce() -> R) -> (R, Option<LogPosition>) {
        self.gather(work, true)
    }

    fn gather<R>(&self, work: impl FnOnce() -> R, atomic: bool) -> (R, Option<LogPosition>) {
        let Some(log) = &self.log else { return (work(), None) };
        let outer = Outer(BATCH.replace(Some(Vec::new())));
        let result = work();
        let records = BATCH.take().unwrap_or_default();
        drop(outer);
        let position = (!records.is_empty()).then(|| self.append(log, &records, atomic));
        (result, position)
    }

    fn append(&self, log: &Arc<dyn MessageLog>, records: &[Record], atomic: bool) -> LogPosition {
        let position = log.append(records, atomic, self.durability());
        self.last.fetch_max(position.0, Ordering::Relaxed);
        position
    }

    /// Waits until everything appended so far is durable.
    pub async fn flush(&self) {
        self.durable(LogPosition(self.last.load(Ordering::Relaxed))).await;
    }

    /// Notes that the end is an orderly one.
    ///
    /// # Errors
    /// As for [`MessageLog::close`].
    pub fn close(&self) -> io::Result<()> {
        self.log.as_ref().map_or(Ok(()), |log| log.close())
    }

    /// Whether publishers are to wait for the log.
    pub fn is_tight(&self) -> bool {
        self.log.as_ref().is_some_and(|log| log.is_tight())
    }

    /// Whether the log is durable up to `position`.
    pub fn is_durable(&self, position: LogPosition) -> bool {
        self.log.is_none() || self.watermark() >= position
    }

    /// How far the log is durable.
    pub fn watermark(&self) -> LogPosition {
        let Some(log) = &self.log else { return LogPosition::default() };
        match self.durability() {
            Durability::Fsync => log.durable(),
            Durability::Os => log.written(),
        }
    }

    /// Waits until the log is durable up to `position`.
    pub async fn durable(&self, position: LogPosition) {
        if self.is_durable(position) {
            return;
        }
        let signal = Arc::new(Signal(Notify::new()));
        self.when_durable(position, Arc::<Signal>::clone(&signal));
        signal.0.notified().await;
    }

    /// Tells `waiter` once the log is durable up to `position`: at once if it is.
    pub fn when_durable(&self, position: LogPosition, waiter: Arc<dyn OnDurable>) {
        {
            let mut waiting = self.waiting.lock();
            // Asked under the lock: a watermark that moves now finds the waiter, or has moved before.
            if !self.is_durable(position) {
                waiting.arrivals += 1;
                let arrival = waiting.arrivals;
                waiting.by_position.insert((position, arrival), waiter);
                return;
            }
        }
        waiter.on_durable(position);
    }

    /// The log is durable up to `position`: whoever waited for that is told, here and in all branches.
    pub fn advance(&self, position: LogPosition) {
        self.release(position);
        self.branches().for_each(|branch| branch.release(position));
    }

    /// The operating system has the log up to `position`: whoever waits for no more than that is told.
    pub fn advance_written(&self, position: LogPosition) {
        let is_enough = |branch: &Arc<Self>| branch.durability() == Durability::Os;
        self.branches().filter(is_enough).for_each(|branch| branch.release(position));
    }

    fn branches(&self) -> impl Iterator<Item = Arc<Self>> {
        // Copied: nobody is told with the lock held.
        let branches: Vec<_> = self.branches.lock().iter().filter_map(Weak::upgrade).collect();
        branches.into_iter()
    }

    fn release(&self, position: LogPosition) {
        let reached = {
            let mut waiting = self.waiting.lock();
            let later = waiting.by_position.split_off(&(LogPosition(position.0.saturating_add(1)), 0));
            std::mem::replace(&mut waiting.by_position, later)
        };
        for waiter in reached.into_values() {
            waiter.on_durable(position);
        }
    }
}

/// Wakes a task that waits for the log.
struct Signal(Notify);

impl OnDurable for Signal {
    fn on_durable(&self, _: LogPosition) {
        self.0.notify_one();
    }
}

/// The batch that was under way before, put back whatever happens to the inner one.
struct Outer(Option<Vec<Record>>);

impl Drop for Outer {
    fn drop(&mut self) {
        BATCH.set(self.0.take());
    }
}

impl fmt::Debug for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Waiting").field("len", &self.by_position.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Appends are kept; durable only when told.
    #[derive(Debug, Default)]
    struct Memory {
        appends: Mutex<Vec<(usize, bool)>>,
        durable: AtomicU64,
        written: AtomicU64,
    }

    impl MessageLog for Memory {
        fn close(&self) -> io::Result<()> {
            Ok(())
        }

        fn append(&self, records: &[Record], atomic: bool, _: Durability) -> LogPosition {
            let mut appends = self.appends.lock();
            appends.push((records.len(), atomic));
            LogPosition(appends.len() as u64)
        }

        fn durable(&self) -> LogPosition {
            LogPosition(self.durable.load(Ordering::Relaxed))
        }

        fn written(&self) -> LogPosition {
            LogPosition(self.written.load(Ordering::Relaxed))
        }

        fn is_tight(&self) -> bool {
            false
        }
    }

    #[derive(Default)]
    struct Told(AtomicU64);

    impl OnDurable for Told {
        fn on_durable(&self, position: LogPosition) {
            self.0.store(position.0, Ordering::Relaxed);
        }
    }

    fn journal() -> (Arc<Memory>, Journal) {
        let log = Arc::new(Memory::default());
        (Arc::clone(&log), Journal::new(Some(log)))
    }

    fn gone() -> Record {
        Record::Gone(EntityId::new(1), vec![Departed { level: 0, first: Seq::new(1), last: Seq::new(1) }])
    }

    #[test]
    fn a_batch_is_one_append_and_a_transaction_in_it_another_one_before() {
        let (log, journal) = journal();
        let ((), position) = journal.batch(|| {
            journal.record(gone());
            let ((), inner) = journal.atomically(|| {
                journal.record(gone());
                journal.record(gone());
            });
            assert_eq!(inner, Some(LogPosition(1)));
            journal.record(gone());
        });
        assert_eq!(position, Some(LogPosition(2)));
        journal.record(gone());
        assert_eq!(*log.appends.lock(), [(2, true), (2, false), (1, false)]);
    }

    #[test]
    fn an_empty_batch_appends_nothing() {
        let (log, journal) = journal();
        assert_eq!(journal.batch(|| 5), (5, None));
        assert!(log.appends.lock().is_empty());
    }

    #[test]
    fn each_branch_waits_for_what_durable_means_to_it() {
        let (log, journal) = journal();
        let (synced, written) = (journal.branch(Durability::Fsync), journal.branch(Durability::Os));
        let (early, late) = (Arc::new(Told::default()), Arc::new(Told::default()));
        synced.when_durable(LogPosition(5), Arc::<Told>::clone(&late));
        written.when_durable(LogPosition(5), Arc::<Told>::clone(&early));
        log.written.store(5, Ordering::Relaxed);
        journal.advance_written(LogPosition(5));
        assert_eq!((early.0.load(Ordering::Relaxed), late.0.load(Ordering::Relaxed)), (5, 0));
        assert!(written.is_durable(LogPosition(5)) && !synced.is_durable(LogPosition(5)));
        // Whoever waited when it was another durability is told at the latest now.
        log.durable.store(5, Ordering::Relaxed);
        journal.advance(LogPosition(5));
        assert_eq!(late.0.load(Ordering::Relaxed), 5);
    }

    #[test]
    fn waiters_are_told_when_their_position_is_durable_and_not_before() {
        let (log, journal) = journal();
        let (early, late) = (Arc::new(Told::default()), Arc::new(Told::default()));
        journal.when_durable(LogPosition(5), Arc::<Told>::clone(&early));
        journal.when_durable(LogPosition(6), Arc::<Told>::clone(&late));
        log.durable.store(5, Ordering::Relaxed);
        journal.advance(LogPosition(5));
        assert_eq!((early.0.load(Ordering::Relaxed), late.0.load(Ordering::Relaxed)), (5, 0));
        let after = Arc::new(Told::default());
        journal.when_durable(LogPosition(4), Arc::<Told>::clone(&after));
        assert_eq!(after.0.load(Ordering::Relaxed), 4);
    }
}
