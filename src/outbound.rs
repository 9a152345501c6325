//! The outbound buffer of one connection: producers append whole frames, one writer takes all that is there.
//!
//! ```text
//!   channel replies --\
//!   queue deliveries ---> buffer (one lock) --take--> writer task --> socket
//!   heartbeats -------/
//! ```
//!
//! A delivery is refused once [`DELIVERY_HIGH`] octets wait, and whoever was refused is resumed when the writer
//! has caught up. Replies are never refused: instead the connection stops reading ([`Outbound::has_room`]), so
//! that a peer that does not read cannot make the buffer grow.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use tokio::sync::Notify;

/// Octets above which no further delivery is taken: enough to keep a socket busy while the writer is woken.
pub const DELIVERY_HIGH: usize = 256 * 1024;

/// Octets below which refused producers are resumed.
const DELIVERY_LOW: usize = 64 * 1024;

/// Octets above which the connection's requests are no longer read.
const READ_HIGH: usize = 1024 * 1024;

/// Capacity that an empty buffer may keep; beyond it memory goes back, so that an idle connection is small.
pub const KEEP_CAPACITY: usize = 16 * 1024;

/// Somebody to be told that there is room again.
pub trait Resume: Send + Sync {
    /// Called without any lock held.
    fn resume(&self);

    /// Whether there is nobody left to resume. Must not take a lock.
    fn is_gone(&self) -> bool;
}

/// The buffer. Shared by the connection's reader and writer, its channels, and the consumers on it.
pub struct Outbound {
    inner: Mutex<Inner>,
    /// What [`Inner::pending`] was last, to be looked at without the lock.
    pending: AtomicUsize,
    /// Wakes the writer: something to write, or closed.
    filled: Notify,
    /// Wakes the reader that waits for room.
    progress: Notify,
}

#[derive(Default)]
struct Inner {
    /// Whole frames in order.
    frames: Vec<u8>,
    /// Octets that the writer has taken and not yet written: a slow socket counts as a full buffer.
    writing: usize,
    /// Octets that reached the socket so far.
    sent: u64,
    /// Writes that took them.
    writes: u64,
    refused: Vec<Arc<dyn Resume>>,
    /// Nothing is written for now.
    held: bool,
    closing: bool,
    closed: bool,
}

/// What became of an offered delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offered {
    /// It is in the buffer. `wake`: the writer does not know yet, call [`Outbound::wake`] once locks are dropped.
    Taken {
        /// Whether the writer must be woken.
        wake: bool,
    },
    /// No room: the given [`Resume`] will be called.
    Refused,
}

/// What a connection has been sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sent {
    /// Octets on the socket.
    pub octets: u64,
    /// Writes that took them there.
    pub writes: u64,
    /// Octets that wait.
    pub pending: u64,
}

impl Outbound {
    /// An empty buffer.
    pub fn new() -> Self {
        Self {
            inner: Mutex::default(),
            pending: AtomicUsize::new(0),
            filled: Notify::new(),
            progress: Notify::new(),
        }
    }

    /// Appends frames, whatever the fill, and wakes the writer. Nothing happens on a closed buffer.
    pub fn send(&self, write: impl FnOnce(&mut Vec<u8>)) {
        if self.append(write) {
            self.wake();
        }
    }

    /// Appends frames without waking the writer. Returns whether it must be woken.
    pub fn append(&self, write: impl FnOnce(&mut Vec<u8>)) -> bool {
        let mut inner = self.inner.lock();
        if inner.closing || inner.closed {
            return false;
        }
        self.write(&mut inner, write)
    }

    /// Returns whether the writer must be woken.
    fn write(&self, inner: &mut Inner, write: impl FnOnce(&mut Vec<u8>)) -> bool {
        let was_empty = inner.frames.is_empty();
        write(&mut inner.frames);
        self.pending.store(inner.pending(), Ordering::Relaxed);
        was_empty
    }

    /// Appends a delivery if there is room; otherwise remembers `waiter`.
    pub fn offer(
        &self,
        waiter: impl FnOnce() -> Arc<dyn Resume>,
        write: impl FnOnce(&mut Vec<u8>),
    ) -> Offered {
        let mut inner = self.inner.lock();
        if inner.closing || inner.closed {
            // The connection is going: nobody will be resumed, its consumers are about to be cancelled.
            return Offered::Refused;
        }
        if inner.pending() >= DELIVERY_HIGH {
            if inner.refused.len() == inner.refused.capacity() {
                // Consumers come and go while the socket is stuck; those that are gone need not be told.
                inner.refused.retain(|waiter| !waiter.is_gone());
            }
            inner.refused.push(waiter());
            return Offered::Refused;
        }
        Offered::Taken { wake: self.write(&mut inner, write) }
    }

    /// Writes nothing from here on until [`Self::release`]: an answer must not go out before what it says is on disk.
    pub fn hold(&self) {
        self.inner.lock().held = true;
    }

    /// Writes again.
    pub fn release(&self) {
        let was_held = std::mem::take(&mut self.inner.lock().held);
        if was_held {
            self.wake();
        }
    }

    /// Wakes the writer.
    pub fn wake(&self) {
        self.filled.notify_one();
    }

    /// Waits until there is something to write and takes it, swapping in the empty `spare`.
    /// `None` once the buffer is closed and everything has been taken.
    pub async fn take(&self, spare: &mut Vec<u8>) -> Option<()> {
        loop {
            if let Some(taken) = self.try_take(spare) {
                return taken.then_some(());
            }
            self.filled.notified().await;
        }
    }

    /// `Some(true)`: taken; `Some(false)`: closed and empty; `None`: nothing yet.
    fn try_take(&self, spare: &mut Vec<u8>) -> Option<bool> {
        let mut inner = self.inner.lock();
        if inner.closed || (inner.closing && inner.frames.is_empty()) {
            return Some(false);
        }
        if inner.frames.is_empty() || inner.held {
            return None;
        }
        std::mem::swap(&mut inner.frames, spare);
        inner.writing = spare.len();
        Some(true)
    }

    /// The writer reports that `count` octets of what it took are on the socket. Resumes whoever waits.
    pub fn written(&self, count: usize) {
        let refused = {
            let mut inner = self.inner.lock();
            inner.writing = inner.writing.saturating_sub(count);
            inner.sent += count as u64;
            inner.writes += 1;
            if inner.frames.is_empty() {
                inner.frames.shrink_to(KEEP_CAPACITY);
            }
            self.pending.store(inner.pending(), Ordering::Relaxed);
            if inner.pending() < DELIVERY_LOW { std::mem::take(&mut inner.refused) } else { Vec::new() }
        };
        self.progress.notify_one();
        for waiter in refused {
            waiter.resume();
        }
    }

    /// Whether the connection may go on reading requests. Costs no lock.
    pub fn has_room(&self) -> bool {
        self.pending.load(Ordering::Relaxed) < READ_HIGH
    }

    /// Waits until some octets have reached the socket, or the buffer is closed.
    pub async fn progress(&self) {
        self.progress.notified().await;
    }

    /// What has gone out so far.
    pub fn sent(&self) -> Sent {
        let inner = self.inner.lock();
        Sent { octets: inner.sent, writes: inner.writes, pending: inner.pending() as u64 }
    }

    /// Octets not yet on the socket.
    pub fn pending(&self) -> usize {
        self.inner.lock().pending()
    }

    /// Accepts no more frames; the writer ends when it has written what is there.
    pub fn close_after_flush(&self) {
        self.inner.lock().closing = true;
        self.filled.notify_one();
        self.progress.notify_one();
    }

    /// The socket is gone: drops everything. Called by the writer when a write fails, and at the very end.
    pub fn close_now(&self) {
        let dropped = {
            let mut inner = self.inner.lock();
            inner.closed = true;
            inner.writing = 0;
            self.pending.store(0, Ordering::Relaxed);
            (std::mem::take(&mut inner.frames), std::mem::take(&mut inner.refused))
        };
        drop(dropped);
        self.filled.notify_one();
        self.progress.notify_one();
    }
}

impl Inner {
    fn pending(&self) -> usize {
        self.frames.len() + self.writing
    }
}

impl Default for Outbound {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Outbound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outbound").field("pending", &self.pending()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Counter(AtomicUsize);

    impl Resume for Counter {
        fn resume(&self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }

        fn is_gone(&self) -> bool {
            false
        }
    }

    #[tokio::test]
    async fn a_refused_producer_is_resumed_once_the_writer_caught_up() {
        let outbound = Outbound::new();
        let counter = Arc::new(Counter::default());
        outbound.send(|frames| frames.resize(DELIVERY_HIGH, 0));
        let waiter = Arc::clone(&counter);
        assert_eq!(outbound.offer(|| waiter, |_| ()), Offered::Refused);

        let mut buffer = Vec::new();
        outbound.take(&mut buffer).await.unwrap();
        assert_eq!(counter.0.load(Ordering::Relaxed), 0);
        outbound.written(DELIVERY_HIGH - DELIVERY_LOW);
        assert_eq!(counter.0.load(Ordering::Relaxed), 0);
        outbound.written(DELIVERY_LOW);
        assert_eq!(counter.0.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn only_the_first_append_asks_to_wake_the_writer() {
        let outbound = Outbound::new();
        assert!(outbound.append(|frames| frames.push(1)));
        assert!(!outbound.append(|frames| frames.push(2)));
        let mut buffer = Vec::new();
        outbound.take(&mut buffer).await.unwrap();
        assert_eq!(buffer, [1, 2]);
        buffer.clear();
        assert!(outbound.append(|frames| frames.push(3)));
    }

    #[tokio::test]
    async fn closing_flushes_what_is_there_and_accepts_nothing_more() {
        let outbound = Outbound::new();
        outbound.send(|frames| frames.push(1));
        outbound.close_after_flush();
        outbound.send(|frames| frames.push(2));
        let mut buffer = Vec::new();
        assert!(outbound.take(&mut buffer).await.is_some());
        assert_eq!(buffer, [1]);
        buffer.clear();
        assert!(outbound.take(&mut buffer).await.is_none());
    }

    #[test]
    fn nothing_is_taken_while_it_is_held() {
        let outbound = Outbound::new();
        outbound.hold();
        outbound.send(|frames| frames.push(1));
        let mut buffer = Vec::new();
        assert_eq!(outbound.try_take(&mut buffer), None);
        outbound.release();
        assert_eq!(outbound.try_take(&mut buffer), Some(true));
    }

    #[test]
    fn requests_are_not_read_while_too_much_waits() {
        let outbound = Outbound::new();
        outbound.send(|frames| frames.resize(READ_HIGH, 0));
        assert!(!outbound.has_room());
        outbound.close_now();
        assert!(outbound.has_room());
    }
}
