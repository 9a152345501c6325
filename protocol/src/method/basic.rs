//! Class `basic` (§1.8): messages on their way in and out.

use crate::field_table::FieldTable;
use crate::id::DeliveryTag;
use crate::reply_code::ReplyCode;
use crate::short_str::ShortStr;

class! {
    /// A method of class `basic`.
    "basic" Basic<'a> = BASIC;

    /// Limit what is delivered ahead of acknowledgements (§1.8.3.1).
    10 Qos "qos" {
        /// Octets; 0 is no limit, and the only value RabbitMQ takes.
        prefetch_size: u32,
        /// Messages; 0 is no limit.
        prefetch_count: u16,
        /// RabbitMQ: for the channel as a whole, instead of for each consumer to come.
        global: bool,
    }

    /// The limit holds (§1.8.3.2).
    11 QosOk "qos-ok" {}

    /// Start a consumer (§1.8.3.3).
    20 Consume<'a> "consume" {
        reserved: u16,
        /// Name of the queue; empty for the one last declared on the channel.
        queue: ShortStr<'a>,
        /// Name of the consumer, unique on the channel; empty for the server to choose.
        consumer_tag: ShortStr<'a>,
        /// Not what this connection published.
        no_local: bool,
        /// Deliveries count as acknowledged once they are sent.
        no_ack: bool,
        /// No other consumer on the queue.
        exclusive: bool,
        /// No answer is wanted.
        no_wait: bool,
        /// Consumer priority and the like.
        arguments: FieldTable,
    }

    /// The consumer is there (§1.8.3.4).
    21 ConsumeOk<'a> "consume-ok" {
        /// Its name.
        consumer_tag: ShortStr<'a>,
    }

    /// End a consumer (§1.8.3.5). RabbitMQ: the server sends it as well, when the queue is gone.
    30 Cancel<'a> "cancel" {
        /// Name of the consumer.
        consumer_tag: ShortStr<'a>,
        /// No answer is wanted.
        no_wait: bool,
    }

    /// The consumer is gone (§1.8.3.6).
    31 CancelOk<'a> "cancel-ok" {
        /// Its name.
        consumer_tag: ShortStr<'a>,
    }

    /// Publish a message (§1.8.3.7). Content follows.
    40 Publish<'a> "publish" {
        reserved: u16,
        /// Name of the exchange; empty for the default one.
        exchange: ShortStr<'a>,
        /// The routing key.
        routing_key: ShortStr<'a>,
        /// Return it if no queue takes it.
        mandatory: bool,
        /// Return it if no consumer is ready for it. RabbitMQ refuses this.
        immediate: bool,
    }

    /// A message comes back to its publisher (§1.8.3.8). Content follows.
    50 Return<'a> "return" {
        /// Why.
        reply_code: ReplyCode,
        /// Why, in words.
        reply_text: ShortStr<'a>,
        /// The exchange it was published to.
        exchange: ShortStr<'a>,
        /// The routing key it was published with.
        routing_key: ShortStr<'a>,
    }

    /// A message goes to a consumer (§1.8.3.9). Content follows.
    60 Deliver<'a> "deliver" {
        /// Name of the consumer.
        consumer_tag: ShortStr<'a>,
        /// Number of the delivery on the channel.
        delivery_tag: DeliveryTag,
        /// It was delivered before, and given back.
        redelivered: bool,
        /// The exchange it was published to.
        exchange: ShortStr<'a>,
        /// The routing key it was published with.
        routing_key: ShortStr<'a>,
    }

    /// Ask for one message (§1.8.3.10).
    70 Get<'a> "get" {
        reserved: u16,
        /// Name of the queue; empty for the one last declared on the channel.
        queue: ShortStr<'a>,
        /// The message counts as acknowledged once it is sent.
        no_ack: bool,
    }

    /// Here it is (§1.8.3.11). Content follows.
    71 GetOk<'a> "get-ok" {
        /// Number of the delivery on the channel.
        delivery_tag: DeliveryTag,
        /// It was delivered before, and given back.
        redelivered: bool,
        /// The exchange it was published to.
        exchange: ShortStr<'a>,
        /// The routing key it was published with.
        routing_key: ShortStr<'a>,
        /// Messages still ready in the queue.
        message_count: u32,
    }

    /// There is none (§1.8.3.12).
    72 GetEmpty "get-empty" {
        reserved: ShortStr<'_>,
    }

    /// Deliveries are done with (§1.8.3.13). RabbitMQ: from the server, publishes are confirmed.
    80 Ack "ack" {
        /// The delivery, or the publish.
        delivery_tag: DeliveryTag,
        /// All up to it as well.
        multiple: bool,
    }

    /// A delivery is refused (§1.8.3.14).
    90 Reject "reject" {
        /// The delivery.
        delivery_tag: DeliveryTag,
        /// Back into the queue, instead of dead-lettered or dropped.
        requeue: bool,
    }

    /// Give all unacknowledged deliveries back, without an answer (§1.8.3.15).
    100 RecoverAsync "recover-async" {
        /// To the queue, instead of to the same consumer.
        requeue: bool,
    }

    /// Give all unacknowledged deliveries back (§1.8.3.16).
    110 Recover "recover" {
        /// To the queue, instead of to the same consumer.
        requeue: bool,
    }

    /// They are back (§1.8.3.17).
    111 RecoverOk "recover-ok" {}

    /// RabbitMQ: deliveries are refused; from the server, publishes are.
    120 Nack "nack" {
        /// The delivery, or the publish.
        delivery_tag: DeliveryTag,
        /// All up to it as well.
        multiple: bool,
        /// Back into the queue, instead of dead-lettered or dropped.
        requeue: bool,
    }
}
