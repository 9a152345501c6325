//! The store with its own threads.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Sender};
use std::time::Duration;

use lepus::storage::env::{CrashPlan, RealEnv, SimEnv};
use lepus::storage::{
    Driver, LogPosition, Observer, Options, Placement, QueueId, Record, Seq, SeqRun, Store, StoreError,
};

struct Watch(AtomicU64);

impl Observer for Watch {
    fn durable(&self, position: LogPosition) {
        self.0.store(position.0, Ordering::Release);
    }
}

fn options() -> Options {
    Options { log_file_len: 1 << 20, log_files: 5, carry_len: 16 << 10, ..Options::default() }
}

fn open(dir: &Path) -> Store {
    Store::open(Arc::new(RealEnv), dir, options(), &|_| true).unwrap().0
}

/// Publishes `count` messages to `queue`, acks all but every tenth, behind the publishes.
fn use_queue(store: &Store, queue: u64, count: u64) {
    let queue = QueueId(queue);
    for seq in 1..=count {
        let placements = [Placement { queue, seq: Seq(seq), expires_ms: 0 }];
        let image = [seq as u8; 300];
        let mut position =
            store.append(&[Record::Publish { placements: &placements, image: &image }]).unwrap();
        if seq % 10 != 0 {
            let runs = [SeqRun { first: Seq(seq), last: Seq(seq) }];
            position = store.append(&[Record::Ack { queue, runs: &runs }]).unwrap();
        }
        if store.is_tight() || seq % 500 == 0 {
            store.wait_durable(position).unwrap();
        }
    }
}

fn check_queue(store: &Store, queue: u64, count: u64) {
    let (mut from, mut seen) = (Seq::FIRST, Vec::new());
    loop {
        let mut out = Vec::new();
        store.read(QueueId(queue), from, 5_000, &mut out).unwrap();
        let Some(last) = out.last() else { break };
        from = last.seq.next();
        out.iter().for_each(|m| assert_eq!(m.image.as_ref(), [m.seq.0 as u8; 300]));
        seen.extend(out.iter().map(|message| message.seq.0));
    }
    assert_eq!(seen, (1..=count / 10).map(|tenth| tenth * 10).collect::<Vec<_>>());
}

#[test]
fn many_appenders_roll_the_log_and_everything_is_there_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let watch = Arc::new(Watch(AtomicU64::new(0)));
    store.subscribe(Arc::clone(&watch) as Arc<dyn Observer>);
    std::thread::scope(|scope| {
        for queue in 1..=4 {
            let store = &store;
            scope.spawn(move || use_queue(store, queue, 5_000));
        }
    });
    let end = store.append(&[]).unwrap();
    store.wait_durable(end).unwrap();
    (1..=4).for_each(|queue| check_queue(&store, queue, 5_000));
    let stats = store.stats();
    assert!(stats.segments_written + stats.carried > 0, "the log was reused: {stats:?}");
    drop(store);
    assert!(watch.0.load(Ordering::Acquire) >= end.0, "the observer saw the end");
    let store = open(dir.path());
    (1..=4).for_each(|queue| check_queue(&store, queue, 5_000));
}

#[test]
fn a_directory_belongs_to_one_process_and_to_a_store() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let again = Store::open(Arc::new(RealEnv), dir.path(), options(), &|_| true);
    assert!(matches!(again, Err(StoreError::Locked { .. })));
    drop(store);
    std::fs::remove_file(dir.path().join("VERSION")).unwrap();
    let lost = Store::open(Arc::new(RealEnv), dir.path(), options(), &|_| true).unwrap_err();
    assert!(matches!(lost, StoreError::Missing { .. }), "{lost}");
    assert!(
        lost.to_string().contains("VERSION is missing") && lost.to_string().contains("store repair"),
        "{lost}"
    );
    std::fs::write(dir.path().join("VERSION"), "lepus-data 9 0000000000000000 ffffffff\n").unwrap();
    let newer = Store::open(Arc::new(RealEnv), dir.path(), options(), &|_| true);
    assert!(newer.unwrap_err().is_corrupt());
}

#[test]
fn a_record_that_the_log_cannot_hold_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let placements = [Placement { queue: QueueId(1), seq: Seq(1), expires_ms: 0 }];
    let image = vec![7; 3 << 20];
    let refused = store.append(&[Record::Publish { placements: &placements, image: &image }]);
    assert!(matches!(refused, Err(StoreError::TooLarge { .. })));
}

/// A publisher that waits brings nothing on its way that would make a reclaim necessary later.
#[test]
fn a_backlog_longer_than_the_log_is_reclaimed_before_publishers_wait() {
    for log_files in [4, 5, 8, 16, 17] {
        let dir = tempfile::tempdir().unwrap();
        let options =
            Options { log_file_len: 64 << 10, log_files, driver: Driver::Caller, ..Options::default() };
        let store = Store::open(Arc::new(RealEnv), dir.path(), options, &|_| true).unwrap().0;
        // Twice the log's length.
        for seq in 1..=u64::from(log_files) * 128 {
            let placements = [Placement { queue: QueueId(1), seq: Seq(seq), expires_ms: 0 }];
            store.append(&[Record::Publish { placements: &placements, image: &[7; 1024] }]).unwrap();
            if seq % 16 == 0 {
                store.commit().unwrap();
                store.maintain().unwrap();
                assert!(!store.is_tight(), "of {log_files} files, at message {seq}");
            }
        }
        assert!(store.stats().segments > 0, "nothing was reclaimed");
    }
}

/// Tells of alarms.
struct Alarms(Sender<bool>);

impl Observer for Alarms {
    fn durable(&self, _: LogPosition) {}

    fn alarm(&self, error: Option<&StoreError>) {
        self.0.send(error.is_some()).unwrap();
    }
}

#[test]
fn a_log_of_one_file_on_a_full_disk_waits_under_an_alarm_until_there_is_room() {
    let env = SimEnv::new();
    let options = Options { log_file_len: 64 << 10, log_files: 5, ..Options::default() };
    let open = || Store::open(Arc::new(env.clone()), Path::new("/data"), options, &|_| true);
    let (store, _) = open().unwrap();
    let (told, alarms) = mpsc::channel();
    store.subscribe(Arc::new(Alarms(told)));
    env.set_plan(CrashPlan { full_from: Some(0), ..CrashPlan::default() });
    let publish = |seq: u64| {
        let placements = [Placement { queue: QueueId(1), seq: Seq(seq), expires_ms: 0 }];
        store.append(&[Record::Publish { placements: &placements, image: &[7; 1024] }]).unwrap()
    };
    let last = (1..=100).fold(LogPosition(0), |_, seq| publish(seq));
    let patience = Duration::from_secs(30);
    assert!(alarms.recv_timeout(patience).unwrap());
    assert!(store.is_tight() && !store.wait_durable_unless_full(last).unwrap());
    env.set_plan(CrashPlan::default());
    store.wait_durable(last).unwrap();
    assert!(!alarms.recv_timeout(patience).unwrap(), "the alarm stays");
    drop(store);
    assert_eq!(open().unwrap().1.queues[0].messages, 100);
}

#[test]
fn without_room_for_a_first_log_file_nothing_begins_and_the_error_says_so() {
    let env = SimEnv::new();
    env.set_plan(CrashPlan { full_from: Some(0), ..CrashPlan::default() });
    let refused = Store::open(Arc::new(env), Path::new("/data"), options(), &|_| true);
    let text = refused.unwrap_err().to_string();
    assert!(text.contains("/data") && text.contains("no storage space"), "{text}");
}
