//! What a process has used, as the system counts it.

use std::fs;
use std::io;

/// What a process has used since it started.
#[derive(Clone, Copy, Debug, Default)]
pub struct Usage {
    /// Nanoseconds on a CPU, in user space and in the kernel.
    pub cpu_ns: u64,
    /// Times that a thread of it left the CPU, on its own accord or not.
    pub switches: u64,
    /// Octets of it that are in memory.
    pub resident: u64,
}

impl Usage {
    /// Sums over all threads: the files of the process itself speak of its first thread only.
    ///
    /// # Errors
    /// There is no such process, or the system has no /proc.
    pub fn of(pid: u32) -> io::Result<Self> {
        let mut usage =
            Self { resident: field(&format!("/proc/{pid}/status"), "VmRSS:")? * 1024, ..Self::default() };
        for task in fs::read_dir(format!("/proc/{pid}/task"))? {
            let task = task?.path();
            // A thread may end between.
            let Ok(schedstat) = fs::read_to_string(task.join("schedstat")) else { continue };
            usage.cpu_ns += number(schedstat.split_whitespace().next());
            let status = task.join("status").display().to_string();
            for name in ["voluntary_ctxt_switches:", "nonvoluntary_ctxt_switches:"] {
                usage.switches += field(&status, name).unwrap_or_default();
            }
        }
        Ok(usage)
    }
}

/// A field of a file of /proc.
pub fn field(path: &str, name: &str) -> io::Result<u64> {
    let text = fs::read_to_string(path)?;
    Ok(number(
        text.lines().find_map(|line| line.strip_prefix(name)).and_then(|rest| rest.split_whitespace().next()),
    ))
}

fn number(text: Option<&str>) -> u64 {
    text.and_then(|text| text.parse().ok()).unwrap_or_default()
}
