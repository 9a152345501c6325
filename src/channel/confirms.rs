//! Publisher confirms (RabbitMQ): what became of each publish, told in order and as few frames as possible.

use lepus_protocol::method::basic;
use lepus_protocol::{ChannelId, DeliveryTag, Method};

use crate::queue::Enqueued;

/// The publishes of a channel in confirm mode, numbered from 1.
#[derive(Debug, Default)]
pub(super) struct Confirms {
    last: u64,
    /// Outcomes not yet told: runs of equal ones, in order.
    runs: Vec<Run>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Run {
    outcome: Enqueued,
    last: u64,
    count: u64,
}

impl Confirms {
    /// Records what became of the next publish.
    pub(super) fn record(&mut self, outcome: Enqueued) {
        self.last += 1;
        match self.runs.last_mut() {
            Some(run) if run.outcome == outcome => {
                run.last = self.last;
                run.count += 1;
            }
            _ => self.runs.push(Run { outcome, last: self.last, count: 1 }),
        }
    }

    /// Whether there is anything to tell.
    pub(super) fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// Writes what is to be told. Everything before a run has been told, so that `multiple` is exact.
    pub(super) fn flush(&mut self, channel: ChannelId, frames: &mut Vec<u8>) {
        for run in self.runs.drain(..) {
            run.method().encode(channel, frames);
        }
    }
}

impl Run {
    fn method(self) -> Method<'static> {
        let delivery_tag = DeliveryTag::new(self.last);
        let multiple = self.count > 1;
        match self.outcome {
            Enqueued::Accepted => basic::Ack { delivery_tag, multiple }.into(),
            Enqueued::Refused => basic::Nack { delivery_tag, multiple, requeue: false }.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_outcomes_in_a_row_are_told_at_once_and_in_order() {
        let mut confirms = Confirms::default();
        for outcome in [Enqueued::Accepted, Enqueued::Accepted, Enqueued::Refused, Enqueued::Accepted] {
            confirms.record(outcome);
        }
        let methods: Vec<_> = confirms.runs.iter().map(|run| run.method()).collect();
        let tag = DeliveryTag::new;
        let expected: [Method<'_>; 3] = [
            basic::Ack { delivery_tag: tag(2), multiple: true }.into(),
            basic::Nack { delivery_tag: tag(3), multiple: false, requeue: false }.into(),
            basic::Ack { delivery_tag: tag(4), multiple: false }.into(),
        ];
        assert_eq!(methods, expected);
    }
}
