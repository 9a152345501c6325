//! A server that lists its keys over HTTPS, and counts who asks.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use lepus::config::OAuth2Settings;
use parking_lot::Mutex;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};

use crate::authority::Authority;
use crate::signer::{SERVER, Signer};

pub(crate) struct KeyServer {
    authority: Authority,
    address: SocketAddr,
    state: Arc<State>,
}

struct State {
    /// The answer's status and body, for whatever is asked.
    answer: Mutex<(u16, String)>,
    asked: AtomicUsize,
    is_over: AtomicBool,
    paths: Mutex<Vec<String>>,
}

impl KeyServer {
    pub(crate) fn start() -> Self {
        let authority = Authority::new();
        let pair = authority.issue("localhost");
        let certificate = CertificateDer::from_pem_slice(pair.certificate.as_bytes()).unwrap();
        let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config =
            ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let config = Arc::new(config.with_no_client_auth().with_single_cert(vec![certificate], key).unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State {
            answer: Mutex::new((200, json!({"keys": []}).to_string())),
            asked: AtomicUsize::new(0),
            is_over: AtomicBool::new(false),
            paths: Mutex::default(),
        });
        thread::spawn({
            let state = Arc::clone(&state);
            move || {
                while let Ok((socket, _)) = listener.accept() {
                    if state.is_over.load(Ordering::Acquire) {
                        return;
                    }
                    state.serve(socket, Arc::clone(&config));
                }
            }
        });
        Self { authority, address, state }
    }

    /// Settings that ask it for its list.
    pub(crate) fn settings(&self) -> OAuth2Settings {
        OAuth2Settings {
            resource_server_id: Some(SERVER.to_owned()),
            jwks_url: Some(format!("{}/keys", self.url())),
            ca_file: Some(self.authority.file()),
            ..OAuth2Settings::default()
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("https://localhost:{}", self.address.port())
    }

    /// From here on these are its keys.
    pub(crate) fn list(&self, signers: &[&Signer]) {
        let keys: Vec<Value> = signers.iter().map(|signer| signer.jwk()).collect();
        self.answer(200, json!({"keys": keys}).to_string());
    }

    pub(crate) fn answer(&self, status: u16, body: impl Into<String>) {
        *self.state.answer.lock() = (status, body.into());
    }

    /// How often it was asked.
    pub(crate) fn asked(&self) -> usize {
        self.state.asked.load(Ordering::Acquire)
    }

    /// What it was asked for.
    pub(crate) fn paths(&self) -> Vec<String> {
        self.state.paths.lock().clone()
    }
}

impl State {
    /// One request, one answer. A client that does not trust the server leaves, which is no fault here.
    fn serve(&self, socket: TcpStream, config: Arc<ServerConfig>) {
        let connection = ServerConnection::new(config).unwrap();
        let mut stream = BufReader::new(StreamOwned::new(connection, socket));
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            match stream.read_line(&mut line) {
                Ok(1..) if !line.trim().is_empty() => lines.push(line),
                Ok(_) => break,
                Err(_) => return,
            }
        }
        let Some(path) = lines.first().and_then(|line| line.split(' ').nth(1)) else { return };
        self.paths.lock().push(path.to_owned());
        self.asked.fetch_add(1, Ordering::AcqRel);
        let (status, body) = self.answer.lock().clone();
        let answer = format!(
            "HTTP/1.1 {status} X\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        );
        let stream = stream.get_mut();
        if stream.write_all(answer.as_bytes()).and_then(|()| stream.flush()).is_ok() {
            stream.conn.send_close_notify();
            let _gone = stream.flush();
        }
    }
}

impl Drop for KeyServer {
    fn drop(&mut self) {
        self.state.is_over.store(true, Ordering::Release);
        let _woken = TcpStream::connect(self.address);
    }
}
