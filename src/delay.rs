//! By how much a publisher wants a message delayed: the header `x-delay` of RabbitMQ's delayed message exchange.

use lepus_protocol::{FieldTable, FieldValue};

/// The header, in milliseconds.
pub const HEADER: &str = "x-delay";

/// The delay that headers ask for. The plugin's rules: an integer of any width, also as digits, or a number with a
/// fraction, which is cut; whatever else it is, and nothing or less than nothing, is no delay. There is no upper bound.
pub fn asked(headers: &FieldTable) -> Option<u64> {
    let value = headers.get(HEADER)?;
    let millis = value.as_integer().or_else(|| by_digits(value)).or_else(|| with_fraction(value))?;
    u64::try_from(millis).ok().filter(|millis| *millis > 0)
}

/// Takes the delay that headers ask for. What is left says that there was one, as a negative number (the plugin): who
/// publishes the message again with the headers that it came with asks for none.
pub fn take(headers: &mut FieldTable) -> Option<u64> {
    let delay = asked(headers)?;
    let left = i64::try_from(delay).map_or(i64::MIN, |delay| -delay);
    headers.insert(HEADER, i32::try_from(left).map_or(FieldValue::I64(left), FieldValue::I32));
    Some(delay)
}

fn by_digits(value: &FieldValue) -> Option<i64> {
    value.as_str()?.parse().ok()
}

#[expect(clippy::wildcard_enum_match_arm, reason = "no other type has a fraction")]
fn with_fraction(value: &FieldValue) -> Option<i64> {
    let number = match *value {
        FieldValue::F32(number) => f64::from(number),
        FieldValue::F64(number) => number,
        FieldValue::Decimal { scale, value } => f64::from(value) / 10_f64.powi(scale.into()),
        _ => return None,
    };
    // In decimal digits without a fraction: what is no number, or too large for one, cannot be parsed.
    format!("{:.0}", number.trunc()).parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(value: impl Into<FieldValue>) -> FieldTable {
        let mut headers = FieldTable::new();
        headers.insert(HEADER, value);
        headers
    }

    #[test]
    fn every_kind_of_number_is_a_delay() {
        for value in [
            FieldValue::U8(50),
            FieldValue::I16(50),
            FieldValue::U32(50),
            FieldValue::I64(50),
            FieldValue::from("50"),
            FieldValue::F32(50.9),
            FieldValue::F64(50.9),
            FieldValue::Decimal { scale: 1, value: 509 },
        ] {
            assert_eq!(asked(&headers(value.clone())), Some(50), "{value:?}");
        }
    }

    #[test]
    fn what_is_no_positive_number_is_no_delay() {
        let table = FieldValue::Table(FieldTable::new());
        for value in [
            FieldValue::I32(0),
            FieldValue::I32(-50),
            FieldValue::from("soon"),
            FieldValue::from("-50"),
            FieldValue::Bool(true),
            FieldValue::F64(f64::NAN),
            FieldValue::F64(f64::INFINITY),
            FieldValue::Timestamp(50),
            FieldValue::Void,
            table,
        ] {
            assert_eq!(asked(&headers(value.clone())), None, "{value:?}");
        }
        assert_eq!(asked(&FieldTable::new()), None);
    }

    #[test]
    fn a_delay_is_taken_once_and_leaves_its_trace() {
        for (delay, trace) in [(50_i64, FieldValue::I32(-50)), (1 << 40, FieldValue::I64(-(1 << 40)))] {
            let mut headers = headers(delay);
            assert_eq!(take(&mut headers), Some(delay.unsigned_abs()));
            assert_eq!(headers.get(HEADER), Some(&trace));
            assert_eq!(take(&mut headers), None);
        }
    }
}
