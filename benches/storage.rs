//! What the storage engine does on a real directory, without the broker: commits, octets written, opening again,
//! reading back. `cargo bench --bench storage [-- DIR]`; it takes about a minute and 2 GiB of disk.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::cast_precision_loss,
    clippy::indexing_slicing,
    reason = "a bench measures time, prints it, and ends where it fails"
)]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use lepus::storage::env::RealEnv;
use lepus::storage::{LogPosition, Options, Placement, QueueId, Record, Seq, SeqRun, Store};

fn open(dir: &Path) -> Store {
    Store::open(Arc::new(RealEnv), dir, Options::default(), &|_| true).unwrap().0
}

fn publish(store: &Store, queue: u64, seq: u64, image: &[u8]) -> LogPosition {
    let placements = [Placement { queue: QueueId(queue), seq: Seq(seq), expires_ms: 0 }];
    store.append(&[Record::Publish { placements: &placements, image }]).unwrap()
}

fn ack(store: &Store, queue: u64, first: u64, last: u64) {
    let runs = [SeqRun { first: Seq(first), last: Seq(last) }];
    store.append(&[Record::Ack { queue: QueueId(queue), runs: &runs }]).unwrap();
}

/// `appenders` threads, each with one 1 KiB message under way at a time.
fn one_at_a_time(root: &Path, appenders: u64) {
    let dir = root.join(format!("single-{appenders}"));
    let store = open(&dir);
    let (start, time) = (Instant::now(), Duration::from_secs(3));
    let mut times: Vec<Duration> = std::thread::scope(|scope| {
        let run = |queue| {
            let store = &store;
            move || {
                let mut times = Vec::new();
                while start.elapsed() < time {
                    let seq = times.len() as u64 + 1;
                    let before = Instant::now();
                    let position = publish(store, queue, seq, &[7; 1024]);
                    store.wait_durable(position).unwrap();
                    times.push(before.elapsed());
                    ack(store, queue, seq, seq);
                }
                times
            }
        };
        let threads: Vec<_> = (1..=appenders).map(|queue| scope.spawn(run(queue))).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    times.sort();
    let stats = store.stats();
    println!(
        "1 KiB, one at a time, {appenders:>2} appenders: {:>7.0} confirmed/s, {:>6.0} commits/s, p50 {:?}, p99 {:?}",
        times.len() as f64 / time.as_secs_f64(),
        stats.commits as f64 / time.as_secs_f64(),
        times[times.len() / 2],
        times[times.len() * 99 / 100],
    );
}

/// A window of messages under way, acked at once or left waiting; then the time to open the directory again.
fn stream(root: &Path, len: usize, count: u64, is_backlog: bool) {
    let dir = root.join(format!("stream-{len}-{is_backlog}"));
    let store = open(&dir);
    let image = vec![7; len];
    let start = Instant::now();
    let mut end = LogPosition(0);
    for seq in 1..=count {
        end = publish(&store, 1, seq, &image);
        if seq % 64 == 0 {
            if !is_backlog {
                ack(&store, 1, seq - 63, seq);
            }
            while store.is_tight() || end.0.saturating_sub(store.durable().0) > 4 << 20 {
                std::thread::sleep(Duration::from_micros(50));
            }
        }
    }
    store.wait_durable(end).unwrap();
    let time = start.elapsed().as_secs_f64();
    let stats = store.stats();
    let written = stats.log_written + stats.segments_written + stats.checkpoints_written;
    let kind = if is_backlog { "backlog" } else { "acked" };
    println!(
        "{len:>4} B, streamed, {kind}: {:>9.0} confirmed/s, {:.2} octets written per octet appended, {} commits",
        count as f64 / time,
        written as f64 / stats.appended as f64,
        stats.commits,
    );
    drop(store);
    let start = Instant::now();
    let store = open(&dir);
    println!("     opened again in {:?} with {} messages", start.elapsed(), store.stats().messages);
    if is_backlog {
        let start = Instant::now();
        let read = drain(&store) as f64;
        println!("     read back at {:.0} messages/s", read / start.elapsed().as_secs_f64());
    }
}

fn drain(store: &Store) -> u64 {
    let (mut from, mut out, mut read) = (Seq::FIRST, Vec::new(), 0);
    loop {
        store.read(QueueId(1), from, 256 << 10, &mut out).unwrap();
        let Some(last) = out.last() else { return read };
        from = last.seq.next();
        read += out.len() as u64;
        out.clear();
    }
}

fn main() {
    // `cargo test --all-targets` runs this too, and wants no measurement.
    if !std::env::args().any(|arg| arg == "--bench") {
        return;
    }
    let base = std::env::args().skip(1).find(|arg| !arg.starts_with("--"));
    let base = base.map_or_else(|| PathBuf::from(env!("CARGO_TARGET_TMPDIR")), PathBuf::from);
    let root = tempfile::tempdir_in(base).unwrap();
    [1, 8, 64].into_iter().for_each(|appenders| one_at_a_time(root.path(), appenders));
    stream(root.path(), 16, 3_000_000, false);
    stream(root.path(), 1024, 500_000, false);
    stream(root.path(), 16, 10_000_000, true);
    stream(root.path(), 1024, 1_000_000, true);
}
