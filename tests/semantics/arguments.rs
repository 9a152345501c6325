//! Arguments of queue.declare: which values are refused, and how.

use crate::support::*;

async fn refused(peer: &mut Peer, name: &str, value: impl Into<Value>, why: &str) {
    let q = unique("q");
    let text = format!("PRECONDITION_FAILED - invalid arg '{name}' for queue '{q}' in vhost '/': {why}");
    peer.expect_refusal(1, declare(&q).flag("exclusive").arg(name, value), 406, &text).await;
}

async fn accepted(peer: &mut Peer, name: &str, value: impl Into<Value>) {
    let q = unique("q");
    peer.call(1, declare(&q).flag("exclusive").arg(name, value)).await;
    peer.call(1, delete(&q)).await;
}

#[tokio::test]
async fn message_ttl_is_a_count_of_milliseconds() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    for value in [Value::I8(0), Value::U8(7), Value::I16(7), Value::U16(7), Value::U32(7), Value::I64(7)] {
        accepted(&mut peer, "x-message-ttl", value).await;
    }
    refused(&mut peer, "x-message-ttl", -1, "{value_negative,-1}").await;
    refused(&mut peer, "x-message-ttl", "10", "\"expected integer, got longstr\"").await;
    refused(&mut peer, "x-message-ttl", "10foobar", "\"expected integer, got longstr\"").await;
    refused(&mut peer, "x-message-ttl", Value::F64(1.5), "\"expected integer, got double\"").await;
    let years_ten = 10 * 365 * 86_400 * 1_000_i64;
    accepted(&mut peer, "x-message-ttl", years_ten).await;
    let why = format!("{{value_too_large,{}}}", years_ten + 1);
    refused(&mut peer, "x-message-ttl", years_ten + 1, &why).await;
}

#[tokio::test]
async fn expires_is_positive() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    accepted(&mut peer, "x-expires", 1000).await;
    refused(&mut peer, "x-expires", 0, "{value_zero,0}").await;
    refused(&mut peer, "x-expires", -1, "{value_negative,-1}").await;
    refused(&mut peer, "x-expires", "10", "\"expected integer, got longstr\"").await;
}

#[tokio::test]
async fn length_limits_are_not_negative() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    for name in ["x-max-length", "x-max-length-bytes"] {
        accepted(&mut peer, name, 0).await;
        accepted(&mut peer, name, 5_i64).await;
        refused(&mut peer, name, -1, "{value_negative,-1}").await;
        refused(&mut peer, name, "5", "\"expected integer, got longstr\"").await;
    }
}

#[tokio::test]
async fn overflow_names_a_behaviour() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    for value in ["drop-head", "reject-publish", "reject-publish-dlx"] {
        accepted(&mut peer, "x-overflow", value).await;
    }
    refused(&mut peer, "x-overflow", "explode", "invalid_overflow").await;
    refused(&mut peer, "x-overflow", 5, "{unacceptable_type,signedint}").await;
}

#[tokio::test]
async fn max_priority_is_an_octet() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    accepted(&mut peer, "x-max-priority", 0).await;
    accepted(&mut peer, "x-max-priority", 255).await;
    refused(&mut peer, "x-max-priority", 256, "{max_value_exceeded,256}").await;
    refused(&mut peer, "x-max-priority", -1, "{value_negative,-1}").await;
    refused(&mut peer, "x-max-priority", "5", "\"expected integer, got longstr\"").await;
}

#[tokio::test]
async fn single_active_consumer_is_a_boolean() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    accepted(&mut peer, "x-single-active-consumer", true).await;
    refused(&mut peer, "x-single-active-consumer", "true", "{unacceptable_type,longstr}").await;
}

#[tokio::test]
async fn dead_letter_arguments_are_strings_and_the_key_needs_the_exchange() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    // The exchange need not exist.
    accepted(&mut peer, "x-dead-letter-exchange", "not-there").await;
    let q = unique("q");
    let name = "x-dead-letter-exchange";
    let text = format!(
        "PRECONDITION_FAILED - invalid type 'signedint' for arg '{name}' in queue '{q}' in vhost '/'"
    );
    peer.expect_refusal(1, declare(&q).flag("exclusive").arg(name, 5), 406, &text).await;
    refused(&mut peer, "x-dead-letter-routing-key", 5, "{unacceptable_type,signedint}").await;
    let why = "routing_key_but_no_dlx_defined";
    refused(&mut peer, "x-dead-letter-routing-key", "k", why).await;
}

#[tokio::test]
async fn the_dead_letter_strategy_is_one_of_two_words() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    let q = unique("q");
    let quorum = declare(&q).flag("durable").arg("x-queue-type", "quorum");
    let name = "x-dead-letter-strategy";
    let wrong = [
        (Value::from("now-and-then"), "invalid_dlx_strategy"),
        (Value::from(1), "{unacceptable_type,signedint}"),
    ];
    for (value, why) in wrong {
        let text = format!("PRECONDITION_FAILED - invalid arg '{name}' for queue '{q}' in vhost '/': {why}");
        peer.expect_refusal(1, quorum.clone().arg(name, value), 406, &text).await;
    }
    for value in ["at-most-once", "at-least-once"] {
        peer.call(1, quorum.clone().arg(name, value)).await;
        peer.call(1, delete(&q)).await;
    }
}

#[tokio::test]
async fn queue_type_is_one_of_ours() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    accepted(&mut peer, "x-queue-type", "classic").await;
    let q = unique("q");
    peer.send(1, declare(&q).flag("durable").arg("x-queue-type", "imaginary")).await;
    let close = peer.expect(1, "channel.close").await;
    peer.same("reply-code", &close.number("reply-code"), &406);
}

#[tokio::test]
async fn a_quorum_queue_is_durable_shared_and_named() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    let q = unique("q");
    let quorum = declare(&q).arg("x-queue-type", "quorum");
    let text = |arg: &str, value: &str| {
        format!("PRECONDITION_FAILED - invalid property '{arg}' for queue '{q}' in vhost '/'{value}")
    };
    peer.expect_refusal(1, quorum.clone(), 406, &text("non-durable", "")).await;
    let exclusive = quorum.clone().flag("durable").flag("exclusive");
    peer.expect_refusal(1, exclusive, 406, &text("exclusive-owner", "")).await;
    let auto_delete = quorum.clone().flag("durable").flag("auto-delete");
    peer.expect_refusal(1, auto_delete, 406, &text("auto-delete", "")).await;
    let unnamed = declare("").flag("durable").arg("x-queue-type", "quorum");
    let why = "PRECONDITION_FAILED - Cannot declare a server-named queue for type rabbit_quorum_queue";
    peer.expect_refusal(1, unnamed, 406, why).await;
    peer.call(1, quorum.clone().flag("durable")).await;
    peer.call(1, delete(&q)).await;
}

#[tokio::test]
async fn unknown_arguments_are_ignored() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    accepted(&mut peer, "x-of-my-own", "value").await;
    accepted(&mut peer, "anything", Table::default().with("deep", Table::default().with("er", 1))).await;
    accepted(&mut peer, "void", Value::Void).await;
    accepted(&mut peer, "list", ["a", "b"]).await;
    accepted(&mut peer, "time", Value::Time(1_700_000_000)).await;
    accepted(&mut peer, "bytes", Value::Bytes(vec![0, 159, 255])).await;
}

#[tokio::test]
async fn a_dead_letter_routing_key_fits_into_a_short_string() {
    let Some(broker) = Broker::start_with(|_| ()).await else { return };
    let mut peer = broker.channel().await;
    let q = unique("q");
    let method = declare(&q).flag("exclusive").arg("x-dead-letter-exchange", "");
    let method = method.arg("x-dead-letter-routing-key", &"k".repeat(256));
    let text = format!(
        "PRECONDITION_FAILED - invalid arg 'x-dead-letter-routing-key' for queue '{q}' in vhost '/': \
         {{value_too_large,256 octets}}"
    );
    peer.expect_refusal(1, method, 406, &text).await;
}
