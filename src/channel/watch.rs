//! What others see of a channel, and how it is counted: on the reader's side in plain numbers, told once per batch.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use lepus_protocol::DeliveryTag;
use parking_lot::Mutex;

use super::confirms::Confirms;
use super::deliveries::Deliveries;
use super::{Channel, Mode};
use crate::broker::connections::{ChannelReport, Held, Observed};
use crate::broker::exchange::Exchange;
use crate::clock::Timestamp;
use crate::id::EntityId;
use crate::metrics::{MessageTally, SharedTally, SizeTally};

/// A channel for those who look on.
pub(super) struct Watch {
    deliveries: Arc<Deliveries>,
    tally: SharedTally,
    prefetch: AtomicU32,
    uncommitted: AtomicU64,
    acks_uncommitted: AtomicU64,
    /// Milliseconds since the epoch.
    active_at: AtomicU64,
    mode: Mutex<WatchedMode>,
}

#[derive(Debug, Default)]
enum WatchedMode {
    #[default]
    Plain,
    Confirm(Arc<Confirms>),
    Tx,
}

/// Publishes in a row to one exchange.
#[derive(Debug)]
pub(super) struct ExchangeRun {
    exchange: Arc<Exchange>,
    tally: MessageTally,
}

impl Watch {
    pub(super) fn new(deliveries: Arc<Deliveries>, now: Timestamp) -> Arc<Self> {
        Arc::new(Self {
            deliveries,
            tally: SharedTally::default(),
            prefetch: AtomicU32::new(0),
            uncommitted: AtomicU64::new(0),
            acks_uncommitted: AtomicU64::new(0),
            active_at: AtomicU64::new(now.as_millis()),
            mode: Mutex::default(),
        })
    }

    /// The channel confirms from here on.
    pub(super) fn confirms(&self, confirms: Arc<Confirms>) {
        *self.mode.lock() = WatchedMode::Confirm(confirms);
    }

    /// The channel works in transactions from here on.
    pub(super) fn transacts(&self) {
        *self.mode.lock() = WatchedMode::Tx;
    }

    /// Deliveries that each new consumer may hold.
    pub(super) fn set_prefetch(&self, prefetch: Option<u32>) {
        self.prefetch.store(prefetch.unwrap_or_default(), Ordering::Relaxed);
    }

    /// Publishes not confirmed yet, and those confirmed so far.
    fn confirm_counts(&self) -> (u64, u64) {
        match &*self.mode.lock() {
            WatchedMode::Confirm(confirms) => confirms.counts(),
            WatchedMode::Plain | WatchedMode::Tx => (0, 0),
        }
    }
}

impl Observed for Watch {
    fn report(&self) -> ChannelReport {
        let counts = self.deliveries.counts();
        let (confirms, transactional) = match *self.mode.lock() {
            WatchedMode::Plain => (false, false),
            WatchedMode::Confirm(_) => (true, false),
            WatchedMode::Tx => (false, true),
        };
        ChannelReport {
            prefetch: self.prefetch.load(Ordering::Relaxed),
            global_prefetch: counts.limit.unwrap_or_default() as u64,
            consumers: counts.consumers,
            unacked: counts.unacked,
            unconfirmed: self.confirm_counts().0,
            uncommitted: self.uncommitted.load(Ordering::Relaxed),
            acks_uncommitted: self.acks_uncommitted.load(Ordering::Relaxed),
            confirms,
            transactional,
            idle_since: Timestamp::from_millis(self.active_at.load(Ordering::Relaxed)),
        }
    }

    fn tally(&self) -> MessageTally {
        let mut tally = self.tally.load();
        tally.add(&self.deliveries.counts().tally);
        tally.confirm += self.confirm_counts().1;
        tally
    }

    fn held_of(&self, queue: EntityId, after: DeliveryTag, max: usize) -> (Vec<Held>, Option<DeliveryTag>) {
        self.deliveries.held_of(queue, after, max)
    }
}

impl Channel {
    /// Counts a publish of so many octets to `exchange`.
    pub(super) fn count_publish(&mut self, exchange: &Arc<Exchange>, octets: usize) {
        self.sizes.count(octets as u64);
        self.tally.publish += 1;
        self.tally.publish_to_confirm += u64::from(matches!(self.mode, Mode::Confirm(_)));
        let is_same = self.exchange_run.as_ref().is_some_and(|run| run.exchange.id == exchange.id);
        if !is_same {
            self.fold_exchange_run();
            let exchange = Arc::clone(exchange);
            self.exchange_run = Some(ExchangeRun { exchange, tally: MessageTally::default() });
        }
        if let Some(run) = &mut self.exchange_run {
            run.tally.publish_in += 1;
        }
    }

    /// Counts where the publish that was counted last goes.
    pub(super) fn count_routes(&mut self, routes: u64, mandatory: bool) {
        self.tally.publish_out += routes;
        if let Some(run) = &mut self.exchange_run {
            run.tally.publish_out += routes;
        }
        if routes == 0 {
            let unroutable =
                if mandatory { &mut self.tally.return_unroutable } else { &mut self.tally.drop_unroutable };
            *unroutable += 1;
        }
    }

    /// The end of a batch: others may see what was counted.
    pub(super) fn fold_tally(&mut self, now: Timestamp) {
        self.watch.tally.fold(&mut self.tally);
        if self.sizes != SizeTally::default() {
            self.context.entry.sizes.fold(&mut self.sizes);
        }
        self.watch.active_at.store(now.as_millis(), Ordering::Relaxed);
        if let Some(run) = &mut self.exchange_run {
            run.exchange.tally.fold(&mut run.tally);
        }
        if let Mode::Tx(tx) = &self.mode {
            let (publishes, settlements) = tx.gathered();
            self.watch.uncommitted.store(publishes as u64, Ordering::Relaxed);
            self.watch.acks_uncommitted.store(settlements as u64, Ordering::Relaxed);
        }
    }

    fn fold_exchange_run(&mut self) {
        if let Some(mut run) = self.exchange_run.take() {
            run.exchange.tally.fold(&mut run.tally);
        }
    }
}
