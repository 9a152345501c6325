//! Class `exchange` (§1.6): exchanges, and RabbitMQ's bindings between them.

use crate::field_table::FieldTable;
use crate::short_str::ShortStr;

class! {
    /// A method of class `exchange`.
    "exchange" Exchange<'a> = EXCHANGE;

    /// Create an exchange, or check that it is there (§1.6.2.1).
    10 Declare<'a> "declare" {
        reserved: u16,
        /// Name of the exchange.
        exchange: ShortStr<'a>,
        /// Exchange type, such as `topic`: the argument `type`.
        kind: ShortStr<'a>,
        /// Only check that it is there.
        passive: bool,
        /// It survives a restart.
        durable: bool,
        /// It goes away when its last binding does.
        auto_delete: bool,
        /// Only other exchanges may route into it.
        internal: bool,
        /// No answer is wanted.
        no_wait: bool,
        /// What the type and the server make of it.
        arguments: FieldTable,
    }

    /// It is there (§1.6.2.2).
    11 DeclareOk "declare-ok" {}

    /// Delete an exchange (§1.6.2.3).
    20 Delete<'a> "delete" {
        reserved: u16,
        /// Name of the exchange.
        exchange: ShortStr<'a>,
        /// Only if nothing is bound to it.
        if_unused: bool,
        /// No answer is wanted.
        no_wait: bool,
    }

    /// It is gone (§1.6.2.4).
    21 DeleteOk "delete-ok" {}

    /// RabbitMQ: bind an exchange to an exchange.
    30 Bind<'a> "bind" {
        reserved: u16,
        /// The exchange that messages go to.
        destination: ShortStr<'a>,
        /// The exchange that they come from.
        source: ShortStr<'a>,
        /// The binding key.
        routing_key: ShortStr<'a>,
        /// No answer is wanted.
        no_wait: bool,
        /// What the source's type makes of it.
        arguments: FieldTable,
    }

    /// RabbitMQ: it is bound.
    31 BindOk "bind-ok" {}

    /// RabbitMQ: take such a binding away.
    40 Unbind<'a> "unbind" {
        reserved: u16,
        /// The exchange that messages went to.
        destination: ShortStr<'a>,
        /// The exchange that they came from.
        source: ShortStr<'a>,
        /// The binding key.
        routing_key: ShortStr<'a>,
        /// No answer is wanted.
        no_wait: bool,
        /// The arguments it was bound with.
        arguments: FieldTable,
    }

    /// RabbitMQ: it is gone. The number is 51, not 41: a slip that clients have relied on ever since.
    51 UnbindOk "unbind-ok" {}
}
