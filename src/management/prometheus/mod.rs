//! What Prometheus reads, under RabbitMQ's names, so that the dashboards made for it show this broker.
//!
//! ```text
//!   /metrics              the node as a whole
//!   /metrics/per-object   and every queue, connection, channel and exchange
//!   /metrics/detailed     only the families that `family=` names, of the virtual hosts that `vhost=` names
//! ```

mod node;
mod objects;
mod own;
mod text;

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderValue, Response, header};

use super::api::Api;
use super::refusal::Refusal;
use objects::{Family, Selection};
use text::{Kind, Text};

/// The endpoint's name in `identity_info`, by which dashboards tell them apart.
#[derive(Clone, Copy, Debug)]
enum Endpoint {
    Aggregated,
    PerObject,
    Detailed,
}

/// GET `/metrics`.
pub(super) async fn aggregated(State(api): State<Arc<Api>>) -> Response<Body> {
    let mut text = Text::new("rabbitmq_");
    identity(&mut text, &api, Endpoint::Aggregated);
    node::write(&mut text, &api);
    own::store(&mut text, &api);
    objects::totals(&mut text, &api).await;
    answer(text)
}

/// GET `/metrics/per-object`.
pub(super) async fn per_object(State(api): State<Arc<Api>>) -> Response<Body> {
    let mut text = Text::new("rabbitmq_");
    identity(&mut text, &api, Endpoint::PerObject);
    node::write(&mut text, &api);
    own::store(&mut text, &api);
    objects::write(&mut text, &api, &Selection::everything()).await;
    answer(text)
}

/// GET `/metrics/detailed?family=queue_coarse_metrics&vhost=%2F`.
pub(super) async fn detailed(
    State(api): State<Arc<Api>>,
    RawQuery(query): RawQuery,
) -> Result<Response<Body>, Refusal> {
    let selection = selection(query.as_deref().unwrap_or_default())?;
    let mut text = Text::new("rabbitmq_detailed_");
    objects::write(&mut text, &api, &selection).await;
    let mut identified = Text::new("rabbitmq_");
    identity(&mut identified, &api, Endpoint::Detailed);
    identified.append(text);
    Ok(answer(identified))
}

/// Names may come several times. A family that is not known selects nothing (RabbitMQ).
fn selection(query: &str) -> Result<Selection, Refusal> {
    let mut selection = Selection::nothing();
    for pair in query.split('&') {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        let value = value.replace('+', " ");
        let value = percent_encoding::percent_decode_str(&value)
            .decode_utf8()
            .map_err(|_| Refusal::bad_request("the query is not UTF-8 in percent-encoding"))?;
        match key {
            "family" => selection.families.extend(Family::named(&value)),
            "vhost" => selection.vhosts.push(value.into_owned()),
            _ => {}
        }
    }
    Ok(selection)
}

fn identity(text: &mut Text, api: &Api, endpoint: Endpoint) {
    let endpoint = match endpoint {
        Endpoint::Aggregated => "aggregated",
        Endpoint::PerObject => "per-object",
        Endpoint::Detailed => "detailed",
    };
    let node = api.node.name.as_str();
    let labels = [
        ("rabbitmq_node", node),
        ("rabbitmq_cluster", node),
        ("rabbitmq_cluster_permanent_id", node),
        ("rabbitmq_endpoint", endpoint),
    ];
    text.single("identity_info", Kind::Gauge, "Node & cluster identity info", &labels, 1);
    let version = api.node.rabbitmq_version.as_str();
    let labels = [
        ("rabbitmq_version", version),
        ("prometheus_plugin_version", version),
        ("product_name", api.node.product),
        ("product_version", version),
        ("lepus_version", env!("CARGO_PKG_VERSION")),
        ("erlang_version", super::overview::NO_ERLANG),
    ];
    text.single("build_info", Kind::Gauge, "Version info", &labels, 1);
}

fn answer(text: Text) -> Response<Body> {
    let mut response = Response::new(Body::from(text.finish()));
    let format = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, format);
    response
}
