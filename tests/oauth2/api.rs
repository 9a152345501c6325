//! Tokens at the management API: tags and permissions come from scopes.

use lepus::config::AuthBackend;
use serde_json::json;

use crate::http::{Answer, Broker};
use crate::signer::{KeyFiles, Signer, claims, claims_with};

struct Fixture {
    signer: Signer,
    broker: Broker,
    _files: KeyFiles,
}

impl Fixture {
    async fn start() -> Self {
        let signer = Signer::ed("k");
        let files = KeyFiles::of(&[&signer]);
        let broker = Broker::start_with(|config| {
            config.auth_backends = vec![AuthBackend::OAuth2, AuthBackend::Internal];
            config.oauth2 = files.settings.clone();
        })
        .await;
        Self { signer, broker, _files: files }
    }

    async fn ask(&self, token: &str, method: &str, path: &str) -> Answer {
        let header = format!("Authorization: Bearer {token}\r\n");
        self.broker.request_as("", method, path, &header, if method == "PUT" { "{}" } else { "" }).await
    }
}

#[tokio::test]
async fn a_bearer_is_who_the_token_says_with_the_tags_of_its_scopes() {
    let fixture = Fixture::start().await;
    let token = fixture.signer.sign(&claims(&["rabbitmq.tag:monitoring", "rabbitmq.tag:x"]));
    let whoami = fixture.ask(&token, "GET", "/whoami").await.json();
    assert_eq!(whoami, json!({"name": "alice", "tags": ["monitoring", "x"], "is_internal_user": false}));
    // In the place of the password too, as tools send it that know no tokens.
    let answer = fixture.broker.request_as(&format!("any:{token}"), "GET", "/whoami", "", "").await;
    assert_eq!(answer.json()["name"], "alice");
    assert_eq!(fixture.broker.json("/whoami").await["name"], "guest");
}

#[tokio::test]
async fn each_tag_of_a_token_opens_its_routes() {
    let fixture = Fixture::start().await;
    for (tag, expected) in [
        ("none", [401, 401, 401]),
        ("management", [200, 403, 403]),
        ("monitoring", [200, 200, 403]),
        ("administrator", [200, 200, 200]),
    ] {
        let token = fixture.signer.sign(&claims(&[&format!("rabbitmq.tag:{tag}")]));
        for (path, expected) in ["/overview", "/nodes", "/users"].into_iter().zip(expected) {
            let status = fixture.ask(&token, "GET", path).await.status;
            // RabbitMQ: without any of its tags, nobody is let in.
            assert!(status == expected || (tag == "none" && status == 403), "{tag} {path}: {status}");
        }
    }
}

#[tokio::test]
async fn scopes_permit_requests_as_they_permit_channels() {
    let fixture = Fixture::start().await;
    let token = fixture.signer.sign(&claims(&["rabbitmq.tag:management", "rabbitmq.configure:%2F/mine-*"]));
    assert_eq!(fixture.ask(&token, "PUT", "/queues/%2F/mine-1").await.status, 201);
    assert_eq!(fixture.ask(&token, "PUT", "/queues/%2F/yours").await.status, 403);
    assert_eq!(fixture.ask(&token, "GET", "/queues/%2F").await.json().as_array().unwrap().len(), 1);
    let elsewhere = fixture.signer.sign(&claims(&["rabbitmq.tag:management", "rabbitmq.configure:other/*"]));
    assert_eq!(fixture.ask(&elsewhere, "GET", "/queues/%2F").await.status, 403);
    assert_eq!(fixture.ask(&elsewhere, "GET", "/vhosts").await.json(), json!([]));
}

#[tokio::test]
async fn bad_tokens_are_401_and_say_nothing() {
    let fixture = Fixture::start().await;
    let forged = Signer::ed("k").sign(&claims(&["rabbitmq.tag:administrator"]));
    let expired = claims_with(&["rabbitmq.tag:administrator"], &json!({"exp": 1_000_000_000}));
    let expired = fixture.signer.sign(&expired);
    for token in [forged.as_str(), &expired, "", "x", "a b", "guest", "Z3Vlc3Q6Z3Vlc3Q="] {
        let answer = fixture.ask(token, "GET", "/users").await;
        assert_eq!(answer.status, 401, "{token}");
        assert_eq!(answer.refusal(), ("not_authorized".to_owned(), "Login failed".to_owned()), "{token}");
    }
}
