//! Content headers and the properties in them (§4.2.6.1).
//!
//! ```text
//!   class short | weight short = 0 | body size longlong | flags short | property | property | ...
//!                                                         ^ "raw" properties start here
//! ```
//!
//! A flag of 1 says that its property is there; properties follow in the order of their flags, highest first. The
//! lowest flag would announce a second flag word, which no client has a use for: the fourteen properties fit in one.

use nom::Parser as _;
use nom::combinator::recognize;

use crate::error::HeaderError;
use crate::id::ClassId;
use crate::primitive::{finish, longlong, longstr, octet, put, short, shortstr};
use crate::short_str::ShortStr;

/// The payload of a header frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContentHeader<'a> {
    /// The class of the method that this content belongs to; `basic` in practice.
    pub class: ClassId,
    /// Octets of body to come, over all body frames. A peer's promise: nothing may be allocated for it.
    pub body_size: u64,
    /// The properties as they stand on the wire, for [`Properties::parse`]; not looked at yet.
    pub properties: &'a [u8],
}

impl<'a> ContentHeader<'a> {
    /// Parses the payload of a header frame.
    ///
    /// # Errors
    /// [`HeaderError::Truncated`] or [`HeaderError::Weight`]; what is wrong with the properties shows later.
    pub fn parse(payload: &'a [u8]) -> Result<Self, HeaderError> {
        let (properties, (class, weight, body_size)) = finish((short, short, longlong).parse(payload))?;
        // §4.2.6.1: "The weight field is unused and must be zero."
        if weight != 0 {
            return Err(HeaderError::Weight(weight));
        }
        Ok(Self { class: ClassId::new(class), body_size, properties })
    }

    /// Appends the payload of a header frame.
    pub fn encode(&self, out: &mut Vec<u8>) {
        put::short(out, self.class.get());
        put::short(out, 0);
        put::longlong(out, self.body_size);
        out.extend_from_slice(self.properties);
    }
}

/// Declares the properties once: flag bit, field, type, parser, writer.
macro_rules! properties {
    ($($(#[$doc:meta])* $bit:literal $field:ident: $type:ty = $parse:expr, $put:expr;)*) => {
        /// The properties of a message of class `basic`, borrowed from a header frame.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct Properties<'a> {
            $($(#[$doc])* pub $field: Option<$type>,)*
        }

        /// The flags that stand for a property.
        const KNOWN_FLAGS: u16 = 0 $(| 1 << $bit)*;

        impl<'a> Properties<'a> {
            /// Parses what follows the body size in a header frame. The header table is only delimited here.
            ///
            /// # Errors
            /// [`HeaderError`] if the octets are not exactly the properties that the flags announce. RabbitMQ does
            /// not look at the two flags without a property; here they are refused, since a consumer's library
            /// would wait for the second flag word that the lowest one announces.
            pub fn parse(raw: &'a [u8]) -> Result<Self, HeaderError> {
                let (rest, flags) = finish(short(raw))?;
                let mut properties = Self::default();
                if flags & !KNOWN_FLAGS != 0 {
                    return Err(HeaderError::UnknownFlags(flags));
                }
                $(let rest = if flags & 1 << $bit == 0 { rest } else {
                    let (rest, value) = finish($parse.parse(rest))?;
                    properties.$field = Some(value);
                    rest
                };)*
                if rest.is_empty() { Ok(properties) } else { Err(HeaderError::Trailing(rest.len())) }
            }

            /// Appends flags and properties.
            pub fn encode(&self, out: &mut Vec<u8>) {
                put::short(out, 0 $(| u16::from(self.$field.is_some()) << $bit)*);
                $(if let Some(value) = self.$field {
                    $put(out, value);
                })*
            }
        }
    };
}

properties! {
    /// MIME type of the body.
    15 content_type: ShortStr<'a> = shortstr, put::shortstr;
    /// MIME encoding of the body.
    14 content_encoding: ShortStr<'a> = shortstr, put::shortstr;
    /// The header table, raw, its length included: for [`FieldTable::parse`](crate::FieldTable::parse).
    13 headers: &'a [u8] = recognize(longstr), put_raw;
    /// 1 transient, 2 persistent.
    12 delivery_mode: u8 = octet, put::octet;
    /// Priority, 0 to 9 by the specification, to 255 by RabbitMQ.
    11 priority: u8 = octet, put::octet;
    /// What this message answers.
    10 correlation_id: ShortStr<'a> = shortstr, put::shortstr;
    /// Where answers go: a queue's name.
    9 reply_to: ShortStr<'a> = shortstr, put::shortstr;
    /// Time to live: milliseconds, in decimal digits.
    8 expiration: ShortStr<'a> = shortstr, put::shortstr;
    /// The application's name for the message.
    7 message_id: ShortStr<'a> = shortstr, put::shortstr;
    /// Seconds since 1970 began, UTC.
    6 timestamp: u64 = longlong, put::longlong;
    /// The application's type of message: the property `type`.
    5 kind: ShortStr<'a> = shortstr, put::shortstr;
    /// The user who published; checked by the broker.
    4 user_id: ShortStr<'a> = shortstr, put::shortstr;
    /// The application that published.
    3 app_id: ShortStr<'a> = shortstr, put::shortstr;
    /// Of AMQP 0-8, without a meaning by now.
    2 cluster_id: ShortStr<'a> = shortstr, put::shortstr;
}

fn put_raw(out: &mut Vec<u8>, octets: &[u8]) {
    out.extend_from_slice(octets);
}
