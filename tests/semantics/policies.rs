//! Policies: what holds for queues and exchanges whose names match, from the moment it is set.

use std::sync::Arc;

use lepus::broker::Vhost;
use lepus::clock::Timestamp;
use lepus::metadata::{PolicyDefinition, PolicyKind};
use lepus::name::Name;
use lepus_protocol::{FieldTable, FieldValue};
use tempfile::TempDir;
use tokio::time::{Duration, Instant, sleep};

use crate::support::*;

pub(crate) struct Operator<'b> {
    broker: &'b Broker,
    vhost: Arc<Vhost>,
}

impl<'b> Operator<'b> {
    pub(crate) fn of(broker: &'b Broker) -> Self {
        Self { broker, vhost: broker.app().unwrap().broker().vhost("/").unwrap() }
    }

    fn now(&self) -> Timestamp {
        self.broker.app().unwrap().broker().clock.now()
    }

    /// Sets the policy `name` for all queues and exchanges that begin with `prefix`.
    fn set(&self, kind: PolicyKind, name: &str, prefix: &str, entries: &[(&str, FieldValue)]) {
        let mut definition = FieldTable::new();
        entries.iter().for_each(|(key, value)| definition.insert(key, value.clone()));
        let policy = PolicyDefinition {
            pattern: format!("^{prefix}"),
            apply_to: "all".to_owned(),
            priority: 0,
            definition,
        };
        self.vhost.put_policy(kind, Name::from(name), policy, self.now()).unwrap();
    }

    pub(crate) fn user(&self, prefix: &str, entries: &[(&str, FieldValue)]) {
        self.set(PolicyKind::User, "p", prefix, entries);
    }

    pub(crate) fn clear(&self, kind: PolicyKind, name: &str) -> bool {
        self.vhost.delete_policy(kind, &Name::from(name), self.now())
    }
}

async fn broker() -> Option<(Broker, Peer)> {
    let broker = Broker::start_with(|_| ()).await?;
    let peer = broker.channel().await;
    Some((broker, peer))
}

async fn fill(peer: &mut Peer, q: &str, bodies: &[&str]) {
    for body in bodies {
        peer.publish(1, publish("", q, body)).await;
    }
    peer.expect_counts(1, q, bodies.len() as u64, 0).await;
}

#[tokio::test]
async fn a_lower_max_length_drops_from_the_head_at_once_and_its_end_lets_the_queue_grow() {
    let Some((broker, mut peer)) = broker().await else { return };
    let operator = Operator::of(&broker);
    let q = unique("q");
    peer.call(1, declare(&q)).await;
    fill(&mut peer, &q, &["1", "2", "3", "4"]).await;
    operator.user(&q, &[("max-length", 2.into())]);
    peer.expect_counts(1, &q, 2, 0).await;
    peer.expect_get(1, &q, "3").await;
    assert!(operator.clear(PolicyKind::User, "p") && !operator.clear(PolicyKind::User, "p"));
    for body in ["5", "6", "7"] {
        peer.publish(1, publish("", &q, body)).await;
    }
    peer.expect_counts(1, &q, 4, 0).await;
}

#[tokio::test]
async fn a_policy_holds_for_what_is_declared_later_and_not_for_other_names() {
    let Some((broker, mut peer)) = broker().await else { return };
    let operator = Operator::of(&broker);
    let (q, other) = (unique("bounded"), unique("free"));
    operator.user("bounded", &[("max-length", 1.into()), ("overflow", "reject-publish".into())]);
    for name in [&q, &other] {
        peer.call(1, declare(name)).await;
    }
    peer.call(1, confirm_select()).await;
    for (name, answer) in
        [(&q, "basic.ack"), (&q, "basic.nack"), (&other, "basic.ack"), (&other, "basic.ack")]
    {
        peer.publish(1, publish("", name, "hello")).await;
        peer.expect(1, answer).await;
    }
    let queue = operator.vhost.queue(&q).unwrap();
    assert_eq!(queue.settings().applied.policy.as_ref().unwrap().name.as_str(), "p");
    let policy = operator.vhost.policy(PolicyKind::User, "p").unwrap();
    let matched = operator.vhost.matched_by(&policy);
    assert_eq!((matched.queues.len(), matched.exchanges.len()), (1, 0));
}

#[tokio::test]
async fn an_operator_s_limit_cannot_be_exceeded_by_argument_or_policy() {
    let Some((broker, mut peer)) = broker().await else { return };
    let operator = Operator::of(&broker);
    let q = unique("q");
    peer.call(1, declare(&q).arg("x-max-length", 50)).await;
    operator.user(&q, &[("max-length", 10.into())]);
    operator.set(PolicyKind::Operator, "cap", &q, &[("max-length", 1.into())]);
    for body in ["1", "2", "3"] {
        peer.publish(1, publish("", &q, body)).await;
    }
    peer.expect_counts(1, &q, 1, 0).await;
    operator.clear(PolicyKind::Operator, "cap");
    fill_on_top(&mut peer, &q).await;
}

/// Nine more fit under the user's policy.
async fn fill_on_top(peer: &mut Peer, q: &str) {
    for _ in 0..20 {
        peer.publish(1, publish("", q, "more")).await;
    }
    peer.expect_counts(1, q, 10, 0).await;
}

#[tokio::test]
async fn a_message_ttl_holds_for_what_is_published_from_then_on() {
    let Some((broker, mut peer)) = broker().await else { return };
    let operator = Operator::of(&broker);
    let q = unique("q");
    peer.call(1, declare(&q)).await;
    fill(&mut peer, &q, &["old"]).await;
    operator.user(&q, &[("message-ttl", 1.into())]);
    peer.publish(1, publish("", &q, "new")).await;
    // As in RabbitMQ the new one expires once it is at the head.
    peer.expect_get(1, &q, "old").await;
    peer.eventually_counts(1, &q, 0, 0).await;
}

#[tokio::test]
async fn a_dead_letter_exchange_by_policy_gets_what_is_dropped_from_then_on() {
    let Some((broker, mut peer)) = broker().await else { return };
    let operator = Operator::of(&broker);
    let (q, dead) = (unique("q"), unique("dead"));
    for name in [&q, &dead] {
        peer.call(1, declare(name)).await;
    }
    operator
        .user(&q, &[("dead-letter-exchange", "".into()), ("dead-letter-routing-key", dead.as_str().into())]);
    fill(&mut peer, &q, &["poison"]).await;
    let got = peer.expect_get(1, &q, "poison").await;
    peer.send(1, reject(got.delivery_tag())).await;
    peer.expect_get(1, &dead, "poison").await;
}

#[tokio::test]
async fn an_alternate_exchange_by_policy_gets_what_cannot_be_routed_while_it_holds() {
    let Some((broker, mut peer)) = broker().await else { return };
    let operator = Operator::of(&broker);
    let (x, spare) = (unique("x"), unique("spare"));
    peer.call(1, declare_exchange(&x, "direct")).await;
    peer.call(1, declare(&spare)).await;
    peer.call(1, bind(&spare, "amq.fanout", "")).await;
    operator.user(&x, &[("alternate-exchange", "amq.fanout".into())]);
    peer.publish(1, publish(&x, "nowhere", "saved").flag("mandatory")).await;
    peer.expect_get(1, &spare, "saved").await;
    operator.clear(PolicyKind::User, "p");
    peer.publish(1, publish(&x, "nowhere", "returned").flag("mandatory")).await;
    peer.expect_return(1, 312, "NO_ROUTE").await;
}

#[tokio::test]
async fn alternate_exchanges_and_dead_letter_exchanges_in_a_circle_by_policy_come_to_an_end() {
    let Some((broker, mut peer)) = broker().await else { return };
    let operator = Operator::of(&broker);
    let alternate = |name: &str| [("alternate-exchange", FieldValue::from(name))];
    let (x, y, q) = (unique("x"), unique("y"), unique("q"));
    for name in [&x, &y] {
        peer.call(1, declare_exchange(name, "direct").flag("auto-delete")).await;
    }
    operator.set(PolicyKind::User, "x", &x, &alternate(&y));
    operator.set(PolicyKind::User, "y", &y, &alternate(&x));
    peer.publish(1, publish(&x, "k", "nowhere").flag("mandatory")).await;
    peer.expect_return(1, 312, "NO_ROUTE").await;
    // An alternate exchange of its own, too.
    operator.set(PolicyKind::User, "x", &x, &alternate(&x));
    peer.publish(1, publish(&x, "k", "nowhere").flag("mandatory")).await;
    peer.expect_return(1, 312, "NO_ROUTE").await;
    peer.call(1, declare(&q).flag("exclusive").arg("x-max-length", 0)).await;
    operator.set(PolicyKind::User, "q", &q, &[("dead-letter-exchange", FieldValue::from(""))]);
    peer.call(1, confirm_select()).await;
    peer.publish(1, publish("", &q, "to itself")).await;
    peer.expect_confirm(1, 1).await;
    peer.expect_counts(1, &q, 0, 0).await;
}

#[tokio::test]
async fn a_quorum_queue_gives_up_after_the_deliveries_that_a_policy_allows() {
    let Some((broker, mut peer)) = broker().await else { return };
    let operator = Operator::of(&broker);
    let q = unique("q");
    peer.call(1, declare(&q).flag("durable").arg("x-queue-type", "quorum")).await;
    operator.user(&q, &[("delivery-limit", 1.into())]);
    fill(&mut peer, &q, &["poison"]).await;
    for _ in 0..2 {
        let got = peer.expect_get(1, &q, "poison").await;
        peer.send(1, nack(got.delivery_tag()).flag("requeue")).await;
    }
    peer.expect_empty(1, &q).await;
}

#[tokio::test]
async fn a_queue_that_nobody_uses_goes_after_the_time_that_a_policy_gives_it() {
    let Some((broker, mut peer)) = broker().await else { return };
    let operator = Operator::of(&broker);
    let q = unique("q");
    peer.call(1, declare(&q)).await;
    operator.user(&q, &[("expires", 20.into())]);
    // Asked aside: a declare would be a use.
    let deadline = Instant::now() + Duration::from_secs(10);
    while operator.vhost.queue(&q).is_some() {
        assert!(Instant::now() < deadline, "the queue stays");
        sleep(Duration::from_millis(2)).await;
    }
}

#[tokio::test]
async fn a_queue_takes_no_duplicates_while_a_policy_says_so_of_what_it_has_already_either() {
    let Some((broker, mut peer)) = broker().await else { return };
    let operator = Operator::of(&broker);
    let q = unique("q");
    peer.call(1, declare(&q).flag("exclusive")).await;
    let offer = async |peer: &mut Peer, id: &str| {
        peer.publish(1, publish("", &q, id).header("x-deduplication-header", id)).await;
    };
    for id in ["a", "a", "b"] {
        offer(&mut peer, id).await;
    }
    peer.expect_get(1, &q, "a").await;
    operator.user(&q, &[("x-message-deduplication", true.into())]);
    for id in ["a", "b", "c", "c"] {
        offer(&mut peer, id).await;
    }
    peer.expect_counts(1, &q, 3, 0).await;
    operator.clear(PolicyKind::User, "p");
    offer(&mut peer, "c").await;
    peer.expect_counts(1, &q, 4, 0).await;
}

#[tokio::test]
async fn an_exchange_remembers_as_many_as_a_policy_says() {
    let Some((broker, mut peer)) = broker().await else { return };
    let operator = Operator::of(&broker);
    let (x, q) = (unique("x"), unique("q"));
    let method = declare_exchange(&x, "x-message-deduplication").flag("auto-delete");
    peer.call(1, method.arg("x-cache-size", 10)).await;
    peer.call(1, declare(&q).flag("exclusive")).await;
    peer.call(1, bind(&q, &x, "")).await;
    let offer = async |peer: &mut Peer, id: &str| {
        peer.publish(1, publish(&x, "", id).header("x-deduplication-header", id)).await;
    };
    for id in ["a", "b"] {
        offer(&mut peer, id).await;
    }
    peer.expect_counts(1, &q, 2, 0).await;
    operator.user(&x, &[("x-cache-size", 1.into())]);
    for id in ["b", "a", "b"] {
        offer(&mut peer, id).await;
    }
    peer.expect_counts(1, &q, 4, 0).await;
    operator.clear(PolicyKind::User, "p");
    for id in ["a", "a", "b"] {
        offer(&mut peer, id).await;
    }
    peer.expect_counts(1, &q, 5, 0).await;
}

#[tokio::test]
async fn dead_messages_are_kept_while_a_policy_says_so_and_let_go_when_it_does_not() {
    let Some((broker, mut peer)) = broker().await else { return };
    let operator = Operator::of(&broker);
    let (q, x, dead) = (unique("q"), unique("x"), unique("dead"));
    peer.call(1, declare(&q).flag("durable").arg("x-queue-type", "quorum")).await;
    let to_x = ("dead-letter-exchange", FieldValue::from(x.as_str()));
    let careful = [
        to_x.clone(),
        ("overflow", "reject-publish".into()),
        ("dead-letter-strategy", "at-least-once".into()),
    ];
    let queue = operator.vhost.queue(&q).unwrap();
    operator.user(&q, &careful);
    fill(&mut peer, &q, &["first", "second"]).await;
    for body in ["first", "second"] {
        let got = peer.expect_get(1, &q, body).await;
        peer.send(1, reject(got.delivery_tag())).await;
    }
    peer.expect_empty(1, &q).await;
    assert_eq!(queue.counts().dead, 2);
    // There is no such exchange: tried once more, without the strategy they are gone.
    operator.user(&q, &[to_x]);
    let deadline = Instant::now() + Duration::from_secs(30);
    while queue.counts().dead > 0 && Instant::now() < deadline {
        sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(queue.counts().dead, 0);
    peer.call(1, declare_exchange(&x, "fanout").flag("auto-delete")).await;
    peer.call(1, declare(&dead).flag("exclusive")).await;
    peer.call(1, bind(&dead, &x, "")).await;
    operator.user(&q, &careful);
    fill(&mut peer, &q, &["third"]).await;
    let got = peer.expect_get(1, &q, "third").await;
    peer.send(1, reject(got.delivery_tag())).await;
    peer.expect_get(1, &dead, "third").await;
    peer.expect_empty(1, &dead).await;
    peer.call(1, delete(&q)).await;
}

#[tokio::test]
async fn policies_are_there_after_a_restart_and_hold() {
    let dir = TempDir::new().unwrap();
    let start = async || Broker::start_with(|config| config.data_dir = Some(dir.path().into())).await;
    let Some(broker) = start().await else { return };
    let mut peer = broker.channel().await;
    peer.call(1, declare("q").flag("durable")).await;
    let operator = Operator::of(&broker);
    operator.user("q", &[("max-length", 1.into())]);
    operator.set(PolicyKind::Operator, "cap", "q", &[("max-length", 5.into())]);
    operator.user("gone", &[("max-length", 2.into())]);
    operator.set(PolicyKind::User, "kept", "q", &[("max-length", 1.into())]);
    operator.clear(PolicyKind::User, "p");
    let unique = ("x-message-deduplication", FieldValue::from(true));
    operator.set(PolicyKind::User, "unique", "once", &[unique]);
    peer.call(1, declare("once").flag("durable")).await;
    let once = publish("", "once", "m").property("delivery-mode", 2).header("x-deduplication-header", "m");
    peer.publish(1, once.clone()).await;
    peer.expect_counts(1, "once", 1, 0).await;
    broker.app().unwrap().broker().flush().await;
    drop(operator);
    peer.close().await;
    broker.shutdown().await;

    let broker = start().await.unwrap();
    let operator = Operator::of(&broker);
    assert_eq!(operator.vhost.policies(PolicyKind::User).len(), 2);
    let applied = operator.vhost.queue("q").unwrap().settings().applied;
    assert_eq!(applied.policy.as_ref().unwrap().name.as_str(), "kept");
    assert_eq!(applied.operator.as_ref().unwrap().name.as_str(), "cap");
    let mut peer = broker.channel().await;
    for body in ["1", "2"] {
        peer.publish(1, publish("", "q", body)).await;
    }
    peer.expect_counts(1, "q", 1, 0).await;
    // What was there at the start is no other than what comes.
    peer.publish(1, once).await;
    peer.expect_counts(1, "once", 1, 0).await;
}
