//! What is kept of virtual hosts, users and their permissions. The encoding is the one of the other definitions.

use lepus_protocol::{FieldTable, FieldValue};

use super::definition::encode;
use crate::storage::Durability;

/// A virtual host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VhostDefinition {
    /// For people.
    pub description: String,
    /// For people and tools.
    pub tags: Vec<String>,
    /// `x-queue-type` of queues that are declared without; `None` is classic.
    pub default_queue_type: Option<String>,
    /// What a confirm promises; `None` is what the server promises.
    pub durability: Option<Durability>,
    /// What may be in it.
    pub limits: VhostLimits,
}

/// Limits of a virtual host; `None` or a negative one is no limit (RabbitMQ).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VhostLimits {
    /// Connections at a time.
    pub max_connections: Option<i64>,
    /// Queues.
    pub max_queues: Option<i64>,
}

/// A user.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserDefinition {
    /// The password's hash; `None`: no password opens this account.
    pub password: Option<PasswordDefinition>,
    /// What the user may do beside messaging.
    pub tags: Vec<String>,
    /// What the user may have.
    pub limits: UserLimits,
}

/// A password's hash.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordDefinition {
    /// The hash with its salt, as `algorithm` writes it.
    pub hash: String,
    /// The name of the algorithm.
    pub algorithm: String,
}

/// Limits of a user; `None` or a negative one is no limit (RabbitMQ).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UserLimits {
    /// Connections at a time.
    pub max_connections: Option<i64>,
    /// Channels at a time, over all connections.
    pub max_channels: Option<i64>,
}

/// What a user may do in a virtual host: patterns of names of queues and exchanges.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PermissionDefinition {
    /// What may be declared and deleted.
    pub configure: String,
    /// What messages may be put into.
    pub write: String,
    /// What messages may be taken out of.
    pub read: String,
}

/// With which routing keys a user may publish to a topic exchange and bind to it: patterns.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TopicPermissionDefinition {
    /// Keys to publish with.
    pub write: String,
    /// Keys to bind with.
    pub read: String,
}

/// Whether a limit is reached by what is there.
pub fn is_reached(limit: Option<i64>, count: usize) -> Option<i64> {
    limit.filter(|limit| u64::try_from(*limit).is_ok_and(|limit| count as u64 >= limit))
}

impl VhostDefinition {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut table = FieldTable::new();
        table.insert("description", self.description.as_str());
        table.insert("tags", list(&self.tags));
        insert(&mut table, "default_queue_type", self.default_queue_type.as_deref());
        insert(&mut table, "durability", self.durability.map(Durability::name));
        insert(&mut table, "max_connections", self.limits.max_connections);
        insert(&mut table, "max_queues", self.limits.max_queues);
        encode(&table)
    }

    pub(super) fn decode(raw: &[u8]) -> Option<Self> {
        let table = FieldTable::parse(raw).ok()?;
        Some(Self {
            description: text(&table, "description")?,
            tags: texts(&table, "tags")?,
            default_queue_type: text(&table, "default_queue_type"),
            durability: durability(&table)?,
            limits: VhostLimits {
                max_connections: number(&table, "max_connections"),
                max_queues: number(&table, "max_queues"),
            },
        })
    }
}

impl UserDefinition {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut table = FieldTable::new();
        let password = self.password.as_ref();
        insert(&mut table, "hash", password.map(|password| password.hash.as_str()));
        insert(&mut table, "algorithm", password.map(|password| password.algorithm.as_str()));
        table.insert("tags", list(&self.tags));
        insert(&mut table, "max_connections", self.limits.max_connections);
        insert(&mut table, "max_channels", self.limits.max_channels);
        encode(&table)
    }

    pub(super) fn decode(raw: &[u8]) -> Option<Self> {
        let table = FieldTable::parse(raw).ok()?;
        let password = text(&table, "hash").zip(text(&table, "algorithm"));
        Some(Self {
            password: password.map(|(hash, algorithm)| PasswordDefinition { hash, algorithm }),
            tags: texts(&table, "tags")?,
            limits: UserLimits {
                max_connections: number(&table, "max_connections"),
                max_channels: number(&table, "max_channels"),
            },
        })
    }
}

impl PermissionDefinition {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut table = FieldTable::new();
        table.insert("configure", self.configure.as_str());
        table.insert("write", self.write.as_str());
        table.insert("read", self.read.as_str());
        encode(&table)
    }

    pub(super) fn decode(raw: &[u8]) -> Option<Self> {
        let table = FieldTable::parse(raw).ok()?;
        let (configure, write) = (text(&table, "configure")?, text(&table, "write")?);
        Some(Self { configure, write, read: text(&table, "read")? })
    }
}

impl TopicPermissionDefinition {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut table = FieldTable::new();
        table.insert("write", self.write.as_str());
        table.insert("read", self.read.as_str());
        encode(&table)
    }

    pub(super) fn decode(raw: &[u8]) -> Option<Self> {
        let table = FieldTable::parse(raw).ok()?;
        Some(Self { write: text(&table, "write")?, read: text(&table, "read")? })
    }
}

/// A hash is half a secret: it stays out of logs.
impl std::fmt::Debug for PasswordDefinition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PasswordDefinition").field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}

fn insert(table: &mut FieldTable, key: &str, value: Option<impl Into<FieldValue>>) {
    if let Some(value) = value {
        table.insert(key, value.into());
    }
}

/// `None` inside: it says nothing, as those of earlier releases. A promise that is not understood cannot be kept.
fn durability(table: &FieldTable) -> Option<Option<Durability>> {
    let Some(value) = table.get("durability") else { return Some(None) };
    Durability::from_name(value.as_str()?).map(Some)
}

fn list(texts: &[String]) -> FieldValue {
    FieldValue::Array(texts.iter().map(|text| FieldValue::from(text.as_str())).collect())
}

fn text(table: &FieldTable, key: &str) -> Option<String> {
    table.get(key)?.as_str().map(str::to_owned)
}

fn texts(table: &FieldTable, key: &str) -> Option<Vec<String>> {
    let values = table.get(key)?.as_array()?;
    values.iter().map(|value| value.as_str().map(str::to_owned)).collect()
}

fn number(table: &FieldTable, key: &str) -> Option<i64> {
    table.get(key)?.as_integer()
}
