//! Content headers and properties.

use lepus_protocol::{ClassId, ContentHeader, FieldTable, FieldValue, HeaderError, Properties, ShortStr};

fn both_ways(raw: &[u8], properties: Properties<'_>) {
    assert_eq!(Properties::parse(raw), Ok(properties));
    let mut out = Vec::new();
    properties.encode(&mut out);
    assert_eq!(out, raw);
}

fn short(text: &str) -> Option<ShortStr<'_>> {
    Some(ShortStr::truncated(text))
}

#[test]
fn no_properties() {
    both_ways(b"\0\0", Properties::default());
}

#[test]
fn every_property_alone() {
    let none = Properties::default();
    both_ways(b"\x80\0\x01a", Properties { content_type: short("a"), ..none });
    both_ways(b"\x40\0\x01a", Properties { content_encoding: short("a"), ..none });
    both_ways(b"\x20\0\0\0\0\0", Properties { headers: Some(b"\0\0\0\0"), ..none });
    both_ways(b"\x10\0\x02", Properties { delivery_mode: Some(2), ..none });
    both_ways(b"\x08\0\x09", Properties { priority: Some(9), ..none });
    both_ways(b"\x04\0\x01a", Properties { correlation_id: short("a"), ..none });
    both_ways(b"\x02\0\x01a", Properties { reply_to: short("a"), ..none });
    both_ways(b"\x01\0\x01a", Properties { expiration: short("a"), ..none });
    both_ways(b"\0\x80\x01a", Properties { message_id: short("a"), ..none });
    both_ways(b"\0\x40\0\0\0\0eS\xF1\0", Properties { timestamp: Some(1_700_000_000), ..none });
    both_ways(b"\0\x20\x01a", Properties { kind: short("a"), ..none });
    both_ways(b"\0\x10\x01a", Properties { user_id: short("a"), ..none });
    both_ways(b"\0\x08\x01a", Properties { app_id: short("a"), ..none });
    both_ways(b"\0\x04\x01a", Properties { cluster_id: short("a"), ..none });
}

/// Recorded from pika.
#[test]
fn a_clients_header() {
    let payload =
        b"\0<\0\0\0\0\0\0\0\0\0\x05\xBF\xF8\x0Atext/plain\0\0\0:\x01nI\0\0\0\x01\x03bigl\0\0\x01\0\0\0\0\0\
        \x01sS\0\0\0\x01x\x01tt\x01\x01lA\0\0\0\x0CI\0\0\0\x01S\0\0\0\x01aV\x01dF\0\0\0\0\x02\x05\x01c\x01r\
        \x041000\x01m\0\0\0\0eS\xF1\0\x01T\x05guest\x03app";
    let header = ContentHeader { class: ClassId::BASIC, body_size: 5, properties: &payload[12..] };
    assert_eq!(ContentHeader::parse(payload), Ok(header));
    let mut out = Vec::new();
    header.encode(&mut out);
    assert_eq!(out, payload);

    let headers = &payload[25..87];
    both_ways(
        header.properties,
        Properties {
            content_type: short("text/plain"),
            content_encoding: None,
            headers: Some(headers),
            delivery_mode: Some(2),
            priority: Some(5),
            correlation_id: short("c"),
            reply_to: short("r"),
            expiration: short("1000"),
            message_id: short("m"),
            timestamp: Some(1_700_000_000),
            kind: short("T"),
            user_id: short("guest"),
            app_id: short("app"),
            cluster_id: None,
        },
    );
    let mut expected = FieldTable::new();
    expected.insert("n", 1);
    expected.insert("big", 1_i64 << 40);
    expected.insert("s", "x");
    expected.insert("t", true);
    expected.insert("l", vec![1.into(), "a".into(), FieldValue::Void]);
    expected.insert("d", FieldTable::new());
    assert_eq!(FieldTable::parse(headers), Ok(expected));
}

#[test]
fn a_header_is_delimited_before_its_properties_are_looked_at() {
    let nonsense = b"\0\x3C\0\0\0\0\0\0\0\0\x01\0\xFF";
    let header = ContentHeader { class: ClassId::BASIC, body_size: 256, properties: b"\xFF" };
    assert_eq!(ContentHeader::parse(nonsense), Ok(header));
    assert_eq!(ContentHeader::parse(&nonsense[..11]), Err(HeaderError::Truncated));
    assert_eq!(ContentHeader::parse(b"\0\x3C\0\x01\0\0\0\0\0\0\0\0\0\0"), Err(HeaderError::Weight(1)));
}

#[test]
fn a_header_table_is_delimited_but_not_parsed() {
    let raw = b"\x20\0\0\0\0\x03\x01k?";
    assert_eq!(Properties::parse(raw).map(|properties| properties.headers), Ok(Some(&raw[2..])));
    assert_eq!(Properties::parse(&raw[..8]), Err(HeaderError::Truncated));
    assert_eq!(Properties::parse(b"\x20\0\xFF\xFF\xFF\xFFabc"), Err(HeaderError::Truncated));
}

#[test]
fn malformed_properties_are_refused() {
    assert_eq!(Properties::parse(b""), Err(HeaderError::Truncated));
    assert_eq!(Properties::parse(b"\0"), Err(HeaderError::Truncated));
    assert_eq!(Properties::parse(b"\x80\0\x05four"), Err(HeaderError::Truncated));
    assert_eq!(Properties::parse(b"\x10\0"), Err(HeaderError::Truncated));
    assert_eq!(Properties::parse(b"\0\x40\0\0\0\0\0\0\0"), Err(HeaderError::Truncated));
    assert_eq!(Properties::parse(b"\0\0x"), Err(HeaderError::Trailing(1)));
}

#[test]
fn flags_without_a_property_are_refused() {
    // 1 would announce another flag word, 2 is free.
    assert_eq!(Properties::parse(b"\0\x01\0\0"), Err(HeaderError::UnknownFlags(1)));
    assert_eq!(Properties::parse(b"\0\x02"), Err(HeaderError::UnknownFlags(2)));
}
