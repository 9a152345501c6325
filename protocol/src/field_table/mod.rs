//! Field tables (§4.2.5.5) with RabbitMQ's types: arguments, message headers, properties of a peer.
//!
//! ```text
//!   table:  length long | name shortstr | type octet | value | name | type | value | ...
//!   array:  length long | type octet | value | type octet | value | ...
//!
//!   t Bool       octet        b I8    octet      l, L I64  longlong    S LongString  longstr
//!   D Decimal    octet, long  B U8    octet      f    F32  IEEE 754    x Bytes       longstr
//!   T Timestamp  longlong     s I16   short      d    F64  IEEE 754    A Array       see above
//!   V Void       nothing      u U16   short                            F Table       see above
//!                             I I32   long
//!                             i U32   long
//! ```
//!
//! The letters are RabbitMQ's, which every client follows, not those of the specification: there `s` is a short
//! string, `U` a short and `L` unsigned.

mod parse;
mod value;

pub use value::FieldValue;

use crate::error::TableError;
use crate::primitive::put;
use crate::short_str::{ShortStr, ShortString};

/// How deep tables and arrays may be nested. Parsing recurses, so this bounds the stack a peer can make us use; a
/// dead-letter history, the deepest structure in common use, has a depth of four.
pub const NESTING_MAX: usize = 32;

/// How many values a table may hold, inner ones included. One void in an array takes an octet on the wire and some
/// forty in memory: this bounds what one frame can make us hold to less than a megabyte. Real tables have dozens.
pub const FIELDS_MAX: usize = 16_384;

/// Names with their values, in the order they came in. Names may repeat on the wire; lookups find the first.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FieldTable {
    fields: Vec<(ShortString, FieldValue)>,
}

impl FieldTable {
    /// An empty table.
    pub const fn new() -> Self {
        Self { fields: Vec::new() }
    }

    /// Parses a whole table, its length included.
    ///
    /// # Errors
    /// [`TableError`] if the octets are not exactly one table within the limits of this module.
    pub fn parse(input: &[u8]) -> Result<Self, TableError> {
        let (rest, table) = parse::table(input)?;
        if rest.is_empty() { Ok(table) } else { Err(TableError::Trailing(rest.len())) }
    }

    /// Parses fields without a length before them, up to the end of the input: the form in which the SASL mechanism
    /// AMQPLAIN sends its credentials.
    ///
    /// # Errors
    /// [`TableError`] if the octets are not fields within the limits of this module.
    pub fn parse_fields(input: &[u8]) -> Result<Self, TableError> {
        parse::fields(input)
    }

    /// Parses the table at the head of `input`; gives back what follows it as well.
    pub(crate) fn parse_prefix(input: &[u8]) -> Result<(&[u8], Self), TableError> {
        parse::table(input)
    }

    /// Appends the wire form, its length included.
    pub fn encode(&self, out: &mut Vec<u8>) {
        put::counted(out, |out| {
            for (name, value) in &self.fields {
                put::shortstr(out, name.as_short_str());
                value.encode(out);
            }
        });
    }

    /// Sets `name` to `value`: in its old place if it is there already, at the end otherwise. A name of more than
    /// 255 octets is cut.
    pub fn insert(&mut self, name: &str, value: impl Into<FieldValue>) {
        let (name, value) = (ShortStr::truncated(name), value.into());
        match self.fields.iter_mut().find(|(known, _)| known.as_short_str() == name) {
            Some((_, old)) => *old = value,
            None => self.fields.push((name.to_owned(), value)),
        }
    }

    /// Appends a field without a look at the names already there.
    pub fn push(&mut self, name: ShortString, value: FieldValue) {
        self.fields.push((name, value));
    }

    /// The first value of this name.
    pub fn get(&self, name: &str) -> Option<&FieldValue> {
        self.fields.iter().find(|(known, _)| known == name).map(|(_, value)| value)
    }

    /// Takes every field of this name out and gives back the first.
    pub fn remove(&mut self, name: &str) -> Option<FieldValue> {
        let mut removed = self.fields.extract_if(.., |(known, _)| known == name).map(|(_, value)| value);
        let first = removed.next();
        removed.for_each(drop);
        first
    }

    /// All fields, in order.
    pub fn iter(&self) -> std::slice::Iter<'_, (ShortString, FieldValue)> {
        self.fields.iter()
    }

    /// How many fields there are, inner ones not counted.
    pub const fn len(&self) -> usize {
        self.fields.len()
    }

    /// Whether there are no fields.
    pub const fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }
}

impl FromIterator<(ShortString, FieldValue)> for FieldTable {
    fn from_iter<I: IntoIterator<Item = (ShortString, FieldValue)>>(fields: I) -> Self {
        Self { fields: fields.into_iter().collect() }
    }
}

impl<'t> IntoIterator for &'t FieldTable {
    type Item = &'t (ShortString, FieldValue);
    type IntoIter = std::slice::Iter<'t, (ShortString, FieldValue)>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl IntoIterator for FieldTable {
    type Item = (ShortString, FieldValue);
    type IntoIter = std::vec::IntoIter<(ShortString, FieldValue)>;

    fn into_iter(self) -> Self::IntoIter {
        self.fields.into_iter()
    }
}
