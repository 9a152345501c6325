//! The queues and the exchange of a load: declared before, deleted after it.

use std::io;

use lepus_protocol::FieldTable;

use super::client::{Client, Options};
use super::load::{Exchange, Load};

/// The exchange, if it is not the default one.
pub(super) const EXCHANGE: &str = "lepus-bench";

/// The name of a queue; all have the same length.
pub(super) fn queue_name(number: usize) -> String {
    format!("lepus-bench-{number:06}")
}

/// Declares everything; what an earlier run has left is deleted.
pub(super) fn declare(client: &mut Client, load: &Load) -> io::Result<()> {
    delete(client, load)?;
    if let Some(kind) = load.exchange.kind() {
        client.declare_exchange(EXCHANGE, kind)?;
    }
    let options = if load.durable { Options::Durable } else { Options::Transient };
    for number in 0..load.queues {
        let queue = queue_name(number);
        client.declare(&queue, options)?;
        let (key, header) = match load.exchange {
            Exchange::Default => continue,
            Exchange::Direct => (queue.clone(), None),
            Exchange::Fanout => (String::new(), None),
            Exchange::Topic => (format!("bench.{queue}.#"), None),
            Exchange::Headers => (String::new(), Some(&queue)),
            // Its weight.
            Exchange::ConsistentHash => ("1".to_owned(), None),
        };
        let mut arguments = FieldTable::new();
        if let Some(value) = header {
            arguments.insert("queue", value.as_str());
        }
        client.bind(&queue, EXCHANGE, &key, arguments)?;
    }
    Ok(())
}

/// Deletes everything, as far as it is there.
pub(super) fn delete(client: &mut Client, load: &Load) -> io::Result<()> {
    for number in 0..load.queues {
        client.delete(&queue_name(number))?;
    }
    client.delete_exchange(EXCHANGE)
}
