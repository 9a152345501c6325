//! Definitions on their way out: what is durable.

use std::sync::Arc;

use serde::Serialize;
use serde_json::{Map, Value};

use crate::broker::exchange::{Destination, Exchange};
use crate::broker::{Durability, Vhost};
use crate::exchange::Binding;
use crate::management::api::Api;
use crate::management::parameters::{self, GlobalParameter, Parameter};
use crate::management::table::table_to_json;
use crate::management::{permissions, policies, users};
use crate::metadata::{DestinationKind, PolicyKind};
use crate::policy::Policy;
use crate::queue::Queue;

/// Says what the document is (RabbitMQ).
#[derive(Debug, Serialize)]
struct Head {
    rabbit_version: String,
    rabbitmq_version: String,
    product_name: &'static str,
    product_version: String,
    lepus_version: &'static str,
    rabbitmq_definition_format: &'static str,
    explanation: String,
}

/// Everything.
#[derive(Debug, Serialize)]
pub(super) struct All {
    #[serde(flatten)]
    head: Head,
    original_cluster_name: String,
    users: Vec<users::View>,
    vhosts: Vec<Value>,
    permissions: Vec<permissions::View>,
    topic_permissions: Vec<permissions::TopicView>,
    global_parameters: Vec<GlobalParameter>,
    #[serde(flatten)]
    content: Content,
}

/// One virtual host.
#[derive(Debug, Serialize)]
pub(super) struct One {
    #[serde(flatten)]
    head: Head,
    original_vhost_name: String,
    metadata: Value,
    description: String,
    default_queue_type: Option<String>,
    #[serde(flatten)]
    content: Content,
}

/// What is in virtual hosts.
#[derive(Debug, Default, Serialize)]
struct Content {
    parameters: Vec<Parameter>,
    policies: Vec<policies::View>,
    queues: Vec<Value>,
    exchanges: Vec<Value>,
    bindings: Vec<Value>,
}

/// Whether an entry names its virtual host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Named {
    Yes,
    No,
}

pub(super) fn all(api: &Api) -> All {
    let accounts = &api.broker.authority.accounts;
    let vhosts = api.broker.vhosts();
    let mut content = Content::default();
    for vhost in &vhosts {
        content.add(vhost, Named::Yes);
    }
    All {
        head: head(api, "cluster", "This file contains definitions of the whole cluster"),
        original_cluster_name: api.node.name.clone(),
        users: accounts.users().iter().map(|(name, user)| users::View::new(name, user)).collect(),
        vhosts: vhosts.iter().map(|vhost| vhost_view(vhost)).collect(),
        permissions: accounts.permissions().iter().map(Into::into).collect(),
        topic_permissions: accounts.topic_permissions().iter().map(Into::into).collect(),
        global_parameters: parameters::global(&api.broker),
        content,
    }
}

pub(super) fn of_vhost(api: &Api, vhost: &Arc<Vhost>) -> One {
    let mut content = Content::default();
    content.add(vhost, Named::No);
    let definition = vhost.definition();
    One {
        head: head(api, "single_virtual_host", "This file contains definitions of a virtual host"),
        original_vhost_name: vhost.name.to_string(),
        metadata: vhost_metadata(vhost),
        description: definition.description,
        default_queue_type: definition.default_queue_type,
        content,
    }
}

fn head(api: &Api, format: &'static str, explanation: &str) -> Head {
    let version = || api.node.rabbitmq_version.clone();
    Head {
        rabbit_version: version(),
        rabbitmq_version: version(),
        product_name: api.node.product,
        product_version: version(),
        lepus_version: env!("CARGO_PKG_VERSION"),
        rabbitmq_definition_format: format,
        explanation: explanation.to_owned(),
    }
}

fn vhost_view(vhost: &Vhost) -> Value {
    let definition = vhost.definition();
    serde_json::json!({
        "name": vhost.name.as_str(),
        "description": definition.description,
        "tags": definition.tags,
        "default_queue_type": definition.default_queue_type,
        "durability": definition.durability.map(Durability::name),
        "metadata": vhost_metadata(vhost),
    })
}

fn vhost_metadata(vhost: &Vhost) -> Value {
    let definition = vhost.definition();
    serde_json::json!({
        "description": definition.description,
        "tags": definition.tags,
        "default_queue_type": definition.default_queue_type,
        "durability": definition.durability.map(Durability::name),
    })
}

impl Content {
    fn add(&mut self, vhost: &Arc<Vhost>, named: Named) {
        let mut parameters = parameters::of_vhost(vhost);
        let policies = vhost.policies(PolicyKind::User);
        let view = |policy: &Arc<Policy>| policies::View::in_vhost(vhost, policy);
        let mut policies: Vec<policies::View> = policies.iter().map(view).collect();
        if named == Named::No {
            parameters.iter_mut().for_each(|parameter| parameter.vhost = None);
            policies.iter_mut().for_each(|policy| policy.vhost = None);
        }
        self.parameters.extend(parameters);
        self.policies.extend(policies);
        let mut queues = vhost.queues();
        queues.retain(|queue| queue.options.durable && queue.options.exclusive_to.is_none());
        queues.sort_unstable_by(|one, other| one.name.cmp(&other.name));
        self.queues.extend(queues.iter().map(|queue| with_vhost(queue_view(queue), vhost, named)));
        let mut exchanges = vhost.exchanges();
        exchanges.retain(|exchange| exchange.options.durable);
        exchanges.sort_unstable_by(|one, other| one.name.cmp(&other.name));
        for exchange in &exchanges {
            if !exchange.name.is_empty() && !exchange.name.is_reserved() {
                self.exchanges.push(with_vhost(exchange_view(exchange), vhost, named));
            }
            let mut bindings = exchange.bindings();
            bindings.retain(|binding| is_kept(&binding.destination));
            let view =
                |binding: &Binding<Destination>| with_vhost(binding_view(exchange, binding), vhost, named);
            self.bindings.extend(bindings.iter().map(view));
        }
    }
}

fn is_kept(destination: &Destination) -> bool {
    match destination {
        Destination::Queue(queue) => queue.options.durable && queue.options.exclusive_to.is_none(),
        Destination::Exchange(exchange) => exchange.options.durable,
    }
}

fn with_vhost(entry: Value, vhost: &Vhost, named: Named) -> Value {
    let Value::Object(mut entry) = entry else { return Value::Object(Map::new()) };
    if named == Named::Yes {
        entry.insert("vhost".to_owned(), Value::from(vhost.name.as_str()));
    }
    Value::Object(entry)
}

fn queue_view(queue: &Queue) -> Value {
    let kind = if queue.options.arguments.is_quorum() { "quorum" } else { "classic" };
    serde_json::json!({
        "name": queue.name.as_str(),
        "type": kind,
        "durable": true,
        "auto_delete": queue.options.auto_delete,
        "arguments": table_to_json(queue.options.arguments.raw()),
    })
}

fn exchange_view(exchange: &Exchange) -> Value {
    serde_json::json!({
        "name": exchange.name.as_str(),
        "type": exchange.options.kind.name(),
        "durable": true,
        "auto_delete": exchange.options.auto_delete,
        "internal": exchange.options.internal,
        "arguments": table_to_json(&exchange.options.arguments),
    })
}

fn binding_view(source: &Exchange, binding: &Binding<Destination>) -> Value {
    serde_json::json!({
        "source": source.name.as_str(),
        "destination": binding.destination.name().as_str(),
        "destination_type": match binding.destination.kind() {
            DestinationKind::Queue => "queue",
            DestinationKind::Exchange => "exchange",
        },
        "routing_key": String::from_utf8_lossy(&binding.key),
        "arguments": table_to_json(&binding.arguments),
    })
}
