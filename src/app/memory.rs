//! Limits of memory that fit this machine or container.

use crate::config::memory::available;

/// Share of the memory that messages may take before publishers are blocked, in tenths (RabbitMQ's 0.6).
const ALARM_TENTHS: u64 = 6;

/// Share of the memory above which messages leave it, in tenths.
const MESSAGES_TENTHS: u64 = 2;

/// Where nobody says how much memory there is: octets of messages above which publishers are blocked.
const ALARM_UNKNOWN: u64 = 1 << 30;

/// Limits of memory, in octets: `alarm` blocks publishers, above `messages` messages leave the memory. An alarm that
/// was set holds as it is.
pub(super) fn limits(alarm: Option<u64>, messages: u64) -> (u64, u64) {
    let available = available();
    let (memory_limit, message_memory) = within(available, alarm, messages);
    tracing::info!(available, memory_limit, message_memory, "memory, in octets");
    (memory_limit, message_memory)
}

fn within(available: Option<u64>, alarm: Option<u64>, messages: u64) -> (u64, u64) {
    let tenths = |count: u64| available.map(|octets| octets / 10 * count);
    let alarm = alarm.or_else(|| tenths(ALARM_TENTHS)).unwrap_or(ALARM_UNKNOWN);
    (alarm, tenths(MESSAGES_TENTHS).map_or(messages, |most| messages.min(most)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_limit_it_is_six_tenths_of_what_there_is() {
        assert_eq!(within(Some(1000), None, 100), (600, 100));
        assert_eq!(within(None, None, 100), (ALARM_UNKNOWN, 100));
    }

    #[test]
    fn a_limit_that_was_set_holds_and_messages_leave_the_memory_early_where_there_is_little() {
        assert_eq!(within(Some(1000), Some(900), 500), (900, 200));
        assert_eq!(within(None, Some(900), 500), (900, 500));
    }
}
