//! Publish, get, purge, move, tail.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use serde_json::json;

use crate::broker::Broker;
use crate::support::consume;

#[test]
fn what_is_published_can_be_looked_at_and_taken() {
    let broker = Broker::start();
    broker.ok(&["queue", "declare", "q"]);
    let published = broker.ok(&[
        "publish",
        "q",
        "hello",
        "--persistent",
        "--property",
        "content_type=text/plain",
        "--header",
        "n=1",
    ]);
    assert_eq!(published, "published\n");
    assert_eq!(broker.lepus_reading("from a pipe", &["publish", "q"]).code, 0);
    let seen = broker.json(&["get", "q", "--count", "5"]);
    assert_eq!(
        (&seen[0]["payload"], &seen[1]["payload"]),
        (&json!("hello"), &json!("from a pipe")),
        "{seen}"
    );
    assert_eq!(
        seen[0]["properties"],
        json!({"content_type": "text/plain", "delivery_mode": 2, "headers": {"n": 1}})
    );
    let taken = broker.ok(&["get", "q", "--ack", "--truncate", "2"]);
    let line = taken.lines().nth(1).unwrap();
    assert!(line.starts_with("\"\"") && line.ends_with("     5  he"), "{taken}");
    assert_eq!(broker.json(&["queue", "show", "q"])["messages"], 1);
    broker.ok(&["queue", "purge", "q"]);
    assert_eq!(broker.json(&["queue", "show", "q"])["messages"], 0);
}

#[test]
fn a_message_that_no_queue_takes_is_a_failure() {
    let broker = Broker::start();
    let ran = broker.lepus(&["publish", "nowhere", "x"]);
    assert_eq!(ran.code, 1);
    assert!(ran.err.starts_with("lepus: no queue has taken the message"), "{ran:?}");
}

#[test]
fn messages_are_moved_in_order_and_as_they_are() {
    let broker = Broker::start();
    for queue in ["from", "to"] {
        broker.ok(&["queue", "declare", queue]);
    }
    for body in ["1", "2", "3"] {
        broker.ok(&["publish", "from", body, "--persistent", "--property", "message_id=m"]);
    }
    assert_eq!(broker.ok(&["queue", "move", "from", "to", "--count", "2"]), "2 messages moved\n");
    assert_eq!(broker.json(&["queue", "move", "from", "to"]), json!({"moved": 1}));
    let moved = broker.json(&["get", "to", "--count", "9"]);
    let bodies: Vec<&str> =
        moved.as_array().unwrap().iter().map(|message| message["payload"].as_str().unwrap()).collect();
    assert_eq!(bodies, ["1", "2", "3"]);
    assert_eq!(moved[0]["routing_key"], "from", "it is the same message");
    assert_eq!(moved[0]["properties"], json!({"delivery_mode": 2, "message_id": "m"}));
    assert_eq!(broker.json(&["queue", "show", "from"])["messages"], 0);
}

#[test]
fn what_the_other_queue_refuses_stays() {
    let broker = Broker::start();
    broker.ok(&["queue", "declare", "from"]);
    let full = ["--argument", "x-max-length=1", "--argument", "x-overflow=reject-publish"];
    broker.ok(&[&["queue", "declare", "to"][..], &full].concat());
    for body in ["1", "2", "3"] {
        broker.ok(&["publish", "from", body]);
    }
    let ran = broker.lepus(&["queue", "move", "from", "to"]);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.err.contains("queue 'to' in vhost '/' takes no more; the rest has stayed"), "{ran:?}");
    assert_eq!(broker.json(&["queue", "show", "from"])["messages_ready"], 2);
    assert_eq!(broker.json(&["queue", "show", "to"])["messages_ready"], 1);
    for (from, to) in [("from", "from"), ("from", "nowhere")] {
        assert_eq!(broker.lepus(&["queue", "move", from, to]).code, 1, "{to}");
    }
}

#[tokio::test]
async fn what_a_consumer_holds_is_not_moved() {
    let broker = Broker::start();
    for queue in ["from", "to"] {
        broker.ok(&["queue", "declare", queue]);
    }
    broker.ok(&["publish", "from", "held"]);
    let mut peer = broker.channel().await;
    peer.call(1, consume("from", "c")).await;
    peer.expect_delivery(1, "held").await;
    assert_eq!(broker.ok(&["queue", "move", "from", "to"]), "0 messages moved\n");
    assert_eq!(broker.json(&["queue", "show", "from"])["messages_unacknowledged"], 1);
}

#[test]
fn tail_shows_copies_and_leaves_nothing_behind() {
    let broker = Broker::start();
    broker.ok(&["exchange", "declare", "events", "--type", "topic"]);
    broker.ok(&["queue", "declare", "q"]);
    broker.ok(&["binding", "declare", "events", "q", "--routing-key", "#"]);
    let mut tail = Command::new(env!("CARGO_BIN_EXE_lepus"))
        .args(["tail", "events", "--count", "2", "--url", &format!("http://{}", broker.api)])
        .env_clear()
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    // It follows once its queue is bound.
    while broker
        .json(&["binding", "list"])
        .as_array()
        .unwrap()
        .iter()
        .filter(|b| b["source"] == "events")
        .count()
        < 2
    {}
    broker.ok(&["publish", "a.b", "one", "--exchange", "events"]);
    broker.ok(&["publish", "c.d", "two\u{7}", "--exchange", "events", "--property", "app_id=x"]);
    let lines: Vec<String> =
        BufReader::new(tail.stdout.take().unwrap()).lines().map(Result::unwrap).collect();
    assert!(tail.wait().unwrap().success());
    assert_eq!(lines, ["a.b  -  one", "c.d  {\"app_id\":\"x\"}  two\\u{7}"]);
    assert_eq!(broker.json(&["queue", "show", "q"])["messages"], 2, "the queue's own messages are there");
    assert_eq!(broker.json(&["queue", "list"]).as_array().unwrap().len(), 1);
}
