//! Frames, their limits, and the octets before the first of them.

use lepus_protocol::frame::{FRAME_HEADER_SIZE, FRAME_MAX_MIN};
use lepus_protocol::method::basic;
use lepus_protocol::{
    ChannelId, DeliveryTag, Frame, FrameError, NotAmqp, PROTOCOL_HEADER, ProtocolHeader, ShortStr, decode,
    encoder,
};

const CHANNEL: ChannelId = ChannelId::new(1);

/// Recorded from RabbitMQ: a message delivered.
const DELIVERY: &[u8] = b"\x01\0\x01\0\0\0\x17\0<\0<\x03tag\0\0\0\0\0\0\0\x01\0\0\x04jobs\xCE\
    \x02\0\x01\0\0\0\x0F\0<\0\0\0\0\0\0\0\0\0\x05\x10\0\x02\xCE\
    \x03\0\x01\0\0\0\x05hello\xCE";

fn deliver_method() -> basic::Deliver<'static> {
    basic::Deliver {
        consumer_tag: ShortStr::truncated("tag"),
        delivery_tag: DeliveryTag::new(1),
        redelivered: false,
        exchange: ShortStr::EMPTY,
        routing_key: ShortStr::truncated("jobs"),
    }
}

/// All frames of `input`, which must hold nothing else.
fn frames(mut input: &[u8], frame_max: u32) -> Vec<Frame<'_>> {
    let mut frames = Vec::new();
    while let Ok(Some((frame, length))) = decode(input, frame_max) {
        frames.push(frame);
        input = input.split_at(length).1;
    }
    assert!(input.is_empty(), "half a frame is left: {input:?}");
    frames
}

#[test]
fn a_delivery_as_rabbitmq_sends_it() {
    let mut out = Vec::new();
    encoder::deliver(&mut out, CHANNEL, &deliver_method(), b"\x10\0\x02", b"hello", 131_072);
    assert_eq!(out, DELIVERY);
    assert_eq!(out.capacity(), out.len(), "one reservation, of the very size");
}

#[test]
fn a_stream_of_frames() {
    assert_eq!(
        frames(DELIVERY, 131_072),
        [
            Frame::Method { channel: CHANNEL, payload: b"\0<\0<\x03tag\0\0\0\0\0\0\0\x01\0\0\x04jobs" },
            Frame::Header { channel: CHANNEL, payload: b"\0<\0\0\0\0\0\0\0\0\0\x05\x10\0\x02" },
            Frame::Body { channel: CHANNEL, payload: b"hello" },
        ]
    );
}

#[test]
fn a_heartbeat() {
    let mut out = Vec::new();
    encoder::heartbeat(&mut out);
    assert_eq!(out, b"\x08\0\0\0\0\0\0\xCE");
    assert_eq!(decode(&out, 0), Ok(Some((Frame::Heartbeat { channel: ChannelId::CONNECTION }, 8))));
    // Its channel is for the connection to judge, so that it can close with the right code.
    let channel = ChannelId::new(1);
    assert_eq!(decode(b"\x08\0\x01\0\0\0\0\xCE", 0), Ok(Some((Frame::Heartbeat { channel }, 8))));
    assert_eq!(decode(b"\x08\0\0\0\0\0\x01x\xCE", 0), Err(FrameError::HeartbeatPayload(1)));
}

#[test]
fn a_body_is_cut_to_fit_the_frames() {
    let body: Vec<u8> = (0..=255).cycle().take(10_000).collect();
    let mut out = Vec::new();
    encoder::content(&mut out, CHANNEL, b"\0\0", &body, FRAME_MAX_MIN);

    let parts: Vec<&[u8]> = frames(&out, FRAME_MAX_MIN)
        .into_iter()
        .filter_map(|frame| if let Frame::Body { payload, .. } = frame { Some(payload) } else { None })
        .collect();
    assert_eq!(parts.iter().map(|part| part.len()).collect::<Vec<_>>(), [4088, 4088, 1824]);
    assert_eq!(parts.concat(), body);
}

#[test]
fn an_empty_body_has_no_frame() {
    let mut out = Vec::new();
    encoder::content(&mut out, CHANNEL, b"\0\0", b"", FRAME_MAX_MIN);
    assert_eq!(out, b"\x02\0\x01\0\0\0\x0E\0\x3C\0\0\0\0\0\0\0\0\0\0\0\0\xCE");
}

#[test]
fn without_a_limit_a_body_is_one_frame() {
    let body = vec![7; 300_000];
    let mut out = Vec::new();
    encoder::content(&mut out, CHANNEL, b"\0\0", &body, 0);
    assert_eq!(frames(&out, 0).last(), Some(&Frame::Body { channel: CHANNEL, payload: &body }));
}

#[test]
fn a_senseless_limit_still_makes_progress() {
    let mut out = Vec::new();
    encoder::deliver(&mut out, CHANNEL, &deliver_method(), b"\0\0", b"abc", 8);
    assert_eq!(frames(&out, 0).len(), 5, "one octet to a frame");
}

#[test]
fn the_type_is_checked_as_soon_as_it_is_there() {
    assert_eq!(decode(b"", 0), Ok(None));
    for kind in [0, 4, 5, 6, 7, 9, b'A', 255] {
        assert_eq!(decode(&[kind], 0), Err(FrameError::UnknownType(kind)));
    }
}

#[test]
fn the_size_is_checked_before_the_payload_is_there() {
    // frame_max itself, eight octets more than the specification means, passes.
    assert_eq!(decode(b"\x03\0\x01\0\x02\0\0", 131_072), Ok(None));
    let too_large = FrameError::TooLarge { size: 131_073, frame_max: 131_072 };
    assert_eq!(decode(b"\x03\0\x01\0\x02\0\x01", 131_072), Err(too_large));
    assert_eq!(decode(b"\x03\0\x01\xFF\xFF\xFF\xFF", 0), Ok(None), "no limit");
}

#[test]
fn the_end_octet_is_checked() {
    assert_eq!(decode(b"\x03\0\x01\0\0\0\x01ab", 0), Err(FrameError::BadEnd(b'b')));
    assert_eq!(decode(b"\x08\0\0\0\0\0\0\0", 0), Err(FrameError::BadEnd(0)));
}

#[test]
fn a_frame_is_whole_at_its_last_octet() {
    let frame = &DELIVERY[..31];
    for end in 0..frame.len() {
        assert_eq!(decode(&frame[..end], 131_072), Ok(None), "cut at {end}");
    }
    let payload = &frame[FRAME_HEADER_SIZE..30];
    assert_eq!(decode(DELIVERY, 131_072), Ok(Some((Frame::Method { channel: CHANNEL, payload }, 31))));
}

#[test]
fn protocol_headers() {
    assert_eq!(PROTOCOL_HEADER, *b"AMQP\0\0\x09\x01");
    assert_eq!(ProtocolHeader::parse(&PROTOCOL_HEADER), Ok(Some(ProtocolHeader::Amqp091)));
    assert_eq!(ProtocolHeader::parse(b"AMQP\x01\x01\0\x09"), Ok(Some(ProtocolHeader::Amqp091)));
    let version_1_0 = *b"AMQP\0\x01\0\0";
    assert_eq!(ProtocolHeader::parse(&version_1_0), Ok(Some(ProtocolHeader::Unsupported(version_1_0))));
    assert_eq!(ProtocolHeader::parse(b"AMQP\0\0\x09\x01\x01\0"), Ok(Some(ProtocolHeader::Amqp091)));
}

#[test]
fn a_protocol_header_is_awaited_while_it_may_still_become_one() {
    for end in 0..PROTOCOL_HEADER.len() {
        assert_eq!(ProtocolHeader::parse(&PROTOCOL_HEADER[..end]), Ok(None));
    }
    assert_eq!(ProtocolHeader::parse(b"G"), Err(NotAmqp));
    assert_eq!(ProtocolHeader::parse(b"AMQX"), Err(NotAmqp));
    assert_eq!(ProtocolHeader::parse(b"\x16\x03\x01"), Err(NotAmqp), "TLS on the plain port");
}

#[test]
fn errors_say_what_was_wrong() {
    let text = |error: FrameError| error.to_string();
    assert_eq!(text(FrameError::UnknownType(9)), "unknown frame type 9");
    assert_eq!(
        text(FrameError::TooLarge { size: 9, frame_max: 8 }),
        "frame payload of 9 octets is larger than frame_max 8"
    );
    assert_eq!(text(FrameError::BadEnd(1)), "frame ends with 0x01 instead of 0xCE");
}
