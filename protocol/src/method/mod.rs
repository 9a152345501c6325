//! Methods (§1.2, §4.2.4): a file per class, in it one table of all methods with their arguments in wire order.
//!
//! Each table makes a struct per method, an enum over the class, and both directions of the codec. Arguments that the
//! specification reserves are read and dropped, and written as zero.

#[macro_use]
mod table;
mod arguments;

pub mod access;
pub mod basic;
pub mod channel;
pub mod confirm;
pub mod connection;
pub mod exchange;
pub mod queue;
pub mod tx;

use nom::Parser as _;

use crate::error::MethodError;
use crate::frame::{FRAME_END, METHOD};
use crate::id::{ChannelId, ClassId, MethodId};
use crate::primitive::{put, short};
use arguments::Writer;

/// A method of any class. Strings are borrowed from the frame; tables are owned.
#[derive(Clone, Debug, PartialEq)]
pub enum Method<'a> {
    /// Class 10: sessions between two peers.
    Connection(connection::Method<'a>),
    /// Class 20: channels of a connection.
    Channel(channel::Method<'a>),
    /// Class 30: tickets of AMQP 0-8.
    Access(access::Method<'a>),
    /// Class 40: exchanges.
    Exchange(exchange::Method<'a>),
    /// Class 50: queues and their bindings.
    Queue(queue::Method<'a>),
    /// Class 60: messages.
    Basic(basic::Method<'a>),
    /// Class 85: publisher confirms.
    Confirm(confirm::Method),
    /// Class 90: transactions.
    Tx(tx::Method),
}

impl<'a> Method<'a> {
    /// Parses the payload of a method frame.
    ///
    /// # Errors
    /// [`MethodError`] if the method is unknown, or its arguments are not exactly as its table says.
    #[inline]
    pub fn parse(payload: &'a [u8]) -> Result<Self, MethodError> {
        let (input, (class, method)) = (short::<()>, short).parse(payload).map_err(|_| MethodError::NoIds)?;
        let (class, method) = (ClassId::new(class), MethodId::new(method));
        match class {
            ClassId::BASIC => basic::Method::parse(method, input),
            ClassId::CONNECTION => connection::Method::parse(method, input),
            ClassId::CHANNEL => channel::Method::parse(method, input),
            ClassId::ACCESS => access::Method::parse(method, input),
            ClassId::EXCHANGE => exchange::Method::parse(method, input),
            ClassId::QUEUE => queue::Method::parse(method, input),
            ClassId::CONFIRM => confirm::Method::parse(method, input),
            ClassId::TX => tx::Method::parse(method, input),
            _ => Err(MethodError::Unknown { class, method }),
        }
    }

    /// Appends a whole method frame: header, payload, end octet.
    pub fn encode(&self, channel: ChannelId, out: &mut Vec<u8>) {
        put::octet(out, METHOD);
        put::short(out, channel.get());
        put::counted(out, |out| {
            put::short(out, self.class_id().get());
            put::short(out, self.method_id().get());
            self.write(&mut Writer::new(out));
        });
        put::octet(out, FRAME_END);
    }

    /// Whether a content header and body follow this method (§4.2.6).
    pub const fn has_content(&self) -> bool {
        use basic::Method::{Deliver, GetOk, Publish, Return};
        matches!(self, Method::Basic(Publish(_) | Return(_) | Deliver(_) | GetOk(_)))
    }
}

/// One line per class for what each class does the same way.
macro_rules! by_class {
    ($self:ident, $method:ident => $call:expr) => {
        match $self {
            Method::Connection($method) => $call,
            Method::Channel($method) => $call,
            Method::Access($method) => $call,
            Method::Exchange($method) => $call,
            Method::Queue($method) => $call,
            Method::Basic($method) => $call,
            Method::Confirm($method) => $call,
            Method::Tx($method) => $call,
        }
    };
}

impl Method<'_> {
    /// The class of the method.
    pub const fn class_id(&self) -> ClassId {
        by_class!(self, method => method.class_id())
    }

    /// The method within its class.
    pub const fn method_id(&self) -> MethodId {
        by_class!(self, method => method.method_id())
    }

    /// Class and method as the specification spells them, such as `basic.get-ok`.
    pub const fn name(&self) -> &'static str {
        by_class!(self, method => method.name())
    }

    fn write(&self, writer: &mut Writer<'_>) {
        by_class!(self, method => method.write(writer));
    }
}
