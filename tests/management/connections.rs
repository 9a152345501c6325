//! Connections and channels: listed at once, closed with a reason, counted.

use crate::http::Broker;
use crate::support::{confirm_select, declare, publish, qos, unique};
use serde_json::json;

fn encoded(name: &str) -> String {
    name.replace(' ', "%20").replace('>', "%3E")
}

#[tokio::test]
async fn a_connection_is_listed_at_once_with_its_name() {
    let broker = Broker::start().await;
    let _peer = broker.channel().await;
    let list = broker.json("/connections").await;
    let connection = &list[0];
    assert_eq!(connection["client_properties"]["connection_name"], "dialogue");
    assert_eq!(connection["client_properties"]["capabilities"]["basic.nack"], true);
    assert_eq!((&connection["user"], &connection["vhost"]), (&json!("guest"), &json!("/")));
    assert_eq!((&connection["state"], &connection["channels"]), (&json!("running"), &json!(1)));
    assert_eq!(
        (&connection["protocol"], &connection["auth_mechanism"]),
        (&json!("AMQP 0-9-1"), &json!("PLAIN"))
    );
    assert_eq!((&connection["channel_max"], &connection["frame_max"]), (&json!(2047), &json!(131_072)));
    assert!(connection["recv_oct"].as_u64().unwrap() > 0);
    let name = connection["name"].as_str().unwrap();
    let one = broker.json(&format!("/connections/{}", encoded(name))).await;
    assert_eq!(one["name"], name);
    assert_eq!(broker.json("/vhosts/%2F/connections").await[0]["name"], name);
    assert_eq!(broker.json("/connections/username/guest").await[0]["name"], name);
    assert_eq!(broker.get("/connections/nobody").await.status, 404);
}

#[tokio::test]
async fn an_operator_closes_a_connection_and_says_why() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    let name = broker.json("/connections").await[0]["name"].as_str().unwrap().to_owned();
    let path = format!("/connections/{}", encoded(&name));
    let answer = broker.request_as("guest:guest", "DELETE", &path, "X-Reason: time to go\r\n", "").await;
    assert_eq!(answer.status, 204);
    let close = peer.expect(0, "connection.close").await;
    assert_eq!(
        (close.number("reply-code"), close.text("reply-text")),
        (320, "CONNECTION_FORCED - time to go".into())
    );
    broker.eventually("/connections", |list| list == &json!([])).await;
    assert_eq!(broker.delete(&path).await.status, 404);
}

#[tokio::test]
async fn all_connections_of_a_user_are_closed() {
    let broker = Broker::start().await;
    let mut peers = [broker.channel().await, broker.channel().await];
    assert_eq!(broker.delete("/connections/username/guest").await.status, 204);
    for peer in &mut peers {
        let close = peer.expect(0, "connection.close").await;
        assert_eq!(close.text("reply-text"), "CONNECTION_FORCED - Closed via management plugin");
    }
}

#[tokio::test]
async fn a_channel_tells_its_mode_and_what_it_counted() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    let queue = unique("counted");
    peer.call(1, declare(&queue)).await;
    peer.call(1, qos(7)).await;
    peer.call(1, confirm_select()).await;
    peer.publish(1, publish("", &queue, "x")).await;
    peer.expect_confirm(1, 1).await;
    peer.open(2).await;
    let list = broker.json("/channels").await;
    assert_eq!(list.as_array().unwrap().len(), 2);
    let channel = &list[0];
    assert_eq!(
        (&channel["number"], &channel["confirm"], &channel["prefetch_count"]),
        (&json!(1), &json!(true), &json!(7))
    );
    assert_eq!(
        (&channel["message_stats"]["publish"], &channel["message_stats"]["confirm"]),
        (&json!(1), &json!(1))
    );
    assert_eq!((&list[1]["number"], &list[1]["confirm"]), (&json!(2), &json!(false)));
    let name = channel["name"].as_str().unwrap();
    assert_eq!(broker.json(&format!("/channels/{}", encoded(name))).await["number"], 1);
    let connection = channel["connection_details"]["name"].as_str().unwrap();
    let of_connection = broker.json(&format!("/connections/{}/channels", encoded(connection))).await;
    assert_eq!(of_connection.as_array().unwrap().len(), 2);
    assert_eq!(broker.json("/vhosts/%2F/channels").await.as_array().unwrap().len(), 2);
}
