//! Class `connection` (§1.4): the session between client and server; channel 0 only.

use crate::field_table::FieldTable;
use crate::id::{ClassId, MethodId};
use crate::reply_code::ReplyCode;
use crate::short_str::ShortStr;

class! {
    /// A method of class `connection`.
    "connection" Connection<'a> = CONNECTION;

    /// The server names its version, mechanisms and locales (§1.4.2.1).
    10 Start<'a> "start" {
        /// 0 for AMQP 0-9-1.
        version_major: u8,
        /// 9 for AMQP 0-9-1.
        version_minor: u8,
        /// Product, version, capabilities and the like.
        server_properties: FieldTable,
        /// Names of SASL mechanisms, separated by spaces.
        mechanisms: &'a [u8],
        /// Names of locales, separated by spaces.
        locales: &'a [u8],
    }

    /// The client picks a mechanism and a locale (§1.4.2.2).
    11 StartOk<'a> "start-ok" {
        /// Product, version, capabilities and the like.
        client_properties: FieldTable,
        /// The SASL mechanism.
        mechanism: ShortStr<'a>,
        /// The mechanism's first answer: credentials, not to be logged.
        response: &'a [u8],
        /// The locale.
        locale: ShortStr<'a>,
    }

    /// The server asks on (§1.4.2.3).
    20 Secure<'a> "secure" {
        /// The mechanism's question.
        challenge: &'a [u8],
    }

    /// The client answers (§1.4.2.4).
    21 SecureOk<'a> "secure-ok" {
        /// The mechanism's answer: credentials, not to be logged.
        response: &'a [u8],
    }

    /// The server proposes limits (§1.4.2.5).
    30 Tune "tune" {
        /// Highest channel number; 0 is no limit.
        channel_max: u16,
        /// Octets of the largest frame; 0 is no limit.
        frame_max: u32,
        /// Seconds between heartbeats; 0 is none.
        heartbeat: u16,
    }

    /// The client accepts or lowers the limits (§1.4.2.6).
    31 TuneOk "tune-ok" {
        /// Highest channel number; 0 is no limit.
        channel_max: u16,
        /// Octets of the largest frame; 0 is no limit.
        frame_max: u32,
        /// Seconds between heartbeats; 0 is none.
        heartbeat: u16,
    }

    /// The client picks its virtual host (§1.4.2.7).
    40 Open<'a> "open" {
        /// Name of the virtual host.
        virtual_host: ShortStr<'a>,
        reserved: ShortStr<'a>,
        reserved: bool,
    }

    /// The connection is ready (§1.4.2.8).
    41 OpenOk "open-ok" {
        reserved: ShortStr<'_>,
    }

    /// Either side ends the connection (§1.4.2.9).
    50 Close<'a> "close" {
        /// Why.
        reply_code: ReplyCode,
        /// Why, in words.
        reply_text: ShortStr<'a>,
        /// Class of the method to blame, if any.
        class_id: ClassId,
        /// Method to blame, if any.
        method_id: MethodId,
    }

    /// The other side agrees; the socket may be closed (§1.4.2.10).
    51 CloseOk "close-ok" {}

    /// RabbitMQ: the server is short of a resource and reads no more from publishers.
    60 Blocked<'a> "blocked" {
        /// Which resource.
        reason: ShortStr<'a>,
    }

    /// RabbitMQ: the server reads again.
    61 Unblocked "unblocked" {}

    /// RabbitMQ: the client replaces its credentials, such as a token about to expire.
    70 UpdateSecret<'a> "update-secret" {
        /// The new secret, not to be logged.
        new_secret: &'a [u8],
        /// Why, for the log.
        reason: ShortStr<'a>,
    }

    /// RabbitMQ: the new secret holds.
    71 UpdateSecretOk "update-secret-ok" {}
}
