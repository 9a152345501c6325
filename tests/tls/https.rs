//! The management API and metrics over TLS.

use std::net::SocketAddr;
use std::process::Command;

use lepus::app::App;
use lepus::config::ClientVerification;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::authority::Authority;
use crate::broker::{ANYWHERE, client, config, shake_hands};
use crate::certificates::{der, shown};

async fn start(authority: &Authority) -> (lepus::config::Config, App) {
    let mut config = config(authority, |_| {});
    let anywhere = ANYWHERE.parse().unwrap();
    config.management.tls_listen = vec![anywhere];
    config.management.listen = vec![anywhere];
    config.prometheus.tls_listen = vec![anywhere];
    let app = App::start(config.clone()).await.unwrap();
    (config, app)
}

/// The status line and body of a GET.
async fn get(authority: &Authority, address: SocketAddr, path: &str) -> String {
    let mut stream = shake_hands(address, "localhost", client(authority, None)).await.unwrap();
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAuthorization: Basic Z3Vlc3Q6Z3Vlc3Q=\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    String::from_utf8(answer).unwrap()
}

#[tokio::test]
async fn the_api_and_metrics_are_served_over_tls() {
    let authority = Authority::new();
    let (_, app) = start(&authority).await;
    let (api, metrics) = (app.management_tls_addr().unwrap(), app.metrics_tls_addr().unwrap());
    let overview = get(&authority, api, "/api/overview").await;
    assert!(overview.starts_with("HTTP/1.1 200 "), "{overview}");
    assert!(
        overview.contains("\"protocol\":\"https\"") && overview.contains("\"https/prometheus\""),
        "{overview}"
    );
    assert!(get(&authority, metrics, "/metrics").await.contains("rabbitmq_identity_info"));
    let listed = get(&authority, api, "/api/health/checks/protocol-listener/https").await;
    assert!(listed.starts_with("HTTP/1.1 200 "), "{listed}");
    app.shutdown().await;
}

#[tokio::test]
async fn who_browses_is_asked_for_no_certificate_though_amqp_clients_are() {
    let authority = Authority::new();
    let mut config = config(&authority, |tls| {
        tls.verify = ClientVerification::Require;
        tls.client_ca = Some(authority.file());
    });
    config.management.tls_listen = vec![ANYWHERE.parse().unwrap()];
    let app = App::start(config).await.unwrap();
    let answer = get(&authority, app.management_tls_addr().unwrap(), "/api/whoami").await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    app.shutdown().await;
}

#[tokio::test]
async fn its_certificate_is_exchanged_with_the_others() {
    let authority = Authority::new();
    let (config, app) = start(&authority).await;
    let renewed = authority.issue("localhost");
    app.reload(&config).unwrap();
    let api = app.management_tls_addr().unwrap();
    let stream = shake_hands(api, "localhost", client(&authority, None)).await.unwrap();
    assert_eq!(shown(&stream), der(&renewed));
    app.shutdown().await;
}

#[tokio::test]
async fn what_is_no_tls_is_closed_and_harms_nobody() {
    let authority = Authority::new();
    let (_, app) = start(&authority).await;
    let api = app.management_tls_addr().unwrap();
    let mut plain = TcpStream::connect(api).await.unwrap();
    plain.write_all(b"GET /api/overview HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    let _cut_off = plain.read_to_end(&mut answer).await;
    assert!(!answer.starts_with(b"HTTP"), "{answer:?}");
    assert!(get(&authority, api, "/api/whoami").await.starts_with("HTTP/1.1 200 "));
    app.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_speaks_https_with_whom_it_trusts() {
    let authority = Authority::new();
    let (_, app) = start(&authority).await;
    let url = format!("https://localhost:{}", app.management_tls_addr().unwrap().port());
    let ca = authority.file();
    let run = |arguments: &[&str]| {
        Command::new(env!("CARGO_BIN_EXE_lepus"))
            .args(["queue", "list", "--format", "json", "--url", &url])
            .args(arguments)
            .env_clear()
            .output()
            .unwrap()
    };
    let trusting = run(&["--ca-file", ca.to_str().unwrap()]);
    assert!(trusting.status.success(), "{trusting:?}");
    assert_eq!(trusting.stdout, b"[]\n");
    let stranger = run(&[]);
    assert_eq!(stranger.status.code(), Some(69), "{stranger:?}");
    assert!(String::from_utf8_lossy(&stranger.stderr).contains("invalid peer certificate"), "{stranger:?}");
    app.shutdown().await;
}
