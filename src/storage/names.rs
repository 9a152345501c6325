//! The names of all files of a store, made and parsed here alone.

use std::path::{Path, PathBuf};

/// The directories and files under one root.
#[derive(Clone, Debug)]
pub(super) struct Names {
    root: PathBuf,
    messages: PathBuf,
}

/// Ending of a file that is being written and is not to be trusted yet.
pub(super) const UNFINISHED: &str = ".tmp";

/// The folder of the store under the root.
pub(super) const MESSAGES: &str = "messages";

/// The folder in which a repair makes the new store.
pub(super) const REPAIRED: &str = "messages.repaired";

/// The folder of the definitions, which are another module's.
pub(super) const META: &str = "meta";

impl Names {
    pub(super) fn new(root: &Path) -> Self {
        Self { root: root.to_owned(), messages: root.join(MESSAGES) }
    }

    /// The same files in another folder: a store that is being made of a damaged one.
    pub(super) fn in_folder(&self, folder: &str) -> Self {
        Self { root: self.root.clone(), messages: self.root.join(folder) }
    }

    /// All that the store keeps, but for the lock and the version.
    pub(super) fn messages(&self) -> &Path {
        &self.messages
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    pub(super) fn lock(&self) -> PathBuf {
        self.root.join("LOCK")
    }

    pub(super) fn version(&self) -> PathBuf {
        self.root.join("VERSION")
    }

    pub(super) fn logs(&self) -> PathBuf {
        self.messages.join("wal")
    }

    pub(super) fn checkpoints(&self) -> PathBuf {
        self.messages.join("checkpoint")
    }

    pub(super) fn segments(&self) -> PathBuf {
        self.messages.join("queues")
    }

    pub(super) fn log(&self, slot: u32) -> PathBuf {
        self.logs().join(format!("{slot:04}.log"))
    }

    pub(super) fn checkpoint(&self, lsn: u64) -> PathBuf {
        self.checkpoints().join(format!("{lsn:020}.ckpt"))
    }

    pub(super) fn segment(&self, queue: u64, number: u64) -> PathBuf {
        self.segments().join(format!("{queue}.{number}.seg"))
    }

    /// The file that counts the log files.
    pub(super) fn roster(&self) -> PathBuf {
        self.logs().join("FILES")
    }

    /// The slot of a log file's name.
    pub(super) fn parse_log(name: &str) -> Option<u32> {
        name.strip_suffix(".log")?.parse().ok()
    }

    /// The lsn of a checkpoint's name.
    pub(super) fn parse_checkpoint(name: &str) -> Option<u64> {
        name.strip_suffix(".ckpt")?.parse().ok()
    }

    /// Queue and number of a segment's name.
    pub(super) fn parse_segment(name: &str) -> Option<(u64, u64)> {
        let (queue, number) = name.strip_suffix(".seg")?.split_once('.')?;
        Some((queue.parse().ok()?, number.parse().ok()?))
    }
}

/// The path of `path` once it was found damaged.
pub(super) fn damaged(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".damaged");
    PathBuf::from(name)
}

/// The path of `path` while it is being written.
pub(super) fn unfinished(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(UNFINISHED);
    PathBuf::from(name)
}
