//! `rabbitmqctl` and its kin: arguments, output and exit codes as RabbitMQ's have them.

use std::net::TcpListener;

use serde_json::{Value, json};

use crate::broker::{Broker, Ran, run};
use crate::support::{consume, declare};

impl Broker {
    fn ctl(&self, arguments: &[&str]) -> Ran {
        let dir = self.directory.path().join("data");
        let all: Vec<&str> = ["rabbitmqctl"].iter().chain(arguments).copied().collect();
        run(&all, &[("LEPUS_DATA_DIR", dir.to_str().unwrap())], "")
    }

    /// What it prints when it succeeds.
    fn ctl_ok(&self, arguments: &[&str]) -> String {
        let ran = self.ctl(arguments);
        assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{arguments:?}: {ran:?}");
        ran.out
    }

    /// Fails with this code, and says this.
    fn ctl_fails(&self, arguments: &[&str], code: i32, says: &str) {
        let ran = self.ctl(arguments);
        assert_eq!(ran.code, code, "{arguments:?}: {ran:?}");
        assert!(ran.err.contains(says), "{arguments:?}: {ran:?}");
    }
}

#[test]
fn health_checks_pass() {
    let broker = Broker::start();
    let port = broker.amqp.port().to_string();
    for (arguments, says) in [
        (&["-q", "ping"][..], "Ping succeeded\n"),
        (&["ping", "-q", "-t", "5"], "Ping succeeded\n"),
        (&["-q", "check_running"], "RabbitMQ on node rabbit@here is fully booted and running\n"),
        (&["-q", "is_running"], "RabbitMQ on node rabbit@here is fully booted and running\n"),
        (&["-q", "check_local_alarms"], "Node rabbit@here reported no local alarms\n"),
        (&["-q", "alarms"], "Node rabbit@here reported no alarms, local or clusterwide\n"),
        (&["-q", "check_virtual_hosts"], "Node rabbit@here reported all vhosts as running\n"),
        (&["-q", "node_health_check"], "Health check passed\n"),
        (
            &["-q", "check_certificate_expiration", "--within", "2", "--unit", "weeks"],
            "No certificates are expiring within 2 weeks.\n",
        ),
        (&["-q", "await_startup"], ""),
        (&["-q", "await_online_nodes", "1"], ""),
        (&["-q", "wait", "--pid", "1", "--timeout", "5"], ""),
        (&["-q", "wait", "/nonexistent/pid"], ""),
        (&["-q", "-n", "rabbit@localhost", "ping"], "Ping succeeded\n"),
        (&["-q", "-n", "rabbit@here", "server_version"], "4.0.5\n"),
    ] {
        assert_eq!(broker.ctl_ok(arguments), says, "{arguments:?}");
    }
    let connectivity = broker.ctl_ok(&["check_port_connectivity"]);
    assert!(
        connectivity.contains(&format!("Successfully connected to ports {port}, {}", broker.api.port())),
        "{connectivity}"
    );
    assert!(broker.ctl_ok(&["check_port_listener", &port]).contains("is running on node rabbit@here"));
    broker.ctl_fails(
        &["check_port_listener", "1"],
        69,
        "No listener for port 1 is active on node rabbit@here",
    );
    broker.ctl_fails(&["check_protocol_listener", "mqtt"], 69, "No listener for protocol mqtt");
    assert_eq!(broker.ctl_ok(&["ping"]), "Will ping rabbit@here. Timeout: 60000 ms.\nPing succeeded\n");
}

#[test]
fn a_ping_needs_nobodys_password_and_tells_a_broker_from_another_server() {
    let broker = Broker::start();
    let listen = broker.amqp.to_string();
    let elsewhere = broker.directory.path().join("elsewhere");
    let settings = [("LEPUS_LISTEN", listen.as_str()), ("LEPUS_DATA_DIR", elsewhere.to_str().unwrap())];
    assert_eq!(run(&["rabbitmq-diagnostics", "-q", "ping"], &settings, "").out, "Ping succeeded\n");
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let api = broker.api.to_string();
    for wrong in [&free, &api] {
        let ran = run(
            &["rabbitmq-diagnostics", "ping"],
            &[("LEPUS_LISTEN", wrong), ("LEPUS_DATA_DIR", elsewhere.to_str().unwrap())],
            "",
        );
        assert_eq!(ran.code, 69, "{ran:?}");
        assert!(ran.err.contains("no broker greets at"), "{ran:?}");
    }
    let late = run(
        &["rabbitmqctl", "await_startup", "-t", "0"],
        &[("LEPUS_LISTEN", &free), ("LEPUS_DATA_DIR", elsewhere.to_str().unwrap())],
        "",
    );
    assert_eq!(late.code, 75, "{late:?}");
}

#[test]
fn users_live_and_log_in() {
    let broker = Broker::start();
    let added = broker.ctl_ok(&["add_user", "ann", "secret"]);
    assert!(added.starts_with("Adding user \"ann\" ...\nDone. Don't forget to grant"), "{added}");
    broker.ctl_fails(&["add_user", "ann", "secret"], 70, "User \"ann\" already exists");
    assert_eq!(
        broker.ctl_ok(&["set_user_tags", "ann", "administrator", "monitoring"]),
        "Setting tags for user \"ann\" to [administrator, monitoring] ...\n"
    );
    assert_eq!(
        broker.ctl_ok(&["list_users"]),
        "Listing users ...\nuser\ttags\nann\t[administrator, monitoring]\nguest\t[administrator]\n"
    );
    assert_eq!(
        broker.ctl_ok(&["list_users", "--silent"]),
        "ann\t[administrator, monitoring]\nguest\t[administrator]\n"
    );
    assert_eq!(
        broker.ctl_ok(&["-q", "list_users", "--no-table-headers"]),
        "ann\t[administrator, monitoring]\nguest\t[administrator]\n"
    );
    let users: Value = serde_json::from_str(&broker.ctl_ok(&["list_users", "--formatter", "json"])).unwrap();
    assert_eq!(users[0], json!({"user": "ann", "tags": ["administrator", "monitoring"]}));
    assert_eq!(
        broker.ctl_ok(&["list_users", "--formatter=csv"]),
        "\"user\",\"tags\"\n\"ann\",\"[administrator, monitoring]\"\n\"guest\",\"[administrator]\"\n"
    );
    assert!(
        broker
            .ctl_ok(&["list_users", "--formatter", "pretty_table"])
            .contains("│ ann   │ [administrator, monitoring] │")
    );
    assert_eq!(broker.ctl_ok(&["-q", "authenticate_user", "ann", "secret"]), "Success\n");
    broker.ctl_fails(&["authenticate_user", "ann", "wrong"], 65, "user 'ann' - invalid credentials");
    broker.ctl_ok(&["change_password", "ann", "other"]);
    assert_eq!(broker.ctl_ok(&["-q", "authenticate_user", "ann", "other"]), "Success\n");
    broker.ctl_ok(&["clear_password", "ann"]);
    broker.ctl_fails(&["authenticate_user", "ann", "other"], 65, "failed to authenticate");
    assert_eq!(broker.ctl_ok(&["delete_user", "ann"]), "Deleting user \"ann\" ...\n");
    broker.ctl_fails(&["delete_user", "ann"], 67, "User \"ann\" does not exist");
}

#[test]
fn permissions_and_virtual_hosts_are_as_rabbitmqs() {
    let broker = Broker::start();
    assert_eq!(broker.ctl_ok(&["add_vhost", "v1"]), "Adding vhost \"v1\" ...\n");
    assert_eq!(broker.ctl_ok(&["add_vhost", "v1"]), "Adding vhost \"v1\" ...\n", "RabbitMQ: no error");
    broker.ctl_ok(&["add_user", "ann", "secret"]);
    assert_eq!(
        broker.ctl_ok(&["set_permissions", "-p", "v1", "ann", "^a", "-", ".*"]),
        "Setting permissions for user \"ann\" in vhost \"v1\" ...\n"
    );
    broker.ctl_fails(
        &["set_permissions", "-p", "nov", "ann", ".*", ".*", ".*"],
        69,
        "Virtual host nov does not exist",
    );
    broker.ctl_fails(&["set_permissions", "-p", "v1", "no", ".*", ".*", ".*"], 67, "User no does not exist");
    assert_eq!(
        broker.ctl_ok(&["list_permissions", "-p", "v1"]),
        "Listing permissions for vhost \"v1\" ...\nuser\tconfigure\twrite\tread\nann\t^a\t-\t.*\n"
    );
    assert_eq!(
        broker.ctl_ok(&["-q", "list_user_permissions", "ann"]),
        "vhost\tconfigure\twrite\tread\nv1\t^a\t-\t.*\n"
    );
    broker.ctl_ok(&["set_topic_permissions", "-p", "v1", "ann", "amq.topic", "^w", "^r"]);
    assert_eq!(
        broker.ctl_ok(&["-q", "list_topic_permissions", "-p", "v1"]),
        "user\texchange\twrite\tread\nann\tamq.topic\t^w\t^r\n"
    );
    broker.ctl_ok(&["clear_topic_permissions", "-p", "v1", "ann"]);
    broker.ctl_ok(&["clear_permissions", "-p", "v1", "ann"]);
    broker.ctl_ok(&["clear_permissions", "-p", "v1", "ann"]);
    assert_eq!(broker.ctl_ok(&["-q", "list_permissions", "-p", "v1"]), "");
    assert_eq!(
        broker.ctl_ok(&["-q", "list_vhosts", "name", "tracing"]),
        "name\ttracing\n/\tfalse\nv1\tfalse\n"
    );
    broker.ctl_ok(&["trace_on", "-p", "v1"]);
    assert_eq!(
        broker.ctl_ok(&["-q", "list_vhosts", "name", "tracing"]),
        "name\ttracing\n/\tfalse\nv1\ttrue\n"
    );
    broker.ctl_ok(&["trace_off", "-p", "v1"]);
    broker.ctl_ok(&["delete_vhost", "v1"]);
    broker.ctl_fails(&["delete_vhost", "v1"], 65, "Virtual host 'v1' does not exist");
}

#[test]
fn queues_are_listed_with_the_columns_that_are_asked_for() {
    let broker = Broker::start();
    assert_eq!(
        broker.ctl_ok(&["list_queues"]),
        "Timeout: 60.0 seconds ...\nListing queues for vhost / ...\n"
    );
    broker.ok(&["queue", "declare", "q1", "--argument", "x-max-length=10"]);
    broker.ok(&["publish", "q1", "m"]);
    assert_eq!(
        broker.ctl_ok(&["list_queues"]),
        "Timeout: 60.0 seconds ...\nListing queues for vhost / ...\nname\tmessages\nq1\t1\n"
    );
    assert_eq!(
        broker.ctl_ok(&[
            "-q",
            "list_queues",
            "name",
            "messages",
            "consumers",
            "durable",
            "arguments",
            "policy"
        ]),
        "name\tmessages\tconsumers\tdurable\targuments\tpolicy\nq1\t1\t0\ttrue\t[{\"x-max-length\",10}]\t\n"
    );
    let json: Value =
        serde_json::from_str(&broker.ctl_ok(&["list_queues", "--formatter", "json", "name", "messages"]))
            .unwrap();
    assert_eq!(json, json!([{"name": "q1", "messages": 1}]));
    broker.ctl_fails(&["list_queues", "bogus"], 64, "Info key(s) bogus are not supported");
    assert!(broker.ctl_ok(&["-q", "list_exchanges"]).contains("amq.direct\tdirect\n"));
    assert_eq!(
        broker.ctl_ok(&["list_bindings"]),
        "Listing bindings for vhost /...\nsource_name\tsource_kind\tdestination_name\tdestination_kind\trouting_key\t\
         arguments\n\texchange\tq1\tqueue\tq1\t[]\n"
    );
    broker.ctl_ok(&["purge_queue", "q1"]);
    assert_eq!(
        broker.ctl_ok(&["delete_queue", "q1"]),
        "Deleting queue 'q1' on vhost '/' ...\nQueue was successfully deleted with 0 ready messages\n"
    );
    broker.ctl_fails(&["delete_queue", "q1"], 64, "Queue not found");
    broker.ctl_fails(&["purge_queue", "q1"], 69, "not_found");
}

#[test]
fn policies_parameters_and_limits_are_set_and_cleared() {
    let broker = Broker::start();
    assert_eq!(
        broker.ctl_ok(&[
            "set_policy",
            "--priority",
            "3",
            "--apply-to",
            "queues",
            "pol",
            "^q",
            r#"{"max-length":5}"#
        ]),
        "Setting policy \"pol\" for pattern \"^q\" to \"{\"max-length\":5}\" with priority \"3\" for vhost \"/\" ...\n"
    );
    assert_eq!(
        broker.ctl_ok(&["-q", "list_policies"]),
        "vhost\tname\tpattern\tapply-to\tdefinition\tpriority\n/\tpol\t^q\tqueues\t{\"max-length\":5}\t3\n"
    );
    broker.ctl_fails(&["set_policy", "pol", "^q", "xx"], 69, "JSON decoding error");
    broker.ctl_ok(&["clear_policy", "pol"]);
    broker.ctl_fails(&["clear_policy", "pol"], 69, "Parameter does not exist");
    broker.ctl_fails(&["set_parameter", "bogus", "n", "1"], 69, "Validation failed");
    broker.ctl_ok(&["set_global_parameter", "gp", r#"{"a":1}"#]);
    assert!(broker.ctl_ok(&["-q", "list_global_parameters"]).contains("gp\t{\"a\":1}\n"));
    broker.ctl_ok(&["clear_global_parameter", "gp"]);
    broker.ctl_ok(&["set_vhost_limits", r#"{"max-queues": 5}"#]);
    assert_eq!(broker.ctl_ok(&["-q", "list_vhost_limits"]), "{\"max-queues\":5}\n");
    broker.ctl_ok(&["clear_vhost_limits"]);
    assert_eq!(broker.ctl_ok(&["-q", "list_vhost_limits"]), "{}\n");
    broker.ctl_ok(&["set_user_limits", "guest", r#"{"max-connections": 5}"#]);
    assert_eq!(broker.ctl_ok(&["-q", "list_user_limits", "--user", "guest"]), "{\"max-connections\":5}\n");
    broker.ctl_ok(&["clear_user_limits", "guest", "all"]);
    broker.ctl_fails(&["set_user_limits", "nobody", r#"{"max-connections": 5}"#], 67, "does not exist");
}

#[tokio::test]
async fn connections_are_listed_and_closed() {
    let broker = Broker::start();
    let mut peer = broker.channel().await;
    peer.call(1, declare("q")).await;
    peer.call(1, consume("q", "tag")).await;
    let listed = broker.ctl_ok(&["list_connections"]);
    assert!(
        listed.starts_with("Listing connections ...\nuser\tpeer_host\tpeer_port\tstate\nguest\t127.0.0.1\t"),
        "{listed}"
    );
    let consumers = broker.ctl_ok(&["-q", "list_consumers", "queue_name", "consumer_tag", "ack_required"]);
    assert_eq!(consumers, "queue_name\tconsumer_tag\tack_required\nq\ttag\ttrue\n");
    assert_eq!(broker.ctl_ok(&["--silent", "list_channels", "user", "consumer_count"]), "guest\t1\n");
    let pids = broker.ctl_ok(&["--silent", "list_connections", "pid", "channels"]);
    let pid = pids.lines().find_map(|line| line.strip_suffix("\t1")).unwrap();
    assert!(!pid.contains(' '), "{pid}");
    broker.ctl_ok(&["close_connection", pid, "for reasons"]);
    let close = peer.expect(0, "connection.close").await;
    assert!(format!("{close:?}").contains("CONNECTION_FORCED - for reasons"), "{close:?}");
    let mut other = broker.channel().await;
    broker.ctl_fails(&["close_connection", "<0.1.2>", "x"], 69, "there is no connection <0.1.2>");
    let all = broker.ctl_ok(&["close_all_connections", "--vhost", "/", "bye"]);
    assert!(all.starts_with("Closing all connections in vhost /, reason: bye...\nClosed "), "{all}");
    let close = other.expect(0, "connection.close").await;
    assert!(format!("{close:?}").contains("CONNECTION_FORCED - bye"), "{close:?}");
}

#[test]
fn definitions_go_out_and_come_back() {
    let broker = Broker::start();
    let file = broker.directory.path().join("definitions.json");
    let file = file.to_str().unwrap();
    broker.ctl_ok(&["export_definitions", file]);
    broker.ctl_ok(&["import_definitions", file]);
    let text: Value = serde_json::from_str(&broker.ctl_ok(&["export_definitions", "-"])).unwrap();
    assert_eq!(text["users"][0]["name"], "guest");
}

#[test]
fn plugins_that_are_built_in_are_enabled_without_a_broker() {
    let plugins = |arguments: &[&str]| {
        run(&[&["rabbitmq-plugins"], arguments].concat(), &[("LEPUS_DATA_DIR", "/nonexistent")], "")
    };
    let enabled = plugins(&["enable", "--offline", "rabbitmq_management", "rabbitmq_prometheus"]);
    assert_eq!((enabled.code, enabled.err.as_str()), (0, ""), "{enabled:?}");
    let missing = plugins(&["enable", "rabbitmq_mqtt"]);
    assert_eq!(missing.code, 65);
    assert!(missing.err.contains("could not be found: rabbitmq_mqtt."), "{missing:?}");
    assert_eq!(plugins(&["disable", "rabbitmq_mqtt"]).code, 0);
    assert_eq!(plugins(&["disable", "rabbitmq_management"]).code, 69);
    assert_eq!(plugins(&["is_enabled", "rabbitmq_management"]).code, 0);
    assert_eq!(plugins(&["is_enabled", "rabbitmq_shovel"]).code, 69);
    assert_eq!(plugins(&["list", "-q", "-m", "^rabbitmq_prom"]).out, "rabbitmq_prometheus\n");
    assert!(plugins(&["list"]).out.contains("[E*] rabbitmq_management "));
}

#[test]
fn what_cannot_be_done_is_refused_with_the_reason() {
    let broker = Broker::start();
    for (command, why) in [
        (&["eval", "1."][..], "no Erlang node"),
        (&["stop_app"], "SIGTERM"),
        (&["start_app"], "SIGTERM"),
        (&["reset"], "--data-dir"),
        (&["join_cluster", "rabbit@a"], "single node"),
        (&["await_online_nodes", "3"], "no more than 1"),
        (&["-n", "rabbit@elsewhere.example", "status"], "not on this machine"),
    ] {
        broker.ctl_fails(command, 69, why);
    }
    broker.ctl_fails(&["bogus_command"], 64, "Command 'bogus_command' not found");
    broker.ctl_fails(&["add_user"], 64, "not enough arguments");
    broker.ctl_fails(&["list_vhosts", "--bogus"], 64, "Invalid options for this command");
    let status = broker.ctl_ok(&["status"]);
    assert!(status.starts_with("Status of node rabbit@here ...\nRuntime\n\nOS PID: "), "{status}");
    let json: Value = serde_json::from_str(&broker.ctl_ok(&["status", "--formatter", "json"])).unwrap();
    assert_eq!(json["rabbitmq_version"], "4.0.5");
    let json: Value =
        serde_json::from_str(&broker.ctl_ok(&["cluster_status", "--formatter", "json"])).unwrap();
    assert_eq!(json["running_nodes"], json!(["rabbit@here"]));
}
