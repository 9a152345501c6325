//! A request's body as JSON, within limits; what is wrong with it is said with its place.

use axum::body::{Body, to_bytes};
use axum::extract::{FromRequest, Request};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};

use super::refusal::Refusal;

/// Octets of a body: RabbitMQ's `management.http.max_body_size`.
pub(super) const BODY_OCTETS_MAX: usize = 20_000_000;

/// A body, read but not yet understood: who asks must be known before.
#[derive(Debug)]
pub(super) struct Json(Vec<u8>);

impl<S: Send + Sync> FromRequest<S> for Json {
    type Rejection = Refusal;

    async fn from_request(request: Request, _: &S) -> Result<Self, Refusal> {
        read(request.into_body()).await.map(Self)
    }
}

async fn read(body: Body) -> Result<Vec<u8>, Refusal> {
    to_bytes(body, BODY_OCTETS_MAX).await.map(Vec::from).map_err(|error| {
        // The limit's error stands at the end of the chain.
        let mut source: Option<&dyn std::error::Error> = Some(&error);
        while let Some(error) = source {
            if error.to_string().contains("length limit exceeded") {
                return Refusal::too_large(BODY_OCTETS_MAX);
            }
            source = error.source();
        }
        Refusal::bad_request(format!("the body could not be read: {error}"))
    })
}

/// `true` and `false`, also as text: `rabbitmqadmin` sends what it was given.
#[derive(Deserialize)]
#[serde(untagged)]
enum Flag {
    Is(bool),
    Text(String),
}

impl Flag {
    fn read<E: serde::de::Error>(self) -> Result<bool, E> {
        match self {
            Self::Is(is) => Ok(is),
            Self::Text(text) => text.parse().map_err(|_| no_flag()),
        }
    }
}

fn no_flag<E: serde::de::Error>() -> E {
    E::custom("expected true or false")
}

/// A flag.
pub(super) fn flag<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    Flag::deserialize(deserializer).map_err(|_| no_flag())?.read()
}

/// A flag that need not be there.
pub(super) fn flag_if_any<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<bool>, D::Error> {
    Option::<Flag>::deserialize(deserializer).map_err(|_| no_flag())?.map(Flag::read).transpose()
}

impl Json {
    /// The document; an empty body, or `null`, counts as an empty object (RabbitMQ).
    pub(super) fn parse<T: DeserializeOwned>(&self) -> Result<T, Refusal> {
        let octets: &[u8] = match self.0.trim_ascii() {
            b"" | b"null" => b"{}",
            object if object.starts_with(b"{") => object,
            _ => return Err(Refusal::bad_request("the body is not a JSON object: line 1 column 1")),
        };
        let parsed = serde_json::from_slice(octets);
        parsed.map_err(|error| Refusal::bad_request(format!("the body is not as expected: {error}")))
    }
}
