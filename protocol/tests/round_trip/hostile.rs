//! Arbitrary octets, and valid ones with a few changed: never a panic, and what is accepted can be said again.

use lepus_protocol::{ContentHeader, FieldTable, Frame, Method, Properties, ProtocolHeader, decode};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

use crate::arbitrary::{field_table, parts, property_parts};

/// Parses `payload` as a method; if it is one, its encoding must mean the same. (Its octets may differ: reserved
/// arguments and unused bits are dropped.)
fn method(payload: &[u8]) {
    let Ok(method) = Method::parse(payload) else { return };
    let mut out = Vec::new();
    method.encode(lepus_protocol::ChannelId::CONNECTION, &mut out);
    let Ok(Some((Frame::Method { payload, .. }, _))) = decode(&out, 0) else {
        unreachable!("{method:?} encodes to {out:?}");
    };
    // Debug forms, since a NaN in a table is unlike itself.
    assert_eq!(format!("{:?}", Method::parse(payload)), format!("{:?}", Ok::<_, ()>(method)));
}

/// Takes frames off `input` until it ends or is refused, and parses all payloads.
fn stream(mut input: &[u8], frame_max: u32) {
    while let Ok(Some((frame, length))) = decode(input, frame_max) {
        match frame {
            Frame::Method { payload, .. } => method(payload),
            Frame::Header { payload, .. } => header(payload),
            Frame::Body { .. } | Frame::Heartbeat { .. } => {}
        }
        input = input.split_at(length).1;
    }
}

fn header(payload: &[u8]) {
    if let Ok(header) = ContentHeader::parse(payload) {
        properties(header.properties);
    }
}

fn properties(raw: &[u8]) {
    let Ok(properties) = Properties::parse(raw) else { return };
    let mut out = Vec::new();
    properties.encode(&mut out);
    assert_eq!(out, raw);
    properties.headers.map(table);
}

fn table(octets: &[u8]) {
    let Ok(table) = FieldTable::parse(octets) else { return };
    let mut out = Vec::new();
    table.encode(&mut out);
    assert_eq!(format!("{:?}", FieldTable::parse(&out)), format!("{:?}", Ok::<_, ()>(table)));
}

/// `octets` with some of them changed.
fn damaged(mut octets: Vec<u8>, changes: &[(Index, u8)]) -> Vec<u8> {
    for (at, octet) in changes {
        if let Some(slot) = octets.len().checked_sub(1).and_then(|last| octets.get_mut(at.index(last + 1))) {
            *slot = *octet;
        }
    }
    octets
}

fn changes() -> impl Strategy<Value = Vec<(Index, u8)>> {
    vec(any::<(Index, u8)>(), 1..4)
}

proptest! {
    #![proptest_config(crate::config())]

    #[test]
    fn arbitrary_octets(octets in vec(any::<u8>(), 0..2_000), frame_max in prop_oneof![Just(0), any::<u32>()]) {
        stream(&octets, frame_max);
        method(&octets);
        header(&octets);
        properties(&octets);
        table(&octets);
        let _ = ProtocolHeader::parse(&octets);
    }

    #[test]
    fn arbitrary_arguments(
        class in prop::sample::select(vec![10_u8, 20, 30, 40, 50, 60, 85, 90]),
        id in 0..130_u8,
        octets in vec(any::<u8>(), 0..200),
    ) {
        method(&[&[0, class, 0, id], octets.as_slice()].concat());
    }

    #[test]
    fn damaged_frames(parts in parts(), changes in changes()) {
        for method in parts.methods() {
            let mut out = Vec::new();
            method.encode(lepus_protocol::ChannelId::CONNECTION, &mut out);
            stream(&damaged(out, &changes), 131_072);
        }
    }

    #[test]
    fn damaged_tables(fields in field_table(), changes in changes()) {
        let mut out = Vec::new();
        fields.encode(&mut out);
        table(&damaged(out, &changes));
    }

    #[test]
    fn damaged_properties(parts in property_parts(), changes in changes()) {
        let mut out = Vec::new();
        parts.properties().encode(&mut out);
        properties(&damaged(out, &changes));
    }
}
