//! Stored messages that have left a queue, as runs.

use super::{Home, Lane, Seq};

/// A run of seqs of one level, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Departed {
    /// The level: the messages' priority in their queue.
    pub level: Lane,
    /// The lowest.
    pub first: Seq,
    /// The highest.
    pub last: Seq,
}

/// Stored messages that have left a queue, whatever the reason: neighbours together, in order of their leaving.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Departures {
    /// Those that were logged.
    pub logged: Vec<Departed>,
    /// Those that were in the spill.
    pub spilled: Vec<Departed>,
}

impl Departures {
    /// Whether nothing that was stored has left.
    pub fn is_empty(&self) -> bool {
        self.logged.is_empty() && self.spilled.is_empty()
    }

    /// Adds one message. What was in memory only leaves no trace.
    pub fn push(&mut self, home: Home, level: Lane, seq: Seq) {
        self.push_run(home, level, seq, seq);
    }

    /// Adds neighbours.
    pub fn push_run(&mut self, home: Home, level: Lane, first: Seq, last: Seq) {
        let runs = match home {
            Home::Memory => return,
            Home::Log => &mut self.logged,
            Home::Spill => &mut self.spilled,
        };
        match runs.last_mut() {
            Some(run) if run.level == level && run.last.get() + 1 == first.get() => run.last = last,
            _ => runs.push(Departed { level, first, last }),
        }
    }
}
