//! From values to frames, appended to a buffer. Methods other than the delivery of the hot path encode themselves:
//! [`Method::encode`](crate::Method::encode).

use crate::frame::{BODY, FRAME_END, FRAME_OVERHEAD, HEADER, HEARTBEAT, METHOD};
use crate::id::{ChannelId, ClassId};
use crate::method::basic;
use crate::primitive::put;

/// Octets of a content header before its properties: class, weight, body size.
const CONTENT_HEADER_SIZE: usize = 12;

/// Appends a heartbeat frame (§4.2.7).
pub fn heartbeat(out: &mut Vec<u8>) {
    out.extend_from_slice(&[HEARTBEAT, 0, 0, 0, 0, 0, 0, FRAME_END]);
}

/// Appends a message of class `basic` after its method: the header frame, then body frames of at most `frame_max`
/// octets each, their overhead included. `properties_raw` starts with the flags, as in
/// [`ContentHeader::properties`](crate::ContentHeader::properties). A `frame_max` of 0 is no limit.
pub fn content(out: &mut Vec<u8>, channel: ChannelId, properties_raw: &[u8], body: &[u8], frame_max: u32) {
    let payload_max = body_payload_max(frame_max);
    out.reserve(content_size(properties_raw, body, payload_max));
    put_content(out, channel, properties_raw, body, payload_max);
}

/// Appends a whole delivery: `basic.deliver`, header and body frames, as [`content`] does. One reservation, then
/// plain writes.
pub fn deliver(
    out: &mut Vec<u8>,
    channel: ChannelId,
    method: &basic::Deliver<'_>,
    properties_raw: &[u8],
    body: &[u8],
    frame_max: u32,
) {
    let payload_max = body_payload_max(frame_max);
    let method_size = deliver_size(method);
    out.reserve(method_size + FRAME_OVERHEAD + content_size(properties_raw, body, payload_max));
    put_frame_header(out, METHOD, channel, method_size);
    put_deliver(out, method);
    put::octet(out, FRAME_END);
    put_content(out, channel, properties_raw, body, payload_max);
}

/// The payload of a `basic.deliver`, in octets.
#[inline]
const fn deliver_size(method: &basic::Deliver<'_>) -> usize {
    // Class, method, tag and bits are 13 octets; each of three strings has one of length.
    16 + method.consumer_tag.len() + method.exchange.len() + method.routing_key.len()
}

#[inline]
fn put_deliver(out: &mut Vec<u8>, method: &basic::Deliver<'_>) {
    put::short(out, basic::Deliver::CLASS.get());
    put::short(out, basic::Deliver::ID.get());
    put::shortstr(out, method.consumer_tag);
    put::longlong(out, method.delivery_tag.get());
    put::octet(out, u8::from(method.redelivered));
    put::shortstr(out, method.exchange);
    put::shortstr(out, method.routing_key);
}

#[inline]
fn put_content(
    out: &mut Vec<u8>,
    channel: ChannelId,
    properties_raw: &[u8],
    body: &[u8],
    payload_max: usize,
) {
    put_frame_header(out, HEADER, channel, CONTENT_HEADER_SIZE + properties_raw.len());
    put::short(out, ClassId::BASIC.get());
    put::short(out, 0);
    put::longlong(out, body.len() as u64);
    out.extend_from_slice(properties_raw);
    put::octet(out, FRAME_END);
    for part in body.chunks(payload_max) {
        put_frame_header(out, BODY, channel, part.len());
        out.extend_from_slice(part);
        put::octet(out, FRAME_END);
    }
}

/// Octets of header frame and body frames together.
#[inline]
const fn content_size(properties_raw: &[u8], body: &[u8], payload_max: usize) -> usize {
    let body_frames = body.len().div_ceil(payload_max);
    FRAME_OVERHEAD + CONTENT_HEADER_SIZE + properties_raw.len() + body_frames * FRAME_OVERHEAD + body.len()
}

/// Octets of body that fit into a frame; at least one, so that even a senseless limit makes progress.
#[inline]
fn body_payload_max(frame_max: u32) -> usize {
    let frame_max = if frame_max == 0 { u32::MAX } else { frame_max };
    (frame_max as usize).saturating_sub(FRAME_OVERHEAD).max(1)
}

#[inline]
fn put_frame_header(out: &mut Vec<u8>, kind: u8, channel: ChannelId, size: usize) {
    put::octet(out, kind);
    put::short(out, channel.get());
    put::long(out, u32::try_from(size).unwrap_or(u32::MAX));
}
