//! The headers that tell a consumer how often a message came back before (RabbitMQ: quorum queues).

use std::borrow::Cow;

use lepus_protocol::{FieldTable, Properties};

/// How often it came back.
const DELIVERY_COUNT: &str = "x-delivery-count";

/// How often it was given to a consumer (RabbitMQ 4.3). Whatever comes back was given out, and all that comes back
/// counts, so that the two are one number here.
const ACQUIRED_COUNT: &str = "x-acquired-count";

/// The properties of a message with these headers, unless this is its first delivery.
pub(super) fn with_counts(properties: &[u8], count: u32) -> Cow<'_, [u8]> {
    if count == 0 {
        return Cow::Borrowed(properties);
    }
    let Ok(parsed) = Properties::parse(properties) else { return Cow::Borrowed(properties) };
    let mut headers = parsed.headers.and_then(|raw| FieldTable::parse(raw).ok()).unwrap_or_default();
    headers.insert(ACQUIRED_COUNT, i64::from(count));
    headers.insert(DELIVERY_COUNT, i64::from(count));
    let (mut raw_headers, mut raw) = (Vec::new(), Vec::new());
    headers.encode(&mut raw_headers);
    Properties { headers: Some(&raw_headers), ..parsed }.encode(&mut raw);
    Cow::Owned(raw)
}

#[cfg(test)]
mod tests {
    use lepus_protocol::FieldValue;

    use super::*;

    #[test]
    fn what_comes_back_says_how_often_and_keeps_its_properties() {
        let mut headers = FieldTable::new();
        headers.insert("mine", "kept");
        let (mut raw_headers, mut raw) = (Vec::new(), Vec::new());
        headers.encode(&mut raw_headers);
        Properties { headers: Some(&raw_headers), priority: Some(7), ..Properties::default() }
            .encode(&mut raw);
        assert_eq!(with_counts(&raw, 0), raw);
        let counted = with_counts(&raw, 3);
        let properties = Properties::parse(&counted).unwrap();
        let headers = FieldTable::parse(properties.headers.unwrap()).unwrap();
        assert_eq!(properties.priority, Some(7));
        assert_eq!(headers.get("mine").and_then(FieldValue::as_str), Some("kept"));
        for name in [DELIVERY_COUNT, ACQUIRED_COUNT] {
            assert_eq!(headers.get(name).and_then(FieldValue::as_integer), Some(3));
        }
        assert!(Properties::parse(&with_counts(&[0, 0], 1)).unwrap().headers.is_some());
    }
}
