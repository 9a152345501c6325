//! Global parameters: what tools note on the broker itself (RabbitMQ). It keeps them and acts on none, and so their
//! values are octets to it.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;

use super::Broker;
use crate::auth::AccountError;
use crate::metadata::Change;
use crate::name::Name;

/// Global parameters: tools have a few each.
const PARAMETERS_MAX: usize = 1024;

/// Octets of a name (§1.4.2.7: a short string).
const NAME_OCTETS_MAX: usize = 255;

/// Octets of a value: all are in memory.
const VALUE_OCTETS_MAX: usize = 64 * 1024;

/// All of them, by name.
#[derive(Debug, Default)]
pub(super) struct GlobalParameters(Mutex<BTreeMap<Name, Arc<[u8]>>>);

impl GlobalParameters {
    /// Those that are kept.
    pub(super) fn new(kept: Vec<(Name, Vec<u8>)>) -> Self {
        Self(Mutex::new(kept.into_iter().map(|(name, value)| (name, value.into())).collect()))
    }
}

impl Broker {
    /// All global parameters, by name.
    pub fn global_parameters(&self) -> Vec<(Name, Arc<[u8]>)> {
        self.global_parameters
            .0
            .lock()
            .iter()
            .map(|(name, value)| (name.clone(), Arc::clone(value)))
            .collect()
    }

    /// Sets a global parameter. Returns whether there was none of this name, once it is on disk.
    ///
    /// # Errors
    /// When the name or the value is too long, or there are as many as there may be.
    pub async fn put_global_parameter(&self, name: &Name, value: &[u8]) -> Result<bool, AccountError> {
        let octets = name.as_str().len();
        if name.is_empty() || octets > NAME_OCTETS_MAX {
            let what = "global parameter";
            return Err(AccountError::InvalidName { what, octets, max: NAME_OCTETS_MAX });
        }
        if value.len() > VALUE_OCTETS_MAX {
            let what = "global parameter's value";
            return Err(AccountError::TooLong { what, octets: value.len(), max: VALUE_OCTETS_MAX });
        }
        let (is_new, position) = {
            let mut all = self.global_parameters.0.lock();
            if all.len() >= PARAMETERS_MAX && !all.contains_key(name) {
                return Err(AccountError::TooMany { what: "global parameters", max: PARAMETERS_MAX });
            }
            let is_new = all.insert(name.clone(), value.into()).is_none();
            (is_new, self.record(Change::PutGlobalParameter(name.clone(), value.to_vec())))
        };
        self.durable(position).await;
        Ok(is_new)
    }

    /// Takes a global parameter away. Returns whether there was one, once that is on disk.
    pub async fn delete_global_parameter(&self, name: &Name) -> bool {
        let position = {
            let mut all = self.global_parameters.0.lock();
            if all.remove(name).is_none() {
                return false;
            }
            self.record(Change::DeleteGlobalParameter(name.clone()))
        };
        self.durable(position).await;
        true
    }
}
