//! AMQP 0-9-1 with RabbitMQ's extensions, as a pure codec: no I/O, no async, no clock. Bytes go in and borrowed
//! values come out; values go in and bytes are appended to a `Vec<u8>`.
//!
//! Everything on the wire travels in a frame (§4.2.3):
//!
//! ```text
//!   0      1         3             7                  size+7     size+8
//!   +------+---------+-------------+  +------------+  +-----------+
//!   | type | channel |    size     |  |  payload   |  | frame-end |
//!   +------+---------+-------------+  +------------+  +-----------+
//!    octet    short       long          size octets      octet = 0xCE
//!
//!   type 1, method   | class short | method short | arguments ...           |
//!   type 2, header   | class short | weight short | body size longlong      | flags short | properties ... |
//!   type 3, body     | octets of the message, opaque                        |
//!   type 8, heartbeat (empty)
//! ```
//!
//! A message is a method frame (such as `basic.publish`), one header frame, and as many body frames as it takes to
//! carry the announced body size; none for an empty body.
//!
//! All integers are big-endian. Nothing here panics on any input, and nothing is allocated on the strength of a
//! length that a peer announced: only octets that are present count.

// In reading order: numbers and errors, then the pieces of a payload, then payloads, then frames.
pub mod error;
pub mod id;
pub mod reply_code;

pub mod field_table;
pub mod primitive;
pub mod short_str;

pub mod method;
pub mod properties;

pub mod decoder;
pub mod encoder;
pub mod frame;

pub use decoder::{PROTOCOL_HEADER, ProtocolHeader, decode};
pub use error::{FrameError, HeaderError, MethodError, NotAmqp, SyntaxError, TableError, TooLong};
pub use field_table::{FieldTable, FieldValue};
pub use frame::Frame;
pub use id::{ChannelId, ClassId, DeliveryTag, MethodId};
pub use method::Method;
pub use properties::{ContentHeader, Properties};
pub use reply_code::ReplyCode;
pub use short_str::{ShortStr, ShortString};
