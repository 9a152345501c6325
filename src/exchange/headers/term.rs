//! A field's value as the headers exchange compares it.

use std::borrow::Cow;

use lepus_protocol::FieldValue;

/// RabbitMQ: compared is the Erlang term a value was parsed to, and most of its type is lost on the way. All
/// integers and timestamps of one value are equal, so are text and bytes, and floats of either width; an integer
/// and a float are not (they were until 3.12). Within an array or a table the types count, and so does the order.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Term<'a> {
    Void,
    Bool(bool),
    Integer(i128),
    /// The bits, so that it can be hashed; no NaN comes in, and zero has one sign.
    Float(u64),
    Decimal {
        scale: u8,
        value: u32,
    },
    Octets(Cow<'a, [u8]>),
    Array(Vec<TypedTerm<'a>>),
    Table(Vec<(Cow<'a, [u8]>, TypedTerm<'a>)>),
}

/// A term along with the name of the type it came from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct TypedTerm<'a> {
    type_name: &'static str,
    term: Term<'a>,
}

impl<'a> Term<'a> {
    /// Recursion ends with the nesting that a parsed table may have.
    pub(super) fn new(value: &'a FieldValue) -> Self {
        match value {
            FieldValue::Bool(value) => Self::Bool(*value),
            FieldValue::I8(value) => Self::Integer((*value).into()),
            FieldValue::U8(value) => Self::Integer((*value).into()),
            FieldValue::I16(value) => Self::Integer((*value).into()),
            FieldValue::U16(value) => Self::Integer((*value).into()),
            FieldValue::I32(value) => Self::Integer((*value).into()),
            FieldValue::U32(value) => Self::Integer((*value).into()),
            FieldValue::I64(value) => Self::Integer((*value).into()),
            FieldValue::Timestamp(seconds) => Self::Integer((*seconds).into()),
            FieldValue::F32(value) => Self::float((*value).into()),
            FieldValue::F64(value) => Self::float(*value),
            FieldValue::Decimal { scale, value } => Self::Decimal { scale: *scale, value: *value },
            FieldValue::LongString(octets) | FieldValue::Bytes(octets) => Self::Octets(octets.into()),
            FieldValue::Array(values) => Self::Array(values.iter().map(TypedTerm::new).collect()),
            FieldValue::Table(table) => Self::Table(
                table.iter().map(|(name, value)| (name.as_bytes().into(), TypedTerm::new(value))).collect(),
            ),
            FieldValue::Void => Self::Void,
        }
    }

    const fn float(value: f64) -> Self {
        // Adding zero turns -0.0, which equals it, into it.
        Self::Float((value + 0.0).to_bits())
    }

    /// The same, owned.
    pub(super) fn into_owned(self) -> Term<'static> {
        match self {
            Self::Void => Term::Void,
            Self::Bool(value) => Term::Bool(value),
            Self::Integer(value) => Term::Integer(value),
            Self::Float(bits) => Term::Float(bits),
            Self::Decimal { scale, value } => Term::Decimal { scale, value },
            Self::Octets(octets) => Term::Octets(Cow::Owned(octets.into_owned())),
            Self::Array(values) => Term::Array(values.into_iter().map(TypedTerm::into_owned).collect()),
            Self::Table(fields) => {
                let fields = fields.into_iter();
                Term::Table(
                    fields.map(|(name, value)| (name.into_owned().into(), value.into_owned())).collect(),
                )
            }
        }
    }
}

impl<'a> TypedTerm<'a> {
    fn new(value: &'a FieldValue) -> Self {
        Self { type_name: value.type_name(), term: Term::new(value) }
    }

    fn into_owned(self) -> TypedTerm<'static> {
        TypedTerm { type_name: self.type_name, term: self.term.into_owned() }
    }
}
