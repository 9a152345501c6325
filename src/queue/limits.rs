//! What bounds a queue: length, octets, time to live, idle time.

use super::retry::Retry;
use crate::message::Message;

/// What happens to a message for which there is no room (`x-overflow`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Overflow {
    /// The oldest ready message makes room.
    #[default]
    DropHead,
    /// The arrival is refused; its publisher gets a nack.
    RejectPublish,
    /// As `RejectPublish`, and the arrival is dead-lettered.
    RejectPublishDlx,
}

/// Which priorities a queue tells apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Priorities {
    /// None.
    #[default]
    None,
    /// Those up to this one (`x-max-priority`): the highest first, always.
    UpTo(u8),
    /// Two (RabbitMQ 4.0: quorum queues): of three messages two are high ones, so that neither waits for ever.
    NormalAndHigh,
}

/// The highest priority that is a normal one (RabbitMQ 4.0: on quorum queues).
const NORMAL_MAX: u8 = 4;

impl Priorities {
    /// What a queue's type and its `x-max-priority` say.
    pub fn of(is_quorum: bool, max: Option<u64>) -> Self {
        match max.and_then(|max| u8::try_from(max).ok()) {
            _ if is_quorum => Self::NormalAndHigh,
            Some(max) => Self::UpTo(max),
            None => Self::None,
        }
    }

    /// The level of messages of a priority; none is the lowest, more than the highest is the highest (RabbitMQ).
    pub fn level_of(self, priority: u8) -> u8 {
        match self {
            Self::None => 0,
            Self::UpTo(max) => priority.min(max),
            Self::NormalAndHigh => u8::from(priority > NORMAL_MAX),
        }
    }

    /// The highest level.
    pub fn highest(self) -> u8 {
        self.level_of(u8::MAX)
    }
}

/// A queue's limits, from its arguments.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// `x-message-ttl` in milliseconds.
    pub message_ttl_ms: Option<u64>,
    /// `x-max-length`: ready messages.
    pub length_max: Option<u64>,
    /// `x-max-length-bytes`: octets of ready bodies.
    pub bytes_max: Option<u64>,
    /// `x-overflow`.
    pub overflow: Overflow,
    /// Which priorities are told apart.
    pub priorities: Priorities,
    /// `x-delivery-limit`: how often a message may come back; `None` is no limit.
    pub delivery_limit: Option<u32>,
    /// `x-expires`: the queue lease in milliseconds.
    pub idle_ms: Option<u64>,
    /// By how much messages that come back are delayed.
    pub retry: Option<Retry>,
    /// Deliveries tell how often their message came back, over restarts too (RabbitMQ: quorum queues).
    pub tells_deliveries: bool,
    /// Dead messages stay until their letters have arrived (RabbitMQ: `x-dead-letter-strategy` at-least-once).
    pub keeps_dead: bool,
    /// `x-message-deduplication` (RabbitMQ's plugin): no two messages with the same header at a time.
    pub deduplicates: bool,
}

impl Limits {
    /// Whether `length` ready messages with `bytes` octets of bodies are too many.
    pub fn is_exceeded_by(&self, length: u64, bytes: u64) -> bool {
        self.length_max.is_some_and(|max| length > max) || self.bytes_max.is_some_and(|max| bytes > max)
    }

    /// The message's level in this queue.
    pub fn level_of(&self, message: &Message) -> u8 {
        self.priorities.level_of(message.priority())
    }

    /// Whether a message that was given out so many times may not be given out again.
    pub fn is_spent(&self, deliveries: u32) -> bool {
        self.delivery_limit.is_some_and(|limit| deliveries > limit)
    }

    /// The smaller of the queue's and the message's time to live, in milliseconds.
    pub fn ttl_of(&self, message: &Message) -> Option<u64> {
        match (self.message_ttl_ms, message.ttl_ms()) {
            (Some(queue), Some(message)) => Some(queue.min(message)),
            (queue, message) => queue.or(message),
        }
    }
}
