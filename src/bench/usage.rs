//! What a process has used, as the system counts it.

use std::fs;
use std::io;
use std::time::Duration;

use nix::time::clock_getcpuclockid;
use nix::unistd::Pid;

/// What a process has used since it started.
#[derive(Clone, Copy, Debug, Default)]
pub struct Usage {
    /// Nanoseconds on a CPU, in user space and in the kernel.
    pub cpu_ns: u64,
    /// Times that a thread of it left the CPU, on its own accord or not; of threads that still live.
    pub switches: u64,
    /// Octets of it that are in memory.
    pub resident: u64,
}

impl Usage {
    /// The CPU time is that of the process's own clock: it counts the threads that have ended too, which a sum over
    /// the living ones forgets. Switches are known of the living ones alone.
    ///
    /// # Errors
    /// There is no such process, or the system has no /proc.
    pub fn of(pid: u32) -> io::Result<Self> {
        let mut usage = Self {
            cpu_ns: cpu_ns(pid)?,
            resident: field(&format!("/proc/{pid}/status"), "VmRSS:")? * 1024,
            ..Self::default()
        };
        for task in fs::read_dir(format!("/proc/{pid}/task"))? {
            let status = task?.path().join("status").display().to_string();
            for name in ["voluntary_ctxt_switches:", "nonvoluntary_ctxt_switches:"] {
                // A thread may end between.
                usage.switches += field(&status, name).unwrap_or_default();
            }
        }
        Ok(usage)
    }
}

/// The clock that stands still while no thread of the process is on a CPU.
fn cpu_ns(pid: u32) -> io::Result<u64> {
    let pid = pid.try_into().map_err(|_| io::Error::from(io::ErrorKind::NotFound))?;
    let clock = clock_getcpuclockid(Pid::from_raw(pid))?;
    Ok(Duration::from(clock.now()?).as_nanos().try_into().unwrap_or(u64::MAX))
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
