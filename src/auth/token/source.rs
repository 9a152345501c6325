//! The server that lists its keys: asked over HTTPS, on a thread that may wait.

use std::io;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use ureq::Agent;
use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};

use super::key::{KEYS_OCTETS_MAX, Key, listed};
use crate::config::OAuth2Settings;

/// Time for one answer: two must fit into a client's patience with a login.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(4);

/// Where an issuer says where its keys are (OpenID Connect Discovery §4).
const DISCOVERY: &str = "/.well-known/openid-configuration";

/// What must come first in a URL: a key that came in the clear could be anybody's.
const HTTPS: &str = "https://";

/// A server with keys.
#[derive(Debug)]
pub(super) struct Source {
    agent: Agent,
    place: Place,
}

#[derive(Debug)]
enum Place {
    /// The URL of the list.
    Keys(String),
    /// The URL of the issuer, who says where it is.
    Issuer(String),
}

impl Source {
    /// The one that the settings name, if they do.
    ///
    /// # Errors
    /// When the file of authorities cannot be used.
    pub(super) fn new(settings: &OAuth2Settings) -> io::Result<Option<Self>> {
        let place = match (&settings.jwks_url, &settings.issuer) {
            (Some(url), _) => Place::Keys(url.clone()),
            (None, Some(issuer)) if settings.signing_keys.is_empty() => Place::Issuer(issuer.clone()),
            (None, _) => return Ok(None),
        };
        let trusted = settings.ca_file.as_deref().map(authorities).transpose()?;
        let tls = TlsConfig::builder().root_certs(trusted.unwrap_or(RootCerts::WebPki)).build();
        let agent = Agent::config_builder()
            .https_only(true)
            .max_redirects(0)
            .proxy(None)
            .tls_config(tls)
            .timeout_global(Some(ANSWER_TIMEOUT))
            .user_agent(concat!("lepus/", env!("CARGO_PKG_VERSION")))
            .build()
            .new_agent();
        Ok(Some(Self { agent, place }))
    }

    /// The keys that the server lists now. Waits for it.
    ///
    /// # Errors
    /// When there is no answer, or none that can be understood.
    pub(super) fn fetch(&self) -> Result<Vec<Key>, String> {
        match &self.place {
            Place::Keys(url) => listed(&self.get(url)?),
            Place::Issuer(issuer) => {
                let about = self.get(&format!("{}{DISCOVERY}", issuer.trim_end_matches('/')))?;
                let about: Value = serde_json::from_slice(&about).map_err(|error| error.to_string())?;
                let url = about.get("jwks_uri").and_then(Value::as_str).filter(|url| url.starts_with(HTTPS));
                listed(&self.get(url.ok_or("the issuer names no https:// jwks_uri")?)?)
            }
        }
    }

    fn get(&self, url: &str) -> Result<Vec<u8>, String> {
        let told = |error: ureq::Error| format!("{url}: {error}");
        let mut answer = self.agent.get(url).call().map_err(told)?;
        if answer.status() != ureq::http::StatusCode::OK {
            return Err(format!("{url}: answered with {}", answer.status()));
        }
        answer.body_mut().with_config().limit(KEYS_OCTETS_MAX).read_to_vec().map_err(told)
    }
}

/// The certificates of a PEM file.
fn authorities(file: &Path) -> io::Result<RootCerts> {
    let bad = |why: String| io::Error::other(format!("oauth2.ca_file {}: {why}", file.display()));
    let text = std::fs::read(file).map_err(|error| bad(error.to_string()))?;
    let mut found = Vec::new();
    for item in parse_pem(&text) {
        if let PemItem::Certificate(certificate) = item.map_err(|error| bad(error.to_string()))? {
            found.push(certificate);
        }
    }
    if found.is_empty() {
        return Err(bad("there is no certificate in it".to_owned()));
    }
    Ok(RootCerts::from(found))
}
