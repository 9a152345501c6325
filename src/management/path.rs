//! Names in a path: `%2F` is the virtual host `/`. What cannot be a name is refused before anything is looked up.

use axum::extract::{FromRequestParts, RawPathParams};
use axum::http::request::Parts;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::refusal::Refusal;
use crate::name::Name;

/// Octets of a name: AMQP's short string.
const NAME_OCTETS_MAX: usize = 255;

/// How the default exchange, whose name is empty, is written in a path (RabbitMQ).
const DEFAULT_EXCHANGE: &str = "amq.default";

/// What a path segment must encode.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// The variable segments of a path, decoded.
#[derive(Debug)]
pub(super) struct Segments(Vec<(String, String)>);

impl<S: Send + Sync> FromRequestParts<S> for Segments {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        let params = RawPathParams::from_request_parts(parts, state).await;
        let params = params.map_err(|_| Refusal::bad_request("the path is not UTF-8 in percent-encoding"))?;
        params.iter().map(checked).collect::<Result<Vec<_>, _>>().map(Self)
    }
}

fn checked((key, value): (&str, &str)) -> Result<(String, String), Refusal> {
    if value.chars().any(char::is_control) {
        return Err(Refusal::bad_request(format!("the {key} in the path has control characters")));
    }
    Ok((key.to_owned(), value.to_owned()))
}

impl Segments {
    /// The segment of this name; empty if the route has none.
    pub(super) fn get(&self, key: &str) -> &str {
        self.0.iter().find(|(known, _)| known == key).map_or("", |(_, value)| value)
    }

    /// The segment as the name of something.
    pub(super) fn name(&self, key: &str) -> Result<Name, Refusal> {
        let text = self.get(key);
        if text.len() > NAME_OCTETS_MAX {
            let octets = text.len();
            return Err(Refusal::bad_request(format!(
                "the {key} has {octets} octets, at most {NAME_OCTETS_MAX} are accepted"
            )));
        }
        Ok(Name::from(text))
    }

    /// The segment as the name of an exchange.
    pub(super) fn exchange(&self, key: &str) -> Result<Name, Refusal> {
        if self.get(key) == DEFAULT_EXCHANGE { Ok(Name::from("")) } else { self.name(key) }
    }

    /// The name of the virtual host.
    pub(super) fn vhost(&self) -> &str {
        self.get("vhost")
    }
}

/// `text` for a path.
pub(super) fn encode(text: &str) -> String {
    utf8_percent_encode(text, SEGMENT).to_string()
}
