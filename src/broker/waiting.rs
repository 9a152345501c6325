//! What waits in a queue until it is due, for operators: a page at a time, without the messages' bodies.

use lepus_protocol::Properties;

use super::session::Session;
use super::vhost::Vhost;
use crate::auth::Access;
use crate::clock::Timestamp;
use crate::exception::ChannelException;
use crate::message::{Message, Retried};
use crate::name::Name;
use crate::queue::{Bookmark, Queue, Waiting};
use crate::storage::StoreError;

/// A message that is not due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WaitingMessage {
    /// When it is due.
    pub due: Timestamp,
    /// What it has gone through if it came back to be tried again; `None`: its publisher wants it later.
    pub retried: Option<Retried>,
    /// The exchange that it was published to.
    pub exchange: Vec<u8>,
    /// Its routing key.
    pub routing_key: Vec<u8>,
    /// Its property `message-id`.
    pub message_id: Option<String>,
    /// Octets of its body.
    pub body_len: usize,
}

/// Some of them.
#[derive(Clone, Debug, Default)]
pub struct WaitingPage {
    /// The messages; what has left meanwhile is not among them.
    pub messages: Vec<WaitingMessage>,
    /// Where the rest begins, if there are more.
    pub next: Option<Bookmark>,
    /// How many there are in all.
    pub total: usize,
}

impl WaitingMessage {
    fn new(message: &Message, due: Timestamp) -> Self {
        let properties = Properties::parse(message.properties()).ok();
        Self {
            due,
            retried: message.retried(),
            exchange: message.exchange().to_vec(),
            routing_key: message.routing_key().to_vec(),
            message_id: properties.and_then(|known| known.message_id).map(|id| id.to_string()),
            body_len: message.body().len(),
        }
    }
}

impl Session {
    /// At most so many of a queue's messages that are not due, `after` a bookmark or from the first one on. The queue's
    /// lock is held for as long as a page takes; those on disk are read one by one, and the caller waits for it.
    ///
    /// # Errors
    /// 403 without the permission to read, 404; 406 if a message cannot be read.
    pub fn waiting(
        &self,
        name: &Name,
        after: Option<Bookmark>,
        most: usize,
    ) -> Result<WaitingPage, ChannelException> {
        self.check_queue(Access::Read, name)?;
        let queue = self.vhost.queue(name.as_str()).ok_or_else(|| self.no_queue(name))?;
        self.vhost.waiting(&queue, after, most).map_err(|error| {
            let text = self.queue_text(name);
            ChannelException::precondition_failed(format_args!(
                "a delayed message of {text} cannot be read: {error}"
            ))
        })
    }
}

impl Vhost {
    fn waiting(
        &self,
        queue: &Queue,
        after: Option<Bookmark>,
        most: usize,
    ) -> Result<WaitingPage, StoreError> {
        let page = queue.delayed_page(after, most);
        let mut messages = Vec::with_capacity(page.messages.len());
        for waiting in page.messages {
            match waiting {
                Waiting::Here { due, message } => messages.push(WaitingMessage::new(&message, due)),
                Waiting::Stored(lane, seq, home) => {
                    let Some(pager) = &self.host.pager else { continue };
                    let stored = pager.peek(queue.id, lane, seq, home)?;
                    messages.extend(stored.map(|stored| {
                        WaitingMessage::new(&stored.message, stored.expires.unwrap_or_default())
                    }));
                }
            }
        }
        Ok(WaitingPage { messages, next: page.next, total: page.total })
    }
}
