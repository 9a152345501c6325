//! Where keys come from: files, and a server that is asked for those that are not known.

use std::sync::Arc;

use lepus::auth::TokenVerifier;
use lepus::clock::Timestamp;
use serde_json::json;

use crate::authority::Authority;
use crate::server::KeyServer;
use crate::signer::{KeyFiles, NOW, Signer, claims, claims_with};

/// So many seconds after a test began.
fn after(seconds: u64) -> Timestamp {
    Timestamp::from_millis((NOW + seconds) * 1000)
}

async fn is_good(verifier: &TokenVerifier, signer: &Signer, seconds: u64) -> bool {
    verifier.verify(signer.sign(&claims(&[])).as_bytes(), after(seconds)).await.is_ok()
}

#[tokio::test]
async fn the_server_is_asked_for_a_key_that_is_not_known_and_for_no_other() {
    let (server, signer) = (KeyServer::start(), Signer::ec("one"));
    server.list(&[&Signer::rsa("zero"), &signer]);
    let verifier = TokenVerifier::new(&server.settings()).unwrap();
    assert_eq!(server.asked(), 0);
    for _ in 0..3 {
        assert!(is_good(&verifier, &signer, 0).await);
    }
    assert_eq!(server.asked(), 1);
}

#[tokio::test]
async fn a_new_key_is_found_and_one_that_was_taken_off_the_list_is_forgotten() {
    let (server, old, new) = (KeyServer::start(), Signer::ec("old"), Signer::ec("new"));
    server.list(&[&old]);
    let verifier = TokenVerifier::new(&server.settings()).unwrap();
    assert!(is_good(&verifier, &old, 0).await);
    server.list(&[&new]);
    assert!(!is_good(&verifier, &new, 9).await, "asked a moment ago");
    assert!(is_good(&verifier, &old, 9).await);
    assert!(is_good(&verifier, &new, 10).await);
    assert!(!is_good(&verifier, &old, 10).await);
    assert_eq!(server.asked(), 2);
}

#[tokio::test]
async fn made_up_keys_do_not_make_the_server_be_asked_again_and_again() {
    let (server, signer) = (KeyServer::start(), Signer::ec("real"));
    server.list(&[&signer]);
    let verifier = Arc::new(TokenVerifier::new(&server.settings()).unwrap());
    let guess = |n: usize| {
        let verifier = Arc::clone(&verifier);
        async move { is_good(&verifier, &Signer::ec(&format!("made up {n}")), 0).await }
    };
    let guesses: Vec<_> = (0..50).map(|n| tokio::spawn(guess(n))).collect();
    for guess in guesses {
        assert!(!guess.await.unwrap());
    }
    assert_eq!(server.asked(), 1, "one asked for all");
    assert!(is_good(&verifier, &signer, 0).await);
}

#[tokio::test]
async fn what_was_known_stays_known_when_the_server_does_not_answer_well() {
    let (server, signer, other) = (KeyServer::start(), Signer::ec("k"), Signer::ec("other"));
    server.list(&[&signer]);
    let verifier = TokenVerifier::new(&server.settings()).unwrap();
    assert!(is_good(&verifier, &signer, 0).await);
    let bad = ["", "no JSON", "[]", r#"{"keys":7}"#, &"x".repeat(600 * 1024)];
    for (at, body) in bad.into_iter().enumerate() {
        server.answer(200, body);
        let seconds = 10 * (at as u64 + 1);
        assert!(!is_good(&verifier, &other, seconds).await);
        assert!(is_good(&verifier, &signer, seconds).await, "{}", body.len());
    }
    server.answer(500, json!({"keys": [other.jwk()]}).to_string());
    assert!(!is_good(&verifier, &other, 100).await);
    assert!(is_good(&verifier, &signer, 100).await);
}

#[tokio::test]
async fn keys_that_cannot_be_used_are_left_out_and_the_others_are_taken() {
    let (server, signer) = (KeyServer::start(), Signer::ed("good"));
    let encrypts = {
        let mut jwk = Signer::ec("encrypts").jwk();
        jwk["use"] = json!("enc");
        jwk
    };
    let keys = json!({"keys": [
        7,
        {"kty": "oct", "kid": "secret", "k": "c2VjcmV0"},
        {"kty": "EC", "crv": "secp256k1", "kid": "curve", "x": "AA", "y": "AA"},
        {"kty": "novel", "kid": "novel"},
        {"kty": "RSA", "kid": "short", "n": "AQAB", "e": "AQAB"},
        encrypts,
        signer.jwk(),
    ]});
    server.answer(200, keys.to_string());
    let verifier = TokenVerifier::new(&server.settings()).unwrap();
    assert!(is_good(&verifier, &signer, 0).await);
    assert!(!is_good(&verifier, &Signer::rsa("short"), 0).await);
}

#[tokio::test]
async fn an_issuer_says_where_its_keys_are() {
    let (server, signer) = (KeyServer::start(), Signer::ec("k"));
    let mut settings = server.settings();
    (settings.jwks_url, settings.issuer) = (None, Some(server.url()));
    // One document that is both: where the keys are, and the keys.
    let about = json!({"jwks_uri": format!("{}/certs", server.url()), "keys": [signer.jwk()]});
    server.answer(200, about.to_string());
    let verifier = TokenVerifier::new(&settings).unwrap();
    let token = signer.sign(&claims_with(&[], &json!({"iss": server.url()})));
    assert!(verifier.verify(token.as_bytes(), after(0)).await.is_ok());
    assert_eq!(server.paths(), ["/.well-known/openid-configuration", "/certs"]);
    server.answer(200, json!({"jwks_uri": "http://localhost/certs", "keys": [signer.jwk()]}).to_string());
    let verifier = TokenVerifier::new(&settings).unwrap();
    assert!(verifier.verify(token.as_bytes(), after(0)).await.is_err(), "keys came in the clear");
}

#[tokio::test]
async fn a_server_whose_certificate_nobody_vouches_for_is_not_believed() {
    let (server, signer, stranger) = (KeyServer::start(), Signer::ec("k"), Authority::named("Stranger"));
    server.list(&[&signer]);
    let mut settings = server.settings();
    settings.ca_file = Some(stranger.file());
    assert!(!is_good(&TokenVerifier::new(&settings).unwrap(), &signer, 0).await);
    settings.ca_file = None;
    assert!(!is_good(&TokenVerifier::new(&settings).unwrap(), &signer, 0).await);
    assert_eq!(server.asked(), 0);
}

#[tokio::test]
async fn keys_in_files_are_pem_or_jwk_and_anything_else_is_named() {
    let key = rcgen::KeyPair::generate().unwrap();
    for (text, fault) in [
        (key.public_key_pem(), None),
        (Authority::new().issue("signer").certificate, None),
        (Signer::rsa("k").jwk().to_string(), None),
        (json!({"keys": [Signer::rsa("k").jwk()]}).to_string(), None),
        (key.serialize_pem(), Some("'PRIVATE KEY' is no public key")),
        (json!({"keys": []}).to_string(), Some("0 keys that can be used")),
        (json!({"kty": "oct", "k": "c2VjcmV0"}).to_string(), Some("it is a secret")),
        ("{".to_owned(), Some("EOF")),
        (String::new(), Some("neither PEM nor JSON")),
    ] {
        let mut files = KeyFiles::of(&[]);
        files.add("named", &text);
        let made = TokenVerifier::new(&files.settings);
        match (made, fault) {
            (Ok(_), None) => {}
            (Err(error), Some(fault)) => {
                let error = error.to_string();
                assert!(error.contains(fault) && error.contains("'named'"), "{error}");
            }
            (made, _) => panic!("{text}: {made:?}"),
        }
    }
    let mut files = KeyFiles::of(&[]);
    files.settings.signing_keys = vec!["k=/nowhere/at/all".to_owned()];
    assert!(TokenVerifier::new(&files.settings).unwrap_err().to_string().contains("/nowhere/at/all"));
}
