//! The file: an embedded transactional store, one table for each kind of definition.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use redb::{
    Database, DatabaseError, ReadableDatabase, ReadableTable, StorageError, TableDefinition, WriteTransaction,
};

use super::definition::{BindingDefinition, Change, ExchangeDefinition, QueueDefinition};
use crate::name::Name;

const FILE: &str = "definitions.redb";

/// The format that this release writes and the latest that it reads.
const FORMAT: u64 = 1;

/// By virtual host and name.
type Named = TableDefinition<'static, (&'static str, &'static str), &'static [u8]>;

const QUEUES: Named = TableDefinition::new("queues");
const EXCHANGES: Named = TableDefinition::new("exchanges");
/// By virtual host and everything that a binding is.
const BINDINGS: TableDefinition<'static, (&'static str, &'static [u8]), ()> =
    TableDefinition::new("bindings");
const NUMBERS: TableDefinition<'static, &'static str, u64> = TableDefinition::new("numbers");

/// In `NUMBERS`: the format of the file.
const FORMAT_KEY: &str = "format";
/// In `NUMBERS`: an identity greater than any that was given to a queue.
const NEXT_ID_KEY: &str = "next_id";

/// All definitions, for a start.
#[derive(Debug, Default)]
pub struct Recovered {
    /// Virtual host, name, definition.
    pub exchanges: Vec<(Name, Name, ExchangeDefinition)>,
    /// Virtual host, name, definition.
    pub queues: Vec<(Name, Name, QueueDefinition)>,
    /// Virtual host, definition.
    pub bindings: Vec<(Name, BindingDefinition)>,
    /// An identity greater than any that was given before.
    pub next_id: u64,
}

impl Recovered {
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
    /// Opens the file or makes a new one.
    pub(super) fn create(dir: &Path) -> io::Result<Self> {
        std::fs::create_dir_all(dir).map_err(|error| at(dir, "cannot be made", error))?;
        let path = dir.join(FILE);
        let database = verifying().create(&path).map_err(|error| refusal(&path, error))?;
        Self::checked(path, database)
    }

    /// Opens the file, which must be there.
    pub(super) fn open(dir: &Path) -> io::Result<Self> {
        let path = dir.join(FILE);
        let len = std::fs::metadata(&path).map_err(|error| refusal(&path, error.into()))?.len();
        if len == 0 {
            return Err(damaged(&path, "it is empty"));
        }
        let database = verifying().open(&path).map_err(|error| refusal(&path, error))?;
        Self::checked(path, database)
    }

    fn checked(path: PathBuf, database: Database) -> io::Result<Self> {
        let store = Self { path, database };
        store.check_format()?;
        Ok(store)
    }

    fn check_format(&self) -> io::Result<()> {
        let format = self.in_transaction(|transaction| {
            let mut numbers = transaction.open_table(NUMBERS)?;
            let found = numbers.get(FORMAT_KEY)?.map(|format| format.value());
            if found.is_none() {
                numbers.insert(FORMAT_KEY, FORMAT)?;
            }
            transaction.open_table(QUEUES)?;
            transaction.open_table(EXCHANGES)?;
            transaction.open_table(BINDINGS)?;
            Ok(found.unwrap_or(FORMAT))
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

    /// Writes changes in order, all or none, and waits for the disk.
    pub(super) fn write(&self, changes: &[Change]) -> io::Result<()> {
        self.in_transaction(|transaction| {
            let mut tables = Tables {
                queues: transaction.open_table(QUEUES)?,
                exchanges: transaction.open_table(EXCHANGES)?,
                bindings: transaction.open_table(BINDINGS)?,
                numbers: transaction.open_table(NUMBERS)?,
            };
            changes.iter().try_for_each(|change| tables.apply(change))
        })
    }

    fn in_transaction<T>(
        &self,
        work: impl FnOnce(&WriteTransaction) -> Result<T, redb::Error>,
    ) -> io::Result<T> {
        let transact = || {
            let mut transaction = self.database.begin_write()?;
            // With one phase, damage in the last transaction would look like one that was not finished.
            transaction.set_two_phase_commit(true);
            let result = work(&transaction)?;
            transaction.commit()?;
            Ok::<_, redb::Error>(result)
        };
        transact().map_err(|error| at(&self.path, "cannot be written", error))
    }

    /// Reads everything.
    pub(super) fn recover(&self) -> io::Result<Recovered> {
        self.read()
            .map_err(|error| at(&self.path, "cannot be read", error))?
            .ok_or_else(|| damaged(&self.path, "a definition cannot be understood"))
    }

    fn read(&self) -> Result<Option<Recovered>, redb::Error> {
        let transaction = self.database.begin_read()?;
        let mut recovered = Recovered::default();
        for row in transaction.open_table(QUEUES)?.iter()? {
            let (key, value) = row?;
            let (vhost, name) = key.value();
            let Some(definition) = QueueDefinition::decode(value.value()) else { return Ok(None) };
            recovered.queues.push((vhost.into(), name.into(), definition));
        }
        for row in transaction.open_table(EXCHANGES)?.iter()? {
            let (key, value) = row?;
            let (vhost, name) = key.value();
            let Some(definition) = ExchangeDefinition::decode(value.value()) else { return Ok(None) };
            recovered.exchanges.push((vhost.into(), name.into(), definition));
        }
        for row in transaction.open_table(BINDINGS)?.iter()? {
            let (key, _) = row?;
            let (vhost, raw) = key.value();
            let Some(definition) = BindingDefinition::decode(raw) else { return Ok(None) };
            recovered.bindings.push((vhost.into(), definition));
        }
        let next_id = transaction.open_table(NUMBERS)?.get(NEXT_ID_KEY)?;
        recovered.next_id = next_id.map_or(0, |next| next.value());
        Ok(Some(recovered))
    }
}

/// The tables of one transaction.
struct Tables<'t> {
    queues: redb::Table<'t, (&'static str, &'static str), &'static [u8]>,
    exchanges: redb::Table<'t, (&'static str, &'static str), &'static [u8]>,
    bindings: redb::Table<'t, (&'static str, &'static [u8]), ()>,
    numbers: redb::Table<'t, &'static str, u64>,
}

impl Tables<'_> {
    fn apply(&mut self, change: &Change) -> Result<(), redb::Error> {
        match change {
            Change::PutQueue(vhost, name, definition) => {
                self.queues.insert((vhost.as_str(), name.as_str()), definition.encode().as_slice())?;
                let next = definition.id.get().saturating_add(1);
                let known = self.numbers.get(NEXT_ID_KEY)?.map_or(0, |next| next.value());
                self.numbers.insert(NEXT_ID_KEY, next.max(known))?;
            }
            Change::DeleteQueue(vhost, name) => {
                self.queues.remove((vhost.as_str(), name.as_str()))?;
            }
            Change::PutExchange(vhost, name, definition) => {
                self.exchanges.insert((vhost.as_str(), name.as_str()), definition.encode().as_slice())?;
            }
            Change::DeleteExchange(vhost, name) => {
                self.exchanges.remove((vhost.as_str(), name.as_str()))?;
            }
            Change::PutBinding(vhost, definition) => {
                self.bindings.insert((vhost.as_str(), definition.encode().as_slice()), ())?;
            }
            Change::DeleteBinding(vhost, definition) => {
                self.bindings.remove((vhost.as_str(), definition.encode().as_slice()))?;
            }
        }
        Ok(())
    }
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
        return at(path, "cannot be opened", "another process has it open");
    }
    let DatabaseError::Storage(StorageError::Io(error)) = error else { return damaged(path, error) };
    if error.kind() == io::ErrorKind::NotFound {
        damaged(path, "it is missing")
    } else if error.kind() == io::ErrorKind::InvalidData {
        damaged(path, error)
    } else {
        at(path, "cannot be opened", error)
    }
}

fn damaged(path: &Path, what: impl fmt::Display) -> io::Error {
    let advice = "check the disk, then restore a copy or run `lepus store repair`, which lists what it drops";
    let text = format!("{} holds the definitions and is damaged: {what}; {advice}", path.display());
    io::Error::new(io::ErrorKind::InvalidData, text)
}

fn at(path: &Path, what: &str, error: impl fmt::Display) -> io::Error {
    io::Error::other(format!("{}: {what}: {error}", path.display()))
}
