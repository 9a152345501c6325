//! Arguments of every kind with values of a wrong type, negative, zero, huge or contradictory: what is said, and that
//! nothing is half done and nobody else harmed.
//!
//! The dialogues that start any broker hold with RabbitMQ 3.10 too; the rest is about arguments that it does not know,
//! or where later releases have other rules.

use crate::support::*;

const YEARS_TEN_MS: i64 = 10 * 365 * 86_400 * 1_000;

/// Arguments, the one that is refused, and the rest of the text.
type Row = (Vec<(&'static str, Value)>, &'static str, &'static str);

fn row(arguments: &[(&'static str, Value)], key: &'static str, why: &'static str) -> Row {
    (arguments.to_vec(), key, why)
}

fn one(key: &'static str, value: impl Into<Value>, why: &'static str) -> Row {
    (vec![(key, value.into())], key, why)
}

fn on_quorum(key: &'static str, value: impl Into<Value>, why: &'static str) -> Row {
    (vec![quorum(), (key, value.into())], key, why)
}

fn quorum() -> (&'static str, Value) {
    ("x-queue-type", "quorum".into())
}

fn with(method: Method, arguments: &[(&'static str, Value)]) -> Method {
    arguments.iter().fold(method, |method, (key, value)| method.arg(key, value.clone()))
}

/// A connection whose second channel goes on whatever happens to the first.
async fn two_channels(broker: &Broker) -> Peer {
    let mut peer = broker.channel().await;
    peer.open(2).await;
    peer
}

async fn goes_on(peer: &mut Peer) {
    peer.call(2, qos(0)).await;
}

async fn each_queue_is_refused(broker: &Broker, rows: Vec<Row>) {
    let mut peer = two_channels(broker).await;
    for (arguments, key, why) in rows {
        let q = unique("q");
        let entity = format!("queue '{q}' in vhost '/'");
        let text = format!("PRECONDITION_FAILED - invalid arg '{key}' for {entity}{why}");
        let method = with(declare(&q).flag("durable"), &arguments);
        peer.expect_refusal(1, method.clone(), 406, &text).await;
        peer.expect_refusal(1, method.flag("no-wait"), 406, &text).await;
        peer.expect_refusal(1, passive(&q), 404, &format!("NOT_FOUND - no {entity}")).await;
        goes_on(&mut peer).await;
    }
}

const NO_TEXT: &str = ": \"expected integer, got longstr\"";
const NO_BOOL: &str = ": \"expected integer, got bool\"";
const NEGATIVE: &str = ": {value_negative,-1}";
const OF_CLASSIC: &str = " of queue type rabbit_classic_queue";
const OF_QUORUM: &str = " of queue type rabbit_quorum_queue";

#[tokio::test]
async fn queue_arguments_that_count_are_integers_within_bounds() {
    let broker = Broker::start().await;
    let mut rows = Vec::new();
    for key in ["x-message-ttl", "x-expires", "x-max-length", "x-max-length-bytes", "x-max-priority"] {
        rows.extend([
            one(key, "10", NO_TEXT),
            one(key, "", NO_TEXT),
            one(key, true, NO_BOOL),
            one(key, Value::Void, ": \"expected integer, got void\""),
            one(key, Value::F64(1.5), ": \"expected integer, got double\""),
            one(key, Value::Time(5), ": \"expected integer, got timestamp\""),
            one(key, Value::Array(vec![1.into()]), ": \"expected integer, got array\""),
            one(key, Table::default().with("a", 1), ": \"expected integer, got table\""),
            one(key, -1, NEGATIVE),
            one(key, i64::MIN, ": {value_negative,-9223372036854775808}"),
        ]);
    }
    rows.extend([
        one("x-expires", 0, ": {value_zero,0}"),
        one("x-expires", YEARS_TEN_MS + 1, ": {value_too_large,315360000001}"),
        one("x-expires", i64::MAX, ": {value_too_large,9223372036854775807}"),
        one("x-message-ttl", YEARS_TEN_MS + 1, ": {value_too_large,315360000001}"),
        one("x-message-ttl", i64::MAX, ": {value_too_large,9223372036854775807}"),
        one("x-max-priority", 256, ": {max_value_exceeded,256}"),
        one("x-max-priority", i64::MAX, ": {max_value_exceeded,9223372036854775807}"),
        one("x-queue-version", "2", NO_TEXT),
        one("x-queue-version", -1, NEGATIVE),
        one("x-queue-version", 3, ": \"unsupported queue version '3'\""),
        on_quorum("x-quorum-initial-group-size", 0, ": {value_zero,0}"),
        on_quorum("x-quorum-initial-group-size", -1, NEGATIVE),
        on_quorum("x-quorum-initial-group-size", "a", NO_TEXT),
        on_quorum("x-max-in-memory-length", -1, NEGATIVE),
        on_quorum("x-max-in-memory-bytes", "a", NO_TEXT),
    ]);
    each_queue_is_refused(&broker, rows).await;
}

#[tokio::test]
async fn queue_arguments_that_name_something_are_known_words() {
    let broker = Broker::start().await;
    let number = ": {unacceptable_type,signedint}";
    let mut rows = vec![
        one("x-overflow", "explode", ": invalid_overflow"),
        one("x-overflow", "", ": invalid_overflow"),
        one("x-queue-mode", "odd", ": \"unsupported queue mode 'odd'\""),
        one("x-queue-type", "imaginary", ": \"unsupported queue type 'imaginary'\""),
        one("x-queue-type", "", ": \"unsupported queue type ''\""),
        on_quorum("x-queue-leader-locator", "odd", ": invalid_queue_locator_arg"),
        on_quorum("x-queue-leader-locator", 5, number),
        on_quorum("x-dead-letter-strategy", "odd", ": invalid_dlx_strategy"),
        on_quorum("x-dead-letter-strategy", 5, number),
        one("x-single-active-consumer", "true", ": {unacceptable_type,longstr}"),
        one("x-dead-letter-routing-key", "k", ": routing_key_but_no_dlx_defined"),
    ];
    for key in ["x-overflow", "x-queue-mode", "x-queue-type", "x-single-active-consumer"] {
        rows.extend([
            one(key, 5, number),
            one(key, Value::Void, ": {unacceptable_type,void}"),
            one(key, Value::Array(Vec::new()), ": {unacceptable_type,array}"),
        ]);
    }
    let dead_letters = ("x-dead-letter-exchange", Value::from(""));
    rows.push(row(
        &[dead_letters, ("x-dead-letter-routing-key", 5.into())],
        "x-dead-letter-routing-key",
        number,
    ));
    each_queue_is_refused(&broker, rows).await;
}

#[tokio::test]
async fn arguments_of_another_type_of_queue_are_refused_whatever_their_value() {
    let broker = Broker::start().await;
    let mut rows = Vec::new();
    for key in ["x-max-age", "x-stream-max-segment-size-bytes", "x-initial-cluster-size"] {
        rows.extend([one(key, "odd", OF_CLASSIC), on_quorum(key, -1, OF_QUORUM)]);
    }
    for key in ["x-dead-letter-strategy", "x-quorum-initial-group-size", "x-max-in-memory-length"] {
        rows.extend([one(key, "odd", OF_CLASSIC), one(key, Value::Void, OF_CLASSIC)]);
        rows.push(row(&[("x-queue-type", "classic".into()), (key, 1.into())], key, OF_CLASSIC));
    }
    for key in ["x-max-priority", "x-queue-mode", "x-queue-version"] {
        rows.extend([on_quorum(key, "odd", OF_QUORUM), on_quorum(key, -1, OF_QUORUM)]);
    }
    // The values of its own come first, then the first of the others.
    let age = ("x-max-age", Value::from("1D"));
    rows.push(row(&[age.clone(), ("x-max-length", (-1).into())], "x-max-length", NEGATIVE));
    rows.push(row(&[age, ("x-dead-letter-strategy", "odd".into())], "x-max-age", OF_CLASSIC));
    each_queue_is_refused(&broker, rows).await;
}

#[tokio::test]
async fn arguments_of_later_releases_and_of_plugins_are_checked_as_well() {
    let Some(broker) = Broker::start_with(|_| ()).await else { return };
    let number = ": {unacceptable_type,signedint}";
    let min = |min: i32| ("x-delayed-retry-min", Value::from(min));
    let each_queue = vec![
        one("x-queue-type", "stream", ": \"unsupported queue type 'stream'\""),
        // Classic queues have these here.
        one("x-delivery-limit", "5", NO_TEXT),
        on_quorum("x-delivery-limit", true, NO_BOOL),
        one("x-queue-leader-locator", "odd", ": invalid_queue_locator_arg"),
        one("x-stream-filter-size-bytes", 1, OF_CLASSIC),
        on_quorum("x-queue-master-locator", "min-masters", OF_QUORUM),
        one("x-consumer-timeout", "5", NO_TEXT),
        one("x-consumer-timeout", -1, NEGATIVE),
        one("x-consumer-timeout", i64::MAX, ": {value_too_large,9223372036854775807}"),
        one("x-delayed-retry-type", "some", ": invalid_delayed_retry_type"),
        one("x-delayed-retry-type", 5, number),
        one("x-delayed-retry-type", "all", ": delayed_retry_min_not_defined"),
        one("x-delayed-retry-min", "5", NO_TEXT),
        one("x-delayed-retry-min", -1, NEGATIVE),
        one("x-delayed-retry-max", -1, NEGATIVE),
        one("x-delayed-retry-max", "5", NO_TEXT),
        row(
            &[min(5), ("x-delayed-retry-max", 4.into())],
            "x-delayed-retry-max",
            ": {value_less_than_delayed_retry_min,4}",
        ),
        one("x-delayed-retry-multiplier", 0, ": {value_zero,0}"),
        one("x-delayed-retry-multiplier", -1, NEGATIVE),
        one("x-delayed-retry-multiplier", Value::F64(1.5), ": \"expected integer, got double\""),
        one("x-message-deduplication", "true", ": {unacceptable_type,longstr}"),
    ];
    each_queue_is_refused(&broker, each_queue).await;
}

#[tokio::test]
async fn a_dead_letter_exchange_s_name_is_text_and_has_a_refusal_of_its_own() {
    let broker = Broker::start().await;
    let mut peer = two_channels(&broker).await;
    for (value, kind) in
        [(Value::from(5), "signedint"), (Value::Void, "void"), (Value::Array(Vec::new()), "array")]
    {
        let q = unique("q");
        let entity = format!("queue '{q}' in vhost '/'");
        let key = "x-dead-letter-exchange";
        let text = format!("PRECONDITION_FAILED - invalid type '{kind}' for arg '{key}' in {entity}");
        peer.expect_refusal(1, declare(&q).arg(key, value), 406, &text).await;
        peer.expect_refusal(1, passive(&q), 404, &format!("NOT_FOUND - no {entity}")).await;
        goes_on(&mut peer).await;
    }
}

#[tokio::test]
async fn values_at_the_edge_are_accepted_and_so_is_what_nobody_knows() {
    let broker = Broker::start().await;
    let mut peer = two_channels(&broker).await;
    for (key, value) in [
        ("x-message-ttl", Value::from(YEARS_TEN_MS)),
        ("x-expires", Value::from(YEARS_TEN_MS)),
        ("x-max-length", Value::from(i64::MAX)),
        ("x-max-length-bytes", Value::from(i64::MAX)),
        ("x-max-length", Value::from(0)),
        ("x-max-priority", Value::U8(255)),
        ("x-queue-mode", Value::from("lazy")),
        ("x-queue-mode", Value::from("default")),
        ("x-queue-version", Value::I16(2)),
        ("x-name-prefix", Value::from("mine-")),
        ("x-cancel-on-ha-failover", Value::from(5)),
        ("x-unknown", Value::Void),
    ] {
        let q = unique("q");
        peer.call(1, declare(&q).flag("durable").arg(key, value)).await;
        peer.call(1, passive(&q)).await;
        peer.call(1, delete(&q)).await;
    }
    for (key, value) in [
        ("x-overflow", Value::from("reject-publish-dlx")),
        ("x-dead-letter-strategy", Value::from("at-least-once")),
        ("x-delivery-limit", Value::from(-1)),
        ("x-quorum-initial-group-size", Value::from(1)),
        ("x-max-in-memory-length", Value::from(0)),
    ] {
        let q = unique("q");
        peer.call(1, with(declare(&q).flag("durable"), &[quorum(), (key, value)])).await;
        peer.call(1, delete(&q)).await;
    }
}

/// RabbitMQ: it is for classic queues. A quorum queue that asks for it drops its oldest, as without `x-overflow`.
#[tokio::test]
async fn a_quorum_queue_does_not_know_reject_publish_dlx() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    let q = unique("q");
    let method = declare(&q).flag("durable").arg("x-max-length", 1).arg("x-overflow", "reject-publish-dlx");
    peer.call(1, with(method, &[quorum()])).await;
    peer.call(1, confirm_select()).await;
    for (tag, body) in [(1, "old"), (2, "new")] {
        peer.publish(1, publish("", &q, body)).await;
        peer.expect_confirm(1, tag).await;
    }
    peer.expect_get(1, &q, "new").await;
    peer.expect_empty(1, &q).await;
    peer.call(1, delete(&q)).await;
}

async fn each_exchange_is_refused(
    broker: &Broker,
    kind: &str,
    rows: Vec<(Vec<(&'static str, Value)>, &str)>,
) {
    let mut peer = two_channels(broker).await;
    for (arguments, why) in rows {
        let x = unique("x");
        let text = format!("PRECONDITION_FAILED - {}", why.replace("{x}", &x));
        peer.expect_refusal(1, with(declare_exchange(&x, kind), &arguments), 406, &text).await;
        let missing = format!("NOT_FOUND - no exchange '{x}' in vhost '/'");
        peer.expect_refusal(1, declare_exchange(&x, kind).flag("passive"), 404, &missing).await;
        goes_on(&mut peer).await;
    }
}

#[tokio::test]
async fn an_alternate_exchange_s_name_is_text() {
    let broker = Broker::start().await;
    let refused = |value: Value, kind| {
        let why = match kind {
            "void" => "invalid type 'void' for arg 'alternate-exchange' in exchange '{x}' in vhost '/'",
            _ => "invalid type 'signedint' for arg 'alternate-exchange' in exchange '{x}' in vhost '/'",
        };
        (vec![("alternate-exchange", value)], why)
    };
    for kind in ["direct", "topic", "fanout", "headers"] {
        let rows = vec![refused(5.into(), "signedint"), refused(Value::Void, "void")];
        each_exchange_is_refused(&broker, kind, rows).await;
    }
}

#[tokio::test]
async fn arguments_of_exchange_types_are_checked() {
    // Plugins, which another broker may not have.
    let Some(broker) = Broker::start_with(|_| ()).await else { return };
    let length = |value: Value, why| (vec![("x-recent-history-length", value)], why);
    let rows = vec![
        length(0.into(), "Invalid argument 0, 'x-recent-history-length' must be a positive integer"),
        length((-1).into(), "Invalid argument -1, 'x-recent-history-length' must be a positive integer"),
        length(
            "a".into(),
            "Invalid argument <<\"a\">>, 'x-recent-history-length' must be a positive integer",
        ),
        length(
            Value::Void,
            "Invalid argument undefined, 'x-recent-history-length' must be a positive integer",
        ),
    ];
    each_exchange_is_refused(&broker, "x-recent-history", rows).await;
    let (header, property) =
        (("hash-header", Value::from("h")), ("hash-property", Value::from("message_id")));
    let rows = vec![
        (vec![("hash-property", "odd".into())], "Unsupported property: odd"),
        (vec![header, property], "hash-header and hash-property are mutually exclusive"),
        // RabbitMQ fails with 541 on values of these types.
        (vec![("hash-header", 5.into())], "Invalid argument 5, 'hash-header' must be a string"),
        (
            vec![("hash-property", Value::Void)],
            "Invalid argument undefined, 'hash-property' must be a string",
        ),
    ];
    each_exchange_is_refused(&broker, "x-consistent-hash", rows).await;
    let size = "Missing or invalid argument, 'x-cache-size' must be an integer greater than 0";
    let cache = |value: Value| vec![("x-cache-size", value)];
    let rows = vec![
        (Vec::new(), size),
        (cache(0.into()), size),
        (cache((-1).into()), size),
        (cache("many".into()), size),
        (cache(Value::Void), size),
        (
            vec![("x-cache-size", 5.into()), ("x-cache-ttl", (-1).into())],
            "Invalid argument, 'x-cache-ttl' must be an integer greater than 0",
        ),
    ];
    each_exchange_is_refused(&broker, "x-message-deduplication", rows).await;
    let delayed = "Invalid argument, 'x-delayed-type' must be an existing exchange type";
    let named = |value: Value| vec![("x-delayed-type", value)];
    let rows = vec![
        (Vec::new(), delayed),
        (named(5.into()), delayed),
        (named("x-delayed-message".into()), delayed),
        (named("odd".into()), "unknown exchange type 'odd'"),
    ];
    each_exchange_is_refused(&broker, "x-delayed-message", rows).await;
}

#[tokio::test]
async fn binding_arguments_are_checked_and_nothing_is_bound() {
    let broker = Broker::start().await;
    let mut peer = two_channels(&broker).await;
    let q = unique("q");
    peer.call(2, declare(&q).flag("exclusive")).await;
    let value = "expected all, any, all-with-x, or any-with-x";
    let kind = "expected longstr";
    let nested = Table::default().with("a", 1);
    let rows = [
        (Value::from("odd"), format!("value <<\"odd\">>; {value}")),
        (Value::from(""), format!("value <<>>; {value}")),
        (Value::from(5), format!("type signedint (value 5); {kind}")),
        (Value::from(-1), format!("type signedint (value -1); {kind}")),
        (Value::from(true), format!("type bool (value true); {kind}")),
        (Value::Void, format!("type void (value undefined); {kind}")),
        (Value::Table(nested), format!("type table (value [{{<<\"a\">>,signedint,1}}]); {kind}")),
        (Value::Array(vec![1.into()]), format!("type array (value [{{signedint,1}}]); {kind}")),
    ];
    for (rule, why) in rows {
        let text = format!("PRECONDITION_FAILED - Invalid x-match field {why}");
        peer.expect_refusal(1, bind(&q, "amq.headers", "").arg("x-match", rule), 406, &text).await;
        peer.publish(2, publish("amq.headers", "", "m").flag("mandatory")).await;
        peer.expect_return(2, 312, "NO_ROUTE").await;
    }
}

#[tokio::test]
async fn a_weight_is_checked_and_nothing_is_bound() {
    // A plugin, which another broker may not have; RabbitMQ goes down with the largest of these.
    let Some(broker) = Broker::start_with(|_| ()).await else { return };
    let mut peer = two_channels(&broker).await;
    let (q, x) = (unique("q"), unique("x"));
    peer.call(2, declare(&q).flag("exclusive")).await;
    peer.call(2, declare_exchange(&x, "x-consistent-hash").flag("auto-delete")).await;
    let not_integer = |key: &str| match key {
        "" => "an integer: <<>>".to_owned(),
        key => format!("an integer: <<\"{key}\">>"),
    };
    let mut rows: Vec<_> = ["", "a", "1.5", " 1", "1 ", "0x1"].map(|key| (key, not_integer(key))).into();
    rows.extend(["0", "-1", "-0"].map(|key| (key, "greater than 0".to_owned())));
    rows.extend(["4294967296", "99999999999999999999999"].map(|key| (key, "at most 4294967295".to_owned())));
    for (key, why) in rows {
        let text = format!("PRECONDITION_FAILED - The binding key must be {why}");
        peer.expect_refusal(1, bind(&q, &x, key), 406, &text).await;
        peer.publish(2, publish(&x, "", "m").flag("mandatory")).await;
        peer.expect_return(2, 312, "NO_ROUTE").await;
    }
}

#[tokio::test]
async fn consumer_arguments_are_checked_and_nothing_is_consumed() {
    let broker = Broker::start().await;
    let mut peer = two_channels(&broker).await;
    for (arguments, kind) in [(Vec::new(), OF_CLASSIC), (vec![quorum()], OF_QUORUM)] {
        let q = unique("q");
        peer.call(2, with(declare(&q).flag("durable"), &arguments)).await;
        let of_streams: Row = one("x-stream-offset", "first", kind);
        let mut rows = vec![
            one("x-priority", "high", NO_TEXT),
            one("x-priority", true, NO_BOOL),
            one("x-priority", Value::Void, ": \"expected integer, got void\""),
            one("x-priority", Value::F64(1.5), ": \"expected integer, got double\""),
            of_streams,
            row(&[("x-stream-offset", 5.into()), ("x-priority", "a".into())], "x-priority", NO_TEXT),
        ];
        if broker.app().is_some() {
            // 3.10 knows none of these, 4.0 not the last.
            rows.extend([
                one("x-stream-filter", "a", kind),
                one("x-stream-match-unfiltered", true, kind),
                one("x-consumer-timeout", "5", NO_TEXT),
                one("x-consumer-timeout", -1, NEGATIVE),
            ]);
        }
        for (arguments, key, why) in rows {
            let text = format!("PRECONDITION_FAILED - invalid arg '{key}' for queue '{q}' in vhost '/'{why}");
            peer.expect_refusal(1, with(consume(&q, "c"), &arguments), 406, &text).await;
            peer.expect_counts(2, &q, 0, 0).await;
        }
        for priority in [Value::from(-5), Value::from(0), Value::from(i64::MAX), Value::from(i64::MIN)] {
            peer.call(1, consume(&q, "c").arg("x-priority", priority)).await;
            peer.call(1, cancel("c")).await;
        }
        peer.call(2, delete(&q)).await;
    }
    // Whether there is such a queue comes first.
    let q = unique("missing");
    let text = format!("NOT_FOUND - no queue '{q}' in vhost '/'");
    peer.expect_refusal(1, consume(&q, "c").arg("x-priority", "high"), 404, &text).await;
}

#[tokio::test]
async fn properties_and_headers_are_checked_and_nothing_is_published() {
    let broker = Broker::start().await;
    let mut peer = two_channels(&broker).await;
    let q = unique("q");
    peer.call(2, declare(&q).flag("exclusive")).await;
    let mut contents = Vec::new();
    for (expiration, why) in [
        ("", "no_integer"),
        ("soon", "no_integer"),
        (" 5", "no_integer"),
        ("-1", "{value_negative,-1}"),
        ("1.5", "{leftover_string,\".5\"}"),
        ("5 ", "{leftover_string,\" \"}"),
        ("0x5", "{leftover_string,\"x5\"}"),
        ("315360000001", "{value_too_large,315360000001}"),
    ] {
        let content = publish("", &q, "m").property("expiration", expiration);
        contents.push((content, format!("invalid expiration '{expiration}': {why}")));
    }
    for name in ["CC", "BCC"] {
        for (value, kind) in [
            (Value::from("k"), "longstr"),
            (Value::from(5), "signedint"),
            (Value::from(true), "bool"),
            (Value::Void, "void"),
            (Value::Table(Table::default()), "table"),
        ] {
            let content = publish("", &q, "m").header(name, value);
            let why = format!("invalid message: {{unacceptable_type_in_header,\"{name}\",{kind}}}");
            contents.push((content, why));
        }
    }
    let content = publish("", &q, "m").property("user-id", "joe");
    contents.push((content, "user_id property set to 'joe' but authenticated user was 'guest'".to_owned()));
    for (content, why) in contents {
        peer.publish(1, content).await;
        peer.expect_channel_close(1, 406, &format!("PRECONDITION_FAILED - {why}"), (60, 40)).await;
        peer.open(1).await;
        peer.expect_counts(2, &q, 0, 0).await;
    }
}

#[tokio::test]
async fn what_is_odd_but_no_error_is_delivered() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    let q = unique("q");
    peer.call(1, declare(&q).flag("exclusive").arg("x-max-priority", 3)).await;
    let m = || publish("", &q, "m");
    for content in [
        m().property("expiration", "315360000000"),
        m().property("expiration", "+60000"),
        m().property("priority", 255_u16),
        m().property("priority", 0_u16),
        // Keys that are no text name nothing.
        m().header("CC", Value::Array(Vec::new())),
        m().header("CC", Value::Array(vec![5.into(), Value::Void, Value::Array(Vec::new())])),
        m().header("BCC", Value::Array(vec![Value::from(&"x".repeat(300))])),
        // One copy, however often it is named.
        m().header("CC", Value::Array(vec![Value::from(&q), Value::from(&q)])),
        // No delay; see `delays` for those.
        m().header("x-delay", "soon"),
        m().header("x-delay", -5),
        m().header("x-delay", Value::Void),
        // Not the broker's own: RabbitMQ 4 does not read what publishers write there.
        m().header("x-death", "none"),
        m().header("x-delivery-count", "many"),
    ] {
        peer.publish(1, content).await;
        peer.expect_get(1, &q, "m").await;
        peer.expect_empty(1, &q).await;
    }
}
