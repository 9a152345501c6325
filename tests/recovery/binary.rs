//! The binary on a data directory, which outlives it.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;

use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::Peer;

/// Where the binary is.
pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_lepus");

/// A broker process; killed when dropped.
pub(crate) struct Binary {
    child: Child,
    address: SocketAddr,
    /// Where it serves the management API, if it does.
    management: Option<SocketAddr>,
    /// What it logged before it served.
    pub(crate) greeting: Vec<String>,
    /// Reads the log, so that the broker never waits for it.
    log: Option<JoinHandle<Vec<String>>>,
}

impl Binary {
    /// Starts the broker on `dir` and waits until it serves.
    pub(crate) fn start(dir: &TempDir) -> Self {
        Self::start_on(dir, |_| ())
    }

    /// As [`Self::start`], with more arguments.
    pub(crate) fn start_with(dir: &TempDir, arguments: &[&str]) -> Self {
        Self::start_on(dir, |command| {
            command.args(arguments);
        })
    }

    /// As [`Self::start`], with more on the command line or in the environment.
    pub(crate) fn start_on(dir: &TempDir, more: impl FnOnce(&mut Command)) -> Self {
        Self::started(spawn(Command::new(BINARY), dir.path(), more))
    }

    /// With the management API, by a command that takes the binary's arguments.
    pub(crate) fn start_by(command: Command, dir: &Path) -> Self {
        Self::started(spawn(command, dir, |command| {
            command.env("LEPUS_MANAGEMENT_LISTEN", "127.0.0.1:0");
        }))
    }

    fn started(mut child: Child) -> Self {
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
        let (mut address, mut management, mut greeting) = (None, None, Vec::new());
        loop {
            let line =
                lines.next().unwrap_or_else(|| panic!("the broker ends before it serves: {greeting:#?}"));
            if let Some((what, rest)) = line.split_once("address=") {
                let listening = rest.split_whitespace().next().unwrap().parse().ok();
                *(if what.contains("for HTTP") { &mut management } else { &mut address }) = listening;
            }
            greeting.push(line);
            if greeting.last().is_some_and(|line| line.contains("Server startup complete")) {
                break;
            }
        }
        let log = Some(std::thread::spawn(move || lines.collect()));
        Self { child, address: address.unwrap(), management, greeting, log }
    }

    /// What a broker says that gives up on `dir`.
    pub(crate) fn refused(dir: &TempDir) -> Vec<String> {
        Self::refused_on(dir, |_| ())
    }

    /// As [`Self::refused`], with more on the command line or in the environment.
    pub(crate) fn refused_on(dir: &TempDir, more: impl FnOnce(&mut Command)) -> Vec<String> {
        let mut child = spawn(Command::new(BINARY), dir.path(), more);
        let lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
        let started = |line: &String| assert!(!line.contains("Server startup complete"), "it has started");
        let lines: Vec<String> = lines.inspect(started).filter(|line| line.starts_with("lepus: ")).collect();
        assert_eq!(child.wait().unwrap().code(), Some(1));
        lines
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// A connection with channel 1 open.
    pub(crate) async fn channel(&self) -> Peer {
        let mut peer = Peer::dial(self.address).await;
        peer.handshake().await;
        peer.open(1).await;
        peer
    }

    /// Waits until it ends by itself, in failure; returns what it logged.
    pub(crate) fn failed(mut self) -> Vec<String> {
        assert!(!self.child.wait().unwrap().success());
        self.log.take().unwrap().join().unwrap()
    }

    /// What `/api/nodes` says; it must have been started with the management API.
    pub(crate) async fn nodes(&self) -> String {
        let mut socket = TcpStream::connect(self.management.unwrap()).await.unwrap();
        let request = "GET /api/nodes HTTP/1.1\r\nHost: broker\r\nConnection: close\r\n\
            Authorization: Basic Z3Vlc3Q6Z3Vlc3Q=\r\n\r\n";
        socket.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).await.unwrap();
        answer
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// SIGTERM, and the end that follows.
    pub(crate) fn terminate(mut self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        assert!(self.child.wait().unwrap().success());
    }

    /// SIGKILL.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// A broker process on `dir` whose errors go to a pipe.
pub(crate) fn spawn(mut command: Command, dir: &Path, more: impl FnOnce(&mut Command)) -> Child {
    command.args(["server", "--listen", "127.0.0.1:0", "--log", "info", "--data-dir"]).arg(dir);
    command.env("NO_COLOR", "1").env("LEPUS_MANAGEMENT_LISTEN", "off").env("LEPUS_PROMETHEUS_LISTEN", "off");
    more(&mut command);
    command.stderr(Stdio::piped()).spawn().unwrap()
}

impl Drop for Binary {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _reaped = self.child.wait();
    }
}
