//! What the frames of one batch do.

use lepus_protocol::method::{basic, channel, connection};
use lepus_protocol::{
    ChannelId, ClassId, ContentHeader, Frame, HeaderError, Method, MethodError, MethodId, ReplyCode,
    ShortStr, decode,
};

use super::{Connection, Failure, Outcome, Slot};
use crate::broker::LogPosition;
use crate::channel::Channel;
use crate::clock::Timestamp;
use crate::exception::{ChannelException, ConnectionException, Exception};

/// The method that content belongs to.
const PUBLISH: (ClassId, MethodId) = (basic::Publish::CLASS, basic::Publish::ID);

/// The octets that basic.publish begins with.
const PUBLISH_IDS: [u8; 4] = {
    let ([a, b], [c, d]) =
        (basic::Publish::CLASS.get().to_be_bytes(), basic::Publish::ID.get().to_be_bytes());
    [a, b, c, d]
};

/// A publish with its header and all of its body, as most come.
struct WholePublish<'a> {
    channel: ChannelId,
    method: basic::Publish<'a>,
    header: ContentHeader<'a>,
    body: &'a [u8],
    /// Octets of the frames after that of the method.
    content_length: usize,
}

impl<'a> WholePublish<'a> {
    /// The publish that begins with `first`, with one body frame or none; `None` for anything else.
    #[inline]
    fn at(first: Frame<'a>, rest: &'a [u8], frame_max: u32) -> Option<Self> {
        let Frame::Method { channel, payload } = first else { return None };
        if !payload.starts_with(&PUBLISH_IDS) {
            return None;
        }
        let (Frame::Header { channel: of_header, payload: header }, header_length) =
            decode(rest, frame_max).ok()??
        else {
            return None;
        };
        let header = ContentHeader::parse(header).ok()?;
        let (body, body_length) = match header.body_size {
            0 => (&[][..], 0),
            _ => match decode(rest.get(header_length..)?, frame_max).ok()?? {
                (Frame::Body { channel: of_body, payload }, length) if of_body == channel => {
                    (payload, length)
                }
                _ => return None,
            },
        };
        if of_header != channel || header.class != ClassId::BASIC || header.body_size != body.len() as u64 {
            return None;
        }
        let Ok(Method::Basic(basic::Method::Publish(method))) = Method::parse(payload) else { return None };
        Some(Self { channel, method, header, body, content_length: header_length + body_length })
    }
}

impl Connection {
    /// Carries out every whole frame in `octets`; adds to `consumed` as it goes. Never waits.
    pub(super) fn on_octets(
        &mut self,
        octets: &[u8],
        consumed: &mut usize,
        now: Timestamp,
    ) -> Result<Outcome, Failure> {
        let outcome = self.on_frames(octets, consumed, now);
        self.finish_run(now);
        outcome
    }

    fn on_frames(&mut self, octets: &[u8], consumed: &mut usize, now: Timestamp) -> Result<Outcome, Failure> {
        loop {
            let rest = octets.get(*consumed..).unwrap_or_default();
            let decoded = decode(rest, self.tuning.frame_max);
            let decoded = decoded.map_err(|error| ConnectionException::new(ReplyCode::FRAME_ERROR, error))?;
            let Some((frame, mut length)) = decoded else { return Ok(Outcome::Continue) };
            let outcome = match self.whole_publish(frame, rest.get(length..).unwrap_or_default()) {
                Some(publish) => {
                    length += publish.content_length;
                    self.on_publish(&publish, now)?
                }
                None => self.on_frame(frame, now)?,
            };
            if outcome == Outcome::Again {
                return Ok(outcome);
            }
            *consumed += length;
            if outcome == Outcome::ClosedByClient {
                return Ok(outcome);
            }
            // Asked after each frame: one read can hold thousands of requests with large answers.
            if !self.outbound.has_room() {
                return Ok(Outcome::Paused);
            }
        }
    }

    /// The publish that begins with `frame`, if all of it is there and it is due. Whatever is unusual about it is left
    /// to be carried out, and refused, frame by frame.
    #[inline]
    fn whole_publish<'a>(&self, frame: Frame<'a>, rest: &'a [u8]) -> Option<WholePublish<'a>> {
        let publish = WholePublish::at(frame, rest, self.tuning.frame_max)?;
        match self.channels.get(&publish.channel) {
            Some(Slot::Open(channel)) if !channel.awaits_content() => Some(publish),
            Some(Slot::Open(_) | Slot::Closing) | None => None,
        }
    }

    fn on_publish(&mut self, publish: &WholePublish<'_>, now: Timestamp) -> Result<Outcome, Failure> {
        self.publishes = true;
        self.on_content(publish.channel, now, true, |channel| {
            channel.on_publish(&publish.method, &publish.header, publish.body, now)
        })
    }

    fn on_frame(&mut self, frame: Frame<'_>, now: Timestamp) -> Result<Outcome, Failure> {
        match frame {
            Frame::Heartbeat { channel: ChannelId::CONNECTION } => Ok(Outcome::Continue),
            // §4.2.7: heartbeat frames must have channel 0.
            Frame::Heartbeat { channel } => {
                Err(unexpected(format_args!("heartbeat on channel {channel}")).into())
            }
            Frame::Method { channel: ChannelId::CONNECTION, payload } => self.on_connection_method(payload),
            Frame::Header { channel: ChannelId::CONNECTION, .. }
            | Frame::Body { channel: ChannelId::CONNECTION, .. } => {
                Err(unexpected("expected method frame, got non method frame instead").into())
            }
            Frame::Method { channel, payload } => self.on_channel_method(channel, payload, now),
            Frame::Header { channel, payload } => self.on_header(channel, payload, now),
            Frame::Body { channel, payload } => {
                self.on_content(channel, now, false, |channel| channel.on_content_body(payload, now))
            }
        }
    }

    fn on_connection_method(&mut self, payload: &[u8]) -> Result<Outcome, Failure> {
        let method = Method::parse(payload).map_err(malformed_method)?;
        let (class, id) = (method.class_id(), method.method_id());
        match method {
            Method::Connection(connection::Method::Close(close)) => {
                let (code, text) = (close.reply_code.get(), close.reply_text);
                tracing::debug!(code, %text, "client closes the connection");
                Ok(Outcome::ClosedByClient)
            }
            Method::Connection(connection::Method::UpdateSecret(update)) => {
                self.update_secret(update.new_secret).map_err(|exception| Failure::new(exception, class, id))
            }
            // §1.4: channel 0 is for class connection alone, and the rest of that is for the handshake.
            Method::Connection(_)
            | Method::Channel(_)
            | Method::Access(_)
            | Method::Exchange(_)
            | Method::Queue(_)
            | Method::Basic(_)
            | Method::Confirm(_)
            | Method::Tx(_) => Err(Failure::new(command_invalid("unimplemented method"), class, id)),
        }
    }

    fn on_channel_method(
        &mut self,
        id: ChannelId,
        payload: &[u8],
        now: Timestamp,
    ) -> Result<Outcome, Failure> {
        self.finish_run_of_others(id, now);
        let method = Method::parse(payload).map_err(malformed_method)?;
        let (class_id, method_id) = (method.class_id(), method.method_id());
        if let Method::Channel(method) = &method
            && self.on_channel_life(id, method, now)?
        {
            return Ok(Outcome::Continue);
        }
        if matches!(&method, Method::Basic(basic::Method::Publish(_))) {
            self.publishes = true;
        }
        let is_get = matches!(&method, Method::Basic(basic::Method::Get(_)));
        match self.channels.get_mut(&id) {
            None => {
                let exception = ConnectionException::new(ReplyCode::CHANNEL_ERROR, "expected 'channel.open'");
                Err(Failure::new(exception, class_id, method_id))
            }
            Some(Slot::Closing) => Ok(Outcome::Continue),
            Some(Slot::Open(channel)) => {
                let blamed = if channel.awaits_content() { PUBLISH } else { (class_id, method_id) };
                let result = channel.on_method(method, now);
                self.running = channel.has_run().then_some(id);
                if matches!(class_id, ClassId::BASIC | ClassId::TX) && self.active.last() != Some(&id) {
                    self.active.push(id);
                }
                if is_get && self.context.session.awaits_head() {
                    return Ok(Outcome::Again);
                }
                self.conclude(id, result, blamed, now)
            }
        }
    }

    /// Methods that open and close channels. Returns whether it was one.
    fn on_channel_life(
        &mut self,
        id: ChannelId,
        method: &channel::Method<'_>,
        now: Timestamp,
    ) -> Result<bool, Failure> {
        match (method, self.channels.get(&id)) {
            (channel::Method::Open(_), None) => self.open_channel(id)?,
            (channel::Method::Open(_), Some(Slot::Open(_))) => {
                let exception =
                    ConnectionException::new(ReplyCode::CHANNEL_ERROR, "second 'channel.open' seen");
                return Err(Failure::new(exception, channel::Open::CLASS, channel::Open::ID));
            }
            (channel::Method::Close(_), Some(Slot::Open(channel))) if channel.awaits_content() => {
                // Refused as any method in the middle of content.
                return Ok(false);
            }
            (channel::Method::Close(close), Some(slot)) => {
                let is_open = matches!(slot, Slot::Open(_));
                tracing::debug!(channel = %id, code = close.reply_code.get(), "client closes the channel");
                // While our own close is under way the client's is answered, and its close-ok still comes.
                if is_open && let Some(Slot::Open(channel)) = self.channels.remove(&id) {
                    channel.close(now);
                }
                self.send_on(id, channel::CloseOk);
            }
            (channel::Method::CloseOk(_), Some(Slot::Closing)) => {
                self.channels.remove(&id);
            }
            (_, _) => return Ok(false),
        }
        Ok(true)
    }

    fn open_channel(&mut self, id: ChannelId) -> Result<(), Failure> {
        let (count, max) = (self.channels.len(), self.tuning.channel_max);
        // RabbitMQ: how many there are counts, not their numbers.
        if max != 0 && count >= usize::from(max) {
            let exception = ConnectionException::new(
                ReplyCode::NOT_ALLOWED,
                format_args!(
                    "number of channels opened ({count}) has reached the negotiated channel_max ({max})"
                ),
            );
            return Err(Failure::new(exception, channel::Open::CLASS, channel::Open::ID));
        }
        // RabbitMQ blames nothing for it.
        let seat = self.context.session.open_channel()?;
        let channel = Channel::new(id, std::sync::Arc::clone(&self.context), seat);
        self.channels.insert(id, Slot::Open(Box::new(channel)));
        self.send_on(id, channel::OpenOk);
        Ok(())
    }

    fn on_header(&mut self, id: ChannelId, payload: &[u8], now: Timestamp) -> Result<Outcome, Failure> {
        let header = ContentHeader::parse(payload).map_err(malformed_header)?;
        self.on_content(id, now, false, |channel| channel.on_content_header(&header, now))
    }

    /// What channels have gathered goes to its queues before another channel does anything.
    fn finish_run_of_others(&mut self, id: ChannelId, now: Timestamp) {
        if self.running.is_some_and(|running| running != id) {
            self.finish_run(now);
        }
    }

    fn finish_run(&mut self, now: Timestamp) {
        if let Some(id) = self.running.take()
            && let Some(Slot::Open(channel)) = self.channels.get_mut(&id)
        {
            channel.finish_run(now);
        }
    }

    /// A frame of content, or a publish as a whole: errors are about the publish that it belongs to.
    fn on_content(
        &mut self,
        id: ChannelId,
        now: Timestamp,
        is_whole: bool,
        content: impl FnOnce(&mut Channel) -> Result<(), Exception>,
    ) -> Result<Outcome, Failure> {
        self.finish_run_of_others(id, now);
        match self.channels.get_mut(&id) {
            None => {
                let exception = ConnectionException::new(ReplyCode::CHANNEL_ERROR, "expected 'channel.open'");
                Err(exception.into())
            }
            Some(Slot::Closing) => Ok(Outcome::Continue),
            Some(Slot::Open(channel)) => {
                let is_due = is_whole || channel.awaits_content();
                let blamed = if is_due { PUBLISH } else { (ClassId::NONE, MethodId::NONE) };
                let result = content(channel);
                self.running = channel.has_run().then_some(id);
                if self.active.last() != Some(&id) {
                    self.active.push(id);
                }
                self.conclude(id, result, blamed, now)
            }
        }
    }

    /// Closes what an error says, and nothing else.
    fn conclude(
        &mut self,
        id: ChannelId,
        result: Result<(), Exception>,
        (class, method): (ClassId, MethodId),
        now: Timestamp,
    ) -> Result<Outcome, Failure> {
        match result {
            Ok(()) => Ok(Outcome::Continue),
            Err(Exception::Channel(exception)) => {
                self.fail_channel(id, &exception, class, method, now);
                Ok(Outcome::Continue)
            }
            Err(Exception::Connection(exception)) => Err(Failure::new(exception, class, method)),
        }
    }

    /// Closes the channels on which a delivery was held for too long.
    pub(super) fn close_overdue(&mut self, now: Timestamp) {
        let overdue = |(id, slot): (&ChannelId, &Slot)| match slot {
            Slot::Open(channel) => Some((*id, channel.overdue()?)),
            Slot::Closing => None,
        };
        let overdue: Vec<_> = self.channels.iter().filter_map(overdue).collect();
        for (id, exception) in overdue {
            // RabbitMQ blames no method for it.
            self.fail_channel(id, &exception, ClassId::NONE, MethodId::NONE, now);
        }
    }

    /// A soft error: the channel is closed and then ignores everything up to close-ok.
    fn fail_channel(
        &mut self,
        id: ChannelId,
        exception: &ChannelException,
        class_id: ClassId,
        method_id: MethodId,
        now: Timestamp,
    ) {
        tracing::warn!(channel = %id, text = exception.text(), "channel exception");
        if let Some(Slot::Open(channel)) = self.channels.insert(id, Slot::Closing) {
            channel.close(now);
        }
        self.send_on(
            id,
            channel::Close {
                reply_code: exception.code(),
                reply_text: ShortStr::truncated(exception.text()),
                class_id,
                method_id,
            },
        );
    }

    /// The end of a batch that is logged up to `logged`: what was counted is told, confirms when they may be, and the
    /// writer is woken once.
    pub(super) fn flush(&mut self, logged: Option<LogPosition>, now: Timestamp) {
        if !self.active.is_empty() && self.context.session.must_wait() {
            // A message may be in the log before its queue is on disk, and then its confirm waits for that too.
            self.outbound.hold();
        }
        for id in self.active.drain(..) {
            if let Some(Slot::Open(channel)) = self.channels.get_mut(&id) {
                channel.flush(logged, now);
            }
        }
        self.outbound.wake();
    }

    fn send_on<'m>(&self, id: ChannelId, method: impl Into<Method<'m>>) {
        let method = method.into();
        self.outbound.append(|frames| method.encode(id, frames));
    }
}

impl Failure {
    pub(super) fn new(exception: ConnectionException, class: ClassId, method: MethodId) -> Self {
        Self { exception, class, method }
    }
}

impl From<ConnectionException> for Failure {
    fn from(exception: ConnectionException) -> Self {
        Self::new(exception, ClassId::NONE, MethodId::NONE)
    }
}

fn unexpected(explanation: impl std::fmt::Display) -> ConnectionException {
    ConnectionException::new(ReplyCode::UNEXPECTED_FRAME, explanation)
}

fn command_invalid(explanation: impl std::fmt::Display) -> ConnectionException {
    ConnectionException::new(ReplyCode::COMMAND_INVALID, explanation)
}

fn malformed_method(error: MethodError) -> Failure {
    match error {
        MethodError::NoIds => ConnectionException::new(ReplyCode::SYNTAX_ERROR, error).into(),
        MethodError::Unknown { class, method } => Failure::new(command_invalid(error), class, method),
        MethodError::Syntax { class, method, .. } => {
            Failure::new(ConnectionException::new(ReplyCode::SYNTAX_ERROR, error), class, method)
        }
    }
}

fn malformed_header(error: HeaderError) -> Failure {
    let exception = ConnectionException::new(ReplyCode::SYNTAX_ERROR, error);
    Failure::new(exception, basic::Publish::CLASS, basic::Publish::ID)
}
