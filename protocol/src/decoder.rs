//! From a stream of octets to frames, and the header before the first of them. Waiting is not an error: `Ok(None)`
//! asks for more octets.

use nom::Parser as _;
use nom::bytes::streaming::take;

use crate::error::{FrameError, NotAmqp};
use crate::frame::{BODY, FRAME_END, FRAME_OVERHEAD, Frame, HEADER, HEARTBEAT, METHOD};
use crate::id::ChannelId;
use crate::primitive::{long, octet, short};

/// What a client of AMQP 0-9-1 sends first (§4.2.2), and what a server answers to any other version.
pub const PROTOCOL_HEADER: [u8; 8] = *b"AMQP\x00\x00\x09\x01";

/// What clients of AMQP 0-9 send, which differs from 0-9-1 in nothing that matters here.
const PROTOCOL_HEADER_0_9: [u8; 8] = *b"AMQP\x01\x01\x00\x09";

/// The frame at the head of `input`, and how many octets it takes up; `None` if it is not whole yet.
///
/// Type and size are checked as soon as they are there, so a caller that buffers no further than a whole frame
/// never buffers more than `frame_max` + 8 octets. RabbitMQ holds the payload against `frame_max`, though §4.2.3
/// means the whole frame; some clients depend on these 8 octets. A `frame_max` of 0 is no limit.
///
/// # Errors
/// [`FrameError`]; the stream is beyond repair then.
#[inline]
pub fn decode(input: &[u8], frame_max: u32) -> Result<Option<(Frame<'_>, usize)>, FrameError> {
    let Some(&kind) = input.first() else { return Ok(None) };
    if !matches!(kind, METHOD | HEADER | BODY | HEARTBEAT) {
        return Err(FrameError::UnknownType(kind));
    }
    let Ok((rest, (_, channel, size))) = (octet::<()>, short, long).parse(input) else { return Ok(None) };
    check_size(kind, size, frame_max)?;
    let Ok((rest, payload)) = take::<_, _, ()>(size)(rest) else { return Ok(None) };
    let Some(&end) = rest.first() else { return Ok(None) };
    if end != FRAME_END {
        return Err(FrameError::BadEnd(end));
    }
    Ok(Some((frame(kind, ChannelId::new(channel), payload), payload.len() + FRAME_OVERHEAD)))
}

#[inline]
fn check_size(kind: u8, size: u32, frame_max: u32) -> Result<(), FrameError> {
    if frame_max != 0 && size > frame_max {
        return Err(FrameError::TooLarge { size, frame_max });
    }
    if kind == HEARTBEAT && size != 0 {
        return Err(FrameError::HeartbeatPayload(size));
    }
    Ok(())
}

#[inline]
const fn frame(kind: u8, channel: ChannelId, payload: &[u8]) -> Frame<'_> {
    match kind {
        METHOD => Frame::Method { channel, payload },
        HEADER => Frame::Header { channel, payload },
        BODY => Frame::Body { channel, payload },
        _ => Frame::Heartbeat { channel },
    }
}

/// The first eight octets of a connection (§4.2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProtocolHeader {
    /// AMQP 0-9-1, or 0-9, which is served the same way.
    Amqp091,
    /// Some other version of AMQP: to be answered with [`PROTOCOL_HEADER`] and a closed connection.
    Unsupported([u8; 8]),
}

impl ProtocolHeader {
    /// Octets in a protocol header.
    pub const LENGTH: usize = 8;

    /// The header at the head of `input`; `None` if there are fewer than eight octets and they may become one.
    ///
    /// # Errors
    /// [`NotAmqp`] as soon as one octet differs from `AMQP`.
    pub fn parse(input: &[u8]) -> Result<Option<Self>, NotAmqp> {
        if input.iter().zip(b"AMQP").any(|(octet, expected)| octet != expected) {
            return Err(NotAmqp);
        }
        Ok(input.first_chunk().map(|header| match *header {
            PROTOCOL_HEADER | PROTOCOL_HEADER_0_9 => Self::Amqp091,
            other => Self::Unsupported(other),
        }))
    }
}
