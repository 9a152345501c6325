//! queue.declare, purge, delete, and how a queue's life ends.

use crate::support::*;

fn not_found(queue: &str) -> String {
    format!("NOT_FOUND - no queue '{queue}' in vhost '/'")
}

fn inequivalent(arg: &str, queue: &str, received: &str, current: &str) -> String {
    format!(
        "PRECONDITION_FAILED - inequivalent arg '{arg}' for queue '{queue}' in vhost '/': \
         received {received} but current is {current}"
    )
}

pub(crate) fn locked(queue: &str) -> String {
    let text = format!(
        "RESOURCE_LOCKED - cannot obtain exclusive access to locked queue '{queue}' in vhost '/'. It could be \
         originally declared on another connection or the exclusive property value does not match that of the \
         original declaration."
    );
    // A short string ends at 255 octets.
    text[..text.len().min(255)].to_owned()
}

#[tokio::test]
async fn declare_answers_with_name_and_counts() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    let q = unique("q");
    let ok = peer.call(1, declare(&q).flag("exclusive")).await;
    peer.same("queue", &ok.text("queue"), &q);
    peer.expect_counts(1, &q, 0, 0).await;
    peer.publish(1, publish("", &q, "one")).await;
    peer.publish(1, publish("", &q, "two")).await;
    peer.expect_counts(1, &q, 2, 0).await;
    peer.call(1, qos(1)).await;
    peer.call(1, consume(&q, "c")).await;
    peer.expect_delivery(1, "one").await;
    // Ready messages only; all consumers.
    peer.expect_counts(1, &q, 1, 1).await;
    let ok = peer.call(1, declare(&q).flag("exclusive")).await;
    peer.same("message-count", &ok.number("message-count"), &1);
    peer.same("consumer-count", &ok.number("consumer-count"), &1);
}

#[tokio::test]
async fn passive_declare_of_a_missing_queue_is_404() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    let q = unique("missing");
    peer.expect_refusal(1, passive(&q), 404, &not_found(&q)).await;
    // With no-wait too.
    peer.expect_refusal(1, passive(&q).flag("no-wait"), 404, &not_found(&q)).await;
}

#[tokio::test]
async fn operations_on_a_missing_queue_are_404() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    let q = unique("missing");
    for method in [bind(&q, "amq.direct", "k"), purge(&q), consume(&q, "c"), get(&q)] {
        peer.expect_refusal(1, method, 404, &not_found(&q)).await;
    }
}

#[tokio::test]
async fn deleting_and_unbinding_what_is_missing_succeeds() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    let q = unique("missing");
    let ok = peer.call(1, delete(&q)).await;
    peer.same("message-count", &ok.number("message-count"), &0);
    peer.call(1, delete(&q).flag("if-unused").flag("if-empty")).await;
    peer.call(1, unbind(&q, "amq.direct", "k")).await;
    peer.call(1, delete_exchange(&q)).await;
}

#[tokio::test]
async fn the_broker_names_a_queue_that_has_no_name() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    let first = peer.call(1, declare("").flag("exclusive")).await.text("queue");
    let second = peer.call(1, declare("").flag("exclusive")).await.text("queue");
    assert_ne!(first, second);
    for name in [&first, &second] {
        let random = name.strip_prefix("amq.gen-").expect("the prefix of generated names");
        assert_eq!(random.len(), 22, "{name}");
        assert!(random.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-' || c == b'_'), "{name}");
        peer.expect_counts(1, name, 0, 0).await;
    }
}

#[tokio::test]
async fn an_empty_name_means_the_queue_declared_last_on_the_channel() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    let (x, y) = (unique("x"), unique("y"));
    peer.call(1, declare(&x).flag("exclusive")).await;
    peer.call(1, declare(&y).flag("exclusive")).await;
    // An empty routing key then means the queue's name too.
    peer.call(1, bind("", "amq.direct", "")).await;
    peer.publish(1, publish("amq.direct", &y, "hello")).await;
    peer.expect_get(1, "", "hello").await;
    peer.call(1, consume("", "c")).await;
    peer.expect_counts(1, &y, 0, 1).await;
    peer.call(1, cancel("c")).await;
    peer.call(1, purge("")).await;
    peer.call(1, delete("")).await;
    peer.expect_counts(1, &x, 0, 0).await;
}

#[tokio::test]
async fn an_empty_name_with_nothing_declared_before_is_404() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    let text = "NOT_FOUND - no previously declared queue";
    for method in [get(""), consume("", "c"), purge(""), delete(""), bind("", "amq.direct", "k")] {
        peer.expect_refusal(1, method, 404, text).await;
    }
    // RabbitMQ: a passive declare takes the empty name as it stands.
    peer.expect_refusal(1, passive(""), 404, &not_found("")).await;
}

#[tokio::test]
async fn redeclaring_with_other_flags_is_406() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    let q = unique("q");
    peer.call(1, declare(&q).flag("exclusive")).await;
    // Exclusive ignores durable.
    peer.call(1, declare(&q).flag("exclusive").flag("durable")).await;
    let text = inequivalent("auto_delete", &q, "'true'", "'false'");
    peer.expect_refusal(1, declare(&q).flag("exclusive").flag("auto-delete"), 406, &text).await;
    // The flag exclusive is the one that is 405.
    peer.expect_refusal(1, declare(&q), 405, &locked(&q)).await;
    // Passive compares nothing.
    peer.call(1, passive(&q).flag("durable").arg("x-expires", 5)).await;
    let shared = unique("q");
    peer.call(1, declare(&shared).flag("durable")).await;
    let text = inequivalent("durable", &shared, "'false'", "'true'");
    peer.expect_refusal(1, declare(&shared), 406, &text).await;
    peer.call(1, delete(&shared)).await;
}

#[tokio::test]
async fn redeclaring_a_shared_queue_as_exclusive_is_405() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    let q = unique("q");
    peer.call(1, declare(&q).flag("durable")).await;
    peer.expect_refusal(1, declare(&q).flag("durable").flag("exclusive"), 405, &locked(&q)).await;
    peer.call(1, delete(&q)).await;
}

#[tokio::test]
async fn redeclaring_with_another_argument_is_406() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    let known = [
        ("x-message-ttl", Value::from(60_000), Value::from(30_000), "signedint"),
        ("x-expires", Value::from(60_000), Value::from(30_000), "signedint"),
        ("x-max-length", Value::from(10), Value::from(20), "signedint"),
        ("x-max-length-bytes", Value::from(10), Value::from(20), "signedint"),
        ("x-max-priority", Value::from(10), Value::from(20), "signedint"),
        ("x-dead-letter-exchange", Value::from("amq.fanout"), Value::from("amq.direct"), "longstr"),
        ("x-overflow", Value::from("drop-head"), Value::from("reject-publish"), "longstr"),
        ("x-single-active-consumer", Value::from(true), Value::from(false), "bool"),
    ];
    for (name, value, other, kind) in known {
        let q = unique("q");
        let plain = declare(&q).flag("exclusive");
        peer.call(1, plain.clone().arg(name, value.clone())).await;
        peer.call(1, plain.clone().arg(name, value.clone())).await;
        let bare = |value: &Value| format!("'{value:?}'").replace('"', "");
        let shown = |value: &Value| format!("the value {} of type '{kind}'", bare(value));
        let text = inequivalent(name, &q, &bare(&other), &bare(&value));
        peer.expect_refusal(1, plain.clone().arg(name, other.clone()), 406, &text).await;
        let text = inequivalent(name, &q, "none", &shown(&value));
        peer.expect_refusal(1, plain.clone(), 406, &text).await;
    }
    let q = unique("q");
    peer.call(1, declare(&q).flag("exclusive")).await;
    let text = inequivalent("x-max-length", &q, "the value '10' of type 'signedint'", "none");
    peer.expect_refusal(1, declare(&q).flag("exclusive").arg("x-max-length", 10), 406, &text).await;
}

#[tokio::test]
async fn dead_letter_routing_key_is_compared() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    let q = unique("q");
    let with_key = |key| {
        let method = declare(&q).flag("exclusive").arg("x-dead-letter-exchange", "amq.fanout");
        method.arg("x-dead-letter-routing-key", key)
    };
    peer.call(1, with_key("a")).await;
    peer.call(1, with_key("a")).await;
    let text = inequivalent("x-dead-letter-routing-key", &q, "'b'", "'a'");
    peer.expect_refusal(1, with_key("b"), 406, &text).await;
}

#[tokio::test]
async fn unknown_arguments_and_the_order_of_arguments_are_not_compared() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    let q = unique("q");
    let plain = declare(&q).flag("exclusive");
    peer.call(1, plain.clone().arg("x-expires", 60_000).arg("x-max-length", 5).arg("x-mine", "a")).await;
    peer.call(1, plain.clone().arg("x-mine", "b").arg("x-max-length", 5).arg("x-expires", 60_000)).await;
    peer.call(1, plain.clone().arg("x-max-length", 5).arg("x-expires", 60_000)).await;
}

#[tokio::test]
async fn integers_of_the_same_value_are_equivalent_whatever_their_width() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    let q = unique("q");
    let plain = declare(&q).flag("exclusive");
    peer.call(1, plain.clone().arg("x-message-ttl", 100)).await;
    for value in
        [Value::I8(100), Value::U8(100), Value::I16(100), Value::U16(100), Value::U32(100), Value::I64(100)]
    {
        peer.call(1, plain.clone().arg("x-message-ttl", value)).await;
    }
}

#[tokio::test]
async fn another_connections_exclusive_queue_is_405() {
    let broker = Broker::start().await;
    let mut owner = broker.channel().await;
    let mut other = broker.channel().await;
    let q = unique("q");
    owner.call(1, declare(&q).flag("exclusive")).await;
    // RabbitMQ looks at the queue only if there is such a binding.
    owner.call(1, bind(&q, "amq.direct", "k")).await;
    let methods = [
        declare(&q).flag("exclusive"),
        declare(&q),
        passive(&q),
        bind(&q, "amq.direct", "k"),
        unbind(&q, "amq.direct", "k"),
        purge(&q),
        consume(&q, "c"),
        get(&q),
        delete(&q),
    ];
    for method in methods {
        other.expect_refusal(1, method, 405, &locked(&q)).await;
    }
    // Publishing to it is for everyone.
    other.publish(1, publish("", &q, "hello")).await;
    other.call(1, qos(0)).await;
    owner.call(1, consume(&q, "c").flag("no-ack")).await;
    owner.expect_delivery(1, "hello").await;
}

#[tokio::test]
async fn exclusive_queues_are_gone_before_close_ok() {
    let broker = Broker::start().await;
    let mut owner = broker.channel().await;
    let mut other = broker.channel().await;
    // Exclusive ignores durable.
    let q = unique("q");
    owner.call(1, declare(&q).flag("exclusive").flag("durable")).await;
    owner.close().await;
    other.expect_soft_error(1, passive(&q), 404, &not_found(&q)).await;
}

#[tokio::test]
async fn exclusive_queues_outlive_their_channel() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    let q = unique("q");
    peer.call(1, declare(&q).flag("exclusive")).await;
    peer.call(1, close_channel()).await;
    peer.open(1).await;
    peer.expect_counts(1, &q, 0, 0).await;
}

#[tokio::test]
async fn purge_removes_ready_messages_only() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    let q = unique("q");
    peer.call(1, declare(&q).flag("exclusive")).await;
    for body in ["one", "two", "three"] {
        peer.publish(1, publish("", &q, body)).await;
    }
    let held = peer.expect_get(1, &q, "one").await;
    let ok = peer.call(1, purge(&q)).await;
    peer.same("message-count", &ok.number("message-count"), &2);
    peer.expect_counts(1, &q, 0, 0).await;
    peer.send(1, nack(held.delivery_tag()).flag("requeue")).await;
    peer.expect_get(1, &q, "one").await;
}

#[tokio::test]
async fn delete_answers_with_the_number_of_ready_messages() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    let q = unique("q");
    peer.call(1, declare(&q).flag("exclusive")).await;
    peer.publish(1, publish("", &q, "one")).await;
    peer.publish(1, publish("", &q, "two")).await;
    let ok = peer.call(1, delete(&q)).await;
    peer.same("message-count", &ok.number("message-count"), &2);
    peer.expect_soft_error(1, passive(&q), 404, &not_found(&q)).await;
}

#[tokio::test]
async fn delete_spares_a_queue_in_use_or_not_empty() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    let q = unique("q");
    peer.call(1, declare(&q).flag("durable")).await;
    peer.publish(1, publish("", &q, "one")).await;
    let text = format!("PRECONDITION_FAILED - queue '{q}' in vhost '/' not empty");
    peer.expect_refusal(1, delete(&q).flag("if-empty"), 406, &text).await;
    peer.call(1, consume(&q, "c").flag("no-ack")).await;
    peer.expect_delivery(1, "one").await;
    let text = format!("PRECONDITION_FAILED - queue '{q}' in vhost '/' in use");
    peer.expect_refusal(1, delete(&q).flag("if-unused"), 406, &text).await;
    peer.call(1, delete(&q).flag("if-unused").flag("if-empty")).await;
}

#[tokio::test]
async fn an_auto_delete_queue_goes_with_its_last_consumer() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    let q = unique("q");
    peer.call(1, declare(&q).flag("auto-delete")).await;
    // Not before it had one.
    peer.expect_empty(1, &q).await;
    peer.call(1, consume(&q, "a")).await;
    peer.call(1, consume(&q, "b")).await;
    peer.call(1, cancel("a")).await;
    peer.expect_counts(1, &q, 0, 1).await;
    peer.call(1, cancel("b")).await;
    peer.expect_soft_error(1, passive(&q), 404, &not_found(&q)).await;
}

#[tokio::test]
async fn an_auto_delete_queue_goes_with_its_last_consumers_channel() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    let q = unique("q");
    peer.call(1, declare(&q).flag("auto-delete")).await;
    peer.call(1, consume(&q, "a")).await;
    peer.call(1, close_channel()).await;
    peer.open(1).await;
    peer.expect_soft_error(1, passive(&q), 404, &not_found(&q)).await;
}

#[tokio::test]
async fn a_queue_that_nobody_uses_expires() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    let (q, used) = (unique("q"), unique("used"));
    peer.call(1, declare(&used).flag("durable").arg("x-expires", 400)).await;
    peer.call(1, consume(&used, "c")).await;
    peer.call(1, declare(&q).flag("durable").arg("x-expires", 400)).await;
    // The broker's heartbeats are the clock, two in a second.
    let mut clock = broker.dial().await;
    clock.handshake_with(&Credentials::plain("guest", "guest"), 1).await;
    for _ in 0..3 {
        clock.expect_frame().await;
    }
    peer.expect_counts(1, &used, 0, 1).await;
    peer.call(1, cancel("c")).await;
    peer.call(1, delete(&used)).await;
    peer.expect_soft_error(1, passive(&q), 404, &not_found(&q)).await;
}

#[tokio::test]
async fn line_ends_are_stripped_from_names() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    let q = unique("q");
    let ok = peer.call(1, declare(&format!("\r\n{q}\n\r")).flag("exclusive")).await;
    peer.same("queue", &ok.text("queue"), &q);
    peer.call(1, bind(&format!("{q}\n"), "amq.fanout\n", "k")).await;
    peer.publish(1, publish("", &q, "hello")).await;
    peer.expect_get(1, &q, "hello").await;
    peer.call(1, delete(&format!("{q}\r\n"))).await;
    let x = unique("x");
    peer.call(1, declare_exchange(&format!("{x}\n"), "direct").flag("auto-delete")).await;
    peer.call(1, declare_exchange(&x, "direct").flag("passive")).await;
    peer.call(1, delete_exchange(&format!("\n{x}"))).await;
}

#[tokio::test]
async fn a_name_may_have_255_octets_of_any_kind() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    let q = format!("{} '\"/{}", unique("q"), "x".repeat(255))[..255].to_owned();
    let ok = peer.call(1, declare(&q).flag("exclusive")).await;
    peer.same("queue", &ok.text("queue"), &q);
    peer.publish(1, publish("", &q, "hello")).await;
    peer.expect_get(1, &q, "hello").await;
    let q = unique("кролик");
    let ok = peer.call(1, declare(&q).flag("exclusive")).await;
    peer.same("queue", &ok.text("queue"), &q);
}

#[tokio::test]
async fn the_reserved_prefix_is_for_the_broker() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    let q = format!("amq.{}", unique("q"));
    let text = format!("ACCESS_REFUSED - queue name '{q}' contains reserved prefix 'amq.*'");
    peer.expect_refusal(1, declare(&q), 403, &text).await;
    // Even if it exists, unless passive.
    let generated = peer.call(1, declare("").flag("exclusive")).await.text("queue");
    let text = format!("ACCESS_REFUSED - queue name '{generated}' contains reserved prefix 'amq.*'");
    peer.expect_refusal(1, declare(&generated).flag("exclusive"), 403, &text).await;
    peer.call(1, passive(&generated)).await;
}

#[tokio::test]
async fn no_wait_is_not_answered() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    let q = unique("q");
    peer.send(1, declare(&q).flag("exclusive").flag("no-wait")).await;
    peer.send(1, bind(&q, "amq.direct", &q).flag("no-wait")).await;
    peer.publish(1, publish("amq.direct", &q, "hello")).await;
    peer.expect_counts(1, &q, 1, 0).await;
    peer.send(1, purge(&q).flag("no-wait")).await;
    peer.expect_counts(1, &q, 0, 0).await;
    peer.send(1, consume(&q, "c").flag("no-wait")).await;
    peer.publish(1, publish("", &q, "hello")).await;
    peer.expect_delivery(1, "hello").await;
    peer.send(1, cancel("c").flag("no-wait")).await;
    peer.expect_counts(1, &q, 0, 0).await;
    peer.send(1, delete(&q).flag("no-wait")).await;
    peer.expect_soft_error(1, passive(&q), 404, &not_found(&q)).await;
}

#[tokio::test]
async fn a_shared_transient_queue_is_accepted() {
    // RabbitMQ 4.3 refuses it; Lepus does as every release before.
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    let q = unique("q");
    peer.call(1, declare(&q)).await;
    peer.call(1, delete(&q)).await;
}

#[tokio::test]
async fn a_quorum_queue_is_not_deleted_on_conditions() {
    let broker = Broker::start().await;
    for flag in ["if-unused", "if-empty"] {
        let mut peer = broker.channel().await;
        let q = unique("q");
        peer.call(1, declare(&q).flag("durable").arg("x-queue-type", "quorum")).await;
        let text = format!(
            "NOT_IMPLEMENTED - cannot delete queue '{q}' in vhost '/'. queue.delete operations with {flag} flag set \
             are not supported by quorum queues"
        );
        peer.expect_hard_error(1, delete(&q).flag(flag), 540, &text).await;
        let mut peer = broker.channel().await;
        peer.call(1, delete(&q)).await;
    }
}

#[tokio::test]
async fn what_is_given_back_to_a_full_reject_publish_queue_is_kept() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    let q = unique("q");
    let full = declare(&q).arg("x-max-length", 1).arg("x-overflow", "reject-publish").flag("auto-delete");
    peer.call(1, full).await;
    // By nack, and by the loss of the connection that holds it.
    let mut other = broker.channel().await;
    peer.call(1, confirm_select()).await;
    peer.publish(1, publish("", &q, "first")).await;
    peer.expect_confirm(1, 1).await;
    other.expect_get(1, &q, "first").await;
    peer.publish(1, publish("", &q, "second")).await;
    peer.expect_confirm(1, 2).await;
    other.send(1, nack(1).flag("requeue")).await;
    other.expect_get(1, &q, "first").await;
    drop(other);
    peer.eventually_counts(1, &q, 2, 0).await;
    peer.expect_get(1, &q, "first").await;
    peer.expect_get(1, &q, "second").await;
    peer.call(1, delete(&q)).await;
}

#[tokio::test]
async fn arguments_of_another_queue_type_are_406() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    let cases = [
        ("classic", "x-dead-letter-strategy", "rabbit_classic_queue"),
        ("quorum", "x-max-priority", "rabbit_quorum_queue"),
    ];
    for (kind, name, module) in cases {
        let q = unique("q");
        let method = declare(&q).flag("durable").arg("x-queue-type", kind).arg(name, 5);
        let text = format!(
            "PRECONDITION_FAILED - invalid arg '{name}' for queue '{q}' in vhost '/' of queue type {module}"
        );
        if !broker.is_rabbitmq_3() {
            peer.expect_refusal(1, method, 406, &text).await;
        }
    }
}

#[tokio::test]
async fn a_quorum_queue_gives_up_on_a_message_past_its_delivery_limit() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    let (q, dead) = (unique("q"), unique("dead"));
    peer.call(1, declare(&dead).flag("exclusive")).await;
    let quorum = declare(&q).flag("durable").arg("x-queue-type", "quorum").arg("x-delivery-limit", 1);
    let quorum = quorum.arg("x-dead-letter-exchange", "").arg("x-dead-letter-routing-key", &dead);
    peer.call(1, quorum).await;
    peer.call(1, consume(&q, "c")).await;
    peer.publish(1, publish("", &q, "poison")).await;
    for _ in 0..2 {
        let delivery = peer.expect_delivery(1, "poison").await;
        peer.send(1, nack(delivery.delivery_tag()).flag("requeue")).await;
    }
    peer.call(1, consume(&dead, "d").flag("no-ack")).await;
    let delivery = peer.expect_delivery(1, "poison").await;
    let reason = delivery.headers().get("x-first-death-reason").cloned();
    peer.same("reason", &reason, &Some(Value::from("delivery_limit")));
    peer.call(1, cancel("c")).await;
    peer.call(1, delete(&q)).await;
}

#[tokio::test]
async fn a_queue_that_takes_no_duplicates_takes_a_message_again_once_its_like_has_gone() {
    let Some(broker) = Broker::start_with(|_| ()).await else { return };
    let mut peer = broker.channel().await;
    let q = unique("q");
    peer.call(1, declare(&q).flag("durable").arg("x-message-deduplication", true)).await;
    peer.call(1, confirm_select()).await;
    let mut sent = 0;
    let mut offer = async |peer: &mut Peer, id: &str| {
        sent += 1;
        let message = publish("", &q, id).flag("mandatory").property("delivery-mode", 2);
        peer.publish(1, message.header("x-deduplication-header", id)).await;
        // A duplicate is confirmed as well: its like is there.
        peer.expect_confirm(1, sent).await;
    };
    for id in ["a", "b", "a"] {
        offer(&mut peer, id).await;
    }
    peer.expect_counts(1, &q, 2, 0).await;
    // Unacknowledged it is still there.
    let a = peer.expect_get(1, &q, "a").await;
    offer(&mut peer, "a").await;
    peer.expect_counts(1, &q, 1, 0).await;
    peer.send(1, nack(a.delivery_tag()).flag("requeue")).await;
    offer(&mut peer, "a").await;
    let a = peer.expect_get(1, &q, "a").await;
    peer.send(1, ack(a.delivery_tag())).await;
    offer(&mut peer, "a").await;
    peer.expect_counts(1, &q, 2, 0).await;
    peer.call(1, purge(&q)).await;
    for id in ["a", "b", "b"] {
        offer(&mut peer, id).await;
    }
    peer.expect_counts(1, &q, 2, 0).await;
    peer.call(1, delete(&q)).await;
}

/// RabbitMQ 4.0: up to 4 is normal, more is high, and two high ones are served for each normal one.
#[tokio::test]
async fn a_quorum_queue_serves_two_high_priorities_for_each_normal_one() {
    let Some(broker) = Broker::start_with(|_| ()).await else { return };
    let mut peer = broker.channel().await;
    let q = unique("q");
    peer.call(1, declare(&q).flag("durable").arg("x-queue-type", "quorum")).await;
    peer.publish(1, publish("", &q, "n1")).await;
    for (body, priority) in [("n2", 4), ("h1", 5), ("h2", 255), ("h3", 9)] {
        peer.publish(1, publish("", &q, body).property("priority", Value::U8(priority))).await;
    }
    let mut tags = Vec::new();
    for body in ["h1", "h2", "n1", "h3", "n2"] {
        tags.push(peer.expect_get(1, &q, body).await.delivery_tag());
    }
    // What comes back is at its place again.
    for tag in tags {
        peer.send(1, nack(tag).flag("requeue")).await;
    }
    for body in ["h1", "h2", "n1", "h3", "n2"] {
        peer.expect_get(1, &q, body).await;
    }
    peer.call(1, delete(&q)).await;
}
