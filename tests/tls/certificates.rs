//! Certificates of the broker: chosen by name, exchanged while connections stay, and their last day.

use std::fs;

use lepus::app::App;
use lepus::config::{ClientVerification, LoginFrom};
use tokio_rustls::client::TlsStream;

use crate::authority::{Authority, Pair};
use crate::broker::{client, config, dial, shake_hands, start};
use crate::support::{Credentials, declare};

pub(crate) fn shown<S>(stream: &TlsStream<S>) -> Vec<u8> {
    stream.get_ref().1.peer_certificates().unwrap()[0].to_vec()
}

pub(crate) fn der(pair: &Pair) -> Vec<u8> {
    use rustls::pki_types::pem::PemObject;
    rustls::pki_types::CertificateDer::from_pem_slice(pair.certificate.as_bytes()).unwrap().to_vec()
}

#[tokio::test]
async fn a_client_is_shown_the_certificate_of_the_host_that_it_asks_for() {
    let authority = Authority::new();
    let (other, wild) = (authority.issue("other.example"), authority.issue("*.wild.example"));
    let app = start(&authority, |tls| {
        for pair in [&other, &wild] {
            tls.certificate.push(pair.certificate_file.clone());
            tls.key.push(pair.key_file.clone());
        }
    })
    .await;
    let address = app.tls_addr().unwrap();
    let stream = shake_hands(address, "other.example", client(&authority, None)).await.unwrap();
    assert_eq!(shown(&stream), der(&other));
    let stream = shake_hands(address, "any.wild.example", client(&authority, None)).await.unwrap();
    assert_eq!(shown(&stream), der(&wild));
    let error = shake_hands(address, "unknown.example", client(&authority, None)).await.unwrap_err();
    assert!(error.to_string().contains("not valid for name"), "{error}");
    app.shutdown().await;
}

#[tokio::test]
async fn certificates_are_exchanged_while_connections_stay() {
    let authority = Authority::new();
    let config = config(&authority, |_| {});
    let app = App::start(config.clone()).await.unwrap();
    let mut before = dial(&app, client(&authority, None)).await;
    before.handshake().await;
    before.open(1).await;

    // Into the same files, as programs that renew certificates do.
    let renewed = authority.issue("localhost");
    app.reload(&config).unwrap();
    let stream = shake_hands(app.tls_addr().unwrap(), "localhost", client(&authority, None)).await.unwrap();
    assert_eq!(shown(&stream), der(&renewed));
    before.call(1, declare("still")).await;
    before.close().await;
    app.shutdown().await;
}

/// The certificate is the proof: neither password nor name is sent.
#[tokio::test]
async fn sasl_external_logs_in_as_whom_the_certificate_names() {
    let authority = Authority::new();
    let app = start(&authority, |tls| {
        tls.verify = ClientVerification::Optional;
        tls.client_ca = Some(authority.file());
        tls.login_from = LoginFrom::CommonName;
    })
    .await;
    let external = Credentials { mechanism: "EXTERNAL", response: Vec::new(), ..Credentials::plain("", "") };

    let mut guest = dial(&app, client(&authority, Some(&authority.issue("guest")))).await;
    guest.handshake_with(&external, 0).await;
    guest.close().await;

    let mut unknown = dial(&app, client(&authority, Some(&authority.issue("nobody")))).await;
    unknown.receive_start().await;
    unknown.send(0, external.start_ok()).await;
    assert_eq!(unknown.expect(0, "connection.close").await.number("reply-code"), 403);

    // Without a certificate it is not even offered.
    let mut without = dial(&app, client(&authority, None)).await;
    let start = without.receive_start().await;
    assert!(!start.text("mechanisms").contains("EXTERNAL"));
    app.shutdown().await;
}

#[tokio::test]
async fn a_bad_renewal_changes_nothing() {
    let authority = Authority::new();
    let config = config(&authority, |_| {});
    let app = App::start(config.clone()).await.unwrap();
    let good = fs::read_to_string(&config.tls.key[0]).unwrap();
    fs::write(&config.tls.key[0], authority.issue("another").key).unwrap();
    let error = app.reload(&config).unwrap_err().to_string();
    assert!(error.contains("localhost.pem and the key in") && error.contains("do not fit"), "{error}");
    shake_hands(app.tls_addr().unwrap(), "localhost", client(&authority, None)).await.unwrap();
    fs::write(&config.tls.key[0], good).unwrap();
    app.reload(&config).unwrap();
    app.shutdown().await;
}

#[tokio::test]
async fn files_that_cannot_be_used_are_named_at_the_start() {
    let authority = Authority::new();
    let directory = tempfile::TempDir::new().unwrap();
    let file = |name: &str, text: &str| {
        let path = directory.path().join(name);
        fs::write(&path, text).unwrap();
        path
    };
    let empty = file("empty.pem", "");
    let locked = file(
        "locked.pem",
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
    );
    let missing = directory.path().join("missing.pem");
    for (certificate, key, reason) in [
        (Some(&empty), None, "empty.pem holds no certificate"),
        (Some(&missing), None, "missing.pem: No such file"),
        (None, Some(&empty), "empty.pem holds no private key"),
        (None, Some(&locked), "locked.pem holds a key with a password"),
    ] {
        let config = config(&authority, |tls| {
            tls.certificate.splice(.., certificate.cloned().or_else(|| tls.certificate.first().cloned()));
            tls.key.splice(.., key.cloned().or_else(|| tls.key.first().cloned()));
        });
        let error = App::start(config).await.unwrap_err().to_string();
        assert!(error.contains(reason), "{error}");
    }
}

#[tokio::test]
async fn the_last_day_of_a_certificate_can_be_read() {
    let authority = Authority::new();
    let app = start(&authority, |tls| {
        let old = authority.issue_expired("old.example");
        tls.certificate.push(old.certificate_file);
        tls.key.push(old.key_file);
    })
    .await;
    let identity = app.tls().unwrap().identity();
    let now = app.broker().clock.now();
    let valid: Vec<bool> =
        identity.certificates().iter().map(|certificate| certificate.is_valid_at(now)).collect();
    assert_eq!(valid, [true, false]);
    // 2001-01-01
    assert_eq!(identity.certificates()[1].not_after.as_millis(), 978_307_200_000);
    assert_eq!(identity.certificates()[1].subject, "CN=old.example");
    app.shutdown().await;
}
