//! Transactions (§1.9): publishes and settlements of one channel that happen at commit, or not at all.

use lepus_protocol::method::tx;

use super::publish::RoutedMessage;
use super::unacked::Unacked;
use super::{Channel, Mode};
use crate::clock::Timestamp;
use crate::exception::{ChannelException, Exception};
use crate::queue::Settlement;

/// Octets of messages that one transaction may hold: it is all in memory until it commits.
const TX_OCTETS_MAX: usize = 256 * 1024 * 1024;

/// Publishes and settlements that one transaction may hold.
const TX_OPERATIONS_MAX: usize = 1_000_000;

/// What a transaction has gathered.
#[derive(Debug, Default)]
pub(super) struct Tx {
    publishes: Vec<RoutedMessage>,
    settlements: Vec<(Settlement, Vec<Unacked>)>,
    octets: usize,
    operations: usize,
}

impl Tx {
    /// Gathers a publish.
    pub(super) fn publish(&mut self, routed: RoutedMessage) -> Result<(), ChannelException> {
        self.grow(routed.message.memory_len(), 1)?;
        self.publishes.push(routed);
        Ok(())
    }

    /// Gathers settlements.
    pub(super) fn settle(
        &mut self,
        how: Settlement,
        deliveries: Vec<Unacked>,
    ) -> Result<(), ChannelException> {
        let count = deliveries.len();
        self.settlements.push((how, deliveries));
        self.grow(0, count)
    }

    fn grow(&mut self, octets: usize, operations: usize) -> Result<(), ChannelException> {
        self.octets += octets;
        self.operations += operations;
        if self.octets > TX_OCTETS_MAX || self.operations > TX_OPERATIONS_MAX {
            return Err(ChannelException::precondition_failed(format_args!(
                "transaction of {} octets in {} operations; at most {TX_OCTETS_MAX} in {TX_OPERATIONS_MAX} are \
                 accepted",
                self.octets, self.operations
            )));
        }
        Ok(())
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
            Mode::Plain => self.mode = Mode::Tx(Tx::default()),
            Mode::Tx(_) => {}
        }
        self.reply(tx::SelectOk);
        Ok(())
    }

    fn tx_commit(&mut self, now: Timestamp) -> Result<(), Exception> {
        let tx = self.take_tx()?;
        self.context.session.transact(|| {
            for mut routed in tx.publishes {
                self.give_to_queues(&mut routed, now);
            }
            for (how, deliveries) in tx.settlements {
                self.settle_all(deliveries, how, now);
            }
        });
        if self.context.session.is_unlogged() {
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
            Mode::Tx(tx) => Ok(std::mem::take(tx)),
            Mode::Plain | Mode::Confirm(_) => {
                Err(ChannelException::precondition_failed("channel is not transactional"))
            }
        }
    }
}
