//! Messages of which only damaged octets tell: what is lost is to be listed by message where that can be.

use std::collections::BTreeMap;

use super::id::Seq;
use super::index::Index;
use super::offline::LostRun;
use super::record::Claim;
use super::seq_set::SeqSet;

/// How far a seq may be ahead of all that sound records name: one further ahead is no seq but damage.
const AHEAD_MAX: u64 = 1 << 20;

/// What damaged octets seem to say, by queue and seq.
#[derive(Debug, Default)]
pub(super) struct Claimed {
    messages: BTreeMap<(u64, u64), Message>,
}

/// A message of which damaged octets tell.
#[derive(Clone, Copy, Debug)]
struct Message {
    /// The block that should hold it.
    lsn: u64,
    /// Of its image.
    octets: u64,
    /// Nothing else tells of it, and nothing says that it was settled.
    is_lost: bool,
}

impl Claimed {
    /// Notes what the block `lsn` seems to hold.
    pub(super) fn add(&mut self, lsn: u64, claims: Vec<Claim>) {
        for Claim { queue, seq, octets } in claims {
            self.messages.insert((queue, seq), Message { lsn, octets, is_lost: false });
        }
    }

    /// Notes how long a live message seems to have been.
    pub(super) fn note(&mut self, queue: u64, seq: u64, octets: u64) {
        self.messages.entry((queue, seq)).or_insert(Message { lsn: 0, octets, is_lost: false });
    }

    /// Decides which were live, after the log was replayed on a state of block `last`: that state tells of all before.
    pub(super) fn judge(&mut self, index: &Index, last: u64, known: &dyn Fn(u64) -> bool) {
        for (&(queue, seq), message) in &mut self.messages {
            let is_settled = match index.queues.get(&queue) {
                Some(state) => {
                    let is_one = seq > 0 && seq <= state.next_seq.saturating_add(AHEAD_MAX);
                    !is_one || seq <= state.purged || state.early.contains(seq) || state.live.contains(seq)
                }
                None => index.deleted.contains(queue) || !known(queue) || seq == 0 || seq > AHEAD_MAX,
            };
            message.is_lost = message.lsn > last && !is_settled;
        }
    }

    /// Queues with messages that are lost.
    pub(super) fn queues(&self) -> impl Iterator<Item = u64> {
        self.messages.iter().filter(|(_, message)| message.is_lost).map(|(&(queue, _), _)| queue)
    }

    /// All that are lost of a queue: those that are `missing`, and those of which nothing else tells.
    pub(super) fn lost(&self, queue: u64, missing: &SeqSet) -> Vec<LostRun> {
        let told =
            || self.messages.range((queue, 0)..=(queue, u64::MAX)).map(|(&(_, seq), told)| (seq, told));
        let mut all = missing.clone();
        told().filter(|(_, told)| told.is_lost).for_each(|(seq, _)| {
            all.insert(seq);
        });
        let mut runs: Vec<LostRun> = Vec::new();
        let mut add = |first: u64, last: u64, octets: Option<u64>| match runs.last_mut() {
            Some(run) if run.last.0 + 1 == first && run.octets == octets => run.last = Seq(last),
            _ => runs.push(LostRun { first: Seq(first), last: Seq(last), octets }),
        };
        for (first, last) in all.runs(0, u64::MAX) {
            let mut next = first;
            for (seq, told) in told().filter(|(seq, _)| (first..=last).contains(seq)) {
                if next < seq {
                    add(next, seq - 1, None);
                }
                add(seq, seq, Some(told.octets));
                next = seq + 1;
            }
            if next <= last {
                add(next, last, None);
            }
        }
        runs
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lost_messages_are_listed_as_runs_of_equal_length() {
        let mut claimed = Claimed::default();
        for (seq, octets) in [(3, 10), (4, 10), (5, 20), (9, 7)] {
            claimed.note(1, seq, octets);
        }
        let mut missing = SeqSet::default();
        missing.insert_run(2, 6);
        let run = |first, last, octets| LostRun { first: Seq(first), last: Seq(last), octets };
        let expected = [run(2, 2, None), run(3, 4, Some(10)), run(5, 5, Some(20)), run(6, 6, None)];
        assert_eq!(claimed.lost(1, &missing), expected);
        assert_eq!(claimed.lost(2, &SeqSet::default()), []);
    }

    #[test]
    fn a_message_counts_as_lost_unless_something_sound_says_otherwise() {
        let mut index = Index::default();
        let mut state = super::super::index::QueueState { next_seq: 20, purged: 2, ..Default::default() };
        state.early.insert(5);
        state.live.insert(6);
        index.queues.insert(1, state);
        index.deleted.insert(3);
        let claim = |queue, seq| Claim { queue, seq, octets: 1 };
        let mut claimed = Claimed::default();
        claimed.add(10, vec![claim(1, 7)]);
        let told = [(1, 2), (1, 5), (1, 6), (1, 8), (1, 1 << 40), (2, 1), (3, 1), (4, 1)];
        claimed.add(11, told.map(|(queue, seq)| claim(queue, seq)).to_vec());
        claimed.judge(&index, 10, &|queue| queue != 4);
        let lost: Vec<_> =
            claimed.messages.iter().filter(|(_, told)| told.is_lost).map(|(at, _)| *at).collect();
        assert_eq!(lost, [(1, 8), (2, 1)]);
    }
}
