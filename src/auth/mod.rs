//! Who may come in, and what they may do. For now one user, `guest`, who may do everything from loopback.

mod sasl;

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use lepus_protocol::ShortStr;

use crate::exception::ChannelException;
use crate::name::Name;
use sasl::Credentials;

/// RabbitMQ's default user and its password; loopback only.
const GUEST: &str = "guest";

/// A user who has logged in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// The name.
    pub name: Name,
    /// RabbitMQ's tag `impersonator`: may set any user-id on a message.
    pub impersonator: bool,
}

/// What an operation does to a resource (RabbitMQ's three permissions).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Declare or delete it.
    Configure,
    /// Put messages into it.
    Write,
    /// Take messages out of it.
    Read,
}

/// What an operation works on.
#[derive(Clone, Copy, Debug)]
pub enum Resource<'a> {
    /// A queue.
    Queue(&'a Name),
    /// An exchange; the default one counts as `amq.default`.
    Exchange(&'a Name),
}

impl Resource<'_> {
    /// How the resource appears in a reply text: `queue 'q' in vhost '/'`.
    pub fn in_vhost(self, vhost: &Name) -> String {
        match self {
            Self::Queue(name) => format!("queue '{name}' in vhost '{vhost}'"),
            Self::Exchange(name) => format!("exchange '{name}' in vhost '{vhost}'"),
        }
    }
}

/// Why somebody may not come in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LoginError {
    /// No such SASL mechanism is offered.
    UnknownMechanism,
    /// The credentials are malformed or wrong, or the user may not come from there. Says which, for the log only.
    Refused(String),
}

/// Decides who may come in.
#[derive(Clone, Debug)]
pub struct Authority {
    anonymous: bool,
}

impl Authority {
    /// With or without SASL ANONYMOUS.
    pub fn new(anonymous: bool) -> Self {
        Self { anonymous }
    }

    /// The SASL mechanisms offered (§1.4.2.1: separated by spaces).
    pub fn mechanisms(&self) -> &'static str {
        if self.anonymous { "PLAIN AMQPLAIN ANONYMOUS" } else { "PLAIN AMQPLAIN" }
    }

    /// Checks the answer that a client at `peer` gave with connection.start-ok.
    ///
    /// # Errors
    /// When the mechanism is not offered, or the client may not come in.
    pub fn login(
        &self,
        mechanism: ShortStr<'_>,
        response: &[u8],
        peer: IpAddr,
    ) -> Result<Arc<User>, LoginError> {
        let credentials = match mechanism.as_str() {
            Some("PLAIN") => sasl::plain(response),
            Some("AMQPLAIN") => sasl::amqplain(response),
            Some("ANONYMOUS") if self.anonymous => return guest_from(peer),
            _ => return Err(LoginError::UnknownMechanism),
        };
        let credentials =
            credentials.ok_or_else(|| LoginError::Refused("malformed credentials".to_owned()))?;
        check_password(&credentials)?;
        guest_from(peer)
    }

    /// A secret replaces the one of the login (RabbitMQ: connection.update-secret). It means something to users with
    /// tokens that run out; for a user with a password, which was checked at login, it changes nothing.
    pub fn renew(&self, user: &User, _secret: &[u8]) {
        tracing::info!(user = %user.name, "secret updated");
    }
}

fn check_password(credentials: &Credentials) -> Result<(), LoginError> {
    if credentials.user != GUEST {
        return Err(LoginError::Refused(format!("no user '{}'", credentials.user)));
    }
    if credentials.password != GUEST.as_bytes() {
        return Err(LoginError::Refused(format!("wrong password for user '{}'", credentials.user)));
    }
    Ok(())
}

/// RabbitMQ: guest's password is known to everybody, so that it counts on the machine itself only.
fn guest_from(peer: IpAddr) -> Result<Arc<User>, LoginError> {
    if !peer.to_canonical().is_loopback() {
        return Err(LoginError::Refused(format!("user '{GUEST}' can only connect from loopback")));
    }
    Ok(Arc::new(User { name: Name::from(GUEST), impersonator: false }))
}

impl User {
    /// Whether the user may open `vhost`.
    pub fn may_open(&self, _vhost: &Name) -> bool {
        true
    }

    /// Checks one permission. Every operation on a resource comes through here.
    ///
    /// # Errors
    /// 403 with RabbitMQ's text.
    pub fn check(
        &self,
        access: Access,
        vhost: &Name,
        resource: Resource<'_>,
    ) -> Result<(), ChannelException> {
        if self.is_permitted(access, vhost, resource) {
            return Ok(());
        }
        let resource = resource.in_vhost(vhost);
        Err(ChannelException::access_refused(format_args!(
            "{access} access to {resource} refused for user '{}'",
            self.name
        )))
    }

    /// guest may do everything; permissions of other users are looked up here.
    fn is_permitted(&self, _access: Access, _vhost: &Name, _resource: Resource<'_>) -> bool {
        true
    }
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Configure => "configure",
            Self::Write => "write",
            Self::Read => "read",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
    const ELSEWHERE: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

    fn login(mechanism: &str, response: &[u8], peer: IpAddr) -> Result<Arc<User>, LoginError> {
        Authority::new(true).login(ShortStr::truncated(mechanism), response, peer)
    }

    #[test]
    fn guest_comes_in_from_loopback_only() {
        assert!(login("PLAIN", b"\0guest\0guest", LOOPBACK).is_ok());
        assert!(matches!(login("PLAIN", b"\0guest\0guest", ELSEWHERE), Err(LoginError::Refused(_))));
        assert!(matches!(login("ANONYMOUS", b"", ELSEWHERE), Err(LoginError::Refused(_))));
    }

    #[test]
    fn a_wrong_password_is_refused() {
        assert!(matches!(login("PLAIN", b"\0guest\0wrong", LOOPBACK), Err(LoginError::Refused(_))));
        assert!(matches!(login("PLAIN", b"guest", LOOPBACK), Err(LoginError::Refused(_))));
    }

    #[test]
    fn anonymous_can_be_switched_off() {
        let authority = Authority::new(false);
        let login = authority.login(ShortStr::truncated("ANONYMOUS"), b"", LOOPBACK);
        assert_eq!(login, Err(LoginError::UnknownMechanism));
        assert!(!authority.mechanisms().contains("ANONYMOUS"));
    }

    #[test]
    fn ipv4_mapped_loopback_is_loopback() {
        let mapped = IpAddr::V6(Ipv4Addr::LOCALHOST.to_ipv6_mapped());
        assert!(login("ANONYMOUS", b"", mapped).is_ok());
    }
}
