//! Dead letters and priorities: where a message goes that is not consumed, and which one is consumed first.

use crate::support::*;

async fn queue(peer: &mut Peer) -> String {
    let q = unique("q");
    peer.call(1, declare(&q).flag("exclusive")).await;
    q
}

#[tokio::test]
async fn rejected_messages_go_to_the_dead_letter_exchange() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    let dead = queue(&mut peer).await;
    let q = unique("q");
    let method = declare(&q).flag("exclusive").arg("x-dead-letter-exchange", "");
    peer.call(1, method.arg("x-dead-letter-routing-key", &dead)).await;
    peer.publish(1, publish("", &q, "a")).await;
    peer.expect_get(1, &q, "a").await;
    peer.call(1, consume(&dead, "dead").flag("no-ack")).await;
    peer.send(1, reject(1)).await;
    let delivery = peer.expect_delivery(1, "a").await;
    peer.same("redelivered", &delivery.redelivered(), &false);
    let headers = delivery.headers();
    let Some(Value::Array(deaths)) = headers.get("x-death") else { peer.fail("expected x-death") };
    let death = deaths[0].table();
    peer.same("deaths", &deaths.len(), &1);
    peer.same("reason", &death.get("reason"), &Some(&Value::from("rejected")));
    peer.same("queue", &death.get("queue"), &Some(&Value::from(&q)));
    peer.same("count", &death.get("count"), &Some(&Value::I64(1)));
    peer.same("exchange", &death.get("exchange"), &Some(&Value::from("")));
    peer.same("routing-keys", &death.get("routing-keys"), &Some(&Value::Array(vec![Value::from(&q)])));
    peer.same("x-first-death-reason", &headers.get("x-first-death-reason"), &Some(&Value::from("rejected")));
    peer.same("x-first-death-queue", &headers.get("x-first-death-queue"), &Some(&Value::from(&q)));
    peer.same("x-first-death-exchange", &headers.get("x-first-death-exchange"), &Some(&Value::from("")));
}

#[tokio::test]
async fn an_expired_message_is_dead_lettered() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    let (q, dead) = (unique("q"), queue(&mut peer).await);
    let method = declare(&q).flag("exclusive").arg("x-dead-letter-exchange", "");
    peer.call(1, method.arg("x-dead-letter-routing-key", &dead).arg("x-message-ttl", 20)).await;
    peer.call(1, consume(&dead, "c").flag("no-ack")).await;
    peer.publish(1, publish("", &q, "a")).await;
    let delivery = peer.expect_delivery(1, "a").await;
    let reason = delivery.headers().get("x-first-death-reason").cloned();
    peer.same("reason", &reason, &Some(Value::from("expired")));
    peer.expect_empty(1, &q).await;
}

#[tokio::test]
async fn messages_of_higher_priority_come_first() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    let q = unique("q");
    peer.call(1, declare(&q).flag("exclusive").arg("x-max-priority", 5)).await;
    for (body, priority) in [("none", 0), ("one", 1), ("five", 5), ("nine", 9), ("five again", 5)] {
        peer.publish(1, publish("", &q, body).property("priority", priority)).await;
    }
    peer.publish(1, publish("", &q, "unmarked")).await;
    // More than the queue's highest is its highest.
    for body in ["five", "nine", "five again", "one", "none", "unmarked"] {
        peer.expect_get(1, &q, body).await;
    }
    peer.expect_empty(1, &q).await;
}

#[tokio::test]
async fn what_is_dropped_for_length_is_dead_lettered() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    let (q, dead) = (unique("q"), unique("dead"));
    peer.call(1, declare(&dead).flag("exclusive")).await;
    let method = declare(&q).flag("exclusive").arg("x-max-length", 1);
    let method = method.arg("x-dead-letter-exchange", "").arg("x-dead-letter-routing-key", &dead);
    peer.call(1, method).await;
    peer.call(1, consume(&dead, "c").flag("no-ack")).await;
    peer.publish(1, publish("", &q, "old")).await;
    peer.publish(1, publish("", &q, "new")).await;
    let delivery = peer.expect_delivery(1, "old").await;
    let reason = delivery.headers().get("x-first-death-reason").cloned();
    peer.same("reason", &reason, &Some(Value::from("maxlen")));
    peer.expect_get(1, &q, "new").await;
}

#[tokio::test]
async fn dead_letters_keep_their_key_and_lose_their_expiration() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    let (q, dead, x) = (unique("q"), unique("dead"), unique("x"));
    peer.call(1, declare_exchange(&x, "fanout").flag("auto-delete")).await;
    peer.call(1, declare(&dead).flag("exclusive")).await;
    peer.call(1, bind(&dead, &x, "")).await;
    peer.call(1, declare(&q).flag("exclusive").arg("x-dead-letter-exchange", &x)).await;
    peer.call(1, consume(&dead, "c").flag("no-ack")).await;
    peer.publish(1, publish("", &q, "m").property("expiration", "1")).await;
    let delivery = peer.expect_delivery(1, "m").await;
    peer.same("routing-key", &delivery.method.text("routing-key"), &q);
    peer.same("exchange", &delivery.method.text("exchange"), &x);
    peer.same("expiration", &delivery.properties.get("expiration"), &None);
    let headers = delivery.headers();
    let Some(Value::Array(deaths)) = headers.get("x-death") else { peer.fail("expected x-death") };
    let original = deaths[0].table().get("original-expiration");
    peer.same("original-expiration", &original, &Some(&Value::from("1")));
}

#[tokio::test]
async fn a_message_that_died_twice_in_the_same_way_counts_two() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    let q = unique("q");
    let method = declare(&q).flag("exclusive").arg("x-dead-letter-exchange", "");
    peer.call(1, method).await;
    peer.call(1, consume(&q, "c")).await;
    peer.publish(1, publish("", &q, "m")).await;
    for count in 0..3 {
        let delivery = peer.expect_delivery(1, "m").await;
        if count > 0 {
            let headers = delivery.headers();
            let Some(Value::Array(deaths)) = headers.get("x-death") else { peer.fail("expected x-death") };
            peer.same("deaths", &deaths.len(), &1);
            peer.same("count", &deaths[0].table().get("count"), &Some(&Value::I64(count)));
        }
        peer.send(1, reject(delivery.delivery_tag())).await;
    }
    peer.expect_delivery(1, "m").await;
}
