//! Policies of a virtual host: what the management API asks for, and how a change takes effect.

use std::sync::Arc;

use parking_lot::{Mutex, RwLock};

use super::exchange::Exchange;
use super::vhost::Vhost;
use crate::clock::Timestamp;
use crate::metadata::{Change, PolicyDefinition, PolicyKind};
use crate::name::Name;
use crate::policy::{Applied, Policies, Policy, PolicyError, Subject};
use crate::queue::settings::Settings;
use crate::queue::{Queue, QueueArguments};

/// What a policy matches: also where another one of higher priority holds.
#[derive(Clone, Debug, Default)]
pub struct Matched {
    /// Queues, in no particular order.
    pub queues: Vec<Arc<Queue>>,
    /// Exchanges, in no particular order.
    pub exchanges: Vec<Arc<Exchange>>,
}

/// The policies of a virtual host.
#[derive(Debug, Default)]
pub(super) struct PolicySet {
    all: RwLock<Policies>,
    /// They are changed, and made to hold, one at a time. Taken before the topology.
    changes: Mutex<()>,
}

impl Vhost {
    /// All policies of a kind, by name.
    pub fn policies(&self, kind: PolicyKind) -> Vec<Arc<Policy>> {
        self.policies.all.read().list(kind)
    }

    /// One policy.
    pub fn policy(&self, kind: PolicyKind, name: &str) -> Option<Arc<Policy>> {
        self.policies.all.read().get(kind, name)
    }

    /// Sets a policy, which takes effect at once. Says whether there was none of this name. It is kept once
    /// [`Broker::flush`](super::Broker::flush) has ended.
    ///
    /// # Errors
    /// What is wrong with it, in RabbitMQ's words; nothing has happened then.
    pub fn put_policy(
        &self,
        kind: PolicyKind,
        name: Name,
        definition: PolicyDefinition,
        now: Timestamp,
    ) -> Result<bool, PolicyError> {
        let policy = Policy::new(kind, name.clone(), definition)?;
        let kept = policy.to_definition();
        let _one_at_a_time = self.policies.changes.lock();
        let is_new = {
            let mut topology = self.topology();
            let is_new = self.policies.all.write().put(kind, policy)?;
            self.record(&mut topology, Change::PutPolicy(kind, self.name.clone(), name.clone(), kept));
            is_new
        };
        tracing::info!(vhost = %self.name, policy = %name, ?kind, "policy set");
        self.reapply_policies(now);
        Ok(is_new)
    }

    /// Takes a policy away, which takes effect at once. Says whether there was one.
    pub fn delete_policy(&self, kind: PolicyKind, name: &Name, now: Timestamp) -> bool {
        let _one_at_a_time = self.policies.changes.lock();
        {
            let mut topology = self.topology();
            if !self.policies.all.write().remove(kind, name.as_str()) {
                return false;
            }
            self.record(&mut topology, Change::DeletePolicy(kind, self.name.clone(), name.clone()));
        }
        tracing::info!(vhost = %self.name, policy = %name, ?kind, "policy deleted");
        self.reapply_policies(now);
        true
    }

    /// Puts a policy back that is kept, before there are queues and exchanges.
    pub(super) fn restore_policy(
        &self,
        kind: PolicyKind,
        name: Name,
        definition: PolicyDefinition,
    ) -> Result<(), PolicyError> {
        let policy = Policy::kept(kind, name, definition)?;
        self.policies.all.write().put(kind, policy).map(drop)
    }

    /// What a policy matches.
    pub fn matched_by(&self, policy: &Policy) -> Matched {
        let mut matched = Matched { queues: self.queues(), exchanges: self.exchanges() };
        matched.queues.retain(|queue| policy.matches(&queue.name, subject(&queue.options.arguments)));
        matched.exchanges.retain(|exchange| policy.matches(&exchange.name, Subject::Exchange));
        matched
    }

    /// What holds for a queue.
    pub(super) fn queue_settings(&self, name: &Name, arguments: &QueueArguments) -> Settings {
        let applied = self.policies.all.read().applied_to(name, subject(arguments));
        let settings = Settings::new(arguments, applied).with_lease_default(self.lease.get());
        if let Some(why) = settings.fallback {
            // RabbitMQ's warning.
            tracing::warn!(vhost = %self.name, queue = %name, why, "dead letters are sent at most once");
        }
        settings
    }

    /// What holds for an exchange.
    pub(super) fn exchange_policy(&self, name: &Name) -> Applied {
        self.policies.all.read().applied_to(name, Subject::Exchange)
    }

    /// Another default of how long consumers may hold a delivery: it holds at once.
    pub(super) fn reapply_lease_default(&self, now: Timestamp) {
        let _one_at_a_time = self.policies.changes.lock();
        for queue in self.queues() {
            queue.reconfigure(self.queue_settings(&queue.name, &queue.options.arguments), now);
        }
    }

    /// Makes the policies of the moment hold for everything there is. Whatever is declared meanwhile has seen them.
    fn reapply_policies(&self, now: Timestamp) {
        for exchange in self.exchanges() {
            let applied = self.exchange_policy(&exchange.name);
            if !applied.is_same(&exchange.applied()) {
                exchange.apply(applied);
            }
        }
        for queue in self.queues() {
            let settings = self.queue_settings(&queue.name, &queue.options.arguments);
            if !settings.applied.is_same(&queue.settings().applied) {
                queue.reconfigure(settings, now);
            }
        }
    }
}

fn subject(arguments: &QueueArguments) -> Subject {
    if arguments.is_quorum() { Subject::QuorumQueue } else { Subject::ClassicQueue }
}
