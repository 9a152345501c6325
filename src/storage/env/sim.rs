//! A disk in memory that fails like real ones, from a seed.
//!
//! A write lands in the file at once and is durable only after a sync. A crash keeps what was synced; of what was
//! not, every 512-octet sector of every write is kept or lost by the toss of a coin, so that writes are torn and
//! reordered, and of a directory's changes a random prefix is kept, as a journal would.

use std::any::Any;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use super::{Env, File, OpenMode};

const SECTOR: usize = 512;

/// What the system says of a bad sector.
const EIO: i32 = 5;

/// When the simulated disk fails.
#[derive(Clone, Copy, Debug, Default)]
pub struct CrashPlan {
    /// The change (write, sync, create, rename, remove) at which the machine stops, counted from 0. A write is
    /// still pending then, like any other that was not synced.
    pub crash_at: Option<u64>,
    /// The change that fails with EIO, once.
    pub eio_at: Option<u64>,
    /// From this change on there is no space: writes that lengthen a file and new files fail, until cleared.
    pub full_from: Option<u64>,
    /// Then there is space again after so many changes, failed ones among them.
    pub full_for: Option<u64>,
}

/// A simulated disk; clones share it.
#[derive(Clone, Debug, Default)]
pub struct SimEnv(Arc<Mutex<Disk>>);

#[derive(Debug, Default)]
struct Disk {
    files: Vec<Inode>,
    /// The names as a running process sees them.
    names: BTreeMap<PathBuf, usize>,
    durable_names: BTreeMap<PathBuf, usize>,
    pending_names: Vec<(PathBuf, Vec<NameChange>)>,
    changes: u64,
    octets_read: u64,
    plan: CrashPlan,
    crashed: bool,
    /// The file whose reads fail.
    unreadable: Option<usize>,
}

#[derive(Debug, Default)]
struct Inode {
    now: Vec<u8>,
    durable: Vec<u8>,
    pending: Vec<(usize, Vec<u8>)>,
}

#[derive(Clone, Debug)]
struct NameChange {
    path: PathBuf,
    inode: Option<usize>,
}

impl SimEnv {
    /// An empty disk.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets when the disk fails; counting starts at [`Self::changes`].
    pub fn set_plan(&self, plan: CrashPlan) {
        self.0.lock().plan = plan;
    }

    /// Changes made so far.
    pub fn changes(&self) -> u64 {
        self.0.lock().changes
    }

    /// Octets read so far.
    pub fn octets_read(&self) -> u64 {
        self.0.lock().octets_read
    }

    /// Whether the planned crash has happened.
    pub fn has_crashed(&self) -> bool {
        self.0.lock().crashed
    }

    /// Stops the machine and starts it again: what survives is decided by `random`, and the plan is cleared.
    pub fn crash(&self, random: &mut dyn FnMut() -> u64) {
        let mut disk = self.0.lock();
        let disk = &mut *disk;
        for (_, changes) in std::mem::take(&mut disk.pending_names) {
            let keep = usize::try_from(random() % (changes.len() as u64 + 1)).unwrap_or(0);
            for change in changes.into_iter().take(keep) {
                change.apply(&mut disk.durable_names);
            }
        }
        disk.names.clone_from(&disk.durable_names);
        for inode in &mut disk.files {
            inode.crash(random);
        }
        disk.plan = CrashPlan::default();
        disk.crashed = false;
    }

    /// Paths of all files, sorted.
    pub fn paths(&self) -> Vec<PathBuf> {
        self.0.lock().names.keys().cloned().collect()
    }

    /// The octets of a file, if it is there.
    pub fn contents(&self, path: &Path) -> Option<Vec<u8>> {
        let disk = self.0.lock();
        let inode = *disk.names.get(path)?;
        disk.files.get(inode).map(|file| file.now.clone())
    }

    /// Replaces a file durably: a flipped bit, a truncation.
    pub fn set_contents(&self, path: &Path, contents: &[u8]) {
        let mut disk = self.0.lock();
        let Some(&inode) = disk.names.get(path) else { return };
        if let Some(file) = disk.files.get_mut(inode) {
            *file = Inode { now: contents.to_vec(), durable: contents.to_vec(), pending: Vec::new() };
        }
    }

    /// From now on reads of this file fail with EIO, as on a bad sector; `None`: of none.
    pub fn make_unreadable(&self, path: Option<&Path>) {
        let mut disk = self.0.lock();
        disk.unreadable = path.and_then(|path| disk.names.get(path).copied());
    }

    /// A copy that shares nothing, to try several damages on one state.
    pub fn fork(&self) -> Self {
        let disk = self.0.lock();
        let mut copy = Disk { names: disk.names.clone(), ..Disk::default() };
        copy.durable_names = disk.names.clone();
        let settle =
            |file: &Inode| Inode { now: file.now.clone(), durable: file.now.clone(), pending: vec![] };
        copy.files.resize_with(disk.files.len(), Inode::default);
        for &inode in disk.names.values() {
            if let (Some(to), Some(file)) = (copy.files.get_mut(inode), disk.files.get(inode)) {
                *to = settle(file);
            }
        }
        Self(Arc::new(Mutex::new(copy)))
    }
}

impl NameChange {
    fn apply(self, names: &mut BTreeMap<PathBuf, usize>) {
        match self.inode {
            Some(inode) => names.insert(self.path, inode),
            None => names.remove(&self.path),
        };
    }
}

impl Inode {
    fn write(target: &mut Vec<u8>, data: &[u8], offset: usize) {
        if target.len() < offset + data.len() {
            target.resize(offset + data.len(), 0);
        }
        if let Some(place) = target.get_mut(offset..offset + data.len()) {
            place.copy_from_slice(data);
        }
    }

    fn crash(&mut self, random: &mut dyn FnMut() -> u64) {
        // Sometimes all of the unsynced writes survive, as after a kill of the process alone; sometimes none.
        let odds = random() % 4;
        for (offset, data) in std::mem::take(&mut self.pending) {
            let mut at = 0;
            while at < data.len() {
                let end = data.len().min(at + SECTOR - (offset + at) % SECTOR);
                let kept = odds == 0 || odds < 3 && random().is_multiple_of(2);
                if let Some(part) = data.get(at..end).filter(|_| kept) {
                    Self::write(&mut self.durable, part, offset + at);
                }
                at = end;
            }
        }
        self.now.clone_from(&self.durable);
    }

    fn sync(&mut self) {
        for (offset, data) in std::mem::take(&mut self.pending) {
            Self::write(&mut self.durable, &data, offset);
        }
    }
}

impl Disk {
    /// Counts a change; fails if the plan says so.
    fn change(&mut self) -> io::Result<()> {
        if self.crashed || self.plan.crash_at.is_some_and(|at| self.changes >= at) {
            self.crashed = true;
            return Err(io::Error::other("the simulated machine has stopped"));
        }
        self.changes += 1;
        if self.plan.eio_at == Some(self.changes - 1) {
            return Err(io::Error::from_raw_os_error(EIO));
        }
        Ok(())
    }

    fn check_space(&self) -> io::Result<()> {
        let CrashPlan { full_from, full_for, .. } = self.plan;
        let since = full_from.and_then(|from| self.changes.checked_sub(from)).unwrap_or_default();
        let is_full = since > 0 && full_for.is_none_or(|changes| since <= changes);
        if is_full { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }

    /// Directories are renamed and removed durably at once: what a loss of that would leave is not simulated.
    fn rename_dir(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        if !self.names.keys().any(|name| name.starts_with(from)) {
            return Err(io::ErrorKind::NotFound.into());
        }
        self.settle_names(from);
        for names in [&mut self.names, &mut self.durable_names] {
            let moved =
                |name: &Path| name.strip_prefix(from).map_or_else(|_| name.to_owned(), |rest| to.join(rest));
            *names = std::mem::take(names).into_iter().map(|(name, inode)| (moved(&name), inode)).collect();
        }
        Ok(())
    }

    /// Makes the pending changes in and below a directory durable.
    fn settle_names(&mut self, path: &Path) {
        for (dir, changes) in &mut self.pending_names {
            if dir.starts_with(path) {
                changes.drain(..).for_each(|change| change.apply(&mut self.durable_names));
            }
        }
    }

    fn note(&mut self, path: &Path, inode: Option<usize>) {
        let change = NameChange { path: path.to_owned(), inode };
        change.clone().apply(&mut self.names);
        self.pending_of(path).push(change);
    }

    fn pending_of(&mut self, path: &Path) -> &mut Vec<NameChange> {
        let dir = path.parent().unwrap_or_else(|| Path::new("")).to_owned();
        let at = self.pending_names.iter().position(|(of, _)| *of == dir).unwrap_or_else(|| {
            self.pending_names.push((dir, Vec::new()));
            self.pending_names.len() - 1
        });
        #[expect(clippy::indexing_slicing, reason = "found or pushed just above")]
        &mut self.pending_names[at].1
    }
}

impl Env for SimEnv {
    fn create_dir(&self, _path: &Path) -> io::Result<()> {
        // Directories exist as soon as a file is in them; their own loss is not simulated.
        Ok(())
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        let disk = self.0.lock();
        let inside = |name: &PathBuf| {
            let first = name.strip_prefix(path).ok()?.components().next()?;
            Some(first.as_os_str().to_string_lossy().into_owned())
        };
        let names: BTreeSet<String> = disk.names.keys().filter_map(inside).collect();
        Ok(names.into_iter().collect())
    }

    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn File>> {
        let mut disk = self.0.lock();
        let inode = if mode == OpenMode::Create {
            disk.change()?;
            disk.check_space()?;
            disk.files.push(Inode::default());
            let inode = disk.files.len() - 1;
            disk.note(path, Some(inode));
            inode
        } else {
            *disk.names.get(path).ok_or(io::ErrorKind::NotFound)?
        };
        Ok(Arc::new(SimFile { disk: Arc::clone(&self.0), inode }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut disk = self.0.lock();
        disk.change()?;
        let Some(&inode) = disk.names.get(from) else { return disk.rename_dir(from, to) };
        disk.note(to, Some(inode));
        disk.note(from, None);
        Ok(())
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut disk = self.0.lock();
        disk.change()?;
        let inode = *disk.names.get(from).ok_or(io::ErrorKind::NotFound)?;
        disk.note(to, Some(inode));
        Ok(())
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        let mut disk = self.0.lock();
        disk.change()?;
        disk.settle_names(path);
        disk.names.retain(|name, _| !name.starts_with(path));
        disk.durable_names.retain(|name, _| !name.starts_with(path));
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut disk = self.0.lock();
        disk.change()?;
        disk.names.get(path).ok_or(io::ErrorKind::NotFound)?;
        disk.note(path, None);
        Ok(())
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let mut disk = self.0.lock();
        disk.change()?;
        let disk = &mut *disk;
        for (dir, changes) in &mut disk.pending_names {
            if dir == path {
                changes.drain(..).for_each(|change| change.apply(&mut disk.durable_names));
            }
        }
        Ok(())
    }

    fn lock(&self, _path: &Path) -> io::Result<Box<dyn Any + Send + Sync>> {
        Ok(Box::new(()))
    }

    fn own_like(&self, _path: &Path, _like: &Path) -> io::Result<()> {
        Ok(())
    }

    fn free_bytes(&self, _path: &Path) -> io::Result<u64> {
        Ok(1 << 40)
    }
}

#[derive(Debug)]
struct SimFile {
    disk: Arc<Mutex<Disk>>,
    inode: usize,
}

impl SimFile {
    fn with<T>(&self, act: impl FnOnce(&mut Inode) -> T) -> io::Result<T> {
        self.disk.lock().files.get_mut(self.inode).map(act).ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

impl File for SimFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let mut disk = self.disk.lock();
        if disk.unreadable == Some(self.inode) {
            return Err(io::Error::from_raw_os_error(EIO));
        }
        disk.octets_read += buf.len() as u64;
        drop(disk);
        let read = self.with(|file| {
            let part = file.now.get(start..start.saturating_add(buf.len()))?;
            buf.copy_from_slice(part);
            Some(())
        })?;
        read.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }

    fn write_at(&self, data: &[u8], offset: u64) -> io::Result<()> {
        let offset = usize::try_from(offset).unwrap_or(usize::MAX);
        let mut disk = self.disk.lock();
        let running = !disk.crashed;
        let done = disk.change();
        let stops_now = running && disk.crashed;
        let grows = disk.files.get(self.inode).is_none_or(|file| file.now.len() < offset + data.len());
        if grows && done.is_ok() {
            disk.check_space()?;
        }
        let Some(file) = disk.files.get_mut(self.inode) else { return Err(io::ErrorKind::NotFound.into()) };
        if done.is_ok() || stops_now {
            Inode::write(&mut file.now, data, offset);
            file.pending.push((offset, data.to_vec()));
        }
        done
    }

    fn sync(&self) -> io::Result<()> {
        let mut disk = self.disk.lock();
        let running = !disk.crashed;
        let done = disk.change();
        let stopped = disk.crashed;
        let Some(file) = disk.files.get_mut(self.inode) else { return Err(io::ErrorKind::NotFound.into()) };
        if done.is_ok() {
            file.sync();
        } else if running && !stopped {
            // A failed fsync drops the dirty pages: a later one reports success and the data is gone.
            file.pending.clear();
        }
        done
    }

    fn len(&self) -> io::Result<u64> {
        self.with(|file| file.now.len() as u64)
    }
}
