//! Answers: JSON, or nothing but a status.

use axum::body::Body;
use axum::http::{HeaderValue, Response, StatusCode, header};
use serde::Serialize;

use super::refusal::Refusal;

/// What a resource answers.
pub(super) type Answer = Result<Response<Body>, Refusal>;

/// 200 with a document.
pub(super) fn json(view: &impl Serialize) -> Answer {
    let body = serde_json::to_vec(view).map_err(|error| Refusal::internal(error.to_string()))?;
    Ok(json_octets(body))
}

/// 200 with a document that is written already.
pub(super) fn json_octets(body: Vec<u8>) -> Response<Body> {
    let mut response = Response::new(Body::from(body));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

/// 201 for what is new, 204 for what was there.
pub(super) fn put(is_new: bool) -> Answer {
    Ok(status(if is_new { StatusCode::CREATED } else { StatusCode::NO_CONTENT }))
}

/// 204: done, and nothing to say.
pub(super) fn done() -> Answer {
    Ok(status(StatusCode::NO_CONTENT))
}

/// Only a status.
pub(super) fn status(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

/// 201 for what stands at `location` now.
pub(super) fn created_at(location: &str) -> Answer {
    let mut response = status(StatusCode::CREATED);
    let location = HeaderValue::from_str(location).map_err(|error| Refusal::internal(error.to_string()))?;
    response.headers_mut().insert(header::LOCATION, location);
    Ok(response)
}
