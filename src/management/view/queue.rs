//! A queue.

use serde::Serialize;
use serde_json::Value;

use super::consumer::Consumer;
use super::stats::{Depths, MessageStats, OF_QUEUE};
use crate::clock::Timestamp;
use crate::management::api::Api;
use crate::management::policies::policy_name;
use crate::management::rates::{Change, Depth};
use crate::management::table::{Table, table_to_json};
use crate::queue::{Queue as CoreQueue, Report};

/// Which queue it is.
#[derive(Clone, Copy, Debug, Serialize)]
pub(in crate::management) struct QueueName<'q> {
    pub(in crate::management) name: &'q str,
    pub(in crate::management) vhost: &'q str,
}

/// As in `/api/queues`.
#[derive(Debug, Serialize)]
pub(in crate::management) struct Queue<'q> {
    arguments: Table<'q>,
    auto_delete: bool,
    consumer_capacity: f64,
    consumer_utilisation: f64,
    consumers: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    consumer_details: Option<Vec<Consumer<'q>>>,
    durable: bool,
    effective_policy_definition: Value,
    exclusive: bool,
    exclusive_consumer_tag: Option<String>,
    idle_since: String,
    leader: &'q str,
    members: [&'q str; 1],
    memory: u64,
    message_bytes: u64,
    message_bytes_ready: u64,
    message_stats: MessageStats,
    #[serde(flatten)]
    depths: Depths,
    name: &'q str,
    node: &'q str,
    online: [&'q str; 1],
    operator_policy: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    owner_pid_details: Option<OwnerDetails>,
    policy: Option<String>,
    single_active_consumer_tag: Option<String>,
    state: &'static str,
    #[serde(rename = "type")]
    kind: &'static str,
    vhost: &'q str,
}

/// The connection that an exclusive queue belongs to.
#[derive(Debug, Serialize)]
struct OwnerDetails {
    name: String,
    peer_host: String,
    peer_port: u16,
}

impl<'q> Queue<'q> {
    /// `details`: with its consumers.
    pub(in crate::management) fn new(vhost: &'q str, queue: &'q CoreQueue, api: &'q Api) -> Self {
        let report = queue.report();
        let applied = queue.settings().applied;
        let change = api.rates.queue(queue.id);
        let Change { delta, seconds } = change;
        let depth = Depth::of(report.counts);
        let node = api.node.name.as_str();
        let options = &queue.options;
        let subscribers = if report.counts.consumers > 0 { queue.subscribers() } else { Vec::new() };
        let tag_of =
            |found: Option<&crate::queue::Subscriber>| found.map(|found| found.origin.tag.to_string());
        let single = options.arguments.single_active_consumer;
        Self {
            arguments: Table(options.arguments.raw()),
            auto_delete: options.auto_delete,
            consumer_capacity: capacity(&report),
            consumer_utilisation: capacity(&report),
            consumers: report.counts.consumers,
            consumer_details: None,
            durable: options.durable,
            effective_policy_definition: table_to_json(&applied.definition),
            exclusive: options.exclusive_to.is_some(),
            exclusive_consumer_tag: tag_of(subscribers.iter().find(|subscriber| subscriber.exclusive)),
            idle_since: rfc3339(report.idle_since),
            leader: node,
            members: [node],
            memory: report.memory,
            message_bytes: report.ready_octets,
            message_bytes_ready: report.ready_octets,
            message_stats: MessageStats::new(OF_QUEUE, report.tally, Change { delta: delta.tally, seconds }),
            depths: Depths::new(depth, Change { delta: delta.depth, seconds }),
            name: queue.name.as_str(),
            node,
            online: [node],
            operator_policy: policy_name(applied.operator.as_ref()),
            owner_pid_details: options.exclusive_to.and_then(|owner| OwnerDetails::new(owner, api)),
            policy: policy_name(applied.policy.as_ref()),
            single_active_consumer_tag: tag_of(subscribers.iter().find(|found| single && found.active)),
            state: if report.is_paused { "paused" } else { "running" },
            kind: if options.arguments.is_quorum() { "quorum" } else { "classic" },
            vhost,
        }
    }

    /// With its consumers.
    pub(in crate::management) fn with_consumers(mut self, consumers: Vec<Consumer<'q>>) -> Self {
        self.consumer_details = Some(consumers);
        self
    }
}

impl OwnerDetails {
    fn new(owner: crate::id::ConnectionId, api: &Api) -> Option<Self> {
        let entry = api.broker.connections.get(owner)?;
        let peer = entry.facts.peer;
        Some(Self { name: entry.name(), peer_host: peer.ip().to_string(), peer_port: peer.port() })
    }
}

/// Whether consumers could take more: a queue with a backlog waits for them.
fn capacity(report: &Report) -> f64 {
    if report.counts.consumers > 0 && report.counts.ready == 0 { 1.0 } else { 0.0 }
}

/// `2026-01-31T12:00:00.000+00:00`.
pub(in crate::management) fn rfc3339(at: Timestamp) -> String {
    let millis = at.as_millis();
    let (days, in_day) = (millis / 86_400_000, millis % 86_400_000);
    let (year, month, day) = civil(days);
    let (hour, minute) = (in_day / 3_600_000, in_day / 60_000 % 60);
    let (second, millis) = (in_day / 1000 % 60, in_day % 1000);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}+00:00")
}

/// Year, month and day of the day that many days after 1970-01-01. Years are counted from March, so that the day in
/// question of a leap year is the last one.
fn civil(days: u64) -> (u64, u64, u64) {
    const DAYS_TO_1970: u64 = 719_468;
    const DAYS_OF_ERA: u64 = 146_097;
    let shifted = days + DAYS_TO_1970;
    let (era, day_of_era) = (shifted / DAYS_OF_ERA, shifted % DAYS_OF_ERA);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    (year_of_era + era * 400 + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_written_as_dates() {
        assert_eq!(rfc3339(Timestamp::from_millis(0)), "1970-01-01T00:00:00.000+00:00");
        assert_eq!(rfc3339(Timestamp::from_millis(951_782_399_999)), "2000-02-28T23:59:59.999+00:00");
        assert_eq!(rfc3339(Timestamp::from_millis(951_782_400_000)), "2000-02-29T00:00:00.000+00:00");
        assert_eq!(rfc3339(Timestamp::from_millis(1_893_456_061_007)), "2030-01-01T00:01:01.007+00:00");
    }
}
