//! Class `access`: tickets of AMQP 0-8. 0-9-1 dropped them; some clients still ask for one and get a fixed number.

use crate::short_str::ShortStr;

class! {
    /// A method of class `access`.
    "access" Access<'a> = ACCESS;

    /// The client asks for a ticket.
    10 Request<'a> "request" {
        /// What it wants to reach.
        realm: ShortStr<'a>,
        /// No one else shall.
        exclusive: bool,
        /// Only to learn whether it exists.
        passive: bool,
        /// To get messages.
        active: bool,
        /// To publish.
        write: bool,
        /// To consume.
        read: bool,
    }

    /// The server grants it.
    11 RequestOk "request-ok" {
        /// The ticket.
        ticket: u16,
    }
}
