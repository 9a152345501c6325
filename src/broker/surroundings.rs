//! What the queues of a virtual host are given to act upon the rest of the broker.

use std::sync::{Arc, Weak};

use super::alarm::Alarms;
use super::dead_letter;
use super::journal::{Journal, Record};
use super::pager::Pager;
use super::timers::Timers;
use super::vhost::Vhost;
use crate::clock::Timestamp;
use crate::queue::{Departures, Dropped, Host, Lane, Queue, Seq};

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

    fn left(&self, queue: &Queue, dropped: Vec<Dropped>, gone: Departures, now: Timestamp) {
        let is_logged = self.journal.is_kept() && !gone.logged.is_empty();
        let record = is_logged.then(|| Record::Gone(queue.id, gone.logged.clone()));
        match self.vhost.upgrade() {
            Some(vhost) if !dropped.is_empty() => dead_letter::carry(&vhost, queue, dropped, record, now),
            _ => record.into_iter().for_each(|record| self.journal.record(record)),
        }
        // What was to be carried has been read by now.
        if let Some(pager) = &self.pager {
            pager.forget(queue.id, &gone);
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
