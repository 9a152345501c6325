//! Proxies and Unix sockets.

use lepus::app::App;
use lepus::config::Config;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};

use crate::authority::Authority;
use crate::broker::{ANYWHERE, client, config, through};
use crate::support::{Credentials, Peer, declare};

async fn behind_a_proxy() -> App {
    let listen = vec![ANYWHERE.parse().unwrap()];
    App::start(Config { listen, proxy_protocol: true, ..Config::default() }).await.unwrap()
}

/// What a proxy sends for a client at this address.
fn header(client: &str) -> String {
    format!("PROXY TCP4 {client} 192.0.2.1 4711 5672\r\n")
}

async fn dial_by_proxy(app: &App, client: &str) -> Peer {
    let mut stream = TcpStream::connect(app.local_addr()).await.unwrap();
    stream.write_all(header(client).as_bytes()).await.unwrap();
    through(stream).await
}

#[tokio::test]
async fn the_address_that_the_proxy_tells_counts() {
    let app = behind_a_proxy().await;
    let mut near = dial_by_proxy(&app, "127.0.0.7").await;
    near.handshake().await;
    near.close().await;

    // guest comes in from loopback only: it is not the proxy's own address that is looked at.
    let mut far = dial_by_proxy(&app, "192.0.2.7").await;
    far.receive_start().await;
    far.send(0, Credentials::plain("guest", "guest").start_ok()).await;
    assert_eq!(far.expect(0, "connection.close").await.number("reply-code"), 403);
    app.shutdown().await;
}

#[tokio::test]
async fn who_does_not_come_by_the_proxy_is_closed() {
    let app = behind_a_proxy().await;
    let mut stream = TcpStream::connect(app.local_addr()).await.unwrap();
    stream.write_all(b"AMQP\x00\x00\x09\x01AMQP\x00\x00\x09\x01").await.unwrap();
    assert!(matches!(stream.read(&mut [0; 8]).await, Ok(0) | Err(_)));
    let mut near = dial_by_proxy(&app, "127.0.0.7").await;
    near.handshake().await;
    near.close().await;
    app.shutdown().await;
}

#[tokio::test]
async fn the_header_of_the_proxy_comes_before_tls() {
    let authority = Authority::new();
    let mut config = config(&authority, |_| {});
    config.proxy_protocol = true;
    let app = App::start(config).await.unwrap();
    let mut stream = TcpStream::connect(app.tls_addr().unwrap()).await.unwrap();
    stream.write_all(header("127.0.0.7").as_bytes()).await.unwrap();
    let connector = tokio_rustls::TlsConnector::from(std::sync::Arc::new(client(&authority, None)));
    let stream = connector.connect("localhost".try_into().unwrap(), stream).await.unwrap();
    let mut peer = through(stream).await;
    peer.handshake().await;
    peer.close().await;
    app.shutdown().await;
}

#[tokio::test]
async fn a_unix_socket_is_as_good_as_loopback_and_goes_with_the_broker() {
    let directory = tempfile::TempDir::new().unwrap();
    let path = directory.path().join("lepus.socket");
    let listen = vec![ANYWHERE.parse().unwrap()];
    let app =
        App::start(Config { listen, unix_socket: vec![path.clone()], ..Config::default() }).await.unwrap();
    let mut peer = through(UnixStream::connect(&path).await.unwrap()).await;
    peer.handshake().await;
    peer.open(1).await;
    peer.call(1, declare("near")).await;
    peer.close().await;
    app.shutdown().await;
    assert!(!path.exists());
}
