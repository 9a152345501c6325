//! Dead letters (RabbitMQ): what a queue drops goes on to the exchange that the queue names, as a [`letter`] with its
//! history.
//!
//! A queue reports what it dropped once its lock is released, from whatever thread that was; giving the message to the
//! next queue may drop more. So each thread works off a list instead of going deeper with each hop. What one queue
//! dropped is carried in the order in which it was, whichever threads do: each waits for its [`Turn`].
//!
//! A queue that is to lose nothing (RabbitMQ: `x-dead-letter-strategy` at-least-once) keeps what has died until each
//! queue that its letter goes to has it, and is told then ([`carry_kept`]).
//!
//! The log hears where a message goes before it hears that it has left, and of the latter only once the queue it goes
//! to is defined on disk: a crash in between leaves it twice, never nowhere.

mod letter;

use std::cell::RefCell;
use std::collections::VecDeque;
use std::sync::Arc;

use super::journal::Record;
use super::vhost::Vhost;
use crate::clock::Timestamp;
use crate::queue::arguments::DeadLetterTarget;
use crate::queue::{Dead, DropReason, Dropped, Queue, Remains, Turn};

use letter::Letter;

/// Letters that may follow from each message that a queue drops, on average: topologies in which every queue passes on
/// to all others make factorials of it. What has waited for its time to live follows from nothing.
const LETTERS_PER_MESSAGE_MAX: usize = 64;

/// Letters that may follow in any case.
const LETTERS_MIN: usize = 8 * 1024;

thread_local! {
    /// `None` while this thread carries nothing.
    static CARRYING: RefCell<Option<Carrying>> = const { RefCell::new(None) };
}

/// What a thread carries.
struct Carrying {
    /// What is still to be done, in order.
    errands: VecDeque<Errand>,
    /// How many letters may still be carried.
    budget: usize,
}

/// One thing to do.
enum Errand {
    /// Messages are to be carried that have left their queue.
    Dropped(Bundle),
    /// Messages are to be carried that their queue keeps until then.
    Kept(Kept),
}

/// What a queue dropped at a time.
struct Bundle {
    vhost: Arc<Vhost>,
    letters: Vec<Letter>,
    /// What the log may hear once these are carried.
    gone: Option<Record>,
    turn: Option<Turn>,
}

/// Dead messages that their queue keeps.
struct Kept {
    turn: Option<Turn>,
    vhost: Arc<Vhost>,
    queue: Arc<Queue>,
    dead: Vec<Dead>,
    now: Timestamp,
}

/// Carries what `queue` dropped to where the queue says, then records that it is `gone`. Without a target it is gone.
pub(super) fn carry(
    vhost: &Arc<Vhost>,
    queue: &Queue,
    dropped: Vec<Dropped>,
    (gone, turn): (Option<Record>, Option<Turn>),
    now: Timestamp,
) {
    let (all, waited) = (dropped.len(), waited(queue, dropped.iter().map(|one| (one.reason, &one.message))));
    // Read first: reading takes time, and this thread's list is borrowed below.
    let letters = letters(vhost, queue, dropped, now);
    work_off(Errand::Dropped(Bundle { vhost: Arc::clone(vhost), letters, gone, turn }), all, waited);
}

/// Carries the letters of what `queue` keeps until then, and tells it which have arrived.
pub(super) fn carry_kept(
    vhost: &Arc<Vhost>,
    queue: &Arc<Queue>,
    dead: Vec<Dead>,
    turn: Option<Turn>,
    now: Timestamp,
) {
    let (all, waited) = (dead.len(), waited(queue, dead.iter().map(|one| (one.reason, &one.message))));
    let kept = Kept { turn, vhost: Arc::clone(vhost), queue: Arc::clone(queue), dead, now };
    work_off(Errand::Kept(kept), all, waited);
}

/// How many of them have expired and were there for a while: they are no letters that were carried just now, though a
/// letter's arrival may have brought it to light.
fn waited<'d>(queue: &Queue, dropped: impl Iterator<Item = (DropReason, &'d Remains)>) -> usize {
    let limits = queue.settings().limits;
    let has_waited = |message: &Remains| match message {
        Remains::Message(message) => limits.ttl_of(message) != Some(0),
        Remains::Stored(..) => true,
    };
    dropped.filter(|(reason, message)| *reason == DropReason::Expired && has_waited(message)).count()
}

/// Adds an errand to this thread's list; who has begun it works it off. `all` messages were dropped, of which `waited`
/// do not follow from what is carried.
fn work_off(errand: Errand, all: usize, waited: usize) {
    let is_carrying = CARRYING.with_borrow_mut(|carrying| {
        let is_carrying = carrying.is_some();
        let carrying = carrying.get_or_insert_with(|| {
            let budget = LETTERS_MIN + LETTERS_PER_MESSAGE_MAX * all;
            Carrying { errands: VecDeque::new(), budget }
        });
        carrying.errands.push_back(errand);
        if is_carrying {
            carrying.budget += LETTERS_PER_MESSAGE_MAX * waited;
        }
        is_carrying
    });
    if is_carrying {
        return;
    }
    let _done = Done;
    while let Some(errand) = CARRYING.with_borrow_mut(|carrying| carrying.as_mut()?.errands.pop_front()) {
        match errand {
            Errand::Dropped(bundle) => bundle.carry(),
            Errand::Kept(kept) => kept.carry(),
        }
    }
}

/// Whether one more letter may be carried.
fn spend() -> bool {
    let left = CARRYING.with_borrow_mut(|carrying| {
        let budget = &mut carrying.as_mut()?.budget;
        *budget = budget.checked_sub(1)?;
        Some(*budget)
    });
    if left == Some(0) {
        tracing::warn!("too many dead letters follow from one another, the rest is dropped");
    }
    left.is_some()
}

/// The letters that follow from what `queue` dropped.
fn letters(vhost: &Arc<Vhost>, queue: &Queue, dropped: Vec<Dropped>, now: Timestamp) -> Vec<Letter> {
    let Some(target) = queue.dead_letter_target() else { return Vec::new() };
    let letter = |Dropped { message, reason }| {
        let message = match message {
            Remains::Message(message) => message,
            Remains::Stored(level, seq, home) => vhost.fetch(queue, level, seq, home)?,
        };
        let (from, target) = (queue.name.clone(), target.clone());
        Some(Letter { vhost: Arc::clone(vhost), from, target, message, reason, now })
    };
    dropped.into_iter().filter_map(letter).collect()
}

impl Bundle {
    /// Carries the letters, then lets the log hear that what they were is gone; once every queue that they went to is
    /// on disk.
    fn carry(self) {
        let Self { vhost, letters, gone, turn } = self;
        if let Some(turn) = turn.as_ref().filter(|_| !letters.is_empty()) {
            turn.wait();
        }
        let mut is_undefined = false;
        for letter in letters {
            is_undefined |= spend() && letter.deliver(None).is_undefined;
        }
        let Some(record) = gone else { return };
        if is_undefined {
            vhost.journal().record_held(record);
        } else {
            vhost.journal().record(record);
        }
    }
}

impl Kept {
    /// Carries the letters, and tells the queue what became of them. What it keeps may wait longer: nothing is lost
    /// when the budget is used up.
    fn carry(self) {
        let Self { turn, vhost, queue, dead, now } = self;
        turn.iter().for_each(Turn::wait);
        let (target, is_kept) = queue.dead_letter_strategy();
        let is_again = dead.iter().any(|dead| dead.is_again);
        let (mut arrived, mut undelivered) = (Vec::new(), Vec::new());
        for mut dead in dead {
            let has_arrived = match &target {
                None => true,
                Some(target) => spend() && deliver_kept(&vhost, &queue, target, &mut dead, now),
            };
            // Whoever does without the strategy meanwhile gets what it promises without.
            if has_arrived || !is_kept { arrived.push(dead.seq) } else { undelivered.push(dead) }
        }
        if !undelivered.is_empty() {
            tracing::debug!(queue = %queue.name, letters = undelivered.len(), "dead letters wait for their queues");
        }
        queue.carried(&arrived, undelivered, is_again, now);
    }
}

/// Carries the letter of a message that its queue keeps. Returns whether it is wherever it is to be.
fn deliver_kept(
    vhost: &Arc<Vhost>,
    queue: &Queue,
    target: &DeadLetterTarget,
    dead: &mut Dead,
    now: Timestamp,
) -> bool {
    let message = match &dead.message {
        Remains::Message(message) => Some(message.clone()),
        Remains::Stored(level, seq, home) => vhost.fetch(queue, *level, *seq, *home),
    };
    let Some(message) = message else { return false };
    let (vhost, from, target) = (Arc::clone(vhost), queue.name.clone(), target.clone());
    let letter = Letter { vhost, from, target, message, reason: dead.reason, now };
    letter.deliver(Some(&mut dead.reached)).has_arrived
}

/// Ends this thread's carrying, also when a panic does.
struct Done;

impl Drop for Done {
    fn drop(&mut self) {
        CARRYING.set(None);
    }
}

#[cfg(test)]
mod tests;
