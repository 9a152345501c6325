//! Records out of blocks, those that span several included.

use std::path::Path;
use std::sync::Arc;

use super::block::{BLOCK_HEAD, BlockHeader, CONTINUATION, CONTINUES};
use crate::storage::codec::Take;
use crate::storage::error::StoreError;
use crate::storage::record::{Checksum, Claim, KINDS_KNOWN, Unreadable, View, claims, first_record};

/// Octets of a log file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::storage) struct Span {
    pub(in crate::storage) slot: u32,
    pub(in crate::storage) offset: u32,
    pub(in crate::storage) len: u32,
}

/// Where a record is in the log.
#[derive(Clone, Debug)]
pub(in crate::storage) enum Place {
    /// Within a block.
    Span(Span),
    /// In the payloads of blocks of its own.
    Parts(Arc<[Span]>),
}

impl Place {
    /// The span with which it begins.
    pub(in crate::storage) fn first(&self) -> Option<Span> {
        match self {
            Self::Span(span) => Some(*span),
            Self::Parts(parts) => parts.first().copied(),
        }
    }

    /// Its spans in order.
    pub(in crate::storage) fn spans(&self) -> &[Span] {
        match self {
            Self::Span(span) => std::slice::from_ref(span),
            Self::Parts(parts) => parts,
        }
    }
}

/// A block at hand.
#[derive(Clone, Copy, Debug)]
pub(in crate::storage) struct BlockAt<'a> {
    pub(in crate::storage) header: BlockHeader,
    pub(in crate::storage) slot: u32,
    /// Where its header starts in the file.
    pub(in crate::storage) offset: u64,
    pub(in crate::storage) payload: &'a [u8],
    /// Whether the payload's checksum holds.
    pub(in crate::storage) is_sound: bool,
}

/// Holds the beginning of a record until its end comes.
#[derive(Debug, Default)]
pub(in crate::storage) struct Assembler {
    record: Vec<u8>,
    parts: Vec<Span>,
    /// The block with what follows.
    next_lsn: u64,
}

impl Assembler {
    /// Whether a record has begun and not ended.
    pub(in crate::storage) fn is_amid(&self) -> bool {
        !self.parts.is_empty()
    }

    /// Takes a block and calls `each` with the records that end in it.
    pub(in crate::storage) fn feed(
        &mut self,
        block: BlockAt<'_>,
        path: &Path,
        each: &mut dyn FnMut(View<'_>, &Place),
    ) -> Result<(), StoreError> {
        self.pass(&block.header);
        if block.header.flags & (CONTINUES | CONTINUATION) != 0 {
            return self.feed_part(block, path, each);
        }
        // A record whose end was torn away: the next block starts anew.
        self.clear();
        let mut at = 0;
        while let Some(rest) = block.payload.get(at..).filter(|rest| !rest.is_empty()) {
            let (view, len) =
                first_record(rest, Checksum::Trust).map_err(|why| unreadable(why, path, &block))?;
            let span = block.span(at, len);
            each(view, &Place::Span(span));
            at += len;
        }
        Ok(())
    }

    fn feed_part(
        &mut self,
        block: BlockAt<'_>,
        path: &Path,
        each: &mut dyn FnMut(View<'_>, &Place),
    ) -> Result<(), StoreError> {
        if block.header.flags & CONTINUATION == 0 {
            self.clear();
        } else if !self.is_amid() {
            // The beginning was in a log file that is no longer needed, or was given up at a restart.
            return Ok(());
        }
        self.record.extend_from_slice(block.payload);
        self.parts.push(block.span(0, block.payload.len()));
        if block.header.flags & CONTINUES == 0 {
            let record = first_record(&self.record, Checksum::Verify);
            let (view, _) = record.map_err(|why| unreadable(why, path, &block))?;
            each(view, &Place::Parts(self.parts.as_slice().into()));
            self.clear();
        }
        Ok(())
    }

    /// Takes a damaged block: the records in it that are sound are used. The others, as offset in the file and length,
    /// and what they seem to hold.
    pub(in crate::storage) fn salvage(
        &mut self,
        block: BlockAt<'_>,
        each: &mut dyn FnMut(View<'_>, &Place),
        lost: &mut Vec<Claim>,
    ) -> Vec<(u64, usize)> {
        self.pass(&block.header);
        let start = block.offset + BLOCK_HEAD as u64;
        if block.header.flags & (CONTINUES | CONTINUATION) != 0 {
            // A record of several blocks: without one of them it is gone. What it is stands in the first.
            let is_first = block.header.flags & CONTINUATION == 0;
            claims(if is_first { block.payload } else { &self.record }, lost);
            self.clear();
            return vec![(start, block.payload.len())];
        }
        self.clear();
        let mut dropped = Vec::new();
        let mut at = 0;
        while let Some(rest) = block.payload.get(at..).filter(|rest| !rest.is_empty()) {
            let len = match first_record(rest, Checksum::Verify) {
                Ok((view, len)) => {
                    each(view, &Place::Span(block.span(at, len)));
                    len
                }
                Err(_) => {
                    let len =
                        Take(rest).len().map_or(rest.len(), |len| len.saturating_add(8)).min(rest.len());
                    claims(rest, lost);
                    dropped.push((start + at as u64, len));
                    len
                }
            };
            at += len;
        }
        dropped
    }

    /// Forgets what had begun before a block that could not be read: its end was there.
    fn pass(&mut self, header: &BlockHeader) {
        if header.lsn != self.next_lsn {
            self.clear();
        }
        self.next_lsn = header.lsn + 1;
    }

    fn clear(&mut self) {
        self.record = Vec::new();
        self.parts.clear();
    }
}

impl BlockAt<'_> {
    fn span(&self, at: usize, len: usize) -> Span {
        let offset = self.offset + (BLOCK_HEAD + at) as u64;
        Span {
            slot: self.slot,
            offset: u32::try_from(offset).unwrap_or(u32::MAX),
            len: u32::try_from(len).unwrap_or(u32::MAX),
        }
    }
}

fn unreadable(why: Unreadable, path: &Path, block: &BlockAt<'_>) -> StoreError {
    match why {
        Unreadable::Damaged => {
            StoreError::corrupt(path, block.offset, "a record of this block is unreadable")
        }
        Unreadable::Kind(kind) => {
            StoreError::UnknownRecord { path: path.to_owned(), kind, known: KINDS_KNOWN }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::codec::{Put, crc};

    #[test]
    fn a_record_of_a_later_release_is_refused_by_its_kind() {
        let kind = KINDS_KNOWN + 1;
        let mut payload = Vec::new();
        payload.put_u32(1);
        payload.put_u32(crc(&[kind]));
        payload.push(kind);
        let header = BlockHeader::default();
        let block = BlockAt { header, slot: 0, offset: 4096, payload: &payload, is_sound: true };
        let error = Assembler::default().feed(block, Path::new("0000.log"), &mut |_, _| {}).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("0000.log has a record of kind 9") && text.contains("kinds up to 8"), "{text}");
        assert!(!error.is_corrupt());
    }
}
