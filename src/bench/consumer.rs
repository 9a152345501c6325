//! Consuming: one thread for each connection.

use std::io;
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::Ordering;

use hdrhistogram::Histogram;

use super::client::{self, Acks, Client, Incoming};
use super::load::Load;
use super::measure::{Counts, Time, histogram, record};
use super::template::{STAMP, stamp};
use super::topology::queue_name;
use super::uri::Uri;

/// A connection that consumes.
pub(super) struct Consumer {
    client: Client,
    ack_every: Option<u64>,
    has_stamps: bool,
}

impl Consumer {
    /// Connects the `number`-th of those of a load and subscribes it.
    pub(super) fn connect(load: &Load, uri: &Uri, number: usize) -> io::Result<Self> {
        let mut client = Client::connect(uri.clone())?.with_big_buffer();
        if load.prefetch > 0 {
            client.prefetch(load.prefetch)?;
        }
        let acks = if load.ack_every.is_some() { Acks::Manual } else { Acks::Automatic };
        let is_shared = load.consumers >= load.queues;
        for queue in 0..load.queues {
            let is_mine =
                if is_shared { queue == number % load.queues } else { queue % load.consumers == number };
            if is_mine {
                client.consume(&queue_name(queue), acks)?;
            }
        }
        Ok(Self { client, ack_every: load.ack_every, has_stamps: load.size >= STAMP })
    }

    /// What ends its thread: see [`end`].
    pub(super) fn handle(&self) -> io::Result<TcpStream> {
        self.client.sender()
    }

    /// Consumes until its connection is ended. Returns the latencies of its deliveries.
    pub(super) fn run(mut self, time: &Time, counts: &Counts) -> io::Result<Histogram<u64>> {
        let mut latencies = histogram()?;
        let (mut received, mut acked) = (0_u64, 0_u64);
        // A large body comes with a later read than its method.
        let mut is_first = false;
        loop {
            let (mut count, mut now) = (0, None);
            let read = self.client.receive(|incoming| match incoming {
                Incoming::Delivery => {
                    count += 1;
                    is_first = true;
                }
                Incoming::Body(body) if is_first => {
                    is_first = false;
                    if self.has_stamps
                        && let Some(due) = stamp(body)
                    {
                        let now = *now.get_or_insert_with(|| time.now_ns());
                        record(&mut latencies, now.saturating_sub(due));
                    }
                }
                Incoming::Body(_)
                | Incoming::Answer(_)
                | Incoming::Confirmed { .. }
                | Incoming::Refused { .. } => {}
            });
            if counts.is_done.load(Ordering::Acquire) {
                return Ok(latencies);
            }
            if let Err(error) = read {
                if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) {
                    continue;
                }
                counts.failed.store(true, Ordering::Relaxed);
                return Err(error);
            }
            received += count;
            if let Some(every) = self.ack_every {
                // The last ones may be fewer: they go back to a queue that is deleted.
                self.acknowledge(&mut acked, received - received % every, every)?;
            }
            counts.happened(time.now_ns());
            counts.delivered.fetch_add(count, Ordering::Relaxed);
        }
    }

    fn acknowledge(&mut self, acked: &mut u64, due: u64, every: u64) -> io::Result<()> {
        let mut acks = Vec::new();
        while *acked < due {
            *acked = due.min(*acked + every);
            acks.extend(client::ack(*acked));
        }
        self.client.send(&acks)
    }
}

/// Ends a consumer's thread.
pub(super) fn end(handle: &TcpStream) {
    // It may have ended by itself.
    let _ = handle.shutdown(Shutdown::Both);
}
