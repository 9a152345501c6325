//! What is in a data directory that is kept for later releases: something of everything that lasts.

use std::sync::Arc;

use lepus::broker::exchange::{Destination, Exchange};
use lepus::broker::{
    Bind, BindTo, Broker, Durability, DurabilityDeclaration, ExchangeDeclaration, NewPassword,
    QueueDeclaration, Routes, Session, Vhost, VhostDeclaration,
};
use lepus::message::{Envelope, Message};
use lepus::metadata::{
    DestinationKind, PasswordDefinition, PermissionDefinition, PolicyDefinition, PolicyKind,
    TopicPermissionDefinition, UserLimits, VhostLimits,
};
use lepus::name::Name;
use lepus::queue::{LeaseRef, Settlement};
use lepus_protocol::{FieldTable, FieldValue};

/// Messages of a kilobyte in a queue of their own: more than a short log holds.
const BACKLOG: usize = 400;

const HOST: &str = "shop";

fn table(entries: &[(&str, FieldValue)]) -> FieldTable {
    entries.iter().map(|(key, value)| (*key, value.clone())).fold(
        FieldTable::new(),
        |mut table, (key, value)| {
            table.insert(key, value);
            table
        },
    )
}

fn session(broker: &Arc<Broker>, vhost: &str) -> Session {
    let vhost = broker.vhost(vhost).unwrap();
    Session::of_broker(vhost, Arc::clone(&broker.authority.accounts))
}

/// A session that makes what is to last.
struct Maker<'b> {
    broker: &'b Arc<Broker>,
    session: Session,
    /// What was published to which queue and should be there, in order of arrival.
    there: Vec<(&'static str, Message)>,
}

impl Maker<'_> {
    fn queue(&self, name: &str, arguments: FieldTable) {
        let declaration = QueueDeclaration {
            name: Name::from(name),
            durable: true,
            exclusive: false,
            auto_delete: false,
            arguments,
        };
        self.session.declare_queue(declaration, self.broker.clock.now()).unwrap();
    }

    fn exchange(&self, name: &str, kind: &str, internal: bool, arguments: FieldTable) {
        let (name, kind) = (Name::from(name), kind.to_owned());
        let declaration =
            ExchangeDeclaration { name, kind, durable: true, auto_delete: false, internal, arguments };
        self.session.declare_exchange(declaration).unwrap();
    }

    fn bind(&self, source: &str, destination: BindTo, key: &str) {
        let (key, arguments) = (key.as_bytes().into(), FieldTable::new());
        let bind = Bind { source: Name::from(source), destination, key, arguments };
        self.session.bind(bind, self.broker.clock.now()).unwrap();
    }

    fn publish(
        &mut self,
        to: (&str, &str),
        priority: u8,
        persistent: bool,
        body: &str,
        queues: &[&'static str],
    ) {
        let envelope = Envelope {
            exchange: to.0.as_bytes(),
            routing_key: to.1.as_bytes(),
            properties: &[0, 0],
            persistent,
            priority,
            ttl_ms: None,
            dead_letter: false,
            delay_ms: None,
        };
        let (message, now) = (Message::new(&envelope, body.as_bytes()), self.broker.clock.now());
        let exchange = self.session.vhost.exchange(to.0).unwrap();
        let mut routes = Routes::new();
        let passage = self.session.route(&exchange, &message, &[], now, &mut routes);
        let mut reached: Vec<_> = routes.iter().map(|queue| queue.name.as_str().to_owned()).collect();
        reached.sort_unstable();
        assert_eq!(reached, queues);
        assert!(self.session.enqueue(&mut routes, passage, &message, now).0);
        if persistent {
            self.there.extend(queues.iter().map(|queue| (*queue, message.clone())));
        }
    }

    /// Takes as many messages and ends those leases at these places, the later first; the rest goes back in one piece.
    fn settle(&mut self, name: &'static str, take: usize, places: &[usize], how: Settlement) {
        let now = self.broker.clock.now();
        let mut leases = Vec::new();
        for _ in 0..take {
            let (queue, fetched) = self.session.get(&Name::from(name), false, now).unwrap().unwrap();
            leases.push((queue, LeaseRef { seq: fetched.seq, holder: fetched.holder }, fetched.message));
        }
        for &at in places.iter().rev() {
            let (queue, lease, message) = leases.remove(at);
            self.session.settle(&queue, &[lease], how, now);
            let gone = self.there.iter().position(|(of, known)| *of == name && *known == message).unwrap();
            self.there.remove(gone);
        }
        for (queue, lease, _) in leases {
            self.session.settle(&queue, &[lease], Settlement::Requeue, now);
        }
    }
}

/// Fills a new broker. What must be found in its directory, as lines.
pub(crate) async fn fill(broker: &Arc<Broker>) -> String {
    accounts(broker).await;
    let mut maker = Maker { broker, session: session(broker, HOST), there: Vec::new() };
    topology(&maker);
    for number in 1..=10 {
        maker.publish(("events", "order.new"), 0, true, &format!("order {number}"), &["copies", "orders"]);
    }
    maker.publish(("events", "order.new"), 0, false, "not to be kept", &["copies", "orders"]);
    maker.settle("orders", 8, &[1, 2, 6], Settlement::Ack);
    maker.settle("orders", 5, &[4], Settlement::Discard);
    let rejected =
        maker.there.iter().find(|(queue, message)| *queue == "copies" && message.body() == b"order 8");
    let letter =
        Envelope { routing_key: b"dead", persistent: true, dead_letter: true, ..Envelope::default() };
    maker.there.push(("dead", Message::new(&letter, rejected.unwrap().1.body())));
    for number in 0..12_u8 {
        maker.publish(("", "ranked"), number % 6, true, &format!("rank {number}"), &["ranked"]);
    }
    maker.settle("ranked", 3, &[1], Settlement::Ack);
    for number in 0..BACKLOG {
        maker.publish(("", "backlog"), 0, true, &format!("{number:04} {}", "x".repeat(1000)), &["backlog"]);
    }
    let every_third: Vec<usize> = (0..BACKLOG / 2).step_by(3).collect();
    maker.settle("backlog", BACKLOG / 2, &every_third, Settlement::Ack);
    let Maker { session, there, .. } = maker;
    session.durable().await;
    expected(broker, there)
}

fn expected(broker: &Arc<Broker>, there: Vec<(&'static str, Message)>) -> String {
    let mut lines = describe(broker);
    let mut queues: Vec<_> = there.iter().map(|(queue, _)| *queue).collect();
    queues.sort_unstable();
    queues.dedup();
    for name in queues {
        let mut messages: Vec<_> = there.iter().filter(|(queue, _)| *queue == name).collect();
        // The highest priority first, else in order.
        messages.sort_by_key(|(_, message)| {
            std::cmp::Reverse(if name == "ranked" { message.priority() } else { 0 })
        });
        lines.extend(messages.iter().map(|(_, message)| line(HOST, name, message)));
    }
    lines.join("\n") + "\n"
}

async fn accounts(broker: &Arc<Broker>) {
    let [shop, app, events] = [HOST, "app", "events"].map(Name::from);
    let declaration = VhostDeclaration {
        description: "orders and mail".into(),
        tags: vec!["eu".into(), "production".into()],
        default_queue_type: Some("classic".into()),
        durability: DurabilityDeclaration::Is(Durability::Os),
    };
    broker.put_vhost(&shop, declaration).await.unwrap();
    broker.change_vhost_limits(&shop, |limits| limits.max_queues = Some(100)).await.unwrap();
    let hash = PasswordDefinition {
        hash: "kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2POR".into(),
        algorithm: "rabbit_password_hashing_sha256".into(),
    };
    broker.put_user(&app, NewPassword::Hash(hash), vec!["management".into()]).await.unwrap();
    broker.change_user_limits(&app, |limits| limits.max_channels = Some(9)).await.unwrap();
    let permission = PermissionDefinition { configure: "^o".into(), write: ".*".into(), read: String::new() };
    broker.put_permission(&shop, &app, permission).await.unwrap();
    let topic = TopicPermissionDefinition { write: "^order\\.".into(), read: ".*".into() };
    broker.put_topic_permission(&shop, &app, &events, topic).await.unwrap();
}

fn topology(maker: &Maker<'_>) {
    let text = |text: &str| FieldValue::LongString(text.as_bytes().to_vec());
    let dead = [("x-dead-letter-exchange", text("")), ("x-dead-letter-routing-key", text("dead"))];
    maker.queue("orders", table(&dead));
    maker.queue("ranked", table(&[("x-max-priority", FieldValue::I32(5))]));
    for name in ["backlog", "copies", "dead"] {
        maker.queue(name, FieldTable::new());
    }
    maker.exchange("audit", "fanout", true, FieldTable::new());
    maker.exchange("events", "topic", false, table(&[("alternate-exchange", text("audit"))]));
    let queue = |name: &str| BindTo::Queue(Name::from(name));
    maker.bind("events", queue("orders"), "order.#");
    maker.bind("events", BindTo::Exchange(Name::from("audit")), "#");
    maker.bind("audit", queue("copies"), "");
    let policy = |pattern: &str, key: &str, value: i64| PolicyDefinition {
        pattern: pattern.into(),
        apply_to: "queues".into(),
        priority: 3,
        definition: table(&[(key, FieldValue::I64(value))]),
    };
    let now = maker.broker.clock.now();
    for (kind, name, definition) in [
        (PolicyKind::User, "longer", policy("^o", "max-length", 1_000_000)),
        (PolicyKind::Operator, "bounded", policy(".*", "max-length-bytes", 1_000_000_000)),
    ] {
        maker.session.vhost.put_policy(kind, Name::from(name), definition, now).unwrap();
    }
}

fn plain(table: &FieldTable) -> String {
    let value = |value: &FieldValue| match (value.as_str(), value.as_integer()) {
        (Some(text), _) => format!("'{text}'"),
        (_, Some(number)) => number.to_string(),
        _ => format!("{value:?}"),
    };
    let entries: Vec<_> = table.iter().map(|(key, held)| format!("{key}={}", value(held))).collect();
    format!("[{}]", entries.join(", "))
}

fn line(vhost: &str, queue: &str, message: &Message) -> String {
    let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
    let body = message.body();
    let dead = if message.is_dead_letter() { "dead letter" } else { "message" };
    format!(
        "{dead} {vhost} {queue}: exchange '{}', key '{}', priority {}, {} octets '{}'",
        text(message.exchange()),
        text(message.routing_key()),
        message.priority(),
        body.len(),
        text(&body[..body.len().min(12)])
    )
}

/// All definitions, as sorted lines. Field by field: what a later release adds says nothing of what was there.
pub(crate) fn describe(broker: &Arc<Broker>) -> Vec<String> {
    let mut lines = Vec::new();
    let accounts = &broker.authority.accounts;
    for (name, user) in accounts.users() {
        let (algorithm, hash) = user.password.map(|password| (password.algorithm, password.hash)).unwrap();
        let UserLimits { max_connections, max_channels } = user.limits;
        let tags = user.tags.join(" ");
        lines.push(format!(
            "user {name}: {algorithm} '{hash}', tags '{tags}', {max_connections:?}, {max_channels:?}"
        ));
    }
    for (vhost, user, PermissionDefinition { configure, write, read }) in accounts.permissions() {
        lines.push(format!("permission {vhost} {user}: '{configure}' '{write}' '{read}'"));
    }
    for (vhost, user, exchange, TopicPermissionDefinition { write, read }) in accounts.topic_permissions() {
        lines.push(format!("topic permission {vhost} {user} {exchange}: '{write}' '{read}'"));
    }
    for vhost in broker.vhosts() {
        let definition = vhost.definition();
        let (description, tags, kind) =
            (definition.description, definition.tags, definition.default_queue_type);
        let VhostLimits { max_connections, max_queues } = definition.limits;
        lines.push(format!(
            "vhost {}: '{description}', tags '{}', {kind:?}, {:?}, {max_connections:?}, {max_queues:?}",
            vhost.name,
            tags.join(" "),
            definition.durability.map(Durability::name)
        ));
        describe_vhost(&vhost, &mut lines);
    }
    lines.sort_unstable();
    lines
}

fn describe_vhost(vhost: &Vhost, lines: &mut Vec<String>) {
    let name = &vhost.name;
    for kind in [PolicyKind::User, PolicyKind::Operator] {
        for policy in vhost.policies(kind) {
            let definition = policy.to_definition();
            let (pattern, apply_to, priority) =
                (definition.pattern, definition.apply_to, definition.priority);
            let held = plain(&definition.definition);
            lines.push(format!(
                "policy {name} {}: {kind:?} '{pattern}' {apply_to} {priority} {held}",
                policy.name
            ));
        }
    }
    for queue in vhost.queues() {
        let arguments = plain(queue.options.arguments.raw());
        lines.push(format!("queue {name} {}: {arguments}", queue.name));
    }
    let is_own = |exchange: &Arc<Exchange>| !exchange.name.is_empty() && !exchange.name.is_reserved();
    for exchange in vhost.exchanges().into_iter().filter(is_own) {
        let (kind, held) = (exchange.options.kind.name(), plain(&exchange.options.arguments));
        let internal = exchange.options.internal;
        lines.push(format!("exchange {name} '{}': {kind} internal={internal} {held}", exchange.name));
        for binding in exchange.bindings() {
            let destination = &binding.destination;
            let kind = match destination.kind() {
                DestinationKind::Queue => "queue",
                DestinationKind::Exchange => "exchange",
            };
            let (key, held) = (String::from_utf8_lossy(&binding.key).into_owned(), plain(&binding.arguments));
            let (source, to) = (&exchange.name, Destination::name(destination));
            lines.push(format!("binding {name} '{source}' to {kind} '{to}': '{key}' {held}"));
        }
    }
}

/// Takes all messages; as lines, by queue and in the order in which they come.
pub(crate) fn messages(broker: &Arc<Broker>) -> Vec<String> {
    let mut lines = Vec::new();
    for vhost in broker.vhosts() {
        let session = session(broker, vhost.name.as_str());
        let mut queues = vhost.queues();
        queues.sort_unstable_by(|one, other| one.name.cmp(&other.name));
        for queue in queues {
            while let Some((_, fetched)) = session.get(&queue.name, true, broker.clock.now()).unwrap() {
                lines.push(line(vhost.name.as_str(), queue.name.as_str(), &fetched.message));
            }
        }
    }
    lines
}
