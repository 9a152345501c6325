//! Where a queue's messages are in the log: one entry for up to 64 KiB of a block, not one per message, and for up to
//! 256 KiB where it has few.

use std::collections::VecDeque;

use super::log::assemble::{Place, Span};
use super::seq_set::SeqSet;

/// Octets of a block that one entry covers: what is read at least to get at one message.
const EXTENT_LEN: u32 = 64 * 1024;

/// Octets that one entry may cover while the queue's own among them are no more than [`SPARSE_OWN`]. A hundred queues
/// that share each block, as the slots of delayed messages do, would otherwise have an entry each for a few messages:
/// some 70 MiB for a log of a GiB.
const SPARSE_LEN: u32 = 256 * 1024;

/// Octets of a queue's records in an entry of a part where it has little.
const SPARSE_OWN: u32 = 4 * 1024;

/// Room for as many entries is kept when they become few.
const ROOM_KEPT: usize = 1024;

/// A part of the log that holds messages of one queue, and perhaps of others.
#[derive(Clone, Debug)]
pub(super) struct Extent {
    pub(super) min: u64,
    pub(super) max: u64,
    pub(super) place: Place,
}

/// All of a queue.
#[derive(Clone, Debug, Default)]
pub(super) struct Extents {
    /// Both `min` and `max` ascend strictly: the rule, for seqs reach the log nearly in order.
    ordered: VecDeque<Extent>,
    /// The exceptions.
    strays: Vec<Extent>,
    /// The one that may still grow.
    open: Option<Open>,
}

/// An extent that may still grow.
#[derive(Clone, Debug)]
struct Open {
    extent: Extent,
    /// Of its block.
    lsn: u64,
    /// Octets of the queue's records in it.
    own: u32,
}

impl Open {
    /// Takes a message of the block `lsn` in, if that is not too far.
    fn grow(&mut self, seq: u64, place: &Place, lsn: u64) -> bool {
        if self.lsn != lsn {
            return false;
        }
        let (Place::Span(known), Place::Span(span)) = (&mut self.extent.place, place) else { return false };
        let (len, own) = (span.offset + span.len - known.offset, self.own + span.len);
        if len > EXTENT_LEN && (len > SPARSE_LEN || own > SPARSE_OWN) {
            return false;
        }
        known.len = len;
        self.own = own;
        self.extent.min = self.extent.min.min(seq);
        self.extent.max = self.extent.max.max(seq);
        true
    }
}

impl Extents {
    /// Notes a message of the block `lsn`.
    pub(super) fn note(&mut self, seq: u64, place: &Place, lsn: u64) {
        if self.open.as_mut().is_some_and(|open| open.grow(seq, place, lsn)) {
            return;
        }
        self.close();
        let own = place.first().map_or(0, |span| span.len);
        self.open = Some(Open { extent: Extent { min: seq, max: seq, place: place.clone() }, lsn, own });
    }

    fn close(&mut self) {
        let Some(Open { extent, .. }) = self.open.take() else { return };
        let in_order = self.ordered.back().is_none_or(|last| last.min < extent.min && last.max < extent.max);
        if in_order {
            self.ordered.push_back(extent);
        } else {
            self.strays.push(extent);
        }
    }

    /// Forgets those without a live message, as far as that is cheap.
    pub(super) fn prune(&mut self, live: &SeqSet) {
        while self.ordered.front().is_some_and(|extent| !live.any(extent.min, extent.max)) {
            self.ordered.pop_front();
        }
        self.release_memory();
        if live.is_empty() {
            self.strays.clear();
        } else if self.strays.len() >= 64 && self.strays.len().is_power_of_two() {
            self.strays.retain(|extent| live.any(extent.min, extent.max));
        }
    }

    /// Forgets those that begin in a log file.
    pub(super) fn drop_slot(&mut self, slot: u32) {
        let elsewhere = |extent: &Extent| extent.place.first().is_none_or(|span| span.slot != slot);
        self.ordered.retain(elsewhere);
        self.strays.retain(elsewhere);
        self.open.take_if(|open| !elsewhere(&open.extent));
        self.release_memory();
    }

    /// A queue whose messages were many does not stay large.
    fn release_memory(&mut self) {
        if self.ordered.capacity() > ROOM_KEPT && self.ordered.len() < self.ordered.capacity() / 4 {
            self.ordered.shrink_to(self.ordered.len() * 2);
        }
    }

    /// The part of one block that holds `seq`, if it is in just one that is known.
    pub(super) fn span_of(&self, seq: u64) -> Option<Span> {
        let holds = |extent: &&Extent| (extent.min..=extent.max).contains(&seq);
        let open = self.open.as_ref().map(|open| &open.extent);
        let at = self.ordered.partition_point(|extent| extent.max < seq);
        let mut holders = self.ordered.get(at).into_iter().chain(open).chain(&self.strays).filter(holds);
        match (holders.next().map(|extent| &extent.place), holders.next()) {
            (Some(Place::Span(span)), None) => Some(*span),
            (Some(Place::Span(_) | Place::Parts(_)) | None, _) => None,
        }
    }

    /// Those that may hold `from` or later, strays first, then in order of `min` until `enough` says so; one more
    /// than enough is given, for its `min` bounds what the others are complete for.
    pub(super) fn from(&self, from: u64, enough: &mut dyn FnMut(&Extent) -> bool) -> Vec<Extent> {
        let open = self.open.as_ref().map(|open| &open.extent);
        let late = |extent: &&Extent| extent.max >= from;
        let mut found: Vec<Extent> = self.strays.iter().chain(open).filter(late).cloned().collect();
        let start = self.ordered.partition_point(|extent| extent.max < from);
        for extent in self.ordered.range(start..) {
            found.push(extent.clone());
            if enough(extent) {
                break;
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECORD: u32 = 70;

    /// Messages of one queue, a record every `distance` octets of a block of a MiB.
    fn noted(distance: u32) -> Extents {
        let mut extents = Extents::default();
        for (seq, offset) in (1..).zip((0..1 << 20).step_by(distance as usize)) {
            extents.note(seq, &Place::Span(Span { slot: 1, offset, len: RECORD }), 7);
        }
        extents
    }

    fn all(extents: &Extents) -> Vec<Extent> {
        extents.from(0, &mut |_| false)
    }

    #[test]
    fn an_entry_covers_64_kib_of_a_queue_that_has_much_there_and_256_kib_of_one_that_has_little() {
        for (distance, most, least) in [(RECORD, EXTENT_LEN, 16), (8_000, SPARSE_LEN, 4)] {
            let extents = noted(distance);
            let found = all(&extents);
            assert!((least..=least + 1).contains(&found.len()), "{distance}: {}", found.len());
            let covered = found.iter().map(|extent| extent.place.first().unwrap().len).max().unwrap();
            assert!((most - distance..=most).contains(&covered), "{distance}: {covered}");
        }
    }

    #[test]
    fn every_message_is_in_the_entry_that_is_found_for_it() {
        for distance in [RECORD, 1_000, 8_000, 100_000] {
            let extents = noted(distance);
            for (seq, offset) in (1..).zip((0..1 << 20).step_by(distance as usize)) {
                let span = extents.span_of(seq).unwrap();
                let end = span.offset + span.len;
                assert!(span.offset <= offset && offset + RECORD <= end, "{distance}: {seq}");
            }
        }
    }

    #[test]
    fn no_entry_reaches_into_another_block() {
        let mut extents = Extents::default();
        let span = |offset| Place::Span(Span { slot: 1, offset, len: RECORD });
        extents.note(1, &span(5_000), 7);
        extents.note(2, &span(100), 8);
        extents.note(3, &span(6_000), 8);
        let lens: Vec<_> = all(&extents).iter().map(|extent| extent.place.first().unwrap().len).collect();
        assert_eq!(lens.iter().sum::<u32>(), RECORD + 5_900 + RECORD);
    }

    #[test]
    fn a_queue_that_was_long_does_not_stay_large() {
        let mut extents = Extents::default();
        let mut live = SeqSet::default();
        for seq in 1..=20_000 {
            extents.note(seq, &Place::Span(Span { slot: 1, offset: 0, len: RECORD }), seq);
            live.insert(seq);
        }
        live.remove_run(1, 19_900);
        extents.prune(&live);
        assert!(extents.ordered.len() <= 100 && extents.ordered.capacity() <= ROOM_KEPT);
    }
}
