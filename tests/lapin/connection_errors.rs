//! Refusals that close one connection, or keep it from opening, and that leave the others alone.
use crate::{broker::Broker, support::*};
use lapin::{BasicProperties, Error, Result, options::*, types::*};
use std::fmt::Debug;

/// Runs a call that closes its connection; checks the refusal, and that another connection goes on.
async fn refused<T: Debug>(call: impl AsyncFnOnce(&Client) -> Result<T>, code: u16, text: &str) {
    with_broker(async |broker| {
        let (doomed, other) = (Client::connect(broker).await, Client::connect(broker).await);
        let error = call(&doomed).await.unwrap_err();
        assert_eq!(refusal(&error), (code, text.to_owned()));
        assert_ends(&doomed).await;

        let queue = queue(&other.channel).await;
        fill(&other.channel, &queue, &["alive"]).await;
    })
    .await;
}

/// Every channel of the connection ends with it.
async fn assert_ends(client: &Client) {
    client.connection.create_channel().await.unwrap_err();
    assert!(!client.connection.status().connected());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_tag_used_twice_on_a_channel_is_530() {
    let text = "NOT_ALLOWED - attempt to reuse consumer tag 'tag'";
    refused(
        async |client| {
            let queue = ShortString::from(queue(&client.channel).await);
            let options = BasicConsumeOptions::default();
            let first =
                client.channel.basic_consume(queue.clone(), "tag".into(), options, FieldTable::default());
            let _first = first.await.unwrap();
            client.channel.basic_consume(queue, "tag".into(), options, FieldTable::default()).await
        },
        530,
        text,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn publishing_immediate_is_540() {
    refused(
        async |client| {
            let options = BasicPublishOptions { immediate: true, ..Default::default() };
            let properties = BasicProperties::default();
            client.channel.basic_publish("".into(), "".into(), options, b"now!", properties).await?.await
        },
        540,
        "NOT_IMPLEMENTED - immediate=true",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn recovering_without_requeue_is_540() {
    refused(
        async |client| client.channel.basic_recover(BasicRecoverOptions { requeue: false }).await,
        540,
        "NOT_IMPLEMENTED - requeue=false",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stopping_the_flow_is_540() {
    refused(
        async |client| client.channel.channel_flow(ChannelFlowOptions { active: false }).await,
        540,
        "NOT_IMPLEMENTED - active=false",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_error_returns_what_its_channels_had_unacked() {
    with_broker(async |broker| {
        let (doomed, other) = (Client::connect(broker).await, Client::connect(broker).await);
        let queue = shared_queue(&other.channel, "returned").await;
        fill(&other.channel, &queue, &["held"]).await;
        let bystander = doomed.connection.create_channel().await.unwrap();
        bystander.basic_get(queue.as_str().into(), BasicGetOptions::default()).await.unwrap().unwrap();
        doomed.channel.basic_recover(BasicRecoverOptions { requeue: false }).await.unwrap_err();

        let mut consumer = consume(&other.channel, &queue).await;
        let again = next(&mut consumer).await;
        assert_eq!((body(&again), again.redelivered), ("held", true));
    })
    .await;
}

async fn refused_at_the_door(uri: impl FnOnce(&Broker) -> String) -> (u16, String) {
    let mut refused = None;
    with_broker(async |broker| {
        let error: Error = connect(&uri(broker)).await.unwrap_err();
        refused = Some(refusal(&error));
        // The door is still open for others.
        Client::connect(broker).await.close().await;
    })
    .await;
    refused.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_is_403() {
    let refused = refused_at_the_door(|broker| format!("amqp://guest:wrong@{}", broker.address())).await;
    let text = "ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN. For details see the broker \
                logfile.";
    assert_eq!(refused, (403, text.to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_vhost_is_530() {
    let refused = refused_at_the_door(|broker| format!("{}/no-such-vhost", broker.uri())).await;
    assert_eq!(refused, (530, "NOT_ALLOWED - vhost no-such-vhost not found".to_owned()));
}
