//! The journal's records as the storage engine takes them, and what the engine tells in return.

use std::fmt;
use std::io;
use std::sync::{Arc, Weak};

use super::alarm::Alarms;
use super::journal::{Journal, MessageLog, Record};
use crate::clock::Timestamp;
use crate::id::EntityId;
use crate::message::Message;
use crate::queue;
use crate::storage::{self, LogPosition, Observer, Placement, QueueId, SeqRun, Store, StoreError};

/// The storage engine as the journal's log.
pub(super) struct StoreLog {
    store: Store,
}

/// A record whose lists are in the engine's terms.
enum Prepared<'r> {
    Publish(Vec<Placement>, &'r Message),
    Ack(QueueId, Vec<SeqRun>),
    Delivered(QueueId, storage::Seq),
    QueueDelete(QueueId),
}

impl StoreLog {
    pub(super) fn new(store: Store) -> Self {
        Self { store }
    }

    pub(super) fn store(&self) -> &Store {
        &self.store
    }

    /// Has the journal told of what becomes durable, and the alarms of a full disk.
    pub(super) fn watch(&self, journal: &Arc<Journal>, alarms: Arc<Alarms>) {
        self.store.subscribe(Arc::new(Watch { journal: Arc::downgrade(journal), alarms }));
    }
}

impl MessageLog for StoreLog {
    fn append(&self, records: &[Record], atomic: bool) -> LogPosition {
        let prepared: Vec<_> = records.iter().map(Prepared::new).collect();
        let records: Vec<_> = prepared.iter().map(Prepared::as_record).collect();
        let appended = if atomic {
            self.store.append(&[storage::Record::Tx(&records)])
        } else {
            self.store.append(&records)
        };
        appended.unwrap_or_else(|error| give_up(&error))
    }

    fn durable(&self) -> LogPosition {
        self.store.durable()
    }

    fn is_tight(&self) -> bool {
        self.store.is_tight()
    }

    fn close(&self) -> io::Result<()> {
        self.store.close().map_err(io::Error::other)
    }
}

impl<'r> Prepared<'r> {
    fn new(record: &'r Record) -> Self {
        match record {
            Record::Publish(placements, message) => {
                Self::Publish(placements.iter().map(placement).collect(), message)
            }
            Record::Gone(queue, seqs) => Self::Ack(queue_id(*queue), runs(seqs)),
            Record::Delivered(queue, seq) => Self::Delivered(queue_id(*queue), storage::Seq(seq.get())),
            Record::QueueDeleted(queue) => Self::QueueDelete(queue_id(*queue)),
        }
    }

    fn as_record(&self) -> storage::Record<'_> {
        match self {
            Self::Publish(placements, message) => {
                storage::Record::Publish { placements, image: message.image() }
            }
            Self::Ack(queue, runs) => storage::Record::Ack { queue: *queue, runs },
            Self::Delivered(queue, up_to) => storage::Record::Delivered { queue: *queue, up_to: *up_to },
            Self::QueueDelete(queue) => storage::Record::QueueDelete { queue: *queue },
        }
    }
}

fn placement(placement: &queue::Placement) -> Placement {
    Placement {
        queue: queue_id(placement.queue),
        seq: storage::Seq(placement.seq.get()),
        // 0 is the engine's "never".
        expires_ms: placement.expires.map_or(0, |expires| expires.as_millis().max(1)),
    }
}

/// When a stored message expires.
pub(super) fn expiry(expires_ms: u64) -> Option<Timestamp> {
    (expires_ms > 0).then(|| Timestamp::from_millis(expires_ms))
}

fn queue_id(id: EntityId) -> QueueId {
    QueueId(id.get())
}

/// Neighbours together.
fn runs(seqs: &[queue::Seq]) -> Vec<SeqRun> {
    let mut sorted: Vec<u64> = seqs.iter().map(|seq| seq.get()).collect();
    sorted.sort_unstable();
    let mut runs: Vec<SeqRun> = Vec::new();
    for seq in sorted {
        match runs.last_mut() {
            Some(run) if run.last.0 + 1 == seq => run.last = storage::Seq(seq),
            _ => runs.push(SeqRun { first: storage::Seq(seq), last: storage::Seq(seq) }),
        }
    }
    runs
}

/// What the engine tells.
struct Watch {
    journal: Weak<Journal>,
    alarms: Arc<Alarms>,
}

impl Observer for Watch {
    fn durable(&self, position: LogPosition) {
        if let Some(journal) = self.journal.upgrade() {
            journal.advance(position);
        }
    }

    fn failed(&self, error: &StoreError) {
        give_up(error)
    }

    fn alarm(&self, error: Option<&StoreError>) {
        if let Some(error) = error {
            tracing::error!(%error, "messages cannot be moved out of the log, publishers are blocked");
        }
        self.alarms.set_disk(error.is_some());
    }
}

/// After a failed write nothing is known of the disk: nothing may be confirmed any more, and a retry would lie.
fn give_up(error: &StoreError) -> ! {
    tracing::error!(%error, "the log has failed, stopping at once");
    std::process::abort();
}

impl fmt::Debug for StoreLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreLog").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_become_runs_whatever_their_order() {
        let seqs = [5, 1, 2, 9, 3].map(queue::Seq::new);
        let runs: Vec<_> = runs(&seqs).iter().map(|run| (run.first.0, run.last.0)).collect();
        assert_eq!(runs, [(1, 3), (5, 5), (9, 9)]);
    }

    #[test]
    fn an_expiry_at_the_epoch_is_not_never() {
        let placed = queue::Placement {
            queue: EntityId::new(1),
            seq: queue::Seq::new(1),
            expires: Some(Timestamp::from_millis(0)),
        };
        assert_eq!(expiry(placement(&placed).expires_ms), Some(Timestamp::from_millis(1)));
        assert_eq!(expiry(0), None);
    }
}
