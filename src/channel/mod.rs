//! A channel (§2.2.1, §1.5): what one peer asks on it, in order, and what the broker answers.
//!
//! ```text
//!   frames -> Channel::on_method / on_header / on_body -> broker::Session
//!                |                                            |
//!                +-- answers, confirms, returns               +-- deliveries, from any task
//!                               \                            /
//!                                the connection's outbound buffer
//! ```
//!
//! Everything here runs on the connection's reader, except what [`deliveries`] shares with queues.

mod confirms;
mod consume;
mod consumer;
mod content;
mod counted;
mod deliveries;
mod departure;
mod entities;
mod held;
mod publish;
mod run;
mod settle;
mod tap;
mod tx;
mod unacked;
mod watch;

use std::fmt;
use std::sync::Arc;

use lepus_protocol::method::{access, basic, channel, confirm};
use lepus_protocol::{ChannelId, ContentHeader, Method, ReplyCode};
use tokio::sync::Notify;
use tracing::{Span, info_span};

use crate::broker::connections::ConnectionEntry;
use crate::broker::{ChannelSeat, Clearance, KnownRoute, LogPosition, Routes, Session};
use crate::clock::{Clock, Timestamp};
use crate::config::ConnectionLimits;
use crate::exception::{ChannelException, ConnectionException, Exception};
use crate::metrics::{MessageTally, SizeTally};
use crate::name::Name;
use crate::outbound::Outbound;

pub use departure::Departure;
pub use held::Holdings;

use confirms::{Confirms, Outcome};
use consume::ReplyTo;
use content::Content;
use deliveries::Deliveries;
use run::Run;
use tap::Tap;
use tx::Tx;
use watch::{ExchangeRun, Watch};

/// What the channels of a connection share.
#[derive(Debug)]
pub struct Context {
    /// What the connection may do, and where.
    pub session: Session,
    /// The connection as others see it.
    pub entry: Arc<ConnectionEntry>,
    /// Where answers and deliveries go.
    pub outbound: Arc<Outbound>,
    /// Octets of the largest frame (negotiated).
    pub frame_max: u32,
    /// The time, for deliveries that are resumed by the writer.
    pub clock: Clock,
    /// Limits.
    pub limits: Arc<ConnectionLimits>,
    /// What its channels hold that is not published.
    pub holdings: Arc<Holdings>,
    /// Whether the client understands a basic.cancel from the server (RabbitMQ: consumer_cancel_notify).
    pub notify_cancel: bool,
    /// Told when a channel is to be closed because of a delivery that was held for too long.
    pub overdue: Arc<Notify>,
}

/// A channel that is open.
pub struct Channel {
    id: ChannelId,
    context: Arc<Context>,
    content: Content,
    mode: Mode,
    deliveries: Arc<Deliveries>,
    /// Where the firehose finds the channel.
    tap: Arc<Tap>,
    /// For consumers to come (RabbitMQ: basic.qos with global=false); `None` is no limit.
    prefetch: Option<u32>,
    last_queue: Option<Name>,
    last_exchange: Option<Name>,
    /// That the user may publish to it.
    clearance: Clearance,
    reply_to: Option<ReplyTo>,
    /// Where the publish before went.
    known: KnownRoute,
    run: Run,
    /// Kept between publishes for its memory; empty otherwise.
    routes: Routes,
    /// Counted in this batch.
    tally: MessageTally,
    sizes: SizeTally,
    /// Publishes in a row to one exchange, counted in this batch.
    exchange_run: Option<ExchangeRun>,
    watch: Arc<Watch>,
    span: Span,
    /// The place among the channels of the user: free when the channel has gone.
    _seat: ChannelSeat,
}

/// What happens to a publish besides being routed.
#[derive(Debug, Default)]
enum Mode {
    #[default]
    Plain,
    /// RabbitMQ: it is confirmed.
    Confirm(Arc<Confirms>),
    /// §1.9: it waits for the commit.
    Tx(Tx),
}

impl Mode {
    /// Notes what became of the next publish, where publishers are told.
    fn confirm(&self, outcome: Outcome) {
        if let Self::Confirm(confirms) = self {
            confirms.record(outcome);
        }
    }
}

impl Channel {
    /// Opens channel `id`, which has a place among those of its user.
    pub fn new(id: ChannelId, context: Arc<Context>, seat: ChannelSeat) -> Self {
        let deliveries = Arc::new(Deliveries::new(id, &context));
        let watch = Watch::new(Arc::clone(&deliveries), context.clock.now());
        context.entry.enter_channel(id, Arc::<Watch>::clone(&watch));
        let tap = Tap::new(Arc::clone(&context.session.vhost), Arc::clone(&context.entry), id);
        Self {
            id,
            context,
            content: Content::default(),
            mode: Mode::default(),
            deliveries,
            tap,
            prefetch: None,
            last_queue: None,
            last_exchange: None,
            clearance: Clearance::default(),
            reply_to: None,
            known: KnownRoute::default(),
            run: Run::default(),
            routes: Routes::new(),
            tally: MessageTally::default(),
            sizes: SizeTally::default(),
            exchange_run: None,
            watch,
            span: info_span!("channel", %id),
            _seat: seat,
        }
    }

    /// A method other than those that open and close the channel.
    ///
    /// # Errors
    /// What closes the channel or the connection.
    pub fn on_method(&mut self, method: Method<'_>, now: Timestamp) -> Result<(), Exception> {
        self.content.check_method()?;
        if !matches!(method, Method::Basic(basic::Method::Publish(_) | basic::Method::Ack(_))) {
            self.finish_run(now);
        }
        // The busy class logs nothing: it is spared the span.
        let span = (!matches!(method, Method::Basic(_))).then(|| self.span.clone());
        let _entered = span.as_ref().map(Span::enter);
        match method {
            Method::Basic(method) => self.on_basic(method, now),
            Method::Queue(method) => self.on_queue(method, now),
            Method::Exchange(method) => self.on_exchange(method, now),
            Method::Confirm(method) => self.on_confirm(&method),
            Method::Tx(method) => self.on_tx(&method, now),
            Method::Channel(method) => self.on_channel(&method),
            Method::Access(method) => self.on_access(&method),
            Method::Connection(_) => Err(Self::unimplemented()),
        }
    }

    /// A publish of which method, header and body have come together; none may be under way.
    ///
    /// # Errors
    /// What closes the channel or the connection.
    pub fn on_publish(
        &mut self,
        publish: &basic::Publish<'_>,
        header: &ContentHeader<'_>,
        body: &[u8],
        now: Timestamp,
    ) -> Result<(), Exception> {
        self.publish_whole(publish, header, body, now)
    }

    /// A content header frame.
    ///
    /// # Errors
    /// What closes the channel or the connection.
    pub fn on_content_header(&mut self, header: &ContentHeader<'_>, now: Timestamp) -> Result<(), Exception> {
        self.on_header(header, now)
    }

    /// A content body frame.
    ///
    /// # Errors
    /// What closes the channel or the connection.
    pub fn on_content_body(&mut self, octets: &[u8], now: Timestamp) -> Result<(), Exception> {
        self.on_body(octets, now)
    }

    /// Whether a publish is under way: then errors are about it, whatever frame comes.
    pub fn awaits_content(&self) -> bool {
        self.content.is_due()
    }

    /// Why the channel is to be closed, if a delivery was held for too long (RabbitMQ's text).
    pub fn overdue(&self) -> Option<ChannelException> {
        let limit_ms = self.deliveries.overdue_ms()?;
        Some(ChannelException::precondition_failed(format_args!(
            "delivery acknowledgement on channel {} timed out. Timeout value used: {limit_ms} ms. This timeout value \
             can be configured, see consumers doc guide to learn more",
            self.id
        )))
    }

    fn on_basic(&mut self, method: basic::Method<'_>, now: Timestamp) -> Result<(), Exception> {
        match method {
            basic::Method::Publish(publish) => self.publish(&publish),
            basic::Method::Ack(ack) => self.ack(&ack, now),
            basic::Method::Nack(nack) => self.nack(&nack, now),
            basic::Method::Reject(reject) => self.reject(&reject, now),
            basic::Method::Get(get) => self.get(&get, now),
            basic::Method::Qos(qos) => self.qos(&qos),
            basic::Method::Consume(consume) => self.consume(&consume, now),
            basic::Method::Cancel(cancel) => {
                self.cancel(&cancel, now);
                Ok(())
            }
            // The client's answer to a cancel from the server; nothing is left to do.
            basic::Method::CancelOk(_) => Ok(()),
            basic::Method::RecoverAsync(recover) => self.recover(recover.requeue, None, now),
            basic::Method::Recover(recover) => self.recover(recover.requeue, Some(basic::RecoverOk), now),
            basic::Method::QosOk(_)
            | basic::Method::ConsumeOk(_)
            | basic::Method::Return(_)
            | basic::Method::Deliver(_)
            | basic::Method::GetOk(_)
            | basic::Method::GetEmpty(_)
            | basic::Method::RecoverOk(_) => Err(Self::unimplemented()),
        }
    }

    fn on_confirm(&mut self, method: &confirm::Method) -> Result<(), Exception> {
        let confirm::Method::Select(select) = method else { return Err(Self::unimplemented()) };
        match self.mode {
            Mode::Tx(_) => {
                return Err(
                    ChannelException::precondition_failed("cannot switch from tx to confirm mode").into()
                );
            }
            Mode::Plain => {
                let Context { outbound, clock, entry, .. } = &*self.context;
                let waits = Arc::clone(&entry.confirm_waits);
                let confirms = Confirms::new(self.id, Arc::clone(outbound), *clock, waits);
                self.watch.confirms(Arc::clone(&confirms));
                self.mode = Mode::Confirm(confirms);
            }
            Mode::Confirm(_) => {}
        }
        self.reply_unless(select.no_wait, confirm::SelectOk);
        Ok(())
    }

    fn on_channel(&mut self, method: &channel::Method<'_>) -> Result<(), Exception> {
        match method {
            channel::Method::Flow(flow) if flow.active => {
                self.reply(channel::FlowOk { active: true });
                Ok(())
            }
            channel::Method::Flow(_) => Err(publish::not_implemented("active=false")),
            channel::Method::FlowOk(_) => Ok(()),
            channel::Method::Open(_)
            | channel::Method::OpenOk(_)
            | channel::Method::Close(_)
            | channel::Method::CloseOk(_) => Err(Self::unimplemented()),
        }
    }

    /// Tickets of AMQP 0-8: everybody gets the same (RabbitMQ).
    fn on_access(&mut self, method: &access::Method<'_>) -> Result<(), Exception> {
        match method {
            access::Method::Request(_) => {
                self.reply(access::RequestOk { ticket: 1 });
                Ok(())
            }
            access::Method::RequestOk(_) => Err(Self::unimplemented()),
        }
    }

    /// The end of what one read brought, which is logged up to `logged`: confirms are told together, once the log is
    /// durable up to there.
    pub fn flush(&mut self, logged: Option<LogPosition>, now: Timestamp) {
        self.fold_tally(now);
        self.release_run();
        let Mode::Confirm(confirms) = &self.mode else { return };
        if !confirms.seal(logged) {
            return;
        }
        let journal = self.context.session.journal();
        match logged {
            Some(position) => journal.when_durable(position, Arc::<Confirms>::clone(confirms)),
            None => confirms.release(journal.watermark()),
        }
    }

    fn reply<'m>(&self, method: impl Into<Method<'m>>) {
        let method = method.into();
        self.context.outbound.append(|frames| method.encode(self.id, frames));
    }

    fn reply_unless<'m>(&self, no_wait: bool, method: impl Into<Method<'m>>) {
        if !no_wait {
            self.reply(method);
        }
    }

    /// A method that a client does not send (RabbitMQ's text).
    fn unimplemented() -> Exception {
        ConnectionException::new(ReplyCode::COMMAND_INVALID, "unimplemented method").into()
    }
}

impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Channel").field("id", &self.id).field("mode", &self.mode).finish_non_exhaustive()
    }
}
