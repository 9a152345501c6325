use lepus_protocol::FieldTable;
use tempfile::TempDir;

use super::*;
use crate::id::EntityId;
use crate::name::Name;

fn vhost() -> Name {
    Name::from("/")
}

fn queue(id: u64) -> QueueDefinition {
    let mut arguments = FieldTable::new();
    arguments.insert("x-max-length", 10);
    QueueDefinition { id: EntityId::new(id), auto_delete: false, arguments }
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
    let (definitions, _) = Definitions::open(dir.path()).unwrap();
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

#[test]
fn what_was_recorded_is_written_before_the_end() {
    let dir = TempDir::new().unwrap();
    let (definitions, _) = Definitions::open(dir.path()).unwrap();
    for id in 0..1_000 {
        definitions.record(Change::PutQueue(vhost(), Name::from(format!("q{id}")), queue(id)));
    }
    drop(definitions);
    assert_eq!(reopen(&dir).queues.len(), 1_000);
}

#[test]
fn a_second_process_is_refused_with_the_name_of_the_file() {
    let dir = TempDir::new().unwrap();
    let _first = Definitions::open(dir.path()).unwrap();
    let second = Definitions::open(dir.path()).unwrap_err().to_string();
    assert!(second.contains("definitions.redb"), "{second}");
}

#[test]
fn a_file_that_is_not_ours_is_refused_and_left_alone() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("definitions.redb");
    std::fs::write(&path, "something else entirely".repeat(1000)).unwrap();
    assert!(Definitions::open(dir.path()).unwrap_err().to_string().contains("definitions.redb"));
    assert!(std::fs::read_to_string(&path).unwrap().starts_with("something else"));
}
