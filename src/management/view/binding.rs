//! A binding, and the key by which its properties are named in a path.

use lepus_protocol::FieldTable;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};
use serde::Serialize;

use crate::broker::exchange::Destination;
use crate::exchange::Binding as CoreBinding;
use crate::management::table::Table;
use crate::metadata::DestinationKind;

/// What a properties key encodes: a tilde stands between its parts.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b' ');

/// As in `/api/bindings`.
#[derive(Debug, Serialize)]
pub(in crate::management) struct Binding<'b> {
    source: &'b str,
    vhost: &'b str,
    destination: &'b str,
    destination_type: &'static str,
    routing_key: String,
    arguments: Table<'b>,
    properties_key: String,
}

impl<'b> Binding<'b> {
    pub(in crate::management) fn new(
        vhost: &'b str,
        source: &'b str,
        binding: &'b CoreBinding<Destination>,
    ) -> Self {
        Self {
            source,
            vhost,
            destination: binding.destination.name().as_str(),
            destination_type: match binding.destination.kind() {
                DestinationKind::Queue => "queue",
                DestinationKind::Exchange => "exchange",
            },
            routing_key: String::from_utf8_lossy(&binding.key).into_owned(),
            arguments: Table(&binding.arguments),
            properties_key: properties_key(&binding.key, &binding.arguments),
        }
    }
}

/// Names key and arguments of a binding in a path (RabbitMQ): `~` if there are none, the key, or the key, a tilde and a
/// hash of the arguments.
pub(in crate::management) fn properties_key(key: &[u8], arguments: &FieldTable) -> String {
    let quoted = percent_encode(key, ENCODED).to_string().replace(' ', "+");
    match (key.is_empty(), arguments.is_empty()) {
        (true, true) => "~".to_owned(),
        (false, true) => quoted,
        (_, false) => format!("{quoted}~{}", hash(arguments)),
    }
}

/// The arguments in the order of their names, as two numbers of 64 bits. It has to be the same after a restart, and
/// tell the few bindings apart that have one key between one exchange and one queue.
fn hash(arguments: &FieldTable) -> String {
    let mut fields: Vec<_> = arguments.iter().collect();
    fields.sort_by_key(|(name, _)| name);
    let mut octets = Vec::new();
    fields.into_iter().cloned().collect::<FieldTable>().encode(&mut octets);
    let digest = |seed: u8| {
        let mut digest = crc_fast::Digest::new(crc_fast::CrcAlgorithm::Crc64Nvme);
        digest.update(&[seed]);
        digest.update(&octets);
        digest.finalize()
    };
    format!("{:016x}{:016x}", digest(0), digest(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_properties_key_tells_key_and_arguments() {
        let mut arguments = FieldTable::new();
        assert_eq!(properties_key(b"", &arguments), "~");
        assert_eq!(properties_key(b"a.b/c ~", &arguments), "a.b%2Fc+%7E");
        arguments.insert("x-match", "all");
        arguments.insert("k", 1_i64);
        let key = properties_key(b"k", &arguments);
        assert!(key.starts_with("k~") && key.len() > 10, "{key}");
        let mut turned = FieldTable::new();
        turned.insert("k", 1_i64);
        turned.insert("x-match", "all");
        assert_eq!(properties_key(b"k", &turned), key, "the order of arguments does not count");
    }
}
