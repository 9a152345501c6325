//! Publishing: one thread writes, and another reads the confirms if there are any.

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use hdrhistogram::Histogram;
use parking_lot::{Condvar, Mutex};

use super::client::{Client, Incoming};
use super::load::{End, Load};
use super::measure::{Counts, Time, histogram, record};
use super::template::Template;

/// Octets by which publishers without confirms may be ahead of the consumers together: no backlog is to be measured
/// where none is asked for.
const AHEAD_OCTETS: u64 = 8 * 1024 * 1024;

/// How long a publisher that is ahead looks away.
const PAUSE: Duration = Duration::from_micros(100);

/// A connection that publishes.
pub(super) struct Publisher<'l> {
    load: &'l Load,
    client: Client,
    template: Template,
    /// Messages that it publishes at most.
    share: u64,
    /// How far all of them may be ahead of the consumers.
    ahead: u64,
}

/// Messages that were written at once and are not confirmed yet.
#[derive(Clone, Copy, Debug)]
struct Batch {
    last: u64,
    /// The next of them to be confirmed.
    next: u64,
    /// When that was due, and how much later each after it.
    due_ns: u64,
    step_ns: u64,
}

/// What the two threads of a publisher share.
#[derive(Default)]
struct Window {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    batches: VecDeque<Batch>,
    published: u64,
    settled: u64,
    /// Nothing more is published.
    ended: bool,
    failed: bool,
}

impl<'l> Publisher<'l> {
    /// Connects the `number`-th of those of a load.
    pub(super) fn connect(load: &'l Load, uri: &super::uri::Uri, number: usize) -> io::Result<Self> {
        let mut client = Client::connect(uri.clone())?;
        if load.window.is_some() {
            client.select_confirms()?;
        }
        let (count, number_) = (load.publishers as u64, number as u64);
        let share = match load.end {
            End::Count(all) => all / count + u64::from(number_ < all % count),
            End::After(_) => u64::MAX,
        };
        let template = Template::new(load, number);
        let in_memory = load.size as u64 * load.deliveries_per_message() + 1;
        let ahead =
            if load.consumers == 0 || load.backlog { u64::MAX } else { (AHEAD_OCTETS / in_memory).max(64) };
        Ok(Self { load, client, template, share, ahead })
    }

    /// Publishes its share. Returns the latencies of its confirms.
    pub(super) fn run(mut self, time: &Time, counts: &Counts) -> io::Result<Histogram<u64>> {
        let mut writer = self.client.sender()?;
        let writing = Writing { load: self.load, share: self.share, ahead: self.ahead };
        let Some(most) = self.load.window else {
            writing.run(&mut self.template, &mut writer, time, counts, None)?;
            // What is written must be taken before the connection ends.
            self.client.close()?;
            return histogram();
        };
        let window = Window::default();
        let (mut template, client) = (self.template, &mut self.client);
        thread::scope(|scope| {
            let reading = scope.spawn(|| {
                let read = window.read(client, time, counts);
                window.fail_if(read.is_err());
                read
            });
            let written = writing.run(&mut template, &mut writer, time, counts, Some((&window, most)));
            window.end(written.is_err());
            if written.is_err() {
                let _ = writer.shutdown(std::net::Shutdown::Both);
            }
            let read = reading.join().map_err(|_| io::Error::other("a thread panicked"))?;
            written.and(read)
        })
    }
}

/// What the writing goes by.
struct Writing<'l> {
    load: &'l Load,
    share: u64,
    ahead: u64,
}

impl Writing<'_> {
    fn run(
        &self,
        template: &mut Template,
        writer: &mut impl io::Write,
        time: &Time,
        counts: &Counts,
        window: Option<(&Window, u64)>,
    ) -> io::Result<()> {
        // Of all publishers together: each sends every so many nanoseconds.
        let step_ns = self.load.rate.map(|rate| 1_000_000_000 * self.load.publishers as u64 / rate);
        let end_ns = match self.load.end {
            End::After(after) => u64::try_from(after.as_nanos()).unwrap_or(u64::MAX).max(1),
            End::Count(_) => u64::MAX,
        };
        let mut published = 0;
        while published < self.share && time.now_ns() < end_ns {
            let room = match window {
                Some((window, most)) => window.room(most)?,
                None => self.wait_for_consumers(counts)?,
            };
            let wanted = room.min(self.share - published);
            let (due_ns, wanted) = match step_ns {
                None => (time.now_ns(), wanted),
                Some(step) => match due(time.now_ns().min(end_ns - 1), published, step) {
                    Some((first, count)) => (first, wanted.min(count)),
                    None => continue,
                },
            };
            let count = template.available(wanted);
            let octets = template.take(count, due_ns, step_ns.unwrap_or_default());
            if let Some((window, _)) = window {
                window.sent(count, due_ns, step_ns.unwrap_or_default());
            }
            writer.write_all(octets)?;
            published += count;
            counts.published.fetch_add(count, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Waits until the consumers are near. Returns how many may be published.
    fn wait_for_consumers(&self, counts: &Counts) -> io::Result<u64> {
        if self.ahead == u64::MAX {
            return Ok(u64::MAX);
        }
        loop {
            let published = counts.published.load(Ordering::Relaxed);
            let delivered = counts.delivered.load(Ordering::Relaxed) / self.load.deliveries_per_message();
            let room = (delivered + self.ahead).saturating_sub(published);
            if room > 0 {
                return Ok(room);
            }
            if counts.failed.load(Ordering::Relaxed) {
                return Err(io::Error::other("given up, for a consumer has failed"));
            }
            thread::sleep(PAUSE);
        }
    }
}

/// When the next message was or is due, and how many are; `None` after a wait, when it is time to look again.
fn due(now: u64, published: u64, step_ns: u64) -> Option<(u64, u64)> {
    let first = published.saturating_mul(step_ns);
    if first > now {
        thread::sleep(Duration::from_nanos(first - now).min(Duration::from_millis(100)));
        return None;
    }
    Some((first, (now - first).checked_div(step_ns).unwrap_or_default() + 1))
}

impl Window {
    /// Waits until half of the window is free, so that writes are not small. Returns how many may be published.
    fn room(&self, most: u64) -> io::Result<u64> {
        let mut state = self.state.lock();
        while !state.failed && state.published - state.settled > most / 2 {
            self.changed.wait(&mut state);
        }
        if state.failed {
            return Err(io::Error::other("the broker has closed a publisher's connection"));
        }
        Ok(most - (state.published - state.settled))
    }

    fn sent(&self, count: u64, due_ns: u64, step_ns: u64) {
        let mut state = self.state.lock();
        let next = state.published + 1;
        state.published += count;
        let last = state.published;
        state.batches.push_back(Batch { last, next, due_ns, step_ns });
        self.changed.notify_all();
    }

    fn end(&self, failed: bool) {
        let mut state = self.state.lock();
        state.ended = true;
        state.failed |= failed;
        self.changed.notify_all();
    }

    fn fail_if(&self, failed: bool) {
        self.state.lock().failed |= failed;
        self.changed.notify_all();
    }

    /// Reads confirms until everything is confirmed.
    fn read(&self, client: &mut Client, time: &Time, counts: &Counts) -> io::Result<Histogram<u64>> {
        let mut latencies = histogram()?;
        let mut settled = Settled::default();
        while self.awaits(&settled) {
            let before = settled.count;
            client.receive(|incoming| match incoming {
                Incoming::Confirmed { tag, multiple } => settled.note(tag, multiple),
                Incoming::Refused { tag, multiple } => {
                    let refused = settled.count;
                    settled.note(tag, multiple);
                    counts.refused.fetch_add(settled.count - refused, Ordering::Relaxed);
                }
                Incoming::Delivery | Incoming::Body(_) | Incoming::Answer(_) => {}
            })?;
            let now = time.now_ns();
            counts.confirmed.fetch_add(settled.count - before, Ordering::Relaxed);
            counts.happened(now);
            let mut state = self.state.lock();
            state.settled = settled.count;
            while let Some(batch) = state.batches.front_mut() {
                let last = batch.last.min(settled.all_to);
                while batch.next <= last {
                    record(&mut latencies, now.saturating_sub(batch.due_ns));
                    batch.due_ns += batch.step_ns;
                    batch.next += 1;
                }
                if batch.next <= batch.last {
                    break;
                }
                state.batches.pop_front();
            }
            self.changed.notify_all();
        }
        Ok(latencies)
    }

    /// Waits until a confirm is awaited; `false`: none will be any more.
    fn awaits(&self, settled: &Settled) -> bool {
        let mut state = self.state.lock();
        while !state.ended && !state.failed && state.published == settled.count {
            self.changed.wait(&mut state);
        }
        !state.failed && state.published > settled.count
    }
}

/// Which messages are confirmed: brokers may do it out of order.
#[derive(Default)]
struct Settled {
    count: u64,
    /// All up to this one.
    all_to: u64,
    /// Single ones beyond.
    beyond: std::collections::BTreeSet<u64>,
}

impl Settled {
    fn note(&mut self, tag: u64, multiple: bool) {
        if tag <= self.all_to {
            return;
        }
        if multiple {
            self.beyond = self.beyond.split_off(&(tag + 1));
            self.all_to = tag;
        } else {
            self.beyond.insert(tag);
        }
        while self.beyond.remove(&(self.all_to + 1)) {
            self.all_to += 1;
        }
        self.count = self.all_to + self.beyond.len() as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn confirms_count_once_in_whatever_order_they_come() {
        let mut settled = Settled::default();
        for (tag, multiple, count, all_to) in [
            (2, false, 1, 0),
            (1, false, 2, 2),
            (5, false, 3, 2),
            (4, true, 5, 5),
            (3, true, 5, 5),
            (6, true, 6, 6),
        ] {
            settled.note(tag, multiple);
            assert_eq!((settled.count, settled.all_to), (count, all_to), "after {tag}");
        }
    }
}
