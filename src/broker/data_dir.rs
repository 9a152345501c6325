//! The data directory: definitions, messages, and whether the last end was an orderly one.
//!
//! ```text
//!   data/  LOCK        the process that has the directory (storage)
//!          VERSION     its format (storage)
//!          meta/       definitions (metadata)
//!          messages/   the log and segments (storage)
//!          clean       there while no broker runs, after an orderly end
//! ```

use std::collections::HashSet;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::metadata::{self, Definitions};
use crate::storage::env::RealEnv;
use crate::storage::{self, Home, Options, QueueId, Store, StoreError};

/// Log files of 64 MiB: the largest transaction fits into a record while others are in use.
const LOG_FILES: u32 = 16;

/// Largest message body in octets that can be kept: it must fit into one record of the log.
pub const KEPT_MESSAGE_MAX: u64 = 128 * 1024 * 1024;

const CLEAN: &str = "clean";

/// The open data directory.
#[derive(Debug)]
pub struct DataDir {
    pub(super) definitions: Definitions,
    pub(super) defined: metadata::Recovered,
    pub(super) store: Store,
    pub(super) stored: storage::Recovered,
    /// The last broker here ended without saying so: what it had delivered is not known.
    pub(super) after_crash: bool,
}

impl DataDir {
    /// Opens the directory, or makes a new one, and reads what is there.
    ///
    /// # Errors
    /// When it cannot be used: another process has it, it holds something else, is of a later release, or damaged.
    pub fn open(dir: &Path) -> io::Result<Self> {
        let home = Home::open(Arc::new(RealEnv), dir).map_err(io::Error::other)?;
        let (definitions, defined) = open_definitions(dir, home.is_new())?;
        let known: HashSet<_> =
            defined.queues.iter().map(|(_, _, definition)| QueueId(definition.id.get())).collect();
        let options = Options { log_files: LOG_FILES, ..Options::default() };
        let opened = home.store(options, &|id| known.contains(&id));
        let (store, stored) = opened.map_err(io::Error::other)?;
        let was_used = stored.blocks > 0;
        let was_clean = take_marker(dir)?;
        Ok(Self { definitions, defined, store, stored, after_crash: was_used && !was_clean })
    }

    /// Says that this end is an orderly one: everything is on disk, and what was delivered is known.
    ///
    /// # Errors
    /// When the disk refuses; the next start is as after a crash then.
    pub fn mark_clean(dir: &Path) -> io::Result<()> {
        File::create(marker(dir))?.sync_all()?;
        File::open(dir)?.sync_all()
    }
}

/// Definitions are made in a new directory only: elsewhere, missing ones would orphan all messages.
fn open_definitions(dir: &Path, is_new: bool) -> io::Result<(Definitions, metadata::Recovered)> {
    let meta = dir.join("meta");
    if !is_new {
        return Definitions::open(&meta);
    }
    let (definitions, defined) = Definitions::create(&meta)?;
    if defined.is_empty() {
        Ok((definitions, defined))
    } else {
        Err(io::Error::other(StoreError::NotAStore { path: dir.to_owned() }))
    }
}

/// Takes the marker away, for good. Returns whether it was there.
fn take_marker(dir: &Path) -> io::Result<bool> {
    match std::fs::remove_file(marker(dir)) {
        Ok(()) => File::open(dir)?.sync_all().map(|()| true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

fn marker(dir: &Path) -> PathBuf {
    dir.join(CLEAN)
}
