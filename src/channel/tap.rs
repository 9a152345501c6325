//! A channel's end of the firehose: what it delivers is noted under the queue's lock and copied once that is dropped.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use lepus_protocol::ChannelId;
use parking_lot::Mutex;

use crate::broker::Vhost;
use crate::broker::connections::ConnectionEntry;
use crate::broker::firehose::Tapped;
use crate::clock::Timestamp;
use crate::message::Message;
use crate::name::Name;
use crate::queue::Delivery;

/// Deliveries that wait to be copied; beyond it they are not: the firehose is a view and no queue.
const NOTED_MAX: usize = 16_384;

/// Where the firehose finds a channel.
#[derive(Debug)]
pub(super) struct Tap {
    vhost: Arc<Vhost>,
    entry: Arc<ConnectionEntry>,
    channel: ChannelId,
    /// Whether anything is noted.
    pending: AtomicBool,
    noted: Mutex<Vec<Noted>>,
}

/// A delivery to be copied.
#[derive(Debug)]
struct Noted {
    queue: Name,
    message: Message,
    redelivered: bool,
}

impl Tap {
    pub(super) fn new(vhost: Arc<Vhost>, entry: Arc<ConnectionEntry>, channel: ChannelId) -> Arc<Self> {
        Arc::new(Self { vhost, entry, channel, pending: AtomicBool::new(false), noted: Mutex::default() })
    }

    /// Whether the firehose is on.
    pub(super) fn is_open(&self) -> bool {
        self.vhost.is_tracing()
    }

    /// Who this is, for the headers of copies.
    pub(super) fn tapped(&self) -> Tapped {
        Tapped {
            connection: self.entry.name(),
            channel: self.channel.get(),
            user: self.entry.facts.user.clone(),
        }
    }

    /// Notes a delivery; [`Self::pass_on`] has to follow once no lock is held.
    pub(super) fn note(&self, delivery: &Delivery<'_>) {
        let mut noted = self.noted.lock();
        if noted.len() < NOTED_MAX {
            noted.push(Noted {
                queue: delivery.queue.name.clone(),
                message: delivery.message.clone(),
                redelivered: delivery.redelivered,
            });
        }
        self.pending.store(true, Ordering::Relaxed);
    }

    /// Copies what was noted; the time is asked only if anything was.
    pub(super) fn pass_on(&self, now: impl FnOnce() -> Timestamp) {
        if !self.pending.load(Ordering::Relaxed) {
            return;
        }
        let noted = {
            let mut noted = self.noted.lock();
            self.pending.store(false, Ordering::Relaxed);
            std::mem::take(&mut *noted)
        };
        let (by, now) = (self.tapped(), now());
        for Noted { queue, message, redelivered } in noted {
            self.vhost.trace_delivery(&by, &queue, &message, redelivered, now);
        }
    }
}
