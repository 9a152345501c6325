//! The algorithms an exchange may route by.

/// How an exchange routes (§3.1.3). Those named `x-` are RabbitMQ's, its own or of its plugins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ExchangeType {
    /// By an equal routing key (§3.1.3.1).
    Direct,
    /// To everything bound (§3.1.3.2).
    Fanout,
    /// By a pattern of the routing key's words (§3.1.3.3).
    Topic,
    /// By the message's headers (§3.1.3.4).
    Headers,
    /// To one destination, by a hash that moves few messages when destinations come and go.
    ConsistentHash,
    /// To one destination, by a hash over their number.
    ModulusHash,
    /// To one destination by chance.
    Random,
    /// To one destination of this node by chance; keys must be empty.
    LocalRandom,
    /// To everything bound; what is bound later gets the last messages as well.
    RecentHistory,
    /// To everything bound, unless a message with the same header was seen before.
    MessageDeduplication,
    /// As the type that the argument `x-delayed-type` names. Messages are delayed whatever exchange they go through:
    /// this type is for those who declare one.
    DelayedMessage,
}

impl ExchangeType {
    /// Every type there is: the specification's in its order, then RabbitMQ's.
    pub const ALL: [Self; 11] = [
        Self::Direct,
        Self::Fanout,
        Self::Topic,
        Self::Headers,
        Self::ConsistentHash,
        Self::ModulusHash,
        Self::Random,
        Self::LocalRandom,
        Self::RecentHistory,
        Self::MessageDeduplication,
        Self::DelayedMessage,
    ];

    /// The type that `exchange.declare` means by this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// Whether its bindings and a message's routing key alone say where the message goes, and nothing is remembered of
    /// it.
    pub const fn routes_by_key(self) -> bool {
        match self {
            Self::Direct | Self::Fanout | Self::Topic => true,
            Self::Headers
            | Self::ConsistentHash
            | Self::ModulusHash
            | Self::Random
            | Self::LocalRandom
            | Self::RecentHistory
            | Self::MessageDeduplication
            | Self::DelayedMessage => false,
        }
    }

    /// The name on the wire and in definitions.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Fanout => "fanout",
            Self::Topic => "topic",
            Self::Headers => "headers",
            Self::ConsistentHash => "x-consistent-hash",
            Self::ModulusHash => "x-modulus-hash",
            Self::Random => "x-random",
            Self::LocalRandom => "x-local-random",
            Self::RecentHistory => "x-recent-history",
            Self::MessageDeduplication => "x-message-deduplication",
            Self::DelayedMessage => "x-delayed-message",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_is_found_by_its_name() {
        for kind in ExchangeType::ALL {
            assert_eq!(ExchangeType::from_name(kind.name()), Some(kind));
        }
        assert_eq!(ExchangeType::from_name("Direct"), None);
        assert_eq!(ExchangeType::from_name("x-jms-topic"), None);
    }
}
