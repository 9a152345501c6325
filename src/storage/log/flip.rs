//! Tells one flipped bit from octets that were never written.

use super::block::BLOCK_HEAD;
use crate::storage::codec::crc;
use crate::storage::record::{Checksum, first_record};

/// crc32c, bits in the order in which it takes them.
const POLYNOMIAL: u32 = 0x82F6_3B78;

/// What a disk writes as a whole or not at all.
const SECTOR: usize = 512;

/// Whether the block's payload is one of whole records but for one flipped bit. `block` is all of it, from its header
/// to the end of its last page; the payload ends at `end`. What a torn write leaves is no such payload: its sectors are
/// old ones, and then the records' own checksums do not hold either. But of the payload's last sector few octets may
/// count, which differ by one bit from old ones.
pub(super) fn is_one_flip(block: &[u8], end: usize, expected_crc: u32) -> bool {
    let Some(payload) = block.get(BLOCK_HEAD..end) else { return false };
    flipped_octet(payload, expected_crc).is_some_and(|at| !is_old_sector(block, BLOCK_HEAD + at, end))
}

/// Whether the sector at `at` cannot have been written with this block: it would have zeros behind the payload. Or it
/// looks as if nothing was ever written there.
fn is_old_sector(block: &[u8], at: usize, end: usize) -> bool {
    let start = at - at % SECTOR;
    let is_zero = |octets: &[u8]| octets.iter().all(|octet| *octet == 0);
    let sector = block.get(start..start + SECTOR).unwrap_or_default();
    let padding = sector.get(end.saturating_sub(start)..).unwrap_or_default();
    is_zero(sector) || !is_zero(padding)
}

/// Where the one bit is without which `payload` is one of whole records.
fn flipped_octet(payload: &[u8], expected_crc: u32) -> Option<usize> {
    let bit = flipped_bit(crc(payload) ^ expected_crc, payload.len())?;
    let mut mended = payload.to_vec();
    if let Some(octet) = mended.get_mut(bit / 8) {
        *octet ^= 1 << (bit % 8);
    }
    let mut rest = mended.as_slice();
    while !rest.is_empty() {
        let (_, len) = first_record(rest, Checksum::Verify).ok()?;
        rest = rest.get(len..).unwrap_or_default();
    }
    Some(bit / 8)
}

/// The bit whose flip changes the checksum of `len` octets by `difference`. A checksum is linear: the last bit changes
/// it by the polynomial, and each one before by what the next one does, taken one step further.
fn flipped_bit(difference: u32, len: usize) -> Option<usize> {
    let mut change = POLYNOMIAL;
    for bit in (0..len * 8).rev() {
        if change == difference {
            return Some(bit);
        }
        change = if change & 1 == 1 { (change >> 1) ^ POLYNOMIAL } else { change >> 1 };
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::codec::PAGE;
    use crate::storage::id::{QueueId, Seq};
    use crate::storage::record::{Placement, Record};

    fn records() -> Vec<u8> {
        let mut octets = Vec::new();
        for queue in 0..20 {
            Record::QueueDelete { queue: QueueId(queue) }.encode(&mut octets);
        }
        octets
    }

    /// A block on its page, and where its payload ends.
    fn block(payload: &[u8]) -> (Vec<u8>, usize) {
        let mut block = vec![7; BLOCK_HEAD];
        block.extend_from_slice(payload);
        let end = block.len();
        block.resize(end.next_multiple_of(PAGE), 0);
        (block, end)
    }

    #[test]
    fn every_flipped_bit_is_found() {
        let octets = records();
        for bit in 0..octets.len() * 8 {
            let mut flipped = octets.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(flipped_bit(crc(&flipped) ^ crc(&octets), octets.len()), Some(bit));
            let (block, end) = block(&flipped);
            assert!(is_one_flip(&block, end, crc(&octets)), "bit {bit}");
        }
    }

    #[test]
    fn what_was_not_written_is_no_flip() {
        let octets = records();
        for start in 0..octets.len() - 1 {
            let mut torn = octets.clone();
            torn[start..].fill(0);
            let (block, end) = block(&torn);
            assert!(torn == octets || !is_one_flip(&block, end, crc(&octets)), "from {start}");
        }
    }

    #[test]
    fn an_old_sector_that_differs_by_one_bit_is_no_flip() {
        // One octet of the message is in the second sector.
        let mut octets = Vec::new();
        let placements = [Placement { queue: QueueId(1), seq: Seq(1), expires_ms: 0 }];
        let record = |image: &[u8], out: &mut Vec<u8>| {
            out.clear();
            Record::Publish { placements: &placements, image }.encode(out);
        };
        record(b"", &mut octets);
        let mut image = vec![1; SECTOR + 1 - BLOCK_HEAD - octets.len()];
        *image.last_mut().unwrap() = 4;
        record(&image, &mut octets);
        let (whole, end) = block(&octets);
        assert_eq!(end, SECTOR + 1);
        let found = |old: u8, behind: u8| {
            let mut block = whole.clone();
            block[SECTOR] = old;
            block[SECTOR + 1..].fill(behind);
            is_one_flip(&block, end, crc(&octets))
        };
        assert!(found(5, 0), "a flipped bit");
        assert!(!found(0, 0), "never written");
        assert!(!found(5, 9), "of another block");
    }
}
