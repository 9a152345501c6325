//! AMQP over TLS, as clients meet it: certificates of both sides, refusals, exchange of certificates while connections
//! stay; and what else comes before AMQP: proxies and Unix sockets.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "in a test a panic is the report"
)]

mod authority;
mod broker;
mod certificates;
mod clients;
mod https;
mod refusals;
#[path = "../support/mod.rs"]
#[expect(dead_code, unused_imports, clippy::print_stdout, reason = "other dialogues use the rest")]
mod support;
mod transports;
