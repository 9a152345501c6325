//! From the protocol header to connection.open-ok, and what can go wrong between.

use std::time::Duration;

use crate::support::peer::{PROTOCOL_HEADER, tune_ok};
use crate::support::*;

const REFUSED: &str = "ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN. \
                       For details see the broker logfile.";

#[tokio::test]
async fn start_names_the_product_and_its_capabilities() {
    let broker = Broker::start().await;
    let mut peer = broker.dial().await;
    let start = peer.receive_start().await;
    peer.same("version", &(start.number("version-major"), start.number("version-minor")), &(0, 9));
    peer.same("locales", &start.text("locales").as_str(), &"en_US");
    let mechanisms = start.text("mechanisms");
    for mechanism in ["PLAIN", "AMQPLAIN"] {
        assert!(mechanisms.split(' ').any(|offered| offered == mechanism), "{mechanisms}");
    }
    let properties = start.table("server-properties");
    // Clients choose their ways by these two.
    peer.same("product", &properties.get("product"), &Some(&Value::from("RabbitMQ")));
    let version = properties.get("version").unwrap().text();
    assert!(version.split('.').all(|part| part.parse::<u32>().is_ok()), "{version}");
    for name in ["cluster_name", "platform", "copyright", "information"] {
        assert!(properties.get(name).is_some(), "{name}");
    }
    let capabilities = properties.get("capabilities").unwrap().table();
    for name in [
        "publisher_confirms",
        "exchange_exchange_bindings",
        "basic.nack",
        "consumer_cancel_notify",
        "connection.blocked",
        "consumer_priorities",
        "authentication_failure_close",
        "per_consumer_qos",
        "direct_reply_to",
    ] {
        peer.same(name, &capabilities.get(name), &Some(&Value::Bool(true)));
    }
}

#[tokio::test]
async fn tune_proposes_the_limits() {
    let broker = Broker::start().await;
    let mut peer = broker.dial().await;
    let tune = peer.log_in(&Credentials::plain("guest", "guest")).await;
    peer.same("channel-max", &tune.number("channel-max"), &2047);
    peer.same("frame-max", &tune.number("frame-max"), &131_072);
    peer.same("heartbeat", &tune.number("heartbeat"), &60);
}

#[tokio::test]
async fn the_older_form_of_the_header_is_understood() {
    let broker = Broker::start().await;
    let mut peer = broker.dial().await;
    peer.send_bytes(b"AMQP\x01\x01\x00\x09").await;
    peer.expect(0, "connection.start").await;
}

#[tokio::test]
async fn a_bad_protocol_header_is_answered_with_ours_and_a_close() {
    let broker = Broker::start().await;
    for header in [b"AMQP\x00\x00\x09\x02", b"AMQP\x00\x00\x08\x00", b"GET / HT", b"\0\0\0\0\0\0\0\0"] {
        let mut peer = broker.dial().await;
        peer.send_bytes(header).await;
        peer.expect_bytes_then_eof(PROTOCOL_HEADER).await;
    }
}

#[tokio::test]
async fn amqplain_logs_in() {
    let broker = Broker::start().await;
    let mut peer = broker.dial().await;
    let table = Table::default().with("LOGIN", "guest").with("PASSWORD", "guest");
    // A table without its length.
    let response = Method::new("connection.start-ok").set("client-properties", table).encode();
    let size = u32::from_be_bytes(response[4..8].try_into().unwrap()) as usize;
    let mut credentials = Credentials::plain("", "");
    credentials.mechanism = "AMQPLAIN";
    credentials.response = response[8..8 + size].into();
    peer.handshake_with(&credentials, 0).await;
    peer.open(1).await;
}

#[tokio::test]
async fn anonymous_logs_in_as_guest() {
    let broker = Broker::start().await;
    // RabbitMQ 3.10: no such mechanism.
    if broker.is_rabbitmq_3() {
        return;
    }
    let mut peer = broker.dial().await;
    let mut credentials = Credentials::plain("", "");
    credentials.mechanism = "ANONYMOUS";
    credentials.response = Vec::new();
    peer.handshake_with(&credentials, 0).await;
    peer.open(1).await;
    let q = unique("q");
    peer.call(1, declare(&q).flag("exclusive")).await;
    peer.publish(1, publish("", &q, "m").property("user-id", "guest")).await;
    peer.expect_get(1, &q, "m").await;
}

#[tokio::test]
async fn anonymous_can_be_switched_off() {
    let Some(broker) = Broker::start_with(|config| config.anonymous = false).await else { return };
    let mut peer = broker.dial().await;
    let start = peer.receive_start().await;
    peer.same("mechanisms", &start.text("mechanisms").contains("ANONYMOUS"), &false);
}

#[tokio::test]
async fn an_unknown_mechanism_is_503() {
    let broker = Broker::start().await;
    let mut peer = broker.dial().await;
    let mut credentials = Credentials::plain("guest", "guest");
    credentials.mechanism = "TELEPATHY";
    peer.receive_start().await;
    peer.send(0, credentials.start_ok()).await;
    // RabbitMQ 3.10: the log says 503, the wire nothing.
    if broker.is_rabbitmq_3() {
        return peer.expect_eof().await;
    }
    let text = "COMMAND_INVALID - unknown authentication mechanism 'TELEPATHY'";
    let close = peer.expect(0, "connection.close").await;
    peer.same("reply-code", &close.number("reply-code"), &503);
    peer.same("reply-text", &close.text("reply-text").as_str(), &text);
}

#[tokio::test]
async fn a_wrong_password_is_403_for_clients_that_can_be_told() {
    let broker = Broker::start().await;
    for credentials in [Credentials::plain("guest", "wrong"), Credentials::plain("nobody", "guest")] {
        let mut peer = broker.dial().await;
        peer.receive_start().await;
        peer.send(0, credentials.start_ok()).await;
        peer.expect_connection_close(403, REFUSED, (0, 0)).await;
    }
}

#[tokio::test]
async fn a_wrong_password_is_silence_for_clients_that_cannot_be_told() {
    let broker = Broker::start().await;
    let mut peer = broker.dial().await;
    let mut credentials = Credentials::plain("guest", "wrong");
    credentials.capabilities = Table::default();
    peer.receive_start().await;
    peer.send(0, credentials.start_ok()).await;
    peer.expect_bytes_then_eof(b"").await;
}

#[tokio::test]
async fn a_garbled_plain_response_is_refused() {
    let broker = Broker::start().await;
    for response in [&b""[..], b"guest", b"\0guest", b"\xff\0\xfe"] {
        let mut peer = broker.dial().await;
        let mut credentials = Credentials::plain("", "");
        credentials.response = response.into();
        peer.receive_start().await;
        peer.send(0, credentials.start_ok()).await;
        // RabbitMQ: a response without its zeros ends the socket.
        let code = peer.expect_end().await;
        assert!(matches!(code, None | Some(403)), "{code:?}");
    }
}

#[tokio::test]
async fn tune_ok_beyond_the_limits_is_530() {
    let broker = Broker::start().await;
    let cases = [
        ("frame-max", 100, "frame_max = 100 is lower than the minimum allowed value (4096)"),
        ("frame-max", 131_073, "frame_max = 131073 is higher than the maximum allowed value (131072)"),
        ("frame-max", 0, "frame_max = 0 is higher than the maximum allowed value (131072)"),
        ("channel-max", 2048, "channel_max = 2048 is higher than the maximum allowed value (2047)"),
        ("channel-max", 0, "channel_max = 0 (no limit) is higher than the maximum allowed value (2047)"),
    ];
    for (field, value, text) in cases {
        let mut peer = broker.dial().await;
        let tune = peer.log_in(&Credentials::plain("guest", "guest")).await;
        let text = format!("NOT_ALLOWED - negotiated {text}");
        // RabbitMQ 3.10: the log says so, the wire nothing.
        if broker.is_rabbitmq_3() {
            peer.send(0, tune_ok(&tune).set(field, value)).await;
            peer.expect_eof().await;
            continue;
        }
        peer.send(0, tune_ok(&tune).set(field, value)).await;
        // RabbitMQ blames its own connection.tune.
        peer.expect_connection_close(530, &text, (10, 30)).await;
    }
}

#[tokio::test]
async fn a_smaller_frame_max_holds_for_the_broker_too() {
    let broker = Broker::start().await;
    let mut peer = broker.dial().await;
    let tune = peer.log_in(&Credentials::plain("guest", "guest")).await;
    peer.send(0, tune_ok(&tune).set("frame-max", 4096)).await;
    peer.frame_max = 4096;
    peer.open_vhost("/").await;
    peer.open(1).await;
    let q = unique("q");
    peer.call(1, declare(&q).flag("exclusive")).await;
    let mut content = publish("", &q, "");
    content.body = vec![7; 10_000];
    peer.publish(1, content).await;
    peer.send(1, get(&q)).await;
    peer.expect(1, "basic.get-ok").await;
    peer.expect_frame().await;
    let sizes = [
        peer.expect_frame().await.payload.len(),
        peer.expect_frame().await.payload.len(),
        peer.expect_frame().await.payload.len(),
    ];
    assert_eq!(sizes, [4088, 4088, 1824]);
}

#[tokio::test]
async fn a_missing_vhost_is_530() {
    let broker = Broker::start().await;
    let mut peer = broker.dial().await;
    let tune = peer.log_in(&Credentials::plain("guest", "guest")).await;
    peer.send(0, tune_ok(&tune)).await;
    let method = Method::new("connection.open").set("virtual-host", "nowhere");
    peer.expect_hard_error(0, method, 530, "NOT_ALLOWED - vhost nowhere not found").await;
}

#[tokio::test]
async fn a_secret_can_be_updated() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    let method = Method::new("connection.update-secret").set("new-secret", "guest").set("reason", "rotation");
    peer.call(0, method).await;
    peer.call(1, qos(0)).await;
}

#[tokio::test]
async fn steps_out_of_order_close_the_connection() {
    let broker = Broker::start().await;
    // connection.open where start-ok is due.
    let mut peer = broker.dial().await;
    peer.receive_start().await;
    peer.send(0, Method::new("connection.open").set("virtual-host", "/")).await;
    // RabbitMQ: no word to a client that is not logged in.
    let code = peer.expect_end().await;
    assert!(matches!(code, None | Some(501..=505)), "{code:?}");
    // A method of a channel before open-ok.
    let mut peer = broker.dial().await;
    let tune = peer.log_in(&Credentials::plain("guest", "guest")).await;
    peer.send(0, tune_ok(&tune)).await;
    peer.send(1, open()).await;
    let code = peer.expect_end().await;
    assert!(matches!(code, None | Some(501..=505)), "{code:?}");
}

#[tokio::test]
async fn the_client_may_close() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    peer.send(1, declare(&unique("q")).flag("exclusive")).await;
    peer.expect(1, "queue.declare-ok").await;
    peer.close().await;
}

#[tokio::test]
async fn a_client_that_says_nothing_is_dropped_in_time() {
    let timeout = Duration::from_millis(200);
    let Some(broker) = Broker::start_with(|config| config.limits.handshake_timeout = timeout).await else {
        return;
    };
    // Before the header, in the middle of it, and before start-ok.
    let mut peer = broker.dial().await;
    peer.expect_eof().await;
    let mut peer = broker.dial().await;
    peer.send_bytes(b"AMQP").await;
    peer.expect_eof().await;
    let mut peer = broker.dial().await;
    peer.receive_start().await;
    peer.expect_eof().await;
}

#[tokio::test]
async fn the_connection_limit_refuses_and_recovers() {
    let Some(broker) = Broker::start_with(|config| config.limits.connections_max = 2).await else { return };
    let first = broker.connect().await;
    let mut second = broker.connect().await;
    let mut third = broker.dial().await;
    // Refused, whether it is accepted and closed or told so.
    if third.try_send_bytes(PROTOCOL_HEADER).await.is_ok() {
        third.expect_eof().await;
    }
    second.open(1).await;
    first.close().await;
    // The place is free as soon as the socket is.
    for _ in 0..1000 {
        let mut next = broker.dial().await;
        if next.is_welcome().await {
            return;
        }
    }
    panic!("the place of a closed connection is not free");
}

#[tokio::test]
async fn the_broker_sends_heartbeats() {
    let broker = Broker::start().await;
    let mut peer = broker.dial().await;
    peer.handshake_with(&Credentials::plain("guest", "guest"), 1).await;
    for _ in 0..2 {
        let frame = peer.expect_frame().await;
        peer.same("heartbeat", &(frame.kind, frame.channel, frame.payload.len()), &(8, 0, 0));
        peer.heartbeat().await;
    }
}

#[tokio::test]
async fn a_peer_that_falls_silent_is_dropped() {
    let broker = Broker::start().await;
    let mut other = broker.channel().await;
    let q = unique("q");
    other.call(1, declare(&q).flag("durable")).await;
    other.publish(1, publish("", &q, "m")).await;
    let mut peer = broker.dial().await;
    peer.handshake_with(&Credentials::plain("guest", "guest"), 1).await;
    peer.open(1).await;
    peer.expect_get(1, &q, "m").await;
    other.call(1, consume(&q, "c").flag("no-ack")).await;
    // What it held goes to the next.
    other.expect_delivery(1, "m").await;
    other.call(1, cancel("c")).await;
    other.call(1, delete(&q)).await;
    peer.expect_heartbeats_then_eof().await;
}

#[tokio::test]
async fn heartbeats_keep_an_idle_peer_alive() {
    let broker = Broker::start().await;
    let mut peer = broker.dial().await;
    peer.handshake_with(&Credentials::plain("guest", "guest"), 1).await;
    // The broker's own heartbeats are the clock: two in a second, and three seconds of silence would be the end.
    for _ in 0..8 {
        peer.expect_frame().await;
        peer.heartbeat().await;
    }
    peer.send(1, open()).await;
    peer.expect_past_heartbeats(1, "channel.open-ok").await;
}

#[tokio::test]
async fn without_heartbeats_none_are_sent() {
    let broker = Broker::start().await;
    let mut silent = broker.channel().await;
    let mut ticking = broker.dial().await;
    ticking.handshake_with(&Credentials::plain("guest", "guest"), 1).await;
    for _ in 0..3 {
        ticking.expect_frame().await;
        ticking.heartbeat().await;
    }
    silent.call(1, qos(0)).await;
}
