//! The data directory: definitions and messages.
//!
//! ```text
//!   data/  LOCK        the process that has the directory (storage)
//!          VERSION     its format (storage)
//!          meta/       definitions (metadata)
//!          messages/   the log and segments (storage)
//!          operator    who may administer the broker from its machine (auth)
//!          spill/      messages that left the memory and are not kept: emptied at each start
//! ```

use std::collections::HashSet;
use std::io;
use std::path::Path;
use std::sync::Arc;

use super::lane::of_lane;
use super::spill::Spill;
use crate::metadata::{self, Definitions};
use crate::storage::env::RealEnv;
use crate::storage::{self, Durability, Home, Options, Store, StoreError};

/// Log files of 64 MiB: the largest transaction fits into a record while others are in use.
const LOG_FILES: u32 = 16;

/// The folder of messages that left the memory and are not kept.
pub(super) const SPILL: &str = "spill";

/// Octets that the log leaves of the disk besides: for definitions, checkpoints, segments.
const DISK_MARGIN: u64 = 32 * 1024 * 1024;

/// Largest message body in octets that can be kept: it must fit into one record of the log.
pub const KEPT_MESSAGE_MAX: u64 = 128 * 1024 * 1024;

/// The open data directory.
#[derive(Debug)]
pub struct DataDir {
    pub(super) definitions: Definitions,
    pub(super) defined: metadata::Recovered,
    pub(super) store: Store,
    pub(super) stored: storage::Recovered,
    /// The last broker here ended without saying so: what it had delivered is not known.
    pub(super) after_crash: bool,
    pub(super) spill: Spill,
    /// What durable means in a virtual host that says nothing else.
    pub(super) durability: Durability,
}

impl DataDir {
    /// Opens the directory, or makes a new one, and reads what is there. `free_limit`: octets that its disk should
    /// have left.
    ///
    /// # Errors
    /// When it cannot be used: another process has it, it holds something else, is of a later release, or damaged.
    pub fn open(dir: &Path, free_limit: u64) -> io::Result<Self> {
        // The log keeps its files for ever: if it took the room below which publishers are blocked, they would stay so.
        let disk_reserve = free_limit.saturating_add(free_limit / 10).saturating_add(DISK_MARGIN);
        Self::open_with(dir, Options { disk_reserve, ..options() })
    }

    /// As [`Self::open`], with a log of another size; log files that are there keep theirs.
    ///
    /// # Errors
    /// As for [`Self::open`].
    pub fn open_with(dir: &Path, options: Options) -> io::Result<Self> {
        let home = Home::open(Arc::new(RealEnv), dir).map_err(io::Error::other)?;
        let is_new = home.is_new();
        let (definitions, defined) = match open_definitions(dir, is_new) {
            Ok(opened) => opened,
            Err(error) => {
                if is_new {
                    home.leave();
                }
                return Err(error);
            }
        };
        let known: HashSet<_> = defined.stored_ids().collect();
        let opened = home.store(options, &|id| known.contains(&of_lane(id).0));
        let (store, stored) = opened.map_err(io::Error::other)?;
        let spill = Spill::new(&dir.join(SPILL), options)?;
        let after_crash = stored.blocks > 0 && !stored.is_closed;
        if let Some(torn) = &stored.torn {
            tracing::warn!(%torn, "the last commit was never on disk as a whole, and never confirmed: dropped");
        }
        for damage in &stored.passed_over {
            tracing::warn!(%damage, "damage that cost nothing: an older file served");
        }
        let durability = Durability::default();
        Ok(Self { definitions, defined, store, stored, after_crash, spill, durability })
    }

    /// The same with another promise than that confirmed messages are on disk.
    #[must_use]
    pub fn with_durability(self, durability: Durability) -> Self {
        Self { durability, ..self }
    }
}

/// The sizes of a broker's store.
pub(super) fn options() -> Options {
    Options { log_files: LOG_FILES, ..Options::default() }
}

/// Definitions are made in a new directory only: elsewhere, missing ones would orphan all messages.
fn open_definitions(dir: &Path, is_new: bool) -> io::Result<(Definitions, metadata::Recovered)> {
    let meta = dir.join("meta");
    if !is_new {
        return Definitions::open(&meta);
    }
    let has = match Definitions::create(&meta) {
        Ok((definitions, defined)) if defined.is_empty() => return Ok((definitions, defined)),
        Ok(_) => "definitions",
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            "a file that is no sound definitions.redb"
        }
        Err(error) => return Err(error),
    };
    let why = format!(
        "it has {has} in meta, but neither VERSION nor messages; restore all of them from one copy, or move meta away \
         to begin with nothing"
    );
    Err(io::Error::other(StoreError::NotAStore { path: dir.to_owned(), why }))
}
