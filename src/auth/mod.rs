//! Who may come in, and what they may do.
//!
//! ```text
//!   Authority  logging in: SASL answers, passwords, who must wait after too many failures
//!   Accounts   users, tags, permissions and limits: on disk, and in memory with a generation that every change moves
//!   token      OAuth 2: users that somebody else vouches for, with what they may do
//!   Rights     what one user may do in one virtual host, compiled; good for as long as the generation
//!   operator   whoever can read a file in the data directory administers the broker from its own machine
//! ```

pub mod accounts;
mod authority;
mod error;
mod grant;
mod operator;
mod password;
mod sasl;
mod throttle;
mod token;
mod user;
mod verified;

use std::fmt;

use crate::name::Name;

pub use accounts::{Accounts, KnownAccounts};
pub use authority::{Arrival, Authority, Claim, GUEST, LoginCounts, LoginRules};
pub use error::AccountError;
pub use grant::{Grant, Rights, TopicGrant};
pub use operator::{OperatorFile, OperatorToken};
pub use password::{Algorithm, InvalidPassword, PASSWORD_OCTETS_MAX, PasswordHash};
pub use token::{Scope, TOKEN_OCTETS_MAX, TokenVerifier, Verified};
pub use user::User;

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

impl<'a> Resource<'a> {
    /// How the resource appears in a reply text: `queue 'q' in vhost '/'`.
    pub fn in_vhost(self, vhost: &Name) -> String {
        match self {
            Self::Queue(name) => format!("queue '{name}' in vhost '{vhost}'"),
            Self::Exchange(name) => format!("exchange '{name}' in vhost '{vhost}'"),
        }
    }

    /// Its name.
    pub fn name(self) -> &'a Name {
        match self {
            Self::Queue(name) | Self::Exchange(name) => name,
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

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Configure => "configure",
            Self::Write => "write",
            Self::Read => "read",
        })
    }
}
