//! What can go wrong in the store, with the file, the place and what to do.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// An error of the store.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StoreError {
    /// The operating system refused an operation.
    Io {
        /// What was being done: "write", "sync", ...
        doing: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The kind, for those who decide on it.
        kind: io::ErrorKind,
        /// The system's words.
        message: String,
    },
    /// Octets on disk are not what was written.
    Corrupt {
        /// The file.
        path: PathBuf,
        /// Where in the file, in octets.
        offset: u64,
        /// What is wrong there.
        what: String,
    },
    /// Another process has the directory.
    Locked {
        /// The lock file.
        path: PathBuf,
        /// The other's process id.
        owner: Option<u32>,
    },
    /// A file or folder is not where it must be.
    Missing {
        /// The file.
        path: PathBuf,
        /// What says that it must be there.
        what: String,
    },
    /// The directory is none of ours, or too little of one is left.
    NotAStore {
        /// The directory.
        path: PathBuf,
        /// What is missing, and what to do.
        why: String,
    },
    /// A newer release wrote it.
    Newer {
        /// The file that says so.
        path: PathBuf,
        /// The version found.
        found: u32,
        /// The newest version that this release reads.
        known: u32,
    },
    /// A newer release wrote it: it has a record of a kind that this one does not know.
    UnknownRecord {
        /// The log file.
        path: PathBuf,
        /// The kind found.
        kind: u8,
        /// The highest kind that this release reads.
        known: u8,
    },
    /// A record is longer than the log can take.
    TooLarge {
        /// Octets of the record.
        len: usize,
        /// Octets that a record may have.
        max: usize,
    },
    /// The log failed before; nothing is accepted any more.
    Failed(Box<Self>),
}

impl StoreError {
    /// Wraps an error of the environment.
    pub(crate) fn io(doing: &'static str, path: &Path, error: &io::Error) -> Self {
        Self::Io { doing, path: path.to_owned(), kind: error.kind(), message: error.to_string() }
    }

    /// Says that `path` is damaged at `offset`.
    pub(crate) fn corrupt(path: &Path, offset: u64, what: impl Into<String>) -> Self {
        Self::Corrupt { path: path.to_owned(), offset, what: what.into() }
    }

    /// Whether it is about `path` or a file in it.
    pub(crate) fn names(&self, path: &Path) -> bool {
        match self {
            Self::Io { path: of, .. }
            | Self::Corrupt { path: of, .. }
            | Self::Missing { path: of, .. }
            | Self::Locked { path: of, .. }
            | Self::NotAStore { path: of, .. }
            | Self::Newer { path: of, .. }
            | Self::UnknownRecord { path: of, .. } => of.starts_with(path),
            Self::TooLarge { .. } => false,
            Self::Failed(first) => first.names(path),
        }
    }

    /// Whether octets on disk are not what was written, or are not there at all. What the system merely refuses to
    /// open or to read may be whole.
    pub fn is_corrupt(&self) -> bool {
        let is_cut = matches!(self, Self::Io { kind: io::ErrorKind::UnexpectedEof, .. });
        is_cut || matches!(self, Self::Corrupt { .. } | Self::Missing { .. })
    }
}

/// What to do about damage.
const MEND: &str =
    "check the disk, then restore a copy or run `lepus store repair`, which lists what it drops";

/// What to do about a refusal of the system.
fn advice(doing: &str, kind: io::ErrorKind) -> &'static str {
    if matches!(kind, io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem) {
        "; the broker must be able to read and write there: mend the rights or name another directory"
    } else if matches!(kind, io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) {
        "; make room on the disk"
    } else if matches!(
        kind,
        io::ErrorKind::NotFound
            | io::ErrorKind::NotADirectory
            | io::ErrorKind::AlreadyExists
            | io::ErrorKind::InvalidFilename
            | io::ErrorKind::InvalidInput
    ) {
        "; name a directory that is there or can be made"
    } else if doing == "read" {
        "; see what the system's log says about this disk; if a part of it stays unreadable, copy the directory with a \
         tool that reads around bad sectors, and run `lepus store repair` on the copy"
    } else {
        "; see what the system's log says about this disk"
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io { doing, path, kind, message } => {
                write!(f, "cannot {doing} {}: {message}{}", path.display(), advice(doing, *kind))
            }
            Self::Corrupt { path, offset, what } => {
                write!(f, "{} is damaged at offset {offset}: {what}; {MEND}", path.display())
            }
            Self::Missing { path, what } => write!(f, "{} is missing: {what}; {MEND}", path.display()),
            Self::Locked { path, owner: Some(owner) } => {
                write!(f, "process {owner} uses this directory ({} is locked); stop it first", path.display())
            }
            Self::Locked { path, owner: None } => {
                write!(f, "another process uses this directory ({} is locked); stop it first", path.display())
            }
            Self::NotAStore { path, why } => write!(f, "{} is no data directory: {why}", path.display()),
            Self::Newer { path, found, known } => write!(
                f,
                "{} has format {found}, this release reads up to {known}; start the newer release",
                path.display()
            ),
            Self::UnknownRecord { path, kind, known } => write!(
                f,
                "{} has a record of kind {kind}, this release reads kinds up to {known}; start the newer release",
                path.display()
            ),
            Self::TooLarge { len, max } => write!(f, "a record of {len} octets; the log takes up to {max}"),
            Self::Failed(first) => write!(f, "the log has failed and takes nothing more: {first}"),
        }
    }
}

impl std::error::Error for StoreError {}

/// `None` for what is damaged; an error for what the system does not let us read, which may be whole.
pub(super) fn unless_damaged<T>(read: Result<T, StoreError>) -> Result<Option<T>, StoreError> {
    match read {
        Ok(read) => Ok(Some(read)),
        Err(error) if error.is_corrupt() => Ok(None),
        Err(error) => Err(error),
    }
}

/// Adds what was being done, and where, to an error of the environment.
pub(crate) trait Doing<T> {
    /// Names the operation and the file.
    fn doing(self, what: &'static str, path: &Path) -> Result<T, StoreError>;
}

impl<T> Doing<T> for io::Result<T> {
    fn doing(self, what: &'static str, path: &Path) -> Result<T, StoreError> {
        self.map_err(|error| StoreError::io(what, path, &error))
    }
}
