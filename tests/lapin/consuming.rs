//! Deliveries, their leases, and how consumers come and go.
use crate::support::*;
use futures_lite::StreamExt;
use lapin::{options::*, types::*};

#[tokio::test(flavor = "multi_thread")]
async fn messages_arrive_in_the_order_they_were_published() {
    with_client(async |client| {
        let channel = &client.channel;
        let queue = queue(channel).await;
        let mut consumer = consume(channel, &queue).await;
        let sent: Vec<_> = (0..500).map(|number| number.to_string()).collect();
        for body in &sent {
            let options = BasicPublishOptions::default();
            let properties = lapin::BasicProperties::default();
            channel
                .basic_publish("".into(), queue.as_str().into(), options, body.as_bytes(), properties)
                .await
                .unwrap();
        }
        let received = next_n(&mut consumer, sent.len()).await;
        assert_eq!(bodies(&received), sent);
        assert!(received.iter().map(|delivery| delivery.delivery_tag).eq(1..=500));
        assert!(received.iter().all(|delivery| !delivery.redelivered));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_acked_message_is_gone_and_an_unacked_one_comes_back() {
    with_client(async |client| {
        let channel = &client.channel;
        let queue = shared_queue(channel, "leases").await;
        fill(channel, &queue, &["acked", "unacked"]).await;
        let worker = client.connection.create_channel().await.unwrap();
        let first =
            worker.basic_get(queue.as_str().into(), BasicGetOptions::default()).await.unwrap().unwrap();
        let second =
            worker.basic_get(queue.as_str().into(), BasicGetOptions::default()).await.unwrap().unwrap();
        assert_eq!((first.message_count, second.message_count), (1, 0));
        ack(&first).await;
        worker.close(200, "gone".into()).await.unwrap();

        let returned = take(channel, &queue).await.expect("the unacked message");
        assert_eq!((body(&returned), returned.redelivered), ("unacked", true));
        assert_eq!(delete(channel, &queue).await, 0);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn get_of_an_empty_queue_answers_empty() {
    with_client(async |client| {
        let queue = queue(&client.channel).await;
        assert!(take(&client.channel, &queue).await.is_none());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ack_multiple_covers_every_delivery_up_to_its_tag() {
    with_client(async |client| {
        let channel = &client.channel;
        let queue = queue(channel).await;
        fill(channel, &queue, &["1", "2", "3", "4"]).await;
        let worker = client.connection.create_channel().await.unwrap();
        let mut consumer = consume(&worker, &queue).await;
        let deliveries = next_n(&mut consumer, 4).await;
        deliveries[2].ack(BasicAckOptions { multiple: true }).await.unwrap();
        worker.close(200, "gone".into()).await.unwrap();
        assert_eq!(drain(channel, &queue).await, ["4"]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nack_with_requeue_redelivers_at_the_original_place() {
    with_client(async |client| {
        let channel = &client.channel;
        let queue = queue(channel).await;
        fill(channel, &queue, &["1", "2", "3"]).await;
        let options = BasicGetOptions::default();
        let first = channel.basic_get(queue.as_str().into(), options).await.unwrap().unwrap();
        let second = channel.basic_get(queue.as_str().into(), options).await.unwrap().unwrap();
        requeue(&second).await;
        requeue(&first).await;
        let mut again = Vec::new();
        while let Some(delivery) = take(channel, &queue).await {
            again.push((body(&delivery).to_owned(), delivery.redelivered));
        }
        let expected = [("1", true), ("2", true), ("3", false)];
        assert_eq!(again, expected.map(|(body, redelivered)| (body.to_owned(), redelivered)));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nack_multiple_with_requeue_returns_all_in_order() {
    with_client(async |client| {
        let channel = &client.channel;
        let queue = queue(channel).await;
        fill(channel, &queue, &["1", "2", "3", "4"]).await;
        channel.basic_qos(3, BasicQosOptions::default()).await.unwrap();
        let mut consumer = consume(channel, &queue).await;
        let deliveries = next_n(&mut consumer, 3).await;
        deliveries[2].nack(BasicNackOptions { multiple: true, requeue: true }).await.unwrap();
        let again = next_n(&mut consumer, 3).await;
        assert_eq!(bodies(&again), ["1", "2", "3"]);
        assert!(again.iter().all(|delivery| delivery.redelivered));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reject_with_requeue_redelivers() {
    with_client(async |client| {
        let channel = &client.channel;
        let queue = queue(channel).await;
        fill(channel, &queue, &["again"]).await;
        let mut consumer = consume(channel, &queue).await;
        let first = next(&mut consumer).await;
        first.reject(BasicRejectOptions { requeue: true }).await.unwrap();
        let second = next(&mut consumer).await;
        assert_eq!((body(&second), second.redelivered), ("again", true));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_nack_without_requeue_drops_or_dead_letters() {
    with_client(async |client| {
        let channel = &client.channel;
        let graveyard = queue(channel).await;
        let arguments = table([
            ("x-dead-letter-exchange", string("")),
            ("x-dead-letter-routing-key", string(&graveyard)),
        ]);
        let (mortal, plain) = (queue_with(channel, arguments).await, queue(channel).await);
        let mut dead = consume(channel, &graveyard).await;
        let mut consumers = [consume(channel, &mortal).await, consume(channel, &plain).await];
        for (queue, consumer) in [&mortal, &plain].into_iter().zip(&mut consumers) {
            fill(channel, queue, &["bad"]).await;
            next(consumer).await.nack(BasicNackOptions::default()).await.unwrap();
            assert_eq!(ready(channel, queue).await, 0);
            assert!(is_idle(consumer).await, "not redelivered");
        }
        let letter = next(&mut dead).await;
        let headers = letter.properties.headers().clone().unwrap();
        assert_eq!(body(&letter), "bad");
        assert_eq!(headers.inner().get("x-first-death-reason"), Some(&string("rejected")));
        assert_eq!(headers.inner().get("x-first-death-queue"), Some(&string(&mortal)));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_message_is_dead_lettered() {
    with_client(async |client| {
        let channel = &client.channel;
        let graveyard = queue(channel).await;
        let arguments = table([
            ("x-dead-letter-exchange", string("")),
            ("x-dead-letter-routing-key", string(&graveyard)),
        ]);
        let waiting = queue_with(channel, arguments).await;
        let mut dead = consume(channel, &graveyard).await;
        let properties = lapin::BasicProperties::default().with_expiration("20".into());
        publish_with(channel, "", &waiting, "late", properties).await;
        let letter = next(&mut dead).await;
        let headers = letter.properties.headers().clone().unwrap();
        assert_eq!(headers.inner().get("x-first-death-reason"), Some(&string("expired")));
        assert_eq!(letter.properties.expiration(), &None);
        assert_eq!(ready(channel, &waiting).await, 0);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_ack_deliveries_need_no_ack_and_do_not_come_back() {
    with_client(async |client| {
        let channel = &client.channel;
        let queue = queue(channel).await;
        fill(channel, &queue, &["1", "2"]).await;
        let worker = client.connection.create_channel().await.unwrap();
        let no_ack = BasicConsumeOptions { no_ack: true, ..Default::default() };
        let mut consumer = consume_with(&worker, &queue, no_ack, FieldTable::default()).await;
        assert_eq!(bodies(&next_n(&mut consumer, 2).await), ["1", "2"]);
        worker.close(200, "gone".into()).await.unwrap();
        assert_eq!(ready(channel, &queue).await, 0);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn recover_redelivers_everything_unacked() {
    with_client(async |client| {
        let channel = &client.channel;
        let queue = queue(channel).await;
        fill(channel, &queue, &["1", "2"]).await;
        let mut consumer = consume(channel, &queue).await;
        next_n(&mut consumer, 2).await;
        channel.basic_recover(BasicRecoverOptions { requeue: true }).await.unwrap();
        let again = next_n(&mut consumer, 2).await;
        assert_eq!(bodies(&again), ["1", "2"]);
        assert!(again.iter().all(|delivery| delivery.redelivered));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cancel_stops_deliveries_and_leaves_the_lease_with_the_channel() {
    with_client(async |client| {
        let channel = &client.channel;
        let queue = queue(channel).await;
        fill(channel, &queue, &["held"]).await;
        let mut consumer = consume(channel, &queue).await;
        let held = next(&mut consumer).await;
        channel.basic_cancel(consumer.tag(), BasicCancelOptions::default()).await.unwrap();
        fill(channel, &queue, &["later"]).await;
        assert_eq!(counts(channel, &queue).await, (1, 0));
        ack(&held).await;
        assert_eq!(drain(channel, &queue).await, ["later"]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deleting_a_queue_cancels_its_consumers_and_keeps_their_channels() {
    with_broker(async |broker| {
        let (owner, other) = (Client::connect(broker).await, Client::connect(broker).await);
        let queue = shared_queue(&owner.channel, "deleted").await;
        let mut consumers = [consume(&owner.channel, &queue).await, consume(&other.channel, &queue).await];
        assert_eq!(delete(&owner.channel, &queue).await, 0);
        for consumer in &mut consumers {
            assert!(consumer.next().await.is_none(), "told by basic.cancel");
        }
        for client in [&owner, &other] {
            let another = crate::support::queue(&client.channel).await;
            fill(&client.channel, &another, &["alive"]).await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exclusive_consumer_is_the_only_one() {
    with_client(async |client| {
        let queue = queue(&client.channel).await;
        let exclusive = BasicConsumeOptions { exclusive: true, ..Default::default() };
        let _only = consume_with(&client.channel, &queue, exclusive, FieldTable::default()).await;
        let other = client.connection.create_channel().await.unwrap();
        let options = BasicConsumeOptions::default();
        let refused = other
            .basic_consume(queue.as_str().into(), "".into(), options, FieldTable::default())
            .await
            .unwrap_err();
        let text = format!("ACCESS_REFUSED - queue '{queue}' in vhost '/' in exclusive use");
        assert_eq!(refusal(&refused), (403, text));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn consumers_of_one_queue_take_turns() {
    with_client(async |client| {
        let channel = &client.channel;
        let queue = queue(channel).await;
        let mut consumers = Vec::new();
        for _ in 0..3 {
            consumers.push(consume(channel, &queue).await);
        }
        fill(channel, &queue, &["1", "2", "3", "4", "5", "6"]).await;
        for consumer in &mut consumers {
            next_n(consumer, 2).await;
            assert!(is_idle(consumer).await);
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_of_higher_priority_goes_first_until_it_is_full() {
    with_client(async |client| {
        let channel = &client.channel;
        let queue = queue(channel).await;
        channel.basic_qos(2, BasicQosOptions::default()).await.unwrap();
        let options = BasicConsumeOptions::default();
        let mut low = consume(channel, &queue).await;
        let mut high = consume_with(channel, &queue, options, table([("x-priority", 10.into())])).await;
        fill(channel, &queue, &["1", "2", "3"]).await;
        assert_eq!(bodies(&next_n(&mut high, 2).await), ["1", "2"]);
        assert_eq!(body(&next(&mut low).await), "3");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_single_active_consumer_the_next_takes_over_when_the_first_leaves() {
    with_client(async |client| {
        let channel = &client.channel;
        let queue = queue_with(channel, table([("x-single-active-consumer", true.into())])).await;
        let mut first = consume(channel, &queue).await;
        let mut second = consume(channel, &queue).await;
        fill(channel, &queue, &["1", "2"]).await;
        for delivery in next_n(&mut first, 2).await {
            ack(&delivery).await;
        }
        assert!(is_idle(&mut second).await);
        channel.basic_cancel(first.tag(), BasicCancelOptions::default()).await.unwrap();
        fill(channel, &queue, &["3"]).await;
        assert_eq!(body(&next(&mut second).await), "3");
    })
    .await;
}
