//! A disk without room: publishers are told and wait, consumers go on, nothing that was confirmed is lost, and nothing
//! ends the broker.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use crate::binary::{BINARY, Binary};
use crate::faulty::FaultyDisk;
use crate::support::*;

/// Octets of the small disk: four files of the log, and some room for what does not fit into them.
const DISK_LEN: u64 = 420_000_000;

/// What the small disk is to have left. With none at all, the log's own alarm is the only one.
const FREE_LIMIT: &str = "20MB";
const NO_FREE_LIMIT: &str = "0";

/// Octets of a file of the log.
const LOG_FILE_LEN: u64 = 64 << 20;

/// Octets of a message.
const BODY_LEN: usize = 64 * 1024;

/// How long a disk that is busy being filled may leave a publisher without an answer.
const SLOW_DISK: Duration = Duration::from_secs(60);

/// Messages that may be unconfirmed.
const WINDOW: u64 = 16;

/// Mounts the disk, says so, and holds it until its input ends.
const MOUNT_IMAGE: &str =
    "mkfs.ext4 -q -m 0 image && mount -o loop image mounted && echo mounted && exec cat";
const MOUNT_MEMORY: &str = "mount -t tmpfs -o size=LEN tmpfs mounted && echo mounted && exec cat";

/// A small file system that goes with the process that holds it: nobody else sees it.
struct SmallDisk {
    dir: TempDir,
    holder: Child,
    /// Its kind and what enters the holder's namespaces.
    kind: &'static str,
    enter: &'static [&'static str],
}

impl SmallDisk {
    /// ext4 in a file where loop devices can be mounted, else memory where users may mount that. `None` where neither
    /// can be; the log of the test says which it was.
    fn new() -> Option<Self> {
        let image = || Self::mount("ext4", &["-m"], MOUNT_IMAGE, &["-m"]);
        let memory = || Self::mount("tmpfs", &["-m"], MOUNT_MEMORY, &["-m"]);
        let of_user = &["-U", "-m", "--preserve-credentials"];
        let own_memory = || Self::mount("tmpfs of a user's", &["-Urm"], MOUNT_MEMORY, of_user);
        let disk = image().or_else(memory).or_else(own_memory);
        match &disk {
            Some(disk) => tell(&format!("the full disk is {}", disk.kind)),
            None => tell("SKIPPED: no small disk can be mounted here; only simulated ones have been full"),
        }
        disk
    }

    fn mount(
        kind: &'static str,
        apart: &[&str],
        script: &str,
        enter: &'static [&'static str],
    ) -> Option<Self> {
        let dir = TempDir::new().unwrap();
        File::create(dir.path().join("image")).unwrap().set_len(DISK_LEN).unwrap();
        std::fs::create_dir(dir.path().join("mounted")).unwrap();
        let script = script.replace("LEN", &DISK_LEN.to_string());
        let mut command = Command::new("unshare");
        command.args(apart).args(["sh", "-c", &script]).current_dir(dir.path());
        let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut holder = piped.spawn().ok()?;
        let mut line = String::new();
        BufReader::new(holder.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let disk = Self { dir, holder, kind, enter };
        (line == "mounted\n").then_some(disk)
    }

    fn broker(&self, free_limit: &str) -> Binary {
        let mut command = Command::new("nsenter");
        command.args(["-t", &self.holder.id().to_string()]).args(self.enter).arg(BINARY);
        command.env("LEPUS_DISK_FREE_LIMIT", free_limit);
        Binary::start_by(command, &self.dir.path().join("mounted/data"))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _gone = self.holder.kill();
        let _reaped = self.holder.wait();
    }
}

/// Says it past the test's captured output: whoever reads a green run is to know what it stands for.
fn tell(what: &str) {
    std::io::stderr().write_all(format!("full_disk: {what}\n").as_bytes()).unwrap();
}

fn numbered(number: u64) -> Content {
    let mut content = publish("", "q", "").property("delivery-mode", 2);
    content.body = vec![b'.'; BODY_LEN];
    content.body[..8].copy_from_slice(&number.to_be_bytes());
    content
}

fn number(content: &Content) -> u64 {
    u64::from_be_bytes(content.body[..8].try_into().unwrap())
}

/// Publishes from 1 on until the broker says that it has no room. Returns the last number that was confirmed.
async fn fill(peer: &mut Peer) -> u64 {
    let (mut sent, mut confirmed) = (0, 0);
    peer.patience = SLOW_DISK;
    peer.call(1, confirm_select()).await;
    loop {
        while sent < confirmed + WINDOW {
            sent += 1;
            peer.publish(1, numbered(sent)).await;
        }
        let method = Method::decode(&peer.expect_frame().await.payload).unwrap();
        match method.name {
            "basic.ack" => confirmed = method.number("delivery-tag"),
            "connection.blocked" => {
                assert_eq!(method.text("reason"), "low on disk");
                return confirmed;
            }
            other => peer.fail(format!("expected an ack, not {other}")),
        }
    }
}

/// Publishes to another queue until the broker says that it has no room.
async fn publish_until_blocked(peer: &mut Peer) {
    peer.patience = SLOW_DISK;
    peer.call(1, confirm_select()).await;
    loop {
        let content =
            Content { body: vec![b'.'; BODY_LEN], ..publish("", "other", "").property("delivery-mode", 2) };
        peer.publish(1, content).await;
        match Method::decode(&peer.expect_frame().await.payload).unwrap().name {
            "basic.ack" => {}
            "connection.blocked" => return,
            other => peer.fail(format!("expected an ack, not {other}")),
        }
    }
}

/// Takes what is in the queue, in order, up to `last` at least.
async fn drain(peer: &mut Peer, last: u64) {
    drain_queue(peer, "q", last).await;
}

async fn drain_queue(peer: &mut Peer, queue: &str, last: u64) {
    peer.call(1, qos(100)).await;
    peer.call(1, consume(queue, "c")).await;
    for expected in 1..=last {
        let content = peer.expect_content(1, "basic.deliver").await;
        peer.same("message", &number(&content), &expected);
        peer.send(1, ack(content.delivery_tag())).await;
    }
}

#[tokio::test]
async fn a_full_disk_blocks_publishers_until_it_is_drained_and_a_kill_there_loses_nothing() {
    fill_kill_and_drain(FREE_LIMIT).await;
}

#[tokio::test]
async fn a_log_without_room_does_the_same_where_no_free_space_is_asked_for() {
    fill_kill_and_drain(NO_FREE_LIMIT).await;
}

async fn fill_kill_and_drain(free_limit: &str) {
    let Some(disk) = SmallDisk::new() else { return };
    let broker = disk.broker(free_limit);
    let mut publisher = broker.channel().await;
    publisher.call(1, declare("q").flag("durable")).await;
    publisher.call(1, declare("other").flag("durable")).await;
    let confirmed = fill(&mut publisher).await;
    assert!(confirmed * BODY_LEN as u64 > DISK_LEN / 3, "{confirmed} messages are too few to fill the disk");
    assert!(broker.nodes().await.contains("\"disk_free_alarm\":true"));
    broker.kill();

    let broker = disk.broker(free_limit);
    let mut publisher = broker.channel().await;
    publisher.patience = SLOW_DISK;
    publish_until_blocked(&mut publisher).await;
    drain(&mut broker.channel().await, confirmed).await;
    // The last publish was read before the alarm, or is read now.
    let mut frames = [publisher.expect_frame().await, publisher.expect_frame().await]
        .map(|frame| Method::decode(&frame.payload).unwrap().name);
    frames.sort_unstable();
    publisher.same("what follows", &frames, &["basic.ack", "connection.unblocked"]);
    assert!(broker.nodes().await.contains("\"disk_free_alarm\":false"));
}

#[tokio::test]
async fn a_log_that_cannot_get_its_second_file_is_an_alarm_until_it_can() {
    let Some(disk) = FaultyDisk::new() else { return };
    let dir = TempDir::new().unwrap();
    let broker = Binary::start_on(&dir, |command| disk.put_under(command));
    let mut publisher = broker.channel().await;
    publisher.call(1, declare("q").flag("durable")).await;
    disk.ask("packed-messages");
    let confirmed = fill(&mut publisher).await;
    assert!(
        confirmed * BODY_LEN as u64 > LOG_FILE_LEN / 2,
        "{confirmed} messages are too few to fill the log"
    );
    disk.relent("packed-messages");
    let last = confirmed + WINDOW;
    let (mut is_blocked, mut acked) = (true, confirmed);
    while is_blocked || acked < last {
        let method = Method::decode(&publisher.expect_frame().await.payload).unwrap();
        match method.name {
            "basic.ack" => acked = method.number("delivery-tag"),
            "connection.unblocked" => is_blocked = false,
            other => publisher.fail(format!("expected an ack, not {other}")),
        }
    }
    broker.kill();
    drain(&mut Binary::start(&dir).channel().await, last).await;
}

#[tokio::test]
async fn a_start_without_room_says_so_and_one_that_needs_none_begins() {
    let Some(disk) = FaultyDisk::new() else { return };
    for (asked, file) in [("packed-messages", "messages/wal/"), ("packed-meta", "meta/definitions.redb")] {
        let new = TempDir::new().unwrap();
        disk.ask(asked);
        let line = Binary::refused_on(&new, |command| disk.put_under(command)).concat();
        assert!(line.contains(file) && line.contains("No space left"), "{asked}: {line}");
        disk.relent(asked);
        drop(Binary::start(&new));
    }
    let dir = TempDir::new().unwrap();
    let broker = Binary::start_on(&dir, |command| disk.put_under(command));
    broker.channel().await.call(1, declare("q").flag("durable")).await;
    broker.kill();
    disk.ask("packed-messages");
    disk.ask("packed-meta");
    let broker = Binary::start_on(&dir, |command| disk.put_under(command));
    broker.channel().await.call(1, passive("q")).await;
}

#[tokio::test]
async fn transient_messages_stay_in_memory_while_the_disk_has_no_room_and_leave_it_then() {
    const KEPT: u64 = 32;
    const TRANSIENT: u64 = 80;
    let Some(disk) = FaultyDisk::new() else { return };
    let dir = TempDir::new().unwrap();
    let broker = Binary::start_on(&dir, |command| {
        disk.put_under(command);
        command.env("LEPUS_MESSAGE_MEMORY", "1MB").env("LEPUS_MEMORY_LIMIT", "4MB");
    });
    let mut publisher = broker.channel().await;
    for queue in ["q", "t"] {
        publisher.call(1, declare(queue).flag("durable")).await;
    }
    publisher.call(1, confirm_select()).await;
    for sent in 1..=KEPT {
        publisher.publish(1, numbered(sent)).await;
        publisher.expect_confirm(1, sent).await;
    }
    disk.ask("packed-spill");
    let mut transient = broker.channel().await;
    for sent in 1..=TRANSIENT {
        let content = Content { body: numbered(sent).body, ..publish("", "t", "") };
        transient.publish(1, content).await;
    }
    transient.expect(0, "connection.blocked").await;
    // What is on disk is read meanwhile: nobody who reads waits for room.
    drain(&mut broker.channel().await, KEPT).await;
    disk.relent("packed-spill");
    transient.expect(0, "connection.unblocked").await;
    drain_queue(&mut broker.channel().await, "t", TRANSIENT).await;
}

#[tokio::test]
async fn definitions_that_do_not_fit_are_refused_and_those_under_way_wait_for_room() {
    let Some(disk) = FaultyDisk::new() else { return };
    let dir = TempDir::new().unwrap();
    let broker = Binary::start_on(&dir, |command| disk.put_under(command));
    let mut waiting = broker.channel().await;
    waiting.call(1, declare("before").flag("durable")).await;
    disk.ask("full-meta");
    waiting.send(1, declare("waits").flag("durable")).await;
    // From the alarm on it is known that there is no room.
    let mut publisher = broker.channel().await;
    publisher.publish(1, publish("", "before", "")).await;
    publisher.expect(0, "connection.blocked").await;
    let mut other = broker.channel().await;
    let text = "PRECONDITION_FAILED - cannot declare queue 'refused' in vhost '/': the disk is full";
    other.expect_refusal(1, declare("refused").flag("durable"), 406, text).await;
    other.open(2).await;
    other.call(2, declare("transient")).await;
    other.call(2, passive("before")).await;
    disk.relent("full-meta");
    waiting.expect(1, "queue.declare-ok").await;
    publisher.expect(0, "connection.unblocked").await;
    other.call(2, declare("accepted").flag("durable")).await;
    broker.kill();

    let broker = Binary::start(&dir);
    let mut peer = broker.channel().await;
    for queue in ["before", "waits", "accepted"] {
        peer.call(1, passive(queue)).await;
    }
    peer.expect_refusal(1, passive("refused"), 404, "NOT_FOUND - no queue 'refused' in vhost '/'").await;
}
