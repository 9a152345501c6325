//! The HTTP client: one request, one answer, and why there is none in words that help.

use std::fmt::Write;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use ureq::http::{Method, Request, Uri};
use ureq::tls::{RootCerts, TlsConfig};
use ureq::{Agent, Error};

use super::failure::Failure;

/// Octets of an answer: a million queues in full.
const ANSWER_OCTETS_MAX: u64 = 2 << 30;

/// Characters of an answer that is not understood, to be shown.
const SHOWN_MAX: usize = 200;

/// What a path segment or a value of a query must encode.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// Who asks.
pub(super) enum Login {
    /// A user.
    Password { user: String, password: String },
    /// Whoever can read the broker's operator file; `name` stands in errors.
    Operator { name: String, token: String },
}

/// A way to a broker's management API.
pub(super) struct Client {
    agent: Agent,
    /// Without a slash at its end.
    url: String,
    user: String,
    authorization: String,
}

/// An answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    /// `Null` if there is no body.
    pub(super) body: Value,
}

/// A path below `/api`, and what the request is about, for a 404.
#[derive(Debug)]
pub(super) struct Path {
    text: String,
    about: String,
}

/// The path with these segments, each of them encoded.
pub(super) fn path(segments: &[&str]) -> Path {
    let mut text = String::new();
    for segment in segments {
        // A String takes everything.
        let _ = write!(text, "/{}", encode(segment));
    }
    let about = format!("/api{text}");
    Path { text, about }
}

/// RFC 7617.
fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

pub(super) fn encode(text: &str) -> String {
    utf8_percent_encode(text, SEGMENT).to_string()
}

impl Path {
    /// With what it is about, such as `queue 'q' in virtual host '/'`.
    pub(super) fn about(mut self, what: impl Into<String>) -> Self {
        self.about = what.into();
        self
    }

    /// With a query.
    pub(super) fn query(mut self, name: &str, value: &str) -> Self {
        let mark = if self.text.contains('?') { '&' } else { '?' };
        let _ = write!(self.text, "{mark}{name}={}", encode(value));
        self
    }
}

impl Client {
    /// A client of the API at `url`; `authorities` are whom it trusts over HTTPS, by default those of browsers.
    pub(super) fn new(
        url: &str,
        login: Login,
        timeout: Duration,
        authorities: Option<RootCerts>,
    ) -> Result<Self, Failure> {
        let url = url.trim_end_matches('/');
        let parsed: Result<Uri, _> = url.parse();
        let scheme = parsed.as_ref().ok().and_then(|url| url.scheme_str().map(str::to_owned));
        if !matches!(scheme.as_deref(), Some("http" | "https")) {
            let text =
                format!("'{url}' is not the URL of a broker's management API: http://host:port, or https");
            return Err(Failure::Usage(text));
        }
        let tls = TlsConfig::builder().root_certs(authorities.unwrap_or(RootCerts::WebPki)).build();
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .proxy(None)
            .tls_config(tls)
            .timeout_global(Some(timeout))
            .user_agent(concat!("lepus/", env!("CARGO_PKG_VERSION")))
            .build()
            .new_agent();
        let (user, authorization) = match login {
            Login::Password { user, password } => {
                let authorization = basic(&user, &password);
                (user, authorization)
            }
            Login::Operator { name, token } => (name, format!("Operator {token}")),
        };
        Ok(Self { agent, url: url.to_owned(), user, authorization })
    }

    /// The same way, for another user.
    pub(super) fn acting_as(&self, user: &str, password: &str) -> Self {
        Self {
            agent: self.agent.clone(),
            url: self.url.clone(),
            user: user.to_owned(),
            authorization: basic(user, password),
        }
    }

    /// The document at a path.
    pub(super) fn get(&self, path: Path) -> Result<Value, Failure> {
        Ok(self.send(Method::GET, path, None, &[])?.body)
    }

    /// Puts something there.
    pub(super) fn put(&self, path: Path, body: &Value) -> Result<Answer, Failure> {
        self.send(Method::PUT, path, Some(body), &[])
    }

    /// Asks for something to be done.
    pub(super) fn post(&self, path: Path, body: &Value) -> Result<Value, Failure> {
        Ok(self.send(Method::POST, path, Some(body), &[])?.body)
    }

    /// Deletes what is there.
    pub(super) fn delete(&self, path: Path) -> Result<(), Failure> {
        self.send(Method::DELETE, path, None, &[]).map(drop)
    }

    /// Deletes what is there, with a header.
    pub(super) fn delete_with(&self, path: Path, header: (&str, &str)) -> Result<(), Failure> {
        self.send(Method::DELETE, path, None, &[header]).map(drop)
    }

    /// The answer of a check, whether it is well (200) or not (503).
    pub(super) fn check(&self, path: Path) -> Result<Answer, Failure> {
        let answer = self.exchange(Method::GET, &path, None, &[])?;
        if answer.status == 503 { Ok(answer) } else { self.accepted(answer, &path.about) }
    }

    fn send(
        &self,
        method: Method,
        path: Path,
        body: Option<&Value>,
        headers: &[(&str, &str)],
    ) -> Result<Answer, Failure> {
        let answer = self.exchange(method, &path, body, headers)?;
        self.accepted(answer, &path.about)
    }

    fn exchange(
        &self,
        method: Method,
        path: &Path,
        body: Option<&Value>,
        headers: &[(&str, &str)],
    ) -> Result<Answer, Failure> {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}/api{}", self.url, path.text))
            .header("authorization", &self.authorization)
            .header("content-type", "application/json");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let bad = |error| Failure::Usage(format!("this cannot be asked for: {error}"));
        let response = match body {
            None => self.agent.run(request.body(()).map_err(bad)?),
            Some(body) => self.agent.run(request.body(body.to_string()).map_err(bad)?),
        };
        let mut response = response.map_err(|error| self.unreachable(&error))?;
        let status = response.status().as_u16();
        let octets = response.body_mut().with_config().limit(ANSWER_OCTETS_MAX).read_to_vec();
        let octets = octets.map_err(|error| self.unreachable(&error))?;
        if octets.is_empty() {
            return Ok(Answer { status, body: Value::Null });
        }
        match serde_json::from_slice(&octets) {
            Ok(body) => Ok(Answer { status, body }),
            Err(_) => Err(self.stranger(status, &octets)),
        }
    }

    fn accepted(&self, answer: Answer, about: &str) -> Result<Answer, Failure> {
        let reason = || reason(&answer.body);
        match answer.status {
            200..=299 => Ok(answer),
            401 => Err(Failure::Unknown(self.unknown())),
            403 => Err(Failure::Forbidden(format!("user '{}' may not do this: {}", self.user, reason()))),
            404 => Err(Failure::Missing(format!("there is no {about}"))),
            status => Err(Failure::Refused(format!("the broker refuses ({status}): {}", reason()))),
        }
    }

    fn unknown(&self) -> String {
        format!(
            "the broker at {} does not let in user '{}' with this password: give --user and --password, or LEPUS_USER \
             and LEPUS_PASSWORD; guest may only ask from the broker's own machine",
            self.url, self.user
        )
    }

    fn unreachable(&self, error: &Error) -> Failure {
        let why = if let Error::Io(error) = error {
            error.to_string()
        } else if matches!(error, Error::Timeout(_)) {
            "no answer in time (--timeout)".to_owned()
        } else {
            error.to_string()
        };
        Failure::Unreachable(format!(
            "cannot reach {}: {why}: is the broker running, and is its management listener on?",
            self.url
        ))
    }

    /// Something else listens there.
    fn stranger(&self, status: u16, octets: &[u8]) -> Failure {
        let text: String = String::from_utf8_lossy(octets).chars().take(SHOWN_MAX).collect();
        Failure::Broken(format!(
            "what answers at {} is no management API: status {status}, {}",
            self.url,
            text.escape_debug()
        ))
    }
}

/// The reason that a refusal gives.
fn reason(body: &Value) -> String {
    let reason = body.get("reason").or_else(|| body.get("error")).unwrap_or(body);
    reason.as_str().map_or_else(|| reason.to_string(), |text| text.trim().replace("\n\n", ": "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_encoded_in_paths() {
        let path = path(&["queues", "/", "a b"]).query("sort", "x&y");
        assert_eq!(path.text, "/queues/%2F/a%20b?sort=x%26y");
        assert_eq!(path.about, "/api/queues/%2F/a%20b");
    }

    #[test]
    fn reasons_are_one_line() {
        assert_eq!(
            reason(&serde_json::json!({"reason": "Validation failed\n\nno\n"})),
            "Validation failed: no"
        );
        assert_eq!(reason(&Value::Null), "null");
    }
}
