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
    /// What else it listens for, by RabbitMQ's names, and where.
    listeners: Vec<(String, SocketAddr)>,
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
        let Started { child, address, listeners } = spawn(directory.path(), &settings)?;
        let pid = child.id();
        Ok(Self { address, listeners, pid, own: Some(Own { child, directory, settings }) })
    }

    /// Kills it with SIGKILL and starts it again on the same directory; the time from its start until it serves.
    pub(crate) fn restart(&mut self) -> io::Result<Duration> {
        let own = self.own.as_mut().ok_or_else(|| io::Error::other("only an own broker can be killed"))?;
        own.child.kill()?;
        own.child.wait()?;
        let started = now();
        let again = spawn(own.directory.path(), &own.settings)?;
        let took = started.elapsed();
        (own.child, self.address, self.listeners) = (again.child, again.address, again.listeners);
        self.pid = own.child.id();
        Ok(took)
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// A broker that runs already.
    pub(crate) fn at(address: SocketAddr, pid: u32) -> Self {
        Self { address, listeners: Vec::new(), pid, own: None }
    }

    /// Where it listens for this protocol, such as `http` or `http/prometheus`.
    pub(crate) fn listener(&self, protocol: &str) -> io::Result<SocketAddr> {
        let listener = self.listeners.iter().find(|(known, _)| known == protocol);
        let (_, address) =
            listener.ok_or_else(|| io::Error::other(format!("it does not listen for {protocol}")))?;
        Ok(*address)
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

/// A broker that has just begun to serve, and where it listens.
struct Started {
    child: Child,
    address: SocketAddr,
    listeners: Vec<(String, SocketAddr)>,
}

/// What a broker listens for besides AMQP, unless its settings say.
const NOWHERE: [&str; 2] = ["--management-listen", "--prometheus-listen"];

/// Starts the broker and waits until it says that it serves.
fn spawn(directory: &Path, settings: &[String]) -> io::Result<Started> {
    let unsaid = NOWHERE.into_iter().filter(|flag| !settings.iter().any(|setting| setting == flag));
    let mut child = Command::new(env!("CARGO_BIN_EXE_lepus"))
        .args(["server", "--listen", "127.0.0.1:0"])
        .args(unsaid.flat_map(|flag| [flag, "off"]))
        .args(["--log", "info,lepus::connection=error"])
        .args(settings)
        .current_dir(directory)
        .env("NO_COLOR", "1")
        .stderr(Stdio::piped())
        .spawn()?;
    let stderr = child.stderr.take().ok_or(io::ErrorKind::BrokenPipe)?;
    let mut lines = BufReader::new(stderr).lines();
    let (mut log, mut address, mut listeners) = (String::new(), None, Vec::new());
    loop {
        let Some(line) = lines.next().transpose()? else { return Err(io::Error::other(log)) };
        let word = |key| line.split_once(key).and_then(|(_, rest)| rest.split_whitespace().next());
        if let Some(found) = word("address=") {
            let found = found.parse().map_err(io::Error::other)?;
            match word("protocol=") {
                Some(protocol) => listeners.push((protocol.trim_matches('"').to_owned(), found)),
                None => address = Some(found),
            }
        }
        if let Some(address) = address.filter(|_| line.contains("Server startup complete")) {
            thread::spawn(move || lines.for_each(drop));
            return Ok(Started { child, address, listeners });
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
