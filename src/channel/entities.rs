//! Exchanges, queues and bindings by method (§1.6, §1.7).

use lepus_protocol::method::{exchange, queue};
use lepus_protocol::{Method, ShortStr, ShortString};

use super::Channel;
use crate::broker::{Bind, BindTo, DeleteOnly, ExchangeDeclaration, QueueDeclaration};
use crate::clock::Timestamp;
use crate::exception::{ChannelException, Exception};
use crate::name::{Name, REPLY_TO};
use crate::queue::Counts;

impl Channel {
    /// Class exchange.
    pub(super) fn on_exchange(
        &mut self,
        method: exchange::Method<'_>,
        now: Timestamp,
    ) -> Result<(), Exception> {
        match method {
            exchange::Method::Declare(declare) => self.declare_exchange(declare),
            exchange::Method::Delete(delete) => self.delete_exchange(&delete),
            exchange::Method::Bind(bind) => self.bind_exchange(bind, now),
            exchange::Method::Unbind(unbind) => self.unbind_exchange(unbind),
            exchange::Method::DeclareOk(_)
            | exchange::Method::DeleteOk(_)
            | exchange::Method::BindOk(_)
            | exchange::Method::UnbindOk(_) => Err(Self::unimplemented()),
        }
    }

    fn declare_exchange(&self, declare: exchange::Declare<'_>) -> Result<(), Exception> {
        let name = self.exchange_name(declare.exchange)?;
        if declare.passive {
            self.context.session.find_exchange(&name)?;
        } else {
            self.context.session.declare_exchange(ExchangeDeclaration {
                name,
                kind: declare.kind.to_string(),
                durable: declare.durable,
                auto_delete: declare.auto_delete,
                internal: declare.internal,
                arguments: declare.arguments,
            })?;
        }
        self.answer_unless(declare.no_wait, exchange::DeclareOk);
        Ok(())
    }

    fn delete_exchange(&self, delete: &exchange::Delete<'_>) -> Result<(), Exception> {
        let name = self.exchange_name(delete.exchange)?;
        self.context.session.delete_exchange(&name, delete.if_unused)?;
        self.answer_unless(delete.no_wait, exchange::DeleteOk);
        Ok(())
    }

    fn bind_exchange(&self, bind: exchange::Bind<'_>, now: Timestamp) -> Result<(), Exception> {
        let binding = Bind {
            source: self.exchange_name(bind.source)?,
            destination: BindTo::Exchange(self.exchange_name(bind.destination)?),
            key: bind.routing_key.as_bytes().into(),
            arguments: bind.arguments,
        };
        self.context.session.bind(binding, now)?;
        self.answer_unless(bind.no_wait, exchange::BindOk);
        Ok(())
    }

    fn unbind_exchange(&self, unbind: exchange::Unbind<'_>) -> Result<(), Exception> {
        self.context.session.unbind(Bind {
            source: self.exchange_name(unbind.source)?,
            destination: BindTo::Exchange(self.exchange_name(unbind.destination)?),
            key: unbind.routing_key.as_bytes().into(),
            arguments: unbind.arguments,
        })?;
        self.answer_unless(unbind.no_wait, exchange::UnbindOk);
        Ok(())
    }

    /// Class queue.
    pub(super) fn on_queue(&mut self, method: queue::Method<'_>, now: Timestamp) -> Result<(), Exception> {
        match method {
            queue::Method::Declare(declare) => self.declare_queue(declare, now),
            queue::Method::Bind(bind) => self.bind_queue(bind, now),
            queue::Method::Unbind(unbind) => self.unbind_queue(unbind),
            queue::Method::Purge(purge) => self.purge_queue(&purge, now),
            queue::Method::Delete(delete) => self.delete_queue(&delete, now),
            queue::Method::DeclareOk(_)
            | queue::Method::BindOk(_)
            | queue::Method::UnbindOk(_)
            | queue::Method::PurgeOk(_)
            | queue::Method::DeleteOk(_) => Err(Self::unimplemented()),
        }
    }

    fn declare_queue(&mut self, declare: queue::Declare<'_>, now: Timestamp) -> Result<(), Exception> {
        let asked = name(declare.queue, "queue")?;
        let (name, counts) = if declare.passive || asked.as_str().starts_with(REPLY_TO) {
            let counts = self.context.session.find_queue(&asked, now)?;
            (asked, counts)
        } else {
            let declaration = QueueDeclaration {
                name: asked,
                durable: declare.durable,
                exclusive: declare.exclusive,
                auto_delete: declare.auto_delete,
                arguments: declare.arguments,
            };
            self.context.session.declare_queue(declaration, now)?
        };
        self.last_queue = Some(name.clone());
        self.answer_unless(declare.no_wait, declare_ok(&name, counts));
        Ok(())
    }

    fn bind_queue(&self, bind: queue::Bind<'_>, now: Timestamp) -> Result<(), Exception> {
        let queue = self.queue_name(bind.queue)?;
        let binding = Bind {
            source: self.exchange_name(bind.exchange)?,
            key: binding_key(bind.queue, bind.routing_key, &queue).as_bytes().into(),
            destination: BindTo::Queue(queue),
            arguments: bind.arguments,
        };
        self.context.session.bind(binding, now)?;
        self.answer_unless(bind.no_wait, queue::BindOk);
        Ok(())
    }

    fn unbind_queue(&self, unbind: queue::Unbind<'_>) -> Result<(), Exception> {
        let queue = self.queue_name(unbind.queue)?;
        self.context.session.unbind(Bind {
            source: self.exchange_name(unbind.exchange)?,
            key: binding_key(unbind.queue, unbind.routing_key, &queue).as_bytes().into(),
            destination: BindTo::Queue(queue),
            arguments: unbind.arguments,
        })?;
        self.answer_unless(false, queue::UnbindOk);
        Ok(())
    }

    fn purge_queue(&self, purge: &queue::Purge<'_>, now: Timestamp) -> Result<(), Exception> {
        let name = self.queue_name(purge.queue)?;
        let count = self.context.session.purge_queue(&name, now)?;
        let message_count = u32::try_from(count).unwrap_or(u32::MAX);
        self.answer_unless(purge.no_wait, queue::PurgeOk { message_count });
        Ok(())
    }

    fn delete_queue(&self, delete: &queue::Delete<'_>, now: Timestamp) -> Result<(), Exception> {
        let name = self.queue_name(delete.queue)?;
        let only = DeleteOnly { if_unused: delete.if_unused, if_empty: delete.if_empty };
        let deleted = self.context.session.delete_queue(&name, only, now)?;
        let count = deleted.as_ref().map_or(0, |deleted| deleted.ready);
        let message_count = u32::try_from(count).unwrap_or(u32::MAX);
        self.answer_unless(delete.no_wait, queue::DeleteOk { message_count });
        // Clients expect the answer before they hear that their consumers are gone.
        drop(deleted);
        Ok(())
    }

    /// Answers a change of the topology. The answer waits in the buffer until the change is on disk.
    fn answer_unless<'m>(&self, no_wait: bool, method: impl Into<Method<'m>>) {
        if self.context.session.must_wait() {
            self.context.outbound.hold();
        }
        self.reply_unless(no_wait, method);
    }

    /// The queue that a method names; empty is the last one declared on the channel (§1.7.2.3).
    pub(super) fn queue_name(&self, raw: ShortStr<'_>) -> Result<Name, Exception> {
        if raw.is_empty() {
            let last = self.last_queue.clone();
            return last.ok_or_else(|| ChannelException::not_found("no previously declared queue").into());
        }
        name(raw, "queue")
    }

    /// The exchange that a method names.
    pub(super) fn exchange_name(&self, raw: ShortStr<'_>) -> Result<Name, Exception> {
        name(raw, "exchange")
    }
}

/// Names are text here: they are listed, logged and shown.
fn name(raw: ShortStr<'_>, what: &str) -> Result<Name, Exception> {
    Name::from_wire(raw).ok_or_else(|| {
        ChannelException::precondition_failed(format_args!("{what} name '{raw}' is not valid UTF-8")).into()
    })
}

/// §1.7.2.3: with neither a queue nor a key given, the key is the last queue's name.
fn binding_key(queue: ShortStr<'_>, key: ShortStr<'_>, last_queue: &Name) -> ShortString {
    if queue.is_empty() && key.is_empty() { last_queue.as_short_str().to_owned() } else { key.to_owned() }
}

fn declare_ok(name: &Name, counts: Counts) -> queue::DeclareOk<'_> {
    queue::DeclareOk {
        queue: name.as_short_str(),
        message_count: u32::try_from(counts.ready).unwrap_or(u32::MAX),
        consumer_count: u32::try_from(counts.consumers).unwrap_or(u32::MAX),
    }
}
