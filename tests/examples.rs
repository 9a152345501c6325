//! Runs every program in `examples/` against a broker: each checks its own promise and exits non-zero if it is broken;
//! here its exit status and the lines a reader should see are checked.
#![expect(clippy::expect_used, reason = "a test that cannot run its program fails")]

#[path = "lapin/broker.rs"]
mod broker;

use broker::Broker;
use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::Once,
    time::Duration,
};
use tokio::{task::spawn_blocking, time::timeout};

const GENEROUS: Duration = Duration::from_secs(120);

macro_rules! examples {
    ($($name:ident prints $lines:expr;)+) => {
        const TESTED: &[&str] = &[$(stringify!($name)),+];

        $(
            #[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                run(stringify!($name), &$lines).await;
            }
        )+
    };
}

examples! {
    first_message prints [
        "promise kept: the broker confirmed the message",
        "received: Hello, Lepus!",
        "promise kept: nothing is left in the queue",
    ];
    work_queue prints [
        "carol  did  3 jobs",
        "jobs published: 60, done: 60, lost: 0",
        "promise kept: no job was done twice",
        "promise kept: the dead worker's job came flagged redelivered",
    ];
    email_fanout prints [
        "sms failed for ada at attempt 1",
        "e-mail           1      1      1",
        "audit            1      1      1",
        "promise kept: the other four served every user at the first attempt",
        "promise kept: sms was retried until it had served every user",
    ];
    flash_sale prints [
        "500 orders: 120 sold, 380 told \"sold out\"",
        "promise kept: exactly the stock was sold",
        "promise kept: every confirmed order was booked, and no refused one",
        "promise kept: no order is left behind",
    ];
    topic_logs prints [
        "promise kept: the archive got exactly its lines",
        "promise kept: the pager got exactly its lines",
        "promise kept: the storage team got exactly its lines",
    ];
    rpc prints [
        "caller: 8 requests in flight",
        "promise kept: every request got its own answer, once",
    ];
}

#[test]
fn every_example_has_a_test() {
    let programs: BTreeSet<_> = sources().iter().map(|source| stem(source)).collect();
    let tested: BTreeSet<_> = TESTED.iter().map(|name| (*name).to_owned()).collect();
    assert_eq!(programs, tested, "programs in examples/ (left), tests in tests/examples.rs (right)");
}

/// Every example, as `cargo` finds them: `NAME.rs` and `NAME/main.rs`.
fn sources() -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory()).expect("examples/ can be listed");
    let paths = entries.map(|entry| entry.expect("examples/ can be listed").path());
    paths
        .filter(|path| path.extension().is_some_and(|e| e == "rs") || path.join("main.rs").exists())
        .collect()
}

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples")
}

fn stem(path: &Path) -> String {
    path.file_stem().expect("a file has a name").to_string_lossy().into_owned()
}

async fn run(name: &'static str, lines: &[&str]) {
    let broker = Broker::start().await;
    let uri = broker.uri();
    let execution = spawn_blocking(move || execute(name, &uri));
    let output = timeout(GENEROUS, execution).await.expect("the example ends by itself").expect("it ran");
    broker.stop().await;

    let stdout = String::from_utf8_lossy(&output.stdout);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name}: {}\n{stdout}\n{stderr}", output.status);
    for line in lines {
        assert!(stdout.contains(line), "{name} did not print {line:?} but:\n{stdout}");
    }
}

fn execute(name: &str, uri: &str) -> Output {
    let program = program(name);
    Command::new(&program).env("LEPUS_URI", uri).output().expect("the example can be executed")
}

/// The built example: cargo puts the examples beside the folder of this test's executable.
fn program(name: &str) -> PathBuf {
    let profile = profile_directory();
    let program = profile.join("examples").join(name).with_extension(std::env::consts::EXE_EXTENSION);
    if is_stale(&program, name) {
        build_once(&profile);
    }
    program
}

/// `target/debug` or its like.
fn profile_directory() -> PathBuf {
    let test = std::env::current_exe().expect("a test has an executable");
    test.ancestors().nth(2).expect("the executable is in target/PROFILE/deps").to_owned()
}

/// `cargo test` builds the examples before it runs the tests, but `cargo test --test examples` does not.
fn is_stale(program: &Path, name: &str) -> bool {
    let modified = |path: &Path| std::fs::metadata(path).and_then(|metadata| metadata.modified()).ok();
    modified(program) < modified(&directory().join(name).with_extension("rs"))
}

fn build_once(profile: &Path) {
    static BUILT: Once = Once::new();
    BUILT.call_once(|| {
        let profile = match stem(profile).as_str() {
            "debug" => "dev".to_owned(),
            other => other.to_owned(),
        };
        let status = Command::new(env!("CARGO"))
            .args(["build", "--examples", "--profile", &profile])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .status();
        assert!(status.expect("cargo can be executed").success(), "the examples build");
    });
}
