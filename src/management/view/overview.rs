//! The overview.

use std::collections::BTreeMap;

use serde::Serialize;

use super::node::Listener;
use super::stats::{Depths, MessageStats, Rate};
use crate::broker::churn::QueueChurn;
use crate::broker::connections::Churn;
use crate::management::rates::Change;

/// As in `/api/overview`.
#[derive(Debug, Serialize)]
pub(in crate::management) struct Overview<'o> {
    pub(in crate::management) management_version: &'o str,
    pub(in crate::management) rates_mode: &'static str,
    pub(in crate::management) sample_retention_policies: Retention,
    pub(in crate::management) exchange_types: Vec<ExchangeType>,
    pub(in crate::management) product_version: &'o str,
    pub(in crate::management) product_name: &'o str,
    pub(in crate::management) rabbitmq_version: &'o str,
    pub(in crate::management) lepus_version: &'static str,
    pub(in crate::management) cluster_name: &'o str,
    pub(in crate::management) cluster_tags: BTreeMap<&'o str, &'o str>,
    pub(in crate::management) node_tags: BTreeMap<&'o str, &'o str>,
    pub(in crate::management) erlang_version: &'static str,
    pub(in crate::management) erlang_full_version: &'static str,
    pub(in crate::management) release_series_support_status: &'static str,
    pub(in crate::management) disable_stats: bool,
    pub(in crate::management) is_op_policy_updating_enabled: bool,
    pub(in crate::management) enable_queue_totals: bool,
    pub(in crate::management) message_stats: MessageStats,
    pub(in crate::management) churn_rates: ChurnRates,
    pub(in crate::management) queue_totals: Depths,
    pub(in crate::management) object_totals: ObjectTotals,
    pub(in crate::management) statistics_db_event_queue: u32,
    pub(in crate::management) node: &'o str,
    pub(in crate::management) listeners: Vec<Listener<'o>>,
    pub(in crate::management) contexts: [(); 0],
}

/// How long samples are kept, in seconds: only what the last interval's rate needs.
#[derive(Debug, Serialize)]
pub(in crate::management) struct Retention {
    global: [u32; 1],
    basic: [u32; 1],
    detailed: [u32; 1],
}

impl Retention {
    pub(in crate::management) const LAST: Self = Self { global: [5], basic: [5], detailed: [5] };
}

/// A type of exchange that can be declared.
#[derive(Debug, Serialize)]
pub(in crate::management) struct ExchangeType {
    pub(in crate::management) name: &'static str,
    pub(in crate::management) description: &'static str,
    pub(in crate::management) enabled: bool,
}

/// How many of everything there are.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(in crate::management) struct ObjectTotals {
    pub(in crate::management) connections: usize,
    pub(in crate::management) channels: usize,
    pub(in crate::management) exchanges: usize,
    pub(in crate::management) queues: usize,
    pub(in crate::management) consumers: usize,
}

/// What came and went.
#[derive(Debug, Serialize)]
pub(in crate::management) struct ChurnRates {
    connection_created: u64,
    connection_created_details: Rate,
    connection_closed: u64,
    connection_closed_details: Rate,
    channel_created: u64,
    channel_created_details: Rate,
    channel_closed: u64,
    channel_closed_details: Rate,
    queue_declared: u64,
    queue_declared_details: Rate,
    queue_created: u64,
    queue_created_details: Rate,
    queue_deleted: u64,
    queue_deleted_details: Rate,
}

impl ChurnRates {
    pub(in crate::management) fn new(
        (total, change): (Churn, Change<Churn>),
        (queues, queue_change): (QueueChurn, Change<QueueChurn>),
    ) -> Self {
        let Change { delta, seconds } = change;
        let queue_delta = queue_change.delta;
        Self {
            connection_created: total.connections_opened,
            connection_created_details: Rate::of_count(delta.connections_opened, seconds),
            connection_closed: total.connections_closed,
            connection_closed_details: Rate::of_count(delta.connections_closed, seconds),
            channel_created: total.channels_opened,
            channel_created_details: Rate::of_count(delta.channels_opened, seconds),
            channel_closed: total.channels_closed,
            channel_closed_details: Rate::of_count(delta.channels_closed, seconds),
            queue_declared: queues.declared,
            queue_declared_details: Rate::of_count(queue_delta.declared, seconds),
            queue_created: queues.created,
            queue_created_details: Rate::of_count(queue_delta.created, seconds),
            queue_deleted: queues.deleted,
            queue_deleted_details: Rate::of_count(queue_delta.deleted, seconds),
        }
    }
}
