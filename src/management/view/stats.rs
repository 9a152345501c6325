//! Counts and their rates: `"publish": 7, "publish_details": {"rate": 1.4}`.

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use crate::management::rates::{Change, Depth};
use crate::metrics::MessageTally;

/// A rate per second.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(in crate::management) struct Rate {
    rate: f64,
}

impl Rate {
    /// `delta` in `seconds`; nothing before the first interval is over.
    #[expect(clippy::cast_precision_loss, reason = "a rate is for the eye")]
    pub(in crate::management) fn of(delta: i64, seconds: f64) -> Self {
        Self { rate: if seconds > 0.0 { delta as f64 / seconds } else { 0.0 } }
    }

    pub(in crate::management) fn of_count(delta: u64, seconds: f64) -> Self {
        Self::of(i64::try_from(delta).unwrap_or(i64::MAX), seconds)
    }
}

/// A counter: its name, the name of its rate, and where it stands.
type Counter = (&'static str, &'static str, fn(&MessageTally) -> u64);

macro_rules! counters {
    ($($name:ident = $value:expr),* $(,)?) => {
        &[$((stringify!($name), concat!(stringify!($name), "_details"), $value)),*]
    };
}

/// What a queue counts.
pub(in crate::management) const OF_QUEUE: &[Counter] = counters! {
    ack = |tally| tally.ack,
    deliver = |tally| tally.deliver,
    deliver_get = MessageTally::deliver_get,
    deliver_no_ack = |tally| tally.deliver_no_ack,
    get = |tally| tally.get,
    get_empty = |tally| tally.get_empty,
    get_no_ack = |tally| tally.get_no_ack,
    publish = |tally| tally.publish,
    redeliver = |tally| tally.redeliver,
};

/// What channels count, and so virtual hosts and the node.
pub(in crate::management) const OF_CHANNEL: &[Counter] = counters! {
    ack = |tally| tally.ack,
    confirm = |tally| tally.confirm,
    deliver = |tally| tally.deliver,
    deliver_get = MessageTally::deliver_get,
    deliver_no_ack = |tally| tally.deliver_no_ack,
    drop_unroutable = |tally| tally.drop_unroutable,
    get = |tally| tally.get,
    get_empty = |tally| tally.get_empty,
    get_no_ack = |tally| tally.get_no_ack,
    publish = |tally| tally.publish,
    redeliver = |tally| tally.redeliver,
    return_unroutable = |tally| tally.return_unroutable,
};

/// What an exchange counts.
pub(in crate::management) const OF_EXCHANGE: &[Counter] = counters! {
    publish_in = |tally| tally.publish_in,
    publish_out = |tally| tally.publish_out,
};

/// Counts since the start with their rates.
#[derive(Clone, Copy, Debug)]
pub(in crate::management) struct MessageStats {
    counters: &'static [Counter],
    total: MessageTally,
    change: Change<MessageTally>,
}

impl MessageStats {
    pub(in crate::management) fn new(
        counters: &'static [Counter],
        total: MessageTally,
        change: Change<MessageTally>,
    ) -> Self {
        Self { counters, total, change }
    }
}

impl Serialize for MessageStats {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(2 * self.counters.len()))?;
        for (name, details, value) in self.counters {
            map.serialize_entry(name, &value(&self.total))?;
            map.serialize_entry(details, &Rate::of_count(value(&self.change.delta), self.change.seconds))?;
        }
        map.end()
    }
}

/// Messages in queues, and how fast their number changes.
#[derive(Clone, Copy, Debug, Serialize)]
pub(in crate::management) struct Depths {
    messages: i64,
    messages_details: Rate,
    messages_delayed: i64,
    messages_delayed_details: Rate,
    messages_dlx: i64,
    messages_dlx_details: Rate,
    messages_ready: i64,
    messages_ready_details: Rate,
    messages_unacknowledged: i64,
    messages_unacknowledged_details: Rate,
}

impl Depths {
    pub(in crate::management) fn new(depth: Depth, change: Change<Depth>) -> Self {
        let Change { delta, seconds } = change;
        Self {
            messages: depth.all(),
            messages_details: Rate::of(delta.all(), seconds),
            messages_delayed: depth.delayed,
            messages_delayed_details: Rate::of(delta.delayed, seconds),
            messages_dlx: depth.dead,
            messages_dlx_details: Rate::of(delta.dead, seconds),
            messages_ready: depth.ready,
            messages_ready_details: Rate::of(delta.ready, seconds),
            messages_unacknowledged: depth.unacked,
            messages_unacknowledged_details: Rate::of(delta.unacked, seconds),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_stand_beside_their_rates() {
        let total = MessageTally { publish_in: 9, ..MessageTally::default() };
        let delta = MessageTally { publish_in: 7, ..MessageTally::default() };
        let stats = MessageStats::new(OF_EXCHANGE, total, Change { delta, seconds: 5.0 });
        let json = serde_json::to_value(stats).unwrap();
        assert_eq!(json["publish_in"], 9);
        assert_eq!(json["publish_in_details"]["rate"], 1.4);
        assert_eq!(json["publish_out_details"]["rate"], 0.0);
    }
}
