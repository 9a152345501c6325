//! Logging in: who somebody claims to be, and whether that is so.
//!
//! ```text
//!   start-ok -> claim (what the mechanism says) -> login: verified before?  -> throttled?  -> hash, on another thread
//! ```

use std::collections::HashSet;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use lepus_protocol::ShortStr;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

use super::accounts::Accounts;
use super::password::{PASSWORD_OCTETS_MAX, PasswordHash, verify_nobody};
use super::sasl::{self, Credentials};
use super::throttle::Throttle;
use super::token::TokenVerifier;
use super::verified::Verified;
use super::{LoginError, User};
use crate::clock::Timestamp;
use crate::name::Name;

/// RabbitMQ's default user, as whom ANONYMOUS logs in.
pub const GUEST: &str = "guest";

/// Rules of logging in.
#[derive(Clone, Debug)]
pub struct LoginRules {
    /// Whether SASL ANONYMOUS logs in as guest.
    pub anonymous: bool,
    /// Users who may only come from the machine itself.
    pub loopback_only: HashSet<String>,
    /// Whether the broker's own accounts let anybody in.
    pub accounts: bool,
    /// Who checks tokens; `None`: none is accepted.
    pub tokens: Option<Arc<TokenVerifier>>,
}

impl Default for LoginRules {
    /// Nobody without a name; guest, whose password is known to everybody, from the machine itself.
    fn default() -> Self {
        let loopback_only = HashSet::from([GUEST.to_owned()]);
        Self { anonymous: false, loopback_only, accounts: true, tokens: None }
    }
}

/// Where a client comes from, and who its transport says it is.
#[derive(Clone, Debug)]
pub struct Arrival {
    /// Its address.
    pub address: IpAddr,
    /// The user that the transport has authenticated, such as by a certificate; SASL EXTERNAL logs in as this one.
    pub certified: Option<Name>,
}

/// Who a client says it is.
#[derive(Clone, PartialEq, Eq)]
pub enum Claim {
    /// A user with this password.
    Password {
        /// The name.
        user: String,
        /// The password, in the clear.
        password: Vec<u8>,
    },
    /// Whoever this token is for.
    Token(Vec<u8>),
    /// Nobody in particular.
    Anonymous,
    /// Whom its transport has authenticated.
    Certified(Name),
}

/// A password stays out of logs.
impl fmt::Debug for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Password { user, .. } => {
                f.debug_struct("Password").field("user", user).finish_non_exhaustive()
            }
            Self::Token(_) => f.write_str("Token"),
            Self::Anonymous => f.write_str("Anonymous"),
            Self::Certified(name) => f.debug_tuple("Certified").field(name).finish(),
        }
    }
}

/// Logins since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LoginCounts {
    /// That succeeded.
    pub accepted: u64,
    /// That failed, those that were throttled among them.
    pub refused: u64,
    /// That were refused without a look at the password.
    pub throttled: u64,
}

/// Decides who may come in.
#[derive(Debug)]
pub struct Authority {
    /// Users and what they may do.
    pub accounts: Arc<Accounts>,
    rules: LoginRules,
    verified: Arc<Verified>,
    throttle: Throttle,
    /// Hashes that may be computed at a time: the rest of the machine belongs to those who are logged in.
    hashing: Arc<Semaphore>,
    accepted: AtomicU64,
    refused: AtomicU64,
    throttled: AtomicU64,
}

impl Authority {
    /// Lets the users of `accounts` in.
    pub fn new(rules: LoginRules, accounts: Arc<Accounts>) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self {
            accounts,
            rules,
            verified: Arc::new(Verified::new()),
            throttle: Throttle::default(),
            hashing: Arc::new(Semaphore::new((cores / 2).max(1))),
            accepted: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            throttled: AtomicU64::new(0),
        }
    }

    /// The SASL mechanisms offered (§1.4.2.1: separated by spaces), to whom the transport has authenticated or has not.
    pub fn mechanisms(&self, certified: bool) -> &'static str {
        match (self.rules.anonymous, certified) {
            (true, false) => "PLAIN AMQPLAIN ANONYMOUS",
            (false, false) => "PLAIN AMQPLAIN",
            (true, true) => "EXTERNAL PLAIN AMQPLAIN ANONYMOUS",
            (false, true) => "EXTERNAL PLAIN AMQPLAIN",
        }
    }

    /// What a client says with the answer that it gave in connection.start-ok.
    ///
    /// # Errors
    /// When the mechanism is not offered, or the answer is not one of it.
    pub fn claim(
        &self,
        mechanism: ShortStr<'_>,
        response: &[u8],
        arrival: &Arrival,
    ) -> Result<Claim, LoginError> {
        let credentials = match (mechanism.as_str(), &arrival.certified) {
            (Some("PLAIN"), _) => sasl::plain(response),
            (Some("AMQPLAIN"), _) => sasl::amqplain(response),
            (Some("ANONYMOUS"), _) if self.rules.anonymous => return Ok(Claim::Anonymous),
            (Some("EXTERNAL"), Some(name)) => return Ok(Claim::Certified(name.clone())),
            (_, _) => return Err(LoginError::UnknownMechanism),
        };
        let Credentials { user, password } =
            credentials.ok_or_else(|| LoginError::Refused("malformed credentials".to_owned()))?;
        Ok(Claim::Password { user, password })
    }

    /// Checks a claim that was made from `address`.
    ///
    /// # Errors
    /// When the claim is not true, or the user may not come from there.
    pub async fn login(
        &self,
        claim: Claim,
        address: IpAddr,
        now: Timestamp,
    ) -> Result<Arc<User>, LoginError> {
        let named = |name: String| Arc::new(User::named(name));
        let checked = match claim {
            Claim::Token(token) => self.check_token(&token, address, now).await,
            // RabbitMQ: a token comes in the password's place, with any name. No password looks like one.
            Claim::Password { password, .. } if self.takes_as_token(&password) => {
                self.check_token(&password, address, now).await
            }
            Claim::Password { user, password } => {
                self.check_password(user, password, address, now).await.map(named)
            }
            Claim::Anonymous => self.check_user(GUEST).map(named),
            Claim::Certified(name) => self.check_user(name.as_str()).map(named),
        };
        let result = checked.and_then(|user| self.check_address(user, address));
        let count = if result.is_ok() { &self.accepted } else { &self.refused };
        count.fetch_add(1, Ordering::Relaxed);
        result
    }

    /// Logins since the start.
    pub fn counts(&self) -> LoginCounts {
        LoginCounts {
            accepted: self.accepted.load(Ordering::Relaxed),
            refused: self.refused.load(Ordering::Relaxed),
            throttled: self.throttled.load(Ordering::Relaxed),
        }
    }

    /// A secret replaces the one of the login (RabbitMQ: connection.update-secret). It means something to users with
    /// tokens that run out; for a user with a password, which was checked at login, it changes nothing.
    ///
    /// # Errors
    /// When it is no good token, or another user's.
    pub async fn renew(&self, user: &User, secret: &[u8], now: Timestamp) -> Result<(), LoginError> {
        if user.bears_token() {
            let renewed = self.verify_token(secret, now).await.and_then(|token| user.renew(token));
            renewed.map_err(LoginError::Refused)?;
        }
        tracing::info!(user = %user.name, "secret updated");
        Ok(())
    }

    /// Hashes a new password, away from threads that others wait for, and remembers it as verified.
    ///
    /// # Errors
    /// When it is empty or too long.
    pub async fn hash_password(
        &self,
        user: &Name,
        password: Vec<u8>,
    ) -> Result<PasswordHash, super::InvalidPassword> {
        let Ok(permit) = Arc::clone(&self.hashing).acquire_owned().await else {
            return Err(super::InvalidPassword::NoSalt);
        };
        let (user, verified) = (user.clone(), Arc::clone(&self.verified));
        let hashed = spawn_blocking(move || {
            let _until_hashed = permit;
            let hash = PasswordHash::new(&password)?;
            verified.remember(user.as_str(), &password, &hash);
            Ok(hash)
        });
        hashed.await.unwrap_or(Err(super::InvalidPassword::NoSalt))
    }

    fn takes_as_token(&self, secret: &[u8]) -> bool {
        self.rules.tokens.is_some() && TokenVerifier::is_token(secret)
    }

    async fn verify_token(&self, token: &[u8], now: Timestamp) -> Result<super::Verified, String> {
        let Some(tokens) = &self.rules.tokens else { return Err("no tokens are accepted".to_owned()) };
        tokens.verify(token, now).await.map_err(|reason| format!("bad token: {reason}"))
    }

    /// A good token comes in however many bad ones came from the same address: nobody can guess one, and it is cheap to
    /// check.
    async fn check_token(
        &self,
        token: &[u8],
        address: IpAddr,
        now: Timestamp,
    ) -> Result<Arc<User>, LoginError> {
        match self.verify_token(token, now).await {
            Ok(token) => Ok(Arc::new(User::with_token(token))),
            Err(reason) => {
                self.throttle.failed(address, now);
                Err(LoginError::Refused(reason))
            }
        }
    }

    fn check_user(&self, name: &str) -> Result<String, LoginError> {
        if self.rules.accounts && self.accounts.has_user(name) {
            return Ok(name.to_owned());
        }
        Err(LoginError::Refused(format!("no user '{name}'")))
    }

    async fn check_password(
        &self,
        user: String,
        password: Vec<u8>,
        address: IpAddr,
        now: Timestamp,
    ) -> Result<String, LoginError> {
        if password.is_empty() || password.len() > PASSWORD_OCTETS_MAX {
            return Err(LoginError::Refused(format!("user '{user}' gives no password, or an endless one")));
        }
        if !self.rules.accounts {
            return Err(LoginError::Refused(format!(
                "user '{user}' gives no token, and passwords are not accepted"
            )));
        }
        if self.is_verified(&user, &password) {
            return Ok(user);
        }
        self.check_throttle(address, now)?;
        let Ok(permit) = Arc::clone(&self.hashing).acquire_owned().await else {
            return Err(LoginError::Refused("the broker stops".to_owned()));
        };
        // Others may have come to know something while this one waited: many clients of one user, or a guesser's.
        if self.is_verified(&user, &password) {
            return Ok(user);
        }
        self.check_throttle(address, now)?;
        let hash = self.accounts.password(&user);
        let verified = Arc::clone(&self.verified);
        let verify = spawn_blocking(move || {
            let _until_verified = permit;
            let Some(hash) = hash else {
                verify_nobody(&password);
                return Err(format!("no user '{user}', or one without a password"));
            };
            if !hash.verify(&password) {
                return Err(format!("wrong password for user '{user}'"));
            }
            verified.remember(&user, &password, &hash);
            Ok(user)
        });
        verify.await.unwrap_or_else(|error| Err(error.to_string())).map_err(|reason| {
            self.throttle.failed(address, now);
            LoginError::Refused(reason)
        })
    }

    fn is_verified(&self, user: &str, password: &[u8]) -> bool {
        let hash = self.accounts.password(user);
        hash.is_some_and(|hash| self.verified.contains(user, password, &hash))
    }

    fn check_throttle(&self, address: IpAddr, now: Timestamp) -> Result<(), LoginError> {
        if self.throttle.is_closed(address, now) {
            self.throttled.fetch_add(1, Ordering::Relaxed);
            return Err(LoginError::Refused(format!("too many failed logins from {address}")));
        }
        Ok(())
    }

    /// RabbitMQ: guest's password is known to everybody, so that it counts on the machine itself only.
    fn check_address(&self, user: Arc<User>, address: IpAddr) -> Result<Arc<User>, LoginError> {
        let name = &user.name;
        if self.rules.loopback_only.contains(name.as_str()) && !address.to_canonical().is_loopback() {
            return Err(LoginError::Refused(format!("user '{name}' can only connect from loopback")));
        }
        Ok(user)
    }
}

#[cfg(test)]
mod tests {
    use super::super::accounts::KnownAccounts;
    use super::super::throttle::FAILURES_MAX;
    use super::*;
    use std::net::Ipv4Addr;

    const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
    const ELSEWHERE: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
    const NOW: Timestamp = Timestamp::from_millis(0);

    fn authority(anonymous: bool) -> Authority {
        let accounts = Accounts::new(KnownAccounts::default(), None);
        for (user, password) in [(GUEST, Some("guest")), ("alice", Some("secret")), ("robot", None)] {
            let hash = password.map(|password| PasswordHash::new(password.as_bytes()).unwrap());
            accounts.put_user(&Name::from(user), hash, Vec::new()).unwrap();
        }
        Authority::new(LoginRules { anonymous, ..LoginRules::default() }, Arc::new(accounts))
    }

    fn arrival(address: IpAddr, certified: Option<&str>) -> Arrival {
        Arrival { address, certified: certified.map(Name::from) }
    }

    async fn login(
        authority: &Authority,
        mechanism: &str,
        response: &[u8],
        address: IpAddr,
    ) -> Option<String> {
        let claim = authority.claim(ShortStr::truncated(mechanism), response, &arrival(address, None));
        let user = authority.login(claim.ok()?, address, NOW).await.ok()?;
        Some(user.name.to_string())
    }

    #[tokio::test]
    async fn guest_comes_in_from_loopback_only() {
        let authority = authority(true);
        assert_eq!(login(&authority, "PLAIN", b"\0guest\0guest", LOOPBACK).await.unwrap(), "guest");
        assert_eq!(login(&authority, "PLAIN", b"\0guest\0guest", ELSEWHERE).await, None);
        assert_eq!(login(&authority, "ANONYMOUS", b"", LOOPBACK).await.unwrap(), "guest");
        assert_eq!(login(&authority, "ANONYMOUS", b"", ELSEWHERE).await, None);
        assert_eq!(login(&authority, "PLAIN", b"\0alice\0secret", ELSEWHERE).await.unwrap(), "alice");
    }

    #[tokio::test]
    async fn ipv4_mapped_loopback_is_loopback() {
        let mapped = IpAddr::V6(Ipv4Addr::LOCALHOST.to_ipv6_mapped());
        assert!(login(&authority(true), "ANONYMOUS", b"", mapped).await.is_some());
    }

    #[tokio::test]
    async fn wrong_missing_and_malformed_passwords_are_refused() {
        let authority = authority(true);
        for response in
            [&b"\0alice\0wrong"[..], b"\0alice\0", b"\0robot\0", b"\0robot\0robot", b"\0nobody\0secret"]
        {
            assert_eq!(login(&authority, "PLAIN", response, LOOPBACK).await, None);
        }
        assert_eq!(login(&authority, "PLAIN", b"alice", LOOPBACK).await, None);
        assert_eq!(authority.counts(), LoginCounts { accepted: 0, refused: 5, throttled: 0 });
    }

    #[tokio::test]
    async fn a_password_counts_until_it_is_replaced() {
        let authority = authority(true);
        let alice = Name::from("alice");
        for _ in 0..2 {
            assert!(login(&authority, "PLAIN", b"\0alice\0secret", LOOPBACK).await.is_some());
        }
        let hash = authority.hash_password(&alice, b"other".to_vec()).await.unwrap();
        authority.accounts.put_user(&alice, Some(hash), Vec::new()).unwrap();
        assert_eq!(login(&authority, "PLAIN", b"\0alice\0secret", LOOPBACK).await, None);
        assert!(login(&authority, "PLAIN", b"\0alice\0other", LOOPBACK).await.is_some());
        authority.accounts.delete_user(&alice).unwrap();
        assert_eq!(login(&authority, "PLAIN", b"\0alice\0other", LOOPBACK).await, None);
    }

    #[tokio::test]
    async fn a_flood_of_wrong_passwords_is_throttled_and_known_clients_still_come_in() {
        let authority = authority(true);
        assert!(login(&authority, "PLAIN", b"\0alice\0secret", ELSEWHERE).await.is_some());
        for guess in 0..FAILURES_MAX + 10 {
            let response = format!("\0alice\0{guess}");
            assert_eq!(login(&authority, "PLAIN", response.as_bytes(), ELSEWHERE).await, None);
        }
        assert_eq!(authority.counts().throttled, 10);
        assert!(login(&authority, "PLAIN", b"\0alice\0secret", ELSEWHERE).await.is_some());
        // Known to nobody yet, and right: it waits like the guesses, but only from there.
        assert_eq!(login(&authority, "PLAIN", b"\0guest\0guest", ELSEWHERE).await, None);
        assert!(login(&authority, "PLAIN", b"\0guest\0guest", LOOPBACK).await.is_some());
    }

    #[tokio::test]
    async fn who_the_transport_has_authenticated_needs_no_password() {
        let authority = authority(false);
        let external = ShortStr::truncated("EXTERNAL");
        let certified = arrival(ELSEWHERE, Some("alice"));
        assert!(authority.mechanisms(true).contains("EXTERNAL"));
        let claim = authority.claim(external, b"", &certified).unwrap();
        assert_eq!(authority.login(claim, ELSEWHERE, NOW).await.unwrap().name.as_str(), "alice");
        let claim = authority.claim(external, b"", &arrival(ELSEWHERE, Some("nobody"))).unwrap();
        assert!(authority.login(claim, ELSEWHERE, NOW).await.is_err());
        let uncertified = arrival(ELSEWHERE, None);
        assert!(!authority.mechanisms(false).contains("EXTERNAL"));
        assert!(authority.claim(external, b"", &uncertified) == Err(LoginError::UnknownMechanism));
    }

    #[test]
    fn anonymous_can_be_switched_off() {
        let (authority, arrival) = (authority(false), arrival(LOOPBACK, None));
        let claim = authority.claim(ShortStr::truncated("ANONYMOUS"), b"", &arrival);
        assert!(claim == Err(LoginError::UnknownMechanism));
        assert!(!authority.mechanisms(false).contains("ANONYMOUS"));
    }
}
