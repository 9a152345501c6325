use super::*;
use std::io::Write;

use tempfile::NamedTempFile;

fn file(text: &str) -> NamedTempFile {
    let mut file = tempfile::Builder::new().suffix(".toml").tempfile().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

fn sources(files: &[&NamedTempFile]) -> Sources {
    // No file at all would mean the one of this machine.
    let files = files.iter().map(|file| file.path().to_owned()).collect();
    Sources { files, ..Sources::default() }
}

fn flag(key: &str, word: &str) -> Given {
    Given { key: key.to_owned(), raw: Raw::Word(word.to_owned()), origin: Origin::Flag(format!("--{key}")) }
}

fn problems(text: &str) -> Vec<String> {
    let file = file(text);
    let path = file.path().display().to_string();
    let problems = sources(&[&file]).load().unwrap_err();
    problems.iter().map(|problem| problem.to_string().replace(&path, "FILE")).collect()
}

#[test]
fn each_layer_is_stronger_than_the_one_before() {
    let file = file("memory_limit = \"2MiB\"\nidentity = \"lepus\"\n[limits]\nconnections_max = 10\n");
    let mut sources = sources(&[&file]);
    let loaded = sources.load().unwrap();
    assert_eq!(loaded.config.memory_limit, Some(2 << 20));
    assert_eq!(loaded.config.limits.connections_max, 10);
    assert_eq!(loaded.config.limits.heartbeat, Config::default().limits.heartbeat);

    sources.environment = vec![
        ("LEPUS_MEMORY_LIMIT".to_owned(), "3MiB".to_owned()),
        ("LEPUS_CONNECTIONS_MAX".to_owned(), "11".to_owned()),
    ];
    sources.flags = vec![flag("limits.connections_max", "12")];
    let loaded = sources.load().unwrap();
    assert_eq!(loaded.config.memory_limit, Some(3 << 20));
    assert_eq!(loaded.config.limits.connections_max, 12);

    let origin = |key: &str| {
        let shown = loaded.shown();
        shown.iter().find(|shown| shown.meta.key() == key).unwrap().origin.to_string()
    };
    assert_eq!(origin("limits.connections_max"), "--limits.connections_max");
    assert_eq!(origin("memory_limit"), "LEPUS_MEMORY_LIMIT");
    assert_eq!(origin("identity"), format!("{}:2:1", file.path().display()));
    assert_eq!(origin("limits.heartbeat"), "default");
}

#[test]
fn of_two_files_the_later_one_wins() {
    let (first, second) = (file("memory_limit = 1\nlisten = [\"127.0.0.1:1\"]"), file("memory_limit = 2"));
    let config = sources(&[&first, &second]).load().unwrap().config;
    assert_eq!((config.memory_limit, config.listen.len()), (Some(2), 1));
}

#[test]
fn all_that_is_wrong_is_told_at_once_with_its_place() {
    assert_eq!(
        problems("listen = [\"nowhere\"]\n\n[limits]\nheartbeet = 5\nchannel_max = \"many\"\n"),
        [
            "FILE:1:1: listen: \"nowhere\" is not an address and port such as 127.0.0.1:5672 or [::1]:5672, or a port \
             alone",
            "FILE:4:1: unknown setting 'limits.heartbeet'; did you mean 'limits.heartbeat'?",
            "FILE:5:1: limits.channel_max: \"many\" is not a whole number",
        ]
    );
}

#[test]
fn values_that_cannot_work_are_told_with_their_place() {
    assert_eq!(
        problems("[limits]\nframe_max = 100\n"),
        ["FILE:2:1: limits.frame_max: 100 octets are less than 4096, the least that AMQP allows"]
    );
}

#[test]
fn an_unknown_table_is_an_error_even_when_it_is_empty() {
    assert_eq!(problems("[limts]\n"), ["FILE:1:2: unknown setting 'limts'"]);
}

#[test]
fn a_file_that_is_not_there_is_an_error() {
    let sources = Sources { files: vec![PathBuf::from("/nowhere/lepus.toml")], ..Sources::default() };
    let problems = sources.load().unwrap_err();
    assert!(problems[0].to_string().starts_with("/nowhere/lepus.toml: No such file"), "{}", problems[0]);
}

#[test]
fn the_environment_can_name_the_file() {
    let file = file("memory_limit = 7");
    let path = file.path().display().to_string();
    let sources = Sources { environment: vec![("LEPUS_CONFIG".to_owned(), path)], ..Sources::default() };
    assert_eq!(sources.load().unwrap().config.memory_limit, Some(7));
}

#[test]
fn changes_say_what_a_running_broker_takes_over() {
    let before = Config::default();
    let mut after = before.clone();
    assert_eq!(changes(&before, &after), Changes::default());
    after.log = crate::config::value::Value::parse(&Raw::Word("debug".to_owned()), Unit::Things).unwrap();
    after.listen.clear();
    let changes = changes(&before, &after);
    assert_eq!(changes.reloaded, ["log"]);
    assert_eq!(changes.waiting, ["listen"]);
}
