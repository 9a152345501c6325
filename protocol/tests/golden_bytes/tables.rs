//! Field tables of every type.

use lepus_protocol::field_table::{FIELDS_MAX, NESTING_MAX};
use lepus_protocol::{FieldTable, FieldValue, ShortStr, TableError};

/// A table with one field `k`, whose type octet and value are given.
fn table(value: &[u8]) -> Vec<u8> {
    let length = u32::try_from(value.len() + 2).unwrap_or(u32::MAX);
    [&length.to_be_bytes(), b"\x01k".as_slice(), value].concat()
}

fn parse(value: &[u8]) -> Result<FieldValue, TableError> {
    FieldTable::parse(&table(value)).map(|mut table| table.remove("k").unwrap_or(FieldValue::Void))
}

/// The octets parse to the value, and the value encodes to the octets.
fn both_ways(octets: &[u8], value: FieldValue) {
    assert_eq!(parse(octets), Ok(value.clone()));
    let mut fields = FieldTable::new();
    fields.insert("k", value);
    let mut out = Vec::new();
    fields.encode(&mut out);
    assert_eq!(out, table(octets));
}

#[test]
fn integers() {
    both_ways(b"t\x01", FieldValue::Bool(true));
    both_ways(b"t\0", FieldValue::Bool(false));
    both_ways(b"b\xFF", FieldValue::I8(-1));
    both_ways(b"B\xFF", FieldValue::U8(255));
    both_ways(b"s\xFF\xFE", FieldValue::I16(-2));
    both_ways(b"u\xFF\xFE", FieldValue::U16(65_534));
    both_ways(b"I\x80\0\0\0", FieldValue::I32(i32::MIN));
    both_ways(b"i\x80\0\0\0", FieldValue::U32(0x8000_0000));
    both_ways(b"l\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFD", FieldValue::I64(-3));
    both_ways(b"T\0\0\0\0eS\xF1\0", FieldValue::Timestamp(1_700_000_000));
}

#[test]
fn the_rest() {
    both_ways(b"f\x3F\xC0\0\0", FieldValue::F32(1.5));
    both_ways(b"d\xC0\x09\x21\xFB\x54\x44\x2D\x18", FieldValue::F64(-std::f64::consts::PI));
    both_ways(b"D\x02\0\0\x01\x3A", FieldValue::Decimal { scale: 2, value: 314 });
    both_ways(b"S\0\0\0\x02\xC3\xA9", FieldValue::LongString("é".into()));
    both_ways(b"x\0\0\0\x02\0\xFF", FieldValue::Bytes(vec![0, 0xFF]));
    both_ways(b"A\0\0\0\0", FieldValue::Array(vec![]));
    both_ways(b"A\0\0\0\x03Vt\x01", FieldValue::Array(vec![FieldValue::Void, FieldValue::Bool(true)]));
    both_ways(b"F\0\0\0\0", FieldValue::Table(FieldTable::new()));
    both_ways(b"V", FieldValue::Void);
}

#[test]
fn both_letters_of_64_bits_are_signed() {
    assert_eq!(parse(b"L\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFD"), Ok(FieldValue::I64(-3)));
}

#[test]
fn any_octet_but_zero_is_true() {
    assert_eq!(parse(b"t\x02"), Ok(FieldValue::Bool(true)));
}

/// Recorded from py-amqp.
#[test]
fn a_clients_table() {
    let octets = b"\0\0\0[\x01bS\0\0\0\x02\0\xFF\x01uS\0\0\0\x02\xC3\xA9\x01iI\xFF\xFF\xFF\xFB\x01lL\0\0\0\x02\0\0\0\0\
        \x01fd?\xF8\0\0\0\0\0\0\x01dD\x02\0\0\x01:\x01tT\0\0\0\0eS\xF1\0\x01nV\x01aA\0\0\0\x0Ft\x01F\0\0\0\x08\x01kS\
        \0\0\0\x01v";
    let mut inner = FieldTable::new();
    inner.insert("k", "v");
    let mut expected = FieldTable::new();
    expected.insert("b", FieldValue::LongString(vec![0, 0xFF]));
    expected.insert("u", "é");
    expected.insert("i", -5);
    expected.insert("l", 1_i64 << 33);
    expected.insert("f", 1.5);
    expected.insert("d", FieldValue::Decimal { scale: 2, value: 314 });
    expected.insert("t", FieldValue::Timestamp(1_700_000_000));
    expected.insert("n", FieldValue::Void);
    expected.insert("a", vec![true.into(), inner.into()]);
    assert_eq!(FieldTable::parse(octets), Ok(expected));
}

#[test]
fn fields_without_a_length() {
    let mut expected = FieldTable::new();
    expected.insert("LOGIN", "guest");
    expected.insert("PASSWORD", "guest");
    let octets = b"\x05LOGINS\0\0\0\x05guest\x08PASSWORDS\0\0\0\x05guest";
    assert_eq!(FieldTable::parse_fields(octets), Ok(expected));
    assert_eq!(FieldTable::parse_fields(&octets[..20]), Err(TableError::Truncated));
    assert_eq!(FieldTable::parse_fields(b""), Ok(FieldTable::new()));
}

#[test]
fn order_and_repeated_names_survive() {
    let octets = b"\0\0\0\x0C\x01bt\x01\x01at\0\x01bt\0";
    let table = FieldTable::parse(octets).unwrap_or_default();
    let names: Vec<_> = table.iter().filter_map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["b", "a", "b"]);
    assert_eq!(table.get("b"), Some(&FieldValue::Bool(true)), "lookups find the first");
    let mut out = Vec::new();
    table.encode(&mut out);
    assert_eq!(out, octets);
}

#[test]
fn insertion_replaces_in_place_and_removal_takes_all() {
    let mut table = FieldTable::parse(b"\0\0\0\x0C\x01bt\x01\x01at\0\x01bt\0").unwrap_or_default();
    table.insert("a", 7);
    assert_eq!((table.len(), table.get("a").and_then(FieldValue::as_integer)), (3, Some(7)));
    assert_eq!(table.remove("b"), Some(FieldValue::Bool(true)));
    assert_eq!((table.len(), table.get("b")), (1, None));
    assert_eq!(table.remove("b"), None);
}

#[test]
fn names_too_long_for_the_wire_are_cut() {
    let mut table = FieldTable::new();
    table.insert(&"n".repeat(300), true);
    let mut out = Vec::new();
    table.encode(&mut out);
    assert_eq!(FieldTable::parse(&out), Ok(table.clone()));
    assert_eq!(table.get(&"n".repeat(ShortStr::LENGTH_MAX)), Some(&FieldValue::Bool(true)));
    table.insert(&"n".repeat(300), false);
    assert_eq!(table.len(), 1, "the same name again, cut the same way");
}

#[test]
fn truncation_is_noticed_at_every_octet() {
    let whole = table(b"A\0\0\0\x0BS\0\0\0\x01vD\x02\0\0\x01");
    assert!(FieldTable::parse(&table(b"A\0\0\0\x0CS\0\0\0\x01vD\x02\0\0\x01:")).is_ok());
    for end in 0..whole.len() {
        assert_eq!(FieldTable::parse(&whole[..end]), Err(TableError::Truncated), "cut at {end}");
    }
    // The decimal at the end lacks an octet within its array, though the input as a whole is as long as it says.
    assert_eq!(FieldTable::parse(&whole), Err(TableError::Truncated));
}

#[test]
fn an_inner_length_cannot_reach_beyond_its_table() {
    assert_eq!(parse(b"S\0\0\0\x09a"), Err(TableError::Truncated));
    assert_eq!(parse(b"A\xFF\xFF\xFF\xFFV"), Err(TableError::Truncated));
    assert_eq!(FieldTable::parse(b"\0\0\0\x02\x01kt\x01"), Err(TableError::Truncated));
}

#[test]
fn trailing_octets_and_unknown_types_are_refused() {
    assert_eq!(FieldTable::parse(b"\0\0\0\0x"), Err(TableError::Trailing(1)));
    // The specification's letter for a short, which RabbitMQ does not know either.
    assert_eq!(parse(b"U\0\x01"), Err(TableError::UnknownType(b'U')));
}

/// `levels` arrays, one in the other, inside one table.
fn nested(levels: usize) -> Vec<u8> {
    let mut value = b"V".to_vec();
    for _ in 0..levels {
        let length = u32::try_from(value.len()).unwrap_or(u32::MAX);
        value = [b"A".as_slice(), &length.to_be_bytes(), &value].concat();
    }
    value
}

#[test]
fn nesting_has_a_limit() {
    assert!(parse(&nested(NESTING_MAX - 1)).is_ok());
    assert_eq!(parse(&nested(NESTING_MAX)), Err(TableError::TooDeep));
    assert_eq!(parse(&nested(20_000)), Err(TableError::TooDeep));
}

#[test]
fn siblings_do_not_count_as_nesting() {
    let arrays = b"A\0\0\0\0".repeat(NESTING_MAX * 2);
    let length = u32::try_from(arrays.len()).unwrap_or(u32::MAX);
    assert!(parse(&[b"A".as_slice(), &length.to_be_bytes(), &arrays].concat()).is_ok());
}

#[test]
fn fields_have_a_limit_over_the_whole_table() {
    let voids = |count: usize| {
        let length = u32::try_from(count).unwrap_or(u32::MAX);
        [b"A".as_slice(), &length.to_be_bytes(), &b"V".repeat(count)].concat()
    };
    // The array itself counts.
    assert!(parse(&voids(FIELDS_MAX - 1)).is_ok());
    assert_eq!(parse(&voids(FIELDS_MAX)), Err(TableError::TooManyFields));
}

#[test]
fn type_names_are_rabbitmqs() {
    let name = |octets: &[u8]| parse(octets).map(|value| value.type_name());
    let zeros = b"\0\0\0\0\0\0\0\0";
    for (letter, length, expected) in [
        (b't', 1, "bool"),
        (b'b', 1, "byte"),
        (b'B', 1, "unsignedbyte"),
        (b's', 2, "short"),
        (b'u', 2, "unsignedshort"),
        (b'I', 4, "signedint"),
        (b'i', 4, "unsignedint"),
        (b'l', 8, "long"),
        (b'f', 4, "float"),
        (b'd', 8, "double"),
        (b'D', 5, "decimal"),
        (b'S', 4, "longstr"),
        (b'x', 4, "binary"),
        (b'T', 8, "timestamp"),
        (b'A', 4, "array"),
        (b'F', 4, "table"),
        (b'V', 0, "void"),
    ] {
        assert_eq!(name(&[&[letter], &zeros[..length]].concat()), Ok(expected));
    }
}

#[test]
fn a_value_is_read_as_one_kind_only() {
    assert_eq!(FieldValue::U32(u32::MAX).as_integer(), Some(4_294_967_295));
    assert_eq!(FieldValue::I8(-1).as_integer(), Some(-1));
    assert_eq!(FieldValue::from("7").as_integer(), None);
    assert_eq!(FieldValue::from("7").as_str(), Some("7"));
    assert_eq!(FieldValue::LongString(vec![0xFF]).as_str(), None);
    assert_eq!(FieldValue::Bytes(b"7".to_vec()).as_str(), None);
    assert_eq!(FieldValue::from(true).as_bool(), Some(true));
    assert_eq!(FieldValue::Timestamp(1).as_integer(), None);
    assert_eq!(FieldValue::from(FieldTable::new()).as_table(), Some(&FieldTable::new()));
    assert_eq!(FieldValue::from(vec![FieldValue::Void]).as_array(), Some([FieldValue::Void].as_slice()));
}
