//! The broker that is measured: ours in a process of its own, or one that runs already; and what it costs.

use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use lepus::bench::{Usage, field};
use tempfile::TempDir;

use super::drive::now;

/// Octets of a block as the system counts them.
const BLOCK: u64 = 512;

/// Octets of a page of memory.
const PAGE: usize = 4096;

/// How often the bare disk is measured.
const BARE_SYNCS: usize = 200;

/// A broker that runs.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pid: u32,
    /// Ours to end, with its directory.
    own: Option<Own>,
}

#[derive(Debug)]
struct Own {
    child: Child,
    directory: TempDir,
    settings: Vec<String>,
}

impl Server {
    /// Starts the broker that was built along with this program, with `settings` as its flags.
    pub(crate) fn start(settings: &[&str]) -> io::Result<Self> {
        let directory = TempDir::new()?;
        let settings: Vec<_> = settings.iter().map(|&flag| flag.to_owned()).collect();
        let (child, address) = spawn(directory.path(), &settings)?;
        let pid = child.id();
        Ok(Self { address, pid, own: Some(Own { child, directory, settings }) })
    }

    /// Kills it with SIGKILL and starts it again on the same directory; the time from its start until it serves.
    pub(crate) fn restart(&mut self) -> io::Result<Duration> {
        let own = self.own.as_mut().ok_or_else(|| io::Error::other("only an own broker can be killed"))?;
        own.child.kill()?;
        own.child.wait()?;
        let started = now();
        (own.child, self.address) = spawn(own.directory.path(), &own.settings)?;
        self.pid = own.child.id();
        Ok(started.elapsed())
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// A broker that runs already.
    pub(crate) fn at(address: SocketAddr, pid: u32) -> Self {
        Self { address, pid, own: None }
    }

    /// Resident memory in octets.
    pub(crate) fn resident(&self) -> io::Result<u64> {
        Ok(field(&format!("/proc/{}/status", self.pid), "VmRSS:")? * 1024)
    }

    /// The most resident memory since its start, in octets.
    pub(crate) fn resident_max(&self) -> io::Result<u64> {
        Ok(field(&format!("/proc/{}/status", self.pid), "VmHWM:")? * 1024)
    }

    /// Octets that it has written to files since its start. Sockets do not count: they are sent to. (`write_bytes`
    /// would count whole folios of the page cache, of which a small write that is synced writes a page.)
    pub(crate) fn written(&self) -> io::Result<u64> {
        field(&format!("/proc/{}/io", self.pid), "wchar:")
    }

    /// Octets that its directory takes on disk.
    pub(crate) fn disk(&self) -> io::Result<u64> {
        self.own.as_ref().map_or(Ok(0), |own| disk_usage(own.directory.path()))
    }

    /// What the disk takes for one write of a page with its sync, in ns, again and again: as it is just now, and
    /// without any broker.
    pub(crate) fn bare_syncs(&self) -> io::Result<Vec<u64>> {
        let Some(own) = &self.own else { return Ok(Vec::new()) };
        let mut file = tempfile::tempfile_in(own.directory.path())?;
        file.write_all(&[0; PAGE])?;
        file.sync_all()?;
        let sync = |number: usize| {
            let started = now();
            file.write_all_at(&[number.to_le_bytes()[0]; PAGE], 0)?;
            file.sync_data()?;
            Ok(u64::try_from(started.elapsed().as_nanos()).unwrap_or(u64::MAX))
        };
        (0..BARE_SYNCS).map(sync).collect()
    }

    /// What it has used.
    pub(crate) fn usage(&self) -> io::Result<Usage> {
        Usage::of(self.pid)
    }
}

/// Starts the broker and waits until it says that it serves; where it listens.
fn spawn(directory: &Path, settings: &[String]) -> io::Result<(Child, SocketAddr)> {
    let mut child = Command::new(env!("CARGO_BIN_EXE_lepus"))
        .args([
            "server",
            "--listen",
            "127.0.0.1:0",
            "--management-listen",
            "off",
            "--prometheus-listen",
            "off",
        ])
        .args(["--log", "info,lepus::connection=error"])
        .args(settings)
        .current_dir(directory)
        .env("NO_COLOR", "1")
        .stderr(Stdio::piped())
        .spawn()?;
    let stderr = child.stderr.take().ok_or(io::ErrorKind::BrokenPipe)?;
    let mut lines = BufReader::new(stderr).lines();
    let (mut log, mut address) = (String::new(), None);
    loop {
        let Some(line) = lines.next().transpose()? else { return Err(io::Error::other(log)) };
        if let Some((_, found)) = line.split_once("address=") {
            address = Some(found.trim().parse().map_err(io::Error::other)?);
        }
        if let Some(address) = address.filter(|_| line.contains("Server startup complete")) {
            thread::spawn(move || lines.for_each(drop));
            return Ok((child, address));
        }
        log.push_str(&line);
    }
}

/// Octets of the blocks of all files below.
fn disk_usage(directory: &Path) -> io::Result<u64> {
    let mut octets = 0;
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        octets += match entry.metadata() {
            // The broker removes files meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
            metadata => match metadata? {
                folder if folder.is_dir() => disk_usage(&entry.path())?,
                file => file.blocks() * BLOCK,
            },
        };
    }
    Ok(octets)
}

impl Drop for Own {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
