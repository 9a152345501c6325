//! An exchange.

use serde::Serialize;
use serde_json::Value;

use super::stats::{MessageStats, OF_EXCHANGE};
use crate::broker::exchange::Exchange as CoreExchange;
use crate::management::api::Api;
use crate::management::policies::policy_name;
use crate::management::table::{Table, table_to_json};

/// As in `/api/exchanges`.
#[derive(Debug, Serialize)]
pub(in crate::management) struct Exchange<'e> {
    arguments: Table<'e>,
    auto_delete: bool,
    durable: bool,
    internal: bool,
    message_stats: MessageStats,
    name: &'e str,
    policy: Option<String>,
    operator_policy: Option<String>,
    effective_policy_definition: Value,
    #[serde(rename = "type")]
    kind: &'static str,
    user_who_performed_action: &'static str,
    vhost: &'e str,
}

impl<'e> Exchange<'e> {
    pub(in crate::management) fn new(vhost: &'e str, exchange: &'e CoreExchange, api: &Api) -> Self {
        let options = &exchange.options;
        let change = api.rates.exchange(exchange.id);
        let applied = exchange.applied();
        Self {
            arguments: Table(&options.arguments),
            auto_delete: options.auto_delete,
            durable: options.durable,
            internal: options.internal,
            message_stats: MessageStats::new(OF_EXCHANGE, exchange.tally.load(), change),
            name: exchange.name.as_str(),
            policy: policy_name(applied.policy.as_ref()),
            operator_policy: policy_name(applied.operator.as_ref()),
            effective_policy_definition: table_to_json(&applied.definition),
            kind: options.kind.name(),
            user_who_performed_action: "rmq-internal",
            vhost,
        }
    }
}
