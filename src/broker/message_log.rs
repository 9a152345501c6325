//! The journal's records as the storage engine takes them, and what the engine tells in return.

use std::fmt;
use std::io;
use std::sync::{Arc, Weak};

use smallvec::SmallVec;

use super::alarm::{Alarms, DiskCause};
use super::journal::{Durability, Journal, LogFigures, MessageLog, Record};
use super::lane::lane;
use crate::clock::Timestamp;
use crate::message::Message;
use crate::queue::{self, Departed, Lane};
use crate::storage::{self, LogPosition, Observer, Placement, QueueId, SeqRun, Store, StoreError};

/// The storage engine as the journal's log.
pub(super) struct StoreLog {
    store: Store,
}

/// A record whose lists are in the engine's terms.
enum Prepared<'r> {
    Publish(SmallVec<[Placement; 1]>, &'r Message),
    Ack(QueueId, Vec<SeqRun>),
    Delivered(QueueId, storage::Seq),
    Counted(QueueId, storage::Seq, u32),
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
    fn append(&self, records: &[Record], atomic: bool, durability: Durability) -> LogPosition {
        let mut prepared = Vec::with_capacity(records.len());
        records.iter().for_each(|record| Prepared::add(record, &mut prepared));
        let records: Vec<_> = prepared.iter().map(Prepared::as_record).collect();
        let appended = if atomic && !records.is_empty() {
            match self.store.append_as(&[storage::Record::Tx(&records)], durability) {
                Err(StoreError::TooLarge { len, max }) => {
                    // The octets of its messages are bounded, what a fanout makes of them is not: kept, if not as one.
                    tracing::warn!(
                        len,
                        max,
                        "a transaction is larger than a record of the log, it is kept in pieces"
                    );
                    self.store.append_as(&records, durability)
                }
                appended => appended,
            }
        } else {
            self.store.append_as(&records, durability)
        };
        appended.unwrap_or_else(|error| give_up(&error))
    }

    fn durable(&self) -> LogPosition {
        self.store.durable()
    }

    fn written(&self) -> LogPosition {
        self.store.written()
    }

    fn disk_free(&self) -> io::Result<u64> {
        self.store.space().map(|space| space.disk_free).map_err(io::Error::other)
    }

    fn figures(&self) -> Option<LogFigures> {
        let (stats, space) = (self.store.stats(), self.store.space().ok()?);
        Some(LogFigures {
            log_used: space.log_used,
            log_total: space.log_total,
            log_written: stats.log_written,
            segments_written: stats.segments_written,
            checkpoints_written: stats.checkpoints_written,
            segments: stats.segments,
            commits: stats.commits,
            syncs: self.store.syncs(),
        })
    }

    fn is_tight(&self) -> bool {
        self.store.is_tight()
    }

    fn close(&self) -> io::Result<()> {
        self.store.close().map_err(io::Error::other)
    }
}

impl<'r> Prepared<'r> {
    /// Adds what a record is to the engine: one record, or one for each of its queue's levels.
    fn add(record: &'r Record, out: &mut Vec<Self>) {
        match record {
            Record::Publish(placements, message) => {
                out.push(Self::Publish(placements.iter().map(placement).collect(), message));
            }
            Record::Gone(queue, departed) => {
                let runs = seq_runs(departed).into_iter();
                out.extend(runs.map(|(level, runs)| Self::Ack(lane(*queue, level), runs)));
            }
            Record::Delivered(queue, level, seq) => {
                out.push(Self::Delivered(lane(*queue, *level), storage::Seq(seq.get())));
            }
            Record::Counted(queue, level, seq, deliveries) => {
                out.push(Self::Counted(lane(*queue, *level), storage::Seq(seq.get()), *deliveries));
            }
            Record::Barrier => {}
            Record::QueueDeleted(queue, lanes) => {
                out.extend(lanes.iter().map(|of_queue| Self::QueueDelete(lane(*queue, *of_queue))));
            }
        }
    }

    fn as_record(&self) -> storage::Record<'_> {
        match self {
            Self::Publish(placements, message) => {
                storage::Record::Publish { placements, image: message.image() }
            }
            Self::Ack(queue, runs) => storage::Record::Ack { queue: *queue, runs },
            Self::Delivered(queue, up_to) => storage::Record::Delivered { queue: *queue, up_to: *up_to },
            Self::Counted(queue, seq, count) => {
                storage::Record::DeliveryCount { queue: *queue, seq: *seq, count: *count }
            }
            Self::QueueDelete(queue) => storage::Record::QueueDelete { queue: *queue },
        }
    }
}

fn placement(placement: &queue::Placement) -> Placement {
    Placement {
        queue: lane(placement.queue, placement.level),
        seq: storage::Seq(placement.seq.get()),
        // 0 is the engine's "never".
        expires_ms: placement.expires.map_or(0, |expires| expires.as_millis().max(1)),
    }
}

/// When a stored message expires.
pub(super) fn expiry(expires_ms: u64) -> Option<Timestamp> {
    (expires_ms > 0).then(|| Timestamp::from_millis(expires_ms))
}

/// What has departed from each level, neighbours together whatever their order.
pub(super) fn seq_runs(departed: &[Departed]) -> Vec<(Lane, Vec<SeqRun>)> {
    let mut sorted = departed.to_vec();
    sorted.sort_unstable_by_key(|run| (run.level, run.first));
    let mut levels: Vec<(Lane, Vec<SeqRun>)> = Vec::new();
    for Departed { level, first, last } in sorted {
        let run = SeqRun { first: storage::Seq(first.get()), last: storage::Seq(last.get()) };
        match levels.last_mut() {
            Some((known, runs)) if *known == level => match runs.last_mut() {
                Some(before) if before.last.next() == run.first => before.last = run.last,
                _ => runs.push(run),
            },
            _ => levels.push((level, vec![run])),
        }
    }
    levels
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

    fn written(&self, position: LogPosition) {
        if let Some(journal) = self.journal.upgrade() {
            journal.advance_written(position);
        }
    }

    fn failed(&self, error: &StoreError) {
        give_up(error)
    }

    fn alarm(&self, error: Option<&StoreError>) {
        if let Some(error) = error {
            tracing::error!(%error, "the log cannot make room, publishers are blocked");
        }
        self.alarms.set_disk(DiskCause::Log, error.is_some());
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
    use crate::id::EntityId;

    #[test]
    fn neighbours_of_a_level_become_runs_whatever_their_order() {
        let departed = [(0, 5, 5), (1, 4, 4), (0, 1, 2), (0, 9, 9), (0, 3, 3)].map(|(level, first, last)| {
            let level = Lane::of_priority(level);
            Departed { level, first: queue::Seq::new(first), last: queue::Seq::new(last) }
        });
        let runs = |runs: &[SeqRun]| runs.iter().map(|run| (run.first.0, run.last.0)).collect::<Vec<_>>();
        let levels: Vec<_> = seq_runs(&departed).iter().map(|(level, all)| (*level, runs(all))).collect();
        let lanes = [Lane::of_priority(0), Lane::of_priority(1)];
        assert_eq!(levels, [(lanes[0], vec![(1, 3), (5, 5), (9, 9)]), (lanes[1], vec![(4, 4)])]);
    }

    #[test]
    fn an_expiry_at_the_epoch_is_not_never() {
        let placed = queue::Placement {
            queue: EntityId::new(1),
            level: Lane::default(),
            seq: queue::Seq::new(1),
            expires: Some(Timestamp::from_millis(0)),
        };
        assert_eq!(expiry(placement(&placed).expires_ms), Some(Timestamp::from_millis(1)));
        assert_eq!(expiry(0), None);
    }
}
