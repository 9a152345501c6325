//! Why accounts and virtual hosts cannot be changed as asked.

use std::fmt;

use super::password::InvalidPassword;
use crate::name::Name;
use crate::pattern::InvalidPattern;

/// Why a user, a permission or a virtual host cannot be changed as asked. Nothing has happened then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccountError {
    /// There is no such user.
    NoUser(Name),
    /// There is no such virtual host.
    NoVhost(Name),
    /// A pattern is none.
    InvalidPattern(InvalidPattern),
    /// A password or its hash is none.
    InvalidPassword(InvalidPassword),
    /// A name is empty or too long.
    InvalidName {
        /// What has the name.
        what: &'static str,
        /// How long it is.
        octets: usize,
        /// How long it may be.
        max: usize,
    },
    /// A text has too many octets.
    TooLong {
        /// What it is.
        what: &'static str,
        /// How long it is.
        octets: usize,
        /// How long it may be.
        max: usize,
    },
    /// Not a type of queue that there is.
    InvalidQueueType(String),
    /// There are as many as there may be.
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many there may be.
        max: usize,
    },
}

impl From<InvalidPattern> for AccountError {
    fn from(invalid: InvalidPattern) -> Self {
        Self::InvalidPattern(invalid)
    }
}

impl From<InvalidPassword> for AccountError {
    fn from(invalid: InvalidPassword) -> Self {
        Self::InvalidPassword(invalid)
    }
}

impl fmt::Display for AccountError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoUser(name) => write!(f, "user '{name}' does not exist"),
            Self::NoVhost(name) => write!(f, "virtual host '{name}' does not exist"),
            Self::InvalidPattern(invalid) => invalid.fmt(f),
            Self::InvalidPassword(invalid) => invalid.fmt(f),
            Self::InvalidName { what, octets, max } => {
                write!(f, "the name of a {what} has 1 to {max} octets, not {octets}")
            }
            Self::TooLong { what, octets, max } => {
                write!(f, "a {what} has up to {max} octets, not {octets}")
            }
            Self::InvalidQueueType(name) => {
                write!(f, "default_queue_type '{name}' is neither 'classic' nor 'quorum'")
            }
            Self::TooMany { what, max } => write!(f, "there are already {max} {what}, and may be no more"),
        }
    }
}

impl std::error::Error for AccountError {}
