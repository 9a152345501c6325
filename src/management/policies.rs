//! `/api/policies` and `/api/operator-policies`: what holds for queues and exchanges whose names match. The same
//! handlers serve both; the route says which kind it is.

use std::sync::Arc;

use axum::extract::{Extension, State};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::answer::{Answer, done, put};
use super::api::Api;
use super::body::Json;
use super::caller::{Caller, Tag};
use super::listing::{Key, ListQuery};
use super::path::Segments;
use super::refusal::Refusal;
use super::table::{from_json, table_to_json};
use crate::broker::Vhost;
use crate::metadata::{PolicyDefinition, PolicyKind};
use crate::policy::Policy;

/// A policy, as listed and as in definitions.
#[derive(Debug, Serialize)]
pub(super) struct View {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) vhost: Option<String>,
    name: String,
    #[serde(flatten)]
    content: Content,
}

/// What a policy says; also the value of an operator policy among parameters.
#[derive(Debug, Serialize)]
pub(super) struct Content {
    pattern: String,
    #[serde(rename = "apply-to")]
    apply_to: &'static str,
    definition: Value,
    priority: i64,
}

impl Content {
    pub(super) fn new(policy: &Policy) -> Self {
        Self {
            pattern: policy.pattern.clone(),
            apply_to: policy.apply_to.name(),
            definition: table_to_json(&policy.definition),
            priority: policy.priority,
        }
    }
}

impl View {
    pub(super) fn in_vhost(vhost: &Vhost, policy: &Policy) -> Self {
        let vhost = Some(vhost.name.to_string());
        Self { vhost, name: policy.name.to_string(), content: Content::new(policy) }
    }
}

/// The body that makes a policy; also a policy in definitions.
#[derive(Debug, Deserialize)]
pub(super) struct Declaration {
    pattern: String,
    definition: Map<String, Value>,
    #[serde(default)]
    priority: i64,
    #[serde(rename = "apply-to", default = "all")]
    apply_to: String,
}

fn all() -> String {
    "all".to_owned()
}

impl Declaration {
    pub(super) fn into_definition(self) -> Result<PolicyDefinition, Refusal> {
        let Self { pattern, definition, priority, apply_to } = self;
        Ok(PolicyDefinition { pattern, definition: from_json(&definition)?, priority, apply_to })
    }
}

/// What queues and exchanges show of the policy that holds.
pub(super) fn policy_name(policy: Option<&Arc<Policy>>) -> Option<String> {
    policy.map(|policy| policy.name.to_string())
}

type Kind = Extension<PolicyKind>;
type Handle = (Arc<Vhost>, Arc<Policy>);

/// GET `/api/policies` and `/api/policies/{vhost}`.
pub(super) async fn list(
    State(api): State<Arc<Api>>,
    Extension(kind): Kind,
    caller: Caller,
    path: Segments,
    query: ListQuery,
) -> Answer {
    caller.see_policies()?;
    let mut policies = Vec::new();
    for vhost in api.visible_vhosts(&caller, path.vhost())? {
        policies.extend(vhost.policies(kind).into_iter().map(|policy| (Arc::clone(&vhost), policy)));
    }
    let key = |(vhost, policy): &Handle| Key::new(vhost.name.as_str(), policy.name.as_str());
    query.answer(policies, key, |(vhost, policy), sink| sink.put(&View::in_vhost(vhost, policy))).await
}

/// GET `/api/policies/{vhost}/{name}`.
pub(super) async fn get(
    State(api): State<Arc<Api>>,
    Extension(kind): Kind,
    caller: Caller,
    path: Segments,
    query: ListQuery,
) -> Answer {
    caller.see_policies()?;
    let vhost = api.visible_vhost(&caller, path.vhost())?;
    let policy = vhost.policy(kind, path.get("name")).ok_or_else(Refusal::not_found)?;
    query.one(&View::in_vhost(&vhost, &policy))
}

/// PUT `/api/policies/{vhost}/{name}`. It holds and is on disk when it is answered.
pub(super) async fn declare(
    State(api): State<Arc<Api>>,
    Extension(kind): Kind,
    caller: Caller,
    path: Segments,
    body: Json,
) -> Answer {
    check_may_set(&caller, kind)?;
    let vhost = api.visible_vhost(&caller, path.vhost())?;
    let definition = body.parse::<Declaration>()?.into_definition()?;
    let is_new = vhost.put_policy(kind, path.name("name")?, definition, api.now())?;
    api.broker.flush().await;
    put(is_new)
}

/// DELETE `/api/policies/{vhost}/{name}`.
pub(super) async fn delete(
    State(api): State<Arc<Api>>,
    Extension(kind): Kind,
    caller: Caller,
    path: Segments,
) -> Answer {
    check_may_set(&caller, kind)?;
    let vhost = api.visible_vhost(&caller, path.vhost())?;
    if !vhost.delete_policy(kind, &path.name("name")?, api.now()) {
        return Err(Refusal::not_found());
    }
    api.broker.flush().await;
    done()
}

/// What operators bound, users do not change.
fn check_may_set(caller: &Caller, kind: PolicyKind) -> Result<(), Refusal> {
    match kind {
        PolicyKind::User => caller.need(Tag::Policymaker),
        PolicyKind::Operator => caller.need(Tag::Administrator),
    }
}
