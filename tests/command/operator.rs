//! Who administers the broker from its own machine without a password, and who does not.

use std::os::unix::fs::{PermissionsExt, symlink};

use crate::broker::{Broker, Ran, run};

/// The file that lets one in.
fn file(broker: &Broker) -> std::path::PathBuf {
    broker.directory.path().join("data/operator")
}

fn field(text: &str, name: &str) -> String {
    let line = text.lines().find_map(|line| line.strip_prefix(&format!("{name}=")));
    line.unwrap_or_else(|| panic!("no {name} in\n{text}")).to_owned()
}

#[test]
fn who_can_read_the_operator_file_needs_no_password() {
    let broker = Broker::start();
    let mode = std::fs::metadata(file(&broker)).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    broker.ok(&["user", "add", "root", "--no-password", "--tags", "administrator"]);
    broker.ok(&["user", "delete", "guest"]);
    let dir = broker.directory.path().join("data");
    let dir = dir.to_str().unwrap();
    let with_flag = run(&["queue", "declare", "q", "--broker-dir", dir], &[], "");
    assert_eq!((with_flag.code, with_flag.err.as_str()), (0, ""), "nobody has a permission here");
    assert_eq!(run(&["queue", "list"], &[("LEPUS_DATA_DIR", dir)], "").code, 0);
    let guest = broker.lepus(&["queue", "list"]);
    assert_eq!(guest.code, 77, "guest is gone: {guest:?}");
}

#[test]
fn a_token_that_is_wrong_or_of_another_broker_lets_nobody_in() {
    let (broker, other) = (Broker::start(), Broker::start());
    let (text, others) =
        (std::fs::read_to_string(file(&broker)).unwrap(), std::fs::read_to_string(file(&other)).unwrap());
    assert_ne!(field(&text, "token"), field(&others, "token"));
    let forged = text.replace(&field(&text, "token"), &field(&others, "token"));
    std::fs::write(file(&broker), forged).unwrap();
    let dir = broker.directory.path().join("data");
    let refused = run(&["queue", "list"], &[("LEPUS_DATA_DIR", dir.to_str().unwrap())], "");
    assert_eq!(refused.code, 77, "{refused:?}");
    assert!(!refused.err.contains(&field(&others, "token")), "{refused:?}");
}

#[test]
fn the_file_goes_with_the_broker() {
    let mut broker = Broker::start();
    assert!(file(&broker).exists());
    broker.stop();
    assert!(!file(&broker).exists());
}

#[test]
fn the_program_answers_to_the_names_of_rabbitmqs_tools() {
    let broker = Broker::start();
    let bin = broker.directory.path().join("bin");
    std::fs::create_dir(&bin).unwrap();
    for name in
        ["rabbitmqctl", "rabbitmq-diagnostics", "rabbitmq-queues", "rabbitmq-upgrade", "rabbitmqadmin"]
    {
        symlink(env!("CARGO_BIN_EXE_lepus"), bin.join(name)).unwrap();
    }
    let called = |name: &str, arguments: &[&str]| -> Ran {
        let output = std::process::Command::new(bin.join(name))
            .args(arguments)
            .env_clear()
            .env("LEPUS_DATA_DIR", broker.directory.path().join("data"))
            .output()
            .unwrap();
        let text = |octets: Vec<u8>| String::from_utf8(octets).unwrap();
        Ran { code: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) }
    };
    let ping = called("rabbitmq-diagnostics", &["-q", "ping"]);
    assert_eq!((ping.code, ping.out.as_str()), (0, "Ping succeeded\n"));
    assert_eq!(called("rabbitmqctl", &["-q", "list_vhosts"]).out, "name\n/\n");
    assert_eq!(called("rabbitmq-queues", &["check_if_node_is_quorum_critical"]).code, 0);
    assert_eq!(called("rabbitmq-upgrade", &["await_online_quorum_plus_one"]).code, 0);
    assert_eq!(called("rabbitmqadmin", &["-q", "-f", "bash", "list", "vhosts"]).out, "/\n");
    for name in ["rabbitmqctl", "rabbitmqadmin"] {
        assert!(called(name, &["help"]).out.contains(name), "{name}");
    }
}
