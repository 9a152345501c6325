//! A broker with TLS in this process, and clients that shake hands with it.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use lepus::app::App;
use lepus::config::{Config, TlsSettings};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::authority::{Authority, Pair};
use crate::support::Peer;

/// Any free port of loopback.
pub(crate) const ANYWHERE: &str = "127.0.0.1:0";

/// Starts a broker with a certificate for `localhost`, and settings of the test's choice.
pub(crate) async fn start(authority: &Authority, configure: impl FnOnce(&mut TlsSettings)) -> App {
    App::start(config(authority, configure)).await.unwrap()
}

pub(crate) fn config(authority: &Authority, configure: impl FnOnce(&mut TlsSettings)) -> Config {
    let pair = authority.issue("localhost");
    let mut config = Config { listen: vec![ANYWHERE.parse().unwrap()], ..Config::default() };
    config.tls.listen = vec![ANYWHERE.parse().unwrap()];
    config.tls.certificate = vec![pair.certificate_file];
    config.tls.key = vec![pair.key_file];
    configure(&mut config.tls);
    config
}

/// A client that trusts `authority`, with or without a certificate of its own.
pub(crate) fn client(authority: &Authority, own: Option<&Pair>) -> ClientConfig {
    client_of(authority, own, rustls::DEFAULT_VERSIONS)
}

pub(crate) fn client_of(
    authority: &Authority,
    own: Option<&Pair>,
    versions: &[&'static SupportedProtocolVersion],
) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.pem.as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_protocol_versions(versions).unwrap();
    let builder = builder.with_root_certificates(roots);
    match own {
        None => builder.with_no_client_auth(),
        Some(pair) => {
            let certificate = CertificateDer::from_pem_slice(pair.certificate.as_bytes()).unwrap();
            let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).unwrap();
            builder.with_client_auth_cert(vec![certificate], key).unwrap()
        }
    }
}

/// Shakes hands as one that wants to talk to `host`.
pub(crate) async fn shake_hands(
    address: SocketAddr,
    host: &str,
    client: ClientConfig,
) -> io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(address).await?;
    let host = ServerName::try_from(host.to_owned()).unwrap();
    TlsConnector::from(Arc::new(client)).connect(host, stream).await
}

/// A scripted peer whose octets go through TLS.
pub(crate) async fn dial(app: &App, client: ClientConfig) -> Peer {
    let stream = shake_hands(app.tls_addr().unwrap(), "localhost", client).await.unwrap();
    through(stream).await
}

/// A scripted peer whose octets go through `stream`.
pub(crate) async fn through<S>(mut stream: S) -> Peer
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let tunnel = TcpListener::bind(ANYWHERE).await.unwrap();
    let address = tunnel.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut end, _) = tunnel.accept().await.unwrap();
        // The peer sees an end without close_notify as the end too.
        let _ = tokio::io::copy_bidirectional(&mut end, &mut stream).await;
    });
    Peer::dial(address).await
}
