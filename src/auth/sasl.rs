//! The answers of SASL mechanisms, taken apart.

use lepus_protocol::{FieldTable, FieldValue};

/// A user's name and the proof of it.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Credentials {
    /// The name.
    pub(super) user: String,
    /// The password.
    pub(super) password: Vec<u8>,
}

/// PLAIN (RFC 4616): `authorization identity NUL user NUL password`. The first is not used (RabbitMQ).
pub(super) fn plain(response: &[u8]) -> Option<Credentials> {
    let mut parts = response.splitn(3, |octet| *octet == 0);
    let (_, user, password) = (parts.next()?, parts.next()?, parts.next()?);
    Some(Credentials { user: String::from_utf8(user.to_vec()).ok()?, password: password.to_vec() })
}

/// AMQPLAIN (AMQP 0-8): a field table with LOGIN and PASSWORD, without the table's length in front.
pub(super) fn amqplain(response: &[u8]) -> Option<Credentials> {
    let mut table = u32::try_from(response.len()).ok()?.to_be_bytes().to_vec();
    table.extend_from_slice(response);
    let table = FieldTable::parse(&table).ok()?;
    let text = |key| table.get(key).and_then(FieldValue::as_str).map(str::to_owned);
    Some(Credentials { user: text("LOGIN")?, password: text("PASSWORD")?.into_bytes() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_has_three_parts() {
        let credentials = plain(b"\0user\0pass\0word").unwrap();
        assert_eq!(credentials.user, "user");
        assert_eq!(credentials.password, b"pass\0word");
        assert!(plain(b"user\0pass").is_none());
    }

    #[test]
    fn amqplain_is_a_table_without_its_length() {
        let mut table = FieldTable::new();
        table.insert("LOGIN", "user");
        table.insert("PASSWORD", "pass");
        let mut octets = Vec::new();
        table.encode(&mut octets);
        let credentials = amqplain(octets.get(4..).unwrap()).unwrap();
        assert_eq!(credentials.user, "user");
        assert_eq!(credentials.password, b"pass");
        assert!(amqplain(b"garbage").is_none());
    }
}
