//! Which queues get a message.
use crate::support::*;
use lapin::{BasicProperties, Channel, Confirmation, ExchangeKind, options::*, types::*};

/// Declares a queue with a binding for each key.
async fn bound_queue(channel: &Channel, exchange: &str, keys: &[&str]) -> String {
    let queue = queue(channel).await;
    for key in keys {
        bind(channel, &queue, exchange, key).await;
    }
    queue
}

#[tokio::test(flavor = "multi_thread")]
async fn the_default_exchange_routes_to_the_queue_of_that_name() {
    with_client(async |client| {
        let channel = &client.channel;
        let (wanted, other) = (queue(channel).await, queue(channel).await);
        fill(channel, &wanted, &["hello"]).await;
        assert_eq!(drain(channel, &wanted).await, ["hello"]);
        assert!(drain(channel, &other).await.is_empty());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_direct_exchange_routes_by_the_exact_key() {
    with_client(async |client| {
        let channel = &client.channel;
        let direct = exchange(channel, ExchangeKind::Direct).await;
        let both = bound_queue(channel, &direct, &["red", "green"]).await;
        let red = bound_queue(channel, &direct, &["red"]).await;
        for key in ["red", "green", "Red", "red.", ""] {
            publish(channel, &direct, key, key).await;
        }
        assert_eq!(drain(channel, &both).await, ["red", "green"]);
        assert_eq!(drain(channel, &red).await, ["red"]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fanout_exchange_routes_to_every_queue_whatever_the_key() {
    with_client(async |client| {
        let channel = &client.channel;
        let fanout = exchange(channel, ExchangeKind::Fanout).await;
        let queues = [
            bound_queue(channel, &fanout, &[""]).await,
            bound_queue(channel, &fanout, &["ignored"]).await,
            bound_queue(channel, &fanout, &["ignored", "bound twice"]).await,
        ];
        publish(channel, &fanout, "any key", "news").await;
        for queue in &queues {
            assert_eq!(drain(channel, queue).await, ["news"]);
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_exchange_matches_star_to_one_word_and_hash_to_any_number() {
    // The empty key has no words; a dot always separates two, which may be empty.
    let keys = ["", "a", "b", "a.b", "a.b.c", "x.b", "x.y.b", "a..b", ".a"];
    let expected: [(&str, &[&str]); 7] = [
        ("a", &["a"]),
        ("*", &["a", "b"]),
        ("#", &keys),
        ("a.#", &["a", "a.b", "a.b.c", "a..b"]),
        ("#.b", &["b", "a.b", "x.b", "x.y.b", "a..b"]),
        ("*.b", &["a.b", "x.b"]),
        ("a.*.#.c", &["a.b.c"]),
    ];
    with_client(async |client| {
        let channel = &client.channel;
        let topic = exchange(channel, ExchangeKind::Topic).await;
        let mut queues = Vec::new();
        for (pattern, _) in expected {
            queues.push(bound_queue(channel, &topic, &[pattern]).await);
        }
        for key in keys {
            publish(channel, &topic, key, key).await;
        }
        for ((pattern, expected), queue) in expected.iter().zip(&queues) {
            assert_eq!(drain(channel, queue).await, *expected, "pattern {pattern:?}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_with_several_matching_bindings_gets_one_copy() {
    with_client(async |client| {
        let channel = &client.channel;
        let topic = exchange(channel, ExchangeKind::Topic).await;
        let queue = bound_queue(channel, &topic, &["a.*", "*.b", "#", "a.b"]).await;
        publish(channel, &topic, "a.b", "once").await;
        assert_eq!(drain(channel, &queue).await, ["once"]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_headers_exchange_matches_all_or_any_of_the_bound_headers() {
    with_client(async |client| {
        let channel = &client.channel;
        let headers = exchange(channel, ExchangeKind::Headers).await;
        let (all, any) = (queue(channel).await, queue(channel).await);
        for (queue, mode) in [(&all, "all"), (&any, "any")] {
            let wanted = [("x-match", string(mode)), ("format", string("pdf")), ("pages", 7.into())];
            bind_with(channel, queue, &headers, "", table(wanted)).await;
        }
        let messages: [(&str, FieldTable); 4] = [
            ("both", table([("format", string("pdf")), ("pages", 7.into()), ("more", true.into())])),
            ("format", table([("format", string("pdf")), ("pages", 8.into())])),
            ("pages", table([("pages", 7.into())])),
            ("neither", table([("format", string("txt"))])),
        ];
        for (name, headers_of_message) in messages {
            let properties = BasicProperties::default().with_headers(headers_of_message);
            publish_with(channel, &headers, "", name, properties).await;
        }
        assert_eq!(drain(channel, &all).await, ["both"]);
        assert_eq!(drain(channel, &any).await, ["both", "format", "pages"]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exchange_bound_to_an_exchange_passes_matching_messages_on() {
    with_client(async |client| {
        let channel = &client.channel;
        let source = exchange(channel, ExchangeKind::Topic).await;
        let destination = exchange(channel, ExchangeKind::Fanout).await;
        let queue = bound_queue(channel, &destination, &[""]).await;
        bind(channel, &queue, &source, "both.ways").await;
        let (from, to) = (ShortString::from(source.as_str()), ShortString::from(destination.as_str()));
        let options = ExchangeBindOptions::default();
        channel
            .exchange_bind(to.clone(), from.clone(), "#.ways".into(), options, FieldTable::default())
            .await
            .unwrap();
        for key in ["many.ways", "both.ways", "no.way"] {
            publish(channel, &source, key, key).await;
        }
        assert_eq!(drain(channel, &queue).await, ["many.ways", "both.ways"]);

        let options = ExchangeUnbindOptions::default();
        channel.exchange_unbind(to, from, "#.ways".into(), options, FieldTable::default()).await.unwrap();
        publish(channel, &source, "many.ways", "unbound").await;
        assert!(drain(channel, &queue).await.is_empty());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn exchanges_bound_in_a_circle_deliver_one_copy() {
    with_client(async |client| {
        let channel = &client.channel;
        let first = exchange(channel, ExchangeKind::Fanout).await;
        let second = exchange(channel, ExchangeKind::Fanout).await;
        let queue = bound_queue(channel, &first, &[""]).await;
        bind(channel, &queue, &second, "").await;
        for (to, from) in [(&first, &second), (&second, &first)] {
            channel
                .exchange_bind(
                    to.as_str().into(),
                    from.as_str().into(),
                    "".into(),
                    ExchangeBindOptions::default(),
                    FieldTable::default(),
                )
                .await
                .unwrap();
        }
        publish(channel, &first, "", "round").await;
        assert_eq!(drain(channel, &queue).await, ["round"]);
        channel.exchange_delete(first.as_str().into(), ExchangeDeleteOptions::default()).await.unwrap();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alternate_exchange_gets_what_no_binding_wants() {
    with_client(async |client| {
        let channel = &client.channel;
        let alternate = exchange(channel, ExchangeKind::Fanout).await;
        let direct =
            exchange_with(channel, ExchangeKind::Direct, table([("alternate-exchange", string(&alternate))]))
                .await;
        let wanted = bound_queue(channel, &direct, &["known"]).await;
        let rest = bound_queue(channel, &alternate, &[""]).await;
        // Routed by the alternate exchange is routed: nothing is returned.
        assert_eq!(publish(channel, &direct, "known", "known").await, Confirmation::Ack(None));
        assert_eq!(publish(channel, &direct, "unknown", "unknown").await, Confirmation::Ack(None));
        assert_eq!(drain(channel, &wanted).await, ["known"]);
        assert_eq!(drain(channel, &rest).await, ["unknown"]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unbound_queue_gets_nothing_more() {
    with_client(async |client| {
        let channel = &client.channel;
        let direct = exchange(channel, ExchangeKind::Direct).await;
        let stays = bound_queue(channel, &direct, &["key"]).await;
        let leaves = bound_queue(channel, &direct, &["key"]).await;
        channel
            .queue_unbind(leaves.as_str().into(), direct.as_str().into(), "key".into(), FieldTable::default())
            .await
            .unwrap();
        publish(channel, &direct, "key", "message").await;
        assert_eq!(drain(channel, &stays).await, ["message"]);
        assert!(drain(channel, &leaves).await.is_empty());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_predeclared_exchange_routes() {
    with_client(async |client| {
        let channel = &client.channel;
        let key = unique("key");
        for predeclared in ["amq.direct", "amq.fanout", "amq.topic"] {
            let queue = bound_queue(channel, predeclared, &[&key]).await;
            publish(channel, predeclared, &key, predeclared).await;
            assert_eq!(drain(channel, &queue).await, [predeclared]);
        }
        for predeclared in ["amq.headers", "amq.match"] {
            let queue = queue(channel).await;
            let headers = table([("key", string(&key))]);
            bind_with(channel, &queue, predeclared, "", headers.clone()).await;
            let properties = BasicProperties::default().with_headers(headers);
            publish_with(channel, predeclared, "", predeclared, properties).await;
            assert_eq!(drain(channel, &queue).await, [predeclared]);
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cc_and_bcc_add_routing_keys_and_bcc_stays_secret() {
    with_client(async |client| {
        let channel = &client.channel;
        let (to, cc, bcc) = (queue(channel).await, queue(channel).await, queue(channel).await);
        let list = |queue: &str| AMQPValue::FieldArray(vec![string(queue)].into());
        let headers = table([("CC", list(&cc)), ("BCC", list(&bcc))]);
        let properties = BasicProperties::default().with_headers(headers);
        publish_with(channel, "", &to, "letter", properties).await;
        for queue in [&to, &cc, &bcc] {
            let letter = take(channel, queue).await.expect("a copy");
            let headers = letter.properties.headers().clone().unwrap_or_default();
            assert!(headers.contains_key("CC") && !headers.contains_key("BCC"), "{headers:?}");
        }
    })
    .await;
}
