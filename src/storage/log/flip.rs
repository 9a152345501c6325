//! Tells one flipped bit from octets that were never written.

use crate::storage::codec::crc;
use crate::storage::record::{Checksum, first_record};

/// crc32c, bits in the order in which it takes them.
const POLYNOMIAL: u32 = 0x82F6_3B78;

/// Whether `payload` is one of whole records but for one flipped bit. What a torn write leaves is not: its sectors are
/// old ones, and then the records' own checksums do not hold either.
pub(super) fn is_one_flip(payload: &[u8], expected_crc: u32) -> bool {
    let Some(bit) = flipped_bit(crc(payload) ^ expected_crc, payload.len()) else { return false };
    let mut mended = payload.to_vec();
    if let Some(octet) = mended.get_mut(bit / 8) {
        *octet ^= 1 << (bit % 8);
    }
    let mut rest = mended.as_slice();
    while !rest.is_empty() {
        let Ok((_, len)) = first_record(rest, Checksum::Verify) else { return false };
        rest = rest.get(len..).unwrap_or_default();
    }
    true
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
    use crate::storage::id::QueueId;
    use crate::storage::record::Record;

    fn records() -> Vec<u8> {
        let mut octets = Vec::new();
        for queue in 0..20 {
            Record::QueueDelete { queue: QueueId(queue) }.encode(&mut octets);
        }
        octets
    }

    #[test]
    fn every_flipped_bit_is_found() {
        let octets = records();
        for bit in 0..octets.len() * 8 {
            let mut flipped = octets.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(flipped_bit(crc(&flipped) ^ crc(&octets), octets.len()), Some(bit));
            assert!(is_one_flip(&flipped, crc(&octets)), "bit {bit}");
        }
    }

    #[test]
    fn what_was_not_written_is_no_flip() {
        let octets = records();
        for start in 0..octets.len() - 1 {
            let mut torn = octets.clone();
            torn[start..].fill(0);
            assert!(torn == octets || !is_one_flip(&torn, crc(&octets)), "from {start}");
        }
    }
}
