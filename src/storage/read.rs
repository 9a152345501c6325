//! Reading a queue's live messages in order, from the log and from segments.
//!
//! What is to be read is planned under the index's lock and read without it. If something was reclaimed meanwhile,
//! the plan may point at octets that are no longer what they were, and is made anew.

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;

use super::error::{Doing, StoreError};
use super::extents::Extent;
use super::id::{QueueId, Seq};
use super::log::assemble::Place;
use super::log::slot::Slot;
use super::near;
use super::record::{Checksum, Unreadable, View, first_record};
use super::segment::{Segment, SegmentBlock, SegmentReader, entries};
use super::seq_set::Run;
use super::shared::Shared;

/// A message as it was published to a queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredMessage {
    /// Its seq.
    pub seq: Seq,
    /// When it expires, in milliseconds since 1970; 0 for never.
    pub expires_ms: u64,
    /// Deliveries so far, as far as records told.
    pub deliveries: u32,
    /// Its image. The messages of one read share their memory.
    pub image: Bytes,
}

/// A source of messages with the seqs it may hold.
#[derive(Clone, Debug)]
struct Piece {
    min: u64,
    max: u64,
    len: u64,
    from: Source,
}

#[derive(Clone, Debug)]
enum Source {
    Log(Vec<(Arc<Slot>, u64, usize)>),
    Segment(u64, SegmentBlock),
}

/// What to read.
#[derive(Debug, Default)]
struct Plan {
    pieces: Vec<Piece>,
    /// Every live seq of the range that the pieces cover completely.
    live: Vec<Run>,
    reclaims: u64,
    /// A segment whose blocks must be listed before a plan can be made.
    unlisted: Option<Segment>,
}

/// A message found, its image as a range of the common memory.
struct Found {
    seq: u64,
    expires_ms: u64,
    image: std::ops::Range<usize>,
}

/// Attempts before a reader gives up; each failed one means that something was reclaimed meanwhile.
const ATTEMPTS_MAX: usize = 100;

impl Shared {
    /// See [`Store::read`](super::Store::read).
    pub(super) fn read(
        &self,
        queue: QueueId,
        from: Seq,
        budget: usize,
        out: &mut Vec<StoredMessage>,
    ) -> Result<(), StoreError> {
        if budget <= near::BUDGET_MAX
            && let Some(found) = self.read_near(queue, from, budget)
        {
            out.extend(found);
            return Ok(());
        }
        let mut last = Ok(());
        for _ in 0..ATTEMPTS_MAX {
            let Some(plan) = self.plan(queue.0, from.0, budget as u64) else { return Ok(()) };
            if let Some(segment) = &plan.unlisted {
                last = self.list_segment(queue.0, segment);
                if last.is_err() && self.index.lock().reclaims == plan.reclaims {
                    return last;
                }
                continue;
            }
            let read = self.read_plan(queue.0, &plan, budget);
            let index = self.index.lock();
            if index.reclaims != plan.reclaims {
                last = read.map(|_| ());
                continue;
            }
            let (found, memory) = read?;
            let Some(state) = index.queues.get(&queue.0) else { return Ok(()) };
            out.extend(found.into_iter().map(|message| StoredMessage {
                seq: Seq(message.seq),
                expires_ms: message.expires_ms,
                deliveries: state.deliveries(message.seq),
                image: memory.slice(message.image),
            }));
            return Ok(());
        }
        last
    }

    /// What holds the next messages of a queue; `None` if there are none.
    fn plan(&self, queue: u64, from: u64, budget: u64) -> Option<Plan> {
        let index = self.index.lock();
        let state = index.queues.get(&queue)?;
        let start = state.live.first_from(from)?;
        let mut horizon = u64::MAX;
        let mut plan = Plan { reclaims: index.reclaims, ..Plan::default() };
        let mut segments: Vec<&Segment> = state.segments.iter().filter(|s| s.max >= start).collect();
        segments.sort_unstable_by_key(|segment| segment.min);
        let mut ahead = 0;
        for segment in segments {
            if ahead > budget && segment.min > start {
                horizon = horizon.min(segment.min);
                break;
            }
            let Some(blocks) = &segment.blocks else {
                return Some(Plan { unlisted: Some(segment.clone()), ..plan });
            };
            for block in blocks.iter().filter(|b| b.max >= start && state.live.any(b.min, b.max)) {
                ahead += u64::from(block.payload_len);
                plan.pieces.push(Piece::of_block(segment.number, *block));
            }
        }
        let mut ahead = 0;
        let extents = state.extents.from(start, &mut |extent| {
            ahead += extent.place.spans().iter().map(|span| u64::from(span.len)).sum::<u64>();
            // Large enough that blocks shared by many queues do not make every read a small one.
            ahead > budget && extent.min > start
        });
        if ahead > budget {
            horizon = extents.last().map_or(horizon, |last| horizon.min(last.min.max(start + 1)));
        }
        let slot = |number: u32| index.slots.get(&number).map(|state| Arc::clone(&state.slot));
        plan.pieces.extend(extents.iter().filter_map(|extent| Piece::of_extent(extent, &slot)));
        let end = plan.limit(start, horizon, budget);
        plan.live = state.live.runs(start, end);
        Some(plan)
    }

    fn list_segment(&self, queue: u64, segment: &Segment) -> Result<(), StoreError> {
        let reader = SegmentReader::open(&*self.env, &self.names, self.store_id, queue, segment.number)?;
        let blocks = Arc::new(reader.blocks(segment.len)?);
        let mut index = self.index.lock();
        let Some(state) = index.queues.get_mut(&queue) else { return Ok(()) };
        for known in &mut state.segments {
            if known.number == segment.number && known.len == segment.len {
                known.blocks = Some(Arc::clone(&blocks));
            }
        }
        Ok(())
    }

    /// The messages of a plan in order, each once.
    fn read_plan(&self, queue: u64, plan: &Plan, budget: usize) -> Result<(Vec<Found>, Bytes), StoreError> {
        let mut reading =
            Reading { shared: self, queue, live: &plan.live, memory: Vec::new(), found: Vec::new() };
        let mut readers: Vec<(u64, SegmentReader)> = Vec::new();
        for piece in &plan.pieces {
            match &piece.from {
                Source::Log(spans) => reading.read_log(spans)?,
                Source::Segment(number, block) => {
                    if !readers.iter().any(|(open, _)| open == number) {
                        readers.push((*number, reading.open(*number)?));
                    }
                    if let Some((_, reader)) = readers.iter().find(|(open, _)| open == number) {
                        reading.read_block(reader, block)?;
                    }
                }
            }
        }
        let Reading { memory, mut found, .. } = reading;
        found.sort_by_key(|message| message.seq);
        found.dedup_by_key(|message| message.seq);
        self.check_complete(queue, plan, &found)?;
        let mut octets = 0;
        let fits = found.iter().take_while(|message| {
            let is_first = octets == 0;
            octets += message.image.len().max(1);
            is_first || octets <= budget
        });
        let fits = fits.count();
        found.truncate(fits);
        Ok((found, Bytes::from(memory)))
    }

    /// A live message that is nowhere means that a file lost octets.
    fn check_complete(&self, queue: u64, plan: &Plan, found: &[Found]) -> Result<(), StoreError> {
        let mut seqs = found.iter().map(|message| message.seq);
        let missing =
            plan.live.iter().flat_map(|&(first, last)| first..=last).find(|&seq| seqs.next() != Some(seq));
        match missing {
            None => Ok(()),
            Some(seq) => {
                let what = format!("message {seq} of queue {queue} is neither in the log nor in a segment");
                Err(StoreError::corrupt(self.names.root(), 0, what))
            }
        }
    }
}

impl Piece {
    fn of_block(segment: u64, block: SegmentBlock) -> Self {
        let len = u64::from(block.payload_len);
        Self { min: block.min, max: block.max, len, from: Source::Segment(segment, block) }
    }

    fn of_extent(extent: &Extent, slot: &dyn Fn(u32) -> Option<Arc<Slot>>) -> Option<Self> {
        let spans: Option<Vec<_>> = extent
            .place
            .spans()
            .iter()
            .map(|span| Some((slot(span.slot)?, u64::from(span.offset), span.len as usize)))
            .collect();
        debug_assert!(matches!(extent.place, Place::Span(_) | Place::Parts(_)), "all places have spans");
        let spans = spans?;
        let len = spans.iter().map(|(_, _, len)| *len as u64).sum();
        Some(Self { min: extent.min, max: extent.max, len, from: Source::Log(spans) })
    }
}

impl Plan {
    /// Keeps as many pieces as the budget asks for; the last seq for which they are complete.
    fn limit(&mut self, start: u64, horizon: u64, budget: u64) -> u64 {
        self.pieces.retain(|piece| piece.max >= start && piece.min < horizon);
        self.pieces.sort_by_key(|piece| piece.min);
        let mut ahead = 0;
        let keep = self.pieces.iter().take_while(|piece| {
            let keep = piece.min <= start || ahead < budget;
            ahead += piece.len;
            keep
        });
        let keep = keep.count();
        let next = self.pieces.get(keep).map_or(u64::MAX, |piece| piece.min);
        self.pieces.truncate(keep);
        // Every seq of a piece is live or not known to this plan's `live`, which ends where a piece is missing.
        let max = self.pieces.iter().map(|piece| piece.max).max().unwrap_or(start);
        horizon.min(next).saturating_sub(1).min(max)
    }
}

struct Reading<'a> {
    shared: &'a Shared,
    queue: u64,
    live: &'a [Run],
    memory: Vec<u8>,
    found: Vec<Found>,
}

impl Reading<'_> {
    fn open(&self, number: u64) -> Result<SegmentReader, StoreError> {
        let shared = self.shared;
        SegmentReader::open(&*shared.env, &shared.names, shared.store_id, self.queue, number)
    }

    fn is_wanted(&self, seq: u64) -> bool {
        let at = self.live.partition_point(|&(_, last)| last < seq);
        self.live.get(at).is_some_and(|&(first, _)| first <= seq)
    }

    fn keep(&mut self, seq: u64, expires_ms: u64, image: &[u8]) {
        if self.is_wanted(seq) {
            let start = self.memory.len();
            self.memory.extend_from_slice(image);
            self.found.push(Found { seq, expires_ms, image: start..self.memory.len() });
        }
    }

    fn read_block(&mut self, reader: &SegmentReader, block: &SegmentBlock) -> Result<(), StoreError> {
        let payload = reader.payload(block)?;
        entries(&payload).for_each(|entry| self.keep(entry.seq, entry.expires_ms, entry.image));
        Ok(())
    }

    fn read_log(&mut self, spans: &[(Arc<Slot>, u64, usize)]) -> Result<(), StoreError> {
        let mut octets = Vec::new();
        for (slot, offset, len) in spans {
            let start = octets.len();
            octets.resize(start + len, 0);
            let part = octets.get_mut(start..).unwrap_or_default();
            slot.file.read_at(part, *offset).doing("read", &slot.path)?;
        }
        let (path, offset) =
            spans.first().map_or((PathBuf::new(), 0), |(slot, at, _)| (slot.path.clone(), *at));
        let mut at = 0;
        while let Some(rest) = octets.get(at..).filter(|rest| !rest.is_empty()) {
            let len = self.read_record(rest).map_err(|_| {
                StoreError::corrupt(&path, offset + at as u64, "a record's checksum does not hold")
            })?;
            at += len;
        }
        Ok(())
    }

    fn read_record(&mut self, octets: &[u8]) -> Result<usize, Unreadable> {
        let (record, len) = first_record(octets, Checksum::Verify)?;
        let queue = self.queue;
        record.each(&mut |item| {
            if let View::Publish(message) | View::Carry(message) = item {
                for placement in message.placements().filter(|placement| placement.queue.0 == queue) {
                    self.keep(placement.seq.0, placement.expires_ms, message.image);
                }
            }
        })?;
        Ok(len)
    }
}
