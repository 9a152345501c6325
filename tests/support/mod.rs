//! A scripted peer: what a test sends and what it expects, line by line, in the words of the wire.
//!
//! [`Broker`] is the broker under test, [`Peer`] one connection to it, [`calls`] the methods with their usual
//! arguments, [`wire`] the codec.

pub(crate) mod broker;
pub(crate) mod calls;
pub(crate) mod peer;
pub(crate) mod wire;

pub(crate) use broker::Broker;
pub(crate) use calls::*;
pub(crate) use peer::{Credentials, Peer};
pub(crate) use wire::{Content, Method, Table, Value};
