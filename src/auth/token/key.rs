//! Keys that check signatures: from files, from a server's list, or a shared secret.

use std::io;
use std::path::Path;

use jsonwebtoken::jwk::{AlgorithmParameters, Jwk, PublicKeyUse};
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey};
use serde_json::Value;
use x509_parser::oid_registry::{OID_KEY_TYPE_EC_PUBLIC_KEY, OID_PKCS1_RSAENCRYPTION, OID_SIG_ED25519};
use x509_parser::pem::Pem;
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::x509::SubjectPublicKeyInfo;

/// Octets of a file of keys, and of a server's list: some hundred keys.
pub(super) const KEYS_OCTETS_MAX: u64 = 512 * 1024;

/// Keys of a server's list that are taken.
const KEYS_MAX: usize = 128;

/// A key and what it is for.
#[derive(Clone, Debug)]
pub(super) struct Key {
    /// Its name in tokens (`kid`).
    pub(super) id: Option<String>,
    /// The one algorithm that it is for, if it says so.
    algorithm: Option<Algorithm>,
    pub(super) decoding: DecodingKey,
}

impl Key {
    /// A secret that is shared with whoever signs.
    pub(super) fn secret(secret: &str) -> Self {
        Self { id: None, algorithm: None, decoding: DecodingKey::from_secret(secret.as_bytes()) }
    }

    /// Whether it may check a signature of this algorithm: a public key is never taken for a secret.
    pub(super) fn is_for(&self, algorithm: Algorithm) -> bool {
        self.decoding.family() == algorithm.family() && self.algorithm.is_none_or(|own| own == algorithm)
    }

    /// The public key of a file: PEM, a certificate's too, or a JWK, or the one of a list of those. It gets this name.
    pub(super) fn read(id: &str, path: &Path) -> io::Result<Self> {
        let fault = |what: String| io::Error::other(format!("key '{id}' in {}: {what}", path.display()));
        let size = std::fs::metadata(path).map_err(|error| fault(error.to_string()))?.len();
        if size > KEYS_OCTETS_MAX {
            return Err(fault(format!("{size} octets are no key")));
        }
        let text = std::fs::read(path).map_err(|error| fault(error.to_string()))?;
        let key = if text.trim_ascii_start().starts_with(b"{") { json(&text) } else { pem(&text) };
        Ok(Self { id: Some(id.to_owned()), ..key.map_err(fault)? })
    }

    fn jwk(value: Value) -> Result<Self, String> {
        let jwk: Jwk = serde_json::from_value(value).map_err(|error| error.to_string())?;
        if jwk.common.public_key_use == Some(PublicKeyUse::Encryption) {
            return Err("it is for encryption".to_owned());
        }
        if matches!(jwk.algorithm, AlgorithmParameters::OctetKey(_)) {
            return Err("it is a secret: one is set with oauth2.symmetric_key".to_owned());
        }
        let decoding = DecodingKey::from_jwk(&jwk).map_err(|error| error.to_string())?;
        let algorithm = jwk.common.key_algorithm.map(Algorithm::try_from).transpose();
        let algorithm = algorithm.map_err(|_| "its algorithm signs no tokens".to_owned())?;
        Ok(Self { id: jwk.common.key_id, algorithm, decoding })
    }

    fn of(family: AlgorithmFamily, key: &[u8]) -> Self {
        let decoding = match family {
            AlgorithmFamily::Rsa => DecodingKey::from_rsa_der(key),
            AlgorithmFamily::Ec => DecodingKey::from_ec_der(key),
            AlgorithmFamily::Ed => DecodingKey::from_ed_der(key),
            AlgorithmFamily::Hmac => DecodingKey::from_secret(key),
        };
        Self { id: None, algorithm: None, decoding }
    }
}

/// The keys of a server's list (RFC 7517 §5). Those that cannot be used are left out, as the RFC wants it.
///
/// # Errors
/// When it is no list of keys.
pub(super) fn listed(text: &[u8]) -> Result<Vec<Key>, String> {
    let mut list: Value = serde_json::from_slice(text).map_err(|error| format!("it is no JSON: {error}"))?;
    let Some(Value::Array(keys)) = list.get_mut("keys").map(Value::take) else {
        return Err("it has no list of keys".to_owned());
    };
    let usable = |value: Value| {
        let id = value.get("kid").and_then(Value::as_str).map(str::to_owned);
        let key = Key::jwk(value);
        key.inspect_err(|reason| tracing::debug!(?id, reason, "a key of tokens is left out")).ok()
    };
    Ok(keys.into_iter().take(KEYS_MAX).filter_map(usable).collect())
}

fn json(text: &[u8]) -> Result<Key, String> {
    let value: Value = serde_json::from_slice(text).map_err(|error| error.to_string())?;
    if value.get("keys").is_none() {
        return Key::jwk(value);
    }
    let [key] = <[Key; 1]>::try_from(listed(text)?)
        .map_err(|keys| format!("{} keys that can be used: one is wanted", keys.len()))?;
    Ok(key)
}

fn pem(text: &[u8]) -> Result<Key, String> {
    let first = Pem::iter_from_buffer(text).next().ok_or("neither PEM nor JSON")?;
    let pem = first.map_err(|error| error.to_string())?;
    match pem.label.as_str() {
        "PUBLIC KEY" => {
            let (_, info) =
                SubjectPublicKeyInfo::from_der(&pem.contents).map_err(|error| error.to_string())?;
            public(&info)
        }
        "CERTIFICATE" => {
            let (_, parsed) = X509Certificate::from_der(&pem.contents).map_err(|error| error.to_string())?;
            public(parsed.public_key())
        }
        "RSA PUBLIC KEY" => Ok(Key::of(AlgorithmFamily::Rsa, &pem.contents)),
        other => Err(format!("'{other}' is no public key")),
    }
}

fn public(info: &SubjectPublicKeyInfo<'_>) -> Result<Key, String> {
    let kind = &info.algorithm.algorithm;
    let families = [
        (OID_PKCS1_RSAENCRYPTION, AlgorithmFamily::Rsa),
        (OID_KEY_TYPE_EC_PUBLIC_KEY, AlgorithmFamily::Ec),
        (OID_SIG_ED25519, AlgorithmFamily::Ed),
    ];
    let family = families.into_iter().find(|(oid, _)| oid == kind);
    let (_, family) = family.ok_or("neither RSA, nor of an elliptic curve, nor Ed25519")?;
    Ok(Key::of(family, &info.subject_public_key.data))
}
