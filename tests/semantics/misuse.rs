//! Clients that are broken or mean well too much: each gets an error or a bounded refusal, and nobody else feels it.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::support::wire::{METHOD, frame};
use crate::support::*;

/// A connection that must not feel what another does.
struct Bystander {
    peer: Peer,
    queue: String,
}

impl Bystander {
    async fn new(broker: &Broker) -> Self {
        let mut peer = broker.channel().await;
        let queue = unique("bystander");
        peer.call(1, declare(&queue).flag("exclusive")).await;
        Self { peer, queue }
    }

    async fn is_well(&mut self) {
        self.peer.publish(1, publish("", &self.queue, "still here")).await;
        self.peer.expect_get(1, &self.queue, "still here").await;
    }
}

/// Channels 1 to `last` are opened; channels are not served in the order of their requests.
async fn expect_opened(peer: &mut Peer, last: u16) {
    let mut channels = BTreeSet::new();
    for _ in 1..=last {
        let frame = peer.expect_frame().await;
        match Method::decode(&frame.payload) {
            Some(method) if method.name == "channel.open-ok" => channels.insert(frame.channel),
            _ => peer.fail("expected channel.open-ok"),
        };
    }
    assert!(channels.into_iter().eq(1..=last));
}

#[tokio::test]
async fn ten_thousand_channels_are_too_many() {
    let broker = Broker::start().await;
    let mut bystander = Bystander::new(&broker).await;
    let mut peer = broker.connect().await;
    // Some of what follows the error may find the socket closed.
    let bytes: Vec<u8> = (1..=10_000).flat_map(|channel| frame(METHOD, channel, &open().encode())).collect();
    peer.send_bytes(&bytes).await;
    expect_opened(&mut peer, 2047).await;
    let text = "NOT_ALLOWED - number of channels opened (2047) has reached the negotiated channel_max (2047)";
    let close = peer.expect(0, "connection.close").await;
    peer.same("reply-text", &close.text("reply-text").as_str(), &text);
    peer.same("reply-code", &close.number("reply-code"), &530);
    bystander.is_well().await;
}

#[tokio::test]
async fn all_channels_of_a_connection_work() {
    let broker = Broker::start().await;
    let mut peer = broker.connect().await;
    let q = unique("q");
    for channel in 1..=2047 {
        peer.send(channel, open()).await;
    }
    expect_opened(&mut peer, 2047).await;
    peer.call(1, declare(&q).flag("exclusive")).await;
    peer.publish(2047, publish("", &q, "hello")).await;
    peer.call(2047, qos(1)).await;
    peer.expect_get(1024, &q, "hello").await;
    peer.close().await;
}

#[tokio::test]
async fn a_consumer_that_never_reads_stops_nobody_else() {
    let broker = Broker::start().await;
    let mut bystander = Bystander::new(&broker).await;
    let mut deaf = broker.channel().await;
    let q = unique("q");
    deaf.call(1, declare(&q).flag("durable")).await;
    deaf.call(1, consume(&q, "deaf").flag("no-ack")).await;
    let mut publisher = broker.channel().await;
    publisher.call(1, confirm_select()).await;
    let mut content = publish("", &q, "");
    content.body = vec![b'x'; 100_000];
    for number in 1..=300 {
        publisher.publish(1, content.clone()).await;
        publisher.expect_confirm(1, number).await;
    }
    bystander.is_well().await;
    // Once it goes, what was not sent is for others.
    drop(deaf);
    publisher.call(1, delete(&q)).await;
    bystander.is_well().await;
}

#[tokio::test]
async fn a_client_that_asks_and_never_reads_is_not_read_either() {
    let broker = Broker::start().await;
    // RabbitMQ 3.10: it reads on, and keeps the answers.
    if broker.is_rabbitmq_3() {
        return;
    }
    let mut bystander = Bystander::new(&broker).await;
    let mut peer = broker.channel_with_small_window().await;
    let q = unique("q");
    peer.call(1, declare(&q).flag("exclusive")).await;
    let request = frame(METHOD, 1, &declare(&q).flag("exclusive").encode());
    let chunk = request.repeat(1000);
    let mut sent = 0;
    // The sockets' own buffers hold some megabytes.
    while peer.send_while_read(&chunk, Duration::from_secs(2)).await {
        sent += chunk.len();
        assert!(sent < 64 << 20, "{sent} octets of requests were read without an answer taken");
    }
    bystander.is_well().await;
}

#[tokio::test]
async fn a_flood_of_declares_is_served() {
    let broker = Broker::start().await;
    let mut bystander = Bystander::new(&broker).await;
    let mut peer = broker.channel().await;
    let prefix = unique("q");
    for round in 0..10 {
        for number in 0..100 {
            peer.send(1, declare(&format!("{prefix}-{round}-{number}")).flag("exclusive")).await;
        }
        bystander.is_well().await;
        for _ in 0..100 {
            peer.expect(1, "queue.declare-ok").await;
        }
    }
    // They are exclusive: the end of the connection ends all thousand.
    peer.close().await;
    let mut other = broker.channel().await;
    let q = format!("{prefix}-0-0");
    let text = format!("NOT_FOUND - no queue '{q}' in vhost '/'");
    other.expect_soft_error(1, passive(&q), 404, &text).await;
}

#[tokio::test]
async fn sockets_that_say_nothing_take_no_place_for_long() {
    let timeout = Duration::from_millis(300);
    let configured = Broker::start_with(|config| config.limits.handshake_timeout = timeout).await;
    let Some(broker) = configured else { return };
    let mut bystander = Bystander::new(&broker).await;
    let mut silent = Vec::new();
    for number in 0..200 {
        let mut peer = broker.dial().await;
        peer.send_bytes(&b"AMQP\x00\x00\x09"[..number % 8]).await;
        silent.push(peer);
    }
    bystander.is_well().await;
    for mut peer in silent {
        peer.expect_bytes_then_eof(b"").await;
    }
    bystander.is_well().await;
}

#[tokio::test]
async fn garbage_after_the_handshake_ends_the_connection() {
    let broker = Broker::start().await;
    let mut bystander = Bystander::new(&broker).await;
    for garbage in
        [&b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"[..], &[0xFF; 64], b"AMQP\x00\x00\x09\x01AMQP"]
    {
        let mut peer = broker.channel().await;
        peer.send_bytes(garbage).await;
        let code = peer.expect_end().await;
        assert_eq!(code, Some(501), "{}", garbage.escape_ascii());
    }
    bystander.is_well().await;
}

#[tokio::test]
async fn noise_in_well_formed_frames_harms_nobody() {
    let broker = Broker::start().await;
    let mut bystander = Bystander::new(&broker).await;
    // A fixed sequence: what fails once fails again.
    let mut state = 0x2545_F491_4F6C_DD1D_u64;
    let mut random = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    for _ in 0..200 {
        let mut peer = broker.channel().await;
        let size = usize::from(random()[0]) % 60;
        let mut payload: Vec<u8> = (0..size).map(|_| random()[1]).collect();
        // A method that exists, most of the time.
        payload.splice(0..payload.len().min(4), [0, 10 * (random()[2] % 10), 0, 10 * (random()[3] % 13)]);
        peer.send_bytes(&frame(1 + random()[4] % 3, u16::from(random()[5] % 2), &payload)).await;
        // The connection may be at its end by now.
        let _ = peer.try_send_bytes(&frame(METHOD, 1, &qos(0).encode())).await;
    }
    bystander.is_well().await;
}

/// queue.declare with a table nested this deep in its arguments.
fn nested(depth: u32) -> Vec<u8> {
    let mut payload = declare("").flag("exclusive").encode();
    payload.truncate(payload.len() - 4);
    for level in 0..depth {
        // A table of one entry without a name, which is a table.
        payload.extend((6 * (depth - level)).to_be_bytes());
        payload.extend([0, b'F']);
    }
    payload.extend([0; 4]);
    payload
}

#[tokio::test]
async fn deep_tables_are_refused_within_bounds() {
    let broker = Broker::start().await;
    let mut bystander = Bystander::new(&broker).await;
    let mut peer = broker.channel().await;
    peer.send_frame(METHOD, 1, &nested(3)).await;
    peer.expect(1, "queue.declare-ok").await;
    let mut peer = broker.channel().await;
    peer.send_frame(METHOD, 1, &nested(20_000)).await;
    // RabbitMQ: it has no such limit.
    if !broker.is_rabbitmq_3() {
        let code = peer.expect_end().await;
        assert!(matches!(code, Some(501..=506)), "{code:?}");
    }
    bystander.is_well().await;
}

#[tokio::test]
async fn lengths_beyond_the_frame_are_refused() {
    let broker = Broker::start().await;
    let mut bystander = Bystander::new(&broker).await;
    let mut table_too_long = declare("").encode();
    let size = table_too_long.len();
    table_too_long[size - 4..].copy_from_slice(&[0xFF; 4]);
    let mut name_too_long = declare("").encode();
    name_too_long[6] = 0xFF;
    for payload in [table_too_long, name_too_long] {
        let mut peer = broker.channel().await;
        peer.send_frame(METHOD, 1, &payload).await;
        let code = peer.expect_end().await;
        // RabbitMQ 3.10: 541 where its parser crashes.
        let is_expected = broker.is_rabbitmq_3() || matches!(code, Some(501..=505));
        assert!(is_expected, "{code:?}");
    }
    bystander.is_well().await;
}

#[tokio::test]
async fn a_table_as_large_as_a_frame_is_served_and_a_larger_one_refused() {
    let broker = Broker::start().await;
    let mut bystander = Bystander::new(&broker).await;
    let q = unique("q");
    let large = |size: usize| declare(&q).flag("exclusive").arg("x-mine", "x".repeat(size).as_str());
    let mut peer = broker.channel().await;
    peer.call(1, large(100_000)).await;
    let bytes = frame(METHOD, 1, &large(1 << 20).encode());
    // The broker may close before it has read all.
    let _ = peer.try_send_bytes(&bytes).await;
    let code = peer.expect_abrupt_end().await;
    assert!(matches!(code, None | Some(501)), "{code:?}");
    // And before anyone is logged in.
    let mut peer = broker.dial().await;
    peer.receive_start().await;
    let mut credentials = Credentials::plain("guest", "guest");
    credentials.capabilities = Table::default().with("x", "x".repeat(1 << 20).as_str());
    let bytes = frame(METHOD, 0, &credentials.start_ok().encode());
    let _ = peer.try_send_bytes(&bytes).await;
    let code = peer.expect_abrupt_end().await;
    assert!(matches!(code, None | Some(501)), "{code:?}");
    bystander.is_well().await;
}

#[tokio::test]
async fn many_connections_come_and_go() {
    let broker = Broker::start().await;
    let mut bystander = Bystander::new(&broker).await;
    for round in 0..200 {
        let mut peer = broker.channel().await;
        peer.call(1, declare("").flag("exclusive")).await;
        // Half of them leave without a word.
        if round % 2 == 0 {
            peer.close().await;
        }
    }
    bystander.is_well().await;
}

#[tokio::test]
async fn a_long_chain_of_auto_delete_exchanges_goes_at_once_and_harms_nobody() {
    const LENGTH: usize = 3_000;
    let Some(broker) = Broker::start_with(|_| ()).await else { return };
    let mut bystander = Bystander::new(&broker).await;
    let mut peer = broker.channel().await;
    let (q, x) = (unique("q"), unique("x"));
    peer.call(1, declare(&q)).await;
    for n in 0..LENGTH {
        peer.call(1, declare_exchange(&format!("{x}{n}"), "fanout").flag("auto-delete")).await;
    }
    peer.call(1, bind(&q, &format!("{x}0"), "")).await;
    for n in 1..LENGTH {
        peer.call(1, bind_exchange(&format!("{x}{}", n - 1), &format!("{x}{n}"), "")).await;
    }
    peer.publish(1, publish(&format!("{x}{}", LENGTH - 1), "", "through all of them")).await;
    peer.expect_get(1, &q, "through all of them").await;
    peer.call(1, delete(&q)).await;
    let last = format!("{x}{}", LENGTH - 1);
    let text = format!("NOT_FOUND - no exchange '{last}' in vhost '/'");
    peer.expect_refusal(1, declare_exchange(&last, "fanout").flag("passive"), 404, &text).await;
    bystander.is_well().await;
}

#[tokio::test]
async fn a_ring_of_queues_that_pass_on_what_they_cannot_hold_comes_to_rest() {
    // More of them than deaths are remembered, so that the cycle cannot be told from the history.
    const LENGTH: usize = 140;
    let Some(broker) = Broker::start_with(|_| ()).await else { return };
    let mut bystander = Bystander::new(&broker).await;
    let mut peer = broker.channel().await;
    let q = unique("q");
    for n in 0..LENGTH {
        let next = format!("{q}-{}", (n + 1) % LENGTH);
        let method = declare(&format!("{q}-{n}")).flag("exclusive").arg("x-max-length", 0);
        let method = method.arg("x-dead-letter-exchange", "").arg("x-dead-letter-routing-key", &next);
        peer.call(1, method).await;
    }
    peer.call(1, confirm_select()).await;
    peer.publish(1, publish("", &format!("{q}-0"), "round and round")).await;
    peer.expect_confirm(1, 1).await;
    bystander.is_well().await;
}

#[tokio::test]
async fn queues_that_all_pass_on_to_all_others_come_to_rest() {
    const QUEUES: usize = 10;
    let Some(broker) = Broker::start_with(|_| ()).await else { return };
    let mut peer = broker.channel().await;
    let (q, x) = (unique("q"), unique("x"));
    peer.call(1, declare_exchange(&x, "fanout").flag("auto-delete")).await;
    for n in 0..QUEUES {
        let method = declare(&format!("{q}-{n}")).flag("exclusive").arg("x-max-length", 0);
        peer.call(1, method.arg("x-dead-letter-exchange", &x)).await;
        peer.call(1, bind(&format!("{q}-{n}"), &x, "")).await;
    }
    peer.call(1, confirm_select()).await;
    peer.publish(1, publish(&x, "", "to everybody")).await;
    peer.expect_confirm(1, 1).await;
}

#[tokio::test]
async fn a_graph_of_exchanges_with_more_paths_than_can_be_walked_is_walked_once() {
    // 12 to the power of 12 paths, and every one of them leads back to the first exchange as well.
    const LAYERS: usize = 12;
    const WIDTH: usize = 12;
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    let (q, x) = (unique("q"), unique("x"));
    peer.call(1, declare(&q)).await;
    let name = |layer: usize, n: usize| format!("{x}-{}-{n}", layer % LAYERS);
    for (layer, n) in grid(LAYERS, WIDTH) {
        peer.send(1, declare_exchange(&name(layer, n), "fanout").flag("auto-delete")).await;
    }
    for _ in grid(LAYERS, WIDTH) {
        peer.expect(1, "exchange.declare-ok").await;
    }
    for (layer, n) in grid(LAYERS, WIDTH) {
        for next in 0..WIDTH {
            peer.call(1, bind_exchange(&name(layer + 1, next), &name(layer, n), "")).await;
        }
    }
    for n in 0..WIDTH {
        peer.call(1, bind(&q, &name(LAYERS - 1, n), "")).await;
    }
    peer.publish(1, publish(&name(0, 0), "", "once")).await;
    peer.expect_get(1, &q, "once").await;
    peer.expect_empty(1, &q).await;
    peer.call(1, delete(&q)).await;
    for (layer, n) in grid(LAYERS, WIDTH) {
        peer.call(1, delete_exchange(&name(layer, n))).await;
    }
}

fn grid(layers: usize, width: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..layers).flat_map(move |layer| (0..width).map(move |n| (layer, n)))
}

#[tokio::test]
async fn a_history_of_deaths_stays_bounded_however_often_and_wherever_a_message_is_rejected() {
    // As many as a message remembers, and some more.
    const DEATHS_MAX: usize = 128;
    const LENGTH: usize = DEATHS_MAX + 12;
    let Some(broker) = Broker::start_with(|_| ()).await else { return };
    let mut peer = broker.channel().await;
    let q = unique("q");
    for n in 0..LENGTH {
        let method = declare(&format!("{q}-{n}")).flag("exclusive").arg("x-dead-letter-exchange", "");
        peer.call(1, method.arg("x-dead-letter-routing-key", &format!("{q}-{}", (n + 1) % LENGTH))).await;
    }
    peer.publish(1, publish("", &format!("{q}-0"), "m")).await;
    let mut sizes = Vec::new();
    for n in 0..2 * LENGTH {
        let got = peer.expect_get(1, &format!("{q}-{}", n % LENGTH), "m").await;
        if let Some(Value::Array(deaths)) = got.headers().get("x-death") {
            peer.same("deaths", &deaths.len(), &n.min(DEATHS_MAX));
            let last = deaths.first().unwrap().table().get("queue").unwrap().text();
            peer.same("last death", &last, &format!("{q}-{}", (n - 1) % LENGTH));
        }
        sizes.push(got.encode_header().len());
        peer.send(1, reject(got.delivery_tag())).await;
    }
    // Names of queues take a digit or three.
    assert!(sizes[2 * LENGTH - 1] < sizes[LENGTH - 1] + 3 * DEATHS_MAX, "{sizes:?}");
}

#[tokio::test]
async fn a_batch_of_requests_with_large_answers_is_answered_piece_by_piece() {
    const REQUESTS: u64 = 200;
    let Some(broker) = Broker::start_with(|_| ()).await else { return };
    let mut peer = broker.channel().await;
    let q = unique("q");
    peer.call(1, declare(&q).flag("exclusive")).await;
    let body = "x".repeat(256 * 1024);
    peer.publish(1, publish("", &q, &body)).await;
    peer.expect_counts(1, &q, 1, 0).await;
    // All in one write: the answers are 50 MiB.
    let mut requests = Vec::new();
    for tag in 1..=REQUESTS {
        requests.extend(frame(METHOD, 1, &get(&q).encode()));
        requests.extend(frame(METHOD, 1, &nack(tag).flag("requeue").encode()));
    }
    peer.send_bytes(&requests).await;
    for _ in 0..REQUESTS {
        peer.expect_content(1, "basic.get-ok").await;
    }
    peer.expect_counts(1, &q, 1, 0).await;
}
