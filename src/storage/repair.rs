//! Mending a damaged store: a new one is made beside it of all that can be read, then they change places.

use std::path::PathBuf;
use std::sync::Arc;

use super::checkpoint;
use super::codec::len32;
use super::env::Env;
use super::error::{Doing, StoreError, unless_damaged};
use super::home::{Lock, Version, write_version};
use super::id::QueueId;
use super::index::{Index, SlotState};
use super::log::buffer::{Group, GroupBuffer};
use super::log::roster;
use super::log::slot::Slot;
use super::log::writer::{LogWriter, Written};
use super::names::{MESSAGES, Names, REPAIRED, REPAIRING};
use super::offline::{Examined, Finding, Folder, Offline, Report};
use super::options::Options;
use super::record::{Placement, carry_len, encode_carry};
use super::salvage::read_segment;
use super::segment::{Segment, SegmentReader, SegmentWriter};
use super::seq_set::SeqSet;
use super::upgrade::VERSION;

/// Octets that are copied before they are written.
const COPY_LEN: usize = 4 << 20;

/// What is done with what root makes in somebody else's directory.
const GIVE: &str = "give to the directory's owner";

/// What a repair has done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Repaired {
    /// What was found. All damage was dropped, and the messages that are lost were forgotten.
    pub found: Report,
    /// Where the damaged store is now; `None` if there was nothing to mend in it, or it was gone.
    pub original: Option<PathBuf>,
}

/// Keeps the directory locked: what belongs to it besides the store may be mended too.
#[derive(Debug)]
#[expect(dead_code, reason = "it is kept, not read")]
pub struct StillLocked(Lock);

impl Offline {
    /// Mends what can be mended and drops the rest. `known` says which queues exist.
    ///
    /// # Errors
    /// A file is of a newer release, or cannot be read for another reason than damage, or the disk refuses: then the
    /// store is as it was, and the next repair begins anew.
    pub fn repair(
        mut self,
        options: Options,
        known: &dyn Fn(QueueId) -> bool,
    ) -> Result<(StillLocked, Repaired), StoreError> {
        let options = options.limited();
        let env = Arc::clone(&self.env);
        let stopped = (self.folder == Folder::Repaired).then(|| self.folder.damage(&self.names)).flatten();
        if stopped.is_some() {
            self.put_in_place()?;
            self.folder = Folder::There;
        }
        let draft = self.names.in_folder(REPAIRING);
        for left in [draft.messages(), self.names.in_folder(REPAIRED).messages()] {
            env.remove_dir(left).doing("remove", left)?;
        }
        let (mut found, is_made) = self.make(&draft, &options, known).inspect_err(|_| {
            // What cannot be removed now is by the next repair, or the next start.
            let _left = env.remove_dir(draft.messages());
        })?;
        let original = if is_made { self.change_places(&draft)? } else { None };
        found.damage.splice(0..0, stopped.as_ref().map(Finding::from));
        if !self.damage.is_empty() {
            write_version(&*env, &self.names, Version { version: VERSION, store_id: self.store_id })?;
            let path = self.names.version();
            env.own_like(&path, self.names.root()).doing(GIVE, &path)?;
        }
        Ok((StillLocked(self.lock), Repaired { found, original }))
    }

    /// Makes the new store, if there is anything to mend in the old one; what was found, and whether it was made.
    fn make(
        &self,
        new: &Names,
        options: &Options,
        known: &dyn Fn(QueueId) -> bool,
    ) -> Result<(Report, bool), StoreError> {
        let mut examined = self.examine(known)?;
        let mut copy = Copy::begin(&*self.env, new, options, &examined)?;
        examined.walk_log(&mut |placements, image| copy.take(placements, image))?;
        let found = examined.report();
        if examined.is_sound(&self.damage) {
            let folder = new.messages();
            self.env.remove_dir(folder).doing("remove", folder)?;
            return Ok((found, false));
        }
        self.finish(new, copy, &mut examined)?;
        Ok((found, true))
    }

    /// Completes the new store: segments, and the checkpoint that names all.
    fn finish(&self, new: &Names, copy: Copy<'_>, examined: &mut Examined) -> Result<(), StoreError> {
        let slots = copy.end()?;
        let unsound = std::mem::take(&mut examined.unsound);
        let index = &mut examined.loaded.index;
        for (queue, missing) in &examined.missing {
            let Some(state) = index.queues.get_mut(queue) else { continue };
            missing.runs(0, u64::MAX).into_iter().for_each(|(first, last)| {
                state.live.remove_run(first, last);
            });
            state.counts.retain(|seq, _| !missing.contains(*seq));
        }
        let mut next_segment = index.next_segment;
        for (&queue, state) in &mut index.queues {
            let mut kept = Vec::new();
            for segment in std::mem::take(&mut state.segments) {
                if unsound.contains(&(queue, segment.number)) {
                    next_segment += 1;
                    kept.extend(self.rewrite(new, queue, (&segment, next_segment), &state.live)?);
                } else {
                    let (from, to) =
                        (self.names.segment(queue, segment.number), new.segment(queue, segment.number));
                    self.env.link(&from, &to).doing("link", &from)?;
                    kept.push(segment);
                }
            }
            state.segments = kept;
        }
        index.next_segment = next_segment;
        slots.enter(index);
        let octets = checkpoint::encode(index, self.store_id, examined.loaded.epoch);
        for dir in [new.segments(), new.logs()] {
            self.env.sync_dir(&dir).doing("sync", &dir)?;
        }
        checkpoint::write(&*self.env, new, index.applied, &octets)?;
        self.env.sync_dir(new.messages()).doing("sync", new.messages())
    }

    /// Copies what is sound and live of a segment into a new one; none if there is nothing.
    fn rewrite(
        &self,
        new: &Names,
        queue: u64,
        (segment, number): (&Segment, u64),
        live: &SeqSet,
    ) -> Result<Option<Segment>, StoreError> {
        let env = &*self.env;
        let opened = SegmentReader::open(env, &self.names, self.store_id, queue, segment.number);
        let Some(reader) = unless_damaged(opened)? else { return Ok(None) };
        let mut writer = SegmentWriter::create(env, new, self.store_id, queue, number)?;
        let mut done = Ok(());
        let each = &mut |_: &_, entry: super::segment::Entry<'_>| {
            if live.contains(entry.seq) && done.is_ok() {
                done = writer.push(entry);
            }
        };
        read_segment(&reader, segment.len, each, &mut |_, _| {})?;
        done?;
        let segment = writer.finish()?;
        if segment.count == 0 {
            let path = new.segment(queue, number);
            env.remove(&path).doing("remove", &path)?;
        }
        Ok(Some(segment).filter(|segment| segment.count > 0))
    }

    /// The damaged store goes aside, the new one takes its place. Where the damaged one is, if there was one.
    fn change_places(&self, draft: &Names) -> Result<Option<PathBuf>, StoreError> {
        let root = self.names.root();
        let new = self.names.in_folder(REPAIRED);
        self.env.own_like(draft.messages(), root).doing(GIVE, draft.messages())?;
        self.env.rename(draft.messages(), new.messages()).doing("rename", draft.messages())?;
        self.env.sync_dir(root).doing("sync", root)?;
        if self.folder == Folder::Gone {
            self.put_in_place()?;
            return Ok(None);
        }
        let taken = self.env.list(root).doing("list", root)?;
        let aside = (1u32..)
            .map(|n| if n == 1 { format!("{MESSAGES}.damaged") } else { format!("{MESSAGES}.damaged.{n}") })
            .find(|name| !taken.contains(name));
        let aside = root.join(aside.unwrap_or_default());
        self.env.rename(self.names.messages(), &aside).doing("rename", self.names.messages())?;
        self.put_in_place()?;
        Ok(Some(aside))
    }

    fn put_in_place(&self) -> Result<(), StoreError> {
        let (root, new) = (self.names.root(), self.names.in_folder(REPAIRED));
        self.env.rename(new.messages(), self.names.messages()).doing("rename", new.messages())?;
        self.env.sync_dir(root).doing("sync", root)
    }
}

/// A new log that takes what is still needed of the old one.
struct Copy<'a> {
    env: &'a dyn Env,
    names: &'a Names,
    capacity: u64,
    buffer: GroupBuffer,
    writer: LogWriter,
    slots: Slots,
}

/// The new log's files with their first lsn and their end.
struct Slots {
    files: Vec<(Arc<Slot>, u64, u64)>,
    last_lsn: u64,
}

impl<'a> Copy<'a> {
    fn begin(
        env: &'a dyn Env,
        names: &'a Names,
        options: &Options,
        examined: &Examined,
    ) -> Result<Self, StoreError> {
        for dir in [names.logs(), names.checkpoints(), names.segments()] {
            env.create_dir(&dir).doing("create", &dir)?;
        }
        let (store, next_lsn) = (examined.loaded.store_id, examined.loaded.scanned.next_lsn);
        let capacity = options.log_file_len;
        let slot = Arc::new(roster::add(env, names, 0, capacity, store)?);
        let slots = Slots { files: vec![(Arc::clone(&slot), next_lsn, 0)], last_lsn: next_lsn - 1 };
        let writer = LogWriter {
            slot,
            offset: super::log::block::FILE_HEAD,
            next_lsn,
            prev: 0,
            epoch: examined.loaded.epoch,
            store,
            synced: next_lsn - 1,
            is_attested: true,
        };
        Ok(Self { env, names, capacity, buffer: GroupBuffer::new(options.payload_max()), writer, slots })
    }

    fn take(&mut self, placements: &[Placement], image: &[u8]) -> Result<(), StoreError> {
        self.buffer.push(carry_len(placements, image), |out| encode_carry(placements, image, out));
        if self.buffer.waiting() < COPY_LEN { Ok(()) } else { self.flush() }
    }

    fn flush(&mut self) -> Result<(), StoreError> {
        let mut group = self.buffer.take(Group::default());
        let Self { env, names, capacity, writer, slots, .. } = self;
        let count = group.drafts.len();
        let written: Vec<Written> = writer.write(&mut group, 0..count, &mut |writer| {
            let number = len32(slots.files.len());
            let slot = Arc::new(roster::add(*env, names, number, *capacity, writer.store)?);
            slots.files.push((Arc::clone(&slot), writer.next_lsn, 0));
            Ok(slot)
        })?;
        writer.sync()?;
        slots.last_lsn = written.last().map_or(slots.last_lsn, |last| last.header.lsn);
        Ok(())
    }

    fn end(mut self) -> Result<Slots, StoreError> {
        self.flush()?;
        // Without it the checkpoint alone says how far the log must reach, which is enough.
        if self.writer.has_room() {
            self.writer.mark(0)?;
        }
        self.slots.last_lsn = self.writer.next_lsn - 1;
        Ok(self.slots)
    }
}

impl Slots {
    /// Makes these the log of the index.
    fn enter(self, index: &mut Index) {
        index.applied = self.last_lsn;
        for (slot, first_lsn, end) in self.files {
            index.order.push_back(slot.number);
            index.slots.insert(slot.number, SlotState { slot, first_lsn, end });
        }
    }
}
