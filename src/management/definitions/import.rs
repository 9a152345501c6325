//! Definitions on their way in: what others stand on comes first.
//!
//! All of the document is understood before anything is made. What then cannot be made ends the import with the reason;
//! what was made before it stays (RabbitMQ).

use std::collections::HashMap;
use std::sync::Arc;

use lepus_protocol::FieldTable;
use serde_json::{Map, Value};

use super::shape::{
    Binding, Definitions, DestinationType, Exchange, GlobalParameter, Parameter, Permission, Policy, Queue,
    TopicPermission, User, Vhost,
};
use crate::broker::{
    Bind, BindTo, Broker, ExchangeDeclaration, QueueDeclaration, Session, Vhost as CoreVhost,
};
use crate::management::parameters::{self, Component};
use crate::management::refusal::Refusal;
use crate::management::table::from_json;
use crate::management::{users, vhosts};
use crate::metadata::{PermissionDefinition, PolicyDefinition, PolicyKind, TopicPermissionDefinition};
use crate::name::Name;
use crate::policy::{Policy as CorePolicy, PolicyError};

/// Definitions made before others get a turn on the thread.
const BATCH: usize = 256;

/// An import under way.
#[derive(Debug)]
pub(super) struct Import<'b> {
    broker: &'b Arc<Broker>,
    /// One session for each virtual host: what is made must be on disk before the answer.
    sessions: HashMap<String, Session>,
    ignored: Vec<String>,
}

/// A policy that can be set.
struct NewPolicy {
    what: String,
    vhost: String,
    name: Name,
    definition: PolicyDefinition,
}

impl<'b> Import<'b> {
    pub(super) fn new(broker: &'b Arc<Broker>) -> Self {
        Self { broker, sessions: HashMap::new(), ignored: Vec::new() }
    }

    /// Makes everything that `definitions` has. Says what was left out.
    pub(super) async fn carry_out(mut self, definitions: Definitions) -> Result<Vec<String>, Refusal> {
        let Definitions { vhosts, users, permissions, topic_permissions, .. } = definitions;
        let Definitions { parameters, global_parameters, policies, exchanges, queues, bindings, .. } =
            definitions;
        let policies = self.understood(policies)?;
        let exchanges = with_arguments(exchanges, |exchange| &exchange.arguments)?;
        let queues = with_arguments(queues, |queue| &queue.arguments)?;
        let bindings = with_arguments(bindings, |binding| &binding.arguments)?;
        for vhost in vhosts {
            self.put_vhost(vhost).await?;
        }
        for user in users {
            self.put_user(user).await?;
        }
        for permission in permissions {
            self.put_permission(permission).await?;
        }
        for permission in topic_permissions {
            self.put_topic_permission(permission).await?;
        }
        for parameter in parameters {
            self.put_parameter(parameter).await?;
        }
        for GlobalParameter { name, value } in global_parameters {
            let set = parameters::set_global(self.broker, &Name::from(name.as_str()), &value).await;
            set.map_err(|refusal| of(&format!("global parameter '{name}'"), refusal))?;
        }
        // Before what they hold for: a queue is never without its limits.
        for policy in policies {
            self.put_policy(policy)?;
        }
        self.make(exchanges, Self::declare_exchange).await?;
        self.make(queues, Self::declare_queue).await?;
        self.make(bindings, Self::bind).await?;
        for session in self.sessions.values() {
            session.durable().await;
        }
        self.broker.flush().await;
        Ok(self.ignored)
    }

    async fn make<T>(
        &mut self,
        all: Vec<(T, FieldTable)>,
        make: impl Fn(&mut Self, T, FieldTable) -> Result<(), Refusal>,
    ) -> Result<(), Refusal> {
        for (index, (one, arguments)) in all.into_iter().enumerate() {
            make(self, one, arguments)?;
            if index % BATCH == BATCH - 1 {
                tokio::task::yield_now().await;
            }
        }
        Ok(())
    }

    async fn put_vhost(&self, vhost: Vhost) -> Result<(), Refusal> {
        let Vhost { name, declaration, metadata } = vhost;
        let declaration =
            if declaration.says_nothing() { metadata.unwrap_or(declaration) } else { declaration };
        let made = self.broker.put_vhost(&Name::from(name.as_str()), declaration.into()).await;
        made.map(drop).map_err(|error| of(&format!("vhost '{name}'"), error.into()))
    }

    async fn put_user(&self, user: User) -> Result<(), Refusal> {
        let User { name, declaration } = user;
        let what = format!("user '{name}'");
        let name = Name::from(name);
        let limits = vhosts::numbers(&declaration.limits).map_err(|refusal| of(&what, refusal))?;
        let (password, tags) = declaration.into_parts().map_err(|refusal| of(&what, refusal))?;
        self.broker.put_user(&name, password, tags).await.map_err(|error| of(&what, error.into()))?;
        for (limit, value) in limits {
            let field = users::limit_field(&limit).map_err(|refusal| of(&what, refusal))?;
            let changed = self.broker.change_user_limits(&name, |limits| *field(limits) = Some(value)).await;
            changed.map_err(|error| of(&what, error.into()))?;
        }
        Ok(())
    }

    async fn put_permission(&self, permission: Permission) -> Result<(), Refusal> {
        let Permission { user, vhost, configure, write, read } = permission;
        let definition = PermissionDefinition { configure, write, read };
        let what = format!("permission of user '{user}' in vhost '{vhost}'");
        let made = self.broker.put_permission(&Name::from(vhost), &Name::from(user), definition).await;
        made.map(drop).map_err(|error| of(&what, error.into()))
    }

    async fn put_topic_permission(&self, permission: TopicPermission) -> Result<(), Refusal> {
        let TopicPermission { user, vhost, exchange, write, read } = permission;
        let definition = TopicPermissionDefinition { write, read };
        let what = format!("topic permission of user '{user}' in vhost '{vhost}'");
        let (vhost, user, exchange) = (Name::from(vhost), Name::from(user), Name::from(exchange));
        let made = self.broker.put_topic_permission(&vhost, &user, &exchange, definition).await;
        made.map(drop).map_err(|error| of(&what, error.into()))
    }

    async fn put_parameter(&mut self, parameter: Parameter) -> Result<(), Refusal> {
        let Parameter { component, name, vhost, value } = parameter;
        let vhost = vhost.unwrap_or_default();
        let what = format!("parameter '{name}' of '{component}' in vhost '{vhost}'");
        let Some(component) = Component::from_name(&component) else {
            self.ignored.push(what);
            return Ok(());
        };
        let vhost = self.vhost(&vhost)?;
        let set = parameters::set(self.broker, &vhost, component, &Name::from(name), value).await;
        set.map(drop).map_err(|refusal| of(&what, refusal))
    }

    /// Policies without the keys that are not known here, such as those of mirroring: these are named.
    fn understood(&mut self, policies: Vec<Policy>) -> Result<Vec<NewPolicy>, Refusal> {
        let mut understood = Vec::new();
        for Policy { vhost, name, declaration } in policies {
            let what = format!("policy '{name}' in vhost '{vhost}'");
            let definition = declaration.into_definition().map_err(|refusal| of(&what, refusal))?;
            if let Some(definition) = self.with_known_keys(&what, definition)? {
                understood.push(NewPolicy { what, vhost, name: Name::from(name), definition });
            }
        }
        Ok(understood)
    }

    /// `None`: no key is known.
    fn with_known_keys(
        &mut self,
        what: &str,
        mut definition: PolicyDefinition,
    ) -> Result<Option<PolicyDefinition>, Refusal> {
        let probe = |definition: &PolicyDefinition| {
            CorePolicy::new(PolicyKind::User, Name::from("p"), definition.clone())
        };
        if let Err(PolicyError::Unrecognised(settings)) = probe(&definition) {
            for (key, _) in settings {
                definition.definition.remove(&key);
                self.ignored.push(format!("key '{key}' of {what}"));
            }
            if definition.definition.is_empty() {
                return Ok(None);
            }
        }
        probe(&definition).map_err(|error| of(what, error.into()))?;
        Ok(Some(definition))
    }

    fn put_policy(&self, policy: NewPolicy) -> Result<(), Refusal> {
        let NewPolicy { what, vhost, name, definition } = policy;
        let now = self.broker.clock.now();
        let set = self.vhost(&vhost)?.put_policy(PolicyKind::User, name, definition, now);
        set.map(drop).map_err(|error| of(&what, error.into()))
    }

    fn vhost(&self, name: &str) -> Result<Arc<CoreVhost>, Refusal> {
        let missing = || Refusal::bad_request(format!("there is no vhost '{name}'"));
        self.broker.vhost(name).ok_or_else(missing)
    }

    fn declare_exchange(&mut self, exchange: Exchange, arguments: FieldTable) -> Result<(), Refusal> {
        let Exchange { vhost, name, kind, durable, auto_delete, internal, .. } = exchange;
        let what = format!("exchange '{name}' in vhost '{vhost}'");
        let name = Name::from(name);
        let declaration = ExchangeDeclaration { name, kind, durable, auto_delete, internal, arguments };
        let declared = self.session(&vhost)?.declare_exchange(declaration);
        declared.map_err(|exception| of(&what, exception.into()))
    }

    fn declare_queue(&mut self, queue: Queue, arguments: FieldTable) -> Result<(), Refusal> {
        let Queue { vhost, name, durable, auto_delete, .. } = queue;
        let what = format!("queue '{name}' in vhost '{vhost}'");
        let now = self.broker.clock.now();
        let name = Name::from(name);
        let declaration = QueueDeclaration { name, durable, exclusive: false, auto_delete, arguments };
        let declared = self.session(&vhost)?.declare_queue(declaration, now);
        declared.map(drop).map_err(|exception| of(&what, exception.into()))
    }

    fn bind(&mut self, binding: Binding, arguments: FieldTable) -> Result<(), Refusal> {
        let Binding { vhost, source, destination, destination_type, routing_key, .. } = binding;
        let what = format!("binding from '{source}' to '{destination}' in vhost '{vhost}'");
        let now = self.broker.clock.now();
        let destination = Name::from(destination);
        let bind = Bind {
            source: Name::from(source),
            destination: match destination_type {
                DestinationType::Queue => BindTo::Queue(destination),
                DestinationType::Exchange => BindTo::Exchange(destination),
            },
            key: routing_key.into_bytes().into_boxed_slice(),
            arguments,
        };
        self.session(&vhost)?.bind(bind, now).map_err(|exception| of(&what, exception.into()))
    }

    /// A session of the broker itself: who may import definitions may make what is in them (RabbitMQ).
    fn session(&mut self, vhost: &str) -> Result<&Session, Refusal> {
        if !self.sessions.contains_key(vhost) {
            let host = self.vhost(vhost)?;
            self.sessions.insert(
                vhost.to_owned(),
                Session::of_broker(host, Arc::clone(&self.broker.authority.accounts)),
            );
        }
        self.sessions.get(vhost).ok_or_else(|| Refusal::internal("no session"))
    }
}

/// What is made with arguments, with them as a table: the document is understood as a whole before anything is made.
fn with_arguments<T>(
    all: Vec<T>,
    arguments: impl Fn(&T) -> &Map<String, Value>,
) -> Result<Vec<(T, FieldTable)>, Refusal> {
    let pair = |one: T| {
        let table = from_json(arguments(&one))?;
        Ok((one, table))
    };
    all.into_iter().map(pair).collect()
}

/// What it was that could not be made.
fn of(what: &str, refusal: Refusal) -> Refusal {
    refusal.about(what)
}
