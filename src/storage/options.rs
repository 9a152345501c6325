//! Sizes and promises of a store.

use super::codec::PAGE;

/// When a record is durable: what an advance of [`Store::durable`](super::Store::durable) past it means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// The octets are on the disk (`fdatasync` has returned): survives a loss of power.
    #[default]
    Fsync,
    /// The operating system has the octets: survives the end of the process, not a loss of power.
    Os,
}

impl Durability {
    /// Its name in definitions and settings.
    pub fn name(self) -> &'static str {
        match self {
            Self::Fsync => "fsync",
            Self::Os => "os",
        }
    }

    /// The one of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Fsync, Self::Os].into_iter().find(|durability| durability.name() == name)
    }
}

/// Who does the work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Driver {
    /// Two threads of the store's own: one commits, one reclaims.
    #[default]
    Threads,
    /// The caller, by [`Store::commit`](super::Store::commit) and [`Store::maintain`](super::Store::maintain): for
    /// tests that are to be replayed and for offline tools.
    Caller,
}

/// Sizes and promises. All sizes are in octets.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// When a record counts as durable of which nothing else is said.
    pub durability: Durability,
    /// Who commits and reclaims.
    pub driver: Driver,
    /// Length of a log file; a multiple of 4096, at least 64 KiB, below 4 GiB. Files that exist keep theirs.
    pub log_file_len: u64,
    /// Most log files there are; at least 4. They are made as they are needed.
    pub log_files: u32,
    /// Octets that the log leaves of the disk when it grows, beyond its first few files.
    pub disk_reserve: u64,
    /// Most octets of a block; a larger record spans several.
    pub block_len: usize,
    /// Appended and not yet written octets from which on publishers are to wait.
    pub buffer_len: usize,
    /// Most octets of a segment.
    pub segment_len: u64,
    /// A queue with less than this in a log file that is to be reused has it copied to the log's end.
    pub carry_len: u64,
    /// Dead octets in a queue's segments from which on they are rewritten.
    pub garbage_len: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            durability: Durability::Fsync,
            driver: Driver::Threads,
            log_file_len: 64 << 20,
            log_files: 8,
            disk_reserve: 0,
            block_len: 1 << 20,
            buffer_len: 16 << 20,
            segment_len: 64 << 20,
            carry_len: 256 << 10,
            garbage_len: 256 << 20,
        }
    }
}

/// Most octets that are synced together; beyond that a confirm waits less if the group is split.
const BATCH_LEN: u64 = 16 << 20;

impl Options {
    /// The options with every size within its limits.
    #[must_use]
    pub(super) fn limited(mut self) -> Self {
        self.log_file_len = self.log_file_len.clamp(64 << 10, 1 << 31).next_multiple_of(4096);
        self.log_files = self.log_files.clamp(4, 1024);
        let quarter = usize::try_from(self.log_file_len / 4).unwrap_or(usize::MAX);
        self.block_len = self.block_len.clamp(PAGE, quarter);
        self
    }

    /// The options for log files of which the shortest has so many octets: a block must fit into any of them.
    #[must_use]
    pub(super) fn fitting(self, shortest: Option<u64>) -> Self {
        let quarter = shortest.map_or(usize::MAX, |len| usize::try_from(len / 4).unwrap_or(usize::MAX));
        Self { block_len: self.block_len.min(quarter).max(PAGE), ..self }
    }

    /// Octets of a record's part in a block.
    pub(super) fn payload_max(&self) -> usize {
        self.block_len - super::log::block::BLOCK_HEAD
    }

    /// Octets of the largest record: it must fit while as many log files are in use as a reclaim may need.
    pub(super) fn record_max(&self) -> usize {
        let files = u64::from(self.log_files.saturating_sub(4).max(1));
        usize::try_from((files * (self.log_file_len / 2)).min(1 << 31)).unwrap_or(usize::MAX)
    }

    pub(super) fn batch_len(&self) -> usize {
        usize::try_from(BATCH_LEN.min(self.log_file_len / 2)).unwrap_or(usize::MAX)
    }
}
