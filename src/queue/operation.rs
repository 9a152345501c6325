//! What operations on a queue take and give.

use super::{Holder, Lane, Seq};
use crate::clock::Timestamp;
use crate::id::EntityId;
use crate::message::Message;

/// What became of a message at one queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Enqueued {
    /// It is the queue's responsibility now. RabbitMQ: also when the queue was deleted meanwhile.
    /// With a place, if it is to be logged before it is confirmed.
    Accepted(Option<Placement>),
    /// Its like is the queue's responsibility already.
    Duplicate,
    /// The queue is full and refuses.
    Refused,
}

/// The place of a message that is to be logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placement {
    /// The queue.
    pub queue: EntityId,
    /// The message's lane there: each is logged by itself.
    pub level: Lane,
    /// The place there.
    pub seq: Seq,
    /// When it expires, if ever.
    pub expires: Option<Timestamp>,
}

/// How a lease ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settlement {
    /// Done.
    Ack,
    /// Refused for good.
    Discard,
    /// Back to the queue.
    Requeue,
    /// Back to the queue as if nobody had taken it: an operator has looked at it.
    PutBack,
    /// Back to the queue: the consumer could not deal with it, or is lost.
    Fail,
}

/// One lease as its channel knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LeaseRef {
    /// The message's place.
    pub seq: Seq,
    /// Who holds it.
    pub holder: Holder,
}

/// A message fetched by basic.get.
#[derive(Debug)]
pub struct Fetched {
    /// The message.
    pub message: Message,
    /// Its place, for its lease.
    pub seq: Seq,
    /// Who holds it.
    pub holder: Holder,
    /// Whether it was given to a consumer before.
    pub redelivered: bool,
    /// How often it came back, where the queue tells.
    pub returns: u32,
    /// Messages still ready.
    pub remaining: usize,
}

/// What basic.get finds.
#[derive(Debug)]
pub enum Got {
    /// The queue is empty.
    Empty,
    /// The next message is on disk: it is to be read back, and then asked for again.
    Cold,
    /// A message.
    Message(Fetched),
}

/// What a tick has found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ticked {
    /// The queue lease (`x-expires`) has run out.
    pub is_over: bool,
    /// The last consumer has been taken out.
    pub lost_consumers: bool,
}

/// Why a subscription is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SubscribeError {
    /// Exclusive use is asked for or held.
    Exclusive,
    /// The queue has been deleted.
    Deleted,
}
