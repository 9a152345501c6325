use super::*;
use crate::config::Config;
use crate::config::load::Sources;

fn contents(text: &str) -> Contents {
    let mut config = Config::default();
    let settings: Vec<Meta> = config.fields().iter().map(|field| field.meta).collect();
    read(Path::new("f.conf"), text, &settings, &[("SECRET".to_owned(), "s3cret".to_owned())])
}

/// The configuration that a file leads to.
fn config(text: &str) -> Config {
    let file = tempfile::Builder::new().suffix(".conf").tempfile().unwrap();
    std::fs::write(file.path(), text).unwrap();
    let sources = Sources { files: vec![file.path().to_owned()], ..Sources::default() };
    sources.load().unwrap().config
}

fn problems(text: &str) -> Vec<String> {
    contents(text).problems.iter().map(ToString::to_string).collect()
}

#[test]
fn an_everyday_file_is_taken_over() {
    let config = config(
        "# comment\n\
         listeners.tcp.default = 5672\n\
         listeners.tcp.local = ::1:5673   # comment\n\
         heartbeat = 30\n\
         channel_max = 100\n\
         frame_max = 65536\n\
         max_message_size = 1048576\n\
         handshake_timeout = 2500\n\
         consumer_timeout = 7200000\n\
         vm_memory_high_watermark.absolute = 2GB\n\
         log.console.level = warning\n\
         anonymous_login_user = none\n",
    );
    let listen: Vec<String> = config.listen.iter().map(ToString::to_string).collect();
    assert_eq!(listen, ["[::]:5672", "[::1]:5673"]);
    assert_eq!(config.limits.heartbeat, 30);
    assert_eq!(config.limits.channel_max, 100);
    assert_eq!(config.limits.frame_max, 65536);
    assert_eq!(config.limits.message_size_max, 1_048_576);
    assert_eq!(config.limits.handshake_timeout.as_millis(), 2500);
    assert_eq!(config.consumer_timeout.0.as_millis(), 7_200_000);
    assert_eq!(config.memory_limit, Some(2_000_000_000));
    assert!(!config.anonymous);
}

#[test]
fn tokens_are_taken_over() {
    use crate::config::{AuthBackend, TokenAlgorithm};
    let config = config(
        "auth_backends.1 = rabbit_auth_backend_oauth2\n\
         auth_backends.2 = internal\n\
         auth_oauth2.resource_server_id = rabbitmq\n\
         auth_oauth2.scope_prefix = ''\n\
         auth_oauth2.additional_scopes_key = extra realm.roles\n\
         auth_oauth2.preferred_username_claims.1 = user_name\n\
         auth_oauth2.preferred_username_claims.2 = email\n\
         auth_oauth2.jwks_url = https://issuer/keys\n\
         auth_oauth2.https.cacertfile = /etc/ca.pem\n\
         auth_oauth2.signing_keys.id1 = /etc/id1.pem\n\
         auth_oauth2.signing_keys.id2 = /etc/id2.pem\n\
         auth_oauth2.default_key = id1\n\
         auth_oauth2.algorithms.1 = RS256\n\
         auth_oauth2.verify_aud = false\n\
         auth_oauth2.scope_aliases.1.alias = api://all\n\
         auth_oauth2.scope_aliases.1.scope = rabbitmq.read:*/* rabbitmq.write:*/*\n\
         auth_oauth2.scope_aliases.2.alias = admin\n\
         auth_oauth2.scope_aliases.2.scope = rabbitmq.tag:administrator\n\
         auth_oauth2.scope_aliases.short = rabbitmq.tag:management\n",
    );
    let tokens = &config.oauth2;
    assert_eq!(config.auth_backends, [AuthBackend::OAuth2, AuthBackend::Internal]);
    assert_eq!(tokens.resource_server_id.as_deref(), Some("rabbitmq"));
    assert_eq!(tokens.scope_prefix.as_deref(), Some(""));
    assert_eq!(tokens.additional_scopes_key, ["extra", "realm.roles"]);
    assert_eq!(tokens.preferred_username_claims, ["user_name", "email"]);
    assert_eq!(tokens.jwks_url.as_deref(), Some("https://issuer/keys"));
    assert_eq!(tokens.signing_keys, ["id1=/etc/id1.pem", "id2=/etc/id2.pem"]);
    assert_eq!((tokens.default_key.as_deref(), tokens.verify_aud), (Some("id1"), false));
    assert_eq!(tokens.algorithms, [TokenAlgorithm::Rs256]);
    let mut aliases = tokens.scope_aliases.clone();
    aliases.sort();
    assert_eq!(
        aliases,
        [
            "admin=rabbitmq.tag:administrator",
            "api://all=rabbitmq.read:*/* rabbitmq.write:*/*",
            "short=rabbitmq.tag:management",
        ]
    );
}

#[test]
fn who_is_asked_that_is_not_there_is_a_problem_and_nobody_else_is_asked_instead() {
    let told = problems("auth_backends.1 = ldap\n");
    assert!(told[0].contains("auth_backends.1: 'ldap' is not internal or oauth2"), "{told:?}");
    let of = |text: &str| {
        let file = tempfile::Builder::new().suffix(".conf").tempfile().unwrap();
        std::fs::write(file.path(), text).unwrap();
        let problems = Sources { files: vec![file.path().to_owned()], ..Sources::default() }.load();
        problems.unwrap_err().iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    };
    let told = of("auth_backends.1 = oauth2\n");
    assert!(
        told.contains("oauth2.resource_server_id") && told.contains("nothing to check tokens with"),
        "{told}"
    );
    let told = of(
        "auth_backends.1 = oauth2\nauth_oauth2.resource_server_id = r\nauth_oauth2.jwks_url = http://i/k\n",
    );
    assert!(told.contains("oauth2.jwks_url: keys come over HTTPS only"), "{told}");
}

#[test]
fn tls_is_taken_over() {
    use crate::config::{ClientVerification, LoginFrom, TlsVersion};
    let config = config(
        "listeners.tcp = none\n\
         listeners.ssl.default = 127.0.0.1:5671\n\
         ssl_options.cacertfile = /etc/ca, all.pem\n\
         ssl_options.certfile = /etc/server.pem\n\
         ssl_options.keyfile = /etc/server.key\n\
         ssl_options.verify = verify_peer\n\
         ssl_options.fail_if_no_peer_cert = true\n\
         ssl_options.versions.1 = tlsv1.3\n\
         ssl_cert_login_from = common_name\n",
    );
    assert!(config.listen.is_empty());
    assert_eq!(config.tls.listen[0].to_string(), "127.0.0.1:5671");
    assert_eq!(config.tls.client_ca.as_deref(), Some(Path::new("/etc/ca, all.pem")));
    assert_eq!(config.tls.verify, ClientVerification::Require);
    assert_eq!(config.tls.version_min, TlsVersion::V1_3);
    assert_eq!(config.tls.login_from, LoginFrom::CommonName);
}

#[test]
fn https_is_taken_over_with_its_certificate_if_there_is_no_other() {
    let given = "management.ssl.port = 15671\nmanagement.ssl.ip = 127.0.0.1\nmanagement.ssl.certfile = /etc/m.pem\n\
                 management.ssl.keyfile = /etc/m.key\nprometheus.ssl.port = 15691\nprometheus.ssl.ip = 127.0.0.1\n";
    let alone = config(given);
    assert_eq!(alone.management.tls_listen[0].to_string(), "127.0.0.1:15671");
    assert_eq!(alone.prometheus.tls_listen[0].to_string(), "127.0.0.1:15691");
    assert_eq!(alone.tls.certificate, [Path::new("/etc/m.pem")]);
    assert_eq!(alone.tls.key, [Path::new("/etc/m.key")]);
    assert!(alone.tls.listen.is_empty(), "AMQP stays without TLS");

    let common = "ssl_options.certfile = /etc/server.pem\nssl_options.keyfile = /etc/server.key\n";
    let warning = contents(&format!("{given}{common}")).warning.unwrap();
    assert!(
        warning.contains("management.ssl.certfile") && warning.contains("management.ssl.keyfile"),
        "{warning}"
    );
    let same = format!("{given}{common}").replace("/etc/m.", "/etc/server.");
    assert_eq!(contents(&same).warning, None);
    assert_eq!(config(&same).tls.certificate, [Path::new("/etc/server.pem")]);
}

#[test]
fn without_fail_if_no_peer_cert_a_certificate_is_optional() {
    use crate::config::ClientVerification;
    let given = "ssl_options.verify = verify_peer\nssl_options.cacertfile = a\nssl_options.versions.1 = tlsv1.2\n\
                 ssl_options.versions.2 = tlsv1.3\n";
    let config = config(given);
    assert_eq!(config.tls.verify, ClientVerification::Optional);
    assert_eq!(config.tls.version_min, crate::config::TlsVersion::V1_2);
}

#[test]
fn what_is_ignored_is_named_in_one_warning_with_its_lines() {
    let text = "mqtt.allow_anonymous = true\nheartbeat = 5\n\ncluster_formation.node_cleanup.interval = 30\n";
    let contents = contents(text);
    assert_eq!(contents.given.len(), 1);
    assert_eq!(
        contents.warning.as_deref(),
        Some(
            "f.conf: ignored: mqtt.allow_anonymous (line 1), cluster_formation.node_cleanup.interval (line 4)"
        )
    );
    assert_eq!(read(Path::new("f"), "", &[], &[]).warning, None);
}

#[test]
fn values_can_be_quoted_and_come_from_the_environment() {
    let value =
        |line: &str| entry(line, &[("SECRET".to_owned(), "s3cret".to_owned())]).map(|entry| entry.unwrap().1);
    assert_eq!(value("key = 'a # b'  # c"), Ok("a # b".to_owned()));
    assert_eq!(value("key = a # b"), Ok("a".to_owned()));
    assert_eq!(value("key = x$(SECRET)y"), Ok("xs3crety".to_owned()));
    assert!(value("key = $(MISSING)").unwrap_err().contains("MISSING"));
    assert!(
        value("key = 'a").is_err() && value("key = 'a' b").is_err() && value("key = encrypted:abc").is_err()
    );
}

#[test]
fn lines_that_are_wrong_are_told_with_their_place() {
    assert_eq!(problems("heartbeat = 5\nnonsense\n"), ["f.conf:2:1: is no 'key = value'"]);
    assert_eq!(
        problems("\n  ssl_options.verify = sometimes\n"),
        ["f.conf:2:3: ssl_options.verify: 'sometimes' is not verify_none or verify_peer"]
    );
}

#[test]
fn of_a_key_that_is_given_twice_the_last_one_counts() {
    assert_eq!(config("heartbeat = 5\nheartbeat = 6\n").limits.heartbeat, 6);
}

#[test]
fn a_part_of_the_memory_is_less_than_all_of_it() {
    let of = |part: &str| config(&format!("vm_memory_high_watermark.relative = {part}")).memory_limit;
    assert!(of("0.5") > Some(0) && of("0.5") < of("1"));
    assert!(!problems("vm_memory_high_watermark.relative = 2").is_empty());
}

#[test]
fn keys_are_known_by_all_their_parts() {
    let is_known = |key| mapping::find(key).is_some();
    assert!(is_known("heartbeat") && is_known("listeners.tcp.local"));
    assert!(!is_known("heartbeats") && !is_known("listeners.tcp.local.more") && !is_known("tcp.local"));
}

#[test]
fn a_known_key_without_a_setting_is_ignored() {
    let contents = read(Path::new("f"), "heartbeat = 5\n", &[], &[]);
    assert!(contents.given.is_empty());
    assert_eq!(contents.warning.as_deref(), Some("f: ignored: heartbeat (line 1)"));
}
