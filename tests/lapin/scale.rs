//! Many at once: channels, connections, competing consumers.
use crate::{broker::Broker, support::*};
use futures_lite::StreamExt;
use lapin::Channel;
use std::collections::BTreeSet;
use tokio::{sync::mpsc, task::JoinSet};

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_channels_on_one_connection_work_side_by_side() {
    with_client(async |client| {
        let mut channels = JoinSet::new();
        for number in 0..100 {
            let channel = confirming_channel(&client.connection).await;
            channels.spawn(exchange_messages_with_itself(channel, number));
        }
        let ids: BTreeSet<_> = channels.join_all().await.into_iter().collect();
        assert_eq!(ids.len(), 100);
    })
    .await;
}

async fn exchange_messages_with_itself(channel: Channel, number: usize) -> u16 {
    let queue = queue(&channel).await;
    let mut consumer = consume(&channel, &queue).await;
    for round in 0..20 {
        let text = format!("channel {number} round {round}");
        assert!(publish(&channel, "", &queue, &text).await.is_ack());
        let delivery = next(&mut consumer).await;
        assert_eq!(body(&delivery), text);
        ack(&delivery).await;
    }
    channel.id()
}

#[tokio::test(flavor = "multi_thread")]
async fn channels_are_used_again_after_they_are_closed() {
    with_client(async |client| {
        for _ in 0..300 {
            let channel = confirming_channel(&client.connection).await;
            let queue = queue(&channel).await;
            fill(&channel, &queue, &["message"]).await;
            assert_eq!(delete(&channel, &queue).await, 1);
            channel.close(200, "done".into()).await.unwrap();
        }
    })
    .await;
}

const CONNECTIONS: usize = 20;
const MESSAGES_EACH: usize = 200;

#[tokio::test(flavor = "multi_thread")]
async fn twenty_competing_consumers_lose_nothing_and_double_nothing() {
    with_broker(async |broker| {
        let client = Client::connect(broker).await;
        let queue = shared_queue(&client.channel, "competing").await;
        let (report, mut reports) = mpsc::channel(CONNECTIONS * MESSAGES_EACH * 2);
        let mut consumers = JoinSet::new();
        for _ in 0..CONNECTIONS {
            let worker = Worker::start(broker, &queue).await;
            consumers.spawn(worker.consume_until_cancelled(report.clone()));
        }
        drop(report);

        let mut publishers = JoinSet::new();
        for number in 0..CONNECTIONS {
            publishers.spawn(publish_a_share(Client::connect(broker).await, queue.clone(), number));
        }
        let sent: BTreeSet<_> = publishers.join_all().await.into_iter().flatten().collect();

        let mut received = Vec::new();
        while received.len() < sent.len() {
            received.push(reports.recv().await.expect("consumers are there"));
        }
        // Nothing left over; the consumers are cancelled, and what they still held would be a duplicate.
        assert_eq!(delete(&client.channel, &queue).await, 0);
        consumers.join_all().await;
        assert!(reports.recv().await.is_none(), "a message was delivered twice");
        assert_eq!(received.len(), CONNECTIONS * MESSAGES_EACH);
        assert_eq!(received.into_iter().collect::<BTreeSet<_>>(), sent);
    })
    .await;
}

async fn publish_a_share(client: Client, queue: String, number: usize) -> Vec<String> {
    let mut sent = Vec::new();
    for message in 0..MESSAGES_EACH {
        let text = format!("{number}-{message}");
        fill(&client.channel, &queue, &[&text]).await;
        sent.push(text);
    }
    client.close().await;
    sent
}

struct Worker {
    client: Client,
    consumer: lapin::Consumer,
}

impl Worker {
    async fn start(broker: &Broker, queue: &str) -> Self {
        let client = Client::connect(broker).await;
        client.channel.basic_qos(10, Default::default()).await.unwrap();
        let consumer = consume(&client.channel, queue).await;
        Self { client, consumer }
    }

    async fn consume_until_cancelled(mut self, report: mpsc::Sender<String>) {
        while let Some(delivery) = self.consumer.next().await {
            let delivery = delivery.unwrap();
            assert!(!delivery.redelivered);
            ack(&delivery).await;
            report.send(body(&delivery).to_owned()).await.unwrap();
        }
        self.client.close().await;
    }
}
