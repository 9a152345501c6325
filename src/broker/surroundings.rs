//! What the queues of a virtual host are given to act upon the rest of the broker.

use std::sync::{Arc, Weak};

use super::alarm::Alarms;
use super::dead_letter;
use super::journal::{Journal, Record};
use super::pager::Pager;
use super::timers::Timers;
use super::vhost::Vhost;
use crate::clock::Timestamp;
use crate::queue::{Departures, Dropped, Host, Queue, Seq};

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

    fn dropped(&self, queue: &Queue, dropped: Vec<Dropped>, now: Timestamp) {
        if let Some(vhost) = self.vhost.upgrade() {
            dead_letter::carry(&vhost, queue, dropped, now);
        }
    }

    fn delivered(&self, queue: &Queue, level: u8, seq: Seq) {
        self.journal.record(Record::Delivered(queue.id, level, seq));
    }

    fn gone(&self, queue: &Queue, departures: &Departures) {
        if self.journal.is_kept() && !departures.logged.is_empty() {
            self.journal.record(Record::Gone(queue.id, departures.logged.clone()));
        }
        if let Some(pager) = &self.pager {
            pager.forget(queue.id, departures);
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
