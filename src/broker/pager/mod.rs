//! Keeps the messages of all queues within one budget of memory: threads of its own write out and read back, so that
//! neither publishers nor consumers wait for a disk while they hold a queue.
//!
//! ```text
//!   over the budget:  queue --candidates--> is it in the log? else into the spill --> out of memory
//!   its turn comes:   queue --wanted-----> read from the log and the spill -------> back, delivered
//! ```
//! Queues that grow while the budget is exceeded come first; if that does not help, all queues are gone through.

mod work;

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use tokio::sync::oneshot;

use super::alarm::Alarms;
use super::get::HeadRead;
use super::journal::Journal;
use super::lane::lane;
use super::message_log::{StoreLog, expiry};
use super::spill::Spill;
use super::vhost::Vhost;
use crate::clock::{Clock, Timestamp};
use crate::id::EntityId;
use crate::message::Message;
use crate::queue::{
    Departures, Evictable, Home, Lane, PageWanted, Queue, Seq, Stored, Unstored, Whereabouts,
};
use crate::storage::{self, StoreError, StoredMessage};

use work::{Job, ROUND_MS, SWEEP_ROUNDS, Work};

/// Octets of messages that are read back at once for a consumer.
const PAGE: usize = 256 * 1024;

/// Octets that are read back to know when a message expires.
const PEEK: usize = 1024;

/// Threads; reading back is mostly the work of checksums and copies.
const THREADS_MAX: usize = 4;

/// Octets of a queue's messages that stay in memory while somebody consumes: more than are taken while the next page is
/// read.
const KEPT: u64 = 512 * 1024;

/// By how much less is kept and read back when the budget is exceeded twofold: by very many queues that are consumed.
const THRIFT: usize = 16;

/// A round: how long threads without work sleep while something is to be tried again.
const ROUND: Duration = Duration::from_millis(ROUND_MS);

/// Rounds after which a queue is looked at again of which nothing could leave the memory.
const STUCK_ROUNDS: u32 = 10;

/// The same while the log is on its way to the disk: what is there afterwards can leave.
const PENDING_ROUNDS: u32 = 1;

/// Rounds after which a read that failed is tried again.
const RETRY_ROUNDS: u32 = 50;

/// The pager.
pub(super) struct Pager {
    log: Arc<StoreLog>,
    spill: Spill,
    journal: Arc<Journal>,
    alarms: Arc<Alarms>,
    clock: Clock,
    /// Octets of messages that may be in memory.
    budget: u64,
    vhosts: Mutex<Vec<Weak<Vhost>>>,
    work: Mutex<Work>,
    wake: Condvar,
    /// Memory grows faster than it is freed.
    is_behind: AtomicBool,
    /// The spill has failed, and nothing was spilled since: said once.
    is_spill_broken: AtomicBool,
}

/// What became of a queue's messages that were to leave the memory.
#[derive(Clone, Copy, Debug, Default)]
struct Shrunk {
    /// Octets freed.
    freed: u64,
    /// There were some for the log at the last look, durable or not.
    is_logged: bool,
}

/// The threads; dropping it ends them.
#[derive(Debug)]
pub(super) struct PagerThreads {
    pager: Arc<Pager>,
    threads: Vec<JoinHandle<()>>,
}

impl Pager {
    pub(super) fn new(
        log: Arc<StoreLog>,
        spill: Spill,
        journal: Arc<Journal>,
        alarms: Arc<Alarms>,
        clock: Clock,
        budget: u64,
    ) -> Self {
        Self {
            log,
            spill,
            journal,
            alarms,
            clock,
            budget,
            vhosts: Mutex::default(),
            work: Mutex::default(),
            wake: Condvar::new(),
            is_behind: AtomicBool::new(false),
            is_spill_broken: AtomicBool::new(false),
        }
    }

    /// Starts the work: everything that queues refer to must be in place.
    ///
    /// # Errors
    /// The system has no more threads.
    pub(super) fn start(self: &Arc<Self>) -> std::io::Result<PagerThreads> {
        let count = std::thread::available_parallelism().map_or(1, usize::from).min(THREADS_MAX);
        let mut started = PagerThreads { pager: Arc::clone(self), threads: Vec::new() };
        for number in 0..count {
            let pager = Arc::clone(self);
            let thread = std::thread::Builder::new().name(format!("lepus-pager-{number}"));
            started.threads.push(thread.spawn(move || pager.run())?);
        }
        Ok(started)
    }

    /// A virtual host whose queues belong to the budget.
    pub(super) fn add_vhost(&self, vhost: Weak<Vhost>) {
        self.vhosts.lock().push(vhost);
    }

    /// A queue's messages take more memory than before.
    pub(super) fn grew(&self, queue: &Arc<Queue>) {
        if self.is_over() && queue.claim_page_out() {
            self.work.lock().large.push_back(Arc::downgrade(queue));
            self.wake.notify_one();
        }
    }

    /// A queue misses messages.
    pub(super) fn page_in(&self, queue: &Arc<Queue>) {
        self.work.lock().reads.push_back(Arc::downgrade(queue));
        self.wake.notify_one();
    }

    /// Has the next messages of a queue read back for one who gets them. Nobody answers if the queue is gone.
    pub(super) fn ask_head(&self, queue: &Arc<Queue>) -> oneshot::Receiver<HeadRead> {
        let (answer, read) = oneshot::channel();
        self.work.lock().heads.push_back((Arc::downgrade(queue), answer));
        self.wake.notify_one();
        read
    }

    /// Whether publishers are to wait: memory fills faster than it can be freed.
    pub(super) fn is_behind(&self) -> bool {
        self.is_behind.load(Ordering::Relaxed) && self.is_far_over()
    }

    /// Reads the next messages of a queue back while the caller waits. Returns whether there is reason to look again.
    ///
    /// # Errors
    /// Octets on disk have changed, or the disk refuses.
    pub(super) fn read_head(&self, queue: &Arc<Queue>, now: Timestamp) -> Result<bool, StoreError> {
        match queue.page_of_head(now) {
            Some(wanted) => Ok(self.read(queue, wanted, now)? > 0 || queue.page_of_head(now) != Some(wanted)),
            None => Ok(true),
        }
    }

    /// Reads one message, for a queue that has let it leave the memory.
    ///
    /// # Errors
    /// Octets on disk have changed, or the disk refuses.
    pub(super) fn fetch(
        &self,
        queue: EntityId,
        level: Lane,
        seq: Seq,
        home: Home,
    ) -> Result<Option<Message>, StoreError> {
        Ok(self.peek(queue, level, seq, home)?.map(|stored| stored.message))
    }

    /// The same with what the store knows besides.
    ///
    /// # Errors
    /// Octets on disk have changed, or the disk refuses.
    pub(super) fn peek(
        &self,
        queue: EntityId,
        level: Lane,
        seq: Seq,
        home: Home,
    ) -> Result<Option<Stored>, StoreError> {
        let mut found = Vec::new();
        self.read_store(home, (queue, level), seq, 1, &mut found)?;
        let first = found.first().filter(|first| first.seq.0 == seq.get());
        Ok(first.map(|first| stored(first, home)))
    }

    /// Stored messages have left a queue.
    pub(super) fn forget(&self, queue: EntityId, departures: &Departures) {
        if !departures.spilled.is_empty() {
            self.spill.forget(queue, &departures.spilled);
        }
    }

    /// A queue is gone with all its messages, which has had no other lanes than these.
    pub(super) fn forget_queue(&self, queue: EntityId, lanes: &[Lane]) {
        self.spill.forget_queue(queue, lanes);
    }

    fn is_over(&self) -> bool {
        self.alarms.used() > self.budget
    }

    fn is_far_over(&self) -> bool {
        self.alarms.used() > self.budget.saturating_mul(2)
    }

    fn run(&self) {
        loop {
            let job = self.next_job();
            if matches!(job, Job::Stop) {
                return;
            }
            self.carry_out(job);
        }
    }

    fn carry_out(&self, job: Job) {
        match job {
            Job::Head(queue, answer) => {
                // Who asked may have gone.
                let _ = answer.send(self.read_head(&queue, self.clock.now()));
            }
            Job::Read(queue) => self.refill(&queue),
            Job::Shrink(queue) => self.shrink_claimed(&queue),
            Job::Sweep => self.sweep(),
            Job::Stop => {}
        }
    }

    fn next_job(&self) -> Job {
        let mut work = self.work.lock();
        loop {
            if work.is_closing {
                return Job::Stop;
            }
            let is_over = self.is_over();
            work.pass_time(self.clock.now(), is_over);
            if work.is_sweep_due(is_over) {
                work.is_sweeping = true;
                return Job::Sweep;
            }
            if let Some(job) = work.next() {
                return job;
            }
            if is_over || !work.failed.is_empty() || !work.stuck.is_empty() {
                self.wake.wait_for(&mut work, ROUND);
            } else {
                self.wake.wait(&mut work);
            }
        }
    }

    /// Reads what a queue misses, a page at a time so that others get their turn.
    fn refill(&self, queue: &Arc<Queue>) {
        let now = self.clock.now();
        let Some(wanted) = queue.page_wanted(now) else { return };
        let result = self.read(queue, wanted, now);
        let is_stuck = match result {
            Ok(0) if queue.page_wanted(now) == Some(wanted) => {
                tracing::error!(queue = %queue.name, "the next messages are in no store, the queue waits");
                true
            }
            Ok(_) => false,
            Err(ref error) => {
                tracing::error!(queue = %queue.name, %error, "messages cannot be read, the queue waits");
                true
            }
        };
        let mut work = self.work.lock();
        if is_stuck {
            work.failed.push((RETRY_ROUNDS, Arc::downgrade(queue)));
        } else {
            work.reads.push_back(Arc::downgrade(queue));
        }
    }

    /// Reads one page back. Returns how many messages of it were missing.
    fn read(&self, queue: &Arc<Queue>, wanted: PageWanted, now: Timestamp) -> Result<usize, StoreError> {
        let budget = match wanted.hungry {
            true if self.is_far_over() => PAGE / THRIFT,
            true => PAGE,
            false => PEEK,
        };
        let mut pages = [(Home::Log, wanted.logged), (Home::Spill, wanted.spilled)].map(|(home, from)| {
            let mut page = Vec::new();
            let read =
                from.map(|from| self.read_store(home, (queue.id, wanted.level), from, budget, &mut page));
            read.unwrap_or(Ok(())).map(|()| (home, page))
        });
        // Where both have some, only as far as both have been read.
        let mut horizon = u64::MAX;
        let mut messages = Vec::new();
        for page in &mut pages {
            let (_, page) = page.as_ref().map_err(Clone::clone)?;
            horizon = horizon.min(page.last().map_or(u64::MAX, |last| last.seq.0));
        }
        for page in pages {
            let (home, page) = page?;
            let near = page.iter().take_while(|message| message.seq.0 <= horizon);
            messages.extend(near.map(|message| stored(message, home)));
        }
        messages.sort_by_key(|message| message.seq);
        let (taken, _) = self.journal.batch(|| queue.paged_in(wanted.level, messages, now));
        Ok(taken)
    }

    fn read_store(
        &self,
        home: Home,
        lane_of: (EntityId, Lane),
        from: Seq,
        budget: usize,
        out: &mut Vec<StoredMessage>,
    ) -> Result<(), StoreError> {
        let from = storage::Seq(from.get());
        match home {
            Home::Log => self.log.store().read(lane(lane_of.0, lane_of.1), from, budget, out),
            Home::Spill => self.spill.read(lane_of, from, budget, out),
            Home::Memory => Ok(()),
        }
    }

    fn shrink_claimed(&self, queue: &Arc<Queue>) {
        // Asked before: what the log is about to have is looked at once more when it has it.
        let is_log_behind = self.is_log_behind();
        let Shrunk { freed, is_logged } = self.shrink(queue);
        let is_pending = is_log_behind && is_logged;
        self.is_behind.store(freed > 0 || is_pending, Ordering::Relaxed);
        if freed > 0 || !self.is_over() {
            queue.release_page_out();
            // It may have grown meanwhile, and been told that somebody sees to it.
            self.grew(queue);
        } else {
            let rounds = if is_pending { PENDING_ROUNDS } else { STUCK_ROUNDS };
            self.work.lock().stuck.push((rounds, Arc::downgrade(queue)));
        }
    }

    /// Whether something is on its way to the log that is not durable yet: it cannot leave the memory, and will be able
    /// to without anybody's help.
    fn is_log_behind(&self) -> bool {
        let store = self.log.store();
        store.durable() < store.appended()
    }

    /// Lets messages of a queue leave the memory, one step or as many as the budget asks for.
    fn shrink(&self, queue: &Arc<Queue>) -> Shrunk {
        let mut shrunk = Shrunk::default();
        while self.is_over() {
            let kept = if self.is_far_over() { KEPT / THRIFT as u64 } else { KEPT };
            let candidates = queue.page_out_candidates(kept);
            if candidates.is_empty() {
                break;
            }
            shrunk.is_logged = !candidates.logged.is_empty();
            let known = self.whereabouts(queue.id, &candidates);
            let taken = known.spilled.clone();
            let evicted = queue.page_out(&candidates, known, self.clock.now());
            let octets = evicted.octets;
            shrunk.freed += octets;
            self.forget_unused(queue.id, &taken, evicted.spilled);
            if octets == 0 || self.work.lock().is_awaited() {
                break;
            }
        }
        shrunk
    }

    /// Where the candidates can be read; those that are nowhere are spilled.
    fn whereabouts(&self, queue: EntityId, candidates: &Evictable) -> Whereabouts {
        let live = |&(level, first, last): &(Lane, Seq, Seq)| {
            let (first, last) = (storage::Seq(first.get()), storage::Seq(last.get()));
            (level, self.log.store().live(lane(queue, level), first, last))
        };
        let logged = candidates.logged.iter().map(live).collect();
        let spilled =
            if candidates.unstored.is_empty() { Vec::new() } else { self.spill(queue, &candidates.unstored) };
        let spilled = spilled.into_iter().map(|(level, seq)| (level, Seq::new(seq.0))).collect();
        Whereabouts { logged, spilled }
    }

    /// Spills messages; what cannot be stays in memory, and is tried again.
    fn spill(&self, queue: EntityId, messages: &[Unstored]) -> Vec<(Lane, storage::Seq)> {
        let taken = self.spill.take(queue, messages, self.clock.now());
        let was_broken = self.is_spill_broken.swap(taken.is_err(), Ordering::Relaxed);
        match &taken {
            Err(error) if !was_broken => {
                tracing::warn!(%error, "messages that are not kept cannot be written out, they stay in memory");
            }
            Ok(_) if was_broken => tracing::info!("messages that are not kept are written out again"),
            Ok(_) | Err(_) => {}
        }
        taken.unwrap_or_default()
    }

    /// Messages that a consumer got while they were being spilled are not needed there.
    fn forget_unused(&self, queue: EntityId, taken: &[(Lane, Seq)], mut used: Vec<(Lane, Seq)>) {
        if taken.len() == used.len() {
            return;
        }
        used.sort_unstable();
        let mut unused = Departures::default();
        for (level, seq) in taken.iter().filter(|taken| used.binary_search(taken).is_err()) {
            unused.push(Home::Spill, *level, *seq);
        }
        self.forget(queue, &unused);
    }

    /// Goes through all queues.
    fn sweep(&self) {
        let vhosts: Vec<_> = {
            let mut vhosts = self.vhosts.lock();
            vhosts.retain(|vhost| vhost.strong_count() > 0);
            vhosts.iter().filter_map(Weak::upgrade).collect()
        };
        let (is_log_behind, mut is_logged, mut freed) = (self.is_log_behind(), false, 0);
        for vhost in vhosts {
            let queues: Vec<_> = vhost.queues.iter().map(|entry| Arc::downgrade(entry.value())).collect();
            for queue in queues.iter().filter_map(Weak::upgrade) {
                if !self.is_over() || self.work.lock().is_closing {
                    break;
                }
                // Whoever has claimed it sees to it: two at once would spill the same messages, and forget them again.
                if queue.memory() > 0 && queue.claim_page_out() {
                    let shrunk = self.shrink(&queue);
                    freed += shrunk.freed;
                    is_logged |= shrunk.is_logged;
                    queue.release_page_out();
                }
            }
        }
        self.is_behind.store(freed > 0 || is_log_behind && is_logged, Ordering::Relaxed);
        let mut work = self.work.lock();
        work.is_sweeping = false;
        work.sweep_in = if freed > 0 { 0 } else { SWEEP_ROUNDS };
    }
}

impl Drop for PagerThreads {
    fn drop(&mut self) {
        self.pager.work.lock().is_closing = true;
        self.pager.wake.notify_all();
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// A message as its queue takes it.
pub(super) fn stored(message: &StoredMessage, home: Home) -> Stored {
    Stored {
        seq: Seq::new(message.seq.0),
        // Memory of its own: that of a page would live as long as the last of its messages.
        message: Message::from_image(&message.image),
        expires: expiry(message.expires_ms),
        deliveries: message.deliveries,
        home,
    }
}

impl fmt::Debug for Pager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pager").field("budget", &self.budget).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
