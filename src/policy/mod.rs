//! Policies (RabbitMQ): definitions that hold for every queue or exchange whose name matches a pattern, set and taken
//! away while the broker runs. Operators have policies of their own, which users cannot exceed.
//!
//! ```text
//!   name, type --> the policy of highest priority that matches and suits    \
//!             \--> the operator policy of highest priority, likewise        /--> one definition
//! ```

mod definition;
mod merge;

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;
use std::sync::Arc;

use lepus_protocol::{FieldTable, FieldValue, ShortStr};

use crate::metadata::{PolicyDefinition, PolicyKind};
use crate::name::Name;
use crate::pattern::Pattern;

use definition::Json;

/// Most policies of one kind in a virtual host: each is tried for every queue and exchange that is declared.
const POLICIES_MAX: usize = 4096;

/// A policy.
#[derive(Clone, Debug)]
pub struct Policy {
    /// Its name, unique among those of its kind in its virtual host.
    pub name: Name,
    /// What names it is for: a regular expression that is found anywhere in them.
    pub pattern: String,
    /// What it is for.
    pub apply_to: ApplyTo,
    /// The highest of those that match holds.
    pub priority: i64,
    /// What it says: RabbitMQ's keys, such as `max-length`.
    pub definition: FieldTable,
    matcher: Pattern,
}

/// What a policy is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ApplyTo {
    /// Queues and exchanges.
    #[default]
    All,
    /// Exchanges.
    Exchanges,
    /// Queues of any type.
    Queues,
    /// Queues of type classic.
    ClassicQueues,
    /// Queues of type quorum.
    QuorumQueues,
    /// Streams.
    Streams,
}

/// What a policy may hold for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// An exchange.
    Exchange,
    /// A queue of type classic.
    ClassicQueue,
    /// A queue of type quorum.
    QuorumQueue,
}

/// What holds for a queue or an exchange.
#[derive(Clone, Debug, Default)]
pub struct Applied {
    /// The policy that holds.
    pub policy: Option<Arc<Policy>>,
    /// The operator policy that holds.
    pub operator: Option<Arc<Policy>>,
    /// What both say together.
    pub definition: FieldTable,
}

/// Why a policy is refused, in RabbitMQ's words.
#[derive(Clone, Debug, PartialEq)]
pub enum PolicyError {
    /// The pattern is no regular expression; why.
    BadPattern(String),
    /// The policy is for nothing that is known.
    UnknownApplyTo(String),
    /// The definition is empty.
    NoDefinition,
    /// A value that a key cannot have; what it was to be.
    InvalidValue(FieldValue, &'static str),
    /// Keys that are not known, or not for this kind of policy.
    Unrecognised(Vec<(String, FieldValue)>),
    /// The name does not fit into a short string, or is empty.
    BadName,
    /// There are [`POLICIES_MAX`] already.
    TooMany,
}

impl Policy {
    /// A policy as it was asked for.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn new(kind: PolicyKind, name: Name, definition: PolicyDefinition) -> Result<Self, PolicyError> {
        let policy = Self::kept(kind, name, definition)?;
        definition::check_agreement(&policy.definition)?;
        Ok(policy)
    }

    /// A policy from its definition as it is kept.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn kept(kind: PolicyKind, name: Name, definition: PolicyDefinition) -> Result<Self, PolicyError> {
        let PolicyDefinition { pattern, apply_to, priority, definition } = definition;
        if name.is_empty() || name.as_str().len() > ShortStr::LENGTH_MAX {
            return Err(PolicyError::BadName);
        }
        // As a permission an empty pattern means nothing; as a regular expression it is found everywhere.
        let matcher = Pattern::new(if pattern.is_empty() { ".*" } else { &pattern });
        let matcher = matcher.map_err(|invalid| PolicyError::BadPattern(invalid.reason))?;
        let apply_to = ApplyTo::from_name(&apply_to).ok_or(PolicyError::UnknownApplyTo(apply_to))?;
        definition::check(kind, &definition)?;
        Ok(Self { name, pattern, apply_to, priority, definition, matcher })
    }

    /// The definition as it is kept.
    pub fn to_definition(&self) -> PolicyDefinition {
        PolicyDefinition {
            pattern: self.pattern.clone(),
            apply_to: self.apply_to.name().to_owned(),
            priority: self.priority,
            definition: self.definition.clone(),
        }
    }

    /// Whether it holds for what is called `name`, unless another one of higher priority does.
    pub fn matches(&self, name: &Name, subject: Subject) -> bool {
        self.apply_to.covers(subject)
            && definition::suits(&self.definition, subject)
            && self.matcher.matches(name.as_str())
    }
}

impl ApplyTo {
    const ALL: [Self; 6] =
        [Self::All, Self::Exchanges, Self::Queues, Self::ClassicQueues, Self::QuorumQueues, Self::Streams];

    /// What is meant by this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|apply_to| apply_to.name() == name)
    }

    /// RabbitMQ's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Exchanges => "exchanges",
            Self::Queues => "queues",
            Self::ClassicQueues => "classic_queues",
            Self::QuorumQueues => "quorum_queues",
            Self::Streams => "streams",
        }
    }

    fn covers(self, subject: Subject) -> bool {
        match self {
            Self::All => true,
            Self::Exchanges => subject == Subject::Exchange,
            Self::Queues => subject != Subject::Exchange,
            Self::ClassicQueues => subject == Subject::ClassicQueue,
            Self::QuorumQueues => subject == Subject::QuorumQueue,
            Self::Streams => false,
        }
    }
}

impl fmt::Display for PolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadPattern(reason) => {
                write!(f, "pattern should be regular expression but is invalid: {reason}")
            }
            Self::UnknownApplyTo(name) => write!(
                f,
                "apply-to '{name}' unrecognised; should be one of: 'queues', 'classic_queues', 'quorum_queues', \
                 'streams', 'exchanges', or 'all'"
            ),
            Self::NoDefinition => f.write_str("no policy provided"),
            Self::InvalidValue(value, what) => write!(f, "{} is not a valid {what}", Json(value)),
            Self::Unrecognised(settings) => {
                f.write_str("[")?;
                for (number, (key, value)) in settings.iter().enumerate() {
                    let comma = if number > 0 { "," } else { "" };
                    write!(f, "{comma}{{{},{}}}", Json(&FieldValue::from(key.as_str())), Json(value))?;
                }
                f.write_str("] are not recognised policy settings")
            }
            Self::BadName => write!(f, "a policy's name has 1 to {} octets", ShortStr::LENGTH_MAX),
            Self::TooMany => write!(f, "there are {POLICIES_MAX} policies already"),
        }
    }
}

impl Error for PolicyError {}

/// The policies of a virtual host.
#[derive(Debug, Default)]
pub struct Policies {
    policies: BTreeMap<Name, Arc<Policy>>,
    operator: BTreeMap<Name, Arc<Policy>>,
}

impl Policies {
    /// All of a kind, by name.
    pub fn list(&self, kind: PolicyKind) -> Vec<Arc<Policy>> {
        self.of(kind).values().cloned().collect()
    }

    /// One of them.
    pub fn get(&self, kind: PolicyKind, name: &str) -> Option<Arc<Policy>> {
        self.of(kind).get(name).cloned()
    }

    /// Sets one. Says whether there was none of this name.
    ///
    /// # Errors
    /// If there are too many.
    pub fn put(&mut self, kind: PolicyKind, policy: Policy) -> Result<bool, PolicyError> {
        let all = self.of_mut(kind);
        if all.len() >= POLICIES_MAX && !all.contains_key(&policy.name) {
            return Err(PolicyError::TooMany);
        }
        Ok(all.insert(policy.name.clone(), Arc::new(policy)).is_none())
    }

    /// Takes one away. Says whether there was one.
    pub fn remove(&mut self, kind: PolicyKind, name: &str) -> bool {
        self.of_mut(kind).remove(name).is_some()
    }

    /// What holds for what is called `name`.
    pub fn applied_to(&self, name: &Name, subject: Subject) -> Applied {
        let (policy, operator) = (
            self.strongest(PolicyKind::User, name, subject),
            self.strongest(PolicyKind::Operator, name, subject),
        );
        let definition = merge::merge(policy.as_deref(), operator.as_deref());
        Applied { policy, operator, definition }
    }

    /// Of those that match, the one of highest priority; of equals the first by name.
    fn strongest(&self, kind: PolicyKind, name: &Name, subject: Subject) -> Option<Arc<Policy>> {
        let matching = self.of(kind).values().rev().filter(|policy| policy.matches(name, subject));
        matching.max_by_key(|policy| policy.priority).cloned()
    }

    fn of(&self, kind: PolicyKind) -> &BTreeMap<Name, Arc<Policy>> {
        match kind {
            PolicyKind::User => &self.policies,
            PolicyKind::Operator => &self.operator,
        }
    }

    fn of_mut(&mut self, kind: PolicyKind) -> &mut BTreeMap<Name, Arc<Policy>> {
        match kind {
            PolicyKind::User => &mut self.policies,
            PolicyKind::Operator => &mut self.operator,
        }
    }
}

impl Applied {
    /// Whether the same policies hold: then nothing has changed.
    pub fn is_same(&self, other: &Self) -> bool {
        let same = |one: &Option<Arc<Policy>>, other: &Option<Arc<Policy>>| match (one, other) {
            (None, None) => true,
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            (_, _) => false,
        };
        same(&self.policy, &other.policy) && same(&self.operator, &other.operator)
    }
}

#[cfg(test)]
mod tests;
