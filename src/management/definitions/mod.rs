//! `/api/definitions`: everything durable as one document, out and in, whole or of one virtual host.
//!
//! The document is RabbitMQ's, so that one from there can be read here and the other way round. What cannot be kept
//! here is left out on import, and named in the answer.

mod export;
mod import;
mod shape;

use std::path::Path;
use std::sync::Arc;

use axum::extract::State;
use serde::Serialize;

use super::answer::{Answer, done, json};
use super::api::Api;
use super::body::Json;
use super::caller::{Caller, Tag};
use super::path::Segments;
use super::refusal::Refusal;
use crate::broker::Broker;
use import::Import;
use shape::{Definitions, OfVhost};

/// What of a document was not taken over.
#[derive(Debug, Serialize)]
struct Imported {
    ignored: Vec<String>,
}

/// GET `/api/definitions`.
pub(super) async fn get_all(State(api): State<Arc<Api>>, caller: Caller) -> Answer {
    caller.need(Tag::Administrator)?;
    json(&export::all(&api))
}

/// GET `/api/definitions/{vhost}`.
pub(super) async fn get_vhost(State(api): State<Arc<Api>>, caller: Caller, path: Segments) -> Answer {
    caller.need(Tag::Administrator)?;
    let vhost = api.visible_vhost(&caller, path.vhost())?;
    json(&export::of_vhost(&api, &vhost))
}

/// POST `/api/definitions`.
pub(super) async fn post_all(State(api): State<Arc<Api>>, caller: Caller, body: Json) -> Answer {
    caller.need(Tag::Administrator)?;
    let definitions: Definitions = body.parse()?;
    answer(Import::new(&api.broker).carry_out(definitions).await?)
}

/// POST `/api/definitions/{vhost}`.
pub(super) async fn post_vhost(
    State(api): State<Arc<Api>>,
    caller: Caller,
    path: Segments,
    body: Json,
) -> Answer {
    caller.need(Tag::Administrator)?;
    let vhost = api.visible_vhost(&caller, path.vhost())?;
    let definitions: OfVhost = body.parse()?;
    answer(Import::new(&api.broker).carry_out(definitions.into_all(&vhost.name)).await?)
}

fn answer(ignored: Vec<String>) -> Answer {
    if ignored.is_empty() { done() } else { json(&Imported { ignored }) }
}

/// Takes over the definitions in a file, at the start of the broker.
///
/// # Errors
/// When the file cannot be read, is not such a document, or something in it cannot be made.
pub async fn load(broker: &Arc<Broker>, file: &Path) -> std::io::Result<()> {
    let failed =
        |reason: String| std::io::Error::other(format!("definitions in {}: {reason}", file.display()));
    // Nothing else runs yet that would have to wait for the disk.
    let text = std::fs::read(file).map_err(|error| failed(error.to_string()))?;
    let definitions: Definitions =
        serde_json::from_slice(&text).map_err(|error| failed(error.to_string()))?;
    let imported = Import::new(broker).carry_out(definitions).await;
    let ignored = imported.map_err(|refusal: Refusal| failed(refusal.reason().to_owned()))?;
    for part in ignored {
        tracing::warn!(file = %file.display(), "not taken over: {part}");
    }
    tracing::info!(file = %file.display(), "definitions taken over");
    Ok(())
}
