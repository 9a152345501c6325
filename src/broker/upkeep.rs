//! A data directory that no broker has open: what is in it, what is damaged, and mending it.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::data_dir::{SPILL, options};
use super::lane::of_lane;
use lepus_protocol::FieldTable;

use crate::id::EntityId;
use crate::metadata::{self, ExchangeDefinition, QueueDefinition, Recovered};
use crate::name::Name;
use crate::queue::Lane;
use crate::storage::env::RealEnv;
use crate::storage::{Finding, Offline, QueueId, Report, StoreError};

/// Where queues go whose definition is lost.
const VHOST: &str = "/";

/// What a data directory holds.
#[derive(Debug)]
pub struct Inspection {
    names: BTreeMap<EntityId, (Name, Name)>,
    /// Virtual host and name of what is defined.
    queues: Vec<(Name, Name)>,
    /// The messages.
    pub messages: Report,
    /// Why the definitions cannot be used, if so.
    pub definitions: Option<Finding>,
}

/// What a repair has done.
#[derive(Debug)]
pub struct Mended {
    /// What was found, and dropped.
    pub found: Inspection,
    /// What was damaged, as it was.
    pub kept: Vec<PathBuf>,
    /// Queues that were made for messages whose queue nobody knows any more: ids and names.
    pub renamed: Vec<(u64, Name)>,
}

/// What a queue of the store is to its users.
#[derive(Clone, Copy, Debug)]
pub struct Known<'a> {
    /// The queue's id.
    pub id: u64,
    /// The priority of the messages, 0 in a queue without priorities; `None`: they were not due yet.
    pub priority: Option<u8>,
    /// It is no queue, but what an exchange has seen.
    pub is_memory: bool,
    /// Virtual host and name, unless nobody knows.
    pub name: Option<(&'a str, &'a str)>,
}

impl Inspection {
    /// Says what a queue of the store is.
    pub fn known(&self, queue: QueueId) -> Known<'_> {
        let (id, lane) = of_lane(queue);
        let is_memory = lane == Lane::SEEN;
        let name = self.names.get(&id).map(|(vhost, name)| (vhost.as_str(), name.as_str()));
        Known { id: id.get(), priority: lane.priority(), is_memory, name }
    }

    /// Virtual host and name of every queue that is defined.
    pub fn queues(&self) -> impl Iterator<Item = (&str, &str)> {
        self.queues.iter().map(|(vhost, name)| (vhost.as_str(), name.as_str()))
    }

    /// Whether nothing is damaged.
    pub fn is_sound(&self) -> bool {
        self.definitions.is_none() && self.messages.is_sound()
    }
}

/// Why a directory can neither be checked nor mended.
#[derive(Debug)]
pub enum Unusable {
    /// It is where a broker puts messages that are not kept.
    Spill {
        /// The directory.
        dir: PathBuf,
    },
    /// Another reason.
    Store(StoreError),
}

impl From<StoreError> for Unusable {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Spill { dir } => {
                let data = dir.parent().unwrap_or(dir);
                write!(
                    f,
                    "{} is no data directory but the spill of one: it holds transient messages that a running broker \
                     has put out of its memory, and nothing in it outlives that broker; the next start removes it. \
                     The data directory is {}",
                    dir.display(),
                    data.display()
                )
            }
            Self::Store(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Unusable {}

/// A spill stands in a data directory, has a store in it, and no definitions.
fn refuse_spill(dir: &Path) -> Result<(), Unusable> {
    // Its name counts, whatever way leads to it.
    let Ok(dir) = dir.canonicalize() else { return Ok(()) };
    let in_data =
        dir.parent().is_some_and(|data| data.join("VERSION").exists() && data.join("meta").exists());
    if in_data && dir.ends_with(SPILL) && !dir.join("meta").exists() {
        return Err(Unusable::Spill { dir });
    }
    Ok(())
}

/// Verifies every checksum of a data directory. Changes nothing.
///
/// # Errors
/// A process has it open, it is none, or one of a newer release, or cannot be read.
pub fn check(dir: &Path) -> Result<Inspection, Unusable> {
    refuse_spill(dir)?;
    let offline = Offline::open(Arc::new(RealEnv), dir)?;
    let (defined, problem) = definitions(dir)?;
    let messages = offline.check(&known(defined.as_ref()))?;
    Ok(inspection(defined.as_ref(), messages, problem))
}

/// Mends a data directory and drops what cannot be mended.
///
/// # Errors
/// As for [`check`], or the disk refuses: then the next repair begins anew.
pub fn repair(dir: &Path) -> Result<Mended, Unusable> {
    refuse_spill(dir)?;
    let offline = Offline::open(Arc::new(RealEnv), dir)?;
    let (defined, problem) = definitions(dir)?;
    let (lock, repaired) = offline.repair(options(), &known(defined.as_ref()))?;
    let mut kept: Vec<PathBuf> = repaired.original.into_iter().collect();
    let mut renamed = Vec::new();
    if problem.is_some() {
        let (queues, next_id) = substitutes(&repaired.found);
        let meta = dir.join("meta");
        let put = metadata::replace(&meta, &queues, next_id);
        kept.extend(put.map_err(|error| metadata::refused(error, "replace the definitions in", &meta))?);
        renamed = queues.into_iter().map(|(_, name, definition)| (definition.id.get(), name)).collect();
    }
    drop(lock);
    Ok(Mended { found: inspection(defined.as_ref(), repaired.found, problem), kept, renamed })
}

fn inspection(defined: Option<&Recovered>, messages: Report, definitions: Option<Finding>) -> Inspection {
    let queues = defined.into_iter().flat_map(|defined| &defined.queues);
    let queues = queues.map(|(vhost, name, _)| (vhost.clone(), name.clone())).collect();
    Inspection { names: names(defined), queues, messages, definitions }
}

/// The definitions, or what is wrong with them.
fn definitions(dir: &Path) -> Result<(Option<Recovered>, Option<Finding>), StoreError> {
    let meta = dir.join("meta");
    match metadata::inspect(&meta) {
        Ok(defined) => Ok((Some(defined), None)),
        Err(error) if matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::NotFound) => {
            let finding = Finding { path: metadata::file(&meta), offset: None, what: error.to_string() };
            Ok((None, Some(finding)))
        }
        Err(error) => Err(metadata::refused(error, "read", &metadata::file(&meta))),
    }
}

/// Which queues exist; all of them if nobody knows.
fn known(defined: Option<&Recovered>) -> impl Fn(QueueId) -> bool + use<> {
    let ids: Option<HashSet<EntityId>> = defined.map(|defined| defined.stored_ids().collect());
    move |id| ids.as_ref().is_none_or(|ids| ids.contains(&of_lane(id).0))
}

fn names(defined: Option<&Recovered>) -> BTreeMap<EntityId, (Name, Name)> {
    let queues = defined.into_iter().flat_map(|defined| &defined.queues);
    let queues = queues.map(|(vhost, name, queue)| (queue.id, (vhost.clone(), name.clone())));
    let exchanges = defined.into_iter().flat_map(|defined| &defined.exchanges);
    let memory = |(vhost, name, exchange): &(Name, Name, ExchangeDefinition)| {
        exchange.memory.map(|memory| (memory, (vhost.clone(), name.clone())))
    };
    queues.chain(exchanges.filter_map(memory)).collect()
}

/// A queue for every id that has messages, and an id above all of them.
fn substitutes(found: &Report) -> (Vec<(Name, Name, QueueDefinition)>, u64) {
    let mut highest: BTreeMap<EntityId, u8> = BTreeMap::new();
    for queue in found.queues.iter().filter(|queue| queue.messages > 0) {
        let (id, lane) = of_lane(QueueId(queue.id));
        if lane == Lane::SEEN {
            continue;
        }
        let known = highest.entry(id).or_default();
        *known = lane.priority().unwrap_or_default().max(*known);
    }
    let substitute = |(id, priority): (EntityId, u8)| {
        let mut arguments = FieldTable::new();
        if priority > 0 {
            arguments.insert("x-max-priority", i32::from(priority));
        }
        let queue = QueueDefinition { id, auto_delete: false, arguments, paused: false };
        (Name::from(VHOST), Name::from(format!("recovered-{}", id.get())), queue)
    };
    let ids = found.queues.iter().map(|queue| of_lane(QueueId(queue.id)).0.get());
    (highest.into_iter().map(substitute).collect(), ids.max().map_or(0, |id| id + 1))
}
