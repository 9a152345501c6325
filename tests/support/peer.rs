//! One connection to the broker, and what a test expects to see on it.

use std::collections::{BTreeSet, VecDeque};
use std::fmt::{Debug, Display};
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

use super::wire::{self, Content, Method, Table, Value};
use super::{open, passive};

/// An answer that has not come by then is missing. Generous: it only costs time where a test fails.
const PATIENCE: Duration = Duration::from_secs(10);

/// How much of the dialogue a failure shows.
const TRANSCRIPT: usize = 24;

pub(crate) const PROTOCOL_HEADER: &[u8] = b"AMQP\x00\x00\x09\x01";

/// A frame as it came.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) channel: u16,
    pub(crate) payload: Vec<u8>,
}

/// What connection.start-ok says.
pub(crate) struct Credentials {
    pub(crate) mechanism: &'static str,
    pub(crate) response: Vec<u8>,
    pub(crate) capabilities: Table,
}

impl Credentials {
    pub(crate) fn plain(user: &str, password: &str) -> Self {
        Self {
            mechanism: "PLAIN",
            response: format!("\0{user}\0{password}").into(),
            capabilities: Table::default()
                .with("authentication_failure_close", true)
                .with("basic.nack", true)
                .with("connection.blocked", true)
                .with("consumer_cancel_notify", true)
                .with("publisher_confirms", true),
        }
    }

    pub(crate) fn start_ok(&self) -> Method {
        let properties = Table::default()
            .with("product", "scripted peer")
            .with("connection_name", "dialogue")
            .with("capabilities", self.capabilities.clone());
        Method::new("connection.start-ok")
            .set("client-properties", properties)
            .set("mechanism", self.mechanism)
            .set("response", Value::Bytes(self.response.clone()))
            .set("locale", "en_US")
    }
}

pub(crate) struct Peer {
    stream: TcpStream,
    received: VecDeque<u8>,
    transcript: VecDeque<String>,
    /// The largest frame this peer sends.
    pub(crate) frame_max: usize,
    /// How long it waits for a frame, or to be read.
    pub(crate) patience: Duration,
    /// RabbitMQ 3 is on the other side.
    is_rabbitmq_3: bool,
}

/// Connecting.
impl Peer {
    pub(crate) async fn dial(address: SocketAddr) -> Self {
        Self::on(TcpStream::connect(address).await.unwrap())
    }

    /// A peer that takes in little more than what it reads.
    pub(crate) async fn dial_with_small_window(address: SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        Self::on(socket.connect(address).await.unwrap())
    }

    fn on(stream: TcpStream) -> Self {
        stream.set_nodelay(true).unwrap();
        Self {
            stream,
            received: VecDeque::new(),
            transcript: VecDeque::new(),
            frame_max: 131_072,
            patience: PATIENCE,
            is_rabbitmq_3: false,
        }
    }

    /// Sends the protocol header and returns connection.start.
    pub(crate) async fn receive_start(&mut self) -> Method {
        self.send_bytes(PROTOCOL_HEADER).await;
        let start = self.expect(0, "connection.start").await;
        let version = start.table("server-properties").get("version").map(Value::text);
        self.is_rabbitmq_3 = version.is_some_and(|version| version.starts_with("3."));
        start
    }

    /// Logs in and returns connection.tune.
    pub(crate) async fn log_in(&mut self, credentials: &Credentials) -> Method {
        self.receive_start().await;
        self.send(0, credentials.start_ok()).await;
        self.expect(0, "connection.tune").await
    }

    /// Protocol header to connection.open-ok, as guest, without heartbeats.
    pub(crate) async fn handshake(&mut self) {
        self.handshake_with(&Credentials::plain("guest", "guest"), 0).await;
    }

    pub(crate) async fn handshake_with(&mut self, credentials: &Credentials, heartbeat: u16) {
        let tune = self.log_in(credentials).await;
        self.send(0, tune_ok(&tune).set("heartbeat", heartbeat)).await;
        self.open_vhost("/").await;
    }

    pub(crate) async fn open_vhost(&mut self, vhost: &str) {
        self.call(0, Method::new("connection.open").set("virtual-host", vhost)).await;
    }

    /// Opens a channel.
    pub(crate) async fn open(&mut self, channel: u16) {
        self.call(channel, open()).await;
    }

    /// Closes the connection politely. Who ends the socket first is left open: RabbitMQ waits for the client.
    pub(crate) async fn close(mut self) {
        self.call(0, Method::new("connection.close").set("reply-code", 200)).await;
    }
}

/// Accepts what tune proposes, without heartbeats.
pub(crate) fn tune_ok(tune: &Method) -> Method {
    Method::new("connection.tune-ok")
        .set("channel-max", tune.number("channel-max"))
        .set("frame-max", tune.number("frame-max"))
}

/// Sending.
impl Peer {
    pub(crate) async fn send_bytes(&mut self, bytes: &[u8]) {
        if self.try_send_bytes(bytes).await.is_err() {
            self.fail("the broker closed the socket while bytes were sent");
        }
    }

    /// Sends what the broker may refuse to read: a reset connection is an outcome here, not a failure.
    pub(crate) async fn try_send_bytes(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        match timeout(self.patience, self.stream.write_all(bytes)).await {
            Ok(result) => result,
            Err(_) => self.fail("the broker does not read"),
        }
    }

    /// Sends for as long as the broker reads; `false` when it has stopped for the given time.
    pub(crate) async fn send_while_read(&mut self, bytes: &[u8], patience: Duration) -> bool {
        matches!(timeout(patience, self.stream.write_all(bytes)).await, Ok(Ok(())))
    }

    pub(crate) async fn send_frame(&mut self, kind: u8, channel: u16, payload: &[u8]) {
        self.note(format!("-> {channel} frame type {kind}, {} octets", payload.len()));
        self.send_bytes(&wire::frame(kind, channel, payload)).await;
    }

    pub(crate) async fn send(&mut self, channel: u16, method: Method) {
        self.note(format!("-> {channel} {method:?}"));
        self.send_bytes(&wire::frame(wire::METHOD, channel, &method.encode())).await;
    }

    pub(crate) async fn heartbeat(&mut self) {
        self.send_frame(wire::HEARTBEAT, 0, &[]).await;
    }

    pub(crate) async fn publish(&mut self, channel: u16, content: Content) {
        self.note(format!("-> {channel} {content:?}"));
        let mut bytes = wire::frame(wire::METHOD, channel, &content.method.encode());
        bytes.extend(wire::frame(wire::HEADER, channel, &content.encode_header()));
        for part in content.body.chunks(self.frame_max - 8) {
            bytes.extend(wire::frame(wire::BODY, channel, part));
        }
        self.send_bytes(&bytes).await;
    }

    /// Sends a synchronous method; its `-ok` has to come next and is returned.
    pub(crate) async fn call(&mut self, channel: u16, method: Method) -> Method {
        let answer = format!("{}-ok", method.name);
        self.send(channel, method).await;
        self.expect(channel, &answer).await
    }
}

/// Expecting.
impl Peer {
    pub(crate) async fn expect_frame(&mut self) -> Frame {
        match timeout(self.patience, self.next_frame()).await {
            Ok(Some(frame)) => frame,
            Ok(None) => self.fail("expected a frame, but the broker closed the socket"),
            Err(_) => self.fail("expected a frame, but none came"),
        }
    }

    pub(crate) async fn expect_method(&mut self, channel: u16) -> Method {
        let frame = self.expect_frame().await;
        match Method::decode(&frame.payload) {
            Some(method) if frame.kind == wire::METHOD && frame.channel == channel => method,
            _ => self.fail(format!("expected a method on channel {channel}")),
        }
    }

    pub(crate) async fn expect(&mut self, channel: u16, name: &str) -> Method {
        let method = self.expect_method(channel).await;
        if method.name != name {
            self.fail(format!("expected {name} on channel {channel}"));
        }
        method
    }

    /// A method with content: deliver, get-ok or return.
    pub(crate) async fn expect_content(&mut self, channel: u16, name: &str) -> Content {
        let method = self.expect(channel, name).await;
        self.finish_content(channel, method).await
    }

    /// The rest of a method with content that has come already.
    pub(crate) async fn finish_content(&mut self, channel: u16, method: Method) -> Content {
        let header = self.expect_frame().await;
        let decoded = wire::decode_header(&header.payload);
        let Some((_, size, properties)) = decoded.filter(|_| header.kind == wire::HEADER) else {
            self.fail("expected a content header")
        };
        let mut body = Vec::new();
        while (body.len() as u64) < size {
            let frame = self.expect_frame().await;
            self.same("frame type", &frame.kind, &wire::BODY);
            self.same("channel", &frame.channel, &channel);
            body.extend(frame.payload);
        }
        Content { method, properties, body }
    }

    pub(crate) async fn expect_delivery(&mut self, channel: u16, body: &str) -> Content {
        let delivery = self.expect_content(channel, "basic.deliver").await;
        self.same("body", &String::from_utf8_lossy(&delivery.body).as_ref(), &body);
        delivery
    }

    pub(crate) async fn expect_return(&mut self, channel: u16, code: u64, text: &str) -> Content {
        let returned = self.expect_content(channel, "basic.return").await;
        self.same("reply-code", &returned.method.number("reply-code"), &code);
        self.same("reply-text", &returned.method.text("reply-text").as_str(), &text);
        returned
    }

    /// Gets one message, which has to be there.
    pub(crate) async fn expect_get(&mut self, channel: u16, queue: &str, body: &str) -> Content {
        self.send(channel, super::get(queue)).await;
        let got = self.expect_content(channel, "basic.get-ok").await;
        self.same("body", &String::from_utf8_lossy(&got.body).as_ref(), &body);
        got
    }

    pub(crate) async fn expect_empty(&mut self, channel: u16, queue: &str) {
        self.send(channel, super::get(queue)).await;
        self.expect(channel, "basic.get-empty").await;
    }

    /// A publisher confirm.
    pub(crate) async fn expect_confirm(&mut self, channel: u16, tag: u64) {
        let ack = self.expect(channel, "basic.ack").await;
        self.same("delivery-tag", &ack.number("delivery-tag"), &tag);
    }

    /// Confirms of all from `first` to `last`, each once, however coalesced.
    pub(crate) async fn expect_confirms(&mut self, channel: u16, first: u64, last: u64) {
        let mut outstanding: BTreeSet<u64> = (first..=last).collect();
        while !outstanding.is_empty() {
            let ack = self.expect(channel, "basic.ack").await;
            let tag = ack.number("delivery-tag");
            if !outstanding.remove(&tag) {
                self.fail(format!("{tag} is confirmed twice"));
            }
            if ack.is("multiple") {
                outstanding = outstanding.split_off(&tag);
            }
        }
    }

    /// A queue's ready messages and consumers.
    pub(crate) async fn expect_counts(&mut self, channel: u16, queue: &str, messages: u64, consumers: u64) {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let ok = self.call(channel, passive(queue)).await;
            let counts = (ok.number("message-count"), ok.number("consumer-count"));
            // RabbitMQ: the question overtakes publications that are still on their way to the queue.
            let may_overtake = self.is_rabbitmq_3 && tokio::time::Instant::now() < deadline;
            if counts == (messages, consumers) || !may_overtake {
                return self.same("messages and consumers", &counts, &(messages, consumers));
            }
        }
    }

    /// As `expect_counts`, for what another connection brings about: asked again until it is so.
    pub(crate) async fn eventually_counts(
        &mut self,
        channel: u16,
        queue: &str,
        messages: u64,
        consumers: u64,
    ) {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let ok = self.call(channel, passive(queue)).await;
            let counts = (ok.number("message-count"), ok.number("consumer-count"));
            if counts == (messages, consumers) || tokio::time::Instant::now() > deadline {
                return self.same("messages and consumers", &counts, &(messages, consumers));
            }
        }
    }

    /// The broker closes the channel for this reason; the close is answered.
    pub(crate) async fn expect_channel_close(&mut self, channel: u16, code: u64, text: &str, id: (u16, u16)) {
        let close = self.expect(channel, "channel.close").await;
        self.check_close(&close, code, text, id);
        self.send(channel, Method::new("channel.close-ok")).await;
    }

    /// The broker closes the connection for this reason; the close is answered and the socket ends.
    pub(crate) async fn expect_connection_close(&mut self, code: u64, text: &str, id: (u16, u16)) {
        let close = self.expect(0, "connection.close").await;
        self.check_close(&close, code, text, id);
        self.send(0, Method::new("connection.close-ok")).await;
        self.expect_eof().await;
    }

    /// The method closes its channel with this code and text, and with its own class and method ids.
    pub(crate) async fn expect_soft_error(&mut self, channel: u16, method: Method, code: u64, text: &str) {
        let id = method.id;
        self.send(channel, method).await;
        self.expect_channel_close(channel, code, text, id).await;
    }

    /// As `expect_soft_error`, and the channel is opened again.
    pub(crate) async fn expect_refusal(&mut self, channel: u16, method: Method, code: u64, text: &str) {
        self.expect_soft_error(channel, method, code, text).await;
        self.open(channel).await;
    }

    /// The method closes the connection with this code and text, and with its own class and method ids.
    pub(crate) async fn expect_hard_error(&mut self, channel: u16, method: Method, code: u64, text: &str) {
        let id = method.id;
        self.send(channel, method).await;
        self.expect_connection_close(code, text, id).await;
    }

    /// The socket ends with nothing more on it.
    pub(crate) async fn expect_eof(&mut self) {
        match timeout(PATIENCE, self.next_frame()).await {
            Ok(None) if self.received.is_empty() => {}
            Ok(None) => self.fail(format!("expected nothing before the end, got {:?}", self.received)),
            Ok(Some(_)) => self.fail("expected the end of the socket"),
            Err(_) => self.fail("expected the end of the socket, but it stays open"),
        }
    }

    /// The connection ends: with the reply code of connection.close, or without a word.
    pub(crate) async fn expect_end(&mut self) -> Option<u64> {
        let Ok(frame) = timeout(PATIENCE, self.next_frame()).await else {
            self.fail("expected the end of the connection, but nothing came")
        };
        let method = Method::decode(&frame?.payload);
        let Some(close) = method.filter(|method| method.name == "connection.close") else {
            self.fail("expected the end of the connection")
        };
        self.send(0, Method::new("connection.close-ok")).await;
        self.expect_eof().await;
        Some(close.number("reply-code"))
    }

    /// As `expect_end`, where unread bytes may make the socket's end a reset that swallows the last frames.
    pub(crate) async fn expect_abrupt_end(&mut self) -> Option<u64> {
        let Ok(frame) = timeout(PATIENCE, self.next_frame()).await else {
            self.fail("expected the end of the connection, but nothing came")
        };
        Method::decode(&frame?.payload).map(|close| close.number("reply-code"))
    }

    /// A method, whatever heartbeats come before it.
    pub(crate) async fn expect_past_heartbeats(&mut self, channel: u16, name: &str) -> Method {
        loop {
            let frame = self.expect_frame().await;
            match Method::decode(&frame.payload) {
                Some(method) if frame.channel == channel && method.name == name => return method,
                _ if frame.kind == wire::HEARTBEAT => {}
                _ => self.fail(format!("expected {name}")),
            }
        }
    }

    /// The socket ends with nothing but heartbeats on it.
    pub(crate) async fn expect_heartbeats_then_eof(&mut self) {
        loop {
            match timeout(PATIENCE, self.next_frame()).await {
                Ok(None) => return,
                Ok(Some(frame)) if frame.kind == wire::HEARTBEAT => {}
                Ok(Some(_)) => self.fail("expected the end of the socket"),
                Err(_) => self.fail("expected the end of the socket, but it stays open"),
            }
        }
    }

    /// Whether the broker answers the protocol header with connection.start.
    pub(crate) async fn is_welcome(&mut self) -> bool {
        self.try_send_bytes(PROTOCOL_HEADER).await.is_ok()
            && matches!(timeout(PATIENCE, self.next_frame()).await, Ok(Some(_)))
    }

    /// All bytes up to the socket's end.
    pub(crate) async fn expect_bytes_then_eof(&mut self, expected: &[u8]) {
        let reading = async { while self.read_some().await {} };
        if timeout(PATIENCE, reading).await.is_err() {
            self.fail("expected the end of the socket, but it stays open");
        }
        let received: Vec<u8> = self.received.drain(..).collect();
        self.same("bytes", &received.as_slice(), &expected);
    }

    /// Compares, and shows the dialogue where the two differ.
    pub(crate) fn same<T: PartialEq + Debug>(&self, what: &str, found: &T, expected: &T) {
        if found != expected {
            self.fail(format!("{what}: expected {expected:?}, got {found:?}"));
        }
    }

    fn check_close(&self, close: &Method, code: u64, text: &str, id: (u16, u16)) {
        let found_id = (close.number("class-id"), close.number("method-id"));
        self.same("reply-text", &close.text("reply-text").as_str(), &text);
        self.same("reply-code", &close.number("reply-code"), &code);
        self.same("class and method", &found_id, &(id.0.into(), id.1.into()));
    }
}

/// Bytes and frames.
impl Peer {
    /// The next frame; `None` at the end of the socket.
    async fn next_frame(&mut self) -> Option<Frame> {
        loop {
            if let Some(frame) = self.parse_frame() {
                self.note_frame(&frame);
                return Some(frame);
            }
            if !self.read_some().await {
                return None;
            }
        }
    }

    /// Reads what has come; `false` at the end of the socket, also where the broker resets it.
    async fn read_some(&mut self) -> bool {
        let mut buffer = vec![0; 16384];
        match self.stream.read(&mut buffer).await {
            Ok(0) | Err(_) => false,
            Ok(count) => {
                self.received.extend(&buffer[..count]);
                true
            }
        }
    }

    fn parse_frame(&mut self) -> Option<Frame> {
        let bytes = self.received.make_contiguous();
        let (header, rest) = bytes.split_at_checked(7)?;
        let size = u32::from_be_bytes(header[3..7].try_into().unwrap()) as usize;
        let end = *rest.get(size)?;
        let frame = Frame {
            kind: header[0],
            channel: u16::from_be_bytes([header[1], header[2]]),
            payload: rest[..size].into(),
        };
        self.received.drain(..size + 8);
        self.same("frame end", &end, &wire::END);
        Some(frame)
    }

    fn note_frame(&mut self, frame: &Frame) {
        let text = match Method::decode(&frame.payload) {
            Some(method) if frame.kind == wire::METHOD => format!("{method:?}"),
            _ => {
                let shown = &frame.payload[..frame.payload.len().min(80)];
                format!("frame type {}: {}", frame.kind, shown.escape_ascii())
            }
        };
        self.note(format!("<- {} {text}", frame.channel));
    }

    fn note(&mut self, line: String) {
        if self.transcript.len() == TRANSCRIPT {
            self.transcript.pop_front();
        }
        self.transcript.push_back(line);
    }

    pub(crate) fn fail(&self, why: impl Display) -> ! {
        let lines: Vec<_> = self.transcript.iter().map(String::as_str).collect();
        panic!("{why}\nthe dialogue:\n  {}", lines.join("\n  "));
    }
}
