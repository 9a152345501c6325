//! Users, permissions, virtual hosts and limits; and what each tag lets a user see and do.

use crate::http::Broker;
use serde_json::json;

/// Makes a user with these tags who may do everything in `/`.
async fn add_user(broker: &Broker, name: &str, tags: &str) {
    let body = format!(r#"{{"password":"secret","tags":"{tags}"}}"#);
    assert_eq!(broker.put(&format!("/users/{name}"), &body).await.status, 201);
    let all = r#"{"configure":".*","write":".*","read":".*"}"#;
    assert_eq!(broker.put(&format!("/permissions/%2F/{name}"), all).await.status, 201);
}

#[tokio::test]
async fn each_tag_opens_its_routes_and_no_others() {
    let broker = Broker::start().await;
    for (name, tags) in [
        ("nobody", ""),
        ("manager", "management"),
        ("policies", "policymaker"),
        ("monitor", "monitoring"),
        ("admin", "administrator"),
    ] {
        add_user(&broker, name, tags).await;
    }
    broker.put("/queues/%2F/q", "{}").await;
    let who = ["nobody", "manager", "policies", "monitor", "admin"];
    for (path, expected) in [
        ("/overview", [403, 200, 200, 200, 200]),
        ("/whoami", [403, 200, 200, 200, 200]),
        ("/queues/%2F/q", [403, 200, 200, 200, 200]),
        ("/exchanges", [403, 200, 200, 200, 200]),
        ("/bindings", [403, 200, 200, 200, 200]),
        ("/connections", [403, 200, 200, 200, 200]),
        ("/consumers", [403, 200, 200, 200, 200]),
        ("/vhosts", [403, 200, 200, 200, 200]),
        ("/health/checks/alarms", [403, 200, 200, 200, 200]),
        ("/nodes", [403, 403, 403, 200, 200]),
        ("/policies", [403, 403, 200, 200, 200]),
        ("/operator-policies/%2F", [403, 403, 200, 200, 200]),
        ("/parameters", [403, 403, 200, 200, 200]),
        ("/global-parameters", [403, 403, 200, 200, 200]),
        ("/users", [403, 403, 403, 403, 200]),
        ("/users/without-permissions", [403, 403, 403, 403, 200]),
        ("/permissions", [403, 403, 403, 403, 200]),
        ("/topic-permissions", [403, 403, 403, 403, 200]),
        ("/user-limits", [403, 403, 403, 403, 200]),
        ("/definitions", [403, 403, 403, 403, 200]),
    ] {
        for (name, expected) in who.iter().zip(expected) {
            let answer = broker.request_as(&format!("{name}:secret"), "GET", path, "", "").await;
            assert_eq!(answer.status, expected, "{name} GET {path}");
            if expected == 403 {
                assert_eq!(answer.refusal().0, "not_authorised");
            }
        }
        assert_eq!(broker.request_as("admin:wrong", "GET", path, "", "").await.status, 401, "{path}");
    }
}

#[tokio::test]
async fn only_an_administrator_changes_accounts() {
    let broker = Broker::start().await;
    add_user(&broker, "monitor", "monitoring").await;
    for (method, path, body) in [
        ("PUT", "/users/new", r#"{"password":"x","tags":""}"#),
        ("DELETE", "/users/guest", ""),
        ("PUT", "/vhosts/new", "{}"),
        ("DELETE", "/vhosts/%2F", ""),
        ("PUT", "/permissions/%2F/monitor", r#"{"configure":"","write":"","read":""}"#),
        ("DELETE", "/permissions/%2F/guest", ""),
        ("PUT", "/user-limits/guest/max-connections", r#"{"value":0}"#),
        ("PUT", "/vhost-limits/%2F/max-queues", r#"{"value":0}"#),
        ("POST", "/definitions", "{}"),
        ("DELETE", "/reset", ""),
        ("POST", "/users/bulk-delete", r#"{"users":["guest"]}"#),
        ("PUT", "/policies/%2F/p", r#"{"pattern":"","definition":{"expires":1}}"#),
        ("PUT", "/operator-policies/%2F/p", r#"{"pattern":"","definition":{"expires":1}}"#),
        ("PUT", "/parameters/vhost-limits/%2F/limits", r#"{"value":{"max-queues":0}}"#),
        ("PUT", "/global-parameters/g", r#"{"value":1}"#),
    ] {
        let answer = broker.request_as("monitor:secret", method, path, "", body).await;
        assert_eq!((answer.status, answer.refusal().0.as_str()), (403, "not_authorised"), "{method} {path}");
    }
    assert_eq!(broker.get("/users/guest").await.status, 200, "nothing has changed");
}

#[tokio::test]
async fn a_manager_sees_its_own_vhosts_and_connections_only() {
    let broker = Broker::start().await;
    broker.put("/vhosts/other", "{}").await;
    add_user(&broker, "manager", "management").await;
    let _peer = broker.channel().await;
    let get = async |path: &str| broker.request_as("manager:secret", "GET", path, "", "").await;
    assert_eq!(get("/connections").await.json(), json!([]), "guest's connection is not shown");
    assert_eq!(get("/vhosts?columns=name").await.json(), json!([{"name": "/"}]));
    assert_eq!(get("/queues/other").await.status, 403);
    let name = broker.json("/connections").await[0]["name"]
        .as_str()
        .unwrap()
        .replace(' ', "%20")
        .replace('>', "%3E");
    assert_eq!(get(&format!("/connections/{name}")).await.status, 403);
    let end = broker.request_as("manager:secret", "DELETE", &format!("/connections/{name}"), "", "").await;
    assert_eq!(end.status, 403);
    assert_eq!(get("/permissions/%2F/manager").await.status, 200, "its own permissions are no secret");
    assert_eq!(get("/users/manager/permissions").await.json().as_array().unwrap().len(), 1);
    assert_eq!(get("/permissions/%2F/guest").await.status, 403);
}

#[tokio::test]
async fn permissions_hold_for_requests_as_for_channels() {
    let broker = Broker::start().await;
    broker.put("/users/limited", r#"{"password":"secret","tags":"management"}"#).await;
    broker
        .put("/permissions/%2F/limited", r#"{"configure":"^mine-","write":"^mine-","read":"^mine-"}"#)
        .await;
    let put = async |path: &str| broker.request_as("limited:secret", "PUT", path, "", "{}").await.status;
    assert_eq!(put("/queues/%2F/mine-1").await, 201);
    assert_eq!(put("/queues/%2F/yours").await, 403);
    assert_eq!(broker.get("/queues/%2F/yours").await.status, 404);
    let publish = r#"{"routing_key":"k","payload":"","payload_encoding":"string","properties":{}}"#;
    let path = "/exchanges/%2F/amq.direct/publish";
    assert_eq!(broker.request_as("limited:secret", "POST", path, "", publish).await.status, 403);
}

#[tokio::test]
async fn a_user_is_made_changed_and_removed() {
    let broker = Broker::start().await;
    let body = r#"{"password":"one","tags":["monitoring","custom"]}"#;
    assert_eq!(broker.put("/users/alice", body).await.status, 201);
    let alice = broker.json("/users/alice").await;
    assert_eq!((&alice["name"], &alice["tags"]), (&json!("alice"), &json!(["monitoring", "custom"])));
    assert!(!alice["password_hash"].as_str().unwrap().is_empty());
    assert_eq!(broker.put("/users/alice", r#"{"password":"two","tags":"administrator"}"#).await.status, 204);
    assert_eq!(broker.request_as("alice:one", "GET", "/whoami", "", "").await.status, 401);
    let whoami = broker.request_as("alice:two", "GET", "/whoami", "", "").await.json();
    assert_eq!(whoami["tags"], json!(["administrator"]));
    assert_eq!(broker.json("/users/without-permissions").await[0]["name"], "alice");
    assert_eq!(broker.delete("/users/alice").await.status, 204);
    assert_eq!(broker.get("/users/alice").await.status, 404);
    assert_eq!(broker.delete("/users/alice").await.status, 404);
    for body in [
        "{}",
        r#"{"tags":7}"#,
        r#"{"password":"","tags":""}"#,
        r#"{"password":"a","password_hash":"b","tags":""}"#,
    ] {
        assert_eq!(broker.put("/users/bob", body).await.status, 400, "{body}");
    }
    assert_eq!(broker.get("/users/bob").await.status, 404);
}

#[tokio::test]
async fn a_user_with_rabbitmqs_hash_logs_in_with_the_password() {
    let broker = Broker::start().await;
    // "test12", salted with 908dc60a: the example of RabbitMQ's documentation.
    let body = r#"{"password_hash":"kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2POR","tags":"management"}"#;
    assert_eq!(broker.put("/users/old", body).await.status, 201);
    assert_eq!(broker.request_as("old:test12", "GET", "/whoami", "", "").await.status, 200);
}

#[tokio::test]
async fn permissions_are_set_and_taken_away() {
    let broker = Broker::start().await;
    broker.put("/users/alice", r#"{"password":"x","tags":""}"#).await;
    let body = r#"{"configure":"^a","write":".*","read":""}"#;
    assert_eq!(broker.put("/permissions/%2F/alice", body).await.status, 201);
    assert_eq!(broker.put("/permissions/%2F/alice", body).await.status, 204);
    let expected = json!({"user": "alice", "vhost": "/", "configure": "^a", "write": ".*", "read": ""});
    assert_eq!(broker.json("/permissions/%2F/alice").await, expected);
    assert_eq!(broker.json("/users/alice/permissions").await[0], expected);
    assert!(broker.json("/vhosts/%2F/permissions").await.as_array().unwrap().contains(&expected));
    assert_eq!(broker.delete("/permissions/%2F/alice").await.status, 204);
    assert_eq!(broker.delete("/permissions/%2F/alice").await.status, 404);
    assert_eq!(broker.put("/permissions/%2F/nobody", body).await.status, 404);
    assert_eq!(broker.put("/permissions/nowhere/alice", body).await.status, 404);
    let bad = broker.put("/permissions/%2F/alice", r#"{"configure":"(","write":"","read":""}"#).await;
    assert_eq!(bad.status, 400, "{bad:?}");
}

#[tokio::test]
async fn topic_permissions_are_set_and_lifted() {
    let broker = Broker::start().await;
    let body = r#"{"exchange":"amq.topic","write":"^a","read":"^b"}"#;
    assert_eq!(broker.put("/topic-permissions/%2F/guest", body).await.status, 201);
    assert_eq!(broker.put("/topic-permissions/%2F/guest", body).await.status, 204);
    let expected =
        json!([{"user": "guest", "vhost": "/", "exchange": "amq.topic", "write": "^a", "read": "^b"}]);
    for path in [
        "/topic-permissions",
        "/topic-permissions/%2F/guest",
        "/users/guest/topic-permissions",
        "/vhosts/%2F/topic-permissions",
    ] {
        assert_eq!(broker.json(path).await, expected, "{path}");
    }
    assert_eq!(broker.delete("/topic-permissions/%2F/guest/amq.topic").await.status, 204);
    assert_eq!(broker.delete("/topic-permissions/%2F/guest").await.status, 404);
}

#[tokio::test]
async fn a_vhost_is_made_described_and_removed_with_its_connections() {
    let broker = Broker::start().await;
    let body = r#"{"description":"of the test","tags":"a,b","default_queue_type":"quorum"}"#;
    assert_eq!(broker.put("/vhosts/new%2Fone", body).await.status, 201);
    assert_eq!(broker.put("/vhosts/new%2Fone", body).await.status, 204);
    let vhost = broker.json("/vhosts/new%2Fone").await;
    assert_eq!((&vhost["description"], &vhost["tags"]), (&json!("of the test"), &json!(["a", "b"])));
    assert_eq!(vhost["metadata"]["default_queue_type"], "quorum");
    assert_eq!(broker.put("/vhosts/x", r#"{"default_queue_type":"none"}"#).await.status, 400);
    let all = r#"{"configure":".*","write":".*","read":".*"}"#;
    broker.put("/permissions/new%2Fone/guest", all).await;
    assert_eq!(broker.put("/queues/new%2Fone/q", "{}").await.status, 201);
    assert_eq!(broker.delete("/vhosts/new%2Fone").await.status, 204);
    assert_eq!(broker.get("/vhosts/new%2Fone").await.status, 404);
    assert_eq!(broker.get("/queues/new%2Fone/q").await.status, 404);
}

#[tokio::test]
async fn a_vhost_keeps_its_durability_until_something_else_is_asked_for() {
    let broker = Broker::start().await;
    let durability = async || {
        let vhost = broker.json("/vhosts/v").await;
        (vhost["durability"].clone(), vhost["metadata"]["durability"].clone())
    };
    for (body, held, declared) in [
        ("{}", json!("fsync"), json!(null)),
        (r#"{"durability":"os"}"#, json!("os"), json!("os")),
        (r#"{"description":"another"}"#, json!("os"), json!("os")),
        (r#"{"durability":"fsync"}"#, json!("fsync"), json!("fsync")),
        (r#"{"durability":null}"#, json!("fsync"), json!(null)),
    ] {
        assert!(broker.put("/vhosts/v", body).await.status < 300, "{body}");
        assert_eq!(durability().await, (held, declared), "{body}");
    }
    for body in [r#"{"durability":"never"}"#, r#"{"durability":1}"#] {
        assert_eq!(broker.put("/vhosts/v", body).await.status, 400, "{body}");
    }
    let (error, reason) = broker.put("/vhosts/v", r#"{"durability":"never"}"#).await.refusal();
    assert_eq!(error, "bad_request");
    assert!(reason.contains("durability 'never' is neither 'fsync' nor 'os'"), "{reason}");
}

#[tokio::test]
async fn limits_are_set_listed_and_cleared() {
    let broker = Broker::start().await;
    for (route, owner, key) in [("vhost-limits", "%2F", "vhost"), ("user-limits", "guest", "user")] {
        assert_eq!(broker.json(&format!("/{route}")).await, json!([]));
        let path = format!("/{route}/{owner}/max-connections");
        assert_eq!(broker.put(&path, r#"{"value":5}"#).await.status, 204);
        let list = broker.json(&format!("/{route}/{owner}")).await;
        assert_eq!(list[0]["value"], json!({"max-connections": 5}));
        assert!(list[0][key].is_string());
        assert_eq!(broker.put(&path, r#"{"value":"x"}"#).await.status, 400);
        assert_eq!(broker.put(&format!("/{route}/{owner}/max-cats"), r#"{"value":1}"#).await.status, 400);
        assert_eq!(broker.delete(&path).await.status, 204);
        assert_eq!(broker.json(&format!("/{route}")).await, json!([]));
    }
    assert_eq!(broker.put("/vhost-limits/nowhere/max-queues", r#"{"value":1}"#).await.status, 404);
}
