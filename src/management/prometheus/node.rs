//! The node as a whole: the process, what came and went, what happened to messages.

use super::text::{Kind, Text};
use crate::management::api::Api;
use crate::management::nodes::Process;
use crate::metrics::{MessageTally, SIZE_BOUNDS};

/// A metric without labels: name, help, value.
type Metric = (&'static str, &'static str, u64);

/// The protocol that all messages come and go by.
const PROTOCOL: [(&str, &str); 1] = [("protocol", "amqp091")];

pub(super) fn write(text: &mut Text, api: &Api) {
    process(text, api);
    churn(text, api);
    messages(text, api);
    sizes(text, api);
}

fn process(text: &mut Text, api: &Api) {
    let process = Process::ask(api.node.data_dir.as_deref());
    let disk_free_limit = api.broker.alarms.disk_free_limit();
    let raised = *api.broker.alarms.subscribe().borrow();
    let uptime = api.now().millis_since(api.started) / 1000;
    let gauges: [Metric; 10] = [
        ("process_open_fds", "Open file descriptors", process.fds),
        ("process_max_fds", "Open file descriptors limit", process.fds_max),
        ("process_open_tcp_sockets", "Open TCP sockets", api.broker.connections.len() as u64),
        ("process_resident_memory_bytes", "Memory used in bytes", process.resident),
        ("resident_memory_limit_bytes", "Memory high watermark in bytes", api.broker.alarms.memory_limit()),
        ("disk_space_available_bytes", "Disk space available in bytes", process.disk_free),
        ("disk_space_available_limit_bytes", "Free disk space low watermark in bytes", disk_free_limit),
        ("erlang_uptime_seconds", "Node uptime", uptime),
        ("alarms_memory_used_watermark", "is 1 if the memory alarm is in effect", u64::from(raised.memory)),
        ("alarms_free_disk_space_watermark", "is 1 if the disk alarm is in effect", u64::from(raised.disk)),
    ];
    for (name, help, value) in gauges {
        text.single(name, Kind::Gauge, help, &[], value);
    }
}

fn churn(text: &mut Text, api: &Api) {
    let churn = api.broker.connections.churn();
    let queues = api.broker.queue_churn();
    let counters: [Metric; 7] = [
        ("connections_opened_total", "Total number of connections opened", churn.connections_opened),
        ("connections_closed_total", "Total number of connections closed", churn.connections_closed),
        ("channels_opened_total", "Total number of channels opened", churn.channels_opened),
        ("channels_closed_total", "Total number of channels closed", churn.channels_closed),
        ("queues_declared_total", "Total number of queues declared", queues.declared),
        ("queues_created_total", "Total number of queues created", queues.created),
        ("queues_deleted_total", "Total number of queues deleted", queues.deleted),
    ];
    for (name, help, value) in counters {
        text.single(name, Kind::Counter, help, &[], value);
    }
}

fn messages(text: &mut Text, api: &Api) {
    let mut tally = MessageTally::default();
    for counted in api.broker.connections.tallies().values() {
        tally.add(counted);
    }
    let counters: [Metric; 14] = [
        ("received", "Total number of messages received from publishers", tally.publish),
        (
            "received_confirm",
            "Total number of messages received from publishers expecting confirmations",
            tally.publish_to_confirm,
        ),
        ("confirmed", "Total number of messages confirmed to publishers", tally.confirm),
        ("routed", "Total number of messages routed to queues", tally.publish_out),
        ("unroutable_dropped", "Total number of unroutable messages dropped", tally.drop_unroutable),
        ("unroutable_returned", "Total number of unroutable messages returned", tally.return_unroutable),
        ("delivered", "Total number of messages delivered to consumers", tally.deliver_get()),
        (
            "delivered_consume_manual_ack",
            "Total number of messages delivered to consumers with manual acknowledgment",
            tally.deliver,
        ),
        (
            "delivered_consume_auto_ack",
            "Total number of messages delivered to consumers with automatic acknowledgment",
            tally.deliver_no_ack,
        ),
        (
            "delivered_get_manual_ack",
            "Total number of messages fetched with manual acknowledgment",
            tally.get,
        ),
        (
            "delivered_get_auto_ack",
            "Total number of messages fetched with automatic acknowledgment",
            tally.get_no_ack,
        ),
        ("get_empty", "Total number of fetches that found no messages", tally.get_empty),
        ("redelivered", "Total number of messages redelivered to consumers", tally.redeliver),
        ("acknowledged", "Total number of message acknowledgements received", tally.ack),
    ];
    for (name, help, value) in counters {
        text.single(&format!("global_messages_{name}_total"), Kind::Counter, help, &PROTOCOL, value);
    }
    let (mut publishers, mut consumers) = (0, 0);
    for (_, channel) in api.broker.connections.list().iter().flat_map(|entry| entry.channels()) {
        publishers += u64::from(channel.tally().publish > 0);
        consumers += channel.report().consumers as u64;
    }
    text.single("global_publishers", Kind::Gauge, "Publishers currently connected", &PROTOCOL, publishers);
    text.single("global_consumers", Kind::Gauge, "Consumers currently connected", &PROTOCOL, consumers);
    text.single("consumers", Kind::Gauge, "Consumers currently connected", &[], consumers);
}

/// Sizes of messages that came in.
fn sizes(text: &mut Text, api: &Api) {
    let sizes = api.broker.connections.sizes().load();
    text.family("message_size_bytes", Kind::Histogram, "Size of messages received from publishers");
    let mut count = 0;
    for (bound, counted) in SIZE_BOUNDS.iter().map(Some).chain([None]).zip(sizes.counts) {
        count += counted;
        let bound = bound.map_or_else(|| "+Inf".to_owned(), u64::to_string);
        let labels = [PROTOCOL[0], ("le", bound.as_str())];
        text.value("message_size_bytes_bucket", &labels, count);
    }
    text.value("message_size_bytes_sum", &PROTOCOL, sizes.octets);
    text.value("message_size_bytes_count", &PROTOCOL, count);
}
