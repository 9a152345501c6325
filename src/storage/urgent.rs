//! Threads that everybody waits for.

/// By how much such a thread is less nice than the rest of the process.
#[cfg(target_os = "linux")]
const STEPS: i32 = 10;

/// The least nice that a thread can be.
#[cfg(target_os = "linux")]
const LEAST: i32 = -20;

/// Has the calling thread go before the others, where the system permits it (`CAP_SYS_NICE`, or a limit on niceness).
/// It waits for the disk most of the time, and would else wait as long again for the CPU of a busy machine. How much
/// that gains depends on the machine: BENCHMARKS.md has figures.
pub fn make_urgent() {
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{getpriority_process, setpriority_process};
        // On Linux each thread has a nice value of its own. Where it may not be changed it stays as it is.
        let thread = Some(rustix::thread::gettid());
        let _ = getpriority_process(thread)
            .and_then(|nice| setpriority_process(thread, (nice - STEPS).max(LEAST)));
    }
}
