//! What is published is what arrives: bodies of every size, and every property.
use crate::support::*;
use lapin::{BasicProperties, Channel, Confirmation, options::*, types::*};

const MIB: usize = 1024 * 1024;

/// Bytes in which a lost, doubled or swapped frame shows.
fn pattern(length: usize) -> Vec<u8> {
    (0_u32..).flat_map(|number| number.to_be_bytes()).take(length).collect()
}

async fn send_and_receive(channel: &Channel, queue: &str, body: &[u8]) -> Vec<u8> {
    let options = BasicPublishOptions { mandatory: true, ..Default::default() };
    let properties = BasicProperties::default();
    let confirm = channel.basic_publish("".into(), queue.into(), options, body, properties).await.unwrap();
    assert_eq!(confirm.await.unwrap(), Confirmation::Ack(None));
    take(channel, queue).await.expect("the message").data
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_of_8_mib_arrives_whole() {
    with_client(async |client| {
        let queue = queue(&client.channel).await;
        let body = pattern(8 * MIB);
        assert!(send_and_receive(&client.channel, &queue, &body).await == body);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn large_messages_reach_several_consumers_interleaved_with_small_ones() {
    with_client(async |client| {
        let large = String::from_utf8(vec![b'x'; MIB]).unwrap();
        let mut queues = Vec::new();
        for _ in 0..4 {
            let queue = queue(&client.channel).await;
            let consumer = consume(&client.connection.create_channel().await.unwrap(), &queue).await;
            queues.push((queue, consumer));
        }
        for body in [large.as_str(), "small", large.as_str()] {
            for (queue, _) in &queues {
                assert!(publish(&client.channel, "", queue, body).await.is_ack());
            }
        }
        for (_, consumer) in &mut queues {
            let deliveries = next_n(consumer, 3).await;
            let lengths: Vec<_> = deliveries.iter().map(|delivery| delivery.data.len()).collect();
            assert_eq!(lengths, [MIB, 5, MIB]);
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_around_the_frame_limit_arrive_whole() {
    with_client(async |client| {
        let queue = queue(&client.channel).await;
        // A frame is 8 octets longer than its payload.
        let frame_max = usize::try_from(client.connection.configuration().frame_max()).unwrap();
        let limit = frame_max - 8;
        for length in [0, 1, limit - 1, limit, limit + 1, 2 * limit, 2 * limit + 1] {
            let body = pattern(length);
            assert!(send_and_receive(&client.channel, &queue, &body).await == body, "{length} octets");
        }
    })
    .await;
}

fn every_property() -> BasicProperties {
    BasicProperties::default()
        .with_content_type("application/json".into())
        .with_content_encoding("gzip".into())
        .with_headers(every_type())
        .with_delivery_mode(1)
        .with_priority(7)
        .with_correlation_id("correlation".into())
        .with_reply_to("reply".into())
        .with_expiration("3600000".into())
        .with_message_id("message".into())
        .with_timestamp(1_700_000_000)
        .with_type("type".into())
        .with_user_id("guest".into())
        .with_app_id("app".into())
        .with_cluster_id("cluster".into())
}

fn every_type() -> FieldTable {
    let nested = table([("deeper", AMQPValue::FieldTable(table([("text", string("\u{2603}"))])))]);
    table([
        ("boolean", true.into()),
        ("int8", (-8_i8).into()),
        ("int16", (-16_i16).into()),
        ("int32", (-32_i32).into()),
        ("int64", (-64_i64).into()),
        ("float", 0.5_f32.into()),
        ("double", 0.25_f64.into()),
        ("decimal", AMQPValue::DecimalValue(DecimalValue { scale: 2, value: 314 })),
        ("string", string("text")),
        ("empty string", string("")),
        ("bytes", AMQPValue::ByteArray(vec![0, 255].into())),
        ("timestamp", AMQPValue::Timestamp(1_700_000_000)),
        ("void", AMQPValue::Void),
        ("array", AMQPValue::FieldArray(vec![1.into(), string("two"), AMQPValue::Void].into())),
        ("table", AMQPValue::FieldTable(nested)),
    ])
}

#[tokio::test(flavor = "multi_thread")]
async fn every_property_and_header_type_arrives_as_it_was_sent() {
    with_client(async |client| {
        let queue = queue(&client.channel).await;
        publish_with(&client.channel, "", &queue, "body", every_property()).await;
        let delivery = take(&client.channel, &queue).await.unwrap();
        assert_eq!(delivery.properties, every_property());
        assert_eq!((delivery.exchange.as_str(), delivery.routing_key.as_str()), ("", queue.as_str()));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_without_properties_arrives_without_properties() {
    with_client(async |client| {
        let queue = queue(&client.channel).await;
        fill(&client.channel, &queue, &["plain"]).await;
        let delivery = take(&client.channel, &queue).await.unwrap();
        assert_eq!(delivery.properties, BasicProperties::default());
    })
    .await;
}
