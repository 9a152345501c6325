//! Definitions: what was declared as durable, and who may do what, so that it is there after a restart.
//!
//! ```text
//!   declare, bind, delete -> record(change) -> one thread: all changes that wait, one transaction, one fsync
//!                               |                                            |
//!                            position  <-------------- durable(position) ----+
//! ```
//!
//! Whoever answers a client waits for the position first: what was answered is on disk. Changes that come while a
//! transaction is being written share the next one, so that pipelined declares cost one fsync for all of them.
//! On a full disk the thread tries again until there is room, and those who wait go on waiting; meanwhile
//! [`Definitions::is_full`], so that nobody needs to begin to. What may only follow a change
//! ([`Definitions::record_then`]) is done by the thread, in the order of the changes.
//!
//! A transaction is written in two phases, with two fsyncs. In one phase the file goes, after a crash, by the last one
//! whose checksums hold: damage to it would look like an end in the middle of it, and what was answered would be gone
//! without a word.

mod access;
mod definition;
mod offline;
mod policy;
mod store;
mod tables;

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use tokio::sync::watch;

pub use access::{
    PasswordDefinition, PermissionDefinition, TopicPermissionDefinition, UserDefinition, UserLimits,
    VhostDefinition, VhostLimits, is_reached,
};
pub use definition::{BindingDefinition, Change, DestinationKind, ExchangeDefinition, QueueDefinition};
pub use offline::{file, inspect, refused, replace};
pub use policy::{PolicyDefinition, PolicyKind};
pub use store::Recovered;
use store::Store;

use crate::storage::make_urgent;

/// Changes that wait for the disk before those who make more must wait: a flood of declares is held back here.
const CHANGES_WAITING_MAX: usize = 65_536;

/// How often something was recorded up to some point: larger is later.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position(u64);

impl Position {
    /// The position after `changes` changes.
    pub const fn new(changes: u64) -> Self {
        Self(changes)
    }

    /// Changes up to here.
    pub const fn get(self) -> u64 {
        self.0
    }
}

/// How long to wait before a full disk is asked again.
const FULL_PAUSE: Duration = Duration::from_millis(500);

/// Told whether the disk is full.
type OnFull = Box<dyn Fn(bool) + Send + Sync>;

/// What is to be done once a change is on disk.
type Then = Box<dyn FnOnce() + Send>;

/// The definitions on disk.
#[derive(Debug)]
pub struct Definitions {
    shared: Arc<Shared>,
    durable: watch::Receiver<Position>,
    writer: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    pending: Mutex<Pending>,
    is_full: AtomicBool,
    /// Is told when the disk is full and when it is not any more.
    on_full: OnceLock<OnFull>,
    /// Something to write, or the end.
    changed: Condvar,
    /// Room for more.
    written: Condvar,
}

#[derive(Default)]
struct Pending {
    changes: Vec<Change>,
    /// What follows those changes.
    then: Vec<Then>,
    position: Position,
    stopping: bool,
}

/// What is written as one transaction.
struct Group {
    changes: Vec<Change>,
    then: Vec<Then>,
    /// Of the last change.
    position: Position,
}

impl Definitions {
    /// Opens the definitions in `dir`, or makes new ones, and reads what is there.
    ///
    /// # Errors
    /// When the file cannot be read, is of a later format, is damaged, or another process has it open. The text
    /// names the file.
    pub fn create(dir: &Path) -> io::Result<(Self, Recovered)> {
        Self::start(Store::create(dir)?)
    }

    /// As [`Self::create`], but the definitions must be there.
    ///
    /// # Errors
    /// As for [`Self::create`], and when the file is missing.
    pub fn open(dir: &Path) -> io::Result<(Self, Recovered)> {
        Self::start(Store::open(dir)?)
    }

    fn start(store: Store) -> io::Result<(Self, Recovered)> {
        let recovered = store.recover()?;
        let shared = Arc::new(Shared::default());
        let (announce, durable) = watch::channel(Position::default());
        let writer = std::thread::Builder::new().name("lepus-metadata".to_owned()).spawn({
            let shared = Arc::clone(&shared);
            move || write_changes(store, &shared, &announce)
        })?;
        Ok((Self { shared, durable, writer: Some(writer) }, recovered))
    }

    /// Records a change. The order of calls is the order on disk.
    pub fn record(&self, change: Change) -> Position {
        self.push([change], None)
    }

    /// Records changes of which all hold after a crash, or none.
    pub fn record_all(&self, changes: impl IntoIterator<Item = Change>) -> Position {
        self.push(changes, None)
    }

    /// As [`Self::record`]; `then` is called once the change is on disk, and before anybody who waits for it goes on.
    /// It must not block: what is recorded next waits for it.
    pub fn record_then(&self, change: Change, then: impl FnOnce() + Send + 'static) -> Position {
        self.push([change], Some(Box::new(then)))
    }

    /// `then` is called once all changes recorded so far are on disk, and before anybody goes on who waits for the
    /// position that is returned. It must not block: what is recorded next waits for it.
    pub fn then(&self, then: impl FnOnce() + Send + 'static) -> Position {
        self.push([], Some(Box::new(then)))
    }

    fn push(&self, changes: impl IntoIterator<Item = Change>, then: Option<Then>) -> Position {
        let mut pending = self.shared.pending.lock();
        while pending.changes.len() >= CHANGES_WAITING_MAX {
            self.shared.written.wait(&mut pending);
        }
        let before = pending.len();
        pending.changes.extend(changes);
        pending.then.extend(then);
        if pending.len() > before {
            pending.position.0 += 1;
        }
        let position = pending.position;
        drop(pending);
        self.shared.changed.notify_one();
        position
    }

    /// Waits until the change at `position` and all before it are on disk.
    pub async fn durable(&self, position: Position) {
        let mut durable = self.durable.clone();
        // An error would mean that the writer is gone, and it goes only with the process or with `self`.
        let _reached = durable.wait_for(|reached| *reached >= position).await;
    }

    /// Waits until everything recorded so far is on disk.
    pub async fn flush(&self) {
        let position = self.shared.pending.lock().position;
        self.durable(position).await;
    }

    /// Whether the disk is full: what is recorded waits until there is room.
    pub fn is_full(&self) -> bool {
        self.shared.is_full.load(Ordering::Relaxed)
    }

    /// Has `tell` told when the disk is full and when it is not any more. Only the first one asked for is told.
    pub fn on_full(&self, tell: impl Fn(bool) + Send + Sync + 'static) {
        if self.shared.on_full.set(Box::new(tell)).is_ok() && self.is_full() {
            self.shared.set_full(true);
        }
    }

    /// Whether the change at `position` is on disk.
    pub fn is_durable(&self, position: Position) -> bool {
        *self.durable.borrow() >= position
    }
}

impl Drop for Definitions {
    /// Writes what is pending, then closes the file.
    fn drop(&mut self) {
        self.shared.pending.lock().stopping = true;
        self.shared.changed.notify_one();
        if let Some(writer) = self.writer.take() {
            let _ended = writer.join();
        }
    }
}

fn write_changes(mut store: Store, shared: &Shared, announce: &watch::Sender<Position>) {
    make_urgent();
    while let Some(Group { changes, then, position }) = shared.next() {
        shared.written.notify_all();
        if !changes.is_empty() {
            let Some(written) = shared.persist(store, &changes) else { return };
            store = written;
        }
        then.into_iter().for_each(|then| then());
        announce.send_replace(position);
    }
}

/// Whether there was no room on the disk.
fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// What follows a failed write is unknown, so that nothing may be answered any more.
fn stop_at_once(error: &io::Error) -> ! {
    tracing::error!(%error, "cannot write definitions, stopping at once");
    std::process::abort()
}

impl Shared {
    fn set_full(&self, is_full: bool) {
        self.is_full.store(is_full, Ordering::Relaxed);
        if let Some(tell) = self.on_full.get() {
            tell(is_full);
        }
    }

    /// Writes changes, as soon as there is room for them. `None` at the end.
    fn persist(&self, mut store: Store, changes: &[Change]) -> Option<Store> {
        while let Err(error) = store.write(changes) {
            if !is_full(&error) {
                stop_at_once(&error);
            }
            store = self.wait_for_room(store, &error)?;
        }
        if self.is_full.load(Ordering::Relaxed) {
            self.set_full(false);
        }
        Some(store)
    }

    /// All or nothing of a transaction is on disk: the file is opened again as after a crash, once the disk may have
    /// room, and what it lacks is written again. `None` at the end.
    fn wait_for_room(&self, store: Store, error: &io::Error) -> Option<Store> {
        if !self.is_full.load(Ordering::Relaxed) {
            tracing::error!(%error, "definitions wait for room on the disk, and who declared them for an answer");
            self.set_full(true);
        }
        let path = store.close();
        loop {
            let mut pending = self.pending.lock();
            if pending.stopping {
                return None;
            }
            self.changed.wait_for(&mut pending, FULL_PAUSE);
            drop(pending);
            match Store::open_at(path.clone()) {
                Ok(store) => return Some(store),
                Err(error) if error.kind() == io::ErrorKind::InvalidData => stop_at_once(&error),
                Err(error) => tracing::debug!(%error, "definitions cannot be opened again"),
            }
        }
    }

    /// Waits for changes, and what follows them, and takes them all. `None` at the end.
    fn next(&self) -> Option<Group> {
        let mut pending = self.pending.lock();
        while pending.len() == 0 {
            if pending.stopping {
                return None;
            }
            self.changed.wait(&mut pending);
        }
        let changes = std::mem::take(&mut pending.changes);
        Some(Group { changes, then: std::mem::take(&mut pending.then), position: pending.position })
    }
}

impl Pending {
    fn len(&self) -> usize {
        self.changes.len() + self.then.len()
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("pending", &self.pending).finish_non_exhaustive()
    }
}

impl fmt::Debug for Pending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pending").field("changes", &self.changes.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod crashes;
#[cfg(test)]
mod tests;
