//! The store as its callers see it.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use super::codec::len32;
use super::env::{Env, OpenMode};
use super::error::{Doing, StoreError};
use super::home::{Home, Lock};
use super::id::{LogPosition, QueueId, Seq};
use super::log::block::CLOSED;
use super::log::buffer::{Group, GroupBuffer};
use super::log::roster;
use super::log::scan::Damage;
use super::log::writer::LogWriter;
use super::names::Names;
use super::observer::Observer;
use super::options::{Driver, Durability, Options};
use super::read::StoredMessage;
use super::record::Record;
use super::recovery::{Load, Loaded};
use super::shared::{Committer, Counters, Observers, Shared};
use super::threads;
use crate::metrics::DurationTally;

/// How long a caller that waits for a commit sleeps before it looks again.
const DURABLE_WAIT: Duration = Duration::from_micros(50);

/// An open store; it has the directory for itself.
///
/// Dropping it writes what was appended and ends the threads.
#[derive(Debug)]
pub struct Store {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
    _lock: Lock,
}

/// What was in the directory. The messages themselves are read by [`Store::read`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Every queue of which anything is known, in no order.
    pub queues: Vec<RecoveredQueue>,
    /// Queues that are said to exist and that the log holds as deleted: what is appended of them is ignored, so that
    /// they need another id.
    pub deleted: Vec<QueueId>,
    /// Blocks of the log that were read.
    pub blocks: u64,
    /// The store was closed in order.
    pub is_closed: bool,
    /// What the log's end held that was not written as a whole, and so was never durable: it was dropped.
    pub torn: Option<StoreError>,
    /// Damage that cost nothing: what it held stands elsewhere. The files are kept aside.
    pub passed_over: Vec<StoreError>,
}

/// A queue that was in the directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecoveredQueue {
    /// The queue.
    pub id: QueueId,
    /// The seq to give out next: above every seq of any record.
    pub next_seq: Seq,
    /// Messages that are published and not settled.
    pub messages: u64,
    /// The first of them.
    pub first: Option<Seq>,
}

/// Figures since the store was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Octets of records appended.
    pub appended: u64,
    /// Octets written to the log, with headers and padding.
    pub log_written: u64,
    /// Octets written to segments, lengths of grown ones counted whole.
    pub segments_written: u64,
    /// Octets written to checkpoints.
    pub checkpoints_written: u64,
    /// Octets copied from old log files to the log's end; counted in `appended` too.
    pub carried: u64,
    /// Commits, each with one sync.
    pub commits: u64,
    /// Queues with anything stored.
    pub queues: u64,
    /// Live messages in all queues.
    pub messages: u64,
    /// Segments in all queues.
    pub segments: u64,
    /// Ids of deleted queues that are remembered, because the log may name them.
    pub deleted: u64,
}

/// Room left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    /// Octets of log files in use.
    pub log_used: u64,
    /// Octets that all log files may have.
    pub log_total: u64,
    /// Octets that the disk has left.
    pub disk_free: u64,
}

impl Store {
    /// Opens the store in `dir`, makes it if there is none, and recovers what was durable: [`Home::open`], then
    /// [`Home::store`].
    ///
    /// `known` says which queues exist: records of others are ignored and their messages removed.
    ///
    /// # Errors
    /// The directory is locked, holds something else, is of a newer release, or damaged; or the disk refuses. Nothing
    /// is changed in a damaged directory but that files are synced.
    pub fn open(
        env: Arc<dyn Env>,
        dir: &Path,
        options: Options,
        known: &dyn Fn(QueueId) -> bool,
    ) -> Result<(Self, Recovered), StoreError> {
        Home::open(env, dir)?.store(options, known)
    }

    /// Starts on a directory that was locked and identified.
    pub(super) fn start(
        env: Arc<dyn Env>,
        names: Names,
        store_id: u64,
        lock: Lock,
        options: Options,
        known: &dyn Fn(QueueId) -> bool,
    ) -> Result<(Self, Recovered), StoreError> {
        let options = options.limited();
        let known = |id: u64| known(QueueId(id));
        let load =
            Load { env: &*env, names: &names, known: &known, damage: Damage::Refuse, mode: OpenMode::Write };
        let mut loaded = load.load(store_id)?;
        load.put_aside(&loaded.damage)?;
        load.clean(&loaded.index)?;
        let options = options.fitting(loaded.slots.iter().map(|slot| slot.capacity).min());
        let writer = start_writer(&*env, &names, &options, &mut loaded)?;
        let recovered = loaded.recovered();
        let shared = Arc::new(Shared::new(env, names, options, loaded, writer));
        let threads = if options.driver == Driver::Threads { threads::start(&shared)? } else { Vec::new() };
        let store = Self { shared, threads, _lock: lock };
        // Until the first commit the log would else say that the last end was an orderly one.
        store.shared.mark(0)?;
        Ok((store, recovered))
    }

    /// Appends records in order, neighbours in the log, and says where they end. They are durable once
    /// [`Self::durable`] is at least that; nothing is written before this returns.
    ///
    /// # Errors
    /// `TooLarge` (nothing was appended) or `Failed`.
    pub fn append(&self, records: &[Record<'_>]) -> Result<LogPosition, StoreError> {
        self.append_as(records, self.shared.options.durability)
    }

    /// As [`Self::append`], errors included, for records that are durable in the sense of `durability`. If nothing that
    /// is written together asks for a sync there is none.
    pub fn append_as(
        &self,
        records: &[Record<'_>],
        durability: Durability,
    ) -> Result<LogPosition, StoreError> {
        self.shared.check()?;
        let max = self.shared.options.record_max();
        if let Some(len) = records.iter().map(Record::encoded_len).find(|len| *len > max) {
            return Err(StoreError::TooLarge { len, max });
        }
        let mut buffer = self.shared.buffer.lock();
        let was_empty = buffer.is_empty();
        for record in records {
            buffer.push(record.encoded_len(), |out| record.encode(out));
        }
        if durability == Durability::Fsync {
            buffer.ask_sync();
        }
        let position = LogPosition(buffer.position());
        drop(buffer);
        if was_empty && self.shared.options.driver == Driver::Threads {
            self.shared.appended.notify_one();
        }
        Ok(position)
    }

    /// How far the log is durable: each record in the sense in which it was appended.
    pub fn durable(&self) -> LogPosition {
        LogPosition(self.shared.durable.load(Ordering::Acquire))
    }

    /// How far the log has been appended to.
    pub fn appended(&self) -> LogPosition {
        LogPosition(self.shared.buffer.lock().position())
    }

    /// How far the operating system has the log. At least [`Self::durable`].
    pub fn written(&self) -> LogPosition {
        LogPosition(self.shared.written.load(Ordering::Acquire))
    }

    /// Waits until the log is durable up to `position`; with [`Driver::Caller`], commits.
    ///
    /// # Errors
    /// `Failed`: it will never be.
    pub fn wait_durable(&self, position: LogPosition) -> Result<(), StoreError> {
        while self.durable() < position {
            self.shared.check()?;
            if self.shared.options.driver == Driver::Caller {
                self.shared.commit()?;
            } else {
                std::thread::park_timeout(DURABLE_WAIT);
            }
        }
        Ok(())
    }

    /// As [`Self::wait_durable`], but not for room in the log: `false` if it has none. What was appended may become
    /// durable later.
    ///
    /// # Errors
    /// `Failed`: it will never be.
    pub fn wait_durable_unless_full(&self, position: LogPosition) -> Result<bool, StoreError> {
        while self.durable() < position {
            self.shared.check()?;
            if self.shared.is_stalled.load(Ordering::Acquire) {
                return Ok(false);
            }
            std::thread::park_timeout(DURABLE_WAIT);
        }
        Ok(true)
    }

    /// Has `observer` told of commits, of failure and of alarms, from now on.
    pub fn subscribe(&self, observer: Arc<dyn Observer>) {
        if let Some(error) = self.shared.failed.get() {
            observer.failed(error);
        }
        self.shared.observers.lock().0.push(observer);
    }

    /// Whether publishers are to wait: the buffer or the log is nearly full, or reclaiming fails. Acks and reads go on.
    pub fn is_tight(&self) -> bool {
        let shared = &self.shared;
        shared.is_tight.load(Ordering::Acquire)
            || shared.alarm.lock().is_some()
            || shared.buffer.lock().waiting() > shared.options.buffer_len
    }

    /// Why reclaiming fails, if it does.
    pub fn alarm(&self) -> Option<StoreError> {
        self.shared.alarm.lock().clone()
    }

    /// Ends the log in order: commits, and notes that this was the end; all of it is on disk then, however it was
    /// appended. What is appended after is kept as well, but the next start takes that for the time after a crash.
    ///
    /// # Errors
    /// The disk failed.
    pub fn close(&self) -> Result<(), StoreError> {
        self.shared.commit()?;
        if !self.shared.mark(CLOSED)? {
            // The log is full to the last page: one file less is needed after this.
            self.shared.maintain()?;
            self.shared.mark(CLOSED)?;
        }
        Ok(())
    }

    /// Appends to `out` the live messages of a queue from `from` on, in order, about `budget` octets of images and at
    /// least one message if there is one; none means that no more is durable.
    ///
    /// It sees every publish and every ack up to [`Self::durable`] and none after it: a caller that drops an image
    /// from memory once it is durable can get it back here.
    ///
    /// # Errors
    /// `Corrupt`: octets on disk have changed; nothing was appended to `out`.
    pub fn read(
        &self,
        queue: QueueId,
        from: Seq,
        budget: usize,
        out: &mut Vec<StoredMessage>,
    ) -> Result<(), StoreError> {
        self.shared.read(queue, from, budget, out)
    }

    /// The live messages of a queue from `first` to `last`, both included, as ascending runs: those that
    /// [`Self::read`] gives. In the sense of [`Self::durable`].
    pub fn live(&self, queue: QueueId, first: Seq, last: Seq) -> Vec<(u64, u64)> {
        let index = self.shared.index.lock();
        index.queues.get(&queue.0).map(|state| state.live.runs(first.0, last.0)).unwrap_or_default()
    }

    /// Writes what was appended and makes it durable; whether there was anything. For [`Driver::Caller`].
    ///
    /// # Errors
    /// The disk failed: the store accepts nothing more.
    pub fn commit(&self) -> Result<bool, StoreError> {
        self.shared.commit()
    }

    /// Commits, vouches for the commit, then reclaims log files and segments if any are due; whether any were. For
    /// [`Driver::Caller`].
    ///
    /// # Errors
    /// The disk refused. Nothing is lost; the store has an alarm until the next call succeeds.
    pub fn maintain(&self) -> Result<bool, StoreError> {
        self.shared.commit()?;
        self.shared.attest()?;
        self.shared.maintain()
    }

    /// Writes a checkpoint now, so that the next start has less to replay.
    ///
    /// # Errors
    /// The disk refused; nothing is lost.
    pub fn checkpoint(&self) -> Result<(), StoreError> {
        let _guard = self.shared.reclaim.lock();
        self.shared.checkpoint()
    }

    /// Figures since the store was opened.
    pub fn stats(&self) -> Stats {
        let counters = &self.shared.counters;
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let appended = self.shared.buffer.lock().position();
        let index = self.shared.index.lock();
        Stats {
            appended,
            log_written: read(&counters.log_written),
            segments_written: read(&counters.segments_written),
            checkpoints_written: read(&counters.checkpoints_written),
            carried: read(&counters.carried),
            commits: read(&counters.commits),
            queues: index.queues.len() as u64,
            messages: index.queues.values().map(|state| state.live.len()).sum(),
            segments: index.queues.values().map(|state| state.segments.len() as u64).sum(),
            deleted: index.deleted.len(),
        }
    }

    /// How long the disk took for each commit that waited for it.
    pub fn syncs(&self) -> DurationTally {
        self.shared.counters.syncs.load()
    }

    /// Room left in the log and on the disk.
    ///
    /// # Errors
    /// The disk did not say.
    pub fn space(&self) -> Result<Space, StoreError> {
        let root = self.shared.names.root();
        let disk_free = self.shared.env.free_bytes(root).doing("measure the space of", root)?;
        let options = &self.shared.options;
        let used = self.shared.index.lock().order.len() as u64;
        let log_total = u64::from(options.log_files) * options.log_file_len;
        Ok(Space { log_used: used * options.log_file_len, log_total, disk_free })
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.shared.is_closing.store(true, Ordering::Release);
        {
            // With the lock held, so that no thread is between its look at the flag and its wait.
            let _buffer = self.shared.buffer.lock();
            self.shared.appended.notify_all();
        }
        self.shared.slot_freed.notify_all();
        self.shared.want_reclaim();
        for thread in self.threads.drain(..) {
            // An observer may hold the last handle to the store and drop it in a thread of the store's own.
            if thread.thread().id() != std::thread::current().id() {
                let _ = thread.join();
            }
        }
    }
}

/// The end of the log, in a new file if there is none.
pub(super) fn start_writer(
    env: &dyn Env,
    names: &Names,
    options: &Options,
    loaded: &mut Loaded,
) -> Result<LogWriter, StoreError> {
    if loaded.slots.is_empty() {
        loaded.slots.push(Arc::new(roster::add(env, names, 0, options.log_file_len, loaded.store_id)?));
    } else if loaded.is_roster_short() {
        roster::write(env, names, len32(loaded.slots.len()), loaded.store_id)?;
    }
    let (slot, offset) = loaded.settle().ok_or_else(|| {
        StoreError::io("find a log file in", &names.logs(), &std::io::ErrorKind::NotFound.into())
    })?;
    Ok(LogWriter {
        slot,
        offset,
        next_lsn: loaded.scanned.next_lsn,
        prev: loaded.scanned.prev,
        epoch: loaded.epoch,
        store: loaded.store_id,
        synced: loaded.scanned.next_lsn - 1,
        is_attested: true,
    })
}

impl Loaded {
    fn recovered(&self) -> Recovered {
        let queue = |(&id, state): (&u64, &super::index::QueueState)| RecoveredQueue {
            id: QueueId(id),
            next_seq: Seq(state.next_seq),
            messages: state.live.len(),
            first: state.live.first_from(0).map(Seq),
        };
        let queues = self.index.queues.iter().map(queue).collect();
        let first = self.scanned.files.first().map_or(self.scanned.next_lsn, |file| file.first_lsn);
        Recovered {
            queues,
            deleted: self.deleted.iter().copied().map(QueueId).collect(),
            blocks: self.scanned.next_lsn - first,
            is_closed: self.scanned.is_closed,
            torn: self.scanned.torn.clone(),
            passed_over: self.damage.clone(),
        }
    }
}

impl Shared {
    pub(super) fn new(
        env: Arc<dyn Env>,
        names: Names,
        options: Options,
        loaded: Loaded,
        writer: LogWriter,
    ) -> Self {
        Self {
            env,
            names,
            options,
            store_id: loaded.store_id,
            epoch: loaded.epoch,
            buffer: Mutex::new(GroupBuffer::new(options.payload_max())),
            appended: Condvar::new(),
            committer: Mutex::new(Committer { writer, spare: Group::default() }),
            index: Mutex::new(loaded.index),
            slot_freed: Condvar::new(),
            durable: AtomicU64::new(0),
            written: AtomicU64::new(0),
            is_unsynced: AtomicBool::new(false),
            files_max: AtomicU32::new(options.log_files),
            is_tight: AtomicBool::new(false),
            is_stalled: AtomicBool::new(false),
            is_closing: AtomicBool::new(false),
            failed: OnceLock::new(),
            alarm: Mutex::new(None),
            observers: Mutex::new(Observers::default()),
            reclaim: Mutex::new(()),
            wanted: Mutex::new(true),
            wake_keeper: Condvar::new(),
            counters: Counters::default(),
        }
    }
}
