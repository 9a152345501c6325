//! An authority for tests: it makes certificates in a directory of its own.

use std::fs;
use std::path::PathBuf;

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    date_time_ymd,
};
use tempfile::TempDir;

pub(crate) struct Authority {
    directory: TempDir,
    issuer: Issuer<'static, KeyPair>,
    pub(crate) pem: String,
}

/// A certificate and its key, as text and as files.
#[derive(Clone)]
pub(crate) struct Pair {
    pub(crate) certificate: String,
    pub(crate) key: String,
    pub(crate) certificate_file: PathBuf,
    pub(crate) key_file: PathBuf,
}

impl Authority {
    pub(crate) fn new() -> Self {
        Self::named("Authority")
    }

    pub(crate) fn named(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        params.distinguished_name = named(name);
        let pem = params.self_signed(&key).unwrap().pem();
        let directory = TempDir::new().unwrap();
        fs::write(directory.path().join("ca.pem"), &pem).unwrap();
        Self { directory, issuer: Issuer::new(params, key), pem }
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.directory.path().join("ca.pem")
    }

    /// A certificate for a host, or for a user.
    pub(crate) fn issue(&self, name: &str) -> Pair {
        self.issue_with(name, |_| {})
    }

    pub(crate) fn issue_expired(&self, name: &str) -> Pair {
        self.issue_with(name, |params| {
            params.not_before = date_time_ymd(2000, 1, 1);
            params.not_after = date_time_ymd(2001, 1, 1);
        })
    }

    fn issue_with(&self, name: &str, change: impl FnOnce(&mut CertificateParams)) -> Pair {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.distinguished_name = named(name);
        change(&mut params);
        let certificate = params.signed_by(&key, &self.issuer).unwrap().pem();
        let directory = self.directory.path();
        let pair = Pair {
            certificate,
            key: key.serialize_pem(),
            certificate_file: directory.join(format!("{name}.pem")),
            key_file: directory.join(format!("{name}.key")),
        };
        fs::write(&pair.certificate_file, &pair.certificate).unwrap();
        fs::write(&pair.key_file, &pair.key).unwrap();
        pair
    }
}

fn named(name: &str) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    distinguished.push(DnType::CommonName, name);
    distinguished
}
