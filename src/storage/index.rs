//! What the store knows in memory: per queue which seqs are live and where they are. It always describes what is
//! durable: records are applied after their block was synced.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use super::deleted::Deleted;
use super::extents::Extents;
use super::log::assemble::Place;
use super::log::block::FILE_HEAD;
use super::log::slot::Slot;
use super::near::Near;
use super::record::{Placed, View, runs};
use super::segment::Segment;
use super::seq_set::SeqSet;

/// Early acks that one run may leave; a longer run says nothing about messages to come.
const EARLY_RUN_MAX: u64 = 1 << 20;

/// State of one queue.
#[derive(Debug, Default)]
pub(super) struct QueueState {
    /// Published and not settled.
    pub(super) live: SeqSet,
    /// Acked, and the publish is still to come. It stays as long as the process does: nobody can say how late a
    /// publish may be.
    pub(super) early: SeqSet,
    /// Above all seqs that any record named.
    pub(super) next_seq: u64,
    /// Everything up to here was purged.
    pub(super) purged: u64,
    /// Everything up to here was delivered.
    pub(super) delivered: u64,
    /// Deliveries of live messages, where a record said so.
    pub(super) counts: BTreeMap<u64, u32>,
    pub(super) extents: Extents,
    pub(super) segments: Vec<Segment>,
    /// Where the last read of little ended.
    pub(super) near: Option<Near>,
}

/// A log file and its use.
#[derive(Debug)]
pub(super) struct SlotState {
    pub(super) slot: Arc<Slot>,
    pub(super) first_lsn: u64,
    /// Where its last applied block ends.
    pub(super) end: u64,
}

impl SlotState {
    /// A file that holds nothing that is needed.
    pub(super) fn empty(slot: Arc<Slot>) -> Self {
        Self { slot, first_lsn: 0, end: FILE_HEAD }
    }
}

/// Everything.
#[derive(Debug, Default)]
pub(super) struct Index {
    pub(super) queues: HashMap<u64, QueueState, ahash::RandomState>,
    /// Queues that are gone: late publishes find them here.
    pub(super) deleted: Deleted,
    pub(super) slots: BTreeMap<u32, SlotState>,
    /// Slots in use, oldest first.
    pub(super) order: VecDeque<u32>,
    /// Slots free for reuse.
    pub(super) free: Vec<u32>,
    /// The last block whose records are in here.
    pub(super) applied: u64,
    pub(super) next_segment: u64,
    /// Slots that the next checkpoint makes free.
    pub(super) retired: Vec<u32>,
    /// Segments that were rewritten: garbage from the next checkpoint on.
    pub(super) replaced: Vec<(u64, u64)>,
    /// Segments that nothing refers to: files to remove.
    pub(super) garbage: Vec<(u64, u64)>,
    /// Counts what was taken away, for readers that look meanwhile.
    pub(super) reclaims: u64,
}

/// How much of a record takes effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// All.
    Apply,
    /// The checkpoint has it already; only where messages are is to be learnt.
    Locate,
}

impl QueueState {
    /// How often a message was delivered.
    pub(super) fn deliveries(&self, seq: u64) -> u32 {
        self.counts.get(&seq).copied().unwrap_or_else(|| u32::from(seq <= self.delivered))
    }

    pub(super) fn saw(&mut self, seq: u64) {
        self.next_seq = self.next_seq.max(seq.saturating_add(1));
    }

    fn publish(&mut self, seq: u64, place: &Place, lsn: u64) {
        self.saw(seq);
        let settled = !self.early.is_empty() && self.early.remove(seq);
        if seq > self.purged && !settled {
            self.live.insert(seq);
            self.extents.note(seq, place, lsn);
        }
    }

    fn ack(&mut self, first: u64, last: u64) {
        self.saw(last);
        if self.live.count(first, last) < last - first + 1 {
            self.note_early(first.max(self.purged + 1).max(last.saturating_sub(EARLY_RUN_MAX)), last);
        }
        self.remove(first, last);
    }

    /// Remembers those of a run that are not published yet.
    fn note_early(&mut self, first: u64, last: u64) {
        let mut next = first;
        let known = self.live.runs(first, last);
        let early = &mut self.early;
        for (from, to) in known {
            if next < from {
                early.insert_run(next, from - 1);
            }
            next = to + 1;
        }
        if next <= last {
            early.insert_run(next, last);
        }
    }

    fn remove(&mut self, first: u64, last: u64) {
        self.live.remove_run(first, last);
        if !self.counts.is_empty() {
            let counted: Vec<u64> = self.counts.range(first..=last).map(|(&seq, _)| seq).collect();
            counted.iter().for_each(|seq| {
                self.counts.remove(seq);
            });
        }
        self.extents.prune(&self.live);
    }

    fn purge(&mut self, up_to: u64) {
        self.saw(up_to);
        self.purged = self.purged.max(up_to);
        self.early.remove_run(0, up_to);
        self.remove(0, up_to);
    }
}

impl Index {
    /// Takes a record of the block `lsn` into account; `admit` says whether a queue that is not here may come to be.
    pub(super) fn apply(
        &mut self,
        record: View<'_>,
        place: &Place,
        lsn: u64,
        effect: Effect,
        admit: &dyn Fn(u64) -> bool,
    ) {
        match (record, effect) {
            (View::Publish(message), Effect::Apply) => self.publish(message, place, lsn, admit),
            (View::Publish(message) | View::Carry(message), _) => self.locate(message, place, lsn),
            (View::Delete { queue }, Effect::Apply) => self.delete(queue),
            (View::Tx(_), _) | (_, Effect::Locate) => {}
            (View::Ack { queue, runs: all }, Effect::Apply) => {
                let Some(state) = self.queue(queue, admit) else { return };
                runs(all).for_each(|(first, last)| state.ack(first, last));
            }
            (View::Delivered { queue, up_to }, Effect::Apply) => {
                let Some(state) = self.queue(queue, admit) else { return };
                state.saw(up_to);
                state.delivered = state.delivered.max(up_to);
            }
            (View::Count { queue, seq, count }, Effect::Apply) => {
                let Some(state) = self.queue(queue, admit) else { return };
                if state.live.contains(seq) {
                    state.counts.insert(seq, count);
                }
            }
            (View::Purge { queue, up_to }, Effect::Apply) => {
                let Some(state) = self.queue(queue, admit) else { return };
                state.purge(up_to);
            }
        }
    }

    fn publish(&mut self, message: Placed<'_>, place: &Place, lsn: u64, admit: &dyn Fn(u64) -> bool) {
        for placement in message.placements() {
            if let Some(state) = self.queue(placement.queue.0, admit) {
                state.publish(placement.seq.0, place, lsn);
            }
        }
    }

    fn locate(&mut self, message: Placed<'_>, place: &Place, lsn: u64) {
        for placement in message.placements() {
            if let Some(state) = self.queues.get_mut(&placement.queue.0)
                && state.live.contains(placement.seq.0)
            {
                state.extents.note(placement.seq.0, place, lsn);
            }
        }
    }

    fn delete(&mut self, queue: u64) {
        self.deleted.insert(queue);
        if let Some(state) = self.queues.remove(&queue) {
            self.garbage.extend(state.segments.iter().map(|segment| (queue, segment.number)));
        }
    }

    fn queue(&mut self, queue: u64, admit: &dyn Fn(u64) -> bool) -> Option<&mut QueueState> {
        if !self.queues.contains_key(&queue) {
            if self.deleted.meets(queue) || !admit(queue) {
                return None;
            }
            self.queues.insert(queue, QueueState { next_seq: 1, ..QueueState::default() });
        }
        self.queues.get_mut(&queue)
    }

    /// The first lsn that is still needed.
    pub(super) fn log_start(&self) -> u64 {
        let first = self.order.front().and_then(|number| self.slots.get(number));
        first.map_or(self.applied + 1, |state| state.first_lsn)
    }
}

/// Segments rewritten into one; each is less than a quarter live, so that the result is no longer than one.
const VICTIMS_MAX: usize = 4;

/// Segments and log files on their way in and out.
impl Index {
    pub(super) fn retire(&mut self, slot: u32) {
        self.order.retain(|&number| number != slot);
        self.retired.push(slot);
        self.queues.values_mut().for_each(|state| state.extents.drop_slot(slot));
        self.deleted.age(self.log_start(), self.applied);
    }

    /// Takes a written segment in: a new one, or one that has grown.
    pub(super) fn install(&mut self, queue: u64, segment: Segment) {
        let Some(state) = self.queues.get_mut(&queue) else {
            self.garbage.push((queue, segment.number));
            return;
        };
        match state.segments.iter_mut().find(|known| known.number == segment.number) {
            Some(known) => *known = segment,
            None => state.segments.push(segment),
        }
    }

    /// Moves segments without a live message to the garbage; whether there is any.
    pub(super) fn find_dead(&mut self) -> bool {
        let before = self.garbage.len();
        for (&queue, state) in &mut self.queues {
            let (live, garbage) = (&state.live, &mut self.garbage);
            state.segments.retain(|segment| {
                let keep = live.any(segment.min, segment.max);
                if !keep {
                    garbage.push((queue, segment.number));
                }
                keep
            });
        }
        self.reclaims += u64::from(self.garbage.len() > before);
        !self.garbage.is_empty()
    }

    /// The sealed segments of a queue that are less than a quarter live, where its garbage exceeds a limit.
    pub(super) fn worst(&self, garbage_len: u64) -> Option<(u64, Vec<Segment>)> {
        self.queues.iter().find_map(|(&queue, state)| {
            let (_, sealed) = state.segments.split_last()?;
            let live = |segment: &Segment| state.live.count(segment.min, segment.max).min(segment.count);
            let garbage = |segment: &Segment| {
                let dead = segment.count - live(segment);
                segment.len.saturating_mul(dead) / segment.count.max(1)
            };
            let total: u64 = sealed.iter().map(garbage).sum();
            let mostly_dead = |segment: &&Segment| live(segment) * 4 < segment.count;
            let victims: Vec<Segment> =
                sealed.iter().filter(mostly_dead).take(VICTIMS_MAX).cloned().collect();
            (total > garbage_len && !victims.is_empty()).then_some((queue, victims))
        })
    }

    pub(super) fn replace(&mut self, queue: u64, victims: &[Segment], by: Segment) {
        let Some(state) = self.queues.get_mut(&queue) else {
            self.garbage.push((queue, by.number));
            return;
        };
        let is_victim = |segment: &Segment| victims.iter().any(|victim| victim.number == segment.number);
        let at = state.segments.iter().position(is_victim).unwrap_or(0);
        self.replaced.extend(victims.iter().map(|victim| (queue, victim.number)));
        state.segments.retain(|segment| !is_victim(segment));
        if by.count > 0 {
            state.segments.insert(at.min(state.segments.len()), by);
        } else {
            self.garbage.push((queue, by.number));
        }
        self.reclaims += 1;
    }
}
