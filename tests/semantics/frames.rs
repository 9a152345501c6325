//! Frames that are wrong, and frames that only look so.

use crate::support::wire::{BODY, HEADER, HEARTBEAT, METHOD, frame};
use crate::support::*;

/// The broker closes the connection with this code.
async fn closes(peer: &mut Peer, code: u64, name: &str) {
    let close = peer.expect(0, "connection.close").await;
    peer.same("reply-code", &close.number("reply-code"), &code);
    let text = close.text("reply-text");
    if !text.starts_with(name) {
        peer.fail(format!("expected {name}"));
    }
    peer.send(0, Method::new("connection.close-ok")).await;
    peer.expect_eof().await;
}

#[tokio::test]
async fn an_unknown_frame_type_is_501() {
    let broker = Broker::start().await;
    for kind in [0, 4, 7, 9, 255] {
        let mut peer = broker.channel().await;
        peer.send_frame(kind, 1, b"payload").await;
        closes(&mut peer, 501, "FRAME_ERROR").await;
    }
}

#[tokio::test]
async fn a_bad_end_octet_is_501() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    let mut bytes = frame(METHOD, 1, &qos(0).encode());
    *bytes.last_mut().unwrap() = 0xCD;
    peer.send_bytes(&bytes).await;
    closes(&mut peer, 501, "FRAME_ERROR").await;
}

#[tokio::test]
async fn an_oversize_frame_is_501_before_its_payload() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    // A payload of frame_max is tolerated, 8 octets more than the specification allows.
    let q = unique("q");
    peer.call(1, declare(&q).flag("exclusive")).await;
    let mut content = publish("", &q, "");
    content.body = vec![1; 131_072];
    peer.frame_max = 131_080;
    peer.publish(1, content).await;
    peer.send(1, get(&q)).await;
    peer.expect_content(1, "basic.get-ok").await;
    // One more is not, and only the header of the frame is needed to see it.
    peer.send_bytes(&[BODY, 0, 1, 0x00, 0x02, 0x00, 0x01]).await;
    closes(&mut peer, 501, "FRAME_ERROR").await;
}

#[tokio::test]
async fn a_frame_of_four_gigabytes_is_501() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    peer.send_bytes(&[METHOD, 0, 1, 0xFF, 0xFF, 0xFF, 0xFF]).await;
    closes(&mut peer, 501, "FRAME_ERROR").await;
}

#[tokio::test]
async fn heartbeats_are_for_channel_0() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    peer.heartbeat().await;
    peer.call(1, qos(0)).await;
    peer.send_frame(HEARTBEAT, 1, &[]).await;
    closes(&mut peer, 505, "UNEXPECTED_FRAME").await;
}

#[tokio::test]
async fn a_header_without_a_method_is_505() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    peer.send_frame(HEADER, 1, &publish("", "q", "body").encode_header()).await;
    let text = "UNEXPECTED_FRAME - expected method frame, got non method frame instead";
    peer.expect_connection_close(505, text, (0, 0)).await;
}

#[tokio::test]
async fn a_body_without_a_header_is_505() {
    let broker = Broker::start().await;
    // With no method before it.
    let mut peer = broker.channel().await;
    peer.send_frame(BODY, 1, b"body").await;
    let text = "UNEXPECTED_FRAME - expected method frame, got non method frame instead";
    peer.expect_connection_close(505, text, (0, 0)).await;
    // After a method that carries content.
    let mut peer = broker.channel().await;
    peer.send(1, publish("", "q", "body").method).await;
    peer.send_frame(BODY, 1, b"body").await;
    let text =
        "UNEXPECTED_FRAME - expected content header for class 60, got non content header frame instead";
    peer.expect_connection_close(505, text, (60, 40)).await;
}

#[tokio::test]
async fn the_wrong_class_in_a_header_is_505() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    let content = publish("", "q", "body");
    peer.send(1, content.method.clone()).await;
    let mut header = content.encode_header();
    header[1] = 50;
    peer.send_frame(HEADER, 1, &header).await;
    let text = "UNEXPECTED_FRAME - expected content header for class 60, got one for class 50 instead";
    peer.expect_connection_close(505, text, (60, 40)).await;
}

#[tokio::test]
async fn a_method_where_content_is_due_is_505() {
    let broker = Broker::start().await;
    // Where the header is due.
    let mut peer = broker.channel().await;
    peer.send(1, publish("", "q", "body").method).await;
    peer.send(1, qos(0)).await;
    let text =
        "UNEXPECTED_FRAME - expected content header for class 60, got non content header frame instead";
    peer.expect_connection_close(505, text, (60, 40)).await;
    // Where the body is due.
    let mut peer = broker.channel().await;
    let content = publish("", "q", "body");
    peer.send(1, content.method.clone()).await;
    peer.send_frame(HEADER, 1, &content.encode_header()).await;
    peer.send_frame(BODY, 1, b"bo").await;
    peer.send(1, qos(0)).await;
    let text = "UNEXPECTED_FRAME - expected content body, got non content body frame instead";
    peer.expect_connection_close(505, text, (60, 40)).await;
}

#[tokio::test]
async fn more_body_than_the_header_says_closes_the_connection() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    let content = publish("", "q", "body");
    peer.send(1, content.method.clone()).await;
    peer.send_frame(HEADER, 1, &content.encode_header()).await;
    peer.send_frame(BODY, 1, b"body and more").await;
    // RabbitMQ 3.10: it waits for minus nine octets more.
    if !broker.is_rabbitmq_3() {
        let code = peer.expect_end().await;
        assert!(matches!(code, Some(501..=505)), "{code:?}");
    }
}

#[tokio::test]
async fn content_frames_of_two_channels_may_be_interleaved() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    peer.open(2).await;
    let q = unique("q");
    peer.call(1, declare(&q).flag("exclusive")).await;
    let (one, two) = (publish("", &q, "first"), publish("", &q, "second"));
    peer.send(1, one.method.clone()).await;
    peer.send(2, two.method.clone()).await;
    peer.send_frame(HEADER, 1, &one.encode_header()).await;
    peer.heartbeat().await;
    peer.send_frame(HEADER, 2, &two.encode_header()).await;
    peer.send_frame(BODY, 1, b"fir").await;
    peer.send_frame(BODY, 2, b"second").await;
    peer.call(2, qos(0)).await;
    peer.send_frame(BODY, 1, b"").await;
    peer.send_frame(BODY, 1, b"st").await;
    peer.call(1, qos(0)).await;
    peer.expect_counts(1, &q, 2, 0).await;
    peer.expect_get(1, &q, "second").await;
    peer.expect_get(1, &q, "first").await;
}

#[tokio::test]
async fn an_empty_body_needs_no_body_frame() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    let q = unique("q");
    peer.call(1, declare(&q).flag("exclusive")).await;
    peer.publish(1, publish("", &q, "")).await;
    peer.expect_get(1, &q, "").await;
}

#[tokio::test]
async fn frames_may_come_byte_by_byte() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    let q = unique("q");
    peer.call(1, declare(&q).flag("exclusive")).await;
    let content = publish("", &q, "hello").header("a", 1);
    let mut bytes = frame(METHOD, 1, &content.method.encode());
    bytes.extend(frame(HEADER, 1, &content.encode_header()));
    bytes.extend(frame(BODY, 1, b"hel"));
    bytes.extend(frame(BODY, 1, b"lo"));
    for byte in bytes {
        peer.send_bytes(&[byte]).await;
    }
    peer.expect_get(1, &q, "hello").await;
}

#[tokio::test]
async fn a_truncated_method_closes_the_connection() {
    let broker = Broker::start().await;
    let whole = declare("queue").encode();
    for size in [0, 1, 3, 4, 6, whole.len() - 1] {
        let mut peer = broker.channel().await;
        peer.send_frame(METHOD, 1, &whole[..size]).await;
        // RabbitMQ: 541, or the end of the socket, where its parser crashes.
        let code = peer.expect_end().await;
        if !broker.is_rabbitmq_3() {
            assert!(matches!(code, Some(501..=505)), "{size}: {code:?}");
        }
    }
}

#[tokio::test]
async fn an_unknown_method_closes_the_connection() {
    let broker = Broker::start().await;
    for id in [[0, 60, 0, 99], [0, 99, 0, 10], [0xFF, 0xFF, 0xFF, 0xFF]] {
        let mut peer = broker.channel().await;
        peer.send_frame(METHOD, 1, &id).await;
        // RabbitMQ: its parser crashes, and the socket with it.
        let code = peer.expect_end().await;
        if !broker.is_rabbitmq_3() {
            assert!(matches!(code, Some(501..=540)), "{id:?}: {code:?}");
        }
    }
}

#[tokio::test]
async fn methods_of_the_broker_are_not_for_clients() {
    let broker = Broker::start().await;
    for name in ["queue.declare-ok", "basic.qos-ok", "basic.get-empty", "channel.open-ok"] {
        let mut peer = broker.channel().await;
        peer.send(1, Method::new(name)).await;
        let code = peer.expect_end().await;
        assert!(matches!(code, Some(501..=541)), "{name}: {code:?}");
    }
}

#[tokio::test]
async fn a_socket_that_ends_within_a_frame_harms_nobody() {
    let broker = Broker::start().await;
    let mut other = broker.channel().await;
    let q = unique("q");
    let bytes = frame(METHOD, 1, &declare(&q).encode());
    for size in [1, 7, bytes.len() - 1] {
        let mut peer = broker.channel().await;
        peer.send_bytes(&bytes[..size]).await;
        drop(peer);
    }
    let text = format!("NOT_FOUND - no queue '{q}' in vhost '/'");
    other.expect_soft_error(1, passive(&q), 404, &text).await;
}

#[tokio::test]
async fn a_method_on_an_unopened_channel_is_504() {
    let broker = Broker::start().await;
    let mut peer = broker.connect().await;
    let text = "CHANNEL_ERROR - expected 'channel.open'";
    peer.expect_hard_error(1, qos(0), 504, text).await;
}

#[tokio::test]
async fn a_closed_channel_is_unopened() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    peer.call(1, close_channel()).await;
    let text = "CHANNEL_ERROR - expected 'channel.open'";
    peer.expect_hard_error(1, qos(0), 504, text).await;
}

#[tokio::test]
async fn a_second_channel_open_is_504() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    let text = "CHANNEL_ERROR - second 'channel.open' seen";
    peer.expect_hard_error(1, open(), 504, text).await;
}

#[tokio::test]
async fn channel_0_is_for_the_connection() {
    let broker = Broker::start().await;
    for method in [qos(0), open(), declare("q")] {
        let mut peer = broker.connect().await;
        peer.send(0, method).await;
        let code = peer.expect_end().await;
        assert!(matches!(code, Some(503..=504)), "{code:?}");
    }
    // And the connection's methods are for channel 0.
    let mut peer = broker.channel().await;
    peer.send(1, Method::new("connection.close")).await;
    let code = peer.expect_end().await;
    assert!(matches!(code, Some(503..=540)), "{code:?}");
}

#[tokio::test]
async fn a_channel_number_above_channel_max_is_refused() {
    let broker = Broker::start().await;
    let mut peer = broker.dial().await;
    let tune = peer.log_in(&Credentials::plain("guest", "guest")).await;
    let method = Method::new("connection.tune-ok").set("channel-max", 3);
    peer.send(0, method.set("frame-max", tune.number("frame-max"))).await;
    peer.open_vhost("/").await;
    for channel in 1..=3 {
        peer.open(channel).await;
    }
    peer.send(4, open()).await;
    let close = peer.expect(0, "connection.close").await;
    // RabbitMQ: it counts channels, whatever their numbers.
    let text = "NOT_ALLOWED - number of channels opened (3) has reached the negotiated channel_max (3)";
    peer.same("reply-text", &close.text("reply-text").as_str(), &text);
    peer.same("reply-code", &close.number("reply-code"), &530);
}

#[tokio::test]
async fn a_channel_may_be_closed_and_opened_again() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    for _ in 0..100 {
        peer.call(1, close_channel()).await;
        peer.open(1).await;
    }
    peer.call(1, qos(0)).await;
}

#[tokio::test]
async fn flow_is_only_ever_on() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    let ok = peer.call(1, Method::new("channel.flow").flag("active")).await;
    peer.same("active", &ok.is("active"), &true);
    let text = "NOT_IMPLEMENTED - active=false";
    peer.expect_hard_error(1, Method::new("channel.flow"), 540, text).await;
}

#[tokio::test]
async fn access_request_is_granted_for_old_clients() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    let ok = peer.call(1, Method::new("access.request").set("realm", "/data").flag("active")).await;
    peer.same("ticket", &ok.number("ticket"), &1);
}

#[tokio::test]
async fn methods_may_be_pipelined() {
    let broker = Broker::start().await;
    let mut peer = broker.connect().await;
    let q = unique("q");
    let methods = [open(), declare(&q).flag("exclusive"), bind(&q, "amq.direct", &q), consume(&q, "c")];
    let bytes: Vec<u8> = methods.iter().flat_map(|method| frame(METHOD, 1, &method.encode())).collect();
    peer.send_bytes(&bytes).await;
    peer.publish(1, publish("amq.direct", &q, "hello")).await;
    for method in methods {
        peer.expect(1, &format!("{}-ok", method.name)).await;
    }
    peer.expect_delivery(1, "hello").await;
}

#[tokio::test]
async fn closing_a_channel_in_the_middle_of_content_is_505() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    peer.send(1, publish("", "q", "").method).await;
    peer.send(1, close_channel()).await;
    let text =
        "UNEXPECTED_FRAME - expected content header for class 60, got non content header frame instead";
    peer.expect_connection_close(505, text, (60, 40)).await;
}
