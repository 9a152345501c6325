//! What the store should hold: the simplest thing that could be right.

use std::collections::{BTreeMap, BTreeSet};

use lepus::storage::{LogPosition, Placement, QueueId, Record, Seq, SeqRun};

/// A record with what it owns.
#[derive(Clone, Debug)]
pub(crate) enum Op {
    Publish(Vec<Placement>, Vec<u8>),
    Ack(QueueId, Vec<SeqRun>),
    Delivered(QueueId, Seq),
    Count(QueueId, Seq, u32),
    Purge(QueueId, Seq),
    Delete(QueueId),
    Tx(Vec<Self>),
}

/// A live message: when it expires, deliveries, image.
pub(crate) type Live = (u64, u32, Vec<u8>);

/// Live messages of all queues that have any.
pub(crate) type Contents = BTreeMap<u64, BTreeMap<u64, Live>>;

#[derive(Clone, Debug, Default)]
struct Queue {
    live: BTreeMap<u64, Live>,
    early: BTreeSet<u64>,
    purged: u64,
    delivered: u64,
    next: u64,
}

/// Queues after some operations.
#[derive(Clone, Debug, Default)]
pub(crate) struct State {
    queues: BTreeMap<u64, Queue>,
    deleted: BTreeSet<u64>,
}

/// The durable state and what came after it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Model {
    base: State,
    /// In the order of the log, with where they end.
    ops: Vec<(LogPosition, Op)>,
}

impl Op {
    /// Hands the record to `act`.
    pub(crate) fn with<T>(&self, act: &mut dyn FnMut(Record<'_>) -> T) -> T {
        match self {
            Self::Publish(placements, image) => act(Record::Publish { placements, image }),
            Self::Ack(queue, runs) => act(Record::Ack { queue: *queue, runs }),
            Self::Delivered(queue, up_to) => act(Record::Delivered { queue: *queue, up_to: *up_to }),
            Self::Count(queue, seq, count) => {
                act(Record::DeliveryCount { queue: *queue, seq: *seq, count: *count })
            }
            Self::Purge(queue, up_to) => act(Record::Purge { queue: *queue, up_to: *up_to }),
            Self::Delete(queue) => act(Record::QueueDelete { queue: *queue }),
            Self::Tx(ops) => {
                let records: Vec<Record<'_>> = ops.iter().map(Self::plain).collect();
                act(Record::Tx(&records))
            }
        }
    }

    fn plain(&self) -> Record<'_> {
        match self {
            Self::Publish(placements, image) => Record::Publish { placements, image },
            Self::Ack(queue, runs) => Record::Ack { queue: *queue, runs },
            Self::Delivered(..) | Self::Count(..) | Self::Purge(..) | Self::Delete(_) | Self::Tx(_) => {
                panic!("{self:?} is in no transaction")
            }
        }
    }
}

impl State {
    fn apply(&mut self, op: &Op) {
        match op {
            Op::Publish(placements, image) => placements.iter().for_each(|to| self.publish(to, image)),
            Op::Ack(queue, runs) => {
                let Some(queue) = self.queue(*queue) else { return };
                for run in runs {
                    queue.next = queue.next.max(run.last.0 + 1);
                    for seq in run.first.0..=run.last.0 {
                        if queue.live.remove(&seq).is_none() && seq > queue.purged {
                            queue.early.insert(seq);
                        }
                    }
                }
            }
            Op::Delivered(queue, up_to) => {
                let Some(queue) = self.queue(*queue) else { return };
                queue.next = queue.next.max(up_to.0 + 1);
                queue.delivered = queue.delivered.max(up_to.0);
                for (_, live) in queue.live.range_mut(..=up_to.0) {
                    live.1 = live.1.max(1);
                }
            }
            Op::Count(queue, seq, count) => {
                let Some(live) = self.queue(*queue).and_then(|queue| queue.live.get_mut(&seq.0)) else {
                    return;
                };
                live.1 = *count;
            }
            Op::Purge(queue, up_to) => {
                let Some(queue) = self.queue(*queue) else { return };
                queue.next = queue.next.max(up_to.0 + 1);
                queue.purged = queue.purged.max(up_to.0);
                queue.live.retain(|&seq, _| seq > up_to.0);
            }
            Op::Delete(queue) => {
                self.queues.remove(&queue.0);
                self.deleted.insert(queue.0);
            }
            Op::Tx(ops) => ops.iter().for_each(|op| self.apply(op)),
        }
    }

    fn publish(&mut self, to: &Placement, image: &[u8]) {
        let Some(queue) = self.queue(to.queue) else { return };
        queue.next = queue.next.max(to.seq.0 + 1);
        if to.seq.0 > queue.purged && !queue.early.remove(&to.seq.0) {
            let delivered = u32::from(to.seq.0 <= queue.delivered);
            queue.live.insert(to.seq.0, (to.expires_ms, delivered, image.to_vec()));
        }
    }

    fn queue(&mut self, id: QueueId) -> Option<&mut Queue> {
        if self.deleted.contains(&id.0) {
            return None;
        }
        Some(self.queues.entry(id.0).or_default())
    }

    /// What the store should show.
    pub(crate) fn contents(&self) -> Contents {
        let filled = self.queues.iter().filter(|(_, queue)| !queue.live.is_empty());
        filled.map(|(&id, queue)| (id, queue.live.clone())).collect()
    }

    /// The lowest seq that a queue may give out.
    pub(crate) fn next(&self, queue: u64) -> u64 {
        self.queues.get(&queue).map_or(0, |queue| queue.next)
    }
}

impl Model {
    /// Notes what was appended.
    pub(crate) fn append(&mut self, position: LogPosition, op: Op) {
        self.ops.push((position, op));
    }

    /// The images of all messages that were ever published, by queue and seq.
    pub(crate) fn published(&self) -> BTreeMap<(u64, u64), Vec<u8>> {
        let mut all = BTreeMap::new();
        let mut note = |op: &Op| {
            if let Op::Publish(placements, image) = op {
                all.extend(placements.iter().map(|at| ((at.queue.0, at.seq.0), image.clone())));
            }
        };
        for (_, op) in &self.ops {
            match op {
                Op::Tx(ops) => ops.iter().for_each(&mut note),
                Op::Publish(..)
                | Op::Ack(..)
                | Op::Delivered(..)
                | Op::Count(..)
                | Op::Purge(..)
                | Op::Delete(_) => note(op),
            }
        }
        all
    }

    /// The state at `durable`, exactly.
    pub(crate) fn at(&self, durable: LogPosition) -> State {
        let mut state = self.base.clone();
        self.ops.iter().filter(|(position, _)| *position <= durable).for_each(|(_, op)| state.apply(op));
        state
    }

    /// After a crash: finds how much of what came after `durable` survived, as a prefix of the log, and goes on
    /// from there. `None` if no prefix explains `contents`.
    pub(crate) fn recover(&mut self, durable: LogPosition, contents: &Contents) -> Option<State> {
        let mut state = self.at(durable);
        let mut later = self.ops.iter().filter(|(position, _)| *position > durable);
        loop {
            if state.contents() == *contents {
                break;
            }
            state.apply(&later.next()?.1);
        }
        for queue in state.queues.values_mut() {
            queue.early.clear();
        }
        self.base = state.clone();
        self.ops.clear();
        Some(state)
    }
}
