//! What a route is a function of besides the bindings, and what it needs to know of a destination.

use std::hash::Hash;

use super::headers::MessageHeaders;

/// What a message's route depends on. Nothing else is asked: not the time, nor a source of chance of one's own.
#[derive(Clone, Copy)]
pub struct Subject<'m> {
    /// The message's routing key, then those that CC and BCC add (RabbitMQ).
    pub keys: &'m [&'m [u8]],
    /// Its headers and properties.
    pub headers: &'m dyn MessageHeaders,
    /// Where chance comes from: 64 random bits.
    pub random: fn() -> u64,
}

impl<'m> Subject<'m> {
    /// The message's own routing key.
    pub fn key(&self) -> &'m [u8] {
        self.keys.first().copied().unwrap_or_default()
    }

    /// A message with these keys and nothing else.
    #[cfg(test)]
    pub(super) fn by_keys(keys: &'m [&'m [u8]]) -> Self {
        Self { keys, headers: &(), random: || 0 }
    }
}

/// Where a binding may lead: a queue or an exchange, by a cheap handle.
pub trait Target: Clone + Eq + Hash {
    /// What stands for it wherever it has to be the same after a restart.
    fn stable_name(&self) -> Vec<u8>;
}

#[cfg(test)]
impl Target for u32 {
    fn stable_name(&self) -> Vec<u8> {
        self.to_be_bytes().to_vec()
    }
}
