//! POST `/api/queues/{vhost}/{queue}/actions` with `{"action": "move", "to": "...", "count": n}`: messages go from the
//! head of one queue to the end of another, as they are.
//!
//! Each is leased, given to the other queue, and acknowledged, in this order: the log hears where a message goes before
//! it hears that it has left. A crash in between leaves it in both, never in none.

use std::sync::Arc;

use serde_json::json;

use crate::broker::{Clearance, Passage, Routes, Session};
use crate::clock::Timestamp;
use crate::management::answer::{Answer, json as answer};
use crate::management::api::Api;
use crate::management::refusal::Refusal;
use crate::message::{Envelope, Message};
use crate::name::Name;
use crate::queue::{LeaseRef, Queue, Settlement};

/// Messages of one request: the next one moves the next.
const MESSAGES_MAX: u64 = 10_000;

/// Messages that are moved before others get a turn on the thread.
const BATCH: u64 = 64;

/// Moves at most `count` messages.
pub(super) async fn move_messages(api: &Api, session: &Session, from: &Name, to: &str, count: u64) -> Answer {
    let target = target(session, from, to)?;
    let (count, mut moved) = (count.min(MESSAGES_MAX), 0);
    while moved < count {
        let some = BATCH.min(count - moved);
        let (carried, logged) = session.journal().batch(|| carry(session, from, &target, some, api.now()));
        if let Some(position) = logged {
            session.journal().durable(position).await;
        }
        let carried = carried?;
        moved += carried;
        if carried < some {
            break;
        }
        tokio::task::yield_now().await;
    }
    session.durable().await;
    answer(&json!({ "moved": moved }))
}

/// The queue that they go to: the caller could publish to it.
fn target(session: &Session, from: &Name, to: &str) -> Result<Arc<Queue>, Refusal> {
    if from.as_str() == to {
        return Err(Refusal::bad_request("a queue's messages cannot be moved to the queue itself"));
    }
    session.exchange_to_publish(&Name::from(""), &mut Clearance::default())?;
    let queue = session.vhost.queue(to);
    queue
        .ok_or_else(|| Refusal::bad_request(format!("no {} to move to", session.queue_text(&Name::from(to)))))
}

/// Moves some; fewer if there are no more. What the other queue refuses stays.
fn carry(
    session: &Session,
    from: &Name,
    to: &Arc<Queue>,
    count: u64,
    now: Timestamp,
) -> Result<u64, Refusal> {
    for moved in 0..count {
        let Some((queue, fetched)) = session.get(from, false, now)? else { return Ok(moved) };
        let message = arrival(&fetched.message);
        let accepted =
            session.enqueue(&mut Routes::from([Arc::clone(to)]), Passage::default(), &message, now).0;
        let how = if accepted { Settlement::Ack } else { Settlement::PutBack };
        session.settle(&queue, &[LeaseRef { seq: fetched.seq, holder: fetched.holder }], how, now);
        if !accepted {
            let text = session.queue_text(&to.name);
            return Err(Refusal::bad_request(format!("{text} takes no more; the rest has stayed")));
        }
    }
    Ok(count)
}

/// The message as it arrives anew: a delay that has passed does not come again.
fn arrival(message: &Message) -> Message {
    let envelope = Envelope {
        exchange: message.exchange(),
        routing_key: message.routing_key(),
        properties: message.properties(),
        persistent: message.is_persistent(),
        priority: message.priority(),
        ttl_ms: message.ttl_ms(),
        dead_letter: message.is_dead_letter(),
        delay_ms: None,
    };
    Message::new(&envelope, message.body())
}
