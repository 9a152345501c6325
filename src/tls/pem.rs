//! PEM files.

use std::fs;
use std::io;
use std::path::Path;

use rustls::RootCertStore;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// Octets of the largest file: bundles of all public authorities have a quarter of a megabyte.
const FILE_MAX: u64 = 4 * 1024 * 1024;

/// The certificates in a file, at least one.
pub(super) fn certificates(path: &Path) -> io::Result<Vec<CertificateDer<'static>>> {
    let text = read(path)?;
    let certificates: Result<Vec<_>, pem::Error> = CertificateDer::pem_slice_iter(&text).collect();
    let certificates = certificates.map_err(|error| fault(path, format!("is not PEM: {error}")))?;
    if certificates.is_empty() {
        return Err(fault(path, "holds no certificate (-----BEGIN CERTIFICATE-----)"));
    }
    Ok(certificates)
}

/// The first private key in a file.
pub(super) fn key(path: &Path) -> io::Result<PrivateKeyDer<'static>> {
    let text = read(path)?;
    if text.windows(9).any(|octets| octets == b"ENCRYPTED") {
        return Err(fault(path, "holds a key with a password, which cannot be used: store it without one"));
    }
    match PrivateKeyDer::from_pem_slice(&text) {
        Ok(key) => Ok(key),
        Err(pem::Error::NoItemsFound) => {
            Err(fault(path, "holds no private key (-----BEGIN PRIVATE KEY-----)"))
        }
        Err(error) => Err(fault(path, format!("is not PEM: {error}"))),
    }
}

/// The authorities in a file.
pub(super) fn roots(path: &Path) -> io::Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        roots.add(certificate).map_err(|error| fault(path, format!("holds a bad authority: {error}")))?;
    }
    Ok(roots)
}

/// An error that begins with the file's name.
pub(super) fn fault(path: &Path, what: impl std::fmt::Display) -> io::Error {
    io::Error::other(format!("{} {what}", path.display()))
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let told =
        |error: io::Error| io::Error::new(error.kind(), format!("cannot read {}: {error}", path.display()));
    let size = fs::metadata(path).map_err(told)?.len();
    if size > FILE_MAX {
        return Err(fault(path, format!("has {size} octets, more than {FILE_MAX}")));
    }
    fs::read(path).map_err(told)
}
