//! Reply codes (§1.2): why a channel or a connection was closed, or a message returned.

use std::fmt;

/// A three-digit code. An open newtype: a peer may send a code that is unknown here.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReplyCode(u16);

/// Declares the known codes once, as constants and as names.
macro_rules! reply_codes {
    ($($(#[$doc:meta])* $code:literal $name:ident,)*) => {
        impl ReplyCode {
            $($(#[$doc])* pub const $name: Self = Self($code);)*

            /// The name that stands in the specification, with underscores; `"UNKNOWN"` for any other code.
            pub const fn name(self) -> &'static str {
                match self.0 {
                    $($code => stringify!($name),)*
                    _ => "UNKNOWN",
                }
            }
        }
    };
}

reply_codes! {
    /// The method completed.
    200 SUCCESS,
    /// Soft: the content is larger than the server takes.
    311 CONTENT_TOO_LARGE,
    /// Soft: a mandatory message has no queue to go to.
    312 NO_ROUTE,
    /// Soft: an immediate message has no consumer to go to.
    313 NO_CONSUMERS,
    /// Hard: an operator closed the connection.
    320 CONNECTION_FORCED,
    /// Hard: the virtual host is unknown.
    402 INVALID_PATH,
    /// Soft: the user may not do this.
    403 ACCESS_REFUSED,
    /// Soft: the entity does not exist.
    404 NOT_FOUND,
    /// Soft: the entity belongs to another connection.
    405 RESOURCE_LOCKED,
    /// Soft: the method's own conditions do not hold.
    406 PRECONDITION_FAILED,
    /// Hard: a frame could not be decoded.
    501 FRAME_ERROR,
    /// Hard: a frame held illegal values.
    502 SYNTAX_ERROR,
    /// Hard: methods came in an order that makes no sense.
    503 COMMAND_INVALID,
    /// Hard: a channel was used that is not open.
    504 CHANNEL_ERROR,
    /// Hard: a frame came where another type was due.
    505 UNEXPECTED_FRAME,
    /// Hard: the server lacks the resources.
    506 RESOURCE_ERROR,
    /// Hard: the peer works against the rules that were negotiated.
    530 NOT_ALLOWED,
    /// Hard: the method is not supported.
    540 NOT_IMPLEMENTED,
    /// Hard: the server failed.
    541 INTERNAL_ERROR,
}

impl ReplyCode {
    /// The code with this number.
    pub const fn new(code: u16) -> Self {
        Self(code)
    }

    /// The number on the wire.
    pub const fn get(self) -> u16 {
        self.0
    }

    /// Whether this code closes the whole connection rather than one channel (§4.8.1). An unknown code is taken as
    /// hard: the safe reading of a fault that nobody understands.
    pub const fn is_hard(self) -> bool {
        !matches!(self.0, 200 | 311 | 312 | 313 | 403 | 404 | 405 | 406)
    }
}

impl Default for ReplyCode {
    fn default() -> Self {
        Self::SUCCESS
    }
}

impl fmt::Debug for ReplyCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.0, self.name())
    }
}

impl fmt::Display for ReplyCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
