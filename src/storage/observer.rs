//! Whoever follows what happens to the log.

use super::error::StoreError;
use super::id::LogPosition;

/// Is told what happens to the log. Called by the store's threads, one at a time and without locks that an append or
/// a read needs; must not block for long, for the next commit waits.
pub trait Observer: Send + Sync {
    /// Everything up to `position` is durable.
    fn durable(&self, position: LogPosition);
    /// The operating system has everything up to `position`: before it is durable.
    fn written(&self, position: LogPosition) {
        let _ = position;
    }
    /// The log has failed: nothing more becomes durable, and the process is to end. Called once.
    fn failed(&self, error: &StoreError) {
        let _ = error;
    }
    /// Reclaiming fails (`Some`) or works again (`None`). Publishers are to be blocked meanwhile; nothing is lost.
    fn alarm(&self, error: Option<&StoreError>) {
        let _ = error;
    }
}
