//! `/api/parameters` and `/api/global-parameters`.
//!
//! Of RabbitMQ's components there are two here, which have routes of their own too: the limits of virtual hosts and
//! operator policies. Shovels and federation are not known, and refused. Global parameters are kept for whoever sets
//! them.

use std::sync::Arc;

use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::answer::{self, Answer, done, json};
use super::api::Api;
use super::body::Json;
use super::caller::{Caller, Tag};
use super::listing::{Key, ListQuery};
use super::path::Segments;
use super::policies::{Content, Declaration};
use super::refusal::Refusal;
use super::vhosts;
use crate::broker::{Broker, Vhost};
use crate::metadata::{PolicyKind, VhostLimits};
use crate::name::Name;
use crate::policy::Policy;

/// The one name of a parameter that is the limits of a virtual host (RabbitMQ).
const LIMITS: &str = "limits";

/// What parameters can be of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Component {
    VhostLimits,
    OperatorPolicy,
}

impl Component {
    const ALL: [Self; 2] = [Self::VhostLimits, Self::OperatorPolicy];

    /// RabbitMQ's name.
    fn name(self) -> &'static str {
        match self {
            Self::VhostLimits => "vhost-limits",
            Self::OperatorPolicy => "operator_policy",
        }
    }

    pub(super) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|component| component.name() == name)
    }
}

/// A parameter, as listed and as in definitions.
#[derive(Debug, Serialize)]
pub(super) struct Parameter {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) vhost: Option<String>,
    component: &'static str,
    name: String,
    value: ParameterValue,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum ParameterValue {
    Limits(Map<String, Value>),
    Policy(Content),
}

/// The parameters of a virtual host.
pub(super) fn of_vhost(vhost: &Vhost) -> Vec<Parameter> {
    let limits = vhost.definition().limits;
    let limits = (limits != VhostLimits::default()).then(|| Parameter::of_limits(vhost, limits));
    let policies = vhost.policies(PolicyKind::Operator);
    limits.into_iter().chain(policies.iter().map(|policy| Parameter::of_policy(vhost, policy))).collect()
}

impl Parameter {
    fn new(vhost: &Vhost, component: Component, name: &str, value: ParameterValue) -> Self {
        let vhost = Some(vhost.name.to_string());
        Self { vhost, component: component.name(), name: name.to_owned(), value }
    }

    fn of_limits(vhost: &Vhost, limits: VhostLimits) -> Self {
        Self::new(vhost, Component::VhostLimits, LIMITS, ParameterValue::Limits(vhosts::limits(limits)))
    }

    fn of_policy(vhost: &Vhost, policy: &Policy) -> Self {
        let value = ParameterValue::Policy(Content::new(policy));
        Self::new(vhost, Component::OperatorPolicy, policy.name.as_str(), value)
    }
}

/// GET `/api/parameters`, `/api/parameters/{component}` and `/api/parameters/{component}/{vhost}`.
pub(super) async fn list(
    State(api): State<Arc<Api>>,
    caller: Caller,
    path: Segments,
    query: ListQuery,
) -> Answer {
    caller.see_policies()?;
    let vhosts = api.visible_vhosts(&caller, path.vhost())?;
    let mut parameters: Vec<Parameter> = vhosts.iter().flat_map(|vhost| of_vhost(vhost)).collect();
    let component = path.get("component");
    parameters.retain(|parameter| component.is_empty() || component == parameter.component);
    let key = |parameter: &Parameter| {
        let vhost = parameter.vhost.as_deref().unwrap_or_default();
        Key::new(vhost, format!("{}\0{}", parameter.component, parameter.name))
    };
    query.answer(parameters, key, |parameter, sink| sink.put(parameter)).await
}

/// GET `/api/parameters/{component}/{vhost}/{name}`.
pub(super) async fn get(
    State(api): State<Arc<Api>>,
    caller: Caller,
    path: Segments,
    query: ListQuery,
) -> Answer {
    caller.see_policies()?;
    let vhost = api.visible_vhost(&caller, path.vhost())?;
    let wanted = (path.get("component"), path.get("name"));
    let mut parameters = of_vhost(&vhost).into_iter();
    let found = parameters.find(|parameter| (parameter.component, parameter.name.as_str()) == wanted);
    query.one(&found.ok_or_else(Refusal::not_found)?)
}

/// The body of a parameter.
#[derive(Debug, Deserialize)]
struct Given {
    value: Value,
}

/// PUT `/api/parameters/{component}/{vhost}/{name}`. What parameters say here, operators say.
pub(super) async fn put(State(api): State<Arc<Api>>, caller: Caller, path: Segments, body: Json) -> Answer {
    caller.need(Tag::Administrator)?;
    let vhost = api.visible_vhost(&caller, path.vhost())?;
    let component = component(&path)?;
    let Given { value } = body.parse()?;
    answer::put(set(&api.broker, &vhost, component, &path.name("name")?, value).await?)
}

/// DELETE `/api/parameters/{component}/{vhost}/{name}`.
pub(super) async fn delete(State(api): State<Arc<Api>>, caller: Caller, path: Segments) -> Answer {
    caller.need(Tag::Administrator)?;
    let vhost = api.visible_vhost(&caller, path.vhost())?;
    let name = path.name("name")?;
    let was_there = match component(&path)? {
        Component::VhostLimits => {
            let was_there = name.as_str() == LIMITS && vhost.definition().limits != VhostLimits::default();
            if was_there {
                api.broker
                    .change_vhost_limits(&vhost.name, |limits| *limits = VhostLimits::default())
                    .await?;
            }
            was_there
        }
        Component::OperatorPolicy => {
            let was_there = vhost.delete_policy(PolicyKind::Operator, &name, api.now());
            api.broker.flush().await;
            was_there
        }
    };
    if was_there { done() } else { Err(Refusal::not_found()) }
}

/// The component that a path names (RabbitMQ's words).
fn component(path: &Segments) -> Result<Component, Refusal> {
    let name = path.get("component");
    Component::from_name(name).ok_or_else(|| Refusal::invalid(&format!("component {name} not found")))
}

/// Sets a parameter. Says whether there was none of this name.
pub(super) async fn set(
    broker: &Broker,
    vhost: &Vhost,
    component: Component,
    name: &Name,
    value: Value,
) -> Result<bool, Refusal> {
    match component {
        Component::VhostLimits => {
            if name.as_str() != LIMITS {
                return Err(Refusal::invalid(&format!("the parameter's name is '{LIMITS}', not '{name}'")));
            }
            let wanted = limits(&value)?;
            let is_new = vhost.definition().limits == VhostLimits::default();
            broker.change_vhost_limits(&vhost.name, |limits| *limits = wanted).await?;
            Ok(is_new)
        }
        Component::OperatorPolicy => {
            let declaration: Declaration = serde_json::from_value(value)
                .map_err(|error| Refusal::bad_request(format!("the value is no policy: {error}")))?;
            let definition = declaration.into_definition()?;
            let now = broker.clock.now();
            let is_new = vhost.put_policy(PolicyKind::Operator, name.clone(), definition, now)?;
            broker.flush().await;
            Ok(is_new)
        }
    }
}

fn limits(value: &Value) -> Result<VhostLimits, Refusal> {
    let Value::Object(given) = value else {
        return Err(Refusal::bad_request("the value of limits is not an object"));
    };
    let mut limits = VhostLimits::default();
    for (name, value) in vhosts::numbers(given)? {
        *vhosts::limit_field(&name)?(&mut limits) = Some(value);
    }
    Ok(limits)
}

/// A global parameter, as listed and as in definitions.
#[derive(Debug, Serialize)]
pub(super) struct GlobalParameter {
    name: String,
    value: Value,
}

/// All global parameters.
pub(super) fn global(broker: &Broker) -> Vec<GlobalParameter> {
    let view = |(name, value): (Name, Arc<[u8]>)| GlobalParameter {
        name: name.to_string(),
        // It was JSON when it came.
        value: serde_json::from_slice(&value).unwrap_or_default(),
    };
    broker.global_parameters().into_iter().map(view).collect()
}

/// GET `/api/global-parameters`.
pub(super) async fn list_global(State(api): State<Arc<Api>>, caller: Caller, query: ListQuery) -> Answer {
    caller.see_policies()?;
    let key = |parameter: &GlobalParameter| Key::new("", parameter.name.as_str());
    query.answer(global(&api.broker), key, |parameter, sink| sink.put(parameter)).await
}

/// GET `/api/global-parameters/{name}`.
pub(super) async fn get_global(State(api): State<Arc<Api>>, caller: Caller, path: Segments) -> Answer {
    caller.see_policies()?;
    let mut parameters = global(&api.broker).into_iter();
    let found = parameters.find(|parameter| parameter.name == path.get("name"));
    json(&found.ok_or_else(Refusal::not_found)?)
}

/// PUT `/api/global-parameters/{name}`.
pub(super) async fn put_global(
    State(api): State<Arc<Api>>,
    caller: Caller,
    path: Segments,
    body: Json,
) -> Answer {
    caller.need(Tag::Administrator)?;
    let Given { value } = body.parse()?;
    answer::put(set_global(&api.broker, &path.name("name")?, &value).await?)
}

/// Sets a global parameter. Says whether there was none of this name.
pub(super) async fn set_global(broker: &Broker, name: &Name, value: &Value) -> Result<bool, Refusal> {
    Ok(broker.put_global_parameter(name, value.to_string().as_bytes()).await?)
}

/// DELETE `/api/global-parameters/{name}`.
pub(super) async fn delete_global(State(api): State<Arc<Api>>, caller: Caller, path: Segments) -> Answer {
    caller.need(Tag::Administrator)?;
    if !api.broker.delete_global_parameter(&path.name("name")?).await {
        return Err(Refusal::not_found());
    }
    done()
}
