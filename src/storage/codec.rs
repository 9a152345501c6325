//! Little-endian numbers out of and into octets, and the checksum of everything: crc32c.

/// The crc32c of `data`.
pub(super) fn crc(data: &[u8]) -> u32 {
    crc_fast::crc32_iscsi(data)
}

/// Rounds up to a whole number of 4 KiB pages, so that no write touches a page that holds durable octets.
pub(super) const fn page_up(len: u64) -> u64 {
    len.next_multiple_of(PAGE as u64)
}

/// Octets of a page.
pub(super) const PAGE: usize = 4096;

/// A length that fits 32 bits, as all in the formats do; saturates, and a reader refuses the saturated.
pub(super) fn len32(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}

/// Appends numbers to a buffer.
pub(super) trait Put {
    /// Appends 2 octets.
    fn put_u16(&mut self, value: u16);
    /// Appends 4 octets.
    fn put_u32(&mut self, value: u32);
    /// Appends 8 octets.
    fn put_u64(&mut self, value: u64);
}

impl Put for Vec<u8> {
    fn put_u16(&mut self, value: u16) {
        self.extend_from_slice(&value.to_le_bytes());
    }

    fn put_u32(&mut self, value: u32) {
        self.extend_from_slice(&value.to_le_bytes());
    }

    fn put_u64(&mut self, value: u64) {
        self.extend_from_slice(&value.to_le_bytes());
    }
}

/// Takes numbers from the front of octets; `None` when they end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Take<'a>(pub(super) &'a [u8]);

impl<'a> Take<'a> {
    /// The next `len` octets.
    pub(super) fn bytes(&mut self, len: usize) -> Option<&'a [u8]> {
        let (head, tail) = self.0.split_at_checked(len)?;
        self.0 = tail;
        Some(head)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.bytes(N)?.try_into().ok()
    }

    /// The next octet.
    pub(super) fn u8(&mut self) -> Option<u8> {
        self.array::<1>().map(|[value]| value)
    }

    /// The next 2 octets.
    pub(super) fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    /// The next 4 octets.
    pub(super) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    /// The next 8 octets.
    pub(super) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    /// The next 4 octets as a length.
    pub(super) fn len(&mut self) -> Option<usize> {
        self.u32().map(|len| len as usize)
    }

    /// Whether nothing is left.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
