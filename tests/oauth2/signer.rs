//! Whoever issues tokens: keys of each kind, and tokens with any claims, good and bad ones.

use std::fs;
use std::path::PathBuf;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use lepus::config::OAuth2Settings;
use ring::hmac;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RsaKeyPair,
};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A key for these tests alone: making one takes seconds.
const RSA: &str = include_str!("rsa.pem");

/// Whom tokens are for.
pub(crate) const SERVER: &str = "rabbitmq";

/// Seconds since the epoch at which tests take place that bring their own time.
pub(crate) const NOW: u64 = 1_700_000_000;

/// Who signs tokens with one key.
pub(crate) struct Signer {
    pub(crate) kid: String,
    key: Key,
}

enum Key {
    Rsa(Box<RsaKeyPair>),
    Ec(EcdsaKeyPair),
    Ed(Ed25519KeyPair),
}

impl Signer {
    pub(crate) fn rsa(kid: &str) -> Self {
        let der: String = RSA.lines().filter(|line| !line.starts_with("-----")).collect();
        let key = RsaKeyPair::from_pkcs8(&STANDARD.decode(der).unwrap()).unwrap();
        Self { kid: kid.to_owned(), key: Key::Rsa(Box::new(key)) }
    }

    pub(crate) fn ec(kid: &str) -> Self {
        let (random, kind) = (SystemRandom::new(), &ECDSA_P256_SHA256_FIXED_SIGNING);
        let der = EcdsaKeyPair::generate_pkcs8(kind, &random).unwrap();
        let key = EcdsaKeyPair::from_pkcs8(kind, der.as_ref(), &random).unwrap();
        Self { kid: kid.to_owned(), key: Key::Ec(key) }
    }

    pub(crate) fn ed(kid: &str) -> Self {
        let der = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        Self { kid: kid.to_owned(), key: Key::Ed(Ed25519KeyPair::from_pkcs8(der.as_ref()).unwrap()) }
    }

    pub(crate) fn algorithm(&self) -> &'static str {
        match self.key {
            Key::Rsa(_) => "RS256",
            Key::Ec(_) => "ES256",
            Key::Ed(_) => "EdDSA",
        }
    }

    /// The public key as a JWK.
    pub(crate) fn jwk(&self) -> Value {
        let text = |octets: &[u8]| URL_SAFE_NO_PAD.encode(octets);
        let (kid, alg) = (&self.kid, self.algorithm());
        match &self.key {
            Key::Rsa(key) => {
                let public = ring::rsa::PublicKeyComponents::<Vec<u8>>::from(key.public());
                json!({"kty": "RSA", "kid": kid, "alg": alg, "use": "sig", "n": text(&public.n), "e": text(&public.e)})
            }
            Key::Ec(key) => {
                let point = key.public_key().as_ref();
                let (x, y) = (text(&point[1..33]), text(&point[33..]));
                json!({"kty": "EC", "crv": "P-256", "kid": kid, "alg": alg, "x": x, "y": y})
            }
            Key::Ed(key) => {
                json!({"kty": "OKP", "crv": "Ed25519", "kid": kid, "x": text(key.public_key().as_ref())})
            }
        }
    }

    /// A token with these claims, signed as it should be.
    pub(crate) fn sign(&self, claims: &Value) -> String {
        self.sign_with(&json!({"typ": "JWT", "alg": self.algorithm(), "kid": self.kid}), claims)
    }

    /// A token with any header.
    pub(crate) fn sign_with(&self, header: &Value, claims: &Value) -> String {
        let message = message(header, claims);
        let octets = message.as_bytes();
        let signature = match &self.key {
            Key::Rsa(key) => {
                let mut signature = vec![0; key.public().modulus_len()];
                key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), octets, &mut signature).unwrap();
                signature
            }
            Key::Ec(key) => key.sign(&SystemRandom::new(), octets).unwrap().as_ref().to_vec(),
            Key::Ed(key) => key.sign(octets).as_ref().to_vec(),
        };
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

/// A token that is signed with a shared secret, whatever its header says of the key.
pub(crate) fn sign_with_secret(secret: &[u8], header: &Value, claims: &Value) -> String {
    let message = message(header, claims);
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), message.as_bytes());
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(tag))
}

/// What is signed: the first two parts of a token.
pub(crate) fn message(header: &Value, claims: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}", part(header), part(claims))
}

/// Claims that are good at any time a test takes place, with these scopes.
pub(crate) fn claims(scopes: &[&str]) -> Value {
    json!({"sub": "alice", "aud": [SERVER, "other"], "exp": 4_000_000_000_u64, "scope": scopes.join(" ")})
}

/// As `claims`, with some of them set or, where `null`, left out.
pub(crate) fn claims_with(scopes: &[&str], other: &Value) -> Value {
    let mut claims = claims(scopes);
    for (claim, value) in other.as_object().unwrap() {
        let all = claims.as_object_mut().unwrap();
        if value.is_null() {
            all.remove(claim);
        } else {
            all.insert(claim.clone(), value.clone());
        }
    }
    claims
}

/// Keys in files, and the settings that name them.
pub(crate) struct KeyFiles {
    directory: TempDir,
    pub(crate) settings: OAuth2Settings,
}

impl KeyFiles {
    /// The keys of these, as JWK.
    pub(crate) fn of(signers: &[&Signer]) -> Self {
        let mut files = Self {
            directory: TempDir::new().unwrap(),
            settings: OAuth2Settings {
                resource_server_id: Some(SERVER.to_owned()),
                ..OAuth2Settings::default()
            },
        };
        for signer in signers {
            files.add(&signer.kid, &signer.jwk().to_string());
        }
        files
    }

    /// A key of this name, with this text in its file.
    pub(crate) fn add(&mut self, kid: &str, text: &str) {
        let file = self.file(kid);
        fs::write(&file, text).unwrap();
        self.settings.signing_keys.push(format!("{kid}={}", file.display()));
    }

    fn file(&self, kid: &str) -> PathBuf {
        self.directory.path().join(kid)
    }
}
