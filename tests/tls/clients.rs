//! What works over TLS as it does without.

use futures_lite::StreamExt;
use lapin::options::{BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, QueueDeclareOptions};
use lapin::tcp::OwnedTLSConfig;
use lapin::types::FieldTable;
use lapin::{BasicProperties, Connection, ConnectionProperties};

use crate::authority::Authority;
use crate::broker::{client, client_of, dial, start};
use crate::support::{consume, declare, publish};

#[tokio::test]
async fn a_dialogue_goes_over_tls_1_2_and_1_3() {
    let authority = Authority::new();
    let app = start(&authority, |_| {}).await;
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let mut peer = dial(&app, client_of(&authority, None, &[version])).await;
        peer.handshake().await;
        peer.open(1).await;
        peer.call(1, declare("secured")).await;
        peer.call(1, consume("secured", "c").flag("no-ack")).await;
        peer.publish(1, publish("", "secured", "whispered")).await;
        peer.expect_delivery(1, "whispered").await;
        peer.close().await;
    }
    app.shutdown().await;
}

/// More than any buffer on the way holds, in both directions at once.
#[tokio::test]
async fn large_messages_go_both_ways_at_once() {
    let authority = Authority::new();
    let app = start(&authority, |_| {}).await;
    let mut peer = dial(&app, client(&authority, None)).await;
    peer.handshake().await;
    peer.open(1).await;
    peer.call(1, declare("large")).await;
    peer.call(1, consume("large", "c").flag("no-ack")).await;
    let body = "x".repeat(3_000_000);
    for _ in 0..5 {
        peer.publish(1, publish("", "large", &body)).await;
    }
    for _ in 0..5 {
        peer.expect_delivery(1, &body).await;
    }
    peer.close().await;
    app.shutdown().await;
}

#[tokio::test]
async fn lapin_publishes_and_consumes_over_amqps() {
    let authority = Authority::new();
    let app = start(&authority, |_| {}).await;
    let uri = format!("amqps://guest:guest@localhost:{}", app.tls_addr().unwrap().port());
    let tls = OwnedTLSConfig { identity: None, cert_chain: Some(authority.pem.clone()) };
    let runtime = lapin::runtime::default_runtime().unwrap();
    let connection =
        Connection::connect_with_config(&uri, ConnectionProperties::default(), tls, runtime).await.unwrap();
    let channel = connection.create_channel().await.unwrap();
    channel
        .queue_declare("lapin".into(), QueueDeclareOptions::default(), FieldTable::default())
        .await
        .unwrap();
    let options = BasicPublishOptions::default();
    channel
        .basic_publish("".into(), "lapin".into(), options, b"hello", BasicProperties::default())
        .await
        .unwrap();
    let options = BasicConsumeOptions::default();
    let mut consumer =
        channel.basic_consume("lapin".into(), "c".into(), options, FieldTable::default()).await.unwrap();
    let delivery = consumer.next().await.unwrap().unwrap();
    assert_eq!(delivery.data, b"hello");
    delivery.ack(BasicAckOptions::default()).await.unwrap();
    connection.close(200, "done".into()).await.unwrap();
    app.shutdown().await;
}
