//! Arguments of a method, read and written one after the other. Bits in a row share octets (§4.2.5.2), so both
//! directions carry how many of the last octet are in use.

use nom::IResult;

use crate::error::SyntaxError;
use crate::field_table::FieldTable;
use crate::id::{ClassId, DeliveryTag, MethodId};
use crate::primitive::{self, put};
use crate::reply_code::ReplyCode;
use crate::short_str::ShortStr;

/// A type that stands in the tables of methods.
pub(super) trait Argument<'a>: Sized {
    fn read(reader: &mut Reader<'a>) -> Result<Self, SyntaxError>;
    fn write(&self, writer: &mut Writer<'_>);
}

/// The arguments not read yet.
pub(super) struct Reader<'a> {
    input: &'a [u8],
    /// Bits not read yet of an octet already taken, lowest first.
    bits: u8,
    bits_left: u8,
}

impl<'a> Reader<'a> {
    #[inline]
    pub(super) const fn new(input: &'a [u8]) -> Self {
        Self { input, bits: 0, bits_left: 0 }
    }

    /// Checks that all octets were used.
    #[inline]
    pub(super) const fn finish(self) -> Result<(), SyntaxError> {
        if self.input.is_empty() { Ok(()) } else { Err(SyntaxError::Trailing(self.input.len())) }
    }

    /// All primitives fail for the same reason, so the parsers carry no error of their own.
    #[inline]
    fn take<T>(
        &mut self,
        parser: impl FnOnce(&'a [u8]) -> IResult<&'a [u8], T, ()>,
    ) -> Result<T, SyntaxError> {
        let Ok((rest, value)) = parser(self.input) else { return Err(SyntaxError::Truncated) };
        self.input = rest;
        self.bits_left = 0;
        Ok(value)
    }

    #[inline]
    fn bit(&mut self) -> Result<bool, SyntaxError> {
        if self.bits_left == 0 {
            self.bits = self.take(primitive::octet)?;
            self.bits_left = 8;
        }
        let bit = self.bits & 1 == 1;
        self.bits >>= 1;
        self.bits_left -= 1;
        Ok(bit)
    }
}

/// Where the arguments go.
pub(super) struct Writer<'o> {
    out: &'o mut Vec<u8>,
    /// Bits in use of the last octet written; 0 if that octet holds no bits.
    bits: u8,
}

impl<'o> Writer<'o> {
    pub(super) const fn new(out: &'o mut Vec<u8>) -> Self {
        Self { out, bits: 0 }
    }

    /// Where to append anything but a bit.
    const fn whole(&mut self) -> &mut Vec<u8> {
        self.bits = 0;
        self.out
    }

    fn bit(&mut self, bit: bool) {
        if self.bits == 0 {
            self.out.push(0);
        }
        if let Some(octet) = self.out.last_mut() {
            *octet |= u8::from(bit) << self.bits;
        }
        self.bits = (self.bits + 1) % 8;
    }
}

/// Arguments that a parser and a writer of [`primitive`] handle as they are.
macro_rules! primitive_arguments {
    ($($type:ty = $primitive:ident;)*) => {$(
        impl<'a> Argument<'a> for $type {
            #[inline]
            fn read(reader: &mut Reader<'a>) -> Result<Self, SyntaxError> {
                reader.take(primitive::$primitive)
            }

            fn write(&self, writer: &mut Writer<'_>) {
                put::$primitive(writer.whole(), *self);
            }
        }
    )*};
}

primitive_arguments! {
    u8 = octet;
    u16 = short;
    u32 = long;
    u64 = longlong;
    ShortStr<'a> = shortstr;
    &'a [u8] = longstr;
}

/// Arguments that wrap a number.
macro_rules! number_arguments {
    ($($type:ty = $number:ty;)*) => {$(
        impl Argument<'_> for $type {
            #[inline]
            fn read(reader: &mut Reader<'_>) -> Result<Self, SyntaxError> {
                <$number>::read(reader).map(Self::new)
            }

            fn write(&self, writer: &mut Writer<'_>) {
                self.get().write(writer);
            }
        }
    )*};
}

number_arguments! {
    ClassId = u16;
    DeliveryTag = u64;
    MethodId = u16;
    ReplyCode = u16;
}

impl Argument<'_> for bool {
    #[inline]
    fn read(reader: &mut Reader<'_>) -> Result<Self, SyntaxError> {
        reader.bit()
    }

    fn write(&self, writer: &mut Writer<'_>) {
        writer.bit(*self);
    }
}

impl Argument<'_> for FieldTable {
    fn read(reader: &mut Reader<'_>) -> Result<Self, SyntaxError> {
        let (rest, table) = Self::parse_prefix(reader.input)?;
        reader.input = rest;
        reader.bits_left = 0;
        Ok(table)
    }

    fn write(&self, writer: &mut Writer<'_>) {
        self.encode(writer.whole());
    }
}
