//! Dialogues: what goes over the wire, promise by promise. A test is named by its promise.
//!
//! They run against the broker in this process. With `LEPUS_TEST_BROKER=host:port` they run against a broker that is
//! already there, to check the dialogues themselves; those that need a configuration of their own are skipped then.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "in a test a panic is the report, and a skipped one says so"
)]

#[path = "../support/mod.rs"]
mod support;

mod ack;
mod alarms;
mod arguments;
mod at_least_once;
mod bad_arguments;
mod bindings;
mod consume;
mod dead_letters;
mod delays;
mod delivery_counts;
mod errors;
mod exchange_types;
mod exchanges;
mod firehose;
mod frames;
mod frameworks;
mod get;
mod handshake;
mod leases;
mod limits;
mod living;
mod misuse;
mod observed;
mod pausing;
mod permissions;
mod policies;
mod publish;
mod queues;
mod reply_to;
mod retries;
mod single_active;
mod tx;
