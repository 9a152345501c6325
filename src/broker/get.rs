//! basic.get: one message, which may have to be read from disk before.
//!
//! A connection does not wait for a disk, for others share its thread: it asks, its frames wait, and a thread of the
//! pager reads. Whoever has a thread for such things waits in place.

use std::sync::Arc;

use tokio::sync::oneshot;

use super::session::Session;
use super::vhost::Vhost;
use crate::auth::Access;
use crate::clock::Timestamp;
use crate::exception::ChannelException;
use crate::name::Name;
use crate::queue::{Fetched, Got, HeadNeed, Queue};
use crate::storage::StoreError;

/// What reading the next messages of a queue leads to: whether there is reason to look again.
pub(super) type HeadRead = Result<bool, StoreError>;

/// What a connection that gets a message meets.
#[derive(Debug)]
pub enum Polled {
    /// The queue is empty.
    Empty,
    /// A message.
    Message(Arc<Queue>, Fetched),
    /// It is being read: [`Session::head_read`] waits for it, then the same is to be asked again.
    Awaited,
}

/// The read that a session has asked for.
#[derive(Debug)]
pub(super) enum Awaited {
    Asked(HeadNeed, oneshot::Receiver<HeadRead>),
    Done(HeadNeed, HeadRead),
}

impl Session {
    /// Fetches one message (§1.8.3.10); waits for the disk if it must.
    ///
    /// # Errors
    /// 403, 404, 405; 406 if the message cannot be read.
    pub fn get(
        &self,
        name: &Name,
        no_ack: bool,
        now: Timestamp,
    ) -> Result<Option<(Arc<Queue>, Fetched)>, ChannelException> {
        let queue = self.queue_to_get(name)?;
        let _need = queue.need_head();
        loop {
            match queue.get(no_ack, now) {
                Got::Empty => return Ok(None),
                Got::Message(fetched) => return Ok(Some((queue, fetched))),
                Got::Cold => self.check_read(&queue, self.vhost.read_head(&queue, now))?,
            }
        }
    }

    /// As [`Self::get`], without waiting.
    ///
    /// # Errors
    /// As for [`Self::get`].
    pub fn poll_get(&self, name: &Name, no_ack: bool, now: Timestamp) -> Result<Polled, ChannelException> {
        let queue = self.queue_to_get(name)?;
        // An operator still finds what is there.
        if queue.is_paused() {
            return Ok(Polled::Empty);
        }
        // It stays needed until the look at the queue.
        let last = self.awaited_head.lock().take();
        match queue.get(no_ack, now) {
            Got::Empty => return Ok(Polled::Empty),
            Got::Message(fetched) => return Ok(Polled::Message(queue, fetched)),
            Got::Cold => {}
        }
        if let Some(Awaited::Done(of, read)) = last
            && of.queue().id == queue.id
        {
            // What was read may have gone to another.
            self.check_read(&queue, read)?;
        }
        let need = queue.need_head();
        match self.vhost.ask_head(&queue) {
            Some(read) => *self.awaited_head.lock() = Some(Awaited::Asked(need, read)),
            None => self.check_read(&queue, Ok(false))?,
        }
        Ok(Polled::Awaited)
    }

    /// Whether a message is being read for this session.
    pub fn awaits_head(&self) -> bool {
        matches!(*self.awaited_head.lock(), Some(Awaited::Asked(..)))
    }

    /// Waits until the message has been read that was asked for last, if one was.
    pub async fn head_read(&self) {
        let asked = self.awaited_head.lock().take();
        let Some(Awaited::Asked(need, read)) = asked else { return };
        // Nobody answers if the queue is gone; the next look says so.
        let read = read.await.unwrap_or(Ok(true));
        *self.awaited_head.lock() = Some(Awaited::Done(need, read));
    }

    fn queue_to_get(&self, name: &Name) -> Result<Arc<Queue>, ChannelException> {
        self.check_queue(Access::Read, name)?;
        let queue = self.existing_queue(name)?;
        let arguments = &queue.options.arguments;
        if arguments.single_active_consumer && arguments.is_quorum() {
            return Err(ChannelException::resource_locked(format_args!(
                "cannot obtain access to locked {}. basic.get operations are not supported by quorum queues with \
                 single active consumer",
                self.queue_text(name)
            )));
        }
        Ok(queue)
    }

    fn check_read(&self, queue: &Queue, read: HeadRead) -> Result<(), ChannelException> {
        let cannot = |why: &dyn std::fmt::Display| {
            let text = self.queue_text(&queue.name);
            ChannelException::precondition_failed(format_args!(
                "the next message of {text} cannot be read: {why}"
            ))
        };
        match read {
            Ok(true) => Ok(()),
            Ok(false) => Err(cannot(&"it is in no store")),
            Err(error) => Err(cannot(&error)),
        }
    }
}

impl Vhost {
    /// Reads the next messages of a queue back while the caller waits.
    fn read_head(&self, queue: &Arc<Queue>, now: Timestamp) -> HeadRead {
        self.host.pager.as_ref().map_or(Ok(false), |pager| pager.read_head(queue, now))
    }

    /// Has the next messages of a queue read back; `None`: nobody reads.
    fn ask_head(&self, queue: &Arc<Queue>) -> Option<oneshot::Receiver<HeadRead>> {
        self.host.pager.as_ref().map(|pager| pager.ask_head(queue))
    }
}
