//! The handshake's I/O: the protocol header, then methods on channel 0 until the connection is open.

use std::io;
use std::time::Duration;

use lepus_protocol::method::connection;
use lepus_protocol::{
    ChannelId, ClassId, Frame, Method, MethodId, NotAmqp, PROTOCOL_HEADER, ProtocolHeader, ReplyCode,
    ShortStr, decode,
};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

use super::handshake::{Handshake, Opened, Refusal, Step, Terms, start};
use super::input::Input;
use super::{CLOSE_OK_TIMEOUT, Ends, Settings};
use crate::auth::Arrival;
use crate::config::ConnectionLimits;
use crate::exception::ConnectionException;

/// How long a client with a wrong password waits before the socket is closed (RabbitMQ).
const SILENCE: Duration = Duration::from_secs(3);

/// How a client begins that speaks TLS (RFC 8446 §5.1: a handshake record).
const TLS_RECORD: [u8; 2] = [22, 3];

/// How long to read on after a refusal, so that the refusal is not lost by a reset of the socket.
const LINGER: Duration = Duration::from_secs(1);

/// Why there is no connection.
#[derive(Debug)]
enum Failed {
    /// The socket.
    Io(io::Error),
    /// The client left, or there was nothing but silence on the line.
    Gone,
    /// The client closed in due form.
    Closed,
    /// Not AMQP, or not 0-9-1.
    BadHeader,
    /// The client was refused.
    Refused(Refusal, ClassId, MethodId),
}

impl From<io::Error> for Failed {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<ConnectionException> for Failed {
    fn from(exception: ConnectionException) -> Self {
        Self::Refused(Refusal::Exception(exception), ClassId::NONE, MethodId::NONE)
    }
}

/// Brings a new socket to an open connection. `None`: there will be none, and the peer has been told why.
pub(super) async fn greet<R, W>(
    input: &mut Input<R>,
    writer: &mut W,
    ends: &Ends,
    settings: &Settings,
    limits: &ConnectionLimits,
) -> Option<Opened>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let terms = Terms {
        broker: &settings.broker,
        limits,
        identity: settings.identity,
        rabbitmq_version: &settings.rabbitmq_version,
        arrival: Arrival {
            address: ends.peer.ip(),
            certified: ends.tls.as_ref().and_then(|tls| tls.certified.clone()),
        },
    };
    let handshake = shake_hands(input, writer, &terms);
    let result = tokio::select! {
        result = timeout(limits.handshake_timeout, handshake) => result,
        () = settings.stopping.cancelled() => return None,
    };
    match result {
        Ok(Ok(opened)) => Some(opened),
        Ok(Err(failed)) => {
            tell(failed, input, writer, limits.frame_max).await;
            None
        }
        Err(_) => {
            tracing::warn!("handshake timed out");
            None
        }
    }
}

async fn shake_hands<R, W>(input: &mut Input<R>, writer: &mut W, terms: &Terms<'_>) -> Result<Opened, Failed>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    read_protocol_header(input).await?;
    send(writer, &start(terms)).await?;
    let mut state = Handshake::Started;
    loop {
        match next_step(state, input, terms).await? {
            Step::Continue(next) => state = next,
            Step::Check(claim, introduction) => {
                let authority = &terms.broker.authority;
                let login = authority.login(claim, terms.arrival.address, terms.broker.clock.now()).await;
                let checked = introduction.checked(login, terms.limits);
                // RabbitMQ blames nothing for a login that is refused.
                let refused = |refusal| Failed::Refused(refusal, ClassId::NONE, MethodId::NONE);
                let (next, tune) = checked.map_err(refused)?;
                send(writer, &tune).await?;
                state = next;
            }
            Step::Done(opened) => {
                send(writer, &Method::from(connection::OpenOk)).await?;
                return Ok(opened);
            }
        }
    }
}

async fn read_protocol_header<R: AsyncRead + Unpin>(input: &mut Input<R>) -> Result<(), Failed> {
    loop {
        match ProtocolHeader::parse(input.octets()) {
            Ok(Some(ProtocolHeader::Amqp091)) => {
                input.consume(ProtocolHeader::LENGTH);
                return Ok(());
            }
            Ok(Some(ProtocolHeader::Unsupported(_))) | Err(NotAmqp) => return Err(Failed::BadHeader),
            Ok(None) => read(input).await?,
        }
    }
}

/// Reads the next method and lets the state machine have it.
async fn next_step<R: AsyncRead + Unpin>(
    state: Handshake,
    input: &mut Input<R>,
    terms: &Terms<'_>,
) -> Result<Step, Failed> {
    loop {
        let decoded = decode(input.octets(), terms.limits.frame_max);
        let decoded = decoded.map_err(|error| ConnectionException::new(ReplyCode::FRAME_ERROR, error))?;
        match decoded {
            None => read(input).await?,
            Some((Frame::Heartbeat { .. }, consumed)) => input.consume(consumed),
            Some((frame, consumed)) => {
                let step = on_frame(state, frame, terms);
                input.consume(consumed);
                return step;
            }
        }
    }
}

fn on_frame(state: Handshake, frame: Frame<'_>, terms: &Terms<'_>) -> Result<Step, Failed> {
    let Frame::Method { channel: ChannelId::CONNECTION, payload } = frame else {
        let text = "expected a method on channel 0";
        return Err(ConnectionException::new(ReplyCode::UNEXPECTED_FRAME, text).into());
    };
    let method =
        Method::parse(payload).map_err(|error| ConnectionException::new(ReplyCode::SYNTAX_ERROR, error))?;
    let (class_id, method_id) = (method.class_id(), method.method_id());
    let Method::Connection(method) = method else {
        return Err(ConnectionException::new(ReplyCode::COMMAND_INVALID, "unimplemented method").into());
    };
    if matches!(method, connection::Method::Close(_)) {
        return Err(Failed::Closed);
    }
    // RabbitMQ blames nothing for a login that is refused, and connection.tune for what tune-ok gets wrong.
    let (class_id, method_id) = match method_id {
        connection::StartOk::ID => (ClassId::NONE, MethodId::NONE),
        connection::TuneOk::ID => (class_id, connection::Tune::ID),
        method_id => (class_id, method_id),
    };
    state.on_method(method, terms).map_err(|refusal| Failed::Refused(refusal, class_id, method_id))
}

async fn read<R: AsyncRead + Unpin>(input: &mut Input<R>) -> Result<(), Failed> {
    match input.read().await? {
        0 => Err(Failed::Gone),
        _ => Ok(()),
    }
}

async fn send<W: AsyncWrite + Unpin>(writer: &mut W, method: &Method<'_>) -> io::Result<()> {
    let mut octets = Vec::new();
    method.encode(ChannelId::CONNECTION, &mut octets);
    writer.write_all(&octets).await?;
    writer.flush().await
}

/// Tells the peer why there is no connection, as far as it can be told, and logs it once.
async fn tell<R, W>(failed: Failed, input: &mut Input<R>, writer: &mut W, frame_max: u32)
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    match failed {
        Failed::Io(error) => tracing::info!(%error, "connection lost during the handshake"),
        Failed::Gone => tracing::debug!("client left during the handshake"),
        Failed::Closed => {
            let closed = send(writer, &Method::from(connection::CloseOk)).await;
            tracing::debug!(?closed, "client closed during the handshake");
        }
        Failed::BadHeader => {
            if input.octets().starts_with(&TLS_RECORD) {
                tracing::warn!("the client speaks TLS: it needs an amqp:// address, or the port for TLS");
            } else {
                tracing::warn!("bad protocol header");
            }
            // §4.2.2: the server names the version that it would accept.
            refuse(&PROTOCOL_HEADER, LINGER, input, writer, frame_max).await;
        }
        Failed::Refused(Refusal::Silent, ..) => tokio::time::sleep(SILENCE).await,
        Failed::Refused(Refusal::Exception(exception), class_id, method_id) => {
            tracing::warn!(text = exception.text(), "connection refused");
            let close = Method::from(connection::Close {
                reply_code: exception.code(),
                reply_text: ShortStr::truncated(exception.text()),
                class_id,
                method_id,
            });
            let mut octets = Vec::new();
            close.encode(ChannelId::CONNECTION, &mut octets);
            refuse(&octets, CLOSE_OK_TIMEOUT, input, writer, frame_max).await;
        }
    }
}

/// Sends the last octets, then reads on until the peer closes its side, answers, or takes too long.
async fn refuse<R, W>(octets: &[u8], patience: Duration, input: &mut Input<R>, writer: &mut W, frame_max: u32)
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let told = async {
        writer.write_all(octets).await?;
        writer.flush().await?;
        if octets == PROTOCOL_HEADER {
            writer.shutdown().await?;
        }
        loop {
            if is_close_ok(input, frame_max) || input.read().await? == 0 {
                return writer.shutdown().await;
            }
        }
    };
    if let Ok(Err(error)) = timeout(patience, told).await {
        tracing::debug!(%error, "client left before it could be told");
    }
}

/// Skips what has come up to connection.close-ok.
fn is_close_ok<R: AsyncRead + Unpin>(input: &mut Input<R>, frame_max: u32) -> bool {
    loop {
        let (consumed, close_ok) = match decode(input.octets(), frame_max) {
            Ok(None) => return false,
            Ok(Some((frame, consumed))) => (consumed, is_close_ok_frame(&frame)),
            // Not frames: nothing is kept of it.
            Err(_) => (input.octets().len(), false),
        };
        input.consume(consumed);
        if close_ok {
            return true;
        }
    }
}

fn is_close_ok_frame(frame: &Frame<'_>) -> bool {
    let Frame::Method { payload, .. } = frame else { return false };
    matches!(Method::parse(payload), Ok(Method::Connection(connection::Method::CloseOk(_))))
}
