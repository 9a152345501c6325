//! A store that no broker has open: read all of it, say what is there and what is damaged, and mend it.
//!
//! ```text
//! check    every checksum is verified, every live message is looked for
//! repair   messages -> messages.repaired.tmp (sound segments linked, the rest copied) -> messages.repaired
//!          -> the two change places
//! ```
//! A repair changes nothing of what it finds: the original stays as `messages.damaged`. Stopped at any point, it is
//! begun again by the next one.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::checkpoint::list_folder;
use super::env::{Env, OpenMode};
use super::error::{Doing, StoreError, unless_damaged};
use super::home::{Lock, Version, lock, read_version};
use super::id::{QueueId, Seq};
use super::log::assemble::{Assembler, Place};
use super::log::block::store_of;
use super::log::scan::{Damage, Files, scan};
use super::names::{MESSAGES, Names, REPAIRED};
use super::record::{Placement, View};
use super::recovery::{Load, Loaded, feed};
use super::salvage::read_segment;
use super::segment::SegmentReader;
use super::seq_set::SeqSet;

/// A directory that is locked and not open.
#[derive(Debug)]
pub struct Offline {
    pub(super) env: Arc<dyn Env>,
    pub(super) names: Names,
    pub(super) store_id: u64,
    /// What is wrong with the directory as a whole.
    pub(super) damage: Vec<StoreError>,
    pub(super) folder: Folder,
    pub(super) lock: Lock,
}

/// Where the store is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Folder {
    /// In its place.
    There,
    /// Not there, but what a repair has made is: it was stopped just before its end.
    Repaired,
    /// Nowhere.
    Gone,
}

/// What a directory holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Queues of which anything is known, by id.
    pub queues: Vec<QueueReport>,
    /// Log files that hold something that is needed.
    pub log_files: u64,
    /// Octets of these.
    pub log_octets: u64,
    /// Segments with a live message.
    pub segments: u64,
    /// Octets of these.
    pub segment_octets: u64,
    /// The store was closed in order.
    pub is_closed: bool,
    /// A last block that was never written as a whole, which the next start drops; not damage.
    pub torn: Option<Finding>,
    /// All damage; empty for a sound directory.
    pub damage: Vec<Finding>,
    /// Messages that are known to have been live and are nowhere, and those that damaged records seem to hold of which
    /// nothing says that they were settled.
    pub lost: Vec<Lost>,
    /// The store is gone as a whole, and with it all messages of all queues.
    pub is_all_lost: bool,
}

/// A queue's share.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueueReport {
    /// Its id.
    pub id: u64,
    /// Live messages.
    pub messages: u64,
    /// Octets of them.
    pub octets: u64,
    /// Octets of its segments that belong to no live message.
    pub garbage_octets: u64,
}

/// Damage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The file.
    pub path: PathBuf,
    /// Where in it; `None` if it is missing or cannot be read at all.
    pub offset: Option<u64>,
    /// What is wrong.
    pub what: String,
}

/// Messages that are lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lost {
    /// Their queue.
    pub queue: QueueId,
    /// Which, ascending.
    pub runs: Vec<LostRun>,
}

/// Neighbouring messages that are lost, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LostRun {
    /// The first.
    pub first: Seq,
    /// The last.
    pub last: Seq,
    /// Octets of each, if what is left of them tells.
    pub octets: Option<u64>,
}

/// Everything that a look at the files told.
pub(super) struct Examined {
    pub(super) loaded: Loaded,
    /// Live messages that were not found so far, by queue.
    pub(super) missing: BTreeMap<u64, SeqSet>,
    /// Segments that cannot be used as they are, by queue and number.
    pub(super) unsound: HashSet<(u64, u64)>,
    queues: BTreeMap<u64, QueueReport>,
    damage: Vec<StoreError>,
    is_all_lost: bool,
}

/// Takes a message of the log and the places where it is needed.
pub(super) type Sink<'a> = dyn FnMut(&[Placement], &[u8]) -> Result<(), StoreError> + 'a;

impl Offline {
    /// Takes a directory that holds a store.
    ///
    /// # Errors
    /// Another process has it, it holds no store, or one of a newer release; or the disk refuses.
    pub fn open(env: Arc<dyn Env>, dir: &Path) -> Result<Self, StoreError> {
        let names = Names::new(dir);
        let listed = match env.list(dir) {
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                let why = "there is no directory of that name; name the directory that has the data";
                return Err(StoreError::NotAStore { path: dir.to_owned(), why: why.to_owned() });
            }
            listed => listed.doing("list", dir)?,
        };
        let has = |name: &str| listed.iter().any(|found| found == name);
        if !has("VERSION") && !has(MESSAGES) && !has(REPAIRED) {
            let why = "it has neither VERSION nor messages, so that nothing in it could be checked or mended; name the \
                       directory that has them";
            return Err(StoreError::NotAStore { path: dir.to_owned(), why: why.to_owned() });
        }
        let lock = lock(&*env, &names)?;
        env.own_like(&names.lock(), dir).doing("give to the directory's owner", &names.lock())?;
        let mut damage = Vec::new();
        let version = match read_version(&*env, &names) {
            Ok(Some(Version { store_id, .. })) => Some(store_id),
            Ok(None) => {
                let what = "it says that this is a data directory, and of which version".to_owned();
                damage.push(StoreError::Missing { path: names.version(), what });
                None
            }
            Err(error) if error.is_corrupt() => {
                damage.push(error);
                None
            }
            Err(error) => return Err(error),
        };
        let folder = match (has(MESSAGES), has(REPAIRED)) {
            (true, _) => Folder::There,
            (false, true) => Folder::Repaired,
            (false, false) => Folder::Gone,
        };
        let store_id = match version {
            Some(store_id) => store_id,
            None => find_id(&*env, &folder.names(&names))?.ok_or_else(|| nameless(dir))?,
        };
        Ok(Self { env, names, store_id, damage, folder, lock })
    }

    /// Verifies every checksum and looks for every message. `known` says which queues exist: the others count for
    /// nothing.
    ///
    /// # Errors
    /// A file is of a newer release or cannot be read for another reason than damage.
    pub fn check(&self, known: &dyn Fn(QueueId) -> bool) -> Result<Report, StoreError> {
        let mut examined = self.examine(known)?;
        examined.walk_log(&mut |_, _| Ok(()))?;
        Ok(examined.report())
    }

    /// Loads the store and reads its segments.
    pub(super) fn examine(&self, known: &dyn Fn(QueueId) -> bool) -> Result<Examined, StoreError> {
        let known = |id: u64| known(QueueId(id));
        let (env, names) = (&*self.env, &self.folder.names(&self.names));
        let load = Load { env, names, known: &known, damage: Damage::Skip, mode: OpenMode::Read };
        let loaded = load.load(self.store_id)?;
        let mut damage = self.damage.clone();
        damage.extend(self.folder.damage(&self.names));
        let is_all_lost = self.folder == Folder::Gone;
        if !is_all_lost {
            damage.extend_from_slice(&loaded.damage);
        }
        let mut examined = Examined {
            missing: BTreeMap::new(),
            unsound: HashSet::new(),
            queues: BTreeMap::new(),
            damage,
            is_all_lost,
            loaded,
        };
        examined.read_segments(env, names)?;
        Ok(examined)
    }
}

impl Folder {
    /// The files of the store.
    fn names(self, names: &Names) -> Names {
        match self {
            Self::There | Self::Gone => names.clone(),
            Self::Repaired => names.in_folder(REPAIRED),
        }
    }

    /// What is wrong if the store is not in its place.
    pub(super) fn damage(self, names: &Names) -> Option<StoreError> {
        let what = match self {
            Self::There => return None,
            Self::Repaired => {
                "a repair was stopped before its end; what it found damaged is beside it, in messages.damaged"
            }
            Self::Gone => "it held the messages of every queue",
        };
        Some(StoreError::Missing { path: names.messages().to_owned(), what: what.to_owned() })
    }
}

impl Examined {
    fn read_segments(&mut self, env: &dyn Env, names: &Names) -> Result<(), StoreError> {
        let in_order: BTreeMap<_, _> = self.loaded.index.queues.iter().collect();
        for (&queue, state) in in_order {
            let mut missing = state.live.clone();
            let mut report = QueueReport { id: queue, ..QueueReport::default() };
            for segment in &state.segments {
                let (mut bad, mut seeming) = (Vec::new(), Vec::new());
                let each = &mut |_: &_, entry: super::segment::Entry<'_>| {
                    if missing.remove(entry.seq) {
                        report.messages += 1;
                        report.octets += entry.image.len() as u64;
                    }
                };
                let opened = SegmentReader::open(env, names, self.loaded.store_id, queue, segment.number);
                let read = opened.and_then(|reader| {
                    read_segment(&reader, segment.len, each, &mut |error, mut messages| {
                        bad.push(error);
                        seeming.append(&mut messages);
                    })
                });
                for (seq, octets) in seeming {
                    self.loaded.claimed.note(queue, seq, octets);
                }
                match read {
                    Err(error) if error.is_corrupt() => bad.push(error),
                    read => read?,
                }
                if !bad.is_empty() {
                    self.unsound.insert((queue, segment.number));
                    self.damage.append(&mut bad);
                }
                report.garbage_octets += segment.len;
            }
            report.garbage_octets = report.garbage_octets.saturating_sub(report.octets);
            self.queues.insert(queue, report);
            self.missing.insert(queue, missing);
        }
        Ok(())
    }

    /// Calls `sink` with every message of the log that is live and in no sound segment.
    pub(super) fn walk_log(&mut self, sink: &mut Sink<'_>) -> Result<(), StoreError> {
        let Self { loaded, missing, queues, .. } = self;
        let mut assembler = Assembler::default();
        let files = Files { slots: &loaded.slots, absent: &[] };
        scan(files, loaded.store_id, loaded.log_start, Damage::Skip, &mut |slot, block| {
            let mut done = Ok(());
            // What is damaged was noted when the log was read before.
            let each = &mut |item: View<'_>, _: &Place| {
                let (View::Publish(message) | View::Carry(message)) = item else { return };
                let mut needed: Vec<Placement> = message.placements().collect();
                needed.retain(|at| {
                    missing.get_mut(&at.queue.0).is_some_and(|missing| missing.remove(at.seq.0))
                });
                for placement in &needed {
                    let report = queues.entry(placement.queue.0).or_default();
                    report.messages += 1;
                    report.octets += message.image.len() as u64;
                }
                if !needed.is_empty() && done.is_ok() {
                    done = sink(&needed, message.image);
                }
            };
            let _noted = feed(&mut assembler, slot, block, each, &mut Vec::new());
            done
        })?;
        self.missing.retain(|_, missing| !missing.is_empty());
        Ok(())
    }

    /// Whether all is as it should be, apart from what is wrong with the directory as a whole.
    pub(super) fn is_sound(&self, of_directory: &[StoreError]) -> bool {
        self.damage == of_directory && self.missing.is_empty()
    }

    /// What was found; after the log was walked.
    pub(super) fn report(&self) -> Report {
        let segments = || self.loaded.index.queues.values().flat_map(|state| &state.segments);
        let files: HashSet<u32> = self.loaded.scanned.files.iter().map(|file| file.slot.number).collect();
        let octets = |slot: &&Arc<super::log::slot::Slot>| files.contains(&slot.number);
        let mut damage: Vec<Finding> = self.damage.iter().map(Finding::from).collect();
        damage.dedup();
        let losing: BTreeSet<u64> =
            self.missing.keys().copied().chain(self.loaded.claimed.queues()).collect();
        let none = SeqSet::default();
        let lost = |queue: u64| {
            let missing = self.missing.get(&queue).unwrap_or(&none);
            Lost { queue: QueueId(queue), runs: self.loaded.claimed.lost(queue, missing) }
        };
        Report {
            queues: self.queues.values().copied().collect(),
            log_files: files.len() as u64,
            log_octets: self.loaded.slots.iter().filter(octets).map(|slot| slot.capacity).sum(),
            segments: segments().count() as u64,
            segment_octets: segments().map(|segment| segment.len).sum(),
            is_closed: self.loaded.scanned.is_closed,
            torn: self.loaded.scanned.torn.as_ref().map(Finding::from),
            damage,
            lost: losing.into_iter().map(lost).collect(),
            is_all_lost: self.is_all_lost,
        }
    }
}

impl Report {
    /// Whether nothing is damaged.
    pub fn is_sound(&self) -> bool {
        self.damage.is_empty() && self.lost.is_empty()
    }
}

impl From<&StoreError> for Finding {
    fn from(error: &StoreError) -> Self {
        match error {
            StoreError::Corrupt { path, offset, what } => {
                Self { path: path.clone(), offset: Some(*offset), what: what.clone() }
            }
            StoreError::Missing { path, what } => {
                Self { path: path.clone(), offset: None, what: format!("it is missing: {what}") }
            }
            StoreError::Io { path, .. }
            | StoreError::Locked { path, .. }
            | StoreError::NotAStore { path, .. }
            | StoreError::Newer { path, .. }
            | StoreError::UnknownRecord { path, .. } => {
                Self { path: path.clone(), offset: None, what: error.to_string() }
            }
            StoreError::TooLarge { .. } | StoreError::Failed(_) => {
                Self { path: PathBuf::new(), offset: None, what: error.to_string() }
            }
        }
    }
}

/// The files of a store whose number nobody knows: each of them is told from another store's by it.
fn nameless(dir: &Path) -> StoreError {
    let why = "VERSION is lost or damaged, and no log file in messages/wal tells the number that it held; without it \
               nothing can be mended: restore VERSION, or one of the log files, from a copy";
    StoreError::NotAStore { path: dir.to_owned(), why: why.to_owned() }
}

/// The store's number as its log files tell it.
fn find_id(env: &dyn Env, names: &Names) -> Result<Option<u64>, StoreError> {
    let logs = unless_damaged(list_folder(env, &names.logs()))?.unwrap_or_default();
    for slot in logs.iter().filter_map(|name| Names::parse_log(name)) {
        let path = names.log(slot);
        let mut head = vec![0; super::codec::PAGE];
        let file = env.open(&path, OpenMode::Read).doing("open", &path)?;
        let read = unless_damaged(file.read_at(&mut head, 0).doing("read", &path))?;
        if let Some(id) = read.and_then(|()| store_of(&head)) {
            return Ok(Some(id));
        }
    }
    Ok(None)
}
