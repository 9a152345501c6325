//! What is kept of a policy. The encoding is the one of the other definitions.

use lepus_protocol::{FieldTable, FieldValue};

use super::definition::encode;

/// Who set a policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PolicyKind {
    /// A user of the virtual host.
    User,
    /// The operator, who bounds what users may ask for.
    Operator,
}

/// A policy.
#[derive(Clone, Debug, PartialEq)]
pub struct PolicyDefinition {
    /// What names it is for: a regular expression.
    pub pattern: String,
    /// What it is for, by RabbitMQ's name.
    pub apply_to: String,
    /// The highest of those that match holds.
    pub priority: i64,
    /// Its keys and values.
    pub definition: FieldTable,
}

impl PolicyDefinition {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut table = FieldTable::new();
        table.insert("pattern", self.pattern.as_str());
        table.insert("apply_to", self.apply_to.as_str());
        table.insert("priority", self.priority);
        table.insert("definition", FieldValue::Bytes(encode(&self.definition)));
        encode(&table)
    }

    pub(super) fn decode(raw: &[u8]) -> Option<Self> {
        let table = FieldTable::parse(raw).ok()?;
        let Some(FieldValue::Bytes(definition)) = table.get("definition") else { return None };
        Some(Self {
            pattern: table.get("pattern")?.as_str()?.to_owned(),
            apply_to: table.get("apply_to")?.as_str()?.to_owned(),
            priority: table.get("priority")?.as_integer()?,
            definition: FieldTable::parse(definition).ok()?,
        })
    }
}
