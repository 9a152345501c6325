//! What the store's threads and its callers share, and the commit.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use super::LogPosition;
use super::env::Env;
use super::error::StoreError;
use super::index::{Effect, Index, SlotState};
use super::log::assemble::{Assembler, BlockAt};
use super::log::block::{BLOCK_HEAD, FILE_HEAD};
use super::log::buffer::{Group, GroupBuffer};
use super::log::slot::Slot;
use super::log::writer::{LogWriter, Written};
use super::names::Names;
use super::observer::Observer;
use super::options::{Driver, Durability, Options};
use crate::metrics::SharedDurations;

/// How long a commit waits for a free log file before it looks again.
const STALL_WAIT: Duration = Duration::from_millis(50);

/// How often a commit without a thread of its own looks for a log file before it gives up.
const CALLER_TRIES: u64 = 32;

/// The store's inside.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) env: Arc<dyn Env>,
    pub(super) names: Names,
    pub(super) options: Options,
    pub(super) store_id: u64,
    pub(super) epoch: u32,
    pub(super) buffer: Mutex<GroupBuffer>,
    /// Signalled with `buffer`: something waits, or the store closes.
    pub(super) appended: Condvar,
    pub(super) committer: Mutex<Committer>,
    pub(super) index: Mutex<Index>,
    /// Signalled with `index`: a log file is free, or the store closes.
    pub(super) slot_freed: Condvar,
    pub(super) durable: AtomicU64,
    /// The operating system has the log up to here.
    pub(super) written: AtomicU64,
    /// Something was written to the log's last file since it was synced.
    pub(super) is_unsynced: AtomicBool,
    /// Most log files that there can be, as far as is known.
    pub(super) files_max: AtomicU32,
    /// Publishers are to wait: too much log is in use.
    pub(super) is_tight: AtomicBool,
    /// A commit waits for a free log file.
    pub(super) is_stalled: AtomicBool,
    pub(super) is_closing: AtomicBool,
    pub(super) failed: OnceLock<StoreError>,
    pub(super) alarm: Mutex<Option<StoreError>>,
    pub(super) observers: Mutex<Observers>,
    /// Held while reclaiming; the flag asks for it.
    pub(super) reclaim: Mutex<()>,
    pub(super) wanted: Mutex<bool>,
    pub(super) wake_keeper: Condvar,
    pub(super) counters: Counters,
}

/// The writer and the memory that goes round.
#[derive(Debug)]
pub(super) struct Committer {
    pub(super) writer: LogWriter,
    pub(super) spare: Group,
}

/// Who is told of commits.
#[derive(Clone, Default)]
pub(super) struct Observers(pub(super) Vec<Arc<dyn Observer>>);

impl std::fmt::Debug for Observers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} observers", self.0.len())
    }
}

/// Figures, in octets or times.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) log_written: AtomicU64,
    pub(super) segments_written: AtomicU64,
    pub(super) checkpoints_written: AtomicU64,
    pub(super) carried: AtomicU64,
    pub(super) commits: AtomicU64,
    /// How long the disk took to make commits durable.
    pub(super) syncs: SharedDurations,
}

impl Shared {
    /// Writes what waits, makes it durable, moves the watermark. Whether there was anything.
    pub(super) fn commit(&self) -> Result<bool, StoreError> {
        self.check()?;
        let mut committer = self.committer.lock();
        let spare = std::mem::take(&mut committer.spare);
        let mut group = self.buffer.lock().take(spare);
        let batches = group.batches(self.options.batch_len());
        let was_empty = batches.is_empty();
        for range in batches {
            let done = self.commit_batch(&mut committer.writer, &mut group, range);
            done.map_err(|error| self.end(error))?;
        }
        committer.spare = group;
        Ok(!was_empty)
    }

    fn commit_batch(
        &self,
        writer: &mut LogWriter,
        group: &mut Group,
        range: std::ops::Range<usize>,
    ) -> Result<(), StoreError> {
        let before = self.written_at(writer);
        let written = writer.write(group, range.clone(), &mut |writer| self.next_slot(writer))?;
        self.is_unsynced.store(true, Ordering::Release);
        if let Some(last) = group.drafts.get(range.end - 1) {
            self.written.store(last.position, Ordering::Release);
            self.tell(|observer| observer.written(LogPosition(last.position)));
        }
        if group.sync {
            let before = self.env.elapsed();
            writer.sync()?;
            self.counters.syncs.count(self.env.elapsed().saturating_sub(before));
            self.is_unsynced.store(false, Ordering::Release);
        }
        let octets: u64 =
            group.drafts.get(range.clone()).unwrap_or_default().iter().map(|d| d.page_len()).sum();
        self.counters.log_written.fetch_add(octets, Ordering::Relaxed);
        self.counters.commits.fetch_add(1, Ordering::Relaxed);
        self.apply(group, range.clone(), &written)?;
        if before != self.written_at(writer) {
            self.want_reclaim();
        }
        if let Some(last) = group.drafts.get(range.end - 1) {
            self.durable.store(last.position, Ordering::Release);
            self.tell(|observer| observer.durable(LogPosition(last.position)));
        }
        Ok(())
    }

    /// Writes an empty block with these flags, after all that was committed; false if there is no room for one, and
    /// nothing is worse than before.
    pub(super) fn mark(&self, flags: u16) -> Result<bool, StoreError> {
        self.mark_with(&mut self.committer.lock().writer, flags)
    }

    /// Has the last commit vouched for, unless that is done, or a commit is under way.
    pub(super) fn attest(&self) -> Result<(), StoreError> {
        if self.options.durability == Durability::Os {
            // Nobody asked for a sync.
            return Ok(());
        }
        let Some(mut committer) = self.committer.try_lock() else { return Ok(()) };
        let is_needed = !committer.writer.is_attested && committer.writer.has_room();
        if is_needed { self.mark_with(&mut committer.writer, 0).map(|_| ()) } else { Ok(()) }
    }

    fn mark_with(&self, writer: &mut LogWriter, flags: u16) -> Result<bool, StoreError> {
        self.check()?;
        if !writer.has_room() {
            let Some(slot) = self.ready_slot(writer.next_lsn) else { return Ok(false) };
            writer.move_to(slot).map_err(|error| self.fail(error))?;
        }
        let written = writer.mark(flags).map_err(|error| self.fail(error))?;
        self.is_unsynced.store(false, Ordering::Release);
        let mut index = self.index.lock();
        index.applied = written.header.lsn;
        if let Some(state) = index.slots.get_mut(&written.slot) {
            state.end = writer.offset;
        }
        Ok(true)
    }

    /// A log file to go on in that need not be waited for.
    fn ready_slot(&self, first_lsn: u64) -> Option<Arc<Slot>> {
        let free = self.index.lock().free.pop();
        let number = free.or_else(|| self.make_slot())?;
        self.use_slot(number, first_lsn)
    }

    fn written_at(&self, writer: &LogWriter) -> u32 {
        writer.slot.number
    }

    /// Takes what is durable now into the index.
    fn apply(
        &self,
        group: &Group,
        range: std::ops::Range<usize>,
        written: &[Written],
    ) -> Result<(), StoreError> {
        let mut index = self.index.lock();
        let index = &mut *index;
        let mut assembler = Assembler::default();
        let path = PathBuf::new();
        let drafts = group.drafts.get(range).unwrap_or_default();
        for (draft, at) in drafts.iter().zip(written) {
            let payload = group.data.get(draft.start + BLOCK_HEAD..draft.end).unwrap_or_default();
            let block =
                BlockAt { header: at.header, slot: at.slot, offset: at.offset, payload, is_sound: true };
            let mut damage = Ok(());
            assembler.feed(block, &path, &mut |record, place| {
                let each = &mut |item| index.apply(item, place, at.header.lsn, Effect::Apply, &|_| true);
                damage = damage.and_then(|()| record.each(each));
            })?;
            damage.map_err(|_| StoreError::corrupt(&path, at.offset, "a transaction was encoded wrongly"))?;
            index.applied = at.header.lsn;
            if let Some(state) = index.slots.get_mut(&at.slot) {
                state.end = at.offset + draft.page_len();
            }
        }
        if !index.garbage.is_empty() {
            self.want_reclaim();
        }
        Ok(())
    }

    /// A log file to go on in: a free one, a new one, or the first to become free.
    fn next_slot(&self, writer: &LogWriter) -> Result<Arc<Slot>, StoreError> {
        for tries in 0.. {
            let free = self.index.lock().free.pop();
            let slot = match free {
                Some(number) => Some(number),
                None => self.make_slot(),
            };
            if let Some(slot) = slot.and_then(|number| self.use_slot(number, writer.next_lsn)) {
                self.is_stalled.store(false, Ordering::Release);
                return Ok(slot);
            }
            self.wait_for_slot(tries)?;
        }
        Err(self.no_slot())
    }

    fn use_slot(&self, number: u32, first_lsn: u64) -> Option<Arc<Slot>> {
        let mut index = self.index.lock();
        index.free.retain(|&free| free != number);
        index.order.push_back(number);
        let state = index.slots.get_mut(&number)?;
        state.first_lsn = first_lsn;
        state.end = FILE_HEAD;
        let slot = Arc::clone(&state.slot);
        self.is_tight.store(self.is_crowded(&index), Ordering::Release);
        Some(slot)
    }

    fn wait_for_slot(&self, tries: u64) -> Result<(), StoreError> {
        self.is_stalled.store(true, Ordering::Release);
        if self.options.driver == Driver::Caller {
            if self.reclaim.is_locked() {
                // It is the reclaiming that commits, and this is more than the file that it had seen.
                return Err(self.no_slot());
            }
            // Nobody else can free one; if this does not time and again, the error is the caller's.
            let worked = self.maintain();
            return if tries < CALLER_TRIES || worked? { Ok(()) } else { Err(self.no_slot()) };
        }
        if self.is_closing.load(Ordering::Acquire) {
            return Err(self.no_slot());
        }
        self.want_reclaim();
        let mut index = self.index.lock();
        if index.free.is_empty() {
            self.slot_freed.wait_for(&mut index, STALL_WAIT);
        }
        Ok(())
    }

    fn no_slot(&self) -> StoreError {
        let full = std::io::ErrorKind::StorageFull.into();
        let alarm = self.alarm.lock().clone();
        alarm.unwrap_or_else(|| StoreError::io("find a free file in", &self.names.logs(), &full))
    }

    /// An error if the log has failed.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        match self.failed.get() {
            Some(error) => Err(StoreError::Failed(Box::new(error.clone()))),
            None => Ok(()),
        }
    }

    /// The commit cannot be done: the log has failed, unless it was to end and only had no room left.
    fn end(&self, error: StoreError) -> StoreError {
        let waited = self.is_closing.load(Ordering::Acquire) && self.is_stalled.load(Ordering::Acquire);
        if waited { error } else { self.fail(error) }
    }

    /// The log's end is unknown from here on: nothing is accepted any more, and everyone is told once.
    pub(super) fn fail(&self, error: StoreError) -> StoreError {
        if self.failed.set(error.clone()).is_ok() {
            self.tell(|observer| observer.failed(&error));
        }
        error
    }

    /// Sets or clears the alarm; those who observe learn of changes.
    pub(super) fn raise(&self, error: Option<StoreError>) {
        let changed = {
            let mut alarm = self.alarm.lock();
            let changed = alarm.is_some() != error.is_some();
            alarm.clone_from(&error);
            changed
        };
        if changed {
            self.tell(|observer| observer.alarm(error.as_ref()));
        }
    }

    fn tell(&self, what: impl Fn(&dyn Observer)) {
        let observers = self.observers.lock().clone();
        observers.0.iter().for_each(|observer| what(&**observer));
    }

    /// Asks the keeper to look for something to reclaim.
    pub(super) fn want_reclaim(&self) {
        *self.wanted.lock() = true;
        self.wake_keeper.notify_one();
    }
}

impl Index {
    /// Takes a log file in that holds nothing yet.
    pub(super) fn add_slot(&mut self, slot: Arc<Slot>) {
        let number = slot.number;
        self.slots.insert(number, SlotState::empty(slot));
    }
}
