//! Signatures, checked by the library that TLS uses too: `jsonwebtoken` brings none of its own here.

use jsonwebtoken::crypto::{CryptoProvider, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::{Error as JwtError, ErrorKind, new_error};
use jsonwebtoken::signature::{Error, Verifier};
use jsonwebtoken::{Algorithm, DecodingKey, DecodingKeyKind};
use ring::signature::{
    self, RsaParameters, RsaPublicKeyComponents, UnparsedPublicKey, VerificationAlgorithm,
};
use ring::{error::Unspecified, hmac};

/// Checks signatures; makes none.
static PROVIDER: CryptoProvider = CryptoProvider {
    signer_factory: |_, _| Err(new_error(ErrorKind::UnsupportedAlgorithm)),
    verifier_factory: verifier,
    key_utils: KeyUtils::new_unimplemented(),
};

/// Whoever embeds the broker may have chosen another provider before: then that one checks.
pub(super) fn install() {
    if PROVIDER.install_default().is_err() {
        tracing::debug!("signatures of tokens are checked as before");
    }
}

/// How an algorithm of a token checks.
enum Scheme {
    Mac(hmac::Algorithm),
    Rsa(&'static RsaParameters),
    /// With a public key that is a point of a curve.
    Point(&'static dyn VerificationAlgorithm),
}

fn scheme(algorithm: Algorithm) -> Option<Scheme> {
    Some(match algorithm {
        Algorithm::HS256 => Scheme::Mac(hmac::HMAC_SHA256),
        Algorithm::HS384 => Scheme::Mac(hmac::HMAC_SHA384),
        Algorithm::HS512 => Scheme::Mac(hmac::HMAC_SHA512),
        Algorithm::RS256 => Scheme::Rsa(&signature::RSA_PKCS1_2048_8192_SHA256),
        Algorithm::RS384 => Scheme::Rsa(&signature::RSA_PKCS1_2048_8192_SHA384),
        Algorithm::RS512 => Scheme::Rsa(&signature::RSA_PKCS1_2048_8192_SHA512),
        Algorithm::PS256 => Scheme::Rsa(&signature::RSA_PSS_2048_8192_SHA256),
        Algorithm::PS384 => Scheme::Rsa(&signature::RSA_PSS_2048_8192_SHA384),
        Algorithm::PS512 => Scheme::Rsa(&signature::RSA_PSS_2048_8192_SHA512),
        Algorithm::ES256 => Scheme::Point(&signature::ECDSA_P256_SHA256_FIXED),
        Algorithm::ES384 => Scheme::Point(&signature::ECDSA_P384_SHA384_FIXED),
        Algorithm::EdDSA => Scheme::Point(&signature::ED25519),
        _ => return None,
    })
}

struct Check {
    algorithm: Algorithm,
    scheme: Scheme,
    key: DecodingKey,
}

/// A key of one family checks no signature of another: a public key is no shared secret.
fn verifier(algorithm: &Algorithm, key: &DecodingKey) -> Result<Box<dyn JwtVerifier>, JwtError> {
    let unsupported = || new_error(ErrorKind::UnsupportedAlgorithm);
    if algorithm.family() != key.family() {
        return Err(new_error(ErrorKind::InvalidAlgorithm));
    }
    let scheme = scheme(*algorithm).ok_or_else(unsupported)?;
    Ok(Box::new(Check { algorithm: *algorithm, scheme, key: key.clone() }))
}

impl JwtVerifier for Check {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}

impl Verifier<Vec<u8>> for Check {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> Result<(), Error> {
        let checked = match (&self.scheme, self.key.kind()) {
            (Scheme::Mac(algorithm), DecodingKeyKind::SecretOrDer(secret)) => {
                hmac::verify(&hmac::Key::new(*algorithm, secret), message, signature)
            }
            (Scheme::Rsa(algorithm), DecodingKeyKind::SecretOrDer(key)) => {
                UnparsedPublicKey::new(*algorithm, key).verify(message, signature)
            }
            (Scheme::Rsa(algorithm), DecodingKeyKind::RsaModulusExponent { n, e }) => {
                RsaPublicKeyComponents { n, e }.verify(algorithm, message, signature)
            }
            (Scheme::Point(algorithm), DecodingKeyKind::SecretOrDer(key)) => {
                UnparsedPublicKey::new(*algorithm, key).verify(message, signature)
            }
            (Scheme::Mac(_) | Scheme::Point(_), DecodingKeyKind::RsaModulusExponent { .. }) => {
                Err(Unspecified)
            }
        };
        checked.map_err(|Unspecified| Error::new())
    }
}
