//! `/api/users`: who there is, with tags and limits.

use std::sync::Arc;

use axum::extract::State;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use super::answer::{Answer, done, json, put};
use super::api::Api;
use super::body::Json;
use super::caller::{Caller, Tag};
use super::listing::{Key, ListQuery};
use super::path::Segments;
use super::refusal::Refusal;
use crate::auth::Algorithm;
use crate::broker::NewPassword;
use crate::metadata::{PasswordDefinition, UserDefinition, UserLimits};
use crate::name::Name;

/// A user, as listed and as in definitions.
#[derive(Debug, Serialize)]
pub(super) struct View {
    name: String,
    password_hash: String,
    hashing_algorithm: String,
    tags: Vec<String>,
    limits: Map<String, Value>,
}

impl View {
    pub(super) fn new(name: &Name, definition: &UserDefinition) -> Self {
        let password = definition.password.as_ref();
        let algorithm = password.map_or_else(|| Algorithm::Sha256.name(), |password| &password.algorithm);
        Self {
            name: name.to_string(),
            password_hash: password.map(|password| password.hash.clone()).unwrap_or_default(),
            hashing_algorithm: algorithm.to_owned(),
            tags: definition.tags.clone(),
            limits: limits(definition.limits),
        }
    }
}

/// Limits by their names; only those that are set.
pub(super) fn limits(limits: UserLimits) -> Map<String, Value> {
    let named = [("max-connections", limits.max_connections), ("max-channels", limits.max_channels)];
    named.into_iter().filter_map(|(name, limit)| Some((name.to_owned(), limit?.into()))).collect()
}

/// The body that makes a user; also a user in definitions.
#[derive(Debug, Deserialize)]
pub(super) struct Declaration {
    password: Option<String>,
    password_hash: Option<String>,
    hashing_algorithm: Option<String>,
    #[serde(deserialize_with = "tags")]
    tags: Vec<String>,
    #[serde(default)]
    pub(super) limits: Map<String, Value>,
}

/// Tags as a list, or as text between commas (RabbitMQ before 3.9, and many tools).
pub(super) fn tags<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Tags {
        List(Vec<String>),
        Text(String),
    }
    let tags = Tags::deserialize(deserializer)
        .map_err(|_| serde::de::Error::custom("tags are a list of text, or text with commas"))?;
    Ok(match tags {
        Tags::List(tags) => tags,
        Tags::Text(text) => {
            text.split(',').map(str::trim).filter(|tag| !tag.is_empty()).map(str::to_owned).collect()
        }
    })
}

impl Declaration {
    /// How the user is to log in, and the tags.
    pub(super) fn into_parts(self) -> Result<(NewPassword, Vec<String>), Refusal> {
        let password = match (self.password, self.password_hash) {
            (Some(_), Some(_)) => {
                return Err(Refusal::bad_request("a password and a hash of one: give either"));
            }
            (Some(password), None) => NewPassword::Clear(password.into_bytes()),
            (None, Some(hash)) if hash.is_empty() => NewPassword::None,
            (None, Some(hash)) => {
                let algorithm = self.hashing_algorithm.unwrap_or_else(|| Algorithm::Sha256.name().to_owned());
                NewPassword::Hash(PasswordDefinition { hash, algorithm })
            }
            (None, None) => NewPassword::None,
        };
        Ok((password, self.tags))
    }
}

/// GET `/api/users`.
pub(super) async fn list(State(api): State<Arc<Api>>, caller: Caller, query: ListQuery) -> Answer {
    caller.need(Tag::Administrator)?;
    answer(&query, api.broker.authority.accounts.users()).await
}

/// GET `/api/users/without-permissions`.
pub(super) async fn without_permissions(
    State(api): State<Arc<Api>>,
    caller: Caller,
    query: ListQuery,
) -> Answer {
    caller.need(Tag::Administrator)?;
    let accounts = &api.broker.authority.accounts;
    let permissions = accounts.permissions();
    let mut users = accounts.users();
    users.retain(|(name, _)| permissions.iter().all(|(_, user, _)| user != name));
    answer(&query, users).await
}

async fn answer(query: &ListQuery, users: Vec<(Name, UserDefinition)>) -> Answer {
    let key = |(name, _): &(Name, UserDefinition)| Key::new("", name.as_str());
    query.answer(users, key, |(name, definition), sink| sink.put(&View::new(name, definition))).await
}

/// GET `/api/users/{user}`.
pub(super) async fn get(
    State(api): State<Arc<Api>>,
    caller: Caller,
    path: Segments,
    query: ListQuery,
) -> Answer {
    let name = path.name("user")?;
    caller.end(name.as_str())?;
    let definition = api.broker.authority.accounts.user(name.as_str()).ok_or_else(Refusal::not_found)?;
    query.one(&View::new(&name, &definition))
}

/// PUT `/api/users/{user}`.
pub(super) async fn declare(
    State(api): State<Arc<Api>>,
    caller: Caller,
    path: Segments,
    body: Json,
) -> Answer {
    caller.need(Tag::Administrator)?;
    let (password, tags) = body.parse::<Declaration>()?.into_parts()?;
    put(api.broker.put_user(&path.name("user")?, password, tags).await?)
}

/// DELETE `/api/users/{user}`.
pub(super) async fn delete(State(api): State<Arc<Api>>, caller: Caller, path: Segments) -> Answer {
    caller.need(Tag::Administrator)?;
    api.broker.delete_user(&path.name("user")?).await?;
    done()
}

#[derive(Debug, Deserialize)]
struct Users {
    users: Vec<String>,
}

/// POST `/api/users/bulk-delete`. Who is not there need not be deleted.
pub(super) async fn bulk_delete(State(api): State<Arc<Api>>, caller: Caller, body: Json) -> Answer {
    caller.need(Tag::Administrator)?;
    let Users { users } = body.parse()?;
    for user in users {
        let name = Name::from(user);
        if api.broker.authority.accounts.has_user(name.as_str()) {
            api.broker.delete_user(&name).await?;
        }
    }
    done()
}

#[derive(Debug, Serialize)]
struct UserLimitsView {
    user: String,
    value: Map<String, Value>,
}

/// GET `/api/user-limits` and `/api/user-limits/{user}`.
pub(super) async fn list_limits(
    State(api): State<Arc<Api>>,
    caller: Caller,
    path: Segments,
    query: ListQuery,
) -> Answer {
    caller.need(Tag::Administrator)?;
    let wanted = path.get("user");
    let accounts = &api.broker.authority.accounts;
    if !wanted.is_empty() && !accounts.has_user(wanted) {
        return Err(Refusal::not_found());
    }
    let mut users = accounts.users();
    users.retain(|(name, definition)| {
        definition.limits != UserLimits::default() && (wanted.is_empty() || wanted == name.as_str())
    });
    let key = |(name, _): &(Name, UserDefinition)| Key::new("", name.as_str());
    let view = |(name, definition): &(Name, UserDefinition), sink: super::listing::Sink<'_>| {
        sink.put(&UserLimitsView { user: name.to_string(), value: limits(definition.limits) })
    };
    query.answer(users, key, view).await
}

/// The body of a limit.
#[derive(Debug, Deserialize)]
pub(super) struct Limit {
    pub(super) value: i64,
}

/// PUT `/api/user-limits/{user}/{limit}`.
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

/// DELETE `/api/user-limits/{user}/{limit}`.
pub(super) async fn delete_limit(State(api): State<Arc<Api>>, caller: Caller, path: Segments) -> Answer {
    caller.need(Tag::Administrator)?;
    change_limit(&api, &path, None).await
}

async fn change_limit(api: &Api, path: &Segments, value: Option<i64>) -> Answer {
    let field = limit_field(path.get("limit"))?;
    api.broker.change_user_limits(&path.name("user")?, |limits| *field(limits) = value).await?;
    done()
}

/// Where the limit of this name stands.
pub(super) fn limit_field(name: &str) -> Result<fn(&mut UserLimits) -> &mut Option<i64>, Refusal> {
    match name {
        "max-connections" => Ok(|limits| &mut limits.max_connections),
        "max-channels" => Ok(|limits| &mut limits.max_channels),
        unknown => Err(Refusal::bad_request(format!("a user has no limit '{unknown}'"))),
    }
}

#[derive(Debug, Serialize)]
struct Hashed {
    ok: String,
}

/// GET `/api/auth/hash_password/{password}`.
pub(super) async fn hash_password(State(api): State<Arc<Api>>, caller: Caller, path: Segments) -> Answer {
    caller.need(Tag::Administrator)?;
    let password = path.get("password").as_bytes().to_vec();
    let hashed = api.broker.authority.hash_password(&caller.user.name, password).await;
    let hashed = hashed.map_err(|invalid| Refusal::bad_request(invalid.to_string()))?;
    json(&Hashed { ok: hashed.definition().hash.clone() })
}
