//! The payload of a header frame, down to its header table. What parses must encode to the very same octets.
//!
//!     cargo +nightly fuzz run content_header fuzz/corpus/content_header fuzz/seeds/content_header
#![no_main]

use lepus_protocol::{ContentHeader, FieldTable, Properties};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|payload: &[u8]| {
    let Ok(header) = ContentHeader::parse(payload) else { return };
    let mut out = Vec::new();
    header.encode(&mut out);
    assert_eq!(out, payload);

    let Ok(properties) = Properties::parse(header.properties) else { return };
    out.clear();
    properties.encode(&mut out);
    assert_eq!(out, header.properties);
    if let Some(headers) = properties.headers {
        let _ = FieldTable::parse(headers);
    }
});
