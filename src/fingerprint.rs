//! What messages are told apart by where duplicates are not wanted: their header `x-deduplication-header` (RabbitMQ's
//! plugin), as 128 bits that stand for it whatever its length.

use lepus_protocol::{FieldTable, FieldValue, Properties};
use twox_hash::XxHash3_128;

/// The header.
const HEADER: &str = "x-deduplication-header";

/// Stands for the header's value. Equal for equal values, integers of any width among them.
///
/// Octets and no number: one of 128 bits would leave a quarter of each entry of a table unused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Fingerprint([u8; Self::LEN]);

impl Fingerprint {
    /// Octets of one.
    pub const LEN: usize = 16;

    /// Its octets, to be kept.
    pub fn to_octets(self) -> [u8; Self::LEN] {
        self.0
    }

    /// The fingerprint of which [`Self::to_octets`] gave these.
    pub fn from_octets(octets: [u8; Self::LEN]) -> Self {
        Self(octets)
    }

    /// The fingerprint of a message with these headers; `None` if it cannot be told apart.
    pub fn of_headers(headers: &FieldTable) -> Option<Self> {
        headers.get(HEADER).map(Self::of_value)
    }

    /// The fingerprint of a message with these raw properties.
    pub fn of_properties(raw: &[u8]) -> Option<Self> {
        let headers = Properties::parse(raw).ok()?.headers?;
        Self::of_headers(&FieldTable::parse(headers).ok()?)
    }

    fn of_value(value: &FieldValue) -> Self {
        let mut table = FieldTable::new();
        match value.as_integer() {
            Some(number) => table.insert(HEADER, number),
            None => table.insert(HEADER, value.clone()),
        }
        let mut encoded = Vec::new();
        table.encode(&mut encoded);
        Self(XxHash3_128::oneshot(&encoded).to_le_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(value: impl Into<FieldValue>) -> Option<Fingerprint> {
        let mut headers = FieldTable::new();
        headers.insert(HEADER, value);
        Fingerprint::of_headers(&headers)
    }

    #[test]
    fn equal_values_have_one_fingerprint_and_others_differ() {
        assert_eq!(of("a"), of("a"));
        assert_eq!(of(1_i32), of(1_i64));
        assert!(of("1") != of(1_i32) && of("a") != of("b") && of(true) != of(1_i32));
        assert_eq!(Fingerprint::of_headers(&FieldTable::new()), None);
        assert_eq!(Fingerprint::of_properties(&[0, 0]), None);
    }
}
