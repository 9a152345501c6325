//! JSON shapes: what the core knows, under RabbitMQ's names. Nothing outside knows how to serialize it.

pub(super) mod binding;
pub(super) mod channel;
pub(super) mod connection;
pub(super) mod consumer;
pub(super) mod exchange;
pub(super) mod node;
pub(super) mod overview;
pub(super) mod queue;
pub(super) mod stats;
pub(super) mod vhost;
pub(super) mod waiting;
