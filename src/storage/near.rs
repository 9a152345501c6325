//! Reading little: the next message of a queue or a few, such as to know when it expires.
//!
//! A read of a page takes whole parts of the log. This one goes from record to record, and begins where the last one
//! ended. Whatever it does not find at once it leaves to the other, and all that is in segments: the checksum of a
//! block covers it as a whole.

use std::sync::Arc;

use bytes::Bytes;

use super::id::{QueueId, Seq};
use super::index::QueueState;
use super::log::slot::Slot;
use super::read::StoredMessage;
use super::record::{Checksum, SEAL_LEN, View, first_record, record_len};
use super::seq_set::Run;
use super::shared::Shared;

/// Octets of images from which on whole parts of the log are read.
pub(super) const BUDGET_MAX: usize = 4096;

/// Octets that are read at least: a page of the system's.
const STEP: usize = 4096;

/// Messages found at once, and seqs that they are looked for in.
const FOUND_MAX: usize = 64;
const SEQS: u64 = 1024;

/// Where a read ended.
#[derive(Clone, Copy, Debug)]
pub(super) struct Near {
    /// The last message that it found.
    after: u64,
    slot: u32,
    /// Behind that message's record.
    offset: u64,
}

/// What to look for, and where.
struct Search {
    slot: Arc<Slot>,
    number: u32,
    offset: u64,
    end: u64,
    live: Vec<Run>,
    reclaims: u64,
}

/// A walk over records in a part of a log file.
struct Walk<'a> {
    search: &'a Search,
    octets: Vec<u8>,
    /// Octets that are behind it.
    at: usize,
}

impl Shared {
    /// The next messages of a queue from `from` on, about `budget` octets of images; `None` if they must be looked for.
    pub(super) fn read_near(&self, queue: QueueId, from: Seq, budget: usize) -> Option<Vec<StoredMessage>> {
        let search = self.search(queue.0, from.0)?;
        let mut wanted = search.live.iter().flat_map(|&(first, last)| first..=last).peekable();
        let mut walk = Walk { search: &search, octets: Vec::new(), at: 0 };
        let (mut found, mut octets, mut end) = (Vec::new(), 0, 0);
        while octets < budget && found.len() < FOUND_MAX && wanted.peek().is_some() {
            let Some(message) = walk.next_of(queue) else { break };
            if wanted.peek() == Some(&message.seq.0) {
                wanted.next();
                octets += message.image.len().max(1);
                found.push(message);
                end = search.offset + walk.at as u64;
            } else if search.is_live(message.seq.0) {
                // The next one is elsewhere.
                break;
            }
        }
        let after = found.last()?.seq.0;
        let mut index = self.index.lock();
        if index.reclaims != search.reclaims {
            return None;
        }
        let state = index.queues.get_mut(&queue.0)?;
        state.near = Some(Near { after, slot: search.number, offset: end });
        found.iter_mut().for_each(|message| message.deliveries = state.deliveries(message.seq.0));
        Some(found)
    }

    fn search(&self, queue: u64, from: u64) -> Option<Search> {
        let index = self.index.lock();
        let state = index.queues.get(&queue)?;
        let start = state.live.first_from(from)?;
        let span = state.extents.span_of(start)?;
        let (begin, end) = (u64::from(span.offset), u64::from(span.offset) + u64::from(span.len));
        let offset = state.went_to(start, span.slot).filter(|at| (begin..end).contains(at));
        Some(Search {
            slot: Arc::clone(&index.slots.get(&span.slot)?.slot),
            number: span.slot,
            offset: offset.unwrap_or(begin),
            end,
            live: state.live.runs(start, start.saturating_add(SEQS)),
            reclaims: index.reclaims,
        })
    }
}

impl QueueState {
    /// Where the last read ended, if `start` is the next message after it.
    fn went_to(&self, start: u64, slot: u32) -> Option<u64> {
        let near = self.near.filter(|near| near.slot == slot && near.after < start)?;
        (self.live.first_from(near.after + 1) == Some(start)).then_some(near.offset)
    }
}

impl Search {
    fn is_live(&self, seq: u64) -> bool {
        self.live.iter().any(|&(first, last)| (first..=last).contains(&seq))
    }
}

impl Walk<'_> {
    /// The next message of the queue; `None` at the end, and where octets cannot be read.
    fn next_of(&mut self, queue: QueueId) -> Option<StoredMessage> {
        loop {
            self.reach(SEAL_LEN)?;
            let len = record_len(self.octets.get(self.at..)?)?;
            self.reach(len)?;
            let record = self.octets.get(self.at..self.at + len)?;
            let (view, _) = first_record(record, Checksum::Verify).ok()?;
            self.at += len;
            let mut found = None;
            view.each(&mut |item| {
                if let View::Publish(message) | View::Carry(message) = item
                    && let Some(placement) = message.placements().find(|placement| placement.queue == queue)
                {
                    found = Some((placement, Bytes::copy_from_slice(message.image)));
                }
            })
            .ok()?;
            if let Some((placement, image)) = found {
                let (seq, expires_ms) = (placement.seq, placement.expires_ms);
                return Some(StoredMessage { seq, expires_ms, deliveries: 0, image });
            }
        }
    }

    fn left(&self) -> usize {
        usize::try_from(self.search.end - self.search.offset).unwrap_or(usize::MAX).saturating_sub(self.at)
    }

    /// Reads on until `len` octets are ahead.
    fn reach(&mut self, len: usize) -> Option<()> {
        if len == 0 || len > self.left() {
            return None;
        }
        let known = self.octets.len();
        if self.at + len > known {
            let more = (self.at + len - known).max(STEP).min(self.at + self.left() - known);
            self.octets.resize(known + more, 0);
            let part = self.octets.get_mut(known..)?;
            self.search.slot.file.read_at(part, self.search.offset + known as u64).ok()?;
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::env::SimEnv;
    use super::super::{Driver, Options, Placement, Record, SeqRun, Store};
    use super::*;

    const QUEUE: QueueId = QueueId(1);

    /// Messages of 100 octets to the first queue, with one to another after each.
    fn publish(store: &Store, count: u64) {
        for seq in (1..=count).map(Seq) {
            for queue in [QUEUE, QueueId(2)] {
                let placements = [Placement { queue, seq, expires_ms: seq.0 }];
                let image = [seq.0.to_le_bytes()[0]; 100];
                store.append(&[Record::Publish { placements: &placements, image: &image }]).unwrap();
            }
        }
        store.commit().unwrap();
    }

    fn open(env: &SimEnv) -> Store {
        let options = Options { driver: Driver::Caller, ..Options::default() };
        Store::open(Arc::new(env.clone()), Path::new("/data"), options, &|_| true).unwrap().0
    }

    #[test]
    fn one_message_after_the_other_costs_little_more_than_reading_them() {
        let env = SimEnv::new();
        let store = open(&env);
        publish(&store, 2000);
        let before = env.octets_read();
        let mut next = Seq::FIRST;
        while next.0 <= 2000 {
            let mut found = Vec::new();
            store.read(QUEUE, next, 1000, &mut found).unwrap();
            assert!((1..=10).contains(&found.len()));
            for message in found {
                assert_eq!((message.seq, message.expires_ms), (next, next.0));
                assert_eq!(message.image, vec![next.0.to_le_bytes()[0]; 100]);
                next = next.next();
            }
        }
        let (read, stored) = (env.octets_read() - before, 2000 * 2 * 140);
        assert!(read < stored * 3, "{read} octets read of {stored}");
    }

    #[test]
    fn what_was_settled_meanwhile_is_passed_over() {
        let store = open(&SimEnv::new());
        publish(&store, 100);
        let read = |from| {
            let mut found = Vec::new();
            store.read(QUEUE, Seq(from), 250, &mut found).unwrap();
            found.iter().map(|message| message.seq.0).collect::<Vec<_>>()
        };
        assert_eq!(read(1), [1, 2, 3]);
        let runs = [SeqRun { first: Seq(4), last: Seq(50) }];
        store.append(&[Record::Ack { queue: QUEUE, runs: &runs }]).unwrap();
        store.commit().unwrap();
        assert_eq!(read(4), [51, 52, 53]);
        assert_eq!(read(54), [54, 55, 56]);
        assert_eq!(read(2), [2, 3, 51]);
        assert_eq!(read(100), [100]);
        assert_eq!(read(101), [0u64; 0]);
    }
}
