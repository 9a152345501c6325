//! Queues: list, declare, delete, purge, get, leases, delayed messages.

use crate::http::Broker;
use crate::support::{bind, consume, declare, get, publish, qos, reject, unique};
use serde_json::{Value, json};

#[tokio::test]
async fn a_declared_queue_is_listed_as_it_was_declared() {
    let broker = Broker::start().await;
    let body =
        r#"{"durable":true,"auto_delete":false,"arguments":{"x-max-length":10,"x-queue-type":"classic"}}"#;
    assert_eq!(broker.put("/queues/%2F/orders", body).await.status, 201);
    assert_eq!(broker.put("/queues/%2F/orders", body).await.status, 204, "it is there already");
    let queue = broker.json("/queues/%2F/orders").await;
    assert_eq!(
        (&queue["name"], &queue["vhost"], &queue["durable"]),
        (&json!("orders"), &json!("/"), &json!(true))
    );
    assert_eq!(queue["arguments"], json!({"x-max-length": 10, "x-queue-type": "classic"}));
    assert_eq!(
        (&queue["type"], &queue["state"], &queue["exclusive"]),
        (&json!("classic"), &json!("running"), &json!(false))
    );
    for path in ["/queues", "/queues/%2F", "/queues/"] {
        let list = broker.json(path).await;
        assert_eq!((list.as_array().unwrap().len(), &list[0]["name"]), (1, &json!("orders")), "{path}");
    }
}

#[tokio::test]
async fn a_queue_declared_differently_is_refused_with_the_reason() {
    let broker = Broker::start().await;
    broker.put("/queues/%2F/q", r#"{"durable":true}"#).await;
    let answer = broker.put("/queues/%2F/q", r#"{"durable":false}"#).await;
    assert_eq!(answer.status, 400);
    let (error, reason) = answer.refusal();
    assert_eq!(error, "bad_request");
    assert!(reason.contains("inequivalent arg 'durable' for queue 'q' in vhost '/'"), "{reason}");
}

#[tokio::test]
async fn a_queue_is_deleted_unless_it_is_used_or_not_empty() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    let queue = unique("deleted");
    let path = format!("/queues/%2F/{queue}");
    peer.call(1, declare(&queue)).await;
    peer.publish(1, publish("", &queue, "m")).await;
    peer.call(1, declare(&queue)).await;
    assert_eq!(broker.delete(&format!("{path}?if-empty=true")).await.status, 400);
    assert_eq!(broker.delete(&format!("{path}/contents")).await.status, 204);
    peer.call(1, consume(&queue, "c")).await;
    assert_eq!(broker.delete(&format!("{path}?if-unused=true&if-empty=true")).await.status, 400);
    assert_eq!(broker.delete(&path).await.status, 204);
    peer.expect(1, "basic.cancel").await;
    assert_eq!(broker.delete(&path).await.status, 404);
    assert_eq!(broker.get(&path).await.status, 404);
}

#[tokio::test]
async fn a_queue_counts_its_messages_and_names_its_consumers() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    let queue = unique("depth");
    peer.call(1, declare(&queue)).await;
    peer.call(1, qos(1)).await;
    for _ in 0..3 {
        peer.publish(1, publish("", &queue, "four")).await;
    }
    peer.call(1, consume(&queue, "worker")).await;
    peer.expect_delivery(1, "four").await;
    let found = broker.json(&format!("/queues/%2F/{queue}")).await;
    let counts =
        ["messages", "messages_ready", "messages_unacknowledged", "consumers"].map(|key| found[key].clone());
    assert_eq!(counts, [json!(3), json!(2), json!(1), json!(1)]);
    assert_eq!(found["message_bytes_ready"], 8);
    assert_eq!(found["message_stats"]["publish"], 3);
    assert_eq!(found["message_stats"]["deliver_get"], 1);
    let consumer = &found["consumer_details"][0];
    assert_eq!((&consumer["consumer_tag"], &consumer["ack_required"]), (&json!("worker"), &json!(true)));
    assert_eq!((&consumer["prefetch_count"], &consumer["queue"]["name"]), (&json!(1), &json!(queue)));
    assert_eq!(consumer["channel_details"]["user"], "guest");
    let all = broker.json("/consumers/%2F").await;
    assert_eq!(all[0]["consumer_tag"], "worker");
}

#[tokio::test]
async fn keda_finds_depth_and_rates_also_in_its_paged_query() {
    let broker = Broker::start().await;
    for name in ["orders-a", "orders-b", "other"] {
        broker.put(&format!("/queues/%2F/{name}"), "{}").await;
    }
    let one = broker.json("/queues/%2F/orders-a").await;
    assert_eq!(one["messages"], 0);
    assert_eq!(one["message_stats"]["publish_details"]["rate"], 0.0);
    assert_eq!(one["message_stats"]["deliver_get_details"]["rate"], 0.0);
    let path = "/queues/%2F?page=1&use_regex=true&pagination=false&name=%5Eorders&page_size=100";
    let page = broker.json(path).await;
    assert_eq!(
        (&page["page_count"], &page["filtered_count"], &page["total_count"]),
        (&json!(1), &json!(2), &json!(3))
    );
    let names: Vec<&Value> = page["items"].as_array().unwrap().iter().map(|item| &item["name"]).collect();
    assert_eq!(names, ["orders-a", "orders-b"]);
}

#[tokio::test]
async fn lists_have_only_the_columns_asked_for_in_the_order_asked_for() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    for (queue, depth) in [("a", 1), ("b", 2)] {
        peer.call(1, declare(queue)).await;
        for _ in 0..depth {
            peer.publish(1, publish("", queue, "m")).await;
        }
        peer.call(1, declare(queue)).await;
    }
    let list = broker.json("/queues?columns=name,messages&sort=messages&sort_reverse=true").await;
    assert_eq!(list, json!([{"name": "b", "messages": 2}, {"name": "a", "messages": 1}]));
}

#[tokio::test]
async fn messages_are_looked_at_and_put_back_or_taken_out() {
    let broker = Broker::start().await;
    broker.put("/queues/%2F/q", "{}").await;
    let body = r#"{"routing_key":"q","payload":"aGVsbG8=","payload_encoding":"base64",
        "properties":{"delivery_mode":2,"headers":{"k":1},"message_id":"m1","priority":3}}"#;
    let answer = broker.post("/exchanges/%2F/amq.default/publish", body).await;
    assert_eq!((answer.status, answer.json()), (200, json!({"routed": true})));

    let peek = r#"{"count":5,"ackmode":"ack_requeue_true","encoding":"auto"}"#;
    let first = broker.post("/queues/%2F/q/get", peek).await.json();
    assert_eq!(first.as_array().unwrap().len(), 1);
    let message = &first[0];
    assert_eq!((&message["payload"], &message["payload_encoding"]), (&json!("hello"), &json!("string")));
    assert_eq!((&message["routing_key"], &message["exchange"]), (&json!("q"), &json!("")));
    assert_eq!((&message["redelivered"], &message["message_count"]), (&json!(false), &json!(0)));
    let properties = json!({"delivery_mode": 2, "headers": {"k": 1}, "message_id": "m1", "priority": 3});
    assert_eq!(message["properties"], properties);

    let take = r#"{"count":"1","ackmode":"ack_requeue_false","encoding":"base64","truncate":2}"#;
    let second = broker.post("/queues/%2F/q/get", take).await.json();
    assert_eq!((&second[0]["payload"], &second[0]["redelivered"]), (&json!("aGU="), &json!(true)));
    assert_eq!(second[0]["payload_bytes"], 5);
    assert_eq!(broker.post("/queues/%2F/q/get", peek).await.json(), json!([]));
}

#[tokio::test]
async fn an_exclusive_queue_is_listed_with_its_owner_and_left_alone() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    let queue = unique("mine");
    peer.call(1, declare(&queue).flag("exclusive")).await;
    let path = format!("/queues/%2F/{queue}");
    let found = broker.json(&path).await;
    assert_eq!(
        (&found["exclusive"], &found["owner_pid_details"]["peer_host"]),
        (&json!(true), &json!("127.0.0.1"))
    );
    let answer = broker.delete(&path).await;
    assert_eq!(answer.status, 400);
    assert!(answer.refusal().1.contains("405 RESOURCE_LOCKED"), "{answer:?}");
    assert_eq!(broker.get(&path).await.status, 200);
}

#[tokio::test]
async fn leases_tell_who_holds_which_message_since_when() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    let queue = unique("leased");
    peer.call(1, declare(&queue)).await;
    for body in ["first", "second", "third"] {
        peer.publish(1, publish("", &queue, body)).await;
    }
    peer.call(1, qos(1)).await;
    peer.call(1, consume(&queue, "holder")).await;
    peer.expect_delivery(1, "first").await;
    peer.send(1, get(&queue)).await;
    peer.expect_content(1, "basic.get-ok").await;
    let leases = broker.json(&format!("/queues/%2F/{queue}/leases")).await;
    assert_eq!(leases.as_array().unwrap().len(), 2);
    assert_eq!((&leases[0]["consumer_tag"], &leases[0]["delivery_tag"]), (&json!("holder"), &json!(1)));
    assert_eq!((&leases[1]["consumer_tag"], &leases[1]["delivery_tag"]), (&Value::Null, &json!(2)));
    assert_eq!(leases[1]["channel_details"]["number"], 1);
    assert_eq!(leases[0]["delivery_count"], 1);
    let since = leases[0]["leased_at"].as_u64().unwrap();
    assert!(since > 1_600_000_000_000);
    assert_eq!(leases[0]["expires_at"], since + 1_800_000, "half an hour, as in RabbitMQ");
}

#[tokio::test]
async fn a_queue_has_its_bindings_and_the_one_by_its_name() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    let queue = unique("bound");
    peer.call(1, declare(&queue)).await;
    peer.call(1, bind(&queue, "amq.topic", "a.*")).await;
    let bindings = broker.json(&format!("/queues/%2F/{queue}/bindings")).await;
    let sources: Vec<&Value> =
        bindings.as_array().unwrap().iter().map(|binding| &binding["source"]).collect();
    assert_eq!(sources, ["", "amq.topic"]);
    assert_eq!(
        (&bindings[1]["routing_key"], &bindings[1]["properties_key"]),
        (&json!("a.*"), &json!("a.%2A"))
    );
}

#[tokio::test]
async fn actions_of_mirrors_are_accepted_and_others_named() {
    let broker = Broker::start().await;
    broker.put("/queues/%2F/q", "{}").await;
    assert_eq!(broker.post("/queues/%2F/q/actions", r#"{"action":"sync"}"#).await.status, 204);
    let unknown = broker.post("/queues/%2F/q/actions", r#"{"action":"burn"}"#).await;
    assert_eq!((unknown.status, unknown.refusal().1.as_str()), (400, "Unknown action: burn"));
}

#[tokio::test]
async fn a_queue_is_paused_and_resumed_and_says_so() {
    let broker = Broker::start().await;
    broker.put("/queues/%2F/q", "{}").await;
    let act = async |action: &str| {
        broker.post("/queues/%2F/q/actions", &format!(r#"{{"action":"{action}"}}"#)).await.status
    };
    let state = async || broker.json("/queues/%2F/q").await["state"].clone();
    assert_eq!(state().await, "running");
    for (action, expected) in
        [("pause", "paused"), ("pause", "paused"), ("resume", "running"), ("pause", "paused")]
    {
        assert_eq!((act(action).await, state().await), (204, json!(expected)), "{action}");
    }
    assert_eq!(broker.json("/queues?columns=name,state").await, json!([{"name": "q", "state": "paused"}]));
    // An operator still sees what is there.
    let publish = r#"{"routing_key":"q","payload":"m","payload_encoding":"string","properties":{}}"#;
    broker.post("/exchanges/%2F/amq.default/publish", publish).await;
    let look = r#"{"count":1,"ackmode":"ack_requeue_true","encoding":"auto"}"#;
    assert_eq!(broker.post("/queues/%2F/q/get", look).await.json()[0]["payload"], "m");
    broker.put("/users/u", r#"{"password":"p","tags":"management"}"#).await;
    broker.put("/permissions/%2F/u", r#"{"configure":"","write":".*","read":".*"}"#).await;
    let body = r#"{"action":"resume"}"#;
    assert_eq!(broker.request_as("u:p", "POST", "/queues/%2F/q/actions", "", body).await.status, 403);
    assert_eq!(broker.post("/queues/%2F/none/actions", body).await.status, 404);
    assert_eq!(state().await, "paused");
}

#[tokio::test]
async fn a_durable_queue_stays_paused_over_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let start = async || Broker::start_with(|config| config.data_dir = Some(dir.path().join("data"))).await;
    let broker = start().await;
    for queue in ["paused", "running"] {
        broker.put(&format!("/queues/%2F/{queue}"), "{}").await;
        broker.post(&format!("/queues/%2F/{queue}/actions"), r#"{"action":"pause"}"#).await;
    }
    broker.post("/queues/%2F/running/actions", r#"{"action":"resume"}"#).await;
    broker.app.shutdown().await;
    let broker = start().await;
    for queue in ["paused", "running"] {
        assert_eq!(broker.json(&format!("/queues/%2F/{queue}")).await["state"], queue);
    }
    // Declared again it stays what it is.
    broker.put("/queues/%2F/paused", "{}").await;
    assert_eq!(broker.json("/queues/%2F/paused").await["state"], "paused");
}

#[tokio::test]
async fn dead_messages_that_wait_for_a_way_are_counted_and_listed() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    let queue = unique("careful");
    let method =
        declare(&queue).flag("durable").arg("x-queue-type", "quorum").arg("x-overflow", "reject-publish");
    let method =
        method.arg("x-dead-letter-exchange", "nowhere").arg("x-dead-letter-strategy", "at-least-once");
    peer.call(1, method).await;
    peer.publish(1, publish("", &queue, "m")).await;
    let got = peer.expect_get(1, &queue, "m").await;
    peer.send(1, reject(got.delivery_tag())).await;
    peer.expect_empty(1, &queue).await;
    let path = format!("/queues/%2F/{queue}");
    let found = broker.json(&path).await;
    assert_eq!(
        (&found["messages_dlx"], &found["messages_unacknowledged"], &found["messages"]),
        (&json!(1), &json!(0), &json!(1))
    );
    let leases = broker.json(&format!("{path}/leases")).await;
    assert_eq!((&leases[0]["dead"], &leases[0]["expires_at"]), (&json!(true), &Value::Null));
}

#[tokio::test]
async fn delayed_messages_tell_when_they_are_due_and_why() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    let queue = unique("later");
    let method = declare(&queue).flag("durable").arg("x-delayed-retry-type", "all");
    peer.call(1, method.arg("x-delayed-retry-min", 3_600_000_i64)).await;
    peer.publish(1, publish("", &queue, "comes back").property("delivery-mode", 2)).await;
    let later = publish("", &queue, "four").header("x-delay", 60_000_i32);
    peer.publish(1, later.property("message-id", "id 4")).await;
    let got = peer.expect_get(1, &queue, "comes back").await;
    peer.send(1, reject(got.delivery_tag()).flag("requeue")).await;
    peer.expect_empty(1, &queue).await;
    let path = format!("/queues/%2F/{queue}/delayed");
    let page = broker.json(&path).await;
    assert_eq!(
        (&page["item_count"], &page["total_count"], &page["next"]),
        (&json!(2), &json!(2), &Value::Null)
    );
    let (delay, retry) = (&page["items"][0], &page["items"][1]);
    assert_eq!((&delay["reason"], &delay["delivery_count"]), (&json!("delay"), &json!(0)));
    assert_eq!((&delay["message_id"], &delay["payload_bytes"]), (&json!("id 4"), &json!(4)));
    assert_eq!((&delay["exchange"], &delay["routing_key"]), (&json!(""), &json!(queue)));
    let (due_at, due_in) = (delay["due_at"].as_u64().unwrap(), delay["due_in"].as_u64().unwrap());
    assert!(due_in <= 60_000 && due_at > 1_600_000_000_000, "{delay}");
    assert_eq!((&retry["reason"], &retry["delivery_count"]), (&json!("retry"), &json!(1)));
    assert!(retry["due_at"].as_u64().unwrap() > due_at, "{retry}");
    assert!(!page.to_string().contains("comes back"), "no bodies");
}

#[tokio::test]
async fn many_delayed_messages_are_listed_a_page_at_a_time_also_from_the_disk() {
    let broker = Broker::start_with(|config| config.message_memory = 1).await;
    let mut peer = broker.channel().await;
    let queue = unique("many");
    peer.call(1, declare(&queue).flag("durable")).await;
    for number in 0..600_i32 {
        let delay = 3_600_000 + 60_000 * number;
        let message = publish("", &queue, "m").header("x-delay", delay);
        let message = message.property("delivery-mode", 2).property("message-id", &*number.to_string());
        peer.publish(1, message).await;
    }
    let path = format!("/queues/%2F/{queue}");
    broker.eventually(&path, |found| found["messages_delayed"] == 600).await;
    let (mut seen, mut after) = (Vec::new(), String::new());
    loop {
        let page = broker.json(&format!("{path}/delayed?page_size=77&after={after}")).await;
        let items = page["items"].as_array().unwrap();
        assert!(items.len() <= 77);
        seen.extend(items.iter().map(|item| item["message_id"].as_str().unwrap().parse::<i32>().unwrap()));
        let Some(next) = page["next"].as_str() else { break };
        after = next.to_owned();
    }
    seen.sort_unstable();
    assert_eq!(seen, (0..600).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_page_of_delayed_messages_that_cannot_be_is_refused_with_the_reason() {
    let broker = Broker::start().await;
    broker.put("/queues/%2F/q", "{}").await;
    for (query, said) in [
        ("page_size=0", "page_size=0 is not a number from 1 to 500"),
        ("page_size=501", "page_size=501 is not a number from 1 to 500"),
        ("page_size=x", "page_size=x is not a number from 1 to 500"),
        ("after=there", "after=there is not the 'next' of a page before; leave it out to begin"),
    ] {
        let answer = broker.get(&format!("/queues/%2F/q/delayed?{query}")).await;
        assert_eq!((answer.status, answer.refusal().1.as_str()), (400, said));
    }
    assert_eq!(broker.get("/queues/%2F/nothing/delayed").await.status, 404);
    assert_eq!(broker.json("/queues/%2F/q/delayed").await["items"], json!([]));
}
