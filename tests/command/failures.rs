//! What goes wrong is said in words that help, with an exit code of its own.

use std::io::{Read, Write};
use std::net::TcpListener;

use crate::broker::{Broker, run};

#[test]
fn a_broker_that_does_not_run_is_69() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let ran = run(&["status", "--url", &format!("http://{free}")], &[], "");
    assert_eq!(ran.code, 69, "{ran:?}");
    assert!(ran.err.starts_with(&format!("lepus: cannot reach http://{free}: ")), "{ran:?}");
    assert!(ran.err.contains("is the broker running, and is its management listener on?"), "{ran:?}");
}

#[test]
fn what_is_no_management_api_is_not_taken_for_one() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let server = std::thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        let _read = socket.read(&mut [0; 4096]);
        socket.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n\x1b[2Jx").unwrap();
    });
    let ran = run(&["queue", "list", "--url", &url], &[], "");
    server.join().unwrap();
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.err.contains("no management API: status 200, \\u{1b}[2Jx"), "{ran:?}");
}

#[test]
fn a_command_line_that_cannot_be_meant_is_2() {
    for arguments in [
        &["queue", "list", "--url", "amqp://127.0.0.1"][..],
        &["queue", "list", "--url", "nonsense"],
        &["queue", "declare"],
        &["queue", "declare", "q", "--argument", "x"],
        &["connection", "close"],
        &["connection", "close", "c", "--reason", "a\nb"],
        &["frobnicate"],
    ] {
        let ran = run(arguments, &[], "");
        assert_eq!(ran.code, 2, "{arguments:?}: {ran:?}");
        assert!(!ran.err.is_empty(), "{arguments:?}");
    }
}

#[test]
fn what_is_not_there_is_1_and_named() {
    let broker = Broker::start();
    for (arguments, about) in [
        (&["queue", "show", "q"][..], "queue 'q' in virtual host '/'"),
        (&["queue", "purge", "q"], "queue 'q' in virtual host '/'"),
        (&["queue", "leases", "q", "--vhost", "v"], "queue 'q' in virtual host 'v'"),
        (&["connection", "show", "c"], "connection 'c'"),
        (&["get", "q"], "queue 'q' in virtual host '/'"),
        (&["publish", "k", "x", "--exchange", "e"], "exchange 'e' in virtual host '/'"),
        (&["user", "show", "u"], "user 'u'"),
        (&["vhost", "delete", "v"], "virtual host 'v'"),
        (&["policy", "clear", "p"], "policy 'p' in virtual host '/'"),
    ] {
        let ran = broker.lepus(arguments);
        let expected = format!("lepus: there is no {about}\n");
        assert_eq!(
            (ran.code, ran.out.as_str(), ran.err.as_str()),
            (1, "", expected.as_str()),
            "{arguments:?}"
        );
    }
}

#[test]
fn completions_know_the_commands() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let ran = run(&["completion", shell], &[], "");
        assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{shell}");
        assert!(ran.out.contains("operator-policy"), "{shell}");
    }
    assert_eq!(run(&["completion", "csh"], &[], "").code, 2);
}
