//! A frame as it is found in the input (§4.2.3): payload delimited, not yet looked at.

use crate::id::ChannelId;

/// Frame type 1 (§4.2.3).
pub(crate) const METHOD: u8 = 1;
/// Frame type 2.
pub(crate) const HEADER: u8 = 2;
/// Frame type 3.
pub(crate) const BODY: u8 = 3;
/// Frame type 8.
pub(crate) const HEARTBEAT: u8 = 8;
/// The octet after every payload.
pub(crate) const FRAME_END: u8 = 0xCE;

/// Octets before the payload: type, channel, size.
pub const FRAME_HEADER_SIZE: usize = 7;
/// Octets of a frame without a payload: its header and the end octet.
pub const FRAME_OVERHEAD: usize = FRAME_HEADER_SIZE + 1;
/// The least that a peer may negotiate as `frame_max` (§1.4.2.6: frame-min-size). RabbitMQ wants 8192 since 4.1.
pub const FRAME_MAX_MIN: u32 = 4096;

/// A frame, borrowed from the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frame<'a> {
    /// A method, for [`Method::parse`](crate::Method::parse).
    Method {
        /// The channel it belongs to.
        channel: ChannelId,
        /// Class, method, arguments.
        payload: &'a [u8],
    },
    /// A content header, for [`ContentHeader::parse`](crate::ContentHeader::parse).
    Header {
        /// The channel it belongs to.
        channel: ChannelId,
        /// Class, weight, body size, properties.
        payload: &'a [u8],
    },
    /// A part of a message's body.
    Body {
        /// The channel it belongs to.
        channel: ChannelId,
        /// The octets of the part.
        payload: &'a [u8],
    },
    /// A sign of life.
    Heartbeat {
        /// Must be [`ChannelId::CONNECTION`] (§4.2.7); for the receiver to check, as it decides what to close.
        channel: ChannelId,
    },
}

impl Frame<'_> {
    /// The channel in the frame's header.
    pub const fn channel(&self) -> ChannelId {
        match self {
            Self::Method { channel, .. }
            | Self::Header { channel, .. }
            | Self::Body { channel, .. }
            | Self::Heartbeat { channel } => *channel,
        }
    }
}
