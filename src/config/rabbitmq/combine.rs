//! Keys of RabbitMQ's that mean something only together become one.

use std::collections::BTreeMap;

use super::Entry;

/// `verify` and `fail_if_no_peer_cert`, versions of TLS, addresses and their ports, levels of several outputs.
pub(super) fn combine(entries: &mut BTreeMap<String, Entry>) {
    client_certificates(entries);
    versions(entries);
    for listener in ["management.tcp", "prometheus.tcp", "management.ssl", "prometheus.ssl"] {
        address(entries, listener);
    }
    for listener in ["management.ssl", "prometheus.ssl"] {
        certificate(entries, listener);
    }
    import(entries);
    aliases(entries);
}

/// RabbitMQ: a client without a certificate is refused only if both say so.
fn client_certificates(entries: &mut BTreeMap<String, Entry>) {
    let fail = entries.remove("ssl_options.fail_if_no_peer_cert");
    let Some(verify) = entries.get_mut("ssl_options.verify") else { return };
    if verify.value == "verify_peer" && fail.is_some_and(|fail| fail.value == "true") {
        verify.value = "verify_peer_required".to_owned();
    }
}

/// `ssl_options.versions.1 = tlsv1.3` and so on: a list.
fn versions(entries: &mut BTreeMap<String, Entry>) {
    const PREFIX: &str = "ssl_options.versions.";
    let keys: Vec<String> = entries.keys().filter(|key| key.starts_with(PREFIX)).cloned().collect();
    let versions: Vec<Entry> = keys.iter().filter_map(|key| entries.remove(key)).collect();
    let all = versions.iter().map(|entry| entry.value.as_str()).collect::<Vec<_>>().join(",");
    if let Some(first) = versions.into_iter().next() {
        entries.insert(PREFIX.trim_end_matches('.').to_owned(), Entry { value: all, ..first });
    }
}

/// `management.tcp.ip` and `management.tcp.port`.
fn address(entries: &mut BTreeMap<String, Entry>, listener: &str) {
    let ip = entries.remove(&format!("{listener}.ip"));
    let Some(port) = entries.remove(&format!("{listener}.port")) else {
        if let Some(ip) = ip {
            entries.insert(format!("{listener}.ip"), ip);
        }
        return;
    };
    let value = ip.map_or_else(|| port.value.clone(), |ip| format!("{}:{}", ip.value, port.value));
    entries.insert(listener.to_owned(), Entry { value, ..port });
}

/// `management.ssl.certfile` and `keyfile`: there is one certificate for all listeners here. One for HTTPS alone
/// becomes it, and AMQP stays without TLS; one that differs from that of AMQP is left, and named as ignored.
fn certificate(entries: &mut BTreeMap<String, Entry>, listener: &str) {
    let is_shared = |part: &str, entries: &BTreeMap<String, Entry>| {
        let (own, common) =
            (entries.get(&format!("{listener}.{part}")), entries.get(&format!("ssl_options.{part}")));
        matches!((own, common), (Some(own), Some(common)) if own.value == common.value)
    };
    let parts = ["certfile", "keyfile"];
    if entries.contains_key("ssl_options.certfile") {
        for part in parts.iter().filter(|part| is_shared(part, entries)).collect::<Vec<_>>() {
            entries.remove(&format!("{listener}.{part}"));
        }
        return;
    }
    for part in parts {
        let Some(own) = entries.remove(&format!("{listener}.{part}")) else { continue };
        if part == "certfile" && !entries.keys().any(|key| key.starts_with("listeners.ssl")) {
            entries.insert("listeners.ssl".to_owned(), Entry { value: "none".to_owned(), ..own.clone() });
        }
        entries.insert(format!("ssl_options.{part}"), own);
    }
}

/// `auth_oauth2.scope_aliases.1.alias` and `.scope`, for aliases that are no part of a key.
fn aliases(entries: &mut BTreeMap<String, Entry>) {
    const PREFIX: &str = "auth_oauth2.scope_aliases";
    let key = |number: &str, part: &str| format!("{PREFIX}.{number}.{part}");
    let numbers = entries.keys().filter_map(|key| {
        Some(key.strip_prefix(PREFIX)?.strip_prefix('.')?.strip_suffix(".alias")?.to_owned())
    });
    let mut all: Option<Entry> = None;
    for number in numbers.collect::<Vec<_>>() {
        // An alias without scopes is left, and named as ignored.
        let Some(scope) = entries.remove(&key(&number, "scope")) else { continue };
        let Some(alias) = entries.remove(&key(&number, "alias")) else { continue };
        let line = format!("{}={}", alias.value, scope.value);
        let before = all.take().map_or_else(String::new, |all| format!("{}\n", all.value));
        all = Some(Entry { value: before + &line, ..alias });
    }
    if let Some(all) = all {
        entries.insert(PREFIX.to_owned(), all);
    }
}

/// `definitions.import_backend` says where `definitions.local.path` is: here.
fn import(entries: &mut BTreeMap<String, Entry>) {
    let backend = entries.get("definitions.import_backend");
    if backend.is_some_and(|backend| backend.value == "local_filesystem") {
        entries.remove("definitions.import_backend");
    }
}
