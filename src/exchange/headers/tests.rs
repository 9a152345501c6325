use std::cell::Cell;

use lepus_protocol::FieldValue;
use proptest::prelude::*;

use super::*;

type Fields<'a> = &'a [(&'a str, FieldValue)];

fn table(fields: Fields<'_>) -> FieldTable {
    let mut table = FieldTable::new();
    fields.iter().for_each(|(name, value)| table.insert(name, value.clone()));
    table
}

fn text(value: &str) -> FieldValue {
    value.into()
}

fn route(rules: &HeaderRules<usize>, headers: &dyn MessageHeaders) -> Vec<usize> {
    let mut found = Vec::new();
    rules.route(headers, &mut |number| found.push(*number));
    found.sort_unstable();
    found.dedup();
    found
}

fn matches(arguments: Fields<'_>, headers: Fields<'_>) -> bool {
    let mut rules = HeaderRules::new();
    rules.insert(&table(arguments), &0).unwrap();
    !route(&rules, &table(headers)).is_empty()
}

fn matches_value(argument: impl Into<FieldValue>, header: impl Into<FieldValue>) -> bool {
    matches(&[("a", argument.into())], &[("a", header.into())])
}

#[test]
fn all_is_the_default_and_needs_every_header() {
    for mode in [&[][..], &[("x-match", text("all"))]] {
        let arguments = [mode, &[("format", text("pdf")), ("type", text("report"))]].concat();
        let (pdf, report) = (("format", text("pdf")), ("type", text("report")));
        assert!(matches(&arguments, &[report.clone(), pdf.clone(), ("more", text("x"))]));
        assert!(!matches(&arguments, std::slice::from_ref(&pdf)));
        assert!(!matches(&arguments, &[pdf, ("type", text("log"))]));
        assert!(!matches(&arguments, &[]));
    }
}

#[test]
fn any_needs_one_header() {
    let arguments = [("x-match", text("any")), ("format", text("pdf")), ("type", text("report"))];
    assert!(matches(&arguments, &[("format", text("pdf"))]));
    assert!(matches(&arguments, &[("format", text("zip")), ("type", text("report"))]));
    assert!(!matches(&arguments, &[("format", text("zip")), ("type", text("log"))]));
    assert!(!matches(&arguments, &[]));
}

#[test]
fn no_arguments_match_everything_under_all_and_nothing_under_any() {
    // Seen on RabbitMQ 3.10.8.
    let header = [("a", FieldValue::from(1_i32))];
    assert!(matches(&[], &header) && matches(&[], &[]));
    assert!(matches(&[("x-match", text("all-with-x"))], &[]));
    assert!(!matches(&[("x-match", text("any"))], &header));
    assert!(!matches(&[("x-match", text("any-with-x"))], &[("x-match", text("any-with-x"))]));
}

#[test]
fn names_with_x_count_only_in_the_modes_that_say_so() {
    let argument = ("x-a", FieldValue::from(1_i32));
    let other = [("x-a", FieldValue::from(2_i32)), ("b", text("c"))];
    assert!(matches(std::slice::from_ref(&argument), &other));
    assert!(!matches(&[("x-match", text("any")), argument.clone()], std::slice::from_ref(&argument)));
    assert!(!matches(&[("x-match", text("all-with-x")), argument.clone()], &other));
    assert!(matches(&[("x-match", text("all-with-x")), argument.clone()], std::slice::from_ref(&argument)));
    assert!(matches(&[("x-match", text("any-with-x")), argument.clone()], std::slice::from_ref(&argument)));
    assert!(!matches(&[("x-match", text("any-with-x")), argument], &other));
}

#[test]
fn a_void_argument_asks_for_presence() {
    assert!(matches_value(FieldValue::Void, 1_i32));
    assert!(matches_value(FieldValue::Void, FieldValue::Void));
    assert!(!matches_value(1_i32, FieldValue::Void));
    assert!(!matches(&[("a", FieldValue::Void)], &[("b", FieldValue::Void)]));
    let any = [("x-match", text("any")), ("a", FieldValue::Void), ("b", FieldValue::Void)];
    assert!(matches(&any, &[("b", text("c"))]));
}

#[test]
fn values_are_compared_by_their_terms() {
    // Each line but the floats with integers seen on RabbitMQ 3.10.8; those are as since 3.13.
    assert!(matches_value(1_i32, 1_i64) && matches_value(3_u8, 3_i16));
    assert!(matches_value(5_i32, FieldValue::Timestamp(5)));
    assert!(matches_value(FieldValue::Timestamp(5), FieldValue::Timestamp(5)));
    assert!(matches_value("1", FieldValue::Bytes(b"1".to_vec())));
    assert!(matches_value(1.5_f32, 1.5_f64) && matches_value(0.0, -0.0));
    assert!(!matches_value(1_i32, 1.0) && !matches_value(1_i32, "1"));
    assert!(!matches_value(true, 1_i32) && !matches_value(true, "true"));
    let decimal = |scale, value| FieldValue::Decimal { scale, value };
    assert!(matches_value(decimal(1, 15), decimal(1, 15)) && !matches_value(decimal(1, 15), decimal(2, 150)));
}

#[test]
fn within_arrays_and_tables_type_and_order_count() {
    // Seen on RabbitMQ 3.10.8.
    let array = |value: FieldValue| vec![value];
    assert!(matches_value(array(1_i32.into()), array(1_i32.into())));
    assert!(!matches_value(array(1_i32.into()), array(1_i64.into())));
    assert!(!matches_value(array(1.5_f32.into()), array(1.5_f64.into())));
    let (b, c) = (("b", FieldValue::from(1_i32)), ("c", FieldValue::from(2_i32)));
    let ordered = table(&[b.clone(), c.clone()]);
    assert!(matches_value(ordered.clone(), ordered.clone()));
    assert!(!matches_value(ordered, table(&[c, b])));
}

#[test]
fn a_wrong_mode_is_refused_in_rabbitmq_s_words() {
    let refusal = |value: FieldValue| {
        HeaderRules::new().insert(&table(&[("x-match", value)]), &0).unwrap_err().to_string()
    };
    assert_eq!(
        refusal(text("foo")),
        "Invalid x-match field value <<\"foo\">>; expected all, any, all-with-x, or any-with-x"
    );
    assert_eq!(refusal(1_i32.into()), "Invalid x-match field type signedint (value 1); expected longstr");
    assert_eq!(
        refusal(FieldValue::Bytes(b"all".to_vec())),
        "Invalid x-match field type binary (value <<\"all\">>); expected longstr"
    );
}

#[test]
fn too_many_headers_are_refused() {
    let mut arguments = table(&[("x-match", text("any"))]);
    for number in 0..=super::super::HEADERS_MATCHED_MAX {
        arguments.insert(&number.to_string(), FieldValue::Void);
    }
    assert_eq!(HeaderRules::new().insert(&arguments, &0), Err(BindError::TooManyHeaders(1025)));
}

#[test]
fn headers_are_parsed_only_where_they_decide_and_once() {
    let parsed = Cell::new(0);
    let headers = LazyCell::new(|| {
        parsed.set(parsed.get() + 1);
        Some(table(&[("a", FieldValue::from(1_i32))]))
    });
    let mut rules = HeaderRules::new();
    rules.insert(&FieldTable::new(), &7).unwrap();
    assert_eq!((route(&rules, &headers), parsed.get()), (vec![7], 0));
    rules.insert(&table(&[("a", 1_i32.into())]), &8).unwrap();
    assert_eq!((route(&rules, &headers), parsed.get()), (vec![7, 8], 1));
    assert_eq!((route(&rules, &headers), parsed.get()), (vec![7, 8], 1));
    assert_eq!(route(&rules, &()), [7]);
}

#[test]
fn of_headers_by_one_name_the_last_counts() {
    let name = || lepus_protocol::ShortString::new("a").unwrap();
    let headers: FieldTable = [(name(), 1_i32.into()), (name(), 2_i32.into())].into_iter().collect();
    let mut rules = HeaderRules::new();
    rules.insert(&table(&[("a", 1_i32.into())]), &1).unwrap();
    rules.insert(&table(&[("a", 2_i32.into())]), &2).unwrap();
    assert_eq!(route(&rules, &headers), [2]);
}

/// RabbitMQ's own way: every binding, every argument.
fn matches_by_definition(arguments: &FieldTable, headers: &FieldTable) -> bool {
    let mode = arguments.get("x-match").and_then(FieldValue::as_str).unwrap_or("all");
    let mut verdicts =
        arguments
            .iter()
            .filter(|(name, _)| {
                if mode.ends_with("x") { *name != "x-match" } else { !name.as_bytes().starts_with(b"x-") }
            })
            .map(|(name, value)| {
                let header = headers.get(name.as_str().unwrap());
                header.is_some_and(|header| *value == FieldValue::Void || header == value)
            });
    if mode.starts_with("all") { verdicts.all(|met| met) } else { verdicts.any(|met| met) }
}

fn fields() -> impl Strategy<Value = FieldTable> {
    let name = prop::sample::select(&["a", "b", "c", "x-a", "x-b"][..]);
    let value = prop::sample::select(vec![text("1"), text("2"), FieldValue::from(1_i32), FieldValue::Void]);
    prop::collection::vec((name, value), 0..5).prop_map(|fields| table(&fields))
}

fn arguments() -> impl Strategy<Value = FieldTable> {
    let modes = &[None, Some("all"), Some("any"), Some("all-with-x"), Some("any-with-x")];
    (fields(), prop::sample::select(&modes[..])).prop_map(|(mut fields, mode)| {
        mode.into_iter().for_each(|mode| fields.insert("x-match", mode));
        fields
    })
}

proptest! {
    #[test]
    fn it_finds_what_the_definition_finds(
        bindings in prop::collection::vec(arguments(), 0..20),
        messages in prop::collection::vec(fields(), 1..6),
        gone in any::<prop::sample::Index>(),
    ) {
        let mut rules = HeaderRules::new();
        for (number, arguments) in bindings.iter().enumerate() {
            rules.insert(arguments, &number).unwrap();
        }
        let gone = gone.index(bindings.len() + 1);
        if let Some(arguments) = bindings.get(gone) {
            rules.remove(arguments, &gone);
        }
        let left = || bindings.iter().enumerate().filter(|(number, _)| *number != gone);
        for headers in &messages {
            let expected: Vec<_> = left()
                .filter(|(_, arguments)| matches_by_definition(arguments, headers))
                .map(|(number, _)| number)
                .collect();
            prop_assert_eq!(route(&rules, headers), expected);
        }
        for (number, arguments) in left() {
            rules.remove(arguments, &number);
        }
        prop_assert!(rules.rule_count() == 0 && rules.files.is_empty());
    }
}
