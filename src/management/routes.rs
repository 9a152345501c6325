//! Which path leads to which resource.

use std::sync::Arc;

use axum::Router;
use axum::extract::Extension;
use axum::routing::{delete, get, post, put};

use super::api::Api;
use super::refusal::Refusal;
use super::{
    bindings, channels, connections, consumers, definitions, exchanges, health, nodes, overview, parameters,
    permissions, policies, prometheus, queues, users, vhosts,
};
use crate::metadata::PolicyKind;

/// The management API.
pub(super) fn api(api: Arc<Api>) -> Router {
    let routes = Router::new()
        .merge(facts())
        .merge(clients())
        .merge(entities())
        .merge(bindings_routes())
        .merge(accounts())
        .merge(limits())
        .merge(parameters_routes())
        .nest("/policies", policies_of(PolicyKind::User))
        .nest("/operator-policies", policies_of(PolicyKind::Operator))
        .nest("/health/checks", health_checks());
    Router::new()
        .nest("/api", routes)
        .method_not_allowed_fallback(|| async { Refusal::wrong_method() })
        .fallback(|| async { Refusal::not_found() })
        .with_state(api)
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

fn facts() -> Router<Arc<Api>> {
    Router::new()
        .route("/overview", get(overview::overview))
        .route("/cluster-name", get(overview::cluster_name))
        .route("/whoami", get(overview::whoami))
        .route("/auth", get(overview::auth))
        .route("/version", get(overview::version))
        .route("/extensions", get(overview::extensions))
        .route("/feature-flags", get(overview::feature_flags))
        .route("/feature-flags/{name}/enable", put(overview::enable_feature_flag))
        .route("/deprecated-features", get(overview::deprecated_features))
        .route("/deprecated-features/used", get(overview::deprecated_features))
        .route("/rebalance/queues", post(overview::rebalance))
        .route("/reset", delete(overview::reset))
        .route("/reset/{node}", delete(overview::reset))
        .route("/nodes", get(nodes::list))
        .route("/nodes/{node}", get(nodes::get))
        .route("/nodes/{node}/memory", get(nodes::memory))
        .route("/aliveness-test/{vhost}", get(health::aliveness))
}

fn clients() -> Router<Arc<Api>> {
    Router::new()
        .route("/connections", get(connections::list))
        .route(
            "/connections/username/{user}",
            get(connections::list_of_user).delete(connections::delete_of_user),
        )
        .route("/connections/{connection}", get(connections::get).delete(connections::delete))
        .route("/connections/{connection}/channels", get(channels::list_of_connection))
        .route("/channels", get(channels::list))
        .route("/channels/{channel}", get(channels::get))
        .route("/consumers", get(consumers::list))
        .route("/consumers/{vhost}", get(consumers::list))
}

fn entities() -> Router<Arc<Api>> {
    let exchange = get(exchanges::get).put(exchanges::declare).delete(exchanges::delete);
    let queue = get(queues::get).put(queues::declare).delete(queues::delete);
    Router::new()
        .route("/vhosts", get(vhosts::list))
        .route("/vhosts/{vhost}", get(vhosts::get).put(vhosts::declare).delete(vhosts::delete))
        .route("/vhosts/{vhost}/start/{node}", post(vhosts::start))
        .route("/vhosts/{vhost}/connections", get(connections::list))
        .route("/vhosts/{vhost}/channels", get(channels::list))
        .route("/exchanges", get(exchanges::list))
        .route("/exchanges/{vhost}", get(exchanges::list))
        .route("/exchanges/{vhost}/{exchange}", exchange)
        .route("/exchanges/{vhost}/{exchange}/publish", post(exchanges::publish))
        .route("/exchanges/{vhost}/{exchange}/bindings/source", get(bindings::of_exchange))
        .route("/exchanges/{vhost}/{exchange}/bindings/destination", get(bindings::to_exchange))
        .route("/queues", get(queues::list))
        .route("/queues/detailed", get(queues::list))
        .route("/queues/{vhost}", get(queues::list))
        .route("/queues/{vhost}/{queue}", queue)
        .route("/queues/{vhost}/{queue}/bindings", get(bindings::to_queue))
        .route("/queues/{vhost}/{queue}/contents", delete(queues::purge))
        .route("/queues/{vhost}/{queue}/get", post(queues::get_messages))
        .route("/queues/{vhost}/{queue}/actions", post(queues::act))
        .route("/queues/{vhost}/{queue}/leases", get(queues::leases))
}

fn bindings_routes() -> Router<Arc<Api>> {
    Router::new()
        .route("/bindings", get(bindings::list))
        .route("/bindings/{vhost}", get(bindings::list))
        .route(
            "/bindings/{vhost}/e/{source}/{kind}/{destination}",
            get(bindings::between).post(bindings::bind),
        )
        .route(
            "/bindings/{vhost}/e/{source}/{kind}/{destination}/{props}",
            get(bindings::get).delete(bindings::unbind),
        )
}

fn accounts() -> Router<Arc<Api>> {
    let topics =
        get(permissions::list_topics).put(permissions::declare_topic).delete(permissions::delete_topics);
    Router::new()
        .route("/users", get(users::list))
        .route("/users/without-permissions", get(users::without_permissions))
        .route("/users/bulk-delete", post(users::bulk_delete))
        .route("/users/{user}", get(users::get).put(users::declare).delete(users::delete))
        .route("/users/{user}/permissions", get(permissions::list))
        .route("/users/{user}/topic-permissions", get(permissions::list_topics))
        .route("/vhosts/{vhost}/permissions", get(permissions::list))
        .route("/vhosts/{vhost}/topic-permissions", get(permissions::list_topics))
        .route("/permissions", get(permissions::list))
        .route(
            "/permissions/{vhost}/{user}",
            get(permissions::get).put(permissions::declare).delete(permissions::delete),
        )
        .route("/topic-permissions", get(permissions::list_topics))
        .route("/topic-permissions/{vhost}/{user}", topics)
        .route("/topic-permissions/{vhost}/{user}/{exchange}", delete(permissions::delete_topics))
        .route("/auth/hash_password/{password}", get(users::hash_password))
        .route("/definitions", get(definitions::get_all).post(definitions::post_all))
        .route("/all-configuration", get(definitions::get_all).post(definitions::post_all))
        .route("/definitions/{vhost}", get(definitions::get_vhost).post(definitions::post_vhost))
}

fn limits() -> Router<Arc<Api>> {
    Router::new()
        .route("/user-limits", get(users::list_limits))
        .route("/user-limits/{user}", get(users::list_limits))
        .route("/user-limits/{user}/{limit}", put(users::put_limit).delete(users::delete_limit))
        .route("/vhost-limits", get(vhosts::list_limits))
        .route("/vhost-limits/{vhost}", get(vhosts::list_limits))
        .route("/vhost-limits/{vhost}/{limit}", put(vhosts::put_limit).delete(vhosts::delete_limit))
}

fn policies_of(kind: PolicyKind) -> Router<Arc<Api>> {
    let one = get(policies::get).put(policies::declare).delete(policies::delete);
    Router::new()
        .route("/", get(policies::list))
        .route("/{vhost}", get(policies::list))
        .route("/{vhost}/{name}", one)
        .layer(Extension(kind))
}

fn parameters_routes() -> Router<Arc<Api>> {
    let one = get(parameters::get).put(parameters::put).delete(parameters::delete);
    let global = get(parameters::get_global).put(parameters::put_global).delete(parameters::delete_global);
    Router::new()
        .route("/parameters", get(parameters::list))
        .route("/parameters/{component}", get(parameters::list))
        .route("/parameters/{component}/{vhost}", get(parameters::list))
        .route("/parameters/{component}/{vhost}/{name}", one)
        .route("/global-parameters", get(parameters::list_global))
        .route("/global-parameters/{name}", global)
}

fn health_checks() -> Router<Arc<Api>> {
    Router::new()
        .route("/alarms", get(health::alarms))
        .route("/local-alarms", get(health::alarms))
        .route("/port-listener/{port}", get(health::port_listener))
        .route("/protocol-listener/{protocol}", get(health::protocol_listener))
        .route("/certificate-expiration/{within}/{unit}", get(health::certificates))
        .route("/virtual-hosts", get(health::always))
        .route("/node-is-quorum-critical", get(health::always))
        .route("/node-is-mirror-sync-critical", get(health::always))
        .route("/quorum-queues-without-elected-leaders/all-vhosts", get(health::always))
        .route("/quorum-queues-without-elected-leaders/all-vhosts/pattern/{pattern}", get(health::always))
        .route("/quorum-queues-without-elected-leaders/vhost/{vhost}", get(health::always))
        .route("/quorum-queues-without-elected-leaders/vhost/{vhost}/pattern/{pattern}", get(health::always))
        .route("/metadata-store/initialized", get(health::always))
        .route("/metadata-store/initialized/with-data", get(health::always))
        .route("/is-in-service", get(health::always))
        .route("/ready-to-serve-clients", get(health::always))
        .route("/reached-target-cluster-size", get(health::always))
        .route("/below-node-connection-limit", get(health::connection_limit))
}
