//! Writes groups to the log. Any error here means that the log's end is unknown: the caller gives up for good.

use std::ops::Range;
use std::sync::Arc;

use super::block::{BLOCK_HEAD, BlockHeader, FILE_HEAD};
use super::buffer::{Draft, Group};
use super::slot::Slot;
use crate::storage::codec::{PAGE, crc, len32};
use crate::storage::error::{Doing, StoreError};

/// The end of the log.
#[derive(Debug)]
pub(in crate::storage) struct LogWriter {
    pub(in crate::storage) slot: Arc<Slot>,
    /// Where the next block goes.
    pub(in crate::storage) offset: u64,
    pub(in crate::storage) next_lsn: u64,
    /// Header checksum of the last block.
    pub(in crate::storage) prev: u32,
    pub(in crate::storage) epoch: u32,
    pub(in crate::storage) store: u64,
    /// The highest lsn known to be on disk.
    pub(in crate::storage) synced: u64,
    /// Whether a later block says of every block that holds something that it was on disk.
    pub(in crate::storage) is_attested: bool,
}

/// Where a block was written.
#[derive(Clone, Copy, Debug)]
pub(in crate::storage) struct Written {
    pub(in crate::storage) header: BlockHeader,
    pub(in crate::storage) slot: u32,
    pub(in crate::storage) offset: u64,
}

impl LogWriter {
    /// Writes the blocks `range` of `group`; `next` gives a free file when one is full.
    pub(in crate::storage) fn write(
        &mut self,
        group: &mut Group,
        range: Range<usize>,
        next: &mut dyn FnMut(&Self) -> Result<Arc<Slot>, StoreError>,
    ) -> Result<Vec<Written>, StoreError> {
        let mut written = Vec::with_capacity(range.len());
        // Blocks that follow each other in the buffer and in the file are written by one call.
        let mut run = 0..0;
        for at in range {
            let Some(&draft) = group.drafts.get(at) else { break };
            if self.offset + draft.page_len() > self.slot.capacity {
                self.put(group, &run)?;
                run = 0..0;
                self.roll(next)?;
            }
            written.push(self.seal(&mut group.data, &draft));
            run.start = if run.is_empty() { draft.start } else { run.start };
            run.end = draft.start + usize::try_from(draft.page_len()).unwrap_or(0);
        }
        self.put(group, &run)?;
        self.is_attested = false;
        Ok(written)
    }

    /// Whether an empty block has room in the file.
    pub(in crate::storage) fn has_room(&self) -> bool {
        self.offset + PAGE as u64 <= self.slot.capacity
    }

    /// Goes on in another file.
    pub(in crate::storage) fn move_to(&mut self, slot: Arc<Slot>) -> Result<(), StoreError> {
        self.sync()?;
        self.slot = slot;
        self.offset = FILE_HEAD;
        Ok(())
    }

    /// Writes an empty block, durably. It says of all blocks before it that they were on disk.
    pub(in crate::storage) fn mark(&mut self, flags: u16) -> Result<Written, StoreError> {
        if self.synced + 1 < self.next_lsn {
            self.sync()?;
        }
        let mut page = vec![0; PAGE];
        let draft = Draft { start: 0, end: BLOCK_HEAD, records: 0, flags, position: 0 };
        let written = self.seal(&mut page, &draft);
        self.slot.file.write_at(&page, written.offset).doing("write", &self.slot.path)?;
        self.sync()?;
        self.is_attested = true;
        Ok(written)
    }

    /// Makes all that was written durable.
    pub(in crate::storage) fn sync(&mut self) -> Result<(), StoreError> {
        self.slot.file.sync().doing("sync", &self.slot.path)?;
        self.synced = self.next_lsn - 1;
        Ok(())
    }

    /// The old file is synced, whatever the durability: only the last file may hold what is not on disk.
    fn roll(
        &mut self,
        next: &mut dyn FnMut(&Self) -> Result<Arc<Slot>, StoreError>,
    ) -> Result<(), StoreError> {
        self.sync()?;
        let slot = next(self)?;
        self.move_to(slot)
    }

    /// Fills in the header of a block that goes to the end of the log.
    fn seal(&mut self, data: &mut [u8], draft: &Draft) -> Written {
        let payload = data.get(draft.start + BLOCK_HEAD..draft.end).unwrap_or_default();
        let header = BlockHeader {
            flags: draft.flags,
            lsn: self.next_lsn,
            synced: self.synced,
            store: self.store,
            epoch: self.epoch,
            payload_len: len32(payload.len()),
            records: draft.records,
            prev: self.prev,
            payload_crc: crc(payload),
        };
        let (octets, check) = header.encode();
        if let Some(place) = data.get_mut(draft.start..draft.start + BLOCK_HEAD) {
            place.copy_from_slice(&octets);
        }
        let written = Written { header, slot: self.slot.number, offset: self.offset };
        self.offset += draft.page_len();
        self.next_lsn += 1;
        self.prev = check;
        written
    }

    /// Writes `run` of the buffer so that it ends where the next block will begin.
    fn put(&self, group: &Group, run: &Range<usize>) -> Result<(), StoreError> {
        let Some(octets) = group.data.get(run.clone()).filter(|octets| !octets.is_empty()) else {
            return Ok(());
        };
        let offset = self.offset - octets.len() as u64;
        self.slot.file.write_at(octets, offset).doing("write", &self.slot.path)
    }
}
