//! A connection's first octets as a server sees them: protocol header, frames, payloads.
//!
//!     cargo +nightly fuzz run frame_stream fuzz/corpus/frame_stream fuzz/seeds/frame_stream
//!
//! The first four octets of the input are `frame_max`; the rest is the stream.
#![no_main]

use lepus_protocol::frame::FRAME_OVERHEAD;
use lepus_protocol::{ContentHeader, Frame, Method, ProtocolHeader, decode};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some((frame_max, stream)) = input.split_first_chunk() else { return };
    let rest = match ProtocolHeader::parse(stream) {
        Ok(Some(_)) => &stream[ProtocolHeader::LENGTH..],
        Ok(None) | Err(_) => stream,
    };
    frames(rest, u32::from_be_bytes(*frame_max));
});

/// Takes frames off until the stream ends or is refused.
fn frames(mut stream: &[u8], frame_max: u32) {
    while let Ok(Some((frame, length))) = decode(stream, frame_max) {
        assert!(frame_max == 0 || length <= frame_max as usize + FRAME_OVERHEAD);
        assert_eq!(decode(&stream[..length - 1], frame_max), Ok(None), "whole without its last octet");
        assert_eq!(
            decode(&stream[..length], frame_max),
            Ok(Some((frame, length))),
            "depends on what follows"
        );
        parse_payload(frame);
        stream = &stream[length..];
    }
}

fn parse_payload(frame: Frame<'_>) {
    match frame {
        Frame::Method { payload, .. } => drop(Method::parse(payload)),
        Frame::Header { payload, .. } => drop(ContentHeader::parse(payload)),
        Frame::Body { .. } | Frame::Heartbeat { .. } => {}
    }
}
