//! Crashes, failing and full disks.

use std::path::Path;
use std::sync::Arc;

use lepus::storage::env::{CrashPlan, SimEnv};
use lepus::storage::{Driver, Durability, LogPosition, Options, Placement, QueueId, Record, Seq, Store};

use crate::for_seeds;
use crate::workload::{DIR, QUEUES, Workload, open};

/// Runs up to `steps`; false if the store failed.
fn run(workload: &mut Workload, store: &Store, steps: u64) -> bool {
    for _ in 0..steps {
        if let Err(error) = workload.step(store) {
            assert!(!error.is_corrupt(), "{error}");
            let is_alarm = store.alarm().is_some() && store.append(&[]).is_ok();
            if workload.env.has_crashed() || !is_alarm {
                return false;
            }
        }
    }
    true
}

/// Restarts after a crash and checks; the restart itself may crash some times.
fn restart(workload: &mut Workload, durable: LogPosition, recrash: bool) -> Store {
    let mut random = workload.random.clone();
    loop {
        workload.env.crash(&mut || random.next());
        if recrash && random.once_in(2) {
            let crash_at = Some(workload.env.changes() + random.below(12));
            workload.env.set_plan(CrashPlan { crash_at, ..CrashPlan::default() });
        }
        match open(&workload.env, workload.options) {
            Ok((store, recovered)) => {
                let stopped = workload.env.has_crashed();
                workload.env.set_plan(CrashPlan::default());
                if !stopped {
                    workload.random = random;
                    workload.recover(&store, &recovered, durable);
                    return store;
                }
            }
            Err(error) => assert!(workload.env.has_crashed(), "{error}"),
        }
    }
}

#[test]
fn nothing_durable_is_lost_in_random_crashes() {
    for_seeds(10_000, |seed| {
        let mut workload = Workload::new(seed);
        let mut store = open(&workload.env, workload.options).unwrap().0;
        for _ in 0..4 {
            let crash_at = workload.env.changes() + workload.random.below(250);
            workload.env.set_plan(CrashPlan { crash_at: Some(crash_at), ..CrashPlan::default() });
            run(&mut workload, &store, 700);
            let durable = workload.survives(&store);
            drop(store);
            store = restart(&mut workload, durable, true);
        }
    });
}

#[test]
fn every_change_of_one_workload_may_be_the_last() {
    for_seeds(3, |seed| {
        let run_with = |crash_at: Option<u64>| {
            let mut workload = Workload::new(seed);
            workload.env.set_plan(CrashPlan { crash_at, ..CrashPlan::default() });
            let Ok((store, _)) = open(&workload.env, workload.options) else {
                restart(&mut workload, LogPosition(0), false);
                return None;
            };
            let whole = run(&mut workload, &store, 300);
            let durable = workload.survives(&store);
            drop(store);
            if whole {
                return Some(workload.env.changes());
            }
            let store = restart(&mut workload, durable, false);
            run(&mut workload, &store, 60);
            None
        };
        let changes = run_with(None).unwrap();
        println!("{changes} changes");
        (0..changes).for_each(|at| {
            run_with(Some(at));
        });
    });
}

#[test]
fn a_failing_or_full_disk_loses_nothing() {
    for_seeds(10_000, |seed| {
        let mut workload = Workload::new(seed);
        let mut store = open(&workload.env, workload.options).unwrap().0;
        for round in 0..4 {
            let at = Some(workload.env.changes() + workload.random.below(200));
            let plan = CrashPlan::default();
            let plan = if (seed + round) % 2 == 0 {
                CrashPlan { eio_at: at, ..plan }
            } else {
                CrashPlan { full_from: at, ..plan }
            };
            workload.env.set_plan(plan);
            let mut goes_on = run(&mut workload, &store, 300);
            workload.env.set_plan(CrashPlan::default());
            goes_on = goes_on && run(&mut workload, &store, 50) && workload.check(&store).is_ok();
            if !goes_on {
                // The log failed: the process ends, and the next one finds what was durable.
                let durable = workload.survives(&store);
                drop(store);
                store = restart(&mut workload, durable, false);
            }
        }
    });
}

#[test]
fn a_disk_that_was_full_for_a_while_is_an_alarm_until_then_and_costs_nothing() {
    let alarms = std::sync::atomic::AtomicU64::new(0);
    for_seeds(1_000, |seed| {
        let mut workload = Workload::new(seed);
        workload.settles_rarely();
        let mut store = open(&workload.env, workload.options).unwrap().0;
        let mut raised = 0;
        for _ in 0..4 {
            let full_from = Some(workload.env.changes() + workload.random.below(60));
            let full_for = Some(1 + workload.random.below(25));
            workload.env.set_plan(CrashPlan { full_from, full_for, ..CrashPlan::default() });
            for _ in 0..300 {
                assert!(run(&mut workload, &store, 1), "the store failed: {:?}", store.alarm());
                raised += u64::from(store.alarm().is_some());
            }
            workload.env.set_plan(CrashPlan::default());
            store.maintain().unwrap();
            assert!(store.alarm().is_none() && !store.is_tight(), "{:?}", store.alarm());
            assert_eq!(store.durable(), store.append(&[]).unwrap());
            workload.check(&store).unwrap();
            let durable = workload.survives(&store);
            drop(store);
            store = restart(&mut workload, durable, false);
        }
        alarms.fetch_add(raised, std::sync::atomic::Ordering::Relaxed);
    });
    println!("{} steps under an alarm", alarms.load(std::sync::atomic::Ordering::Relaxed));
    assert!(alarms.into_inner() > 0, "the disk was never full when it mattered");
}

#[test]
fn a_clean_restart_loses_nothing_at_all() {
    for_seeds(300, |seed| {
        let mut workload = Workload::new(seed);
        for _ in 0..3 {
            let (store, recovered) = open(&workload.env, workload.options).unwrap();
            workload.recover(&store, &recovered, LogPosition(u64::MAX));
            assert!(run(&mut workload, &store, 400));
            store.commit().unwrap();
        }
    });
}

#[test]
fn deleted_queues_are_forgotten_once_the_log_cannot_name_them_and_nothing_of_them_returns() {
    for_seeds(60, |seed| {
        let mut workload = Workload::new(seed);
        let mut store = open(&workload.env, workload.options).unwrap().0;
        assert!(run(&mut workload, &store, 1500));
        workload.deletes_no_more();
        let deleted = workload.ever.len() - QUEUES;
        assert!(store.stats().deleted <= deleted as u64);
        // Each file of the log has been written anew twice, and a last one is on its way.
        let log = u64::from(workload.options.log_files) * workload.options.log_file_len;
        let enough = store.stats().log_written + 4 * log;
        while store.stats().log_written < enough {
            assert!(run(&mut workload, &store, 50));
        }
        assert_eq!(store.stats().deleted, 0, "of {deleted}");
        let durable = workload.survives(&store);
        drop(store);
        store = restart(&mut workload, durable, false);
        assert!(run(&mut workload, &store, 50));
    });
}

#[test]
fn only_what_asks_for_a_sync_is_synced_and_it_takes_along_what_came_before() {
    let env = SimEnv::new();
    let options = Options { driver: Driver::Caller, ..Options::default() };
    let open = || Store::open(Arc::new(env.clone()), Path::new(DIR), options, &|_| true).unwrap();
    let store = open().0;
    let append = |seq, durability| {
        let placements = [Placement { queue: QueueId(1), seq: Seq(seq), expires_ms: 0 }];
        let record = Record::Publish { placements: &placements, image: b"message" };
        let before = env.changes();
        let position = store.append_as(&[record], durability).unwrap();
        assert!(store.written() < position);
        store.commit().unwrap();
        assert!(store.written() == position && store.durable() == position);
        env.changes() - before
    };
    assert_eq!(append(1, Durability::Os), 1, "a write");
    assert_eq!(append(2, Durability::Fsync), 2, "a write and a sync");
    assert_eq!(append(3, Durability::Os), 1);
    store.close().unwrap();
    assert_eq!(append(4, Durability::Os), 1);
    drop(store);
    // None of the unsynced writes survives.
    env.crash(&mut || 3);
    assert_eq!(open().1.queues[0].messages, 3);
}

#[test]
fn log_files_shorter_than_today_s_blocks_are_used_and_stay_as_they_are() {
    let env = SimEnv::new();
    let short = Options {
        driver: Driver::Caller,
        log_file_len: 64 << 10,
        log_files: 6,
        block_len: 16 << 10,
        ..Options::default()
    };
    let long = Options { log_file_len: 1 << 20, block_len: 256 << 10, ..short };
    let image = vec![7; 60 << 10];
    for (round, options) in [short, long, long].into_iter().enumerate() {
        let (store, recovered) =
            Store::open(Arc::new(env.clone()), Path::new(DIR), options, &|_| true).unwrap();
        let before = recovered.queues.first().map_or(0, |queue| queue.messages);
        assert_eq!(before, 2 * round as u64);
        for seq in before + 1..=before + 2 {
            let placements = [Placement { queue: QueueId(1), seq: Seq(seq), expires_ms: 0 }];
            store.append(&[Record::Publish { placements: &placements, image: &image }]).unwrap();
            store.commit().unwrap();
        }
        store.close().unwrap();
    }
}
