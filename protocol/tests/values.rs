//! The small types: short strings, reply codes, numbers, bits.

use lepus_protocol::primitive::{bits, longstr, put, shortstr};
use lepus_protocol::{ChannelId, ClassId, DeliveryTag, MethodId, ReplyCode, ShortStr, ShortString, TooLong};

#[test]
fn a_short_string_holds_255_octets() {
    let octets = [b'a'; 256];
    assert_eq!(ShortStr::new(&octets[..255]).map(ShortStr::len), Ok(255));
    assert_eq!(ShortStr::new(&octets), Err(TooLong { length: 256 }));
    assert_eq!(ShortString::new(octets), Err(TooLong { length: 256 }));
    assert!(ShortStr::EMPTY.is_empty() && ShortString::default().is_empty());
}

#[test]
fn a_text_is_cut_between_characters() {
    let text = format!("{}é", "a".repeat(254));
    assert_eq!(ShortStr::truncated(&text).as_str(), Some("a".repeat(254).as_str()));
    assert_eq!(ShortStr::truncated("short"), "short");
}

#[test]
fn a_short_string_need_not_be_text() {
    let octets = ShortStr::new(b"a\xFFb").unwrap();
    assert_eq!(octets.as_str(), None);
    assert_eq!((octets.to_string(), format!("{octets:?}")), ("a\u{FFFD}b".into(), "\"a\u{FFFD}b\"".into()));
    let owned: ShortString = octets.to_owned();
    assert_eq!((owned.as_bytes(), owned.as_short_str()), (octets.as_bytes(), octets));
}

#[test]
fn reply_codes_have_names_and_levels() {
    assert_eq!((ReplyCode::NOT_FOUND.get(), ReplyCode::NOT_FOUND.name()), (404, "NOT_FOUND"));
    assert_eq!(ReplyCode::new(999).name(), "UNKNOWN");
    assert_eq!(format!("{} {:?}", ReplyCode::NO_ROUTE, ReplyCode::NO_ROUTE), "312 312 NO_ROUTE");
    let soft = [311, 312, 313, 403, 404, 405, 406];
    let hard = [320, 402, 501, 502, 503, 504, 505, 506, 530, 540, 541];
    assert!(soft.iter().all(|&code| !ReplyCode::new(code).is_hard()));
    assert!(hard.iter().all(|&code| ReplyCode::new(code).is_hard()));
    assert!(!ReplyCode::SUCCESS.is_hard());
}

#[test]
fn numbers_print_as_numbers() {
    assert_eq!(ChannelId::CONNECTION.to_string(), "0");
    assert_eq!(format!("{}.{}", ClassId::BASIC, MethodId::new(40)), "60.40");
    assert_eq!(DeliveryTag::ALL.next(), DeliveryTag::new(1));
    assert_eq!(DeliveryTag::new(7).next().to_string(), "8");
}

#[test]
fn bits_share_an_octet_lowest_first() {
    let mut out = Vec::new();
    put::bits(&mut out, [true, false, true]);
    put::bits(&mut out, [false; 8]);
    assert_eq!(out, [0b101, 0]);
    assert_eq!(bits::<3, ()>(&out), Ok((&out[1..], [true, false, true])));
    assert!(bits::<3, ()>(&[]).is_err());
}

#[test]
fn strings_are_counted() {
    let mut out = Vec::new();
    put::shortstr(&mut out, ShortStr::truncated("ab"));
    put::longstr(&mut out, b"c");
    assert_eq!(out, b"\x02ab\0\0\0\x01c");
    let (rest, short) = shortstr::<()>(&out).unwrap();
    assert_eq!((short, longstr::<()>(rest)), (ShortStr::truncated("ab"), Ok((&[][..], &b"c"[..]))));
    assert!(longstr::<()>(b"\xFF\xFF\xFF\xFFc").is_err());
}
