//! Tokens (OAuth 2) in the place of passwords: which are good, what they permit, how they are renewed, and where the
//! keys come from that check them.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "in a test a panic is the report"
)]

mod api;
#[path = "../tls/authority.rs"]
#[expect(dead_code, reason = "tests of TLS use the rest")]
mod authority;
mod connections;
#[path = "../management/http.rs"]
#[expect(dead_code, reason = "tests of the management API use the rest")]
mod http;
mod keys;
mod server;
mod signer;
#[path = "../support/mod.rs"]
#[expect(dead_code, unused_imports, clippy::print_stdout, reason = "other dialogues use the rest")]
mod support;
mod tokens;
