//! A client that costs little: frames encoded beforehand, big buffers, and incoming frames stepped over by their
//! lengths.
#![allow(
    clippy::missing_errors_doc,
    reason = "everything here talks to a socket: the peer may refuse, or be gone"
)]

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use lepus_protocol::method::{basic, channel, confirm, connection, exchange, queue};
use lepus_protocol::{
    ChannelId, DeliveryTag, FieldTable, Method, MethodId, PROTOCOL_HEADER, Properties, ShortStr, encoder,
};

use super::uri::Uri;

/// What one read takes at most.
const BUFFER_SIZE: usize = 1024 * 1024;

/// A broker that says nothing for so long has lost a message.
const PATIENCE: Duration = Duration::from_secs(30);

/// Octets of a frame that are asked for; brokers of RabbitMQ's family grant it.
const FRAME_MAX: u32 = 131_072;

const CHANNEL: ChannelId = ChannelId::new(1);
const FRAME_HEADER_SIZE: usize = 7;

/// Frame types (§4.2.3).
const METHOD: u8 = 1;
const BODY: u8 = 3;

/// What a client counts.
#[derive(Clone, Copy, Debug)]
pub enum Incoming<'a> {
    /// basic.deliver.
    Delivery,
    /// A body frame.
    Body(&'a [u8]),
    /// basic.ack: of this message or, if `multiple`, of all before it too.
    Confirmed {
        /// Its number.
        tag: u64,
        /// And all before it.
        multiple: bool,
    },
    /// basic.nack, likewise.
    Refused {
        /// Its number.
        tag: u64,
        /// And all before it.
        multiple: bool,
    },
    /// Any other method: its class, its number, its arguments.
    Answer(&'a [u8]),
}

/// One connection with one channel.
#[derive(Debug)]
pub struct Client {
    stream: TcpStream,
    buffer: Vec<u8>,
    /// Octets of the buffer that are in use.
    filled: usize,
}

impl Client {
    /// Connects and opens the channel. Its buffer is small.
    pub fn connect(uri: impl Into<Uri>) -> io::Result<Self> {
        let uri = uri.into();
        let stream = TcpStream::connect((uri.host.as_str(), uri.port))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let mut client = Self { stream, buffer: vec![0; 4096], filled: 0 };
        client.send(&PROTOCOL_HEADER)?;
        client.expect(connection::Start::ID)?;
        client.send_on(
            ChannelId::CONNECTION,
            connection::StartOk {
                client_properties: FieldTable::new(),
                mechanism: ShortStr::truncated("PLAIN"),
                response: format!("\0{}\0{}", uri.user, uri.password).as_bytes(),
                locale: ShortStr::truncated("en_US"),
            },
        )?;
        client.expect(connection::Tune::ID)?;
        let tune_ok = connection::TuneOk { channel_max: 2047, frame_max: FRAME_MAX, heartbeat: 0 };
        client.send_on(ChannelId::CONNECTION, tune_ok)?;
        let open = connection::Open { virtual_host: ShortStr::truncated(&uri.vhost) };
        client.send_on(ChannelId::CONNECTION, open)?;
        client.expect(connection::OpenOk::ID)?;
        client.call(channel::Open, channel::OpenOk::ID)?;
        Ok(client)
    }

    /// Makes room for reading much at a time.
    pub fn with_big_buffer(mut self) -> Self {
        self.buffer.resize(BUFFER_SIZE, 0);
        self
    }

    /// Writes octets.
    pub fn send(&mut self, octets: &[u8]) -> io::Result<()> {
        self.stream.write_all(octets)
    }

    /// Sends a method and waits for its answer.
    pub fn call<'m>(&mut self, method: impl Into<Method<'m>>, answer: MethodId) -> io::Result<()> {
        self.send_on(CHANNEL, method)?;
        self.expect(answer)
    }

    /// Declares a queue.
    pub fn declare(&mut self, queue: &str, options: Options) -> io::Result<()> {
        self.send(&declare(queue, options))?;
        self.expect(queue::DeclareOk::ID)
    }

    /// Ready messages of a queue.
    pub fn count(&mut self, queue: &str) -> io::Result<u64> {
        self.send(&declare(queue, Options::Passive))?;
        let octets = self.answer(queue::DeclareOk::ID)?;
        // It ends with the counts of messages and of consumers.
        let counts = octets.last_chunk::<8>().and_then(|counts| counts.first_chunk());
        counts
            .map(|count| u64::from(u32::from_be_bytes(*count)))
            .ok_or_else(|| io::ErrorKind::InvalidData.into())
    }

    /// A second handle, for a thread that only sends.
    pub fn sender(&self) -> io::Result<TcpStream> {
        self.stream.try_clone()
    }

    /// Deletes a queue, if it is there.
    pub fn delete(&mut self, queue: &str) -> io::Result<()> {
        let queue = ShortStr::truncated(queue);
        let delete = queue::Delete { queue, if_unused: false, if_empty: false, no_wait: false };
        self.call(delete, queue::DeleteOk::ID)
    }

    /// Binds a queue to an exchange.
    pub fn bind(&mut self, queue: &str, exchange: &str, key: &str, arguments: FieldTable) -> io::Result<()> {
        let bind = queue::Bind {
            queue: ShortStr::truncated(queue),
            exchange: ShortStr::truncated(exchange),
            routing_key: ShortStr::truncated(key),
            no_wait: false,
            arguments,
        };
        self.call(bind, queue::BindOk::ID)
    }

    /// Declares a transient exchange, which goes with its last binding.
    pub fn declare_exchange(&mut self, exchange: &str, kind: &str) -> io::Result<()> {
        let declare = exchange::Declare {
            exchange: ShortStr::truncated(exchange),
            kind: ShortStr::truncated(kind),
            passive: false,
            durable: false,
            auto_delete: true,
            internal: false,
            no_wait: false,
            arguments: FieldTable::new(),
        };
        self.call(declare, exchange::DeclareOk::ID)
    }

    /// Deletes an exchange, if it is there.
    pub fn delete_exchange(&mut self, exchange: &str) -> io::Result<()> {
        let exchange = ShortStr::truncated(exchange);
        let delete = exchange::Delete { exchange, if_unused: false, no_wait: false };
        self.call(delete, exchange::DeleteOk::ID)
    }

    /// Opens another channel, and closes it.
    pub fn open_and_close_channel(&mut self, channel: ChannelId) -> io::Result<()> {
        self.send_on(channel, channel::Open)?;
        self.expect(channel::OpenOk::ID)?;
        let close = channel::Close {
            reply_code: lepus_protocol::ReplyCode::SUCCESS,
            reply_text: ShortStr::EMPTY,
            class_id: lepus_protocol::ClassId::new(0),
            method_id: MethodId::new(0),
        };
        self.send_on(channel, close)?;
        self.expect(channel::CloseOk::ID)
    }

    /// Ends the connection in the way that the protocol has for it.
    pub fn close(mut self) -> io::Result<()> {
        let close = connection::Close {
            reply_code: lepus_protocol::ReplyCode::SUCCESS,
            reply_text: ShortStr::EMPTY,
            class_id: lepus_protocol::ClassId::new(0),
            method_id: MethodId::new(0),
        };
        self.send_on(ChannelId::CONNECTION, close)?;
        self.expect(connection::CloseOk::ID)
    }

    /// Starts a consumer. Deliveries may come before its answer, which is left for [`Self::receive`].
    pub fn consume(&mut self, queue: &str, acks: Acks) -> io::Result<()> {
        let consume = basic::Consume {
            queue: ShortStr::truncated(queue),
            consumer_tag: ShortStr::EMPTY,
            no_local: false,
            no_ack: matches!(acks, Acks::Automatic),
            exclusive: false,
            no_wait: false,
            arguments: FieldTable::new(),
        };
        self.send_on(CHANNEL, consume)
    }

    /// How many deliveries of each consumer may be unsettled.
    pub fn prefetch(&mut self, prefetch_count: u16) -> io::Result<()> {
        self.call(basic::Qos { prefetch_size: 0, prefetch_count, global: false }, basic::QosOk::ID)
    }

    /// Asks for confirms.
    pub fn select_confirms(&mut self) -> io::Result<()> {
        self.call(confirm::Select { no_wait: false }, confirm::SelectOk::ID)
    }

    /// Waits for what comes next and tells `each` of all that is whole.
    pub fn receive(&mut self, mut each: impl FnMut(Incoming<'_>)) -> io::Result<()> {
        let spare = self.buffer.get_mut(self.filled..).unwrap_or_default();
        let count = self.stream.read(spare)?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.filled += count;
        let mut rest = self.buffer.get(..self.filled).unwrap_or_default();
        while let Some((kind, payload, after)) = split_frame(rest) {
            if let Some(incoming) = sort(kind, payload) {
                each(incoming);
            }
            rest = after;
        }
        let left = rest.len();
        self.buffer.copy_within(self.filled - left..self.filled, 0);
        self.filled = left;
        Ok(())
    }

    /// Waits for an answer; nothing else is due.
    fn expect(&mut self, answer: MethodId) -> io::Result<()> {
        self.answer(answer).map(drop)
    }

    /// As [`Self::expect`]; the answer's octets.
    fn answer(&mut self, answer: MethodId) -> io::Result<Vec<u8>> {
        let mut found = None;
        while found.is_none() {
            self.receive(|incoming| {
                if let Incoming::Answer(octets) = incoming {
                    found = Some(octets.to_vec());
                }
            })?;
        }
        match found.unwrap_or_default() {
            octets if method_of(&octets) == Some(answer.get()) => Ok(octets),
            other => Err(io::Error::other(format!("expected method {answer:?}, got {other:?}"))),
        }
    }

    fn send_on<'m>(&mut self, channel: ChannelId, method: impl Into<Method<'m>>) -> io::Result<()> {
        let mut octets = Vec::new();
        method.into().encode(channel, &mut octets);
        self.send(&octets)
    }
}

/// How a queue is declared.
#[derive(Clone, Copy, Debug)]
pub enum Options {
    /// Not kept over a restart.
    Transient,
    /// Kept.
    Durable,
    /// Only for this connection.
    Exclusive,
    /// Only asked for.
    Passive,
}

/// How deliveries are acknowledged.
#[derive(Clone, Copy, Debug)]
pub enum Acks {
    /// As they are sent.
    Automatic,
    /// By basic.ack.
    Manual,
}

/// Type, payload, and what follows the frame; `None` if it is not whole.
fn split_frame(octets: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&[kind, _, _, s0, s1, s2, s3], rest) = octets.split_first_chunk::<FRAME_HEADER_SIZE>()?;
    let size = u32::from_be_bytes([s0, s1, s2, s3]) as usize;
    let (payload, after) = rest.split_at_checked(size)?;
    Some((kind, payload, after.get(1..)?))
}

/// The number of a method within its class.
fn method_of(octets: &[u8]) -> Option<u16> {
    let &[_, _, high, low] = octets.first_chunk()?;
    Some(u16::from_be_bytes([high, low]))
}

/// The arguments that basic.ack and basic.nack begin with.
fn settled(arguments: &[u8]) -> Option<(u64, bool)> {
    let (tag, rest) = arguments.split_first_chunk()?;
    Some((u64::from_be_bytes(*tag), rest.first()? & 1 != 0))
}

fn sort(kind: u8, payload: &[u8]) -> Option<Incoming<'_>> {
    match (kind, payload) {
        (METHOD, [0, 60, 0, 60, ..]) => Some(Incoming::Delivery),
        (METHOD, [0, 60, 0, 80, rest @ ..]) => {
            let (tag, multiple) = settled(rest)?;
            Some(Incoming::Confirmed { tag, multiple })
        }
        (METHOD, [0, 60, 0, 120, rest @ ..]) => {
            let (tag, multiple) = settled(rest)?;
            Some(Incoming::Refused { tag, multiple })
        }
        (METHOD, octets) => Some(Incoming::Answer(octets)),
        (BODY, body) => Some(Incoming::Body(body)),
        (_, _) => None,
    }
}

/// Whether a message is meant to survive a restart.
#[derive(Clone, Copy, Debug)]
pub enum Mode {
    /// No.
    Transient = 1,
    /// Yes.
    Persistent = 2,
}

/// A message as it is published: method, header and body frame.
pub fn message(exchange: &str, routing_key: &str, mode: Mode, body: &[u8]) -> Vec<u8> {
    routed(&Route { exchange, key: routing_key, header: None, mode }, body)
}

/// What decides where a message goes.
#[derive(Clone, Copy, Debug)]
pub struct Route<'r> {
    /// The exchange.
    pub exchange: &'r str,
    /// The routing key.
    pub key: &'r str,
    /// A header.
    pub header: Option<(&'r str, &'r str)>,
    /// Whether it is kept.
    pub mode: Mode,
}

/// As [`message`], with a header.
pub fn routed(route: &Route<'_>, body: &[u8]) -> Vec<u8> {
    let publish = basic::Publish {
        exchange: ShortStr::truncated(route.exchange),
        routing_key: ShortStr::truncated(route.key),
        mandatory: false,
        immediate: false,
    };
    let headers = route.header.map(|(name, value)| {
        let (mut table, mut octets) = (FieldTable::new(), Vec::new());
        table.insert(name, value);
        table.encode(&mut octets);
        octets
    });
    let (mut properties, mut octets) = (Vec::new(), Vec::new());
    let delivery_mode = Some(route.mode as u8);
    Properties { delivery_mode, headers: headers.as_deref(), ..Properties::default() }
        .encode(&mut properties);
    Method::from(publish).encode(CHANNEL, &mut octets);
    encoder::content(&mut octets, CHANNEL, &properties, body, FRAME_MAX);
    octets
}

/// Where the body of an encoded message begins.
pub fn body_at(message: &[u8]) -> Option<usize> {
    let mut rest = message;
    while let Some((kind, _, after)) = split_frame(rest) {
        if kind == BODY {
            return Some(message.len() - rest.len() + FRAME_HEADER_SIZE);
        }
        rest = after;
    }
    None
}

/// A persistent message to a queue with the header `x-delay`.
pub fn delayed_message(queue: &str, delay_ms: u64, body: &[u8]) -> Vec<u8> {
    let publish = basic::Publish {
        exchange: ShortStr::EMPTY,
        routing_key: ShortStr::truncated(queue),
        mandatory: false,
        immediate: false,
    };
    let mut table = FieldTable::new();
    table.insert("x-delay", i64::try_from(delay_ms).unwrap_or(i64::MAX));
    let (mut headers, mut properties, mut octets) = (Vec::new(), Vec::new(), Vec::new());
    table.encode(&mut headers);
    let delivery_mode = Some(Mode::Persistent as u8);
    Properties { delivery_mode, headers: Some(&headers), ..Properties::default() }.encode(&mut properties);
    Method::from(publish).encode(CHANNEL, &mut octets);
    encoder::content(&mut octets, CHANNEL, &properties, body, FRAME_MAX);
    octets
}

/// queue.declare as it is sent.
pub fn declare(queue: &str, options: Options) -> Vec<u8> {
    let declare = queue::Declare {
        queue: ShortStr::truncated(queue),
        passive: matches!(options, Options::Passive),
        durable: matches!(options, Options::Durable),
        exclusive: matches!(options, Options::Exclusive),
        auto_delete: false,
        no_wait: false,
        arguments: FieldTable::new(),
    };
    let mut octets = Vec::new();
    Method::from(declare).encode(CHANNEL, &mut octets);
    octets
}

/// basic.ack of all deliveries up to `tag`.
pub fn ack(tag: u64) -> Vec<u8> {
    let mut octets = Vec::new();
    let ack = basic::Ack { delivery_tag: DeliveryTag::new(tag), multiple: true };
    Method::from(ack).encode(CHANNEL, &mut octets);
    octets
}
