//! Numbers that name things on the wire, each a type of its own so that no two can be confused.

use std::fmt;

/// A channel within one connection (§4.2.3). Channel 0 is the connection itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChannelId(u16);

impl ChannelId {
    /// Channel 0: methods of class `connection` and heartbeats travel here, and nothing else does.
    pub const CONNECTION: Self = Self(0);

    /// The channel with this number.
    pub const fn new(number: u16) -> Self {
        Self(number)
    }

    /// The number on the wire.
    pub const fn get(self) -> u16 {
        self.0
    }
}

impl fmt::Display for ChannelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A class of methods (§4.2.4), known to this crate or not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClassId(u16);

impl ClassId {
    /// No class: what `close` carries when no method was to blame.
    pub const NONE: Self = Self(0);
    /// Class `connection`.
    pub const CONNECTION: Self = Self(10);
    /// Class `channel`.
    pub const CHANNEL: Self = Self(20);
    /// Class `access`: of AMQP 0-8, still sent by some clients.
    pub const ACCESS: Self = Self(30);
    /// Class `exchange`.
    pub const EXCHANGE: Self = Self(40);
    /// Class `queue`.
    pub const QUEUE: Self = Self(50);
    /// Class `basic`: the only class with content.
    pub const BASIC: Self = Self(60);
    /// Class `confirm`: RabbitMQ's extension.
    pub const CONFIRM: Self = Self(85);
    /// Class `tx`.
    pub const TX: Self = Self(90);

    /// The class with this number.
    pub const fn new(number: u16) -> Self {
        Self(number)
    }

    /// The number on the wire.
    pub const fn get(self) -> u16 {
        self.0
    }
}

impl fmt::Display for ClassId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A method within its class (§4.2.4), known to this crate or not. Each method's struct has its own as `ID`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MethodId(u16);

impl MethodId {
    /// No method: what `close` carries when no method was to blame.
    pub const NONE: Self = Self(0);

    /// The method with this number.
    pub const fn new(number: u16) -> Self {
        Self(number)
    }

    /// The number on the wire.
    pub const fn get(self) -> u16 {
        self.0
    }
}

impl fmt::Display for MethodId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The number of a delivery, or of a publish to be confirmed, on its channel; they start at 1 (§1.1.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeliveryTag(u64);

impl DeliveryTag {
    /// Tag 0: with `multiple` set, every delivery outstanding on the channel.
    pub const ALL: Self = Self(0);

    /// The tag with this number.
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The number on the wire.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The tag after this one. At a million deliveries a second the numbers last for half a million years, so
    /// wrapping is left undetected.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.wrapping_add(1))
    }
}

impl fmt::Display for DeliveryTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
