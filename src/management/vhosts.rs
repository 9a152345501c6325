//! `/api/vhosts` and `/api/vhost-limits`.

use std::sync::Arc;

use axum::extract::State;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use super::answer::{Answer, done, put};
use super::api::Api;
use super::body::{Json, flag_if_any};
use super::caller::{Caller, Tag};
use super::listing::{Key, ListQuery, Sink};
use super::overview::depth_of;
use super::path::Segments;
use super::rates::Depth;
use super::refusal::Refusal;
use super::users::{Limit, tags};
use super::view::vhost::Vhost;
use crate::broker::{Durability, DurabilityDeclaration, Vhost as CoreVhost, VhostDeclaration};
use crate::metadata::VhostLimits;

/// GET `/api/vhosts`.
pub(super) async fn list(State(api): State<Arc<Api>>, caller: Caller, query: ListQuery) -> Answer {
    let mut vhosts = Vec::new();
    for vhost in api.visible_vhosts(&caller, "")? {
        let depth = depth_of(&[Arc::clone(&vhost)]).await;
        vhosts.push((vhost, depth));
    }
    let tallies = api.broker.connections.tallies();
    let key = |(vhost, _): &(Arc<CoreVhost>, Depth)| Key::new("", vhost.name.as_str());
    let view = |(vhost, depth): &(Arc<CoreVhost>, Depth), sink: Sink<'_>| {
        let tally = tallies.get(&vhost.name).copied().unwrap_or_default();
        sink.put(&Vhost::new(vhost, *depth, tally, &api))
    };
    query.answer(vhosts, key, view).await
}

/// GET `/api/vhosts/{vhost}`.
pub(super) async fn get(
    State(api): State<Arc<Api>>,
    caller: Caller,
    path: Segments,
    query: ListQuery,
) -> Answer {
    let vhost = api.visible_vhost(&caller, path.vhost())?;
    let depth = depth_of(&[Arc::clone(&vhost)]).await;
    let tally = api.broker.connections.tallies().get(&vhost.name).copied().unwrap_or_default();
    query.one(&Vhost::new(&vhost, depth, tally, &api))
}

/// The body that makes a virtual host; also a virtual host in definitions.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Declaration {
    #[serde(default)]
    description: Option<String>,
    #[serde(default, deserialize_with = "tags")]
    tags: Vec<String>,
    #[serde(default)]
    default_queue_type: Option<String>,
    #[serde(default, deserialize_with = "durability")]
    durability: DurabilityDeclaration,
    /// Whether the firehose is to be on; as it is, if nothing is said.
    #[serde(default, deserialize_with = "flag_if_any")]
    tracing: Option<bool>,
}

/// `null` is as the server promises; what is not there changes nothing.
fn durability<'de, D: Deserializer<'de>>(deserializer: D) -> Result<DurabilityDeclaration, D::Error> {
    let Some(name) = Option::<String>::deserialize(deserializer)? else {
        return Ok(DurabilityDeclaration::AsServer);
    };
    Durability::from_name(&name).map(DurabilityDeclaration::Is).ok_or_else(|| {
        let reason = format!("durability '{name}' is neither 'fsync' nor 'os', nor null for the server's");
        serde::de::Error::custom(reason)
    })
}

impl Declaration {
    /// Whether it is as empty as one that was not written.
    pub(super) fn says_nothing(&self) -> bool {
        self.description.as_ref().is_none_or(String::is_empty)
            && self.tags.is_empty()
            && self.durability == DurabilityDeclaration::Unchanged
    }
}

impl From<Declaration> for VhostDeclaration {
    fn from(declaration: Declaration) -> Self {
        let Declaration { description, tags, default_queue_type, durability, tracing: _ } = declaration;
        // Exports of RabbitMQ write out that there is none.
        let is_one = |kind: &String| !kind.is_empty() && kind != "undefined";
        let default_queue_type = default_queue_type.filter(is_one);
        Self { description: description.unwrap_or_default(), tags, default_queue_type, durability }
    }
}

/// PUT `/api/vhosts/{vhost}`.
pub(super) async fn declare(
    State(api): State<Arc<Api>>,
    caller: Caller,
    path: Segments,
    body: Json,
) -> Answer {
    caller.need(Tag::Administrator)?;
    let declaration = body.parse::<Declaration>()?;
    let (name, tracing) = (path.name("vhost")?, declaration.tracing);
    let is_new = api.broker.put_vhost(&name, declaration.into()).await?;
    if let (Some(on), Some(vhost)) = (tracing, api.broker.vhost(name.as_str()))
        && vhost.is_tracing() != on
    {
        vhost.set_tracing(on);
    }
    put(is_new)
}

/// DELETE `/api/vhosts/{vhost}`. Who is connected to it is closed by the broker.
pub(super) async fn delete(State(api): State<Arc<Api>>, caller: Caller, path: Segments) -> Answer {
    caller.need(Tag::Administrator)?;
    let name = path.name("vhost")?;
    api.broker.delete_vhost(&name).await?;
    for entry in api.broker.connections.list() {
        if entry.facts.vhost == name {
            entry.close(format!("vhost '{name}' is deleted"));
        }
    }
    done()
}

/// POST `/api/vhosts/{vhost}/start/{node}`: all run.
pub(super) async fn start(State(api): State<Arc<Api>>, caller: Caller, path: Segments) -> Answer {
    caller.need(Tag::Administrator)?;
    if path.get("node") != api.node.name || api.broker.vhost(path.vhost()).is_none() {
        return Err(Refusal::not_found());
    }
    done()
}

#[derive(Debug, Serialize)]
struct Limits {
    vhost: String,
    value: Map<String, Value>,
}

/// Limits by their names; only those that are set.
pub(super) fn limits(limits: VhostLimits) -> Map<String, Value> {
    let named = [("max-connections", limits.max_connections), ("max-queues", limits.max_queues)];
    named.into_iter().filter_map(|(name, limit)| Some((name.to_owned(), limit?.into()))).collect()
}

/// GET `/api/vhost-limits` and `/api/vhost-limits/{vhost}`.
pub(super) async fn list_limits(
    State(api): State<Arc<Api>>,
    caller: Caller,
    path: Segments,
    query: ListQuery,
) -> Answer {
    let mut vhosts = api.visible_vhosts(&caller, path.vhost())?;
    vhosts.retain(|vhost| vhost.definition().limits != VhostLimits::default());
    let key = |vhost: &Arc<CoreVhost>| Key::new("", vhost.name.as_str());
    let view = |vhost: &Arc<CoreVhost>, sink: Sink<'_>| {
        sink.put(&Limits { vhost: vhost.name.to_string(), value: limits(vhost.definition().limits) })
    };
    query.answer(vhosts, key, view).await
}

/// PUT `/api/vhost-limits/{vhost}/{limit}`.
pub(super) async fn put_limit(
    State(api): State<Arc<Api>>,
    caller: Caller,
    path: Segments,
    body: Json,
) -> Answer {
    caller.need(Tag::Administrator)?;
    let Limit { value } = body.parse()?;
    change_limit(&api, &path, Some(value)).await
}

/// DELETE `/api/vhost-limits/{vhost}/{limit}`.
pub(super) async fn delete_limit(State(api): State<Arc<Api>>, caller: Caller, path: Segments) -> Answer {
    caller.need(Tag::Administrator)?;
    change_limit(&api, &path, None).await
}

async fn change_limit(api: &Api, path: &Segments, value: Option<i64>) -> Answer {
    let field = limit_field(path.get("limit"))?;
    api.broker.change_vhost_limits(&path.name("vhost")?, |limits| *field(limits) = value).await?;
    done()
}

/// Where the limit of this name stands.
pub(super) fn limit_field(name: &str) -> Result<fn(&mut VhostLimits) -> &mut Option<i64>, Refusal> {
    match name {
        "max-connections" => Ok(|limits| &mut limits.max_connections),
        "max-queues" => Ok(|limits| &mut limits.max_queues),
        unknown => Err(Refusal::bad_request(format!("a virtual host has no limit '{unknown}'"))),
    }
}

/// Limits as they are given: whole numbers.
pub(super) fn numbers(limits: &Map<String, Value>) -> Result<Vec<(String, i64)>, Refusal> {
    let number = |(name, value): (&String, &Value)| match value.as_i64() {
        Some(value) => Ok((name.clone(), value)),
        None => Err(Refusal::bad_request(format!("limit '{name}' is not a whole number"))),
    };
    limits.iter().map(number).collect()
}
