//! Reads the log back, block by block in the order of lsns, and tells a torn tail from damage.
//!
//! A block is the next one if its lsn, its epoch and the checksum of the block before fit. Where no next one is
//! found the log ends: what was being written when the machine stopped is dropped. But if any block anywhere says
//! that the missing one had been synced, then durable octets are gone, and that is an error.

use std::path::PathBuf;
use std::sync::Arc;

use super::assemble::BlockAt;
use super::block::{BLOCK_HEAD, BlockHeader, CLOSED, FILE_HEAD, LOG_VERSION, NoBlock};
use super::flip::is_one_flip;
use super::slot::Slot;
use crate::storage::codec::{PAGE, crc, page_up};
use crate::storage::error::{Doing, StoreError};

/// Octets read at once where headers are searched for.
const SEARCH_LEN: u64 = 1024 * 1024;

/// A log file that holds blocks that are still needed.
#[derive(Clone, Debug)]
pub(in crate::storage) struct InUse {
    pub(in crate::storage) slot: Arc<Slot>,
    pub(in crate::storage) first_lsn: u64,
    /// Where its last block ends.
    pub(in crate::storage) end: u64,
}

/// What was found.
#[derive(Debug, Default)]
pub(in crate::storage) struct Scanned {
    /// The files in use, oldest first.
    pub(in crate::storage) files: Vec<InUse>,
    /// The lsn after the last block.
    pub(in crate::storage) next_lsn: u64,
    pub(in crate::storage) prev: u32,
    pub(in crate::storage) epoch: u32,
    /// The last block says that the store was closed in order.
    pub(in crate::storage) is_closed: bool,
    /// A last block that was not written as a whole.
    pub(in crate::storage) torn: Option<StoreError>,
    /// Durable blocks that cannot be read; only filled where damage is tolerated.
    pub(in crate::storage) damage: Vec<StoreError>,
}

/// The log's files.
#[derive(Clone, Copy, Debug)]
pub(in crate::storage) struct Files<'a> {
    pub(in crate::storage) slots: &'a [Arc<Slot>],
    /// Those that must be there and are not.
    pub(in crate::storage) absent: &'a [PathBuf],
}

/// Whether damage ends the scan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::storage) enum Damage {
    Refuse,
    /// Note it and go on with the next block that can be read.
    Skip,
}

/// Takes each block that was found.
pub(in crate::storage) type Visit<'a> = dyn FnMut(&Slot, BlockAt<'_>) -> Result<(), StoreError> + 'a;

/// Reads the blocks from lsn `start` on.
pub(in crate::storage) fn scan(
    Files { slots, absent }: Files<'_>,
    store: u64,
    start: u64,
    damage: Damage,
    visit: &mut Visit<'_>,
) -> Result<Scanned, StoreError> {
    let mut scan = Scan {
        slots,
        absent,
        store,
        started: false,
        found: Scanned { next_lsn: start, ..Scanned::default() },
    };
    loop {
        while let Some(slot) = scan.next_file()? {
            scan.read_file(&slot, FILE_HEAD, visit)?;
        }
        let Some((slot, offset, error)) = scan.lost()? else {
            if scan.judge_end(damage)? && scan.salvage(visit)? {
                continue;
            }
            return Ok(scan.found);
        };
        if damage == Damage::Refuse {
            return Err(error);
        }
        scan.found.damage.push(error);
        if !scan.salvage(visit)? {
            scan.resume(&slot, offset, visit)?;
        }
    }
}

struct Scan<'a> {
    slots: &'a [Arc<Slot>],
    absent: &'a [PathBuf],
    store: u64,
    started: bool,
    found: Scanned,
}

impl Scan<'_> {
    /// The file whose first block is the next one. If the first file of all is sought, the checksum before is
    /// not known and the newest epoch wins.
    fn next_file(&self) -> Result<Option<Arc<Slot>>, StoreError> {
        let mut best: Option<(u32, Arc<Slot>)> = None;
        for slot in self.slots {
            let Some((header, _)) = self.header_at(slot, FILE_HEAD)? else { continue };
            let newer = best.as_ref().is_none_or(|(epoch, _)| *epoch < header.epoch);
            if self.follows(&header) && newer && self.payload(slot, FILE_HEAD, &header)?.is_some() {
                best = Some((header.epoch, Arc::clone(slot)));
            }
        }
        Ok(best.map(|(_, slot)| slot))
    }

    fn follows(&self, header: &BlockHeader) -> bool {
        let chained = !self.started || header.prev == self.found.prev;
        header.lsn == self.found.next_lsn && header.epoch >= self.found.epoch && chained
    }

    fn read_file(&mut self, slot: &Arc<Slot>, from: u64, visit: &mut Visit<'_>) -> Result<(), StoreError> {
        let mut offset = from;
        self.found.files.push(InUse { slot: Arc::clone(slot), first_lsn: self.found.next_lsn, end: from });
        while let Some((header, check)) =
            self.header_at(slot, offset)?.filter(|(header, _)| self.follows(header))
        {
            let Some(payload) = self.payload(slot, offset, &header)? else { break };
            visit(slot, BlockAt { header, slot: slot.number, offset, payload: &payload, is_sound: true })?;
            offset += page_up(header.len());
            self.pass(&header, check, offset);
        }
        Ok(())
    }

    /// Notes a block that ends at `end`.
    fn pass(&mut self, header: &BlockHeader, check: u32, end: u64) {
        self.started = true;
        self.found.next_lsn += 1;
        self.found.epoch = header.epoch;
        self.found.prev = check;
        self.found.is_closed = header.flags & CLOSED != 0;
        self.found.files.iter_mut().rev().take(1).for_each(|file| file.end = end);
    }

    /// Takes what is sound of the next block, if its header is there and its payload is damaged; then goes on.
    fn salvage(&mut self, visit: &mut Visit<'_>) -> Result<bool, StoreError> {
        let last = self.found.files.last().map(|last| (Arc::clone(&last.slot), last.end));
        let starts = self.slots.iter().map(|slot| (Arc::clone(slot), FILE_HEAD));
        for (slot, offset) in last.into_iter().chain(starts) {
            let next = self.header_at(&slot, offset)?.filter(|(header, _)| self.follows(header));
            let Some((header, check)) = next.filter(|(header, _)| offset + header.len() <= slot.capacity)
            else {
                continue;
            };
            if offset == FILE_HEAD {
                let first_lsn = self.found.next_lsn;
                self.found.files.push(InUse { slot: Arc::clone(&slot), first_lsn, end: offset });
            }
            let mut payload = vec![0; header.payload_len as usize];
            slot.file.read_at(&mut payload, offset + BLOCK_HEAD as u64).doing("read", &slot.path)?;
            visit(&slot, BlockAt { header, slot: slot.number, offset, payload: &payload, is_sound: false })?;
            let end = offset + page_up(header.len());
            self.pass(&header, check, end);
            self.read_file(&slot, end, visit)?;
            return Ok(true);
        }
        Ok(false)
    }

    fn header_at(&self, slot: &Slot, offset: u64) -> Result<Option<(BlockHeader, u32)>, StoreError> {
        if offset + BLOCK_HEAD as u64 > slot.capacity {
            return Ok(None);
        }
        let mut head = [0; BLOCK_HEAD];
        slot.file.read_at(&mut head, offset).doing("read", &slot.path)?;
        self.decode(slot, &head)
    }

    fn decode(&self, slot: &Slot, head: &[u8]) -> Result<Option<(BlockHeader, u32)>, StoreError> {
        match BlockHeader::decode(head) {
            Ok(found) => Ok(Some(found).filter(|(header, _)| header.store == self.store)),
            Err(NoBlock::Damaged) => Ok(None),
            Err(NoBlock::Version(found)) => {
                let (found, known) = (u32::from(found), u32::from(LOG_VERSION));
                Err(StoreError::Newer { path: slot.path.clone(), found, known })
            }
        }
    }

    fn payload(&self, slot: &Slot, offset: u64, header: &BlockHeader) -> Result<Option<Vec<u8>>, StoreError> {
        if offset + header.len() > slot.capacity {
            return Ok(None);
        }
        let mut payload = vec![0; header.payload_len as usize];
        slot.file.read_at(&mut payload, offset + BLOCK_HEAD as u64).doing("read", &slot.path)?;
        Ok((crc(&payload) == header.payload_crc).then_some(payload))
    }

    /// A block that proves that the next one had been synced: the lowest such. Where to go on, and the error.
    fn lost(&self) -> Result<Option<(Arc<Slot>, u64, StoreError)>, StoreError> {
        let mut lowest: Option<(u64, Arc<Slot>, u64)> = None;
        for slot in self.slots {
            let offset = self.found.files.iter().rev().find(|file| file.slot.number == slot.number);
            let mut offset = offset.map_or(FILE_HEAD, |file| file.end);
            while offset < slot.capacity {
                self.search(slot, offset, &mut |header, at| {
                    let proves = header.lsn > self.found.next_lsn && header.synced >= self.found.next_lsn;
                    if proves && lowest.as_ref().is_none_or(|(lsn, _, _)| header.lsn < *lsn) {
                        lowest = Some((header.lsn, Arc::clone(slot), at));
                    }
                })?;
                offset += SEARCH_LEN;
            }
        }
        let Some((lsn, slot, offset)) = lowest else { return Ok(None) };
        let error = self.loss(lsn, (&slot, offset))?;
        Ok(Some((slot, offset, error)))
    }

    /// Looks at what stands where the next block would: one that was torn, or one that was whole and is damaged.
    /// Whether damage was found.
    fn judge_end(&mut self, damage: Damage) -> Result<bool, StoreError> {
        let Some((slot, end)) = self.found.files.last().map(|last| (Arc::clone(&last.slot), last.end)) else {
            return Ok(false);
        };
        if end + BLOCK_HEAD as u64 > slot.capacity {
            return Ok(false);
        }
        let mut head = [0; BLOCK_HEAD];
        slot.file.read_at(&mut head, end).doing("read", &slot.path)?;
        let lsn = self.found.next_lsn;
        let corrupt = |what| StoreError::corrupt(&slot.path, end, format!("{what} of block {lsn}"));
        let next = self.decode(&slot, &head)?.filter(|(header, _)| self.follows(header));
        let verdict = match next {
            _ if BlockHeader::was_one(&head, self.store, lsn) => {
                Some(corrupt("a bit is flipped in the header"))
            }
            Some((header, _)) if self.is_flipped(&slot, end, &header)? => {
                Some(corrupt("a bit is flipped in the payload"))
            }
            Some(_) => {
                self.found.torn = Some(corrupt("not all was written"));
                None
            }
            None => None,
        };
        match verdict {
            Some(error) if damage == Damage::Refuse => Err(error),
            verdict => {
                let is_damaged = verdict.is_some();
                self.found.damage.extend(verdict);
                Ok(is_damaged)
            }
        }
    }

    fn is_flipped(&self, slot: &Slot, offset: u64, header: &BlockHeader) -> Result<bool, StoreError> {
        let len = page_up(header.len());
        if offset + len > slot.capacity {
            return Ok(false);
        }
        let mut block = vec![0; usize::try_from(len).unwrap_or(0)];
        slot.file.read_at(&mut block, offset).doing("read", &slot.path)?;
        Ok(is_one_flip(&block, BLOCK_HEAD + header.payload_len as usize, header.payload_crc))
    }

    fn search(
        &self,
        slot: &Slot,
        from: u64,
        each: &mut dyn FnMut(&BlockHeader, u64),
    ) -> Result<(), StoreError> {
        let len = SEARCH_LEN.min(slot.capacity - from);
        let mut octets = vec![0; usize::try_from(len).unwrap_or(0)];
        slot.file.read_at(&mut octets, from).doing("read", &slot.path)?;
        for (page, head) in octets.chunks(PAGE).enumerate() {
            if let Some((header, _)) = self.decode(slot, head)? {
                each(&header, from + (page * PAGE) as u64);
            }
        }
        Ok(())
    }

    /// Says that the next block is missing, and where it should be: there is something left of it, or the place of the
    /// block that proves it, `witness`, tells, or a file is missing. Else it is after the last block that was read.
    fn loss(&self, witness: u64, (of, offset): (&Slot, u64)) -> Result<StoreError, StoreError> {
        let missing = self.found.next_lsn;
        let what = format!("block {missing} cannot be read, but block {witness} says that it was durable");
        let after = self.found.files.last().map(|last| (&*last.slot, last.end));
        let after = after.filter(|(slot, end)| end + BLOCK_HEAD as u64 <= slot.capacity);
        let starts = self.slots.iter().map(|slot| (&**slot, FILE_HEAD));
        for (slot, at) in after.into_iter().chain(starts) {
            if self.has_remains(slot, at)? {
                return Ok(StoreError::corrupt(&slot.path, at, what));
            }
        }
        let is_neighbour = witness == missing + 1;
        let place = match after {
            Some((last, end)) if last.number == of.number => Some((last, end)),
            _ if is_neighbour && offset > FILE_HEAD => Some((of, FILE_HEAD)),
            after => after.filter(|_| self.absent.is_empty()),
        };
        Ok(match (place, self.absent.first()) {
            (Some((slot, at)), _) => StoreError::corrupt(&slot.path, at, what),
            (None, Some(path)) => StoreError::Missing { path: path.clone(), what },
            (None, None) => StoreError::corrupt(&of.path, FILE_HEAD, what),
        })
    }

    /// Whether the next block stands at `offset`, damaged.
    fn has_remains(&self, slot: &Slot, offset: u64) -> Result<bool, StoreError> {
        if offset + BLOCK_HEAD as u64 > slot.capacity {
            return Ok(false);
        }
        let mut head = [0; BLOCK_HEAD];
        slot.file.read_at(&mut head, offset).doing("read", &slot.path)?;
        let stands = self.decode(slot, &head)?.is_some_and(|(header, _)| self.follows(&header));
        Ok(stands || BlockHeader::was_one(&head, self.store, self.found.next_lsn))
    }

    /// Goes on at a block after the damage.
    fn resume(&mut self, slot: &Arc<Slot>, offset: u64, visit: &mut Visit<'_>) -> Result<(), StoreError> {
        let Some((header, _)) = self.header_at(slot, offset)? else { return Ok(()) };
        self.started = false;
        self.found.next_lsn = header.lsn;
        self.read_file(slot, offset, visit)
    }
}
