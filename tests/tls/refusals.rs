//! Whoever gets no connection is told so by TLS's own means, and harms nobody else.

use std::io;
use std::time::Duration;

use lepus::app::App;
use lepus::config::{ClientVerification, TlsVersion};
use rustls::{AlertDescription, ClientConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::authority::Authority;
use crate::broker::{client, client_of, dial, shake_hands, start};
use crate::support::Peer;

const PROTOCOL_HEADER: &[u8] = b"AMQP\x00\x00\x09\x01";

/// The alert that a client gets. With TLS 1.3 it comes after the client's part of the handshake.
async fn alert(app: &App, client: ClientConfig) -> AlertDescription {
    let talk = async {
        let mut stream = shake_hands(app.tls_addr().unwrap(), "localhost", client).await?;
        stream.write_all(PROTOCOL_HEADER).await?;
        stream.read_u8().await
    };
    let error: io::Error = talk.await.expect_err("there is no connection");
    match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        Some(rustls::Error::AlertReceived(alert)) => *alert,
        other => panic!("{error}: {other:?}"),
    }
}

async fn serves(app: &App, client: ClientConfig) {
    let mut peer = dial(app, client).await;
    peer.handshake().await;
    peer.close().await;
}

#[tokio::test]
async fn clients_must_show_a_good_certificate_where_that_is_required() {
    let (authority, stranger) = (Authority::new(), Authority::named("Stranger"));
    let app = start(&authority, |tls| {
        tls.verify = ClientVerification::Require;
        tls.client_ca = Some(authority.file());
    })
    .await;
    assert_eq!(alert(&app, client(&authority, None)).await, AlertDescription::CertificateRequired);
    let expired = authority.issue_expired("late");
    assert_eq!(alert(&app, client(&authority, Some(&expired))).await, AlertDescription::CertificateExpired);
    let unknown = stranger.issue("stranger");
    assert_eq!(alert(&app, client(&authority, Some(&unknown))).await, AlertDescription::UnknownCA);
    serves(&app, client(&authority, Some(&authority.issue("worker")))).await;
    app.shutdown().await;
}

#[tokio::test]
async fn an_optional_certificate_may_be_missing_but_not_bad() {
    let (authority, stranger) = (Authority::new(), Authority::named("Stranger"));
    let app = start(&authority, |tls| {
        tls.verify = ClientVerification::Optional;
        tls.client_ca = Some(authority.file());
    })
    .await;
    serves(&app, client(&authority, None)).await;
    serves(&app, client(&authority, Some(&authority.issue("worker")))).await;
    let unknown = stranger.issue("stranger");
    assert_eq!(alert(&app, client(&authority, Some(&unknown))).await, AlertDescription::UnknownCA);
    app.shutdown().await;
}

#[tokio::test]
async fn an_old_version_is_refused() {
    let authority = Authority::new();
    let app = start(&authority, |tls| tls.version_min = TlsVersion::V1_3).await;
    let old = client_of(&authority, None, &[&rustls::version::TLS12]);
    assert_eq!(alert(&app, old).await, AlertDescription::ProtocolVersion);
    serves(&app, client(&authority, None)).await;
    app.shutdown().await;
}

/// A fatal alert (RFC 8446 §5.1, §6), then the end.
async fn expect_alert(stream: &mut TcpStream) {
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    assert_eq!(answer.first(), Some(&21), "{answer:?}");
}

#[tokio::test]
async fn what_is_not_tls_gets_an_alert_and_the_end() {
    let authority = Authority::new();
    let app = start(&authority, |_| {}).await;
    let mut bystander = dial(&app, client(&authority, None)).await;
    bystander.handshake().await;
    for octets in [PROTOCOL_HEADER, b"GET / HTTP/1.1\r\n\r\n", &[0xff; 64], &[0; 64]] {
        let mut stream = TcpStream::connect(app.tls_addr().unwrap()).await.unwrap();
        stream.write_all(octets).await.unwrap();
        expect_alert(&mut stream).await;
    }
    bystander.open(1).await;
    bystander.close().await;
    app.shutdown().await;
}

#[tokio::test]
async fn who_does_not_shake_hands_is_closed_in_time() {
    let authority = Authority::new();
    let app = start(&authority, |tls| tls.handshake_timeout = Duration::from_millis(50)).await;
    let mut silent = TcpStream::connect(app.tls_addr().unwrap()).await.unwrap();
    assert_eq!(silent.read(&mut [0; 8]).await.unwrap(), 0);
    serves(&app, client(&authority, None)).await;
    app.shutdown().await;
}

#[tokio::test]
async fn who_does_not_shake_hands_does_not_hold_up_the_stop() {
    let authority = Authority::new();
    let app = start(&authority, |tls| tls.handshake_timeout = Duration::from_secs(3600)).await;
    let mut silent = TcpStream::connect(app.tls_addr().unwrap()).await.unwrap();
    // Served: so the silent one before it has been accepted.
    serves(&app, client(&authority, None)).await;
    app.shutdown().await;
    assert_eq!(silent.read(&mut [0; 8]).await.unwrap(), 0);
}

#[tokio::test]
async fn tls_on_the_plain_port_gets_the_protocol_header_and_the_end() {
    let authority = Authority::new();
    let app = start(&authority, |_| {}).await;
    assert!(shake_hands(app.local_addr(), "localhost", client(&authority, None)).await.is_err());
    let mut peer = Peer::dial(app.local_addr()).await;
    peer.handshake().await;
    peer.close().await;
    app.shutdown().await;
}
