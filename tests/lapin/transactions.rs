//! `tx`: publishes and acks take effect at the commit, or not at all.
use crate::support::*;
use lapin::{BasicProperties, Channel, options::*};

async fn transactional(client: &Client) -> Channel {
    let channel = client.connection.create_channel().await.unwrap();
    channel.tx_select().await.unwrap();
    channel
}

async fn send(channel: &Channel, queue: &str, body: &str) {
    let (options, properties) = (BasicPublishOptions::default(), BasicProperties::default());
    channel.basic_publish("".into(), queue.into(), options, body.as_bytes(), properties).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn published_messages_appear_at_the_commit() {
    with_client(async |client| {
        let queue = queue(&client.channel).await;
        let tx = transactional(client).await;
        send(&tx, &queue, "1").await;
        send(&tx, &queue, "2").await;
        assert_eq!(ready(&tx, &queue).await, 0);
        tx.tx_commit().await.unwrap();
        assert_eq!(drain(&client.channel, &queue).await, ["1", "2"]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollback_discards_published_messages_and_the_next_transaction_starts_clean() {
    with_client(async |client| {
        let queue = queue(&client.channel).await;
        let tx = transactional(client).await;
        send(&tx, &queue, "discarded").await;
        tx.tx_rollback().await.unwrap();
        send(&tx, &queue, "kept").await;
        tx.tx_commit().await.unwrap();
        assert_eq!(drain(&client.channel, &queue).await, ["kept"]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn closing_the_channel_discards_an_open_transaction() {
    with_client(async |client| {
        let queue = queue(&client.channel).await;
        let tx = transactional(client).await;
        send(&tx, &queue, "discarded").await;
        tx.close(200, "no commit".into()).await.unwrap();
        assert_eq!(ready(&client.channel, &queue).await, 0);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn acks_count_from_the_commit() {
    with_client(async |client| {
        let queue = queue(&client.channel).await;
        fill(&client.channel, &queue, &["rolled back", "committed"]).await;
        let tx = transactional(client).await;
        let options = BasicGetOptions::default();
        let first = tx.basic_get(queue.as_str().into(), options).await.unwrap().unwrap();
        let second = tx.basic_get(queue.as_str().into(), options).await.unwrap().unwrap();
        ack(&first).await;
        tx.tx_rollback().await.unwrap();
        ack(&second).await;
        tx.tx_commit().await.unwrap();
        tx.close(200, "done".into()).await.unwrap();
        let returned = take(&client.channel, &queue).await.expect("its ack was rolled back");
        assert_eq!((body(&returned), returned.redelivered), ("rolled back", true));
        assert!(take(&client.channel, &queue).await.is_none());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_moves_from_queue_to_queue_in_one_transaction() {
    with_client(async |client| {
        let (from, to) = (queue(&client.channel).await, queue(&client.channel).await);
        fill(&client.channel, &from, &["moves"]).await;
        let tx = transactional(client).await;
        let message = tx.basic_get(from.as_str().into(), BasicGetOptions::default()).await.unwrap().unwrap();
        send(&tx, &to, body(&message)).await;
        ack(&message).await;
        tx.tx_commit().await.unwrap();
        tx.close(200, "done".into()).await.unwrap();
        assert!(drain(&client.channel, &from).await.is_empty());
        assert_eq!(drain(&client.channel, &to).await, ["moves"]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_channel_is_either_transactional_or_confirming() {
    with_client(async |client| {
        let tx = transactional(client).await;
        let refused = tx.confirm_select(ConfirmSelectOptions::default()).await.unwrap_err();
        let text = "PRECONDITION_FAILED - cannot switch from tx to confirm mode".to_owned();
        assert_eq!(refusal(&refused), (406, text));

        let refused = client.channel.tx_select().await.unwrap_err();
        let text = "PRECONDITION_FAILED - cannot switch from confirm to tx mode".to_owned();
        assert_eq!(refusal(&refused), (406, text));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn commit_without_a_transaction_is_refused() {
    with_client(async |client| {
        let channel = client.connection.create_channel().await.unwrap();
        let refused = channel.tx_commit().await.unwrap_err();
        let text = "PRECONDITION_FAILED - channel is not transactional".to_owned();
        assert_eq!(refusal(&refused), (406, text));
    })
    .await;
}
