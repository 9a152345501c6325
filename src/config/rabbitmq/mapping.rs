//! Which key of RabbitMQ's is which setting of ours.

use crate::config::load::{Given, Origin};
use crate::config::memory;
use crate::config::value::Raw;

/// A key of RabbitMQ's.
#[derive(Debug)]
pub(super) struct Mapping {
    /// The key; `*` at its end stands for one more part, and then there may be several.
    pattern: &'static str,
    /// The setting.
    pub(super) key: &'static str,
    convert: Convert,
}

/// What is made of a value: `Ok(None)` changes nothing. The first argument is what stands for `*`.
type Convert = fn(&str, &str) -> Result<Option<Raw>, String>;

const fn map(pattern: &'static str, key: &'static str, convert: Convert) -> Mapping {
    Mapping { pattern, key, convert }
}

const MAPPINGS: &[Mapping] = &[
    map("listeners.tcp", "listen", nowhere),
    map("listeners.tcp.*", "listen", address),
    map("listeners.ssl", "tls.listen", nowhere),
    map("listeners.ssl.*", "tls.listen", address),
    map("proxy_protocol", "proxy_protocol", word),
    map("ssl_options.certfile", "tls.certificate", text),
    map("ssl_options.keyfile", "tls.key", text),
    map("ssl_options.cacertfile", "tls.client_ca", text),
    map("ssl_options.verify", "tls.verify", verify),
    map("ssl_options.versions", "tls.version_min", version),
    map("ssl_cert_login_from", "tls.login_from", text),
    map("ssl_cert_login_san_type", "tls.san_type", text),
    map("ssl_cert_login_san_index", "tls.san_index", word),
    map("ssl_handshake_timeout", "tls.handshake_timeout", milliseconds),
    map("handshake_timeout", "limits.handshake_timeout", milliseconds),
    map("heartbeat", "limits.heartbeat", word),
    map("frame_max", "limits.frame_max", word),
    map("channel_max", "limits.channel_max", word),
    map("connection_max", "limits.connections_max", finite),
    map("consumer_max_per_channel", "limits.consumers_max", finite),
    map("max_message_size", "limits.message_size_max", word),
    map("consumer_timeout", "consumer_timeout", milliseconds_or_none),
    map("vm_memory_high_watermark.absolute", "memory_limit", word),
    map("vm_memory_high_watermark.relative", "memory_limit", share_of_memory),
    map("disk_free_limit.absolute", "disk_free_limit", word),
    map("default_user", "default_user", text),
    map("default_pass", "default_pass", text),
    map("default_vhost", "default_vhost", text),
    map("loopback_users", "loopback_users", nobody),
    map("loopback_users.*", "loopback_users", named_if_true),
    map("anonymous_login_user", "anonymous", anonymous),
    map("auth_backends.*", "auth_backends", backend),
    map("auth_oauth2.resource_server_id", "oauth2.resource_server_id", text),
    map("auth_oauth2.scope_prefix", "oauth2.scope_prefix", text),
    map("auth_oauth2.additional_scopes_key", "oauth2.additional_scopes_key", words),
    map("auth_oauth2.scope_aliases", "oauth2.scope_aliases", lines),
    map("auth_oauth2.scope_aliases.*", "oauth2.scope_aliases", pair),
    map("auth_oauth2.preferred_username_claims.*", "oauth2.preferred_username_claims", item),
    map("auth_oauth2.jwks_url", "oauth2.jwks_url", text),
    map("auth_oauth2.jwks_uri", "oauth2.jwks_url", text),
    map("auth_oauth2.issuer", "oauth2.issuer", text),
    map("auth_oauth2.https.cacertfile", "oauth2.ca_file", text),
    map("auth_oauth2.signing_keys.*", "oauth2.signing_keys", pair),
    map("auth_oauth2.default_key", "oauth2.default_key", text),
    map("auth_oauth2.algorithms.*", "oauth2.algorithms", item),
    map("auth_oauth2.verify_aud", "oauth2.verify_aud", word),
    map("log.default.level", "log", level),
    map("log.console.level", "log", level),
    map("log.file.level", "log", level),
    map("management.tcp", "management.listen", address),
    map("prometheus.tcp", "prometheus.listen", address),
    map("management.ssl", "management.tls_listen", address),
    map("prometheus.ssl", "prometheus.tls_listen", address),
    map("load_definitions", "load_definitions", text),
    map("definitions.local.path", "load_definitions", text),
];

impl Mapping {
    /// What the setting is given.
    pub(super) fn convert(&self, part: &str, value: &str) -> Result<Option<Raw>, String> {
        (self.convert)(part, value)
    }
}

/// The mapping of a key, and what stands for its `*`.
pub(super) fn find(key: &str) -> Option<(&'static Mapping, &str)> {
    MAPPINGS.iter().find_map(|mapping| {
        let part = match mapping.pattern.strip_suffix('*') {
            None => (mapping.pattern == key).then_some("")?,
            Some(prefix) => key.strip_prefix(prefix).filter(|part| !part.contains('.'))?,
        };
        Some((mapping, part))
    })
}

/// Adds a value; those of one `*` come together as a list.
pub(super) fn give(given: &mut Vec<Given>, mapping: &Mapping, raw: Raw, origin: Origin) {
    let known = given.iter_mut().find(|given| given.key == mapping.key);
    match (known, raw) {
        (Some(Given { raw: Raw::List(items), .. }), Raw::List(more)) => items.extend(more),
        (Some(given), raw) => (given.raw, given.origin) = (raw, origin),
        (None, raw) => given.push(Given { key: mapping.key.to_owned(), raw, origin }),
    }
}

fn word(_: &str, value: &str) -> Result<Option<Raw>, String> {
    Ok(Some(Raw::Word(value.to_owned())))
}

/// As it stands, commas included.
fn text(_: &str, value: &str) -> Result<Option<Raw>, String> {
    Ok(Some(Raw::Text(value.to_owned())))
}

/// One of a list.
fn item(_: &str, value: &str) -> Result<Option<Raw>, String> {
    Ok(Some(Raw::List(vec![Raw::Text(value.to_owned())])))
}

/// Several, with spaces in between.
fn words(_: &str, value: &str) -> Result<Option<Raw>, String> {
    Ok(Some(Raw::List(value.split_whitespace().map(|word| Raw::Text(word.to_owned())).collect())))
}

/// Several that were put together.
fn lines(_: &str, value: &str) -> Result<Option<Raw>, String> {
    Ok(Some(Raw::List(value.lines().map(|line| Raw::Text(line.to_owned())).collect())))
}

/// One of a list of `name=value`, which has its name in the key.
fn pair(name: &str, value: &str) -> Result<Option<Raw>, String> {
    item("", &format!("{name}={value}"))
}

/// RabbitMQ's short names and its modules'.
fn backend(_: &str, value: &str) -> Result<Option<Raw>, String> {
    match value {
        "internal" | "rabbit_auth_backend_internal" => item("", "internal"),
        "oauth2" | "oauth" | "rabbit_auth_backend_oauth2" => item("", "oauth2"),
        _ => Err(format!("'{value}' is not internal or oauth2: nobody else is asked who may come in")),
    }
}

fn milliseconds(_: &str, value: &str) -> Result<Option<Raw>, String> {
    match value.parse::<u64>() {
        Ok(number) => Ok(Some(Raw::Word(format!("{number}ms")))),
        Err(_) => Err(format!("'{value}' is not a number of milliseconds")),
    }
}

/// RabbitMQ: `false` is without end.
fn milliseconds_or_none(_: &str, value: &str) -> Result<Option<Raw>, String> {
    milliseconds("", if matches!(value, "false" | "undefined" | "infinity") { "0" } else { value })
}

/// RabbitMQ: `infinity` is no limit. Ours stays.
fn finite(_: &str, value: &str) -> Result<Option<Raw>, String> {
    if value == "infinity" { Ok(None) } else { word("", value) }
}

/// A port, or an address and a port, an IPv6 address also without its brackets.
fn address(_: &str, value: &str) -> Result<Option<Raw>, String> {
    let address = match value.rsplit_once(':') {
        Some((host, port)) if host.contains(':') && !host.starts_with('[') => format!("[{host}]:{port}"),
        Some(_) | None => value.to_owned(),
    };
    Ok(Some(Raw::List(vec![Raw::Text(address)])))
}

/// RabbitMQ: `listeners.tcp = none`.
fn nowhere(_: &str, value: &str) -> Result<Option<Raw>, String> {
    if value == "none" { Ok(Some(Raw::List(Vec::new()))) } else { Err(format!("'{value}' is not none")) }
}

/// RabbitMQ: `loopback_users = none`.
fn nobody(_: &str, value: &str) -> Result<Option<Raw>, String> {
    nowhere("", value)
}

/// RabbitMQ: `loopback_users.guest = false` takes guest off the list, and `= true` puts a user on it.
fn named_if_true(user: &str, value: &str) -> Result<Option<Raw>, String> {
    match value {
        "true" => Ok(Some(Raw::List(vec![Raw::Text(user.to_owned())]))),
        "false" => Ok(Some(Raw::List(Vec::new()))),
        _ => Err(format!("'{value}' is not true or false")),
    }
}

fn anonymous(_: &str, value: &str) -> Result<Option<Raw>, String> {
    match value {
        "none" => Ok(Some(Raw::Boolean(false))),
        "guest" => Ok(Some(Raw::Boolean(true))),
        _ => Err(format!("'{value}' is not none or guest: nobody else logs in without a password")),
    }
}

fn verify(_: &str, value: &str) -> Result<Option<Raw>, String> {
    match value {
        "verify_none" => text("", "none"),
        "verify_peer" => text("", "optional"),
        // Together with fail_if_no_peer_cert (combine.rs).
        "verify_peer_required" => text("", "require"),
        _ => Err(format!("'{value}' is not verify_none or verify_peer")),
    }
}

/// The least of the versions in a list.
fn version(_: &str, value: &str) -> Result<Option<Raw>, String> {
    let only_new = value.split(',').all(|version| version == "tlsv1.3");
    text("", if only_new { "1.3" } else { "1.2" })
}

fn level(_: &str, value: &str) -> Result<Option<Raw>, String> {
    text(
        "",
        match value {
            "debug" => "debug",
            "info" | "notice" => "info",
            "warning" => "warn",
            "error" | "critical" | "alert" | "emergency" => "error",
            "none" | "false" => "off",
            _ => return Err(format!("'{value}' is not a level such as info")),
        },
    )
}

/// A part of the memory that this process may have.
fn share_of_memory(_: &str, value: &str) -> Result<Option<Raw>, String> {
    let share = value.parse::<f64>().ok().filter(|share| *share > 0.0 && *share <= 1.0);
    let share = share.ok_or_else(|| format!("'{value}' is not a part such as 0.6"))?;
    let memory =
        memory::available().ok_or("the machine does not say how much memory it has: set it absolutely")?;
    // In thousandths: exact enough, and without a way to overflow.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and 1000")]
    let thousandths = (share * 1000.0) as u64;
    Ok(Some(Raw::Word((memory / 1000 * thousandths).to_string())))
}
