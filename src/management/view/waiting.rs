//! Messages that are not due.

use serde::Serialize;

use crate::broker::waiting::{self, WaitingMessage};
use crate::clock::Timestamp;

/// Some of a queue's messages that are not due.
#[derive(Debug, Serialize)]
pub(in crate::management) struct WaitingPage {
    items: Vec<Waiting>,
    item_count: usize,
    /// How many there are in all.
    total_count: usize,
    /// What the next page is `after`; nothing if there is none.
    next: Option<String>,
}

/// A message without its body.
#[derive(Debug, Serialize)]
struct Waiting {
    /// Milliseconds since the epoch.
    due_at: u64,
    /// Milliseconds.
    due_in: u64,
    /// `delay`: its publisher wants it later. `retry`: it came back and is to be tried again.
    reason: &'static str,
    /// How often it has been given out.
    delivery_count: u32,
    /// Milliseconds since the epoch; nothing unless it came back and has a time to live.
    expires_at: Option<u64>,
    exchange: String,
    routing_key: String,
    message_id: Option<String>,
    payload_bytes: usize,
}

impl WaitingPage {
    pub(in crate::management) fn new(page: &waiting::WaitingPage, now: Timestamp) -> Self {
        Self {
            items: page.messages.iter().map(|message| Waiting::new(message, now)).collect(),
            item_count: page.messages.len(),
            total_count: page.total,
            next: page.next.map(|next| next.to_string()),
        }
    }
}

impl Waiting {
    fn new(message: &WaitingMessage, now: Timestamp) -> Self {
        let retried = message.retried;
        Self {
            due_at: message.due.as_millis(),
            due_in: message.due.millis_since(now),
            reason: if retried.is_some() { "retry" } else { "delay" },
            delivery_count: retried.map_or(0, |retried| retried.deliveries),
            expires_at: retried.and_then(|retried| retried.expires).map(Timestamp::as_millis),
            exchange: String::from_utf8_lossy(&message.exchange).into_owned(),
            routing_key: String::from_utf8_lossy(&message.routing_key).into_owned(),
            message_id: message.message_id.clone(),
            payload_bytes: message.body_len,
        }
    }
}
