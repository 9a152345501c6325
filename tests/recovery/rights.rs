//! Data directories of which the system does not let everything be read, or that belong to somebody else.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use rustix::process::getuid;
use tempfile::TempDir;

use crate::damage::{DEFINITIONS, LOG, filled, flip, store, text};
use crate::faulty::FaultyDisk;

/// Any user who is not root, who may read everything.
const NOBODY: u32 = 65_534;

/// All that is in a directory, itself included.
fn all(dir: &Path) -> Vec<PathBuf> {
    let mut found = vec![dir.to_owned()];
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(all(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

/// Gives everything to a user who is not root, if we are.
fn give_away(dir: &Path) {
    if getuid().is_root() {
        all(dir).iter().for_each(|path| chown(path, Some(NOBODY), Some(NOBODY)).unwrap());
    }
}

/// As [`store`], by a user who is not root.
fn store_by_nobody(what: &str, dir: &Path) -> Output {
    let place = TempDir::new().unwrap();
    fs::set_permissions(place.path(), PermissionsExt::from_mode(0o755)).unwrap();
    let program = place.path().join("lepus");
    fs::copy(env!("CARGO_BIN_EXE_lepus"), &program).unwrap();
    let mut command = Command::new(&program);
    if getuid().is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    command.args(["store", what]).arg(dir).current_dir("/").output().unwrap()
}

#[tokio::test]
async fn a_file_that_may_not_be_read_stops_a_repair_and_nothing_is_changed() {
    let dir = filled().await;
    for file in [LOG, "messages/wal/FILES", "VERSION", DEFINITIONS] {
        give_away(dir.path());
        let path = dir.path().join(file);
        if getuid().is_root() {
            chown(&path, Some(0), Some(0)).unwrap();
        }
        fs::set_permissions(&path, PermissionsExt::from_mode(0o000)).unwrap();
        let before = all(dir.path());
        for what in ["check", "repair"] {
            let refused = store_by_nobody(what, dir.path());
            let said = text(&refused.stderr);
            assert_eq!(refused.status.code(), Some(2), "{file}: {said}{}", text(&refused.stdout));
            assert_eq!(said.matches(&path.display().to_string()).count(), 1, "{file}: {said}");
            assert!(said.contains("Permission denied") && said.contains("mend the rights"), "{file}: {said}");
            assert_eq!(all(dir.path()), before, "{file}");
        }
        fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
    }
    give_away(dir.path());
    assert!(text(&store_by_nobody("repair", dir.path()).stdout).contains("nothing to mend"));
}

#[tokio::test]
async fn a_bad_sector_stops_a_repair_with_what_to_do_and_nothing_is_changed() {
    let Some(disk) = FaultyDisk::new() else { return };
    let dir = filled().await;
    let before = all(dir.path());
    disk.ask("bad-messages");
    for what in ["check", "repair"] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lepus"));
        command.args(["store", what]).arg(dir.path());
        disk.put_under(&mut command);
        let refused = command.output().unwrap();
        let said = text(&refused.stderr);
        assert_eq!(refused.status.code(), Some(2), "{said}{}", text(&refused.stdout));
        assert!(said.contains("messages/wal/") && said.contains("bad sectors"), "{said}");
        assert_eq!(all(dir.path()), before);
    }
    assert!(text(&store("repair", dir.path(), false).stdout).contains("nothing to mend"));
}

#[tokio::test]
async fn what_root_repairs_belongs_to_the_owner_of_the_directory() {
    if !getuid().is_root() {
        println!("skipped: only root can give files away");
        return;
    }
    let dir = filled().await;
    flip(&dir.path().join(LOG), 5000);
    fs::remove_file(dir.path().join(DEFINITIONS)).unwrap();
    fs::remove_file(dir.path().join("VERSION")).unwrap();
    fs::remove_file(dir.path().join("LOCK")).unwrap();
    give_away(dir.path());
    let repaired = store("repair", dir.path(), false);
    assert_eq!(repaired.status.code(), Some(0), "{}", text(&repaired.stderr));
    for path in all(dir.path()) {
        let found = fs::metadata(&path).unwrap();
        assert_eq!((found.uid(), found.gid()), (NOBODY, NOBODY), "{}", path.display());
    }
    assert!(dir.path().join(DEFINITIONS).exists() && dir.path().join("VERSION").exists());
}
