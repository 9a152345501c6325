//! From values to frames, appended to a buffer. Methods other than the delivery of the hot path encode themselves:
//! [`Method::encode`](crate::Method::encode).

use crate::frame::{BODY, FRAME_END, FRAME_HEADER_SIZE, FRAME_OVERHEAD, HEADER, HEARTBEAT, METHOD};
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
    put_deliver(out, channel, method, method_size);
    put_content(out, channel, properties_raw, body, payload_max);
}

/// The payload of a `basic.deliver`, in octets.
#[inline]
const fn deliver_size(method: &basic::Deliver<'_>) -> usize {
    // Class, method, tag and bits are 13 octets; each of three strings has one of length.
    16 + method.consumer_tag.len() + method.exchange.len() + method.routing_key.len()
}

// Below, what lies between two strings is put together as one array first: each append costs a check of the
// capacity, and a dozen of them make a delivery instead of twenty-seven.

/// The frame of a `basic.deliver`.
#[inline]
fn put_deliver(out: &mut Vec<u8>, channel: ChannelId, method: &basic::Deliver<'_>, size: usize) {
    let [h0, h1, h2, h3, h4, h5, h6] = frame_header(METHOD, channel, size);
    let [c0, c1] = basic::Deliver::CLASS.get().to_be_bytes();
    let [m0, m1] = basic::Deliver::ID.get().to_be_bytes();
    let tag_length = method.consumer_tag.length_octet();
    out.extend_from_slice(&[h0, h1, h2, h3, h4, h5, h6, c0, c1, m0, m1, tag_length]);
    out.extend_from_slice(method.consumer_tag.as_bytes());
    let [t0, t1, t2, t3, t4, t5, t6, t7] = method.delivery_tag.get().to_be_bytes();
    let (redelivered, exchange_length) = (u8::from(method.redelivered), method.exchange.length_octet());
    out.extend_from_slice(&[t0, t1, t2, t3, t4, t5, t6, t7, redelivered, exchange_length]);
    out.extend_from_slice(method.exchange.as_bytes());
    put::shortstr(out, method.routing_key);
    put::octet(out, FRAME_END);
}

/// Header frame and body frames.
#[inline]
fn put_content(
    out: &mut Vec<u8>,
    channel: ChannelId,
    properties_raw: &[u8],
    body: &[u8],
    payload_max: usize,
) {
    let [h0, h1, h2, h3, h4, h5, h6] =
        frame_header(HEADER, channel, CONTENT_HEADER_SIZE + properties_raw.len());
    let [c0, c1] = ClassId::BASIC.get().to_be_bytes();
    let [s0, s1, s2, s3, s4, s5, s6, s7] = (body.len() as u64).to_be_bytes();
    out.extend_from_slice(&[h0, h1, h2, h3, h4, h5, h6, c0, c1, 0, 0, s0, s1, s2, s3, s4, s5, s6, s7]);
    out.extend_from_slice(properties_raw);
    for part in body.chunks(payload_max) {
        // The end of the frame before comes along.
        let [h0, h1, h2, h3, h4, h5, h6] = frame_header(BODY, channel, part.len());
        out.extend_from_slice(&[FRAME_END, h0, h1, h2, h3, h4, h5, h6]);
        out.extend_from_slice(part);
    }
    put::octet(out, FRAME_END);
}

/// Octets of header frame and body frames together.
#[inline]
const fn content_size(properties_raw: &[u8], body: &[u8], payload_max: usize) -> usize {
    // Nearly every body fits into one frame; a division would cost as much as half the delivery.
    let body_frames =
        if body.len() <= payload_max { !body.is_empty() as usize } else { body.len().div_ceil(payload_max) };
    FRAME_OVERHEAD + CONTENT_HEADER_SIZE + properties_raw.len() + body_frames * FRAME_OVERHEAD + body.len()
}

/// Octets of body that fit into a frame; at least one, so that even a senseless limit makes progress.
#[inline]
fn body_payload_max(frame_max: u32) -> usize {
    let frame_max = if frame_max == 0 { u32::MAX } else { frame_max };
    (frame_max as usize).saturating_sub(FRAME_OVERHEAD).max(1)
}

#[inline]
fn frame_header(kind: u8, channel: ChannelId, size: usize) -> [u8; FRAME_HEADER_SIZE] {
    let [c0, c1] = channel.get().to_be_bytes();
    let [s0, s1, s2, s3] = u32::try_from(size).unwrap_or(u32::MAX).to_be_bytes();
    [kind, c0, c1, s0, s1, s2, s3]
}
