//! Changes by an operator while clients are connected: limits, and users and virtual hosts that go.

use std::sync::Arc;

use lepus::broker::{Broker as Administered, NewPassword, VhostDeclaration};
use lepus::metadata::PermissionDefinition;
use lepus::name::Name;

use crate::support::peer::tune_ok;
use crate::support::*;

const USER: &str = "alice";

fn all() -> PermissionDefinition {
    PermissionDefinition { configure: ".*".into(), write: ".*".into(), read: ".*".into() }
}

/// A broker with a user who may do everything in `/` and in `shop`.
async fn prepared() -> Option<(Broker, Arc<Administered>)> {
    let (broker, inner) = Broker::start_administered().await?;
    let user = Name::from(USER);
    inner.put_user(&user, NewPassword::Clear(b"pw".to_vec()), Vec::new()).await.unwrap();
    assert_eq!(inner.put_vhost(&Name::from("shop"), VhostDeclaration::default()).await, Ok(true));
    for vhost in ["/", "shop"] {
        assert_eq!(inner.put_permission(&Name::from(vhost), &user, all()).await, Ok(true));
    }
    Some((broker, inner))
}

/// A connection of the user that has come as far as connection.open.
async fn tuned(broker: &Broker) -> Peer {
    let mut peer = broker.dial().await;
    let tune = peer.log_in(&Credentials::plain(USER, "pw")).await;
    peer.send(0, tune_ok(&tune)).await;
    peer
}

async fn expect_no_entry(broker: &Broker, vhost: &str, text: &str) {
    let method = Method::new("connection.open").set("virtual-host", vhost);
    tuned(broker).await.expect_hard_error(0, method, 530, text).await;
}

#[tokio::test]
async fn a_virtual_host_is_closed_to_who_has_no_permissions_there() {
    let Some((broker, inner)) = prepared().await else { return };
    let (vhost, user) = (Name::from("/"), Name::from(USER));
    assert_eq!(inner.delete_permission(&vhost, &user).await, Ok(true));
    expect_no_entry(&broker, "/", "NOT_ALLOWED - access to vhost '/' refused for user 'alice'").await;
    expect_no_entry(&broker, "nowhere", "NOT_ALLOWED - vhost nowhere not found").await;
    tuned(&broker).await.open_vhost("shop").await;
}

#[tokio::test]
async fn virtual_hosts_do_not_see_each_other() {
    let Some((broker, _inner)) = prepared().await else { return };
    let mut shop = tuned(&broker).await;
    shop.open_vhost("shop").await;
    shop.open(1).await;
    shop.call(1, declare("q")).await;
    let mut root = broker.channel_as(USER, "pw").await;
    root.expect_refusal(1, passive("q"), 404, "NOT_FOUND - no queue 'q' in vhost '/'").await;
}

#[tokio::test]
async fn a_deleted_virtual_host_takes_its_connections_and_its_content_along() {
    let Some((broker, inner)) = prepared().await else { return };
    let shop = Name::from("shop");
    let mut inside = tuned(&broker).await;
    inside.open_vhost("shop").await;
    inside.open(1).await;
    inside.call(1, declare("q").flag("durable")).await;
    let mut outside = broker.channel_as(USER, "pw").await;
    assert_eq!(inner.delete_vhost(&shop).await, Ok(()));
    inside.expect_connection_close(320, "CONNECTION_FORCED - vhost 'shop' is deleted", (0, 0)).await;
    outside.call(1, qos(0)).await;
    expect_no_entry(&broker, "shop", "NOT_ALLOWED - vhost shop not found").await;
    assert!(inner.delete_vhost(&shop).await.is_err());
    // A new one of the same name is empty, and nobody has permissions there.
    assert_eq!(inner.put_vhost(&shop, VhostDeclaration::default()).await, Ok(true));
    expect_no_entry(&broker, "shop", "NOT_ALLOWED - access to vhost 'shop' refused for user 'alice'").await;
    inner.put_permission(&shop, &Name::from(USER), all()).await.unwrap();
    let mut inside = tuned(&broker).await;
    inside.open_vhost("shop").await;
    inside.open(1).await;
    inside.expect_refusal(1, passive("q"), 404, "NOT_FOUND - no queue 'q' in vhost 'shop'").await;
}

#[tokio::test]
async fn a_deleted_user_is_disconnected_and_may_not_come_back() {
    let Some((broker, inner)) = prepared().await else { return };
    let mut peer = broker.channel_as(USER, "pw").await;
    let mut guest = broker.channel().await;
    assert_eq!(inner.delete_user(&Name::from(USER)).await, Ok(()));
    peer.expect_connection_close(320, "CONNECTION_FORCED - user 'alice' is deleted", (0, 0)).await;
    guest.call(1, qos(0)).await;
    let mut again = broker.dial().await;
    again.receive_start().await;
    again.send(0, Credentials::plain(USER, "pw").start_ok()).await;
    assert_eq!(again.expect_end().await, Some(403));
}

#[tokio::test]
async fn a_new_password_counts_at_the_next_login() {
    let Some((broker, inner)) = prepared().await else { return };
    let mut peer = broker.channel_as(USER, "pw").await;
    inner.put_user(&Name::from(USER), NewPassword::Clear(b"new".to_vec()), Vec::new()).await.unwrap();
    peer.call(1, qos(0)).await;
    broker.channel_as(USER, "new").await;
    let mut old = broker.dial().await;
    old.receive_start().await;
    old.send(0, Credentials::plain(USER, "pw").start_ok()).await;
    assert_eq!(old.expect_end().await, Some(403));
}

#[tokio::test]
async fn connections_of_a_user_and_to_a_virtual_host_are_limited() {
    let Some((broker, inner)) = prepared().await else { return };
    let (root, user) = (Name::from("/"), Name::from(USER));
    inner.change_user_limits(&user, |limits| limits.max_connections = Some(1)).await.unwrap();
    let first = broker.channel_as(USER, "pw").await;
    let text = "NOT_ALLOWED - connection refused for user 'alice': user connection limit (1) is reached";
    expect_no_entry(&broker, "shop", text).await;
    inner.change_vhost_limits(&root, |limits| limits.max_connections = Some(1)).await.unwrap();
    let text = "NOT_ALLOWED - access to vhost '/' refused for user 'alice': connection limit (1) is reached";
    expect_no_entry(&broker, "/", text).await;
    first.close().await;
    inner.change_user_limits(&user, |limits| limits.max_connections = None).await.unwrap();
    inner.change_vhost_limits(&root, |limits| limits.max_connections = Some(-1)).await.unwrap();
    for _ in 0..2 {
        broker.channel_as(USER, "pw").await;
    }
}

#[tokio::test]
async fn channels_of_a_user_are_limited_over_all_connections() {
    let Some((broker, inner)) = prepared().await else { return };
    let user = Name::from(USER);
    inner.change_user_limits(&user, |limits| limits.max_channels = Some(2)).await.unwrap();
    let mut one = broker.channel_as(USER, "pw").await;
    let mut other = broker.channel_as(USER, "pw").await;
    one.call(1, Method::new("channel.close").set("reply-code", 200)).await;
    other.open(2).await;
    let text = "NOT_ALLOWED - number of channels opened for user 'alice' has reached the maximum allowed user limit \
                of (2)";
    one.send(1, open()).await;
    one.expect_connection_close(530, text, (0, 0)).await;
    other.call(1, qos(0)).await;
}

#[tokio::test]
async fn queues_of_a_virtual_host_are_limited() {
    let Some((broker, inner)) = prepared().await else { return };
    inner.change_vhost_limits(&Name::from("/"), |limits| limits.max_queues = Some(1)).await.unwrap();
    let mut peer = broker.channel_as(USER, "pw").await;
    peer.call(1, declare("q")).await;
    let text = "PRECONDITION_FAILED - cannot declare queue 'p': queue limit in vhost '/' (1) is reached";
    peer.expect_refusal(1, declare("p"), 406, text).await;
    peer.call(1, declare("q")).await;
    peer.call(1, delete("q")).await;
    peer.call(1, declare("p")).await;
}

#[tokio::test]
async fn a_virtual_host_chooses_the_type_of_queues_that_can_be_of_it() {
    let Some((broker, inner)) = prepared().await else { return };
    let declaration =
        VhostDeclaration { default_queue_type: Some("quorum".to_owned()), ..VhostDeclaration::default() };
    assert_eq!(inner.put_vhost(&Name::from("/"), declaration).await, Ok(false));
    let mut peer = broker.channel_as(USER, "pw").await;
    peer.call(1, declare("q").flag("durable")).await;
    peer.call(1, declare("q").flag("durable").arg("x-queue-type", "quorum")).await;
    peer.call(1, declare("classic").flag("durable").arg("x-queue-type", "classic")).await;
    peer.call(1, declare("own").flag("exclusive")).await;
}
