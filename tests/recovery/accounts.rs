//! Users, permissions, limits and virtual hosts. What a call that changes them has returned from is on disk: the broker
//! is started on a copy of its data directory that was made that moment, as after a power failure.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use lepus::app::App;
use lepus::broker::{Broker, Durability, DurabilityDeclaration, NewPassword, VhostDeclaration};
use lepus::config::Config;
use lepus::metadata::{
    PasswordDefinition, PermissionDefinition, TopicPermissionDefinition, UserDefinition, VhostDefinition,
};
use lepus::name::Name;
use tempfile::TempDir;

use crate::support::*;

pub(crate) async fn start(dir: &Path) -> App {
    let config = Config {
        listen: vec![SocketAddr::from(([127, 0, 0, 1], 0))],
        data_dir: Some(dir.to_owned()),
        ..Config::default()
    };
    App::start(config).await.unwrap()
}

/// Stops the broker, and waits until nothing of it is left in this process.
pub(crate) async fn stop(app: App) {
    let broker = Arc::downgrade(app.broker());
    app.shutdown().await;
    while broker.strong_count() > 0 {
        tokio::task::yield_now().await;
    }
}

/// A copy of the directory as it is.
fn copy(dir: &Path) -> TempDir {
    let to = TempDir::new().unwrap();
    copy_into(dir, to.path());
    to
}

fn copy_into(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            std::fs::create_dir(&target).unwrap();
            copy_into(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// All that there is of accounts and virtual hosts.
#[derive(Debug, PartialEq)]
struct Everything {
    users: Vec<(Name, UserDefinition)>,
    permissions: Vec<(Name, Name, PermissionDefinition)>,
    topics: Vec<(Name, Name, Name, TopicPermissionDefinition)>,
    vhosts: BTreeMap<Name, VhostDefinition>,
}

fn everything(broker: &Arc<Broker>) -> Everything {
    let accounts = &broker.authority.accounts;
    Everything {
        users: accounts.users(),
        permissions: accounts.permissions(),
        topics: accounts.topic_permissions(),
        vhosts: broker.vhosts().iter().map(|vhost| (vhost.name.clone(), vhost.definition())).collect(),
    }
}

/// What is on disk this moment is what there is.
async fn expect_on_disk(dir: &TempDir, broker: &Arc<Broker>) {
    let copy = copy(dir.path());
    let app = start(copy.path()).await;
    assert_eq!(everything(app.broker()), everything(broker));
}

#[tokio::test]
async fn whatever_was_changed_is_on_disk_when_the_call_returns() {
    let dir = TempDir::new().unwrap();
    let app = start(dir.path()).await;
    let broker = app.broker();
    let [shop, alice, bob, exchange] = ["shop", "alice", "bob", "orders"].map(Name::from);
    let declaration = VhostDeclaration {
        description: "orders".into(),
        tags: vec!["eu".into()],
        default_queue_type: Some("quorum".into()),
        durability: DurabilityDeclaration::Is(Durability::Os),
    };
    broker.put_vhost(&shop, declaration).await.unwrap();
    expect_on_disk(&dir, broker).await;
    broker.change_vhost_limits(&shop, |limits| limits.max_queues = Some(5)).await.unwrap();
    expect_on_disk(&dir, broker).await;
    let tags = vec!["monitoring".to_owned()];
    broker.put_user(&alice, NewPassword::Clear(b"secret".to_vec()), tags).await.unwrap();
    expect_on_disk(&dir, broker).await;
    let hash = PasswordDefinition {
        hash: "kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2POR".into(),
        algorithm: "rabbit_password_hashing_sha256".into(),
    };
    broker.put_user(&bob, NewPassword::Hash(hash), Vec::new()).await.unwrap();
    broker.change_user_limits(&bob, |limits| limits.max_channels = Some(3)).await.unwrap();
    expect_on_disk(&dir, broker).await;
    let permission = PermissionDefinition { configure: "^a".into(), write: ".*".into(), read: String::new() };
    let topic = TopicPermissionDefinition { write: "^{username}".into(), read: ".*".into() };
    for user in [&alice, &bob] {
        broker.put_permission(&shop, user, permission.clone()).await.unwrap();
        broker.put_topic_permission(&shop, user, &exchange, topic.clone()).await.unwrap();
    }
    expect_on_disk(&dir, broker).await;
    broker.delete_topic_permissions(&shop, &alice, None).await.unwrap();
    expect_on_disk(&dir, broker).await;
    broker.delete_permission(&shop, &alice).await.unwrap();
    expect_on_disk(&dir, broker).await;
    broker.delete_user(&bob).await.unwrap();
    expect_on_disk(&dir, broker).await;
    broker.delete_vhost(&shop).await.unwrap();
    expect_on_disk(&dir, broker).await;
    stop(app).await;
}

#[tokio::test]
async fn users_log_in_and_virtual_hosts_hold_their_queues_after_a_restart() {
    let dir = TempDir::new().unwrap();
    let app = start(dir.path()).await;
    let [shop, user] = ["shop", "bob"].map(Name::from);
    let hash = PasswordDefinition {
        hash: "kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2POR".into(),
        algorithm: "rabbit_password_hashing_sha256".into(),
    };
    let all = PermissionDefinition { configure: ".*".into(), write: ".*".into(), read: ".*".into() };
    app.broker().put_vhost(&shop, VhostDeclaration::default()).await.unwrap();
    app.broker().put_user(&user, NewPassword::Hash(hash), Vec::new()).await.unwrap();
    app.broker().put_permission(&shop, &user, all).await.unwrap();
    let mut peer = opened(&app, "bob", "test12", "shop").await;
    peer.call(1, declare("q").flag("durable")).await;
    peer.close().await;
    stop(app).await;
    let app = start(dir.path()).await;
    let mut peer = opened(&app, "bob", "test12", "shop").await;
    peer.call(1, passive("q")).await;
    peer.close().await;
    stop(app).await;
}

#[tokio::test]
async fn the_queues_of_a_deleted_virtual_host_do_not_come_back() {
    let dir = TempDir::new().unwrap();
    let app = start(dir.path()).await;
    let root = Name::from("/");
    let mut peer = opened(&app, "guest", "guest", "/").await;
    peer.call(1, declare("q").flag("durable")).await;
    peer.call(1, Method::new("confirm.select")).await;
    peer.publish(1, publish("", "q", "m").property("delivery-mode", 2)).await;
    peer.expect_confirm(1, 1).await;
    app.broker().delete_vhost(&root).await.unwrap();
    peer.expect_connection_close(320, "CONNECTION_FORCED - vhost '/' is deleted", (0, 0)).await;
    let copy = copy(dir.path());
    stop(app).await;
    for dir in [copy.path(), dir.path()] {
        let app = start(dir).await;
        assert!(app.broker().vhosts().is_empty(), "it was not made anew: there are users");
        stop(app).await;
    }
}

async fn opened(app: &App, user: &str, password: &str, vhost: &str) -> Peer {
    let mut peer = Peer::dial(app.local_addr()).await;
    let tune = peer.log_in(&Credentials::plain(user, password)).await;
    peer.send(0, peer::tune_ok(&tune)).await;
    peer.open_vhost(vhost).await;
    peer.open(1).await;
    peer
}
