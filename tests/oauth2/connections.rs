//! Tokens over AMQP: who comes in, what is permitted, and how a token is renewed.

use lepus::clock::Clock;
use lepus::config::{AuthBackend, Config};
use serde_json::json;

use crate::server::KeyServer;
use crate::signer::{KeyFiles, Signer, claims, claims_with};
use crate::support::peer::tune_ok;
use crate::support::*;

const ALL: &[&str] = &["rabbitmq.configure:*/*", "rabbitmq.write:*/*", "rabbitmq.read:*/*"];

struct Fixture {
    signer: Signer,
    broker: Broker,
    _files: KeyFiles,
}

impl Fixture {
    async fn start() -> Option<Self> {
        Self::start_with(|_| {}).await
    }

    async fn start_with(configure: impl FnOnce(&mut Config)) -> Option<Self> {
        let signer = Signer::ed("k");
        let files = KeyFiles::of(&[&signer]);
        let broker = Broker::start_with(|config| {
            config.auth_backends = vec![AuthBackend::Internal, AuthBackend::OAuth2];
            config.oauth2 = files.settings.clone();
            config.oauth2.leeway = std::time::Duration::ZERO;
            configure(config);
        });
        Some(Self { broker: broker.await?, signer, _files: files })
    }

    fn token(&self, scopes: &[&str]) -> String {
        self.signer.sign(&claims(scopes))
    }

    /// A connection with channel 1 open.
    async fn channel(&self, scopes: &[&str]) -> Peer {
        self.broker.channel_as("whoever", &self.token(scopes)).await
    }

    async fn is_welcome(&self, user: &str, password: &str) -> bool {
        let mut peer = self.broker.dial().await;
        peer.receive_start().await;
        peer.send(0, Credentials::plain(user, password).start_ok()).await;
        peer.expect_method(0).await.name == "connection.tune"
    }
}

fn update_secret(token: &str) -> Method {
    Method::new("connection.update-secret").set("new-secret", token).set("reason", "it ends")
}

fn refused(access: &str, what: &str) -> String {
    format!("ACCESS_REFUSED - {access} access to {what} in vhost '/' refused for user 'alice'")
}

#[tokio::test]
async fn a_token_is_a_password_for_any_name_and_a_bad_one_is_refused_like_one() {
    let Some(fixture) = Fixture::start().await else { return };
    assert!(fixture.is_welcome("whoever", &fixture.token(ALL)).await);
    assert!(fixture.is_welcome("", &fixture.token(ALL)).await);
    assert!(fixture.is_welcome("guest", "guest").await, "accounts are asked too");
    let forged = Signer::ed("k").sign(&claims(ALL));
    for password in [forged.as_str(), "eyJ.e30.x", "wrong"] {
        let mut peer = fixture.broker.dial().await;
        peer.receive_start().await;
        peer.send(0, Credentials::plain("guest", password).start_ok()).await;
        let text = "ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN. For details see the \
                    broker logfile.";
        peer.expect_connection_close(403, text, (0, 0)).await;
    }
}

#[tokio::test]
async fn accounts_let_nobody_in_where_only_tokens_count() {
    let only = |config: &mut Config| config.auth_backends = vec![AuthBackend::OAuth2];
    let Some(fixture) = Fixture::start_with(only).await else { return };
    assert!(!fixture.is_welcome("guest", "guest").await);
    assert!(fixture.is_welcome("guest", &fixture.token(ALL)).await);
}

#[tokio::test]
async fn a_token_means_nothing_where_only_accounts_count() {
    let only = |config: &mut Config| config.auth_backends = vec![AuthBackend::Internal];
    let Some(fixture) = Fixture::start_with(only).await else { return };
    assert!(!fixture.is_welcome("guest", &fixture.token(ALL)).await);
}

#[tokio::test]
async fn a_virtual_host_is_open_to_whom_a_scope_names_it() {
    let Some(fixture) = Fixture::start().await else { return };
    for (scopes, is_open) in [
        (&["rabbitmq.read:%2F/q"][..], true),
        (&["rabbitmq.read:*/q"], true),
        (&["rabbitmq.read:other/*", "rabbitmq.tag:administrator"], false),
        (&["other.read:*/*", "openid"], false),
        (&[], false),
    ] {
        let mut peer = fixture.broker.dial().await;
        let tune = peer.log_in(&Credentials::plain("", &fixture.token(scopes))).await;
        peer.send(0, tune_ok(&tune)).await;
        let open = Method::new("connection.open").set("virtual-host", "/");
        if is_open {
            peer.call(0, open).await;
        } else {
            let text = "NOT_ALLOWED - access to vhost '/' refused for user 'alice'";
            peer.expect_hard_error(0, open, 530, text).await;
        }
    }
}

/// Each permission by itself, and what it is not enough for.
#[tokio::test]
async fn each_scope_permits_its_access_to_its_names_and_nothing_else() {
    let Some(fixture) = Fixture::start().await else { return };
    let mut all = fixture.channel(ALL).await;
    all.call(1, declare("q-1").flag("durable")).await;
    all.call(1, declare_exchange("x-1", "direct").flag("durable")).await;
    let cases = [
        (declare("q-1").flag("durable"), "configure", "queue 'q-1'", "rabbitmq.configure:*/q-*"),
        (
            declare_exchange("x-1", "direct").flag("durable"),
            "configure",
            "exchange 'x-1'",
            "rabbitmq.configure:*/x-1",
        ),
        (get("q-1"), "read", "queue 'q-1'", "rabbitmq.read:%2F/*"),
        (purge("q-1"), "read", "queue 'q-1'", "rabbitmq.read:%2F/*1"),
    ];
    let few = ["rabbitmq.configure:*/a", "rabbitmq.write:*/*-1x", "rabbitmq.read:other/*"];
    for (method, access, what, scope) in cases {
        let mut peer = fixture.channel(&few).await;
        peer.expect_refusal(1, method.clone(), 403, &refused(access, what)).await;
        let mut peer = fixture.channel(&[scope]).await;
        peer.send(1, method.clone()).await;
        let answer = peer.expect_method(1).await;
        assert_ne!(answer.name, "channel.close", "{method:?} with {scope}: {answer:?}");
    }
    let mut peer = fixture.channel(&few).await;
    peer.publish(1, publish("x-1", "k", "m")).await;
    peer.expect_channel_close(1, 403, &refused("write", "exchange 'x-1'"), (60, 40)).await;
    let mut peer = fixture.channel(&["rabbitmq.write:*/x-1"]).await;
    peer.call(1, confirm_select()).await;
    peer.publish(1, publish("x-1", "k", "m")).await;
    peer.expect_confirm(1, 1).await;
    // The default exchange has RabbitMQ's name in scopes too.
    let mut peer = fixture.channel(&["rabbitmq.write:*/amq.default"]).await;
    peer.call(1, confirm_select()).await;
    peer.publish(1, publish("", "q-1", "m")).await;
    peer.expect_confirm(1, 1).await;
}

#[tokio::test]
async fn routing_keys_at_topic_exchanges_are_those_of_the_scope_that_permits_the_exchange() {
    let Some(fixture) = Fixture::start().await else { return };
    let scopes = [
        "rabbitmq.write:*/amq.topic/eu.*",
        "rabbitmq.write:*/amq.direct/eu.*",
        "rabbitmq.write:*/q",
        "rabbitmq.configure:*/q",
        "rabbitmq.read:*/amq.topic/us.*",
    ];
    let mut peer = fixture.channel(&scopes).await;
    peer.call(1, confirm_select()).await;
    for (tag, (exchange, key)) in
        [("amq.topic", "eu.berlin"), ("amq.direct", "us.boston")].into_iter().enumerate()
    {
        peer.publish(1, publish(exchange, key, "m")).await;
        peer.expect_confirm(1, tag as u64 + 1).await;
    }
    peer.publish(1, publish("amq.topic", "us.boston", "m")).await;
    let topic = |access: &str, key: &str| refused(access, &format!("topic '{key}' in exchange 'amq.topic'"));
    peer.expect_channel_close(1, 403, &topic("write", "us.boston"), (60, 40)).await;
    let mut peer = fixture.channel(&scopes).await;
    peer.call(1, declare("q").flag("exclusive")).await;
    peer.call(1, bind("q", "amq.topic", "us.#")).await;
    peer.expect_refusal(1, bind("q", "amq.topic", "eu.#"), 403, &topic("read", "eu.#")).await;
}

#[tokio::test]
async fn another_token_changes_what_is_permitted_on_a_connection_that_is_open() {
    let Some(fixture) = Fixture::start().await else { return };
    let mut peer = fixture.channel(&["rabbitmq.configure:*/a", "rabbitmq.write:*/amq.fanout"]).await;
    peer.call(1, declare("a").flag("exclusive")).await;
    peer.call(1, confirm_select()).await;
    peer.publish(1, publish("amq.fanout", "", "m")).await;
    peer.expect_confirm(1, 1).await;
    // What follows the new token counts on it, though it is sent at once.
    peer.send(0, update_secret(&fixture.token(&["rabbitmq.configure:*/b"]))).await;
    peer.send(1, declare("b").flag("exclusive")).await;
    peer.expect(0, "connection.update-secret-ok").await;
    peer.expect(1, "queue.declare-ok").await;
    peer.publish(1, publish("amq.fanout", "", "m")).await;
    peer.expect_channel_close(1, 403, &refused("write", "exchange 'amq.fanout'"), (60, 40)).await;
}

#[tokio::test]
async fn a_new_token_that_is_bad_or_anothers_closes_the_connection() {
    let Some(fixture) = Fixture::start().await else { return };
    let anothers = fixture.signer.sign(&claims_with(ALL, &json!({"sub": "bob"})));
    let expired = fixture.signer.sign(&claims_with(ALL, &json!({"exp": 1_000_000_000})));
    for token in [anothers.as_str(), &expired, "guest", "", &"x".repeat(60_000)] {
        let mut peer = fixture.channel(ALL).await;
        let text = "NOT_ALLOWED - New secret was refused by one of the backends";
        peer.expect_hard_error(0, update_secret(token), 530, text).await;
    }
}

/// A token that runs out on an open connection: operations are refused, the connection stays, another token helps.
#[tokio::test]
async fn nothing_is_permitted_once_the_token_has_run_out_until_it_is_renewed() {
    let Some(fixture) = Fixture::start().await else { return };
    let mut peer = fixture.channel(ALL).await;
    peer.call(1, declare("q").flag("exclusive")).await;
    // On a machine that stands still meanwhile a token may have run out when it arrives: then a longer one does.
    let mut seconds = 1;
    let mut peer = loop {
        let now = Clock::start().now().as_millis() / 1000;
        let short = fixture.signer.sign(&claims_with(ALL, &json!({"exp": now + 1 + seconds})));
        peer.send(0, update_secret(&short)).await;
        if peer.expect_method(0).await.name == "connection.update-secret-ok" {
            break peer;
        }
        seconds *= 2;
        peer = fixture.channel(ALL).await;
        peer.call(1, declare("q").flag("exclusive")).await;
    };
    let refusal = loop {
        peer.send(1, purge("q")).await;
        let answer = peer.expect_method(1).await;
        if answer.name == "channel.close" {
            break answer;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    };
    assert_eq!(refusal.number("reply-code"), 403);
    assert_eq!(refusal.text("reply-text"), refused("read", "queue 'q'"));
    peer.send(1, Method::new("channel.close-ok")).await;
    peer.call(0, update_secret(&fixture.token(ALL))).await;
    peer.open(1).await;
    peer.call(1, purge("q")).await;
}

#[tokio::test]
async fn keys_are_fetched_while_a_client_logs_in_and_while_it_renews_its_token() {
    let (server, one) = (KeyServer::start(), Signer::ec("one"));
    server.list(&[&one]);
    let settings = server.settings();
    let Some(broker) = Broker::start_with(|config| {
        config.auth_backends = vec![AuthBackend::OAuth2];
        config.oauth2 = settings;
    })
    .await
    else {
        return;
    };
    let mut peer = broker.channel_as("", &one.sign(&claims(ALL))).await;
    peer.call(0, update_secret(&one.sign(&claims(ALL)))).await;
    // The server was asked a moment ago: another key is not known, and nobody waits for it.
    let other = Signer::ec("other").sign(&claims(ALL));
    let text = "NOT_ALLOWED - New secret was refused by one of the backends";
    peer.expect_hard_error(0, update_secret(&other), 530, text).await;
    assert_eq!(server.asked(), 1);
}
