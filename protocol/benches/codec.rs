//! Nanoseconds per message on the hot path, and per table off it.
//!
//!     cargo bench -p lepus-protocol

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use lepus_protocol::method::basic;
use lepus_protocol::{
    ChannelId, ContentHeader, DeliveryTag, FieldTable, FieldValue, Frame, Method, Properties, ShortStr,
    decode, encoder,
};

const FRAME_MAX: u32 = 131_072;
const CHANNEL: ChannelId = ChannelId::new(1);
const BODY: &[u8] = b"sixteen octets..";
/// Delivery mode 2.
const PERSISTENT: &[u8] = b"\x10\0\x02";

/// What a client sends for one message: method, header and body frame.
fn publish_octets() -> Vec<u8> {
    let publish = basic::Publish {
        exchange: ShortStr::truncated("amq.topic"),
        routing_key: ShortStr::truncated("orders.created"),
        mandatory: false,
        immediate: false,
    };
    let mut out = Vec::new();
    Method::from(publish).encode(CHANNEL, &mut out);
    encoder::content(&mut out, CHANNEL, PERSISTENT, BODY, FRAME_MAX);
    out
}

fn deliver_method() -> basic::Deliver<'static> {
    basic::Deliver {
        consumer_tag: ShortStr::truncated("ctag1.4f1c"),
        delivery_tag: DeliveryTag::new(1_000_000),
        redelivered: false,
        exchange: ShortStr::truncated("amq.topic"),
        routing_key: ShortStr::truncated("orders.created"),
    }
}

/// Takes every frame off `input` and parses its payload; gives back something that depends on all of it.
fn parse_stream(mut input: &[u8]) -> u64 {
    let mut sum = 0;
    while let Ok(Some((frame, length))) = decode(input, FRAME_MAX) {
        sum += match frame {
            Frame::Method { payload, .. } => method_weight(payload),
            Frame::Header { payload, .. } => {
                ContentHeader::parse(payload).map_or(0, |header| header.body_size)
            }
            Frame::Body { payload, .. } => payload.len() as u64,
            Frame::Heartbeat { .. } => 0,
        };
        input = input.split_at(length).1;
    }
    sum
}

fn method_weight(payload: &[u8]) -> u64 {
    match Method::parse(payload) {
        Ok(Method::Basic(basic::Method::Publish(publish))) => publish.routing_key.len() as u64,
        Ok(Method::Basic(basic::Method::Ack(ack))) => ack.delivery_tag.get(),
        _ => 0,
    }
}

fn parsing(c: &mut Criterion) {
    let publish = publish_octets();
    c.bench_function("parse publish (3 frames, 16 B)", |b| b.iter(|| parse_stream(black_box(&publish))));

    let mut ack = Vec::new();
    Method::from(basic::Ack { delivery_tag: DeliveryTag::new(7), multiple: false }).encode(CHANNEL, &mut ack);
    c.bench_function("parse ack (1 frame)", |b| b.iter(|| parse_stream(black_box(&ack))));

    c.bench_function("parse properties (delivery mode)", |b| {
        b.iter(|| Properties::parse(black_box(PERSISTENT)).map(|properties| properties.delivery_mode));
    });
}

fn encoding(c: &mut Criterion) {
    let deliver = deliver_method();
    let mut out = Vec::with_capacity(1 << 16);
    c.bench_function("encode delivery (3 frames, 16 B)", |b| {
        b.iter(|| {
            out.clear();
            encoder::deliver(&mut out, CHANNEL, black_box(&deliver), PERSISTENT, black_box(BODY), FRAME_MAX);
            black_box(&out).len()
        });
    });

    let ack = Method::from(basic::Ack { delivery_tag: DeliveryTag::new(7), multiple: false });
    c.bench_function("encode ack (1 frame)", |b| {
        b.iter(|| {
            out.clear();
            black_box(&ack).encode(CHANNEL, &mut out);
            black_box(&out).len()
        });
    });
}

/// The arguments of a typical quorum queue, and a dead-letter history.
fn tables() -> [(&'static str, FieldTable); 2] {
    let mut arguments = FieldTable::new();
    arguments.insert("x-queue-type", "quorum");
    arguments.insert("x-message-ttl", 60_000);
    arguments.insert("x-single-active-consumer", true);
    arguments.insert("x-dead-letter-exchange", "dlx");

    let mut death = FieldTable::new();
    death.insert("count", 1_i64);
    death.insert("reason", "rejected");
    death.insert("queue", "orders");
    death.insert("time", FieldValue::Timestamp(1_700_000_000));
    death.insert("exchange", "amq.topic");
    death.insert("routing-keys", vec!["orders.created".into()]);
    let mut headers = FieldTable::new();
    headers.insert("x-death", vec![death.into()]);
    headers.insert("x-first-death-queue", "orders");
    [("4 arguments", arguments), ("x-death", headers)]
}

fn field_tables(c: &mut Criterion) {
    for (name, table) in tables() {
        let mut octets = Vec::new();
        table.encode(&mut octets);
        c.bench_function(&format!("parse table ({name})"), |b| {
            b.iter(|| FieldTable::parse(black_box(&octets)));
        });
    }
}

criterion_group!(benches, parsing, encoding, field_tables);
criterion_main!(benches);
