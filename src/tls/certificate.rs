//! The broker's own certificates: read, checked, chosen by the name that a client asks for (SNI), and their last day.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use super::pem::{self, fault};
use crate::clock::Timestamp;

/// A certificate that clients are shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// Its file.
    pub path: PathBuf,
    /// Whom it is for.
    pub subject: String,
    /// The names of hosts in it.
    pub names: Vec<String>,
    /// When it begins to be good.
    pub not_before: Timestamp,
    /// When it runs out.
    pub not_after: Timestamp,
}

impl Certificate {
    /// Whether clients accept it at `now`, as far as time goes.
    pub fn is_valid_at(&self, now: Timestamp) -> bool {
        (self.not_before..=self.not_after).contains(&now)
    }

    /// Whether it is meant for `host`. `*` stands for one label (RFC 6125 §6.4.3).
    fn is_for(&self, host: &str) -> bool {
        let wildcard = host.split_once('.').map(|(_, domain)| format!("*.{domain}"));
        let is = |name: &String| {
            name.eq_ignore_ascii_case(host)
                || wildcard.as_ref().is_some_and(|host| name.eq_ignore_ascii_case(host))
        };
        self.names.iter().any(is)
    }
}

/// Pairs of certificate and key, from files in the same order.
pub(super) fn read(
    certificates: &[PathBuf],
    keys: &[PathBuf],
    provider: &CryptoProvider,
) -> io::Result<Vec<(Certificate, Arc<CertifiedKey>)>> {
    certificates.iter().zip(keys).map(|(certificate, key)| pair(certificate, key, provider)).collect()
}

fn pair(path: &Path, key: &Path, provider: &CryptoProvider) -> io::Result<(Certificate, Arc<CertifiedKey>)> {
    let chain = pem::certificates(path)?;
    let first = chain.first().ok_or_else(|| fault(path, "holds no certificate"))?;
    let facts = facts(path, first)?;
    let certified = CertifiedKey::from_der(chain, pem::key(key)?, provider);
    let certified = certified
        .map_err(|error| fault(path, format!("and the key in {} do not fit: {error}", key.display())))?;
    Ok((facts, Arc::new(certified)))
}

fn facts(path: &Path, der: &[u8]) -> io::Result<Certificate> {
    let (_, parsed) = X509Certificate::from_der(der)
        .map_err(|error| fault(path, format!("holds a bad certificate: {error}")))?;
    let names = parsed.subject_alternative_name().ok().flatten();
    let names = names.iter().flat_map(|extension| &extension.value.general_names).filter_map(|name| {
        if let GeneralName::DNSName(name) = name { Some((*name).to_owned()) } else { None }
    });
    let moment =
        |seconds: i64| Timestamp::from_millis(u64::try_from(seconds).unwrap_or(0).saturating_mul(1000));
    Ok(Certificate {
        path: path.to_owned(),
        subject: super::name::distinguished(parsed.subject()),
        names: names.collect(),
        not_before: moment(parsed.validity().not_before.timestamp()),
        not_after: moment(parsed.validity().not_after.timestamp()),
    })
}

/// Chooses by name; a client that names no host of ours gets the first one.
pub(super) fn resolver(pairs: Vec<(Certificate, Arc<CertifiedKey>)>) -> Arc<dyn ResolvesServerCert> {
    Arc::new(ByName { pairs })
}

#[derive(Debug)]
struct ByName {
    pairs: Vec<(Certificate, Arc<CertifiedKey>)>,
}

impl ResolvesServerCert for ByName {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let named =
            hello.server_name().and_then(|host| self.pairs.iter().find(|(facts, _)| facts.is_for(host)));
        let (_, key) = named.or_else(|| self.pairs.first())?;
        Some(Arc::clone(key))
    }
}
