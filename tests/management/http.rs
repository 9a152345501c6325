//! A broker with the management API, and requests to it written by hand: a client would mend what a test means to send.

use std::net::SocketAddr;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use lepus::app::App;
use lepus::config::Config;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::support::Peer;

/// An answer that has not come by then is missing.
const PATIENCE: Duration = Duration::from_secs(10);

/// A broker that serves the API.
pub(crate) struct Broker {
    pub(crate) app: App,
    pub(crate) api: SocketAddr,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Broker {
    pub(crate) async fn start() -> Self {
        Self::start_with(|_| ()).await
    }

    pub(crate) async fn start_with(configure: impl FnOnce(&mut Config)) -> Self {
        let anywhere = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut config = Config { listen: vec![anywhere], ..Config::default() };
        config.management.listen = vec![anywhere];
        config.prometheus.listen = vec![anywhere];
        configure(&mut config);
        let app = App::start(config).await.unwrap();
        let api = app.management_addr().unwrap();
        Self { app, api }
    }

    /// An AMQP connection with channel 1 open.
    pub(crate) async fn channel(&self) -> Peer {
        let mut peer = Peer::dial(self.app.local_addr()).await;
        peer.handshake().await;
        peer.open(1).await;
        peer
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.request("GET", path, "").await
    }

    /// The document at `path`.
    pub(crate) async fn json(&self, path: &str) -> Value {
        let answer = self.get(path).await;
        assert_eq!(answer.status, 200, "GET {path}: {answer:?}");
        answer.json()
    }

    pub(crate) async fn put(&self, path: &str, body: &str) -> Answer {
        self.request("PUT", path, body).await
    }

    pub(crate) async fn post(&self, path: &str, body: &str) -> Answer {
        self.request("POST", path, body).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.request("DELETE", path, "").await
    }

    pub(crate) async fn request(&self, method: &str, path: &str, body: &str) -> Answer {
        self.request_as("guest:guest", method, path, "", body).await
    }

    /// A request with these credentials, and further header lines that end in CR LF.
    pub(crate) async fn request_as(
        &self,
        credentials: &str,
        method: &str,
        path: &str,
        headers: &str,
        body: &str,
    ) -> Answer {
        let authorization = match credentials {
            "" => String::new(),
            credentials => format!("Authorization: Basic {}\r\n", STANDARD.encode(credentials)),
        };
        let length = body.len();
        self.raw(&format!(
            "{method} /api{path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{authorization}{headers}\
             Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
        ))
        .await
    }

    /// What Prometheus reads at `path`.
    pub(crate) async fn metrics(&self, path: &str) -> String {
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        let answer = Self::send(self.app.metrics_addr().unwrap(), &request).await;
        assert_eq!(answer.status, 200, "GET {path}: {answer:?}");
        String::from_utf8(answer.body).unwrap()
    }

    /// Sends octets and reads until the broker closes.
    pub(crate) async fn raw(&self, request: &str) -> Answer {
        Self::send(self.api, request).await
    }

    async fn send(to: SocketAddr, request: &str) -> Answer {
        let mut socket = TcpStream::connect(to).await.unwrap();
        // The broker may refuse before it has read everything.
        let _cut_off = socket.write_all(request.as_bytes()).await;
        let mut answer = Vec::new();
        let read = timeout(PATIENCE, socket.read_to_end(&mut answer)).await.unwrap();
        assert!(read.is_ok() || !answer.is_empty(), "{read:?}");
        Answer::parse(&answer)
    }

    /// Asks again and again until `is_so`.
    pub(crate) async fn eventually(&self, path: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        let asked = timeout(PATIENCE, async {
            loop {
                let document = self.json(path).await;
                if is_so(&document) {
                    return document;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
        asked.await.unwrap_or_else(|_| panic!("GET {path} never says what it should"))
    }
}

impl Answer {
    fn parse(octets: &[u8]) -> Self {
        let end = octets.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
        let head = String::from_utf8(octets[..end].to_vec()).unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Self { status, head, body: octets[end + 4..].to_vec() }
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The value of a header.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let of_name = |line: &&str| line.split(':').next().is_some_and(|key| key.eq_ignore_ascii_case(name));
        self.head.lines().find(of_name).and_then(|line| Some(line.split_once(':')?.1.trim()))
    }

    /// A refusal in RabbitMQ's shape: its `error` and its `reason`.
    pub(crate) fn refusal(&self) -> (String, String) {
        let json = self.json();
        (json["error"].as_str().unwrap().to_owned(), json["reason"].as_str().unwrap().to_owned())
    }
}
