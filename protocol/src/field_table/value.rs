//! One value of a table, of one of RabbitMQ's types.

use super::FieldTable;
use crate::primitive::put;

/// A value in a [`FieldTable`].
#[derive(Clone, Debug, PartialEq)]
pub enum FieldValue {
    /// `t`: any octet but zero is true.
    Bool(bool),
    /// `b`: signed, 8 bits.
    I8(i8),
    /// `B`: unsigned, 8 bits.
    U8(u8),
    /// `s`: signed, 16 bits.
    I16(i16),
    /// `u`: unsigned, 16 bits.
    U16(u16),
    /// `I`: signed, 32 bits.
    I32(i32),
    /// `i`: unsigned, 32 bits.
    U32(u32),
    /// `l`, and on reading `L` too: signed, 64 bits.
    I64(i64),
    /// `f`: IEEE 754, 32 bits.
    F32(f32),
    /// `d`: IEEE 754, 64 bits.
    F64(f64),
    /// `D`: `value` divided by ten to the power of `scale`. RabbitMQ reads and writes it unsigned.
    Decimal {
        /// Digits after the point.
        scale: u8,
        /// All digits.
        value: u32,
    },
    /// `S`: text by custom, octets in truth.
    LongString(Vec<u8>),
    /// `x`: octets.
    Bytes(Vec<u8>),
    /// `T`: seconds since 1970 began, UTC.
    Timestamp(u64),
    /// `A`: values without names.
    Array(Vec<Self>),
    /// `F`: a table inside the table.
    Table(FieldTable),
    /// `V`: no value.
    Void,
}

impl FieldValue {
    /// The text of a long string that is UTF-8.
    pub fn as_str(&self) -> Option<&str> {
        if let Self::LongString(octets) = self { std::str::from_utf8(octets).ok() } else { None }
    }

    /// An integer of any width.
    #[expect(clippy::wildcard_enum_match_arm, reason = "no other type is an integer")]
    pub fn as_integer(&self) -> Option<i64> {
        match *self {
            Self::I8(value) => Some(value.into()),
            Self::U8(value) => Some(value.into()),
            Self::I16(value) => Some(value.into()),
            Self::U16(value) => Some(value.into()),
            Self::I32(value) => Some(value.into()),
            Self::U32(value) => Some(value.into()),
            Self::I64(value) => Some(value),
            _ => None,
        }
    }

    /// A truth value.
    pub const fn as_bool(&self) -> Option<bool> {
        if let Self::Bool(value) = self { Some(*value) } else { None }
    }

    /// An inner table.
    pub const fn as_table(&self) -> Option<&FieldTable> {
        if let Self::Table(table) = self { Some(table) } else { None }
    }

    /// An array.
    pub fn as_array(&self) -> Option<&[Self]> {
        if let Self::Array(values) = self { Some(values) } else { None }
    }

    /// RabbitMQ's name of the type; it stands in error texts that clients see.
    pub const fn type_name(&self) -> &'static str {
        match self {
            Self::Bool(_) => "bool",
            Self::I8(_) => "byte",
            Self::U8(_) => "unsignedbyte",
            Self::I16(_) => "short",
            Self::U16(_) => "unsignedshort",
            Self::I32(_) => "signedint",
            Self::U32(_) => "unsignedint",
            Self::I64(_) => "long",
            Self::F32(_) => "float",
            Self::F64(_) => "double",
            Self::Decimal { .. } => "decimal",
            Self::LongString(_) => "longstr",
            Self::Bytes(_) => "binary",
            Self::Timestamp(_) => "timestamp",
            Self::Array(_) => "array",
            Self::Table(_) => "table",
            Self::Void => "void",
        }
    }

    /// The octet that announces the type on the wire.
    const fn type_octet(&self) -> u8 {
        match self {
            Self::Bool(_) => b't',
            Self::I8(_) => b'b',
            Self::U8(_) => b'B',
            Self::I16(_) => b's',
            Self::U16(_) => b'u',
            Self::I32(_) => b'I',
            Self::U32(_) => b'i',
            Self::I64(_) => b'l',
            Self::F32(_) => b'f',
            Self::F64(_) => b'd',
            Self::Decimal { .. } => b'D',
            Self::LongString(_) => b'S',
            Self::Bytes(_) => b'x',
            Self::Timestamp(_) => b'T',
            Self::Array(_) => b'A',
            Self::Table(_) => b'F',
            Self::Void => b'V',
        }
    }

    /// Appends the type octet and the value.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        put::octet(out, self.type_octet());
        match self {
            Self::Bool(value) => put::octet(out, u8::from(*value)),
            Self::I8(value) => put::octet(out, value.cast_unsigned()),
            Self::U8(value) => put::octet(out, *value),
            Self::I16(value) => put::short(out, value.cast_unsigned()),
            Self::U16(value) => put::short(out, *value),
            Self::I32(value) => put::long(out, value.cast_unsigned()),
            Self::U32(value) => put::long(out, *value),
            Self::I64(value) => put::longlong(out, value.cast_unsigned()),
            Self::F32(value) => put::long(out, value.to_bits()),
            Self::F64(value) => put::longlong(out, value.to_bits()),
            Self::Decimal { scale, value } => {
                put::octet(out, *scale);
                put::long(out, *value);
            }
            Self::LongString(octets) | Self::Bytes(octets) => put::longstr(out, octets),
            Self::Timestamp(seconds) => put::longlong(out, *seconds),
            Self::Array(values) => put::counted(out, |out| values.iter().for_each(|value| value.encode(out))),
            Self::Table(table) => table.encode(out),
            Self::Void => {}
        }
    }
}

/// Conversions that leave no choice of variant.
macro_rules! field_value_from {
    ($($from:ty => $variant:ident,)*) => {$(
        impl From<$from> for FieldValue {
            fn from(value: $from) -> Self {
                Self::$variant(value.into())
            }
        }
    )*};
}

field_value_from! {
    bool => Bool,
    i8 => I8,
    u8 => U8,
    i16 => I16,
    u16 => U16,
    i32 => I32,
    u32 => U32,
    i64 => I64,
    f32 => F32,
    f64 => F64,
    &str => LongString,
    String => LongString,
    FieldTable => Table,
    Vec<FieldValue> => Array,
}
