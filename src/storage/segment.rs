//! Segments: messages of one queue that outlived their log file.
//!
//! ```text
//! file   | "LEPUSSEG" | version u32 | queue u64 | number u64 | store u64 | crc u32 | zeros to 4096 | block * |
//! block  | "SBLK" | payload_len u32 | queue u64 | min_seq u64 | max_seq u64 | count u32 | payload_crc u32 |
//!        | store u64 | header_crc u32 | payload | zeros to a multiple of 4096 |
//! entry  | seq u64 | expires_ms u64 | image_len u32 | image |
//! ```
//! A checkpoint says how long a segment is; octets behind that were being written when the machine stopped.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::codec::{PAGE, Put, Take, crc, len32, page_up};
use super::env::{Env, File, OpenMode};
use super::error::{Doing, StoreError, unless_damaged};
use super::names::Names;

const FILE_MAGIC: &[u8; 8] = b"LEPUSSEG";
const VERSION: u32 = 1;
const BLOCK_MAGIC: &[u8; 4] = b"SBLK";
const BLOCK_HEAD: usize = 52;

/// Octets of entries that make a block: what is read at least to get at one message.
const BLOCK_LEN: usize = 64 * 1024;

/// A segment as the index and the checkpoint know it.
#[derive(Clone, Debug, Default)]
pub(super) struct Segment {
    pub(super) number: u64,
    /// Octets that are durable.
    pub(super) len: u64,
    pub(super) min: u64,
    pub(super) max: u64,
    /// Messages written to it.
    pub(super) count: u64,
    /// Its blocks, once somebody read it.
    pub(super) blocks: Option<Arc<Vec<SegmentBlock>>>,
}

/// A block of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SegmentBlock {
    pub(super) offset: u64,
    pub(super) min: u64,
    pub(super) max: u64,
    pub(super) payload_len: u32,
    pub(super) count: u32,
    payload_crc: u32,
}

impl SegmentBlock {
    /// Where the next block starts.
    pub(super) fn end(&self) -> u64 {
        page_up(self.offset + BLOCK_HEAD as u64 + u64::from(self.payload_len))
    }
}

/// A message in a segment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry<'a> {
    pub(super) seq: u64,
    pub(super) expires_ms: u64,
    pub(super) image: &'a [u8],
}

/// The entries of a block's payload.
pub(super) fn entries(payload: &[u8]) -> impl Iterator<Item = Entry<'_>> {
    let mut take = Take(payload);
    std::iter::from_fn(move || {
        let (seq, expires_ms) = (take.u64()?, take.u64()?);
        let len = take.len()?;
        Some(Entry { seq, expires_ms, image: take.bytes(len)? })
    })
}

/// Appends messages to a segment.
#[derive(Debug)]
pub(super) struct SegmentWriter {
    queue: u64,
    store: u64,
    path: PathBuf,
    file: Arc<dyn File>,
    payload: Vec<u8>,
    block: (u64, u64, u32),
    /// What it will be once synced.
    pub(super) segment: Segment,
}

impl SegmentWriter {
    /// Makes a new segment.
    pub(super) fn create(
        env: &dyn Env,
        names: &Names,
        store: u64,
        queue: u64,
        number: u64,
    ) -> Result<Self, StoreError> {
        let path = names.segment(queue, number);
        let file = env.open(&path, OpenMode::Create).doing("create", &path)?;
        file.write_at(&file_head(store, queue, number), 0).doing("write", &path)?;
        let segment = Segment { number, len: PAGE as u64, min: u64::MAX, ..Segment::default() };
        Ok(Self { queue, store, path, file, payload: Vec::new(), block: NO_BLOCK, segment })
    }

    /// Goes on at the end of a segment.
    pub(super) fn append(
        env: &dyn Env,
        names: &Names,
        store: u64,
        queue: u64,
        segment: &Segment,
    ) -> Result<Self, StoreError> {
        let path = names.segment(queue, segment.number);
        let file = env.open(&path, OpenMode::Write).doing("open", &path)?;
        let segment = Segment { blocks: None, ..segment.clone() };
        Ok(Self { queue, store, path, file, payload: Vec::new(), block: NO_BLOCK, segment })
    }

    /// Adds a message.
    pub(super) fn push(&mut self, entry: Entry<'_>) -> Result<(), StoreError> {
        self.payload.put_u64(entry.seq);
        self.payload.put_u64(entry.expires_ms);
        self.payload.put_u32(len32(entry.image.len()));
        self.payload.extend_from_slice(entry.image);
        let (min, max, count) = self.block;
        self.block = (min.min(entry.seq), max.max(entry.seq), count + 1);
        if self.payload.len() >= BLOCK_LEN { self.flush() } else { Ok(()) }
    }

    /// Octets that wait for their block to be full.
    pub(super) fn waiting(&self) -> usize {
        self.payload.len()
    }

    /// Writes what waits as a block.
    pub(super) fn flush(&mut self) -> Result<(), StoreError> {
        if self.payload.is_empty() {
            return Ok(());
        }
        let (min, max, count) = self.block;
        let mut octets = Vec::with_capacity(self.payload.len() + 2 * PAGE);
        octets.extend_from_slice(BLOCK_MAGIC);
        octets.put_u32(len32(self.payload.len()));
        octets.put_u64(self.queue);
        octets.put_u64(min);
        octets.put_u64(max);
        octets.put_u32(count);
        octets.put_u32(crc(&self.payload));
        octets.put_u64(self.store);
        let check = crc(&octets);
        octets.put_u32(check);
        octets.append(&mut self.payload);
        octets.resize(octets.len().next_multiple_of(PAGE), 0);
        self.file.write_at(&octets, self.segment.len).doing("write", &self.path)?;
        self.segment.len += octets.len() as u64;
        self.segment.min = self.segment.min.min(min);
        self.segment.max = self.segment.max.max(max);
        self.segment.count += u64::from(count);
        self.block = NO_BLOCK;
        Ok(())
    }

    /// Makes it all durable; the directory is the caller's to sync.
    pub(super) fn finish(mut self) -> Result<Segment, StoreError> {
        self.flush()?;
        self.file.sync().doing("sync", &self.path)?;
        Ok(self.segment)
    }
}

const NO_BLOCK: (u64, u64, u32) = (u64::MAX, 0, 0);

fn file_head(store: u64, queue: u64, number: u64) -> Vec<u8> {
    let mut out = FILE_MAGIC.to_vec();
    out.put_u32(VERSION);
    out.put_u64(queue);
    out.put_u64(number);
    out.put_u64(store);
    let check = crc(&out);
    out.put_u32(check);
    out.resize(PAGE, 0);
    out
}

/// Reads a segment.
#[derive(Debug)]
pub(super) struct SegmentReader {
    path: PathBuf,
    file: Arc<dyn File>,
    store: u64,
    queue: u64,
}

impl SegmentReader {
    /// Opens the file and checks that it is the one meant.
    pub(super) fn open(
        env: &dyn Env,
        names: &Names,
        store: u64,
        queue: u64,
        number: u64,
    ) -> Result<Self, StoreError> {
        let path = names.segment(queue, number);
        let file = match env.open(&path, OpenMode::Read) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let what = "the checkpoint says that it holds messages".to_owned();
                return Err(StoreError::Missing { path, what });
            }
            opened => opened.doing("open", &path)?,
        };
        let mut head = vec![0; 40];
        if let Err(error) = file.read_at(&mut head, 0) {
            let what = "the file ends within its header";
            let is_cut = error.kind() == ErrorKind::UnexpectedEof;
            return Err(if is_cut {
                StoreError::corrupt(&path, 0, what)
            } else {
                StoreError::io("read", &path, &error)
            });
        }
        let expected = file_head(store, queue, number);
        if head != expected.get(..40).unwrap_or_default() {
            return Err(head_error(&path, &head));
        }
        Ok(Self { path, file, store, queue })
    }

    /// Octets of the file.
    pub(super) fn len(&self) -> Result<u64, StoreError> {
        self.file.len().doing("measure", &self.path)
    }

    /// An error about a place in the file.
    pub(super) fn damage(&self, offset: u64, what: impl Into<String>) -> StoreError {
        StoreError::corrupt(&self.path, offset, what)
    }

    /// Where the first sound block header from `from` on is, or else `end`.
    pub(super) fn find_block(&self, from: u64, end: u64) -> Result<u64, StoreError> {
        for offset in (from..end).step_by(PAGE) {
            if unless_damaged(self.block_at(offset))?.is_some() {
                return Ok(offset);
            }
        }
        Ok(end)
    }

    /// Checks that the file has at least `len` octets.
    pub(super) fn check_len(&self, len: u64) -> Result<(), StoreError> {
        let found = self.file.len().doing("measure", &self.path)?;
        if found < len {
            let what = format!("the file has {found} octets and should have {len}");
            return Err(StoreError::corrupt(&self.path, found, what));
        }
        Ok(())
    }

    /// The blocks up to `len`.
    pub(super) fn blocks(&self, len: u64) -> Result<Vec<SegmentBlock>, StoreError> {
        let mut blocks = Vec::new();
        let mut offset = PAGE as u64;
        while offset < len {
            let block = self.block_at(offset)?;
            offset = block.end();
            blocks.push(block);
        }
        Ok(blocks)
    }

    /// The block at `offset`.
    pub(super) fn block_at(&self, offset: u64) -> Result<SegmentBlock, StoreError> {
        let mut head = [0; BLOCK_HEAD];
        self.file.read_at(&mut head, offset).doing("read", &self.path)?;
        self.decode(&head, offset)
            .ok_or_else(|| StoreError::corrupt(&self.path, offset, "there is no sound block header"))
    }

    fn decode(&self, head: &[u8], offset: u64) -> Option<SegmentBlock> {
        let mut take = Take(head);
        let magic = take.bytes(4)? == BLOCK_MAGIC;
        let payload_len = take.u32()?;
        let (queue, min, max) = (take.u64()?, take.u64()?, take.u64()?);
        let (count, payload_crc, store) = (take.u32()?, take.u32()?, take.u64()?);
        let sound = take.u32()? == crc(head.get(..BLOCK_HEAD - 4)?);
        let ours = queue == self.queue && store == self.store;
        (magic && sound && ours).then_some(SegmentBlock { offset, min, max, payload_len, count, payload_crc })
    }

    /// Seqs and lengths of the messages that a damaged block seems to hold.
    pub(super) fn seeming(&self, block: &SegmentBlock) -> Vec<(u64, u64)> {
        let payload = self.octets(block).unwrap_or_default();
        let within = |entry: &Entry<'_>| (block.min..=block.max).contains(&entry.seq);
        entries(&payload).filter(within).map(|entry| (entry.seq, entry.image.len() as u64)).collect()
    }

    fn octets(&self, block: &SegmentBlock) -> Result<Vec<u8>, StoreError> {
        let mut payload = vec![0; block.payload_len as usize];
        self.file.read_at(&mut payload, block.offset + BLOCK_HEAD as u64).doing("read", &self.path)?;
        Ok(payload)
    }

    /// The payload of a block, verified.
    pub(super) fn payload(&self, block: &SegmentBlock) -> Result<Vec<u8>, StoreError> {
        let payload = self.octets(block)?;
        if crc(&payload) != block.payload_crc {
            return Err(StoreError::corrupt(&self.path, block.offset, "the block's checksum does not hold"));
        }
        Ok(payload)
    }
}

fn head_error(path: &Path, head: &[u8]) -> StoreError {
    let version = head.get(8..12).and_then(|octets| Take(octets).u32()).unwrap_or_default();
    let sealed = head.get(..36).map(crc);
    let sound = head.get(36..).and_then(|octets| Take(octets).u32()) == sealed;
    if sound && version > VERSION {
        return StoreError::Newer { path: path.to_owned(), found: version, known: VERSION };
    }
    StoreError::corrupt(path, 0, "the file's header is not that of this segment")
}
