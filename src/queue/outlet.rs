//! What a queue knows of its surroundings: values that it was given.

use std::sync::Arc;

use super::Queue;
use super::lane::Lane;
use super::ready::{Departures, Home, Seq};
use super::state::Dropped;
use super::state::dead::Dead;
use super::state::delays::Moves;
use super::turn::Turn;
use crate::clock::Timestamp;
use crate::message::Message;

/// A delivery that is offered to a consumer.
#[derive(Clone, Copy, Debug)]
pub struct Delivery<'a> {
    /// The queue it comes from.
    pub queue: &'a Arc<Queue>,
    /// Its place there.
    pub seq: Seq,
    /// The message.
    pub message: &'a Message,
    /// Whether it was given to a consumer before (§1.8.3.9: redelivered).
    pub redelivered: bool,
    /// How often it came back, where the queue tells (RabbitMQ: `x-delivery-count`); else 0.
    pub returns: u32,
}

/// Where a consumer's deliveries go: the channel's side of a subscription.
pub trait Outlet: Send + Sync {
    /// Takes the delivery or refuses it. Called under the queue's lock, so it must not call the queue back. Who
    /// refuses calls [`Queue::resume`] when there is room again.
    fn offer(&self, delivery: &Delivery<'_>) -> Offered;

    /// Tells the writer that there are deliveries. Called without a lock.
    fn wake(&self);

    /// The queue is gone and the consumer with it (RabbitMQ: consumer cancel notification). Called without a lock.
    fn cancelled(&self);

    /// A delivery was held for longer than `limit_ms`: the queue has taken the consumer out, and taken back all that it
    /// held. Called without a lock.
    fn expired(&self, limit_ms: u64);
}

pub use crate::outbound::Offered;

/// What the broker does for a queue once the queue's lock is dropped.
pub trait Host: Send + Sync {
    /// Asks for [`Queue::tick`] at `at` or soon after.
    fn arm(&self, queue: &Arc<Queue>, at: Timestamp);

    /// Logged messages of a level up to `seq` may have been given to a consumer.
    fn delivered(&self, queue: &Queue, level: Lane, seq: Seq);

    /// A logged message was given to a consumer again, for so many times by now.
    fn counted(&self, queue: &Queue, level: Lane, seq: Seq, deliveries: u32);

    /// Logged messages are kept elsewhere than before: the new place and the end of the old one are one change.
    fn moved(&self, queue: &Queue, moves: Moves);

    /// Reads one message that the queue has let leave the memory.
    fn fetch(&self, queue: &Queue, level: Lane, seq: Seq, home: Home) -> Option<Message>;

    /// Messages have left the queue: `dropped` without being settled by a consumer, and all that were stored.
    /// Whatever becomes of the former must be on disk before it is there that they are gone; it is seen to in its
    /// `turn`.
    fn left(
        &self,
        queue: &Queue,
        dropped: Vec<Dropped>,
        gone: Departures,
        turn: Option<Turn>,
        now: Timestamp,
    );

    /// Messages have died and stay until [`Queue::carried`] is told that their letters have arrived, which are carried
    /// in their `turn`.
    fn died(&self, queue: &Arc<Queue>, dead: Vec<Dead>, turn: Option<Turn>, now: Timestamp);

    /// The queue's share of memory has changed by so many octets.
    fn account(&self, queue: &Arc<Queue>, octets: i64);

    /// Messages that are on disk only are needed: read [`Queue::page_wanted`] and call [`Queue::paged_in`].
    fn page_in(&self, queue: &Arc<Queue>);
}
