//! What the benches that drive the binary share: the broker in a process of its own, a client that costs little, and
//! how figures are taken and printed.

pub(crate) mod drive;
pub(crate) mod report;
pub(crate) mod server;
