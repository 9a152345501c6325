//! Argument tables and headers: AMQP's field tables as JSON objects, and back.

use lepus_protocol::{FieldTable, FieldValue, ShortStr};
use serde::{Serialize, Serializer};
use serde_json::{Map, Number, Value};

use super::refusal::Refusal;

/// Tables in tables, as deep as the codec goes.
const DEPTH_MAX: usize = 32;

/// A table for an answer.
#[derive(Debug)]
pub(super) struct Table<'t>(pub(super) &'t FieldTable);

impl Serialize for Table<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name.to_string(), to_json(value))))
    }
}

/// A table as an object.
pub(super) fn table_to_json(table: &FieldTable) -> Value {
    Value::Object(table.iter().map(|(name, value)| (name.to_string(), to_json(value))).collect())
}

fn to_json(value: &FieldValue) -> Value {
    match value {
        FieldValue::Bool(value) => Value::Bool(*value),
        FieldValue::I8(value) => Value::from(*value),
        FieldValue::U8(value) => Value::from(*value),
        FieldValue::I16(value) => Value::from(*value),
        FieldValue::U16(value) => Value::from(*value),
        FieldValue::I32(value) => Value::from(*value),
        FieldValue::U32(value) => Value::from(*value),
        FieldValue::I64(value) => Value::from(*value),
        FieldValue::Timestamp(value) => Value::from(*value),
        FieldValue::F32(value) => float(f64::from(*value)),
        FieldValue::F64(value) => float(*value),
        FieldValue::Decimal { scale, value } => float(f64::from(*value) / 10_f64.powi(i32::from(*scale))),
        FieldValue::LongString(octets) | FieldValue::Bytes(octets) => {
            Value::String(String::from_utf8_lossy(octets).into_owned())
        }
        FieldValue::Array(values) => Value::Array(values.iter().map(to_json).collect()),
        FieldValue::Table(table) => table_to_json(table),
        FieldValue::Void => Value::Null,
    }
}

/// JSON has no infinities.
fn float(value: f64) -> Value {
    Number::from_f64(value).map_or(Value::Null, Value::Number)
}

/// An object as a table. RabbitMQ: integers become signed 64-bit ones, text long strings.
pub(super) fn from_json(object: &Map<String, Value>) -> Result<FieldTable, Refusal> {
    table(object, 0)
}

fn table(object: &Map<String, Value>, depth: usize) -> Result<FieldTable, Refusal> {
    if depth >= DEPTH_MAX {
        return Err(Refusal::bad_request(format!("tables nest deeper than {DEPTH_MAX}")));
    }
    object.iter().map(|(name, field)| Ok((key(name)?.to_owned(), value(field, depth)?))).collect()
}

fn key(name: &str) -> Result<ShortStr<'_>, Refusal> {
    ShortStr::new(name.as_bytes())
        .map_err(|_| Refusal::bad_request(format!("a key of {} octets, of at most 255", name.len())))
}

fn value(field: &Value, depth: usize) -> Result<FieldValue, Refusal> {
    Ok(match field {
        Value::Null => FieldValue::Void,
        Value::Bool(value) => FieldValue::Bool(*value),
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(value), _) => FieldValue::I64(value),
            (None, Some(value)) => FieldValue::F64(value),
            (None, None) => {
                return Err(Refusal::bad_request(format!("{number} is not a number for a table")));
            }
        },
        Value::String(text) => FieldValue::from(text.as_str()),
        Value::Array(values) => {
            if depth >= DEPTH_MAX {
                return Err(Refusal::bad_request(format!("arrays nest deeper than {DEPTH_MAX}")));
            }
            FieldValue::Array(values.iter().map(|item| value(item, depth + 1)).collect::<Result<_, _>>()?)
        }
        Value::Object(object) => FieldValue::Table(table(object, depth + 1)?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_comes_back_as_it_went() {
        let text = r#"{"s":"text","n":-7,"f":1.5,"b":true,"v":null,"a":[1,"x"],"t":{"k":1}}"#;
        let object: Map<String, Value> = serde_json::from_str(text).unwrap();
        let table = from_json(&object).unwrap();
        assert_eq!(table.get("n"), Some(&FieldValue::I64(-7)));
        assert_eq!(table_to_json(&table), Value::Object(object));
    }

    #[test]
    fn a_table_without_a_bottom_is_refused() {
        let text = format!("{}1{}", "{\"t\":".repeat(40), "}".repeat(40));
        let object: Map<String, Value> = serde_json::from_str(&text).unwrap();
        assert!(from_json(&object).is_err());
    }
}
