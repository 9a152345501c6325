//! Encoded and parsed again, every value is what it was.

use lepus_protocol::frame::{FRAME_MAX_MIN, FRAME_OVERHEAD};
use lepus_protocol::method::basic;
use lepus_protocol::{
    ClassId, ContentHeader, FieldTable, Frame, Method, Properties, ShortString, decode, encoder,
};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;

use crate::arbitrary::{channel_id, field_table, parts, property_parts, short_string};

/// All methods of AMQP 0-9-1, RabbitMQ's extensions and class `access`.
const METHODS: usize = 66;

/// The frames of `input`, in pieces of which `pieces` gives the sizes in turn, as a socket might deliver them.
fn frames_in_pieces(input: &[u8], pieces: &[usize], frame_max: u32) -> Result<Vec<String>, TestCaseError> {
    let (mut frames, mut buffer, mut rest) = (Vec::new(), Vec::new(), input);
    for &piece in pieces.iter().cycle() {
        let (head, tail) = rest.split_at(piece.min(rest.len()));
        buffer.extend_from_slice(head);
        rest = tail;
        while let Some((frame, length)) =
            decode(&buffer, frame_max).map_err(|e| TestCaseError::fail(e.to_string()))?
        {
            frames.push(format!("{frame:?}"));
            buffer.drain(..length);
        }
        if rest.is_empty() {
            break;
        }
    }
    prop_assert!(buffer.is_empty(), "half a frame is left");
    Ok(frames)
}

proptest! {
    #![proptest_config(crate::config())]

    #[test]
    fn every_method(parts in parts(), channel in channel_id()) {
        let methods = parts.methods();
        prop_assert_eq!(methods.len(), METHODS);
        for method in methods {
            let mut out = Vec::new();
            method.encode(channel, &mut out);
            let decoded = decode(&out, 0);
            let Ok(Some((Frame::Method { channel: on, payload }, length))) = decoded else {
                return Err(TestCaseError::fail(format!("{method:?} became {decoded:?}")));
            };
            prop_assert_eq!((on, length), (channel, out.len()));
            prop_assert_eq!(Method::parse(payload), Ok(method));
        }
    }

    #[test]
    fn every_method_cut_short_is_an_error(parts in parts(), cut in 1_usize..40) {
        for method in parts.methods() {
            let mut out = Vec::new();
            method.encode(lepus_protocol::ChannelId::CONNECTION, &mut out);
            let payload = &out[7..out.len() - 1];
            let cut = &payload[..payload.len().saturating_sub(cut)];
            prop_assert!(Method::parse(cut).is_err(), "{:?}", method);
        }
    }

    #[test]
    fn field_tables(table in field_table()) {
        let mut out = Vec::new();
        table.encode(&mut out);
        prop_assert_eq!(FieldTable::parse(&out), Ok(table));
    }

    #[test]
    fn properties(parts in property_parts()) {
        let properties = parts.properties();
        let mut raw = Vec::new();
        properties.encode(&mut raw);
        prop_assert_eq!(Properties::parse(&raw), Ok(properties));
        for end in 0..raw.len() {
            prop_assert!(Properties::parse(&raw[..end]).is_err());
        }
    }

    #[test]
    fn content_headers(class in any::<u16>(), body_size in any::<u64>(), properties in vec(any::<u8>(), 0..100)) {
        let header = ContentHeader { class: ClassId::new(class), body_size, properties: &properties };
        let mut out = Vec::new();
        header.encode(&mut out);
        prop_assert_eq!(ContentHeader::parse(&out), Ok(header));
    }

    #[test]
    fn a_frame_cut_anywhere_is_awaited(parts in parts(), channel in channel_id()) {
        for method in parts.methods() {
            let mut out = Vec::new();
            method.encode(channel, &mut out);
            for end in 0..out.len() {
                prop_assert_eq!(decode(&out[..end], 0), Ok(None));
            }
        }
    }

    #[test]
    fn a_stream_is_the_same_in_any_pieces(
        parts in parts(),
        channel in channel_id(),
        body in vec(any::<u8>(), 0..20_000),
        pieces in vec(1_usize..3_000, 1..20),
    ) {
        let mut stream = Vec::new();
        for method in parts.methods() {
            method.encode(channel, &mut stream);
        }
        encoder::content(&mut stream, channel, b"\0\0", &body, FRAME_MAX_MIN);
        encoder::heartbeat(&mut stream);
        let whole = frames_in_pieces(&stream, &[stream.len()], 0)?;
        prop_assert_eq!(frames_in_pieces(&stream, &pieces, 0)?, whole);
    }

    #[test]
    fn a_delivery_is_its_method_and_its_content(
        strings in [short_string(), short_string(), short_string()],
        (tag, redelivered) in any::<(u64, bool)>(),
        channel in channel_id(),
        body in vec(any::<u8>(), 0..1_000),
        frame_max in prop_oneof![Just(0_u32), 9_u32..2_000],
    ) {
        let [consumer_tag, exchange, routing_key] = strings.each_ref().map(ShortString::as_short_str);
        let delivery_tag = lepus_protocol::DeliveryTag::new(tag);
        let method = basic::Deliver { consumer_tag, delivery_tag, redelivered, exchange, routing_key };
        let mut slow = b"before".to_vec();
        Method::from(method.clone()).encode(channel, &mut slow);
        encoder::content(&mut slow, channel, b"\x10\0\x02", &body, frame_max);
        let mut fast = b"before".to_vec();
        encoder::deliver(&mut fast, channel, &method, b"\x10\0\x02", &body, frame_max);
        prop_assert_eq!(fast, slow);
    }

    #[test]
    fn no_body_frame_exceeds_the_limit(body in vec(any::<u8>(), 0..3_000), frame_max in 9_u32..2_000) {
        let channel = lepus_protocol::ChannelId::new(1);
        let mut out = Vec::new();
        encoder::content(&mut out, channel, b"\0\0", &body, frame_max);
        let (mut joined, mut rest) = (Vec::new(), out.as_slice());
        while let Ok(Some((frame, length))) = decode(rest, 0) {
            if let Frame::Body { payload, .. } = frame {
                prop_assert!(payload.len() + FRAME_OVERHEAD <= frame_max as usize);
                joined.extend_from_slice(payload);
            }
            rest = &rest[length..];
        }
        prop_assert!(rest.is_empty());
        prop_assert_eq!(joined, body);
    }
}
