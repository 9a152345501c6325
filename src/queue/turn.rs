//! Whose turn it is to carry what a queue dropped.
//!
//! What dies is carried by the thread that caused it, once the queue's lock is dropped. A turn is taken under the lock:
//! so letters of one queue go in the order in which their messages died, whoever carries them.
//!
//! A thread works its turns off in the order in which it has taken them, and takes more while it does. So of all turns
//! that are not over the first that was taken waits for nobody: there is always somebody who goes on, whatever circles
//! queues form.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use parking_lot::{Condvar, Mutex};

/// The turns of one queue.
#[derive(Debug, Default)]
pub(super) struct Turns {
    inner: Mutex<Inner>,
    moved_on: Condvar,
}

#[derive(Debug, Default)]
struct Inner {
    given: u64,
    /// Turns before this one are over.
    current: u64,
    /// Turns that were over before it was their time; there are as many as threads at the utmost.
    early: BTreeSet<u64>,
}

/// A turn; it is over when this is dropped.
#[must_use]
pub struct Turn {
    turns: Arc<Turns>,
    number: u64,
}

impl Turns {
    /// The next turn.
    pub(super) fn next(self: &Arc<Self>) -> Turn {
        let mut inner = self.inner.lock();
        let number = inner.given;
        inner.given += 1;
        Turn { turns: Arc::clone(self), number }
    }
}

impl Turn {
    /// Waits until all turns that were taken before are over. No lock may be held that carrying needs, nor may any turn
    /// that was taken before, of any queue, be left over by this thread.
    pub fn wait(&self) {
        let mut inner = self.turns.inner.lock();
        while inner.current < self.number {
            self.turns.moved_on.wait(&mut inner);
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut inner = self.turns.inner.lock();
        inner.early.insert(self.number);
        while inner.early.first() == Some(&inner.current) {
            inner.early.pop_first();
            inner.current += 1;
        }
        drop(inner);
        self.turns.moved_on.notify_all();
    }
}

impl fmt::Debug for Turn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Turn").field("number", &self.number).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_come_in_the_order_in_which_they_were_taken() {
        let turns = Arc::new(Turns::default());
        let order = Arc::new(Mutex::new(Vec::new()));
        let taken: Vec<_> = (0..8).map(|number| (number, turns.next())).collect();
        let threads: Vec<_> = taken
            .into_iter()
            .rev()
            .map(|(number, turn)| {
                let order = Arc::clone(&order);
                std::thread::spawn(move || {
                    turn.wait();
                    order.lock().push(number);
                })
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(*order.lock(), [0, 1, 2, 3, 4, 5, 6, 7]);
    }

    #[test]
    fn a_turn_that_is_given_up_holds_up_nobody() {
        let turns = Arc::new(Turns::default());
        let [first, second, third] = [turns.next(), turns.next(), turns.next()];
        drop(second);
        drop(first);
        third.wait();
        drop(third);
        assert!(turns.inner.lock().early.is_empty());
    }
}
