//! What the broker tells a publisher.
use crate::support::*;
use lapin::{BasicProperties, Channel, Confirmation, ExchangeKind, PublisherConfirm, options::*, types::*};

async fn send(channel: &Channel, queue: &str, body: &str, mandatory: bool) -> PublisherConfirm {
    let options = BasicPublishOptions { mandatory, ..Default::default() };
    let properties = BasicProperties::default();
    channel.basic_publish("".into(), queue.into(), options, body.as_bytes(), properties).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_message_of_a_burst_is_confirmed() {
    with_client(async |client| {
        let channel = &client.channel;
        let queue = queue(channel).await;
        let mut confirms = Vec::new();
        for number in 0..1000 {
            confirms.push(send(channel, &queue, &number.to_string(), true).await);
        }
        for confirm in confirms {
            assert_eq!(confirm.await.unwrap(), Confirmation::Ack(None));
        }
        let expected: Vec<_> = (0..1000).map(|number| number.to_string()).collect();
        assert_eq!(drain(channel, &queue).await, expected);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unroutable_mandatory_message_is_returned_before_its_ack() {
    with_client(async |client| {
        let channel = &client.channel;
        let nowhere = unique("nowhere");
        // lapin pairs an ack with the return it has seen before it.
        let Confirmation::Ack(Some(returned)) = send(channel, &nowhere, "hello?", true).await.await.unwrap()
        else {
            panic!("neither returned nor acked")
        };
        assert_eq!((returned.reply_code, returned.reply_text.as_str()), (312, "NO_ROUTE"));
        assert_eq!(body(&returned), "hello?");
        assert_eq!((returned.exchange.as_str(), returned.routing_key.as_str()), ("", nowhere.as_str()));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_mixed_burst_exactly_the_unroutable_messages_are_returned() {
    with_client(async |client| {
        let channel = &client.channel;
        let (queue, nowhere) = (queue(channel).await, unique("nowhere"));
        let mut confirms = Vec::new();
        for number in 0..100 {
            let target = if number % 3 == 0 { &nowhere } else { &queue };
            confirms.push((number, send(channel, target, &number.to_string(), true).await));
        }
        let mut returned = 0;
        for (_, confirm) in confirms {
            let confirmation = confirm.await.unwrap();
            assert!(confirmation.is_ack());
            returned += usize::from(confirmation.take_message().is_some());
        }
        assert_eq!(returned, 34);
        assert_eq!(ready(channel, &queue).await, 66);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unroutable_message_without_mandatory_is_acked_and_dropped() {
    with_client(async |client| {
        let confirm = send(&client.channel, &unique("nowhere"), "into the void", false).await;
        assert_eq!(confirm.await.unwrap(), Confirmation::Ack(None));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn returns_come_without_confirm_mode_too() {
    with_client(async |client| {
        let channel = client.connection.create_channel().await.unwrap();
        send(&channel, &unique("nowhere"), "hello?", true).await.await.unwrap();
        // A synchronous call: its answer comes behind the return.
        queue(&channel).await;
        let returned = channel.wait_for_confirms().await.unwrap();
        assert_eq!(returned.iter().map(|message| message.reply_code).collect::<Vec<_>>(), [312]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_queue_with_reject_publish_nacks_until_there_is_room() {
    with_client(async |client| {
        let channel = &client.channel;
        let limit = table([("x-max-length", 2.into()), ("x-overflow", string("reject-publish"))]);
        let queue = queue_with(channel, limit).await;
        let mut answers = Vec::new();
        for body in ["first", "second", "too many", "still too many"] {
            answers.push(publish(channel, "", &queue, body).await);
        }
        let (ack, nack) = (Confirmation::Ack(None), Confirmation::Nack(None));
        assert_eq!(answers, [&ack, &ack, &nack, &nack].map(clone_of));

        assert_eq!(body(&take(channel, &queue).await.unwrap()), "first");
        assert_eq!(publish(channel, "", &queue, "third").await, ack);
        assert_eq!(drain(channel, &queue).await, ["second", "third"]);
    })
    .await;
}

/// `Confirmation` is not `Clone`.
fn clone_of(confirmation: &Confirmation) -> Confirmation {
    if confirmation.is_ack() { Confirmation::Ack(None) } else { Confirmation::Nack(None) }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_full_queue_among_several_nacks_but_the_others_keep_their_copy() {
    with_client(async |client| {
        let channel = &client.channel;
        let fanout = exchange(channel, ExchangeKind::Fanout).await;
        let limit = table([("x-max-length", 1.into()), ("x-overflow", string("reject-publish"))]);
        let (full, roomy) = (queue_with(channel, limit).await, queue(channel).await);
        for queue in [&full, &roomy] {
            bind(channel, queue, &fanout, "").await;
        }
        assert!(publish(channel, &fanout, "", "fits").await.is_ack());
        assert!(publish(channel, &fanout, "", "does not fit").await.is_nack());
        assert_eq!(drain(channel, &full).await, ["fits"]);
        assert_eq!(drain(channel, &roomy).await, ["fits", "does not fit"]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_queue_drops_its_oldest_messages_by_default() {
    with_client(async |client| {
        let channel = &client.channel;
        let queue = queue_with(channel, table([("x-max-length", 2.into())])).await;
        fill(channel, &queue, &["1", "2", "3", "4"]).await;
        assert_eq!(drain(channel, &queue).await, ["3", "4"]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn persistent_messages_to_a_durable_queue_are_confirmed() {
    with_client(async |client| {
        let channel = &client.channel;
        let name = unique("durable");
        let durable = QueueDeclareOptions::durable();
        channel.queue_declare(name.as_str().into(), durable, FieldTable::default()).await.unwrap();
        for number in 0..50 {
            let persistent = BasicProperties::default().with_delivery_mode(2);
            let confirmation = publish_with(channel, "", &name, &number.to_string(), persistent).await;
            assert_eq!(confirmation, Confirmation::Ack(None));
        }
        assert_eq!(delete(channel, &name).await, 50);
    })
    .await;
}
