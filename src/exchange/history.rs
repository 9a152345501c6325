//! What a recent-history exchange (RabbitMQ's plugin) remembers: the last messages that were published to it.
//!
//! In memory only: after a restart the history is empty, as RabbitMQ's is.

use std::collections::VecDeque;
use std::sync::Arc;

use lepus_protocol::FieldTable;

use super::arguments::history_length;
use super::budget::MemoryBudget;
use crate::message::Message;

/// Octets that one exchange remembers at most, whatever its length.
const HISTORY_OCTETS_MAX: u64 = 16 * 1024 * 1024;

/// Octets of a remembered message besides its own: its entry and its allocation.
const ENTRY_OVERHEAD: u64 = 64;

/// A message with this header, true, is not remembered.
const NO_STORE: &str = "x-recent-history-no-store";

/// The last messages, the oldest first.
#[derive(Debug)]
pub struct History {
    length_max: usize,
    messages: VecDeque<Message>,
    octets: u64,
    budget: Arc<MemoryBudget>,
}

impl History {
    /// Remembers as many messages as `arguments` say.
    pub fn new(arguments: &FieldTable, budget: Arc<MemoryBudget>) -> Self {
        // What was declared was accepted, so there is no error to come.
        let length_max = history_length(arguments).unwrap_or(1);
        Self { length_max, messages: VecDeque::new(), octets: 0, budget }
    }

    /// Remembers a message with these headers, unless it says not to. Older ones make room.
    pub fn remember(&mut self, message: &Message, headers: Option<&FieldTable>) {
        let no_store = headers.and_then(|headers| headers.get(NO_STORE)).and_then(|value| value.as_bool());
        let octets = octets_of(message);
        if no_store == Some(true) || octets > HISTORY_OCTETS_MAX {
            return;
        }
        while self.messages.len() >= self.length_max || self.is_beyond(octets) {
            if !self.forget_oldest() {
                // Others have used up what there is for all.
                return;
            }
        }
        self.octets += octets;
        self.budget.take(octets);
        self.messages.push_back(message.clone());
    }

    /// All that is remembered, the oldest first.
    pub fn messages(&self) -> Vec<Message> {
        self.messages.iter().cloned().collect()
    }

    fn is_beyond(&self, more: u64) -> bool {
        self.octets + more > HISTORY_OCTETS_MAX || !self.budget.has_room_for(more)
    }

    fn forget_oldest(&mut self) -> bool {
        let Some(oldest) = self.messages.pop_front() else { return false };
        let octets = octets_of(&oldest);
        self.octets -= octets;
        self.budget.give_back(octets);
        true
    }
}

impl Drop for History {
    fn drop(&mut self) {
        self.budget.give_back(self.octets);
    }
}

fn octets_of(message: &Message) -> u64 {
    message.memory_len() as u64 + ENTRY_OVERHEAD
}

#[cfg(test)]
mod tests {
    use lepus_protocol::FieldValue;

    use super::super::budget::ALL_MEMORIES_OCTETS_MAX;
    use super::*;
    use crate::message::Envelope;

    fn table(key: &str, value: FieldValue) -> FieldTable {
        let mut table = FieldTable::new();
        table.insert(key, value);
        table
    }

    fn history(length: i32, budget: &Arc<MemoryBudget>) -> History {
        History::new(&table("x-recent-history-length", length.into()), Arc::clone(budget))
    }

    fn message(body: &[u8]) -> Message {
        Message::new(&Envelope::default(), body)
    }

    fn bodies(history: &History) -> Vec<Vec<u8>> {
        history.messages().iter().map(|message| message.body().to_vec()).collect()
    }

    #[test]
    fn the_last_messages_are_remembered_in_order() {
        let mut history = history(2, &Arc::default());
        for body in [b"a", b"b", b"c"] {
            history.remember(&message(body), None);
        }
        assert_eq!(bodies(&history), [b"b", b"c"]);
    }

    #[test]
    fn a_message_may_ask_not_to_be_remembered() {
        let mut history = history(2, &Arc::default());
        let no_store = |value: bool| table(NO_STORE, value.into());
        history.remember(&message(b"secret"), Some(&no_store(true)));
        history.remember(&message(b"public"), Some(&no_store(false)));
        assert_eq!(bodies(&history), [b"public"]);
    }

    #[test]
    fn large_messages_shorten_a_history() {
        let budget: Arc<MemoryBudget> = Arc::default();
        let mut history = history(1_000_000, &budget);
        let megabyte = message(&vec![0; 1 << 20]);
        for _ in 0..100 {
            history.remember(&megabyte, None);
        }
        assert_eq!(history.messages().len(), 15);
        assert!(budget.taken() <= HISTORY_OCTETS_MAX);
        history.remember(&message(&vec![0; 17 << 20]), None);
        assert_eq!(history.messages().len(), 15, "what never fits costs the others nothing");
        drop(history);
        assert_eq!(budget.taken(), 0);
    }

    #[test]
    fn all_histories_together_have_a_limit() {
        let budget: Arc<MemoryBudget> = Arc::default();
        let megabyte = message(&vec![0; 1 << 20]);
        let mut histories: Vec<_> = (0..20).map(|_| history(15, &budget)).collect();
        for history in &mut histories {
            (0..15).for_each(|_| history.remember(&megabyte, None));
        }
        assert!(budget.taken() <= ALL_MEMORIES_OCTETS_MAX);
        assert_eq!((histories[0].messages().len(), histories[19].messages().len()), (15, 0));
    }
}
