//! The write-ahead log: a ring of files of fixed length that are reused for ever.

pub(super) mod assemble;
pub(super) mod block;
pub(super) mod buffer;
mod flip;
pub(super) mod roster;
pub(super) mod scan;
pub(super) mod slot;
pub(super) mod writer;
