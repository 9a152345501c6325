//! Lepus, a message broker: exchanges route messages through bindings into queues; consumers hold leases on
//! deliveries and settle each one.
//!
//! The modules in reading order, from the socket to the queue and down to what all of them use.

pub mod cli;

pub mod app;
pub mod bench;
mod command;

pub mod management;
pub mod server;

pub mod connection;

pub mod channel;

pub mod broker;

pub mod exchange;
pub mod queue;

pub mod auth;
pub mod policy;
pub mod tls;

pub mod metadata;

pub mod storage;

pub mod config;
pub mod exception;
pub mod message;
pub mod metrics;
pub mod outbound;

pub mod clock;
pub mod delay;
pub mod erlang;
pub mod fingerprint;
pub mod id;
pub mod name;
pub mod pattern;
