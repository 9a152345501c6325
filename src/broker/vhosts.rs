//! Virtual hosts as an operator makes and removes them.

use std::io;
use std::sync::Arc;

use super::Broker;
use super::journal::Durability;
use super::vhost::Vhost;
use crate::auth::AccountError;
use crate::auth::accounts::check_tags;
use crate::clock::Timestamp;
use crate::metadata::{Change, Position, VhostDefinition, VhostLimits};
use crate::name::Name;

/// Virtual hosts: each has exchanges of its own and locks, some KiB.
pub const VHOSTS_MAX: usize = 16_384;

/// Octets of a virtual host's name (§1.4.2.7: a short string).
const VHOST_NAME_OCTETS_MAX: usize = 255;

/// Octets of a description.
const DESCRIPTION_OCTETS_MAX: usize = 4_096;

/// Types of queues that may be the default.
const QUEUE_TYPES: [&str; 2] = ["classic", "quorum"];

/// What an operator says of a virtual host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VhostDeclaration {
    /// For people.
    pub description: String,
    /// For people and tools.
    pub tags: Vec<String>,
    /// `x-queue-type` of queues that are declared without.
    pub default_queue_type: Option<String>,
    /// What confirms promise.
    pub durability: DurabilityDeclaration,
}

/// What a declaration says of the promise that confirms are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DurabilityDeclaration {
    /// Nothing: it stays as it is. Who changes a description weakens no promise.
    #[default]
    Unchanged,
    /// As the server promises where nothing is said.
    AsServer,
    /// This.
    Is(Durability),
}

impl Broker {
    /// The virtual host of this name.
    pub fn vhost(&self, name: &str) -> Option<Arc<Vhost>> {
        self.vhosts.get(name).map(|vhost| Arc::clone(&vhost))
    }

    /// All virtual hosts, by name.
    pub fn vhosts(&self) -> Vec<Arc<Vhost>> {
        let mut vhosts: Vec<_> = self.vhosts.iter().map(|vhost| Arc::clone(&vhost)).collect();
        vhosts.sort_unstable_by(|one, other| one.name.cmp(&other.name));
        vhosts
    }

    /// Makes a virtual host or changes one; limits and content stay. Returns whether it is a new one, once that is on
    /// disk.
    ///
    /// # Errors
    /// When the name, a tag or the type of queue is not one, or there are as many as there may be.
    pub async fn put_vhost(&self, name: &Name, declaration: VhostDeclaration) -> Result<bool, AccountError> {
        let (is_new, position) = self.record_vhost(name, declaration)?;
        self.durable(position).await;
        Ok(is_new)
    }

    fn record_vhost(
        &self,
        name: &Name,
        declaration: VhostDeclaration,
    ) -> Result<(bool, Position), AccountError> {
        check(name, &declaration)?;
        let _one_at_a_time = self.administration.lock();
        let known = self.vhost(name.as_str());
        if known.is_none() && self.vhosts.len() >= VHOSTS_MAX {
            return Err(AccountError::TooMany { what: "virtual hosts", max: VHOSTS_MAX });
        }
        let VhostDefinition { limits, durability: current, .. } =
            known.as_ref().map(|vhost| vhost.definition()).unwrap_or_default();
        let VhostDeclaration { description, tags, default_queue_type, durability } = declaration;
        let durability = match durability {
            DurabilityDeclaration::Unchanged => current,
            DurabilityDeclaration::AsServer => None,
            DurabilityDeclaration::Is(durability) => Some(durability),
        };
        let definition = VhostDefinition { description, tags, default_queue_type, durability, limits };
        let position = self.record(Change::PutVhost(name.clone(), definition.clone()));
        match &known {
            Some(vhost) => vhost.define(definition),
            None => self.add_vhost(name.clone(), definition),
        }
        Ok((known.is_none(), position))
    }

    /// Removes a virtual host with everything in it and all permissions for it; connections to it are closed. Returns
    /// once it is gone from the disk.
    ///
    /// # Errors
    /// When there is none of this name.
    pub async fn delete_vhost(self: &Arc<Self>, name: &Name) -> Result<(), AccountError> {
        let (vhost, position) = self.close_vhost(name)?;
        let broker = Arc::clone(self);
        // What has begun is brought to its end, though nobody may wait for it any more.
        let emptied = tokio::spawn(async move {
            broker.durable(position).await;
            // Only now: the log would not know the messages of queues that a crash brings back.
            vhost.empty(broker.clock.now());
        });
        let _ended = emptied.await;
        Ok(())
    }

    fn close_vhost(&self, name: &Name) -> Result<(Arc<Vhost>, Position), AccountError> {
        let _one_at_a_time = self.administration.lock();
        let (_, vhost) = self.vhosts.remove(name).ok_or_else(|| AccountError::NoVhost(name.clone()))?;
        tracing::info!(vhost = %name, "virtual host deleted");
        vhost.close();
        self.connections.close_where(&format!("vhost '{name}' is deleted"), |facts| facts.vhost == *name);
        self.authority.accounts.forget_vhost(name);
        Ok((vhost, self.record(Change::DeleteVhost(name.clone()))))
    }

    /// Changes the limits of a virtual host. Returns once that is on disk.
    ///
    /// # Errors
    /// When there is none of this name.
    pub async fn change_vhost_limits(
        &self,
        name: &Name,
        change: impl FnOnce(&mut VhostLimits),
    ) -> Result<(), AccountError> {
        let position = {
            let _one_at_a_time = self.administration.lock();
            let vhost = self.vhost(name.as_str()).ok_or_else(|| AccountError::NoVhost(name.clone()))?;
            let mut definition = vhost.definition();
            change(&mut definition.limits);
            vhost.define(definition.clone());
            self.record(Change::PutVhost(name.clone(), definition))
        };
        self.durable(position).await;
        Ok(())
    }

    /// Puts a virtual host into the map.
    pub(super) fn add_vhost(&self, name: Name, definition: VhostDefinition) {
        self.vhosts.insert(name.clone(), Vhost::new(name, definition, self.foundation.clone()));
    }

    pub(super) fn known_vhost(&self, name: &Name) -> io::Result<Arc<Vhost>> {
        self.vhost(name.as_str()).ok_or_else(|| {
            let text = format!("definitions: virtual host '{name}' is not known to this release");
            io::Error::new(io::ErrorKind::InvalidData, text)
        })
    }

    pub(super) fn record(&self, change: Change) -> Position {
        let definitions = self.foundation.definitions.as_ref();
        definitions.map_or_else(Position::default, |definitions| definitions.record(change))
    }

    pub(super) async fn durable(&self, position: Position) {
        if let Some(definitions) = &self.foundation.definitions {
            definitions.durable(position).await;
        }
    }
}

impl Vhost {
    /// How it was declared.
    pub fn definition(&self) -> VhostDefinition {
        self.definition.read().clone()
    }

    /// Is declared anew.
    pub(super) fn define(&self, definition: VhostDefinition) {
        self.promise(definition.durability);
        *self.definition.write() = definition;
    }

    /// From here on nothing is recorded: what the virtual host holds goes from the disk with it.
    pub(super) fn close(&self) {
        self.topology().is_closed = true;
    }

    /// Whether it has been deleted.
    pub(super) fn is_closed(&self) -> bool {
        self.topology().is_closed
    }

    /// Deletes everything.
    pub(super) fn empty(&self, now: Timestamp) {
        let mut topology = self.topology();
        let mut queues: Vec<_> = self.queues.iter().map(|queue| Arc::clone(&queue)).collect();
        queues.sort_unstable_by_key(|queue| queue.id);
        for queue in queues {
            let _told_at_once = self.delete_queue(&mut topology, &queue, now, |_| Ok::<_, ()>(()));
        }
        let exchanges = self.exchanges.iter().map(|exchange| Arc::clone(&exchange)).collect();
        self.delete_exchanges(&mut topology, exchanges);
    }
}

fn check(name: &Name, declaration: &VhostDeclaration) -> Result<(), AccountError> {
    let octets = name.as_str().len();
    if name.is_empty() || octets > VHOST_NAME_OCTETS_MAX {
        return Err(AccountError::InvalidName { what: "virtual host", octets, max: VHOST_NAME_OCTETS_MAX });
    }
    let octets = declaration.description.len();
    if octets > DESCRIPTION_OCTETS_MAX {
        return Err(AccountError::InvalidName { what: "description", octets, max: DESCRIPTION_OCTETS_MAX });
    }
    check_tags(&declaration.tags)?;
    match &declaration.default_queue_type {
        Some(kind) if !QUEUE_TYPES.contains(&kind.as_str()) => {
            Err(AccountError::InvalidQueueType(kind.clone()))
        }
        _ => Ok(()),
    }
}
