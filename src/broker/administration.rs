//! Users and permissions as an operator manages them. Everything here is on disk when it returns; it takes effect with
//! the next operation of whoever is connected.
//!
//! Look-ups are in [`Accounts`](crate::auth::Accounts), virtual hosts in `vhosts`.

use super::connections::{ConnectionEntry, ConnectionFacts};
use super::{Broker, Session};
use crate::auth::{AccountError, PasswordHash};
use crate::metadata::{
    PasswordDefinition, PermissionDefinition, Position, TopicPermissionDefinition, UserLimits,
};
use crate::name::Name;

/// How a user is to prove its identity.
#[derive(Clone, PartialEq, Eq)]
pub enum NewPassword {
    /// With this password, in the clear.
    Clear(Vec<u8>),
    /// With the password that has this hash.
    Hash(PasswordDefinition),
    /// With none: a certificate or a token.
    None,
}

impl Broker {
    /// Makes a user or changes one; permissions and limits stay. Returns whether it is a new one.
    ///
    /// # Errors
    /// When the name, the password or a tag is not one, or there are as many users as there may be.
    pub async fn put_user(
        &self,
        name: &Name,
        password: NewPassword,
        tags: Vec<String>,
    ) -> Result<bool, AccountError> {
        let password = match password {
            NewPassword::Clear(password) => Some(self.authority.hash_password(name, password).await?),
            NewPassword::Hash(definition) => Some(PasswordHash::parse(definition)?),
            NewPassword::None => None,
        };
        let (is_new, position) = self.authority.accounts.put_user(name, password, tags)?;
        tracing::info!(user = %name, is_new, "user set");
        self.durable(position).await;
        Ok(is_new)
    }

    /// Removes a user with all permissions; the user's connections are closed.
    ///
    /// # Errors
    /// When there is no such user.
    pub async fn delete_user(&self, name: &Name) -> Result<(), AccountError> {
        let position = self.authority.accounts.delete_user(name)?;
        tracing::info!(user = %name, "user deleted");
        self.connections.close_where(&format!("user '{name}' is deleted"), |facts| facts.user == *name);
        self.durable(position).await;
        Ok(())
    }

    /// Closes a connection whose user or virtual host went while it came in.
    pub fn recheck(&self, connection: &ConnectionEntry, session: &Session) {
        let ConnectionFacts { user, vhost, .. } = &connection.facts;
        if session.vhost.is_closed() {
            connection.close(format!("vhost '{vhost}' is deleted"));
        } else if !session.user.bears_token() && !self.authority.accounts.has_user(user.as_str()) {
            connection.close(format!("user '{user}' is deleted"));
        }
    }

    /// Changes a user's limits.
    ///
    /// # Errors
    /// When there is no such user.
    pub async fn change_user_limits(
        &self,
        name: &Name,
        change: impl FnOnce(&mut UserLimits),
    ) -> Result<(), AccountError> {
        let position = self.authority.accounts.change_user_limits(name, change)?;
        self.durable(position).await;
        Ok(())
    }

    /// Sets a user's permissions in a virtual host. Returns whether there were none before.
    ///
    /// # Errors
    /// When there is no such user or virtual host, a pattern is none, or there are too many permissions.
    pub async fn put_permission(
        &self,
        vhost: &Name,
        user: &Name,
        definition: PermissionDefinition,
    ) -> Result<bool, AccountError> {
        let work = || self.authority.accounts.put_permission(vhost, user, definition);
        let (is_new, position) = self.in_vhost(vhost, work)?;
        self.durable(position).await;
        Ok(is_new)
    }

    /// Takes a user's permissions in a virtual host away. Returns whether there were any.
    ///
    /// # Errors
    /// When there is no such user or virtual host.
    pub async fn delete_permission(&self, vhost: &Name, user: &Name) -> Result<bool, AccountError> {
        let work = || self.authority.accounts.delete_permission(vhost, user);
        let (was_there, position) = self.in_vhost(vhost, work)?;
        self.durable(position).await;
        Ok(was_there)
    }

    /// Restricts the routing keys of a user at a topic exchange. Returns whether there was no restriction before.
    ///
    /// # Errors
    /// When there is no such user or virtual host, a pattern is none, or there are too many permissions.
    pub async fn put_topic_permission(
        &self,
        vhost: &Name,
        user: &Name,
        exchange: &Name,
        definition: TopicPermissionDefinition,
    ) -> Result<bool, AccountError> {
        let work = || self.authority.accounts.put_topic_permission(vhost, user, exchange, definition);
        let (is_new, position) = self.in_vhost(vhost, work)?;
        self.durable(position).await;
        Ok(is_new)
    }

    /// Lifts the restrictions of a user at one topic exchange, or at all of the virtual host. Returns how many there
    /// were.
    ///
    /// # Errors
    /// When there is no such user or virtual host.
    pub async fn delete_topic_permissions(
        &self,
        vhost: &Name,
        user: &Name,
        exchange: Option<&Name>,
    ) -> Result<usize, AccountError> {
        let work = || self.authority.accounts.delete_topic_permissions(vhost, user, exchange);
        let (count, position) = self.in_vhost(vhost, work)?;
        self.durable(position).await;
        Ok(count)
    }

    /// Does something for a virtual host, which does not go away meanwhile.
    fn in_vhost<T>(
        &self,
        vhost: &Name,
        work: impl FnOnce() -> Result<(T, Position), AccountError>,
    ) -> Result<(T, Position), AccountError> {
        let _one_at_a_time = self.administration.lock();
        if !self.vhosts.contains_key(vhost) {
            return Err(AccountError::NoVhost(vhost.clone()));
        }
        work()
    }
}
