//! The document on its way in.

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::management::{policies, users, vhosts};
use crate::name::Name;

/// Of everything. Parts that are missing say nothing.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Definitions {
    #[serde(default)]
    pub(super) vhosts: Vec<Vhost>,
    #[serde(default)]
    pub(super) users: Vec<User>,
    #[serde(default)]
    pub(super) permissions: Vec<Permission>,
    #[serde(default)]
    pub(super) topic_permissions: Vec<TopicPermission>,
    #[serde(default)]
    pub(super) parameters: Vec<Parameter>,
    #[serde(default)]
    pub(super) global_parameters: Vec<GlobalParameter>,
    #[serde(default)]
    pub(super) policies: Vec<Policy>,
    #[serde(default)]
    pub(super) exchanges: Vec<Exchange>,
    #[serde(default)]
    pub(super) queues: Vec<Queue>,
    #[serde(default)]
    pub(super) bindings: Vec<Binding>,
}

/// Of one virtual host: nothing in it names it.
#[derive(Debug, Default, Deserialize)]
pub(super) struct OfVhost {
    #[serde(default)]
    parameters: Vec<Parameter>,
    #[serde(default)]
    policies: Vec<Policy>,
    #[serde(default)]
    exchanges: Vec<Exchange>,
    #[serde(default)]
    queues: Vec<Queue>,
    #[serde(default)]
    bindings: Vec<Binding>,
}

impl OfVhost {
    /// The same, said of `vhost`, whatever it may say itself.
    pub(super) fn into_all(mut self, vhost: &Name) -> Definitions {
        let name = || vhost.to_string();
        self.parameters.iter_mut().for_each(|parameter| parameter.vhost = Some(name()));
        self.policies.iter_mut().for_each(|policy| policy.vhost = name());
        self.exchanges.iter_mut().for_each(|exchange| exchange.vhost = name());
        self.queues.iter_mut().for_each(|queue| queue.vhost = name());
        self.bindings.iter_mut().for_each(|binding| binding.vhost = name());
        let Self { parameters, policies, exchanges, queues, bindings } = self;
        Definitions { parameters, policies, exchanges, queues, bindings, ..Definitions::default() }
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct Vhost {
    pub(super) name: String,
    #[serde(flatten)]
    pub(super) declaration: vhosts::Declaration,
    /// Releases before 4 keep description and tags here only.
    #[serde(default)]
    pub(super) metadata: Option<vhosts::Declaration>,
}

#[derive(Debug, Deserialize)]
pub(super) struct User {
    pub(super) name: String,
    #[serde(flatten)]
    pub(super) declaration: users::Declaration,
}

#[derive(Debug, Deserialize)]
pub(super) struct Permission {
    pub(super) user: String,
    pub(super) vhost: String,
    pub(super) configure: String,
    pub(super) write: String,
    pub(super) read: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct TopicPermission {
    pub(super) user: String,
    pub(super) vhost: String,
    pub(super) exchange: String,
    pub(super) write: String,
    pub(super) read: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct Parameter {
    pub(super) component: String,
    pub(super) name: String,
    #[serde(default)]
    pub(super) vhost: Option<String>,
    pub(super) value: Value,
}

#[derive(Debug, Deserialize)]
pub(super) struct GlobalParameter {
    pub(super) name: String,
    #[serde(default)]
    pub(super) value: Value,
}

#[derive(Debug, Deserialize)]
pub(super) struct Policy {
    #[serde(default)]
    pub(super) vhost: String,
    pub(super) name: String,
    #[serde(flatten)]
    pub(super) declaration: policies::Declaration,
}

#[derive(Debug, Deserialize)]
pub(super) struct Exchange {
    #[serde(default)]
    pub(super) vhost: String,
    pub(super) name: String,
    #[serde(rename = "type")]
    pub(super) kind: String,
    #[serde(default = "yes")]
    pub(super) durable: bool,
    #[serde(default)]
    pub(super) auto_delete: bool,
    #[serde(default)]
    pub(super) internal: bool,
    #[serde(default)]
    pub(super) arguments: Map<String, Value>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Queue {
    #[serde(default)]
    pub(super) vhost: String,
    pub(super) name: String,
    #[serde(default = "yes")]
    pub(super) durable: bool,
    #[serde(default)]
    pub(super) auto_delete: bool,
    #[serde(default)]
    pub(super) arguments: Map<String, Value>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Binding {
    #[serde(default)]
    pub(super) vhost: String,
    pub(super) source: String,
    pub(super) destination: String,
    pub(super) destination_type: DestinationType,
    #[serde(default)]
    pub(super) routing_key: String,
    #[serde(default)]
    pub(super) arguments: Map<String, Value>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum DestinationType {
    Queue,
    Exchange,
}

fn yes() -> bool {
    true
}
