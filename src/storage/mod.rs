//! The storage engine: bytes and positions. It knows no AMQP, no runtime and no queue logic.
//!
//! ```text
//! append -> group buffer -> log (one block per commit, one fdatasync) -> index -> watermark moves -> observers
//!                            | a log file is reused
//!                            +-> segments (queues that hold much in it), copies at the log's end (the others),
//!                                then a checkpoint, then the file is free
//! ```
//! `FORMAT.md` in this folder has the layouts of all files, the rules of their order and the reasons.

mod store;

mod options;
mod record;

mod near;
mod read;
mod shared;

mod home;
mod maintain;
mod offline;
mod recovery;
mod repair;
mod room;
mod salvage;
mod threads;
mod upgrade;
mod urgent;

mod checkpoint;
mod claimed;
mod deleted;
mod extents;
mod index;
mod log;
mod segment;

mod codec;
pub mod env;
mod error;
mod id;
mod names;
mod observer;
mod seq_set;

pub use self::error::StoreError;
pub use self::home::Home;
pub use self::id::{LogPosition, QueueId, Seq};
pub use self::names::DEFINITIONS;
pub use self::observer::Observer;
pub use self::offline::{Finding, Lost, LostRun, Offline, QueueReport, Report};
pub use self::options::{Driver, Durability, Options};
pub use self::read::StoredMessage;
pub use self::record::{Placement, Record, SeqRun};
pub use self::repair::{Repaired, StillLocked};
pub use self::seq_set::SeqSet;
pub use self::store::{Recovered, RecoveredQueue, Space, Stats, Store};
pub use self::urgent::make_urgent;
