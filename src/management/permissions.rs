//! `/api/permissions` and `/api/topic-permissions`: what users may do where.

use std::sync::Arc;

use axum::extract::State;
use serde::{Deserialize, Serialize};

use super::answer::{Answer, done, put};
use super::api::Api;
use super::body::Json;
use super::caller::{Caller, Tag};
use super::listing::{Key, ListQuery, Sink};
use super::path::Segments;
use super::refusal::Refusal;
use crate::metadata::{PermissionDefinition, TopicPermissionDefinition};
use crate::name::Name;

/// A user's permissions in a virtual host, as listed and as in definitions.
#[derive(Debug, Serialize)]
pub(super) struct View {
    user: String,
    vhost: String,
    configure: String,
    write: String,
    read: String,
}

/// A user's restriction at an exchange, as listed and as in definitions.
#[derive(Debug, Serialize)]
pub(super) struct TopicView {
    user: String,
    vhost: String,
    exchange: String,
    write: String,
    read: String,
}

/// Virtual host, user, permissions.
type Permission = (Name, Name, PermissionDefinition);

/// Virtual host, user, exchange, restriction.
type TopicPermission = (Name, Name, Name, TopicPermissionDefinition);

impl From<&Permission> for View {
    fn from((vhost, user, definition): &Permission) -> Self {
        let PermissionDefinition { configure, write, read } = definition.clone();
        Self { user: user.to_string(), vhost: vhost.to_string(), configure, write, read }
    }
}

impl From<&TopicPermission> for TopicView {
    fn from((vhost, user, exchange, definition): &TopicPermission) -> Self {
        let TopicPermissionDefinition { write, read } = definition.clone();
        let (user, vhost, exchange) = (user.to_string(), vhost.to_string(), exchange.to_string());
        Self { user, vhost, exchange, write, read }
    }
}

/// The patterns of a permission.
#[derive(Debug, Deserialize)]
struct Patterns {
    configure: String,
    write: String,
    read: String,
}

/// The patterns of a restriction.
#[derive(Debug, Deserialize)]
struct TopicPatterns {
    exchange: String,
    write: String,
    read: String,
}

/// Whether something of `vhost` and `user` is what a path asks for: either, both or none may be named.
fn is_wanted(path: &Segments, vhost: &Name, user: &Name) -> bool {
    let named = |key: &str, name: &Name| path.get(key).is_empty() || path.get(key) == name.as_str();
    named("vhost", vhost) && named("user", user)
}

/// 404 for a virtual host or a user that there is not.
fn check_exist(api: &Api, path: &Segments) -> Result<(), Refusal> {
    let (vhost, user) = (path.vhost(), path.get("user"));
    let vhost_missing = !vhost.is_empty() && api.broker.vhost(vhost).is_none();
    let user_missing = !user.is_empty() && !api.broker.authority.accounts.has_user(user);
    if vhost_missing || user_missing { Err(Refusal::not_found()) } else { Ok(()) }
}

/// GET `/api/permissions`, `/api/users/{user}/permissions` and `/api/vhosts/{vhost}/permissions`.
pub(super) async fn list(
    State(api): State<Arc<Api>>,
    caller: Caller,
    path: Segments,
    query: ListQuery,
) -> Answer {
    check_may_list(&caller, &path)?;
    check_exist(&api, &path)?;
    let mut permissions = api.broker.authority.accounts.permissions();
    permissions.retain(|(vhost, user, _)| is_wanted(&path, vhost, user));
    let key = |(vhost, user, _): &Permission| Key::new(vhost.as_str(), user.as_str());
    query.answer(permissions, key, |permission, sink: Sink<'_>| sink.put(&View::from(permission))).await
}

/// Who asks may see its own permissions.
fn check_may_list(caller: &Caller, path: &Segments) -> Result<(), Refusal> {
    match path.get("user") {
        "" => caller.need(Tag::Administrator),
        user => caller.end(user),
    }
}

/// GET `/api/permissions/{vhost}/{user}`.
pub(super) async fn get(
    State(api): State<Arc<Api>>,
    caller: Caller,
    path: Segments,
    query: ListQuery,
) -> Answer {
    let (vhost, user) = (path.name("vhost")?, path.name("user")?);
    caller.end(user.as_str())?;
    let definition =
        api.broker.authority.accounts.permission(&vhost, &user).ok_or_else(Refusal::not_found)?;
    query.one(&View::from(&(vhost, user, definition)))
}

/// PUT `/api/permissions/{vhost}/{user}`.
pub(super) async fn declare(
    State(api): State<Arc<Api>>,
    caller: Caller,
    path: Segments,
    body: Json,
) -> Answer {
    caller.need(Tag::Administrator)?;
    let Patterns { configure, write, read } = body.parse()?;
    let definition = PermissionDefinition { configure, write, read };
    put(api.broker.put_permission(&path.name("vhost")?, &path.name("user")?, definition).await?)
}

/// DELETE `/api/permissions/{vhost}/{user}`.
pub(super) async fn delete(State(api): State<Arc<Api>>, caller: Caller, path: Segments) -> Answer {
    caller.need(Tag::Administrator)?;
    let was_there = api.broker.delete_permission(&path.name("vhost")?, &path.name("user")?).await?;
    if was_there { done() } else { Err(Refusal::not_found()) }
}

/// GET `/api/topic-permissions` and the like, also of one user in one virtual host.
pub(super) async fn list_topics(
    State(api): State<Arc<Api>>,
    caller: Caller,
    path: Segments,
    query: ListQuery,
) -> Answer {
    check_may_list(&caller, &path)?;
    check_exist(&api, &path)?;
    let mut permissions = api.broker.authority.accounts.topic_permissions();
    permissions.retain(|(vhost, user, ..)| is_wanted(&path, vhost, user));
    let key = |(vhost, user, exchange, _): &TopicPermission| {
        Key::new(vhost.as_str(), format!("{user}\0{exchange}"))
    };
    query.answer(permissions, key, |permission, sink: Sink<'_>| sink.put(&TopicView::from(permission))).await
}

/// PUT `/api/topic-permissions/{vhost}/{user}`.
pub(super) async fn declare_topic(
    State(api): State<Arc<Api>>,
    caller: Caller,
    path: Segments,
    body: Json,
) -> Answer {
    caller.need(Tag::Administrator)?;
    let TopicPatterns { exchange, write, read } = body.parse()?;
    let (vhost, user, exchange) = (path.name("vhost")?, path.name("user")?, Name::from(exchange));
    let definition = TopicPermissionDefinition { write, read };
    put(api.broker.put_topic_permission(&vhost, &user, &exchange, definition).await?)
}

/// DELETE `/api/topic-permissions/{vhost}/{user}` and `.../{exchange}`.
pub(super) async fn delete_topics(State(api): State<Arc<Api>>, caller: Caller, path: Segments) -> Answer {
    caller.need(Tag::Administrator)?;
    let exchange = path.exchange("exchange")?;
    let exchange = (!path.get("exchange").is_empty()).then_some(&exchange);
    let (vhost, user) = (path.name("vhost")?, path.name("user")?);
    match api.broker.delete_topic_permissions(&vhost, &user, exchange).await? {
        0 => Err(Refusal::not_found()),
        _ => done(),
    }
}
