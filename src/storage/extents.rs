//! Where a queue's messages are in the log: one entry for up to 64 KiB of a block, not one per message.

use std::collections::VecDeque;

use super::log::assemble::{Place, Span};
use super::seq_set::SeqSet;

/// Octets of a block that one entry covers: what is read at least to get at one message.
const EXTENT_LEN: u32 = 64 * 1024;

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
    /// The one that may still grow, and the lsn of its block.
    open: Option<(Extent, u64)>,
}

impl Extents {
    /// Notes a message of the block `lsn`.
    pub(super) fn note(&mut self, seq: u64, place: &Place, lsn: u64) {
        if let Some((open, of)) = &mut self.open
            && *of == lsn
            && let (Place::Span(open_span), Place::Span(span)) = (&mut open.place, place)
            && span.offset + span.len - open_span.offset <= EXTENT_LEN
        {
            open_span.len = span.offset + span.len - open_span.offset;
            open.min = open.min.min(seq);
            open.max = open.max.max(seq);
            return;
        }
        self.close();
        self.open = Some((Extent { min: seq, max: seq, place: place.clone() }, lsn));
    }

    fn close(&mut self) {
        let Some((extent, _)) = self.open.take() else { return };
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
        self.open.take_if(|(extent, _)| !elsewhere(extent));
    }

    /// The part of one block that holds `seq`, if it is in just one that is known.
    pub(super) fn span_of(&self, seq: u64) -> Option<Span> {
        let holds = |extent: &&Extent| (extent.min..=extent.max).contains(&seq);
        let open = self.open.as_ref().map(|(extent, _)| extent);
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
        let open = self.open.as_ref().map(|(extent, _)| extent);
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
