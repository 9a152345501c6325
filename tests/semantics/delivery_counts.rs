//! How often a message came back, as its next consumer is told.

use crate::support::*;

/// What the headers of a delivery say: `x-delivery-count` and `x-acquired-count`.
fn counts(content: &Content) -> (Option<Value>, Option<Value>) {
    let headers = content.headers();
    (headers.get("x-delivery-count").cloned(), headers.get("x-acquired-count").cloned())
}

fn told(count: i64) -> (Option<Value>, Option<Value>) {
    (Some(Value::I64(count)), Some(Value::I64(count)))
}

fn quorum(q: &str) -> Method {
    declare(q).flag("durable").arg("x-queue-type", "quorum")
}

#[tokio::test]
async fn a_quorum_queue_tells_from_the_second_delivery_on_whoever_gave_the_message_back() {
    let Some(broker) = Broker::start_with(|_| ()).await else { return };
    let mut peer = broker.channel().await;
    let q = unique("q");
    peer.call(1, quorum(&q)).await;
    peer.call(1, consume(&q, "c")).await;
    peer.publish(1, publish("", &q, "m").header("mine", "kept")).await;
    let mut delivery = peer.expect_delivery(1, "m").await;
    peer.same("first", &counts(&delivery), &(None, None));
    for (count, give_back) in [(1, nack as fn(u64) -> Method), (2, reject)] {
        peer.send(1, give_back(delivery.delivery_tag()).flag("requeue")).await;
        delivery = peer.expect_delivery(1, "m").await;
        peer.same("counts", &counts(&delivery), &told(count));
        peer.same("mine", &delivery.headers().get("mine").cloned(), &Some(Value::from("kept")));
    }
    // The loss of the channel counts, and basic.get tells as well.
    peer.call(1, close_channel()).await;
    peer.open(1).await;
    let got = peer.expect_get(1, &q, "m").await;
    peer.same("got", &counts(&got), &told(3));
    peer.call(1, delete(&q)).await;
}

#[tokio::test]
async fn a_classic_queue_tells_where_it_counts_and_not_elsewhere() {
    let Some(broker) = Broker::start_with(|_| ()).await else { return };
    let mut peer = broker.channel().await;
    for (method, expected) in [
        (declare(&unique("counts")).arg("x-delivery-limit", 5), told(1)),
        (declare(&unique("silent")), (None, None)),
    ] {
        let q = method.text("queue");
        peer.call(1, method).await;
        peer.publish(1, publish("", &q, "m")).await;
        let got = peer.expect_get(1, &q, "m").await;
        peer.send(1, nack(got.delivery_tag()).flag("requeue")).await;
        let again = peer.expect_get(1, &q, "m").await;
        peer.same("redelivered", &again.redelivered(), &true);
        peer.same("counts", &counts(&again), &expected);
        peer.call(1, delete(&q)).await;
    }
}
