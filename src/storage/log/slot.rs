//! A log file: made once, zero-filled, then reused.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::block::{FILE_HEAD, LOG_VERSION, decode_file_head, encode_file_head};
use crate::storage::codec::PAGE;
use crate::storage::env::{Env, File, OpenMode};
use crate::storage::error::{Doing, StoreError};
use crate::storage::names::{Names, unfinished};

/// Octets written at once when a file is filled with zeros.
const ZEROS_LEN: usize = 1024 * 1024;

/// An open log file.
#[derive(Debug)]
pub(in crate::storage) struct Slot {
    pub(in crate::storage) number: u32,
    pub(in crate::storage) path: PathBuf,
    pub(in crate::storage) file: Arc<dyn File>,
    /// Octets of the file.
    pub(in crate::storage) capacity: u64,
}

impl Slot {
    /// Makes a file of `capacity` octets of zeros: overwriting later needs no allocation, so that a sync of it
    /// writes no metadata.
    pub(in crate::storage) fn create(
        env: &dyn Env,
        names: &Names,
        number: u32,
        capacity: u64,
        store: u64,
    ) -> Result<Self, StoreError> {
        let path = names.log(number);
        let draft = unfinished(&path);
        let made = Self::fill(env, &draft, &encode_file_head(number, capacity, store), capacity);
        let file = made.inspect_err(|_| {
            // What it took of a full disk goes back.
            let _ = env.remove(&draft);
        })?;
        env.rename(&draft, &path).doing("rename", &draft)?;
        env.sync_dir(&names.logs()).doing("sync", &names.logs())?;
        Ok(Self { number, path, file, capacity })
    }

    fn fill(env: &dyn Env, draft: &Path, head: &[u8], capacity: u64) -> Result<Arc<dyn File>, StoreError> {
        let file = env.open(draft, OpenMode::Create).doing("create", draft)?;
        file.write_at(head, 0).doing("write", draft)?;
        let zeros = vec![0; ZEROS_LEN];
        let mut at = FILE_HEAD;
        while at < capacity {
            let len = usize::try_from(capacity - at).unwrap_or(ZEROS_LEN).min(ZEROS_LEN);
            file.write_at(zeros.get(..len).unwrap_or_default(), at).doing("write", draft)?;
            at += len as u64;
        }
        file.sync().doing("sync", draft)?;
        Ok(file)
    }

    /// Opens a file that is damaged as a whole, for the blocks that it may still hold.
    pub(in crate::storage) fn open_damaged(
        env: &dyn Env,
        names: &Names,
        number: u32,
    ) -> Result<Self, StoreError> {
        let path = names.log(number);
        let file = env.open(&path, OpenMode::Read).doing("open", &path)?;
        let capacity = file.len().doing("measure", &path)?;
        Ok(Self { number, path, file, capacity })
    }

    /// Opens a file that is there and checks that it is whole.
    pub(in crate::storage) fn open(
        env: &dyn Env,
        names: &Names,
        number: u32,
        store: u64,
        mode: OpenMode,
    ) -> Result<Self, StoreError> {
        let path = names.log(number);
        let file = env.open(&path, mode).doing("open", &path)?;
        let len = file.len().doing("measure", &path)?;
        if len < FILE_HEAD {
            return Err(StoreError::corrupt(&path, len, "the file ends within its header"));
        }
        let mut head = vec![0; PAGE];
        file.read_at(&mut head, 0).doing("read", &path)?;
        let Some((version, capacity)) = decode_file_head(&head, number, store) else {
            return Err(StoreError::corrupt(&path, 0, "the file's header is not that of this log file"));
        };
        if version != u32::from(LOG_VERSION) {
            return Err(StoreError::Newer { path, found: version, known: u32::from(LOG_VERSION) });
        }
        if len != capacity {
            let what = format!("the file has {len} octets and should have {capacity}");
            return Err(StoreError::corrupt(&path, len, what));
        }
        Ok(Self { number, path, file, capacity })
    }
}
