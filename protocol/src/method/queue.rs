//! Class `queue` (§1.7): queues and their bindings.

use crate::field_table::FieldTable;
use crate::short_str::ShortStr;

class! {
    /// A method of class `queue`. An empty queue name in any of them is the queue last declared on the channel.
    "queue" Queue<'a> = QUEUE;

    /// Create a queue, or check that it is there (§1.7.2.1).
    10 Declare<'a> "declare" {
        reserved: u16,
        /// Name of the queue; empty for the server to choose.
        queue: ShortStr<'a>,
        /// Only check that it is there.
        passive: bool,
        /// It survives a restart.
        durable: bool,
        /// Only this connection may use it, and it goes away with it.
        exclusive: bool,
        /// It goes away with its last consumer.
        auto_delete: bool,
        /// No answer is wanted.
        no_wait: bool,
        /// Type, limits, dead-lettering and the like.
        arguments: FieldTable,
    }

    /// It is there (§1.7.2.2).
    11 DeclareOk<'a> "declare-ok" {
        /// Its name.
        queue: ShortStr<'a>,
        /// Messages ready in it.
        message_count: u32,
        /// Consumers of it.
        consumer_count: u32,
    }

    /// Bind a queue to an exchange (§1.7.2.3).
    20 Bind<'a> "bind" {
        reserved: u16,
        /// Name of the queue.
        queue: ShortStr<'a>,
        /// Name of the exchange.
        exchange: ShortStr<'a>,
        /// The binding key.
        routing_key: ShortStr<'a>,
        /// No answer is wanted.
        no_wait: bool,
        /// What the exchange's type makes of it.
        arguments: FieldTable,
    }

    /// It is bound (§1.7.2.4).
    21 BindOk "bind-ok" {}

    /// Drop all ready messages (§1.7.2.7).
    30 Purge<'a> "purge" {
        reserved: u16,
        /// Name of the queue.
        queue: ShortStr<'a>,
        /// No answer is wanted.
        no_wait: bool,
    }

    /// They are gone (§1.7.2.8).
    31 PurgeOk "purge-ok" {
        /// Messages dropped.
        message_count: u32,
    }

    /// Delete a queue (§1.7.2.9).
    40 Delete<'a> "delete" {
        reserved: u16,
        /// Name of the queue.
        queue: ShortStr<'a>,
        /// Only if it has no consumers.
        if_unused: bool,
        /// Only if it has no messages.
        if_empty: bool,
        /// No answer is wanted.
        no_wait: bool,
    }

    /// It is gone (§1.7.2.10).
    41 DeleteOk "delete-ok" {
        /// Messages dropped with it.
        message_count: u32,
    }

    /// Take a binding away (§1.7.2.5).
    50 Unbind<'a> "unbind" {
        reserved: u16,
        /// Name of the queue.
        queue: ShortStr<'a>,
        /// Name of the exchange.
        exchange: ShortStr<'a>,
        /// The binding key.
        routing_key: ShortStr<'a>,
        /// The arguments it was bound with.
        arguments: FieldTable,
    }

    /// It is gone (§1.7.2.6).
    51 UnbindOk "unbind-ok" {}
}
