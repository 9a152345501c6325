//! `rabbitmqadmin`, the classic one and the second version.

use serde_json::{Value, json};

use crate::broker::{Broker, Ran, run};

impl Broker {
    fn admin_reading(&self, input: &str, arguments: &[&str]) -> Ran {
        let port = self.api.port().to_string();
        let all: Vec<&str> = ["rabbitmqadmin", "-H", "127.0.0.1", "-P", &port, "-u", "guest", "-p", "guest"]
            .into_iter()
            .chain(arguments.iter().copied())
            .collect();
        run(&all, &[], input)
    }

    fn admin(&self, arguments: &[&str]) -> Ran {
        self.admin_reading("", arguments)
    }

    fn admin_ok(&self, arguments: &[&str]) -> String {
        let ran = self.admin(arguments);
        assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{arguments:?}: {ran:?}");
        ran.out
    }
}

#[test]
fn things_are_declared_listed_and_deleted() {
    let broker = Broker::start();
    for (words, said) in [
        ("declare queue name=q durable=true arguments={\"x-max-length\":5}", "queue declared\n"),
        ("declare queue name=qq queue_type=quorum", "queue declared\n"),
        ("declare exchange name=e type=topic auto_delete=false", "exchange declared\n"),
        ("declare binding source=e destination=q routing_key=a.#", "binding declared\n"),
        ("declare vhost name=v", "vhost declared\n"),
        ("declare user name=ann password=x tags=management", "user declared\n"),
        ("declare permission vhost=v user=ann configure=.* write=.* read=.*", "permission declared\n"),
        (
            "declare policy name=p pattern=^q definition={\"max-length\":3} apply-to=queues priority=1",
            "policy declared\n",
        ),
        ("declare vhost_limit vhost=v name=max-queues value=3", "vhost_limit declared\n"),
    ] {
        assert_eq!(broker.admin_ok(&words.split(' ').collect::<Vec<_>>()), said, "{words}");
    }
    assert_eq!(
        broker.admin_ok(&["list", "queues", "name", "durable", "policy"]),
        "+------+---------+--------+\n| name | durable | policy |\n+------+---------+--------+\n| q    \
         | True    | p      |\n| qq   | True    | p      |\n+------+---------+--------+\n"
    );
    assert_eq!(broker.admin_ok(&["-f", "tsv", "-q", "list", "queues"]), "q\t0\nqq\t0\n");
    assert_eq!(
        broker.admin_ok(&["-f", "kvp", "list", "queues", "name", "type"]),
        "name=\"q\" type=\"classic\"\nname=\"qq\" type=\"quorum\"\n"
    );
    assert_eq!(broker.admin_ok(&["-V", "v", "list", "queues"]), "No items\n");
    let raw: Value = serde_json::from_str(&broker.admin_ok(&["-f", "raw_json", "list", "bindings"])).unwrap();
    assert!(raw.as_array().unwrap().iter().any(|binding| binding["routing_key"] == "a.#"), "{raw}");
    assert!(broker.admin_ok(&["show", "overview"]).contains("| rabbitmq_version | "));
    for words in [
        "delete binding source=e destination_type=queue destination=q properties_key=a.%23",
        "purge queue name=q",
        "delete queue name=q",
        "delete exchange name=e",
        "delete permission vhost=v user=ann",
        "delete user name=ann",
        "delete vhost name=v",
        "delete policy name=p",
    ] {
        assert_eq!(broker.admin(&words.split(' ').collect::<Vec<_>>()).code, 0, "{words}");
    }
    assert_eq!(broker.admin_ok(&["-f", "bash", "list", "queues"]), "qq\n");
}

#[test]
fn messages_are_published_and_got() {
    let broker = Broker::start();
    broker.admin_ok(&["declare", "queue", "name=q"]);
    assert_eq!(
        broker.admin_ok(&["publish", "exchange=amq.default", "routing_key=q", "payload=hello"]),
        "Message published\n"
    );
    assert_eq!(broker.admin_reading("from a pipe", &["publish", "routing_key=q"]).out, "Message published\n");
    assert_eq!(
        broker.admin_ok(&["publish", "routing_key=none", "payload=x"]),
        "Message published but NOT routed\n"
    );
    let got = broker.admin_ok(&["get", "queue=q", "count=2"]);
    assert!(got.contains("| hello ") && got.contains("| from a pipe "), "{got}");
    let file = broker.directory.path().join("payload");
    broker.admin_ok(&[
        "get",
        "queue=q",
        "ackmode=ack_requeue_false",
        &format!("payload_file={}", file.display()),
    ]);
    assert_eq!(std::fs::read_to_string(file).unwrap(), "hello");
    assert_eq!(broker.json(&["queue", "show", "q"])["messages"], json!(1));
}

#[test]
fn definitions_go_out_and_come_back() {
    let broker = Broker::start();
    broker.admin_ok(&["declare", "queue", "name=kept"]);
    let file = broker.directory.path().join("d.json");
    let file = file.to_str().unwrap();
    broker.admin_ok(&["export", file]);
    broker.admin_ok(&["delete", "queue", "name=kept"]);
    broker.admin_ok(&["import", file]);
    assert_eq!(broker.admin_ok(&["-f", "bash", "list", "queues"]), "kept\n");
}

#[test]
fn what_is_wrong_is_said_and_is_1() {
    let broker = Broker::start();
    for (arguments, says) in [
        (&["declare", "queue"][..], "mandatory argument \"name\" is required"),
        (&["declare", "queue", "name=q", "colour=red"], "Argument \"colour\" is not recognised"),
        (&["declare", "queue", "name=q", "durable=perhaps"], "true or false"),
        (&["declare", "queue", "name=q", "arguments={"], "Could not parse JSON"),
        (&["declare", "user", "name=a", "tags="], "'password', 'password_hash'"),
        (&["declare", "thing", "name=q"], "Type thing not recognised"),
        (&["list", "things"], "Don't know how to list things"),
        (&["delete", "queue", "name=none"], "there is no /api/queues/%2F/none"),
        (&["frobnicate"], "Action frobnicate not understood"),
        (&["-p", "wrong", "list", "queues"], "does not let in user 'guest'"),
    ] {
        let ran = broker.admin(arguments);
        assert_eq!(ran.code, 1, "{arguments:?}: {ran:?}");
        assert!(ran.err.starts_with("*** ") && ran.err.contains(says), "{arguments:?}: {ran:?}");
    }
}

/// As scripts call the second version.
#[test]
fn options_of_the_second_version_do_the_same() {
    let broker = Broker::start();
    for line in [
        "declare vhost --name v --default-queue-type quorum",
        "declare exchange --name events --type topic --durable true",
        "declare queue --name orders --type quorum --durable true",
        "queues declare --name plain --type classic --durable=false --arguments {\"x-max-length\":5}",
        "declare binding --source events --destination-type queue --destination orders --routing-key a.#",
        "declare user --name ann --password x --tags management",
        "--vhost v declare permissions --user ann --configure .* --write .* --read .*",
        "declare policy --name p --pattern ^o --definition {\"max-length\":3} --apply-to queues --priority 1",
        "--vhost v declare vhost_limit --name max-queues --value 3",
        "declare user_limit --user ann --name max-connections --value 3",
        "publish message --routing-key orders --payload hello",
        "health_check local_alarms",
        "health_check protocol_listener --protocol amqp",
    ] {
        broker.admin_ok(&line.split(' ').collect::<Vec<_>>());
    }
    assert_eq!(broker.json(&["queue", "show", "orders"])["arguments"], json!({"x-queue-type": "quorum"}));
    assert_eq!(broker.json(&["queue", "show", "plain"])["durable"], json!(false));
    assert_eq!(broker.admin_ok(&["--non-interactive", "-q", "queues", "list"]), "orders\t1\nplain\t0\n");
    assert_eq!(
        broker.admin_ok(&["--output", "json", "list", "queues", "--columns", "name"]),
        "[{\"name\":\"orders\"},{\"name\":\"plain\"}]\n"
    );
    let limits: Value =
        serde_json::from_str(&broker.admin_ok(&["--output", "json", "vhost_limits", "list"])).unwrap();
    assert_eq!(limits, json!([{"vhost": "v", "value": {"max-queues": 3}}]));
    assert!(broker.admin_ok(&["get", "messages", "--queue", "orders", "--count", "1"]).contains("| hello "));
    for line in [
        "purge queue --name orders",
        "delete binding --source events --destination orders --routing-key a.#",
        "queues delete --name orders",
        "delete queue --name orders --idempotently",
        "--vhost v delete permissions --user ann",
        "delete user --name ann",
        "delete vhost --name v",
    ] {
        broker.admin_ok(&line.split(' ').collect::<Vec<_>>());
    }
    assert_eq!(broker.admin(&["delete", "queue", "--name", "orders"]).code, 1);
    assert_eq!(broker.admin(&["declare", "queue", "--colour", "red"]).code, 1);
    assert_eq!(broker.admin(&["health_check", "port_listener", "--port", "1"]).code, 1);
}
