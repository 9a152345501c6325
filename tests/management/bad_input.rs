//! What is not a request, or asks for what cannot be: a status, a reason, and nothing has changed.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::http::Broker;
use serde_json::json;

#[tokio::test]
async fn nobody_comes_in_without_a_password() {
    let broker = Broker::start().await;
    for credentials in ["", "guest:wrong", "nobody:guest", "guest:"] {
        let answer = broker.request_as(credentials, "GET", "/overview", "", "").await;
        assert_eq!((answer.status, answer.refusal().0.as_str()), (401, "not_authorized"), "{credentials}");
        assert!(answer.header("www-authenticate").unwrap().starts_with("Basic "));
    }
    let answer = broker.request_as("", "GET", "/overview", "Authorization: Bearer x\r\n", "").await;
    assert_eq!(answer.status, 401);
    assert_eq!(broker.request_as("", "GET", "/auth", "", "").await.status, 200, "asked before a login");
}

#[tokio::test]
async fn amqp_is_answered_promptly() {
    let broker = Broker::start().await;
    let mut socket = TcpStream::connect(broker.api).await.unwrap();
    socket.write_all(b"AMQP\x00\x00\x09\x01").await.unwrap();
    let mut answer = Vec::new();
    let read = timeout(Duration::from_secs(5), socket.read_to_end(&mut answer)).await;
    assert!(read.is_ok(), "the socket stays open");
    assert!(answer.starts_with(b"HTTP/1.1 400"), "{}", String::from_utf8_lossy(&answer));
}

#[tokio::test]
async fn a_path_that_leads_nowhere_is_404_and_a_wrong_method_405() {
    let broker = Broker::start().await;
    for path in
        ["/nothing", "/queues/%2F/q/unknown", "/../overview", "/queues/nowhere", "/queues/nowhere/q", ""]
    {
        let answer = broker.get(path).await;
        assert_eq!(answer.status, 404, "{path}");
        assert!(!answer.refusal().1.is_empty());
    }
    let answer = broker.post("/overview", "{}").await;
    assert_eq!((answer.status, answer.refusal().0.as_str()), (405, "method_not_allowed"));
}

#[tokio::test]
async fn names_that_cannot_be_are_refused_and_odd_ones_taken_literally() {
    let broker = Broker::start().await;
    let long = "x".repeat(256);
    for name in ["%00", "a%0Ab", "%ff", &long] {
        let answer = broker.put(&format!("/queues/%2F/{name}"), "{}").await;
        assert_eq!((answer.status, answer.refusal().0.as_str()), (400, "bad_request"), "{name}");
    }
    for name in ["..", "%2E%2E", "a%2Fb", "%25", "%C3%BC", "a+b", "a%20b", "%3Cb%3E"] {
        let status = broker.put(&format!("/queues/%2F/{name}"), "{}").await.status;
        assert!(status == 201 || (name == "%2E%2E" && status == 204), "{name}: {status}");
    }
    let list = broker.json("/queues?columns=name").await;
    let names: Vec<_> =
        list.as_array().unwrap().iter().map(|queue| queue["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["%", "..", "<b>", "a b", "a+b", "a/b", "ü"]);
}

#[tokio::test]
async fn bodies_that_are_not_as_expected_are_400_with_their_place() {
    let broker = Broker::start().await;
    for body in ["{", "[]", "7", r#"{"durable":"maybe"}"#, r#"{"arguments":[]}"#, "{\"durable\":true}}"] {
        let answer = broker.put("/queues/%2F/q", body).await;
        let (error, reason) = answer.refusal();
        assert_eq!((answer.status, error.as_str()), (400, "bad_request"), "{body}");
        assert!(reason.contains("line 1 column"), "{body}: {reason}");
    }
    let deep = format!(r#"{{"arguments":{}1{}}}"#, r#"{"a":"#.repeat(60), "}".repeat(60));
    assert_eq!(broker.put("/queues/%2F/q", &deep).await.status, 400);
    let deeper = format!(r#"{{"arguments":{}1{}}}"#, "[".repeat(5000), "]".repeat(5000));
    assert_eq!(broker.put("/queues/%2F/q", &deeper).await.status, 400);
    let argument = broker.put("/queues/%2F/q", r#"{"arguments":{"x-max-length":"many"}}"#).await;
    assert_eq!(argument.status, 400);
    assert!(argument.refusal().1.contains("x-max-length"), "{argument:?}");
    assert_eq!(broker.json("/queues").await, json!([]), "nothing was declared");
}

#[tokio::test]
async fn a_body_beyond_the_limit_is_413() {
    let broker = Broker::start().await;
    let answer = broker.put("/queues/%2F/q", &" ".repeat(20_000_001)).await;
    assert_eq!((answer.status, answer.refusal().0.as_str()), (413, "payload_too_large"));
}

#[tokio::test]
async fn a_head_beyond_the_limit_is_431() {
    let broker = Broker::start().await;
    let answer = broker.get(&format!("/queues/%2F/{}", "x".repeat(100_000))).await;
    assert!(matches!(answer.status, 414 | 431), "{answer:?}");
}

#[tokio::test]
async fn queries_that_cannot_be_are_400() {
    let broker = Broker::start().await;
    for query in ["page=0", "page=x", "page=1&page_size=501", "page=7", "page=1&use_regex=true&name=("] {
        assert_eq!(broker.get(&format!("/queues?{query}")).await.status, 400, "{query}");
    }
}
