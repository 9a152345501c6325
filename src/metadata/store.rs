//! The file: an embedded transactional store, one table for each kind of definition.

use std::fmt;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use redb::backends::InMemoryBackend;
use redb::{
    Database, DatabaseError, ReadTransaction, ReadableDatabase, ReadableTable, StorageBackend, StorageError,
    WriteTransaction,
};

use super::access::{PermissionDefinition, TopicPermissionDefinition, UserDefinition, VhostDefinition};
use super::definition::{BindingDefinition, Change, ExchangeDefinition, QueueDefinition};
use super::policy::PolicyDefinition;
use super::tables::{
    self, BINDINGS, ByName, EXCHANGES, GLOBAL_PARAMETERS, NEXT_ID_KEY, NUMBERS, Named, OPERATOR_POLICIES,
    PERMISSIONS, POLICIES, QUEUES, TOPIC_PERMISSIONS, Tables, USERS, VHOSTS,
};
use crate::id::EntityId;
use crate::name::Name;
use crate::storage::{DEFINITIONS, StoreError};

pub(super) const FILE: &str = DEFINITIONS;

/// The file while it is being made: what it is cannot be told before it is whole.
pub(super) const DRAFT: &str = "definitions.redb.tmp";

/// The format that this release writes and the latest that it reads.
///
/// 1: exchanges, queues, bindings. 2: virtual hosts, users and permissions too, which a release that knows only 1 would
/// not heed.
const FORMAT: u64 = 2;

/// In `NUMBERS`: the format of the file.
const FORMAT_KEY: &str = "format";

/// All definitions, for a start.
#[derive(Debug, Default)]
pub struct Recovered {
    /// Virtual host, name, definition.
    pub exchanges: Vec<(Name, Name, ExchangeDefinition)>,
    /// Virtual host, name, definition.
    pub queues: Vec<(Name, Name, QueueDefinition)>,
    /// Virtual host, definition.
    pub bindings: Vec<(Name, BindingDefinition)>,
    /// Virtual host, name, definition.
    pub policies: Vec<(Name, Name, PolicyDefinition)>,
    /// Virtual host, name, definition.
    pub operator_policies: Vec<(Name, Name, PolicyDefinition)>,
    /// Name, definition.
    pub vhosts: Vec<(Name, VhostDefinition)>,
    /// Name, definition.
    pub users: Vec<(Name, UserDefinition)>,
    /// Virtual host, user, definition.
    pub permissions: Vec<(Name, Name, PermissionDefinition)>,
    /// Virtual host, user, exchange, definition.
    pub topic_permissions: Vec<(Name, Name, Name, TopicPermissionDefinition)>,
    /// Name, value as it was given.
    pub global_parameters: Vec<(Name, Vec<u8>)>,
    /// An identity greater than any that was given before.
    pub next_id: u64,
}

impl Recovered {
    /// The identities under which something may be stored: of queues, and of what exchanges have seen.
    pub fn stored_ids(&self) -> impl Iterator<Item = EntityId> {
        let memories = self.exchanges.iter().filter_map(|(_, _, exchange)| exchange.memory);
        self.queues.iter().map(|(_, _, queue)| queue.id).chain(memories)
    }

    /// Whether nothing was ever declared.
    pub fn is_empty(&self) -> bool {
        self.exchanges.is_empty() && self.queues.is_empty() && self.bindings.is_empty() && self.next_id == 0
    }
}

/// The open file.
#[derive(Debug)]
pub(super) struct Store {
    path: PathBuf,
    database: Database,
}

impl Store {
    /// Opens the file or makes a new one, which is there as a whole or not at all.
    pub(super) fn create(dir: &Path) -> io::Result<Self> {
        fs::create_dir_all(dir).map_err(|error| refused("create", dir, &error))?;
        let path = dir.join(FILE);
        if !path.try_exists().map_err(|error| refused("look for", &path, &error))? {
            Self::make(dir, &path)?;
        }
        Self::open_at(path)
    }

    fn make(dir: &Path, path: &Path) -> io::Result<()> {
        let draft = dir.join(DRAFT);
        match fs::remove_file(&draft) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(refused("remove", &draft, &error));
            }
            Ok(()) | Err(_) => {}
        }
        let database = verifying().create(&draft).map_err(|error| refusal(&draft, error))?;
        drop(Self::checked(draft.clone(), database)?);
        sync(&draft)?;
        fs::rename(&draft, path).map_err(|error| refused("rename", &draft, &error))?;
        sync(dir)?;
        dir.parent().filter(|parent| !parent.as_os_str().is_empty()).map_or(Ok(()), sync)
    }

    /// Opens the file, which must be there.
    pub(super) fn open(dir: &Path) -> io::Result<Self> {
        Self::open_at(dir.join(FILE))
    }

    /// Closes the file; returns where it is.
    pub(super) fn close(self) -> PathBuf {
        self.path
    }

    /// As [`Self::open`].
    pub(super) fn open_at(path: PathBuf) -> io::Result<Self> {
        let len = fs::metadata(&path).map_err(|error| refusal(&path, error.into()))?.len();
        if len == 0 {
            return Err(damaged(&path, "it is empty"));
        }
        let database = verifying().open(&path).map_err(|error| refusal(&path, error))?;
        Self::checked(path, database)
    }

    /// Opens a copy of the file in memory: whatever is done leaves the file as it is.
    pub(super) fn copy(dir: &Path) -> io::Result<Self> {
        let path = dir.join(FILE);
        let octets = fs::read(&path).map_err(|error| refusal(&path, error.into()))?;
        if octets.is_empty() {
            return Err(damaged(&path, "it is empty"));
        }
        let memory = InMemoryBackend::new();
        memory.set_len(octets.len() as u64).map_err(|error| refused("read", &path, &error))?;
        memory.write(0, &octets).map_err(|error| refused("read", &path, &error))?;
        let database = verifying().create_with_backend(memory).map_err(|error| refusal(&path, error))?;
        Self::checked(path, database)
    }

    /// Opens what `backend` holds, or makes new definitions there.
    #[cfg(test)]
    pub(super) fn on(backend: impl StorageBackend) -> io::Result<Self> {
        let path = PathBuf::from(FILE);
        let database = verifying().create_with_backend(backend).map_err(|error| refusal(&path, error))?;
        Self::checked(path, database)
    }

    fn checked(path: PathBuf, database: Database) -> io::Result<Self> {
        let store = Self { path, database };
        store.check_format()?;
        Ok(store)
    }

    fn check_format(&self) -> io::Result<()> {
        // A start that need not write does not: on a full disk it could not, and nobody could consume what is there.
        if self.is_current().map_err(|error| failed("read", &self.path, error))? {
            return Ok(());
        }
        let format = self.in_transaction(|transaction| {
            let mut numbers = transaction.open_table(NUMBERS)?;
            let found = numbers.get(FORMAT_KEY)?.map(|format| format.value());
            let format = found.unwrap_or(FORMAT).max(FORMAT);
            numbers.insert(FORMAT_KEY, format)?;
            drop(numbers);
            Tables::new(transaction).make_all()?;
            Ok(format)
        })?;
        if format > FORMAT {
            let reason =
                format!("has format {format}; this release reads up to {FORMAT}: use the later release");
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!("{}: {reason}", self.path.display()),
            ));
        }
        Ok(())
    }

    /// Whether the file has this release's format and all its tables.
    fn is_current(&self) -> Result<bool, redb::Error> {
        let transaction = self.database.begin_read()?;
        if transaction.list_tables()?.count() < tables::COUNT {
            return Ok(false);
        }
        let format = transaction.open_table(NUMBERS)?.get(FORMAT_KEY)?;
        Ok(format.is_some_and(|format| format.value() == FORMAT))
    }

    /// Writes changes in order, all or none, and waits for the disk.
    pub(super) fn write(&self, changes: &[Change]) -> io::Result<()> {
        self.in_transaction(|transaction| {
            let mut tables = Tables::new(transaction);
            changes.iter().try_for_each(|change| tables.apply(change))
        })
    }

    fn in_transaction<T>(
        &self,
        work: impl FnOnce(&WriteTransaction) -> Result<T, redb::Error>,
    ) -> io::Result<T> {
        let transact = || {
            let mut transaction = self.database.begin_write()?;
            // In one phase its damage could not be told from an end in the middle of it.
            transaction.set_two_phase_commit(true);
            let result = work(&transaction)?;
            transaction.commit()?;
            Ok::<_, redb::Error>(result)
        };
        transact().map_err(|error| failed("write", &self.path, error))
    }

    /// Reads everything.
    pub(super) fn recover(&self) -> io::Result<Recovered> {
        self.read()
            .map_err(|error| failed("read", &self.path, error))?
            .ok_or_else(|| damaged(&self.path, "a definition cannot be understood"))
    }

    fn read(&self) -> Result<Option<Recovered>, redb::Error> {
        let transaction = self.database.begin_read()?;
        let mut recovered = Recovered::default();
        let understood = read_named(&transaction, QUEUES, QueueDefinition::decode, &mut recovered.queues)?
            && read_named(&transaction, EXCHANGES, ExchangeDefinition::decode, &mut recovered.exchanges)?
            && read_bindings(&transaction, &mut recovered.bindings)?
            && read_named(&transaction, POLICIES, PolicyDefinition::decode, &mut recovered.policies)?
            && read_named(
                &transaction,
                OPERATOR_POLICIES,
                PolicyDefinition::decode,
                &mut recovered.operator_policies,
            )?
            && read_by_name(&transaction, VHOSTS, VhostDefinition::decode, &mut recovered.vhosts)?
            && read_by_name(&transaction, USERS, UserDefinition::decode, &mut recovered.users)?
            && read_named(
                &transaction,
                PERMISSIONS,
                PermissionDefinition::decode,
                &mut recovered.permissions,
            )?
            && read_topic_permissions(&transaction, &mut recovered.topic_permissions)?
            && read_by_name(&transaction, GLOBAL_PARAMETERS, octets, &mut recovered.global_parameters)?;
        if !understood {
            return Ok(None);
        }
        let next_id = transaction.open_table(NUMBERS)?.get(NEXT_ID_KEY)?;
        recovered.next_id = next_id.map_or(0, |next| next.value());
        Ok(Some(recovered))
    }
}

/// Reads a table; `false`: something in it is not understood.
fn read_named<T>(
    transaction: &ReadTransaction,
    table: Named,
    decode: fn(&[u8]) -> Option<T>,
    to: &mut Vec<(Name, Name, T)>,
) -> Result<bool, redb::Error> {
    for row in transaction.open_table(table)?.iter()? {
        let (key, value) = row?;
        let (vhost, name) = key.value();
        let Some(definition) = decode(value.value()) else { return Ok(false) };
        to.push((vhost.into(), name.into(), definition));
    }
    Ok(true)
}

/// What is not understood here, but kept.
#[expect(clippy::unnecessary_wraps, reason = "the shape of what decodes")]
fn octets(raw: &[u8]) -> Option<Vec<u8>> {
    Some(raw.to_vec())
}

fn read_by_name<T>(
    transaction: &ReadTransaction,
    table: ByName,
    decode: fn(&[u8]) -> Option<T>,
    to: &mut Vec<(Name, T)>,
) -> Result<bool, redb::Error> {
    for row in transaction.open_table(table)?.iter()? {
        let (name, value) = row?;
        let Some(definition) = decode(value.value()) else { return Ok(false) };
        to.push((name.value().into(), definition));
    }
    Ok(true)
}

fn read_bindings(
    transaction: &ReadTransaction,
    to: &mut Vec<(Name, BindingDefinition)>,
) -> Result<bool, redb::Error> {
    for row in transaction.open_table(BINDINGS)?.iter()? {
        let (key, _) = row?;
        let (vhost, raw) = key.value();
        let Some(definition) = BindingDefinition::decode(raw) else { return Ok(false) };
        to.push((vhost.into(), definition));
    }
    Ok(true)
}

fn read_topic_permissions(
    transaction: &ReadTransaction,
    to: &mut Vec<(Name, Name, Name, TopicPermissionDefinition)>,
) -> Result<bool, redb::Error> {
    for row in transaction.open_table(TOPIC_PERMISSIONS)?.iter()? {
        let (key, value) = row?;
        let (vhost, user, exchange) = key.value();
        let Some(definition) = TopicPermissionDefinition::decode(value.value()) else { return Ok(false) };
        to.push((vhost.into(), user.into(), exchange.into(), definition));
    }
    Ok(true)
}

/// Every checksum is verified at the open; without that, damage may be met later, where nobody can refuse it.
fn verifying() -> redb::Builder {
    let mut builder = Database::builder();
    builder.set_check_integrity_on_open(true);
    builder
}

/// Why the file cannot be opened, and what to do.
fn refusal(path: &Path, error: DatabaseError) -> io::Error {
    if matches!(error, DatabaseError::DatabaseAlreadyOpen) {
        return io::Error::other(StoreError::Locked { path: path.to_owned(), owner: None });
    }
    let DatabaseError::Storage(StorageError::Io(error)) = error else { return damaged(path, error) };
    if error.kind() == io::ErrorKind::NotFound {
        damaged(path, "it is missing")
    } else if error.kind() == io::ErrorKind::InvalidData {
        damaged(path, error)
    } else {
        refused("open", path, &error)
    }
}

fn damaged(path: &Path, what: impl fmt::Display) -> io::Error {
    let advice = "check the disk, then restore a copy or run `lepus store repair`, which lists what it drops";
    let text = format!("{} holds the definitions and is damaged: {what}; {advice}", path.display());
    io::Error::new(io::ErrorKind::InvalidData, text)
}

/// The system refused something.
fn refused(doing: &'static str, path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), StoreError::io(doing, path, error))
}

/// A transaction failed.
fn failed(doing: &'static str, path: &Path, error: redb::Error) -> io::Error {
    let error = if let redb::Error::Io(error) = error { error } else { io::Error::other(error) };
    refused(doing, path, &error)
}

fn sync(path: &Path) -> io::Result<()> {
    File::open(path).and_then(|file| file.sync_all()).map_err(|error| refused("sync", path, &error))
}
