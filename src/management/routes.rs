//! Which path leads to which resource: one table, from which both the router and the OpenAPI document are made, so that
//! neither knows what the other does not.

use std::sync::Arc;

use axum::Router;
use axum::extract::Extension;
use axum::routing::{MethodRouter, get};

use super::api::Api;
use super::refusal::Refusal;
use super::{
    bindings, channels, connections, consumers, definitions, exchanges, health, nodes, openapi, overview,
    parameters, permissions, policies, prometheus, queues, users, vhosts,
};
use crate::metadata::PolicyKind;

/// What a path does with one method.
pub(super) struct Operation {
    /// The method, in lower case.
    pub(super) method: &'static str,
    /// What it is for.
    pub(super) summary: &'static str,
    /// Whether it answers a list that can be sorted, filtered and given a page at a time.
    pub(super) is_list: bool,
    attach: fn(MethodRouter<Arc<Api>>) -> MethodRouter<Arc<Api>>,
}

/// A path below `/api`.
pub(super) struct Route {
    /// With `{name}` for what varies.
    pub(super) path: &'static str,
    /// What can be done there.
    pub(super) operations: &'static [Operation],
}

/// `"/path" { get handler = "what for", ... }`; `list` is a get of a list.
macro_rules! routes {
    ($($path:literal { $($method:ident $handler:path = $summary:literal),* $(,)? })*) => {
        &[$(Route { path: $path, operations: &[$(operation!($method $handler = $summary)),*] }),*]
    };
}

macro_rules! operation {
    (list $handler:path = $summary:literal) => {
        Operation { method: "get", summary: $summary, is_list: true, attach: |router| router.get($handler) }
    };
    ($method:ident $handler:path = $summary:literal) => {
        Operation {
            method: stringify!($method),
            summary: $summary,
            is_list: false,
            attach: |router| router.$method($handler),
        }
    };
}

/// Every route but those of policies, which there are of two kinds.
const ROUTES: &[&[Route]] =
    &[FACTS, CLIENTS, ENTITIES, BINDINGS, ACCOUNTS, LIMITS, PARAMETERS, HEALTH_CHECKS];

const FACTS: &[Route] = routes! {
    "/openapi.json" { get openapi::document = "This document" }
    "/overview" { get overview::overview = "What the broker is, and how it does" }
    "/cluster-name" { get overview::cluster_name = "The cluster's name" }
    "/whoami" { get overview::whoami = "Who asks" }
    "/auth" { get overview::auth = "How to log in" }
    "/version" { get overview::version = "The version" }
    "/extensions" { get overview::extensions = "Extensions of the management page" }
    "/feature-flags" { get overview::feature_flags = "Feature flags" }
    "/feature-flags/{name}/enable" { put overview::enable_feature_flag = "Enable a feature flag" }
    "/deprecated-features" { get overview::deprecated_features = "Deprecated features" }
    "/deprecated-features/used" { get overview::deprecated_features = "Deprecated features in use" }
    "/rebalance/queues" { post overview::rebalance = "Rebalance queues over nodes: there is one" }
    "/reset" { delete overview::reset = "Begin rates anew" }
    "/reset/{node}" { delete overview::reset = "Begin rates of a node anew" }
    "/nodes" { list nodes::list = "Nodes" }
    "/nodes/{node}" { get nodes::get = "A node" }
    "/nodes/{node}/memory" { get nodes::memory = "What a node's memory is used for" }
    "/aliveness-test/{vhost}" { get health::aliveness = "Declare a queue, publish to it, take the message out" }
};

const CLIENTS: &[Route] = routes! {
    "/connections" { list connections::list = "Connections" }
    "/connections/username/{user}" {
        list connections::list_of_user = "Connections of a user",
        delete connections::delete_of_user = "Close a user's connections",
    }
    "/connections/{connection}" {
        get connections::get = "A connection",
        delete connections::delete = "Close a connection; the header X-Reason says why",
    }
    "/connections/{connection}/channels" { list channels::list_of_connection = "Channels of a connection" }
    "/channels" { list channels::list = "Channels" }
    "/channels/{channel}" { get channels::get = "A channel" }
    "/consumers" { list consumers::list = "Consumers" }
    "/consumers/{vhost}" { list consumers::list = "Consumers in a virtual host" }
};

const ENTITIES: &[Route] = routes! {
    "/vhosts" { list vhosts::list = "Virtual hosts" }
    "/vhosts/{vhost}" {
        get vhosts::get = "A virtual host",
        put vhosts::declare = "Add or change a virtual host",
        delete vhosts::delete = "Delete a virtual host with everything in it",
    }
    "/vhosts/{vhost}/start/{node}" { post vhosts::start = "Start a virtual host on a node: it runs" }
    "/vhosts/{vhost}/connections" { list connections::list = "Connections to a virtual host" }
    "/vhosts/{vhost}/channels" { list channels::list = "Channels in a virtual host" }
    "/exchanges" { list exchanges::list = "Exchanges" }
    "/exchanges/{vhost}" { list exchanges::list = "Exchanges of a virtual host" }
    "/exchanges/{vhost}/{exchange}" {
        get exchanges::get = "An exchange",
        put exchanges::declare = "Declare an exchange",
        delete exchanges::delete = "Delete an exchange; with if-unused=true only if nothing is bound to it",
    }
    "/exchanges/{vhost}/{exchange}/publish" { post exchanges::publish = "Publish a message" }
    "/exchanges/{vhost}/{exchange}/bindings/source" { list bindings::of_exchange = "Bindings from an exchange" }
    "/exchanges/{vhost}/{exchange}/bindings/destination" { list bindings::to_exchange = "Bindings to an exchange" }
    "/queues" { list queues::list = "Queues" }
    "/queues/detailed" { list queues::list = "Queues" }
    "/queues/{vhost}" { list queues::list = "Queues of a virtual host" }
    "/queues/{vhost}/{queue}" {
        get queues::get = "A queue with its consumers",
        put queues::declare = "Declare a queue",
        delete queues::delete = "Delete a queue; if-empty=true and if-unused=true say when only",
    }
    "/queues/{vhost}/{queue}/bindings" { list bindings::to_queue = "Bindings to a queue" }
    "/queues/{vhost}/{queue}/contents" { delete queues::purge = "Drop the ready messages of a queue" }
    "/queues/{vhost}/{queue}/get" { post queues::get_messages = "Look at messages, or take them out" }
    "/queues/{vhost}/{queue}/actions" {
        post queues::act = "Act on a queue: {\"action\": \"move\", \"to\": queue, \"count\": number} moves messages",
    }
    "/queues/{vhost}/{queue}/delayed" {
        get queues::waiting = "What waits until it is due, when and why; page_size=, after= the next of a page before",
    }
    "/queues/{vhost}/{queue}/leases" { list queues::leases = "Who holds which message, since when, until when" }
};

const BINDINGS: &[Route] = routes! {
    "/bindings" { list bindings::list = "Bindings" }
    "/bindings/{vhost}" { list bindings::list = "Bindings of a virtual host" }
    "/bindings/{vhost}/e/{source}/{kind}/{destination}" {
        list bindings::between = "Bindings from an exchange to a queue (kind q) or an exchange (kind e)",
        post bindings::bind = "Bind; Location says where the binding stands",
    }
    "/bindings/{vhost}/e/{source}/{kind}/{destination}/{props}" {
        get bindings::get = "A binding",
        delete bindings::unbind = "Delete a binding",
    }
};

const ACCOUNTS: &[Route] = routes! {
    "/users" { list users::list = "Users" }
    "/users/without-permissions" { list users::without_permissions = "Users without any permission" }
    "/users/bulk-delete" { post users::bulk_delete = "Delete users" }
    "/users/{user}" {
        get users::get = "A user",
        put users::declare = "Add or change a user",
        delete users::delete = "Delete a user",
    }
    "/users/{user}/permissions" { list permissions::list = "Permissions of a user" }
    "/users/{user}/topic-permissions" { list permissions::list_topics = "Topic permissions of a user" }
    "/vhosts/{vhost}/permissions" { list permissions::list = "Permissions in a virtual host" }
    "/vhosts/{vhost}/topic-permissions" { list permissions::list_topics = "Topic permissions in a virtual host" }
    "/permissions" { list permissions::list = "Permissions" }
    "/permissions/{vhost}/{user}" {
        get permissions::get = "Permissions of a user in a virtual host",
        put permissions::declare = "Set them",
        delete permissions::delete = "Clear them",
    }
    "/topic-permissions" { list permissions::list_topics = "Topic permissions" }
    "/topic-permissions/{vhost}/{user}" {
        list permissions::list_topics = "Topic permissions of a user in a virtual host",
        put permissions::declare_topic = "Set those of a topic exchange",
        delete permissions::delete_topics = "Clear all of them",
    }
    "/topic-permissions/{vhost}/{user}/{exchange}" {
        delete permissions::delete_topics = "Clear those of a topic exchange",
    }
    "/auth/hash_password/{password}" { get users::hash_password = "The hash of a password" }
    "/definitions" {
        get definitions::get_all = "All definitions",
        post definitions::post_all = "Take definitions over",
    }
    "/all-configuration" {
        get definitions::get_all = "All definitions",
        post definitions::post_all = "Take definitions over",
    }
    "/definitions/{vhost}" {
        get definitions::get_vhost = "Definitions of a virtual host",
        post definitions::post_vhost = "Take definitions over into a virtual host",
    }
};

const LIMITS: &[Route] = routes! {
    "/user-limits" { list users::list_limits = "Limits of users" }
    "/user-limits/{user}" { list users::list_limits = "Limits of a user" }
    "/user-limits/{user}/{limit}" {
        put users::put_limit = "Set a limit: max-connections or max-channels",
        delete users::delete_limit = "Lift it",
    }
    "/vhost-limits" { list vhosts::list_limits = "Limits of virtual hosts" }
    "/vhost-limits/{vhost}" { list vhosts::list_limits = "Limits of a virtual host" }
    "/vhost-limits/{vhost}/{limit}" {
        put vhosts::put_limit = "Set a limit: max-connections or max-queues",
        delete vhosts::delete_limit = "Lift it",
    }
};

const PARAMETERS: &[Route] = routes! {
    "/parameters" { list parameters::list = "Parameters" }
    "/parameters/{component}" { list parameters::list = "Parameters of a component" }
    "/parameters/{component}/{vhost}" { list parameters::list = "Parameters of a component in a virtual host" }
    "/parameters/{component}/{vhost}/{name}" {
        get parameters::get = "A parameter",
        put parameters::put = "Set a parameter",
        delete parameters::delete = "Delete a parameter",
    }
    "/global-parameters" { list parameters::list_global = "Global parameters" }
    "/global-parameters/{name}" {
        get parameters::get_global = "A global parameter",
        put parameters::put_global = "Set a global parameter",
        delete parameters::delete_global = "Delete a global parameter",
    }
};

const HEALTH_CHECKS: &[Route] = routes! {
    "/health/checks/alarms" { get health::alarms = "No alarm is raised" }
    "/health/checks/local-alarms" { get health::alarms = "No alarm is raised on this node" }
    "/health/checks/port-listener/{port}" { get health::port_listener = "Something listens on a port" }
    "/health/checks/protocol-listener/{protocol}" { get health::protocol_listener = "A protocol is spoken somewhere" }
    "/health/checks/certificate-expiration/{within}/{unit}" {
        get health::certificates = "No certificate runs out within days, weeks, months or years",
    }
    "/health/checks/virtual-hosts" { get health::always = "Virtual hosts run" }
    "/health/checks/node-is-quorum-critical" { get health::always = "No quorum depends on this node" }
    "/health/checks/node-is-mirror-sync-critical" { get health::always = "No mirror depends on this node" }
    "/health/checks/quorum-queues-without-elected-leaders/all-vhosts" {
        get health::always = "Quorum queues have leaders",
    }
    "/health/checks/quorum-queues-without-elected-leaders/all-vhosts/pattern/{pattern}" {
        get health::always = "Quorum queues with such names have leaders",
    }
    "/health/checks/quorum-queues-without-elected-leaders/vhost/{vhost}" {
        get health::always = "Quorum queues of a virtual host have leaders",
    }
    "/health/checks/quorum-queues-without-elected-leaders/vhost/{vhost}/pattern/{pattern}" {
        get health::always = "Quorum queues of a virtual host with such names have leaders",
    }
    "/health/checks/metadata-store/initialized" { get health::always = "Definitions are read" }
    "/health/checks/metadata-store/initialized/with-data" {
        get health::always = "Definitions are read, and some are there",
    }
    "/health/checks/is-in-service" { get health::always = "The node is not under maintenance" }
    "/health/checks/ready-to-serve-clients" { get health::always = "The node serves clients" }
    "/health/checks/reached-target-cluster-size" { get health::always = "All nodes are there" }
    "/health/checks/below-node-connection-limit" { get health::connection_limit = "There is room for connections" }
};

/// Policies of users.
const POLICIES: &[Route] = routes! {
    "/policies" { list policies::list = "Policies" }
    "/policies/{vhost}" { list policies::list = "Policies of a virtual host" }
    "/policies/{vhost}/{name}" {
        get policies::get = "A policy",
        put policies::declare = "Set a policy",
        delete policies::delete = "Delete a policy",
    }
};

/// Policies of operators, which bound those of users.
const OPERATOR_POLICIES: &[Route] = routes! {
    "/operator-policies" { list policies::list = "Operator policies" }
    "/operator-policies/{vhost}" { list policies::list = "Operator policies of a virtual host" }
    "/operator-policies/{vhost}/{name}" {
        get policies::get = "An operator policy",
        put policies::declare = "Set an operator policy",
        delete policies::delete = "Delete an operator policy",
    }
};

/// Every route.
pub(super) fn all() -> impl Iterator<Item = &'static Route> {
    ROUTES.iter().chain(&[POLICIES, OPERATOR_POLICIES]).flat_map(|routes| routes.iter())
}

/// The management API.
pub(super) fn api(api: Arc<Api>) -> Router {
    let routes = ROUTES.iter().map(|routes| router(routes)).fold(Router::new(), Router::merge);
    let routes = routes
        .merge(router(POLICIES).layer(Extension(PolicyKind::User)))
        .merge(router(OPERATOR_POLICIES).layer(Extension(PolicyKind::Operator)));
    Router::new()
        .nest("/api", routes)
        .method_not_allowed_fallback(|| async { Refusal::wrong_method() })
        .fallback(|| async { Refusal::not_found() })
        .with_state(api)
}

fn router(routes: &[Route]) -> Router<Arc<Api>> {
    routes.iter().fold(Router::new(), |router, route| {
        let attach = |methods, operation: &Operation| (operation.attach)(methods);
        router.route(route.path, route.operations.iter().fold(MethodRouter::new(), attach))
    })
}

/// What Prometheus reads, without a login (RabbitMQ).
pub(super) fn metrics(api: Arc<Api>) -> Router {
    Router::new()
        .route("/metrics", get(prometheus::aggregated))
        .route("/metrics/per-object", get(prometheus::per_object))
        .route("/metrics/detailed", get(prometheus::detailed))
        .method_not_allowed_fallback(|| async { Refusal::wrong_method() })
        .fallback(|| async { Refusal::not_found() })
        .with_state(api)
}
