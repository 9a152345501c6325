//! Why a request is not carried out, in RabbitMQ's shape: `{"error":"bad_request","reason":"..."}`.

use std::fmt;

use axum::body::Body;
use axum::http::{HeaderValue, Response, StatusCode, header};
use axum::response::IntoResponse;
use serde::Serialize;

use crate::auth::AccountError;
use crate::exception::{ChannelException, ConnectionException, Exception};
use crate::policy::PolicyError;
use lepus_protocol::ReplyCode;

/// A request that is not carried out. Nothing has changed.
#[derive(Debug)]
pub(super) struct Refusal {
    status: StatusCode,
    error: &'static str,
    reason: String,
}

#[derive(Serialize)]
struct View<'a> {
    error: &'a str,
    reason: &'a str,
}

impl Refusal {
    fn new(status: StatusCode, error: &'static str, reason: impl Into<String>) -> Self {
        Self { status, error, reason: reason.into() }
    }

    /// 400: the request says something that cannot be.
    pub(super) fn bad_request(reason: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_request", reason)
    }

    /// 400 for parameters of a page.
    pub(super) fn bad_page(error: &'static str, reason: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, error, reason)
    }

    /// 401: nobody knows who asks.
    pub(super) fn unknown_caller(reason: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "not_authorized", reason)
    }

    /// 403: who asks may not.
    pub(super) fn forbidden(reason: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "not_authorised", reason)
    }

    /// 404 (RabbitMQ's words).
    pub(super) fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "Object Not Found", "Not Found")
    }

    /// 404 with a reason of its own.
    pub(super) fn not_found_because(reason: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", reason)
    }

    /// 405: there is such a path, but not with this method.
    pub(super) fn wrong_method() -> Self {
        Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "method_not_allowed",
            "this path does not know the request's method",
        )
    }

    /// 408: it took too long.
    pub(super) fn too_slow() -> Self {
        Self::new(StatusCode::REQUEST_TIMEOUT, "request_timeout", "the request took too long")
    }

    /// 413: the body is larger than it may be.
    pub(super) fn too_large(max: usize) -> Self {
        let reason = format!("the body is larger than {max} octets");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "payload_too_large", reason)
    }

    /// 503: not at the moment.
    pub(super) fn unavailable(reason: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "service_unavailable", reason)
    }

    /// 500: what should not happen.
    pub(super) fn internal(reason: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal_server_error", reason)
    }

    /// What it was about stands in front of the reason.
    pub(super) fn about(mut self, what: &str) -> Self {
        self.reason = format!("{what}: {}", self.reason);
        self
    }

    /// Why, in words.
    pub(super) fn reason(&self) -> &str {
        &self.reason
    }

    /// The answer that says so.
    pub(super) fn into_answer(self) -> Response<Body> {
        let view = View { error: self.error, reason: &self.reason };
        let body = serde_json::to_vec(&view).unwrap_or_default();
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if self.status == StatusCode::UNAUTHORIZED {
            let realm = HeaderValue::from_static("Basic realm=\"RabbitMQ Management\"");
            headers.insert(header::WWW_AUTHENTICATE, realm);
        }
        response
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response<Body> {
        self.into_answer()
    }
}

/// What a channel would be closed for is what a request is refused for.
impl From<ChannelException> for Refusal {
    fn from(exception: ChannelException) -> Self {
        Self::from_reply(exception.code(), exception.text())
    }
}

impl From<ConnectionException> for Refusal {
    fn from(exception: ConnectionException) -> Self {
        Self::from_reply(exception.code(), exception.text())
    }
}

impl From<Exception> for Refusal {
    fn from(exception: Exception) -> Self {
        match exception {
            Exception::Channel(exception) => exception.into(),
            Exception::Connection(exception) => exception.into(),
        }
    }
}

impl From<AccountError> for Refusal {
    fn from(error: AccountError) -> Self {
        let reason = error.to_string();
        match error {
            AccountError::NoUser(_) | AccountError::NoVhost(_) => Self::not_found_because(reason),
            AccountError::InvalidPattern(_)
            | AccountError::InvalidPassword(_)
            | AccountError::InvalidName { .. }
            | AccountError::TooLong { .. }
            | AccountError::InvalidQueueType(_)
            | AccountError::TooMany { .. } => Self::bad_request(reason),
        }
    }
}

/// RabbitMQ's words stand around the reason.
impl From<PolicyError> for Refusal {
    fn from(error: PolicyError) -> Self {
        Self::invalid(&error)
    }
}

impl Refusal {
    /// 400: a policy or a parameter that cannot be one (RabbitMQ's words).
    pub(super) fn invalid(reason: &impl fmt::Display) -> Self {
        Self::bad_request(format!("Validation failed\n\n{reason}\n"))
    }

    fn from_reply(code: ReplyCode, text: &str) -> Self {
        let (number, text) = (code.get(), text.to_owned());
        match code {
            ReplyCode::ACCESS_REFUSED => Self::forbidden(text),
            ReplyCode::NOT_FOUND => Self::not_found_because(text),
            // RabbitMQ: the code stands in front.
            _ => Self::bad_request(format!("{number} {text}")),
        }
    }
}
