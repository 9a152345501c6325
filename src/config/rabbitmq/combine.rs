//! Keys of RabbitMQ's that mean something only together become one.

use std::collections::BTreeMap;

use super::Entry;

/// `verify` and `fail_if_no_peer_cert`, versions of TLS, addresses and their ports, levels of several outputs.
pub(super) fn combine(entries: &mut BTreeMap<String, Entry>) {
    client_certificates(entries);
    versions(entries);
    for listener in ["management.tcp", "prometheus.tcp"] {
        address(entries, listener);
    }
    import(entries);
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

/// `definitions.import_backend` says where `definitions.local.path` is: here.
fn import(entries: &mut BTreeMap<String, Entry>) {
    let backend = entries.get("definitions.import_backend");
    if backend.is_some_and(|backend| backend.value == "local_filesystem") {
        entries.remove("definitions.import_backend");
    }
}
