//! Users and what they may do, in memory and on disk.
//!
//! Whoever acts for a user holds a copy of the user's rights with the generation it was read from, and asks for another
//! only when the generation has moved: any change moves it, and takes effect with the next operation.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::RwLock;

use super::error::AccountError;
use super::grant::{Grant, Rights, TopicGrant};
use super::password::PasswordHash;
use crate::metadata::{
    Change, Definitions, PermissionDefinition, Position, TopicPermissionDefinition, UserDefinition,
    UserLimits,
};
use crate::name::Name;

/// RabbitMQ's tag for who may set any user-id on a message.
pub(super) const IMPERSONATOR: &str = "impersonator";

/// Users: each takes some hundred octets, and an API that adds them must not fill the memory.
pub const USERS_MAX: usize = 1 << 18;

/// Permissions, and topic permissions, of all users together.
pub const PERMISSIONS_MAX: usize = 1 << 20;

/// Octets of a user's name: it stands in a property of messages (§1.8.1: user-id, a short string).
pub const USER_NAME_OCTETS_MAX: usize = 255;

/// Tags of a user or a virtual host, and octets of each.
pub const TAGS_MAX: usize = 64;
/// Octets of a tag.
pub const TAG_OCTETS_MAX: usize = 255;

/// All users and their permissions.
pub struct Accounts {
    directory: RwLock<Directory>,
    /// Moved, under the directory's lock, by every change.
    generation: AtomicU64,
    /// Where they are kept; `None`: nowhere.
    definitions: Option<Arc<Definitions>>,
}

#[derive(Default)]
struct Directory {
    users: HashMap<Name, Account>,
    /// By virtual host and user.
    permissions: BTreeMap<(Name, Name), Permission>,
    /// By virtual host, user and exchange.
    topics: BTreeMap<(Name, Name, Name), TopicPermissionDefinition>,
}

struct Account {
    definition: UserDefinition,
    password: Option<Arc<PasswordHash>>,
}

struct Permission {
    definition: PermissionDefinition,
    /// Compiled when somebody needs it.
    grant: OnceLock<Arc<Grant>>,
}

/// Accounts as they were kept.
#[derive(Debug, Default)]
pub struct KnownAccounts {
    /// Name, definition.
    pub users: Vec<(Name, UserDefinition)>,
    /// Virtual host, user, definition.
    pub permissions: Vec<(Name, Name, PermissionDefinition)>,
    /// Virtual host, user, exchange, definition.
    pub topic_permissions: Vec<(Name, Name, Name, TopicPermissionDefinition)>,
}

impl Accounts {
    /// The accounts that `known` holds; changes are recorded in `definitions`.
    pub fn new(known: KnownAccounts, definitions: Option<Arc<Definitions>>) -> Self {
        let mut directory = Directory::default();
        for (name, definition) in known.users {
            directory.users.insert(name.clone(), Account::restored(&name, definition));
        }
        for (vhost, user, definition) in known.permissions {
            directory.permissions.insert((vhost, user), Permission::new(definition));
        }
        for (vhost, user, exchange, definition) in known.topic_permissions {
            directory.topics.insert((vhost, user, exchange), definition);
        }
        Self { directory: RwLock::new(directory), generation: AtomicU64::new(1), definitions }
    }

    /// Moves with every change. What was read at another generation may no longer hold.
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// What a user may do in a virtual host now.
    pub fn rights(&self, user: &Name, vhost: &Name) -> Rights {
        let directory = self.directory.read();
        let tags = directory.users.get(user).map(|account| account.definition.tags.as_slice());
        let impersonator = tags.is_some_and(|tags| tags.iter().any(|tag| tag == IMPERSONATOR));
        Rights { generation: self.generation(), impersonator, grant: directory.grant(vhost, user) }
    }

    /// Whether a user may open a virtual host.
    pub fn may_open(&self, user: &Name, vhost: &Name) -> bool {
        self.directory.read().permissions.contains_key(&(vhost.clone(), user.clone()))
    }

    /// The password's hash; `None`: there is no such user, or a password does not open the account.
    pub(super) fn password(&self, user: &str) -> Option<Arc<PasswordHash>> {
        self.directory.read().users.get(user)?.password.clone()
    }

    /// Whether there is a user of this name.
    pub fn has_user(&self, name: &str) -> bool {
        self.directory.read().users.contains_key(name)
    }

    /// A user's definition.
    pub fn user(&self, name: &str) -> Option<UserDefinition> {
        self.directory.read().users.get(name).map(|account| account.definition.clone())
    }

    /// All users, by name.
    pub fn users(&self) -> Vec<(Name, UserDefinition)> {
        let directory = self.directory.read();
        let users = directory.users.iter().map(|(name, account)| (name.clone(), account.definition.clone()));
        let mut users: Vec<_> = users.collect();
        users.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        users
    }

    /// A user's limits; none for a user who does not exist.
    pub fn user_limits(&self, name: &str) -> UserLimits {
        let directory = self.directory.read();
        directory.users.get(name).map(|account| account.definition.limits).unwrap_or_default()
    }

    /// A user's permissions in a virtual host.
    pub fn permission(&self, vhost: &Name, user: &Name) -> Option<PermissionDefinition> {
        let directory = self.directory.read();
        directory
            .permissions
            .get(&(vhost.clone(), user.clone()))
            .map(|permission| permission.definition.clone())
    }

    /// All permissions, by virtual host, then user.
    pub fn permissions(&self) -> Vec<(Name, Name, PermissionDefinition)> {
        let directory = self.directory.read();
        let entry = |((vhost, user), permission): (&(Name, Name), &Permission)| {
            (vhost.clone(), user.clone(), permission.definition.clone())
        };
        directory.permissions.iter().map(entry).collect()
    }

    /// All topic permissions, by virtual host, user, exchange.
    pub fn topic_permissions(&self) -> Vec<(Name, Name, Name, TopicPermissionDefinition)> {
        let directory = self.directory.read();
        let entry = |(key, definition): (&(Name, Name, Name), &TopicPermissionDefinition)| {
            (key.0.clone(), key.1.clone(), key.2.clone(), definition.clone())
        };
        directory.topics.iter().map(entry).collect()
    }

    /// Makes a user or changes one. Returns whether it is a new one.
    ///
    /// # Errors
    /// When the name or a tag is not one, or there are as many users as there may be.
    pub fn put_user(
        &self,
        name: &Name,
        password: Option<PasswordHash>,
        tags: Vec<String>,
    ) -> Result<(bool, Position), AccountError> {
        check_user_name(name)?;
        check_tags(&tags)?;
        let mut directory = self.directory.write();
        let known = directory.users.get(name);
        if known.is_none() && directory.users.len() >= USERS_MAX {
            return Err(AccountError::TooMany { what: "users", max: USERS_MAX });
        }
        let limits = known.map(|account| account.definition.limits).unwrap_or_default();
        let is_new = known.is_none();
        let kept = password.as_ref().map(|password| password.definition().clone());
        let definition = UserDefinition { password: kept, tags, limits };
        let change = Change::PutUser(name.clone(), definition.clone());
        directory.users.insert(name.clone(), Account { definition, password: password.map(Arc::new) });
        Ok((is_new, self.commit([change])))
    }

    /// Removes a user with all permissions.
    ///
    /// # Errors
    /// When there is no such user.
    pub fn delete_user(&self, name: &Name) -> Result<Position, AccountError> {
        let mut directory = self.directory.write();
        directory.users.remove(name).ok_or_else(|| AccountError::NoUser(name.clone()))?;
        directory.permissions.retain(|(_, user), _| user != name);
        directory.topics.retain(|(_, user, _), _| user != name);
        Ok(self.commit([Change::DeleteUser(name.clone())]))
    }

    /// Changes a user's limits.
    ///
    /// # Errors
    /// When there is no such user.
    pub fn change_user_limits(
        &self,
        name: &Name,
        change: impl FnOnce(&mut UserLimits),
    ) -> Result<Position, AccountError> {
        let mut directory = self.directory.write();
        let account = directory.users.get_mut(name).ok_or_else(|| AccountError::NoUser(name.clone()))?;
        change(&mut account.definition.limits);
        let definition = account.definition.clone();
        Ok(self.commit([Change::PutUser(name.clone(), definition)]))
    }

    /// Sets a user's permissions in a virtual host, which the caller has seen. Returns whether there were none before.
    ///
    /// # Errors
    /// When a pattern is none, there is no such user, or there are too many permissions.
    pub fn put_permission(
        &self,
        vhost: &Name,
        user: &Name,
        definition: PermissionDefinition,
    ) -> Result<(bool, Position), AccountError> {
        Grant::new(&definition)?;
        let mut directory = self.directory.write();
        directory.check_user(user)?;
        check_room(directory.permissions.len())?;
        let change = Change::PutPermission(vhost.clone(), user.clone(), definition.clone());
        let known = directory.permissions.insert((vhost.clone(), user.clone()), Permission::new(definition));
        Ok((known.is_none(), self.commit([change])))
    }

    /// Takes a user's permissions in a virtual host away. Returns whether there were any.
    ///
    /// # Errors
    /// When there is no such user.
    pub fn delete_permission(&self, vhost: &Name, user: &Name) -> Result<(bool, Position), AccountError> {
        let mut directory = self.directory.write();
        directory.check_user(user)?;
        let known = directory.permissions.remove(&(vhost.clone(), user.clone()));
        let change = Change::DeletePermission(vhost.clone(), user.clone());
        Ok((known.is_some(), self.commit([change])))
    }

    /// Restricts a user at a topic exchange. Returns whether there was no restriction before.
    ///
    /// # Errors
    /// When a pattern is none, there is no such user, or there are too many permissions.
    pub fn put_topic_permission(
        &self,
        vhost: &Name,
        user: &Name,
        exchange: &Name,
        definition: TopicPermissionDefinition,
    ) -> Result<(bool, Position), AccountError> {
        TopicGrant::new(&definition, user, vhost)?;
        let mut directory = self.directory.write();
        directory.check_user(user)?;
        check_room(directory.topics.len())?;
        let change =
            Change::PutTopicPermission(vhost.clone(), user.clone(), exchange.clone(), definition.clone());
        let key = (vhost.clone(), user.clone(), exchange.clone());
        let is_new = directory.topics.insert(key, definition).is_none();
        directory.recompile(vhost, user);
        Ok((is_new, self.commit([change])))
    }

    /// Lifts the restrictions of a user at one topic exchange, or at all of a virtual host. Returns how many there
    /// were.
    ///
    /// # Errors
    /// When there is no such user.
    pub fn delete_topic_permissions(
        &self,
        vhost: &Name,
        user: &Name,
        exchange: Option<&Name>,
    ) -> Result<(usize, Position), AccountError> {
        let mut directory = self.directory.write();
        directory.check_user(user)?;
        let mut changes = Vec::new();
        directory.topics.retain(|(host, who, at), _| {
            let goes = host == vhost && who == user && exchange.is_none_or(|exchange| exchange == at);
            if goes {
                changes.push(Change::DeleteTopicPermission(host.clone(), who.clone(), at.clone()));
            }
            !goes
        });
        directory.recompile(vhost, user);
        Ok((changes.len(), self.commit(changes)))
    }

    /// A virtual host is gone: so are all permissions for it. That it is gone is recorded by who removed it.
    pub fn forget_vhost(&self, vhost: &Name) {
        let mut directory = self.directory.write();
        directory.permissions.retain(|(host, _), _| host != vhost);
        directory.topics.retain(|(host, ..), _| host != vhost);
        self.commit([]);
    }

    /// Records changes, and lets everybody know that something is different. Called under the directory's lock, so that
    /// the order on disk is the order of changes, and nobody reads the new state with the old generation.
    fn commit(&self, changes: impl IntoIterator<Item = Change>) -> Position {
        self.generation.fetch_add(1, Ordering::Release);
        let changes: Vec<_> = changes.into_iter().collect();
        match &self.definitions {
            Some(definitions) if !changes.is_empty() => definitions.record_all(changes),
            _ => Position::default(),
        }
    }

    /// Waits until the change at `position` is on disk.
    pub async fn durable(&self, position: Position) {
        if let Some(definitions) = &self.definitions {
            definitions.durable(position).await;
        }
    }
}

impl Directory {
    fn check_user(&self, name: &Name) -> Result<(), AccountError> {
        if self.users.contains_key(name) { Ok(()) } else { Err(AccountError::NoUser(name.clone())) }
    }

    /// The user's permissions in the virtual host, compiled.
    fn grant(&self, vhost: &Name, user: &Name) -> Option<Arc<Grant>> {
        let permission = self.permissions.get(&(vhost.clone(), user.clone()))?;
        Some(Arc::clone(permission.grant.get_or_init(|| Arc::new(self.compile(vhost, user, permission)))))
    }

    /// Patterns were checked when they were given. One that another release gave and this does not understand permits
    /// nothing.
    fn compile(&self, vhost: &Name, user: &Name, permission: &Permission) -> Grant {
        let mut grant = Grant::new(&permission.definition).unwrap_or_else(|invalid| {
            tracing::error!(%vhost, %user, %invalid, "permission not understood: nothing is permitted");
            Grant::nothing()
        });
        let first = (vhost.clone(), user.clone(), Name::from(""));
        let restricted =
            self.topics.range(first..).take_while(|((host, who, _), _)| host == vhost && who == user);
        for ((_, _, exchange), definition) in restricted {
            let topics = TopicGrant::new(definition, user, vhost).unwrap_or_else(|invalid| {
                tracing::error!(%vhost, %user, %exchange, %invalid, "topic permission not understood");
                TopicGrant::nothing()
            });
            grant.restrict(exchange.clone(), topics);
        }
        grant
    }

    fn recompile(&mut self, vhost: &Name, user: &Name) {
        if let Some(permission) = self.permissions.get_mut(&(vhost.clone(), user.clone())) {
            permission.grant = OnceLock::new();
        }
    }
}

impl Account {
    fn restored(name: &Name, definition: UserDefinition) -> Self {
        let hash = definition.password.clone().map(PasswordHash::parse).transpose();
        let password = hash.unwrap_or_else(|invalid| {
            tracing::error!(user = %name, %invalid, "password not understood: the user cannot log in with it");
            None
        });
        Self { definition, password: password.map(Arc::new) }
    }
}

impl Permission {
    fn new(definition: PermissionDefinition) -> Self {
        Self { definition, grant: OnceLock::new() }
    }
}

fn check_user_name(name: &Name) -> Result<(), AccountError> {
    let octets = name.as_str().len();
    if name.is_empty() || octets > USER_NAME_OCTETS_MAX {
        return Err(AccountError::InvalidName { what: "user", octets, max: USER_NAME_OCTETS_MAX });
    }
    Ok(())
}

/// Whether these may be the tags of a user or a virtual host.
///
/// # Errors
/// When there are too many, or one is too long.
pub fn check_tags(tags: &[String]) -> Result<(), AccountError> {
    if tags.len() > TAGS_MAX {
        return Err(AccountError::TooMany { what: "tags", max: TAGS_MAX });
    }
    match tags.iter().find(|tag| tag.len() > TAG_OCTETS_MAX) {
        Some(tag) => Err(AccountError::InvalidName { what: "tag", octets: tag.len(), max: TAG_OCTETS_MAX }),
        None => Ok(()),
    }
}

fn check_room(count: usize) -> Result<(), AccountError> {
    if count >= PERMISSIONS_MAX {
        return Err(AccountError::TooMany { what: "permissions", max: PERMISSIONS_MAX });
    }
    Ok(())
}

impl fmt::Debug for Accounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Accounts").field("generation", &self.generation).finish_non_exhaustive()
    }
}
