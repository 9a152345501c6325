//! The load generator against a broker in process: each load ends, and what it says has happened has happened.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "in a test a panic is the report")]

#[path = "support/mod.rs"]
#[expect(dead_code, unused_imports, clippy::print_stdout, reason = "dialogues use the rest")]
mod support;

use std::process::{Command, Output};
use std::time::Duration;

use lepus::bench::scenarios::PLAIN;
use lepus::bench::{Churn, End, Exchange, Load, Outcome, Uri, run};
use support::{Broker, declare, passive};

/// A load so small that only its promises are measured.
const SMALL: Load = Load { end: End::Count(600), ..PLAIN };

async fn measured(load: Load) -> Vec<Outcome> {
    let broker = Broker::start().await;
    let uri = Uri::from(broker.app().unwrap().local_addr());
    let outcomes = tokio::task::spawn_blocking(move || run(&load, &uri, Some(std::process::id()), &|_| ()));
    let outcomes = outcomes.await.unwrap().unwrap();
    // Nothing is left behind.
    let mut peer = broker.channel().await;
    peer.expect_soft_error(
        1,
        passive("lepus-bench-000000"),
        404,
        "NOT_FOUND - no queue 'lepus-bench-000000' in vhost '/'",
    )
    .await;
    outcomes
}

#[tokio::test(flavor = "multi_thread")]
async fn every_exchange_delivers_what_is_published_through_it() {
    for exchange in [
        Exchange::Default,
        Exchange::Direct,
        Exchange::Topic,
        Exchange::Headers,
        Exchange::ConsistentHash,
        Exchange::Fanout,
    ] {
        let load = Load { exchange, queues: 3, consumers: 2, publishers: 2, ..SMALL };
        let copies = load.deliveries_per_message();
        let outcomes = measured(load).await;
        assert_eq!(outcomes.len(), 1);
        assert_eq!((outcomes[0].published, outcomes[0].delivered), (600, 600 * copies), "{exchange:?}");
        assert!(outcomes[0].deliver.unwrap().p50_us > 0.0);
        assert!(outcomes[0].server.unwrap().cpu_ns > 0.0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_message_is_confirmed_and_consumed_whatever_the_window() {
    for window in [1, 7, 2000] {
        let load = Load { window: Some(window), durable: true, ack_every: Some(10), prefetch: 20, ..SMALL };
        let outcome = measured(load).await.remove(0);
        assert_eq!((outcome.confirmed, outcome.refused, outcome.delivered), (600, 0, 600), "window {window}");
        assert!(outcome.confirm.unwrap().max_us > 0.0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backlog_is_published_whole_and_then_drained() {
    let outcomes = measured(Load { backlog: true, ack_every: Some(50), prefetch: 100, ..SMALL }).await;
    let phases: Vec<_> =
        outcomes.iter().map(|outcome| (outcome.phase, outcome.published, outcome.delivered)).collect();
    assert_eq!(phases, [(Some("publish"), 600, 0), (Some("drain"), 0, 600)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_of_any_size_pass() {
    for size in [0, 7, 8, 200_000, 1 << 20] {
        let load = Load { size, end: End::Count(20), ..SMALL };
        let outcome = measured(load).await.remove(0);
        assert_eq!(outcome.delivered, 20, "{size} octets");
        assert_eq!(outcome.deliver.is_some(), size >= 8, "{size} octets");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paced_load_ends_with_its_time_and_does_not_exceed_its_rate() {
    let load = Load { rate: Some(1000), end: End::After(Duration::from_millis(300)), ..PLAIN };
    let outcome = measured(load).await.remove(0);
    assert!((1..=300).contains(&outcome.published), "{}", outcome.published);
    assert_eq!(outcome.delivered, outcome.published);
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_channels_and_queues_come_and_go() {
    for churn in [Churn::Connections, Churn::Channels, Churn::Queues] {
        let load = Load { churn: Some(churn), publishers: 2, end: End::Count(20), ..PLAIN };
        let outcome = measured(load).await.remove(0);
        assert_eq!(outcome.published, 20, "{churn:?}");
        assert!(outcome.deliver.unwrap().p50_us > 0.0);
    }
}

fn lepus(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_lepus")).arg("bench").args(arguments).output().unwrap()
}

#[test]
fn options_that_make_no_sense_are_refused_with_the_reason() {
    for (arguments, why) in [
        (&["transient-17"][..], "--list"),
        (&["--window", "0"][..], "at least 1"),
        (&["--ack-every", "50", "--prefetch", "10"][..], "--prefetch"),
        (&["--uri", "amqps://localhost"][..], "TLS"),
    ] {
        let output = lepus(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(told.contains(why), "{arguments:?}: {told}");
    }
}

#[test]
fn a_broker_that_is_not_there_is_named() {
    let place = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let output = lepus(&["--uri", &format!("amqp://{place}")]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains(&place.to_string()));
}

#[tokio::test(flavor = "multi_thread")]
async fn programs_get_json_and_people_a_table() {
    let broker = Broker::start().await;
    let uri = format!("amqp://{}", broker.app().unwrap().local_addr());
    let json = tokio::task::spawn_blocking({
        let uri = uri.clone();
        move || lepus(&["transient-16", "durable-16", "--count", "100", "--json", "--uri", &uri])
    });
    let json: serde_json::Value = serde_json::from_slice(&json.await.unwrap().stdout).unwrap();
    assert_eq!(json[0]["scenario"], "transient-16");
    assert_eq!(json[1]["outcomes"][0]["confirmed"], 100);
    let table = tokio::task::spawn_blocking(move || lepus(&["--count", "100", "--runs", "3", "--uri", &uri]));
    let table = String::from_utf8(table.await.unwrap().stdout).unwrap();
    assert!(table.contains("messages/s") && table.lines().count() == 2, "{table}");
    let mut peer = broker.channel().await;
    peer.call(1, declare("still-there")).await;
}
