//! Why a command has failed, and with which code the process ends.

use std::fmt;
use std::process::ExitCode;

/// Why a command has failed.
#[derive(Debug)]
pub(super) enum Failure {
    /// The command line cannot be meant.
    Usage(String),
    /// Nobody answers, or not in time.
    Unreachable(String),
    /// Nobody knows who asks.
    Unknown(String),
    /// Who asks may not.
    Forbidden(String),
    /// There is no such thing.
    Missing(String),
    /// The broker refuses.
    Refused(String),
    /// A check says that something is wrong; it has been printed.
    Unhealthy(String),
    /// What answers is no management API, or something here does not work.
    Broken(String),
    /// Whoever reads the output has gone.
    Unread,
}

impl Failure {
    /// 2 for a bad command line, as clap has it; 69 and 77 are EX_UNAVAILABLE and EX_NOPERM of sysexits.h.
    fn code(&self) -> u8 {
        match self {
            Self::Usage(_) => 2,
            Self::Unreachable(_) => 69,
            Self::Unknown(_) | Self::Forbidden(_) => 77,
            Self::Missing(_) | Self::Refused(_) | Self::Unhealthy(_) | Self::Broken(_) => 1,
            Self::Unread => 0,
        }
    }

    /// Says why on standard error.
    #[expect(clippy::print_stderr, reason = "that is where errors of a command go")]
    pub(super) fn tell(&self, program: &str) -> ExitCode {
        if !matches!(self, Self::Unread) {
            eprintln!("{program}: {self}");
        }
        ExitCode::from(self.code())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(text)
            | Self::Unreachable(text)
            | Self::Unknown(text)
            | Self::Forbidden(text)
            | Self::Missing(text)
            | Self::Refused(text)
            | Self::Unhealthy(text)
            | Self::Broken(text) => f.write_str(text),
            Self::Unread => f.write_str("nobody reads the output"),
        }
    }
}
