//! From an exchange to queues: over exchange-to-exchange bindings and alternate exchanges, each queue once.

use std::cell::OnceCell;
use std::collections::HashSet;
use std::sync::Arc;

use ahash::RandomState;
use lepus_protocol::{FieldTable, Properties};

use super::exchange::{Destination, Exchange};
use super::journal::Record;
use super::vhost::Vhost;
use crate::clock::Timestamp;
use crate::exchange::{MessageHeaders, Sighting, Subject};
use crate::fingerprint::Fingerprint;
use crate::id::EntityId;
use crate::message::Message;
use crate::queue::Queue;

/// Queues that a message goes to.
pub type Routes = Vec<Arc<Queue>>;

/// A message's headers, parsed when an exchange asks for the first time.
#[derive(Debug)]
struct LazyHeaders<'a> {
    properties: &'a [u8],
    parsed: OnceCell<Option<FieldTable>>,
}

impl<'a> LazyHeaders<'a> {
    /// The headers among these raw properties.
    fn new(properties: &'a [u8]) -> Self {
        Self { properties, parsed: OnceCell::new() }
    }

    fn parse(&self) -> Option<FieldTable> {
        let raw = Properties::parse(self.properties).ok()?.headers?;
        FieldTable::parse(raw).ok()
    }
}

impl MessageHeaders for LazyHeaders<'_> {
    fn table(&self) -> Option<&FieldTable> {
        self.parsed.get_or_init(|| self.parse()).as_ref()
    }

    fn properties(&self) -> Option<Properties<'_>> {
        Properties::parse(self.properties).ok()
    }
}

/// One pass over the exchanges that a message reaches.
struct Walk<'a> {
    vhost: &'a Vhost,
    message: &'a Message,
    subject: Subject<'a>,
    /// Exchanges to look at, in order of discovery; none twice, so that cycles end.
    exchanges: Vec<Arc<Exchange>>,
    seen: HashSet<EntityId, RandomState>,
    now: Timestamp,
    passage: Passage,
}

/// What exchanges on the way remember of a message.
#[derive(Debug, Default)]
pub struct Passage {
    /// It went by its key and the bindings of one exchange, and by nothing else.
    plain: bool,
    duplicate: bool,
    pub(super) sightings: Vec<(Arc<Exchange>, Fingerprint)>,
}

impl Passage {
    /// Whether an exchange held it back, having seen its like: it is done with then, not unroutable.
    pub fn is_duplicate(&self) -> bool {
        self.duplicate
    }

    /// Whether a message with the same key takes the same way as long as the bindings of the exchange are the same.
    pub(super) fn is_plain(&self) -> bool {
        self.plain
    }

    /// The message was not kept after all: its publisher may send it again, and that is no duplicate.
    pub fn forget(self) {
        for (exchange, fingerprint) in self.sightings {
            if let Some(seen) = &exchange.seen {
                seen.lock().forget(fingerprint);
            }
        }
    }
}

/// Adds to `routes` the queues that a message published to `exchange` goes to.
///
/// RabbitMQ: the headers CC and BCC add keys; a queue gets one copy however many bindings match.
pub fn route(
    vhost: &Vhost,
    exchange: &Arc<Exchange>,
    message: &Message,
    extra_keys: &[Vec<u8>],
    now: Timestamp,
    routes: &mut Routes,
) -> Passage {
    let headers = LazyHeaders::new(message.properties());
    let own_key = [message.routing_key()];
    let all_keys: Vec<&[u8]>;
    let keys = if extra_keys.is_empty() {
        own_key.as_slice()
    } else {
        all_keys = own_key.into_iter().chain(extra_keys.iter().map(Vec::as_slice)).collect();
        all_keys.as_slice()
    };
    let subject = Subject { keys, headers: &headers, random: rand::random };
    let mut walk = Walk {
        vhost,
        message,
        subject,
        exchanges: Vec::new(),
        seen: HashSet::default(),
        now,
        passage: Passage { plain: exchange.options.kind.routes_by_key(), ..Passage::default() },
    };
    walk.visit(exchange, routes);
    walk.passage.plain &= walk.exchanges.is_empty();
    while let Some(exchange) = walk.exchanges.pop() {
        walk.visit(&exchange, routes);
    }
    if routes.len() > 1 {
        routes.sort_unstable_by_key(|queue| queue.id);
        routes.dedup_by_key(|queue| queue.id);
    }
    walk.passage
}

impl Walk<'_> {
    fn visit(&mut self, exchange: &Arc<Exchange>, routes: &mut Routes) {
        let found = if exchange.name.is_empty() {
            self.by_queue_name(routes)
        } else {
            self.by_bindings(exchange, routes)
        };
        if !found
            && let Some(alternate) = exchange.alternate()
            && let Some(alternate) = self.vhost.exchange(alternate.as_str())
        {
            self.discover(exchange, alternate);
        }
    }

    /// §3.1.3.1: every queue is bound to the default exchange by its name.
    fn by_queue_name(&self, routes: &mut Routes) -> bool {
        let before = routes.len();
        let names = self.subject.keys.iter().filter_map(|key| std::str::from_utf8(key).ok());
        routes.extend(names.filter_map(|name| self.vhost.queue(name)));
        routes.len() > before
    }

    fn by_bindings(&mut self, exchange: &Arc<Exchange>, routes: &mut Routes) -> bool {
        if let Some(seen) = &exchange.seen {
            let sighting = seen.lock().see(self.subject.headers.table(), self.now);
            match sighting {
                Sighting::Anonymous => {}
                Sighting::New(fingerprint) => {
                    self.passage.sightings.push((Arc::clone(exchange), fingerprint));
                }
                Sighting::Duplicate => {
                    // It is confirmed because its like is there: not before that is on disk.
                    self.vhost.journal().record(Record::Barrier);
                    self.passage.duplicate = true;
                    return true;
                }
            }
        }
        // Held while the bindings are looked at: who binds meanwhile gets the message from here or from there, once.
        let _history = exchange.history.as_ref().map(|history| {
            let mut history = history.lock();
            history.remember(self.message, self.subject.headers.table());
            history
        });
        let mut onward = Vec::new();
        let mut found = false;
        exchange.router.read().route(&self.subject, &mut |destination| {
            found = true;
            match destination {
                Destination::Queue(queue) => routes.push(Arc::clone(queue)),
                Destination::Exchange(exchange) => onward.push(Arc::clone(exchange)),
            }
        });
        for next in onward {
            self.discover(exchange, next);
        }
        found
    }

    fn discover(&mut self, from: &Exchange, next: Arc<Exchange>) {
        self.seen.insert(from.id);
        if self.seen.insert(next.id) {
            self.exchanges.push(next);
        }
    }
}
