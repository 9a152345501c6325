//! A set of seqs in pages of 65,536, as runs while they are few and as bits when they are many.
//!
//! A backlog in order costs a few octets per page whatever its length; acks out of order cost at most 8 KiB per page.

use std::collections::BTreeMap;

use super::codec::{Put, Take};

/// Seqs of a page.
const PAGE_SEQS: u64 = 1 << 16;

/// Runs that a page holds before it turns into bits: 2 KiB of runs against 8 KiB of bits.
const RUNS_MAX: usize = 512;

const WORDS: usize = 1024;

/// A set of `u64`s.
#[derive(Clone, Debug, Default)]
pub struct SeqSet {
    pages: BTreeMap<u64, Page>,
    len: u64,
}

#[derive(Clone, Debug)]
enum Page {
    /// Ascending, disjoint, not touching; first and last of each.
    Runs(Vec<(u16, u16)>),
    Bits(Box<[u64; WORDS]>),
}

/// First and last of a run of seqs.
pub(super) type Run = (u64, u64);

#[expect(clippy::cast_possible_truncation, reason = "the low 16 bits are what is meant")]
const fn low(seq: u64) -> u16 {
    seq as u16
}

impl SeqSet {
    /// How many are in the set.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether none is in the set.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Adds a seq; whether it is new.
    pub fn insert(&mut self, seq: u64) -> bool {
        let page = self.pages.entry(seq >> 16).or_insert_with(|| Page::Runs(Vec::new()));
        let new = page.insert(low(seq));
        self.len += u64::from(new);
        new
    }

    /// Adds all from `first` to `last`.
    pub fn insert_run(&mut self, first: u64, last: u64) {
        for (page, from, to) in pages_of(first, last) {
            if from == 0 && to == u16::MAX {
                let old = self.pages.insert(page, Page::Runs(vec![(from, to)]));
                self.len += PAGE_SEQS - old.map_or(0, |old| old.count(0, u16::MAX));
            } else {
                (from..=to).for_each(|seq| {
                    self.insert((page << 16) | u64::from(seq));
                });
            }
        }
    }

    /// Removes a seq; whether it was there.
    pub fn remove(&mut self, seq: u64) -> bool {
        self.remove_run(seq, seq) == 1
    }

    /// Removes all from `first` to `last`; how many were there.
    pub fn remove_run(&mut self, first: u64, last: u64) -> u64 {
        let mut removed = 0;
        let mut empty = Vec::new();
        for (&number, page) in self.pages.range_mut(first >> 16..=last >> 16) {
            let from = if number == first >> 16 { low(first) } else { 0 };
            let to = if number == last >> 16 { low(last) } else { u16::MAX };
            removed += page.remove(from, to);
            if page.is_empty() {
                empty.push(number);
            }
        }
        for number in empty {
            self.pages.remove(&number);
        }
        self.len -= removed;
        removed
    }

    /// Whether a seq is in the set.
    pub fn contains(&self, seq: u64) -> bool {
        self.pages.get(&(seq >> 16)).is_some_and(|page| page.count(low(seq), low(seq)) == 1)
    }

    /// How many from `first` to `last` are in the set.
    pub fn count(&self, first: u64, last: u64) -> u64 {
        if first > last {
            return 0;
        }
        let count = |(&number, page): (&u64, &Page)| {
            let from = if number == first >> 16 { low(first) } else { 0 };
            page.count(from, if number == last >> 16 { low(last) } else { u16::MAX })
        };
        self.pages.range(first >> 16..=last >> 16).map(count).sum()
    }

    /// Whether any from `first` to `last` is in the set.
    pub fn any(&self, first: u64, last: u64) -> bool {
        self.first_from(first).is_some_and(|found| found <= last)
    }

    /// The lowest from `from` on.
    pub fn first_from(&self, from: u64) -> Option<u64> {
        self.pages.range(from >> 16..).find_map(|(&number, page)| {
            let start = if number == from >> 16 { low(from) } else { 0 };
            page.first_from(start).map(|seq| (number << 16) | u64::from(seq))
        })
    }

    /// The runs from `first` to `last`, ascending; runs of neighbouring pages are joined.
    pub fn runs(&self, first: u64, last: u64) -> Vec<(u64, u64)> {
        let mut runs: Vec<Run> = Vec::new();
        if first > last {
            return runs;
        }
        for (&number, page) in self.pages.range(first >> 16..=last >> 16) {
            page.each_run(&mut |from, to| {
                let from = ((number << 16) | u64::from(from)).max(first);
                let to = ((number << 16) | u64::from(to)).min(last);
                match runs.last_mut() {
                    _ if from > to => {}
                    Some(run) if run.1 + 1 == from => run.1 = to,
                    _ => runs.push((from, to)),
                }
            });
        }
        runs
    }

    /// Appends the set: a count of runs, then first and last of each.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        let runs = self.runs(0, u64::MAX);
        out.put_u64(runs.len() as u64);
        for (first, last) in runs {
            out.put_u64(first);
            out.put_u64(last);
        }
    }

    /// Takes a set from octets; `None` if they are none.
    pub(super) fn decode(from: &mut Take<'_>) -> Option<Self> {
        let mut set = Self::default();
        for _ in 0..from.u64()? {
            let (first, last) = (from.u64()?, from.u64()?);
            if last < first || last - first > RUN_SEQS_MAX {
                return None;
            }
            set.insert_run(first, last);
        }
        Some(set)
    }
}

/// Seqs of a run in a file; a longer one would be damage that takes for ever to load.
const RUN_SEQS_MAX: u64 = 1 << 40;

fn pages_of(first: u64, last: u64) -> impl Iterator<Item = (u64, u16, u16)> {
    (first >> 16..=last >> 16).map(move |page| {
        let from = if page == first >> 16 { low(first) } else { 0 };
        (page, from, if page == last >> 16 { low(last) } else { u16::MAX })
    })
}

impl Page {
    fn is_empty(&self) -> bool {
        match self {
            Self::Runs(runs) => runs.is_empty(),
            Self::Bits(bits) => bits.iter().all(|&word| word == 0),
        }
    }

    fn insert(&mut self, seq: u16) -> bool {
        let runs = match self {
            Self::Runs(runs) => runs,
            Self::Bits(bits) => return set_bit(bits, seq),
        };
        // The common case: the next in order.
        if let Some(run) = runs.last_mut()
            && run.1.checked_add(1) == Some(seq)
        {
            run.1 = seq;
            return true;
        }
        let at = runs.partition_point(|run| run.1 < seq);
        if runs.get(at).is_some_and(|run| run.0 <= seq) {
            return false;
        }
        let joins_left = at > 0 && runs.get(at - 1).is_some_and(|run| run.1.checked_add(1) == Some(seq));
        let joins_right = runs.get(at).is_some_and(|run| seq.checked_add(1) == Some(run.0));
        match (joins_left, joins_right) {
            (true, true) => {
                let right = runs.remove(at);
                runs.iter_mut().skip(at - 1).take(1).for_each(|run| run.1 = right.1);
            }
            (true, false) => runs.iter_mut().skip(at - 1).take(1).for_each(|run| run.1 = seq),
            (false, true) => runs.iter_mut().skip(at).take(1).for_each(|run| run.0 = seq),
            (false, false) => runs.insert(at, (seq, seq)),
        }
        self.limit_runs();
        true
    }

    fn limit_runs(&mut self) {
        let Self::Runs(runs) = self else { return };
        if runs.len() <= RUNS_MAX {
            return;
        }
        let mut bits = Box::new([0; WORDS]);
        for &(from, to) in runs.iter() {
            each_word(from, to, |at, mask| bits.iter_mut().skip(at).take(1).for_each(|word| *word |= mask));
        }
        *self = Self::Bits(bits);
    }

    /// Removes from `from` to `to`; how many were there.
    fn remove(&mut self, from: u16, to: u16) -> u64 {
        match self {
            Self::Runs(runs) => {
                let removed = remove_from_runs(runs, from, to);
                self.limit_runs();
                removed
            }
            Self::Bits(bits) => {
                let mut removed = 0;
                each_word(from, to, |at, mask| {
                    if let Some(word) = bits.get_mut(at) {
                        removed += u64::from((*word & mask).count_ones());
                        *word &= !mask;
                    }
                });
                removed
            }
        }
    }

    fn count(&self, from: u16, to: u16) -> u64 {
        match self {
            Self::Runs(runs) => {
                let at = runs.partition_point(|run| run.1 < from);
                let inside = runs.get(at..).unwrap_or_default().iter().take_while(|run| run.0 <= to);
                inside.map(|run| u64::from(run.1.min(to) - run.0.max(from)) + 1).sum()
            }
            Self::Bits(bits) => {
                let mut count = 0;
                each_word(from, to, |at, mask| {
                    count += u64::from((bits.get(at).copied().unwrap_or(0) & mask).count_ones());
                });
                count
            }
        }
    }

    fn first_from(&self, from: u16) -> Option<u16> {
        match self {
            Self::Runs(runs) => {
                let at = runs.partition_point(|run| run.1 < from);
                runs.get(at).map(|run| run.0.max(from))
            }
            Self::Bits(bits) => {
                let start = usize::from(from >> 6);
                let mask = u64::MAX << (from & 63);
                bits.iter().enumerate().skip(start).find_map(|(at, &word)| {
                    let word = if at == start { word & mask } else { word };
                    (word != 0).then(|| bit_at(at, word.trailing_zeros()))
                })
            }
        }
    }

    fn each_run(&self, each: &mut dyn FnMut(u16, u16)) {
        match self {
            Self::Runs(runs) => runs.iter().for_each(|&(from, to)| each(from, to)),
            Self::Bits(bits) => {
                for (at, &word) in bits.iter().enumerate() {
                    let mut rest = word;
                    while rest != 0 {
                        let start = rest.trailing_zeros();
                        let len = (!(rest >> start)).trailing_zeros().min(64 - start);
                        each(bit_at(at, start), bit_at(at, start + len - 1));
                        rest &= if start + len == 64 { 0 } else { u64::MAX << (start + len) };
                    }
                }
            }
        }
    }
}

fn bit_at(word: usize, bit: u32) -> u16 {
    u16::try_from(word * 64 + bit as usize).unwrap_or(u16::MAX)
}

fn set_bit(bits: &mut [u64; WORDS], seq: u16) -> bool {
    let Some(word) = bits.get_mut(usize::from(seq >> 6)) else { return false };
    let new = *word >> (seq & 63) & 1 == 0;
    *word |= 1 << (seq & 63);
    new
}

/// Calls `act` with each word that holds seqs from `from` to `to`, and the mask of those in it.
fn each_word(from: u16, to: u16, mut act: impl FnMut(usize, u64)) {
    for at in usize::from(from >> 6)..=usize::from(to >> 6) {
        let low = if at == usize::from(from >> 6) { u64::MAX << (from & 63) } else { u64::MAX };
        let high = if at == usize::from(to >> 6) { u64::MAX >> (63 - (to & 63)) } else { u64::MAX };
        act(at, low & high);
    }
}

fn remove_from_runs(runs: &mut Vec<(u16, u16)>, from: u16, to: u16) -> u64 {
    let start = runs.partition_point(|run| run.1 < from);
    let end = start + runs.iter().skip(start).take_while(|run| run.0 <= to).count();
    let mut removed = 0;
    let mut kept = Vec::new();
    for &(first, last) in runs.get(start..end).unwrap_or_default() {
        removed += u64::from(last.min(to) - first.max(from)) + 1;
        if first < from {
            kept.push((first, from - 1));
        }
        if last > to {
            kept.push((to + 1, last));
        }
    }
    runs.splice(start..end, kept);
    removed
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_backlog_in_order_is_one_run_per_page() {
        let mut set = SeqSet::default();
        (1..200_000).for_each(|seq| assert!(set.insert(seq)));
        assert_eq!(set.pages.len(), 4);
        assert_eq!(set.runs(0, u64::MAX), vec![(1, 199_999)]);
        assert_eq!(set.remove_run(0, 100_000), 100_000);
        assert_eq!(set.first_from(0), Some(100_001));
    }

    #[test]
    fn many_holes_turn_a_page_into_bits() {
        let mut set = SeqSet::default();
        set.insert_run(0, 65_535);
        (0..32_768).for_each(|half| assert!(set.remove(half * 2)));
        assert!(matches!(set.pages.get(&0), Some(Page::Bits(_))));
        assert_eq!(set.len(), 32_768);
        assert_eq!(set.first_from(4), Some(5));
        assert_eq!(set.runs(0, 6), vec![(1, 1), (3, 3), (5, 5)]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn it_is_a_set(
            steps in prop::collection::vec((any::<bool>(), 65_000u64..67_000, 0u64..300), 1..120),
            dense in any::<bool>(),
        ) {
            let (mut set, mut model) = (SeqSet::default(), BTreeSet::new());
            if dense {
                (64_000..68_000).step_by(2).for_each(|seq| { set.insert(seq); model.insert(seq); });
            }
            for (add, first, len) in steps {
                if add {
                    set.insert_run(first, first + len);
                    model.extend(first..=first + len);
                } else {
                    let before = model.len();
                    model.retain(|seq| !(first..=first + len).contains(seq));
                    prop_assert_eq!(set.remove_run(first, first + len), (before - model.len()) as u64);
                }
                prop_assert_eq!(set.len(), model.len() as u64);
                prop_assert_eq!(set.first_from(first), model.range(first..).next().copied());
                prop_assert_eq!(set.count(first, first + 500), model.range(first..=first + 500).count() as u64);
                prop_assert_eq!(set.contains(first), model.contains(&first));
            }
            let all: Vec<u64> = set.runs(0, u64::MAX).into_iter().flat_map(|(a, b)| a..=b).collect();
            prop_assert_eq!(all, model.into_iter().collect::<Vec<_>>());
            let mut out = Vec::new();
            set.encode(&mut out);
            let back = SeqSet::decode(&mut Take(&out)).unwrap();
            prop_assert_eq!(back.runs(0, u64::MAX), set.runs(0, u64::MAX));
        }
    }
}
