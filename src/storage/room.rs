//! Room for the log to grow: as many files as it may have, and as the disk has room for.
//!
//! On a small or full disk the log is as if it were configured to be smaller: its files are reused sooner, publishers
//! are told to wait sooner, so that there is still room in it for the acks that make more.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::error::StoreError;
use super::index::Index;
use super::log::roster;
use super::shared::Shared;

/// Log files without which the log cannot turn. They may take what is to be left of the disk.
const FILES_MIN: u64 = 4;

/// Fewest log files that are kept free or not yet made, so that a roll need not wait.
const SPARE_FILES_MIN: usize = 2;

/// Of so many log files, those that reclaiming keeps free or not yet made: more than are left when publishers are made
/// to wait, who would else wait for a reclaim that waits for them.
fn spare(files: usize) -> usize {
    (files / 4 + 1).max(SPARE_FILES_MIN)
}

/// Whether so many log files in use are more than three quarters of all: publishers are to wait.
fn is_tight(files: usize, used: usize) -> bool {
    used * 4 > files * 3
}

impl Shared {
    /// Log files that can still be made, as far as was known last.
    pub(super) fn unmade(&self, index: &Index) -> usize {
        self.files().saturating_sub(index.slots.len())
    }

    fn files(&self) -> usize {
        self.files_max.load(Ordering::Acquire) as usize
    }

    /// Whether so few log files are free or not yet made that some should be reclaimed.
    pub(super) fn is_scarce(&self, index: &Index) -> bool {
        index.free.len() + self.unmade(index) < spare(self.files())
    }

    /// Asks the disk how many log files there can be.
    ///
    /// # Errors
    /// So few that the log cannot turn.
    pub(super) fn survey(&self) -> Result<(), StoreError> {
        let made = self.index.lock().slots.len() as u64;
        let asked = u64::from(self.options.log_files);
        let mut files = asked;
        if made < asked {
            let free = self.env.free_bytes(self.names.root()).unwrap_or(u64::MAX);
            let fit = |free: u64| made + free / self.options.log_file_len;
            let spare = fit(free.saturating_sub(self.options.disk_reserve));
            files = spare.max(fit(free).min(FILES_MIN)).clamp(made, asked);
        }
        self.files_max.store(u32::try_from(files).unwrap_or(u32::MAX), Ordering::Release);
        let is_tight = self.is_crowded(&self.index.lock());
        self.is_tight.store(is_tight, Ordering::Release);
        if files < FILES_MIN { Err(self.no_space()) } else { Ok(()) }
    }

    /// Whether three quarters of the log are in use.
    pub(super) fn is_crowded(&self, index: &Index) -> bool {
        is_tight(self.files(), index.order.len())
    }

    /// Makes one more log file if there may be more; one that cannot be made is an alarm, for others become free.
    pub(super) fn make_slot(&self) -> Option<u32> {
        // The alarm, if this is one, is raised where others are reclaimed.
        let _too_few = self.survey();
        let number = {
            let index = self.index.lock();
            (self.unmade(&index) > 0).then_some(index.slots.len())?
        };
        let number = u32::try_from(number).ok()?;
        let made = roster::add(&*self.env, &self.names, number, self.options.log_file_len, self.store_id);
        match made {
            Ok(slot) => {
                self.index.lock().add_slot(Arc::new(slot));
                Some(number)
            }
            Err(error) => {
                self.raise(Some(error));
                None
            }
        }
    }

    /// An error while publishers are made to wait, although all was reclaimed that can be.
    pub(super) fn check_crowd(&self) -> Result<(), StoreError> {
        if self.is_crowded(&self.index.lock()) { Err(self.no_space()) } else { Ok(()) }
    }

    fn no_space(&self) -> StoreError {
        let full = std::io::ErrorKind::StorageFull.into();
        StoreError::io("make more log files in", &self.names.logs(), &full)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reclaiming_begins_before_publishers_wait_however_many_files_there_are() {
        for files in 4..=1024 {
            let tight_from = (0..=files).find(|&used| is_tight(files, used));
            let reclaimed_from = files - spare(files) + 1;
            assert!(tight_from.is_some_and(|used| reclaimed_from <= used), "{files} files");
        }
    }
}
