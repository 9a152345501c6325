//! Reclaiming: retires the oldest log file, writes checkpoints, rewrites mostly dead segments, removes dead ones.
//!
//! Order is everything. A log file is free only after the checkpoint that makes it dispensable is durable; a segment
//! is removed only when the acks that killed it are, or when a durable checkpoint names its successor.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::checkpoint;
use super::codec::crc;
use super::error::{Doing, StoreError};
use super::index::Index;
use super::log::assemble::{Assembler, BlockAt};
use super::log::block::{BLOCK_HEAD, BlockHeader, FILE_HEAD};
use super::log::slot::Slot;
use super::options::Driver;
use super::record::{Placed, Placement, View, carry_len, encode_carry};
use super::segment::{Entry, Segment, SegmentReader, SegmentWriter, entries};
use super::shared::Shared;

/// Segments written at a time: bounds open files and, with their blocks, memory.
const WRITERS_MAX: usize = 64;

/// Octets of an entry of a segment besides the image.
const ENTRY_LEN: u64 = 20;

/// A log file on its way out: its blocks and those after it, for a record may reach into the next file.
struct Retiring {
    slots: Vec<(Arc<Slot>, u64)>,
}

/// What happens to the live messages of a log file.
#[derive(Debug, Default)]
struct Disposal {
    to_segment: Vec<u64>,
    carry: BTreeSet<u64>,
}

impl Shared {
    /// Reclaims what there is to reclaim; whether there was anything. An error is an alarm: nothing is lost, and
    /// the next call tries again.
    pub(super) fn maintain(&self) -> Result<bool, StoreError> {
        let _guard = self.reclaim.lock();
        let has_room = self.survey();
        let done = self.maintain_all().and_then(|worked| has_room.map(|()| worked));
        let alarm = done.as_ref().err().cloned().or_else(|| self.check_crowd().err());
        // A commit that waits for a file has its own reason for the alarm.
        if alarm.is_some() || !self.is_stalled.load(Ordering::Acquire) {
            self.raise(alarm);
        }
        done
    }

    fn maintain_all(&self) -> Result<bool, StoreError> {
        let mut worked = false;
        self.remove_dead()?;
        if !self.index.lock().retired.is_empty() || !self.index.lock().replaced.is_empty() {
            self.checkpoint()?;
            worked = true;
        }
        while let Some(retiring) = self.retirable() {
            self.retire(&retiring)?;
            worked = true;
        }
        while self.compact()? {
            worked = true;
        }
        self.remove_dead()?;
        Ok(worked)
    }

    /// The oldest log file, if free ones are scarce and all that is in it has been applied.
    fn retirable(&self) -> Option<Retiring> {
        let index = self.index.lock();
        // A commit that waits has found that no more can be made, or that the disk has no room for one.
        let is_stalled = self.is_stalled.load(Ordering::Acquire);
        let is_enough = if is_stalled { !index.free.is_empty() } else { !self.is_scarce(&index) };
        if is_enough {
            return None;
        }
        index.oldest()
    }

    fn retire(&self, retiring: &Retiring) -> Result<(), StoreError> {
        let Some((oldest, _)) = retiring.slots.first() else { return Ok(()) };
        let disposal = self.weigh(retiring)?;
        let carried = self.carry(retiring, &disposal)?;
        let mut to_segment = disposal.to_segment;
        if !self.await_durable(carried)? {
            // The log is full and the copies cannot be written: segments take them.
            to_segment.extend(disposal.carry);
        }
        let mut written = Vec::new();
        for queues in to_segment.chunks(WRITERS_MAX) {
            written.extend(self.write_segments(retiring, queues)?);
        }
        self.sync_segment_names(!written.is_empty())?;
        {
            let mut index = self.index.lock();
            for (queue, segment) in written {
                index.install(queue, segment);
            }
            index.retire(oldest.number);
        }
        self.checkpoint()
    }

    /// Decides for every queue with live messages in the file where they go.
    fn weigh(&self, retiring: &Retiring) -> Result<Disposal, StoreError> {
        let mut sizes: BTreeMap<u64, u64> = BTreeMap::new();
        self.walk(retiring, &mut |message| {
            for placement in self.live_of(&message) {
                *sizes.entry(placement.queue.0).or_default() += ENTRY_LEN + message.image.len() as u64;
            }
            Ok(())
        })?;
        let mut by_size: Vec<(u64, u64)> = sizes.into_iter().map(|(queue, size)| (size, queue)).collect();
        by_size.sort_unstable();
        // Carrying must leave most of the file's length gained, or the log would turn without end.
        let mut budget = if self.can_carry() { self.options.log_file_len / 4 } else { 0 };
        let mut disposal = Disposal::default();
        for (size, queue) in by_size {
            if size < self.options.carry_len && size <= budget {
                budget -= size;
                disposal.carry.insert(queue);
            } else {
                disposal.to_segment.push(queue);
            }
        }
        Ok(disposal)
    }

    fn can_carry(&self) -> bool {
        let index = self.index.lock();
        let unmade = self.unmade(&index);
        !self.is_stalled.load(Ordering::Acquire) && index.free.len() + unmade > 0
    }

    fn live_of(&self, message: &Placed<'_>) -> Vec<Placement> {
        let index = self.index.lock();
        let is_live = |placement: &Placement| {
            index.queues.get(&placement.queue.0).is_some_and(|state| state.live.contains(placement.seq.0))
        };
        message.placements().filter(is_live).collect()
    }

    /// Appends copies of the small remainders; the position of the last.
    fn carry(&self, retiring: &Retiring, disposal: &Disposal) -> Result<u64, StoreError> {
        let mut position = 0;
        if disposal.carry.is_empty() {
            return Ok(position);
        }
        self.walk(retiring, &mut |message| {
            let mut placements = self.live_of(&message);
            placements.retain(|placement| disposal.carry.contains(&placement.queue.0));
            if !placements.is_empty() {
                let len = carry_len(&placements, message.image);
                let mut buffer = self.buffer.lock();
                buffer.push(len, |out| encode_carry(&placements, message.image, out));
                position = buffer.position();
                self.counters.carried.fetch_add(len as u64, Ordering::Relaxed);
            }
            Ok(())
        })?;
        self.appended.notify_one();
        Ok(position)
    }

    /// Waits until the log is durable up to `position`; false if it cannot get there for want of a free file.
    fn await_durable(&self, position: u64) -> Result<bool, StoreError> {
        while self.durable.load(Ordering::Acquire) < position {
            self.check()?;
            if self.is_stalled.load(Ordering::Acquire) || self.is_closing.load(Ordering::Acquire) {
                return Ok(false);
            }
            if self.options.driver == Driver::Caller {
                self.commit()?;
            } else {
                std::thread::sleep(std::time::Duration::from_micros(200));
            }
        }
        Ok(true)
    }

    fn write_segments(&self, retiring: &Retiring, queues: &[u64]) -> Result<Vec<(u64, Segment)>, StoreError> {
        let mut batch =
            SegmentBatch { shared: self, writers: BTreeMap::new(), done: Vec::new(), made: Vec::new() };
        let written = batch.write(retiring, queues);
        if written.is_err() {
            batch.discard();
        }
        written
    }

    /// A new segment of a queue, or its last one if there is room.
    fn segment_writer(&self, queue: u64, fresh: bool) -> Result<(SegmentWriter, bool), StoreError> {
        let (last, number) = {
            let mut index = self.index.lock();
            let last = index.queues.get(&queue).and_then(|state| state.segments.last().cloned());
            let last = last.filter(|last| !fresh && last.len < self.options.segment_len / 2);
            index.next_segment += u64::from(last.is_none());
            (last, index.next_segment)
        };
        let (env, names) = (&*self.env, &self.names);
        match last {
            Some(last) => Ok((SegmentWriter::append(env, names, self.store_id, queue, &last)?, false)),
            None => Ok((SegmentWriter::create(env, names, self.store_id, queue, number)?, true)),
        }
    }

    fn sync_segment_names(&self, changed: bool) -> Result<(), StoreError> {
        let dir = self.names.segments();
        if changed { self.env.sync_dir(&dir).doing("sync", &dir) } else { Ok(()) }
    }

    /// Writes the index down; what it makes dispensable becomes free.
    pub(super) fn checkpoint(&self) -> Result<(), StoreError> {
        let (octets, lsn, retired, replaced) = {
            let index = self.index.lock();
            let octets = checkpoint::encode(&index, self.store_id, self.epoch);
            (octets, index.applied, index.retired.clone(), index.replaced.clone())
        };
        self.sync_log()?;
        checkpoint::write(&*self.env, &self.names, lsn, &octets)?;
        self.counters.checkpoints_written.fetch_add(octets.len() as u64, Ordering::Relaxed);
        let mut index = self.index.lock();
        index.retired.retain(|slot| !retired.contains(slot));
        index.replaced.retain(|segment| !replaced.contains(segment));
        index.free.extend(retired);
        index.garbage.extend(replaced);
        index.reclaims += 1;
        self.is_tight.store(self.is_crowded(&index), Ordering::Release);
        drop(index);
        self.slot_freed.notify_all();
        Ok(())
    }

    /// What nobody asked to have synced may be in the log's last file, and what is about to happen relies on it.
    fn sync_log(&self) -> Result<(), StoreError> {
        if !self.is_unsynced.load(Ordering::Acquire) {
            return Ok(());
        }
        let last = {
            let index = self.index.lock();
            let last = index.order.back().and_then(|number| index.slots.get(number));
            last.map(|state| Arc::clone(&state.slot))
        };
        let Some(slot) = last else { return Ok(()) };
        slot.file.sync().doing("sync", &slot.path).map_err(|error| self.fail(error))
    }

    /// Removes segments without a live message.
    fn remove_dead(&self) -> Result<(), StoreError> {
        let has_dead = self.index.lock().find_dead();
        if !has_dead {
            return Ok(());
        }
        self.sync_log()?;
        let garbage = std::mem::take(&mut self.index.lock().garbage);
        for (at, &(queue, number)) in garbage.iter().enumerate() {
            let path = self.names.segment(queue, number);
            let removed = self.env.remove(&path);
            if let Err(error) = removed.as_ref().map_err(|error| StoreError::io("remove", &path, error))
                && removed.is_err_and(|error| error.kind() != std::io::ErrorKind::NotFound)
            {
                self.index.lock().garbage.extend_from_slice(garbage.get(at..).unwrap_or_default());
                return Err(error);
            }
        }
        Ok(())
    }

    /// Rewrites mostly dead segments of one queue; whether there were any.
    fn compact(&self) -> Result<bool, StoreError> {
        let Some((queue, victims)) = self.index.lock().worst(self.options.garbage_len) else {
            return Ok(false);
        };
        let (mut writer, _) = self.segment_writer(queue, true)?;
        let number = writer.segment.number;
        let copied = self.copy_live(queue, &victims, &mut writer);
        let segment = match copied.and_then(|()| writer.finish()) {
            Ok(segment) => segment,
            Err(error) => {
                let _ = self.env.remove(&self.names.segment(queue, number));
                return Err(error);
            }
        };
        self.counters.segments_written.fetch_add(segment.len, Ordering::Relaxed);
        self.sync_segment_names(true)?;
        self.index.lock().replace(queue, &victims, segment);
        self.checkpoint()?;
        Ok(true)
    }

    fn copy_live(
        &self,
        queue: u64,
        victims: &[Segment],
        writer: &mut SegmentWriter,
    ) -> Result<(), StoreError> {
        for victim in victims {
            let reader = SegmentReader::open(&*self.env, &self.names, self.store_id, queue, victim.number)?;
            for block in reader.blocks(victim.len)? {
                let payload = reader.payload(&block)?;
                let live = {
                    let index = self.index.lock();
                    index
                        .queues
                        .get(&queue)
                        .map(|state| state.live.runs(block.min, block.max))
                        .unwrap_or_default()
                };
                let is_live = |seq: u64| live.iter().any(|&(first, last)| (first..=last).contains(&seq));
                for entry in entries(&payload).filter(|entry| is_live(entry.seq)) {
                    writer.push(entry)?;
                }
            }
        }
        Ok(())
    }

    /// Calls `each` with every message that begins in the file.
    fn walk(
        &self,
        retiring: &Retiring,
        each: &mut dyn FnMut(Placed<'_>) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let mut assembler = Assembler::default();
        for (at, (slot, end)) in retiring.slots.iter().enumerate() {
            let mut offset = FILE_HEAD;
            while offset < *end && (at == 0 || assembler.is_amid()) {
                let (header, payload) = read_block(slot, offset)?;
                let block = BlockAt { header, slot: slot.number, offset, payload: &payload, is_sound: true };
                let mut done = Ok(());
                assembler.feed(block, &slot.path, &mut |record, _| {
                    let _ = record.each(&mut |item| {
                        if let (View::Publish(message) | View::Carry(message), Ok(())) = (item, &done) {
                            done = each(message);
                        }
                    });
                })?;
                done?;
                offset = super::codec::page_up(offset + header.len());
            }
            if !assembler.is_amid() {
                break;
            }
        }
        Ok(())
    }
}

/// A block that was durable and must be sound.
fn read_block(slot: &Slot, offset: u64) -> Result<(BlockHeader, Vec<u8>), StoreError> {
    let damaged = || StoreError::corrupt(&slot.path, offset, "a durable block cannot be read any more");
    let mut head = [0; BLOCK_HEAD];
    slot.file.read_at(&mut head, offset).doing("read", &slot.path)?;
    let (header, _) = BlockHeader::decode(&head).map_err(|_| damaged())?;
    let mut payload = vec![0; header.payload_len as usize];
    slot.file.read_at(&mut payload, offset + BLOCK_HEAD as u64).doing("read", &slot.path)?;
    if crc(&payload) == header.payload_crc { Ok((header, payload)) } else { Err(damaged()) }
}

/// The segments that one pass over a log file writes.
struct SegmentBatch<'a> {
    shared: &'a Shared,
    writers: BTreeMap<u64, SegmentWriter>,
    done: Vec<(u64, Segment)>,
    /// Files that did not exist before.
    made: Vec<(u64, u64)>,
}

/// Octets that may wait in the writers of a batch.
const WAITING_MAX: usize = 8 << 20;

impl SegmentBatch<'_> {
    fn write(&mut self, retiring: &Retiring, queues: &[u64]) -> Result<Vec<(u64, Segment)>, StoreError> {
        let wanted: BTreeSet<u64> = queues.iter().copied().collect();
        self.shared.walk(retiring, &mut |message| {
            for placement in self.shared.live_of(&message) {
                if wanted.contains(&placement.queue.0) {
                    self.push(&placement, message.image)?;
                }
            }
            Ok(())
        })?;
        for (queue, writer) in std::mem::take(&mut self.writers) {
            self.done.push((queue, writer.finish()?));
        }
        let octets = self.done.iter().map(|(_, segment)| segment.len).sum();
        self.shared.counters.segments_written.fetch_add(octets, Ordering::Relaxed);
        Ok(std::mem::take(&mut self.done))
    }

    fn push(&mut self, placement: &Placement, image: &[u8]) -> Result<(), StoreError> {
        let queue = placement.queue.0;
        let full = self.writers.get(&queue).is_some_and(|w| w.segment.len >= self.shared.options.segment_len);
        if full && let Some(writer) = self.writers.remove(&queue) {
            self.done.push((queue, writer.finish()?));
        }
        if !self.writers.contains_key(&queue) {
            let (writer, is_new) = self.shared.segment_writer(queue, full)?;
            self.made.extend(is_new.then_some((queue, writer.segment.number)));
            self.writers.insert(queue, writer);
        }
        if let Some(writer) = self.writers.get_mut(&queue) {
            writer.push(Entry { seq: placement.seq.0, expires_ms: placement.expires_ms, image })?;
        }
        self.limit_waiting()
    }

    fn limit_waiting(&mut self) -> Result<(), StoreError> {
        // At most 64 writers with at most one block each wait: only large images can exceed this.
        let waiting: usize = self.writers.values().map(SegmentWriter::waiting).sum();
        if waiting <= WAITING_MAX {
            return Ok(());
        }
        self.writers.values_mut().try_for_each(SegmentWriter::flush)
    }

    /// Gives the space of half-written files back.
    fn discard(&mut self) {
        self.writers.clear();
        for (queue, number) in self.made.drain(..) {
            let _ = self.shared.env.remove(&self.shared.names.segment(queue, number));
        }
    }
}

impl Index {
    fn oldest(&self) -> Option<Retiring> {
        let mut used = self.order.iter().filter_map(|number| self.slots.get(number));
        let (first, next) = (used.next()?, used.next()?);
        let is_applied = next.first_lsn <= self.applied + 1;
        let slots = [first, next].into_iter().chain(used).map(|state| (Arc::clone(&state.slot), state.end));
        is_applied.then(|| Retiring { slots: slots.collect() })
    }
}
