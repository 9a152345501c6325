//! A broker in a process of its own, and the commands that are run against it.

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use crate::support::Peer;

/// What tools wait for.
const STARTED: &str = "Server startup complete";

/// A running broker; it ends with the test.
pub(crate) struct Broker {
    child: Child,
    pub(crate) amqp: SocketAddr,
    pub(crate) api: SocketAddr,
    pub(crate) directory: TempDir,
}

/// What a command has led to.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Broker {
    pub(crate) fn start() -> Self {
        let directory = TempDir::new().unwrap();
        let anywhere = "127.0.0.1:0";
        let mut child = Command::new(env!("CARGO_BIN_EXE_lepus"))
            .args(["server", "--listen", anywhere, "--management-listen", anywhere])
            .args(["--prometheus-listen", "off", "--management-node-name", "rabbit@here"])
            .current_dir(&directory)
            .env_clear()
            .env("NO_COLOR", "1")
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
        let (mut amqp, mut api, mut log) = (None, None, Vec::new());
        for line in lines.by_ref() {
            if line.contains("listening for AMQP") {
                amqp = amqp.or_else(|| address(&line));
            } else if line.contains("listening for HTTP") {
                api = api.or_else(|| address(&line));
            }
            let started = line.contains(STARTED);
            log.push(line);
            if started {
                break;
            }
        }
        // A broker whose log nobody reads would stop at a full pipe.
        std::thread::spawn(move || lines.for_each(drop));
        let told = || log.join("\n");
        let (Some(amqp), Some(api)) = (amqp, api) else { panic!("not started:\n{}", told()) };
        Self { child, amqp, api, directory }
    }

    /// `lepus ...` against this broker.
    pub(crate) fn lepus(&self, arguments: &[&str]) -> Ran {
        self.lepus_reading("", arguments)
    }

    /// With this standard input.
    pub(crate) fn lepus_reading(&self, input: &str, arguments: &[&str]) -> Ran {
        let url = format!("http://{}", self.api);
        run(arguments, &[("LEPUS_URL", &url)], input)
    }

    /// What a command that succeeds prints.
    pub(crate) fn ok(&self, arguments: &[&str]) -> String {
        let ran = self.lepus(arguments);
        assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{arguments:?}: {ran:?}");
        ran.out
    }

    /// The JSON that a command prints.
    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        let with: Vec<&str> = arguments.iter().copied().chain(["--format", "json"]).collect();
        serde_json::from_str(&self.ok(&with)).unwrap()
    }

    /// Ends in order.
    pub(crate) fn stop(&mut self) {
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
        assert!(self.child.wait().unwrap().success());
    }

    /// An AMQP connection with channel 1 open.
    pub(crate) async fn channel(&self) -> Peer {
        let mut peer = Peer::dial(self.amqp).await;
        peer.handshake().await;
        peer.open(1).await;
        peer
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs the binary with these arguments, this environment and nothing else of either.
pub(crate) fn run(arguments: &[&str], environment: &[(&str, &str)], input: &str) -> Ran {
    let mut child = Command::new(env!("CARGO_BIN_EXE_lepus"))
        .args(arguments)
        .env_clear()
        .envs(environment.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A command that reads nothing may have ended.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    let text = |octets: Vec<u8>| String::from_utf8(octets).unwrap();
    Ran { code: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) }
}

fn address(line: &str) -> Option<SocketAddr> {
    let (_, rest) = line.split_once("address=")?;
    rest.split_whitespace().next()?.parse().ok()
}
