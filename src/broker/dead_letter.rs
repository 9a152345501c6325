//! Dead letters (RabbitMQ): what a queue drops goes on to the exchange that the queue names, with its history in the
//! headers `x-death`, `x-first-death-*` and `x-last-death-*`.
//!
//! A queue reports what it dropped once its lock is released, from whatever thread that was; giving the message to the
//! next queue may drop more. So each thread works off a list instead of going deeper with each hop. What one queue
//! dropped is carried in the order in which it was, whichever threads do: each waits for its [`Turn`].
//!
//! A queue that is to lose nothing (RabbitMQ: `x-dead-letter-strategy` at-least-once) keeps what has died until each
//! queue that its letter goes to has it, and is told then ([`carry_kept`]).
//!
//! The log hears where a message goes before it hears that it has left, and of the latter only once the queue it goes
//! to is defined on disk: a crash in between leaves it twice, never nowhere.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::sync::Arc;

use lepus_protocol::{FieldTable, FieldValue, Properties};

use super::journal::Record;
use super::publish::{Given, give};
use super::route::{Passage, Routes, route};
use super::vhost::Vhost;
use crate::clock::Timestamp;
use crate::id::EntityId;
use crate::message::{Envelope, Message};
use crate::name::Name;
use crate::queue::arguments::DeadLetterTarget;
use crate::queue::{Dead, DropReason, Dropped, Queue, Remains, Turn};

/// Deaths that a message remembers; one for each queue and reason. Who has died as often in different ways goes no
/// further, unless a consumer rejects it: that a cycle is one is known only from what is remembered.
const DEATHS_MAX: usize = 128;

/// Letters that may follow from each message that a queue drops, on average: topologies in which every queue passes on
/// to all others make factorials of it. What has waited for its time to live follows from nothing.
const LETTERS_PER_MESSAGE_MAX: usize = 64;

/// Letters that may follow in any case.
const LETTERS_MIN: usize = 8 * 1024;

thread_local! {
    /// `None` while this thread carries nothing.
    static CARRYING: RefCell<Option<Carrying>> = const { RefCell::new(None) };
}

/// What a thread carries.
struct Carrying {
    /// What is still to be done, in order.
    errands: VecDeque<Errand>,
    /// How many letters may still be carried.
    budget: usize,
}

/// One thing to do.
enum Errand {
    /// Messages are to be carried that have left their queue.
    Dropped(Bundle),
    /// Messages are to be carried that their queue keeps until then.
    Kept(Kept),
}

/// What a queue dropped at a time.
struct Bundle {
    vhost: Arc<Vhost>,
    letters: Vec<Letter>,
    /// What the log may hear once these are carried.
    gone: Option<Record>,
    turn: Option<Turn>,
}

/// Dead messages that their queue keeps.
struct Kept {
    turn: Option<Turn>,
    vhost: Arc<Vhost>,
    queue: Arc<Queue>,
    dead: Vec<Dead>,
    now: Timestamp,
}

/// A message on its way from the queue where it died.
struct Letter {
    vhost: Arc<Vhost>,
    from: Name,
    target: DeadLetterTarget,
    message: Message,
    reason: DropReason,
    now: Timestamp,
}

/// Carries what `queue` dropped to where the queue says, then records that it is `gone`. Without a target it is gone.
pub(super) fn carry(
    vhost: &Arc<Vhost>,
    queue: &Queue,
    dropped: Vec<Dropped>,
    (gone, turn): (Option<Record>, Option<Turn>),
    now: Timestamp,
) {
    let (all, waited) = (dropped.len(), waited(queue, dropped.iter().map(|one| (one.reason, &one.message))));
    // Read first: reading takes time, and this thread's list is borrowed below.
    let letters = letters(vhost, queue, dropped, now);
    work_off(Errand::Dropped(Bundle { vhost: Arc::clone(vhost), letters, gone, turn }), all, waited);
}

/// Carries the letters of what `queue` keeps until then, and tells it which have arrived.
pub(super) fn carry_kept(
    vhost: &Arc<Vhost>,
    queue: &Arc<Queue>,
    dead: Vec<Dead>,
    turn: Option<Turn>,
    now: Timestamp,
) {
    let (all, waited) = (dead.len(), waited(queue, dead.iter().map(|one| (one.reason, &one.message))));
    let kept = Kept { turn, vhost: Arc::clone(vhost), queue: Arc::clone(queue), dead, now };
    work_off(Errand::Kept(kept), all, waited);
}

/// How many of them have expired and were there for a while: they are no letters that were carried just now, though a
/// letter's arrival may have brought it to light.
fn waited<'d>(queue: &Queue, dropped: impl Iterator<Item = (DropReason, &'d Remains)>) -> usize {
    let limits = queue.settings().limits;
    let has_waited = |message: &Remains| match message {
        Remains::Message(message) => limits.ttl_of(message) != Some(0),
        Remains::Stored(..) => true,
    };
    dropped.filter(|(reason, message)| *reason == DropReason::Expired && has_waited(message)).count()
}

/// Adds an errand to this thread's list; who has begun it works it off. `all` messages were dropped, of which `waited`
/// do not follow from what is carried.
fn work_off(errand: Errand, all: usize, waited: usize) {
    let is_carrying = CARRYING.with_borrow_mut(|carrying| {
        let is_carrying = carrying.is_some();
        let carrying = carrying.get_or_insert_with(|| {
            let budget = LETTERS_MIN + LETTERS_PER_MESSAGE_MAX * all;
            Carrying { errands: VecDeque::new(), budget }
        });
        carrying.errands.push_back(errand);
        if is_carrying {
            carrying.budget += LETTERS_PER_MESSAGE_MAX * waited;
        }
        is_carrying
    });
    if is_carrying {
        return;
    }
    let _done = Done;
    while let Some(errand) = CARRYING.with_borrow_mut(|carrying| carrying.as_mut()?.errands.pop_front()) {
        match errand {
            Errand::Dropped(bundle) => bundle.carry(),
            Errand::Kept(kept) => kept.carry(),
        }
    }
}

/// Whether one more letter may be carried.
fn spend() -> bool {
    let left = CARRYING.with_borrow_mut(|carrying| {
        let budget = &mut carrying.as_mut()?.budget;
        *budget = budget.checked_sub(1)?;
        Some(*budget)
    });
    if left == Some(0) {
        tracing::warn!("too many dead letters follow from one another, the rest is dropped");
    }
    left.is_some()
}

/// The letters that follow from what `queue` dropped.
fn letters(vhost: &Arc<Vhost>, queue: &Queue, dropped: Vec<Dropped>, now: Timestamp) -> Vec<Letter> {
    let Some(target) = queue.dead_letter_target() else { return Vec::new() };
    let letter = |Dropped { message, reason }| {
        let message = match message {
            Remains::Message(message) => message,
            Remains::Stored(level, seq, home) => vhost.fetch(queue, level, seq, home)?,
        };
        let (from, target) = (queue.name.clone(), target.clone());
        Some(Letter { vhost: Arc::clone(vhost), from, target, message, reason, now })
    };
    dropped.into_iter().filter_map(letter).collect()
}

impl Bundle {
    /// Carries the letters, then lets the log hear that what they were is gone; once every queue that they went to is
    /// on disk.
    fn carry(self) {
        let Self { vhost, letters, gone, turn } = self;
        if let Some(turn) = turn.as_ref().filter(|_| !letters.is_empty()) {
            turn.wait();
        }
        let mut is_undefined = false;
        for letter in letters {
            is_undefined |= spend() && letter.deliver(None).is_undefined;
        }
        let Some(record) = gone else { return };
        if is_undefined {
            vhost.journal().record_held(record);
        } else {
            vhost.journal().record(record);
        }
    }
}

impl Kept {
    /// Carries the letters, and tells the queue what became of them. What it keeps may wait longer: nothing is lost
    /// when the budget is used up.
    fn carry(self) {
        let Self { turn, vhost, queue, dead, now } = self;
        turn.iter().for_each(Turn::wait);
        let (target, is_kept) = queue.dead_letter_strategy();
        let is_again = dead.iter().any(|dead| dead.is_again);
        let (mut arrived, mut undelivered) = (Vec::new(), Vec::new());
        for mut dead in dead {
            let has_arrived = match &target {
                None => true,
                Some(target) => spend() && deliver_kept(&vhost, &queue, target, &mut dead, now),
            };
            // Whoever does without the strategy meanwhile gets what it promises without.
            if has_arrived || !is_kept { arrived.push(dead.seq) } else { undelivered.push(dead) }
        }
        if !undelivered.is_empty() {
            tracing::debug!(queue = %queue.name, letters = undelivered.len(), "dead letters wait for their queues");
        }
        queue.carried(&arrived, undelivered, is_again, now);
    }
}

/// Carries the letter of a message that its queue keeps. Returns whether it is wherever it is to be.
fn deliver_kept(
    vhost: &Arc<Vhost>,
    queue: &Queue,
    target: &DeadLetterTarget,
    dead: &mut Dead,
    now: Timestamp,
) -> bool {
    let message = match &dead.message {
        Remains::Message(message) => Some(message.clone()),
        Remains::Stored(level, seq, home) => vhost.fetch(queue, *level, *seq, *home),
    };
    let Some(message) = message else { return false };
    let (vhost, from, target) = (Arc::clone(vhost), queue.name.clone(), target.clone());
    let letter = Letter { vhost, from, target, message, reason: dead.reason, now };
    letter.deliver(Some(&mut dead.reached)).has_arrived
}

/// What became of a letter.
#[derive(Default)]
struct Delivery {
    /// A queue keeps it whose definition is not on disk.
    is_undefined: bool,
    /// Every queue that it is for has it, and there is one.
    has_arrived: bool,
}

/// Ends this thread's carrying, also when a panic does.
struct Done;

impl Drop for Done {
    fn drop(&mut self) {
        CARRYING.set(None);
    }
}

impl Letter {
    /// Gives it to the queues that it is for; not to those that it has `reached` before, to which others are added.
    fn deliver(self, reached: Option<&mut Vec<EntityId>>) -> Delivery {
        let Some(exchange) = self.vhost.exchange(self.target.exchange.as_str()) else {
            tracing::debug!(queue = %self.from, exchange = %self.target.exchange, "no dead-letter exchange");
            return Delivery::default();
        };
        let message = &self.message;
        let Ok(properties) = Properties::parse(message.properties()) else { return Delivery::default() };
        let mut headers = properties.headers.and_then(|raw| FieldTable::parse(raw).ok()).unwrap_or_default();
        if self.is_worn_out(&headers) {
            tracing::debug!(queue = %self.from, deaths = DEATHS_MAX, "a message has died too often");
            return Delivery::default();
        }
        let keys = routing_keys(message, &headers);
        self.record_death(&mut headers, &properties, &keys);
        let deaths = deaths(&headers);
        let keys = match &self.target.routing_key {
            Some(key) => {
                headers.remove("CC");
                vec![key.clone()]
            }
            None => keys,
        };
        let letter = self.letter(properties, &headers, keys.first().map(Vec::as_slice).unwrap_or_default());
        let mut routes = Routes::new();
        let extra_keys = keys.get(1..).unwrap_or_default();
        let passage = route(&self.vhost, &exchange, &letter, extra_keys, self.now, &mut routes);
        routes.retain(|queue| !self.is_cycle(&queue.name, &deaths));
        self.give(&mut routes, letter, passage, reached)
    }

    /// Gives it to these queues. If an exchange on its `passage` has seen its like, it goes nowhere and is done with.
    fn give(
        &self,
        routes: &mut Routes,
        letter: Message,
        passage: Passage,
        reached: Option<&mut Vec<EntityId>>,
    ) -> Delivery {
        let mut nobody = Vec::new();
        let keeps = reached.is_some();
        let reached = reached.unwrap_or(&mut nobody);
        let is_routed = passage.is_duplicate() || !routes.is_empty() || !reached.is_empty();
        let is_undefined = |queue: &Arc<Queue>| self.vhost.undefined(queue).is_some();
        let mut waits =
            keeps && routes.iter().any(|queue| reached.contains(&queue.id) && is_undefined(queue));
        routes.retain(|queue| !reached.contains(&queue.id));
        if keeps {
            reached.extend(routes.iter().map(|queue| queue.id));
        }
        let Given { refusals, placements, awaited, .. } = give(routes, &letter, self.now);
        reached.retain(|queue| !refusals.contains(queue));
        let is_logged = !placements.is_empty();
        if is_logged {
            self.vhost.journal().record(Record::Publish(placements, letter));
        }
        if !is_routed || !refusals.is_empty() {
            passage.forget();
        } else if is_logged {
            passage.keep(self.vhost.journal());
        }
        waits |= awaited.iter().any(is_undefined);
        // What is kept stays until the definition is on disk: the log must not hear before that it has gone.
        Delivery { is_undefined: waits, has_arrived: is_routed && refusals.is_empty() && !(keeps && waits) }
    }

    /// Whether it has died in so many ways that a cycle could not be told.
    fn is_worn_out(&self, headers: &FieldTable) -> bool {
        let known = self.message.is_dead_letter();
        known && self.reason != DropReason::Rejected && deaths(headers).len() >= DEATHS_MAX
    }

    /// The message as it is published again: with its history, without its expiration.
    fn letter(&self, properties: Properties<'_>, headers: &FieldTable, routing_key: &[u8]) -> Message {
        let mut raw_headers = Vec::new();
        headers.encode(&mut raw_headers);
        let mut raw = Vec::new();
        Properties { headers: Some(&raw_headers), expiration: None, ..properties }.encode(&mut raw);
        let message = &self.message;
        let envelope = Envelope {
            exchange: self.target.exchange.as_str().as_bytes(),
            routing_key,
            properties: &raw,
            persistent: message.is_persistent(),
            priority: message.priority(),
            ttl_ms: None,
            dead_letter: true,
            delay_ms: None,
        };
        Message::new(&envelope, message.body())
    }

    /// Adds this death: counted if the message died in this queue of this before, the most recent first.
    fn record_death(&self, headers: &mut FieldTable, properties: &Properties<'_>, keys: &[Vec<u8>]) {
        let message = &self.message;
        let (queue, reason) = (self.from.as_str(), self.reason.name());
        // RabbitMQ 4: what a client says of deaths is not believed.
        let mut deaths = if message.is_dead_letter() { deaths(headers) } else { Vec::new() };
        let again = deaths
            .iter()
            .position(|death| text(death, "queue") == Some(queue) && text(death, "reason") == Some(reason));
        let death = match again.map(|at| deaths.remove(at)) {
            Some(mut death) => {
                let count = death.get("count").and_then(FieldValue::as_integer).unwrap_or_default();
                death.insert("count", count.saturating_add(1));
                death
            }
            None => self.first_death(properties, keys),
        };
        if deaths.is_empty() && again.is_none() {
            self.name_death(headers, "first");
        }
        self.name_death(headers, "last");
        deaths.insert(0, death);
        deaths.truncate(DEATHS_MAX);
        headers.insert("x-death", FieldValue::Array(deaths.into_iter().map(FieldValue::Table).collect()));
    }

    fn first_death(&self, properties: &Properties<'_>, keys: &[Vec<u8>]) -> FieldTable {
        let exchange = FieldValue::LongString(self.message.exchange().to_vec());
        let keys = keys.iter().cloned().map(FieldValue::LongString).collect();
        let mut death = FieldTable::new();
        death.insert("count", 1_i64);
        death.insert("reason", self.reason.name());
        death.insert("queue", self.from.as_str());
        death.insert("time", FieldValue::Timestamp(self.now.as_millis() / 1000));
        death.insert("exchange", exchange);
        death.insert("routing-keys", FieldValue::Array(keys));
        if let Some(expiration) = properties.expiration {
            death.insert("original-expiration", FieldValue::LongString(expiration.as_bytes().to_vec()));
        }
        death
    }

    /// `x-first-death-*` or `x-last-death-*`.
    fn name_death(&self, headers: &mut FieldTable, which: &str) {
        let exchange = FieldValue::LongString(self.message.exchange().to_vec());
        headers.insert(&format!("x-{which}-death-reason"), self.reason.name());
        headers.insert(&format!("x-{which}-death-queue"), self.from.as_str());
        headers.insert(&format!("x-{which}-death-exchange"), exchange);
    }

    /// RabbitMQ: a message that comes back to a queue where it died goes no further, unless a consumer rejected it on
    /// the way: that is a retry, the rest would turn for ever.
    fn is_cycle(&self, to: &Name, deaths: &[FieldTable]) -> bool {
        if self.reason == DropReason::Rejected {
            return false;
        }
        let Some(before) = deaths.iter().position(|death| text(death, "queue") == Some(to.as_str())) else {
            return false;
        };
        let rejected = DropReason::Rejected.name();
        deaths.iter().take(before + 1).all(|death| text(death, "reason") != Some(rejected))
    }
}

/// The keys that a message was routed with: its own and those of CC. BCC is gone since it was published.
fn routing_keys(message: &Message, headers: &FieldTable) -> Vec<Vec<u8>> {
    let copies = headers.get("CC").and_then(FieldValue::as_array).unwrap_or_default();
    let copies = copies.iter().filter_map(FieldValue::as_str).map(|key| key.as_bytes().to_vec());
    std::iter::once(message.routing_key().to_vec()).chain(copies).collect()
}

fn deaths(headers: &FieldTable) -> Vec<FieldTable> {
    let deaths = headers.get("x-death").and_then(FieldValue::as_array).unwrap_or_default();
    deaths.iter().filter_map(FieldValue::as_table).cloned().collect()
}

fn text<'t>(table: &'t FieldTable, key: &str) -> Option<&'t str> {
    table.get(key).and_then(FieldValue::as_str)
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::atomic::{AtomicBool, Ordering};

    use parking_lot::Mutex;

    use super::*;
    use crate::broker::alarm::Alarms;
    use crate::broker::foundation::Foundation;
    use crate::broker::journal::{Durability, Journal, LogPosition, MessageLog};
    use crate::broker::timers::Timers;
    use crate::clock::Clock;
    use crate::metadata::VhostDefinition;
    use crate::queue::{Got, QueueArguments, QueueOptions};

    /// What the log is told of queues and seqs, in order.
    #[derive(Debug, Default)]
    struct Told(Mutex<Vec<String>>);

    impl MessageLog for Told {
        fn append(&self, records: &[Record], _: bool, _: Durability) -> LogPosition {
            let mut told = self.0.lock();
            for record in records {
                match record {
                    Record::Publish(placements, _) => {
                        told.extend(
                            placements.iter().map(|at| format!("{} gets {}", at.queue.get(), at.seq.get())),
                        );
                    }
                    Record::Gone(queue, runs) => {
                        told.extend(
                            runs.iter().map(|run| format!("{} loses {}", queue.get(), run.last.get())),
                        );
                    }
                    Record::Delivered(..)
                    | Record::Counted(..)
                    | Record::QueueDeleted(..)
                    | Record::Barrier => {}
                }
            }
            LogPosition(told.len() as u64)
        }

        fn disk_free(&self) -> io::Result<u64> {
            Ok(u64::MAX)
        }

        fn durable(&self) -> LogPosition {
            LogPosition(0)
        }

        fn written(&self) -> LogPosition {
            LogPosition(0)
        }

        fn is_tight(&self) -> bool {
            false
        }

        fn close(&self) -> io::Result<()> {
            Ok(())
        }
    }

    fn vhost(told: &Arc<Told>) -> Arc<Vhost> {
        let journal = Arc::new(Journal::new(Some(Arc::<Told>::clone(told))));
        let (timers, alarms) = (Arc::new(Timers::new(Clock::start())), Arc::new(Alarms::new(u64::MAX)));
        let foundation = Foundation { journal, ..Foundation::new(timers, alarms) };
        Vhost::new(Name::from("/"), VhostDefinition::default(), foundation)
    }

    fn publish(queue: &Arc<Queue>, now: Timestamp) {
        publish_body(queue, "body", now);
    }

    fn publish_body(queue: &Arc<Queue>, body: &str, now: Timestamp) {
        let envelope = Envelope {
            exchange: b"",
            routing_key: queue.name.as_str().as_bytes(),
            properties: &[0, 0],
            persistent: true,
            priority: 0,
            ttl_ms: None,
            dead_letter: false,
            delay_ms: None,
        };
        give(&mut vec![Arc::clone(queue)], &Message::new(&envelope, body.as_bytes()), now);
    }

    /// A queue that keeps one message and sends the others on.
    fn narrow(vhost: &Vhost, name: &str, next: &str) -> Arc<Queue> {
        passing_on(vhost, name, next, "x-max-length")
    }

    /// A queue that sends messages on; the argument `limit` is 1.
    fn passing_on(vhost: &Vhost, name: &str, next: &str, limit: &str) -> Arc<Queue> {
        let mut arguments = FieldTable::new();
        arguments.insert(limit, 1);
        arguments.insert("x-dead-letter-exchange", "");
        arguments.insert("x-dead-letter-routing-key", next);
        add_queue(vhost, name, arguments)
    }

    fn add_queue(vhost: &Vhost, name: &str, arguments: FieldTable) -> Arc<Queue> {
        let arguments = QueueArguments::parse(arguments).unwrap();
        let options = QueueOptions { durable: true, auto_delete: false, exclusive_to: None, arguments };
        vhost.add_queue(&mut vhost.topology(), Name::from(name), options, Timestamp::default())
    }

    #[test]
    fn the_log_hears_where_a_message_goes_before_it_hears_that_it_left_over_any_number_of_hops() {
        let told = Arc::new(Told::default());
        let vhost = vhost(&told);
        let first = narrow(&vhost, "first", "second");
        let [first_id, second, third] = [
            first.id.get(),
            narrow(&vhost, "second", "third").id.get(),
            narrow(&vhost, "third", "nowhere").id.get(),
        ];
        for _ in 0..3 {
            publish(&first, Timestamp::default());
        }
        let expected = [
            format!("{second} gets 1"),
            format!("{first_id} loses 1"),
            format!("{second} gets 2"),
            format!("{first_id} loses 2"),
            format!("{third} gets 1"),
            format!("{second} loses 1"),
        ];
        assert_eq!(*told.0.lock(), expected);
    }

    #[test]
    fn letters_of_a_queue_keep_their_order_whoever_carries_them() {
        const MESSAGES: usize = 2_000;
        let vhost = vhost(&Arc::default());
        let mut arguments = FieldTable::new();
        for limit in ["x-max-length", "x-message-ttl"] {
            arguments.insert(limit, 1);
        }
        arguments.insert("x-dead-letter-exchange", "");
        arguments.insert("x-dead-letter-routing-key", "second");
        let first = add_queue(&vhost, "first", arguments);
        narrow(&vhost, "second", "last");
        let last = add_queue(&vhost, "last", FieldTable::new());
        let later = Timestamp::from_millis(10);
        let is_over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            // One more makes the one before one too many; unless that has expired for somebody who looks for it later.
            scope.spawn(|| {
                (0..MESSAGES).for_each(|at| publish_body(&first, &at.to_string(), Timestamp::default()));
                is_over.store(true, Ordering::Release);
            });
            for _ in 0..2 {
                scope.spawn(|| {
                    while !is_over.load(Ordering::Acquire) {
                        assert!(matches!(first.get(true, later), Got::Empty));
                    }
                });
            }
        });
        assert!(matches!(first.get(true, later), Got::Empty));
        for at in 0..MESSAGES - 1 {
            let Got::Message(got) = last.get(true, later) else { panic!("message {at} is missing") };
            assert_eq!(got.message.body(), at.to_string().as_bytes());
        }
        assert_eq!(last.counts().ready, 0, "the last one is in the second");
    }

    #[test]
    fn queues_that_send_their_dead_in_a_circle_hold_up_nobody() {
        let vhost = vhost(&Arc::default());
        let circle = [("a", "b"), ("b", "c"), ("c", "a")].map(|(name, next)| narrow(&vhost, name, next));
        std::thread::scope(|scope| {
            for queue in &circle {
                scope.spawn(|| (0..500).for_each(|_| publish(queue, Timestamp::default())));
            }
        });
        assert_eq!(circle.map(|queue| queue.counts().ready), [1, 1, 1]);
    }

    /// Each of these letters lets much of what has expired in the next queue go on.
    #[test]
    fn a_backlog_that_expires_while_letters_are_carried_goes_on_as_a_whole() {
        let letters = 16;
        let backlog = LETTERS_MIN + (letters + 1) * LETTERS_PER_MESSAGE_MAX;
        let vhost = vhost(&Arc::default());
        let first = passing_on(&vhost, "first", "second", "x-message-ttl");
        let second = passing_on(&vhost, "second", "third", "x-message-ttl");
        let third = passing_on(&vhost, "third", "nowhere", "x-max-priority");
        // Nobody watches the clock here.
        (0..backlog).for_each(|_| publish(&second, Timestamp::default()));
        (0..letters).for_each(|_| publish(&first, Timestamp::from_millis(9)));
        let due = Timestamp::from_millis(10);
        first.tick(due, due);
        assert_eq!((second.counts().ready, third.counts().ready), (letters, backlog));
    }
}
