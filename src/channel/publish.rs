//! Publishing (§1.8.3.7): what a message's properties ask for, where it goes, what its publisher is told.

use std::borrow::Cow;
use std::sync::Arc;

use lepus_protocol::method::basic;
use lepus_protocol::{
    ContentHeader, FieldTable, FieldValue, Method, Properties, ReplyCode, ShortStr, encoder,
};

use super::confirms::Outcome;
use super::content::{Content, PublishTo};
use super::deliveries::short;
use super::{Channel, Mode};
use crate::broker::Accepted;
use crate::broker::exchange::Exchange;
use crate::clock::Timestamp;
use crate::delay;
use crate::exception::{ChannelException, ConnectionException, Exception};
use crate::message::{Envelope, Message, MessageBuilder};
use crate::name::{Name, REPLY_TO};
use crate::queue::arguments::TTL_MAX_MS;

/// delivery-mode of a persistent message (§1.8.1).
const PERSISTENT: u8 = 2;

/// Headers that name further routing keys (RabbitMQ); BCC is not delivered.
const ROUTING_HEADERS: [&str; 2] = ["CC", "BCC"];

/// Routing keys that CC and BCC may add to a message.
const EXTRA_KEYS_MAX: usize = 1024;

/// A publish whose header has come.
#[derive(Debug)]
pub(super) struct Publication {
    exchange: Arc<Exchange>,
    mandatory: bool,
    extra_keys: Vec<Vec<u8>>,
}

/// What a message's properties ask for.
struct Asked<'a> {
    /// The properties as they will be delivered.
    properties: Cow<'a, [u8]>,
    extra_keys: Vec<Vec<u8>>,
    persistent: bool,
    priority: u8,
    ttl_ms: Option<u64>,
    delay_ms: Option<u64>,
}

impl Channel {
    /// basic.publish.
    pub(super) fn publish(&mut self, publish: &basic::Publish<'_>) -> Result<(), Exception> {
        let exchange = self.address(publish)?;
        self.content = Content::AwaitingHeader(PublishTo {
            exchange,
            routing_key: publish.routing_key.to_owned(),
            mandatory: publish.mandatory,
        });
        Ok(())
    }

    /// A publish all of which is at hand: as its three frames one after the other, with nothing kept in between.
    pub(super) fn publish_whole(
        &mut self,
        publish: &basic::Publish<'_>,
        header: &ContentHeader<'_>,
        body: &[u8],
        now: Timestamp,
    ) -> Result<(), Exception> {
        let exchange = self.address(publish)?;
        let (publication, mut builder) =
            self.admit(exchange, publish.routing_key, publish.mandatory, header)?;
        builder.push(body);
        self.complete(publication, builder.finish(), now)
    }

    /// The exchange that a publish names.
    fn address(&mut self, publish: &basic::Publish<'_>) -> Result<Name, Exception> {
        if publish.immediate {
            return Err(not_implemented("immediate=true"));
        }
        match self.last_exchange.take() {
            Some(last) if publish.exchange == *last.as_str() => Ok(last),
            _ => self.exchange_name(publish.exchange),
        }
    }

    /// A content header frame.
    pub(super) fn on_header(&mut self, header: &ContentHeader<'_>, now: Timestamp) -> Result<(), Exception> {
        let PublishTo { exchange, routing_key, mandatory } = self.content.take_publish(header.class)?;
        let (publication, builder) = self.admit(exchange, routing_key.as_short_str(), mandatory, header)?;
        if header.body_size == 0 {
            return self.complete(publication, builder.finish(), now);
        }
        let held = self.context.holdings.hold_none();
        let remaining = header.body_size;
        self.content = Content::AwaitingBody { publication, builder, remaining, held };
        Ok(())
    }

    /// Checks all that can be refused of a publish, and begins its message.
    fn admit(
        &mut self,
        exchange_name: Name,
        routing_key: ShortStr<'_>,
        mandatory: bool,
        header: &ContentHeader<'_>,
    ) -> Result<(Publication, MessageBuilder), Exception> {
        let size_max = self.context.limits.message_size_max;
        if header.body_size > size_max {
            return Err(ChannelException::precondition_failed(format_args!(
                "message size {} is larger than configured max size {size_max}",
                header.body_size
            ))
            .into());
        }
        let session = &self.context.session;
        let exchange = session.exchange_to_publish(&exchange_name, &mut self.clearance)?;
        let asked = self.check_properties(header.properties)?;
        let keys = std::iter::once(routing_key.as_bytes());
        let keys = keys.chain(asked.extra_keys.iter().map(Vec::as_slice));
        session.check_routing_keys(&self.clearance, &exchange, keys)?;
        let envelope = Envelope {
            exchange: exchange_name.as_str().as_bytes(),
            routing_key: routing_key.as_bytes(),
            properties: &asked.properties,
            persistent: asked.persistent,
            priority: asked.priority,
            ttl_ms: asked.ttl_ms,
            dead_letter: false,
            delay_ms: asked.delay_ms,
        };
        let builder = MessageBuilder::new(&envelope, usize::try_from(header.body_size).unwrap_or(usize::MAX));
        self.last_exchange = Some(exchange_name);
        Ok((Publication { exchange, mandatory, extra_keys: asked.extra_keys }, builder))
    }

    /// A content body frame.
    pub(super) fn on_body(&mut self, octets: &[u8], now: Timestamp) -> Result<(), Exception> {
        match self.content.push_body(octets)? {
            Some((publication, message)) => self.complete(publication, message, now),
            None => Ok(()),
        }
    }

    fn complete(
        &mut self,
        publication: Publication,
        message: Message,
        now: Timestamp,
    ) -> Result<(), Exception> {
        if let Mode::Tx(tx) = &mut self.mode {
            return Ok(tx.publish(publication, message)?);
        }
        if self.may_join(&publication, &message) {
            self.count_publish(&publication.exchange, message.body().len());
            self.count_routes(self.known.queues().len() as u64, false);
            self.join_publish(message, now);
            return Ok(());
        }
        self.finish_run(now);
        let outcome = self.give_to_queues(&publication, &message, now);
        self.mode.confirm(outcome);
        Ok(())
    }

    /// Whether it goes where the publish before went, and is seen by nobody on the way.
    fn may_join(&self, publication: &Publication, message: &Message) -> bool {
        publication.extra_keys.is_empty()
            && self.known.holds(&publication.exchange, message.routing_key())
            && !self.tap.is_open()
    }

    /// Routes the message and gives it to its queues, or back to its publisher.
    pub(super) fn give_to_queues(
        &mut self,
        publication: &Publication,
        message: &Message,
        now: Timestamp,
    ) -> Outcome {
        let mut routes = std::mem::take(&mut self.routes);
        self.count_publish(&publication.exchange, message.body().len());
        let session = &self.context.session;
        let Publication { exchange, extra_keys, .. } = publication;
        let found = (&mut routes, &mut self.known);
        let passage = session.route_and_remember(exchange, message, extra_keys, now, found);
        let mandatory = publication.mandatory && !passage.is_duplicate();
        self.count_routes(routes.len() as u64, mandatory);
        if self.tap.is_open() {
            let vhost = &self.context.session.vhost;
            vhost.trace_publish(&self.tap.tapped(), message, &publication.extra_keys, &routes, now);
        }
        if routes.is_empty() {
            passage.forget();
            if mandatory {
                self.send_return(message);
            }
            // RabbitMQ: what goes nowhere is confirmed.
            return Outcome::Ack;
        }
        let Accepted(accepted) = self.context.session.enqueue(&mut routes, passage, message, now);
        self.routes = routes;
        if accepted { Outcome::Ack } else { Outcome::Nack }
    }

    /// basic.return (§1.8.3.8). It goes out before the confirm of the same publish.
    fn send_return(&self, message: &Message) {
        let code = ReplyCode::NO_ROUTE;
        let method = Method::from(basic::Return {
            reply_code: code,
            reply_text: ShortStr::truncated(code.name()),
            exchange: short(message.exchange()),
            routing_key: short(message.routing_key()),
        });
        self.context.outbound.append(|frames| {
            method.encode(self.id, frames);
            let (properties, body) = (message.properties(), message.body());
            encoder::content(frames, self.id, properties, body, self.context.frame_max);
        });
    }

    fn check_properties<'a>(&self, raw: &'a [u8]) -> Result<Asked<'a>, Exception> {
        let mut properties = Properties::parse(raw).map_err(syntax_error)?;
        self.check_user_id(&properties)?;
        let mut asked = Asked {
            properties: Cow::Borrowed(raw),
            extra_keys: Vec::new(),
            persistent: properties.delivery_mode == Some(PERSISTENT),
            priority: properties.priority.unwrap_or_default(),
            ttl_ms: expiration(&properties)?,
            delay_ms: None,
        };
        if let Some(headers) = properties.headers {
            // Parsed in any case: a broken table must not reach consumers.
            let mut headers = FieldTable::parse(headers).map_err(syntax_error)?;
            asked.extra_keys = extra_keys(&headers)?;
            asked.delay_ms = delay::take(&mut headers);
            if headers.remove("BCC").is_some() || asked.delay_ms.is_some() {
                let mut encoded = Vec::new();
                headers.encode(&mut encoded);
                asked.properties = Cow::Owned(encode(&Properties { headers: Some(&encoded), ..properties }));
            }
        }
        if properties.reply_to.is_some_and(|reply_to| reply_to == REPLY_TO) {
            let address = self.reply_address()?;
            let current = asked.properties.into_owned();
            properties = Properties::parse(&current).map_err(syntax_error)?;
            asked.properties =
                Cow::Owned(encode(&Properties { reply_to: Some(address.as_short_str()), ..properties }));
        }
        Ok(asked)
    }

    /// RabbitMQ: direct reply-to needs a consumer on the same channel, whose address the receiver sees.
    fn reply_address(&self) -> Result<&Name, ChannelException> {
        match &self.reply_to {
            Some(reply_to) => Ok(&reply_to.address),
            None => Err(ChannelException::precondition_failed("fast reply consumer does not exist")),
        }
    }

    /// RabbitMQ: a user-id must be the publisher's own.
    fn check_user_id(&self, properties: &Properties<'_>) -> Result<(), ChannelException> {
        let user = &self.context.session.user;
        match properties.user_id {
            Some(claimed) if claimed != *user.name.as_str() && !self.context.session.is_impersonator() => {
                Err(ChannelException::precondition_failed(format_args!(
                    "user_id property set to '{claimed}' but authenticated user was '{}'",
                    user.name
                )))
            }
            _ => Ok(()),
        }
    }
}

fn encode(properties: &Properties<'_>) -> Vec<u8> {
    let mut raw = Vec::new();
    properties.encode(&mut raw);
    raw
}

/// The routing keys in CC and BCC (RabbitMQ).
fn extra_keys(headers: &FieldTable) -> Result<Vec<Vec<u8>>, ChannelException> {
    let mut keys = Vec::new();
    for name in ROUTING_HEADERS {
        let Some(value) = headers.get(name) else { continue };
        let Some(values) = value.as_array() else {
            return Err(ChannelException::precondition_failed(format_args!(
                "invalid message: {{unacceptable_type_in_header,\"{name}\",{}}}",
                value.type_name()
            )));
        };
        keys.extend(values.iter().filter_map(FieldValue::as_str).map(|key| key.as_bytes().to_vec()));
    }
    if keys.len() > EXTRA_KEYS_MAX {
        return Err(ChannelException::precondition_failed(format_args!(
            "invalid message: {} routing keys in CC and BCC, at most {EXTRA_KEYS_MAX} are accepted",
            keys.len()
        )));
    }
    Ok(keys)
}

/// The expiration property: milliseconds in decimal (RabbitMQ; its texts).
fn expiration(properties: &Properties<'_>) -> Result<Option<u64>, ChannelException> {
    let Some(expiration) = properties.expiration else { return Ok(None) };
    let text = expiration.as_str().unwrap_or_default();
    parse_expiration(text).map(Some).map_err(|reason| {
        ChannelException::precondition_failed(format_args!("invalid expiration '{expiration}': {reason}"))
    })
}

fn parse_expiration(text: &str) -> Result<u64, String> {
    let digits = text.trim_start_matches(['-', '+']);
    let (number, rest) = digits.split_at(digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len()));
    if number.is_empty() || text.len() - digits.len() > 1 {
        return Err("no_integer".to_owned());
    }
    if !rest.is_empty() {
        return Err(format!("{{leftover_string,\"{rest}\"}}"));
    }
    if text.starts_with('-') && number.bytes().any(|digit| digit != b'0') {
        return Err(format!("{{value_negative,-{number}}}"));
    }
    match number.parse::<u64>() {
        Ok(millis) if millis <= TTL_MAX_MS.unsigned_abs() => Ok(millis),
        _ => Err(format!("{{value_too_large,{number}}}")),
    }
}

fn syntax_error(error: impl std::fmt::Display) -> ConnectionException {
    ConnectionException::new(ReplyCode::SYNTAX_ERROR, error)
}

/// 540, which RabbitMQ gives for parts of the specification that it leaves out.
pub(super) fn not_implemented(what: impl std::fmt::Display) -> Exception {
    ConnectionException::new(ReplyCode::NOT_IMPLEMENTED, what).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expiration_is_a_decimal_number_of_milliseconds() {
        assert_eq!(parse_expiration("0"), Ok(0));
        assert_eq!(parse_expiration("60000"), Ok(60_000));
        assert_eq!(parse_expiration(""), Err("no_integer".to_owned()));
        assert_eq!(parse_expiration("abc"), Err("no_integer".to_owned()));
        assert_eq!(parse_expiration("10s"), Err("{leftover_string,\"s\"}".to_owned()));
        assert_eq!(parse_expiration("-1"), Err("{value_negative,-1}".to_owned()));
        assert!(parse_expiration("99999999999999999999999").unwrap_err().starts_with("{value_too_large"));
    }
}
