//! Status, health, top, connections, channels, consumers, leases, delayed messages.

use serde_json::json;

use crate::broker::Broker;
use crate::support::{consume, declare, publish};

#[test]
fn status_says_what_the_broker_is() {
    let broker = Broker::start();
    let text = broker.ok(&["status"]);
    let field = |name: &str| {
        let line = text.lines().find(|line| line.starts_with(name));
        line.unwrap_or_else(|| panic!("no {name} in\n{text}")).split_once("  ").unwrap().1.trim().to_owned()
    };
    assert_eq!(field("node"), "rabbit@here");
    assert_eq!(field("version"), format!("{}, as RabbitMQ 4.0.5", env!("CARGO_PKG_VERSION")));
    assert_eq!((field("alarms"), field("queues")), ("none".to_owned(), "0".to_owned()));
    assert!(text.contains(&format!("{} amqp", broker.amqp)), "{text}");
    let json = broker.json(&["status"]);
    assert_eq!(json["overview"]["node"], json["node"]["name"]);
}

#[test]
fn health_is_an_exit_code() {
    let broker = Broker::start();
    let text = broker.ok(&["health"]);
    assert_eq!(text, "alarms         ok\ncertificates   ok\nconnections    ok\nvirtual-hosts  ok\n");
    broker.ok(&["health", &broker.amqp.port().to_string(), "amqp"]);
    let bad = broker.lepus(&["health", "1", "mqtt", "alarms"]);
    assert_eq!(bad.code, 1);
    assert_eq!(bad.err, "lepus: not well: 1, mqtt\n");
    assert!(bad.out.contains("No active listener") && bad.out.ends_with("alarms  ok\n"), "{bad:?}");
}

#[tokio::test]
async fn who_is_connected_and_holds_what_is_listed_and_can_be_closed() {
    let broker = Broker::start();
    let mut peer = broker.channel().await;
    peer.call(1, declare("q")).await;
    broker.ok(&["publish", "q", "m"]);
    peer.call(1, consume("q", "tag")).await;
    peer.expect_delivery(1, "m").await;
    let connections = broker.json(&["connection", "list"]);
    let name = connections[0]["name"].as_str().unwrap();
    assert_eq!((&connections[0]["user"], &connections[0]["channels"]), (&json!("guest"), &json!(1)));
    assert_eq!(broker.json(&["channel", "list"])[0]["messages_unacknowledged"], 1);
    assert_eq!(broker.json(&["consumer", "list"])[0]["consumer_tag"], "tag");
    for lease in [broker.json(&["lease", "list"]), broker.json(&["queue", "leases", "q"])] {
        assert_eq!((&lease[0]["consumer_tag"], &lease[0]["delivery_tag"]), (&json!("tag"), &json!(1)));
    }
    let table = broker.ok(&["lease", "list"]);
    assert!(table.starts_with("VHOST  QUEUE  MESSAGE  DELIVERIES"), "{table}");
    broker.ok(&["connection", "close", name, "--reason", "go away"]);
    let close = peer.expect(0, "connection.close").await;
    assert!(format!("{close:?}").contains("go away"), "{close:?}");
}

#[tokio::test]
async fn delayed_messages_are_listed_with_their_queue_and_when_they_are_due() {
    let broker = Broker::start();
    let mut peer = broker.channel().await;
    peer.call(1, declare("later")).await;
    peer.call(1, declare("now")).await;
    for delay in [7_200_000_i32, 3_600_000] {
        let message = publish("", "later", "m").header("x-delay", delay);
        peer.publish(1, message.property("message-id", &*delay.to_string())).await;
    }
    peer.call(1, declare("later")).await;
    let listed = broker.json(&["delayed", "list"]);
    let seen: Vec<_> =
        listed.as_array().unwrap().iter().map(|row| (&row["queue"], &row["message_id"])).collect();
    assert_eq!(seen, [(&json!("later"), &json!("3600000")), (&json!("later"), &json!("7200000"))]);
    assert_eq!(broker.json(&["delayed", "show", "later", "--count", "1"]).as_array().unwrap().len(), 1);
    let table = broker.ok(&["delayed", "list"]);
    assert!(table.starts_with("VHOST  QUEUE  DUE"), "{table}");
    assert_eq!(broker.json(&["delayed", "show", "now"]), json!([]));
}

#[test]
fn top_shows_the_busiest_queues_first() {
    let broker = Broker::start();
    for queue in ["empty", "full"] {
        broker.ok(&["queue", "declare", queue]);
    }
    broker.ok(&["publish", "full", "m"]);
    let text = broker.ok(&["top", "--times", "1", "--sort", "ready", "--rows", "1"]);
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].contains("1 ready, 0 unacked; 0 connections, 2 queues"), "{text}");
    assert!(lines[2].starts_with("VHOST  NAME  IN/S"), "{text}");
    assert!(lines[3].starts_with("/      full"), "{text}");
    assert_eq!(lines.len(), 4, "{text}");
}
