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

/// The file that counts the log files.
pub(super) const ROSTER: &str = "FILES";

/// The folder of the store under the root.
pub(super) const MESSAGES: &str = "messages";

/// The folder of a store that a repair has made, and that is whole.
pub(super) const REPAIRED: &str = "messages.repaired";

/// The folder in which a repair makes the new store.
pub(super) const REPAIRING: &str = "messages.repaired.tmp";

/// The folder of the definitions, which are another module's.
pub(super) const META: &str = "meta";

/// The file in it.
pub const DEFINITIONS: &str = "definitions.redb";

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
        self.logs().join(log_name(slot))
    }

    pub(super) fn checkpoint(&self, lsn: u64) -> PathBuf {
        self.checkpoints().join(checkpoint_name(lsn))
    }

    pub(super) fn segment(&self, queue: u64, number: u64) -> PathBuf {
        self.segments().join(segment_name(queue, number))
    }

    /// The file that counts the log files.
    pub(super) fn roster(&self) -> PathBuf {
        self.logs().join(ROSTER)
    }

    /// The slot of a log file's name.
    pub(super) fn parse_log(name: &str) -> Option<u32> {
        let slot = name.strip_suffix(".log")?.parse().ok()?;
        (log_name(slot) == name).then_some(slot)
    }

    /// The lsn of a checkpoint's name.
    pub(super) fn parse_checkpoint(name: &str) -> Option<u64> {
        let lsn = name.strip_suffix(".ckpt")?.parse().ok()?;
        (checkpoint_name(lsn) == name).then_some(lsn)
    }

    /// Queue and number of a segment's name.
    pub(super) fn parse_segment(name: &str) -> Option<(u64, u64)> {
        let (queue, number) = name.strip_suffix(".seg")?.split_once('.')?;
        let (queue, number) = (queue.parse().ok()?, number.parse().ok()?);
        (segment_name(queue, number) == name).then_some((queue, number))
    }

    /// Whether a file in the root is VERSION while it is being written.
    pub(super) fn is_version_draft(name: &str) -> bool {
        name.strip_suffix(UNFINISHED) == Some("VERSION")
    }

    /// Whether a file among the logs is one that is being written.
    pub(super) fn is_log_draft(name: &str) -> bool {
        name.strip_suffix(UNFINISHED).is_some_and(|name| name == ROSTER || Self::parse_log(name).is_some())
    }

    /// Whether a file among the checkpoints is one that is being written.
    pub(super) fn is_checkpoint_draft(name: &str) -> bool {
        name.strip_suffix(UNFINISHED).is_some_and(|name| Self::parse_checkpoint(name).is_some())
    }
}

fn log_name(slot: u32) -> String {
    format!("{slot:04}.log")
}

fn checkpoint_name(lsn: u64) -> String {
    format!("{lsn:020}.ckpt")
}

fn segment_name(queue: u64, number: u64) -> String {
    format!("{queue}.{number}.seg")
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_are_made_here_are_taken_for_ours() {
        let names = Names::new(Path::new("/data"));
        let of = |path: PathBuf| path.file_name().unwrap().to_str().unwrap().to_owned();
        assert_eq!(Names::parse_log(&of(names.log(12))), Some(12));
        assert_eq!(Names::parse_checkpoint(&of(names.checkpoint(7))), Some(7));
        assert_eq!(Names::parse_segment(&of(names.segment(5, 1))), Some((5, 1)));
        assert!(Names::is_version_draft(&of(unfinished(&names.version()))));
        assert!(Names::is_log_draft(&of(unfinished(&names.log(3)))));
        assert!(Names::is_log_draft(&of(unfinished(&names.roster()))));
        assert!(Names::is_checkpoint_draft(&of(unfinished(&names.checkpoint(3)))));
        for foreign in ["12.log", "+012.log", "7.ckpt", "05.1.seg", "5.+1.seg", "note.log", "0001.log.tmp"] {
            assert_eq!(Names::parse_log(foreign), None, "{foreign}");
            assert_eq!(Names::parse_checkpoint(foreign), None, "{foreign}");
            assert_eq!(Names::parse_segment(foreign), None, "{foreign}");
        }
        for foreign in ["thesis.tmp", "VERSION", "1.log.tmp", ".tmp"] {
            assert!(!Names::is_version_draft(foreign) && !Names::is_log_draft(foreign), "{foreign}");
            assert!(!Names::is_checkpoint_draft(foreign), "{foreign}");
        }
    }
}
