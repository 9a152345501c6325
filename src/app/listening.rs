//! What is listened on, and the certificates that clients are shown there.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use crate::clock::Timestamp;
use crate::config::{Config, TlsSettings};
use crate::server::{Listener, Transport};
use crate::tls::{Certificate, Identity, Tls};

/// Milliseconds before its end from which on a certificate is warned of: a month, as authorities do.
const RENEWAL_MS: u64 = 30 * 24 * 60 * 60 * 1000;

/// Every listener, and what comes before AMQP there.
#[derive(Debug)]
pub(super) struct Listening {
    pub(super) listeners: Vec<(Listener, Transport)>,
    pub(super) tls: Option<Arc<Tls>>,
    /// Addresses without TLS.
    pub(super) addresses: Vec<SocketAddr>,
    /// Addresses with TLS.
    pub(super) tls_addresses: Vec<SocketAddr>,
}

impl Listening {
    /// Listens on all that `config` names. Nothing is accepted yet.
    ///
    /// # Errors
    /// When something cannot be listened on, or a certificate cannot be used.
    pub(super) async fn start(config: &Config, now: Timestamp) -> io::Result<Self> {
        let tls =
            if config.tls.is_on() { Some(Arc::new(Tls::new(identity(&config.tls, now)?))) } else { None };
        let mut listening =
            Self { listeners: Vec::new(), tls, addresses: Vec::new(), tls_addresses: Vec::new() };
        for address in &config.listen {
            let transport = Transport { proxy: config.proxy_protocol, tls: None };
            let address = listening.add(Listener::tcp(*address).await?, transport);
            listening.addresses.extend(address);
        }
        if let Some(tls) = listening.tls.clone() {
            for address in &config.tls.listen {
                let transport = Transport { proxy: config.proxy_protocol, tls: Some(Arc::clone(&tls)) };
                let address = listening.add(Listener::tcp(*address).await?, transport);
                listening.tls_addresses.extend(address);
            }
        }
        for path in &config.unix_socket {
            listening.add(Listener::unix(path)?, Transport::default());
        }
        Ok(listening)
    }

    fn add(&mut self, listener: Listener, transport: Transport) -> Option<SocketAddr> {
        let address = listener.address();
        self.listeners.push((listener, transport));
        address
    }

    /// Tells where. Programs that start the broker wait for these lines.
    pub(super) fn tell(&self) {
        for (listener, transport) in &self.listeners {
            match listener {
                Listener::Unix(_, path) => {
                    tracing::info!(path = %path.display(), "listening for AMQP at a Unix socket");
                }
                Listener::Tcp(_) => {
                    let Some(address) = listener.address() else { continue };
                    if transport.tls.is_some() {
                        tracing::info!(%address, "listening for AMQP over TLS");
                    } else {
                        tracing::info!(%address, "listening for AMQP 0-9-1");
                    }
                }
            }
        }
    }
}

/// Reads the certificates, and warns of those that clients will not accept, or soon not any more.
///
/// # Errors
/// When one cannot be used.
pub(super) fn identity(settings: &TlsSettings, now: Timestamp) -> io::Result<Identity> {
    let identity = Identity::read(settings)?;
    for certificate in identity.certificates() {
        tell_of(certificate, now);
    }
    Ok(identity)
}

fn tell_of(certificate: &Certificate, now: Timestamp) {
    let (path, subject) = (certificate.path.display(), &certificate.subject);
    let days = certificate.not_after.millis_since(now) / (24 * 60 * 60 * 1000);
    if now > certificate.not_after {
        tracing::warn!(%path, %subject, "certificate has expired: clients will refuse it");
    } else if now < certificate.not_before {
        tracing::warn!(%path, %subject, "certificate is not valid yet: clients will refuse it");
    } else if certificate.not_after.millis_since(now) < RENEWAL_MS {
        tracing::warn!(%path, %subject, days, "certificate expires soon");
    } else {
        tracing::info!(%path, %subject, days, "certificate");
    }
}
