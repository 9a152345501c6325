//! Transactions (§1.9): publishes and settlements of one channel that happen at commit, or not at all.

use std::sync::Arc;

use lepus_protocol::method::tx;

use super::held::{Held, TooMuch};
use super::publish::Publication;
use super::unacked::Unacked;
use super::{Channel, Mode};
use crate::clock::Timestamp;
use crate::exception::{ChannelException, Exception};
use crate::message::Message;
use crate::queue::Settlement;

/// Publishes and settlements that one transaction may hold.
const TX_OPERATIONS_MAX: usize = 1_000_000;

/// What a transaction has gathered.
#[derive(Debug)]
pub(super) struct Tx {
    publishes: Vec<(Publication, Message)>,
    settlements: Vec<(Settlement, Vec<Unacked>)>,
    held: Held,
    operations: usize,
}

impl Tx {
    /// Nothing gathered yet.
    pub(super) fn new(held: Held) -> Self {
        Self { publishes: Vec::new(), settlements: Vec::new(), held, operations: 0 }
    }

    /// Gathers a publish.
    pub(super) fn publish(
        &mut self,
        publication: Publication,
        message: Message,
    ) -> Result<(), ChannelException> {
        self.held.grow(message.memory_len() as u64).map_err(|TooMuch { max }| {
            ChannelException::precondition_failed(format_args!(
                "more than {max} octets in transactions that are not committed"
            ))
        })?;
        self.publishes.push((publication, message));
        self.count(1)
    }

    /// Gathers settlements.
    pub(super) fn settle(
        &mut self,
        how: Settlement,
        deliveries: Vec<Unacked>,
    ) -> Result<(), ChannelException> {
        let count = deliveries.len();
        self.settlements.push((how, deliveries));
        self.count(count)
    }

    fn count(&mut self, operations: usize) -> Result<(), ChannelException> {
        self.operations += operations;
        if self.operations > TX_OPERATIONS_MAX {
            return Err(ChannelException::precondition_failed(format_args!(
                "more than {TX_OPERATIONS_MAX} publishes and settlements in a transaction"
            )));
        }
        Ok(())
    }

    /// Publishes and settlements gathered.
    pub(super) fn gathered(&self) -> (usize, usize) {
        let publishes = self.publishes.len();
        (publishes, self.operations - publishes)
    }

    /// The deliveries that were to be settled: unsettled again.
    pub(super) fn into_unacked(self) -> Vec<Unacked> {
        self.settlements.into_iter().flat_map(|(_, deliveries)| deliveries).collect()
    }
}

impl Channel {
    /// Class tx.
    pub(super) fn on_tx(&mut self, method: &tx::Method, now: Timestamp) -> Result<(), Exception> {
        match method {
            tx::Method::Select(_) => self.tx_select(),
            tx::Method::Commit(_) => self.tx_commit(now),
            tx::Method::Rollback(_) => self.tx_rollback(),
            tx::Method::SelectOk(_) | tx::Method::CommitOk(_) | tx::Method::RollbackOk(_) => {
                Err(Self::unimplemented())
            }
        }
    }

    fn tx_select(&mut self) -> Result<(), Exception> {
        match self.mode {
            Mode::Confirm(_) => {
                return Err(
                    ChannelException::precondition_failed("cannot switch from confirm to tx mode").into()
                );
            }
            Mode::Plain => {
                self.watch.transacts();
                self.mode = Mode::Tx(Tx::new(self.context.holdings.hold_none()));
            }
            Mode::Tx(_) => {}
        }
        self.reply(tx::SelectOk);
        Ok(())
    }

    fn tx_commit(&mut self, now: Timestamp) -> Result<(), Exception> {
        let tx = self.take_tx()?;
        let context = Arc::clone(&self.context);
        context.session.transact(|| {
            // Routed now: what is rolled back leaves no trace, also not in what exchanges remember.
            for (publication, message) in &tx.publishes {
                self.give_to_queues(publication, message, now);
            }
            for (how, deliveries) in tx.settlements {
                self.settle_all(deliveries, how, now);
            }
        });
        if self.context.session.must_wait() {
            self.context.outbound.hold();
        }
        self.reply(tx::CommitOk);
        Ok(())
    }

    /// §1.9.2.5: messages delivered are not given back by a rollback; their settlement is undone.
    fn tx_rollback(&mut self) -> Result<(), Exception> {
        let tx = self.take_tx()?;
        self.deliveries.put_back(tx.into_unacked());
        self.reply(tx::RollbackOk);
        Ok(())
    }

    fn take_tx(&mut self) -> Result<Tx, ChannelException> {
        match &mut self.mode {
            Mode::Tx(tx) => Ok(std::mem::replace(tx, Tx::new(self.context.holdings.hold_none()))),
            Mode::Plain | Mode::Confirm(_) => {
                Err(ChannelException::precondition_failed("channel is not transactional"))
            }
        }
    }
}
