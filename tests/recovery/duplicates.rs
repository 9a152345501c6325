//! What exchanges and queues know of duplicates is known after a stop and after a kill.

use tempfile::TempDir;

use crate::binary::Binary;
use crate::messages::persistent;
use crate::support::*;

const HEADER: &str = "x-deduplication-header";

/// Publishes messages that are told apart by their bodies, to `key` at `exchange`; each is confirmed.
struct Publisher {
    exchange: &'static str,
    key: &'static str,
    sent: u64,
}

impl Publisher {
    async fn to(exchange: &'static str, key: &'static str, peer: &mut Peer) -> Self {
        peer.call(1, confirm_select()).await;
        Self { exchange, key, sent: 0 }
    }

    async fn offer(&mut self, peer: &mut Peer, bodies: &[&str]) {
        for body in bodies {
            self.send(peer, persistent(self.exchange, self.key, body).header(HEADER, *body)).await;
        }
    }

    async fn send(&mut self, peer: &mut Peer, message: Content) {
        self.sent += 1;
        peer.publish(1, message).await;
        peer.expect_confirm(1, self.sent).await;
    }
}

/// A durable exchange that remembers three messages, and the durable queue `q` behind it.
async fn declare_exchange_that_remembers(peer: &mut Peer, name: &str, persistence: Option<&str>) {
    let method = declare_exchange(name, "x-message-deduplication").flag("durable").arg("x-cache-size", 3);
    let method = match persistence {
        Some(persistence) => method.arg("x-cache-persistence", persistence),
        None => method,
    };
    peer.call(1, method).await;
    peer.call(1, declare("q").flag("durable")).await;
    peer.call(1, bind("q", name, "")).await;
}

#[tokio::test]
async fn an_exchange_knows_after_a_stop_and_a_kill_what_it_has_seen_last() {
    let dir = TempDir::new().unwrap();
    let broker = Binary::start(&dir);
    let mut peer = broker.channel().await;
    declare_exchange_that_remembers(&mut peer, "x", None).await;
    let mut publisher = Publisher::to("x", "", &mut peer).await;
    publisher.offer(&mut peer, &["a", "b", "c", "d"]).await;
    broker.kill();

    let broker = Binary::start(&dir);
    let mut peer = broker.channel().await;
    let mut publisher = Publisher::to("x", "", &mut peer).await;
    // Of "a" nothing is known: three others came after it.
    publisher.offer(&mut peer, &["d", "b", "c", "a", "a"]).await;
    peer.expect_counts(1, "q", 5, 0).await;
    broker.terminate();

    let broker = Binary::start(&dir);
    let mut peer = broker.channel().await;
    let mut publisher = Publisher::to("x", "", &mut peer).await;
    publisher.offer(&mut peer, &["a", "c", "d", "b"]).await;
    peer.expect_counts(1, "q", 6, 0).await;
    broker.kill();

    let broker = Binary::start(&dir);
    let mut peer = broker.channel().await;
    for body in ["a", "b", "c", "d", "a", "b"] {
        peer.expect_get(1, "q", body).await;
    }
    peer.expect_empty(1, "q").await;
}

#[tokio::test]
async fn of_many_an_exchange_knows_as_many_as_it_may_over_kills() {
    let dir = TempDir::new().unwrap();
    let all: Vec<String> = (0..500).map(|number| number.to_string()).collect();
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    for round in 0..3_usize {
        let broker = Binary::start(&dir);
        let mut peer = broker.channel().await;
        declare_exchange_that_remembers(&mut peer, "x", Some("disk")).await;
        let mut publisher = Publisher::to("x", "", &mut peer).await;
        let last = (round * 100).saturating_sub(3);
        // The last three of the round before are known, what comes then is new.
        publisher.offer(&mut peer, &all[last..(round + 1) * 100]).await;
        peer.expect_counts(1, "q", 100 * (round as u64 + 1), 0).await;
        broker.kill();
    }
}

#[tokio::test]
async fn a_message_that_is_not_kept_is_new_after_a_kill() {
    let dir = TempDir::new().unwrap();
    let broker = Binary::start(&dir);
    let mut peer = broker.channel().await;
    declare_exchange_that_remembers(&mut peer, "x", None).await;
    let mut publisher = Publisher::to("x", "", &mut peer).await;
    publisher.send(&mut peer, publish("x", "", "transient").header(HEADER, "t")).await;
    let short = persistent("x", "", "over").header(HEADER, "s").header("x-cache-ttl", 1);
    publisher.send(&mut peer, short.clone()).await;
    broker.kill();

    let broker = Binary::start(&dir);
    let mut peer = broker.channel().await;
    let mut publisher = Publisher::to("x", "", &mut peer).await;
    publisher.send(&mut peer, persistent("x", "", "again").header(HEADER, "t")).await;
    publisher.send(&mut peer, short).await;
    for body in ["over", "again", "over"] {
        peer.expect_get(1, "q", body).await;
    }
    peer.expect_empty(1, "q").await;
}

#[tokio::test]
async fn an_exchange_that_is_to_remember_in_memory_or_is_another_has_seen_nothing() {
    let dir = TempDir::new().unwrap();
    let broker = Binary::start(&dir);
    let mut peer = broker.channel().await;
    declare_exchange_that_remembers(&mut peer, "volatile", Some("memory")).await;
    declare_exchange_that_remembers(&mut peer, "x", None).await;
    let mut publisher = Publisher::to("volatile", "", &mut peer).await;
    publisher.offer(&mut peer, &["a"]).await;
    publisher.exchange = "x";
    publisher.offer(&mut peer, &["a"]).await;
    peer.call(1, delete_exchange("x")).await;
    declare_exchange_that_remembers(&mut peer, "x", None).await;
    broker.kill();

    let broker = Binary::start(&dir);
    let mut peer = broker.channel().await;
    let mut publisher = Publisher::to("x", "", &mut peer).await;
    publisher.offer(&mut peer, &["a", "a"]).await;
    publisher.exchange = "volatile";
    publisher.offer(&mut peer, &["a", "a"]).await;
    peer.expect_counts(1, "q", 4, 0).await;
}

#[tokio::test]
async fn what_a_transaction_showed_an_exchange_is_known_after_a_kill() {
    let dir = TempDir::new().unwrap();
    let broker = Binary::start(&dir);
    let mut peer = broker.channel().await;
    declare_exchange_that_remembers(&mut peer, "x", None).await;
    peer.call(1, tx_select()).await;
    for body in ["a", "a", "b"] {
        peer.publish(1, persistent("x", "", body).header(HEADER, body)).await;
    }
    peer.call(1, commit()).await;
    peer.publish(1, persistent("x", "", "a").header(HEADER, "a")).await;
    peer.call(1, commit()).await;
    broker.kill();

    let broker = Binary::start(&dir);
    let mut peer = broker.channel().await;
    let mut publisher = Publisher::to("x", "", &mut peer).await;
    publisher.offer(&mut peer, &["b", "a", "c"]).await;
    peer.expect_counts(1, "q", 3, 0).await;
}

#[tokio::test]
async fn a_queue_knows_after_a_stop_and_a_kill_which_messages_it_has() {
    let dir = TempDir::new().unwrap();
    let broker = Binary::start(&dir);
    let mut peer = broker.channel().await;
    peer.call(1, declare("q").flag("durable").arg("x-message-deduplication", true)).await;
    let many: Vec<String> = (0..300).map(|number| number.to_string()).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    Publisher::to("", "q", &mut peer).await.offer(&mut peer, &many).await;
    broker.terminate();

    let broker = Binary::start(&dir);
    let mut peer = broker.channel().await;
    let mut publisher = Publisher::to("", "q", &mut peer).await;
    publisher.offer(&mut peer, &["299", "new", "0"]).await;
    peer.expect_counts(1, "q", 301, 0).await;
    let got = peer.expect_get(1, "q", "0").await;
    peer.send(1, ack(got.delivery_tag())).await;
    // Held when the broker is killed: it is there.
    peer.expect_get(1, "q", "1").await;
    publisher.offer(&mut peer, &["barrier"]).await;
    broker.kill();

    let broker = Binary::start(&dir);
    let mut peer = broker.channel().await;
    let mut publisher = Publisher::to("", "q", &mut peer).await;
    publisher.offer(&mut peer, &["1", "new", "0", "0"]).await;
    peer.expect_counts(1, "q", 302, 0).await;
}

#[tokio::test]
async fn a_queue_knows_after_a_kill_what_waits_in_it_and_how_much_room_that_takes() {
    let dir = TempDir::new().unwrap();
    let broker = Binary::start(&dir);
    let mut peer = broker.channel().await;
    let method = declare("q").flag("durable").arg("x-message-deduplication", true);
    let method = method.arg("x-max-length-bytes", 4_000).arg("x-overflow", "reject-publish");
    peer.call(1, method.arg("x-delayed-retry-min", 3_600_000)).await;
    let mut publisher = Publisher::to("", "q", &mut peer).await;
    // Few are near, the others are in slots: these are on disk only after a start.
    let waiting: Vec<String> = (0..600).map(|number| format!("{number:05}")).collect();
    let later = |body: &str| persistent("", "q", body).header("x-delay", 3_600_000).header(HEADER, body);
    for body in &waiting {
        peer.publish(1, later(body)).await;
    }
    peer.expect_confirms(1, 1, 600).await;
    publisher.sent = 600;
    publisher.offer(&mut peer, &["retried"]).await;
    let retried = peer.expect_get(1, "q", "retried").await;
    peer.send(1, nack(retried.delivery_tag()).flag("requeue")).await;
    // When this is confirmed all before it is on disk.
    publisher.send(&mut peer, later("00600")).await;
    broker.kill();

    let broker = Binary::start(&dir);
    let mut peer = broker.channel().await;
    let mut publisher = Publisher::to("", "q", &mut peer).await;
    for known in ["00000", "00300", "00600", "retried"] {
        publisher.offer(&mut peer, &[known]).await;
    }
    peer.expect_counts(1, "q", 0, 0).await;
    // 3,012 octets wait.
    let large = "x".repeat(980);
    publisher.offer(&mut peer, &[&large]).await;
    peer.publish(1, persistent("", "q", "that is too much").header(HEADER, "other")).await;
    peer.expect(1, "basic.nack").await;
    peer.expect_get(1, "q", &large).await;
}
