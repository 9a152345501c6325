//! Consuming (§1.8.3): qos, consume, cancel, get.

use std::sync::Arc;

use lepus_protocol::method::basic;
use lepus_protocol::{FieldTable, ReplyCode, ShortString};

use super::Channel;
use super::consumer::Consumer;
use super::publish::not_implemented;
use crate::broker::Polled;
use crate::clock::Timestamp;
use crate::exception::{ChannelException, ConnectionException, Exception};
use crate::name::{Name, REPLY_TO};
use crate::queue::arguments::{CONSUMER_TIMEOUT, consumer_timeout, expected_integer};
use crate::queue::{Origin, Queue, Subscription};

/// Prefix of consumer tags that the broker makes up (RabbitMQ).
const GENERATED_TAG_PREFIX: &str = "amq.ctag-";

/// Replies that wait for a slow requester before the oldest are dropped: direct reply-to is at most once.
const REPLIES_WAITING_MAX: i64 = 65_536;

/// Arguments that only a stream's consumer may have (RabbitMQ).
const OF_STREAMS: [&str; 3] = ["x-stream-offset", "x-stream-filter", "x-stream-match-unfiltered"];

/// What a consumer's arguments ask for.
struct Asked {
    priority: i64,
    lease_ms: Option<u64>,
}

/// A channel's direct reply-to consumer (RabbitMQ).
#[derive(Debug)]
pub(super) struct ReplyTo {
    tag: ShortString,
    /// Where replies are published to, over the default exchange.
    pub(super) address: Name,
}

impl Channel {
    pub(super) fn qos(&mut self, qos: &basic::Qos) -> Result<(), Exception> {
        if qos.prefetch_size != 0 {
            return Err(not_implemented(format_args!("prefetch_size!=0 ({})", qos.prefetch_size)));
        }
        let limit = Some(qos.prefetch_count).filter(|count| *count > 0);
        if qos.global {
            self.deliveries.set_limit(limit.map(usize::from));
            self.resume_consumers();
        } else {
            self.prefetch = limit.map(u32::from);
            self.watch.set_prefetch(self.prefetch);
        }
        self.reply(basic::QosOk);
        Ok(())
    }

    pub(super) fn consume(&mut self, consume: &basic::Consume<'_>, now: Timestamp) -> Result<(), Exception> {
        let tag = self.new_consumer_tag(consume)?;
        let name = self.queue_name(consume.queue)?;
        let queue = match name.as_str() {
            REPLY_TO => None,
            _ => Some(self.context.session.queue_to_consume(&name)?),
        };
        let Asked { priority, lease_ms } =
            self.check_arguments(&consume.arguments, &name, queue.as_deref())?;
        let queue = queue.map_or_else(|| self.reply_queue(consume, &tag, now), Ok)?;
        let consumer = Consumer::new(
            tag.clone(),
            consume.no_ack,
            Arc::clone(&self.deliveries),
            Arc::clone(&self.tap),
            self.context.clock,
        );
        let origin = Origin {
            connection: self.context.session.connection,
            channel: self.id,
            tag: tag.clone(),
            arguments: consume.arguments.clone(),
        };
        let subscription = Subscription {
            outlet: Arc::<Consumer>::clone(&consumer),
            origin: Arc::new(origin),
            no_ack: consume.no_ack,
            exclusive: consume.exclusive,
            priority,
            prefetch: self.prefetch,
            lease_ms,
        };
        self.deliveries.add_consumer(Arc::clone(&consumer));
        let id = match self.context.session.subscribe(&queue, subscription, now) {
            Ok(id) => id,
            Err(exception) => {
                self.deliveries.remove_consumer(&tag);
                return Err(exception.into());
            }
        };
        consumer.subscribed(&queue, id);
        self.deliveries.announce(&tag, consume.no_wait);
        // Deliveries start once the answer is in the buffer before them.
        queue.resume(id, now);
        Ok(())
    }

    /// RabbitMQ: values first, then whether a queue of this type has them at all.
    fn check_arguments(
        &self,
        arguments: &FieldTable,
        name: &Name,
        queue: Option<&Queue>,
    ) -> Result<Asked, ChannelException> {
        let entity = self.context.session.queue_text(name);
        let invalid = |key: &str, reason: String| {
            ChannelException::precondition_failed(format_args!("invalid arg '{key}' for {entity}: {reason}"))
        };
        let priority = priority(arguments).map_err(|reason| invalid("x-priority", reason))?;
        let lease_ms = consumer_timeout(arguments).map_err(|reason| invalid(CONSUMER_TIMEOUT, reason))?;
        let mut names = arguments.iter().map(|(name, _)| name.to_string());
        match names.find(|name| OF_STREAMS.contains(&name.as_str())) {
            None => Ok(Asked { priority, lease_ms }),
            Some(name) => Err(ChannelException::precondition_failed(format_args!(
                "invalid arg '{name}' for {entity} of queue type {}",
                queue.map_or("rabbit_volatile_queue", |queue| queue.options.arguments.type_name())
            ))),
        }
    }

    fn new_consumer_tag(&self, consume: &basic::Consume<'_>) -> Result<ShortString, Exception> {
        let consumers_max = self.context.limits.consumers_max;
        if self.deliveries.consumer_count() >= consumers_max {
            return Err(not_allowed(format_args!(
                "reached maximum ({consumers_max}) of consumers per channel"
            )));
        }
        if consume.consumer_tag.is_empty() {
            let tag = Name::generate(GENERATED_TAG_PREFIX);
            return Ok(tag.as_short_str().to_owned());
        }
        let tag = consume.consumer_tag.to_owned();
        if self.deliveries.has_consumer(&tag) {
            return Err(not_allowed(format_args!("attempt to reuse consumer tag '{tag}'")));
        }
        Ok(tag)
    }

    /// RabbitMQ's direct reply-to: a queue of the channel's own, known by an address that cannot be guessed.
    fn reply_queue(
        &mut self,
        consume: &basic::Consume<'_>,
        tag: &ShortString,
        now: Timestamp,
    ) -> Result<Arc<Queue>, ChannelException> {
        if self.reply_to.is_some() {
            return Err(ChannelException::precondition_failed("reply consumer already set"));
        }
        if !consume.no_ack {
            return Err(ChannelException::precondition_failed("reply consumer cannot acknowledge"));
        }
        let address = Name::generate(&format!("{REPLY_TO}."));
        let mut arguments = FieldTable::new();
        arguments.insert("x-max-length", REPLIES_WAITING_MAX);
        self.reply_to = Some(ReplyTo { tag: tag.clone(), address: address.clone() });
        Ok(self.context.session.create_reply_queue(address, arguments, now))
    }

    /// Ends a consumer; what it holds stays leased to the channel (§1.8.3.5). RabbitMQ: it need not exist.
    pub(super) fn cancel(&mut self, cancel: &basic::Cancel<'_>, now: Timestamp) {
        let tag = cancel.consumer_tag.to_owned();
        if let Some((queue, id)) =
            self.deliveries.remove_consumer(&tag).and_then(|consumer| consumer.subscription())
        {
            self.context.session.cancel(&queue, id, now);
        }
        if self.reply_to.as_ref().is_some_and(|reply_to| reply_to.tag == tag) {
            self.reply_to = None;
        }
        if !cancel.no_wait {
            self.reply(basic::CancelOk { consumer_tag: cancel.consumer_tag });
        }
    }

    /// Fetches a message; if it is being read, the method is to come again once that is done.
    pub(super) fn get(&mut self, get: &basic::Get<'_>, now: Timestamp) -> Result<(), Exception> {
        let name = self.queue_name(get.queue)?;
        match self.context.session.poll_get(&name, get.no_ack, now)? {
            Polled::Message(queue, fetched) => {
                self.deliveries.send_fetched(Arc::clone(&queue), &fetched, get.no_ack);
                if self.tap.is_open() {
                    let (vhost, by) = (&self.context.session.vhost, self.tap.tapped());
                    vhost.trace_delivery(&by, &queue.name, &fetched.message, fetched.redelivered, now);
                }
            }
            Polled::Empty => {
                self.tally.get_empty += 1;
                self.reply(basic::GetEmpty);
            }
            Polled::Awaited => {}
        }
        Ok(())
    }
}

/// `x-priority` (RabbitMQ): any integer.
fn priority(arguments: &FieldTable) -> Result<i64, String> {
    match arguments.get("x-priority") {
        None => Ok(0),
        Some(value) => value.as_integer().ok_or_else(|| expected_integer(value)),
    }
}

fn not_allowed(explanation: impl std::fmt::Display) -> Exception {
    ConnectionException::new(ReplyCode::NOT_ALLOWED, explanation).into()
}
