//! Password hashes: RabbitMQ's, which definitions bring along, and Argon2id, which new ones get.
//!
//! ```text
//!   RabbitMQ:  base64(salt of 4 octets | digest(salt | password))
//!   ours:      $argon2id$v=19$m=7168,t=5,p=1$<salt>$<hash>
//! ```

use std::fmt;

use argon2::password_hash::PasswordVerifier;
use argon2::password_hash::phc;
use argon2::{Algorithm as Argon2Algorithm, Argon2, Params, PasswordHasher, Version};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use md5::Md5;
use sha2::{Digest, Sha256, Sha512};
use subtle::ConstantTimeEq;

use crate::metadata::PasswordDefinition;

/// Octets of a clear password: hashing a longer one only takes time.
pub const PASSWORD_OCTETS_MAX: usize = 1024;

/// Octets of salt in RabbitMQ's hashes.
const SALT_OCTETS: usize = 4;

/// Memory of one hash in KiB, and passes over it: the smallest of OWASP's recommended settings. Some 10 ms.
const MEMORY_KIB: u32 = 7 * 1024;
const PASSES: u32 = 5;

/// What a hash from elsewhere may cost: an expensive one would hold up every login.
const MEMORY_KIB_MAX: u32 = 64 * 1024;
const PASSES_MAX: u32 = 16;

/// A hash that no password has, checked for users who do not exist: so a failed login takes as long with them.
const DUMMY: &str =
    "$argon2id$v=19$m=7168,t=5,p=1$c2FsdHNhbHRzYWx0c2FsdA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// How a hash is made. Names are RabbitMQ's, as `hashing_algorithm` in its definitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// RabbitMQ's default.
    Sha256,
    /// RabbitMQ's choice.
    Sha512,
    /// RabbitMQ's before 3.6.
    Md5,
    /// Ours.
    Argon2id,
}

const ALGORITHMS: [(Algorithm, &str); 4] = [
    (Algorithm::Sha256, "rabbit_password_hashing_sha256"),
    (Algorithm::Sha512, "rabbit_password_hashing_sha512"),
    (Algorithm::Md5, "rabbit_password_hashing_md5"),
    (Algorithm::Argon2id, "argon2id"),
];

/// A password's hash that is known to be one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PasswordHash {
    algorithm: Algorithm,
    definition: PasswordDefinition,
}

/// Why something is no password or no hash of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InvalidPassword {
    /// RabbitMQ accepts no empty passwords.
    Empty,
    /// More octets than [`PASSWORD_OCTETS_MAX`].
    TooLong,
    /// No algorithm is called so.
    UnknownAlgorithm,
    /// Not what the algorithm makes.
    NotAHash,
    /// It would take more memory or passes than a login may cost.
    TooExpensive,
    /// The system gives no random octets.
    NoSalt,
}

impl Algorithm {
    /// RabbitMQ's name for it.
    pub fn name(self) -> &'static str {
        ALGORITHMS.iter().find(|(algorithm, _)| *algorithm == self).map_or("", |(_, name)| name)
    }

    /// The algorithm of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        ALGORITHMS.iter().find(|(_, known)| *known == name).map(|(algorithm, _)| *algorithm)
    }
}

impl PasswordHash {
    /// Hashes a new password. Takes some 10 ms of computing: not for a thread that others wait for.
    ///
    /// # Errors
    /// When the password is empty or too long.
    pub fn new(password: &[u8]) -> Result<Self, InvalidPassword> {
        if password.is_empty() {
            return Err(InvalidPassword::Empty);
        }
        if password.len() > PASSWORD_OCTETS_MAX {
            return Err(InvalidPassword::TooLong);
        }
        let hash = argon2().hash_password(password).map_err(|_| InvalidPassword::NoSalt)?.to_string();
        let algorithm = Algorithm::Argon2id;
        let definition = PasswordDefinition { hash, algorithm: algorithm.name().to_owned() };
        Ok(Self { algorithm, definition })
    }

    /// Takes a hash that was made before, here or by RabbitMQ.
    ///
    /// # Errors
    /// When the algorithm is not known, or the hash is not what it makes.
    pub fn parse(definition: PasswordDefinition) -> Result<Self, InvalidPassword> {
        let algorithm =
            Algorithm::from_name(&definition.algorithm).ok_or(InvalidPassword::UnknownAlgorithm)?;
        match digest_octets(algorithm) {
            Some(octets) => {
                let raw = STANDARD.decode(&definition.hash).map_err(|_| InvalidPassword::NotAHash)?;
                if raw.len() != SALT_OCTETS + octets {
                    return Err(InvalidPassword::NotAHash);
                }
            }
            None => check_argon2(&definition.hash)?,
        }
        Ok(Self { algorithm, definition })
    }

    /// As it is kept.
    pub fn definition(&self) -> &PasswordDefinition {
        &self.definition
    }

    /// Whether `password` has this hash. As expensive as [`Self::new`] for ours. Takes as long whatever differs.
    pub fn verify(&self, password: &[u8]) -> bool {
        match self.algorithm {
            Algorithm::Sha256 => self.verify_salted::<Sha256>(password),
            Algorithm::Sha512 => self.verify_salted::<Sha512>(password),
            Algorithm::Md5 => self.verify_salted::<Md5>(password),
            Algorithm::Argon2id => verify_argon2(&self.definition.hash, password),
        }
    }

    fn verify_salted<D: Digest>(&self, password: &[u8]) -> bool {
        let Ok(raw) = STANDARD.decode(&self.definition.hash) else { return false };
        let Some((salt, expected)) = raw.split_at_checked(SALT_OCTETS) else { return false };
        let digest = D::new().chain_update(salt).chain_update(password).finalize();
        digest.as_slice().ct_eq(expected).into()
    }
}

/// Takes as long as the check of a real password.
pub(super) fn verify_nobody(password: &[u8]) {
    verify_argon2(DUMMY, password);
}

fn verify_argon2(hash: &str, password: &[u8]) -> bool {
    PasswordVerifier::<str>::verify_password(&argon2(), password, hash).is_ok()
}

fn argon2() -> Argon2<'static> {
    let params = Params::new(MEMORY_KIB, PASSES, 1, None).unwrap_or_default();
    Argon2::new(Argon2Algorithm::Argon2id, Version::V0x13, params)
}

/// Octets of the algorithm's digest; `None` for Argon2id, whose hash has a form of its own.
fn digest_octets(algorithm: Algorithm) -> Option<usize> {
    match algorithm {
        Algorithm::Sha256 => Some(32),
        Algorithm::Sha512 => Some(64),
        Algorithm::Md5 => Some(16),
        Algorithm::Argon2id => None,
    }
}

fn check_argon2(hash: &str) -> Result<(), InvalidPassword> {
    let parsed = phc::PasswordHash::new(hash).map_err(|_| InvalidPassword::NotAHash)?;
    let params = Params::try_from(&parsed).map_err(|_| InvalidPassword::NotAHash)?;
    if parsed.algorithm.as_str() != Algorithm::Argon2id.name() || parsed.hash.is_none() {
        return Err(InvalidPassword::NotAHash);
    }
    if params.m_cost() > MEMORY_KIB_MAX || params.t_cost() > PASSES_MAX {
        return Err(InvalidPassword::TooExpensive);
    }
    Ok(())
}

impl fmt::Display for InvalidPassword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("the password is empty: give one, or none at all"),
            Self::TooLong => write!(f, "the password has more than {PASSWORD_OCTETS_MAX} octets"),
            Self::UnknownAlgorithm => {
                let names = ALGORITHMS.map(|(_, name)| name).join(", ");
                write!(f, "hashing_algorithm is none of {names}")
            }
            Self::NotAHash => f.write_str("the password hash is not what its hashing_algorithm makes"),
            Self::TooExpensive => write!(
                f,
                "the password hash takes more than {MEMORY_KIB_MAX} KiB or {PASSES_MAX} passes to check"
            ),
            Self::NoSalt => f.write_str("the system gives no random octets"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(hash: &str, algorithm: &str) -> Result<PasswordHash, InvalidPassword> {
        PasswordHash::parse(PasswordDefinition { hash: hash.to_owned(), algorithm: algorithm.to_owned() })
    }

    fn salted<D: Digest>(salt: [u8; 4], password: &str) -> String {
        let digest = D::new().chain_update(salt).chain_update(password).finalize();
        STANDARD.encode([&salt[..], digest.as_slice()].concat())
    }

    #[test]
    fn a_new_password_is_verified_and_no_other_is() {
        let hash = PasswordHash::new(b"secret").unwrap();
        assert!(hash.definition().hash.starts_with("$argon2id$v=19$m=7168,t=5,p=1$"));
        assert!(hash.verify(b"secret"));
        assert!(!hash.verify(b"Secret") && !hash.verify(b""));
        assert_ne!(hash, PasswordHash::new(b"secret").unwrap(), "the salt is random");
        assert_eq!(PasswordHash::parse(hash.definition().clone()), Ok(hash));
    }

    #[test]
    fn all_of_rabbitmqs_algorithms_are_verified() {
        let salt = [0x90, 0x8d, 0xc6, 0x0a];
        let cases = [
            (salted::<Sha256>(salt, "test12"), "rabbit_password_hashing_sha256"),
            (salted::<Sha512>(salt, "test12"), "rabbit_password_hashing_sha512"),
            (salted::<Md5>(salt, "test12"), "rabbit_password_hashing_md5"),
        ];
        for (text, algorithm) in cases {
            let hash = hash(&text, algorithm).unwrap();
            assert!(hash.verify(b"test12"), "{algorithm}");
            assert!(!hash.verify(b"test13") && !hash.verify(b""), "{algorithm}");
        }
    }

    /// The example in RabbitMQ's documentation of its hashes.
    #[test]
    fn rabbitmqs_own_example_is_verified() {
        let hash = hash("kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2POR", "rabbit_password_hashing_sha256");
        assert!(hash.unwrap().verify(b"test12"));
    }

    #[test]
    fn what_is_no_hash_is_refused() {
        let sha256 = "rabbit_password_hashing_sha256";
        assert_eq!(hash("AAAA", "rot13"), Err(InvalidPassword::UnknownAlgorithm));
        assert_eq!(hash("not base64", sha256), Err(InvalidPassword::NotAHash));
        assert_eq!(hash("AAAA", sha256), Err(InvalidPassword::NotAHash));
        assert_eq!(hash("secret", "argon2id"), Err(InvalidPassword::NotAHash));
        let expensive = DUMMY.replace("m=7168", "m=4000000");
        assert_eq!(hash(&expensive, "argon2id"), Err(InvalidPassword::TooExpensive));
    }

    #[test]
    fn empty_and_endless_passwords_are_refused() {
        assert_eq!(PasswordHash::new(b""), Err(InvalidPassword::Empty));
        assert_eq!(PasswordHash::new(&[b'a'; PASSWORD_OCTETS_MAX + 1]), Err(InvalidPassword::TooLong));
    }

    #[test]
    fn the_hash_of_nobody_is_a_hash_that_is_computed() {
        assert!(hash(DUMMY, "argon2id").is_ok());
        assert!(!verify_argon2(DUMMY, b"guest"));
    }
}
