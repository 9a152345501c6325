//! A broker and a client in one thread: the same octets take the same way each time.

use std::sync::Arc;

use lepus::auth::LoginRules;
use lepus::bench::client::{Mode, Options, ack, declare, message};
use lepus::broker::{Broker, FirstUser, MemoryLimits};
use lepus::clock::Clock;
use lepus::config::{ConnectionLimits, Identity};
use lepus::connection::{Ends, Settings, serve};
use lepus_protocol::method::{basic, channel, confirm, connection, exchange, queue};
use lepus_protocol::{ChannelId, FieldTable, Method, ShortStr};
use parking_lot::RwLock;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex, split};
use tokio::runtime::{Builder, Runtime};
use tokio_util::sync::CancellationToken;

/// Deliveries in a round.
pub(crate) const DELIVERIES: usize = 1000;

/// Of 1 KiB fewer: what does not fit into an outbound buffer would follow the last answer.
const KIBIBYTES: usize = 200;

/// Queues of the fanout.
const QUEUES: usize = 10;

/// Bindings of the topic exchange; the keys of messages change with each.
const BINDINGS: usize = 1000;

/// Octets that may wait between the client and the broker: more than a round has.
const LINE: usize = 4 * 1024 * 1024;

/// Octets of confirms that may come behind all else.
const CONFIRMS: usize = 64;

const CHANNEL: ChannelId = ChannelId::new(1);
const EXCHANGE: &str = "path";

/// What is carried.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Case {
    /// 16 octets through a queue to a consumer that does not acknowledge.
    Transient,
    /// 16 octets with a confirm, each acked.
    ConfirmedAndAcked,
    /// 1 KiB, otherwise as `Transient`: [`KIBIBYTES`] of them.
    Kibibyte,
    /// 16 octets from a fanout exchange to ten queues.
    Fanout,
    /// 16 octets through a topic exchange, no two in a row with the same key.
    Topic,
}

/// A connection to a broker of its own.
#[derive(Debug)]
pub(crate) struct Path {
    runtime: Runtime,
    client: DuplexStream,
    /// What the client sends in each round.
    octets: Vec<u8>,
    /// What the answers to it end with.
    end: Vec<u8>,
    answers: Vec<u8>,
}

/// After two rounds: buffers have their sizes, routes are known.
pub(crate) fn warm(case: Case) -> Path {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let client = runtime.block_on(connect());
    let (octets, end) = (case.preparations(), end());
    let mut path = Path { runtime, client, octets, end, answers: Vec::new() };
    path.round();
    path.octets = case.messages(0);
    path.round();
    path.octets = case.messages(DELIVERIES);
    path
}

impl Path {
    /// Sends what is to be sent and takes all that comes for it.
    pub(crate) fn round(&mut self) {
        let Self { runtime, client, octets, end, answers } = self;
        answers.clear();
        runtime.block_on(async {
            client.write_all(octets).await.unwrap();
            while !has_ended(answers, end) {
                let count = client.read_buf(answers).await.unwrap();
                assert_ne!(count, 0, "the connection was closed: {}", String::from_utf8_lossy(answers));
            }
        });
    }
}

/// Confirms may follow the last answer.
fn has_ended(answers: &[u8], end: &[u8]) -> bool {
    let tail = answers.get(answers.len().saturating_sub(CONFIRMS)..).unwrap_or_default();
    tail.windows(end.len()).any(|octets| octets == end)
}

impl Case {
    /// Handshake and topology.
    fn preparations(self) -> Vec<u8> {
        let mut octets = b"AMQP\x00\x00\x09\x01".to_vec();
        put_handshake(&mut octets);
        put(&mut octets, channel::Open);
        match self {
            Self::Transient | Self::Kibibyte => put_consumer(&mut octets, "queue", true),
            Self::ConfirmedAndAcked => {
                put(&mut octets, confirm::Select { no_wait: true });
                put_consumer(&mut octets, "queue", false);
            }
            Self::Fanout => {
                put_exchange(&mut octets, "fanout");
                for queue in (0..QUEUES).map(|at| format!("queue-{at}")) {
                    put_consumer(&mut octets, &queue, true);
                    put_binding(&mut octets, &queue, "");
                }
            }
            Self::Topic => {
                put_exchange(&mut octets, "topic");
                put_consumer(&mut octets, "queue", true);
                (0..BINDINGS).for_each(|at| put_binding(&mut octets, "queue", &format!("*.key-{at}.#")));
            }
        }
        octets.extend(mark());
        octets
    }

    /// Messages for so many deliveries, `before` of which there were in earlier rounds.
    fn messages(self, before: usize) -> Vec<u8> {
        let small = |exchange, key: &str| message(exchange, key, Mode::Transient, b"sixteen octets..");
        let mut octets = match self {
            Self::Transient | Self::ConfirmedAndAcked => small("", "queue").repeat(DELIVERIES),
            Self::Kibibyte => message("", "queue", Mode::Transient, &[7; 1024]).repeat(KIBIBYTES),
            Self::Fanout => small(EXCHANGE, "").repeat(DELIVERIES / QUEUES),
            Self::Topic => (0..DELIVERIES)
                .flat_map(|at| small(EXCHANGE, &format!("a.key-{}.b.c", at % BINDINGS)))
                .collect(),
        };
        if matches!(self, Self::ConfirmedAndAcked) {
            (1..=DELIVERIES).for_each(|at| octets.extend(ack((before + at) as u64)));
        }
        octets.extend(mark());
        octets
    }
}

/// A request whose answer is known beforehand: when it is there, everything before has been carried out.
fn mark() -> Vec<u8> {
    let mut octets = Vec::new();
    put(&mut octets, basic::Qos { prefetch_size: 0, prefetch_count: 0, global: false });
    octets
}

fn end() -> Vec<u8> {
    let mut octets = Vec::new();
    put(&mut octets, basic::QosOk);
    octets
}

async fn connect() -> DuplexStream {
    let clock = Clock::start();
    let memory = MemoryLimits { alarm: u64::MAX, messages: u64::MAX };
    let rules = LoginRules { anonymous: true, ..LoginRules::default() };
    let broker = Broker::new(rules, &FirstUser::default(), clock, memory, None).unwrap();
    let settings = Settings {
        broker,
        limits: RwLock::new(Arc::new(ConnectionLimits::default())),
        identity: Identity::default(),
        rabbitmq_version: "4.0.5".to_owned(),
        stopping: CancellationToken::new(),
    };
    let (client, server) = duplex(LINE);
    let (reader, writer) = split(server);
    let nobody = ([127, 0, 0, 1], 0).into();
    let ends = Ends { peer: nobody, local: nobody, tls: None };
    tokio::spawn(serve(reader, writer, ends, Arc::new(settings)));
    client
}

/// The client's side of the handshake; it waits for nothing.
fn put_handshake(octets: &mut Vec<u8>) {
    let mut put = |method: Method<'_>| method.encode(ChannelId::CONNECTION, octets);
    put(connection::StartOk {
        client_properties: FieldTable::new(),
        mechanism: ShortStr::truncated("ANONYMOUS"),
        response: b"",
        locale: ShortStr::truncated("en_US"),
    }
    .into());
    put(connection::TuneOk { channel_max: 2047, frame_max: 131_072, heartbeat: 0 }.into());
    put(connection::Open { virtual_host: ShortStr::truncated("/") }.into());
}

fn put_consumer(octets: &mut Vec<u8>, name: &str, no_ack: bool) {
    octets.extend(declare(name, Options::Transient));
    put(
        octets,
        basic::Consume {
            queue: ShortStr::truncated(name),
            consumer_tag: ShortStr::truncated(name),
            no_local: false,
            no_ack,
            exclusive: false,
            no_wait: false,
            arguments: FieldTable::new(),
        },
    );
}

fn put_exchange(octets: &mut Vec<u8>, kind: &str) {
    put(
        octets,
        exchange::Declare {
            exchange: ShortStr::truncated(EXCHANGE),
            kind: ShortStr::truncated(kind),
            passive: false,
            durable: false,
            auto_delete: false,
            internal: false,
            no_wait: false,
            arguments: FieldTable::new(),
        },
    );
}

fn put_binding(octets: &mut Vec<u8>, name: &str, key: &str) {
    put(
        octets,
        queue::Bind {
            queue: ShortStr::truncated(name),
            exchange: ShortStr::truncated(EXCHANGE),
            routing_key: ShortStr::truncated(key),
            no_wait: false,
            arguments: FieldTable::new(),
        },
    );
}

fn put<'m>(octets: &mut Vec<u8>, method: impl Into<Method<'m>>) {
    method.into().encode(CHANNEL, octets);
}
