//! The only way from the engine to the disk: a real one and a simulated one.
//!
//! Errors are `io::Error`s throughout; the caller adds which file and what it was doing.

mod real;
mod sim;

use std::any::Any;
use std::fmt::Debug;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

pub use self::real::RealEnv;
pub use self::sim::{CrashPlan, SimEnv};

/// How a file is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenMode {
    /// The file exists and is only read.
    Read,
    /// The file exists and is read and written.
    Write,
    /// The file is made; one of that name is emptied.
    Create,
}

/// The operations that the engine asks of a file system.
///
/// Nothing is durable before it was synced: a file's bytes by [`File::sync`], the names in a directory (files
/// made, renamed, removed) by [`Env::sync_dir`].
pub trait Env: Debug + Send + Sync {
    /// Makes `path` and its parents, durably; no error if it is there.
    fn create_dir(&self, path: &Path) -> io::Result<()>;
    /// The names in `path`, sorted.
    fn list(&self, path: &Path) -> io::Result<Vec<String>>;
    /// Opens a file.
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn File>>;
    /// Renames a file over another, or a directory to a name that is not taken, atomically.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Gives a file a second name, or copies it where that is not possible.
    fn link(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a directory with all that is in it; no error if it is not there.
    fn remove_dir(&self, path: &Path) -> io::Result<()>;
    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Makes the names in a directory durable.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;
    /// Takes the lock file `path` for the life of the returned value and writes the process id into it.
    ///
    /// # Errors
    /// `WouldBlock` when another owner has it.
    fn lock(&self, path: &Path) -> io::Result<Box<dyn Any + Send + Sync>>;
    /// Gives `path`, and all that is in it, the owner and group of the folder `like`, and folders its mode too, where
    /// this process may: what root makes in somebody else's folder is to be of use to him.
    fn own_like(&self, path: &Path, like: &Path) -> io::Result<()>;
    /// Octets that the file system of `path` has left for this process.
    fn free_bytes(&self, path: &Path) -> io::Result<u64>;
    /// Time since some moment, for figures only: nothing may depend on it. One without a clock says zero.
    fn elapsed(&self) -> Duration {
        Duration::ZERO
    }
}

/// An open file, read and written at positions.
pub trait File: Debug + Send + Sync {
    /// Fills `buf` from `offset`.
    ///
    /// # Errors
    /// `UnexpectedEof` when the file ends before.
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()>;
    /// Writes all of `data` at `offset`.
    fn write_at(&self, data: &[u8], offset: u64) -> io::Result<()>;
    /// Makes all that was written durable, together with the file's length.
    fn sync(&self) -> io::Result<()>;
    /// The length in octets.
    fn len(&self) -> io::Result<u64>;
    /// Whether the file has no octets.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }
}
