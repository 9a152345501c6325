//! What a user may do in a virtual host: patterns of names, and of routing keys at topic exchanges.

use std::collections::HashMap;
use std::sync::Arc;

use super::Access;
use crate::metadata::{PermissionDefinition, TopicPermissionDefinition};
use crate::name::Name;
use crate::pattern::{InvalidPattern, Pattern, literal};

/// A user's permissions in a virtual host.
#[derive(Debug)]
pub struct Grant {
    configure: Pattern,
    write: Pattern,
    read: Pattern,
    /// By topic exchange; one that is not here is not restricted.
    topics: HashMap<Name, Arc<TopicGrant>>,
}

/// With which routing keys a user may publish to a topic exchange and bind to it.
#[derive(Debug)]
pub struct TopicGrant {
    write: Pattern,
    read: Pattern,
}

/// What a user may do at some moment.
#[derive(Clone, Debug, Default)]
pub struct Rights {
    /// The state of all accounts that this was read from: it holds as long as that is the current one.
    pub generation: u64,
    /// RabbitMQ's tag `impersonator`: may set any user-id on a message.
    pub impersonator: bool,
    /// What is permitted in the virtual host; `None`: nothing, not even to open it.
    pub grant: Option<Arc<Grant>>,
}

impl Grant {
    /// Compiles permissions.
    ///
    /// # Errors
    /// The first pattern that is none.
    pub fn new(definition: &PermissionDefinition) -> Result<Self, InvalidPattern> {
        Ok(Self {
            configure: Pattern::new(&definition.configure)?,
            write: Pattern::new(&definition.write)?,
            read: Pattern::new(&definition.read)?,
            topics: HashMap::new(),
        })
    }

    /// One that permits nothing.
    pub fn nothing() -> Self {
        let nothing = Pattern::empty;
        Self { configure: nothing(), write: nothing(), read: nothing(), topics: HashMap::new() }
    }

    /// Adds a restriction at a topic exchange.
    pub fn restrict(&mut self, exchange: Name, topics: TopicGrant) {
        self.topics.insert(exchange, Arc::new(topics));
    }

    /// Whether the resource of this name may be used so.
    pub fn permits(&self, access: Access, name: &str) -> bool {
        match access {
            Access::Configure => self.configure.matches(name),
            Access::Write => self.write.matches(name),
            Access::Read => self.read.matches(name),
        }
    }

    /// The restriction at a topic exchange, if there is one.
    pub fn topics(&self, exchange: &str) -> Option<&Arc<TopicGrant>> {
        self.topics.get(exchange)
    }
}

impl TopicGrant {
    /// Compiles topic permissions of a user in a virtual host, whose names stand for `{username}` and `{vhost}`.
    ///
    /// # Errors
    /// The first pattern that is none.
    pub fn new(
        definition: &TopicPermissionDefinition,
        user: &Name,
        vhost: &Name,
    ) -> Result<Self, InvalidPattern> {
        let compile = |pattern: &str| {
            // A name is text here, whatever it holds: `.*` may be a user's name.
            let pattern = pattern.replace("{username}", &literal(user.as_str()));
            let pattern = pattern.replace("{vhost}", &literal(vhost.as_str()));
            // MQTT's, which stands for itself here (RabbitMQ).
            Pattern::new(&pattern.replace("{client_id}", r"\{client_id\}"))
        };
        Ok(Self { write: compile(&definition.write)?, read: compile(&definition.read)? })
    }

    /// One that permits no key but the empty one.
    pub fn nothing() -> Self {
        Self { write: Pattern::empty(), read: Pattern::empty() }
    }

    /// Whether the routing key may be used so: written with when publishing, read with when binding.
    pub fn permits(&self, access: Access, key: &[u8]) -> bool {
        let key = String::from_utf8_lossy(key);
        match access {
            Access::Configure => false,
            Access::Write => self.write.matches(&key),
            Access::Read => self.read.matches(&key),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_access_has_its_own_pattern() {
        let definition =
            PermissionDefinition { configure: "^a".into(), write: "^b".into(), read: ".*".into() };
        let grant = Grant::new(&definition).unwrap();
        assert!(grant.permits(Access::Configure, "ab") && !grant.permits(Access::Configure, "ba"));
        assert!(grant.permits(Access::Write, "ba") && !grant.permits(Access::Write, "ab"));
        assert!(grant.permits(Access::Read, "c"));
    }

    #[test]
    fn topic_patterns_name_the_user_and_the_virtual_host_as_text() {
        let definition = TopicPermissionDefinition {
            write: r"^{username}\.{vhost}\.".into(),
            read: "^{client_id}$".into(),
        };
        let grant = TopicGrant::new(&definition, &Name::from("a.*"), &Name::from("/")).unwrap();
        assert!(grant.permits(Access::Write, b"a.*./.key"));
        assert!(!grant.permits(Access::Write, b"abc./.key"));
        assert!(!grant.permits(Access::Configure, b"a.*./.key"));
        assert!(grant.permits(Access::Read, b"{client_id}"));
    }

    #[test]
    fn an_invalid_pattern_is_named() {
        let definition =
            PermissionDefinition { configure: String::new(), write: "(".into(), read: String::new() };
        assert_eq!(Grant::new(&definition).unwrap_err().pattern, "(");
    }
}
