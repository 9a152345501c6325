//! TLS: certificates from files, which can be exchanged while connections stay; who a client's certificate says it is.
//!
//! ```text
//!   settings -> Identity (files read and checked) -> Tls::replace -> the next handshake
//!   accept: handshake -> the stream, and the name in the client's certificate for SASL EXTERNAL
//! ```

mod certificate;
mod name;
mod pem;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::RwLock;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::{ServerConfig, ServerConnection, SupportedProtocolVersion, version};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::config::{ClientVerification, TlsSettings, TlsVersion};
use crate::name::Name;

pub use certificate::Certificate;

/// TLS of the broker's listeners.
#[derive(Debug)]
pub struct Tls {
    identity: RwLock<Arc<Identity>>,
}

/// What handshakes are made with: all that was read from the files of one configuration.
#[derive(Debug)]
pub struct Identity {
    acceptor: Arc<ServerConfig>,
    /// Asks nobody for a certificate.
    open_acceptor: Arc<ServerConfig>,
    settings: TlsSettings,
    certificates: Vec<Certificate>,
}

/// A client that has shaken hands.
#[derive(Debug)]
pub struct Accepted<S> {
    /// What it sends and receives.
    pub stream: TlsStream<S>,
    /// What was agreed on.
    pub secured: Secured,
}

/// What a client and the broker agreed on, and who the client says it is.
#[derive(Clone, Debug)]
pub struct Secured {
    /// The version, such as `TLSv1_3`.
    pub version: String,
    /// The cipher suite, such as `TLS13_AES_256_GCM_SHA384`.
    pub cipher: String,
    /// The subject of the client's certificate, if it showed one.
    pub subject: Option<String>,
    /// Whom its certificate names; `None` without a certificate, or if there is no such name in it.
    pub certified: Option<Name>,
}

impl Identity {
    /// Reads the files.
    ///
    /// # Errors
    /// When a file cannot be used; says which and why.
    pub fn read(settings: &TlsSettings) -> io::Result<Self> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let pairs = certificate::read(&settings.certificate, &settings.key, &provider)?;
        let certificates = pairs.iter().map(|(certificate, _)| certificate.clone()).collect();
        let resolver = certificate::resolver(pairs);
        let acceptor = |verifier: Option<Arc<dyn ClientCertVerifier>>| {
            let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
                .with_protocol_versions(&versions(settings.version_min))
                .map_err(io::Error::other)?;
            let builder = match verifier {
                None => builder.with_no_client_auth(),
                Some(verifier) => builder.with_client_cert_verifier(verifier),
            };
            Ok::<_, io::Error>(Arc::new(builder.with_cert_resolver(Arc::clone(&resolver))))
        };
        Ok(Self {
            acceptor: acceptor(verifier(settings, &provider)?)?,
            open_acceptor: acceptor(None)?,
            settings: settings.clone(),
            certificates,
        })
    }

    /// The certificates that clients are shown.
    pub fn certificates(&self) -> &[Certificate] {
        &self.certificates
    }
}

fn versions(least: TlsVersion) -> Vec<&'static SupportedProtocolVersion> {
    match least {
        TlsVersion::V1_2 => vec![&version::TLS12, &version::TLS13],
        TlsVersion::V1_3 => vec![&version::TLS13],
    }
}

/// Checks clients' certificates; `None` where they are not asked for any.
fn verifier(
    settings: &TlsSettings,
    provider: &Arc<rustls::crypto::CryptoProvider>,
) -> io::Result<Option<Arc<dyn ClientCertVerifier>>> {
    let roots = match (settings.verify, &settings.client_ca) {
        (ClientVerification::None, _) | (_, None) => return Ok(None),
        (ClientVerification::Optional | ClientVerification::Require, Some(path)) => pem::roots(path)?,
    };
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider));
    let builder = match settings.verify {
        ClientVerification::Optional => builder.allow_unauthenticated(),
        ClientVerification::None | ClientVerification::Require => builder,
    };
    builder.build().map(Some).map_err(io::Error::other)
}

impl Tls {
    /// Shakes hands with `identity` until another one replaces it.
    pub fn new(identity: Identity) -> Self {
        Self { identity: RwLock::new(Arc::new(identity)) }
    }

    /// The next handshakes are made with `identity`; connections that are open go on.
    pub fn replace(&self, identity: Identity) {
        *self.identity.write() = Arc::new(identity);
    }

    /// What handshakes are made with now.
    pub fn identity(&self) -> Arc<Identity> {
        Arc::clone(&self.identity.read())
    }

    /// Shakes hands with a client, within the time that it may take.
    ///
    /// # Errors
    /// When there is no understanding. The client has been sent an alert where it can take one.
    pub async fn accept<S>(&self, stream: S) -> io::Result<Accepted<S>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let identity = self.identity();
        let stream = shake_hands(&identity.acceptor, stream, &identity.settings).await?;
        let secured = Secured::of(stream.get_ref().1, &identity.settings);
        Ok(Accepted { stream, secured })
    }

    /// As [`Self::accept`], for who is not asked for a certificate, whatever the settings say: it logs in otherwise.
    ///
    /// # Errors
    /// As for [`Self::accept`].
    pub async fn accept_anyone<S>(&self, stream: S) -> io::Result<TlsStream<S>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let identity = self.identity();
        shake_hands(&identity.open_acceptor, stream, &identity.settings).await
    }
}

async fn shake_hands<S>(
    acceptor: &Arc<ServerConfig>,
    stream: S,
    settings: &TlsSettings,
) -> io::Result<TlsStream<S>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let handshake = TlsAcceptor::from(Arc::clone(acceptor)).accept(stream);
    within(settings.handshake_timeout, handshake).await.map_err(explained)
}

impl Secured {
    fn of(connection: &ServerConnection, settings: &TlsSettings) -> Self {
        let certificate = connection.peer_certificates().and_then(|chain| chain.first());
        let text = |value: Option<String>| value.unwrap_or_default();
        Self {
            version: text(connection.protocol_version().map(|version| format!("{version:?}"))),
            cipher: text(connection.negotiated_cipher_suite().map(|suite| format!("{:?}", suite.suite()))),
            subject: certificate.and_then(|certificate| name::subject(certificate)),
            certified: certificate.and_then(|certificate| name::of(certificate, settings)),
        }
    }
}

/// Says what an operator can do about the usual errors.
fn explained(error: io::Error) -> io::Error {
    let text = match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        Some(rustls::Error::InvalidMessage(_)) => {
            "the client does not speak TLS: it needs an amqps:// address, or the port without TLS".to_owned()
        }
        Some(rustls::Error::NoCertificatesPresented) => {
            "the client showed no certificate, and tls.verify is \"require\"".to_owned()
        }
        Some(rustls::Error::InvalidCertificate(fault)) => {
            format!("the client's certificate is refused: {fault}")
        }
        Some(rustls::Error::AlertReceived(alert)) => {
            format!("the client does not accept the broker: {alert:?}")
        }
        Some(_) | None => return error,
    };
    io::Error::new(error.kind(), text)
}

async fn within<T>(limit: Duration, handshake: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    let late =
        |_| io::Error::new(io::ErrorKind::TimedOut, "the client did not finish the TLS handshake in time");
    tokio::time::timeout(limit, handshake).await.map_err(late)?
}
