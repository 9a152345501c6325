//! Which tokens are good, and what is said of those that are not.

use lepus::auth::{TOKEN_OCTETS_MAX, TokenVerifier, Verified};
use lepus::clock::Timestamp;
use lepus::config::TokenAlgorithm;
use lepus::config::value::Secret;
use serde_json::{Value, json};

use crate::signer::{KeyFiles, NOW, SERVER, Signer, claims, claims_with, message, sign_with_secret};

const SECRET: &str = "a secret of at least 32 octets, as it has to be";

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_millis(seconds * 1000)
}

async fn verify(files: &KeyFiles, token: &str) -> Result<Verified, String> {
    TokenVerifier::new(&files.settings).unwrap().verify(token.as_bytes(), at(NOW)).await
}

async fn refused(files: &KeyFiles, token: &str) -> String {
    verify(files, token).await.expect_err("the token is a bad one")
}

#[tokio::test]
async fn tokens_of_each_kind_of_key_are_good() {
    let signers = [Signer::rsa("r"), Signer::ec("c"), Signer::ed("d")];
    let files = KeyFiles::of(&[&signers[0], &signers[1], &signers[2]]);
    for signer in &signers {
        let token = signer.sign(&claims(&["rabbitmq.tag:monitoring", "rabbitmq.read:*/*", "openid"]));
        let verified = verify(&files, &token).await.unwrap();
        assert_eq!(verified.user.as_str(), "alice", "{}", signer.algorithm());
        assert_eq!((verified.tags, verified.scopes.len()), (vec!["monitoring".to_owned()], 1));
        assert_eq!(verified.expires, Some(at(4_000_000_005)), "five seconds are granted to another clock");
    }
}

#[tokio::test]
async fn a_signature_of_another_key_and_a_changed_token_are_refused() {
    let (signer, other) = (Signer::ec("k"), Signer::ec("k"));
    let files = KeyFiles::of(&[&signer]);
    assert!(refused(&files, &other.sign(&claims(&[]))).await.contains("InvalidSignature"));
    let good = signer.sign(&claims(&["rabbitmq.read:*/*"]));
    let (_, signature) = good.rsplit_once('.').unwrap();
    let header = json!({"typ": "JWT", "alg": "ES256", "kid": "k"});
    let changed = format!("{}.{signature}", message(&header, &claims(&["rabbitmq.tag:administrator"])));
    assert!(refused(&files, &changed).await.contains("InvalidSignature"));
    assert!(verify(&files, &good).await.is_ok());
}

#[tokio::test]
async fn a_token_for_another_server_is_refused() {
    let signer = Signer::ed("k");
    let mut files = KeyFiles::of(&[&signer]);
    for audience in [json!("other"), json!(["other"]), json!(null), json!(7), json!("rabbitmq-2")] {
        let token = signer.sign(&claims_with(&[], &json!({"aud": audience})));
        assert!(refused(&files, &token).await.contains("not for 'rabbitmq'"), "{audience}");
    }
    assert!(verify(&files, &signer.sign(&claims_with(&[], &json!({"aud": SERVER})))).await.is_ok());
    files.settings.verify_aud = false;
    assert!(verify(&files, &signer.sign(&claims_with(&[], &json!({"aud": "other"})))).await.is_ok());
}

#[tokio::test]
async fn a_token_of_another_issuer_is_refused_where_one_is_named() {
    let signer = Signer::ed("k");
    let mut files = KeyFiles::of(&[&signer]);
    files.settings.issuer = Some("https://issuer.example/realm".to_owned());
    for (issuer, is_good) in [
        (json!("https://issuer.example/realm"), true),
        (json!("https://issuer.example/realm/"), true),
        (json!("https://issuer.example/other"), false),
        (json!(null), false),
    ] {
        let token = signer.sign(&claims_with(&[], &json!({"iss": issuer})));
        assert_eq!(verify(&files, &token).await.is_ok(), is_good, "{issuer}");
    }
}

#[tokio::test]
async fn a_token_counts_from_nbf_to_exp_and_other_clocks_may_be_off_a_little() {
    let signer = Signer::ed("k");
    let files = KeyFiles::of(&[&signer]);
    for (times, fault) in [
        (json!({"exp": NOW + 60}), None),
        (json!({"exp": NOW - 4}), None),
        (json!({"exp": NOW - 5}), Some("expired")),
        (json!({"exp": 0}), Some("expired")),
        (json!({"exp": NOW as f64 + 60.5}), None),
        (json!({"exp": "never"}), Some("exp is not a number")),
        (json!({"exp": -1}), Some("exp is not a number")),
        (json!({"exp": null}), None),
        (json!({"nbf": NOW + 5}), None),
        (json!({"nbf": NOW + 6}), Some("does not hold yet")),
        (json!({"nbf": []}), Some("nbf is not a number")),
    ] {
        let verified = verify(&files, &signer.sign(&claims_with(&[], &times))).await;
        match fault {
            None => assert!(verified.is_ok(), "{times}: {verified:?}"),
            Some(fault) => assert!(verified.unwrap_err().contains(fault), "{times}"),
        }
    }
}

#[tokio::test]
async fn a_public_key_is_no_shared_secret() {
    let signer = Signer::rsa("k");
    let mut files = KeyFiles::of(&[&signer]);
    // What an attacker knows of the key, in each form.
    let jwk = signer.jwk();
    let known = [jwk.to_string(), jwk["n"].as_str().unwrap().to_owned(), String::new()];
    let mut forged: Vec<String> = Vec::new();
    for header in [json!({"alg": "HS256", "kid": "k"}), json!({"alg": "HS256"})] {
        forged.extend(
            known.iter().map(|key| {
                sign_with_secret(key.as_bytes(), &header, &claims(&["rabbitmq.tag:administrator"]))
            }),
        );
    }
    for token in &forged {
        assert!(refused(&files, token).await.contains("may not be signed with HS256"));
    }
    // With a secret of its own the broker takes HS256, and still no public key for one.
    files.settings.symmetric_key = Some(Secret(SECRET.to_owned()));
    for token in &forged {
        assert!(refused(&files, token).await.contains("InvalidSignature"));
    }
    let token = sign_with_secret(SECRET.as_bytes(), &json!({"alg": "HS256"}), &claims(&[]));
    assert!(verify(&files, &token).await.is_ok());
}

#[tokio::test]
async fn an_unsigned_token_is_refused() {
    let signer = Signer::rsa("k");
    let files = KeyFiles::of(&[&signer]);
    for algorithm in ["none", "None", "NONE", ""] {
        let header = json!({"alg": algorithm, "kid": "k"});
        let unsigned = format!("{}.", message(&header, &claims(&[])));
        assert!(refused(&files, &unsigned).await.contains("header"), "{algorithm}");
    }
    let unsigned = format!("{}.", message(&json!({"alg": "RS256", "kid": "k"}), &claims(&[])));
    assert!(refused(&files, &unsigned).await.contains("InvalidSignature"));
}

#[tokio::test]
async fn an_algorithm_that_is_not_allowed_or_not_the_keys_is_refused() {
    let (rsa, ec) = (Signer::rsa("r"), Signer::ec("c"));
    let mut files = KeyFiles::of(&[&rsa, &ec]);
    // Signed with one key, said to be signed with the other.
    let header = json!({"alg": "RS256", "kid": "c"});
    assert!(refused(&files, &ec.sign_with(&header, &claims(&[]))).await.contains("no key"));
    // The key says that it is for RS256 alone.
    let header = json!({"alg": "PS256", "kid": "r"});
    assert!(refused(&files, &rsa.sign_with(&header, &claims(&[]))).await.contains("no key"));
    files.settings.algorithms = vec![TokenAlgorithm::Es256];
    assert!(refused(&files, &rsa.sign(&claims(&[]))).await.contains("may not be signed with RS256"));
    assert!(verify(&files, &ec.sign(&claims(&[]))).await.is_ok());
}

#[tokio::test]
async fn a_key_is_named_by_the_token_or_is_the_only_one() {
    let (one, other) = (Signer::ec("one"), Signer::ec("other"));
    let unnamed = one.sign_with(&json!({"alg": "ES256"}), &claims(&[]));
    assert!(verify(&KeyFiles::of(&[&one]), &unnamed).await.is_ok());
    let mut both = KeyFiles::of(&[&one, &other]);
    assert!(refused(&both, &unnamed).await.contains("no key"));
    both.settings.default_key = Some("one".to_owned());
    assert!(verify(&both, &unnamed).await.is_ok());
    let unknown = one.sign_with(&json!({"alg": "ES256", "kid": "third"}), &claims(&[]));
    assert!(refused(&both, &unknown).await.contains("no key Some(\"third\")"));
}

#[tokio::test]
async fn what_is_no_token_is_refused_before_anything_is_done_with_it() {
    let signer = Signer::ec("k");
    let files = KeyFiles::of(&[&signer]);
    let huge = signer.sign(&claims_with(&[], &json!({"x": "y".repeat(TOKEN_OCTETS_MAX)})));
    assert!(refused(&files, &huge).await.contains("octets, more than"));
    let many = vec!["rabbitmq.read:*/*"; 1100].join(" ");
    assert!(
        refused(&files, &signer.sign(&claims_with(&[], &json!({"scope": many})))).await.contains("scopes")
    );
    let critical = json!({"alg": "ES256", "kid": "k", "crit": ["b64"], "b64": false});
    assert!(refused(&files, &signer.sign_with(&critical, &claims(&[]))).await.contains("critical"));
    let good = signer.sign(&claims(&[]));
    for bad in
        ["", ".", "..", "e30.e30.", "a.b.c.d.e", &good[1..], &good[..good.len() - 3], &good.replace('.', "")]
    {
        assert!(verify(&files, bad).await.is_err(), "{bad}");
    }
    for claims in [json!([]), json!("text"), json!(null)] {
        assert!(verify(&files, &signer.sign(&claims)).await.is_err(), "{claims}");
    }
}

#[tokio::test]
async fn the_users_name_is_the_first_claim_that_is_preferred() {
    let signer = Signer::ed("k");
    let mut files = KeyFiles::of(&[&signer]);
    files.settings.preferred_username_claims = vec!["user_name".to_owned(), "email".to_owned()];
    for (other, name) in [
        (json!({"email": "a@b.c", "user_name": "bob"}), Some("bob")),
        (json!({"email": "a@b.c"}), Some("a@b.c")),
        (json!({}), Some("alice")),
        (json!({"sub": null, "client_id": "program"}), Some("program")),
        (json!({"sub": null}), None),
        (json!({"sub": "", "email": null}), None),
        (json!({"sub": "x".repeat(256)}), None),
    ] {
        let verified = verify(&files, &signer.sign(&claims_with(&[], &other))).await;
        assert_eq!(verified.ok().map(|verified| verified.user.to_string()).as_deref(), name, "{other}");
    }
}

#[tokio::test]
async fn scopes_come_from_several_claims_by_prefix_and_by_alias() {
    let signer = Signer::ed("k");
    let mut files = KeyFiles::of(&[&signer]);
    files.settings.additional_scopes_key = vec!["realm.roles".to_owned(), "extra".to_owned()];
    files.settings.scope_aliases = vec!["admin=rabbitmq.tag:administrator rabbitmq.read:*/*".to_owned()];
    let tags = async |files: &KeyFiles, other: Value| {
        let token = signer.sign(&claims_with(&["openid"], &other));
        verify(files, &token).await.unwrap().tags
    };
    assert_eq!(tags(&files, json!({"scope": ["rabbitmq.tag:a", "tag:b", "x.tag:c"]})).await, ["a"]);
    assert_eq!(
        tags(&files, json!({"realm": {"roles": ["rabbitmq.tag:a"]}, "extra": "rabbitmq.tag:b"})).await,
        ["a", "b"]
    );
    assert_eq!(tags(&files, json!({"extra": {"rabbitmq": ["tag:a"], "other": ["tag:b"]}})).await, ["a"]);
    assert_eq!(tags(&files, json!({"extra": "admin"})).await, ["administrator"]);
    files.settings.scope_prefix = Some("api://".to_owned());
    assert_eq!(tags(&files, json!({"extra": ["api://tag:a", "rabbitmq.tag:b"]})).await, ["a"]);
    files.settings.scope_prefix = Some(String::new());
    assert_eq!(tags(&files, json!({"extra": ["tag:a", "rabbitmq.tag:b"]})).await, ["a"]);
}
