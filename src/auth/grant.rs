//! What a user may do in a virtual host: patterns of names, and of routing keys at topic exchanges.

use std::collections::HashMap;
use std::sync::Arc;

use super::{Access, Scope};
use crate::metadata::{PermissionDefinition, TopicPermissionDefinition};
use crate::name::Name;
use crate::pattern::{InvalidPattern, Pattern, literal};

/// A user's permissions in a virtual host.
#[derive(Debug)]
pub struct Grant(Permitted);

#[derive(Debug)]
enum Permitted {
    ByPattern {
        configure: Pattern,
        write: Pattern,
        read: Pattern,
        /// By topic exchange; one that is not here is not restricted.
        topics: HashMap<Name, Arc<TopicGrant>>,
    },
    /// A token's, of this virtual host.
    ByScope(Vec<Scope>),
}

/// With which routing keys a user may publish to a topic exchange and bind to it.
#[derive(Debug)]
pub struct TopicGrant(Keys);

#[derive(Debug)]
enum Keys {
    ByPattern {
        write: Pattern,
        read: Pattern,
    },
    /// A token's, of this exchange.
    ByScope(Vec<Scope>),
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
        Ok(Self(Permitted::ByPattern {
            configure: Pattern::new(&definition.configure)?,
            write: Pattern::new(&definition.write)?,
            read: Pattern::new(&definition.read)?,
            topics: HashMap::new(),
        }))
    }

    /// What a token's scopes permit in a virtual host; `None`: they say nothing of it.
    pub fn of_scopes(scopes: &[Scope], vhost: &Name) -> Option<Self> {
        let here: Vec<Scope> = scopes.iter().filter(|scope| scope.is_of(vhost.as_str())).cloned().collect();
        (!here.is_empty()).then_some(Self(Permitted::ByScope(here)))
    }

    /// One that permits nothing.
    pub fn nothing() -> Self {
        let nothing = Pattern::empty;
        Self(Permitted::ByPattern {
            configure: nothing(),
            write: nothing(),
            read: nothing(),
            topics: HashMap::new(),
        })
    }

    /// Adds a restriction at a topic exchange. Scopes have their own.
    pub fn restrict(&mut self, exchange: Name, restriction: TopicGrant) {
        if let Permitted::ByPattern { topics, .. } = &mut self.0 {
            topics.insert(exchange, Arc::new(restriction));
        }
    }

    /// Whether the resource of this name may be used so.
    pub fn permits(&self, access: Access, name: &str) -> bool {
        match (&self.0, access) {
            (Permitted::ByPattern { configure, .. }, Access::Configure) => configure.matches(name),
            (Permitted::ByPattern { write, .. }, Access::Write) => write.matches(name),
            (Permitted::ByPattern { read, .. }, Access::Read) => read.matches(name),
            (Permitted::ByScope(scopes), _) => scopes.iter().any(|scope| scope.permits(access, name)),
        }
    }

    /// The restriction at a topic exchange, if there is one. RabbitMQ: the scopes that permit an exchange say with
    /// which keys.
    pub fn topics(&self, exchange: &str) -> Option<Arc<TopicGrant>> {
        match &self.0 {
            Permitted::ByPattern { topics, .. } => topics.get(exchange).map(Arc::clone),
            Permitted::ByScope(scopes) => {
                let here = scopes.iter().filter(|scope| scope.names(exchange)).cloned().collect();
                Some(Arc::new(TopicGrant(Keys::ByScope(here))))
            }
        }
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
        Ok(Self(Keys::ByPattern { write: compile(&definition.write)?, read: compile(&definition.read)? }))
    }

    /// One that permits no key but the empty one.
    pub fn nothing() -> Self {
        Self(Keys::ByPattern { write: Pattern::empty(), read: Pattern::empty() })
    }

    /// Whether the routing key may be used so: written with when publishing, read with when binding.
    pub fn permits(&self, access: Access, key: &[u8]) -> bool {
        let key = String::from_utf8_lossy(key);
        match (&self.0, access) {
            (_, Access::Configure) => false,
            (Keys::ByPattern { write, .. }, Access::Write) => write.matches(&key),
            (Keys::ByPattern { read, .. }, Access::Read) => read.matches(&key),
            (Keys::ByScope(scopes), _) => scopes.iter().any(|scope| scope.permits_key(access, &key)),
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
