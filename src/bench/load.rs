//! What load is made.

use std::time::Duration;

use serde::Serialize;

/// One load: who publishes what to where, and who consumes it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Load {
    /// Connections that publish.
    pub publishers: usize,
    /// Connections that consume; with fewer than there are queues, each consumes several.
    pub consumers: usize,
    /// Queues.
    pub queues: usize,
    /// Through what messages are routed.
    pub exchange: Exchange,
    /// Octets of a body.
    pub size: usize,
    /// Queues are durable and messages persistent.
    pub durable: bool,
    /// Messages of a publisher that may be unconfirmed; `None`: it does not ask for confirms.
    pub window: Option<u64>,
    /// Deliveries that one acknowledgement settles; `None`: they are settled as they are sent.
    pub ack_every: Option<u64>,
    /// Deliveries that may be unsettled; 0: no limit.
    pub prefetch: u16,
    /// Messages in a second, of all publishers together; `None`: as fast as it goes.
    pub rate: Option<u64>,
    /// When it ends.
    pub end: End,
    /// Consumers begin when all is published.
    pub backlog: bool,
    /// Connections, channels or queues that come and go, instead of messages.
    pub churn: Option<Churn>,
}

/// When the publishing ends.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// After so many messages, or rounds of churn, of all together.
    Count(u64),
    /// After a time.
    After(Duration),
}

/// What comes and goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Churn {
    /// A connection with a channel.
    Connections,
    /// A channel of a connection.
    Channels,
    /// A queue that is declared and deleted.
    Queues,
}

/// Through what messages are routed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Exchange {
    /// The default exchange, by the queue's name.
    Default,
    /// A direct one, a key for each queue.
    Direct,
    /// A fanout: every queue gets every message.
    Fanout,
    /// A topic one: `bench.<number>.#` for each queue, and keys of five words.
    Topic,
    /// A headers one: one header with the queue's number.
    Headers,
    /// A consistent hash, with keys that are all different.
    ConsistentHash,
}

impl Exchange {
    /// The name of its type; `None`: it is there.
    pub fn kind(self) -> Option<&'static str> {
        match self {
            Self::Default => None,
            Self::Direct => Some("direct"),
            Self::Fanout => Some("fanout"),
            Self::Topic => Some("topic"),
            Self::Headers => Some("headers"),
            Self::ConsistentHash => Some("x-consistent-hash"),
        }
    }
}

impl Load {
    /// How often each message is delivered.
    pub fn deliveries_per_message(&self) -> u64 {
        if self.exchange == Exchange::Fanout { self.queues as u64 } else { 1 }
    }

    /// What makes no sense, in the words of the options.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn check(&self) -> Result<(), String> {
        let wrong = |text: &str| Err(text.to_owned());
        if self.publishers == 0 {
            return wrong("--publishers must be at least 1");
        }
        if self.queues == 0 || self.queues > QUEUES_MAX {
            return Err(format!("--queues must be 1 to {QUEUES_MAX}"));
        }
        if self.size > SIZE_MAX {
            return Err(format!("--size must be at most {SIZE_MAX}"));
        }
        if self.window == Some(0) || self.ack_every == Some(0) || self.rate == Some(0) {
            return wrong("--window, --ack-every and --rate must be at least 1");
        }
        if self.ack_every.is_some_and(|every| self.prefetch > 0 && every > u64::from(self.prefetch)) {
            return wrong("--ack-every must not exceed --prefetch: the broker would wait for ever");
        }
        if self.consumers == 0 && self.backlog {
            return wrong("--backlog needs --consumers, who drain it");
        }
        Ok(())
    }
}

/// Queues of a load.
const QUEUES_MAX: usize = 1_000_000;

/// Octets of a body.
const SIZE_MAX: usize = 512 * 1024 * 1024;
