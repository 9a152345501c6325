//! queue.bind and unbind.

use crate::support::*;

#[tokio::test]
async fn binding_twice_is_binding_once() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    let q = unique("q");
    peer.call(1, declare(&q).flag("exclusive")).await;
    peer.call(1, bind(&q, "amq.direct", &q)).await;
    peer.call(1, bind(&q, "amq.direct", &q)).await;
    peer.publish(1, publish("amq.direct", &q, "once")).await;
    peer.expect_get(1, &q, "once").await;
    peer.expect_empty(1, &q).await;
    peer.call(1, unbind(&q, "amq.direct", &q)).await;
    peer.publish(1, publish("amq.direct", &q, "twice")).await;
    peer.expect_empty(1, &q).await;
    peer.call(1, unbind(&q, "amq.direct", &q)).await;
}

#[tokio::test]
async fn arguments_make_another_binding() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    let q = unique("q");
    peer.call(1, declare(&q).flag("exclusive")).await;
    peer.call(1, bind(&q, "amq.direct", &q).arg("mine", 1)).await;
    peer.call(1, bind(&q, "amq.direct", &q).arg("mine", 2)).await;
    // Without its arguments it is not the same binding.
    peer.call(1, unbind(&q, "amq.direct", &q)).await;
    peer.call(1, unbind(&q, "amq.direct", &q).arg("mine", 1)).await;
    peer.publish(1, publish("amq.direct", &q, "hello")).await;
    peer.expect_get(1, &q, "hello").await;
    peer.expect_empty(1, &q).await;
    peer.call(1, unbind(&q, "amq.direct", &q).arg("mine", 2)).await;
    peer.publish(1, publish("amq.direct", &q, "hello")).await;
    peer.expect_empty(1, &q).await;
}

#[tokio::test]
async fn a_fanout_ignores_keys_but_keeps_bindings_apart() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    let (q, x) = (unique("q"), unique("x"));
    peer.call(1, declare(&q).flag("exclusive")).await;
    peer.call(1, declare_exchange(&x, "fanout").flag("auto-delete")).await;
    peer.call(1, bind(&q, &x, "a")).await;
    peer.call(1, bind(&q, &x, "b")).await;
    peer.call(1, unbind(&q, &x, "a")).await;
    peer.publish(1, publish(&x, "c", "hello")).await;
    peer.expect_get(1, &q, "hello").await;
    peer.expect_empty(1, &q).await;
}

#[tokio::test]
async fn bindings_end_with_their_queue() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    let q = unique("q");
    peer.call(1, declare(&q).flag("exclusive")).await;
    peer.call(1, bind(&q, "amq.topic", &q)).await;
    peer.call(1, delete(&q)).await;
    peer.call(1, declare(&q).flag("exclusive")).await;
    peer.publish(1, publish("amq.topic", &q, "hello").flag("mandatory")).await;
    peer.expect_return(1, 312, "NO_ROUTE").await;
    peer.expect_empty(1, &q).await;
}
