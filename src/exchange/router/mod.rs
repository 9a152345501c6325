//! An exchange's bindings, and the rules its type makes of them.

use std::sync::Arc;

use ahash::AHashMap;
use lepus_protocol::FieldTable;

use super::arguments::routing_type;
use super::binding::{BINDINGS_MAX, BindError, Binding, KEY_LENGTH_MAX};
use super::consistent_hash::ConsistentHash;
use super::dense_map::{DenseMap, shrink};
use super::direct::Direct;
use super::exchange_type::ExchangeType;
use super::fanout::Fanout;
use super::headers::HeaderRules;
use super::modulus_hash::ModulusHash;
use super::random::Random;
use super::subject::{Subject, Target};
use super::topic::Topic;

/// The bindings of one exchange.
#[derive(Debug)]
pub struct Router<D> {
    kind: ExchangeType,
    rules: Rules<D>,
    /// By destination, so that a queue's end costs what its own bindings cost; then by identity.
    bindings: AHashMap<D, DenseMap<Arc<[u8]>, Binding<D>>>,
    binding_count: usize,
}

impl<D: Target> Router<D> {
    /// No bindings yet. `arguments` as the exchange was declared with, and [checked](super::arguments::check).
    pub fn new(kind: ExchangeType, arguments: &FieldTable) -> Self {
        Self { kind, rules: Rules::new(kind, arguments), bindings: AHashMap::new(), binding_count: 0 }
    }

    /// The algorithm.
    pub const fn kind(&self) -> ExchangeType {
        self.kind
    }

    /// Adds a binding. Says whether it is new: an equal one may be there already, and stays alone.
    ///
    /// # Errors
    /// [`BindError`] if it is beyond a limit or means nothing to this type of exchange.
    pub fn bind(&mut self, binding: Binding<D>) -> Result<bool, BindError> {
        if binding.key.len() > KEY_LENGTH_MAX {
            return Err(BindError::KeyTooLong(binding.key.len()));
        }
        let identity = identity(&binding.key, &binding.arguments);
        if self.bindings.get(&binding.destination).is_some_and(|own| own.contains(&*identity)) {
            return Ok(false);
        }
        if self.binding_count >= BINDINGS_MAX {
            return Err(BindError::TooManyBindings);
        }
        self.rules.insert(&binding)?;
        let own = self.bindings.entry(binding.destination.clone()).or_insert_with(DenseMap::new);
        own.insert_new(identity.into(), binding);
        self.binding_count += 1;
        Ok(true)
    }

    /// Removes the binding of exactly this identity. Says whether there was one.
    pub fn unbind(&mut self, key: &[u8], arguments: &FieldTable, destination: &D) -> bool {
        let Some(own) = self.bindings.get_mut(destination) else { return false };
        let Some(binding) = own.remove(&*identity(key, arguments)) else { return false };
        if own.is_empty() {
            self.bindings.remove(destination);
            shrink(&mut self.bindings);
        }
        self.rules.remove(&binding);
        self.binding_count -= 1;
        true
    }

    /// Removes all bindings to a destination, as its end does. Says how many there were.
    ///
    /// The cost depends on these bindings alone: queues for replies come and go by the hundred thousand.
    pub fn remove_destination(&mut self, destination: &D) -> usize {
        let Some(own) = self.bindings.remove(destination) else { return 0 };
        shrink(&mut self.bindings);
        own.iter().for_each(|(_, binding)| self.rules.remove(binding));
        self.binding_count -= own.len();
        own.len()
    }

    /// Whether nothing is bound.
    pub const fn is_empty(&self) -> bool {
        self.binding_count == 0
    }

    /// How many bindings there are.
    pub const fn len(&self) -> usize {
        self.binding_count
    }

    /// All bindings, in no particular order: who shows them sorts them.
    pub fn bindings(&self) -> impl Iterator<Item = &Binding<D>> {
        self.bindings.values().flat_map(DenseMap::iter).map(|(_, binding)| binding)
    }

    /// The bindings to one destination, in no particular order.
    pub fn bindings_to(&self, destination: &D) -> impl Iterator<Item = &Binding<D>> {
        self.bindings.get(destination).into_iter().flat_map(DenseMap::iter).map(|(_, binding)| binding)
    }

    /// Calls `found` for each destination that a message goes to. One with several keys goes where any of them leads,
    /// except where the type chooses one destination: that is chosen once.
    ///
    /// A destination that several bindings lead to may be found several times; the message goes there
    /// once all the same (RabbitMQ), which is for the caller to see to, who joins the routes of several exchanges
    /// anyway. The order depends on the calls made before, and on nothing else.
    pub fn route(&self, subject: &Subject<'_>, found: &mut dyn FnMut(&D)) {
        self.rules.route(subject, found);
    }

    #[cfg(test)]
    pub(super) fn rule_count(&self) -> usize {
        self.rules.rule_count()
    }
}

/// What makes two bindings to one destination the same: their arguments in a fixed order, which say themselves
/// where they end, then the key.
fn identity(key: &[u8], arguments: &FieldTable) -> Vec<u8> {
    let mut identity = Vec::with_capacity(64);
    if arguments.len() > 1 {
        let mut fields: Vec<_> = arguments.iter().collect();
        fields.sort_by_key(|(name, _)| name);
        fields.into_iter().cloned().collect::<FieldTable>().encode(&mut identity);
    } else {
        arguments.encode(&mut identity);
    }
    identity.extend_from_slice(key);
    identity
}

/// The bindings in the shape that suits each type.
#[derive(Debug)]
enum Rules<D> {
    Direct(Direct<D>),
    Fanout(Fanout<D>),
    Topic(Topic<D>),
    Headers(HeaderRules<D>),
    ConsistentHash(ConsistentHash<D>),
    ModulusHash(ModulusHash<D>),
    Random(Random<D>),
}

impl<D: Target> Rules<D> {
    fn new(kind: ExchangeType, arguments: &FieldTable) -> Self {
        match routing_type(kind, arguments) {
            // What it is to route as was not said: as nothing.
            ExchangeType::DelayedMessage | ExchangeType::Direct => Self::Direct(Direct::new()),
            ExchangeType::Fanout | ExchangeType::RecentHistory | ExchangeType::MessageDeduplication => {
                Self::Fanout(Fanout::new())
            }
            ExchangeType::Topic => Self::Topic(Topic::new()),
            ExchangeType::Headers => Self::Headers(HeaderRules::new()),
            ExchangeType::ConsistentHash => Self::ConsistentHash(ConsistentHash::new(arguments)),
            ExchangeType::ModulusHash => Self::ModulusHash(ModulusHash::new()),
            ExchangeType::Random => Self::Random(Random::new(false)),
            ExchangeType::LocalRandom => Self::Random(Random::new(true)),
        }
    }

    fn insert(&mut self, binding: &Binding<D>) -> Result<(), BindError> {
        let Binding { key, arguments, destination } = binding;
        match self {
            Self::Direct(direct) => direct.insert(key, destination),
            Self::Fanout(fanout) => fanout.insert(destination),
            Self::Topic(topic) => topic.insert(key, destination),
            Self::Headers(rules) => rules.insert(arguments, destination)?,
            Self::ConsistentHash(hash) => hash.insert(key, destination)?,
            Self::ModulusHash(hash) => hash.insert(destination)?,
            Self::Random(random) => random.insert(key, destination)?,
        }
        Ok(())
    }

    fn remove(&mut self, binding: &Binding<D>) {
        let Binding { key, arguments, destination } = binding;
        match self {
            Self::Direct(direct) => direct.remove(key, destination),
            Self::Fanout(fanout) => fanout.remove(destination),
            Self::Topic(topic) => topic.remove(key, destination),
            Self::Headers(rules) => rules.remove(arguments, destination),
            Self::ConsistentHash(hash) => hash.remove(key, destination),
            Self::ModulusHash(hash) => hash.remove(destination),
            Self::Random(random) => random.remove(destination),
        }
    }

    fn route(&self, subject: &Subject<'_>, found: &mut dyn FnMut(&D)) {
        match self {
            Self::Direct(direct) => subject.keys.iter().for_each(|key| direct.route(key, found)),
            Self::Fanout(fanout) => fanout.route(found),
            Self::Topic(topic) => subject.keys.iter().for_each(|key| topic.route(key, found)),
            Self::Headers(rules) => rules.route(subject.headers, found),
            Self::ConsistentHash(hash) => hash.route(subject, found),
            Self::ModulusHash(hash) => hash.route(subject, found),
            Self::Random(random) => random.route(subject, found),
        }
    }

    #[cfg(test)]
    fn rule_count(&self) -> usize {
        match self {
            Self::Direct(direct) => direct.rule_count(),
            Self::Fanout(fanout) => fanout.rule_count(),
            Self::Topic(topic) => topic.rule_count(),
            Self::Headers(rules) => rules.rule_count(),
            Self::ConsistentHash(hash) => hash.rule_count(),
            Self::ModulusHash(hash) => hash.rule_count(),
            Self::Random(random) => random.rule_count(),
        }
    }
}

#[cfg(test)]
mod tests;
