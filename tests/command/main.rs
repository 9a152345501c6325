//! The command line as operators meet it: the binary as a client of a broker that is a process of its own.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "in a test a panic is the report")]

#[path = "../support/mod.rs"]
#[expect(dead_code, unused_imports, clippy::print_stdout, reason = "other dialogues use the rest")]
mod support;

mod broker;

mod accounts;
mod admin;
mod ctl;
mod entities;
mod failures;
mod messages;
mod operator;
mod watching;
