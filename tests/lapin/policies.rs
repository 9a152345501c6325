//! Policies that an operator sets while clients publish to queues and consume from them.
use crate::{broker::Broker, support::*};
use lapin::{
    Channel, Confirmation, ExchangeKind,
    message::Delivery,
    options::*,
    types::{AMQPValue, ShortString},
};
use lepus::{
    metadata::{PolicyDefinition, PolicyKind},
    name::Name,
};
use lepus_protocol::FieldValue;
use tempfile::TempDir;

/// The one policy.
const POLICY: &str = "living";

/// Runs a test with a client of a broker of this process, whose operator can be asked.
async fn with_operator(test: impl AsyncFnOnce(&Broker, &Client)) {
    if std::env::var_os("LEPUS_TEST_BROKER").is_some() {
        eprintln!("SKIPPED: policies are set in this process");
        return;
    }
    with_broker(async |broker| test(broker, &Client::connect(broker).await).await).await;
}

/// Sets the policy for the queue or exchange of this name.
fn govern(broker: &Broker, name: &str, entries: &[(&str, FieldValue)]) {
    let broker = broker.app().expect("it is ours").broker();
    let mut definition = lepus_protocol::FieldTable::new();
    entries.iter().for_each(|(key, value)| definition.insert(key, value.clone()));
    let (pattern, apply_to) = (format!("^{name}$"), "all".to_owned());
    let policy = PolicyDefinition { pattern, apply_to, priority: 0, definition };
    let vhost = broker.vhost("/").unwrap();
    vhost.put_policy(PolicyKind::User, Name::from(POLICY), policy, broker.clock.now()).unwrap();
}

fn govern_no_more(broker: &Broker) {
    let broker = broker.app().expect("it is ours").broker();
    let vhost = broker.vhost("/").unwrap();
    assert!(vhost.delete_policy(PolicyKind::User, &Name::from(POLICY), broker.clock.now()));
}

async fn durable(channel: &Channel, label: &str) -> String {
    let queue = unique(label);
    let declared =
        channel.queue_declare(queue.as_str().into(), QueueDeclareOptions::durable(), table([])).await;
    declared.unwrap();
    queue
}

/// Rejects it, and waits until the broker has seen that.
async fn drop_it(channel: &Channel, delivery: &Delivery) {
    assert!(delivery.reject(BasicRejectOptions { requeue: false }).await.unwrap());
    channel.basic_qos(0, BasicQosOptions::default()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_letter_policy_holds_for_what_a_consumer_rejects_from_then_on() {
    with_operator(async |broker, client| {
        let channel = &client.channel;
        let (queue, dead) = (durable(channel, "work").await, durable(channel, "dead").await);
        let (mut work, mut letters) = (consume(channel, &queue).await, consume(channel, &dead).await);
        fill(channel, &queue, &["lost"]).await;
        drop_it(channel, &next(&mut work).await).await;
        govern(
            broker,
            &queue,
            &[("dead-letter-exchange", "".into()), ("dead-letter-routing-key", dead.as_str().into())],
        );
        fill(channel, &queue, &["kept"]).await;
        drop_it(channel, &next(&mut work).await).await;
        let letter = next(&mut letters).await;
        assert_eq!(body(&letter), "kept");
        ack(&letter).await;
        govern_no_more(broker);
        fill(channel, &queue, &["lost too"]).await;
        drop_it(channel, &next(&mut work).await).await;
        fill(channel, &dead, &["published"]).await;
        assert_eq!(body(&next(&mut letters).await), "published", "no letter came before it");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_by_policy_refuses_publishers_at_once_and_its_end_lets_them_go_on() {
    with_operator(async |broker, client| {
        let channel = &client.channel;
        let queue = durable(channel, "bounded").await;
        fill(channel, &queue, &["1", "2", "3"]).await;
        govern(broker, &queue, &[("max-length", 2.into()), ("overflow", "reject-publish".into())]);
        assert!(publish(channel, "", &queue, "refused").await.is_nack());
        assert_eq!(drain(channel, &queue).await, ["1", "2", "3"], "what was accepted once stays");
        fill(channel, &queue, &["4", "5"]).await;
        assert!(publish(channel, "", &queue, "refused").await.is_nack());
        govern_no_more(broker);
        fill(channel, &queue, &["6"]).await;
        assert_eq!(drain(channel, &queue).await, ["4", "5", "6"]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alternate_exchange_by_policy_gets_what_the_exchange_cannot_route() {
    with_operator(async |broker, client| {
        let channel = &client.channel;
        let queue = queue(channel).await;
        let exchange = exchange_with(channel, ExchangeKind::Direct, table([])).await;
        let alternate = exchange_with(channel, ExchangeKind::Fanout, table([])).await;
        bind(channel, &queue, &alternate, "").await;
        let returned = async || match publish(channel, &exchange, &queue, "m").await {
            Confirmation::Ack(returned) => returned.is_some(),
            other @ (Confirmation::Nack(_) | Confirmation::NotRequested) => {
                panic!("not confirmed: {other:?}")
            }
        };
        assert!(returned().await);
        govern(broker, &exchange, &[("alternate-exchange", alternate.as_str().into())]);
        assert!(!returned().await);
        govern_no_more(broker);
        assert!(returned().await);
        assert_eq!(drain(channel, &queue).await, ["m"]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_policy_delays_what_comes_back_and_tells_how_often_it_did() {
    with_operator(async |broker, client| {
        let channel = &client.channel;
        let queue = durable(channel, "retried").await;
        let mut consumer = consume(channel, &queue).await;
        fill(channel, &queue, &["m"]).await;
        let first = next(&mut consumer).await;
        // An hour: it comes back before that only if it is not delayed.
        govern(
            broker,
            &queue,
            &[("delayed-retry-type", "all".into()), ("delayed-retry-min", 3_600_000.into())],
        );
        requeue(&first).await;
        fill(channel, &queue, &["next"]).await;
        let second = next(&mut consumer).await;
        assert_eq!(body(&second), "next");
        govern(broker, &queue, &[("delayed-retry-type", "all".into()), ("delayed-retry-min", 1.into())]);
        requeue(&second).await;
        let again = next(&mut consumer).await;
        assert_eq!((body(&again), again.redelivered), ("next", true));
        let headers = again.properties.headers().as_ref().unwrap().inner();
        assert_eq!(headers.get(&ShortString::from("x-delivery-count")), Some(&AMQPValue::LongLongInt(1)));
        ack(&again).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_lease_by_policy_ends_a_queue_that_nobody_uses() {
    with_operator(async |broker, client| {
        let channel = &client.channel;
        let queue = durable(channel, "leased").await;
        fill(channel, &queue, &["m"]).await;
        govern(broker, &queue, &[("expires", 1.into())]);
        // Not by a declaration, which would be a use.
        while publish(channel, "", &queue, "is it there").await == Confirmation::Ack(None) {}
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_of_a_living_queue_holds_after_a_restart() {
    let dir = TempDir::new().unwrap();
    let Some(broker) = Broker::start_on(&dir).await else { return };
    let client = Client::connect(&broker).await;
    let queue = durable(&client.channel, "kept").await;
    govern(&broker, &queue, &[("max-length", 2.into())]);
    broker.app().unwrap().broker().flush().await;
    client.close().await;
    broker.stop().await;
    let broker = Broker::start_on(&dir).await.unwrap();
    let client = Client::connect(&broker).await;
    fill(&client.channel, &queue, &["1", "2", "3"]).await;
    assert_eq!(drain(&client.channel, &queue).await, ["2", "3"]);
    govern_no_more(&broker);
    fill(&client.channel, &queue, &["1", "2", "3"]).await;
    assert_eq!(drain(&client.channel, &queue).await, ["1", "2", "3"]);
    client.close().await;
    broker.stop().await;
}
