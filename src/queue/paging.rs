//! How messages of a queue leave the memory and come back. Whoever has the store drives this; the queue's lock is held
//! for a bounded step at a time, and never while a disk works.
//!
//! ```text
//!   page_out_candidates --> stored? (the log has it and it is durable; else the spill takes it) --> page_out
//!   page_wanted         --> read from the log, the spill                                       --> paged_in
//! ```

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::state::residence::{Evictable, Evicted, Stored, Whereabouts};
use super::{Inner, Lane, Queue, Seq};
use crate::clock::Timestamp;
use crate::fingerprint::Fingerprint;

/// Messages that are to be read back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageWanted {
    /// The level.
    pub level: Lane,
    /// The lowest seq that is in the log only.
    pub logged: Option<Seq>,
    /// The lowest seq that is in the spill only.
    pub spilled: Option<Seq>,
    /// Somebody waits for them; else it is only to be known when the first expires.
    pub hungry: bool,
}

/// Somebody gets the next message, which is read for it: until this is dropped it stays in memory. Without that a small
/// budget could let it leave again each time before it is taken.
#[derive(Debug)]
pub struct HeadNeed(Arc<Queue>);

impl HeadNeed {
    /// The queue.
    pub fn queue(&self) -> &Arc<Queue> {
        &self.0
    }
}

impl Drop for HeadNeed {
    fn drop(&mut self) {
        self.0.heads_needed.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Queue {
    /// Logged messages of a level that are there at the start, as ascending runs, with the octets of their bodies if
    /// somebody has measured them.
    pub fn restore(self: &Arc<Self>, level: Lane, runs: &[(u64, u64)], body_bytes: Option<u64>) {
        self.inner.lock().state.restore(level, runs, body_bytes);
    }

    /// What tells messages apart that are there at the start, in a queue that takes no duplicates.
    pub fn restore_present(&self, present: &[(Seq, Fingerprint)]) {
        let mut inner = self.inner.lock();
        present.iter().for_each(|(seq, known)| inner.state.restore_present(*seq, *known));
    }

    /// Logged messages of a lane that are there at the start and not due, as ascending runs, the first of them due at
    /// `due`; places up to `last` had been given. Returns whether the lane can hold them.
    pub fn restore_delayed(&self, lane: Lane, runs: &[(u64, u64)], due: Timestamp, last: Seq) -> bool {
        self.inner.lock().state.restore_delayed(lane, runs, due, last)
    }

    /// Messages that are there at the start, on disk and not due: octets of their bodies, and in a queue that takes no
    /// duplicates what tells them apart.
    pub fn restore_waiting(&self, octets: u64, present: &[Fingerprint]) {
        self.inner.lock().state.restore_waiting(octets, present);
    }

    /// The messages of the lane that is read as a whole at the start; places up to `last` had been given there.
    pub fn restore_near(&self, lane: Lane, messages: Vec<Stored>, last: Seq) {
        self.inner.lock().state.restore_near(lane, messages, last);
    }

    /// The end of restoring: places up to `last` were given before the start. `uncertain`: every message may have been
    /// delivered before.
    pub fn restored(self: &Arc<Self>, last: Seq, uncertain: bool, now: Timestamp) {
        self.change(now, |inner, _| inner.state.restored(last, uncertain));
    }

    /// What is to be read back now. `None`: nothing any more, and [`super::Host::page_in`] will be called again.
    pub fn page_wanted(self: &Arc<Self>, now: Timestamp) -> Option<PageWanted> {
        let mut inner = self.inner.lock();
        let wanted = inner.wanted(now);
        inner.paging_in = wanted.is_some();
        // While messages are read nobody waits for the time of those that are not.
        let arm = if wanted.is_none() { self.rearm(&mut inner, now) } else { None };
        drop(inner);
        if let Some(at) = arm {
            self.host.arm(self, at);
        }
        wanted
    }

    /// To be held from before the next message is read until [`Queue::get`] has looked for it.
    pub fn need_head(self: &Arc<Self>) -> HeadNeed {
        self.heads_needed.fetch_add(1, Ordering::AcqRel);
        HeadNeed(Arc::clone(self))
    }

    /// What is to be read for [`Queue::get`] to find the next message.
    pub fn page_of_head(&self, now: Timestamp) -> Option<PageWanted> {
        let inner = self.inner.lock();
        let level = inner.state.wanted_of_ready(true, now)?;
        Some(inner.page_of(level, true))
    }

    /// Takes messages of a level in that were read back, in order of their seqs. Returns how many were missing.
    pub fn paged_in(self: &Arc<Self>, level: Lane, messages: Vec<Stored>, now: Timestamp) -> usize {
        self.change(now, |inner, after| {
            let taken = inner.state.load(level, messages);
            self.dispatch(inner, after, now);
            taken
        })
    }

    /// What may leave the memory in one step; while somebody consumes all but about `kept` octets of each level, and
    /// not the next message while somebody gets it.
    pub fn page_out_candidates(&self, kept: u64) -> Evictable {
        let inner = self.inner.lock();
        let kept = if inner.consumers.is_empty() { 0 } else { kept };
        let least = usize::from(self.heads_needed.load(Ordering::Acquire) > 0);
        inner.state.evictable(kept, least)
    }

    /// Lets those of the candidates leave the memory that can be read.
    pub fn page_out(self: &Arc<Self>, candidates: &Evictable, known: Whereabouts, now: Timestamp) -> Evicted {
        self.change(now, |inner, _| inner.state.evict(candidates, known))
    }

    /// Whether the caller is the one to make its messages leave the memory; until it says that it is done.
    pub fn claim_page_out(&self) -> bool {
        !self.is_paging_out.swap(true, Ordering::AcqRel)
    }

    /// Whoever made its messages leave the memory is done.
    pub fn release_page_out(&self) {
        self.is_paging_out.store(false, Ordering::Release);
    }

    /// Octets that its messages take in memory.
    pub fn memory(&self) -> u64 {
        self.inner.lock().state.memory()
    }
}

impl Inner {
    /// Whether messages must be read back and nobody does yet.
    pub(super) fn wants_page(&mut self, now: Timestamp) -> bool {
        if self.paging_in || self.deleted {
            return false;
        }
        self.paging_in = self.wanted(now).is_some();
        self.paging_in
    }

    fn wanted(&self, now: Timestamp) -> Option<PageWanted> {
        let hungry = self.consumers.next().is_some();
        let level = self.state.wanted(hungry, now)?;
        Some(self.page_of(level, hungry))
    }

    fn page_of(&self, level: Lane, hungry: bool) -> PageWanted {
        let (logged, spilled) = self.state.coldest(level);
        PageWanted { level, logged, spilled, hungry }
    }
}
