//! Class `channel` (§1.5): the life of a channel.

use crate::id::{ClassId, MethodId};
use crate::reply_code::ReplyCode;
use crate::short_str::ShortStr;

class! {
    /// A method of class `channel`.
    "channel" Channel<'a> = CHANNEL;

    /// The client opens the channel (§1.5.2.1).
    10 Open "open" {
        reserved: ShortStr<'_>,
    }

    /// The channel is ready (§1.5.2.2).
    11 OpenOk "open-ok" {
        reserved: &[u8],
    }

    /// Either side stops or resumes the flow of content (§1.5.2.3).
    20 Flow "flow" {
        /// Whether content may flow.
        active: bool,
    }

    /// The other side has done so (§1.5.2.4).
    21 FlowOk "flow-ok" {
        /// Whether content may flow.
        active: bool,
    }

    /// Either side ends the channel (§1.5.2.5).
    40 Close<'a> "close" {
        /// Why.
        reply_code: ReplyCode,
        /// Why, in words.
        reply_text: ShortStr<'a>,
        /// Class of the method to blame, if any.
        class_id: ClassId,
        /// Method to blame, if any.
        method_id: MethodId,
    }

    /// The other side agrees (§1.5.2.6).
    41 CloseOk "close-ok" {}
}
