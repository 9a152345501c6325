//! The life of an open connection: read, carry out, wait.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use lepus_protocol::method::connection;
use lepus_protocol::{ChannelId, Frame, Method, ReplyCode, ShortStr, decode};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Sleep, sleep_until, timeout};
use tracing::Instrument;

use super::input::Input;
use super::{CLOSE_OK_TIMEOUT, Connection, Failure, Outcome, renewal, writer};
use crate::broker::alarm::Raised;
use crate::clock::{Clock, Timestamp};
use crate::exception::ConnectionException;
use crate::outbound::Outbound;

/// How long a client may leave its answers unread while it goes on asking.
const ANSWERS_UNREAD_MAX: Duration = Duration::from_secs(60);

/// How long the last frames may take to reach the client, and the client to close its side.
const LINGER_MAX: Duration = Duration::from_secs(5);

/// How long a publisher waits before it asks again whether the log has room: some commits long.
const LOG_PAUSE: Duration = Duration::from_millis(2);

/// What happened while the connection waited.
enum Event {
    /// There is something to carry out.
    Octets,
    /// The peer closed the socket, or it broke.
    Gone(Option<io::Error>),
    /// Nothing was heard for longer than the heartbeat allows.
    Silent,
    /// Answers are not read.
    Unread,
    /// A delivery was held for too long.
    Overdue,
    /// The broker stops.
    Stopping,
    /// An operator closes the connection, and says why.
    Unwanted(String),
}

/// When something was last heard of the peer (§4.2.7).
struct Liveness {
    clock: Clock,
    /// Silence that is tolerated; `None` without heartbeats.
    patience: Option<Duration>,
    heard: Timestamp,
    check: Pin<Box<Sleep>>,
}

/// Where the connection's tasks meet: the input, the writer, and what else may happen.
struct Line<R> {
    input: Input<R>,
    outbound: Arc<Outbound>,
    writer: Writer,
    alarms: watch::Receiver<Raised>,
    liveness: Liveness,
    frame_max: u32,
    /// There are whole frames left in the input, because the answers to those before are not read, or the first of them
    /// asks for a message that is.
    is_paused: bool,
    /// The client has answered our close: it sends nothing more.
    answered: bool,
    /// connection.blocked has been sent, or would have been.
    blocked: bool,
}

/// The writer's task. It ends with the connection, however that ends.
struct Writer {
    task: JoinHandle<io::Result<()>>,
    ended: bool,
}

impl Writer {
    /// Waits for the end; may be asked again afterwards.
    async fn ended(&mut self) {
        if !self.ended {
            let _written = (&mut self.task).await;
            self.ended = true;
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Connection {
    /// Runs until either side ends the connection.
    pub(super) async fn run<R, W>(mut self, input: Input<R>, socket: W)
    where
        R: AsyncRead + Unpin + Send,
        W: AsyncWrite + Unpin + Send + 'static,
    {
        let heartbeat = u64::from(self.tuning.heartbeat);
        // RabbitMQ sends at twice the rate, so that one late frame does not end the connection.
        let send_every = (heartbeat > 0).then(|| Duration::from_millis(heartbeat * 500));
        let outbound = Arc::clone(&self.outbound);
        let task = tokio::spawn(writer::run(socket, outbound, send_every).in_current_span());
        let writer = Writer { task, ended: false };
        let mut line = Line {
            input,
            outbound: Arc::clone(&self.outbound),
            writer,
            alarms: self.settings.broker.alarms.subscribe(),
            liveness: Liveness::new(self.context.clock, heartbeat),
            frame_max: self.tuning.frame_max,
            is_paused: false,
            answered: false,
            blocked: false,
        };
        self.serve(&mut line).await;
        self.tear_down();
        self.outbound.close_after_flush();
        line.linger().await;
        tracing::info!("connection closed");
    }

    async fn serve<R: AsyncRead + Unpin>(&mut self, line: &mut Line<R>) {
        loop {
            let outcome = self.carry_out(line);
            self.let_answers_go().await;
            match outcome {
                Ok(Outcome::Continue | Outcome::Paused | Outcome::Again) => {}
                Ok(Outcome::ClosedByClient) => {
                    // RabbitMQ: exclusive queues are gone before the client hears that it is closed.
                    self.tear_down();
                    self.send(connection::CloseOk);
                    return;
                }
                Err(failure) => {
                    tracing::warn!(text = failure.exception.text(), "connection exception");
                    return self.close(line, &failure, CLOSE_OK_TIMEOUT).await;
                }
            }
            match self.wait(line).await {
                Event::Octets => {}
                Event::Overdue => self.close_overdue_channels(),
                Event::Gone(None) => {
                    return tracing::warn!("client closed the socket without closing the connection");
                }
                Event::Gone(Some(error)) => return tracing::warn!(%error, "connection lost"),
                Event::Silent => return tracing::warn!("missed heartbeats from the client"),
                Event::Unread => return tracing::warn!("client does not read its answers"),
                Event::Stopping => {
                    let text = "broker forced connection closure with reason 'shutdown'";
                    let exception = ConnectionException::new(ReplyCode::CONNECTION_FORCED, text);
                    return self.close(line, &exception.into(), CLOSE_OK_TIMEOUT).await;
                }
                Event::Unwanted(reason) => {
                    tracing::info!(reason, "closed by an operator");
                    let exception = ConnectionException::new(ReplyCode::CONNECTION_FORCED, reason);
                    return self.close(line, &exception.into(), CLOSE_OK_TIMEOUT).await;
                }
            }
        }
    }

    fn carry_out<R: AsyncRead + Unpin>(&mut self, line: &mut Line<R>) -> Result<Outcome, Failure> {
        let mut consumed = 0;
        let journal = Arc::clone(self.context.session.journal());
        let now = self.now();
        self.context.session.user.look(now);
        let work = || self.on_octets(line.input.octets(), &mut consumed, now);
        let (outcome, logged) = journal.batch(work);
        line.input.consume(consumed);
        line.is_paused = matches!(outcome, Ok(Outcome::Paused | Outcome::Again));
        self.flush(logged, now);
        outcome
    }

    fn close_overdue_channels(&mut self) {
        let journal = Arc::clone(self.context.session.journal());
        let now = self.now();
        let ((), logged) = journal.batch(|| self.close_overdue(now));
        self.flush(logged, now);
    }

    /// Answers that were held back go out once what they say is on disk.
    async fn let_answers_go(&self) {
        self.context.session.durable().await;
        self.outbound.release();
    }

    /// Waits for the next thing to happen.
    async fn wait<R: AsyncRead + Unpin>(&mut self, line: &mut Line<R>) -> Event {
        if let Some(event) = self.wait_for_room(line).await {
            return event;
        }
        if line.is_paused
            && let Some(event) = self.wait_for_head(line).await
        {
            return event;
        }
        if let Some(event) = self.unheeded_end() {
            return event;
        }
        loop {
            // First, and while it waits for the log too: a publisher is never held back for long without a word.
            self.follow_alarm(line);
            let is_held = !line.blocked && self.publishes && self.context.session.is_congested();
            let is_idle = line.blocked || is_held;
            if line.is_paused && !is_idle {
                return Event::Octets;
            }
            tokio::select! {
                biased;
                read = line.input.read(), if !is_idle => {
                    self.context.entry.on_read(*read.as_ref().unwrap_or(&0));
                    return line.liveness.on_read(read);
                }
                () = line.writer.ended() => return Event::Gone(None),
                () = self.settings.stopping.cancelled() => return Event::Stopping,
                reason = self.context.entry.closing() => return Event::Unwanted(reason.to_owned()),
                () = self.context.overdue.notified() => return Event::Overdue,
                _changed = line.alarms.changed() => {}
                () = tokio::time::sleep(LOG_PAUSE), if is_held => {}
                () = &mut line.liveness.check, if line.liveness.patience.is_some() => {
                    if is_idle {
                        // What is not read cannot be heard (RabbitMQ pauses here too).
                        line.liveness.heard_now();
                    }
                    if line.liveness.is_silent() {
                        return Event::Silent;
                    }
                }
            }
        }
    }

    /// The end that the broker or an operator wants by now. Asked before each read: who sends without a pause would
    /// never let it be heard.
    fn unheeded_end(&self) -> Option<Event> {
        if self.settings.stopping.is_cancelled() {
            return Some(Event::Stopping);
        }
        self.context.entry.unwanted().map(|reason| Event::Unwanted(reason.to_owned()))
    }

    /// Waits until the peer has taken enough of what it is sent. Octets that reach it count as a sign of life.
    async fn wait_for_room<R>(&self, line: &mut Line<R>) -> Option<Event> {
        while !self.outbound.has_room() {
            tokio::select! {
                progress = timeout(ANSWERS_UNREAD_MAX, self.outbound.progress()) => match progress {
                    Ok(()) => line.liveness.heard_now(),
                    Err(_) => return Some(Event::Unread),
                },
                () = line.writer.ended() => return Some(Event::Gone(None)),
                () = self.settings.stopping.cancelled() => return Some(Event::Stopping),
                reason = self.context.entry.closing() => return Some(Event::Unwanted(reason.to_owned())),
            }
        }
        None
    }

    /// Waits until a message is read that the next frame asks for, or a token checked that it brings.
    async fn wait_for_head<R>(&mut self, line: &mut Line<R>) -> Option<Event> {
        let Self { context, settings, renewal, .. } = self;
        tokio::select! {
            () = renewal::ended(renewal, &context.session) => None,
            () = line.writer.ended() => Some(Event::Gone(None)),
            () = settings.stopping.cancelled() => Some(Event::Stopping),
            reason = context.entry.closing() => Some(Event::Unwanted(reason.to_owned())),
        }
    }

    /// RabbitMQ: while an alarm is raised, connections that publish are not read, and told so.
    fn follow_alarm<R>(&self, line: &mut Line<R>) {
        let raised = *line.alarms.borrow_and_update();
        let blocked = self.publishes && raised.any();
        if blocked == line.blocked {
            return;
        }
        line.blocked = blocked;
        self.context.entry.set_blocked(blocked);
        tracing::info!(blocked, "publisher blocked by an alarm");
        if blocked {
            self.notify(connection::Blocked { reason: ShortStr::truncated(raised.reason()) });
        } else {
            line.liveness.heard_now();
            self.notify(connection::Unblocked);
        }
    }

    fn notify<'m>(&self, method: impl Into<Method<'m>>) {
        if self.notify_blocked {
            self.send(method);
            self.outbound.wake();
        }
    }

    /// Closes from this side: everything is given up, then close is sent, then close-ok awaited.
    async fn close<R: AsyncRead + Unpin>(
        &mut self,
        line: &mut Line<R>,
        failure: &Failure,
        patience: Duration,
    ) {
        self.tear_down();
        self.send_close(failure);
        let heard = timeout(patience, line.close_ok()).await;
        line.answered = matches!(heard, Ok(true));
        if !line.answered {
            tracing::debug!("client did not answer connection.close");
        }
    }
}

impl<R: AsyncRead + Unpin> Line<R> {
    /// Reads until connection.close-ok; everything else is ignored (§1.4.2.9). `false`: the peer is gone.
    async fn close_ok(&mut self) -> bool {
        loop {
            loop {
                let (consumed, end) = match decode(self.input.octets(), self.frame_max) {
                    Ok(Some((frame, consumed))) => (consumed, self.answer(&frame)),
                    Ok(None) => break,
                    // What came before was no frame either: nothing can be made of the rest.
                    Err(_) => (self.input.octets().len(), false),
                };
                self.input.consume(consumed);
                if end {
                    return true;
                }
            }
            tokio::select! {
                read = self.input.read() => if !matches!(read, Ok(1..)) { return false },
                () = self.writer.ended() => return false,
            }
        }
    }

    /// Lets the last frames go out, then reads what still comes and forgets it: a socket that is closed with unread
    /// octets is reset, and the client would lose the last frames.
    async fn linger(&mut self) {
        let Self { input, writer, answered, .. } = self;
        let discard = async {
            while !*answered && let Ok(1..) = input.read().await {
                let rest = input.octets().len();
                input.consume(rest);
            }
        };
        let lingered = timeout(LINGER_MAX, async { tokio::join!(writer.ended(), discard) }).await;
        if lingered.is_err() {
            tracing::debug!("client did not close its side of the socket");
        }
    }

    /// Whether the frame ends the connection. A close that crossed ours is answered.
    fn answer(&self, frame: &Frame<'_>) -> bool {
        let Frame::Method { channel: ChannelId::CONNECTION, payload } = frame else { return false };
        match Method::parse(payload) {
            Ok(Method::Connection(connection::Method::CloseOk(_))) => true,
            Ok(Method::Connection(connection::Method::Close(_))) => {
                self.outbound
                    .send(|frames| Method::from(connection::CloseOk).encode(ChannelId::CONNECTION, frames));
                true
            }
            _ => false,
        }
    }
}

impl Liveness {
    /// `heartbeat` in seconds; 0 is none.
    fn new(clock: Clock, heartbeat: u64) -> Self {
        // §4.2.7 wants two intervals; half a one more, for a frame that is on its way.
        let patience = (heartbeat > 0).then(|| Duration::from_millis(heartbeat * 2_500));
        let heard = clock.now();
        let check = Box::pin(sleep_until(clock.instant_of(heard) + patience.unwrap_or_default()));
        Self { clock, patience, heard, check }
    }

    fn on_read(&mut self, read: io::Result<usize>) -> Event {
        match read {
            Ok(0) => Event::Gone(None),
            Ok(_) => {
                self.heard_now();
                Event::Octets
            }
            Err(error) => Event::Gone(Some(error)),
        }
    }

    fn heard_now(&mut self) {
        self.heard = self.clock.now();
    }

    /// Called when `check` fires, which is not moved by each read: it sets itself to the new time.
    fn is_silent(&mut self) -> bool {
        let Some(patience) = self.patience else { return false };
        let silence = Duration::from_millis(self.clock.now().millis_since(self.heard));
        if silence >= patience {
            return true;
        }
        self.check.as_mut().reset(self.clock.instant_of(self.heard) + patience);
        false
    }
}
