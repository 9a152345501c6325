//! The store's two threads: one commits, one reclaims.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::Duration;

use super::error::{Doing, StoreError};
use super::shared::Shared;
use super::urgent::make_urgent;

/// How often the keeper looks for something to do without being asked.
const KEEPER_PERIOD: Duration = Duration::from_secs(1);

/// Starts both.
pub(super) fn start(shared: &Arc<Shared>) -> Result<Vec<JoinHandle<()>>, StoreError> {
    let run_one = |name: &str, run: fn(&Shared)| {
        let shared = Arc::clone(shared);
        let thread = std::thread::Builder::new().name(name.to_owned());
        let root = shared.names.root().to_owned();
        thread.spawn(move || run(&shared)).doing("start a thread for", &root)
    };
    Ok(vec![run_one("store-commit", Shared::commit_loop)?, run_one("store-keep", Shared::keep_loop)?])
}

impl Shared {
    /// Batching arises by itself: what is appended while a sync runs is the next group.
    fn commit_loop(&self) {
        make_urgent();
        loop {
            {
                let mut buffer = self.buffer.lock();
                while buffer.is_empty() {
                    if self.is_closing.load(Ordering::Acquire) {
                        return;
                    }
                    self.appended.wait(&mut buffer);
                }
            }
            if self.commit().is_err() {
                return;
            }
        }
    }

    fn keep_loop(&self) {
        let mut commits = 0;
        while !self.is_closing.load(Ordering::Acquire) {
            {
                let mut wanted = self.wanted.lock();
                if !*wanted {
                    self.wake_keeper.wait_for(&mut wanted, KEEPER_PERIOD);
                }
                *wanted = false;
            }
            let before = std::mem::replace(&mut commits, self.counters.commits.load(Ordering::Relaxed));
            if before == commits && self.attest().is_err() {
                return;
            }
            if self.maintain().is_err() {
                // The alarm is raised; a full disk is not emptied by asking at once again.
                let mut wanted = self.wanted.lock();
                self.wake_keeper.wait_for(&mut wanted, KEEPER_PERIOD);
            }
        }
    }
}
