//! What is there after a restart. The broker is the real binary, and it ends by SIGKILL: whatever it had answered must
//! hold.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "in a test a panic is the report, and a skipped one says so"
)]
#![allow(dead_code, unused_imports, reason = "the support code serves several suites")]

#[path = "../support/mod.rs"]
mod support;

mod accounts;
mod arguments;
mod at_least_once;
mod binary;
mod damage;
mod definitions;
mod delays;
mod delivery_counts;
mod duplicates;
mod durability;
mod faulty;
mod first_start;
mod full_disk;
mod kill_loads;
mod kill_ring;
mod kills;
mod messages;
mod order;
mod reading;
mod release_content;
mod releases;
mod rights;
