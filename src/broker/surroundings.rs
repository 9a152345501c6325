//! What the queues of a virtual host are given to act upon the rest of the broker.

use std::sync::{Arc, Weak};

use super::alarm::Alarms;
use super::dead_letter;
use super::journal::{Journal, Placements, Record};
use super::pager::Pager;
use super::timers::Timers;
use super::vhost::Vhost;
use crate::clock::Timestamp;
use crate::message::Message;
use crate::queue::{Dead, Departures, Dropped, Home, Host, Lane, Moved, Moves, Placement, Queue, Seq, Turn};

/// What queues of this virtual host are given.
pub(super) struct Surroundings {
    pub(super) vhost: Weak<Vhost>,
    pub(super) timers: Arc<Timers>,
    pub(super) alarms: Arc<Alarms>,
    pub(super) journal: Arc<Journal>,
    pub(super) pager: Option<Arc<Pager>>,
}

impl Host for Surroundings {
    fn arm(&self, queue: &Arc<Queue>, at: Timestamp) {
        self.timers.arm(at, Weak::clone(&self.vhost), queue.name.clone(), queue.id);
    }

    fn delivered(&self, queue: &Queue, level: Lane, seq: Seq) {
        self.journal.record(Record::Delivered(queue.id, level, seq));
    }

    fn counted(&self, queue: &Queue, level: Lane, seq: Seq, deliveries: u32) {
        self.journal.record(Record::Counted(queue.id, level, seq, deliveries));
    }

    fn moved(&self, queue: &Queue, moves: Moves) {
        let Moves { placed, left } = moves;
        let move_all = || {
            if queue.definition.get().is_some() {
                self.journal.hold();
            }
            for Moved { level, seq, expires, message } in placed {
                let placement = Placement { queue: queue.id, level, seq, expires };
                self.journal.record(Record::Publish(Placements::from_buf([placement]), message));
            }
            self.left(queue, Vec::new(), left, None, Timestamp::default());
        };
        let ((), _nobody_waits) = self.journal.atomically(move_all, |_| ());
    }

    fn fetch(&self, queue: &Queue, level: Lane, seq: Seq, home: Home) -> Option<Message> {
        self.vhost.upgrade()?.fetch(queue, level, seq, home)
    }

    fn left(
        &self,
        queue: &Queue,
        dropped: Vec<Dropped>,
        gone: Departures,
        turn: Option<Turn>,
        now: Timestamp,
    ) {
        let is_logged = self.journal.is_kept() && !gone.logged.is_empty();
        let record = is_logged.then(|| Record::Gone(queue.id, gone.logged.clone()));
        match self.vhost.upgrade() {
            Some(vhost) if !dropped.is_empty() => {
                dead_letter::carry(&vhost, queue, dropped, (record, turn), now);
            }
            _ => record.into_iter().for_each(|record| self.journal.record(record)),
        }
        // What was to be carried has been read by now.
        if let Some(pager) = &self.pager {
            pager.forget(queue.id, &gone);
        }
    }

    fn died(&self, queue: &Arc<Queue>, dead: Vec<Dead>, turn: Option<Turn>, now: Timestamp) {
        if let Some(vhost) = self.vhost.upgrade() {
            dead_letter::carry_kept(&vhost, queue, dead, turn, now);
        }
    }

    fn account(&self, queue: &Arc<Queue>, octets: i64) {
        self.alarms.account(octets);
        if octets > 0
            && let Some(pager) = &self.pager
        {
            pager.grew(queue);
        }
    }

    fn page_in(&self, queue: &Arc<Queue>) {
        if let Some(pager) = &self.pager {
            pager.page_in(queue);
        }
    }
}
