//! `/api/overview` and small facts: who am I, versions, names.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use serde::Serialize;

use super::answer::{Answer, done, json};
use super::api::Api;
use super::caller::{Caller, Tag};
use super::listing::ListQuery;
use super::rates::{Change, Depth};
use super::view::node::Listener;
use super::view::overview::{ChurnRates, ExchangeType, ObjectTotals, Overview, Retention};
use super::view::stats::{Depths, MessageStats, OF_CHANNEL};
use crate::broker::Vhost;
use crate::exchange::ExchangeType as Kind;
use crate::metrics::MessageTally;

/// Tools ask for it; there is none.
pub(super) const NO_ERLANG: &str = "none";

/// Types of exchanges that can be declared.
pub(super) fn exchange_types() -> Vec<ExchangeType> {
    let describe = |kind: Kind| ExchangeType { name: kind.name(), description: "", enabled: true };
    Kind::ALL.into_iter().map(describe).collect()
}

/// GET `/api/overview`.
pub(super) async fn overview(State(api): State<Arc<Api>>, caller: Caller, query: ListQuery) -> Answer {
    let vhosts = api.visible_vhosts(&caller, "")?;
    let sees_all = caller.has(Tag::Monitoring);
    let totals = totals(&api, &caller, &vhosts);
    let depth = depth_of(&vhosts).await;
    let mut tally = MessageTally::default();
    for (vhost, counted) in api.broker.connections.tallies() {
        if sees_all || vhosts.iter().any(|visible| visible.name == vhost) {
            tally.add(&counted);
        }
    }
    let Change { delta, seconds } = api.rates.all();
    let node = api.node.name.as_str();
    let listeners = api.node.listeners.iter().map(|facts| Listener::new(node, facts));
    query.one(&Overview {
        management_version: &api.node.rabbitmq_version,
        rates_mode: "basic",
        sample_retention_policies: Retention::LAST,
        exchange_types: exchange_types(),
        product_version: &api.node.rabbitmq_version,
        product_name: api.node.product,
        rabbitmq_version: &api.node.rabbitmq_version,
        lepus_version: env!("CARGO_PKG_VERSION"),
        cluster_name: node,
        cluster_tags: BTreeMap::new(),
        node_tags: BTreeMap::new(),
        erlang_version: NO_ERLANG,
        erlang_full_version: NO_ERLANG,
        release_series_support_status: "supported",
        disable_stats: false,
        is_op_policy_updating_enabled: true,
        enable_queue_totals: false,
        message_stats: MessageStats::new(OF_CHANNEL, tally, Change { delta: delta.tally, seconds }),
        churn_rates: ChurnRates::new(
            (api.broker.connections.churn(), api.rates.churn()),
            (api.broker.queue_churn(), api.rates.queue_churn()),
        ),
        queue_totals: Depths::new(depth, Change { delta: delta.depth, seconds }),
        object_totals: totals,
        statistics_db_event_queue: 0,
        node,
        listeners: if sees_all { listeners.collect() } else { Vec::new() },
        contexts: [],
    })
}

/// Counts what the caller may see.
fn totals(api: &Api, caller: &Caller, vhosts: &[Arc<Vhost>]) -> ObjectTotals {
    let connections = super::connections::visible(api, caller);
    let mut totals = ObjectTotals {
        connections: connections.len(),
        channels: connections.iter().map(|entry| entry.channel_count()).sum(),
        ..ObjectTotals::default()
    };
    for (_, channel) in connections.iter().flat_map(|entry| entry.channels()) {
        totals.consumers += channel.report().consumers;
    }
    for vhost in vhosts {
        totals.queues += vhost.queue_count();
        totals.exchanges += vhost.exchange_count();
    }
    totals
}

/// Messages in the queues of these virtual hosts.
pub(super) async fn depth_of(vhosts: &[Arc<Vhost>]) -> Depth {
    const BATCH: usize = 1024;
    let mut depth = Depth::default();
    for vhost in vhosts {
        for queues in vhost.queues().chunks(BATCH) {
            for counts in queues.iter().map(|queue| queue.counts()) {
                depth.add(Depth::of(counts));
            }
            tokio::task::yield_now().await;
        }
    }
    depth
}

#[derive(Serialize)]
struct Named<'n> {
    name: &'n str,
}

/// GET `/api/cluster-name`.
pub(super) async fn cluster_name(State(api): State<Arc<Api>>, _caller: Caller) -> Answer {
    json(&Named { name: &api.node.name })
}

#[derive(Serialize)]
struct WhoAmI<'w> {
    name: &'w str,
    tags: &'w [String],
    is_internal_user: bool,
}

/// GET `/api/whoami`.
pub(super) async fn whoami(caller: Caller) -> Answer {
    let is_internal_user = !caller.user.bears_token();
    json(&WhoAmI { name: caller.user.name.as_str(), tags: &caller.tags, is_internal_user })
}

#[derive(Serialize)]
struct AuthSettings {
    oauth_enabled: bool,
}

/// GET `/api/auth`: how one logs in; asked before anybody has.
pub(super) async fn auth() -> Answer {
    json(&AuthSettings { oauth_enabled: false })
}

/// GET `/api/version`.
pub(super) async fn version(State(api): State<Arc<Api>>, _caller: Caller) -> Answer {
    json(&api.node.rabbitmq_version)
}

#[derive(Serialize)]
struct Extension {
    javascript: &'static str,
}

/// GET `/api/extensions`.
pub(super) async fn extensions(_caller: Caller) -> Answer {
    json(&[Extension { javascript: "dispatcher.js" }])
}

/// DELETE `/api/reset` and `/api/reset/{node}`: rates start anew.
pub(super) async fn reset(State(api): State<Arc<Api>>, caller: Caller) -> Answer {
    caller.need(Tag::Administrator)?;
    api.rates.forget(&api.broker).await;
    done()
}

/// POST `/api/rebalance/queues`: there is one node, so all is where it should be.
pub(super) async fn rebalance(caller: Caller) -> Answer {
    caller.need(Tag::Administrator)?;
    done()
}

#[derive(Serialize)]
struct FeatureFlag {
    name: &'static str,
    desc: &'static str,
    doc_url: &'static str,
    state: &'static str,
    stability: &'static str,
    provided_by: &'static str,
}

/// What tools ask for before they use it.
const FEATURE_FLAGS: &[(&str, &str)] = &[
    ("classic_queue_type_delivery_support", "Support for classic queue delivery types"),
    ("detailed_queues_endpoint", "Queues with details over HTTP"),
    ("direct_exchange_routing_v2", "Direct exchange routing by an index"),
    ("feature_flags_v2", "Feature flags"),
    ("message_containers", "Messages of any protocol"),
    ("quorum_queue", "Queues with a quorum queue's checks"),
    ("stream_queue", "Queue type stream is known, and refused"),
    ("user_limits", "Limits of users"),
    ("virtual_host_metadata", "Virtual hosts have a description and tags"),
];

/// GET `/api/feature-flags`. NServiceBus does not start unless `stream_queue` is enabled.
pub(super) async fn feature_flags(_caller: Caller) -> Answer {
    let flag = |(name, desc): &(&'static str, &'static str)| FeatureFlag {
        name,
        desc,
        doc_url: "",
        state: "enabled",
        stability: "stable",
        provided_by: "lepus",
    };
    json(&FEATURE_FLAGS.iter().map(flag).collect::<Vec<_>>())
}

/// PUT `/api/feature-flags/{name}/enable`: all are.
pub(super) async fn enable_feature_flag(caller: Caller, path: super::path::Segments) -> Answer {
    caller.need(Tag::Administrator)?;
    if FEATURE_FLAGS.iter().any(|(name, _)| *name == path.get("name")) {
        return done();
    }
    Err(super::refusal::Refusal::bad_request(format!("unknown feature flag '{}'", path.get("name"))))
}

/// GET `/api/deprecated-features` and `/api/deprecated-features/used`: nothing here is about to go.
pub(super) async fn deprecated_features(_caller: Caller) -> Answer {
    json(&[(); 0])
}
