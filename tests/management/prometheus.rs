//! What Prometheus reads, and the names that dashboards made for RabbitMQ look for.

use crate::http::Broker;
use crate::support::{ack, confirm_select, consume, declare, get, nack, publish, qos};

/// What Grafana's dashboard 10991 (RabbitMQ-Overview) reads.
const DASHBOARD: &[&str] = &[
    "rabbitmq_identity_info",
    "rabbitmq_build_info",
    "rabbitmq_connections",
    "rabbitmq_channels",
    "rabbitmq_queues",
    "rabbitmq_consumers",
    "rabbitmq_connections_opened_total",
    "rabbitmq_connections_closed_total",
    "rabbitmq_channels_opened_total",
    "rabbitmq_channels_closed_total",
    "rabbitmq_queues_declared_total",
    "rabbitmq_queues_created_total",
    "rabbitmq_queues_deleted_total",
    "rabbitmq_queue_messages_ready",
    "rabbitmq_queue_messages_unacked",
    "rabbitmq_global_publishers",
    "rabbitmq_global_consumers",
    "rabbitmq_global_messages_received_total",
    "rabbitmq_global_messages_received_confirm_total",
    "rabbitmq_global_messages_confirmed_total",
    "rabbitmq_global_messages_routed_total",
    "rabbitmq_global_messages_unroutable_dropped_total",
    "rabbitmq_global_messages_unroutable_returned_total",
    "rabbitmq_global_messages_delivered_total",
    "rabbitmq_global_messages_delivered_consume_auto_ack_total",
    "rabbitmq_global_messages_delivered_consume_manual_ack_total",
    "rabbitmq_global_messages_delivered_get_auto_ack_total",
    "rabbitmq_global_messages_delivered_get_manual_ack_total",
    "rabbitmq_global_messages_get_empty_total",
    "rabbitmq_global_messages_redelivered_total",
    "rabbitmq_global_messages_acknowledged_total",
    "rabbitmq_message_size_bytes_bucket",
    "rabbitmq_message_size_bytes_sum",
    "rabbitmq_message_size_bytes_count",
    "rabbitmq_process_open_fds",
    "rabbitmq_process_max_fds",
    "rabbitmq_process_resident_memory_bytes",
    "rabbitmq_resident_memory_limit_bytes",
    "rabbitmq_disk_space_available_bytes",
    "rabbitmq_disk_space_available_limit_bytes",
    "rabbitmq_erlang_uptime_seconds",
];

/// The value of the line that begins with `series`.
fn value(text: &str, series: &str) -> u64 {
    let of_series = |line: &&str| line.strip_prefix(series).is_some_and(|rest| rest.starts_with(' '));
    let line = text.lines().find(of_series).unwrap_or_else(|| panic!("no {series} in\n{text}"));
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

#[tokio::test]
async fn everything_that_the_dashboard_reads_is_there() {
    let broker = Broker::start().await;
    let text = broker.metrics("/metrics").await;
    for name in DASHBOARD {
        let is_there = text.lines().any(|line| line.split(['{', ' ']).next() == Some(name));
        assert!(is_there, "{name} is missing");
    }
    let identity = text.lines().find(|line| line.starts_with("rabbitmq_identity_info{")).unwrap();
    for label in ["rabbitmq_node=\"lepus@", "rabbitmq_cluster=\"lepus@", "rabbitmq_endpoint=\"aggregated\""] {
        assert!(identity.contains(label), "{identity}");
    }
}

/// Names of metrics in a dashboard's queries.
fn named(dashboard: &str) -> std::collections::BTreeSet<&str> {
    let words = dashboard.split(|character: char| !(character.is_ascii_alphanumeric() || character == '_'));
    let is_metric =
        |word: &&str| word.starts_with("rabbitmq_") && !["rabbitmq_node", "rabbitmq_endpoint"].contains(word);
    words.filter(is_metric).collect()
}

#[tokio::test]
async fn the_brokers_own_dashboard_reads_only_what_there_is() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Broker::start_with(|config| config.data_dir = Some(dir.path().join("data"))).await;
    let mut peer = broker.channel().await;
    peer.call(1, declare("q")).await;
    let families = "family=queue_coarse_metrics&family=queue_delivery_metrics&family=queue_consumer_count";
    let text =
        broker.metrics("/metrics").await + &broker.metrics(&format!("/metrics/detailed?{families}")).await;
    let there: std::collections::BTreeSet<&str> =
        text.lines().filter_map(|line| line.split(['{', ' ']).next()).collect();
    let names = named(include_str!("../../deploy/grafana/lepus.json"));
    assert!(names.len() > 40, "{names:?}");
    let missing: Vec<_> = names.difference(&there).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[tokio::test]
async fn every_line_is_of_the_format() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    peer.call(1, declare("od\"d\\name")).await;
    peer.call(1, consume("od\"d\\name", "c")).await;
    let paths = ["/metrics", "/metrics/per-object", "/metrics/detailed?family=queue_coarse_metrics"];
    for path in paths {
        for line in broker.metrics(path).await.lines().filter(|line| !line.starts_with('#')) {
            let (series, number) = line.rsplit_once(' ').unwrap();
            assert!(number.parse::<u64>().is_ok(), "{line}");
            assert!(series.starts_with("rabbitmq_"), "{line}");
            assert_eq!(series.contains('{'), series.ends_with('}'), "{line}");
        }
    }
    let text = broker.metrics("/metrics/per-object").await;
    assert_eq!(value(&text, r#"rabbitmq_queue_consumers{vhost="/",queue="od\"d\\name"}"#), 1);
}

#[tokio::test]
async fn what_happens_to_messages_is_counted() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    peer.call(1, declare("q")).await;
    peer.call(1, confirm_select()).await;
    for (key, body) in [("q", "x".repeat(50)), ("q", "x".repeat(5000)), ("nowhere", "x".to_owned())] {
        peer.publish(1, publish("", key, &body)).await;
    }
    peer.expect_confirms(1, 1, 3).await;
    peer.send(1, get("q").flag("no-ack")).await;
    peer.expect_content(1, "basic.get-ok").await;
    peer.call(1, qos(1)).await;
    let text = broker.metrics("/metrics").await;
    let global =
        |name: &str| value(&text, &format!("rabbitmq_global_messages_{name}_total{{protocol=\"amqp091\"}}"));
    assert_eq!((global("received"), global("received_confirm"), global("confirmed")), (3, 3, 3));
    assert_eq!((global("routed"), global("unroutable_dropped")), (2, 1));
    assert_eq!((global("delivered"), global("delivered_get_auto_ack")), (1, 1));
    assert_eq!(value(&text, "rabbitmq_queue_messages_ready"), 1);
    assert_eq!(value(&text, "rabbitmq_global_publishers{protocol=\"amqp091\"}"), 1);
    let bucket = |bound: &str| {
        value(&text, &format!("rabbitmq_message_size_bytes_bucket{{protocol=\"amqp091\",le=\"{bound}\"}}"))
    };
    assert_eq!((bucket("100"), bucket("1000"), bucket("10000"), bucket("+Inf")), (2, 2, 3, 3));
    assert_eq!(value(&text, "rabbitmq_message_size_bytes_sum{protocol=\"amqp091\"}"), 5051);
    assert_eq!(value(&text, "rabbitmq_queues_created_total"), 1);
    drop(peer);
    broker.eventually("/connections", |list| list.as_array().unwrap().is_empty()).await;
    let text = broker.metrics("/metrics").await;
    let received = value(&text, "rabbitmq_global_messages_received_total{protocol=\"amqp091\"}");
    assert_eq!(received, 3, "counters never go back, though the connection has ended");
}

#[tokio::test]
async fn details_are_of_the_families_and_vhosts_asked_for() {
    let broker = Broker::start().await;
    broker.put("/queues/%2F/q", "{}").await;
    let text =
        broker.metrics("/metrics/detailed?family=queue_coarse_metrics&family=queue_consumer_count").await;
    assert_eq!(value(&text, r#"rabbitmq_detailed_queue_messages_ready{vhost="/",queue="q"}"#), 0);
    assert_eq!(value(&text, r#"rabbitmq_detailed_queue_consumers{vhost="/",queue="q"}"#), 0);
    assert!(!text.contains("published"), "{text}");
    let other = broker.metrics("/metrics/detailed?vhost=elsewhere&family=queue_coarse_metrics").await;
    assert!(!other.contains("queue=\"q\""), "{other}");
    let same = broker.metrics("/metrics/detailed?vhost=%2F&family=queue_coarse_metrics").await;
    assert!(same.contains("queue=\"q\""), "{same}");
    let nothing = broker.metrics("/metrics/detailed").await;
    assert!(!nothing.contains("rabbitmq_detailed_"), "{nothing}");
}

#[tokio::test]
async fn the_age_of_the_oldest_message_and_the_time_under_lease_are_told() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    peer.call(1, declare("q")).await;
    let age = "rabbitmq_queue_oldest_message_age_seconds";
    let before = broker.metrics("/metrics").await;
    assert_eq!((value(&before, age), value(&before, "rabbitmq_queue_lease_seconds_count")), (0, 0));
    peer.call(1, consume("q", "c")).await;
    for tag in 1..=2 {
        peer.publish(1, publish("", "q", "m")).await;
        peer.expect_delivery(1, "m").await;
        peer.send(1, ack(tag)).await;
    }
    peer.call(1, declare("q")).await;
    let text = broker.metrics("/metrics").await;
    assert_eq!(value(&text, "rabbitmq_queue_lease_seconds_count"), 2);
    assert_eq!(value(&text, "rabbitmq_queue_lease_seconds_bucket{le=\"+Inf\"}"), 2);
    let detailed =
        broker.metrics("/metrics/detailed?family=queue_lease_metrics&family=queue_coarse_metrics").await;
    let of_queue = "{vhost=\"/\",queue=\"q\"}";
    assert_eq!(value(&detailed, &format!("rabbitmq_detailed_queue_lease_seconds_count{of_queue}")), 2);
    assert_eq!(value(&detailed, &format!("rabbitmq_detailed_queue_oldest_message_age_seconds{of_queue}")), 0);
    // What was held in a queue that has gone stays counted.
    broker.delete("/queues/%2F/q").await;
    let after = broker.metrics("/metrics").await;
    assert_eq!(value(&after, "rabbitmq_queue_lease_seconds_count"), 2);
}

#[tokio::test]
async fn how_long_messages_wait_for_their_first_delivery_and_publishers_for_confirms_is_told() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    peer.call(1, declare("q")).await;
    peer.call(1, confirm_select()).await;
    for tag in 1..=3 {
        peer.publish(1, publish("", "q", "m")).await;
        peer.expect_confirm(1, tag).await;
    }
    let count = |text: &str, name: &str| value(text, &format!("rabbitmq_{name}_count"));
    let text = broker.metrics("/metrics").await;
    assert_eq!((count(&text, "queue_wait_seconds"), count(&text, "confirm_seconds")), (0, 3));
    // One is given out twice: only the first time counts.
    let got = peer.expect_get(1, "q", "m").await;
    peer.send(1, nack(got.delivery_tag()).flag("requeue")).await;
    let again = peer.expect_get(1, "q", "m").await;
    assert!(again.redelivered());
    peer.call(1, consume("q", "c").flag("no-ack")).await;
    peer.expect_delivery(1, "m").await;
    peer.expect_delivery(1, "m").await;
    let text = broker.metrics("/metrics").await;
    assert_eq!((count(&text, "queue_wait_seconds"), count(&text, "confirm_seconds")), (3, 3));
    assert_eq!(value(&text, "rabbitmq_queue_wait_seconds_bucket{le=\"+Inf\"}"), 3);
    let detailed = broker.metrics("/metrics/detailed?family=queue_lease_metrics").await;
    let of_queue = "rabbitmq_detailed_queue_wait_seconds_count{vhost=\"/\",queue=\"q\"}";
    assert_eq!(value(&detailed, of_queue), 3);
    // What waited in a queue that has gone stays counted.
    broker.delete("/queues/%2F/q").await;
    assert_eq!(count(&broker.metrics("/metrics").await, "queue_wait_seconds"), 3);
}

#[tokio::test]
async fn the_disk_is_told_where_messages_are_kept() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Broker::start_with(|config| config.data_dir = Some(dir.path().join("data"))).await;
    broker.put("/queues/%2F/kept", "{}").await;
    let body = r#"{"routing_key":"kept","payload":"x","payload_encoding":"string","properties":{"delivery_mode":2}}"#;
    broker.post("/exchanges/%2F/amq.default/publish", body).await;
    let text = broker.metrics("/metrics").await;
    assert!(value(&text, "rabbitmq_storage_commits_total") > 0);
    assert!(value(&text, "rabbitmq_storage_sync_seconds_count") > 0);
    assert!(
        value(&text, "rabbitmq_storage_log_limit_bytes") >= value(&text, "rabbitmq_storage_log_used_bytes")
    );
    let none = Broker::start().await;
    assert!(!none.metrics("/metrics").await.contains("rabbitmq_storage_"), "nothing is kept here");
}
