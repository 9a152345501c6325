//! How many deliveries a consumer may hold unacknowledged.
use crate::support::*;
use lapin::options::*;

const FIVE: [&str; 5] = ["1", "2", "3", "4", "5"];

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_holds_no_more_than_its_prefetch() {
    with_client(async |client| {
        let channel = &client.channel;
        let queue = queue(channel).await;
        fill(channel, &queue, &FIVE).await;
        channel.basic_qos(2, BasicQosOptions::default()).await.unwrap();
        let mut consumer = consume(channel, &queue).await;
        let held = next_n(&mut consumer, 2).await;
        assert_eq!(ready(channel, &queue).await, 3);
        assert!(is_idle(&mut consumer).await);

        ack(&held[0]).await;
        assert_eq!(body(&next(&mut consumer).await), "3");
        assert_eq!(ready(channel, &queue).await, 2);
        assert!(is_idle(&mut consumer).await);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ack_multiple_frees_as_many_places_as_it_acks() {
    with_client(async |client| {
        let channel = &client.channel;
        let queue = queue(channel).await;
        fill(channel, &queue, &FIVE).await;
        channel.basic_qos(3, BasicQosOptions::default()).await.unwrap();
        let mut consumer = consume(channel, &queue).await;
        let held = next_n(&mut consumer, 3).await;
        held[1].ack(BasicAckOptions { multiple: true }).await.unwrap();
        assert_eq!(bodies(&next_n(&mut consumer, 2).await), ["4", "5"]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn prefetch_applies_to_each_consumer_of_a_channel() {
    with_client(async |client| {
        let channel = &client.channel;
        let queue = queue(channel).await;
        channel.basic_qos(2, BasicQosOptions::default()).await.unwrap();
        let mut consumers = [consume(channel, &queue).await, consume(channel, &queue).await];
        fill(channel, &queue, &FIVE).await;
        for consumer in &mut consumers {
            next_n(consumer, 2).await;
        }
        assert_eq!(ready(channel, &queue).await, 1);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn global_prefetch_is_shared_by_the_consumers_of_a_channel() {
    with_client(async |client| {
        let channel = &client.channel;
        let (first, second) = (queue(channel).await, queue(channel).await);
        channel.basic_qos(3, BasicQosOptions { global: true }).await.unwrap();
        let mut consumers = [consume(channel, &first).await, consume(channel, &second).await];
        fill(channel, &first, &["1", "2"]).await;
        fill(channel, &second, &["3", "4"]).await;
        let held = next_n(&mut consumers[0], 2).await;
        next(&mut consumers[1]).await;
        assert_eq!(ready(channel, &second).await, 1);
        assert!(is_idle(&mut consumers[1]).await);

        ack(&held[0]).await;
        assert_eq!(body(&next(&mut consumers[1]).await), "4");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_prefetch_is_for_new_consumers_only() {
    with_client(async |client| {
        let channel = &client.channel;
        let (first, second) = (queue(channel).await, queue(channel).await);
        channel.basic_qos(1, BasicQosOptions::default()).await.unwrap();
        let mut narrow = consume(channel, &first).await;
        channel.basic_qos(0, BasicQosOptions::default()).await.unwrap();
        let mut unlimited = consume(channel, &second).await;
        fill(channel, &first, &FIVE).await;
        fill(channel, &second, &FIVE).await;
        next(&mut narrow).await;
        next_n(&mut unlimited, 5).await;
        assert_eq!((ready(channel, &first).await, ready(channel, &second).await), (4, 0));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_ack_consumers_and_gets_are_not_limited() {
    with_client(async |client| {
        let channel = &client.channel;
        let queue = queue(channel).await;
        channel.basic_qos(1, BasicQosOptions::default()).await.unwrap();
        fill(channel, &queue, &FIVE).await;
        let options = BasicGetOptions::default();
        for _ in 0..2 {
            assert!(channel.basic_get(queue.as_str().into(), options).await.unwrap().is_some());
        }
        let no_ack = BasicConsumeOptions { no_ack: true, ..Default::default() };
        let mut consumer = consume_with(channel, &queue, no_ack, Default::default()).await;
        next_n(&mut consumer, 3).await;
    })
    .await;
}
