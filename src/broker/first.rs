//! What a new broker begins with: a virtual host, and a user who may do everything in it.

use std::fmt;
use std::io;

use crate::auth::{GUEST, PasswordHash};
use crate::metadata::{Change, PermissionDefinition, Recovered, UserDefinition, VhostDefinition};
use crate::name::Name;

/// RabbitMQ's tag for who may do everything.
const ADMINISTRATOR: &str = "administrator";

/// The first user, and the virtual host of a new broker.
#[derive(Clone)]
pub struct FirstUser {
    /// The user.
    pub name: Name,
    /// Its password.
    pub password: Vec<u8>,
    /// The virtual host.
    pub vhost: Name,
}

impl Default for FirstUser {
    /// RabbitMQ's guest in the virtual host `/`.
    fn default() -> Self {
        Self { name: GUEST.into(), password: GUEST.into(), vhost: "/".into() }
    }
}

impl FirstUser {
    /// Adds what a new broker begins with, if `defined` is what a new one has. Returns what there is to be recorded,
    /// all or nothing: half of it would lock everybody out.
    pub(super) fn begin(&self, defined: &mut Recovered) -> io::Result<Vec<Change>> {
        if !defined.vhosts.is_empty() || !defined.users.is_empty() {
            return Ok(Vec::new());
        }
        let Self { name, password, vhost } = self;
        let password = PasswordHash::new(password).map_err(|error| {
            io::Error::new(io::ErrorKind::InvalidInput, format!("first user '{name}': {error}"))
        })?;
        let user = UserDefinition {
            password: Some(password.definition().clone()),
            tags: vec![ADMINISTRATOR.to_owned()],
            ..UserDefinition::default()
        };
        let all = || ".*".to_owned();
        let permission = PermissionDefinition { configure: all(), write: all(), read: all() };
        tracing::info!(%vhost, user = %name, "a new broker begins with one virtual host and one user");
        defined.vhosts.push((vhost.clone(), VhostDefinition::default()));
        defined.users.push((name.clone(), user.clone()));
        defined.permissions.push((vhost.clone(), name.clone(), permission.clone()));
        Ok(vec![
            Change::PutVhost(vhost.clone(), VhostDefinition::default()),
            Change::PutUser(name.clone(), user),
            Change::PutPermission(vhost.clone(), name.clone(), permission),
        ])
    }
}

impl fmt::Debug for FirstUser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FirstUser")
            .field("name", &self.name)
            .field("vhost", &self.vhost)
            .finish_non_exhaustive()
    }
}
