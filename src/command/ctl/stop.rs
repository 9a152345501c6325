//! Why a command of RabbitMQ's tools has failed, with their exit codes (sysexits.h).

use std::process::ExitCode;

use crate::command::failure::Failure;

/// The command line cannot be meant.
pub(super) const EX_USAGE: u8 = 64;

/// What was given cannot be used.
pub(super) const EX_DATAERR: u8 = 65;

/// There is no such user.
pub(super) const EX_NOUSER: u8 = 67;

/// The broker cannot be reached, or a check fails.
pub(super) const EX_UNAVAILABLE: u8 = 69;

/// Something else.
pub(super) const EX_SOFTWARE: u8 = 70;

/// It has taken too long.
pub(super) const EX_TEMPFAIL: u8 = 75;

/// Why a command has failed.
#[derive(Debug)]
pub(super) struct Stop {
    pub(super) code: u8,
    text: String,
    /// `Error:` stands in front.
    has_head: bool,
}

/// How a command ends.
pub(super) type Done = Result<(), Stop>;

impl Stop {
    pub(super) fn new(code: u8, text: impl Into<String>) -> Self {
        Self { code, text: text.into(), has_head: true }
    }

    /// Without a line `Error:` in front.
    pub(super) fn plain(mut self) -> Self {
        self.has_head = false;
        self
    }

    /// Another reason for what is not there, with a code of its own; everything else as it is.
    pub(super) fn where_missing(failure: Failure, code: u8, text: impl Into<String>) -> Self {
        if matches!(failure, Failure::Missing(_)) { Self::new(code, text) } else { failure.into() }
    }

    /// Says why on standard error.
    #[expect(clippy::print_stderr, reason = "that is where errors of a command go")]
    pub(super) fn tell(&self) -> ExitCode {
        match (self.code, self.has_head) {
            (0, _) => {}
            (_, true) => eprintln!("Error:\n{}", self.text),
            (_, false) => eprintln!("{}", self.text),
        }
        ExitCode::from(self.code)
    }
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        let text = failure.to_string();
        match failure {
            Failure::Usage(_) => Self::new(EX_USAGE, text),
            Failure::Unreachable(_) => Self::new(
                EX_UNAVAILABLE,
                format!("Error: unable to perform an operation on the node: {text}"),
            )
            .plain(),
            Failure::Unknown(_) | Failure::Forbidden(_) | Failure::Unhealthy(_) => {
                Self::new(EX_UNAVAILABLE, text)
            }
            Failure::Missing(_) | Failure::Refused(_) => Self::new(EX_DATAERR, text),
            Failure::Broken(_) => Self::new(EX_SOFTWARE, text),
            Failure::Unread => Self::new(0, text),
        }
    }
}
