//! Definitions that no broker has open: reading them without a change, and making them anew.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use super::definition::{Change, QueueDefinition};
use super::store::{FILE, Recovered, Store};
use crate::id::EntityId;
use crate::name::Name;
use crate::storage::StoreError;
use crate::storage::env::{Env, RealEnv};

/// The file in `dir` that holds all definitions.
pub fn file(dir: &Path) -> PathBuf {
    dir.join(FILE)
}

/// Verifies and reads the definitions in `dir`.
///
/// # Errors
/// `InvalidData` when they are missing or damaged, or of a later format.
pub fn inspect(dir: &Path) -> io::Result<Recovered> {
    Store::copy(dir)?.recover()
}

/// Why the system refused something, in the words that it brings or else as what was being done with `path`.
pub fn refused(error: io::Error, doing: &'static str, path: &Path) -> StoreError {
    match error.downcast::<StoreError>() {
        Ok(error) => error,
        Err(error) => StoreError::io(doing, path, &error),
    }
}

/// Makes new definitions of these queues (virtual host, name); ids are given out from `next_id` on. Returns where the
/// old ones are now, if there were any.
///
/// # Errors
/// The disk refuses; the old ones are where they were, or aside.
pub fn replace(
    dir: &Path,
    queues: &[(Name, Name, QueueDefinition)],
    next_id: u64,
) -> io::Result<Option<PathBuf>> {
    let draft = dir.join("repaired");
    match fs::remove_dir_all(&draft) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let store = Store::create(&draft)?;
    store.write(&changes(queues, next_id))?;
    drop(store);
    if let Some(data) = dir.parent() {
        RealEnv.own_like(dir, data)?;
    }
    let kept = put_aside(&file(dir))?;
    fs::rename(file(&draft), file(dir))?;
    fs::remove_dir(&draft)?;
    File::open(dir)?.sync_all()?;
    Ok(kept)
}

fn changes(queues: &[(Name, Name, QueueDefinition)], next_id: u64) -> Vec<Change> {
    let put = |(vhost, name, queue): &(Name, Name, QueueDefinition)| {
        Change::PutQueue(vhost.clone(), name.clone(), queue.clone())
    };
    let mut changes: Vec<Change> = queues.iter().map(put).collect();
    if let Some(last) = next_id.checked_sub(1) {
        // Only a queue that comes and goes leaves its id used.
        let (vhost, name) = (Name::from("/"), Name::from("last"));
        let id = EntityId::new(last);
        let queue = QueueDefinition {
            id,
            auto_delete: false,
            arguments: lepus_protocol::FieldTable::new(),
            paused: false,
        };
        changes.push(Change::PutQueue(vhost.clone(), name.clone(), queue));
        changes.push(Change::DeleteQueue(vhost, name));
    }
    changes
}

fn put_aside(path: &Path) -> io::Result<Option<PathBuf>> {
    if !path.exists() {
        return Ok(None);
    }
    let aside = (1u32..).map(|n| if n == 1 { ".damaged".to_owned() } else { format!(".damaged.{n}") });
    let mut names = aside.map(|ending| {
        let mut name = path.as_os_str().to_owned();
        name.push(ending);
        PathBuf::from(name)
    });
    let free = names.find(|name| !name.exists()).ok_or(io::ErrorKind::AlreadyExists)?;
    fs::rename(path, &free)?;
    Ok(Some(free))
}
