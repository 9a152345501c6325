//! exchange.declare, delete, bind, unbind.

use crate::support::*;

fn not_found(exchange: &str) -> String {
    format!("NOT_FOUND - no exchange '{exchange}' in vhost '/'")
}

fn inequivalent(arg: &str, exchange: &str, received: &str, current: &str) -> String {
    format!(
        "PRECONDITION_FAILED - inequivalent arg '{arg}' for exchange '{exchange}' in vhost '/': \
         received {received} but current is {current}"
    )
}

const DEFAULT: &str = "ACCESS_REFUSED - operation not permitted on the default exchange";

/// Declares an exclusive queue.
async fn queue(peer: &mut Peer) -> String {
    let q = unique("q");
    peer.call(1, declare(&q).flag("exclusive")).await;
    q
}

#[tokio::test]
async fn every_vhost_has_its_exchanges() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    for name in ["amq.direct", "amq.fanout", "amq.topic", "amq.headers", "amq.match", "amq.rabbitmq.trace"] {
        peer.call(1, declare_exchange(name, "").flag("passive")).await;
    }
    // Redeclared as they are, they stand.
    peer.call(1, declare_exchange("amq.direct", "direct").flag("durable")).await;
}

#[tokio::test]
async fn redeclaring_with_other_properties_is_406() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    let x = unique("x");
    peer.call(1, declare_exchange(&x, "direct")).await;
    peer.call(1, declare_exchange(&x, "direct")).await;
    let text = inequivalent("type", &x, "'fanout'", "'direct'");
    peer.expect_refusal(1, declare_exchange(&x, "fanout"), 406, &text).await;
    for (flag, shown) in [("durable", "durable"), ("auto-delete", "auto_delete"), ("internal", "internal")] {
        let text = inequivalent(shown, &x, "'true'", "'false'");
        peer.expect_refusal(1, declare_exchange(&x, "direct").flag(flag), 406, &text).await;
    }
    let text = inequivalent("alternate-exchange", &x, "the value 'y' of type 'longstr'", "none");
    peer.expect_refusal(1, declare_exchange(&x, "direct").arg("alternate-exchange", "y"), 406, &text).await;
    // What is not known is not compared.
    peer.call(1, declare_exchange(&x, "direct").arg("x-mine", 1)).await;
    peer.call(1, delete_exchange(&x)).await;
}

#[tokio::test]
async fn missing_exchanges_are_404() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    let x = unique("missing");
    let q = queue(&mut peer).await;
    let text = not_found(&x);
    peer.expect_refusal(1, declare_exchange(&x, "direct").flag("passive"), 404, &text).await;
    peer.expect_refusal(1, bind(&q, &x, "k"), 404, &text).await;
    peer.expect_refusal(1, bind_exchange("amq.direct", &x, "k"), 404, &text).await;
    peer.expect_refusal(1, bind_exchange(&x, "amq.direct", "k"), 404, &text).await;
    // Unbinding and deleting succeed.
    peer.call(1, unbind(&q, &x, "k")).await;
    peer.call(1, unbind_exchange("amq.direct", &x, "k")).await;
    peer.call(1, unbind_exchange(&x, "amq.direct", "k")).await;
    peer.call(1, delete_exchange(&x)).await;
}

#[tokio::test]
async fn an_unknown_type_is_406() {
    // The specification says 503.
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    let x = unique("x");
    let text = "PRECONDITION_FAILED - unknown exchange type 'x-imaginary'";
    // RabbitMQ 3.10: 503 COMMAND_INVALID on the connection.
    if broker.is_rabbitmq_3() {
        let text = "COMMAND_INVALID - unknown exchange type 'x-imaginary'";
        return peer.expect_hard_error(1, declare_exchange(&x, "x-imaginary"), 503, text).await;
    }
    peer.expect_refusal(1, declare_exchange(&x, "x-imaginary"), 406, text).await;
}

#[tokio::test]
async fn the_default_exchange_cannot_be_touched() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    let q = queue(&mut peer).await;
    let methods = [
        declare_exchange("", "direct").flag("durable"),
        delete_exchange(""),
        bind(&q, "", "k"),
        unbind(&q, "", "k"),
        bind_exchange("", "amq.direct", "k"),
        bind_exchange("amq.direct", "", "k"),
        unbind_exchange("", "amq.direct", "k"),
        unbind_exchange("amq.direct", "", "k"),
    ];
    for method in methods {
        peer.expect_refusal(1, method, 403, DEFAULT).await;
    }
}

#[tokio::test]
async fn reserved_names_are_refused_for_new_exchanges() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    let x = format!("amq.{}", unique("x"));
    let text = format!("ACCESS_REFUSED - exchange name '{x}' contains reserved prefix 'amq.*'");
    peer.expect_refusal(1, declare_exchange(&x, "direct"), 403, &text).await;
    peer.expect_refusal(1, declare_exchange(&x, "direct").flag("passive"), 404, &not_found(&x)).await;
}

#[tokio::test]
async fn system_exchanges_cannot_be_deleted() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    for x in ["amq.direct", "amq.fanout", "amq.topic", "amq.headers", "amq.match", "amq.rabbitmq.trace"] {
        let text = format!("ACCESS_REFUSED - deletion of system exchange '{x}' in vhost '/' not allowed");
        peer.expect_refusal(1, delete_exchange(x), 403, &text).await;
    }
}

#[tokio::test]
async fn delete_if_unused_spares_an_exchange_with_bindings() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    let x = unique("x");
    let q = queue(&mut peer).await;
    peer.call(1, declare_exchange(&x, "direct")).await;
    peer.call(1, bind(&q, &x, "k")).await;
    let text = format!("PRECONDITION_FAILED - exchange '{x}' in vhost '/' in use");
    peer.expect_refusal(1, delete_exchange(&x).flag("if-unused"), 406, &text).await;
    peer.call(1, unbind(&q, &x, "k")).await;
    peer.call(1, delete_exchange(&x).flag("if-unused")).await;
    peer.expect_soft_error(1, declare_exchange(&x, "").flag("passive"), 404, &not_found(&x)).await;
}

#[tokio::test]
async fn an_auto_delete_exchange_goes_with_its_last_binding() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    let x = unique("x");
    let (a, b) = (queue(&mut peer).await, queue(&mut peer).await);
    peer.call(1, declare_exchange(&x, "direct").flag("auto-delete")).await;
    peer.call(1, unbind(&a, &x, "k")).await;
    peer.call(1, bind(&a, &x, "k")).await;
    peer.call(1, bind(&b, &x, "k")).await;
    peer.call(1, unbind(&a, &x, "k")).await;
    peer.call(1, declare_exchange(&x, "direct").flag("passive")).await;
    // Deleting the queue ends its bindings.
    peer.call(1, delete(&b)).await;
    peer.expect_soft_error(1, declare_exchange(&x, "").flag("passive"), 404, &not_found(&x)).await;
}

#[tokio::test]
async fn an_auto_delete_exchange_goes_with_its_last_destination_exchange() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    let (x, y) = (unique("x"), unique("y"));
    peer.call(1, declare_exchange(&x, "fanout").flag("auto-delete")).await;
    peer.call(1, declare_exchange(&y, "fanout")).await;
    peer.call(1, bind_exchange(&y, &x, "")).await;
    peer.call(1, delete_exchange(&y)).await;
    peer.expect_soft_error(1, declare_exchange(&x, "").flag("passive"), 404, &not_found(&x)).await;
}

#[tokio::test]
async fn internal_exchanges_take_messages_from_exchanges_only() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    let (inner, outer) = (unique("inner"), unique("outer"));
    let q = queue(&mut peer).await;
    peer.call(1, declare_exchange(&inner, "fanout").flag("internal").flag("auto-delete")).await;
    peer.call(1, declare_exchange(&outer, "fanout").flag("auto-delete")).await;
    peer.call(1, bind(&q, &inner, "")).await;
    peer.call(1, bind_exchange(&inner, &outer, "")).await;
    peer.publish(1, publish(&outer, "k", "hello")).await;
    peer.expect_get(1, &q, "hello").await;
    let text = format!("ACCESS_REFUSED - cannot publish to internal exchange '{inner}' in vhost '/'");
    peer.publish(1, publish(&inner, "k", "hello")).await;
    peer.expect_channel_close(1, 403, &text, (60, 40)).await;
}

#[tokio::test]
async fn what_cannot_be_routed_goes_to_the_alternate_exchange() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    let (x, spare) = (unique("x"), unique("spare"));
    let (routed, unrouted) = (queue(&mut peer).await, queue(&mut peer).await);
    peer.call(1, declare_exchange(&spare, "fanout").flag("auto-delete")).await;
    peer.call(1, bind(&unrouted, &spare, "")).await;
    let method = declare_exchange(&x, "direct").flag("auto-delete");
    peer.call(1, method.arg("alternate-exchange", &spare)).await;
    peer.call(1, bind(&routed, &x, "k")).await;
    peer.publish(1, publish(&x, "k", "known").flag("mandatory")).await;
    peer.publish(1, publish(&x, "other", "unknown").flag("mandatory")).await;
    peer.expect_get(1, &routed, "known").await;
    peer.expect_empty(1, &routed).await;
    let got = peer.expect_get(1, &unrouted, "unknown").await;
    peer.same("exchange", &got.method.text("exchange"), &x);
    peer.same("routing-key", &got.method.text("routing-key").as_str(), &"other");
    peer.expect_empty(1, &unrouted).await;
}

#[tokio::test]
async fn alternate_exchanges_may_point_at_each_other() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    let (x, y) = (unique("x"), unique("y"));
    peer.call(1, declare_exchange(&x, "direct").arg("alternate-exchange", &y)).await;
    peer.call(1, declare_exchange(&y, "direct").arg("alternate-exchange", &x)).await;
    peer.publish(1, publish(&x, "k", "hello").flag("mandatory")).await;
    peer.expect_return(1, 312, "NO_ROUTE").await;
    peer.call(1, delete_exchange(&x)).await;
    // An alternate exchange that is missing drops.
    peer.publish(1, publish(&y, "k", "hello").flag("mandatory")).await;
    peer.expect_return(1, 312, "NO_ROUTE").await;
    peer.call(1, delete_exchange(&y)).await;
}

#[tokio::test]
async fn a_queue_gets_one_copy_whatever_the_paths_to_it() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    let (x, y) = (unique("x"), unique("y"));
    let q = queue(&mut peer).await;
    peer.call(1, declare_exchange(&x, "topic")).await;
    peer.call(1, declare_exchange(&y, "fanout")).await;
    for key in ["a.b", "a.*", "#"] {
        peer.call(1, bind(&q, &x, key)).await;
    }
    peer.call(1, bind(&q, &y, "")).await;
    // In a circle.
    peer.call(1, bind_exchange(&y, &x, "#")).await;
    peer.call(1, bind_exchange(&x, &y, "")).await;
    peer.call(1, bind_exchange(&x, &x, "#")).await;
    peer.publish(1, publish(&x, "a.b", "once")).await;
    peer.expect_get(1, &q, "once").await;
    peer.expect_empty(1, &q).await;
    peer.call(1, delete_exchange(&x)).await;
    peer.call(1, delete_exchange(&y)).await;
}

#[tokio::test]
async fn exchange_bindings_route_and_end() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    let (x, y) = (unique("x"), unique("y"));
    let q = queue(&mut peer).await;
    peer.call(1, declare_exchange(&x, "direct")).await;
    peer.call(1, declare_exchange(&y, "direct")).await;
    peer.call(1, bind(&q, &y, "k")).await;
    peer.call(1, bind_exchange(&y, &x, "k")).await;
    peer.call(1, bind_exchange(&y, &x, "k")).await;
    peer.publish(1, publish(&x, "k", "one")).await;
    let got = peer.expect_get(1, &q, "one").await;
    peer.same("exchange", &got.method.text("exchange"), &x);
    peer.call(1, unbind_exchange(&y, &x, "k")).await;
    peer.call(1, unbind_exchange(&y, &x, "k")).await;
    peer.publish(1, publish(&x, "k", "two")).await;
    peer.expect_empty(1, &q).await;
    peer.send(1, bind_exchange(&y, &x, "k").flag("no-wait")).await;
    peer.publish(1, publish(&x, "k", "three")).await;
    peer.expect_get(1, &q, "three").await;
    peer.send(1, unbind_exchange(&y, &x, "k").flag("no-wait")).await;
    peer.send(1, delete_exchange(&x).flag("no-wait")).await;
    peer.send(1, delete_exchange(&y).flag("no-wait")).await;
    peer.expect_soft_error(1, declare_exchange(&y, "").flag("passive"), 404, &not_found(&y)).await;
}

#[tokio::test]
async fn topics_match_words() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    let x = unique("x");
    peer.call(1, declare_exchange(&x, "topic").flag("auto-delete")).await;
    let cases = [
        ("a.*.c", &["a.b.c", "a..c"][..], &["a.c", "a.b.b.c", "a.b.c.d"][..]),
        ("#", &["", "a", "a.b.c"], &[]),
        ("a.#", &["a", "a.b", "a.b.c"], &["b", "ab"]),
        ("#.z", &["z", "a.z", "a.b.z"], &["a", "z.a"]),
        ("a.#.z", &["a.z", "a.b.z", "a.b.c.z"], &["a", "z", "a.b"]),
        ("*", &["a", ""], &["a.b"]),
        ("*.#", &["a", "a.b"], &[]),
        ("a.b", &["a.b"], &["a", "a.b.c", "a.*"]),
    ];
    for (pattern, matching, other) in cases {
        let q = queue(&mut peer).await;
        peer.call(1, bind(&q, &x, pattern)).await;
        for key in matching {
            // RabbitMQ: an empty key has no words, so `*` does not match it.
            if pattern == "*" && key.is_empty() {
                continue;
            }
            peer.publish(1, publish(&x, key, key)).await;
            peer.expect_get(1, &q, key).await;
        }
        for key in other {
            peer.publish(1, publish(&x, key, key)).await;
        }
        peer.expect_empty(1, &q).await;
        peer.call(1, delete(&q)).await;
        peer.call(1, declare_exchange(&x, "topic").flag("auto-delete")).await;
    }
}

#[tokio::test]
async fn headers_match_all_or_any() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    let cases = [
        ("all", [("a", "1"), ("b", "2")], true),
        ("all", [("a", "1"), ("b", "3")], false),
        ("any", [("a", "1"), ("b", "3")], true),
        ("any", [("a", "0"), ("b", "3")], false),
    ];
    for (rule, headers, matches) in cases {
        let q = queue(&mut peer).await;
        let method = bind(&q, "amq.headers", "").arg("x-match", rule);
        peer.call(1, method.arg("a", "1").arg("b", "2")).await;
        let mut content = publish("amq.headers", "", "hello");
        for (name, value) in headers {
            content = content.header(name, value);
        }
        peer.publish(1, content).await;
        if matches {
            peer.expect_get(1, &q, "hello").await;
        }
        peer.expect_empty(1, &q).await;
        peer.call(1, delete(&q)).await;
    }
}

#[tokio::test]
async fn headers_bindings_test_presence_and_ignore_their_x_arguments() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    let q = queue(&mut peer).await;
    let method = bind(&q, "amq.match", "").arg("x-other", "ignored").arg("a", Value::Void);
    peer.call(1, method).await;
    peer.publish(1, publish("amq.match", "", "absent").header("b", 1)).await;
    peer.publish(1, publish("amq.match", "", "present").header("a", 1)).await;
    peer.expect_get(1, &q, "present").await;
    peer.expect_empty(1, &q).await;
    peer.call(1, delete(&q)).await;
    let q = queue(&mut peer).await;
    let method = bind(&q, "amq.match", "").arg("x-match", "all-with-x").arg("x-other", "seen");
    peer.call(1, method).await;
    peer.publish(1, publish("amq.match", "", "absent").header("b", 1)).await;
    peer.publish(1, publish("amq.match", "", "present").header("x-other", "seen")).await;
    peer.expect_get(1, &q, "present").await;
    peer.expect_empty(1, &q).await;
}

#[tokio::test]
async fn an_unknown_x_match_is_406() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    let q = queue(&mut peer).await;
    // RabbitMQ: in Erlang's own notation.
    let text = "PRECONDITION_FAILED - Invalid x-match field value <<\"some\">>; \
                expected all, any, all-with-x, or any-with-x";
    peer.expect_refusal(1, bind(&q, "amq.headers", "").arg("x-match", "some"), 406, text).await;
}

#[tokio::test]
async fn headers_bindings_with_any_of_their_x_arguments() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    let q = queue(&mut peer).await;
    let method = bind(&q, "amq.headers", "").arg("x-match", "any-with-x");
    peer.call(1, method.arg("x-one", 1).arg("two", 2)).await;
    for (name, value, body) in [("x-one", 1, "by x"), ("two", 2, "by name"), ("two", 3, "by neither")] {
        peer.publish(1, publish("amq.headers", "", body).header(name, value)).await;
    }
    peer.expect_get(1, &q, "by x").await;
    peer.expect_get(1, &q, "by name").await;
    peer.expect_empty(1, &q).await;
}

#[tokio::test]
async fn topics_of_many_words_match() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    let q = queue(&mut peer).await;
    let word = unique("w");
    // As many as 255 octets hold, with as many wildcards.
    let key = [word.as_str()].into_iter().chain(["a"; 110]).collect::<Vec<_>>().join(".");
    let pattern = [word.as_str()].into_iter().chain(["*"; 109]).chain(["#"]).collect::<Vec<_>>().join(".");
    peer.call(1, bind(&q, "amq.topic", &pattern)).await;
    peer.call(1, bind(&q, "amq.topic", &format!("{word}.#.a.#.a.b"))).await;
    peer.publish(1, publish("amq.topic", &key, "m")).await;
    peer.expect_get(1, &q, "m").await;
    peer.expect_empty(1, &q).await;
}
