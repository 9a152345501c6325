//! Refusals that close one channel: their codes and texts, and that nothing else suffers.
use crate::support::*;
use futures_lite::StreamExt;
use lapin::{BasicProperties, Channel, ErrorKind, ExchangeKind, Result, options::*, types::*};

/// A channel of its own for a call that is going to be refused.
async fn doomed(client: &Client) -> Channel {
    confirming_channel(&client.connection).await
}

fn assert_refused<T: std::fmt::Debug>(result: Result<T>, code: u16, text: &str) {
    assert_eq!(refusal(&result.unwrap_err()), (code, text.to_owned()));
}

async fn declare(
    client: &Client,
    queue: &str,
    options: QueueDeclareOptions,
    arguments: FieldTable,
) -> Result<lapin::Queue> {
    doomed(client).await.queue_declare(queue.into(), options, arguments).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_queue_is_404() {
    with_client(async |client| {
        let name = unique("missing");
        let text = format!("NOT_FOUND - no queue '{name}' in vhost '/'");
        let passive = QueueDeclareOptions::default().passive();
        assert_refused(declare(client, &name, passive, FieldTable::default()).await, 404, &text);

        let queue = ShortString::from(name.as_str());
        let get = doomed(client).await.basic_get(queue.clone(), BasicGetOptions::default()).await;
        assert_refused(get, 404, &text);
        let options = BasicConsumeOptions::default();
        let consume = doomed(client)
            .await
            .basic_consume(queue.clone(), "".into(), options, FieldTable::default())
            .await;
        assert_refused(consume, 404, &text);
        let purge = doomed(client).await.queue_purge(queue.clone(), QueuePurgeOptions::default()).await;
        assert_refused(purge, 404, &text);
        let options = QueueBindOptions::default();
        let bind = doomed(client)
            .await
            .queue_bind(queue, "amq.direct".into(), "".into(), options, FieldTable::default())
            .await;
        assert_refused(bind, 404, &text);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_exchange_is_404() {
    with_client(async |client| {
        let name = unique("missing");
        let text = format!("NOT_FOUND - no exchange '{name}' in vhost '/'");
        let channel = doomed(client).await;
        let (options, properties) = (BasicPublishOptions::default(), BasicProperties::default());
        let confirm = channel.basic_publish(name.as_str().into(), "".into(), options, b"", properties).await;
        assert_refused(confirm.unwrap().await, 404, &text);

        let options = ExchangeDeclareOptions { passive: true, ..Default::default() };
        let passive = doomed(client)
            .await
            .exchange_declare(name.as_str().into(), ExchangeKind::Direct, options, FieldTable::default())
            .await;
        assert_refused(passive, 404, &text);

        let queue = queue(&client.channel).await;
        let bind = doomed(client)
            .await
            .queue_bind(
                queue.as_str().into(),
                name.as_str().into(),
                "".into(),
                QueueBindOptions::default(),
                FieldTable::default(),
            )
            .await;
        assert_refused(bind, 404, &text);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_declared_differently_is_406() {
    with_client(async |client| {
        let channel = &client.channel;
        let name = unique("existing");
        let durable = QueueDeclareOptions::durable();
        channel.queue_declare(name.as_str().into(), durable, FieldTable::default()).await.unwrap();

        let text = format!(
            "PRECONDITION_FAILED - inequivalent arg 'durable' for queue '{name}' in vhost '/': received 'false' but \
             current is 'true'"
        );
        let transient = QueueDeclareOptions::default();
        assert_refused(declare(client, &name, transient, FieldTable::default()).await, 406, &text);

        let text = format!(
            "PRECONDITION_FAILED - inequivalent arg 'x-max-length' for queue '{name}' in vhost '/': received the value \
             '10' of type 'signedint' but current is none"
        );
        let arguments = table([("x-max-length", 10.into())]);
        assert_refused(declare(client, &name, durable, arguments).await, 406, &text);

        // The same again is no error.
        declare(client, &name, durable, FieldTable::default()).await.unwrap();
        delete(channel, &name).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exchange_declared_differently_is_406() {
    with_client(async |client| {
        let name = exchange(&client.channel, ExchangeKind::Direct).await;
        let options = ExchangeDeclareOptions { auto_delete: true, ..Default::default() };
        let other_type = doomed(client)
            .await
            .exchange_declare(name.as_str().into(), ExchangeKind::Fanout, options, FieldTable::default())
            .await;
        let text = format!(
            "PRECONDITION_FAILED - inequivalent arg 'type' for exchange '{name}' in vhost '/': received 'fanout' but \
             current is 'direct'"
        );
        assert_refused(other_type, 406, &text);
        let options = ExchangeDeleteOptions::default();
        client.channel.exchange_delete(name.as_str().into(), options).await.unwrap();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reserved_names_and_the_default_exchange_are_403() {
    with_client(async |client| {
        let text = "ACCESS_REFUSED - queue name 'amq.mine' contains reserved prefix 'amq.*'";
        let options = QueueDeclareOptions::default();
        assert_refused(declare(client, "amq.mine", options, FieldTable::default()).await, 403, text);

        let queue = queue(&client.channel).await;
        let bind = doomed(client)
            .await
            .queue_bind(
                queue.as_str().into(),
                "".into(),
                "key".into(),
                QueueBindOptions::default(),
                FieldTable::default(),
            )
            .await;
        assert_refused(bind, 403, "ACCESS_REFUSED - operation not permitted on the default exchange");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_connections_exclusive_queue_is_405() {
    with_broker(async |broker| {
        let (owner, other) = (Client::connect(broker).await, Client::connect(broker).await);
        let queue = queue(&owner.channel).await;
        let get = doomed(&other).await.basic_get(queue.as_str().into(), BasicGetOptions::default()).await;
        let (code, text) = refusal(&get.unwrap_err());
        assert_eq!(code, 405);
        let start = format!(
            "RESOURCE_LOCKED - cannot obtain exclusive access to locked queue '{queue}' in vhost '/'"
        );
        assert!(text.starts_with(&start), "{text}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deleting_a_queue_if_unused_or_if_empty_is_refused_when_it_is_not() {
    with_client(async |client| {
        let channel = &client.channel;
        let queue = queue(channel).await;
        fill(channel, &queue, &["message"]).await;
        let if_empty = QueueDeleteOptions { if_empty: true, ..Default::default() };
        let refused = doomed(client).await.queue_delete(queue.as_str().into(), if_empty).await;
        let text = format!("PRECONDITION_FAILED - queue '{queue}' in vhost '/' not empty");
        assert_refused(refused, 406, &text);

        let _consumer = consume(channel, &queue).await;
        let if_unused = QueueDeleteOptions { if_unused: true, ..Default::default() };
        let refused = doomed(client).await.queue_delete(queue.as_str().into(), if_unused).await;
        let text = format!("PRECONDITION_FAILED - queue '{queue}' in vhost '/' in use");
        assert_refused(refused, 406, &text);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_delivery_tag_is_406() {
    with_client(async |client| {
        let queue = queue(&client.channel).await;
        let channel = doomed(client).await;
        let mut consumer = consume(&channel, &queue).await;
        channel.basic_ack(99, BasicAckOptions::default()).await.unwrap();
        // An ack has no answer; the consumer hears of the closed channel.
        let error = consumer.next().await.unwrap().unwrap_err();
        assert_eq!(refusal(&error), (406, "PRECONDITION_FAILED - unknown delivery tag 99".to_owned()));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn acking_twice_is_406_and_the_message_stays_acked() {
    with_client(async |client| {
        let queue = queue(&client.channel).await;
        fill(&client.channel, &queue, &["once"]).await;
        let channel = doomed(client).await;
        let mut consumer = consume(&channel, &queue).await;
        let tag = next(&mut consumer).await.delivery_tag;
        for _ in 0..2 {
            channel.basic_ack(tag, BasicAckOptions::default()).await.unwrap();
        }
        let error = consumer.next().await.unwrap().unwrap_err();
        assert_eq!(refusal(&error), (406, format!("PRECONDITION_FAILED - unknown delivery tag {tag}")));
        assert_eq!(ready(&client.channel, &queue).await, 0);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_an_error_other_channels_go_on_and_a_new_one_works() {
    with_client(async |client| {
        let queue = queue(&client.channel).await;
        let mut undisturbed = consume(&client.channel, &queue).await;

        let broken = doomed(client).await;
        let passive = QueueDeclareOptions::default().passive();
        let missing = unique("missing");
        broken.queue_declare(missing.as_str().into(), passive, FieldTable::default()).await.unwrap_err();
        assert!(!broken.status().connected());
        let error = broken.tx_select().await.unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::InvalidChannelState(..)), "{error:?}");

        let fresh = doomed(client).await;
        fill(&fresh, &queue, &["from the new channel"]).await;
        assert_eq!(body(&next(&mut undisturbed).await), "from the new channel");
        assert!(client.connection.status().connected());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_broken_channel_had_unacked_is_delivered_again() {
    with_client(async |client| {
        let queue = queue(&client.channel).await;
        fill(&client.channel, &queue, &["held", "waiting"]).await;
        let broken = doomed(client).await;
        let held =
            broken.basic_get(queue.as_str().into(), BasicGetOptions::default()).await.unwrap().unwrap();
        let passive = QueueDeclareOptions::default().passive();
        let missing = unique("missing");
        broken.queue_declare(missing.as_str().into(), passive, FieldTable::default()).await.unwrap_err();
        assert!(!held.usable());

        let mut consumer = consume(&client.channel, &queue).await;
        let again = next_n(&mut consumer, 2).await;
        assert_eq!(bodies(&again), ["held", "waiting"]);
        assert_eq!([again[0].redelivered, again[1].redelivered], [true, false]);
    })
    .await;
}
