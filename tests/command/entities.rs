//! Queues, exchanges, bindings, policies, limits, parameters, virtual hosts.

use serde_json::json;

use crate::broker::Broker;

#[test]
fn a_queue_is_declared_listed_shown_and_deleted() {
    let broker = Broker::start();
    let out = broker.ok(&["queue", "declare", "orders", "--type", "quorum", "--argument", "x-max-length=10"]);
    assert_eq!(out, "queue 'orders' in virtual host '/': declared\n");
    let again =
        broker.ok(&["queue", "declare", "orders", "--type", "quorum", "--argument", "x-max-length=10"]);
    assert_eq!(again, "queue 'orders' in virtual host '/': is there\n");
    let queue = broker.json(&["queue", "show", "orders"]);
    assert_eq!(queue["arguments"], json!({"x-queue-type": "quorum", "x-max-length": 10}));
    let list = broker.ok(&["queues", "list"]);
    let lines: Vec<&str> = list.lines().collect();
    assert!(lines[0].starts_with("VHOST  NAME    TYPE    DURABLE  READY  UNACKED"), "{list}");
    assert!(lines[1].starts_with("/      orders  quorum  yes          0        0"), "{list}");
    assert_eq!(broker.json(&["queue", "list"])[0]["name"], "orders");
    let refused = broker.lepus(&["queue", "delete", "orders", "--if-unused"]);
    assert!(refused.err.contains("not supported by quorum queues"), "{refused:?}");
    broker.ok(&["queue", "delete", "orders"]);
    assert_eq!(broker.json(&["queue", "list"]), json!([]));
}

#[test]
fn a_queue_is_paused_and_goes_on() {
    let broker = Broker::start();
    broker.ok(&["queue", "declare", "q"]);
    assert_eq!(
        broker.ok(&["queue", "pause", "q"]),
        "queue 'q' in virtual host '/': paused
"
    );
    assert_eq!(broker.json(&["queue", "list"])[0]["state"], "paused");
    assert!(broker.ok(&["queue", "list", "--columns", "name,state"]).contains("q     paused"));
    assert_eq!(
        broker.ok(&["queue", "resume", "q"]),
        "queue 'q' in virtual host '/': goes on
"
    );
    assert_eq!(broker.json(&["queue", "show", "q"])["state"], "running");
    assert!(broker.lepus(&["queue", "pause", "none"]).err.contains("queue 'none'"));
}

#[test]
fn lists_are_filtered_sorted_and_cut_to_columns() {
    let broker = Broker::start();
    for queue in ["a.1", "b.1", "a.2"] {
        broker.ok(&["queue", "declare", queue]);
    }
    let list = broker.ok(&[
        "queue",
        "list",
        "--filter",
        "^a",
        "--sort",
        "name",
        "--reverse",
        "--columns",
        "name,message_stats.publish",
    ]);
    assert_eq!(
        list,
        "NAME  MESSAGE_STATS.PUBLISH\na.2                       0\na.1                       0\n"
    );
    let json = broker.json(&["queue", "list", "--filter", "^b", "--columns", "name,ready"]);
    assert_eq!(json, json!([{"name": "b.1", "ready": 0}]));
    let bad = broker.lepus(&["queue", "list", "--filter", "("]);
    assert_eq!(bad.code, 2);
    assert!(bad.err.starts_with("lepus: --filter is no regular expression"), "{bad:?}");
}

#[test]
fn exchanges_and_bindings_come_and_go() {
    let broker = Broker::start();
    broker.ok(&["exchange", "declare", "events", "--type", "topic"]);
    broker.ok(&["queue", "declare", "q"]);
    broker.ok(&["binding", "declare", "events", "q", "--routing-key", "a.#", "--argument", "x=1"]);
    broker.ok(&["binding", "declare", "events", "q", "--routing-key", "a.#"]);
    let list = broker.json(&["binding", "list", "--sort", "properties_key"]);
    let from_events: Vec<_> =
        list.as_array().unwrap().iter().filter(|binding| binding["source"] == "events").collect();
    assert_eq!(from_events.len(), 2, "{list}");
    broker.ok(&["binding", "delete", "events", "q", "--routing-key", "a.#", "--argument", "x=1"]);
    let missing =
        broker.lepus(&["binding", "delete", "events", "q", "--routing-key", "a.#", "--argument", "x=1"]);
    assert_eq!(missing.code, 1);
    assert!(missing.err.contains("there is no binding of 'q' from exchange 'events'"), "{missing:?}");
    assert_eq!(broker.json(&["exchange", "show", "events"])["type"], "topic");
    broker.ok(&["exchange", "delete", "events"]);
    let gone = broker.lepus(&["exchange", "show", "events"]);
    assert_eq!(
        (gone.code, gone.err.as_str()),
        (1, "lepus: there is no exchange 'events' in virtual host '/'\n")
    );
}

#[test]
fn policies_hold_once_they_are_set() {
    let broker = Broker::start();
    broker.ok(&["queue", "declare", "q"]);
    broker.ok(&[
        "policy",
        "set",
        "short",
        "^q$",
        r#"{"max-length": 5}"#,
        "--apply-to",
        "queues",
        "--priority",
        "3",
    ]);
    broker.ok(&["operator-policy", "set", "shorter", ".*", r#"{"max-length": 4}"#, "--apply-to", "queues"]);
    let queue = broker.json(&["queue", "show", "q"]);
    assert_eq!((&queue["policy"], &queue["operator_policy"]), (&json!("short"), &json!("shorter")));
    assert_eq!(queue["effective_policy_definition"]["max-length"], 4);
    let list = broker.ok(&["policies", "list"]);
    assert!(list.ends_with("/      short         3  queues    ^q$      {\"max-length\":5}\n"), "{list}");
    broker.ok(&["policy", "clear", "short"]);
    broker.ok(&["operator-policy", "clear", "shorter"]);
    assert_eq!(broker.json(&["queue", "show", "q"])["policy"], json!(null));
    let bad = broker.lepus(&["policy", "set", "short", "^q$", r#"{"max-lenght": 5}"#]);
    assert_eq!(bad.code, 1);
    assert!(bad.err.contains("max-lenght"), "{bad:?}");
    assert_eq!(broker.lepus(&["policy", "set", "short", "^q$", "max-length=5"]).code, 2, "not JSON");
}

#[test]
fn limits_of_virtual_hosts_and_users_are_set_and_lifted() {
    let broker = Broker::start();
    broker.ok(&["limit", "set", "max-queues", "1"]);
    broker.ok(&["limit", "set", "max-connections", "7", "--of-user", "guest"]);
    broker.ok(&["queue", "declare", "one"]);
    assert_eq!(broker.lepus(&["queue", "declare", "two"]).code, 1);
    let list = broker.ok(&["limit", "list"]);
    assert_eq!(list.lines().count(), 3, "{list}");
    assert!(list.contains("-      guest  max-connections      7"), "{list}");
    broker.ok(&["limit", "clear", "max-queues"]);
    broker.ok(&["queue", "declare", "two"]);
}

#[test]
fn parameters_are_set_and_cleared() {
    let broker = Broker::start();
    broker.ok(&["global-parameter", "set", "owner", r#"{"team": "a"}"#]);
    assert_eq!(
        broker.json(&["global-parameter", "list", "--filter", "owner"])[0]["value"],
        json!({"team": "a"})
    );
    broker.ok(&["global-parameter", "clear", "owner"]);
    broker.ok(&["parameter", "set", "vhost-limits", "limits", r#"{"max-queues": 9}"#]);
    assert_eq!(broker.json(&["parameter", "list"])[0]["value"], json!({"max-queues": 9}));
    broker.ok(&["parameter", "clear", "vhost-limits", "limits"]);
    assert_eq!(broker.json(&["parameter", "list"]), json!([]));
}

#[test]
fn virtual_hosts_are_apart() {
    let broker = Broker::start();
    broker.ok(&["vhost", "add", "tests", "--description", "for tests", "--durability", "os"]);
    broker.ok(&["permission", "set", "guest", "--vhost", "tests"]);
    broker.ok(&["queue", "declare", "q", "--vhost", "tests"]);
    assert_eq!(broker.json(&["queue", "list", "--vhost", "/"]), json!([]));
    assert_eq!(broker.json(&["queue", "list", "--vhost", "tests"])[0]["vhost"], "tests");
    assert_eq!(broker.json(&["vhost", "show", "tests"])["durability"], "os");
    broker.ok(&["vhost", "delete", "tests"]);
    let gone = broker.lepus(&["queue", "list", "--vhost", "tests"]);
    assert_eq!((gone.code, gone.err.as_str()), (1, "lepus: there is no virtual host 'tests'\n"));
}

#[test]
fn definitions_go_out_and_come_back() {
    let (broker, other) = (Broker::start(), Broker::start());
    broker.ok(&["queue", "declare", "kept", "--argument", "x-max-length=3"]);
    let file = broker.directory.path().join("definitions.json");
    let file = file.to_str().unwrap();
    broker.ok(&["export", file]);
    other.ok(&["import", file]);
    assert_eq!(other.json(&["queue", "show", "kept"])["arguments"], json!({"x-max-length": 3}));
    let text = broker.ok(&["export"]);
    assert_eq!(other.lepus_reading(&text, &["import", "-"]).code, 0);
    assert_eq!(other.lepus_reading("[", &["import", "-"]).code, 2);
}
