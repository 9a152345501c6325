//! The peer's own codec: frames, field tables, and every method as one line of a table.
//!
//! It shares no code with `lepus-protocol` on purpose. A mistake made twice there, once in the encoder and once in the
//! decoder, would go unnoticed between the two; here it is a failing dialogue.

use std::fmt;

/// Frame types (§4.2.3).
pub(crate) const METHOD: u8 = 1;
pub(crate) const HEADER: u8 = 2;
pub(crate) const BODY: u8 = 3;
pub(crate) const HEARTBEAT: u8 = 8;
pub(crate) const END: u8 = 0xCE;

/// Name, class, method, and the arguments in order. Domains: `o` octet, `h` short, `l` long, `L` longlong, `b` bit,
/// `s` shortstr, `S` longstr, `T` table.
const METHODS: &[(&str, u16, u16, &str)] = &[
    (
        "connection.start",
        10,
        10,
        "o:version-major o:version-minor T:server-properties S:mechanisms S:locales",
    ),
    ("connection.start-ok", 10, 11, "T:client-properties s:mechanism S:response s:locale"),
    ("connection.secure", 10, 20, "S:challenge"),
    ("connection.secure-ok", 10, 21, "S:response"),
    ("connection.tune", 10, 30, "h:channel-max l:frame-max h:heartbeat"),
    ("connection.tune-ok", 10, 31, "h:channel-max l:frame-max h:heartbeat"),
    ("connection.open", 10, 40, "s:virtual-host s:capabilities b:insist"),
    ("connection.open-ok", 10, 41, "s:known-hosts"),
    ("connection.close", 10, 50, "h:reply-code s:reply-text h:class-id h:method-id"),
    ("connection.close-ok", 10, 51, ""),
    ("connection.blocked", 10, 60, "s:reason"),
    ("connection.unblocked", 10, 61, ""),
    ("connection.update-secret", 10, 70, "S:new-secret s:reason"),
    ("connection.update-secret-ok", 10, 71, ""),
    ("channel.open", 20, 10, "s:out-of-band"),
    ("channel.open-ok", 20, 11, "S:channel-id"),
    ("channel.flow", 20, 20, "b:active"),
    ("channel.flow-ok", 20, 21, "b:active"),
    ("channel.close", 20, 40, "h:reply-code s:reply-text h:class-id h:method-id"),
    ("channel.close-ok", 20, 41, ""),
    ("access.request", 30, 10, "s:realm b:exclusive b:passive b:active b:write b:read"),
    ("access.request-ok", 30, 11, "h:ticket"),
    (
        "exchange.declare",
        40,
        10,
        "h:ticket s:exchange s:type b:passive b:durable b:auto-delete b:internal b:no-wait T:arguments",
    ),
    ("exchange.declare-ok", 40, 11, ""),
    ("exchange.delete", 40, 20, "h:ticket s:exchange b:if-unused b:no-wait"),
    ("exchange.delete-ok", 40, 21, ""),
    ("exchange.bind", 40, 30, "h:ticket s:destination s:source s:routing-key b:no-wait T:arguments"),
    ("exchange.bind-ok", 40, 31, ""),
    ("exchange.unbind", 40, 40, "h:ticket s:destination s:source s:routing-key b:no-wait T:arguments"),
    ("exchange.unbind-ok", 40, 51, ""),
    (
        "queue.declare",
        50,
        10,
        "h:ticket s:queue b:passive b:durable b:exclusive b:auto-delete b:no-wait T:arguments",
    ),
    ("queue.declare-ok", 50, 11, "s:queue l:message-count l:consumer-count"),
    ("queue.bind", 50, 20, "h:ticket s:queue s:exchange s:routing-key b:no-wait T:arguments"),
    ("queue.bind-ok", 50, 21, ""),
    ("queue.purge", 50, 30, "h:ticket s:queue b:no-wait"),
    ("queue.purge-ok", 50, 31, "l:message-count"),
    ("queue.delete", 50, 40, "h:ticket s:queue b:if-unused b:if-empty b:no-wait"),
    ("queue.delete-ok", 50, 41, "l:message-count"),
    ("queue.unbind", 50, 50, "h:ticket s:queue s:exchange s:routing-key T:arguments"),
    ("queue.unbind-ok", 50, 51, ""),
    ("basic.qos", 60, 10, "l:prefetch-size h:prefetch-count b:global"),
    ("basic.qos-ok", 60, 11, ""),
    (
        "basic.consume",
        60,
        20,
        "h:ticket s:queue s:consumer-tag b:no-local b:no-ack b:exclusive b:no-wait T:arguments",
    ),
    ("basic.consume-ok", 60, 21, "s:consumer-tag"),
    ("basic.cancel", 60, 30, "s:consumer-tag b:no-wait"),
    ("basic.cancel-ok", 60, 31, "s:consumer-tag"),
    ("basic.publish", 60, 40, "h:ticket s:exchange s:routing-key b:mandatory b:immediate"),
    ("basic.return", 60, 50, "h:reply-code s:reply-text s:exchange s:routing-key"),
    ("basic.deliver", 60, 60, "s:consumer-tag L:delivery-tag b:redelivered s:exchange s:routing-key"),
    ("basic.get", 60, 70, "h:ticket s:queue b:no-ack"),
    ("basic.get-ok", 60, 71, "L:delivery-tag b:redelivered s:exchange s:routing-key l:message-count"),
    ("basic.get-empty", 60, 72, "s:cluster-id"),
    ("basic.ack", 60, 80, "L:delivery-tag b:multiple"),
    ("basic.reject", 60, 90, "L:delivery-tag b:requeue"),
    ("basic.recover-async", 60, 100, "b:requeue"),
    ("basic.recover", 60, 110, "b:requeue"),
    ("basic.recover-ok", 60, 111, ""),
    ("basic.nack", 60, 120, "L:delivery-tag b:multiple b:requeue"),
    ("confirm.select", 85, 10, "b:no-wait"),
    ("confirm.select-ok", 85, 11, ""),
    ("tx.select", 90, 10, ""),
    ("tx.select-ok", 90, 11, ""),
    ("tx.commit", 90, 20, ""),
    ("tx.commit-ok", 90, 21, ""),
    ("tx.rollback", 90, 30, ""),
    ("tx.rollback-ok", 90, 31, ""),
];

/// The properties of a content header, highest flag bit first (§4.2.6.1).
const PROPERTIES: &str = "s:content-type s:content-encoding T:headers o:delivery-mode o:priority s:correlation-id \
     s:reply-to s:expiration s:message-id L:timestamp s:type s:user-id s:app-id s:cluster-id";

fn fields(signature: &'static str) -> impl Iterator<Item = (char, &'static str)> {
    signature.split_whitespace().map(|field| (field.chars().next().unwrap(), &field[2..]))
}

/// A value of a field table, a method argument or a property.
#[derive(Clone, PartialEq)]
pub(crate) enum Value {
    Bool(bool),
    I8(i8),
    U8(u8),
    I16(i16),
    U16(u16),
    I32(i32),
    U32(u32),
    I64(i64),
    U64(u64),
    F64(f64),
    Text(Vec<u8>),
    Bytes(Vec<u8>),
    Array(Vec<Self>),
    Time(u64),
    Table(Table),
    Void,
}

impl Value {
    pub(crate) fn number(&self) -> u64 {
        match self {
            Self::Bool(value) => u64::from(*value),
            Self::U8(value) => u64::from(*value),
            Self::U16(value) => u64::from(*value),
            Self::U32(value) => u64::from(*value),
            Self::U64(value) | Self::Time(value) => *value,
            Self::I8(value) => u64::try_from(*value).unwrap(),
            Self::I16(value) => u64::try_from(*value).unwrap(),
            Self::I32(value) => u64::try_from(*value).unwrap(),
            Self::I64(value) => u64::try_from(*value).unwrap(),
            Self::F64(_) | Self::Text(_) | Self::Bytes(_) | Self::Array(_) | Self::Table(_) | Self::Void => {
                panic!("{self:?} is not a number")
            }
        }
    }

    pub(crate) fn text(&self) -> String {
        let Self::Text(bytes) = self else { panic!("{self:?} is not a text") };
        String::from_utf8_lossy(bytes).into_owned()
    }

    pub(crate) fn table(&self) -> &Table {
        let Self::Table(table) = self else { panic!("{self:?} is not a table") };
        table
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool(value) => value.fmt(f),
            Self::I8(value) => value.fmt(f),
            Self::U8(value) => value.fmt(f),
            Self::I16(value) => value.fmt(f),
            Self::U16(value) => value.fmt(f),
            Self::I32(value) => value.fmt(f),
            Self::U32(value) => value.fmt(f),
            Self::I64(value) => value.fmt(f),
            Self::U64(value) => value.fmt(f),
            Self::F64(value) => value.fmt(f),
            Self::Text(bytes) | Self::Bytes(bytes) => {
                String::from_utf8_lossy(&bytes[..bytes.len().min(300)]).fmt(f)
            }
            Self::Array(values) => values.fmt(f),
            Self::Time(value) => write!(f, "@{value}"),
            Self::Table(table) => table.fmt(f),
            Self::Void => write!(f, "void"),
        }
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<i32> for Value {
    fn from(value: i32) -> Self {
        Self::I32(value)
    }
}

impl From<u16> for Value {
    fn from(value: u16) -> Self {
        Self::U16(value)
    }
}

impl From<u32> for Value {
    fn from(value: u32) -> Self {
        Self::U32(value)
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::I64(value)
    }
}

impl From<u64> for Value {
    fn from(value: u64) -> Self {
        Self::U64(value)
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Self::Text(value.into())
    }
}

impl From<&String> for Value {
    fn from(value: &String) -> Self {
        Self::Text(value.clone().into())
    }
}

impl From<Table> for Value {
    fn from(value: Table) -> Self {
        Self::Table(value)
    }
}

impl<const N: usize> From<[&str; N]> for Value {
    fn from(texts: [&str; N]) -> Self {
        Self::Array(texts.map(Self::from).into())
    }
}

/// A field table; the order of its entries is kept.
#[derive(Clone, Default, PartialEq)]
pub(crate) struct Table(pub(crate) Vec<(String, Value)>);

impl Table {
    pub(crate) fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.0.push((name.to_owned(), value.into()));
        self
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Value> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value)
    }
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.0.iter().map(|(name, value)| (name, value))).finish()
    }
}

/// A method with its arguments by name; what is not set is zero, empty or false.
#[derive(Clone, PartialEq)]
pub(crate) struct Method {
    pub(crate) name: &'static str,
    pub(crate) id: (u16, u16),
    signature: &'static str,
    arguments: Vec<(&'static str, Value)>,
}

impl Method {
    pub(crate) fn new(name: &str) -> Self {
        let found = METHODS.iter().find(|method| method.0 == name);
        let (name, class, method, signature) = *found.unwrap_or_else(|| panic!("no method is named {name}"));
        Self { name, id: (class, method), signature, arguments: Vec::new() }
    }

    pub(crate) fn set(mut self, field: &str, value: impl Into<Value>) -> Self {
        let known = fields(self.signature).find(|(_, name)| *name == field);
        let (_, name) = known.unwrap_or_else(|| panic!("{} has no argument {field}", self.name));
        self.arguments.retain(|(other, _)| *other != name);
        self.arguments.push((name, value.into()));
        self
    }

    pub(crate) fn flag(self, field: &str) -> Self {
        self.set(field, true)
    }

    /// Adds an entry to the table `arguments`.
    pub(crate) fn arg(self, name: &str, value: impl Into<Value>) -> Self {
        let table = match self.get("arguments") {
            Some(table) => table.table().clone(),
            None => Table::default(),
        };
        self.set("arguments", table.with(name, value))
    }

    fn get(&self, field: &str) -> Option<&Value> {
        self.arguments.iter().find(|(name, _)| *name == field).map(|(_, value)| value)
    }

    fn value(&self, field: &str) -> &Value {
        self.get(field).unwrap_or_else(|| panic!("{} carries no {field}", self.name))
    }

    pub(crate) fn number(&self, field: &str) -> u64 {
        self.value(field).number()
    }

    pub(crate) fn text(&self, field: &str) -> String {
        self.value(field).text()
    }

    pub(crate) fn table(&self, field: &str) -> &Table {
        self.value(field).table()
    }

    pub(crate) fn is(&self, field: &str) -> bool {
        *self.value(field) == Value::Bool(true)
    }

    /// The payload of its frame.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        out.extend(self.id.0.to_be_bytes());
        out.extend(self.id.1.to_be_bytes());
        let mut bits: Vec<bool> = Vec::new();
        for (domain, name) in fields(self.signature) {
            if domain == 'b' {
                bits.push(self.get(name) == Some(&Value::Bool(true)));
            } else {
                put_bits(&mut out, &mut bits);
                put_domain(&mut out, domain, self.get(name));
            }
        }
        put_bits(&mut out, &mut bits);
        out
    }

    /// Reads the payload of a method frame; `None` for a method that the table does not name or that is cut short.
    pub(crate) fn decode(payload: &[u8]) -> Option<Self> {
        let mut reader = Reader(payload);
        let id = (reader.u16()?, reader.u16()?);
        let (name, _, _, signature) = *METHODS.iter().find(|method| (method.1, method.2) == id)?;
        let mut arguments = Vec::new();
        let (mut octet, mut bit) = (0, 8);
        for (domain, name) in fields(signature) {
            if domain == 'b' {
                if bit == 8 {
                    (octet, bit) = (reader.u8()?, 0);
                }
                arguments.push((name, Value::Bool(octet >> bit & 1 == 1)));
                bit += 1;
            } else {
                arguments.push((name, reader.domain(domain)?));
                bit = 8;
            }
        }
        reader.0.is_empty().then_some(Self { name, id, signature, arguments })
    }
}

impl fmt::Debug for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct(self.name);
        for (name, value) in &self.arguments {
            out.field(name, value);
        }
        out.finish()
    }
}

/// A method that carries content, with its properties and body.
#[derive(Clone)]
pub(crate) struct Content {
    pub(crate) method: Method,
    pub(crate) properties: Table,
    pub(crate) body: Vec<u8>,
}

impl Content {
    pub(crate) fn flag(mut self, field: &str) -> Self {
        self.method = self.method.flag(field);
        self
    }

    pub(crate) fn property(mut self, name: &str, value: impl Into<Value>) -> Self {
        assert!(fields(PROPERTIES).any(|(_, known)| known == name), "no property is named {name}");
        self.properties = self.properties.with(name, value);
        self
    }

    /// Adds an entry to the property `headers`.
    pub(crate) fn header(mut self, name: &str, value: impl Into<Value>) -> Self {
        let headers = match self.properties.get("headers") {
            Some(headers) => headers.table().clone(),
            None => Table::default(),
        };
        self.properties.0.retain(|(property, _)| property != "headers");
        self.property("headers", headers.with(name, value))
    }

    pub(crate) fn delivery_tag(&self) -> u64 {
        self.method.number("delivery-tag")
    }

    pub(crate) fn redelivered(&self) -> bool {
        self.method.is("redelivered")
    }

    pub(crate) fn headers(&self) -> Table {
        match self.properties.get("headers") {
            Some(headers) => headers.table().clone(),
            None => Table::default(),
        }
    }

    /// The payload of its content header frame.
    pub(crate) fn encode_header(&self) -> Vec<u8> {
        let mut out = Vec::new();
        out.extend(self.method.id.0.to_be_bytes());
        out.extend(0u16.to_be_bytes());
        out.extend((self.body.len() as u64).to_be_bytes());
        let mut flags = 0u16;
        let mut values = Vec::new();
        for (index, (domain, name)) in fields(PROPERTIES).enumerate() {
            if let Some(value) = self.properties.get(name) {
                flags |= 1 << (15 - index);
                put_domain(&mut values, domain, Some(value));
            }
        }
        out.extend(flags.to_be_bytes());
        out.extend(values);
        out
    }
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let body = String::from_utf8_lossy(&self.body[..self.body.len().min(40)]);
        write!(f, "{:?} {:?} {body:?}", self.method, self.properties)
    }
}

/// Class, body size and properties of a content header's payload.
pub(crate) fn decode_header(payload: &[u8]) -> Option<(u16, u64, Table)> {
    let mut reader = Reader(payload);
    let (class, _weight, size, flags) = (reader.u16()?, reader.u16()?, reader.u64()?, reader.u16()?);
    let mut properties = Table::default();
    for (index, (domain, name)) in fields(PROPERTIES).enumerate() {
        if flags >> (15 - index) & 1 == 1 {
            properties = properties.with(name, reader.domain(domain)?);
        }
    }
    reader.0.is_empty().then_some((class, size, properties))
}

/// The bytes of one frame.
pub(crate) fn frame(kind: u8, channel: u16, payload: &[u8]) -> Vec<u8> {
    let mut out = vec![kind];
    out.extend(channel.to_be_bytes());
    out.extend(u32::try_from(payload.len()).unwrap().to_be_bytes());
    out.extend(payload);
    out.push(END);
    out
}

fn put_bits(out: &mut Vec<u8>, bits: &mut Vec<bool>) {
    for octet in bits.chunks(8) {
        out.push((0..octet.len()).fold(0, |sum, bit| sum | u8::from(octet[bit]) << bit));
    }
    bits.clear();
}

#[expect(clippy::cast_possible_truncation, reason = "a dialogue may ask for what does not fit")]
fn put_domain(out: &mut Vec<u8>, domain: char, value: Option<&Value>) {
    let number = || value.map_or(0, Value::number);
    let bytes = || match value {
        Some(Value::Text(bytes) | Value::Bytes(bytes)) => bytes.clone(),
        Some(other) => panic!("{other:?} is not a string"),
        None => Vec::new(),
    };
    match domain {
        'o' => out.push(number() as u8),
        'h' => out.extend((number() as u16).to_be_bytes()),
        'l' => out.extend((number() as u32).to_be_bytes()),
        'L' => out.extend(number().to_be_bytes()),
        's' => {
            out.push(u8::try_from(bytes().len()).unwrap());
            out.extend(bytes());
        }
        'S' => {
            out.extend((bytes().len() as u32).to_be_bytes());
            out.extend(bytes());
        }
        'T' => match value {
            Some(value) => put_table(out, value.table()),
            None => put_table(out, &Table::default()),
        },
        other => panic!("no domain {other}"),
    }
}

fn put_table(out: &mut Vec<u8>, table: &Table) {
    let mut entries = Vec::new();
    for (name, value) in &table.0 {
        entries.push(u8::try_from(name.len()).unwrap());
        entries.extend(name.bytes());
        put_value(&mut entries, value);
    }
    put_long_string(out, &entries);
}

fn put_long_string(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend(u32::try_from(bytes.len()).unwrap().to_be_bytes());
    out.extend(bytes);
}

fn put_value(out: &mut Vec<u8>, value: &Value) {
    let mut put = |tag: u8, bytes: &[u8]| {
        out.push(tag);
        out.extend(bytes);
    };
    match value {
        Value::Bool(value) => put(b't', &[u8::from(*value)]),
        Value::I8(value) => put(b'b', &value.to_be_bytes()),
        Value::U8(value) => put(b'B', &[*value]),
        Value::I16(value) => put(b's', &value.to_be_bytes()),
        Value::U16(value) => put(b'u', &value.to_be_bytes()),
        Value::I32(value) => put(b'I', &value.to_be_bytes()),
        Value::U32(value) => put(b'i', &value.to_be_bytes()),
        Value::I64(value) => put(b'l', &value.to_be_bytes()),
        Value::U64(value) => put(b'L', &value.to_be_bytes()),
        Value::F64(value) => put(b'd', &value.to_be_bytes()),
        Value::Time(value) => put(b'T', &value.to_be_bytes()),
        Value::Void => put(b'V', &[]),
        Value::Text(bytes) => {
            out.push(b'S');
            put_long_string(out, bytes);
        }
        Value::Bytes(bytes) => {
            out.push(b'x');
            put_long_string(out, bytes);
        }
        Value::Array(values) => {
            let mut entries = Vec::new();
            values.iter().for_each(|value| put_value(&mut entries, value));
            out.push(b'A');
            put_long_string(out, &entries);
        }
        Value::Table(table) => {
            out.push(b'F');
            put_table(out, table);
        }
    }
}

/// Reads from the front of a slice; `None` when it ends too soon.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn u8(&mut self) -> Option<u8> {
        self.array().map(u8::from_be_bytes)
    }

    fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_be_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_be_bytes)
    }

    fn long_string(&mut self) -> Option<&'a [u8]> {
        let size = self.u32()?;
        self.take(size as usize)
    }

    fn domain(&mut self, domain: char) -> Option<Value> {
        Some(match domain {
            'o' => Value::U8(self.u8()?),
            'h' => Value::U16(self.u16()?),
            'l' => Value::U32(self.u32()?),
            'L' => Value::U64(self.u64()?),
            's' => {
                let size = self.u8()?;
                Value::Text(self.take(size.into())?.into())
            }
            'S' => Value::Text(self.long_string()?.into()),
            'T' => Value::Table(self.table()?),
            other => panic!("no domain {other}"),
        })
    }

    fn table(&mut self) -> Option<Table> {
        let mut entries = Self(self.long_string()?);
        let mut table = Table::default();
        while !entries.0.is_empty() {
            let size = entries.u8()?;
            let name = String::from_utf8_lossy(entries.take(size.into())?);
            table = table.with(&name, entries.value()?);
        }
        Some(table)
    }

    fn value(&mut self) -> Option<Value> {
        Some(match self.u8()? {
            b't' => Value::Bool(self.u8()? != 0),
            b'b' => Value::I8(self.array().map(i8::from_be_bytes)?),
            b'B' => Value::U8(self.u8()?),
            b's' => Value::I16(self.array().map(i16::from_be_bytes)?),
            b'u' => Value::U16(self.u16()?),
            b'I' => Value::I32(self.array().map(i32::from_be_bytes)?),
            b'i' => Value::U32(self.u32()?),
            // RabbitMQ: `L` is signed too.
            b'l' | b'L' => Value::I64(self.array().map(i64::from_be_bytes)?),
            b'd' => Value::F64(self.array().map(f64::from_be_bytes)?),
            b'T' => Value::Time(self.u64()?),
            b'V' => Value::Void,
            b'S' => Value::Text(self.long_string()?.into()),
            b'x' => Value::Bytes(self.long_string()?.into()),
            b'F' => Value::Table(self.table()?),
            b'A' => {
                let mut entries = Self(self.long_string()?);
                let mut values = Vec::new();
                while !entries.0.is_empty() {
                    values.push(entries.value()?);
                }
                Value::Array(values)
            }
            _ => return None,
        })
    }
}
