//! What queues, exchanges and consumers can do beyond the specification, through their arguments.
use crate::support::*;
use lapin::{
    BasicProperties, Channel, Confirmation, ExchangeKind,
    message::Delivery,
    options::*,
    types::{AMQPValue, FieldTable, ShortString},
};
use std::time::Duration;
use tokio::time::Instant;

fn number(value: i32) -> AMQPValue {
    AMQPValue::LongInt(value)
}

fn millis(count: u64) -> Duration {
    Duration::from_millis(count)
}

fn with_header(name: &str, value: AMQPValue) -> BasicProperties {
    BasicProperties::default().with_headers(table([(name, value)]))
}

fn header(delivery: &Delivery, name: &str) -> Option<AMQPValue> {
    delivery.properties.headers().as_ref()?.inner().get(&ShortString::from(name)).cloned()
}

fn kind(name: &str) -> ExchangeKind {
    ExchangeKind::Custom(name.to_owned())
}

/// A durable queue that others can use.
async fn durable(channel: &Channel, arguments: FieldTable) -> String {
    let queue = unique("durable");
    let options = QueueDeclareOptions::durable();
    channel.queue_declare(queue.as_str().into(), options, arguments).await.unwrap();
    queue
}

async fn settle(delivery: &Delivery, is_requeued: bool) {
    let options = BasicRejectOptions { requeue: is_requeued };
    assert!(delivery.reject(options).await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delayed_message_comes_when_it_is_due_through_any_exchange() {
    with_own_client(async |client| {
        let channel = &client.channel;
        let queue = queue(channel).await;
        let delayed =
            exchange_with(channel, kind("x-delayed-message"), table([("x-delayed-type", string("topic"))]));
        let delayed = delayed.await;
        bind(channel, &queue, &delayed, "order.#").await;
        let mut consumer = consume(channel, &queue).await;
        let sent = Instant::now();
        for (exchange, key, body, delay) in
            [("", queue.as_str(), "later", 60), (&delayed, "order.new", "sooner", 30)]
        {
            let properties = with_header("x-delay", number(delay));
            assert!(publish_with(channel, exchange, key, body, properties).await.is_ack());
        }
        publish(channel, &delayed, "order.old", "at once").await;
        for (body, due) in [("at once", 0), ("sooner", 30), ("later", 60)] {
            let delivery = next(&mut consumer).await;
            assert_eq!(crate::support::body(&delivery), body);
            assert!(sent.elapsed() + millis(1) >= millis(due), "{body} after {:?}", sent.elapsed());
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_fails_is_tried_again_later_each_time_and_dies_of_too_many_times() {
    with_own_client(async |client| {
        let channel = &client.channel;
        let dead = queue(channel).await;
        let queue = durable(
            channel,
            table([
                ("x-delayed-retry-type", string("failed")),
                ("x-delayed-retry-min", number(20)),
                ("x-delivery-limit", number(2)),
                ("x-dead-letter-exchange", string("")),
                ("x-dead-letter-routing-key", string(&dead)),
            ]),
        )
        .await;
        let mut consumer = consume(channel, &queue).await;
        let persistent = BasicProperties::default().with_delivery_mode(2);
        publish_with(channel, "", &queue, "m", persistent).await;
        let mut delivery = next(&mut consumer).await;
        assert_eq!((delivery.redelivered, header(&delivery, "x-delivery-count")), (false, None));
        for count in 1..=2 {
            let failed = Instant::now();
            settle(&delivery, true).await;
            delivery = next(&mut consumer).await;
            assert!(failed.elapsed() + millis(1) >= millis(20 * count), "{:?}", failed.elapsed());
            assert!(delivery.redelivered);
            let told = header(&delivery, "x-delivery-count").unwrap();
            assert_eq!(told.as_long_long_int(), i64::try_from(count).ok(), "{told:?}");
        }
        settle(&delivery, true).await;
        let letter = next(&mut consume(channel, &dead).await).await;
        assert_eq!(header(&letter, "x-first-death-reason"), Some(string("delivery_limit")));
        delete(channel, &queue).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_higher_priority_comes_first_and_within_one_what_came_first() {
    with_client(async |client| {
        let channel = &client.channel;
        let queue = queue_with(channel, table([("x-max-priority", number(5))])).await;
        for (body, priority) in [("a", 0), ("b", 5), ("c", 3), ("d", 5), ("e", 9)] {
            let properties = BasicProperties::default().with_priority(priority);
            publish_with(channel, "", &queue, body, properties).await;
        }
        // More than the highest is the highest.
        assert_eq!(drain(channel, &queue).await, ["b", "d", "e", "c", "a"]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_shorter_time_to_live_counts() {
    with_client(async |client| {
        let channel = &client.channel;
        let dead = queue(channel).await;
        let queue = queue_with(
            channel,
            table([
                ("x-message-ttl", number(20)),
                ("x-dead-letter-exchange", string("")),
                ("x-dead-letter-routing-key", string(&dead)),
            ]),
        )
        .await;
        let hour = BasicProperties::default().with_expiration("3600000".into());
        publish_with(channel, "", &queue, "by the queue's", hour).await;
        let letter = next(&mut consume(channel, &dead).await).await;
        assert_eq!(header(&letter, "x-first-death-reason"), Some(string("expired")));
        assert_eq!(ready(channel, &queue).await, 0);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_queue_refuses_and_dead_letters_where_it_is_asked_to() {
    with_client(async |client| {
        let channel = &client.channel;
        let dead = queue(channel).await;
        let queue = queue_with(
            channel,
            table([
                ("x-max-length-bytes", number(4)),
                ("x-overflow", string("reject-publish-dlx")),
                ("x-dead-letter-exchange", string("")),
                ("x-dead-letter-routing-key", string(&dead)),
            ]),
        )
        .await;
        fill(channel, &queue, &["four"]).await;
        assert!(publish(channel, "", &queue, "more").await.is_nack());
        assert_eq!(drain(channel, &queue).await, ["four"]);
        let letter = next(&mut consume(channel, &dead).await).await;
        assert_eq!(header(&letter, "x-first-death-reason"), Some(string("maxlen")));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_message_waits_for_its_letter_s_queue() {
    with_own_client(async |client| {
        let channel = &client.channel;
        let dead = unique("dead");
        let queue = durable(
            channel,
            table([
                ("x-queue-type", string("quorum")),
                ("x-overflow", string("reject-publish")),
                ("x-dead-letter-strategy", string("at-least-once")),
                ("x-dead-letter-exchange", string("")),
                ("x-dead-letter-routing-key", string(&dead)),
            ]),
        )
        .await;
        let mut consumer = consume(channel, &queue).await;
        fill(channel, &queue, &["m"]).await;
        settle(&next(&mut consumer).await, false).await;
        let options = QueueDeclareOptions::exclusive();
        channel.queue_declare(dead.as_str().into(), options, FieldTable::default()).await.unwrap();
        let letter = next(&mut consume(channel, &dead).await).await;
        assert_eq!(header(&letter, "x-first-death-reason"), Some(string("rejected")));
        delete(channel, &queue).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_holds_a_message_for_too_long_is_cancelled_and_another_gets_it() {
    with_own_client(async |client| {
        let channel = &client.channel;
        let queue = queue(channel).await;
        let options = BasicConsumeOptions::default();
        let own_time = table([("x-consumer-timeout", number(30))]);
        let mut slow = consume_with(channel, &queue, options, own_time).await;
        fill(channel, &queue, &["m"]).await;
        assert_eq!(body(&next(&mut slow).await), "m");
        assert!(futures_lite::StreamExt::next(&mut slow).await.is_none(), "told by basic.cancel");
        let again = next(&mut consume(channel, &queue).await).await;
        assert_eq!((body(&again), again.redelivered), ("m", true));
        ack(&again).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exchange_that_chooses_gives_each_message_to_one_queue() {
    with_own_client(async |client| {
        let channel = &client.channel;
        for (name, keys) in [
            ("x-consistent-hash", ["1", "3"]),
            ("x-modulus-hash", ["", ""]),
            ("x-random", ["", ""]),
            ("x-local-random", ["", ""]),
        ] {
            let exchange = exchange_with(channel, kind(name), FieldTable::default()).await;
            let queues = [queue(channel).await, queue(channel).await];
            for (queue, key) in queues.iter().zip(keys) {
                bind(channel, queue, &exchange, key).await;
            }
            for number in 0..100 {
                publish(channel, &exchange, &format!("key {}", number % 50), &number.to_string()).await;
            }
            let [one, other] = [drain(channel, &queues[0]).await, drain(channel, &queues[1]).await];
            assert_eq!(one.len() + other.len(), 100, "{name}");
            assert!(!one.is_empty() && !other.is_empty(), "{name}");
            let by_key = |body: &String| body.parse::<u32>().unwrap() % 50;
            if name.ends_with("-hash") {
                assert!(one.iter().all(|body| !other.iter().any(|o| by_key(o) == by_key(body))), "{name}");
            }
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recent_history_is_passed_on_to_whoever_is_bound_later() {
    with_own_client(async |client| {
        let channel = &client.channel;
        let arguments = table([("x-recent-history-length", number(2))]);
        let exchange = exchange_with(channel, kind("x-recent-history"), arguments).await;
        for body in ["a", "b", "c"] {
            publish(channel, &exchange, "", body).await;
        }
        let queue = queue(channel).await;
        bind(channel, &queue, &exchange, "").await;
        assert_eq!(drain(channel, &queue).await, ["b", "c"]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_duplicate_is_confirmed_and_not_taken_in() {
    with_own_client(async |client| {
        let channel = &client.channel;
        let arguments = table([("x-cache-size", number(10))]);
        let exchange = exchange_with(channel, kind("x-message-deduplication"), arguments).await;
        let behind = queue(channel).await;
        bind(channel, &behind, &exchange, "k").await;
        let alone = table([("x-message-deduplication", AMQPValue::Boolean(true))]);
        let alone = queue_with(channel, alone).await;
        for (exchange, key, queue) in [(exchange.as_str(), "k", &behind), ("", alone.as_str(), &alone)] {
            for header in ["one", "one", "other"] {
                let properties = with_header("x-deduplication-header", string(header));
                let confirmation = publish_with(channel, exchange, key, header, properties).await;
                assert_eq!(confirmation, Confirmation::Ack(None));
            }
            assert_eq!(drain(channel, queue).await, ["one", "other"]);
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_made_up_by_the_broker_begins_as_it_was_asked_to() {
    with_own_client(async |client| {
        let queue = queue_with(&client.channel, table([("x-name-prefix", string("shop.replies."))])).await;
        assert!(queue.starts_with("shop.replies.") && queue.len() > 20, "{queue}");
    })
    .await;
}
