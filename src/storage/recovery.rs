//! Opening a directory: what was durable comes back, what was being written is dropped, damage is refused.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;

use super::checkpoint::{self, Checkpoint};
use super::claimed::Claimed;
use super::deleted::Deleted;
use super::env::{Env, OpenMode};
use super::error::{Doing, StoreError};
use super::index::{Effect, Index, QueueState, SlotState};
use super::log::assemble::{Assembler, BlockAt, Place};
use super::log::roster;
use super::log::scan::{Damage, Files, Scanned, scan};
use super::log::slot::Slot;
use super::names::{Names, REPAIRED, REPAIRING, damaged};
use super::record::{Claim, View};
use super::salvage;
use super::segment::SegmentReader;
use super::seq_set::SeqSet;

/// What a directory holds.
#[derive(Debug)]
pub(super) struct Loaded {
    pub(super) store_id: u64,
    pub(super) index: Index,
    /// Queues that exist, and that the log holds as deleted.
    pub(super) deleted: Vec<u64>,
    pub(super) scanned: Scanned,
    pub(super) slots: Vec<Arc<Slot>>,
    /// The first block that was read.
    pub(super) log_start: u64,
    pub(super) epoch: u32,
    /// Log files that are entered in the roster.
    pub(super) entered: u32,
    /// Damage that was passed over.
    pub(super) damage: Vec<StoreError>,
    /// Messages that damaged records seem to hold, and whether they count as live though nothing else tells of them.
    pub(super) claimed: Claimed,
}

/// How to load.
#[derive(Clone, Copy)]
pub(super) struct Load<'a> {
    pub(super) env: &'a dyn Env,
    pub(super) names: &'a Names,
    /// Queues that exist.
    pub(super) known: &'a dyn Fn(u64) -> bool,
    pub(super) damage: Damage,
    /// Whether files may be synced, and left-overs removed.
    pub(super) mode: OpenMode,
}

/// The log files of a directory.
struct LogFiles {
    slots: Vec<Arc<Slot>>,
    /// How many are entered in the roster.
    entered: u32,
    /// Those that are not there and must be.
    absent: Vec<PathBuf>,
}

impl Load<'_> {
    /// Loads a directory that has been identified and locked.
    pub(super) fn load(&self, store_id: u64) -> Result<Loaded, StoreError> {
        let mut first: Option<StoreError> = None;
        let mut damage = Vec::new();
        let lsns = match checkpoint::list(self.env, self.names) {
            Ok(lsns) => lsns,
            Err(error) => self.tolerate(error, &mut damage).map(|()| Vec::new())?,
        };
        let newest = lsns.first().copied().unwrap_or(0);
        for (at, lsn) in lsns.iter().copied().map(Some).chain([None]).enumerate() {
            let read = match lsn {
                Some(lsn) => checkpoint::read(self.env, self.names, lsn, store_id),
                None => Ok(Checkpoint { log_start: 1, ..Checkpoint::default() }),
            };
            let error = match read.and_then(|checkpoint| self.load_from(store_id, checkpoint, newest)) {
                Ok(mut loaded) => {
                    damage.append(&mut loaded.damage);
                    self.verify_older(lsns.get(at + 1..).unwrap_or_default(), store_id, &mut damage)?;
                    return Ok(Loaded { damage, ..loaded });
                }
                Err(error) => error,
            };
            // An older one serves as long as the log reaches back to it; if it does not, what is wrong is the newer.
            if !error.is_corrupt() || first.is_none() && !error.names(&self.names.checkpoints()) {
                return Err(error);
            }
            damage.push(error.clone());
            first.get_or_insert(error);
        }
        let nothing = "there is no state to begin with";
        Err(first.unwrap_or_else(|| StoreError::corrupt(&self.names.checkpoints(), 0, nothing)))
    }

    /// Reads the checkpoints that are there for a repair. Their damage costs nothing, and a start does not look.
    fn verify_older(
        &self,
        lsns: &[u64],
        store_id: u64,
        damage: &mut Vec<StoreError>,
    ) -> Result<(), StoreError> {
        let read = lsns.iter().filter(|_| self.damage == Damage::Skip);
        for error in read.filter_map(|lsn| checkpoint::read(self.env, self.names, *lsn, store_id).err()) {
            self.tolerate(error, damage)?;
        }
        Ok(())
    }

    /// Loads from a checkpoint; the log must reach block `newest`.
    fn load_from(&self, store_id: u64, checkpoint: Checkpoint, newest: u64) -> Result<Loaded, StoreError> {
        let mut damage = Vec::new();
        let LogFiles { slots, entered, absent } = self.log_files(store_id, &mut damage)?;
        let files = Files { slots: &slots, absent: &absent };
        let mut index = Self::index_of(&checkpoint);
        let last = checkpoint.lsn;
        let start = checkpoint.log_start.max(1);
        index.deleted = Deleted::of(checkpoint.deleted);
        self.take_queues(&mut index, checkpoint.queues);
        if self.damage == Damage::Skip && last < newest {
            salvage::adopt(self, &mut index, store_id)?;
        }
        let mut claimed = Claimed::default();
        let mut scanned = self.replay(&mut index, files, store_id, (start, last), &mut claimed)?;
        claimed.judge(&index, last, self.known);
        damage.append(&mut scanned.damage);
        if scanned.next_lsn <= newest {
            let what = format!("the log ends before block {newest}, which the checkpoint relies on");
            let error = match (absent.first(), scanned.files.last()) {
                (Some(path), _) => StoreError::Missing { path: path.clone(), what },
                (None, Some(last)) => StoreError::corrupt(&last.slot.path, last.end, what),
                (None, None) => StoreError::corrupt(&self.names.logs(), 0, what),
            };
            self.tolerate(error, &mut damage)?;
            scanned.next_lsn = newest + 1;
        }
        index.applied = scanned.next_lsn - 1;
        let deleted = self.deleted_and_known(&std::mem::take(&mut index.deleted).all());
        for state in index.queues.values_mut() {
            // Nothing is under way any more: whatever was acked early never came.
            state.early = SeqSet::default();
        }
        let epoch = checkpoint.epoch.max(scanned.epoch) + 1;
        self.check_segments(&mut index, store_id, &mut damage)?;
        Ok(Loaded {
            store_id,
            index,
            deleted,
            scanned,
            slots,
            log_start: start,
            epoch,
            entered,
            damage,
            claimed,
        })
    }

    /// Queues that exist though the log says that they are gone.
    fn deleted_and_known(&self, deleted: &SeqSet) -> Vec<u64> {
        let runs = deleted.runs(0, u64::MAX);
        runs.into_iter().flat_map(|(first, last)| first..=last).filter(|&id| (self.known)(id)).collect()
    }

    fn tolerate(&self, error: StoreError, damage: &mut Vec<StoreError>) -> Result<(), StoreError> {
        if self.damage == Damage::Refuse || !error.is_corrupt() {
            return Err(error);
        }
        damage.push(error);
        Ok(())
    }

    /// The log files. All that are entered in the roster must be there.
    fn log_files(&self, store_id: u64, damage: &mut Vec<StoreError>) -> Result<LogFiles, StoreError> {
        let dir = self.names.logs();
        let mut slots: Vec<Arc<Slot>> = Vec::new();
        let entered = match roster::read(self.env, self.names, store_id) {
            Ok(entered) => entered,
            Err(error) => self.tolerate(error, damage).map(|()| 0)?,
        };
        let names = match checkpoint::list_folder(self.env, &dir) {
            Ok(names) => names,
            Err(error) => self.tolerate(error, damage).map(|()| Vec::new())?,
        };
        let mut expected = entered;
        for name in names {
            let Some(number) = Names::parse_log(&name) else { continue };
            match Slot::open(self.env, self.names, number, store_id, self.mode) {
                Ok(slot) => {
                    // They are numbered without a gap, also where the roster is lost.
                    expected = expected.max(number.saturating_add(1));
                    slots.push(Arc::new(slot));
                }
                Err(error) => {
                    self.tolerate(error, damage)?;
                    slots.push(Arc::new(Slot::open_damaged(self.env, self.names, number)?));
                }
            }
        }
        let has = |number: &u32| slots.iter().any(|slot| slot.number == *number);
        let absent: Vec<PathBuf> =
            (0..expected).filter(|number| !has(number)).map(|number| self.names.log(number)).collect();
        for path in absent.iter().cloned() {
            let what = format!("there must be {expected} log files");
            self.tolerate(StoreError::Missing { path, what }, damage)?;
        }
        if self.mode == OpenMode::Write {
            // What a killed process left in the page cache would else be trusted before it is on disk.
            for slot in &slots {
                slot.file.sync().doing("sync", &slot.path)?;
            }
            self.env.sync_dir(&dir).doing("sync", &dir)?;
        }
        Ok(LogFiles { slots, entered, absent })
    }

    fn index_of(checkpoint: &Checkpoint) -> Index {
        Index { next_segment: checkpoint.next_segment, applied: checkpoint.lsn, ..Index::default() }
    }

    fn take_queues(&self, index: &mut Index, queues: Vec<(u64, QueueState)>) {
        for (id, state) in queues {
            if (self.known)(id) {
                index.queues.insert(id, state);
            }
        }
    }

    /// Takes the log into the index; `lsns` are the first block to read and the last that the checkpoint knows.
    fn replay(
        &self,
        index: &mut Index,
        files: Files<'_>,
        store_id: u64,
        (start, last): (u64, u64),
        claimed: &mut Claimed,
    ) -> Result<Scanned, StoreError> {
        let mut assembler = Assembler::default();
        let mut dropped = Vec::new();
        let mut scanned = scan(files, store_id, start, self.damage, &mut |slot, block| {
            let lsn = block.header.lsn;
            let effect = if lsn <= last { Effect::Locate } else { Effect::Apply };
            let mut lost = Vec::new();
            let each = &mut |item: View<'_>, place: &Place| {
                index.apply(item, place, lsn, effect, self.known);
            };
            let fed = feed(&mut assembler, slot, block, each, &mut lost);
            claimed.add(lsn, lost);
            fed.or_else(|error| self.tolerate(error, &mut dropped))
        })?;
        scanned.damage.append(&mut dropped);
        Ok(scanned)
    }

    /// Every segment that holds a live message must be there in full length; its octets are verified when read.
    fn check_segments(
        &self,
        index: &mut Index,
        store_id: u64,
        damage: &mut Vec<StoreError>,
    ) -> Result<(), StoreError> {
        for (&queue, state) in &mut index.queues {
            let live = &state.live;
            state.segments.retain(|segment| live.any(segment.min, segment.max));
            // Who passes over damage looks at each block of them.
            let checked = if self.damage == Damage::Refuse { state.segments.as_slice() } else { &[] };
            for segment in checked {
                let checked = SegmentReader::open(self.env, self.names, store_id, queue, segment.number)
                    .and_then(|reader| reader.check_len(segment.len));
                if let Err(error) = checked {
                    self.tolerate(error, damage)?;
                }
            }
        }
        Ok(())
    }

    /// Puts damaged checkpoints aside, so that they do not count among the newest two.
    pub(super) fn put_aside(&self, damage: &[StoreError]) -> Result<(), StoreError> {
        let dir = self.names.checkpoints();
        for lsn in checkpoint::list(self.env, self.names)? {
            let path = self.names.checkpoint(lsn);
            if damage.iter().any(|error| error.names(&path)) {
                self.env.rename(&path, &damaged(&path)).doing("rename", &path)?;
                self.env.sync_dir(&dir).doing("sync", &dir)?;
            }
        }
        Ok(())
    }

    /// Removes files that nothing refers to: what was being written, and what was dead.
    pub(super) fn clean(&self, index: &Index) -> Result<(), StoreError> {
        let (env, names) = (self.env, self.names);
        checkpoint::remove_unfinished(env, names.root(), Names::is_version_draft)?;
        checkpoint::remove_unfinished(env, &names.logs(), Names::is_log_draft)?;
        checkpoint::remove_unfinished(env, &names.checkpoints(), Names::is_checkpoint_draft)?;
        let listed = env.list(names.root()).doing("list", names.root())?;
        // A repair was stopped before it changed anything: what it made of the store is not true any more.
        for folder in [REPAIRED, REPAIRING].iter().filter(|folder| listed.iter().any(|name| name == *folder))
        {
            let dir = names.root().join(folder);
            env.remove_dir(&dir).doing("remove", &dir)?;
        }
        let dir = self.names.segments();
        let live = |(&queue, state): (&u64, &QueueState)| {
            state.segments.iter().map(move |segment| (queue, segment.number)).collect::<Vec<_>>()
        };
        let live: HashSet<(u64, u64)> = index.queues.iter().flat_map(live).collect();
        for name in self.env.list(&dir).doing("list", &dir)? {
            if Names::parse_segment(&name).is_some_and(|segment| !live.contains(&segment)) {
                let path = dir.join(&name);
                self.env.remove(&path).doing("remove", &path)?;
            }
        }
        Ok(())
    }
}

impl Loaded {
    /// Whether there is a log file that was made and not entered before the machine stopped.
    pub(super) fn is_roster_short(&self) -> bool {
        self.slots.len() > self.entered as usize
    }

    /// Enters the log files into the index; the first free one if none is in use. The file to go on in, and where.
    pub(super) fn settle(&mut self) -> Option<(Arc<Slot>, u64)> {
        for slot in &self.slots {
            self.index.slots.insert(slot.number, SlotState::empty(Arc::clone(slot)));
        }
        for file in &self.scanned.files {
            if let Some(state) = self.index.slots.get_mut(&file.slot.number) {
                (state.first_lsn, state.end) = (file.first_lsn, file.end);
                self.index.order.push_back(file.slot.number);
            }
        }
        let used = |slot: &&Arc<Slot>| !self.index.order.contains(&slot.number);
        self.index.free = self.slots.iter().filter(used).map(|slot| slot.number).collect();
        if let Some(last) = self.scanned.files.last() {
            return Some((Arc::clone(&last.slot), last.end));
        }
        let number = self.index.free.pop()?;
        self.index.order.push_back(number);
        let state = self.index.slots.get_mut(&number)?;
        state.first_lsn = self.scanned.next_lsn;
        Some((Arc::clone(&state.slot), state.end))
    }
}

/// Hands the records of a block, those of transactions one by one, to `each`. Of a damaged block it takes what is
/// sound; what the rest seems to hold is `lost`.
pub(super) fn feed(
    assembler: &mut Assembler,
    slot: &Slot,
    block: BlockAt<'_>,
    each: &mut dyn FnMut(View<'_>, &Place),
    lost: &mut Vec<Claim>,
) -> Result<(), StoreError> {
    let mut done = Ok(());
    let take = &mut |record: View<'_>, place: &Place| {
        done = done.and_then(|()| record.each(&mut |item| each(item, place)));
    };
    let dropped = if block.is_sound {
        assembler.feed(block, &slot.path, take)?;
        Vec::new()
    } else {
        assembler.salvage(block, take, lost)
    };
    done.map_err(|_| StoreError::corrupt(&slot.path, block.offset, "a transaction cannot be read"))?;
    let lsn = block.header.lsn;
    let describe = |(offset, len): &(u64, usize)| format!("octets {offset} to {}", offset + *len as u64 - 1);
    let Some((offset, _)) = dropped.first() else { return Ok(()) };
    let ranges: Vec<String> = dropped.iter().map(describe).collect();
    let what = format!("of block {lsn} the records at {} cannot be read", ranges.join(", "));
    Err(StoreError::corrupt(&slot.path, *offset, what))
}
