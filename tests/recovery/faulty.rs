//! The binary on a disk that fails when it is told to (`disk.c`).

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use tempfile::TempDir;

/// How long reads may be in coming.
const HELD_MAX: Duration = Duration::from_secs(30);

/// A disk under the test's command.
pub(crate) struct FaultyDisk {
    library: PathBuf,
    asked: TempDir,
}

impl FaultyDisk {
    /// `None`, and a line that says why, where there is no C compiler or nothing can be loaded into the binary.
    pub(crate) fn new() -> Option<Self> {
        let library = library()?;
        let disk = Self { library, asked: TempDir::new().unwrap() };
        // A binary that is linked statically, or for another libc, does not load it.
        let mut probe = Command::new(env!("CARGO_BIN_EXE_lepus"));
        probe.arg("--version");
        disk.put_under(&mut probe);
        assert!(probe.output().unwrap().status.success());
        if !disk.asked.path().join("loaded").exists() {
            println!("skipped: nothing can be loaded into the broker's binary");
            return None;
        }
        Some(disk)
    }

    /// Has a process use this disk.
    pub(crate) fn put_under(&self, command: &mut Command) {
        command.env("LD_PRELOAD", &self.library).env("LEPUS_TEST_DISK", self.asked.path());
    }

    /// From now on, `what`: see `disk.c`.
    pub(crate) fn ask(&self, what: &str) {
        File::create(self.asked.path().join(what)).unwrap();
    }

    /// The process is to be killed at this sync of a file below this part of the data directory, counted from 0.
    pub(crate) fn kill_at(&self, part: &str, sync: usize) {
        fs::write(self.asked.path().join("kill-at"), sync.to_string()).unwrap();
        self.ask(&format!("kill-{part}"));
    }

    /// What was synced since `trace` was asked for.
    pub(crate) fn synced(&self) -> Vec<PathBuf> {
        let synced = fs::read_to_string(self.asked.path().join("synced")).unwrap();
        synced.lines().map(PathBuf::from).collect()
    }

    /// Waits until so many threads wait for reads (`unread`).
    pub(crate) async fn holds_reads(&self, count: usize) {
        let is_held = |entry: &fs::DirEntry| entry.file_name().to_string_lossy().starts_with("held-");
        let held =
            || fs::read_dir(self.asked.path()).unwrap().filter(|entry| is_held(entry.as_ref().unwrap()));
        let reached = async {
            while held().count() < count {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(HELD_MAX, reached).await.expect("too few reads");
    }

    /// No longer.
    pub(crate) fn relent(&self, what: &str) {
        fs::remove_file(self.asked.path().join(what)).unwrap();
    }
}

/// The compiled library, made once.
fn library() -> Option<PathBuf> {
    static LIBRARY: OnceLock<Option<PathBuf>> = OnceLock::new();
    LIBRARY.get_or_init(compile).clone()
}

fn compile() -> Option<PathBuf> {
    if !cfg!(target_os = "linux") {
        println!("skipped: disk.c is for Linux");
        return None;
    }
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/recovery/disk.c");
    let library = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("disk-{}.so", std::process::id()));
    let made = Command::new("cc").args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(source).output();
    match made {
        Ok(made) => {
            assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
            Some(library)
        }
        Err(error) => {
            println!("skipped: cc cannot be run: {error}");
            None
        }
    }
}
