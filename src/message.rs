//! A message: what a publisher sent, in one immutable piece of memory.
//!
//! ```text
//! | flags u8 | priority u8 | exchange_len u8 | routing_key_len u8 | properties_len u32 | ttl_ms u64 |
//! | [delay_ms u64] | [deliveries u32 | expires_ms u64] |                    where flags say so
//! | exchange | routing key | properties (flag words and values, as on the wire) | body              |
//! ```
//!
//! The same octets serve every queue that the message reaches, every delivery, and a log: properties and
//! body go out as they came in. Numbers are little-endian; nothing but this file knows the layout.

use std::cell::Cell;
use std::fmt;
use std::sync::Arc;

use crate::clock::Timestamp;

/// Octets before the exchange name.
const FIXED_LEN: usize = 16;

const FLAG_PERSISTENT: u8 = 1;
const FLAG_TTL: u8 = 2;
const FLAG_DEAD_LETTER: u8 = 4;
const FLAG_DELAYED: u8 = 8;
const FLAG_RETRIED: u8 = 16;

const DELAY_LEN: usize = 8;
const RETRIED_LEN: usize = 12;

/// Room that is reserved on the word of a content header alone. A larger body grows as its octets arrive, so
/// that a peer that announces much and sends nothing costs little.
const RESERVE_MAX: usize = 256 * 1024;

/// What a publisher says of a message besides its body.
#[derive(Clone, Copy, Debug, Default)]
pub struct Envelope<'a> {
    /// The exchange it was published to; at most 255 octets.
    pub exchange: &'a [u8],
    /// Its routing key; at most 255 octets.
    pub routing_key: &'a [u8],
    /// The properties, raw: flag words and values (§4.2.6.1).
    pub properties: &'a [u8],
    /// delivery-mode 2 (§1.4.3: persistent).
    pub persistent: bool,
    /// The priority property, 0 if there is none.
    pub priority: u8,
    /// The expiration property in milliseconds.
    pub ttl_ms: Option<u64>,
    /// The broker has dead-lettered it: its death headers are the broker's own.
    pub dead_letter: bool,
    /// After how many milliseconds it may be delivered.
    pub delay_ms: Option<u64>,
}

/// The parts of a message, as they came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parts<'a> {
    /// The exchange it was published to.
    pub exchange: &'a [u8],
    /// Its routing key.
    pub routing_key: &'a [u8],
    /// The raw properties: flag words and values.
    pub properties: &'a [u8],
    /// The body.
    pub body: &'a [u8],
}

/// What a message takes along that came back to its queue and is to be delivered again later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retried {
    /// How often it has been given to a consumer.
    pub deliveries: u32,
    /// When it expires, if ever.
    pub expires: Option<Timestamp>,
}

/// Up to this many octets a message is copied into a piece of memory of its size, together with its count of clones:
/// one allocation instead of two. Above it the copy costs more than the allocation.
const COPIED_MAX: usize = 16 * 1024;

thread_local! {
    /// Where the messages of this thread are put together.
    static WORKBENCH: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// A complete message; clones share the memory.
#[derive(Clone)]
pub struct Message(Image);

#[derive(Clone)]
enum Image {
    Copied(Arc<[u8]>),
    Large(Arc<Vec<u8>>),
}

impl Message {
    /// A message whose body is at hand.
    pub fn new(envelope: &Envelope<'_>, body: &[u8]) -> Self {
        let mut builder = MessageBuilder::new(envelope, body.len());
        builder.push(body);
        builder.finish()
    }

    /// A message from its octets, as [`Self::image`] gave them.
    pub fn from_image(image: &[u8]) -> Self {
        if image.len() > COPIED_MAX {
            Self::of(image.to_vec())
        } else {
            Self(Image::Copied(Arc::from(image)))
        }
    }

    fn of(image: Vec<u8>) -> Self {
        if image.len() > COPIED_MAX { Self(Image::Large(Arc::new(image))) } else { Self::from_image(&image) }
    }

    /// All its octets, to be kept.
    pub fn image(&self) -> &[u8] {
        match &self.0 {
            Image::Copied(image) => image,
            Image::Large(image) => image,
        }
    }

    /// The exchange it was published to.
    pub fn exchange(&self) -> &[u8] {
        self.part(self.head_len(), self.exchange_len())
    }

    /// Its routing key.
    pub fn routing_key(&self) -> &[u8] {
        self.part(self.head_len() + self.exchange_len(), self.routing_key_len())
    }

    /// The raw properties: flag words and values.
    pub fn properties(&self) -> &[u8] {
        self.part(self.head_len() + self.exchange_len() + self.routing_key_len(), self.properties_len())
    }

    /// The body.
    pub fn body(&self) -> &[u8] {
        let start = self.head_len() + self.exchange_len() + self.routing_key_len() + self.properties_len();
        self.image().get(start..).unwrap_or_default()
    }

    /// What a delivery tells, found in one go.
    pub fn parts(&self) -> Parts<'_> {
        let rest = self.image().get(self.head_len()..).unwrap_or_default();
        let (exchange, rest) = rest.split_at_checked(self.exchange_len()).unwrap_or_default();
        let (routing_key, rest) = rest.split_at_checked(self.routing_key_len()).unwrap_or_default();
        let (properties, body) = rest.split_at_checked(self.properties_len()).unwrap_or_default();
        Parts { exchange, routing_key, properties, body }
    }

    /// Whether the publisher asked for it to survive a restart.
    pub fn is_persistent(&self) -> bool {
        self.octet(0) & FLAG_PERSISTENT != 0
    }

    /// Whether the broker has dead-lettered it, so that its death headers can be believed.
    pub fn is_dead_letter(&self) -> bool {
        self.octet(0) & FLAG_DEAD_LETTER != 0
    }

    /// The priority property, 0 if there was none.
    pub fn priority(&self) -> u8 {
        self.octet(1)
    }

    /// The expiration property in milliseconds.
    pub fn ttl_ms(&self) -> Option<u64> {
        if self.octet(0) & FLAG_TTL == 0 {
            return None;
        }
        self.number(8)
    }

    /// After how many milliseconds it may be delivered, counted from its arrival; not of one that was retried.
    pub fn delay_ms(&self) -> Option<u64> {
        if self.octet(0) & FLAG_DELAYED == 0 {
            return None;
        }
        self.number(FIXED_LEN)
    }

    /// What it has gone through, if it came back to its queue to be delivered later.
    pub fn retried(&self) -> Option<Retried> {
        if self.octet(0) & FLAG_RETRIED == 0 {
            return None;
        }
        let deliveries =
            self.image().get(FIXED_LEN..FIXED_LEN + 4)?.try_into().ok().map(u32::from_le_bytes)?;
        let expires = self.number(FIXED_LEN + 4)?;
        Some(Retried { deliveries, expires: (expires > 0).then(|| Timestamp::from_millis(expires)) })
    }

    /// The same message with what it has gone through.
    #[must_use]
    pub fn with_retried(&self, retried: Retried) -> Self {
        let rest = self.image().get(self.head_len()..).unwrap_or_default();
        let mut image = Vec::with_capacity(FIXED_LEN + RETRIED_LEN + rest.len());
        image.push(self.octet(0) & !FLAG_DELAYED | FLAG_RETRIED);
        image.extend_from_slice(self.image().get(1..FIXED_LEN).unwrap_or_default());
        image.extend_from_slice(&retried.deliveries.to_le_bytes());
        let expires = retried.expires.map_or(0, |expires| expires.as_millis().max(1));
        image.extend_from_slice(&expires.to_le_bytes());
        image.extend_from_slice(rest);
        Self::of(image)
    }

    /// Octets of memory that the message holds, whatever the number of queues it is in.
    pub fn memory_len(&self) -> usize {
        self.image().len()
    }

    fn part(&self, start: usize, len: usize) -> &[u8] {
        self.image().get(start..start + len).unwrap_or_default()
    }

    fn number(&self, at: usize) -> Option<u64> {
        self.image().get(at..at + 8)?.try_into().ok().map(u64::from_le_bytes)
    }

    fn head_len(&self) -> usize {
        let flags = self.octet(0);
        let delay = if flags & FLAG_DELAYED == 0 { 0 } else { DELAY_LEN };
        FIXED_LEN + delay + if flags & FLAG_RETRIED == 0 { 0 } else { RETRIED_LEN }
    }

    fn octet(&self, at: usize) -> u8 {
        self.image().get(at).copied().unwrap_or_default()
    }

    fn exchange_len(&self) -> usize {
        usize::from(self.octet(2))
    }

    fn routing_key_len(&self) -> usize {
        usize::from(self.octet(3))
    }

    fn properties_len(&self) -> usize {
        let raw = self.image().get(4..8).and_then(|raw| raw.try_into().ok()).unwrap_or_default();
        u32::from_le_bytes(raw) as usize
    }
}

impl PartialEq for Message {
    fn eq(&self, other: &Self) -> bool {
        self.image() == other.image()
    }
}

impl Eq for Message {}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message")
            .field("exchange", &String::from_utf8_lossy(self.exchange()))
            .field("routing_key", &String::from_utf8_lossy(self.routing_key()))
            .field("body_len", &self.body().len())
            .finish_non_exhaustive()
    }
}

/// A message whose body is still arriving, frame by frame.
#[derive(Debug)]
pub struct MessageBuilder {
    image: Vec<u8>,
}

impl MessageBuilder {
    /// Starts a message that will have `body_len` octets of body.
    pub fn new(envelope: &Envelope<'_>, body_len: usize) -> Self {
        let (exchange, routing_key) = (short(envelope.exchange), short(envelope.routing_key));
        let head = FIXED_LEN
            + DELAY_LEN
            + envelope.exchange.len()
            + envelope.routing_key.len()
            + envelope.properties.len();
        let mut image = WORKBENCH.take();
        image.clear();
        image.reserve_exact(head + body_len.min(RESERVE_MAX));
        let flags = if envelope.persistent { FLAG_PERSISTENT } else { 0 }
            | if envelope.ttl_ms.is_some() { FLAG_TTL } else { 0 }
            | if envelope.dead_letter { FLAG_DEAD_LETTER } else { 0 }
            | if envelope.delay_ms.is_some() { FLAG_DELAYED } else { 0 };
        let properties_len = u32::try_from(envelope.properties.len()).unwrap_or(u32::MAX);
        let [p0, p1, p2, p3] = properties_len.to_le_bytes();
        let [t0, t1, t2, t3, t4, t5, t6, t7] = envelope.ttl_ms.unwrap_or_default().to_le_bytes();
        let (priority, exchange_len, key_len) =
            (envelope.priority, length_octet(exchange), length_octet(routing_key));
        // Put together as one array first: each append costs a check of the capacity.
        let fixed: [u8; FIXED_LEN] =
            [flags, priority, exchange_len, key_len, p0, p1, p2, p3, t0, t1, t2, t3, t4, t5, t6, t7];
        image.extend_from_slice(&fixed);
        if let Some(delay_ms) = envelope.delay_ms {
            image.extend_from_slice(&delay_ms.to_le_bytes());
        }
        image.extend_from_slice(exchange);
        image.extend_from_slice(routing_key);
        image.extend_from_slice(envelope.properties);
        Self { image }
    }

    /// Appends octets of the body.
    pub fn push(&mut self, body: &[u8]) {
        self.image.extend_from_slice(body);
    }

    /// The complete message.
    pub fn finish(self) -> Message {
        if self.image.len() > COPIED_MAX {
            return Message(Image::Large(Arc::new(self.image)));
        }
        let image = Arc::from(self.image.as_slice());
        if self.image.capacity() <= COPIED_MAX {
            WORKBENCH.set(self.image);
        }
        Message(Image::Copied(image))
    }
}

/// As much as a short string holds. What comes from the wire is one; a longer name is cut rather than told wrongly.
fn short(name: &[u8]) -> &[u8] {
    name.get(..usize::from(u8::MAX)).unwrap_or(name)
}

fn length_octet(name: &[u8]) -> u8 {
    u8::try_from(name.len()).unwrap_or(u8::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_comes_back_as_it_went_in() {
        let envelope = Envelope {
            exchange: b"logs",
            routing_key: b"a.b",
            properties: &[0, 0],
            persistent: true,
            priority: 7,
            ttl_ms: Some(60_000),
            dead_letter: false,
            delay_ms: Some(5_000),
        };
        let message = Message::new(&envelope, b"hello");
        assert_eq!(message.exchange(), b"logs");
        assert_eq!(message.routing_key(), b"a.b");
        assert_eq!(message.properties(), &[0, 0]);
        assert_eq!(message.body(), b"hello");
        let parts = Parts { exchange: b"logs", routing_key: b"a.b", properties: &[0, 0], body: b"hello" };
        assert_eq!(message.parts(), parts);
        assert_eq!(message.with_retried(Retried { deliveries: 1, expires: None }).parts(), parts);
        assert!(message.is_persistent());
        assert_eq!(message.priority(), 7);
        assert_eq!(message.ttl_ms(), Some(60_000));
        assert_eq!((message.delay_ms(), message.retried()), (Some(5_000), None));
    }

    #[test]
    fn a_retried_message_is_the_same_but_for_what_it_has_gone_through() {
        let envelope = Envelope {
            exchange: b"logs",
            routing_key: b"a.b",
            properties: &[0, 0],
            persistent: true,
            ttl_ms: Some(60_000),
            delay_ms: Some(5_000),
            ..Envelope::default()
        };
        let once = Retried { deliveries: 1, expires: Some(Timestamp::from_millis(7)) };
        let twice = Retried { deliveries: 2, expires: None };
        let message = Message::new(&envelope, b"hello").with_retried(once);
        assert_eq!((message.retried(), message.delay_ms()), (Some(once), None));
        let message = message.with_retried(twice);
        assert_eq!(message.retried(), Some(twice));
        assert_eq!((message.exchange(), message.routing_key()), (&b"logs"[..], &b"a.b"[..]));
        assert_eq!((message.properties(), message.body()), (&[0, 0][..], &b"hello"[..]));
        assert_eq!((message.is_persistent(), message.ttl_ms()), (true, Some(60_000)));
    }

    #[test]
    fn a_body_in_pieces_equals_a_body_at_once() {
        let envelope = Envelope { routing_key: b"q", ..Envelope::default() };
        let mut builder = MessageBuilder::new(&envelope, 4);
        builder.push(b"ab");
        builder.push(b"cd");
        assert_eq!(builder.finish(), Message::new(&envelope, b"abcd"));
    }

    #[test]
    fn a_name_that_is_too_long_is_cut_and_nothing_else_is_touched() {
        let key = [b'k'; 300];
        let envelope = Envelope { routing_key: &key, properties: &[0, 0], ..Envelope::default() };
        let message = Message::new(&envelope, b"body");
        assert_eq!(message.routing_key().len(), 255);
        assert_eq!((message.properties(), message.body()), (&[0, 0][..], &b"body"[..]));
    }

    #[test]
    fn an_announced_body_reserves_little() {
        let builder = MessageBuilder::new(&Envelope::default(), 1 << 40);
        assert!(builder.image.capacity() <= 2 * RESERVE_MAX);
    }

    #[test]
    fn what_is_put_together_next_holds_nothing_of_what_came_before() {
        for len in [COPIED_MAX + 1, 100, 10, 0] {
            let body = vec![7; len];
            assert_eq!(Message::new(&Envelope::default(), &body).body(), body);
        }
    }
}
