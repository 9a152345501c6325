//! The `lepus` binary.
fn main() {}
