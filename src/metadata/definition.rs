//! What is kept of an entity, and how it stands in the file.
//!
//! Values are field tables (§4.2.5.5) in the encoding of the wire: self-describing, so that later releases can add
//! fields and still read what earlier ones wrote. Keys are the names that make an entity unique.

use lepus_protocol::{FieldTable, FieldValue};

use super::access::{PermissionDefinition, TopicPermissionDefinition, UserDefinition, VhostDefinition};
use super::policy::{PolicyDefinition, PolicyKind};
use crate::id::EntityId;
use crate::name::Name;

/// A durable queue.
#[derive(Clone, Debug, PartialEq)]
pub struct QueueDefinition {
    /// Its identity, never used for another queue.
    pub id: EntityId,
    /// Goes when its last consumer has gone.
    pub auto_delete: bool,
    /// Its arguments as declared.
    pub arguments: FieldTable,
    /// An operator has stopped its deliveries.
    pub paused: bool,
}

/// A durable exchange.
#[derive(Clone, Debug, PartialEq)]
pub struct ExchangeDefinition {
    /// The name of its type.
    pub kind: String,
    /// Goes when its last binding has gone.
    pub auto_delete: bool,
    /// Not for publishers.
    pub internal: bool,
    /// Its arguments as declared.
    pub arguments: FieldTable,
    /// What it has seen is kept under this identity, never used for anything else.
    pub memory: Option<EntityId>,
}

/// A binding between durable ends. All of it is its identity.
#[derive(Clone, Debug, PartialEq)]
pub struct BindingDefinition {
    /// The exchange it leads from.
    pub source: Name,
    /// What it leads to.
    pub kind: DestinationKind,
    /// The name of what it leads to.
    pub destination: Name,
    /// Its key.
    pub key: Vec<u8>,
    /// Its arguments.
    pub arguments: FieldTable,
}

/// What a binding leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DestinationKind {
    /// A queue.
    Queue,
    /// An exchange.
    Exchange,
}

/// A change to what is kept. Names are within the virtual host.
#[derive(Clone, Debug)]
pub enum Change {
    /// A queue was declared.
    PutQueue(Name, Name, QueueDefinition),
    /// A queue is gone.
    DeleteQueue(Name, Name),
    /// An exchange was declared.
    PutExchange(Name, Name, ExchangeDefinition),
    /// An exchange is gone.
    DeleteExchange(Name, Name),
    /// A binding was made.
    PutBinding(Name, BindingDefinition),
    /// A binding is gone.
    DeleteBinding(Name, BindingDefinition),
    /// A policy was set: virtual host, name.
    PutPolicy(PolicyKind, Name, Name, PolicyDefinition),
    /// A policy is gone.
    DeletePolicy(PolicyKind, Name, Name),
    /// A virtual host was made or changed.
    PutVhost(Name, VhostDefinition),
    /// A virtual host is gone with everything in it and all permissions for it.
    DeleteVhost(Name),
    /// A user was made or changed.
    PutUser(Name, UserDefinition),
    /// A user is gone with all permissions.
    DeleteUser(Name),
    /// A user may do something in a virtual host: host, user.
    PutPermission(Name, Name, PermissionDefinition),
    /// A user may do nothing in a virtual host any more.
    DeletePermission(Name, Name),
    /// A user is restricted at a topic exchange: virtual host, user, exchange.
    PutTopicPermission(Name, Name, Name, TopicPermissionDefinition),
    /// The restriction is gone.
    DeleteTopicPermission(Name, Name, Name),
    /// A global parameter was set: its value as it was given.
    PutGlobalParameter(Name, Vec<u8>),
    /// A global parameter is gone.
    DeleteGlobalParameter(Name),
}

impl QueueDefinition {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut table = FieldTable::new();
        table.insert("id", self.id.get().cast_signed());
        table.insert("auto_delete", self.auto_delete);
        table.insert("arguments", nested(&self.arguments));
        if self.paused {
            table.insert("paused", true);
        }
        encode(&table)
    }

    pub(super) fn decode(raw: &[u8]) -> Option<Self> {
        let table = FieldTable::parse(raw).ok()?;
        Some(Self {
            id: EntityId::new(table.get("id")?.as_integer()?.cast_unsigned()),
            auto_delete: flag(&table, "auto_delete")?,
            arguments: arguments(&table)?,
            paused: flag(&table, "paused").unwrap_or(false),
        })
    }
}

impl ExchangeDefinition {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut table = FieldTable::new();
        table.insert("type", self.kind.as_str());
        table.insert("auto_delete", self.auto_delete);
        table.insert("internal", self.internal);
        table.insert("arguments", nested(&self.arguments));
        if let Some(memory) = self.memory {
            table.insert("memory", memory.get().cast_signed());
        }
        encode(&table)
    }

    pub(super) fn decode(raw: &[u8]) -> Option<Self> {
        let table = FieldTable::parse(raw).ok()?;
        Some(Self {
            kind: table.get("type")?.as_str()?.to_owned(),
            auto_delete: flag(&table, "auto_delete")?,
            internal: flag(&table, "internal")?,
            arguments: arguments(&table)?,
            memory: table
                .get("memory")
                .and_then(FieldValue::as_integer)
                .map(|id| EntityId::new(id.cast_unsigned())),
        })
    }
}

impl BindingDefinition {
    /// All of a binding is its key; the order of its arguments does not count.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut arguments: Vec<_> = self.arguments.iter().cloned().collect();
        arguments.sort_by(|(one, _), (other, _)| one.cmp(other));
        let mut table = FieldTable::new();
        table.insert("source", self.source.as_str());
        table.insert("to_queue", self.kind == DestinationKind::Queue);
        table.insert("destination", self.destination.as_str());
        table.insert("key", FieldValue::Bytes(self.key.clone()));
        table.insert("arguments", nested(&arguments.into_iter().collect()));
        encode(&table)
    }

    pub(super) fn decode(raw: &[u8]) -> Option<Self> {
        let table = FieldTable::parse(raw).ok()?;
        let to_queue = flag(&table, "to_queue")?;
        let Some(FieldValue::Bytes(key)) = table.get("key") else { return None };
        Some(Self {
            source: Name::from(table.get("source")?.as_str()?),
            kind: if to_queue { DestinationKind::Queue } else { DestinationKind::Exchange },
            destination: Name::from(table.get("destination")?.as_str()?),
            key: key.clone(),
            arguments: arguments(&table)?,
        })
    }
}

pub(super) fn encode(table: &FieldTable) -> Vec<u8> {
    let mut raw = Vec::new();
    table.encode(&mut raw);
    raw
}

fn flag(table: &FieldTable, key: &str) -> Option<bool> {
    table.get(key)?.as_bool()
}

/// A client's table as octets: it may be as deep and as large as a table can be, so that there is no room for another
/// around it.
fn nested(table: &FieldTable) -> FieldValue {
    FieldValue::Bytes(encode(table))
}

fn arguments(table: &FieldTable) -> Option<FieldTable> {
    let Some(FieldValue::Bytes(raw)) = table.get("arguments") else { return None };
    FieldTable::parse(raw).ok()
}
