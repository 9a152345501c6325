//! Connections, channels and queues that come and go.

use std::io;
use std::sync::atomic::Ordering;

use hdrhistogram::Histogram;
use lepus_protocol::ChannelId;

use super::client::{Client, Options};
use super::load::{Churn, End, Load};
use super::measure::{Counts, Time, histogram, record};
use super::uri::Uri;

/// The channel that is opened and closed; the client has opened the first.
const CHANNEL: ChannelId = ChannelId::new(2);

/// Goes through the rounds of one of the load's publishers. Returns how long each took.
pub(super) fn run(
    what: Churn,
    number: usize,
    load: &Load,
    uri: &Uri,
    time: &Time,
    counts: &Counts,
) -> io::Result<Histogram<u64>> {
    let mut latencies = histogram()?;
    let mut client = Client::connect(uri.clone())?;
    let (rounds, end_ns) = match load.end {
        End::Count(all) => (all.div_ceil(load.publishers as u64), u64::MAX),
        End::After(after) => (u64::MAX, u64::try_from(after.as_nanos()).unwrap_or(u64::MAX)),
    };
    let mut round = 0;
    while round < rounds && time.now_ns() < end_ns {
        let began = time.now_ns();
        match what {
            Churn::Connections => Client::connect(uri.clone())?.close()?,
            Churn::Channels => client.open_and_close_channel(CHANNEL)?,
            Churn::Queues => {
                let queue = format!("lepus-bench-churn-{number}-{round}");
                client.declare(&queue, if load.durable { Options::Durable } else { Options::Exclusive })?;
                client.delete(&queue)?;
            }
        }
        let now = time.now_ns();
        record(&mut latencies, now - began);
        counts.happened(now);
        counts.published.fetch_add(1, Ordering::Relaxed);
        round += 1;
    }
    client.close()?;
    Ok(latencies)
}
