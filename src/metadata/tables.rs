//! The tables of the file, and what each change does to them.

use redb::{Key, ReadableTable, Table, TableDefinition, Value, WriteTransaction};

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
pub(super) const GLOBAL_PARAMETERS: ByName = TableDefinition::new("global_parameters");
pub(super) const NUMBERS: TableDefinition<'static, &'static str, u64> = TableDefinition::new("numbers");

/// In `NUMBERS`: an identity greater than any that was given to a queue.
pub(super) const NEXT_ID_KEY: &str = "next_id";

/// How many tables there are. A file with fewer is from before some of them.
pub(super) const COUNT: usize = 11;

/// A table, once something in it is to be changed: opening all of them takes longer than most changes do.
struct Lazy<'t, K: Key + 'static, V: Value + 'static> {
    definition: TableDefinition<'static, K, V>,
    table: Option<Table<'t, K, V>>,
}

impl<'t, K: Key + 'static, V: Value + 'static> Lazy<'t, K, V> {
    fn new(definition: TableDefinition<'static, K, V>) -> Self {
        Self { definition, table: None }
    }

    fn open(&mut self, transaction: &'t WriteTransaction) -> Result<&mut Table<'t, K, V>, redb::Error> {
        let table = match self.table.take() {
            Some(table) => table,
            None => transaction.open_table(self.definition)?,
        };
        Ok(self.table.insert(table))
    }
}

type LazyNamed<'t> = Lazy<'t, (&'static str, &'static str), &'static [u8]>;

/// The tables of one transaction.
pub(super) struct Tables<'t> {
    transaction: &'t WriteTransaction,
    queues: LazyNamed<'t>,
    exchanges: LazyNamed<'t>,
    bindings: Lazy<'t, (&'static str, &'static [u8]), ()>,
    policies: LazyNamed<'t>,
    operator_policies: LazyNamed<'t>,
    vhosts: Lazy<'t, &'static str, &'static [u8]>,
    users: Lazy<'t, &'static str, &'static [u8]>,
    permissions: LazyNamed<'t>,
    topic_permissions: Lazy<'t, (&'static str, &'static str, &'static str), &'static [u8]>,
    global_parameters: Lazy<'t, &'static str, &'static [u8]>,
    numbers: Lazy<'t, &'static str, u64>,
}

impl<'t> Tables<'t> {
    pub(super) fn new(transaction: &'t WriteTransaction) -> Self {
        Self {
            transaction,
            queues: Lazy::new(QUEUES),
            exchanges: Lazy::new(EXCHANGES),
            bindings: Lazy::new(BINDINGS),
            policies: Lazy::new(POLICIES),
            operator_policies: Lazy::new(OPERATOR_POLICIES),
            vhosts: Lazy::new(VHOSTS),
            users: Lazy::new(USERS),
            permissions: Lazy::new(PERMISSIONS),
            topic_permissions: Lazy::new(TOPIC_PERMISSIONS),
            global_parameters: Lazy::new(GLOBAL_PARAMETERS),
            numbers: Lazy::new(NUMBERS),
        }
    }

    /// Makes those that are not there: a reader wants them all.
    pub(super) fn make_all(&mut self) -> Result<(), redb::Error> {
        let by = self.transaction;
        for table in [
            &mut self.queues,
            &mut self.exchanges,
            &mut self.policies,
            &mut self.operator_policies,
            &mut self.permissions,
        ] {
            table.open(by)?;
        }
        self.bindings.open(by)?;
        self.vhosts.open(by)?;
        self.users.open(by)?;
        self.topic_permissions.open(by)?;
        self.global_parameters.open(by)?;
        self.numbers.open(by)?;
        Ok(())
    }

    pub(super) fn apply(&mut self, change: &Change) -> Result<(), redb::Error> {
        let by = self.transaction;
        match change {
            Change::PutQueue(vhost, name, definition) => {
                let key = (vhost.as_str(), name.as_str());
                self.queues.open(by)?.insert(key, definition.encode().as_slice())?;
                self.raise_next_id(definition.id.get().saturating_add(1))?;
            }
            Change::DeleteQueue(vhost, name) => {
                self.queues.open(by)?.remove((vhost.as_str(), name.as_str()))?;
            }
            Change::PutExchange(vhost, name, definition) => {
                let key = (vhost.as_str(), name.as_str());
                self.exchanges.open(by)?.insert(key, definition.encode().as_slice())?;
                if let Some(memory) = definition.memory {
                    self.raise_next_id(memory.get().saturating_add(1))?;
                }
            }
            Change::DeleteExchange(vhost, name) => {
                self.exchanges.open(by)?.remove((vhost.as_str(), name.as_str()))?;
            }
            Change::PutBinding(vhost, definition) => {
                self.bindings.open(by)?.insert((vhost.as_str(), definition.encode().as_slice()), ())?;
            }
            Change::DeleteBinding(vhost, definition) => {
                self.bindings.open(by)?.remove((vhost.as_str(), definition.encode().as_slice()))?;
            }
            Change::PutPolicy(kind, vhost, name, definition) => {
                let key = (vhost.as_str(), name.as_str());
                self.policies_of(*kind).open(by)?.insert(key, definition.encode().as_slice())?;
            }
            Change::DeletePolicy(kind, vhost, name) => {
                self.policies_of(*kind).open(by)?.remove((vhost.as_str(), name.as_str()))?;
            }
            Change::PutVhost(name, definition) => {
                self.vhosts.open(by)?.insert(name.as_str(), definition.encode().as_slice())?;
            }
            Change::DeleteVhost(name) => self.delete_vhost(name.as_str())?,
            Change::PutUser(name, definition) => {
                self.users.open(by)?.insert(name.as_str(), definition.encode().as_slice())?;
            }
            Change::DeleteUser(name) => self.delete_user(name.as_str())?,
            Change::PutPermission(vhost, user, definition) => {
                let key = (vhost.as_str(), user.as_str());
                self.permissions.open(by)?.insert(key, definition.encode().as_slice())?;
            }
            Change::DeletePermission(vhost, user) => {
                self.permissions.open(by)?.remove((vhost.as_str(), user.as_str()))?;
            }
            Change::PutTopicPermission(vhost, user, exchange, definition) => {
                let key = (vhost.as_str(), user.as_str(), exchange.as_str());
                self.topic_permissions.open(by)?.insert(key, definition.encode().as_slice())?;
            }
            Change::DeleteTopicPermission(vhost, user, exchange) => {
                let key = (vhost.as_str(), user.as_str(), exchange.as_str());
                self.topic_permissions.open(by)?.remove(key)?;
            }
            Change::PutGlobalParameter(name, value) => {
                self.global_parameters.open(by)?.insert(name.as_str(), value.as_slice())?;
            }
            Change::DeleteGlobalParameter(name) => {
                self.global_parameters.open(by)?.remove(name.as_str())?;
            }
        }
        Ok(())
    }

    fn policies_of(&mut self, kind: PolicyKind) -> &mut LazyNamed<'t> {
        match kind {
            PolicyKind::User => &mut self.policies,
            PolicyKind::Operator => &mut self.operator_policies,
        }
    }

    fn raise_next_id(&mut self, next: u64) -> Result<(), redb::Error> {
        let by = self.transaction;
        let known = self.numbers.open(by)?.get(NEXT_ID_KEY)?.map_or(0, |next| next.value());
        self.numbers.open(by)?.insert(NEXT_ID_KEY, next.max(known))?;
        Ok(())
    }

    fn delete_vhost(&mut self, vhost: &str) -> Result<(), redb::Error> {
        let by = self.transaction;
        self.vhosts.open(by)?.remove(vhost)?;
        // The next name in order: everything in between belongs to this one.
        let next = format!("{vhost}\0");
        let next = next.as_str();
        self.queues.open(by)?.retain_in((vhost, "")..(next, ""), |_, _| false)?;
        self.exchanges.open(by)?.retain_in((vhost, "")..(next, ""), |_, _| false)?;
        self.bindings.open(by)?.retain_in((vhost, &[][..])..(next, &[][..]), |_, ()| false)?;
        self.policies.open(by)?.retain_in((vhost, "")..(next, ""), |_, _| false)?;
        self.operator_policies.open(by)?.retain_in((vhost, "")..(next, ""), |_, _| false)?;
        self.permissions.open(by)?.retain_in((vhost, "")..(next, ""), |_, _| false)?;
        self.topic_permissions.open(by)?.retain_in((vhost, "", "")..(next, "", ""), |_, _| false)?;
        Ok(())
    }

    fn delete_user(&mut self, name: &str) -> Result<(), redb::Error> {
        let by = self.transaction;
        self.users.open(by)?.remove(name)?;
        self.permissions.open(by)?.retain(|(_, user), _| user != name)?;
        self.topic_permissions.open(by)?.retain(|(_, user, _), _| user != name)?;
        Ok(())
    }
}
