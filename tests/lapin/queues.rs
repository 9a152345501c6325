//! The life of a queue: declare, count, purge, delete, and what ends it by itself.
use crate::support::*;
use lapin::{options::*, types::*};

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_without_a_name_gets_one_from_the_broker() {
    with_client(async |client| {
        let (first, second) = (queue(&client.channel).await, queue(&client.channel).await);
        assert!(first.starts_with("amq.gen-") && second.starts_with("amq.gen-"), "{first} {second}");
        assert_ne!(first, second);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn declare_tells_how_many_messages_and_consumers_a_queue_has() {
    with_client(async |client| {
        let channel = &client.channel;
        let queue = queue(channel).await;
        assert_eq!(counts(channel, &queue).await, (0, 0));
        fill(channel, &queue, &["1", "2", "3"]).await;
        assert_eq!(counts(channel, &queue).await, (3, 0));
        channel.basic_qos(1, BasicQosOptions::default()).await.unwrap();
        let consumers = [consume(channel, &queue).await, consume(channel, &queue).await];
        assert_eq!(counts(channel, &queue).await.1, 2);
        for consumer in &consumers {
            channel.basic_cancel(consumer.tag(), BasicCancelOptions::default()).await.unwrap();
        }
        // Each holds one unacked.
        assert_eq!(counts(channel, &queue).await, (1, 0));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn purge_removes_ready_messages_and_leaves_unacked_ones() {
    with_client(async |client| {
        let channel = &client.channel;
        let queue = queue(channel).await;
        fill(channel, &queue, &["held", "2", "3"]).await;
        let held =
            channel.basic_get(queue.as_str().into(), BasicGetOptions::default()).await.unwrap().unwrap();
        let purged = channel.queue_purge(queue.as_str().into(), QueuePurgeOptions::default()).await.unwrap();
        assert_eq!(purged, 2);
        requeue(&held).await;
        assert_eq!(drain(channel, &queue).await, ["held"]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn delete_tells_how_many_messages_went_and_is_idempotent() {
    with_client(async |client| {
        let channel = &client.channel;
        let queue = queue(channel).await;
        fill(channel, &queue, &["1", "2"]).await;
        assert_eq!(delete(channel, &queue).await, 2);
        assert_eq!(delete(channel, &queue).await, 0);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_can_be_used_again_after_delete() {
    with_client(async |client| {
        let channel = &client.channel;
        let name = unique("again");
        let durable = QueueDeclareOptions::durable();
        channel.queue_declare(name.as_str().into(), durable, FieldTable::default()).await.unwrap();
        fill(channel, &name, &["old"]).await;
        delete(channel, &name).await;
        let exclusive = QueueDeclareOptions::exclusive();
        let queue =
            channel.queue_declare(name.as_str().into(), exclusive, FieldTable::default()).await.unwrap();
        assert_eq!(queue.message_count(), 0);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exclusive_queue_goes_with_its_connection() {
    with_broker(async |broker| {
        let (owner, other) = (Client::connect(broker).await, Client::connect(broker).await);
        let queue = queue(&owner.channel).await;
        // It is gone before the close is answered.
        owner.close().await;
        let passive = QueueDeclareOptions::default().passive();
        let error = other
            .channel
            .queue_declare(queue.as_str().into(), passive, FieldTable::default())
            .await
            .unwrap_err();
        assert_eq!(refusal(&error), (404, format!("NOT_FOUND - no queue '{queue}' in vhost '/'")));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shared_queue_outlives_the_connection_that_declared_it() {
    with_broker(async |broker| {
        let (owner, other) = (Client::connect(broker).await, Client::connect(broker).await);
        let queue = shared_queue(&owner.channel, "outlives").await;
        fill(&owner.channel, &queue, &["kept"]).await;
        owner.close().await;
        assert_eq!(drain(&other.channel, &queue).await, ["kept"]);
        delete(&other.channel, &queue).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_auto_delete_queue_goes_with_its_last_consumer() {
    with_client(async |client| {
        let channel = &client.channel;
        let queue = shared_queue(channel, "auto-delete").await;
        let consumers = [consume(channel, &queue).await, consume(channel, &queue).await];
        channel.basic_cancel(consumers[0].tag(), BasicCancelOptions::default()).await.unwrap();
        assert_eq!(counts(channel, &queue).await, (0, 1));
        channel.basic_cancel(consumers[1].tag(), BasicCancelOptions::default()).await.unwrap();
        let passive = QueueDeclareOptions::default().passive();
        let error =
            channel.queue_declare(queue.as_str().into(), passive, FieldTable::default()).await.unwrap_err();
        assert_eq!(refusal(&error).0, 404);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unused_queue_expires_and_publishing_is_no_use() {
    with_client(async |client| {
        let channel = &client.channel;
        let name = unique("expires");
        let arguments = table([("x-expires", 50.into())]);
        let options = QueueDeclareOptions::default();
        channel.queue_declare(name.as_str().into(), options, arguments).await.unwrap();
        // Until a message comes back as unroutable.
        while publish(channel, "", &name, "message").await.take_message().is_none() {}
    })
    .await;
}
