//! What happens to logged messages, on its way to the log.
//!
//! ```text
//!   queues: placed, delivered, gone --> this thread's batch --> MessageLog::append, once per batch --> position
//!                                                                                                         |
//!   publishers' confirms, tx.commit-ok <---------------------------- released once the log is durable there
//! ```
//!
//! Whatever one read of a connection leads to becomes one append. Without a batch a record is appended by itself.
//!
//! Definitions are written by another thread than messages. What may not be in the log before they are on disk is held
//! back until then: that a message has gone to a queue that a crash would take away, and transactions with such a
//! queue.
//! Each virtual host has a journal of its own, for the hosts may differ in what durable means to them; the log is one.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use smallvec::SmallVec;
use tokio::sync::Notify;

use crate::id::EntityId;
use crate::message::Message;
use crate::metadata::{Definitions, Position};
use crate::metrics::DurationTally;
use crate::queue::{Departed, Lane, Placement, Seq};

pub use crate::storage::{Durability, LogPosition};

/// Places of one message: mostly it reaches one queue.
pub type Placements = SmallVec<[Placement; 1]>;

/// Something that must survive a restart.
#[derive(Clone, Debug)]
pub enum Record {
    /// A message was placed in queues; one body however many.
    Publish(Placements, Message),
    /// Messages have left a queue.
    Gone(EntityId, Vec<Departed>),
    /// Messages of a queue's level up to this one may have been given to a consumer.
    Delivered(EntityId, Lane, Seq),
    /// A message of a queue was given to a consumer so many times.
    Counted(EntityId, Lane, Seq, u32),
    /// Nothing, but whoever waits for it waits for everything that was appended before.
    Barrier,
    /// A queue is gone with all its messages; the lanes that it may have had.
    QueueDeleted(EntityId, Vec<Lane>),
}

/// Where records go.
pub trait MessageLog: Send + Sync + fmt::Debug {
    /// Appends records in order, to be durable in the sense of `durability`; `atomic`: after a crash all of them hold,
    /// or none.
    fn append(&self, records: &[Record], atomic: bool, durability: Durability) -> LogPosition;

    /// Octets that the disk has left.
    ///
    /// # Errors
    /// The disk did not say.
    fn disk_free(&self) -> io::Result<u64>;

    /// What the store has done, for operators; `None` if nobody counts.
    fn figures(&self) -> Option<LogFigures> {
        None
    }

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

/// What a store of messages has done since it was opened, and the room that it takes; in octets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogFigures {
    /// Log files in use.
    pub log_used: u64,
    /// What all log files may have.
    pub log_total: u64,
    /// Written to the log.
    pub log_written: u64,
    /// Written to segments.
    pub segments_written: u64,
    /// Written to checkpoints.
    pub checkpoints_written: u64,
    /// Segments that there are; a number.
    pub segments: u64,
    /// Commits; a number.
    pub commits: u64,
    /// How long the disk took for each.
    pub syncs: DurationTally,
}

/// Somebody who waits for the log.
pub trait OnDurable: Send + Sync {
    /// The log is durable up to `position`. Called without any lock held.
    fn on_durable(&self, position: LogPosition);
}

/// What was recorded since a batch began.
#[derive(Debug, Default)]
struct Batch {
    records: Vec<Record>,
    /// For the log once the definitions recorded by then are on disk.
    held: Vec<Record>,
    /// So is all of it, if it is a transaction.
    is_held: bool,
}

thread_local! {
    /// The batch that this thread works on; `None` between batches.
    static BATCH: RefCell<Option<Batch>> = const { RefCell::new(None) };
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
    /// What is held back waits for these.
    definitions: Weak<Definitions>,
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

    /// The same, where what is held back waits for `definitions`.
    #[must_use]
    pub fn behind(self, definitions: &Arc<Definitions>) -> Self {
        Self { definitions: Arc::downgrade(definitions), ..self }
    }

    /// A journal on the same log, told of its progress by this one, with a durability of its own.
    pub fn branch(&self, durability: Durability) -> Arc<Self> {
        let (last, definitions) = (Arc::clone(&self.last), Weak::clone(&self.definitions));
        let branch = Self { log: self.log.clone(), last, definitions, ..Self::default() };
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
        self.record_all(std::iter::once(record));
    }

    /// Records things that happened in this order: with this thread's batch, or by themselves.
    pub fn record_all(&self, records: impl Iterator<Item = Record>) {
        let Some(log) = &self.log else { return };
        let alone = BATCH.with_borrow_mut(|batch| match batch {
            Some(batch) => {
                batch.records.extend(records);
                Vec::new()
            }
            None => records.collect::<Vec<_>>(),
        });
        if !alone.is_empty() {
            self.append(log, &alone, false);
        }
    }

    /// As [`Self::record`], and it reaches the log once all definitions recorded by now are on disk.
    pub fn record_held(&self, record: Record) {
        let Some(log) = &self.log else { return };
        if let Some(record) = in_batch(record, |batch| &mut batch.held) {
            let _nobody_waits = self.append_held(log, vec![record], false, |_| ());
        }
    }

    /// The transaction that this thread works on reaches the log once all definitions recorded by now are on disk.
    pub fn hold(&self) {
        BATCH.with_borrow_mut(|batch| {
            if let Some(batch) = batch {
                batch.is_held = true;
            }
        });
    }

    /// Appends what `work` records as one batch. The position covers it but for what is held back; `None` if there was
    /// nothing.
    pub fn batch<R>(&self, work: impl FnOnce() -> R) -> (R, Option<LogPosition>) {
        let Some(log) = &self.log else { return (work(), None) };
        let (result, Batch { records, held, .. }) = gather(work);
        let position = (!records.is_empty()).then(|| self.append(log, &records, false));
        if !held.is_empty() {
            let _nobody_waits = self.append_held(log, held, false, |_| ());
        }
        (result, position)
    }

    /// As [`Self::batch`], and after a crash all of it holds or none. Inside a batch it is appended on its own, before
    /// the rest of the batch. `then` is told where it ends: before this returns, or, if it is held back, before the
    /// definitions are durable up to the position that is returned.
    pub fn atomically<R>(
        &self,
        work: impl FnOnce() -> R,
        then: impl FnOnce(LogPosition) + Send + 'static,
    ) -> (R, Option<Position>) {
        let Some(log) = &self.log else { return (work(), None) };
        let (result, Batch { mut records, mut held, is_held }) = gather(work);
        let is_held = is_held || !held.is_empty();
        records.append(&mut held);
        if records.is_empty() {
            return (result, None);
        }
        if is_held {
            return (result, self.append_held(log, records, true, then));
        }
        then(self.append(log, &records, true));
        (result, None)
    }

    fn append(&self, log: &Arc<dyn MessageLog>, records: &[Record], atomic: bool) -> LogPosition {
        let position = log.append(records, atomic, self.durability());
        self.last.fetch_max(position.0, Ordering::Relaxed);
        position
    }

    /// Appends once the definitions are on disk, and calls `then`: before they are durable up to the position that is
    /// returned.
    fn append_held(
        &self,
        log: &Arc<dyn MessageLog>,
        records: Vec<Record>,
        atomic: bool,
        then: impl FnOnce(LogPosition) + Send + 'static,
    ) -> Option<Position> {
        let Some(definitions) = self.definitions.upgrade() else {
            then(self.append(log, &records, atomic));
            return None;
        };
        let (log, last, durability) = (Arc::clone(log), Arc::clone(&self.last), self.durability());
        Some(definitions.then(move || {
            let position = log.append(&records, atomic, durability);
            last.fetch_max(position.0, Ordering::Relaxed);
            then(position);
        }))
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

    /// What the store has done; `None` without a log.
    pub fn figures(&self) -> Option<LogFigures> {
        self.log.as_ref()?.figures()
    }

    /// Octets that the log's disk has left; `None` without a log.
    ///
    /// # Errors
    /// The disk did not say.
    pub fn disk_free(&self) -> io::Result<Option<u64>> {
        self.log.as_ref().map(|log| log.disk_free()).transpose()
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

/// Adds a record to this thread's batch; returned if there is none.
fn in_batch(record: Record, part: fn(&mut Batch) -> &mut Vec<Record>) -> Option<Record> {
    BATCH.with_borrow_mut(|batch| match batch {
        Some(batch) => {
            part(batch).push(record);
            None
        }
        None => Some(record),
    })
}

/// What `work` records.
fn gather<R>(work: impl FnOnce() -> R) -> (R, Batch) {
    let outer = Outer(BATCH.replace(Some(Batch::default())));
    let result = work();
    let batch = BATCH.take().unwrap_or_default();
    drop(outer);
    (result, batch)
}

/// The batch that was under way before, put back whatever happens to the inner one.
struct Outer(Option<Batch>);

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

        fn disk_free(&self) -> io::Result<u64> {
            Ok(u64::MAX)
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
        Record::Gone(
            EntityId::new(1),
            vec![Departed { level: Lane::default(), first: Seq::new(1), last: Seq::new(1) }],
        )
    }

    #[test]
    fn a_batch_is_one_append_and_a_transaction_in_it_another_one_before() {
        let (log, journal) = journal();
        let ((), position) = journal.batch(|| {
            journal.record(gone());
            let told = Arc::new(AtomicU64::new(0));
            let tell = Arc::clone(&told);
            let transaction = || {
                journal.record(gone());
                journal.record(gone());
            };
            let ((), held) = journal.atomically(transaction, move |at| tell.store(at.0, Ordering::Relaxed));
            assert_eq!((held, told.load(Ordering::Relaxed)), (None, 1));
            journal.record(gone());
        });
        assert_eq!(position, Some(LogPosition(2)));
        journal.record(gone());
        assert_eq!(*log.appends.lock(), [(2, true), (2, false), (1, false)]);
    }

    #[tokio::test]
    async fn what_is_held_follows_the_rest_of_its_batch_and_holds_a_transaction_whole() {
        let dir = tempfile::TempDir::new().unwrap();
        let definitions = Arc::new(Definitions::create(dir.path()).unwrap().0);
        let (log, journal) = journal();
        let journal = journal.behind(&definitions);
        let (_, position) = journal.batch(|| {
            journal.record_held(gone());
            journal.record(gone());
            journal.record(gone());
        });
        assert_eq!(position, Some(LogPosition(1)));
        definitions.flush().await;
        assert_eq!(*log.appends.lock(), [(2, false), (1, false)]);
        let told = Arc::new(AtomicU64::new(0));
        let tell = Arc::clone(&told);
        let ((), held) = journal.atomically(
            || {
                journal.record(gone());
                journal.hold();
                journal.record(gone());
            },
            move |at| tell.store(at.0, Ordering::Relaxed),
        );
        definitions.durable(held.unwrap()).await;
        assert_eq!((told.load(Ordering::Relaxed), log.appends.lock().last().copied()), (3, Some((2, true))));
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
