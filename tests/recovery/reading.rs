//! Messages on a disk that takes its time to read them.

use std::thread::available_parallelism;

use tempfile::TempDir;

use crate::binary::Binary;
use crate::faulty::FaultyDisk;
use crate::messages::persistent;
use crate::support::*;

/// Threads that read, at most.
const READERS_MAX: usize = 4;

#[tokio::test]
async fn who_gets_messages_from_a_slow_disk_holds_up_nobody_else() {
    let Some(disk) = FaultyDisk::new() else { return };
    let dir = TempDir::new().unwrap();
    // One more than the broker has threads for connections.
    let cores = available_parallelism().unwrap().get();
    let queues: Vec<String> = (0..=cores).map(|number| format!("q{number}")).collect();
    let broker = Binary::start(&dir);
    let mut peer = broker.channel().await;
    peer.call(1, confirm_select()).await;
    for (tag, queue) in (1..).step_by(2).zip(&queues) {
        peer.call(1, declare(queue).flag("durable")).await;
        // The first of them is read at the start, to know when it expires.
        peer.publish(1, persistent("", queue, &"first".repeat(1000))).await;
        peer.publish(1, persistent("", queue, "second")).await;
        peer.expect_confirms(1, tag, tag + 1).await;
    }
    broker.kill();

    let broker = Binary::start_on(&dir, |command| disk.put_under(command));
    let mut other = broker.channel().await;
    let mut getters = Vec::new();
    for _ in &queues {
        getters.push(broker.channel().await);
    }
    disk.ask("unread-messages");
    for (getter, queue) in getters.iter_mut().zip(&queues) {
        for _ in 0..3 {
            getter.send(1, get(queue)).await;
        }
    }
    disk.holds_reads(cores.min(READERS_MAX)).await;
    other.call(1, declare("other")).await;
    disk.relent("unread-messages");
    for getter in &mut getters {
        getter.expect_content(1, "basic.get-ok").await;
        let content = getter.expect_content(1, "basic.get-ok").await;
        getter.same("body", &content.body, &b"second".to_vec());
        getter.expect(1, "basic.get-empty").await;
    }
}
