//! The pager on a real disk, one step at a time.

use std::path::Path;

use super::*;
use crate::auth::LoginRules;
use crate::broker::journal::Record;
use crate::broker::publish::give;
use crate::broker::{Broker, DataDir, FirstUser, MemoryLimits};
use crate::message::Envelope;
use crate::name::Name;
use crate::queue::{
    Delivery, Got, LeaseRef, Offered, Outlet, QueueArguments, QueueOptions, Settlement, Subscription,
};
use crate::storage::{Driver, Options};
use lepus_protocol::FieldTable;

mod model;

/// A broker on a disk whose pager does nothing by itself.
struct World {
    broker: Broker,
    pager: Arc<Pager>,
}

impl World {
    /// With a budget so small that everything leaves the memory.
    fn open(dir: &Path) -> Self {
        Self::open_with(dir, 0)
    }

    fn open_with(dir: &Path, budget: u64) -> Self {
        Self::open_on(dir, budget, Options { log_file_len: 1 << 20, ..Options::default() })
    }

    fn open_on(dir: &Path, budget: u64, options: Options) -> Self {
        let memory = MemoryLimits { alarm: u64::MAX, messages: budget };
        let data = DataDir::open_with(dir, options).unwrap();
        let (rules, first) = (LoginRules::default(), FirstUser::default());
        let opened = Broker::assemble(rules, &first, Clock::start(), memory, Some(data)).unwrap();
        Self { broker: opened.0, pager: opened.1.unwrap() }
    }

    fn vhost(&self) -> Arc<Vhost> {
        self.broker.vhost("/").unwrap()
    }

    fn declare(&self, name: &str, arguments: FieldTable) -> Arc<Queue> {
        let options = QueueOptions {
            durable: true,
            auto_delete: false,
            exclusive_to: None,
            arguments: QueueArguments::parse(arguments).unwrap(),
        };
        let vhost = self.vhost();
        vhost.add_queue(&mut vhost.topology(), Name::from(name), options, self.broker.clock.now())
    }

    fn publish(&self, queue: &Arc<Queue>, envelope: Envelope<'_>, body: &str) {
        let message = Message::new(&envelope, body.as_bytes());
        let placements = give(&mut vec![Arc::clone(queue)], &message, self.broker.clock.now()).placements;
        if !placements.is_empty() {
            self.pager.journal.record(Record::Publish(placements, message));
        }
    }

    /// Waits for the log, then lets the pager do what it has to do.
    fn work_off(&self) {
        futures_lite::future::block_on(self.broker.flush());
        loop {
            let job = self.pager.work.lock().next();
            let Some(job) = job else { break };
            self.pager.carry_out(job);
        }
    }

    fn get(&self, queue: &Arc<Queue>) -> Option<(String, bool)> {
        let now = self.broker.clock.now();
        loop {
            match queue.get(true, now) {
                Got::Empty => return None,
                Got::Cold => assert!(self.pager.read_head(queue, now).unwrap(), "nothing to be read"),
                Got::Message(got) => {
                    return Some((String::from_utf8_lossy(got.message.body()).into_owned(), got.redelivered));
                }
            }
        }
    }

    fn drain(&self, queue: &Arc<Queue>) -> Vec<String> {
        std::iter::from_fn(|| self.get(queue)).map(|(body, _)| body).collect()
    }
}

const PERSISTENT: Envelope<'_> = Envelope {
    exchange: b"",
    routing_key: b"q",
    properties: &[0, 0],
    persistent: true,
    priority: 0,
    ttl_ms: None,
    dead_letter: false,
    delay_ms: None,
};
const TRANSIENT: Envelope<'_> = Envelope { persistent: false, ..PERSISTENT };

fn numbers(range: std::ops::Range<u32>) -> Vec<String> {
    range.map(|number| number.to_string()).collect()
}

/// Takes everything that it is given.
#[derive(Default)]
struct Consumer(Mutex<Vec<(Seq, String, bool)>>);

impl Outlet for Consumer {
    fn offer(&self, delivery: &Delivery<'_>) -> Offered {
        let body = String::from_utf8_lossy(delivery.message.body()).into_owned();
        self.0.lock().push((delivery.seq, body, delivery.redelivered));
        Offered::Taken { wake: false }
    }
    fn wake(&self) {}
    fn cancelled(&self) {}
    fn expired(&self, _: u64) {}
}

fn consume(world: &World, queue: &Arc<Queue>, no_ack: bool) -> (Arc<Consumer>, crate::queue::ConsumerId) {
    let consumer = Arc::new(Consumer::default());
    let outlet = Arc::<Consumer>::clone(&consumer);
    let origin = Arc::new(crate::queue::Origin {
        connection: crate::id::ConnectionId::new(1),
        channel: lepus_protocol::ChannelId::new(1),
        tag: lepus_protocol::ShortString::default(),
        arguments: FieldTable::new(),
    });
    let (exclusive, priority, prefetch, lease_ms) = (false, 0, None, None);
    let subscription = Subscription { outlet, origin, no_ack, exclusive, priority, prefetch, lease_ms };
    let now = world.broker.clock.now();
    let id = queue.subscribe(subscription, now).unwrap();
    queue.resume(id, now);
    (consumer, id)
}

#[test]
fn messages_leave_the_memory_and_come_back_in_order_whatever_they_are() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path());
    let queue = world.declare("q", FieldTable::new());
    for number in 0..1000 {
        let envelope = if number % 3 == 0 { TRANSIENT } else { PERSISTENT };
        world.publish(&queue, envelope, &number.to_string());
    }
    world.work_off();
    assert_eq!((queue.memory(), queue.counts().ready), (0, 1000));
    assert_eq!(world.drain(&queue), numbers(0..1000));
    assert_eq!((queue.memory(), queue.counts().ready), (0, 0));
}

#[test]
fn publishers_wait_while_the_log_is_on_its_way_to_the_disk() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open_on(dir.path(), 0, Options { driver: Driver::Caller, ..Options::default() });
    let queue = world.declare("slow disk", FieldTable::new());
    world.publish(&queue, Envelope { persistent: true, ..Envelope::default() }, "kept");
    let job = world.pager.work.lock().next().unwrap();
    world.pager.carry_out(job);
    assert!(world.pager.is_behind(), "nothing can leave the memory yet");
    let soon: Vec<_> = world.pager.work.lock().stuck.iter().map(|(rounds, _)| *rounds).collect();
    assert_eq!(soon, [PENDING_ROUNDS]);
    world.pager.log.store().commit().unwrap();
    world.pager.shrink_claimed(&queue);
    assert!(!world.pager.is_behind());
    assert_eq!(queue.memory(), 0);
}

#[test]
fn a_consumer_gets_what_is_on_disk_and_then_what_arrives() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path());
    let queue = world.declare("q", FieldTable::new());
    (0..20_000).for_each(|number| world.publish(&queue, PERSISTENT, &number.to_string()));
    world.work_off();
    let (consumer, _) = consume(&world, &queue, true);
    assert!(consumer.0.lock().is_empty(), "everything is on disk");
    (20_000..20_010).for_each(|number| world.publish(&queue, PERSISTENT, &number.to_string()));
    world.work_off();
    let got: Vec<_> = consumer.0.lock().iter().map(|(_, body, _)| body.clone()).collect();
    assert_eq!(got, numbers(0..20_010));
    assert_eq!(queue.counts().ready, 0);
}

#[test]
fn leases_that_left_the_memory_are_settled_and_returned_like_others() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path());
    let queue = world.declare("q", FieldTable::new());
    for number in 0..9 {
        world.publish(&queue, if number % 2 == 0 { PERSISTENT } else { TRANSIENT }, &number.to_string());
    }
    world.work_off();
    let (consumer, id) = consume(&world, &queue, false);
    world.work_off();
    let leases: Vec<_> = consumer
        .0
        .lock()
        .iter()
        .map(|(seq, _, _)| LeaseRef { seq: *seq, holder: crate::queue::Holder::Consumer(id) })
        .collect();
    assert_eq!(leases.len(), 9);
    world.pager.grew(&queue);
    world.work_off();
    let now = world.broker.clock.now();
    queue.cancel(id, now);
    queue.settle(&leases[..3], Settlement::Ack, now);
    queue.settle(&leases[3..], Settlement::Requeue, now);
    let left: Vec<_> = std::iter::from_fn(|| world.get(&queue)).collect();
    assert_eq!(left, (3..9).map(|number| (number.to_string(), true)).collect::<Vec<_>>());
}

#[test]
fn what_was_read_for_one_who_gets_it_stays_in_memory_until_it_is_taken() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path());
    for (name, envelope) in [("kept", PERSISTENT), ("spilled", TRANSIENT)] {
        let queue = world.declare(name, FieldTable::new());
        world.publish(&queue, envelope, "a");
        world.publish(&queue, envelope, "b");
        world.work_off();
        assert_eq!(queue.memory(), 0);
        let now = world.broker.clock.now();
        let need = queue.need_head();
        assert!(world.pager.read_head(&queue, now).unwrap());
        // The budget is exceeded again: the pager does what it can.
        world.pager.grew(&queue);
        world.work_off();
        assert!(matches!(queue.get(true, now), Got::Message(_)), "{name}: it left the memory again");
        drop(need);
        world.pager.grew(&queue);
        world.work_off();
        assert_eq!(queue.memory(), 0);
    }
}

#[test]
fn after_a_restart_the_kept_are_there_without_having_been_read() {
    let dir = tempfile::tempdir().unwrap();
    {
        let world = World::open(dir.path());
        let queue = world.declare("q", FieldTable::new());
        for number in 0..10 {
            world.publish(&queue, PERSISTENT, &number.to_string());
            world.publish(&queue, TRANSIENT, "gone");
        }
        world.work_off();
        assert_eq!(world.get(&queue).unwrap().0, "0");
        futures_lite::future::block_on(world.broker.flush());
    }
    let world = World::open(dir.path());
    let queue = world.vhost().queue("q").unwrap();
    assert_eq!((queue.memory(), queue.counts().ready), (0, 9));
    world.publish(&queue, PERSISTENT, "10");
    assert_eq!(world.drain(&queue), numbers(1..11));
}

#[test]
fn each_priority_is_read_by_itself_also_after_a_restart() {
    let mut arguments = FieldTable::new();
    arguments.insert("x-max-priority", 9_i64);
    let expected = || {
        let of = |priority: u32| (0..100_u32).filter(move |number| number % 10 == priority);
        (0..10).rev().flat_map(of).map(|number| number.to_string()).collect::<Vec<_>>()
    };
    let dir = tempfile::tempdir().unwrap();
    {
        let world = World::open(dir.path());
        let queue = world.declare("q", arguments);
        for number in 0..100_u8 {
            world.publish(&queue, Envelope { priority: number % 10, ..PERSISTENT }, &number.to_string());
        }
        world.work_off();
        assert_eq!(queue.memory(), 0);
        let (consumer, id) = consume(&world, &queue, false);
        world.work_off();
        let got: Vec<_> = consumer.0.lock().iter().map(|(_, body, _)| body.clone()).collect();
        assert_eq!(got, expected());
        let holder = crate::queue::Holder::Consumer(id);
        let leases: Vec<_> =
            consumer.0.lock().iter().map(|(seq, _, _)| LeaseRef { seq: *seq, holder }).collect();
        queue.cancel(id, world.broker.clock.now());
        queue.settle(&leases, Settlement::Requeue, world.broker.clock.now());
        world.work_off();
    }
    let world = World::open(dir.path());
    let queue = world.vhost().queue("q").unwrap();
    assert_eq!(world.drain(&queue), expected());
}

#[test]
fn a_purge_and_a_delete_leave_nothing_behind() {
    let dir = tempfile::tempdir().unwrap();
    {
        let world = World::open(dir.path());
        let queue = world.declare("q", FieldTable::new());
        for number in 0..50 {
            world.publish(&queue, if number % 2 == 0 { PERSISTENT } else { TRANSIENT }, "x");
        }
        world.work_off();
        assert_eq!(queue.purge(world.broker.clock.now()), 50);
        world.publish(&queue, PERSISTENT, "after");
        world.work_off();
    }
    let world = World::open(dir.path());
    let queue = world.vhost().queue("q").unwrap();
    assert_eq!(world.drain(&queue), ["after"]);
}

#[test]
fn a_limit_in_octets_knows_what_was_there_before_the_start() {
    let mut arguments = FieldTable::new();
    arguments.insert("x-max-length-bytes", 30_i64);
    let dir = tempfile::tempdir().unwrap();
    {
        let world = World::open(dir.path());
        let queue = world.declare("q", arguments);
        (0..3).for_each(|number| world.publish(&queue, PERSISTENT, &format!("ten octets{number}")[1..]));
        world.work_off();
    }
    let world = World::open(dir.path());
    let queue = world.vhost().queue("q").unwrap();
    world.publish(&queue, PERSISTENT, "ten octets");
    world.work_off();
    assert_eq!(world.drain(&queue), ["en octets1", "en octets2", "ten octets"]);
}

#[test]
fn what_expires_on_disk_is_dead_lettered_from_there() {
    let mut arguments = FieldTable::new();
    arguments.insert("x-message-ttl", 0_i64);
    arguments.insert("x-dead-letter-exchange", "");
    arguments.insert("x-dead-letter-routing-key", "dead");
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path());
    let (queue, dead) = (world.declare("q", arguments), world.declare("dead", FieldTable::new()));
    let later = Envelope { ttl_ms: Some(60_000), ..PERSISTENT };
    for number in 0..100 {
        world.publish(&dead, later, &format!("before {number}"));
    }
    world.work_off();
    assert_eq!(dead.counts().ready, 100);
    world.publish(&queue, PERSISTENT, "letter");
    queue.tick(world.broker.clock.now(), world.broker.clock.now());
    world.work_off();
    assert_eq!(queue.counts().ready, 0);
    assert_eq!(world.drain(&dead).last().unwrap(), "letter");
}

#[test]
fn a_queue_that_is_seen_to_is_left_alone_by_those_who_go_through_all() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path());
    let queue = world.declare("q", FieldTable::new());
    world.publish(&queue, TRANSIENT, "first");
    world.work_off();
    assert_eq!(queue.memory(), 0);
    assert!(queue.claim_page_out());
    world.publish(&queue, TRANSIENT, "second");
    world.pager.sweep();
    assert!(queue.memory() > 0);
    queue.release_page_out();
    world.pager.sweep();
    assert_eq!((queue.memory(), queue.counts().ready), (0, 2));
    assert_eq!(world.drain(&queue), ["first", "second"]);
}

#[test]
fn many_pagers_at_once_lose_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path());
    let threads = (world.pager.start().unwrap(), world.pager.start().unwrap());
    let queue = world.declare("q", FieldTable::new());
    for number in 0..3000 {
        world.publish(&queue, if number % 3 == 0 { PERSISTENT } else { TRANSIENT }, &number.to_string());
        world.pager.sweep();
    }
    assert_eq!(world.drain(&queue), numbers(0..3000));
    drop(threads);
}

#[test]
fn a_message_that_is_in_no_store_is_told_of() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path());
    let queue = world.declare("q", FieldTable::new());
    world.publish(&queue, TRANSIENT, "spilled");
    world.work_off();
    world.pager.forget_queue(queue.id, &[Lane::default()]);
    // The spill works in order: once it has taken this one, it has forgotten the first.
    world.publish(&world.declare("other", FieldTable::new()), TRANSIENT, "later");
    world.work_off();
    let now = world.broker.clock.now();
    assert!(matches!(queue.get(true, now), Got::Cold));
    assert!(!world.pager.read_head(&queue, now).unwrap());
    assert_eq!(queue.counts().ready, 1);
}

#[test]
fn a_damaged_page_is_an_error_and_never_a_message() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path());
    let queue = world.declare("q", FieldTable::new());
    (0..3).for_each(|_| world.publish(&queue, PERSISTENT, "needle in the log"));
    world.work_off();
    damage(dir.path(), b"needle");
    let now = world.broker.clock.now();
    assert!(matches!(queue.get(true, now), Got::Cold));
    let error = world.pager.read_head(&queue, now).unwrap_err();
    assert!(error.to_string().contains("checksum"), "{error}");
    assert_eq!(queue.counts().ready, 3);
}

/// Changes one octet of the first place under `dir` that holds `needle`.
fn damage(dir: &Path, needle: &[u8]) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            damage(&path, needle);
            continue;
        }
        let mut octets = std::fs::read(&path).unwrap();
        if let Some(at) = octets.windows(needle.len()).position(|window| window == needle) {
            octets[at] ^= 1;
            std::fs::write(&path, octets).unwrap();
        }
    }
}
