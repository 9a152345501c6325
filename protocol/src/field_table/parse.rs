//! From octets to tables, within limits.

use nom::IResult;
use nom::Parser as _;
use nom::combinator::map;
use nom::sequence::pair;

use super::{FIELDS_MAX, FieldTable, FieldValue, NESTING_MAX};
use crate::error::TableError;
use crate::primitive::{finish, long, longlong, longstr, octet, short, shortstr};
use crate::short_str::ShortString;

type Parsed<'a, T> = IResult<&'a [u8], T, TableError>;

/// The table at the head of `input`, and what follows it.
pub(super) fn table(input: &[u8]) -> Result<(&[u8], FieldTable), TableError> {
    finish(Budget::WHOLE.table(input))
}

/// The table whose fields are all of `input`.
pub(super) fn fields(input: &[u8]) -> Result<FieldTable, TableError> {
    let mut budget = Budget::WHOLE;
    finish(budget.nested(input, Budget::field)).map(|fields| FieldTable { fields })
}

/// What a table may still use up.
struct Budget {
    /// Values, over the whole table.
    fields: usize,
    /// Levels below the present one.
    nesting: usize,
}

impl Budget {
    const WHOLE: Self = Self { fields: FIELDS_MAX, nesting: NESTING_MAX };

    /// A length, then that many octets of fields.
    fn table<'a>(&mut self, input: &'a [u8]) -> Parsed<'a, FieldTable> {
        let (rest, content) = longstr(input)?;
        let fields = self.nested(content, Self::field)?;
        Ok((rest, FieldTable { fields }))
    }

    /// A length, then that many octets of values.
    fn array<'a>(&mut self, input: &'a [u8]) -> Parsed<'a, Vec<FieldValue>> {
        let (rest, content) = longstr(input)?;
        let values = self.nested(content, Self::value)?;
        Ok((rest, values))
    }

    /// Items until `content` is used up, one level further down. The vector grows as items are found, never ahead.
    fn nested<'a, T>(
        &mut self,
        mut content: &'a [u8],
        item: fn(&mut Self, &'a [u8]) -> Parsed<'a, T>,
    ) -> Result<Vec<T>, nom::Err<TableError>> {
        self.nesting = self.nesting.checked_sub(1).ok_or(nom::Err::Failure(TableError::TooDeep))?;
        let mut items = Vec::new();
        while !content.is_empty() {
            let (rest, found) = item(self, content)?;
            items.push(found);
            content = rest;
        }
        self.nesting += 1;
        Ok(items)
    }

    /// A name and its value.
    fn field<'a>(&mut self, input: &'a [u8]) -> Parsed<'a, (ShortString, FieldValue)> {
        let (rest, name) = shortstr(input)?;
        let (rest, value) = self.value(rest)?;
        Ok((rest, (name.to_owned(), value)))
    }

    /// A type octet and its value.
    fn value<'a>(&mut self, input: &'a [u8]) -> Parsed<'a, FieldValue> {
        self.fields = self.fields.checked_sub(1).ok_or(nom::Err::Failure(TableError::TooManyFields))?;
        let (rest, kind) = octet(input)?;
        match kind {
            b'A' => self.array(rest).map(|(rest, values)| (rest, FieldValue::Array(values))),
            b'F' => self.table(rest).map(|(rest, table)| (rest, FieldValue::Table(table))),
            _ => scalar(kind, rest),
        }
    }
}

/// A value that holds no others.
fn scalar(kind: u8, input: &[u8]) -> Parsed<'_, FieldValue> {
    match kind {
        b'S' => map(longstr, |octets| FieldValue::LongString(octets.to_vec())).parse(input),
        b'I' => map(long, |bits| FieldValue::I32(bits.cast_signed())).parse(input),
        b't' => map(octet, |octet| FieldValue::Bool(octet != 0)).parse(input),
        // The specification means unsigned by `L`; RabbitMQ and its clients mean signed by both.
        b'l' | b'L' => map(longlong, |bits| FieldValue::I64(bits.cast_signed())).parse(input),
        b'T' => map(longlong, FieldValue::Timestamp).parse(input),
        b'V' => Ok((input, FieldValue::Void)),
        b'b' => map(octet, |bits| FieldValue::I8(bits.cast_signed())).parse(input),
        b'B' => map(octet, FieldValue::U8).parse(input),
        b's' => map(short, |bits| FieldValue::I16(bits.cast_signed())).parse(input),
        b'u' => map(short, FieldValue::U16).parse(input),
        b'i' => map(long, FieldValue::U32).parse(input),
        b'f' => map(long, |bits| FieldValue::F32(f32::from_bits(bits))).parse(input),
        b'd' => map(longlong, |bits| FieldValue::F64(f64::from_bits(bits))).parse(input),
        b'D' => map(pair(octet, long), |(scale, value)| FieldValue::Decimal { scale, value }).parse(input),
        b'x' => map(longstr, |octets| FieldValue::Bytes(octets.to_vec())).parse(input),
        unknown => Err(nom::Err::Failure(TableError::UnknownType(unknown))),
    }
}
