//! Loads with names, so that a whole comparison is one command.

use std::time::Duration;

use super::load::{Churn, End, Exchange, Load};

/// One publisher, one queue, one consumer, 16 octets, nothing kept.
pub const PLAIN: Load = Load {
    publishers: 1,
    consumers: 1,
    queues: 1,
    exchange: Exchange::Default,
    size: 16,
    durable: false,
    window: None,
    ack_every: None,
    prefetch: 0,
    rate: None,
    end: End::Count(2_000_000),
    backlog: false,
    churn: None,
};

/// Persistent messages, confirmed and acknowledged.
const DURABLE: Load =
    Load { durable: true, window: Some(2000), ack_every: Some(100), prefetch: 1000, ..PLAIN };

/// A name, what it shows, and the load.
pub const SCENARIOS: &[(&str, &str, Load)] = &[
    ("durable-16", "16 B persistent, confirms, acks", Load { end: End::Count(1_000_000), ..DURABLE }),
    (
        "durable-1k",
        "1 KiB persistent, confirms, acks",
        Load { size: 1024, end: End::Count(300_000), ..DURABLE },
    ),
    ("one-at-a-time", "each confirm awaited", Load { window: Some(1), end: End::Count(5000), ..DURABLE }),
    ("transient-16", "16 B, settled when sent", PLAIN),
    ("transient-1k", "1 KiB, settled when sent", Load { size: 1024, end: End::Count(500_000), ..PLAIN }),
    ("fanout-10", "each message to 10 queues", fanout(10, 200_000)),
    ("fanout-1000", "each message to 1,000 queues", fanout(1000, 2000)),
    (
        "topic-1000",
        "a topic exchange with 1,000 bindings",
        Load { queues: 1000, exchange: Exchange::Topic, end: End::Count(1_000_000), ..PLAIN },
    ),
    (
        "backlog-16",
        "published, then drained",
        Load { backlog: true, ack_every: Some(100), prefetch: 1000, end: End::Count(1_000_000), ..PLAIN },
    ),
    ("latency-10k", "10,000 messages/s for 5 s", paced(10_000)),
    ("latency-50k", "50,000 messages/s for 5 s", paced(50_000)),
    (
        "spread",
        "8 publishers, 8 queues, 8 consumers",
        Load { publishers: 8, consumers: 8, queues: 8, ..PLAIN },
    ),
    ("large-1m", "bodies of 1 MiB", Load { size: 1024 * 1024, end: End::Count(1000), ..PLAIN }),
    ("churn-connections", "connections opened and closed", churn(Churn::Connections, 2000)),
    ("churn-channels", "channels opened and closed", churn(Churn::Channels, 20_000)),
    ("churn-queues", "queues declared and deleted", churn(Churn::Queues, 5000)),
];

const fn fanout(queues: usize, messages: u64) -> Load {
    Load { queues, exchange: Exchange::Fanout, end: End::Count(messages), ..PLAIN }
}

const fn paced(rate: u64) -> Load {
    Load { rate: Some(rate), end: End::After(Duration::from_secs(5)), ..PLAIN }
}

const fn churn(what: Churn, rounds: u64) -> Load {
    Load { churn: Some(what), end: End::Count(rounds), ..PLAIN }
}

/// The load of a name.
pub fn find(name: &str) -> Option<&'static Load> {
    SCENARIOS.iter().find(|(known, _, _)| *known == name).map(|(_, _, load)| load)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scenario_makes_sense_and_has_a_name_of_its_own() {
        for (number, (name, _, load)) in SCENARIOS.iter().enumerate() {
            assert_eq!(load.check(), Ok(()), "{name}");
            assert!(SCENARIOS.iter().skip(number + 1).all(|(other, _, _)| other != name), "{name} twice");
        }
    }

    #[test]
    fn a_load_that_could_not_end_is_refused() {
        let endless = Load { ack_every: Some(11), prefetch: 10, ..PLAIN };
        assert!(endless.check().unwrap_err().contains("--prefetch"));
        assert!(Load { backlog: true, consumers: 0, ..PLAIN }.check().is_err());
        assert!(Load { queues: 0, ..PLAIN }.check().is_err());
    }
}
