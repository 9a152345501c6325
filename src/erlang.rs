//! Values as RabbitMQ prints them in reply texts: as Erlang terms.

use std::fmt::{self, Write as _};

use lepus_protocol::FieldValue;

/// Prints a field's value as the Erlang term that RabbitMQ makes of it.
pub struct Term<'a>(pub &'a FieldValue);

impl fmt::Display for Term<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            FieldValue::Bool(value) => value.fmt(f),
            FieldValue::I8(value) => value.fmt(f),
            FieldValue::U8(value) => value.fmt(f),
            FieldValue::I16(value) => value.fmt(f),
            FieldValue::U16(value) => value.fmt(f),
            FieldValue::I32(value) => value.fmt(f),
            FieldValue::U32(value) => value.fmt(f),
            FieldValue::I64(value) => value.fmt(f),
            FieldValue::Timestamp(seconds) => seconds.fmt(f),
            FieldValue::F32(value) => float(f, f64::from(*value)),
            FieldValue::F64(value) => float(f, *value),
            FieldValue::Decimal { scale, value } => write!(f, "{{{scale},{value}}}"),
            FieldValue::LongString(octets) | FieldValue::Bytes(octets) => binary(f, octets),
            FieldValue::Array(values) => {
                list(f, values, |f, value| write!(f, "{{{},{}}}", value.type_name(), Term(value)))
            }
            FieldValue::Table(table) => list(f, table, |f, (name, value)| {
                f.write_char('{')?;
                binary(f, name.as_bytes())?;
                write!(f, ",{},{}}}", value.type_name(), Term(value))
            }),
            FieldValue::Void => f.write_str("undefined"),
        }
    }
}

/// Erlang wants a point in front of an exponent, too: `1.0e100`.
fn float(f: &mut fmt::Formatter<'_>, value: f64) -> fmt::Result {
    let text = format!("{value:?}");
    match text.split_once('e') {
        Some((digits, exponent)) if !digits.contains('.') => write!(f, "{digits}.0e{exponent}"),
        _ => f.write_str(&text),
    }
}

fn binary(f: &mut fmt::Formatter<'_>, octets: &[u8]) -> fmt::Result {
    match std::str::from_utf8(octets) {
        Ok("") => f.write_str("<<>>"),
        Ok(text) if text.chars().all(is_printable) => {
            let suffix = if text.is_ascii() { "" } else { "/utf8" };
            f.write_str("<<\"")?;
            text.chars().try_for_each(|character| escaped(f, character))?;
            write!(f, "\"{suffix}>>")
        }
        _ => {
            let numbers: Vec<String> = octets.iter().map(u8::to_string).collect();
            write!(f, "<<{}>>", numbers.join(","))
        }
    }
}

fn is_printable(character: char) -> bool {
    !character.is_control() || matches!(character, '\n' | '\r' | '\t')
}

fn escaped(f: &mut fmt::Formatter<'_>, character: char) -> fmt::Result {
    match character {
        '"' => f.write_str("\\\""),
        '\\' => f.write_str("\\\\"),
        '\n' => f.write_str("\\n"),
        '\r' => f.write_str("\\r"),
        '\t' => f.write_str("\\t"),
        _ => f.write_char(character),
    }
}

fn list<T>(
    f: &mut fmt::Formatter<'_>,
    items: impl IntoIterator<Item = T>,
    print: impl Fn(&mut fmt::Formatter<'_>, T) -> fmt::Result,
) -> fmt::Result {
    f.write_char('[')?;
    for (number, item) in items.into_iter().enumerate() {
        if number > 0 {
            f.write_char(',')?;
        }
        print(f, item)?;
    }
    f.write_char(']')
}

#[cfg(test)]
mod tests {
    use lepus_protocol::FieldTable;

    use super::*;

    #[test]
    fn values_print_as_rabbitmq_prints_them() {
        // Seen in reply texts of RabbitMQ 3.10.8.
        let mut table = FieldTable::new();
        table.insert("a", 1_i32);
        let array = vec![FieldValue::from("a"), FieldValue::from(1_i32)];
        for (value, text) in [
            (FieldValue::from("foo"), "<<\"foo\">>"),
            (FieldValue::from(""), "<<>>"),
            (FieldValue::from("\"\\\n"), "<<\"\\\"\\\\\\n\">>"),
            (FieldValue::Bytes(b"all".to_vec()), "<<\"all\">>"),
            (FieldValue::from(true), "true"),
            (FieldValue::from(-3_i8), "-3"),
            (FieldValue::Timestamp(1_577_836_800), "1577836800"),
            (FieldValue::Decimal { scale: 1, value: 15 }, "{1,15}"),
            (FieldValue::Void, "undefined"),
            (FieldValue::from(1.5), "1.5"),
            (FieldValue::from(3.0), "3.0"),
            (FieldValue::from(0.1_f32), "0.10000000149011612"),
            (FieldValue::from(1e100), "1.0e100"),
            (FieldValue::from(1e-7), "1.0e-7"),
            (FieldValue::from(array), "[{longstr,<<\"a\">>},{signedint,1}]"),
            (FieldValue::from(table), "[{<<\"a\">>,signedint,1}]"),
        ] {
            assert_eq!(Term(&value).to_string(), text);
        }
        assert_eq!(Term(&FieldValue::Bytes(vec![1, 255])).to_string(), "<<1,255>>");
    }
}
