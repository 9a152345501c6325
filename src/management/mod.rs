//! The management API: what RabbitMQ's tools ask over HTTP, with its paths, JSON and status codes.
//!
//! ```text
//!   socket -> server (own thread, limits, time) -> routes -> caller (who, with which tags) -> a file per resource
//!               resource -> broker::Session, as any channel would
//!               resource -> view (the only JSON shapes of what the core knows)
//! ```
//!
//! It runs on a thread of its own, so that a long answer delays other answers and no delivery. Nothing here is known to
//! the core.

mod answer;
mod api;
mod body;
mod caller;
mod listing;
mod openapi;
mod path;
mod prometheus;
mod rates;
mod refusal;
mod routes;
mod schemas;
mod server;
mod table;
mod view;

mod bindings;
mod channels;
mod connections;
mod consumers;
mod definitions;
mod exchanges;
mod health;
mod nodes;
mod overview;
mod parameters;
mod permissions;
mod policies;
mod queues;
mod users;
mod vhosts;

pub use definitions::load as load_definitions;

pub use api::{ListenerFacts, NodeFacts};
pub use server::{Door, Management, Service};
