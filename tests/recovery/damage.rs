//! Data directories that cannot be used as they are: a clear refusal, then `lepus store check` and `repair`.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

use crate::binary::Binary;
use crate::messages::{confirmed, persistent};
use crate::support::*;

const BODIES: [&str; 3] = ["one", "two", "three"];
pub(crate) const LOG: &str = "messages/wal/0000.log";
pub(crate) const DEFINITIONS: &str = "meta/definitions.redb";

/// A directory with three messages in a queue, after an orderly end.
pub(crate) async fn filled() -> TempDir {
    let dir = TempDir::new().unwrap();
    let broker = Binary::start(&dir);
    let mut peer = broker.channel().await;
    peer.call(1, declare("q").flag("durable")).await;
    peer.call(1, declare("ranked").flag("durable").arg("x-max-priority", 5)).await;
    confirmed(&mut peer, "q", &BODIES).await;
    peer.publish(1, persistent("", "ranked", "urgent").property("priority", 4)).await;
    peer.expect_confirm(1, 4).await;
    drop(peer);
    broker.terminate();
    dir
}

/// A copy whose files are its own; zeros are not copied, a log file is mostly zeros.
fn copy(dir: &TempDir) -> TempDir {
    let copy = TempDir::new().unwrap();
    let mut command = Command::new("cp");
    command.args(["-r", "--sparse=always"]).arg(dir.path().join(".")).arg(copy.path());
    assert!(command.status().unwrap().success());
    copy
}

pub(crate) fn store(what: &str, dir: &Path, json: bool) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lepus"));
    command.args(["store", what]).arg(dir).args(json.then_some("--json"));
    command.output().unwrap()
}

pub(crate) fn text(octets: &[u8]) -> String {
    String::from_utf8_lossy(octets).into_owned()
}

pub(crate) fn flip(path: &Path, at: usize) {
    let mut octets = fs::read(path).unwrap();
    octets[at] ^= 0x10;
    fs::write(path, octets).unwrap();
}

fn cut(path: &Path, len: u64) {
    fs::OpenOptions::new().write(true).open(path).unwrap().set_len(len).unwrap();
}

async fn expect_all(broker: &Binary, queue: &str) {
    let mut peer = broker.channel().await;
    for body in BODIES {
        peer.expect_get(1, queue, body).await;
    }
    peer.expect_empty(1, queue).await;
}

/// Where in the log the record of a message is.
fn place_of(dir: &TempDir, body: &str) -> usize {
    let octets = fs::read(dir.path().join(LOG)).unwrap();
    octets.windows(body.len()).position(|window| window == body.as_bytes()).unwrap()
}

/// The broker refuses the directory, says which file is damaged and what to do; check says the same; after a repair
/// it starts.
fn expect_refusal(dir: &TempDir, file: &str, what: &str) -> Binary {
    let path: PathBuf = dir.path().join(file).components().collect();
    let refusal = Binary::refused(dir);
    let [line] = refusal.as_slice() else { panic!("{what}: {refusal:?}") };
    assert!(line.contains(&path.display().to_string()), "{what}: {line}");
    assert!(line.contains("lepus store repair"), "{what}: {line}");
    let found = store("check", dir.path(), false);
    assert_eq!(found.status.code(), Some(1), "{what}: {}{}", text(&found.stdout), text(&found.stderr));
    assert!(text(&found.stdout).contains(&path.display().to_string()), "{what}: {}", text(&found.stdout));
    let repaired = store("repair", dir.path(), false);
    assert_eq!(repaired.status.code(), Some(0), "{what}: {}", text(&repaired.stderr));
    assert!(
        text(&repaired.stdout).contains(&path.display().to_string()),
        "{what}: {}",
        text(&repaired.stdout)
    );
    assert_eq!(store("check", dir.path(), false).status.code(), Some(0), "{what}");
    Binary::start(dir)
}

#[tokio::test]
async fn a_sound_directory_is_described() {
    let dir = filled().await;
    let found = store("check", dir.path(), false);
    assert_eq!(found.status.code(), Some(0), "{}", text(&found.stderr));
    let table = text(&found.stdout);
    let row = |line: &&str| line.split_whitespace().take(2).eq(["/", "q"]);
    let row: Vec<&str> = table.lines().find(row).unwrap().split_whitespace().collect();
    assert_eq!(row[4], "3", "{table}");
    assert!(table.ends_with("the last end was an orderly one\nsound\n"), "{table}");
    let json: serde_json::Value = serde_json::from_slice(&store("check", dir.path(), true).stdout).unwrap();
    assert_eq!((&json["sound"], &json["damage"]), (&true.into(), &serde_json::json!([])));
    assert_eq!((&json["queues"][0]["vhost"], &json["queues"][0]["name"]), (&"/".into(), &"q".into()));
    assert_eq!(json["queues"][0]["messages"], 3);
    assert!(text(&store("repair", dir.path(), false).stdout).contains("nothing to mend"));
    expect_all(&Binary::start(&dir), "q").await;
}

#[tokio::test]
async fn damage_of_any_file_is_refused_and_mended() {
    let whole = filled().await;
    let first = place_of(&whole, "one");
    for file in ["VERSION", "messages/wal/FILES", LOG] {
        for damage in ["missing", "empty", "cut", "flipped"] {
            let dir = copy(&whole);
            let path = dir.path().join(file);
            let len = fs::metadata(&path).unwrap().len();
            match damage {
                "missing" => fs::remove_file(&path).unwrap(),
                "empty" => cut(&path, 0),
                "cut" => cut(&path, len - 1),
                _ => flip(&path, if file == LOG { first } else { 12 }),
            }
            let broker = expect_refusal(
                &dir,
                if file == "VERSION" && damage == "missing" { "" } else { file },
                damage,
            );
            let mut peer = broker.channel().await;
            // Of the log a flipped bit costs one message, its absence all in it.
            match (file, damage) {
                (LOG, "flipped") => {
                    peer.expect_get(1, "q", "two").await;
                    peer.expect_get(1, "q", "three").await;
                    peer.expect_empty(1, "q").await;
                }
                (LOG, "missing" | "empty") => peer.expect_empty(1, "q").await,
                _ => expect_all(&broker, "q").await,
            }
        }
    }
}

#[tokio::test]
async fn a_repair_lists_what_it_drops_by_message() {
    let dir = filled().await;
    flip(&dir.path().join(LOG), place_of(&dir, "urgent"));
    let repaired = text(&store("repair", dir.path(), false).stdout);
    let line =
        repaired.lines().find(|line| line.starts_with("lost: ")).unwrap_or_else(|| panic!("{repaired}"));
    let (what, octets) = line.split_once(", message 1, ").unwrap_or_else(|| panic!("{repaired}"));
    assert_eq!(what, "lost: queue 'ranked' in vhost '/' (priority 4)");
    let octets: usize = octets.strip_suffix(" octets").unwrap().parse().unwrap();
    assert!(octets > "urgent".len(), "{line}");
    let broker = Binary::start(&dir);
    broker.channel().await.expect_empty(1, "ranked").await;
}

#[tokio::test]
async fn a_store_that_is_gone_is_said_to_be_whatever_a_repair_before_has_left() {
    let dir = filled().await;
    fs::remove_dir_all(dir.path().join("messages")).unwrap();
    fs::create_dir_all(dir.path().join("messages.repaired.tmp/wal")).unwrap();
    for (what, code) in [("check", 1), ("check", 1), ("repair", 0)] {
        let found = store(what, dir.path(), false);
        let said = text(&found.stdout);
        assert_eq!(found.status.code(), Some(code), "{said}{}", text(&found.stderr));
        assert!(said.contains("messages: it is missing"), "{said}");
        assert!(said.contains("lost: queue 'q' in vhost '/', all messages\n"), "{said}");
        assert_eq!(said.matches("damaged: ").count(), 1, "{said}");
    }
    assert_eq!(store("check", dir.path(), false).status.code(), Some(0));
    Binary::start(&dir).channel().await.expect_empty(1, "q").await;
}

#[tokio::test]
async fn a_repair_that_was_stopped_just_before_its_end_is_ended_and_said_to_be() {
    let dir = filled().await;
    flip(&dir.path().join(LOG), place_of(&dir, "urgent"));
    assert_eq!(store("repair", dir.path(), false).status.code(), Some(0));
    fs::rename(dir.path().join("messages"), dir.path().join("messages.repaired")).unwrap();
    assert_eq!(store("check", dir.path(), false).status.code(), Some(1));
    let said = text(&store("repair", dir.path(), false).stdout);
    assert!(said.contains("a repair was stopped before its end") && said.ends_with("mended\n"), "{said}");
    assert_eq!(store("check", dir.path(), false).status.code(), Some(0));
    expect_all(&Binary::start(&dir), "q").await;
}

#[tokio::test]
async fn queues_of_which_nothing_is_stored_any_more_are_not_listed() {
    let dir = filled().await;
    let broker = Binary::start(&dir);
    broker.channel().await.call(1, purge("q")).await;
    broker.terminate();
    let table = text(&store("check", dir.path(), false).stdout);
    let lists = |name: &str| table.lines().any(|line| line.split_whitespace().nth(1) == Some(name));
    assert!(lists("ranked") && !lists("q"), "{table}");
}

#[tokio::test]
async fn a_lost_version_is_told_from_a_directory_of_something_else() {
    let dir = filled().await;
    fs::remove_file(dir.path().join("VERSION")).unwrap();
    fs::write(dir.path().join("note.txt"), "mine").unwrap();
    let refusal = Binary::refused(&dir).join("\n");
    assert!(refusal.contains("VERSION is missing") && refusal.contains("lepus store repair"), "{refusal}");
    // Without anything that tells the number that was in it, no advice leads back to the repair.
    fs::remove_dir_all(dir.path().join("messages/wal")).unwrap();
    for what in ["check", "repair"] {
        let refused = text(&store(what, dir.path(), false).stderr);
        assert!(refused.contains("restore VERSION") && !refused.contains("store repair"), "{refused}");
    }
    fs::remove_dir_all(dir.path().join("messages")).unwrap();
    for what in ["check", "repair"] {
        let refused = text(&store(what, dir.path(), false).stderr);
        assert!(refused.contains("neither VERSION nor messages"), "{refused}");
    }
    fs::remove_file(dir.path().join("note.txt")).unwrap();
    let refusal = Binary::refused(&dir).join("\n");
    assert!(refusal.contains("definitions in meta") && refusal.contains("restore all of them"), "{refusal}");
}

#[tokio::test]
async fn a_spill_is_said_to_be_one() {
    let dir = TempDir::new().unwrap();
    let broker = Binary::start_with(&dir, &["--message-memory", "0"]);
    let mut peer = broker.channel().await;
    peer.call(1, declare("q")).await;
    peer.publish(1, publish("", "q", "passing")).await;
    let spill = dir.path().join("spill");
    while !spill.join("VERSION").exists() {
        // Its answer comes after the publish; the pager takes its time.
        peer.call(1, passive("q")).await;
    }
    for killed in [false, true] {
        for what in ["check", "repair"] {
            let refused = store(what, &spill, false);
            assert_eq!(refused.status.code(), Some(2), "killed: {killed}");
            let refused = text(&refused.stderr);
            assert!(
                refused.contains("the spill of one") && refused.contains("transient messages"),
                "{refused}"
            );
        }
        if !killed {
            rustix::process::kill_process(
                rustix::process::Pid::from_raw(broker.id().cast_signed()).unwrap(),
                rustix::process::Signal::KILL,
            )
            .unwrap();
        }
    }
}

#[tokio::test]
async fn lost_definitions_are_refused_and_a_repair_keeps_their_messages() {
    let whole = filled().await;
    for damage in ["missing", "empty", "cut", "flipped"] {
        let dir = copy(&whole);
        let path = dir.path().join(DEFINITIONS);
        match damage {
            "missing" => fs::remove_file(&path).unwrap(),
            "empty" => cut(&path, 0),
            "cut" => cut(&path, fs::metadata(&path).unwrap().len() / 2),
            _ => {
                let octets = fs::read(&path).unwrap();
                let at = octets.windows(6).rposition(|window| window == b"ranked").unwrap();
                (at..at + 6).for_each(|at| flip(&path, at));
            }
        }
        let broker = expect_refusal(&dir, DEFINITIONS, damage);
        let id = (1..10).find(|id| text(&store_names(&dir)).contains(&format!("recovered-{id}"))).unwrap();
        expect_all(&broker, &format!("recovered-{id}")).await;
        broker.channel().await.expect_get(1, &format!("recovered-{}", id + 1), "urgent").await;
        if damage != "missing" {
            assert!(dir.path().join("meta/definitions.redb.damaged").exists());
        }
    }
}

fn store_names(dir: &TempDir) -> Vec<u8> {
    fs::read(dir.path().join(DEFINITIONS)).unwrap()
}

#[tokio::test]
async fn a_directory_in_use_is_refused_by_the_id_of_its_owner() {
    let dir = TempDir::new().unwrap();
    let broker = Binary::start(&dir);
    let owner = format!("process {} uses this directory", broker.id());
    assert!(Binary::refused(&dir)[0].contains(&owner));
    for what in ["check", "repair"] {
        let refused = store(what, dir.path(), false);
        assert_eq!(refused.status.code(), Some(2));
        assert!(text(&refused.stderr).contains(&owner), "{}", text(&refused.stderr));
    }
}

#[tokio::test]
async fn a_directory_of_a_newer_release_is_refused_and_left_alone() {
    let dir = filled().await;
    let path = dir.path().join("VERSION");
    let line = "lepus-data 3 0123456789abcdef";
    let line = format!("{line} {:08x}\n", crc_fast::crc32_iscsi(line.as_bytes()));
    fs::write(&path, &line).unwrap();
    let refusal = Binary::refused(&dir).join("\n");
    assert!(refusal.contains("format 3") && refusal.contains("newer release"), "{refusal}");
    for what in ["check", "repair"] {
        assert_eq!(store(what, dir.path(), false).status.code(), Some(2));
    }
    assert_eq!(fs::read_to_string(&path).unwrap(), line);
}

#[test]
fn a_directory_of_something_else_is_refused_and_left_alone() {
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join("letters.txt"), "mine").unwrap();
    let refusal = Binary::refused(&dir).join("\n");
    assert!(refusal.contains("no data directory"), "{refusal}");
    for what in ["check", "repair"] {
        assert_eq!(store(what, dir.path(), false).status.code(), Some(2));
    }
    let left: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["letters.txt"]);
    assert_eq!(fs::read_to_string(dir.path().join("letters.txt")).unwrap(), "mine");
    let missing: PathBuf = dir.path().join("nowhere");
    let refused = store("check", &missing, false);
    assert_eq!(refused.status.code(), Some(2));
    let said = text(&refused.stderr);
    assert!(said.contains("name the directory that has the data") && !said.contains("made"), "{said}");
    assert!(!missing.exists());
}

#[test]
fn a_file_where_the_directory_should_be_is_told_with_what_to_do() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("letters.txt");
    fs::write(&file, "mine").unwrap();
    for place in [file.clone(), file.join("data")] {
        let refusal = text(
            &Command::new(env!("CARGO_BIN_EXE_lepus"))
                .args(["server", "--listen", "127.0.0.1:0", "--log", "off", "--data-dir"])
                .arg(&place)
                .output()
                .unwrap()
                .stderr,
        );
        let named = refusal.contains(&place.display().to_string());
        assert!(named && refusal.contains("name a directory"), "{refusal}");
    }
}

#[test]
fn a_directory_that_may_not_be_written_is_refused() {
    /// Any user who is not root, who may write everywhere.
    const NOBODY: u32 = 65_534;
    let dir = TempDir::new().unwrap();
    let inside = dir.path().join("data");
    fs::create_dir(&inside).unwrap();
    let program = dir.path().join("lepus");
    fs::copy(env!("CARGO_BIN_EXE_lepus"), &program).unwrap();
    let rights = |path: &Path, mode| {
        fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
    };
    rights(dir.path(), 0o755);
    rights(&inside, 0o555);
    let mut command = Command::new(&program);
    if rustix::process::getuid().is_root() {
        command.uid(NOBODY);
    }
    command.args(["server", "--listen", "127.0.0.1:0", "--log", "off", "--data-dir"]).arg(&inside);
    let output = command.current_dir("/").output().unwrap();
    let refusal = text(&output.stderr);
    assert!(refusal.contains(&inside.display().to_string()) && refusal.contains("rights"), "{refusal}");
}
