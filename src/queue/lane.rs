//! Which of a queue's lanes a message waits in: one for each priority, and those of messages that are not due yet.

/// The lane's number takes 16 bits: priorities come first.
const PRIORITIES: u16 = 256;

/// A lane of a queue. What is stored of a queue is stored lane by lane, so that one can be read without the others,
/// and places are counted in each by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Lane(u16);

impl Lane {
    /// A lane of no queue: what an exchange has seen is kept in it.
    pub const SEEN: Self = Self(u16::MAX);

    /// The lane of ready messages of a priority; 0 in a queue without priorities.
    pub const fn of_priority(priority: u8) -> Self {
        Self(priority as u16)
    }

    /// The lane numbered `number` of messages that are not due.
    pub const fn of_delayed(number: u16) -> Self {
        Self(PRIORITIES.saturating_add(number))
    }

    /// The lane as [`Self::number`] gave it.
    pub const fn new(number: u16) -> Self {
        Self(number)
    }

    /// Its number among all lanes.
    pub const fn number(self) -> u16 {
        self.0
    }

    /// The priority of the ready messages in it; `None` if what is in it is not due.
    pub fn priority(self) -> Option<u8> {
        u8::try_from(self.0).ok()
    }

    /// Its place among the lanes of ready messages.
    pub(super) fn index(self) -> usize {
        usize::from(self.0)
    }
}
