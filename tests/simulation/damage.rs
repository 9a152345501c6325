//! Flipped bits, cut and missing files: a clear error or what was there, never anything else.

use std::path::Path;

use lepus::storage::env::{Env, SimEnv};
use lepus::storage::{LogPosition, Placement, QueueId, Record, Seq};

use crate::model::{Contents, Model};
use crate::workload::{Workload, assert_contents, contents, open};
use crate::{Random, for_seeds};

/// A store with a history and its contents, all durable.
pub(crate) fn filled(seed: u64, end: End) -> (Workload, Contents) {
    filled_by(Workload::new(seed), end)
}

/// As [`filled`], by a workload that leaves messages in segments.
pub(crate) fn filled_with_segments(seed: u64, end: End) -> (Workload, Contents) {
    let mut workload = Workload::new(seed);
    workload.options.carry_len = 0;
    workload.settles_rarely();
    filled_by(workload, end)
}

fn filled_by(mut workload: Workload, end: End) -> (Workload, Contents) {
    let (store, _) = open(&workload.env, workload.options).unwrap();
    for _ in 0..500 {
        workload.step(&store).unwrap();
    }
    store.commit().unwrap();
    if end == End::Orderly {
        store.close().unwrap();
    }
    let all = workload.model.at(store.durable()).contents();
    (workload, all)
}

/// How the process ended that had the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Orderly,
    Killed,
}

/// Opens a damaged copy and reads it all: an error, or everything. After a kill it may lack what the last commits did.
fn survives(workload: &Workload, damaged: &SimEnv, (all, end): (&Contents, End), what: &str) {
    let Ok((store, _)) = open(damaged, workload.options) else { return };
    let Ok(shown) = contents(&store, &workload.ever, 10_000) else { return };
    if shown != *all {
        let mut model: Model = workload.model.clone();
        let explained = end == End::Killed && model.recover(LogPosition(0), &shown).is_some();
        assert!(explained, "{what}: shows what never was");
    }
}

pub(crate) fn flip(octets: &[u8], bit: usize) -> Vec<u8> {
    let mut changed = octets.to_vec();
    changed[bit / 8] ^= 1 << (bit % 8);
    changed
}

#[test]
fn a_flipped_bit_is_never_delivered_and_after_an_orderly_end_never_overlooked() {
    for_seeds(8, |seed| {
        let end = if seed % 2 == 0 { End::Orderly } else { End::Killed };
        let (workload, all) = filled(seed, end);
        let mut random = Random::new(seed);
        for path in workload.env.paths() {
            let octets = workload.env.contents(&path).unwrap();
            for _ in 0..150.min(octets.len() * 8) {
                let bit = random.below(octets.len() as u64 * 8) as usize;
                let damaged = workload.env.fork();
                damaged.set_contents(&path, &flip(&octets, bit));
                survives(&workload, &damaged, (&all, end), &format!("{} bit {bit}", path.display()));
            }
        }
    });
}

/// A store whose last commit is one message, and the log file with it.
fn with_last_message() -> (Workload, Vec<u8>) {
    let workload = Workload::new(1);
    let (store, _) = open(&workload.env, workload.options).unwrap();
    let placements = [Placement { queue: QueueId(1), seq: Seq(1), expires_ms: 0 }];
    store.append(&[Record::Publish { placements: &placements, image: b"the last one" }]).unwrap();
    store.commit().unwrap();
    drop(store);
    let octets = workload.env.contents(Path::new(LOG)).unwrap();
    (workload, octets)
}

const LOG: &str = "/data/messages/wal/0000.log";

#[test]
fn a_flipped_bit_in_the_very_last_block_is_refused_although_no_later_block_vouches_for_it() {
    let (workload, octets) = with_last_message();
    // The file's header, the block of the start, then the one with the message: header and record.
    let block = 2 * 4096..2 * 4096 + 64 + 9 + 4 + 24 + 12;
    for bit in block.start * 8..block.end * 8 {
        let damaged = workload.env.fork();
        damaged.set_contents(Path::new(LOG), &flip(&octets, bit));
        let error = open(&damaged, workload.options).unwrap_err();
        assert!(error.is_corrupt(), "bit {bit}: {error}");
    }
}

#[test]
fn a_last_block_that_was_not_written_as_a_whole_is_dropped_and_said_to_be() {
    let (workload, mut torn) = with_last_message();
    torn[2 * 4096 + 64..3 * 4096].fill(0);
    workload.env.set_contents(Path::new(LOG), &torn);
    let (store, recovered) = open(&workload.env, workload.options).unwrap();
    assert!(contents(&store, &workload.ever, 1000).unwrap().is_empty());
    let torn = recovered.torn.unwrap().to_string();
    assert!(torn.contains(LOG) && torn.contains("8192"), "{torn}");
}

#[test]
fn a_commit_that_was_vouched_for_is_never_taken_for_a_torn_one() {
    let (workload, _) = with_last_message();
    let (store, _) = open(&workload.env, workload.options).unwrap();
    drop(store);
    let mut octets = workload.env.contents(Path::new(LOG)).unwrap();
    octets[2 * 4096..3 * 4096].fill(0);
    workload.env.set_contents(Path::new(LOG), &octets);
    assert!(open(&workload.env, workload.options).unwrap_err().is_corrupt());
}

#[test]
fn an_orderly_end_is_known_as_one() {
    let workload = Workload::new(1);
    for _ in 0..3 {
        let (store, _) = open(&workload.env, workload.options).unwrap();
        store.close().unwrap();
        drop(store);
        let (store, recovered) = open(&workload.env, workload.options).unwrap();
        assert!(recovered.is_closed);
        drop(store);
        let (store, recovered) = open(&workload.env, workload.options).unwrap();
        assert!(!recovered.is_closed, "the one before said nothing of its end");
        store.close().unwrap();
        store.append(&[Record::QueueDelete { queue: QueueId(9) }]).unwrap();
        store.commit().unwrap();
        drop(store);
        assert!(!open(&workload.env, workload.options).unwrap().1.is_closed, "more came after the end");
    }
}

#[test]
fn a_file_cut_anywhere_is_an_error_or_was_not_needed() {
    for_seeds(2, |seed| {
        let (workload, all) = filled(seed, End::Orderly);
        for path in workload.env.paths() {
            let octets = workload.env.contents(&path).unwrap();
            // A log file is refused for its length alone; every length of it tries the same.
            let step = if path.extension().is_some_and(|end| end == "log") { 97 } else { 1 };
            for len in (0..octets.len()).step_by(step) {
                let damaged = workload.env.fork();
                damaged.set_contents(&path, octets.get(..len).unwrap());
                survives(
                    &workload,
                    &damaged,
                    (&all, End::Orderly),
                    &format!("{} cut to {len}", path.display()),
                );
            }
        }
    });
}

#[test]
fn a_missing_file_is_an_error_or_was_not_needed() {
    for_seeds(40, |seed| {
        let (workload, all) = filled(seed, End::Killed);
        for path in workload.env.paths() {
            let damaged = workload.env.fork();
            damaged.remove(&path).unwrap();
            let what = format!("without {}", path.display());
            match open(&damaged, workload.options) {
                Ok((store, _)) => assert_contents(&contents(&store, &workload.ever, 10_000).unwrap(), &all),
                Err(error) => assert!(error.is_corrupt() || path.ends_with("VERSION"), "{what}: {error}"),
            }
        }
        let logs =
            workload.env.paths().into_iter().filter(|path| path.extension().is_some_and(|e| e == "log"));
        for path in logs {
            let damaged = workload.env.fork();
            damaged.remove(&path).unwrap();
            let error = open(&damaged, workload.options).unwrap_err().to_string();
            assert!(error.contains(&format!("{} is missing", path.display())), "{error}");
        }
    });
}

#[test]
fn an_older_checkpoint_serves_as_long_as_the_log_reaches_back_to_it() {
    let mut workload = Workload::new(3);
    let (store, _) = open(&workload.env, workload.options).unwrap();
    for _ in 0..2 {
        (0..30).for_each(|_| workload.step(&store).unwrap());
        store.commit().unwrap();
        store.checkpoint().unwrap();
    }
    let all = workload.model.at(store.durable()).contents();
    drop(store);
    let newest = workload.env.paths().into_iter().rfind(|path| path.extension().is_some_and(|e| e == "ckpt"));
    let newest = newest.unwrap();
    workload.env.set_contents(&newest, &[7; 100]);
    let (store, recovered) = open(&workload.env, workload.options).unwrap();
    assert_contents(&contents(&store, &workload.ever, 10_000).unwrap(), &all);
    assert!(recovered.passed_over[0].to_string().contains(&newest.display().to_string()));
    let aside = Path::new(&format!("{}.damaged", newest.display())).to_owned();
    assert_eq!(workload.env.contents(&aside).unwrap(), [7; 100], "kept aside");
}

#[test]
fn an_error_names_the_file_and_what_to_do() {
    let (workload, _) = filled(1, End::Killed);
    let path = Path::new(LOG);
    let mut octets = workload.env.contents(path).unwrap();
    octets.truncate(30_000);
    workload.env.set_contents(path, &octets);
    let text = open(&workload.env, workload.options).unwrap_err().to_string();
    assert!(text.contains("/data/messages/wal/0000.log is damaged at offset 30000"), "{text}");
    assert!(text.contains("repair"), "{text}");
}
