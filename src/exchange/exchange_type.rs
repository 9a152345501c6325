//! The algorithms an exchange may route by.

/// How an exchange routes (§3.1.3).
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
}

impl ExchangeType {
    /// Every type there is, in the specification's order.
    pub const ALL: [Self; 4] = [Self::Direct, Self::Fanout, Self::Topic, Self::Headers];

    /// The type that `exchange.declare` means by this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// The name on the wire and in definitions.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Fanout => "fanout",
            Self::Topic => "topic",
            Self::Headers => "headers",
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
        assert_eq!(ExchangeType::from_name("x-delayed-message"), None);
    }
}
