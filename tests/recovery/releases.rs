//! Data directories that earlier releases have left: they open with today's code, and everything is in them.
//!
//! `releases/<release>/<end>.tar.gz` is a directory, `<end>.txt` beside it says what must be found there.
//! CONTRIBUTING.md has the command that makes those of this release.

use std::fs::{self, File};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use lepus::auth::LoginRules;
use lepus::broker::{Broker, DataDir, FirstUser, MemoryLimits, upkeep};
use lepus::clock::Clock;
use lepus::storage::Options;
use tempfile::TempDir;

use crate::release_content::{describe, fill, messages};

/// Octets that are left out if they are zeros.
const HOLE: usize = 4096;

/// How the broker ended that left a directory.
const ENDS: [&str; 2] = ["stopped", "killed"];

fn releases() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recovery/releases")
}

fn open(dir: &Path, options: Option<Options>) -> Arc<Broker> {
    let data =
        options.map_or_else(|| DataDir::open(dir, 0), |options| DataDir::open_with(dir, options)).unwrap();
    let memory = MemoryLimits { alarm: u64::MAX, messages: 64 << 20 };
    Broker::new(LoginRules::default(), &FirstUser::default(), Clock::start(), memory, Some(data)).unwrap()
}

/// Everything in a directory, as lines. Its messages are taken out.
fn everything(broker: &Arc<Broker>) -> String {
    let mut lines = describe(broker);
    lines.extend(messages(broker));
    lines.join("\n") + "\n"
}

/// Copies a directory; what is zero is left out of the copies.
fn snapshot(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            snapshot(&entry.path(), &target);
            continue;
        }
        let octets = fs::read(entry.path()).unwrap();
        let mut file = File::create(target).unwrap();
        file.set_len(octets.len() as u64).unwrap();
        for (at, piece) in octets.chunks(HOLE).enumerate().filter(|(_, piece)| piece.iter().any(|&o| o != 0))
        {
            file.seek(SeekFrom::Start((at * HOLE) as u64)).unwrap();
            file.write_all(piece).unwrap();
        }
    }
}

fn pack(dir: &Path, archive: &Path) {
    let mut tar = tar::Builder::new(GzEncoder::new(File::create(archive).unwrap(), Compression::best()));
    tar.append_dir_all(".", dir).unwrap();
    tar.into_inner().unwrap().finish().unwrap().sync_all().unwrap();
}

fn unpack(archive: &Path) -> TempDir {
    let dir = TempDir::new().unwrap();
    tar::Archive::new(GzDecoder::new(File::open(archive).unwrap())).unpack(dir.path()).unwrap();
    dir
}

#[tokio::test(flavor = "multi_thread")]
async fn what_earlier_releases_have_left_is_all_there() {
    let mut found = 0;
    for release in fs::read_dir(releases()).unwrap().map(|entry| entry.unwrap().path()) {
        for end in ENDS {
            let dir = unpack(&release.join(format!("{end}.tar.gz")));
            let expected = fs::read_to_string(release.join(format!("{end}.txt"))).unwrap();
            let what = format!("{}, {end}", release.display());
            let checked = upkeep::check(dir.path()).unwrap();
            assert!(checked.is_sound(), "{what}: {checked:?}");
            let broker = open(dir.path(), None);
            similar(&everything(&broker), &expected, &what);
            broker.flush().await;
            drop(broker);
            // And it is today's directory from then on.
            let without = |line: &&str| !line.starts_with("message ") && !line.starts_with("dead letter ");
            let definitions: Vec<&str> = expected.lines().filter(without).collect();
            assert_eq!(everything(&open(dir.path(), None)), definitions.join("\n") + "\n", "{what}");
            found += 1;
        }
    }
    assert!(found > 0);
}

/// Compares line by line, so that a failure is read easily.
fn similar(found: &str, expected: &str, what: &str) {
    for (at, (found, expected)) in found.lines().zip(expected.lines()).enumerate() {
        assert_eq!(found, expected, "{what}, line {}", at + 1);
    }
    assert_eq!(found.lines().count(), expected.lines().count(), "{what}: lines");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_this_release_leaves_is_all_there() {
    let made = TempDir::new().unwrap();
    for end in ENDS {
        let (archive, expected) = leave(end, made.path()).await;
        let dir = unpack(&archive);
        let checked = upkeep::check(dir.path()).unwrap();
        assert!(checked.is_sound(), "{end}: {checked:?}");
        similar(&everything(&open(dir.path(), None)), &expected, end);
    }
    if std::env::var_os("LEPUS_KEEP_RELEASE").is_some() {
        keep(made.path(), &releases().join(env!("CARGO_PKG_VERSION")));
    }
}

/// Fills a directory, ends the broker in one of the ways, and makes an archive and its description in `folder`. Returns
/// both.
async fn leave(end: &str, folder: &Path) -> (PathBuf, String) {
    let dir = TempDir::new().unwrap();
    // A log so short that messages move on to segments. The other one has today's lengths.
    let short = Options { log_file_len: 64 << 10, log_files: 5, carry_len: 2 << 10, ..Options::default() };
    let is_short = end == "killed";
    let broker = open(dir.path(), is_short.then_some(short));
    let expected = fill(&broker).await;
    broker.flush().await;
    while is_short && !has_segment(dir.path()) {
        std::thread::yield_now();
    }
    let copy = TempDir::new().unwrap();
    if end == "stopped" {
        broker.close().unwrap();
        drop(broker);
    }
    // Of one that still runs: as a kill would leave it.
    snapshot(dir.path(), copy.path());
    let archive = folder.join(format!("{end}.tar.gz"));
    pack(copy.path(), &archive);
    fs::write(folder.join(format!("{end}.txt")), &expected).unwrap();
    (archive, expected)
}

/// Keeps what was made as what this release leaves.
fn keep(made: &Path, folder: &Path) {
    assert!(!folder.exists(), "{} is there: what a release leaves is kept once", folder.display());
    fs::create_dir(folder).unwrap();
    for entry in fs::read_dir(made).unwrap().map(Result::unwrap) {
        let octets = fs::copy(entry.path(), folder.join(entry.file_name())).unwrap();
        println!("{}: {octets} octets", folder.join(entry.file_name()).display());
    }
}

fn has_segment(dir: &Path) -> bool {
    let mut files = fs::read_dir(dir.join("messages/queues")).unwrap().map(|entry| entry.unwrap().path());
    let checkpoints = fs::read_dir(dir.join("messages/checkpoint")).unwrap().count();
    files.any(|path| path.extension().is_some_and(|ending| ending == "seg")) && checkpoints > 0
}
