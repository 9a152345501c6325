//! The first start on a directory: stopped anywhere it is completed by the next, and nothing of others is touched.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::binary::{BINARY, Binary, spawn};
use crate::faulty::FaultyDisk;

/// Whether a broker on this disk comes to serve `dir`; it is killed in any case.
fn serves(disk: &FaultyDisk, dir: &Path) -> bool {
    let mut child = spawn(Command::new(BINARY), dir, |command| disk.put_under(command));
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    let serves = lines.any(|line| line.contains("Server startup complete"));
    child.kill().unwrap();
    child.wait().unwrap();
    serves
}

#[test]
fn a_first_start_that_is_killed_at_any_sync_is_completed_by_the_next() {
    let Some(disk) = FaultyDisk::new() else { return };
    for part in ["meta", "messages"] {
        let mut killed = 0;
        loop {
            let dir = TempDir::new().unwrap();
            disk.kill_at(part, killed);
            if serves(&disk, dir.path()) {
                break;
            }
            Binary::start(&dir).kill();
            killed += 1;
        }
        disk.relent(&format!("kill-{part}"));
        assert!(killed > 1, "{part}: nothing was synced");
    }
}

#[test]
fn every_folder_that_a_first_start_makes_is_synced_where_it_stands() {
    let Some(disk) = FaultyDisk::new() else { return };
    let dir = TempDir::new().unwrap();
    let data = dir.path().join("var/data");
    disk.ask("trace");
    assert!(serves(&disk, &data));
    let synced = disk.synced();
    let root = dir.path().canonicalize().unwrap();
    for folder in ["", "var", "var/data", "var/data/meta", "var/data/messages", "var/data/messages/wal"] {
        let folder: PathBuf = root.join(folder).components().collect();
        assert!(synced.contains(&folder), "{}: {synced:?}", folder.display());
    }
}

/// All that is in a directory.
fn all(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(all(&path));
        }
        found.push(path);
    }
    found.sort();
    found
}

#[test]
fn what_somebody_else_has_in_a_directory_keeps_it_from_being_ours_and_stays() {
    for foreign in
        ["thesis.tmp", "0001.log.tmp", "messages/x", "messages/wal/x.tmp", "meta/x", "meta/definitions.redb"]
    {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join(foreign);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, "mine").unwrap();
        let before = all(dir.path());
        let refusal = Binary::refused(&dir).join("\n");
        assert!(refusal.contains("no data directory"), "{foreign}: {refusal}");
        assert!(!refusal.contains("store repair"), "{foreign}: {refusal}");
        assert_eq!(all(dir.path()), before, "{foreign}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "mine");
    }
}

#[test]
fn a_start_removes_the_drafts_that_it_makes_itself_and_no_other_file() {
    let dir = TempDir::new().unwrap();
    Binary::start(&dir).terminate();
    let place = |name: &str| dir.path().join(name);
    let ours = ["VERSION.tmp", "messages/wal/0007.log.tmp", "messages/wal/FILES.tmp"];
    let foreign = ["thesis.tmp", "messages/wal/thesis.tmp", "messages/queues/note.seg", "messages/wal/7.log"];
    ours.iter().chain(&foreign).for_each(|name| fs::write(place(name), "x").unwrap());
    fs::create_dir(place("messages.repaired.tmp")).unwrap();
    Binary::start(&dir).terminate();
    foreign.iter().for_each(|name| assert!(place(name).exists(), "{name}"));
    ours.iter().for_each(|name| assert!(!place(name).exists(), "{name}"));
    assert!(!place("messages.repaired.tmp").exists());
}
