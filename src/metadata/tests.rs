use std::path::PathBuf;

use lepus_protocol::FieldTable;
use tempfile::TempDir;

use super::*;
use crate::id::EntityId;
use crate::name::Name;
use crate::storage::Durability;

fn vhost() -> Name {
    Name::from("/")
}

fn queue(id: u64) -> QueueDefinition {
    let mut arguments = FieldTable::new();
    arguments.insert("x-max-length", 10);
    QueueDefinition { id: EntityId::new(id), auto_delete: false, arguments, paused: id.is_multiple_of(2) }
}

fn binding(key: &str) -> BindingDefinition {
    BindingDefinition {
        source: Name::from("logs"),
        kind: DestinationKind::Queue,
        destination: Name::from("q"),
        key: key.as_bytes().to_vec(),
        arguments: FieldTable::new(),
    }
}

async fn record_all(dir: &TempDir, changes: impl IntoIterator<Item = Change>) {
    let (definitions, _) = Definitions::create(dir.path()).unwrap();
    let mut position = Position::default();
    for change in changes {
        position = definitions.record(change);
    }
    definitions.durable(position).await;
    assert!(definitions.is_durable(position));
}

fn reopen(dir: &TempDir) -> Recovered {
    Definitions::open(dir.path()).unwrap().1
}

#[tokio::test]
async fn what_is_durable_is_there_after_a_restart() {
    let dir = TempDir::new().unwrap();
    let exchange = ExchangeDefinition {
        kind: "topic".to_owned(),
        auto_delete: false,
        internal: true,
        arguments: FieldTable::new(),
        memory: Some(EntityId::new(5)),
    };
    let changes = [
        Change::PutExchange(vhost(), Name::from("logs"), exchange.clone()),
        Change::PutQueue(vhost(), Name::from("q"), queue(7)),
        Change::PutBinding(vhost(), binding("a.#")),
    ];
    record_all(&dir, changes).await;
    let recovered = reopen(&dir);
    assert_eq!(recovered.exchanges, [(vhost(), Name::from("logs"), exchange)]);
    assert_eq!(recovered.queues, [(vhost(), Name::from("q"), queue(7))]);
    assert_eq!(recovered.bindings, [(vhost(), binding("a.#"))]);
}

#[tokio::test]
async fn what_was_deleted_stays_deleted_and_its_identity_unused() {
    let dir = TempDir::new().unwrap();
    let changes = [
        Change::PutQueue(vhost(), Name::from("q"), queue(7)),
        Change::PutBinding(vhost(), binding("k")),
        Change::DeleteBinding(vhost(), binding("k")),
        Change::DeleteQueue(vhost(), Name::from("q")),
    ];
    record_all(&dir, changes).await;
    let recovered = reopen(&dir);
    assert!(recovered.queues.is_empty() && recovered.bindings.is_empty());
    assert_eq!(recovered.next_id, 8);
}

fn names(texts: [&str; 3]) -> [Name; 3] {
    texts.map(Name::from)
}

#[tokio::test]
async fn accounts_and_virtual_hosts_are_there_after_a_restart() {
    let dir = TempDir::new().unwrap();
    let [host, user, exchange] = names(["shop", "alice", "orders"]);
    let definition = VhostDefinition {
        description: "orders and mail".into(),
        tags: vec!["production".into(), "eu".into()],
        default_queue_type: Some("quorum".into()),
        durability: Some(Durability::Os),
        limits: VhostLimits { max_connections: Some(10), max_queues: Some(-1) },
    };
    let password = PasswordDefinition { hash: "secret hash".into(), algorithm: "argon2id".into() };
    let account = UserDefinition {
        password: Some(password),
        tags: vec!["management".into()],
        limits: UserLimits { max_connections: None, max_channels: Some(0) },
    };
    let permission = PermissionDefinition { configure: "^a".into(), write: String::new(), read: ".*".into() };
    let topic = TopicPermissionDefinition { write: "^a\\.".into(), read: ".*".into() };
    let robot = (Name::from("robot"), UserDefinition::default());
    let changes = [
        Change::PutVhost(host.clone(), definition.clone()),
        Change::PutUser(user.clone(), account.clone()),
        Change::PutUser(robot.0.clone(), robot.1.clone()),
        Change::PutPermission(host.clone(), user.clone(), permission.clone()),
        Change::PutTopicPermission(host.clone(), user.clone(), exchange.clone(), topic.clone()),
    ];
    record_all(&dir, changes).await;
    let recovered = reopen(&dir);
    assert_eq!(recovered.vhosts, [(host.clone(), definition)]);
    assert_eq!(recovered.users, [(user.clone(), account), robot]);
    assert_eq!(recovered.permissions, [(host.clone(), user.clone(), permission)]);
    assert_eq!(recovered.topic_permissions, [(host, user, exchange, topic)]);
}

#[test]
fn a_virtual_host_of_before_there_was_durability_promises_what_the_server_does() {
    let mut table = FieldTable::new();
    table.insert("description", "old");
    table.insert("tags", lepus_protocol::FieldValue::Array(Vec::new()));
    let old = VhostDefinition { description: "old".into(), ..VhostDefinition::default() };
    assert_eq!(VhostDefinition::decode(&definition::encode(&table)), Some(old));
    table.insert("durability", "os");
    let decoded = VhostDefinition::decode(&definition::encode(&table)).unwrap();
    assert_eq!(decoded.durability, Some(Durability::Os));
    table.insert("durability", "twice");
    assert_eq!(VhostDefinition::decode(&definition::encode(&table)), None, "not understood, not ignored");
}

#[tokio::test]
async fn a_virtual_host_goes_with_all_that_is_in_it_and_nothing_else() {
    let dir = TempDir::new().unwrap();
    let mut changes = Vec::new();
    // One name is the beginning of another, and one follows it in order.
    for name in ["a", "ab", "b"] {
        let [host, user, q] = names([name, "u", "q"]);
        changes.push(Change::PutVhost(host.clone(), VhostDefinition::default()));
        changes.push(Change::PutQueue(host.clone(), q.clone(), queue(1)));
        changes.push(Change::PutBinding(host.clone(), binding("k")));
        changes.push(Change::PutPermission(host.clone(), user.clone(), PermissionDefinition::default()));
        changes.push(Change::PutTopicPermission(host, user, q, TopicPermissionDefinition::default()));
    }
    changes.push(Change::DeleteVhost(Name::from("a")));
    record_all(&dir, changes).await;
    let recovered = reopen(&dir);
    let left = [Name::from("ab"), Name::from("b")];
    let hosts = |names: Vec<&Name>| assert_eq!(names, left.iter().collect::<Vec<_>>());
    hosts(recovered.vhosts.iter().map(|(host, _)| host).collect());
    hosts(recovered.queues.iter().map(|(host, ..)| host).collect());
    hosts(recovered.bindings.iter().map(|(host, _)| host).collect());
    hosts(recovered.permissions.iter().map(|(host, ..)| host).collect());
    hosts(recovered.topic_permissions.iter().map(|(host, ..)| host).collect());
}

#[tokio::test]
async fn a_user_goes_with_all_permissions() {
    let dir = TempDir::new().unwrap();
    let [host, user, other] = names(["/", "u", "v"]);
    let mut changes = Vec::new();
    for user in [&user, &other] {
        let (permission, topic) = (PermissionDefinition::default(), TopicPermissionDefinition::default());
        changes.push(Change::PutUser(user.clone(), UserDefinition::default()));
        changes.push(Change::PutPermission(host.clone(), user.clone(), permission));
        changes.push(Change::PutTopicPermission(host.clone(), user.clone(), user.clone(), topic));
    }
    changes.push(Change::DeleteUser(user));
    record_all(&dir, changes).await;
    let recovered = reopen(&dir);
    assert_eq!(recovered.users.iter().map(|(user, _)| user).collect::<Vec<_>>(), [&other]);
    assert_eq!(recovered.permissions.iter().map(|(_, user, _)| user).collect::<Vec<_>>(), [&other]);
    assert_eq!(recovered.topic_permissions.iter().map(|(_, user, ..)| user).collect::<Vec<_>>(), [&other]);
}

#[tokio::test]
async fn what_follows_a_change_happens_in_order_and_before_anybody_hears_that_it_is_on_disk() {
    let dir = TempDir::new().unwrap();
    let (definitions, _) = Definitions::create(dir.path()).unwrap();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let mut position = Position::default();
    for id in 0..100 {
        let change = Change::PutQueue(vhost(), Name::from(format!("q{id}")), queue(id));
        let (seen, durable) = (Arc::clone(&seen), definitions.durable.clone());
        let own = Position::new(id + 1);
        position = definitions.record_then(change, move || seen.lock().push((id, *durable.borrow() >= own)));
        assert_eq!(position, own);
    }
    definitions.durable(position).await;
    let expected: Vec<_> = (0..100).map(|id| (id, false)).collect();
    assert_eq!(*seen.lock(), expected);
}

#[test]
fn what_was_recorded_is_written_before_the_end() {
    let dir = TempDir::new().unwrap();
    let (definitions, _) = Definitions::create(dir.path()).unwrap();
    for id in 0..1_000 {
        definitions.record(Change::PutQueue(vhost(), Name::from(format!("q{id}")), queue(id)));
    }
    drop(definitions);
    assert_eq!(reopen(&dir).queues.len(), 1_000);
}

#[test]
fn a_second_process_is_refused_with_the_name_of_the_file() {
    let dir = TempDir::new().unwrap();
    let _first = Definitions::create(dir.path()).unwrap();
    let second = Definitions::open(dir.path()).unwrap_err().to_string();
    assert!(second.contains("definitions.redb"), "{second}");
}

#[test]
fn a_file_that_is_not_ours_is_refused_and_left_alone() {
    let dir = TempDir::new().unwrap();
    let path = path_of(&dir);
    std::fs::write(&path, "something else entirely".repeat(1000)).unwrap();
    assert!(Definitions::open(dir.path()).unwrap_err().to_string().contains("definitions.redb"));
    assert!(std::fs::read_to_string(&path).unwrap().starts_with("something else"));
}

fn path_of(dir: &TempDir) -> PathBuf {
    dir.path().join("definitions.redb")
}

/// What a file shows that holds `octets`: everything, or `None` if it is refused.
fn shown(octets: &[u8]) -> Option<Recovered> {
    let dir = TempDir::new().unwrap();
    std::fs::write(path_of(&dir), octets).unwrap();
    let opened = Definitions::open(dir.path());
    if let Err(error) = &opened {
        assert!(error.to_string().contains("definitions.redb"), "{error}");
    }
    Some(opened.ok()?.1)
}

/// A file with a few definitions, after an orderly end.
async fn small_file() -> Vec<u8> {
    let dir = TempDir::new().unwrap();
    record_all(&dir, [Change::PutQueue(vhost(), Name::from("q"), queue(7))]).await;
    record_all(&dir, [Change::PutBinding(vhost(), binding("k"))]).await;
    std::fs::read(path_of(&dir)).unwrap()
}

fn assert_whole(shown: &Recovered, damage: &str) {
    assert_eq!(shown.queues, [(vhost(), Name::from("q"), queue(7))], "{damage}");
    assert_eq!(shown.bindings, [(vhost(), binding("k"))], "{damage}");
    assert_eq!(shown.next_id, 8, "{damage}");
}

#[tokio::test]
async fn a_flipped_bit_is_refused_or_harmless() {
    let octets = small_file().await;
    // A bit of each octet of the header, and of some octets of the pages in use.
    let header = (0..512).filter(|&at| octets[at] != 0);
    let pages = (512..octets.len()).filter(|&at| octets[at] != 0).step_by(211);
    for at in header.chain(pages) {
        let mut damaged = octets.clone();
        damaged[at] ^= 1 << (at % 8);
        if let Some(shown) = shown(&damaged) {
            assert_whole(&shown, &format!("octet {at}"));
        }
    }
}

#[tokio::test]
async fn a_cut_file_is_refused() {
    let octets = small_file().await;
    for len in (0..octets.len()).step_by(9973) {
        assert!(shown(&octets[..len]).is_none(), "cut to {len}");
    }
}

#[test]
fn a_missing_file_is_not_made_anew() {
    let dir = TempDir::new().unwrap();
    let error = Definitions::open(dir.path()).unwrap_err().to_string();
    assert!(error.contains("definitions.redb") && error.contains("missing"), "{error}");
    assert!(!path_of(&dir).exists());
}

#[test]
fn a_flipped_bit_after_a_kill_is_told_or_changes_nothing() {
    let dir = TempDir::new().unwrap();
    let store = Store::create(dir.path()).unwrap();
    for number in 0..6 {
        let name = Name::from(format!("precious-{number}"));
        store.write(&[Change::PutQueue(vhost(), name, queue(number))]).unwrap();
    }
    // As a kill leaves it, right behind a change: the file is not closed.
    let octets = std::fs::read(file(dir.path())).unwrap();
    let read = |octets: &[u8]| {
        let copy = TempDir::new().unwrap();
        std::fs::write(file(copy.path()), octets).unwrap();
        let found = Store::open(copy.path()).and_then(|store| store.recover());
        found.map(|found| format!("{found:?}"))
    };
    let whole = read(&octets).unwrap();
    assert!(whole.contains("precious-5"));
    let header = 0..512;
    let pages = (512..octets.len()).filter(|&at| octets[at] != 0).step_by(97);
    let mut told = 0;
    for at in header.chain(pages) {
        let mut damaged = octets.clone();
        damaged[at] ^= 1 << (at % 8);
        match read(&damaged) {
            Ok(found) => assert_eq!(found, whole, "octet {at}"),
            Err(error) => {
                assert_eq!(error.kind(), io::ErrorKind::InvalidData, "octet {at}: {error}");
                told += 1;
            }
        }
    }
    assert!(told > 100, "{told}");
}
