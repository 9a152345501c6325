//! The binary on a data directory, which outlives it.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;

use tempfile::TempDir;

use crate::support::Peer;

/// A broker process; killed when dropped.
pub(crate) struct Binary {
    child: Child,
    address: SocketAddr,
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
        let mut child = spawn(dir, more);
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
        let (mut address, mut greeting) = (None, Vec::new());
        loop {
            let line = lines.next().expect("the broker ends before it serves");
            if let Some((_, rest)) = line.split_once("address=") {
                address = rest.split_whitespace().next().unwrap().parse().ok();
            }
            greeting.push(line);
            if greeting.last().is_some_and(|line| line.contains("Server startup complete")) {
                break;
            }
        }
        let log = Some(std::thread::spawn(move || lines.collect()));
        Self { child, address: address.unwrap(), greeting, log }
    }

    /// What a broker says that gives up on `dir`.
    pub(crate) fn refused(dir: &TempDir) -> Vec<String> {
        let mut child = spawn(dir, |_| ());
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

fn spawn(dir: &TempDir, more: impl FnOnce(&mut Command)) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lepus"));
    command.args(["server", "--listen", "127.0.0.1:0", "--log", "info", "--data-dir"]).arg(dir.path());
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
