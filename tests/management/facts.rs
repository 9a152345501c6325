//! Small facts: overview, node, versions, who asks, health.

use std::path::PathBuf;

use crate::http::Broker;
use crate::support::{declare, publish, unique};
use serde_json::json;

#[tokio::test]
async fn the_overview_names_the_version_that_tools_choose_by() {
    let broker = Broker::start().await;
    let overview = broker.json("/overview").await;
    assert_eq!(overview["rabbitmq_version"], "4.0.5");
    assert_eq!(
        (&overview["product_name"], &overview["node"]),
        (&json!("RabbitMQ"), &overview["cluster_name"])
    );
    assert_eq!(overview["object_totals"]["exchanges"], 7);
    assert_eq!(overview["listeners"][0]["protocol"], "amqp");
    assert!(overview["exchange_types"].as_array().unwrap().len() >= 4);
}

#[tokio::test]
async fn the_overview_counts_objects_and_messages() {
    let broker = Broker::start().await;
    let mut peer = broker.channel().await;
    let queue = unique("counted");
    peer.call(1, declare(&queue)).await;
    peer.publish(1, publish("", &queue, "one")).await;
    peer.call(1, declare(&queue)).await;
    let overview = broker.json("/overview").await;
    let totals = &overview["object_totals"];
    assert_eq!(
        (&totals["connections"], &totals["channels"], &totals["queues"]),
        (&json!(1), &json!(1), &json!(1))
    );
    assert_eq!(overview["queue_totals"]["messages_ready"], 1);
    assert_eq!(overview["message_stats"]["publish"], 1);
    assert_eq!(overview["churn_rates"]["connection_created"], 1);
}

#[tokio::test]
async fn the_node_says_how_it_is() {
    let broker = Broker::start().await;
    let nodes = broker.json("/nodes").await;
    let node = &nodes[0];
    assert!(node["name"].as_str().unwrap().starts_with("lepus@"));
    assert_eq!(
        (&node["running"], &node["mem_alarm"], &node["type"]),
        (&json!(true), &json!(false), &json!("disc"))
    );
    assert!(node["mem_used"].as_u64().unwrap() > 0 && node["fd_used"].as_u64().unwrap() > 0);
    let name = node["name"].as_str().unwrap();
    assert_eq!(broker.json(&format!("/nodes/{name}")).await["name"], name);
    assert!(
        broker.json(&format!("/nodes/{name}/memory")).await["memory"]["total"]["rss"].as_u64().unwrap() > 0
    );
    assert_eq!(broker.get("/nodes/rabbit@elsewhere").await.status, 404);
}

#[tokio::test]
async fn the_caller_is_told_who_it_is() {
    let broker = Broker::start().await;
    assert_eq!(broker.json("/whoami").await["name"], "guest");
    assert_eq!(broker.json("/version").await, "4.0.5");
    assert_eq!(broker.json("/auth").await["oauth_enabled"], false);
    assert!(broker.json("/cluster-name").await["name"].is_string());
    assert_eq!(broker.json("/deprecated-features/used").await, json!([]));
}

#[tokio::test]
async fn nservicebus_finds_the_feature_flag_that_it_needs() {
    let broker = Broker::start().await;
    let flags = broker.json("/feature-flags").await;
    let flag = flags.as_array().unwrap().iter().find(|flag| flag["name"] == "stream_queue").unwrap();
    assert_eq!(flag["state"], "enabled");
    assert_eq!(broker.put("/feature-flags/stream_queue/enable", "{}").await.status, 204);
    assert_eq!(broker.put("/feature-flags/unknown/enable", "{}").await.status, 400);
}

#[tokio::test]
async fn health_checks_pass_on_a_healthy_node() {
    let broker = Broker::start().await;
    let amqp = broker.app.local_addr().port();
    for check in [
        "alarms",
        "local-alarms",
        "virtual-hosts",
        "node-is-quorum-critical",
        "is-in-service",
        "ready-to-serve-clients",
        "below-node-connection-limit",
        "protocol-listener/amqp",
        "certificate-expiration/1/weeks",
        &format!("port-listener/{amqp}"),
    ] {
        let answer = broker.get(&format!("/health/checks/{check}")).await;
        assert_eq!((answer.status, &answer.json()["status"]), (200, &json!("ok")), "{check}");
    }
    assert_eq!(broker.json("/aliveness-test/%2F").await["status"], "ok");
}

#[tokio::test]
async fn health_checks_fail_with_503_and_the_reason() {
    let broker = Broker::start().await;
    let missing = broker.get("/health/checks/port-listener/1").await;
    assert_eq!((missing.status, &missing.json()["missing"]), (503, &json!(1)));
    assert_eq!(broker.get("/health/checks/protocol-listener/mqtt").await.status, 503);
    broker.app.broker().alarms.set_disk(lepus::broker::alarm::DiskCause::Log, true);
    let alarms = broker.get("/health/checks/alarms").await;
    assert_eq!((alarms.status, &alarms.json()["alarms"][0]["resource"]), (503, &json!("disk")));
    assert_eq!(broker.get("/health/checks/port-listener/x").await.status, 400);
}

/// A certificate for `localhost` that runs out at the beginning of that year, and its key, as files.
fn certificate(directory: &tempfile::TempDir, last_year: i32) -> (PathBuf, PathBuf) {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    params.not_before = rcgen::date_time_ymd(2000, 1, 1);
    params.not_after = rcgen::date_time_ymd(last_year, 1, 1);
    let pem = params.self_signed(&key).unwrap().pem();
    let [pem_file, key_file] =
        ["pem", "key"].map(|ending| directory.path().join(format!("{last_year}.{ending}")));
    std::fs::write(&pem_file, pem).unwrap();
    std::fs::write(&key_file, key.serialize_pem()).unwrap();
    (pem_file, key_file)
}

#[tokio::test]
async fn a_certificate_that_runs_out_in_the_period_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let broker_with = async |last_years: &[i32]| {
        let pairs: Vec<_> = last_years.iter().map(|year| certificate(&directory, *year)).collect();
        Broker::start_with(|config| {
            config.tls.listen = vec![([127, 0, 0, 1], 0).into()];
            (config.tls.certificate, config.tls.key) = pairs.into_iter().unzip();
        })
        .await
    };
    let check = "/health/checks/certificate-expiration";
    let good = broker_with(&[2200]).await;
    assert_eq!(good.json(&format!("{check}/1/months")).await["status"], "ok");
    let soon = good.get(&format!("{check}/1000/years")).await;
    assert_eq!(
        (soon.status, &soon.json()["expired"][0]["subject"]),
        (503, &json!("CN=rcgen self signed cert"))
    );
    let old = broker_with(&[2200, 2001]).await.get(&format!("{check}/0/days")).await;
    assert_eq!((old.status, &old.json()["reason"]), (503, &json!("Certificates expiring")));
    let expired = old.json()["expired"].clone();
    assert_eq!(expired.as_array().unwrap().len(), 1);
    assert_eq!(expired[0]["certfile_expires_on"], "2001-01-01T00:00:00.000+00:00");
    for path in ["1/fortnights", "x/days", "-1/days"] {
        assert_eq!(good.get(&format!("{check}/{path}")).await.status, 400, "{path}");
    }
    let without = Broker::start().await;
    assert_eq!(without.json(&format!("{check}/1000/years")).await["status"], "ok");
}

#[tokio::test]
async fn the_openapi_document_has_every_route_and_no_other() {
    let broker = Broker::start().await;
    let document = broker.json("/openapi.json").await;
    assert_eq!(document["openapi"], "3.1.0");
    let paths = document["paths"].as_object().unwrap();
    assert!(paths.len() > 90, "{}", paths.len());
    for (path, item) in paths {
        // Something that is in no list, and no number either.
        let asked: Vec<&str> = path
            .split('/')
            .map(|segment| if segment.starts_with('{') { "nowhere" } else { segment })
            .collect();
        for method in ["get", "put", "post", "delete"] {
            let answer = broker.request(&method.to_uppercase(), &asked.join("/"), "").await;
            let is_there = item.get(method).is_some();
            assert_eq!(answer.status != 405, is_there, "{method} {path}: {}", answer.status);
        }
    }
    let unknown = broker.request_as("", "GET", "/openapi.json", "", "").await;
    assert_eq!(unknown.status, 401);
}
