//! Strategies for every value that has a wire form.

use lepus_protocol::method::{access, basic, channel, confirm, connection, exchange, queue, tx};
use lepus_protocol::{
    ChannelId, ClassId, DeliveryTag, FieldTable, FieldValue, Method, MethodId, Properties, ReplyCode,
    ShortStr, ShortString,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

/// What methods borrow from; a method is made from it by [`Parts::methods`].
#[derive(Clone, Debug)]
pub(crate) struct Parts {
    strings: [ShortString; 3],
    octets: [Vec<u8>; 2],
    table: FieldTable,
    octet: u8,
    short: u16,
    long: u32,
    longlong: u64,
    bits: [bool; 5],
}

pub(crate) fn short_string() -> impl Strategy<Value = ShortString> {
    vec(any::<u8>(), 0..=ShortStr::LENGTH_MAX).prop_filter_map("fits", |octets| ShortString::new(octets).ok())
}

/// Any value; floats are never NaN, which is unlike itself.
pub(crate) fn field_value() -> impl Strategy<Value = FieldValue> {
    let leaf = prop_oneof![
        any::<bool>().prop_map(FieldValue::Bool),
        any::<i8>().prop_map(FieldValue::I8),
        any::<u8>().prop_map(FieldValue::U8),
        any::<i16>().prop_map(FieldValue::I16),
        any::<u16>().prop_map(FieldValue::U16),
        any::<i32>().prop_map(FieldValue::I32),
        any::<u32>().prop_map(FieldValue::U32),
        any::<i64>().prop_map(FieldValue::I64),
        any::<f32>().prop_map(FieldValue::F32),
        any::<f64>().prop_map(FieldValue::F64),
        any::<(u8, u32)>().prop_map(|(scale, value)| FieldValue::Decimal { scale, value }),
        vec(any::<u8>(), 0..300).prop_map(FieldValue::LongString),
        vec(any::<u8>(), 0..300).prop_map(FieldValue::Bytes),
        any::<u64>().prop_map(FieldValue::Timestamp),
        Just(FieldValue::Void),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..6).prop_map(FieldValue::Array),
            fields(inner).prop_map(FieldValue::Table),
        ]
    })
}

pub(crate) fn field_table() -> impl Strategy<Value = FieldTable> {
    fields(field_value())
}

fn fields(value: impl Strategy<Value = FieldValue>) -> impl Strategy<Value = FieldTable> {
    vec((short_string(), value), 0..6).prop_map(FieldTable::from_iter)
}

pub(crate) fn parts() -> impl Strategy<Value = Parts> {
    let strings = [short_string(), short_string(), short_string()];
    let octets = [vec(any::<u8>(), 0..600), vec(any::<u8>(), 0..600)];
    (strings, octets, field_table(), any::<(u8, u16, u32, u64)>(), any::<[bool; 5]>()).prop_map(
        |(strings, octets, table, (octet, short, long, longlong), bits)| Parts {
            strings,
            octets,
            table,
            octet,
            short,
            long,
            longlong,
            bits,
        },
    )
}

impl Parts {
    /// One of every method, made of these parts.
    pub(crate) fn methods(&self) -> Vec<Method<'_>> {
        [self.connection(), self.channel(), self.exchange(), self.queue(), self.messages(), self.settlement()]
            .concat()
    }

    fn delivery_tag(&self) -> DeliveryTag {
        DeliveryTag::new(self.longlong)
    }

    fn reply_code(&self) -> ReplyCode {
        ReplyCode::new(self.short)
    }

    fn connection(&self) -> Vec<Method<'_>> {
        let [a, b, _] = self.strings.each_ref().map(ShortString::as_short_str);
        let [x, y] = self.octets.each_ref().map(Vec::as_slice);
        let (channel_max, frame_max, heartbeat) = (self.short, self.long, self.short);
        vec![
            connection::Start {
                version_major: self.octet,
                version_minor: 9,
                server_properties: self.table.clone(),
                mechanisms: x,
                locales: y,
            }
            .into(),
            connection::StartOk {
                client_properties: self.table.clone(),
                mechanism: a,
                response: x,
                locale: b,
            }
            .into(),
            connection::Secure { challenge: x }.into(),
            connection::SecureOk { response: y }.into(),
            connection::Tune { channel_max, frame_max, heartbeat }.into(),
            connection::TuneOk { channel_max, frame_max, heartbeat }.into(),
            connection::Open { virtual_host: a }.into(),
            connection::OpenOk.into(),
            connection::Close {
                reply_code: self.reply_code(),
                reply_text: a,
                class_id: ClassId::new(self.short),
                method_id: MethodId::new(self.short),
            }
            .into(),
            connection::CloseOk.into(),
            connection::Blocked { reason: a }.into(),
            connection::Unblocked.into(),
            connection::UpdateSecret { new_secret: x, reason: b }.into(),
            connection::UpdateSecretOk.into(),
        ]
    }

    fn channel(&self) -> Vec<Method<'_>> {
        let [a, ..] = self.strings.each_ref().map(ShortString::as_short_str);
        let [active, b1, b2, b3, b4] = self.bits;
        vec![
            channel::Open.into(),
            channel::OpenOk.into(),
            channel::Flow { active }.into(),
            channel::FlowOk { active }.into(),
            channel::Close {
                reply_code: self.reply_code(),
                reply_text: a,
                class_id: ClassId::new(self.short),
                method_id: MethodId::new(self.short),
            }
            .into(),
            channel::CloseOk.into(),
            access::Request { realm: a, exclusive: active, passive: b1, active: b2, write: b3, read: b4 }
                .into(),
            access::RequestOk { ticket: self.short }.into(),
            confirm::Select { no_wait: active }.into(),
            confirm::SelectOk.into(),
            tx::Select.into(),
            tx::SelectOk.into(),
            tx::Commit.into(),
            tx::CommitOk.into(),
            tx::Rollback.into(),
            tx::RollbackOk.into(),
        ]
    }

    fn exchange(&self) -> Vec<Method<'_>> {
        let [a, b, c] = self.strings.each_ref().map(ShortString::as_short_str);
        let [passive, durable, auto_delete, internal, no_wait] = self.bits;
        let arguments = || self.table.clone();
        vec![
            exchange::Declare {
                exchange: a,
                kind: b,
                passive,
                durable,
                auto_delete,
                internal,
                no_wait,
                arguments: arguments(),
            }
            .into(),
            exchange::DeclareOk.into(),
            exchange::Delete { exchange: a, if_unused: passive, no_wait }.into(),
            exchange::DeleteOk.into(),
            exchange::Bind { destination: a, source: b, routing_key: c, no_wait, arguments: arguments() }
                .into(),
            exchange::BindOk.into(),
            exchange::Unbind { destination: a, source: b, routing_key: c, no_wait, arguments: arguments() }
                .into(),
            exchange::UnbindOk.into(),
        ]
    }

    fn queue(&self) -> Vec<Method<'_>> {
        let [a, b, c] = self.strings.each_ref().map(ShortString::as_short_str);
        let [passive, durable, exclusive, auto_delete, no_wait] = self.bits;
        let arguments = || self.table.clone();
        let message_count = self.long;
        vec![
            queue::Declare {
                queue: a,
                passive,
                durable,
                exclusive,
                auto_delete,
                no_wait,
                arguments: arguments(),
            }
            .into(),
            queue::DeclareOk { queue: a, message_count, consumer_count: self.long / 2 }.into(),
            queue::Bind { queue: a, exchange: b, routing_key: c, no_wait, arguments: arguments() }.into(),
            queue::BindOk.into(),
            queue::Purge { queue: a, no_wait }.into(),
            queue::PurgeOk { message_count }.into(),
            queue::Delete { queue: a, if_unused: passive, if_empty: durable, no_wait }.into(),
            queue::DeleteOk { message_count }.into(),
            queue::Unbind { queue: a, exchange: b, routing_key: c, arguments: arguments() }.into(),
            queue::UnbindOk.into(),
        ]
    }

    fn messages(&self) -> Vec<Method<'_>> {
        let [a, b, c] = self.strings.each_ref().map(ShortString::as_short_str);
        let [mandatory, immediate, redelivered, no_ack, ..] = self.bits;
        let delivery_tag = self.delivery_tag();
        vec![
            basic::Publish { exchange: a, routing_key: b, mandatory, immediate }.into(),
            basic::Return { reply_code: self.reply_code(), reply_text: a, exchange: b, routing_key: c }
                .into(),
            basic::Deliver { consumer_tag: a, delivery_tag, redelivered, exchange: b, routing_key: c }.into(),
            basic::Get { queue: a, no_ack }.into(),
            basic::GetOk { delivery_tag, redelivered, exchange: a, routing_key: b, message_count: self.long }
                .into(),
            basic::GetEmpty.into(),
        ]
    }

    fn settlement(&self) -> Vec<Method<'_>> {
        let [a, b, _] = self.strings.each_ref().map(ShortString::as_short_str);
        let [no_local, no_ack, exclusive, no_wait, multiple] = self.bits;
        let (delivery_tag, requeue) = (self.delivery_tag(), no_local);
        vec![
            basic::Qos { prefetch_size: self.long, prefetch_count: self.short, global: multiple }.into(),
            basic::QosOk.into(),
            basic::Consume {
                queue: a,
                consumer_tag: b,
                no_local,
                no_ack,
                exclusive,
                no_wait,
                arguments: self.table.clone(),
            }
            .into(),
            basic::ConsumeOk { consumer_tag: a }.into(),
            basic::Cancel { consumer_tag: a, no_wait }.into(),
            basic::CancelOk { consumer_tag: a }.into(),
            basic::Ack { delivery_tag, multiple }.into(),
            basic::Reject { delivery_tag, requeue }.into(),
            basic::RecoverAsync { requeue }.into(),
            basic::Recover { requeue }.into(),
            basic::RecoverOk.into(),
            basic::Nack { delivery_tag, multiple, requeue }.into(),
        ]
    }
}

/// What properties borrow from.
#[derive(Clone, Debug)]
pub(crate) struct PropertyParts {
    strings: [Option<ShortString>; 10],
    headers: Option<Vec<u8>>,
    octets: [Option<u8>; 2],
    timestamp: Option<u64>,
}

pub(crate) fn property_parts() -> impl Strategy<Value = PropertyParts> {
    let strings = std::array::from_fn(|_| option::of(short_string()));
    let headers = field_table().prop_map(|table| {
        let mut raw = Vec::new();
        table.encode(&mut raw);
        raw
    });
    (
        strings,
        option::of(headers),
        [option::of(any::<u8>()), option::of(any::<u8>())],
        option::of(any::<u64>()),
    )
        .prop_map(|(strings, headers, octets, timestamp)| PropertyParts {
            strings,
            headers,
            octets,
            timestamp,
        })
}

impl PropertyParts {
    pub(crate) fn properties(&self) -> Properties<'_> {
        let strings = self.strings.each_ref().map(|text| text.as_ref().map(ShortString::as_short_str));
        let [content_type, content_encoding, correlation_id, reply_to, expiration, ..] = strings;
        let [.., message_id, kind, user_id, app_id, cluster_id] = strings;
        let [delivery_mode, priority] = self.octets;
        Properties {
            content_type,
            content_encoding,
            headers: self.headers.as_deref(),
            delivery_mode,
            priority,
            correlation_id,
            reply_to,
            expiration,
            message_id,
            timestamp: self.timestamp,
            kind,
            user_id,
            app_id,
            cluster_id,
        }
    }
}

pub(crate) fn channel_id() -> impl Strategy<Value = ChannelId> {
    any::<u16>().prop_map(ChannelId::new)
}
