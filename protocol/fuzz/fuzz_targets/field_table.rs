//! A field table, its length included. What parses must encode to octets that mean the same.
//!
//!     cargo +nightly fuzz run field_table fuzz/corpus/field_table fuzz/seeds/field_table
#![no_main]

use lepus_protocol::FieldTable;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Ok(table) = FieldTable::parse(input) else { return };
    let mut out = Vec::new();
    table.encode(&mut out);
    assert_eq!(out.len(), input.len(), "every type has one length");
    // Debug forms, since a NaN is unlike itself.
    assert_eq!(format!("{:?}", FieldTable::parse(&out)), format!("{:?}", Ok::<_, ()>(table)));
});
