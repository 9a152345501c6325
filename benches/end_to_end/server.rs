//! The broker that is measured: ours in a process of its own, or one that runs already; and what it costs.

use std::fs;
use std::io::{self, BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::thread;

use tempfile::TempDir;

/// A broker that runs.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pid: u32,
    /// Ours to end, with its directory.
    _own: Option<Own>,
}

#[derive(Debug)]
struct Own {
    child: Child,
    _directory: TempDir,
}

/// What a process has used since it started.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Usage {
    /// Nanoseconds on a CPU, in user space and in the kernel.
    pub(crate) cpu_ns: u64,
    /// Times that a thread of it left the CPU, on its own accord or not.
    pub(crate) switches: u64,
}

impl Server {
    /// Starts the broker that was built along with this program.
    pub(crate) fn start() -> io::Result<Self> {
        let directory = TempDir::new()?;
        let mut child = Command::new(env!("CARGO_BIN_EXE_lepus"))
            .args([
                "server",
                "--listen",
                "127.0.0.1:0",
                "--management-listen",
                "off",
                "--prometheus-listen",
                "off",
                "--log",
                "info,lepus::connection=error",
            ])
            // The backlog is what is measured, not the alarm that it would raise.
            .args(["--memory-limit", "8589934592"])
            .current_dir(&directory)
            .env("NO_COLOR", "1")
            .stderr(Stdio::piped())
            .spawn()?;
        let stderr = child.stderr.take().ok_or(io::ErrorKind::BrokenPipe)?;
        let pid = child.id();
        let own = Own { child, _directory: directory };
        let mut lines = BufReader::new(stderr).lines();
        let mut log = String::new();
        let address = loop {
            let Some(line) = lines.next().transpose()? else { return Err(io::Error::other(log)) };
            if let Some((_, address)) = line.split_once("address=") {
                break address.trim().parse().map_err(io::Error::other)?;
            }
            log.push_str(&line);
        };
        thread::spawn(move || lines.for_each(drop));
        Ok(Self { address, pid, _own: Some(own) })
    }

    /// A broker that runs already.
    pub(crate) fn at(address: SocketAddr, pid: u32) -> Self {
        Self { address, pid, _own: None }
    }

    /// Resident memory in octets.
    pub(crate) fn resident(&self) -> io::Result<u64> {
        Ok(status(&format!("/proc/{}/status", self.pid), "VmRSS:")? * 1024)
    }

    /// Sums over all threads: the files of the process itself speak of its first thread only.
    pub(crate) fn usage(&self) -> io::Result<Usage> {
        let mut usage = Usage::default();
        for task in fs::read_dir(format!("/proc/{}/task", self.pid))? {
            let task = task?.path();
            let task = task.display();
            let schedstat = fs::read_to_string(format!("{task}/schedstat"))?;
            usage.cpu_ns += number(schedstat.split_whitespace().next());
            for name in ["voluntary_ctxt_switches:", "nonvoluntary_ctxt_switches:"] {
                usage.switches += status(&format!("{task}/status"), name)?;
            }
        }
        Ok(usage)
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The number after `name` in a status file.
fn status(path: &str, name: &str) -> io::Result<u64> {
    let text = fs::read_to_string(path)?;
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    Ok(number(line.and_then(|line| line.split_whitespace().next())))
}

fn number(text: Option<&str>) -> u64 {
    text.and_then(|text| text.parse().ok()).unwrap_or_default()
}
