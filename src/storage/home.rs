//! A data directory as a whole: one owner at a time, one version, one number that all files of the store bear.
//!
//! ```text
//! LOCK      process id of the owner; locked while the directory is in use
//! VERSION   "lepus-data <version> <store id, 16 hex> <crc32c of the text before, 8 hex>\n"
//! ```
//! VERSION is the last file that is made in a new directory: where it is, everything else must be.

use std::any::Any;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::codec::crc;
use super::env::{Env, OpenMode};
use super::error::{Doing, StoreError};
use super::id::QueueId;
use super::log::roster;
use super::names::{DEFINITIONS, MESSAGES, META, Names, ROSTER, UNFINISHED, unfinished};
use super::options::Options;
use super::store::{Recovered, Store};
use super::upgrade::{STEPS, VERSION, upgrade};

const MARK: &str = "lepus-data";

/// Octets of VERSION that are read: more is not what we wrote.
const LINE_MAX: u64 = 256;

/// What may be in a directory that is not ours yet, besides a draft of VERSION: what a first start that was stopped
/// leaves, and what the system puts into the root of a file system.
const OURS: &[&str] = &["LOCK", META, MESSAGES, "lost+found"];

/// A data directory that this process has for itself until the value is dropped.
#[derive(Debug)]
pub struct Home {
    pub(super) env: Arc<dyn Env>,
    pub(super) names: Names,
    /// `None`: the directory is new, nothing was ever kept in it.
    pub(super) store_id: Option<u64>,
    lock: Lock,
    /// The lock's file was not there before.
    is_lock_new: bool,
}

/// The directory's lock, for the life of the value.
pub(super) type Lock = Box<dyn Any + Send + Sync>;

impl Home {
    /// Takes the directory, makes it if it is not there, and brings it to this release's version.
    ///
    /// # Errors
    /// Another process has it, it holds something else, is of a newer release, or VERSION is damaged; or the disk
    /// refuses.
    pub fn open(env: Arc<dyn Env>, dir: &Path) -> Result<Self, StoreError> {
        env.create_dir(dir).doing("create", dir)?;
        let names = Names::new(dir);
        let is_lock_new = check_foreign(&*env, &names)?;
        let lock = lock(&*env, &names)?;
        let store_id = match read_version(&*env, &names)? {
            Some(found) => {
                upgrade(&*env, &names, found, STEPS)?;
                Some(found.store_id)
            }
            None => {
                check_new(&*env, &names)?;
                None
            }
        };
        Ok(Self { env, names, store_id, lock, is_lock_new })
    }

    /// Gives up a directory that is none of ours after all: it is as it was.
    pub fn leave(self) {
        if self.is_lock_new {
            // At worst an empty file stays, which nobody takes for anything.
            let _gone = self.env.remove(&self.names.lock());
        }
    }

    /// Whether nothing was ever kept here.
    pub fn is_new(&self) -> bool {
        self.store_id.is_none()
    }

    /// Opens the store, makes it in a new directory, and recovers what was durable. Whatever else belongs into a new
    /// directory must be there by now.
    ///
    /// `known` says which queues exist: records of others are ignored and their messages removed.
    ///
    /// # Errors
    /// The store is damaged or incomplete, or the disk refuses. Nothing is changed in a damaged store but that files
    /// are synced.
    pub fn store(
        self,
        options: Options,
        known: &dyn Fn(QueueId) -> bool,
    ) -> Result<(Store, Recovered), StoreError> {
        let store_id = match self.store_id {
            Some(store_id) => store_id,
            None => self.found()?,
        };
        Store::start(self.env, self.names, store_id, self.lock, options, known)
    }

    /// Makes the store's folders, and then the file that says that all is there.
    fn found(&self) -> Result<u64, StoreError> {
        let names = &self.names;
        for dir in [names.logs(), names.checkpoints(), names.segments()] {
            self.env.create_dir(&dir).doing("create", &dir)?;
        }
        let messages = names.messages();
        self.env.sync_dir(messages).doing("sync", messages)?;
        let store_id = new_id(names);
        roster::write(&*self.env, names, 0, store_id)?;
        write_version(&*self.env, names, Version { version: VERSION, store_id })?;
        Ok(store_id)
    }
}

/// Version and number of a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Version {
    pub(super) version: u32,
    pub(super) store_id: u64,
}

/// Takes the directory's lock.
pub(super) fn lock(env: &dyn Env, names: &Names) -> Result<Lock, StoreError> {
    let path = names.lock();
    env.lock(&path).map_err(|error| {
        if error.kind() == std::io::ErrorKind::WouldBlock {
            StoreError::Locked { owner: owner(env, &path), path }
        } else {
            StoreError::io("lock", &path, &error)
        }
    })
}

/// The process id in a lock file.
fn owner(env: &dyn Env, path: &Path) -> Option<u32> {
    let file = env.open(path, OpenMode::Read).ok()?;
    let mut octets = vec![0; usize::try_from(file.len().ok()?.min(LINE_MAX)).ok()?];
    file.read_at(&mut octets, 0).ok()?;
    String::from_utf8(octets).ok()?.trim().parse().ok()
}

/// A number that no other store has.
pub(super) fn new_id(names: &Names) -> u64 {
    std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), names.root())
}

/// An error if no broker was ever here and something else is: not even a lock is left in it. Whether there is no lock
/// yet.
fn check_foreign(env: &dyn Env, names: &Names) -> Result<bool, StoreError> {
    let listed = env.list(names.root()).doing("list", names.root())?;
    let has =
        |path: &Path| listed.iter().any(|name| path.file_name().is_some_and(|file| file == name.as_str()));
    let is_lock_new = !has(&names.lock());
    if is_lock_new && !has(&names.version()) {
        check_new(env, names)?;
    }
    Ok(is_lock_new)
}

/// An error unless the directory holds nothing, or what a first start that was stopped has left: whose messages are
/// here, and no VERSION, has lost it.
fn check_new(env: &dyn Env, names: &Names) -> Result<(), StoreError> {
    let is_kept = |name: &String| {
        Names::parse_log(name).is_some()
            || Names::parse_checkpoint(name).is_some()
            || Names::parse_segment(name).is_some()
    };
    for dir in [names.logs(), names.checkpoints(), names.segments()] {
        if list_if_there(env, &dir)?.iter().any(is_kept) {
            let what = "it says that this is a data directory, and of which version".to_owned();
            return Err(StoreError::Missing { path: names.version(), what });
        }
    }
    let Some(alien) = alien(env, names)? else { return Ok(()) };
    let alien = alien.strip_prefix(names.root()).unwrap_or(&alien).display();
    let why =
        format!("it has no VERSION, and '{alien}' is none of ours; name another directory, or an empty one");
    Err(StoreError::NotAStore { path: names.root().to_owned(), why })
}

/// Tells by its name whether something may be in a folder.
type IsOurs<'a> = &'a dyn Fn(&str) -> bool;

/// Something that no first start makes.
fn alien(env: &dyn Env, names: &Names) -> Result<Option<PathBuf>, StoreError> {
    let folders = [names.logs(), names.checkpoints(), names.segments()];
    let folder = |name: &str| folders.iter().any(|dir| *dir == names.messages().join(name));
    let definitions = |name: &str| name.strip_suffix(UNFINISHED).unwrap_or(name) == DEFINITIONS;
    let places: [(PathBuf, IsOurs<'_>); 6] = [
        (names.root().to_owned(), &|name| OURS.contains(&name) || Names::is_version_draft(name)),
        (names.root().join(META), &definitions),
        (names.messages().to_owned(), &folder),
        (names.logs(), &|name| name == ROSTER || Names::is_log_draft(name)),
        (names.checkpoints(), &Names::is_checkpoint_draft),
        (names.segments(), &|_| false),
    ];
    for (dir, is_ours) in places {
        if let Some(alien) = list_if_there(env, &dir)?.iter().find(|name| !is_ours(name)) {
            return Ok(Some(dir.join(alien)));
        }
    }
    Ok(None)
}

/// The names in a folder, none if it is not there.
fn list_if_there(env: &dyn Env, dir: &Path) -> Result<Vec<String>, StoreError> {
    match env.list(dir) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        listed => listed.doing("list", dir),
    }
}

/// Writes VERSION, durably and at once.
pub(super) fn write_version(env: &dyn Env, names: &Names, version: Version) -> Result<(), StoreError> {
    let path = names.version();
    let draft = unfinished(&path);
    let text = format!("{MARK} {} {:016x}", version.version, version.store_id);
    let line = format!("{text} {:08x}\n", crc(text.as_bytes()));
    let file = env.open(&draft, OpenMode::Create).doing("create", &draft)?;
    file.write_at(line.as_bytes(), 0).doing("write", &draft)?;
    file.sync().doing("sync", &draft)?;
    env.rename(&draft, &path).doing("rename", &draft)?;
    env.sync_dir(names.root()).doing("sync", names.root())
}

/// Reads VERSION; `None` if there is none.
pub(super) fn read_version(env: &dyn Env, names: &Names) -> Result<Option<Version>, StoreError> {
    let path = &names.version();
    let file = match env.open(path, OpenMode::Read) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        opened => opened.doing("open", path)?,
    };
    let len = file.len().doing("measure", path)?.min(LINE_MAX);
    let mut octets = vec![0; usize::try_from(len).unwrap_or(0)];
    file.read_at(&mut octets, 0).doing("read", path)?;
    let damaged = || StoreError::corrupt(path, 0, "this is no version line of a data directory");
    let version = parse_version(&octets).ok_or_else(damaged)?;
    if version.version > VERSION {
        return Err(StoreError::Newer { path: path.clone(), found: version.version, known: VERSION });
    }
    Ok(Some(version))
}

fn parse_version(octets: &[u8]) -> Option<Version> {
    let line = std::str::from_utf8(octets).ok()?.strip_suffix('\n')?;
    let (text, check) = line.rsplit_once(' ')?;
    let mut words = text.split(' ');
    let is_ours = check == format!("{:08x}", crc(text.as_bytes())) && words.next() == Some(MARK);
    let version = words.next()?.parse().ok()?;
    let store_id = u64::from_str_radix(words.next()?, 16).ok()?;
    (is_ours && version > 0).then_some(Version { version, store_id })
}
