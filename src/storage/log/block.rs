//! The header of a log file and of a block.
//!
//! ```text
//! file   | "LEPUSLOG" | version u32 | slot u32 | file_len u64 | store u64 | crc u32 | zeros to 4096 |
//! block  | magic u32 | version u16 | flags u16 | lsn u64 | synced u64 | store u64 | epoch u32 |
//!        | payload_len u32 | records u32 | prev u32 | payload_crc u32 | zero u64 | header_crc u32 | payload |
//! ```
//! A block starts on a 4096-octet boundary.

use crate::storage::codec::{PAGE, Put, Take, crc};

/// Octets of a block's header.
pub(in crate::storage) const BLOCK_HEAD: usize = 64;

/// Octets of a log file's header.
pub(in crate::storage) const FILE_HEAD: u64 = PAGE as u64;

/// The version of the formats in this module.
pub(in crate::storage) const LOG_VERSION: u16 = 1;

const BLOCK_MAGIC: u32 = u32::from_le_bytes(*b"LBLK");
const FILE_MAGIC: &[u8; 8] = b"LEPUSLOG";

/// The record that ends this block goes on in the next.
pub(in crate::storage) const CONTINUES: u16 = 1;
/// This block starts with the rest of a record.
pub(in crate::storage) const CONTINUATION: u16 = 2;

/// The store was closed in order after this block, which holds nothing.
pub(in crate::storage) const CLOSED: u16 = 4;

/// The header of a block.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::storage) struct BlockHeader {
    pub(in crate::storage) flags: u16,
    /// Number of the block, from 1, without gaps.
    pub(in crate::storage) lsn: u64,
    /// The highest lsn that was known to be on disk when this was written: damage up to there is no torn tail.
    pub(in crate::storage) synced: u64,
    /// The store's random number, so that no message body can look like a block.
    pub(in crate::storage) store: u64,
    /// How often the store was opened.
    pub(in crate::storage) epoch: u32,
    pub(in crate::storage) payload_len: u32,
    pub(in crate::storage) records: u32,
    /// The header checksum of the block before.
    pub(in crate::storage) prev: u32,
    pub(in crate::storage) payload_crc: u32,
}

/// Why octets are no block header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::storage) enum NoBlock {
    Damaged,
    Version(u16),
}

impl BlockHeader {
    /// The octets, checksum included, and the checksum.
    pub(in crate::storage) fn encode(&self) -> (Vec<u8>, u32) {
        let mut out = Vec::with_capacity(BLOCK_HEAD);
        out.put_u32(BLOCK_MAGIC);
        out.put_u16(LOG_VERSION);
        out.put_u16(self.flags);
        out.put_u64(self.lsn);
        out.put_u64(self.synced);
        out.put_u64(self.store);
        out.put_u32(self.epoch);
        out.put_u32(self.payload_len);
        out.put_u32(self.records);
        out.put_u32(self.prev);
        out.put_u32(self.payload_crc);
        out.put_u64(0);
        let check = crc(&out);
        out.put_u32(check);
        (out, check)
    }

    /// The header in `octets` and its checksum.
    pub(in crate::storage) fn decode(octets: &[u8]) -> Result<(Self, u32), NoBlock> {
        let sealed = octets.get(..BLOCK_HEAD - 4).ok_or(NoBlock::Damaged)?;
        let check = octets.get(BLOCK_HEAD - 4..).and_then(|rest| Take(rest).u32());
        let mut take = Take(sealed);
        if take.u32() != Some(BLOCK_MAGIC) || check != Some(crc(sealed)) {
            return Err(NoBlock::Damaged);
        }
        let version = take.u16().unwrap_or_default();
        if version != LOG_VERSION {
            return Err(NoBlock::Version(version));
        }
        let header = Self::take(&mut take).ok_or(NoBlock::Damaged)?;
        Ok((header, crc(sealed)))
    }

    fn take(take: &mut Take<'_>) -> Option<Self> {
        Some(Self {
            flags: take.u16()?,
            lsn: take.u64()?,
            synced: take.u64()?,
            store: take.u64()?,
            epoch: take.u32()?,
            payload_len: take.u32()?,
            records: take.u32()?,
            prev: take.u32()?,
            payload_crc: take.u32()?,
        })
    }

    /// Whether octets that are no header were one of this store with this lsn, but for a flipped bit. No other octets
    /// look so: nobody outside knows the store's number.
    pub(in crate::storage) fn was_one(octets: &[u8], store: u64, lsn: u64) -> bool {
        let mut take = Take(octets.get(8..BLOCK_HEAD).unwrap_or_default());
        let differs =
            |found: Option<u64>, meant: u64| found.is_none_or(|found| (found ^ meant).count_ones() > 1);
        let (found_lsn, _synced, found_store) = (take.u64(), take.u64(), take.u64());
        Self::decode(octets) == Err(NoBlock::Damaged)
            && !differs(found_lsn, lsn)
            && !differs(found_store, store)
    }

    /// Octets of header and payload.
    pub(in crate::storage) fn len(&self) -> u64 {
        BLOCK_HEAD as u64 + u64::from(self.payload_len)
    }
}

/// The first page of a log file.
pub(in crate::storage) fn encode_file_head(slot: u32, file_len: u64, store: u64) -> Vec<u8> {
    let mut out = FILE_MAGIC.to_vec();
    out.put_u32(u32::from(LOG_VERSION));
    out.put_u32(slot);
    out.put_u64(file_len);
    out.put_u64(store);
    let check = crc(&out);
    out.put_u32(check);
    out.resize(PAGE, 0);
    out
}

/// The store's number in a log file's first page, if that is sound.
pub(in crate::storage) fn store_of(octets: &[u8]) -> Option<u64> {
    let mut take = Take(octets);
    let magic = take.bytes(8)? == FILE_MAGIC;
    let (_version, _slot, _len, store) = (take.u32()?, take.u32()?, take.u64()?, take.u64()?);
    (magic && take.u32()? == crc(octets.get(..32)?)).then_some(store)
}

/// Version and file length of a log file's first page; `None` if it is not one of this slot and store.
pub(in crate::storage) fn decode_file_head(octets: &[u8], slot: u32, store: u64) -> Option<(u32, u64)> {
    let mut take = Take(octets);
    let magic = take.bytes(8)? == FILE_MAGIC;
    let (version, found, file_len, of) = (take.u32()?, take.u32()?, take.u64()?, take.u64()?);
    let check = take.u32()? == crc(octets.get(..32)?);
    (magic && check && found == slot && of == store).then_some((version, file_len))
}
