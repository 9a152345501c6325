//! What each method needs: the permission that is missing is named in RabbitMQ's words, and nothing else is needed.

use std::sync::Arc;

use lepus::broker::{Broker as Administered, NewPassword};
use lepus::metadata::{PermissionDefinition, TopicPermissionDefinition};
use lepus::name::Name;

use crate::support::*;

const USER: &str = "alice";

/// A method that is tried, and what it needs: access, kind of resource, name.
struct Case {
    what: &'static str,
    method: Method,
    needs: &'static [(&'static str, &'static str, &'static str)],
}

fn case(
    what: &'static str,
    method: Method,
    needs: &'static [(&'static str, &'static str, &'static str)],
) -> Case {
    Case { what, method, needs }
}

/// All methods that permissions are for. `q` is a queue, `x` and `y` are exchanges that are there.
fn matrix() -> Vec<Case> {
    let dead_letter = || declare("dlq").flag("exclusive").arg("x-dead-letter-exchange", "x");
    let alternate = || declare_exchange("ax", "fanout").arg("alternate-exchange", "x");
    vec![
        case("declare a queue", declare("new").flag("exclusive"), &[("configure", "queue", "new")]),
        case("declare it again", declare("q").flag("durable"), &[("configure", "queue", "q")]),
        case(
            "declare a dead-lettering queue",
            dead_letter(),
            &[("configure", "queue", "dlq"), ("read", "queue", "dlq"), ("write", "exchange", "x")],
        ),
        case("delete a queue", delete("gone"), &[("configure", "queue", "gone")]),
        case("declare an exchange", declare_exchange("nx", "fanout"), &[("configure", "exchange", "nx")]),
        case(
            "declare an exchange with an alternate",
            alternate(),
            &[("configure", "exchange", "ax"), ("read", "exchange", "ax"), ("write", "exchange", "x")],
        ),
        case("delete an exchange", delete_exchange("nx"), &[("configure", "exchange", "nx")]),
        case("bind a queue", bind("q", "x", "k"), &[("write", "queue", "q"), ("read", "exchange", "x")]),
        case("unbind a queue", unbind("q", "x", "k"), &[("write", "queue", "q"), ("read", "exchange", "x")]),
        case(
            "bind an exchange",
            bind_exchange("y", "x", "k"),
            &[("write", "exchange", "y"), ("read", "exchange", "x")],
        ),
        case(
            "unbind an exchange",
            unbind_exchange("y", "x", "k"),
            &[("write", "exchange", "y"), ("read", "exchange", "x")],
        ),
        case("consume", consume("q", "").flag("no-wait"), &[("read", "queue", "q")]),
        case("get", get("q"), &[("read", "queue", "q")]),
        case("purge", purge("q"), &[("read", "queue", "q")]),
    ]
}

/// Permissions for exactly these names.
fn only(needs: &[(&str, &str, &str)]) -> PermissionDefinition {
    let pattern = |access: &str| {
        let names: Vec<_> =
            needs.iter().filter(|(needed, ..)| *needed == access).map(|(_, _, name)| *name).collect();
        if names.is_empty() { String::new() } else { format!("^({})$", names.join("|")) }
    };
    PermissionDefinition { configure: pattern("configure"), write: pattern("write"), read: pattern("read") }
}

async fn permit(inner: &Arc<Administered>, needs: &[(&str, &str, &str)]) {
    inner.put_permission(&Name::from("/"), &Name::from(USER), only(needs)).await.unwrap();
}

fn refused(access: &str, kind: &str, name: &str) -> String {
    format!("ACCESS_REFUSED - {access} access to {kind} '{name}' in vhost '/' refused for user '{USER}'")
}

/// A broker with the user, who may do nothing, and what the matrix works on.
async fn prepared() -> Option<(Broker, Arc<Administered>)> {
    let (broker, inner) = Broker::start_administered().await?;
    inner.put_user(&Name::from(USER), NewPassword::Clear(b"pw".to_vec()), Vec::new()).await.unwrap();
    permit(&inner, &[]).await;
    let mut guest = broker.channel().await;
    guest.call(1, declare("q").flag("durable")).await;
    guest.call(1, declare_exchange("x", "topic")).await;
    guest.call(1, declare_exchange("y", "fanout")).await;
    guest.close().await;
    Some((broker, inner))
}

#[tokio::test]
async fn each_method_is_refused_for_each_permission_that_is_missing_and_done_with_all_of_them() {
    let Some((broker, inner)) = prepared().await else { return };
    let mut peer = broker.channel_as(USER, "pw").await;
    for Case { what, method, needs } in matrix() {
        for (missing, (access, kind, name)) in needs.iter().enumerate() {
            let mut others = needs.to_vec();
            others.remove(missing);
            permit(&inner, &others).await;
            println!("{what} without {access} on {name}");
            peer.expect_refusal(1, method.clone(), 403, &refused(access, kind, name)).await;
        }
        permit(&inner, needs).await;
        println!("{what} with all it needs");
        peer.send(1, method).await;
        // Whatever was answered, the channel is open.
        peer.send(1, qos(0)).await;
        while peer.expect_method(1).await.name != "basic.qos-ok" {}
    }
}

#[tokio::test]
async fn a_publish_needs_write_on_its_exchange() {
    let Some((broker, inner)) = prepared().await else { return };
    let mut peer = broker.channel_as(USER, "pw").await;
    for (exchange, resource) in [("x", "x"), ("", "amq.default")] {
        permit(&inner, &[]).await;
        peer.publish(1, publish(exchange, "q", "m")).await;
        peer.expect_channel_close(1, 403, &refused("write", "exchange", resource), (60, 40)).await;
        peer.open(1).await;
        let needs = [("write", "exchange", resource)];
        permit(&inner, &needs).await;
        peer.call(1, Method::new("confirm.select")).await;
        peer.publish(1, publish(exchange, "q", "m")).await;
        peer.expect_confirm(1, 1).await;
        // The channel knows that it may; it learns that it may not any more.
        permit(&inner, &[]).await;
        peer.publish(1, publish(exchange, "q", "m")).await;
        peer.expect_channel_close(1, 403, &refused("write", "exchange", resource), (60, 40)).await;
        peer.open(1).await;
    }
}

#[tokio::test]
async fn asking_whether_something_is_there_needs_any_permission_on_it() {
    let Some((broker, inner)) = prepared().await else { return };
    let mut peer = broker.channel_as(USER, "pw").await;
    let asked =
        [(passive("q"), "queue", "q"), (declare_exchange("x", "topic").flag("passive"), "exchange", "x")];
    for (method, kind, name) in asked {
        permit(&inner, &[]).await;
        peer.expect_refusal(1, method.clone(), 403, &refused("configure", kind, name)).await;
        for access in ["configure", "write", "read"] {
            permit(&inner, &[(access, kind, name)]).await;
            peer.call(1, method.clone()).await;
        }
    }
}

#[tokio::test]
async fn a_name_that_the_broker_makes_up_is_checked_too() {
    let Some((broker, inner)) = prepared().await else { return };
    let mut peer = broker.channel_as(USER, "pw").await;
    peer.send(1, declare("").flag("exclusive")).await;
    let close = peer.expect(1, "channel.close").await;
    assert!(close.text("reply-text").starts_with("ACCESS_REFUSED - configure access to queue 'amq.gen-"));
    peer.send(1, Method::new("channel.close-ok")).await;
    peer.open(1).await;
    let definition = PermissionDefinition { configure: "^amq\\.gen-.*$".into(), ..only(&[]) };
    inner.put_permission(&Name::from("/"), &Name::from(USER), definition).await.unwrap();
    peer.call(1, declare("").flag("exclusive")).await;
}

#[tokio::test]
async fn topic_permissions_restrict_routing_keys_at_topic_exchanges() {
    let Some((broker, inner)) = prepared().await else { return };
    let all = PermissionDefinition { configure: ".*".into(), write: ".*".into(), read: ".*".into() };
    let (vhost, user) = (Name::from("/"), Name::from(USER));
    inner.put_permission(&vhost, &user, all).await.unwrap();
    let own = TopicPermissionDefinition { write: "^{username}\\.".into(), read: "^({vhost}|all)".into() };
    for exchange in ["x", "y"] {
        inner.put_topic_permission(&vhost, &user, &Name::from(exchange), own.clone()).await.unwrap();
    }
    let mut peer = broker.channel_as(USER, "pw").await;
    let text = |access: &str, key: &str| {
        format!(
            "ACCESS_REFUSED - {access} access to topic '{key}' in exchange 'x' in vhost '/' refused for user 'alice'"
        )
    };
    peer.expect_refusal(1, bind("q", "x", "bob.#"), 403, &text("read", "bob.#")).await;
    peer.expect_refusal(1, unbind("q", "x", "bob.#"), 403, &text("read", "bob.#")).await;
    peer.expect_refusal(1, bind_exchange("y", "x", "bob.#"), 403, &text("read", "bob.#")).await;
    peer.call(1, bind("q", "x", "all.#")).await;
    peer.publish(1, publish("x", "bob.mail", "m")).await;
    peer.expect_channel_close(1, 403, &text("write", "bob.mail"), (60, 40)).await;
    peer.open(1).await;
    let copies = Table::default().with("CC", Value::Array(vec![Value::from("bob.mail")]));
    peer.publish(1, publish("x", "alice.mail", "m").property("headers", copies)).await;
    peer.expect_channel_close(1, 403, &text("write", "bob.mail"), (60, 40)).await;
    peer.open(1).await;
    // Its own keys, and any key at an exchange that knows no topics, as a restriction there means nothing.
    peer.publish(1, publish("x", "alice.mail", "m")).await;
    peer.publish(1, publish("y", "bob.mail", "m")).await;
    peer.call(1, bind("q", "y", "bob.#")).await;
    // Lifted, it takes effect with the next publish.
    assert_eq!(inner.delete_topic_permissions(&vhost, &user, Some(&Name::from("x"))).await, Ok(1));
    peer.publish(1, publish("x", "bob.mail", "m")).await;
    peer.call(1, qos(0)).await;
}

#[tokio::test]
async fn an_impersonator_may_say_that_a_message_is_anothers() {
    let Some((broker, inner)) = prepared().await else { return };
    permit(&inner, &[("write", "exchange", "amq.default")]).await;
    let mut peer = broker.channel_as(USER, "pw").await;
    let claim = || publish("", "q", "m").property("user-id", "bob");
    peer.publish(1, claim()).await;
    let text = "PRECONDITION_FAILED - user_id property set to 'bob' but authenticated user was 'alice'";
    peer.expect_channel_close(1, 406, text, (60, 40)).await;
    peer.open(1).await;
    let password = NewPassword::Clear(b"pw".to_vec());
    inner.put_user(&Name::from(USER), password, vec!["impersonator".to_owned()]).await.unwrap();
    peer.publish(1, claim()).await;
    peer.call(1, qos(0)).await;
}
