//! Where messages go that leave the memory and are in no log: transient ones, and those of transient queues.
//!
//! It is a store of its own that nobody syncs and that is emptied at each start: what it holds goes with the process.
//! It is opened when the first message needs it. Nobody waits for room on its disk: what finds none stays in memory,
//! for the memory's alarm to see to, and is tried again later.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use super::lane::lane;
use super::message_log::seq_runs;
use crate::clock::Timestamp;
use crate::id::EntityId;
use crate::queue::{Departed, Lane, Unstored};
use crate::storage::env::RealEnv;
use crate::storage::{Durability, Options, Placement, Record, Seq, Store, StoreError, StoredMessage};

/// Records appended at once.
const RECORDS_AT_ONCE: usize = 256;

/// Largest message in octets that is spilled; a larger one stays in memory. It fits into one record.
const MESSAGE_MAX: usize = 64 * 1024 * 1024;

/// How long after a failed attempt the spill is opened again, in milliseconds: each one writes until the disk is full.
const REOPEN_AFTER_MS: u64 = 1000;

/// The spill.
#[derive(Debug)]
pub(super) struct Spill {
    dir: PathBuf,
    options: Options,
    store: Mutex<Option<Arc<Store>>>,
    /// Held while it is opened, which takes its time; when that may be tried again.
    opening: Mutex<Timestamp>,
    /// The position in its log that found no room; nothing is added until it is there.
    stalled_at: AtomicU64,
}

impl Spill {
    /// An empty spill in `dir`; what is left there of an earlier process is removed.
    ///
    /// # Errors
    /// The disk refuses.
    pub(super) fn new(dir: &Path, options: Options) -> io::Result<Self> {
        let options = Options { durability: Durability::Os, ..options };
        match std::fs::remove_dir_all(dir) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            Ok(()) | Err(_) => Ok(Self {
                dir: dir.to_owned(),
                options,
                store: Mutex::default(),
                opening: Mutex::default(),
                stalled_at: AtomicU64::new(0),
            }),
        }
    }

    /// Takes messages of a queue, all of them or an error. Returns those it took; they can be read from now on. Those
    /// of a call that failed may be given again.
    ///
    /// # Errors
    /// The disk refuses; the messages stay where they are.
    pub(super) fn take(
        &self,
        queue: EntityId,
        messages: &[Unstored],
        now: Timestamp,
    ) -> Result<Vec<(Lane, Seq)>, StoreError> {
        let store = self.open(now)?;
        if store.is_tight() || store.durable().0 < self.stalled_at.load(Ordering::Relaxed) {
            return Err(self.no_room());
        }
        let fits = |message: &&Unstored| message.message.memory_len() <= MESSAGE_MAX;
        let messages: Vec<_> = messages.iter().filter(fits).collect();
        let mut position = None;
        for some in messages.chunks(RECORDS_AT_ONCE) {
            let placements: Vec<_> = some.iter().map(|message| [placement(queue, message)]).collect();
            let records: Vec<_> = placements
                .iter()
                .zip(some)
                .map(|(placements, message)| Record::Publish { placements, image: message.message.image() })
                .collect();
            position = Some(store.append(&records)?);
        }
        if let Some(position) = position
            && !store.wait_durable_unless_full(position)?
        {
            self.stalled_at.fetch_max(position.0, Ordering::Relaxed);
            return Err(self.no_room());
        }
        Ok(messages.iter().map(|message| (message.level, Seq(message.seq.get()))).collect())
    }

    /// Reads messages as [`Store::read`] does.
    ///
    /// # Errors
    /// Octets on disk have changed, or the disk refuses.
    pub(super) fn read(
        &self,
        (queue, level): (EntityId, Lane),
        from: Seq,
        budget: usize,
        out: &mut Vec<StoredMessage>,
    ) -> Result<(), StoreError> {
        let Some(store) = self.store.lock().clone() else { return Ok(()) };
        store.read(lane(queue, level), from, budget, out)
    }

    /// Lets messages go that have left their queue.
    pub(super) fn forget(&self, queue: EntityId, departed: &[Departed]) {
        let Some(store) = self.store.lock().clone() else { return };
        for (level, runs) in seq_runs(departed) {
            // The spill fails by itself at worst: what cannot be forgotten takes disk until the next start.
            let _ = store.append(&[Record::Ack { queue: lane(queue, level), runs: &runs }]);
        }
    }

    /// Lets all messages of a queue go, which has had no other lanes than these.
    pub(super) fn forget_queue(&self, queue: EntityId, lanes: &[Lane]) {
        let Some(store) = self.store.lock().clone() else { return };
        for of_queue in lanes {
            let _ = store.append(&[Record::QueueDelete { queue: lane(queue, *of_queue) }]);
        }
    }

    fn open(&self, now: Timestamp) -> Result<Arc<Store>, StoreError> {
        if let Some(store) = &*self.store.lock() {
            return Ok(Arc::clone(store));
        }
        // Not under the lock that readers need.
        let mut not_before = self.opening.lock();
        if let Some(store) = &*self.store.lock() {
            return Ok(Arc::clone(store));
        }
        if now < *not_before {
            return Err(self.no_room());
        }
        *not_before = now.plus_millis(REOPEN_AFTER_MS);
        let opened = Store::open(Arc::new(RealEnv), &self.dir, self.options, &|_| true);
        let (store, _) = opened.inspect_err(|_| {
            // Half a store would be taken for a damaged one.
            let _ = std::fs::remove_dir_all(&self.dir);
        })?;
        tracing::info!(dir = %self.dir.display(), "messages that are not kept go to the disk to free memory");
        Ok(Arc::clone(self.store.lock().insert(Arc::new(store))))
    }

    fn no_room(&self) -> StoreError {
        StoreError::io("find room in", &self.dir, &io::ErrorKind::StorageFull.into())
    }
}

fn placement(queue: EntityId, message: &Unstored) -> Placement {
    Placement {
        queue: lane(queue, message.level),
        seq: Seq(message.seq.get()),
        expires_ms: message.expires.map_or(0, |expires| expires.as_millis().max(1)),
    }
}
