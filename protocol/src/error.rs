//! What can be wrong with bytes from a peer, one type per layer. None of them says what to close: the same octets may
//! be a peer's fault here and a corrupt record there.

use std::error::Error;
use std::fmt;

use nom::error::{ErrorKind, ParseError};

use crate::field_table::{FIELDS_MAX, NESTING_MAX};
use crate::id::{ClassId, MethodId};

/// A frame that cannot be taken off the stream; nothing after it can be trusted either (501, §4.2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameError {
    /// The type octet is none of 1, 2, 3 and 8.
    UnknownType(u8),
    /// The announced payload is larger than was negotiated; no octet of it was read.
    TooLarge {
        /// Octets of payload announced.
        size: u32,
        /// The negotiated limit, in octets.
        frame_max: u32,
    },
    /// The octet after the payload is not 0xCE.
    BadEnd(u8),
    /// A heartbeat with a payload of this many octets (§4.2.7 gives it none).
    HeartbeatPayload(u32),
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownType(octet) => write!(f, "unknown frame type {octet}"),
            Self::TooLarge { size, frame_max } => {
                write!(f, "frame payload of {size} octets is larger than frame_max {frame_max}")
            }
            Self::BadEnd(octet) => write!(f, "frame ends with 0x{octet:02X} instead of 0xCE"),
            Self::HeartbeatPayload(size) => write!(f, "heartbeat with a payload of {size} octets"),
        }
    }
}

impl Error for FrameError {}

/// The first octets of a connection are not those of any AMQP version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotAmqp;

impl fmt::Display for NotAmqp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not an AMQP protocol header")
    }
}

impl Error for NotAmqp {}

/// The payload of a method frame that is no method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MethodError {
    /// The payload is too short to hold the two ids.
    NoIds,
    /// No such method in AMQP 0-9-1 or RabbitMQ's extensions.
    Unknown {
        /// The class that was named.
        class: ClassId,
        /// The method that was named.
        method: MethodId,
    },
    /// The method is known, its arguments are malformed.
    Syntax {
        /// The class of the method.
        class: ClassId,
        /// The method.
        method: MethodId,
        /// What is wrong with the arguments.
        problem: SyntaxError,
    },
}

impl fmt::Display for MethodError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoIds => f.write_str("method frame without class and method id"),
            Self::Unknown { class, method } => write!(f, "unknown method {method} of class {class}"),
            Self::Syntax { class, method, problem } => {
                write!(f, "arguments of method {method} of class {class}: {problem}")
            }
        }
    }
}

impl Error for MethodError {}

/// What is wrong with the arguments of a method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SyntaxError {
    /// The payload ends inside an argument.
    Truncated,
    /// This many octets follow the last argument.
    Trailing(usize),
    /// A table among the arguments is malformed.
    Table(TableError),
}

impl fmt::Display for SyntaxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated => f.write_str("truncated"),
            Self::Trailing(octets) => write!(f, "{octets} octets too many"),
            Self::Table(error) => write!(f, "table: {error}"),
        }
    }
}

impl Error for SyntaxError {}

impl From<TableError> for SyntaxError {
    fn from(error: TableError) -> Self {
        Self::Table(error)
    }
}

/// What is wrong with a field table (§4.2.5.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TableError {
    /// The input, or the extent of an inner table or array, ends inside a field.
    Truncated,
    /// This many octets follow the table.
    Trailing(usize),
    /// A value's type octet is none of those known.
    UnknownType(u8),
    /// Tables and arrays are nested more than [`NESTING_MAX`] deep.
    TooDeep,
    /// More than [`FIELDS_MAX`] values, inner ones included.
    TooManyFields,
}

impl fmt::Display for TableError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated => f.write_str("truncated"),
            Self::Trailing(octets) => write!(f, "{octets} octets too many"),
            Self::UnknownType(octet) => write!(f, "unknown field type 0x{octet:02X}"),
            Self::TooDeep => write!(f, "nested more than {NESTING_MAX} deep"),
            Self::TooManyFields => write!(f, "more than {FIELDS_MAX} fields"),
        }
    }
}

impl Error for TableError {}

/// What is wrong with a content header or its properties (§4.2.6.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderError {
    /// The payload ends inside the fixed part or inside a property.
    Truncated,
    /// This many octets follow the last property.
    Trailing(usize),
    /// The weight field, which must be zero, holds this.
    Weight(u16),
    /// The property flags, given whole, have a bit set that stands for no property.
    UnknownFlags(u16),
}

impl fmt::Display for HeaderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated => f.write_str("content header truncated"),
            Self::Trailing(octets) => write!(f, "{octets} octets after the last property"),
            Self::Weight(weight) => write!(f, "content header with weight {weight} instead of 0"),
            Self::UnknownFlags(flags) => write!(f, "unknown property in flags 0x{flags:04X}"),
        }
    }
}

impl Error for HeaderError {}

/// A string that does not fit into a short string.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLong {
    /// Octets that were to be put into it.
    pub length: usize,
}

impl fmt::Display for TooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} octets do not fit into a short string of at most 255", self.length)
    }
}

impl Error for TooLong {}

/// nom reports a failed primitive through this; all primitives here fail for one reason only, missing octets.
macro_rules! truncated_in_nom {
    ($($error:ident)*) => {$(
        impl<I> ParseError<I> for $error {
            fn from_error_kind(_: I, _: ErrorKind) -> Self {
                Self::Truncated
            }

            fn append(_: I, _: ErrorKind, first: Self) -> Self {
                first
            }
        }
    )*};
}

truncated_in_nom! { TableError HeaderError }
