//! The group buffer: records as blocks, ready to be written but for the headers.

use super::block::{BLOCK_HEAD, CONTINUATION, CONTINUES};
use crate::storage::codec::{PAGE, page_up};

/// A block in the buffer, before its header is filled in.
#[derive(Clone, Copy, Debug)]
pub(in crate::storage) struct Draft {
    /// Where its header starts in the buffer; a multiple of the page.
    pub(in crate::storage) start: usize,
    /// Where its payload ends.
    pub(in crate::storage) end: usize,
    pub(in crate::storage) records: u32,
    pub(in crate::storage) flags: u16,
    /// Octets appended to the log up to the end of this block.
    pub(in crate::storage) position: u64,
}

impl Draft {
    /// Octets that the block takes in a file.
    pub(in crate::storage) fn page_len(&self) -> u64 {
        page_up((self.end - self.start) as u64)
    }
}

/// What appenders have added since the last commit.
#[derive(Debug)]
pub(in crate::storage) struct GroupBuffer {
    data: Vec<u8>,
    drafts: Vec<Draft>,
    open: Option<Draft>,
    payload_max: usize,
    position: u64,
    /// Somebody asked that what waits be synced.
    sync: bool,
}

impl GroupBuffer {
    pub(in crate::storage) fn new(payload_max: usize) -> Self {
        Self { data: Vec::new(), drafts: Vec::new(), open: None, payload_max, position: 0, sync: false }
    }

    /// Octets appended since the store was opened.
    pub(in crate::storage) fn position(&self) -> u64 {
        self.position
    }

    /// Octets waiting.
    pub(in crate::storage) fn waiting(&self) -> usize {
        self.data.len()
    }

    pub(in crate::storage) fn is_empty(&self) -> bool {
        self.data.is_empty()
    }

    /// What waits is to be synced when it is written.
    pub(in crate::storage) fn ask_sync(&mut self) {
        self.sync = true;
    }

    /// Adds a record of `len` octets that `encode` appends.
    pub(in crate::storage) fn push(&mut self, len: usize, encode: impl FnOnce(&mut Vec<u8>)) {
        if self.open.is_some_and(|open| self.data.len() - open.start - BLOCK_HEAD + len > self.payload_max) {
            self.close(0);
        }
        if len > self.payload_max {
            return self.push_large(len, encode);
        }
        if self.open.is_none() {
            self.begin(0);
        }
        encode(&mut self.data);
        self.position += len as u64;
        if let Some(open) = &mut self.open {
            open.records += 1;
        }
    }

    /// A record larger than a block goes into blocks of its own; only the last ends it.
    fn push_large(&mut self, len: usize, encode: impl FnOnce(&mut Vec<u8>)) {
        let mut record = Vec::with_capacity(len);
        encode(&mut record);
        self.position += record.len() as u64;
        let parts = record.chunks(self.payload_max);
        let last = parts.len() - 1;
        for (at, part) in parts.enumerate() {
            self.begin(if at > 0 { CONTINUATION } else { 0 });
            self.data.extend_from_slice(part);
            self.close(if at < last { CONTINUES } else { 0 });
        }
    }

    fn begin(&mut self, flags: u16) {
        let start = self.data.len();
        self.data.resize(start + BLOCK_HEAD, 0);
        self.open = Some(Draft { start, end: start, records: 0, flags, position: 0 });
    }

    fn close(&mut self, flags: u16) {
        let Some(mut draft) = self.open.take() else { return };
        draft.end = self.data.len();
        draft.flags |= flags;
        draft.position = self.position;
        self.drafts.push(draft);
        self.data.resize(self.data.len().next_multiple_of(PAGE), 0);
    }

    /// Takes all that waits, and gives `spare` for what comes next.
    pub(in crate::storage) fn take(&mut self, spare: Group) -> Group {
        self.close(0);
        let mut group = spare;
        group.clear();
        std::mem::swap(&mut self.data, &mut group.data);
        std::mem::swap(&mut self.drafts, &mut group.drafts);
        group.sync = std::mem::take(&mut self.sync);
        group
    }
}

/// Capacity that an emptied group keeps; more is given back, so that one burst is not held for ever.
const SPARE_MAX: usize = 4 * 1024 * 1024;

/// Blocks on their way to the log.
#[derive(Debug, Default)]
pub(in crate::storage) struct Group {
    pub(in crate::storage) data: Vec<u8>,
    pub(in crate::storage) drafts: Vec<Draft>,
    /// It is durable once it is synced; otherwise once it is written.
    pub(in crate::storage) sync: bool,
}

impl Group {
    fn clear(&mut self) {
        self.data.clear();
        self.data.shrink_to(SPARE_MAX);
        self.drafts.clear();
    }

    /// Splits the blocks into batches of about `len` octets that end where a record ends.
    pub(in crate::storage) fn batches(&self, len: usize) -> Vec<std::ops::Range<usize>> {
        let mut batches = Vec::new();
        let (mut first, mut size) = (0, 0);
        for (at, draft) in self.drafts.iter().enumerate() {
            size += draft.end - draft.start;
            if draft.flags & CONTINUES == 0 && size >= len {
                batches.push(first..at + 1);
                (first, size) = (at + 1, 0);
            }
        }
        if first < self.drafts.len() {
            batches.push(first..self.drafts.len());
        }
        batches
    }
}
