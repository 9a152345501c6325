//! What RabbitMQ does not tell: how old the oldest message is, how long messages wait, deliveries are held, confirms
//! and the disk take, and the room that messages take there.

use super::text::{Kind, Text};
use crate::management::api::Api;
use crate::metrics::DurationTally;

pub(super) const AGE: &str = "queue_oldest_message_age_seconds";
pub(super) const AGE_HELP: &str = "How long the oldest ready message has been waiting, at most";
pub(super) const HELD: &str = "queue_lease_seconds";
pub(super) const HELD_HELP: &str = "How long consumers held deliveries that they have settled";

pub(super) const WAITED: &str = "queue_wait_seconds";
pub(super) const WAITED_HELP: &str =
    "How long messages waited in queues, from their publish to their first delivery";
const CONFIRMED: &str = "confirm_seconds";
const CONFIRMED_HELP: &str =
    "How long publishers waited for confirms, from the read that brought the publish";

/// The node's: the oldest message of all queues, and times of all of them.
pub(super) fn totals(text: &mut Text, api: &Api, times: &Times) {
    text.single(AGE, Kind::Gauge, AGE_HELP, &[], times.oldest_ms / 1000);
    let confirmed = api.broker.connections.confirm_waits();
    for (name, help, tally) in [
        (HELD, HELD_HELP, &times.held),
        (WAITED, WAITED_HELP, &times.waited),
        (CONFIRMED, CONFIRMED_HELP, &confirmed),
    ] {
        text.family(name, Kind::Histogram, help);
        text.durations(name, &[], tally);
    }
}

/// Times of all queues together.
#[derive(Debug, Default)]
pub(super) struct Times {
    pub(super) oldest_ms: u64,
    pub(super) held: DurationTally,
    pub(super) waited: DurationTally,
}

/// The store of messages, if they are kept.
pub(super) fn store(text: &mut Text, api: &Api) {
    let Some(figures) = api.broker.log_figures() else { return };
    let gauges = [
        ("storage_log_used_bytes", "Log files in use", figures.log_used),
        ("storage_log_limit_bytes", "What log files may take", figures.log_total),
        ("storage_segments", "Segments that old messages have moved to", figures.segments),
    ];
    for (name, help, value) in gauges {
        text.single(name, Kind::Gauge, help, &[], value);
    }
    let counters = [
        ("storage_log_written_bytes_total", "Written to the log", figures.log_written),
        ("storage_segments_written_bytes_total", "Written to segments", figures.segments_written),
        ("storage_checkpoints_written_bytes_total", "Written to checkpoints", figures.checkpoints_written),
        ("storage_commits_total", "Commits of the log", figures.commits),
    ];
    for (name, help, value) in counters {
        text.single(name, Kind::Counter, help, &[], value);
    }
    let help = "How long the disk took to make a commit durable; confirms wait for that";
    text.family("storage_sync_seconds", Kind::Histogram, help);
    text.durations("storage_sync_seconds", &[], &figures.syncs);
}
