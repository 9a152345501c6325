//! A random user of a store on a simulated disk, who checks what comes back.

use std::path::Path;
use std::sync::Arc;

use lepus::storage::env::SimEnv;
use lepus::storage::{
    Driver, Durability, LogPosition, Options, Placement, QueueId, Recovered, Seq, SeqRun, Store, StoreError,
};

use crate::Random;
use crate::model::{Contents, Live, Model, Op};

/// The store's directory on the simulated disk.
pub(crate) const DIR: &str = "/data";

/// Queues in use at a time.
pub(crate) const QUEUES: usize = 4;

/// Octets of the log that may be written before a publish that was put off must come: less than the log is long, for
/// a queue that is gone is remembered as long as that at least.
const LATE_MAX: u64 = 128 << 10;

/// Sizes at which a few hundred operations roll the log many times.
pub(crate) fn small_options(random: &mut Random) -> Options {
    Options {
        durability: if random.once_in(4) { Durability::Os } else { Durability::Fsync },
        driver: Driver::Caller,
        log_file_len: 64 << 10,
        disk_reserve: 0,
        log_files: 5 + random.below(3) as u32,
        block_len: 4096 << random.below(3),
        buffer_len: 64 << 10,
        segment_len: 32 << 10,
        carry_len: 1024 << random.below(4),
        garbage_len: 4096,
    }
}

/// Opens the store; every queue is known.
pub(crate) fn open(env: &SimEnv, options: Options) -> Result<(Store, Recovered), StoreError> {
    Store::open(Arc::new(env.clone()), Path::new(DIR), options, &|_| true)
}

/// All live messages of the store, read in pieces of about `budget` octets.
pub(crate) fn contents(store: &Store, queues: &[u64], budget: usize) -> Result<Contents, StoreError> {
    let mut all = Contents::new();
    for &queue in queues {
        let mut from = Seq::FIRST;
        loop {
            let mut out = Vec::new();
            store.read(QueueId(queue), from, budget, &mut out)?;
            let Some(last) = out.last() else { break };
            from = last.seq.next();
            let live = all.entry(queue).or_default();
            for message in out {
                let value: Live = (message.expires_ms, message.deliveries, message.image.to_vec());
                let highest = live.last_key_value().map_or(0, |(&seq, _)| seq);
                assert!(highest < message.seq.0, "queue {queue} is read in order");
                live.insert(message.seq.0, value);
            }
        }
    }
    Ok(all)
}

/// The user.
pub(crate) struct Workload {
    pub(crate) env: SimEnv,
    pub(crate) random: Random,
    pub(crate) options: Options,
    pub(crate) model: Model,
    /// Queue, next seq, seqs published and not acked.
    queues: Vec<(u64, u64, Vec<u64>)>,
    /// All queues that ever were.
    pub(crate) ever: Vec<u64>,
    /// Publishes whose seqs are given out and that are appended later.
    late: Vec<Op>,
    /// Octets of the log when the first of these was put off.
    late_since: u64,
    /// Where records end that asked for a sync.
    synced: Vec<LogPosition>,
    /// Only one in so many acks is made, and of purges fewer still.
    settles_one_in: u64,
    /// Queues are deleted now and then.
    deletes: bool,
}

impl Workload {
    pub(crate) fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let options = small_options(&mut random);
        let mut workload = Self {
            env: SimEnv::new(),
            random,
            options,
            model: Model::default(),
            queues: Vec::new(),
            ever: Vec::new(),
            late: Vec::new(),
            late_since: 0,
            synced: Vec::new(),
            settles_one_in: 1,
            deletes: true,
        };
        (0..QUEUES).for_each(|_| workload.declare());
        workload
    }

    /// Leaves a backlog.
    pub(crate) fn settles_rarely(&mut self) {
        self.settles_one_in = 20;
    }

    /// From now on no queue is deleted.
    pub(crate) fn deletes_no_more(&mut self) {
        self.deletes = false;
    }

    fn declare(&mut self) {
        let id = self.ever.len() as u64 + 1;
        self.ever.push(id);
        self.queues.push((id, 1, Vec::new()));
    }

    /// How far the log survives a loss of power: what asked for no sync may be lost with it.
    pub(crate) fn survives(&self, store: &Store) -> LogPosition {
        let durable = store.durable();
        self.synced.iter().copied().filter(|position| *position <= durable).max().unwrap_or_default()
    }

    /// Does something random.
    pub(crate) fn step(&mut self, store: &Store) -> Result<(), StoreError> {
        if !self.late.is_empty() && store.stats().log_written > self.late_since + LATE_MAX {
            return self.flush_late(store);
        }
        match self.random.below(40) {
            0..=15 => self.publish(store),
            16..=23 => self.ack(store),
            24 => self.delivered(store),
            25 => self.count(store),
            26 => self.purge_or_delete(store),
            27..=28 => self.tx(store),
            29..=36 => store.commit().map(|_| ()),
            37 => self.flush_late(store),
            38 => store.maintain().map(|_| ()),
            _ => self.check(store),
        }
    }

    fn append(&mut self, store: &Store, op: Op) -> Result<(), StoreError> {
        // Where no sync is the rule, some records ask for one.
        let is_synced = self.options.durability == Durability::Fsync || self.random.once_in(8);
        let durability = if is_synced { Durability::Fsync } else { Durability::Os };
        let position = op.with(&mut |record| store.append_as(&[record], durability))?;
        if is_synced {
            self.synced.push(position);
        }
        self.model.append(position, op);
        Ok(())
    }

    fn message(&mut self) -> Op {
        let mut to = Vec::new();
        for at in 0..QUEUES {
            let chosen = to.is_empty() && at + 1 == QUEUES || self.random.once_in(3);
            if chosen && let Some((queue, next, live)) = self.queues.get_mut(at) {
                let expires_ms = self.random.below(3) * 1000;
                to.push(Placement { queue: QueueId(*queue), seq: Seq(*next), expires_ms });
                live.push(*next);
                *next += 1 + u64::from(self.random.once_in(9)) * self.random.below(5);
            }
        }
        let len = match self.random.below(30) {
            0 => self.random.below(20_000),
            1..=6 => self.random.below(2_500),
            _ => self.random.below(200),
        };
        let image = (0..len).map(|_| self.random.next() as u8).collect();
        Op::Publish(to, image)
    }

    fn publish(&mut self, store: &Store) -> Result<(), StoreError> {
        let op = self.message();
        if self.random.once_in(8) {
            if self.late.is_empty() {
                self.late_since = store.stats().log_written;
            }
            self.late.push(op);
            return Ok(());
        }
        self.append(store, op)
    }

    fn flush_late(&mut self, store: &Store) -> Result<(), StoreError> {
        while let Some(op) = self.late.pop() {
            self.append(store, op)?;
        }
        Ok(())
    }

    fn acks(&mut self) -> Option<Op> {
        let at = self.random.below(QUEUES as u64) as usize;
        let from_front = !self.random.once_in(3);
        let (queue, _, live) = self.queues.get_mut(at)?;
        let mut runs: Vec<SeqRun> = Vec::new();
        for _ in 0..1 + self.random.below(20) {
            if live.is_empty() {
                break;
            }
            let place = if from_front { 0 } else { self.random.below(live.len() as u64) as usize };
            let seq = Seq(live.remove(place));
            match runs.last_mut() {
                Some(run) if run.last.next() == seq => run.last = seq,
                _ => runs.push(SeqRun { first: seq, last: seq }),
            }
        }
        (!runs.is_empty()).then_some(Op::Ack(QueueId(*queue), runs))
    }

    fn ack(&mut self, store: &Store) -> Result<(), StoreError> {
        if !self.random.once_in(self.settles_one_in) {
            return Ok(());
        }
        self.acks().map_or(Ok(()), |op| self.append(store, op))
    }

    fn tx(&mut self, store: &Store) -> Result<(), StoreError> {
        let mut ops = Vec::new();
        for _ in 0..1 + self.random.below(4) {
            let op = if self.random.once_in(2) { self.acks() } else { None };
            let op = op.unwrap_or_else(|| self.message());
            ops.push(op);
        }
        match self.append(store, Op::Tx(ops)) {
            // Forgotten by both; its seqs are a gap.
            Err(StoreError::TooLarge { .. }) => Ok(()),
            done => done,
        }
    }

    fn delivered(&mut self, store: &Store) -> Result<(), StoreError> {
        let at = self.random.below(QUEUES as u64) as usize;
        let (queue, next, _) = self.queues.get(at).unwrap();
        let op = Op::Delivered(QueueId(*queue), Seq(1 + self.random.below(*next)));
        self.append(store, op)
    }

    fn count(&mut self, store: &Store) -> Result<(), StoreError> {
        let at = self.random.below(QUEUES as u64) as usize;
        let (queue, _, live) = self.queues.get(at).unwrap();
        let Some(&seq) = live.first() else { return Ok(()) };
        let op = Op::Count(QueueId(*queue), Seq(seq), 2 + self.random.below(9) as u32);
        self.append(store, op)
    }

    fn purge_or_delete(&mut self, store: &Store) -> Result<(), StoreError> {
        let at = self.random.below(QUEUES as u64) as usize;
        if !self.random.once_in(self.settles_one_in * self.settles_one_in) {
            return Ok(());
        }
        let (queue, next, live) = self.queues.get_mut(at).unwrap();
        live.clear();
        let op = if self.deletes && self.random.once_in(4) {
            Op::Delete(QueueId(*queue))
        } else {
            Op::Purge(QueueId(*queue), Seq(*next - 1))
        };
        let gone = matches!(op, Op::Delete(_));
        self.append(store, op)?;
        if gone {
            self.queues.remove(at);
            self.declare();
        }
        Ok(())
    }

    /// What the store shows is what the model says is durable.
    pub(crate) fn check(&mut self, store: &Store) -> Result<(), StoreError> {
        let budget = 1 << self.random.below(16);
        let shown = contents(store, &self.ever, budget)?;
        assert_contents(&shown, &self.model.at(store.durable()).contents());
        Ok(())
    }

    /// After a restart: checks what came back and goes on with it.
    pub(crate) fn recover(&mut self, store: &Store, recovered: &Recovered, durable: LogPosition) {
        let budget = 1 << self.random.below(16);
        let shown = contents(store, &self.ever, budget).unwrap();
        let expected = self.model.at(durable).contents();
        let Some(state) = self.model.recover(durable, &shown) else {
            assert_contents(&shown, &expected);
            panic!("what came back is no prefix of what was appended");
        };
        self.late.clear();
        self.synced.clear();
        for (queue, next, live) in &mut self.queues {
            let found = recovered.queues.iter().find(|found| found.id.0 == *queue);
            let found_next = found.map_or(1, |found| found.next_seq.0);
            assert!(found_next >= state.next(*queue), "queue {queue} would give out a seq twice");
            *next = found_next.max(1);
            *live = shown.get(queue).map(|live| live.keys().copied().collect()).unwrap_or_default();
            assert_eq!(found.map_or(0, |found| found.messages), live.len() as u64);
        }
    }
}

/// Compares without printing images.
pub(crate) fn assert_contents(shown: &Contents, expected: &Contents) {
    let brief = |contents: &Contents| -> Vec<(u64, Vec<_>)> {
        let message = |(&seq, live): (&u64, &Live)| (seq, live.0, live.1, live.2.len());
        contents.iter().map(|(&queue, live)| (queue, live.iter().map(message).collect())).collect()
    };
    if shown != expected {
        assert_eq!(brief(shown), brief(expected), "shown and expected: (seq, expires, deliveries, len)");
        panic!("images differ");
    }
}
