//! Passwords that were verified, remembered so that the next login of the same user need not hash again.
//!
//! Kept is a keyed digest of name, password and stored hash, under a key of this process: neither the password nor
//! anything that is good for another process. A changed password changes the stored hash, and nothing matches any more.

use std::collections::HashMap;
use std::fmt;

use ahash::RandomState;
use hmac::{Hmac, KeyInit, Mac};
use parking_lot::Mutex;
use sha2::Sha256;

use super::password::PasswordHash;

/// Users remembered: each takes some hundred octets. Beyond, all are forgotten and verified again.
const USERS_MAX: usize = 65_536;

type Digest = [u8; 32];

/// Verified passwords, one for each user.
pub(super) struct Verified {
    key: [u8; 32],
    digests: Mutex<HashMap<Box<str>, Digest, RandomState>>,
}

impl Verified {
    pub(super) fn new() -> Self {
        Self { key: rand::random(), digests: Mutex::default() }
    }

    /// Whether this password was verified before, against the same hash.
    pub(super) fn contains(&self, user: &str, password: &[u8], hash: &PasswordHash) -> bool {
        let Some(known) = self.digests.lock().get(user).copied() else { return false };
        // Compared in constant time.
        self.mac(user, password, hash).is_some_and(|mac| mac.verify_slice(&known).is_ok())
    }

    /// This password has this hash.
    pub(super) fn remember(&self, user: &str, password: &[u8], hash: &PasswordHash) {
        let Some(mac) = self.mac(user, password, hash) else { return };
        let digest = mac.finalize().into_bytes().into();
        let mut digests = self.digests.lock();
        if digests.len() >= USERS_MAX {
            digests.clear();
        }
        digests.insert(user.into(), digest);
    }

    fn mac(&self, user: &str, password: &[u8], hash: &PasswordHash) -> Option<Hmac<Sha256>> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.key).ok()?;
        for part in [user.as_bytes(), hash.definition().hash.as_bytes(), password] {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        }
        Some(mac)
    }
}

impl fmt::Debug for Verified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verified").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_remembered_for_its_user_and_its_hash_only() {
        let (one, other) = (PasswordHash::new(b"secret").unwrap(), PasswordHash::new(b"secret").unwrap());
        let verified = Verified::new();
        assert!(!verified.contains("u", b"secret", &one));
        verified.remember("u", b"secret", &one);
        assert!(verified.contains("u", b"secret", &one));
        assert!(!verified.contains("u", b"Secret", &one));
        assert!(!verified.contains("v", b"secret", &one));
        assert!(!verified.contains("u", b"secret", &other), "the password was set again");
    }

    #[test]
    fn what_one_process_remembers_is_nothing_to_another() {
        let hash = PasswordHash::new(b"secret").unwrap();
        let (one, other) = (Verified::new(), Verified::new());
        one.remember("u", b"secret", &hash);
        other.digests.lock().clone_from(&one.digests.lock());
        assert!(!other.contains("u", b"secret", &hash));
    }
}
