//! The binary as operators meet it: its flags and environment, what it prints, signals, exit codes.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "in a test a panic is the report")]

#[path = "support/mod.rs"]
#[expect(dead_code, unused_imports, clippy::print_stdout, reason = "other dialogues use the rest")]
mod support;

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixDatagram;
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread;
use std::time::Duration;

use lepus::config::Config;
use rustix::process::{Pid, Signal, kill_process};
use support::wire::{BODY, HEADER, METHOD, frame};
use support::{Credentials, Peer, consume, declare, passive, publish};
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
            // Brokers run beside each other here; the port would be one.
            .env("LEPUS_MANAGEMENT_LISTEN", "off")
            .env("LEPUS_PROMETHEUS_LISTEN", "off")
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
}

/// Settings that cannot be used: code 2, and a line for each that says where it stands.
mod settings {
    use super::*;

    use std::io::Write;

    use tempfile::NamedTempFile;

    fn file(text: &str) -> NamedTempFile {
        let mut file = tempfile::Builder::new().suffix(".toml").tempfile().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        file
    }

    fn path(file: &NamedTempFile) -> &str {
        file.path().to_str().unwrap()
    }

    /// What the broker proposes to a new connection.
    async fn heartbeat(address: SocketAddr) -> u64 {
        let mut peer = Peer::dial(address).await;
        peer.log_in(&Credentials::plain("guest", "guest")).await.number("heartbeat")
    }

    #[test]
    fn what_is_wrong_is_told_with_its_flag_or_variable() {
        let lines = Broker::spawn(&["--listen", "nonsense"], &[]).expect_failure(2);
        assert!(lines[0].starts_with("lepus: --listen: 'nonsense' is not an address"), "{lines:?}");
        let lines = Broker::spawn(&[], &[("LEPUS_LISTEN", "nonsense")]).expect_failure(2);
        assert!(lines[0].starts_with("lepus: LEPUS_LISTEN: 'nonsense' is not an address"), "{lines:?}");
        let lines = Broker::spawn(&["--log", "lepus=loud"], &[]).expect_failure(2);
        assert!(lines[0].starts_with("lepus: --log: 'lepus=loud' is not a log filter"), "{lines:?}");
    }

    #[test]
    fn what_is_wrong_in_a_file_is_told_with_its_line() {
        let file = file("listen = [\"127.0.0.1:0\"]\nmemory_limt = 5\n\n[limits]\nheartbeat = \"often\"\n");
        let path = path(&file);
        let lines = Broker::spawn(&["--config", path], &[("LEPUS_LOG", "off")]).expect_failure(2);
        let expected = [
            format!("lepus: {path}:2:1: unknown setting 'memory_limt'; did you mean 'memory_limit'?"),
            format!(
                "lepus: {path}:5:1: limits.heartbeat: \"often\" is not a number of seconds, or a time such as \"2m\""
            ),
        ];
        assert_eq!(lines, expected);
    }

    #[tokio::test]
    async fn the_environment_is_stronger_than_the_file_and_flags_are_stronger_than_both() {
        let taken = TcpListener::bind(ANYWHERE).unwrap();
        let taken = taken.local_addr().unwrap().to_string();
        let file = file(&format!("listen = [\"{taken}\"]\nlog = \"off\"\n[limits]\nheartbeat = 7\n"));
        let environment = [("LEPUS_CONFIG", path(&file)), ("LEPUS_LISTEN", ANYWHERE), ("LEPUS_LOG", "warn")];
        let mut broker = Broker::spawn(&["--log", "info"], &environment);
        let address = broker.expect_address();
        assert_eq!(heartbeat(address).await, 7);
    }

    #[tokio::test]
    async fn sighup_takes_over_what_it_can_and_names_what_needs_a_restart() {
        let file = file("listen = [\"127.0.0.1:0\"]\n[limits]\nheartbeat = 7\n");
        let mut broker = Broker::spawn(&["--config", path(&file)], &[]);
        let address = broker.expect_address();
        broker.expect_line(STARTED);
        let mut before = connect(address).await;

        fs::write(file.path(), "listen = [\"127.0.0.1:1\"]\nlog = \"debug\"\n[limits]\nheartbeat = 8\n")
            .unwrap();
        broker.signal(Signal::HUP);
        broker.expect_line("'listen' has changed: it needs a restart");
        broker.expect_line("'log' has changed");
        broker.expect_line("'limits.heartbeat' has changed");
        broker.expect_line("settings read again");
        assert_eq!(heartbeat(address).await, 8);
        before.call(1, declare("still")).await;
        before.close().await;
        broker.expect_line("DEBUG");
    }

    #[tokio::test]
    async fn sighup_reads_the_certificates_again() {
        let directory = TempDir::new().unwrap();
        let [certificate, key] = ["certificate", "key"].map(|name| directory.path().join(name));
        let make = |subject: &str| {
            let made = rcgen::generate_simple_self_signed(vec![subject.to_owned()]).unwrap();
            fs::write(&certificate, made.cert.pem()).unwrap();
            fs::write(&key, made.signing_key.serialize_pem()).unwrap();
        };
        make("first.example");
        let [certificate, key] = [&certificate, &key].map(|path| path.to_str().unwrap());
        let arguments = ["--tls-certificate", certificate, "--tls-key", key, "--tls-listen", ANYWHERE];
        let mut broker = Broker::spawn(&[["--listen", ANYWHERE].as_slice(), &arguments].concat(), &[]);
        broker.expect_line("listening for AMQP over TLS");
        broker.expect_line(STARTED);

        make("second.example");
        broker.signal(Signal::HUP);
        let line = broker.expect_line(certificate);
        assert!(line.contains("INFO") && line.contains("days="), "{line}");
        broker.expect_line("settings read again");

        fs::write(key, "nonsense").unwrap();
        broker.signal(Signal::HUP);
        let line = broker.expect_line("nothing was changed");
        assert!(line.contains(key) && line.contains("holds no private key"), "{line}");
    }

    #[tokio::test]
    async fn sighup_with_a_bad_file_changes_nothing() {
        let file = file("listen = [\"127.0.0.1:0\"]\n[limits]\nheartbeat = 7\n");
        let mut broker = Broker::spawn(&["--config", path(&file)], &[]);
        let address = broker.expect_address();
        broker.expect_line(STARTED);
        fs::write(file.path(), "[limits]\nheartbeat = 8\nhartbeat = 9\n").unwrap();
        broker.signal(Signal::HUP);
        broker.expect_line(":3:1: unknown setting 'limits.hartbeat'; did you mean 'limits.heartbeat'?");
        broker.expect_line("nothing was changed");
        assert_eq!(heartbeat(address).await, 7);
    }

    #[tokio::test]
    async fn a_file_and_variables_made_for_rabbitmq_are_understood() {
        let directory = TempDir::new().unwrap();
        let file = directory.path().join("rabbitmq.conf");
        fs::write(&file, "heartbeat = 7\nmqtt.listeners.tcp.default = 1883\n").unwrap();
        let free = TcpListener::bind(ANYWHERE).unwrap().local_addr().unwrap();
        let (port, file) = (free.port().to_string(), file.to_str().unwrap());
        let environment = [
            ("RABBITMQ_CONFIG_FILE", file),
            ("RABBITMQ_NODE_PORT", port.as_str()),
            ("RABBITMQ_NODE_IP_ADDRESS", "127.0.0.1"),
            ("RABBITMQ_ERLANG_COOKIE", "crumbs"),
        ];
        let mut broker = Broker::spawn(&[], &environment);
        broker.expect_line("rabbitmq.conf: ignored: mqtt.listeners.tcp.default (line 2)");
        assert_eq!(broker.expect_address(), free);
        assert_eq!(heartbeat(free).await, 7);
    }

    /// Runs `lepus config ...`: its exit code, standard output, standard error.
    fn config(arguments: &[&str], environment: &[(&str, &str)]) -> (Option<i32>, String, String) {
        let output = Command::new(env!("CARGO_BIN_EXE_lepus"))
            .arg("config")
            .args(arguments)
            .env_clear()
            .envs(environment.iter().copied())
            .output()
            .unwrap();
        let text = |octets| String::from_utf8(octets).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    }

    #[test]
    fn config_check_judges_a_file() {
        let good = file("memory_limit = \"2GiB\"\n");
        assert_eq!(config(&["check", path(&good)], &[]).0, Some(0));
        let bad = file("memory_limit = \"2 apples\"\n");
        let (code, _, told) = config(&["check", path(&bad)], &[]);
        assert_eq!(code, Some(2));
        assert!(told.contains(&format!("{}:1:1: memory_limit: \"2 apples\" is not", path(&bad))), "{told}");
    }

    #[test]
    fn config_show_names_the_origin_of_each_value() {
        let file = file("\nmemory_limit = \"2GiB\"\n");
        let environment = [("LEPUS_CONFIG", path(&file)), ("LEPUS_HEARTBEAT", "9")];
        let (code, table, _) = config(&["show", "--channel-max", "5"], &environment);
        assert_eq!(code, Some(0));
        let line = |key: &str| {
            let line = table.lines().find(|line| line.starts_with(key)).unwrap();
            line.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(line("memory_limit"), ["memory_limit", "\"2GiB\"", &format!("{}:2:1", path(&file))]);
        assert_eq!(line("limits.heartbeat"), ["limits.heartbeat", "9", "LEPUS_HEARTBEAT"]);
        assert_eq!(line("limits.channel_max"), ["limits.channel_max", "5", "--channel-max"]);
        assert_eq!(line("identity"), ["identity", "\"rabbitmq\"", "default"]);

        let (_, json, _) = config(&["show", "--format", "json"], &environment);
        let rows: serde_json::Value = serde_json::from_str(&json).unwrap();
        let row = rows.as_array().unwrap().iter().find(|row| row["key"] == "memory_limit").unwrap();
        assert_eq!(row["value"], 2_147_483_648_u64);
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

#[test]
fn the_service_manager_is_told_of_the_start_and_of_the_end() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("notify");
    let manager = UnixDatagram::bind(&path).unwrap();
    manager.set_read_timeout(Some(PATIENCE)).unwrap();
    let told = || {
        let mut text = [0; 64];
        let length = manager.recv(&mut text).unwrap();
        String::from_utf8(text[..length].to_vec()).unwrap()
    };
    let environment = [("NOTIFY_SOCKET", path.to_str().unwrap())];
    let mut broker = Broker::spawn(&["--listen", ANYWHERE], &environment);
    assert_eq!(told(), "READY=1\n");
    broker.signal(Signal::TERM);
    assert_eq!(told(), "STOPPING=1\n");
    assert!(broker.expect_exit(PATIENCE).success());
}
