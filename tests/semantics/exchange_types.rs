//! The exchange types that RabbitMQ adds to the specification's.

use crate::support::*;

/// Declares an exchange of this type that goes with its last binding.
async fn exchange(peer: &mut Peer, kind: &str) -> String {
    let x = unique("x");
    peer.call(1, declare_exchange(&x, kind).flag("auto-delete")).await;
    x
}

/// Declares an exclusive queue.
async fn queue(peer: &mut Peer) -> String {
    let q = unique("q");
    peer.call(1, declare(&q).flag("exclusive")).await;
    q
}

/// Declares exclusive queues with one binding each.
async fn bound_queues(peer: &mut Peer, x: &str, keys: &[&str]) -> Vec<String> {
    let mut queues = Vec::new();
    for key in keys {
        let q = queue(peer).await;
        peer.call(1, bind(&q, x, key)).await;
        queues.push(q);
    }
    queues
}

/// Publishes and returns which of the queues each message went to.
async fn placement(peer: &mut Peer, x: &str, queues: &[String], contents: Vec<Content>) -> Vec<usize> {
    let mut placement = Vec::new();
    peer.call(1, confirm_select()).await;
    for content in contents {
        peer.publish(1, content).await;
        peer.expect(1, "basic.ack").await;
        let mut reached = Vec::new();
        for (number, q) in queues.iter().enumerate() {
            if peer.call(1, purge(q)).await.number("message-count") > 0 {
                reached.push(number);
            }
        }
        peer.same(&format!("queues of {x} that got the message"), &reached.len(), &1);
        placement.push(reached[0]);
    }
    placement
}

fn by_keys(x: &str) -> Vec<Content> {
    (0..40).map(|key| publish(x, &format!("key-{key}"), "hello")).collect()
}

#[tokio::test]
async fn a_consistent_hash_sends_equal_keys_to_one_queue_each() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    let x = exchange(&mut peer, "x-consistent-hash").await;
    let queues = bound_queues(&mut peer, &x, &["10", "10", "20"]).await;
    let first = placement(&mut peer, &x, &queues, by_keys(&x)).await;
    assert!((0..3).all(|queue| first.contains(&queue)), "{first:?}");
    let second = placement(&mut peer, &x, &queues, by_keys(&x)).await;
    peer.same("placement", &second, &first);
}

#[tokio::test]
async fn a_consistent_hash_moves_only_what_a_queue_that_left_had() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    if broker.is_rabbitmq_3() {
        // It moves more: buckets are numbered anew.
        return;
    }
    let x = exchange(&mut peer, "x-consistent-hash").await;
    let mut queues = bound_queues(&mut peer, &x, &["1", "1", "1"]).await;
    let before = placement(&mut peer, &x, &queues, by_keys(&x)).await;
    peer.call(1, delete(&queues.remove(0))).await;
    let after = placement(&mut peer, &x, &queues, by_keys(&x)).await;
    for (before, after) in before.iter().zip(after).filter(|(before, _)| **before > 0) {
        peer.same("queue", &(after + 1), before);
    }
}

#[tokio::test]
async fn a_consistent_hash_may_hash_a_header_or_a_property() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    let (by_header, by_property) = (unique("x"), unique("x"));
    let kind = "x-consistent-hash";
    peer.call(1, declare_exchange(&by_header, kind).flag("auto-delete").arg("hash-header", "tenant")).await;
    let property = declare_exchange(&by_property, kind).flag("auto-delete");
    peer.call(1, property.arg("hash-property", "message_id")).await;
    for x in [&by_header, &by_property] {
        let queues = bound_queues(&mut peer, x, &["10", "10"]).await;
        // The key does not matter.
        let contents = |value: u32| {
            let content = |key: u32| publish(x, &format!("key-{key}"), "hello");
            let value = value.to_string();
            (0..6).map(|key| content(key).header("tenant", &value).property("message-id", &value)).collect()
        };
        let mut reached = Vec::new();
        for value in 0..12 {
            let placement = placement(&mut peer, x, &queues, contents(value)).await;
            peer.same("queues for one value", &placement.iter().all(|queue| *queue == placement[0]), &true);
            reached.push(placement[0]);
        }
        assert!(reached.contains(&0) && reached.contains(&1), "{reached:?}");
    }
}

#[tokio::test]
async fn a_consistent_hash_s_binding_key_is_a_weight() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    let x = unique("x");
    let q = queue(&mut peer).await;
    peer.call(1, declare_exchange(&x, "x-consistent-hash")).await;
    for (key, reason) in [
        ("a", "The binding key must be an integer: <<\"a\">>"),
        ("", "The binding key must be an integer: <<>>"),
        ("1.5", "The binding key must be an integer: <<\"1.5\">>"),
        ("0", "The binding key must be greater than 0"),
        ("-1", "The binding key must be greater than 0"),
    ] {
        peer.expect_refusal(1, bind(&q, &x, key), 406, &format!("PRECONDITION_FAILED - {reason}")).await;
    }
    peer.call(1, bind(&q, &x, "1")).await;
    peer.call(1, delete_exchange(&x)).await;
}

#[tokio::test]
async fn what_a_consistent_hash_hashes_is_checked() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    let declare = || declare_exchange("never", "x-consistent-hash");
    let text = "PRECONDITION_FAILED - hash-header and hash-property are mutually exclusive";
    let both = declare().arg("hash-header", "h").arg("hash-property", "message_id");
    peer.expect_refusal(1, both, 406, text).await;
    let text = "PRECONDITION_FAILED - Unsupported property: user_id";
    peer.expect_refusal(1, declare().arg("hash-property", "user_id"), 406, text).await;
}

#[tokio::test]
async fn a_modulus_hash_sends_equal_keys_to_one_queue_each() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    let x = exchange(&mut peer, "x-modulus-hash").await;
    let queues = bound_queues(&mut peer, &x, &["", "any", ""]).await;
    let first = placement(&mut peer, &x, &queues, by_keys(&x)).await;
    assert!((0..3).all(|queue| first.contains(&queue)), "{first:?}");
    let second = placement(&mut peer, &x, &queues, by_keys(&x)).await;
    peer.same("placement", &second, &first);
}

#[tokio::test]
async fn a_random_exchange_chooses_one_queue_for_each_message() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    let x = exchange(&mut peer, "x-random").await;
    let queues = bound_queues(&mut peer, &x, &["one", "other"]).await;
    // The chance that 40 messages go to one queue is less than one in 10^11.
    let placement = placement(&mut peer, &x, &queues, by_keys(&x)).await;
    assert!(placement.contains(&0) && placement.contains(&1), "{placement:?}");
}

#[tokio::test]
async fn a_local_random_exchange_takes_classic_queues_without_a_key() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    if broker.is_rabbitmq_3() {
        return;
    }
    let x = unique("x");
    let quorum = unique("q");
    peer.call(1, declare_exchange(&x, "x-local-random")).await;
    peer.call(1, declare(&quorum).flag("durable").arg("x-queue-type", "quorum")).await;
    let classic = queue(&mut peer).await;
    let refused = |reason: &str| format!("PRECONDITION_FAILED - {reason}");
    let text = refused("Non empty binding 'k' key not permitted");
    peer.expect_refusal(1, bind(&classic, &x, "k"), 406, &text).await;
    let text = refused("Queue type rabbit_quorum_queue not valid for this exchange type");
    peer.expect_refusal(1, bind(&quorum, &x, ""), 406, &text).await;
    let text = refused("Destination not found");
    peer.expect_refusal(1, bind_exchange("amq.direct", &x, ""), 406, &text).await;
    let queues = bound_queues(&mut peer, &x, &["", ""]).await;
    let placement = placement(&mut peer, &x, &queues, by_keys(&x)).await;
    assert!(placement.contains(&0) && placement.contains(&1), "{placement:?}");
    peer.call(1, delete(&quorum)).await;
    peer.call(1, delete_exchange(&x)).await;
}

#[tokio::test]
async fn a_new_binding_to_a_recent_history_gets_the_last_messages_in_order() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    let x = unique("x");
    peer.call(1, declare_exchange(&x, "x-recent-history").arg("x-recent-history-length", 3)).await;
    let early = queue(&mut peer).await;
    peer.call(1, bind(&early, &x, "")).await;
    for body in ["one", "two", "three", "four"] {
        peer.publish(1, publish(&x, body, body)).await;
    }
    let secret = publish(&x, "", "secret").header("x-recent-history-no-store", true);
    peer.publish(1, secret).await;
    peer.expect_counts(1, &early, 5, 0).await;
    let late = queue(&mut peer).await;
    peer.call(1, bind(&late, &x, "any")).await;
    for body in ["two", "three", "four"] {
        let got = peer.expect_get(1, &late, body).await;
        peer.same("routing-key", &got.method.text("routing-key").as_str(), &body);
        peer.same("redelivered", &got.redelivered(), &false);
    }
    peer.expect_empty(1, &late).await;
    // The same binding once more is no new one; another one is.
    peer.call(1, bind(&late, &x, "any")).await;
    peer.expect_empty(1, &late).await;
    peer.call(1, bind(&late, &x, "other")).await;
    peer.expect_counts(1, &late, 3, 0).await;
    peer.call(1, delete_exchange(&x)).await;
}

#[tokio::test]
async fn an_exchange_that_is_bound_to_a_recent_history_routes_the_last_messages() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    if broker.is_rabbitmq_3() {
        // It ends the connection with 541 where a message goes nowhere.
        return;
    }
    let x = unique("x");
    let topic = exchange(&mut peer, "topic").await;
    let q = queue(&mut peer).await;
    peer.call(1, declare_exchange(&x, "x-recent-history")).await;
    peer.call(1, bind(&q, &topic, "red.#")).await;
    peer.publish(1, publish(&x, "red.one", "wanted")).await;
    peer.publish(1, publish(&x, "blue", "unwanted")).await;
    peer.call(1, bind_exchange(&topic, &x, "")).await;
    peer.expect_get(1, &q, "wanted").await;
    peer.expect_empty(1, &q).await;
    peer.call(1, delete_exchange(&x)).await;
}

#[tokio::test]
async fn what_a_transaction_rolls_back_is_not_in_a_recent_history() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    if broker.is_rabbitmq_3() {
        // It remembers before it commits.
        return;
    }
    let x = unique("x");
    peer.call(1, declare_exchange(&x, "x-recent-history")).await;
    peer.call(1, tx_select()).await;
    peer.publish(1, publish(&x, "", "taken back")).await;
    peer.call(1, rollback()).await;
    peer.publish(1, publish(&x, "", "meant")).await;
    peer.call(1, commit()).await;
    let q = queue(&mut peer).await;
    peer.call(1, bind(&q, &x, "")).await;
    peer.expect_get(1, &q, "meant").await;
    peer.expect_empty(1, &q).await;
    peer.call(1, delete_exchange(&x)).await;
}

#[tokio::test]
async fn a_recent_history_s_length_is_a_positive_integer() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    let text =
        "PRECONDITION_FAILED - Invalid argument 0, 'x-recent-history-length' must be a positive integer";
    let declare = declare_exchange("never", "x-recent-history").arg("x-recent-history-length", 0);
    peer.expect_refusal(1, declare, 406, text).await;
}

#[tokio::test]
async fn a_deduplicating_exchange_lets_nothing_through_twice_and_confirms_it() {
    let Some(broker) = Broker::start_with(|_| ()).await else { return };
    let mut peer = broker.channel().await;
    let x = unique("x");
    let declare = declare_exchange(&x, "x-message-deduplication").flag("auto-delete");
    peer.call(1, declare.arg("x-cache-size", 10)).await;
    let q = queue(&mut peer).await;
    peer.call(1, bind(&q, &x, "")).await;
    peer.call(1, confirm_select()).await;
    let message = |id: &str| publish(&x, "any", id).flag("mandatory").header("x-deduplication-header", id);
    for (tag, id) in [(1, "a"), (2, "b"), (3, "a")] {
        // A duplicate is not returned either: its like has been routed.
        peer.publish(1, message(id)).await;
        peer.expect_confirm(1, tag).await;
    }
    // Without the header every message is new.
    for tag in [4, 5] {
        peer.publish(1, publish(&x, "any", "c")).await;
        peer.expect_confirm(1, tag).await;
    }
    for body in ["a", "b", "c", "c"] {
        peer.expect_get(1, &q, body).await;
    }
    peer.expect_empty(1, &q).await;
}

#[tokio::test]
async fn what_was_refused_or_returned_is_no_duplicate_when_it_comes_again() {
    let Some(broker) = Broker::start_with(|_| ()).await else { return };
    let mut peer = broker.channel().await;
    let (x, q) = (unique("x"), unique("q"));
    peer.call(1, declare_exchange(&x, "x-message-deduplication").arg("x-cache-size", 10)).await;
    peer.call(1, confirm_select()).await;
    let message = |id: &str| publish(&x, "", id).flag("mandatory").header("x-deduplication-header", id);
    peer.publish(1, message("a")).await;
    peer.expect_return(1, 312, "NO_ROUTE").await;
    peer.expect_confirm(1, 1).await;
    let bounded = declare(&q).flag("exclusive").arg("x-max-length", 1).arg("x-overflow", "reject-publish");
    peer.call(1, bounded).await;
    peer.call(1, bind(&q, &x, "")).await;
    for (id, answer) in [("a", "basic.ack"), ("b", "basic.nack")] {
        peer.publish(1, message(id)).await;
        peer.expect(1, answer).await;
    }
    peer.call(1, purge(&q)).await;
    for id in ["a", "b"] {
        peer.publish(1, message(id)).await;
        peer.expect(1, "basic.ack").await;
    }
    peer.expect_get(1, &q, "b").await;
}

#[tokio::test]
async fn a_deduplicating_exchange_has_to_say_how_much_it_remembers() {
    let Some(broker) = Broker::start_with(|_| ()).await else { return };
    let mut peer = broker.channel().await;
    let text =
        "PRECONDITION_FAILED - Missing or invalid argument, 'x-cache-size' must be an integer greater than 0";
    peer.expect_refusal(1, declare_exchange("never", "x-message-deduplication"), 406, text).await;
    let text =
        "PRECONDITION_FAILED - Invalid argument, 'x-cache-persistence' must be either 'memory' or 'disk'";
    let method = declare_exchange("never", "x-message-deduplication").arg("x-cache-size", 1);
    peer.expect_refusal(1, method.arg("x-cache-persistence", "paper"), 406, text).await;
}
