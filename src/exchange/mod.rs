//! Routing: from a message's routing key and headers to the destinations bound to an exchange.
//!
//! An exchange is its type's rules over its bindings (§3.1.3). [`Router`] keeps the bindings and
//! hands each to the rules of the type, which keep them in whatever shape finds them fastest:
//!
//! ```text
//!   direct   key -> destinations            fanout   destinations
//!   topic    trie of words -> destinations  headers  one required header -> patterns -> destinations
//!   x-consistent-hash, x-modulus-hash       one destination by a hash of the key, a header or a property
//!   x-random, x-local-random                one destination by chance, which is passed in
//! ```
//!
//! What a destination is does not matter here: a queue, another exchange, or anything else with a
//! cheap clone and a hash. Nothing here knows of queues, connections or time. What an exchange remembers of messages
//! (`x-recent-history`, `x-message-deduplication`) is kept beside its routes, which depend on the message alone.

pub mod arguments;
mod binding;
mod exchange_type;
mod router;
mod subject;

mod consistent_hash;
mod direct;
mod fanout;
mod headers;
mod modulus_hash;
mod random;
mod topic;

mod budget;
mod history;
mod seen;

mod dense_map;
mod destinations;

pub use binding::{BINDINGS_MAX, BindError, Binding, HEADERS_MATCHED_MAX, KEY_LENGTH_MAX};
pub use budget::MemoryBudget;
pub use consistent_hash::CHOICES_MAX;
pub use exchange_type::ExchangeType;
pub use headers::MessageHeaders;
pub use history::History;
pub use router::Router;
pub use seen::{Memory, Seen, Sighting};
pub use subject::{Subject, Target};
