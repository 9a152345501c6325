//! The broker end to end, through the client library lapin. A test is named by the promise it checks; each runs
//! against a broker of its own, or all against the running one that `LEPUS_TEST_BROKER` names.
#![expect(clippy::expect_used, reason = "a test fails by panicking")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::print_stderr, reason = "a skipped test says so")]

mod broker;
mod support;

mod channel_errors;
mod confirms;
mod connection_errors;
mod connection_loss;
mod consuming;
mod content;
mod features;
mod policies;
mod prefetch;
mod queues;
mod restarts;
mod routing;
mod scale;
mod transactions;
