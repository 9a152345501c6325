//! The tables of the file, and what each change does to them.

use redb::{ReadableTable, Table, TableDefinition, WriteTransaction};

use super::definition::Change;
use super::policy::PolicyKind;

/// By virtual host and name.
pub(super) type Named = TableDefinition<'static, (&'static str, &'static str), &'static [u8]>;
/// By name.
pub(super) type ByName = TableDefinition<'static, &'static str, &'static [u8]>;
/// By virtual host and everything that a binding is.
type Bindings = TableDefinition<'static, (&'static str, &'static [u8]), ()>;
/// By virtual host, user and exchange.
type Topics = TableDefinition<'static, (&'static str, &'static str, &'static str), &'static [u8]>;

pub(super) const QUEUES: Named = TableDefinition::new("queues");
pub(super) const EXCHANGES: Named = TableDefinition::new("exchanges");
pub(super) const BINDINGS: Bindings = TableDefinition::new("bindings");
pub(super) const POLICIES: Named = TableDefinition::new("policies");
pub(super) const OPERATOR_POLICIES: Named = TableDefinition::new("operator_policies");
pub(super) const VHOSTS: ByName = TableDefinition::new("vhosts");
pub(super) const USERS: ByName = TableDefinition::new("users");
/// By virtual host and user.
pub(super) const PERMISSIONS: Named = TableDefinition::new("permissions");
pub(super) const TOPIC_PERMISSIONS: Topics = TableDefinition::new("topic_permissions");
pub(super) const NUMBERS: TableDefinition<'static, &'static str, u64> = TableDefinition::new("numbers");

/// In `NUMBERS`: an identity greater than any that was given to a queue.
pub(super) const NEXT_ID_KEY: &str = "next_id";

/// How many tables there are. A file with fewer is from before some of them.
pub(super) const COUNT: usize = 10;

/// The tables of one transaction.
pub(super) struct Tables<'t> {
    queues: Table<'t, (&'static str, &'static str), &'static [u8]>,
    exchanges: Table<'t, (&'static str, &'static str), &'static [u8]>,
    bindings: Table<'t, (&'static str, &'static [u8]), ()>,
    policies: Table<'t, (&'static str, &'static str), &'static [u8]>,
    operator_policies: Table<'t, (&'static str, &'static str), &'static [u8]>,
    vhosts: Table<'t, &'static str, &'static [u8]>,
    users: Table<'t, &'static str, &'static [u8]>,
    permissions: Table<'t, (&'static str, &'static str), &'static [u8]>,
    topic_permissions: Table<'t, (&'static str, &'static str, &'static str), &'static [u8]>,
    numbers: Table<'t, &'static str, u64>,
}

impl<'t> Tables<'t> {
    pub(super) fn open(transaction: &'t WriteTransaction) -> Result<Self, redb::Error> {
        Ok(Self {
            queues: transaction.open_table(QUEUES)?,
            exchanges: transaction.open_table(EXCHANGES)?,
            bindings: transaction.open_table(BINDINGS)?,
            policies: transaction.open_table(POLICIES)?,
            operator_policies: transaction.open_table(OPERATOR_POLICIES)?,
            vhosts: transaction.open_table(VHOSTS)?,
            users: transaction.open_table(USERS)?,
            permissions: transaction.open_table(PERMISSIONS)?,
            topic_permissions: transaction.open_table(TOPIC_PERMISSIONS)?,
            numbers: transaction.open_table(NUMBERS)?,
        })
    }

    pub(super) fn apply(&mut self, change: &Change) -> Result<(), redb::Error> {
        match change {
            Change::PutQueue(vhost, name, definition) => {
                self.queues.insert((vhost.as_str(), name.as_str()), definition.encode().as_slice())?;
                self.raise_next_id(definition.id.get().saturating_add(1))?;
            }
            Change::DeleteQueue(vhost, name) => {
                self.queues.remove((vhost.as_str(), name.as_str()))?;
            }
            Change::PutExchange(vhost, name, definition) => {
                self.exchanges.insert((vhost.as_str(), name.as_str()), definition.encode().as_slice())?;
            }
            Change::DeleteExchange(vhost, name) => {
                self.exchanges.remove((vhost.as_str(), name.as_str()))?;
            }
            Change::PutBinding(vhost, definition) => {
                self.bindings.insert((vhost.as_str(), definition.encode().as_slice()), ())?;
            }
            Change::DeleteBinding(vhost, definition) => {
                self.bindings.remove((vhost.as_str(), definition.encode().as_slice()))?;
            }
            Change::PutPolicy(kind, vhost, name, definition) => {
                let key = (vhost.as_str(), name.as_str());
                self.policies_of(*kind).insert(key, definition.encode().as_slice())?;
            }
            Change::DeletePolicy(kind, vhost, name) => {
                self.policies_of(*kind).remove((vhost.as_str(), name.as_str()))?;
            }
            Change::PutVhost(name, definition) => {
                self.vhosts.insert(name.as_str(), definition.encode().as_slice())?;
            }
            Change::DeleteVhost(name) => self.delete_vhost(name.as_str())?,
            Change::PutUser(name, definition) => {
                self.users.insert(name.as_str(), definition.encode().as_slice())?;
            }
            Change::DeleteUser(name) => self.delete_user(name.as_str())?,
            Change::PutPermission(vhost, user, definition) => {
                self.permissions.insert((vhost.as_str(), user.as_str()), definition.encode().as_slice())?;
            }
            Change::DeletePermission(vhost, user) => {
                self.permissions.remove((vhost.as_str(), user.as_str()))?;
            }
            Change::PutTopicPermission(vhost, user, exchange, definition) => {
                let key = (vhost.as_str(), user.as_str(), exchange.as_str());
                self.topic_permissions.insert(key, definition.encode().as_slice())?;
            }
            Change::DeleteTopicPermission(vhost, user, exchange) => {
                self.topic_permissions.remove((vhost.as_str(), user.as_str(), exchange.as_str()))?;
            }
        }
        Ok(())
    }

    fn policies_of(
        &mut self,
        kind: PolicyKind,
    ) -> &mut Table<'t, (&'static str, &'static str), &'static [u8]> {
        match kind {
            PolicyKind::User => &mut self.policies,
            PolicyKind::Operator => &mut self.operator_policies,
        }
    }

    fn raise_next_id(&mut self, next: u64) -> Result<(), redb::Error> {
        let known = self.numbers.get(NEXT_ID_KEY)?.map_or(0, |next| next.value());
        self.numbers.insert(NEXT_ID_KEY, next.max(known))?;
        Ok(())
    }

    fn delete_vhost(&mut self, vhost: &str) -> Result<(), redb::Error> {
        self.vhosts.remove(vhost)?;
        // The next name in order: everything in between belongs to this one.
        let next = format!("{vhost}\0");
        let next = next.as_str();
        self.queues.retain_in((vhost, "")..(next, ""), |_, _| false)?;
        self.exchanges.retain_in((vhost, "")..(next, ""), |_, _| false)?;
        self.bindings.retain_in((vhost, &[][..])..(next, &[][..]), |_, ()| false)?;
        self.policies.retain_in((vhost, "")..(next, ""), |_, _| false)?;
        self.operator_policies.retain_in((vhost, "")..(next, ""), |_, _| false)?;
        self.permissions.retain_in((vhost, "")..(next, ""), |_, _| false)?;
        self.topic_permissions.retain_in((vhost, "", "")..(next, "", ""), |_, _| false)?;
        Ok(())
    }

    fn delete_user(&mut self, name: &str) -> Result<(), redb::Error> {
        self.users.remove(name)?;
        self.permissions.retain(|(_, user), _| user != name)?;
        self.topic_permissions.retain(|(_, user, _), _| user != name)?;
        Ok(())
    }
}
