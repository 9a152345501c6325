//! basic.publish: where it goes, what comes back, and what is refused.

use crate::support::*;

async fn queue(peer: &mut Peer) -> String {
    let q = unique("q");
    peer.call(1, declare(&q).flag("exclusive")).await;
    q
}

/// The publication closes the channel, which is opened again.
async fn refused(peer: &mut Peer, content: Content, code: u64, text: &str) {
    peer.publish(1, content).await;
    peer.expect_channel_close(1, code, text, (60, 40)).await;
    peer.open(1).await;
}

#[tokio::test]
async fn the_default_exchange_routes_by_queue_name() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    let q = queue(&mut peer).await;
    peer.publish(1, publish("", &q, "hello")).await;
    peer.expect_get(1, &q, "hello").await;
}

#[tokio::test]
async fn publishing_to_a_missing_exchange_is_404() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    let x = unique("x");
    let text = format!("NOT_FOUND - no exchange '{x}' in vhost '/'");
    refused(&mut peer, publish(&x, "k", "hello"), 404, &text).await;
    // Also with no body.
    refused(&mut peer, publish(&x, "k", ""), 404, &text).await;
}

#[tokio::test]
async fn publishing_to_an_internal_exchange_is_403() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    let text = "ACCESS_REFUSED - cannot publish to internal exchange 'amq.rabbitmq.trace' in vhost '/'";
    refused(&mut peer, publish("amq.rabbitmq.trace", "k", "hello"), 403, text).await;
}

#[tokio::test]
async fn a_mandatory_message_without_a_queue_comes_back() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    let content = publish("amq.direct", &unique("k"), "hello").property("message-id", "m").header("a", 1);
    peer.publish(1, content.clone().flag("mandatory")).await;
    let returned = peer.expect_return(1, 312, "NO_ROUTE").await;
    peer.same("exchange", &returned.method.text("exchange").as_str(), &"amq.direct");
    peer.same("routing-key", &returned.method.text("routing-key"), &content.method.text("routing-key"));
    peer.same("content header", &returned.encode_header(), &content.encode_header());
    peer.same("body", &returned.body, &content.body);
    // Not mandatory, it is dropped.
    peer.publish(1, content).await;
    peer.call(1, qos(0)).await;
}

#[tokio::test]
async fn a_return_comes_before_its_confirm() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    peer.call(1, confirm_select()).await;
    peer.publish(1, publish("", &unique("nobody"), "hello").flag("mandatory")).await;
    peer.expect_return(1, 312, "NO_ROUTE").await;
    peer.expect_confirm(1, 1).await;
}

#[tokio::test]
async fn unroutable_messages_are_confirmed() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    peer.call(1, confirm_select()).await;
    peer.publish(1, publish("", &unique("nobody"), "hello")).await;
    peer.expect_confirm(1, 1).await;
}

#[tokio::test]
async fn confirms_count_from_one_after_confirm_select() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    let q = queue(&mut peer).await;
    peer.publish(1, publish("", &q, "before")).await;
    peer.call(1, confirm_select()).await;
    peer.publish(1, publish("", &q, "one")).await;
    let ack = peer.expect(1, "basic.ack").await;
    peer.same("delivery-tag", &ack.number("delivery-tag"), &1);
    peer.same("multiple", &ack.is("multiple"), &false);
    // Selecting again does not start again.
    peer.call(1, confirm_select()).await;
    peer.publish(1, publish("", &q, "two")).await;
    peer.expect_confirm(1, 2).await;
}

#[tokio::test]
async fn every_message_of_a_burst_is_confirmed_once() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    let q = queue(&mut peer).await;
    peer.send(1, confirm_select().flag("no-wait")).await;
    for number in 0..500 {
        let key = if number % 3 == 0 { "nobody" } else { &q };
        peer.publish(1, publish("", key, "m").property("delivery-mode", 1 + number % 2)).await;
    }
    peer.expect_confirms(1, 1, 500).await;
}

#[tokio::test]
async fn each_channel_has_its_own_confirms() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    let q = queue(&mut peer).await;
    peer.open(2).await;
    peer.call(1, confirm_select()).await;
    peer.call(2, confirm_select()).await;
    peer.publish(1, publish("", &q, "a")).await;
    peer.expect_confirm(1, 1).await;
    peer.publish(2, publish("", &q, "b")).await;
    peer.expect_confirm(2, 1).await;
}

#[tokio::test]
async fn a_full_queue_that_rejects_nacks_the_publisher() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    let q = unique("q");
    let method = declare(&q).flag("exclusive").arg("x-max-length", 1);
    peer.call(1, method.arg("x-overflow", "reject-publish")).await;
    peer.call(1, confirm_select()).await;
    peer.publish(1, publish("", &q, "kept")).await;
    peer.expect_confirm(1, 1).await;
    peer.publish(1, publish("", &q, "refused")).await;
    let nack = peer.expect(1, "basic.nack").await;
    // Alone or with the flag multiple: all before it are confirmed.
    peer.same("delivery-tag", &nack.number("delivery-tag"), &2);
    peer.expect_get(1, &q, "kept").await;
    peer.expect_empty(1, &q).await;
    peer.publish(1, publish("", &q, "room again")).await;
    peer.expect_confirm(1, 3).await;
}

#[tokio::test]
async fn one_refusing_queue_of_several_nacks_the_publisher() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    let (full, x) = (unique("full"), unique("x"));
    let q = queue(&mut peer).await;
    let method = declare(&full).flag("exclusive").arg("x-max-length", 0);
    peer.call(1, method.arg("x-overflow", "reject-publish")).await;
    peer.call(1, declare_exchange(&x, "fanout").flag("auto-delete")).await;
    peer.call(1, bind(&q, &x, "")).await;
    peer.call(1, bind(&full, &x, "")).await;
    peer.call(1, confirm_select()).await;
    peer.publish(1, publish(&x, "", "m")).await;
    peer.expect(1, "basic.nack").await;
    peer.expect_get(1, &q, "m").await;
}

#[tokio::test]
async fn a_full_queue_drops_its_head_by_default() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    let q = unique("q");
    peer.call(1, declare(&q).flag("exclusive").arg("x-max-length", 2)).await;
    peer.call(1, confirm_select()).await;
    for body in ["a", "b", "c"] {
        peer.publish(1, publish("", &q, body)).await;
    }
    // What is dropped was confirmed all the same.
    peer.expect_confirms(1, 1, 3).await;
    peer.expect_get(1, &q, "b").await;
    peer.expect_get(1, &q, "c").await;
    peer.expect_empty(1, &q).await;
}

#[tokio::test]
async fn immediate_is_540() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    peer.publish(1, publish("", "k", "hello").flag("immediate")).await;
    peer.expect_connection_close(540, "NOT_IMPLEMENTED - immediate=true", (60, 40)).await;
}

#[tokio::test]
async fn cc_and_bcc_add_routing_keys_and_bcc_is_not_seen() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    let queues = [queue(&mut peer).await, queue(&mut peer).await, queue(&mut peer).await];
    let [to, cc, bcc] = &queues;
    // One copy for each queue, also where it is named twice.
    let content = publish("", to, "m").header("CC", [cc, to].map(String::as_str));
    peer.publish(1, content.header("BCC", [bcc.as_str()]).header("other", 1)).await;
    for q in &queues {
        let got = peer.expect_get(1, q, "m").await;
        peer.same("routing-key", &got.method.text("routing-key"), to);
        let headers = got.headers();
        peer.same("CC", &headers.get("CC"), &Some(&Value::from([cc, to].map(String::as_str))));
        peer.same("BCC", &headers.get("BCC"), &None);
        peer.same("other", &headers.get("other"), &Some(&Value::from(1)));
        peer.expect_empty(1, q).await;
    }
}

#[tokio::test]
async fn cc_has_to_be_a_list_of_strings() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    for name in ["CC", "BCC"] {
        peer.publish(1, publish("", "k", "m").header(name, "k")).await;
        let close = peer.expect(1, "channel.close").await;
        peer.same("reply-code", &close.number("reply-code"), &406);
        peer.send(1, Method::new("channel.close-ok")).await;
        peer.open(1).await;
    }
}

#[tokio::test]
async fn the_user_id_has_to_be_the_users() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    let q = queue(&mut peer).await;
    peer.publish(1, publish("", &q, "mine").property("user-id", "guest")).await;
    peer.expect_get(1, &q, "mine").await;
    let text = "PRECONDITION_FAILED - user_id property set to 'joe' but authenticated user was 'guest'";
    refused(&mut peer, publish("", &q, "joe's").property("user-id", "joe"), 406, text).await;
}

#[tokio::test]
async fn an_expiration_is_a_number_in_a_string() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    let q = queue(&mut peer).await;
    peer.publish(1, publish("", &q, "m").property("expiration", "60000")).await;
    let got = peer.expect_get(1, &q, "m").await;
    peer.same("expiration", &got.properties.get("expiration"), &Some(&Value::from("60000")));
    let cases = [
        ("soon", "no_integer"),
        ("", "no_integer"),
        ("12 ", "{leftover_string,\" \"}"),
        ("-1", "{value_negative,-1}"),
        ("1.5", "{leftover_string,\".5\"}"),
    ];
    for (expiration, why) in cases {
        let text = format!("PRECONDITION_FAILED - invalid expiration '{expiration}': {why}");
        refused(&mut peer, publish("", &q, "m").property("expiration", expiration), 406, &text).await;
    }
}

#[tokio::test]
async fn an_expired_message_is_not_delivered() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    let q = queue(&mut peer).await;
    // Zero is for a consumer that is ready, or for nobody.
    peer.publish(1, publish("", &q, "late").property("expiration", "0")).await;
    peer.publish(1, publish("", &q, "in time")).await;
    peer.expect_get(1, &q, "in time").await;
    peer.call(1, consume(&q, "c")).await;
    peer.publish(1, publish("", &q, "ready").property("expiration", "0")).await;
    peer.expect_delivery(1, "ready").await;
}

#[tokio::test]
async fn a_message_over_the_limit_is_406() {
    let Some(broker) = Broker::start_with(|config| config.limits.message_size_max = 1000).await else {
        return;
    };
    let mut peer = broker.channel().await;
    let q = queue(&mut peer).await;
    let mut content = publish("", &q, "");
    content.body = vec![b'x'; 1000];
    peer.publish(1, content.clone()).await;
    peer.expect_counts(1, &q, 1, 0).await;
    content.body.push(b'x');
    let text = "PRECONDITION_FAILED - message size 1001 is larger than configured max size 1000";
    refused(&mut peer, content, 406, text).await;
    peer.expect_counts(1, &q, 1, 0).await;
}

#[tokio::test]
async fn a_size_over_the_limit_is_refused_before_the_body() {
    let Some(broker) = Broker::start_with(|config| config.limits.message_size_max = 1000).await else {
        return;
    };
    let mut peer = broker.channel().await;
    // An exabyte is announced; none of it comes.
    let content = publish("", "q", "");
    peer.send(1, content.method.clone()).await;
    let mut header = content.encode_header();
    header[4..12].copy_from_slice(&(1_u64 << 60).to_be_bytes());
    peer.send_frame(2, 1, &header).await;
    let close = peer.expect(1, "channel.close").await;
    peer.same("reply-code", &close.number("reply-code"), &406);
}

#[tokio::test]
async fn confirms_and_transactions_exclude_each_other() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    peer.call(1, confirm_select()).await;
    let text = "PRECONDITION_FAILED - cannot switch from confirm to tx mode";
    peer.expect_refusal(1, tx_select(), 406, text).await;
    peer.call(1, tx_select()).await;
    let text = "PRECONDITION_FAILED - cannot switch from tx to confirm mode";
    peer.expect_refusal(1, confirm_select(), 406, text).await;
}

#[tokio::test]
async fn deleting_the_queue_confirms_what_was_for_it() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    peer.call(1, confirm_select()).await;
    for round in 0..20 {
        let q = queue(&mut peer).await;
        peer.publish(1, publish("", &q, "m").property("delivery-mode", 2)).await;
        peer.send(1, delete(&q).flag("no-wait")).await;
        peer.expect_confirm(1, round + 1).await;
    }
}

#[tokio::test]
async fn a_message_takes_the_way_of_the_one_before_only_while_that_leads_there() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    let (q, other) = (unique("q"), unique("q"));
    peer.call(1, declare(&q).flag("exclusive")).await;
    peer.call(1, declare(&other).flag("exclusive")).await;
    for body in ["one", "two"] {
        peer.publish(1, publish("", &q, body)).await;
    }
    peer.call(1, delete(&q)).await;
    peer.publish(1, publish("", &q, "nowhere").flag("mandatory")).await;
    peer.expect_return(1, 312, "NO_ROUTE").await;
    peer.call(1, declare(&q).flag("exclusive")).await;
    peer.publish(1, publish("", &q, "three")).await;
    peer.expect_get(1, &q, "three").await;
    // What is bound between two messages gets the second one, and what is unbound does not.
    peer.call(1, bind(&q, "amq.fanout", "")).await;
    peer.publish(1, publish("amq.fanout", "", "four")).await;
    peer.call(1, bind(&other, "amq.fanout", "")).await;
    peer.publish(1, publish("amq.fanout", "", "five")).await;
    peer.call(1, unbind(&q, "amq.fanout", "")).await;
    peer.publish(1, publish("amq.fanout", "", "six")).await;
    for (queue, body) in [(&q, "four"), (&q, "five"), (&other, "five"), (&other, "six")] {
        peer.expect_get(1, queue, body).await;
    }
    peer.expect_empty(1, &q).await;
    peer.expect_empty(1, &other).await;
}
