//! Flipped bits, cut and missing files: a clear error or what was there, never anything else.

use std::path::Path;

use lepus::storage::env::{Env, SimEnv};
use lepus::storage::{LogPosition, check};

use crate::model::{Contents, Model};
use crate::workload::{Workload, contents, open};
use crate::{Random, for_seeds};

/// A store with a history and its contents, all durable.
fn filled(seed: u64) -> (Workload, Contents) {
    let mut workload = Workload::new(seed);
    let (store, _) = open(&workload.env, workload.options).unwrap();
    for _ in 0..500 {
        workload.step(&store).unwrap();
    }
    store.commit().unwrap();
    let all = workload.model.at(store.durable()).contents();
    (workload, all)
}

/// Opens a damaged copy and reads it all. What can be read must be whole, or lack what the last commits did.
fn survives(workload: &Workload, damaged: &SimEnv, all: &Contents, what: &str) {
    let Ok((store, _)) = open(damaged, workload.options) else { return };
    let Ok(shown) = contents(&store, &workload.ever, 10_000) else { return };
    if shown != *all {
        let mut model: Model = workload.model.clone();
        let explained = model.recover(LogPosition(0), &shown).is_some();
        assert!(explained, "{what}: shows what never was");
    }
}

#[test]
fn a_flipped_bit_is_never_delivered() {
    for_seeds(6, |seed| {
        let (workload, all) = filled(seed);
        let mut random = Random::new(seed);
        for path in workload.env.paths() {
            let octets = workload.env.contents(&path).unwrap();
            for _ in 0..150.min(octets.len() * 8) {
                let bit = random.below(octets.len() as u64 * 8) as usize;
                let damaged = workload.env.fork();
                let mut changed = octets.clone();
                changed[bit / 8] ^= 1 << (bit % 8);
                damaged.set_contents(&path, &changed);
                survives(&workload, &damaged, &all, &format!("{} bit {bit}", path.display()));
            }
        }
    });
}

#[test]
fn a_cut_file_is_an_error_or_lacks_only_the_end() {
    for_seeds(2, |seed| {
        let (workload, all) = filled(seed);
        for path in workload.env.paths() {
            let octets = workload.env.contents(&path).unwrap();
            let step = (octets.len() / 200).max(1);
            for len in (0..octets.len()).step_by(step) {
                let damaged = workload.env.fork();
                damaged.set_contents(&path, octets.get(..len).unwrap());
                survives(&workload, &damaged, &all, &format!("{} cut to {len}", path.display()));
            }
        }
    });
}

#[test]
fn a_missing_file_is_an_error_or_was_not_needed() {
    for_seeds(20, |seed| {
        let (workload, all) = filled(seed);
        for path in workload.env.paths() {
            let damaged = workload.env.fork();
            damaged.remove(&path).unwrap();
            let Ok((store, _)) = open(&damaged, workload.options) else { continue };
            let Ok(shown) = contents(&store, &workload.ever, 10_000) else { continue };
            println!("{seed} gone {} {:?}: {}", path.display(), workload.options.durability, shown == all);
        }
    });
}

#[test]
fn an_error_names_the_file_and_what_to_do() {
    let (workload, _) = filled(1);
    let path = Path::new("/data/messages/wal/0000.log");
    let mut octets = workload.env.contents(path).unwrap();
    octets.truncate(30_000);
    workload.env.set_contents(path, &octets);
    let text = open(&workload.env, workload.options).unwrap_err().to_string();
    assert!(text.contains("/data/messages/wal/0000.log is damaged at offset 30000"), "{text}");
    assert!(text.contains("repair"), "{text}");
}

#[test]
fn check_finds_what_is_there_and_what_is_damaged() {
    let (workload, all) = filled(1);
    let report = check(&workload.env, Path::new("/data")).unwrap();
    assert!(report.is_sound(), "{report:?}");
    assert_eq!(report.messages, all.values().map(|live| live.len() as u64).sum::<u64>());
    let path = workload.env.paths().into_iter().find(|path| path.extension().is_some_and(|e| e == "ckpt"));
    let path = path.unwrap();
    workload.env.set_contents(&path, &[7; 100]);
    workload.env.paths().iter().filter(|other| other.extension() == path.extension()).for_each(|other| {
        workload.env.set_contents(other, &[7; 100]);
    });
    assert!(!check(&workload.env, Path::new("/data")).unwrap().is_sound());
}
