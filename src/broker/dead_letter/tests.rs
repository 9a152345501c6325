//! Letters in order, over any number of hops, and with nobody held up.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};

use lepus_protocol::FieldTable;
use parking_lot::Mutex;

use super::*;
use crate::broker::alarm::Alarms;
use crate::broker::foundation::Foundation;
use crate::broker::journal::{Durability, Journal, LogPosition, MessageLog};
use crate::broker::publish::give;
use crate::broker::timers::Timers;
use crate::clock::Clock;
use crate::message::{Envelope, Message};
use crate::metadata::VhostDefinition;
use crate::name::Name;
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
                    told.extend(runs.iter().map(|run| format!("{} loses {}", queue.get(), run.last.get())));
                }
                Record::Delivered(..) | Record::Counted(..) | Record::QueueDeleted(..) | Record::Barrier => {}
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
