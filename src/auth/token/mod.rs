//! OAuth 2: tokens that say who their bearer is and what that one may do, signed by somebody who is trusted.
//!
//! ```text
//!   token -> header: algorithm allowed?  key known?  (key_ring; a server is asked for new ones, on another thread)
//!         -> signature (crypto) -> claims: for whom, until when, who, which scopes
//! ```

mod claims;
mod crypto;
mod key;
mod key_ring;
mod rules;
mod scope;
mod source;

use std::fmt;
use std::io;
use std::path::Path;

use jsonwebtoken::{Header, Validation, decode, decode_header};

use crate::clock::Timestamp;
use crate::config::OAuth2Settings;
use crate::name::Name;
use claims::Claims;
use key::Key;
use key_ring::KeyRing;
use rules::Rules;
pub use scope::Scope;
use source::Source;

/// Octets of a token: with hundreds of scopes one has some thousand. Beyond, nothing of it is read.
pub const TOKEN_OCTETS_MAX: usize = 32 * 1024;

/// What a good token says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// Who bears it.
    pub user: Name,
    /// RabbitMQ's tags.
    pub tags: Vec<String>,
    /// What is permitted.
    pub scopes: Vec<Scope>,
    /// When it runs out; `None`: never.
    pub expires: Option<Timestamp>,
}

/// Checks tokens.
pub struct TokenVerifier {
    rules: Rules,
    keys: KeyRing,
}

impl TokenVerifier {
    /// As the settings say.
    ///
    /// # Errors
    /// When a key or the file of authorities cannot be read.
    pub fn new(settings: &OAuth2Settings) -> io::Result<Self> {
        crypto::install();
        let mut keys = Vec::new();
        for given in &settings.signing_keys {
            let (id, path) = given.split_once('=').unwrap_or(("", given));
            keys.push(Key::read(id.trim(), Path::new(path.trim()))?);
        }
        keys.extend(settings.symmetric_key.as_ref().map(|secret| Key::secret(&secret.0)));
        let keys = KeyRing::new(keys, settings.default_key.clone(), Source::new(settings)?);
        Ok(Self { rules: Rules::new(settings), keys })
    }

    /// Whether this is meant to be a token: three parts, the first of which is the header of one. No password is.
    pub fn is_token(secret: &[u8]) -> bool {
        let parts = secret.split(|octet| *octet == b'.').count();
        let is_encoded =
            |octet: &u8| octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'_' | b'.' | b'=');
        // An encoded `{` begins so, whatever follows it.
        let is_object = secret.starts_with(b"ey") || secret.starts_with(b"ew");
        parts == 3 && is_object && secret.iter().all(is_encoded)
    }

    /// What a token says at `now`, if it is good.
    ///
    /// # Errors
    /// Why it is not, for the log only.
    pub async fn verify(&self, token: &[u8], now: Timestamp) -> Result<Verified, String> {
        if token.len() > TOKEN_OCTETS_MAX {
            return Err(format!("{} octets, more than {TOKEN_OCTETS_MAX}", token.len()));
        }
        let header = decode_header(token).map_err(|error| format!("its header is none: {error}"))?;
        self.check_header(&header)?;
        let key = self.keys.find(header.kid.as_deref(), header.alg, now).await;
        let key = key.ok_or_else(|| format!("no key {:?} for {:?}", header.kid, header.alg))?;
        let decoded = decode::<Claims>(token, &key.decoding, &signature_only(&header));
        let claims = decoded.map_err(|error| error.to_string())?.claims;
        self.rules.judge(&claims, now)
    }

    fn check_header(&self, header: &Header) -> Result<(), String> {
        if !self.rules.allows(header.alg) {
            return Err(format!("tokens may not be signed with {:?}", header.alg));
        }
        // RFC 7515 §4.1.11: what is critical and not understood makes the token a bad one.
        if header.crit.is_some() {
            return Err("it has critical headers, and none is understood".to_owned());
        }
        Ok(())
    }
}

/// Claims are judged by [`Rules`], which are told what time it is.
fn signature_only(header: &Header) -> Validation {
    let mut validation = Validation::new(header.alg);
    validation.required_spec_claims.clear();
    validation.validate_exp = false;
    validation.validate_aud = false;
    validation
}

/// Keys stay out of logs.
impl fmt::Debug for TokenVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenVerifier").field("rules", &self.rules).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_told_from_a_password_by_its_shape() {
        assert!(TokenVerifier::is_token(b"eyJhbGciOiJub25lIn0.e30."));
        for password in ["guest", "a.b.c", "ey.b", "eyJ.e30.x.y.z", "eyJhbGci.with space.c", ""] {
            assert!(!TokenVerifier::is_token(password.as_bytes()), "{password}");
        }
    }
}
