//! Users and permissions.

use serde_json::json;

use crate::broker::Broker;

#[test]
fn a_user_is_added_logs_in_and_is_deleted() {
    let broker = Broker::start();
    let added = broker.lepus_reading("s3cret\n", &["user", "add", "ann", "--tags", "management,monitoring"]);
    assert_eq!(added.code, 0, "{added:?}");
    let again = broker.lepus(&["user", "add", "ann", "--new-password", "x"]);
    assert_eq!((again.code, again.err.as_str()), (1, "lepus: user 'ann' is there already\n"));
    let out = broker.ok(&["queue", "list", "--user", "ann", "--password", "s3cret"]);
    assert!(out.starts_with("VHOST"), "{out}");
    broker.ok(&["user", "password", "ann", "--new-password", "other"]);
    let old = broker.lepus(&["queue", "list", "--user", "ann", "--password", "s3cret"]);
    assert_eq!(old.code, 77, "{old:?}");
    assert!(old.err.contains("does not let in user 'ann'"), "{old:?}");
    let file = broker.directory.path().join("password");
    std::fs::write(&file, "other\n").unwrap();
    broker.ok(&["queue", "list", "--user", "ann", "--password-file", file.to_str().unwrap()]);
    broker.ok(&["user", "tags", "ann", "administrator"]);
    assert_eq!(broker.json(&["user", "show", "ann"])["tags"], json!(["administrator"]));
    broker.ok(&["users", "list", "--user", "ann", "--password", "other"]);
    broker.ok(&["user", "delete", "ann"]);
    assert_eq!(broker.lepus(&["user", "delete", "ann"]).code, 1);
}

#[test]
fn a_user_without_the_tag_is_told_so() {
    let broker = Broker::start();
    broker.ok(&["user", "add", "bob", "--new-password", "b", "--tags", "management"]);
    let refused = broker.lepus(&["users", "list", "--user", "bob", "--password", "b"]);
    assert_eq!(
        (refused.code, refused.err.as_str()),
        (77, "lepus: user 'bob' may not do this: Not administrator user\n")
    );
}

#[test]
fn permissions_and_topic_permissions_are_set_and_cleared() {
    let broker = Broker::start();
    broker.ok(&["user", "add", "bob", "--no-password"]);
    broker.ok(&["permission", "set", "bob", "^bob", "", ".*"]);
    let list = broker.ok(&["permission", "list", "--vhost", "/"]);
    assert!(list.contains("/      bob    ^bob       \"\"     .*"), "{list}");
    broker.ok(&["exchange", "declare", "events", "--type", "topic"]);
    broker.ok(&["topic-permission", "set", "bob", "events", "^bob\\.", ".*"]);
    assert_eq!(broker.json(&["topic-permission", "list"])[0]["write"], "^bob\\.");
    broker.ok(&["topic-permission", "clear", "bob", "events"]);
    assert_eq!(broker.json(&["topic-permission", "list"]), json!([]));
    broker.ok(&["permission", "clear", "bob"]);
    let missing = broker.lepus(&["permission", "set", "nobody"]);
    assert_eq!(missing.code, 1, "{missing:?}");
}
