//! The binary as operators meet it: its flags and environment, what it prints, signals, exit codes.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "in a test a panic is the report")]

#[path = "support/mod.rs"]
#[expect(dead_code, unused_imports, clippy::print_stdout, reason = "other dialogues use the rest")]
mod support;

use std::io::{BufRead, BufReader, Read};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread;
use std::time::Duration;

use lepus::config::Config;
use rustix::process::{Pid, Signal, kill_process};
use support::wire::{BODY, HEADER, METHOD, frame};
use support::{Peer, consume, declare, passive, publish};
use tempfile::TempDir;
use tokio::time::Instant;

/// A line that has not come by then is missing; a process that has not ended by then hangs.
const PATIENCE: Duration = Duration::from_secs(10);

/// What tools wait for.
const STARTED: &str = "Server startup complete";

/// Any free port of loopback.
const ANYWHERE: &str = "127.0.0.1:0";

/// connection.close of a broker that stops (RabbitMQ).
const SHUTDOWN: &str = "CONNECTION_FORCED - broker forced connection closure with reason 'shutdown'";

/// The broker in a process of its own, which ends with the test at the latest.
struct Broker {
    child: Child,
    lines: Receiver<String>,
    log: Vec<String>,
    /// Where it works, unless the test says otherwise.
    _directory: TempDir,
}

impl Broker {
    /// Starts `lepus server` with these arguments and environment, and nothing else of either.
    fn spawn(arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let directory = TempDir::new().unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_lepus"))
            .arg("server")
            .args(arguments)
            .current_dir(&directory)
            .env_clear()
            .env("NO_COLOR", "1")
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = lines_of(child.stderr.take().unwrap());
        Self { child, lines, log: Vec::new(), _directory: directory }
    }

    /// A broker that serves on a free port.
    fn start() -> (Self, SocketAddr) {
        let mut broker = Self::spawn(&["--listen", ANYWHERE], &[]);
        let address = broker.expect_address();
        broker.expect_line(STARTED);
        (broker, address)
    }

    /// Reads the log up to a line that holds `text`.
    fn expect_line(&mut self, text: &str) -> String {
        while let Some(line) = self.next_line(Instant::now() + PATIENCE) {
            if line.contains(text) {
                return line;
            }
        }
        panic!("no line says {text:?}:\n{}", self.log.join("\n"));
    }

    /// Where the next listener listens.
    fn expect_address(&mut self) -> SocketAddr {
        let line = self.expect_line("listening for AMQP 0-9-1");
        let (_, address) = line.split_once("address=").unwrap();
        address.trim().parse().unwrap()
    }

    /// Waits for the end of the process. Its standard error ends with it.
    fn expect_exit(&mut self, within: Duration) -> ExitStatus {
        let deadline = Instant::now() + within;
        while self.next_line(deadline).is_some() {}
        self.child.wait().unwrap()
    }

    /// The process gives up by itself, with this code; returns what it printed.
    fn expect_failure(mut self, code: i32) -> Vec<String> {
        let status = self.expect_exit(PATIENCE);
        assert_eq!(status.code(), Some(code), "{}", self.log.join("\n"));
        std::mem::take(&mut self.log)
    }

    /// `None` at the end of the log.
    fn next_line(&mut self, deadline: Instant) -> Option<String> {
        match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(line) => {
                self.log.push(line.clone());
                Some(line)
            }
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => panic!("nothing more comes:\n{}", self.log.join("\n")),
        }
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        // It may have ended already; then there is nothing to kill, and its id is still ours until it is waited for.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Lines as they come, so that a test can wait for one.
fn lines_of(stderr: ChildStderr) -> Receiver<String> {
    let (sender, lines) = sync_channel(1024);
    thread::spawn(move || {
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    lines
}

async fn connect(address: SocketAddr) -> Peer {
    let mut peer = Peer::dial(address).await;
    peer.handshake().await;
    peer.open(1).await;
    peer
}

/// Starting.
mod start {
    use super::*;

    #[tokio::test]
    async fn it_serves_where_listen_says_each_time_it_is_given() {
        let mut broker = Broker::spawn(&["--listen", ANYWHERE, "--listen", ANYWHERE], &[]);
        let addresses = [broker.expect_address(), broker.expect_address()];
        broker.expect_line(STARTED);
        for address in addresses {
            connect(address).await.close().await;
        }
    }

    #[tokio::test]
    async fn the_environment_says_the_same_as_the_flags() {
        let listen = format!("{ANYWHERE},{ANYWHERE}");
        let environment = [("LEPUS_LISTEN", listen.as_str()), ("LEPUS_LOG", "lepus::app=info")];
        let mut broker = Broker::spawn(&[], &environment);
        let addresses = [broker.expect_address(), broker.expect_address()];
        broker.expect_line(STARTED);
        connect(addresses[0]).await.close().await;
        connect(addresses[1]).await.close().await;
    }

    #[test]
    fn flags_win_over_the_environment() {
        let taken = TcpListener::bind(ANYWHERE).unwrap();
        let taken = taken.local_addr().unwrap().to_string();
        let environment = [("LEPUS_LISTEN", taken.as_str()), ("LEPUS_LOG", "off")];
        let mut broker = Broker::spawn(&["--listen", ANYWHERE, "--log", "info"], &environment);
        broker.expect_line(STARTED);
    }

    #[tokio::test]
    async fn durable_queues_are_kept_in_the_data_directory() {
        let directory = TempDir::new().unwrap();
        let data = directory.path().join("made by the broker");
        let data = data.to_str().unwrap();

        let mut broker = Broker::spawn(&["--listen", ANYWHERE, "--data-dir", data], &[]);
        let mut peer = connect(broker.expect_address()).await;
        peer.call(1, declare("kept").flag("durable")).await;
        broker.signal(Signal::KILL);
        broker.expect_exit(PATIENCE);

        let mut broker = Broker::spawn(&["--listen", ANYWHERE], &[("LEPUS_DATA_DIR", data)]);
        let mut peer = connect(broker.expect_address()).await;
        peer.call(1, passive("kept")).await;
    }

    #[tokio::test]
    async fn log_decides_what_is_logged() {
        let mut broker = Broker::spawn(&["--listen", ANYWHERE, "--log", "lepus::app=info"], &[]);
        let address = broker.expect_address();
        broker.expect_line(STARTED);
        connect(address).await.close().await;
        broker.signal(Signal::TERM);
        assert!(broker.expect_exit(PATIENCE).success());
        assert!(broker.log.iter().all(|line| line.contains("lepus::app")), "{:#?}", broker.log);

        let mut broker = Broker::spawn(&["--listen", ANYWHERE, "--log", "debug"], &[]);
        let address = broker.expect_address();
        connect(address).await.close().await;
        let line = broker.expect_line("client closes the connection");
        assert!(line.contains("DEBUG"), "{line}");
    }

    #[tokio::test]
    async fn a_channel_exception_is_logged_with_connection_vhost_and_channel() {
        let (mut broker, address) = Broker::start();
        let mut peer = connect(address).await;
        let text = "NOT_FOUND - no queue 'missing' in vhost '/'";
        peer.expect_soft_error(1, passive("missing"), 404, text).await;
        let line = broker.expect_line(text);
        for part in [
            "WARN",
            "connection{id=",
            "peer=127.0.0.1:",
            "vhost=/",
            "user=guest",
            "name=dialogue",
            "channel=1",
        ] {
            assert!(line.contains(part), "{part} is not in: {line}");
        }
    }
}

/// Failing to start: one line that says why.
mod refusal {
    use super::*;

    /// `arguments` end the process with code 1 and one line, which is returned. The log is not what is tested here.
    fn reason(arguments: &[&str]) -> String {
        let lines = Broker::spawn(arguments, &[("LEPUS_LOG", "off")]).expect_failure(1);
        let [line] = lines.try_into().unwrap();
        line
    }

    #[test]
    fn a_port_in_use() {
        let taken = TcpListener::bind(ANYWHERE).unwrap();
        let taken = taken.local_addr().unwrap().to_string();
        let line = reason(&["--listen", &taken]);
        let expected = format!("lepus: cannot listen on {taken}: Address already in use");
        assert!(line.starts_with(&expected), "{line}");
    }

    #[test]
    fn an_address_that_is_not_ours() {
        // RFC 5737: an address for documentation, which no machine has.
        let line = reason(&["--listen", "192.0.2.1:5672"]);
        assert!(line.starts_with("lepus: cannot listen on 192.0.2.1:5672: "), "{line}");
    }

    #[test]
    fn one_bad_address_among_good_ones() {
        let line = reason(&["--listen", ANYWHERE, "--listen", "192.0.2.1:5672"]);
        assert!(line.starts_with("lepus: cannot listen on 192.0.2.1:5672: "), "{line}");
    }

    #[test]
    fn a_log_filter_that_is_none() {
        let line = reason(&["--listen", ANYWHERE, "--log", "lepus=loud"]);
        assert!(line.starts_with("lepus: --log 'lepus=loud' is not a log filter: "), "{line}");
    }

    #[test]
    fn a_data_directory_that_is_a_file() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let path = file.path().to_str().unwrap();
        let line = reason(&["--listen", ANYWHERE, "--data-dir", path]);
        assert!(line.starts_with("lepus: ") && line.contains(path), "{line}");
    }

    #[test]
    fn a_data_directory_in_use() {
        let directory = TempDir::new().unwrap();
        let path = directory.path().to_str().unwrap();
        let arguments = ["--listen", ANYWHERE, "--data-dir", path];
        let mut first = Broker::spawn(&arguments, &[]);
        first.expect_line(STARTED);
        let line = reason(&arguments);
        assert!(line.starts_with("lepus: ") && line.contains(path), "{line}");
    }

    /// Usage errors are the command line parser's: code 2, the value and the flag by name, a hint.
    #[test]
    fn text_that_is_no_address() {
        for broker in [
            Broker::spawn(&["--listen", "nonsense"], &[]),
            Broker::spawn(&[], &[("LEPUS_LISTEN", "nonsense")]),
        ] {
            let lines = broker.expect_failure(2);
            assert!(
                lines[0].starts_with("error: invalid value 'nonsense' for '--listen <LISTEN>'"),
                "{lines:?}"
            );
        }
    }
}

/// Ending.
mod stop {
    use super::*;

    /// How long a stop may take, whatever clients do: the drain, and some time for a busy machine.
    fn drain_max() -> Duration {
        Config::default().drain_timeout + PATIENCE
    }

    #[tokio::test]
    async fn sigterm_and_sigint_tell_clients_and_exit_with_0() {
        for signal in [Signal::TERM, Signal::INT] {
            let (mut broker, address) = Broker::start();
            let mut peers = [connect(address).await, connect(address).await];
            broker.signal(signal);
            for peer in &mut peers {
                peer.expect_connection_close(320, SHUTDOWN, (0, 0)).await;
            }
            // All clients answered: nothing is left to wait for.
            assert_eq!(broker.expect_exit(Config::default().drain_timeout).code(), Some(0));
            assert!(
                !broker.log.iter().any(|line| line.contains("did not close in time")),
                "{:#?}",
                broker.log
            );
        }
    }

    #[test]
    fn without_clients_it_ends_at_once() {
        let (mut broker, _) = Broker::start();
        broker.signal(Signal::TERM);
        assert_eq!(broker.expect_exit(Config::default().drain_timeout).code(), Some(0));
    }

    #[tokio::test]
    async fn a_client_that_never_answers_is_waited_for_no_longer_than_the_drain() {
        let (mut broker, address) = Broker::start();
        let mut peer = connect(address).await;
        broker.signal(Signal::TERM);
        assert_eq!(peer.expect(0, "connection.close").await.number("reply-code"), 320);
        assert!(is_refused(address), "a broker that drains takes no new connections");
        assert_eq!(broker.expect_exit(drain_max()).code(), Some(0));
        assert!(broker.log.iter().any(|line| line.contains("did not close in time")), "{:#?}", broker.log);
        peer.expect_eof().await;
    }

    /// Nobody listens, or the socket ends without a byte.
    fn is_refused(address: SocketAddr) -> bool {
        let Ok(mut stream) = TcpStream::connect(address) else { return true };
        matches!(stream.read(&mut [0]), Ok(0) | Err(_))
    }

    #[tokio::test]
    async fn a_client_that_never_reads_does_not_hold_up_the_stop() {
        let (mut broker, address) = Broker::start();
        let mut peer = Peer::dial_with_small_window(address).await;
        peer.handshake().await;
        peer.open(1).await;
        peer.call(1, declare("unread")).await;
        peer.call(1, consume("unread", "never").flag("no-ack")).await;
        let body = "x".repeat(100_000);
        for _ in 0..100 {
            peer.publish(1, publish("", "unread", &body)).await;
        }
        broker.signal(Signal::TERM);
        assert_eq!(broker.expect_exit(drain_max()).code(), Some(0));
    }

    #[tokio::test]
    async fn a_client_in_the_middle_of_its_handshake_does_not_hold_up_the_stop() {
        let (mut broker, address) = Broker::start();
        let mut silent = Peer::dial(address).await;
        let mut half = Peer::dial(address).await;
        half.receive_start().await;
        broker.signal(Signal::TERM);
        assert_eq!(broker.expect_exit(Config::default().drain_timeout).code(), Some(0));
        silent.expect_eof().await;
        half.expect_eof().await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_publisher_that_never_pauses_does_not_hold_up_the_stop() {
        let (mut broker, address) = Broker::start();
        let mut peer = connect(address).await;
        let flood = tokio::spawn(async move {
            let content = publish("amq.direct", "nowhere", "on and on");
            let mut octets = frame(METHOD, 1, &content.method.encode());
            octets.extend(frame(HEADER, 1, &content.encode_header()));
            octets.extend(frame(BODY, 1, &content.body));
            while peer.send_while_read(&octets.repeat(1000), PATIENCE).await {}
        });
        broker.signal(Signal::TERM);
        assert_eq!(broker.expect_exit(drain_max()).code(), Some(0));
        flood.await.unwrap();
    }

    #[tokio::test]
    async fn a_killed_broker_is_seen_as_a_closed_socket() {
        let (mut broker, address) = Broker::start();
        let mut peer = connect(address).await;
        broker.signal(Signal::KILL);
        peer.expect_eof().await;
        assert_eq!(broker.expect_exit(PATIENCE).code(), None);
    }
}
