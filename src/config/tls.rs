//! The section `[tls]`.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use super::setting::settings;
use super::value::choices;

/// The port of AMQP over TLS.
const AMQPS_PORT: u16 = 5671;

settings! {
    /// TLS. There is none without a certificate.
    pub struct TlsSettings {
        /// Addresses and ports to listen on for AMQP over TLS, once there is a certificate; a port alone is every
        /// address.
        listen: Vec<SocketAddr> = vec![SocketAddr::from((Ipv4Addr::LOCALHOST, AMQPS_PORT))];

        /// PEM file of the certificate and those that vouch for it. Of several, a client gets the one for the host that
        /// it asks for (SNI), or else the first. The files are read again on SIGHUP.
        certificate: Vec<PathBuf> = Vec::new(), reloads;

        /// PEM file of the certificate's private key, without a password; as many as certificates, in their order.
        key: Vec<PathBuf> = Vec::new(), reloads;

        /// PEM file of the authorities that vouch for clients' certificates.
        client_ca: Option<PathBuf> = None, reloads;

        /// Whether clients show certificates: none (they are not asked), optional, require.
        verify: ClientVerification = ClientVerification::None, reloads;

        /// The least version: 1.2 or 1.3.
        version_min: TlsVersion = TlsVersion::V1_2, reloads;

        /// Which part of a client's certificate is its user for SASL EXTERNAL: distinguished_name, common_name or
        /// subject_alternative_name.
        login_from: LoginFrom = LoginFrom::DistinguishedName, reloads;

        /// Which kind of alternative name: dns, ip, email or uri.
        san_type: SanType = SanType::Dns, reloads;

        /// Which alternative name of that kind, counted from 0.
        san_index: usize = 0, reloads;

        /// Time that the TLS handshake may take.
        handshake_timeout: Duration = Duration::from_secs(5), reloads;
    }
}

impl TlsSettings {
    /// Whether there is a certificate, and so TLS.
    pub fn is_on(&self) -> bool {
        !self.certificate.is_empty()
    }

    /// Settings that do not go together, with the reason.
    pub(super) fn faults(&self) -> Vec<(&'static str, String)> {
        let mut faults = Vec::new();
        let (certificates, keys) = (self.certificate.len(), self.key.len());
        if certificates != keys {
            let text = format!("{keys} keys for {certificates} certificates: each certificate needs its key");
            faults.push(("tls.key", text));
        }
        if self.verify != ClientVerification::None && self.client_ca.is_none() {
            faults.push((
                "tls.verify",
                "clients' certificates are checked with tls.client_ca: set it".to_owned(),
            ));
        }
        faults
    }
}

/// Whether clients show certificates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientVerification {
    /// They are not asked for any.
    None,
    /// They may; a bad one is refused.
    Optional,
    /// They must.
    Require,
}

choices!(ClientVerification { "none" => None, "optional" => Optional, "require" => Require });

/// A version of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsVersion {
    /// RFC 5246.
    V1_2,
    /// RFC 8446.
    V1_3,
}

choices!(TlsVersion { "1.2" => V1_2, "1.3" => V1_3 });

/// Which part of a certificate names the user (RabbitMQ: ssl_cert_login_from).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoginFrom {
    /// The whole subject.
    DistinguishedName,
    /// The subject's common name.
    CommonName,
    /// One of the alternative names.
    SubjectAlternativeName,
}

choices!(LoginFrom {
    "distinguished_name" => DistinguishedName,
    "common_name" => CommonName,
    "subject_alternative_name" => SubjectAlternativeName,
});

/// A kind of alternative name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SanType {
    /// A host.
    Dns,
    /// An address.
    Ip,
    /// A mailbox.
    Email,
    /// A URI.
    Uri,
}

choices!(SanType { "dns" => Dns, "ip" => Ip, "email" => Email, "uri" => Uri });
