//! The methods that dialogues send, with their usual arguments; flags and tables are added by the caller.

use std::sync::atomic::{AtomicU32, Ordering};

use super::wire::{Content, Method, Table};

/// A name that no other test uses, also on a broker that is shared and was used before.
pub(crate) fn unique(label: &str) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    format!("{label}-{}-{count}", std::process::id())
}

pub(crate) fn declare(queue: &str) -> Method {
    Method::new("queue.declare").set("queue", queue)
}

pub(crate) fn passive(queue: &str) -> Method {
    declare(queue).flag("passive")
}

pub(crate) fn bind(queue: &str, exchange: &str, key: &str) -> Method {
    Method::new("queue.bind").set("queue", queue).set("exchange", exchange).set("routing-key", key)
}

pub(crate) fn unbind(queue: &str, exchange: &str, key: &str) -> Method {
    Method::new("queue.unbind").set("queue", queue).set("exchange", exchange).set("routing-key", key)
}

pub(crate) fn purge(queue: &str) -> Method {
    Method::new("queue.purge").set("queue", queue)
}

pub(crate) fn delete(queue: &str) -> Method {
    Method::new("queue.delete").set("queue", queue)
}

pub(crate) fn declare_exchange(exchange: &str, kind: &str) -> Method {
    Method::new("exchange.declare").set("exchange", exchange).set("type", kind)
}

pub(crate) fn delete_exchange(exchange: &str) -> Method {
    Method::new("exchange.delete").set("exchange", exchange)
}

pub(crate) fn bind_exchange(destination: &str, source: &str, key: &str) -> Method {
    Method::new("exchange.bind").set("destination", destination).set("source", source).set("routing-key", key)
}

pub(crate) fn unbind_exchange(destination: &str, source: &str, key: &str) -> Method {
    Method::new("exchange.unbind")
        .set("destination", destination)
        .set("source", source)
        .set("routing-key", key)
}

pub(crate) fn consume(queue: &str, tag: &str) -> Method {
    Method::new("basic.consume").set("queue", queue).set("consumer-tag", tag)
}

pub(crate) fn cancel(tag: &str) -> Method {
    Method::new("basic.cancel").set("consumer-tag", tag)
}

pub(crate) fn get(queue: &str) -> Method {
    Method::new("basic.get").set("queue", queue)
}

pub(crate) fn qos(prefetch: u16) -> Method {
    Method::new("basic.qos").set("prefetch-count", prefetch)
}

pub(crate) fn ack(tag: u64) -> Method {
    Method::new("basic.ack").set("delivery-tag", tag)
}

pub(crate) fn nack(tag: u64) -> Method {
    Method::new("basic.nack").set("delivery-tag", tag)
}

pub(crate) fn reject(tag: u64) -> Method {
    Method::new("basic.reject").set("delivery-tag", tag)
}

pub(crate) fn recover() -> Method {
    Method::new("basic.recover").flag("requeue")
}

pub(crate) fn confirm_select() -> Method {
    Method::new("confirm.select")
}

pub(crate) fn tx_select() -> Method {
    Method::new("tx.select")
}

pub(crate) fn commit() -> Method {
    Method::new("tx.commit")
}

pub(crate) fn rollback() -> Method {
    Method::new("tx.rollback")
}

pub(crate) fn open() -> Method {
    Method::new("channel.open")
}

pub(crate) fn close_channel() -> Method {
    Method::new("channel.close").set("reply-code", 200)
}

pub(crate) fn publish(exchange: &str, key: &str, body: &str) -> Content {
    Content {
        method: Method::new("basic.publish").set("exchange", exchange).set("routing-key", key),
        properties: Table::default(),
        body: body.into(),
    }
}
