//! The management API as its tools meet it: paths, JSON, status codes, and what bad requests get.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "in a test a panic is the report")]

#[path = "../support/mod.rs"]
#[expect(dead_code, unused_imports, clippy::print_stdout, reason = "other dialogues use the rest")]
mod support;

mod http;

mod access;
mod bad_input;
mod bindings;
mod clients;
mod connections;
mod definitions;
mod exchanges;
mod facts;
mod policies;
mod prometheus;
mod queues;
mod schemas;
mod tools;
