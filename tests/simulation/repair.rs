//! Check and repair: what is damaged is listed and dropped, all else is there afterwards, once and in order.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use lepus::storage::env::{CrashPlan, Env, SimEnv};
use lepus::storage::{Offline, Options, Repaired, Report, StoreError};

use crate::damage::{End, filled, filled_with_segments, flip};
use crate::model::Contents;
use crate::workload::{DIR, Workload, assert_contents, contents, open};
use crate::{Random, for_seeds, for_seeds_at_least};

fn check(env: &SimEnv) -> Report {
    Offline::open(Arc::new(env.clone()), Path::new(DIR)).unwrap().check(&|_| true).unwrap()
}

fn repair(env: &SimEnv, options: Options) -> Result<Repaired, StoreError> {
    let offline = Offline::open(Arc::new(env.clone()), Path::new(DIR))?;
    Ok(offline.repair(options, &|_| true)?.1)
}

/// What the store shows; it must open.
fn shown(env: &SimEnv, workload: &Workload) -> Contents {
    let (store, recovered) = open(env, workload.options).unwrap_or_else(|error| panic!("{error}"));
    assert!(recovered.passed_over.is_empty(), "{recovered:?}");
    contents(&store, &workload.ever, 10_000).unwrap()
}

/// The files of one kind that hold something.
fn files(env: &SimEnv, ending: &str) -> Vec<PathBuf> {
    env.paths().into_iter().filter(|path| path.to_string_lossy().ends_with(ending)).collect()
}

fn damage(env: &SimEnv, path: &Path, random: &mut Random) {
    let octets = env.contents(path).unwrap();
    let len = octets.len() as u64;
    match random.below(6) {
        0 => env.remove(path).unwrap(),
        1 => env.set_contents(path, &octets[..random.below(len) as usize]),
        2 => {
            let mut zeroed = octets;
            let start = random.below(len) as usize;
            let end = (start + 1 + random.below(9000) as usize).min(zeroed.len());
            zeroed[start..end].fill(0);
            env.set_contents(path, &zeroed);
        }
        _ => env.set_contents(path, &flip(&octets, random.below(len * 8) as usize)),
    }
}

#[test]
fn a_sound_store_is_found_sound_and_left_alone() {
    for_seeds(20, |seed| {
        let (workload, all) = filled(seed, if seed % 2 == 0 { End::Orderly } else { End::Killed });
        let before: Vec<_> =
            workload.env.paths().into_iter().map(|path| (workload.env.contents(&path), path)).collect();
        let report = check(&workload.env);
        assert!(report.is_sound(), "{report:?}");
        let counted: BTreeMap<u64, (u64, u64)> = report
            .queues
            .iter()
            .filter(|queue| queue.messages > 0)
            .map(|queue| (queue.id, (queue.messages, queue.octets)))
            .collect();
        let octets = |live: &BTreeMap<u64, (u64, u32, Vec<u8>)>| {
            live.values().map(|(_, _, image)| image.len() as u64).sum::<u64>()
        };
        let expected: BTreeMap<u64, (u64, u64)> =
            all.iter().map(|(&queue, live)| (queue, (live.len() as u64, octets(live)))).collect();
        assert_eq!(counted, expected);
        assert_eq!(repair(&workload.env, workload.options).unwrap().original, None);
        let after: Vec<_> =
            workload.env.paths().into_iter().map(|path| (workload.env.contents(&path), path)).collect();
        assert!(before == after, "files have changed");
    });
}

#[test]
fn after_a_repair_the_store_opens_with_nothing_invented_whatever_was_damaged() {
    for_seeds(10_000, |seed| {
        let end = if seed % 2 == 0 { End::Orderly } else { End::Killed };
        let (workload, _) = if seed % 3 == 0 { filled(seed, end) } else { filled_with_segments(seed, end) };
        let published = workload.model.published();
        let mut random = Random::new(seed);
        for _ in 0..10 {
            let env = workload.env.fork();
            for _ in 0..1 + random.below(3) {
                let paths: Vec<PathBuf> =
                    env.paths().into_iter().filter(|p| !p.ends_with("VERSION")).collect();
                let path = &paths[random.below(paths.len() as u64) as usize];
                damage(&env, path, &mut random);
            }
            let found = check(&env);
            let repaired = repair(&env, workload.options).unwrap();
            assert_eq!(repaired.found, found, "the repair lists what the check found");
            assert_eq!(repaired.original.is_none(), found.is_sound());
            let again = check(&env);
            assert!(again.is_sound(), "{found:#?}\n{again:#?}");
            for (queue, live) in shown(&env, &workload) {
                for (seq, (_, _, image)) in live {
                    assert_eq!(published.get(&(queue, seq)), Some(&image), "queue {queue}, message {seq}");
                }
            }
        }
    });
}

/// What was live and is not shown.
fn missing(all: &Contents, shown: &Contents) -> Vec<(u64, u64)> {
    let is_shown = |queue: &u64, seq: &u64| shown.get(queue).is_some_and(|live| live.contains_key(seq));
    all.iter()
        .flat_map(|(queue, live)| live.keys().map(move |seq| (*queue, *seq)))
        .filter(|(queue, seq)| !is_shown(queue, seq))
        .collect()
}

#[test]
fn damage_of_a_segment_costs_exactly_the_messages_that_are_listed() {
    let tried = AtomicUsize::new(0);
    for_seeds(200, |seed| {
        let (workload, all) = filled_with_segments(seed, End::Orderly);
        let mut random = Random::new(seed);
        let segments = files(&workload.env, ".seg");
        tried.fetch_add(segments.len(), Ordering::Relaxed);
        for path in segments {
            let env = workload.env.fork();
            damage(&env, &path, &mut random);
            let found = repair(&env, workload.options).unwrap().found;
            let mut listed: Vec<(u64, u64)> = Vec::new();
            for lost in &found.lost {
                let seqs = lost.runs.iter().flat_map(|run| run.first.0..=run.last.0);
                listed.extend(seqs.map(|seq| (lost.queue.0, seq)));
            }
            let mut left = all.clone();
            for (queue, seq) in &listed {
                assert!(left.get_mut(queue).unwrap().remove(seq).is_some());
            }
            left.retain(|_, live| !live.is_empty());
            assert_contents(&shown(&env, &workload), &left);
            assert!(listed.is_empty() || found.damage.iter().any(|damage| damage.path == path), "{found:#?}");
        }
    });
    assert!(tried.into_inner() > 0, "no segment was there to be damaged");
}

#[test]
fn a_flipped_bit_in_the_log_costs_no_more_than_its_block_and_most_of_it_is_listed_by_message() {
    let (lost, listed) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let is_telling = for_seeds_at_least(100, 200, |seed| {
        let (workload, all) = filled(seed, End::Orderly);
        let mut random = Random::new(seed);
        for path in files(&workload.env, ".log") {
            let env = workload.env.fork();
            let octets = env.contents(&path).unwrap();
            let bit = random.below(octets.len() as u64 * 8) as usize;
            env.set_contents(&path, &flip(&octets, bit));
            let found = repair(&env, workload.options).unwrap().found;
            let missing = missing(&all, &shown(&env, &workload));
            assert!(missing.is_empty() || !found.is_sound(), "{missing:?}");
            lost.fetch_add(missing.len(), Ordering::Relaxed);
            listed.fetch_add(as_listed(&found, &missing, &all), Ordering::Relaxed);
            let names_place = |place: &lepus::storage::Finding| {
                place.path == path && place.offset.is_some_and(|at| at.abs_diff(bit as u64 / 8) <= 20_000)
            };
            assert!(
                found.is_sound() || found.damage.iter().any(names_place),
                "octet {}: {found:#?}",
                bit / 8
            );
        }
    });
    // A bit of the block's or the record's head may cost what nobody can name any more.
    let (lost, listed) = (lost.into_inner(), listed.into_inner());
    assert!(!is_telling || (lost > 0 && listed * 2 > lost), "of {lost} lost {listed} are listed");
}

/// How many of the messages that are missing are listed with the octets that they had.
fn as_listed(found: &Report, missing: &[(u64, u64)], all: &Contents) -> usize {
    let octets_of = |(queue, seq): &(u64, u64)| {
        let lost = found.lost.iter().find(|lost| lost.queue.0 == *queue)?;
        lost.runs.iter().find(|run| (run.first.0..=run.last.0).contains(seq))?.octets
    };
    missing.iter().filter(|at| octets_of(at) == Some(all[&at.0][&at.1].2.len() as u64)).count()
}

#[test]
fn a_damaged_checkpoint_costs_nothing_while_the_older_one_serves() {
    for_seeds(40, |seed| {
        let (workload, all) = filled_with_segments(seed, End::Orderly);
        let Some(newest) = files(&workload.env, ".ckpt").pop() else { return };
        let env = workload.env.fork();
        env.set_contents(&newest, &[7; 64]);
        let opens = open(&env.fork(), workload.options).is_ok();
        let found = repair(&env, workload.options).unwrap().found;
        assert!(found.damage.iter().any(|damage| damage.path == newest));
        let shown = shown(&env, &workload);
        if opens {
            assert_contents(&shown, &all);
        }
        // Without it, acks may be unknown, but every message is in the log or in a segment.
        assert!(missing(&all, &shown).is_empty(), "{found:#?}");
    });
}

#[test]
fn a_damaged_older_checkpoint_is_found_and_costs_nothing() {
    let tried = AtomicUsize::new(0);
    for_seeds(20, |seed| {
        let (workload, all) = filled_with_segments(seed, End::Orderly);
        let checkpoints = files(&workload.env, ".ckpt");
        let [older, _newest] = checkpoints.as_slice() else { return };
        tried.fetch_add(1, Ordering::Relaxed);
        let octets = workload.env.contents(older).unwrap();
        workload.env.set_contents(older, &flip(&octets, octets.len() * 4));
        let found = check(&workload.env);
        let damaged: Vec<&PathBuf> = found.damage.iter().map(|damage| &damage.path).collect();
        assert_eq!((damaged, found.lost.is_empty()), (vec![older], true), "{found:#?}");
        assert_eq!(repair(&workload.env, workload.options).unwrap().found, found);
        assert!(check(&workload.env).is_sound());
        assert_contents(&shown(&workload.env, &workload), &all);
    });
    assert!(tried.into_inner() > 0, "there were never two checkpoints");
}

#[test]
fn damage_of_the_first_block_of_a_log_file_is_told_at_its_place() {
    const FIRST: usize = 4096;
    let tried = AtomicUsize::new(0);
    for_seeds(60, |seed| {
        let (workload, _) = filled_with_segments(seed, End::Orderly);
        let mut random = Random::new(seed);
        for path in files(&workload.env, ".log") {
            let env = workload.env.fork();
            let bit = FIRST * 8 + random.below(8 * 100) as usize;
            env.set_contents(&path, &flip(&env.contents(&path).unwrap(), bit));
            let found = check(&env);
            if found.is_sound() {
                continue;
            }
            tried.fetch_add(1, Ordering::Relaxed);
            let is_place =
                |damage: &lepus::storage::Finding| damage.path == path && damage.offset == Some(FIRST as u64);
            assert!(found.damage.iter().any(is_place), "{}, bit {bit}: {found:#?}", path.display());
            assert!(found.damage.iter().all(|damage| damage.path == path), "{}: {found:#?}", path.display());
        }
    });
    assert!(tried.into_inner() > 0, "no such block was needed");
}

#[test]
fn a_missing_log_file_is_named_and_no_other() {
    for_seeds(40, |seed| {
        let (workload, _) = filled(seed, End::Orderly);
        for path in files(&workload.env, ".log") {
            let env = workload.env.fork();
            env.remove(&path).unwrap();
            let found = check(&env);
            assert!(!found.is_sound());
            assert!(found.damage.iter().all(|damage| damage.path == path), "{}: {found:#?}", path.display());
        }
    });
}

#[test]
fn what_cannot_be_read_stops_a_repair_and_nothing_is_changed() {
    let refused = AtomicUsize::new(0);
    for_seeds(20, |seed| {
        let (workload, all) = filled_with_segments(seed, End::Orderly);
        let everything = |env: &SimEnv| -> Vec<_> {
            env.paths().into_iter().map(|path| (env.contents(&path), path)).collect()
        };
        for path in workload.env.paths() {
            let env = workload.env.fork();
            let before = everything(&env);
            env.make_unreadable(Some(&path));
            match repair(&env, workload.options) {
                Ok(repaired) => assert!(repaired.found.is_sound(), "{}: {repaired:?}", path.display()),
                Err(error) => {
                    assert!(!error.is_corrupt(), "{error}");
                    assert!(error.to_string().contains(&path.display().to_string()), "{error}");
                    refused.fetch_add(1, Ordering::Relaxed);
                }
            }
            assert!(everything(&env) == before, "{}: files have changed", path.display());
            env.make_unreadable(None);
            assert_contents(&shown(&env, &workload), &all);
        }
    });
    assert!(refused.into_inner() > 20 * 4, "files were not read");
}

#[test]
fn a_repair_that_is_stopped_anywhere_is_done_by_the_next() {
    let (workload, _) = filled_with_segments(5, End::Killed);
    let mut random = workload.random.clone();
    for ending in [".seg", ".log", ".ckpt"] {
        let path = files(&workload.env, ending).pop().unwrap();
        damage(&workload.env, &path, &mut random);
    }
    let whole = workload.env.fork();
    repair(&whole, workload.options).unwrap();
    let expected = shown(&whole, &workload);
    for step in (0..).step_by(9) {
        let env = workload.env.fork();
        let crash_at = Some(env.changes() + step);
        env.set_plan(CrashPlan { crash_at, ..CrashPlan::default() });
        let done = repair(&env, workload.options).is_ok();
        env.crash(&mut || random.next());
        if !done {
            repair(&env, workload.options).unwrap();
        }
        assert_contents(&shown(&env, &workload), &expected);
        if done {
            break;
        }
    }
}

#[test]
fn a_lost_version_is_made_anew_from_the_number_that_the_files_bear() {
    let (workload, all) = filled(2, End::Orderly);
    let path = Path::new(DIR).join("VERSION");
    let before = workload.env.contents(&path).unwrap();
    for damage in 0..2 {
        let env = workload.env.fork();
        if damage == 0 {
            env.remove(&path).unwrap();
        } else {
            env.set_contents(&path, b"lepus-data 1 0");
        }
        assert!(!check(&env).is_sound());
        assert_eq!(repair(&env, workload.options).unwrap().original, None, "the store was sound");
        assert_contents(&shown(&env, &workload), &all);
        assert_eq!(env.contents(&path).unwrap(), before);
    }
}
