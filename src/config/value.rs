//! Values of settings: what a file, a variable or a flag says, and what becomes of it.

use std::fmt;
use std::net::{Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

/// Octets of a unit by its suffix, as RabbitMQ has it: `k` and `KiB` are 1024, `kB` is 1000. Case does not matter.
const OCTET_UNITS: &[(&str, u64)] = &[
    ("", 1),
    ("b", 1),
    ("k", 1 << 10),
    ("kib", 1 << 10),
    ("kb", 1_000),
    ("m", 1 << 20),
    ("mib", 1 << 20),
    ("mb", 1_000_000),
    ("g", 1 << 30),
    ("gib", 1 << 30),
    ("gb", 1_000_000_000),
    ("t", 1 << 40),
    ("tib", 1 << 40),
    ("tb", 1_000_000_000_000),
];

/// What was given for a setting, and what a setting shows.
#[derive(Clone, Debug, PartialEq)]
pub enum Raw {
    /// Nothing is set.
    Nothing,
    /// Without a type: from a flag, a variable, or rabbitmq.conf. A list is separated by commas.
    Word(String),
    /// Text that says so itself, as TOML's does.
    Text(String),
    /// A whole number.
    Integer(i64),
    /// A number with a point.
    Float(f64),
    /// True or false.
    Boolean(bool),
    /// Several.
    List(Vec<Self>),
    /// Something that is no value of any setting, by name.
    Other(&'static str),
}

/// What a number counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unit {
    /// Things.
    #[default]
    Things,
    /// Octets: `50MB` is understood.
    Octets,
    /// Seconds: `30m` is understood.
    Seconds,
}

/// A type that a setting can have.
pub trait Value {
    /// Understands what was given.
    ///
    /// # Errors
    /// In words that follow the key: what was given, and what is expected.
    fn parse(raw: &Raw, unit: Unit) -> Result<Self, String>
    where
        Self: Sized;

    /// The value as it is written in a file.
    fn show(&self, unit: Unit) -> Raw;
}

/// As [`Value`], behind a reference.
pub trait AnyValue {
    /// Takes over what was given.
    ///
    /// # Errors
    /// As [`Value::parse`].
    fn set(&mut self, raw: &Raw, unit: Unit) -> Result<(), String>;

    /// As [`Value::show`].
    fn show(&self, unit: Unit) -> Raw;
}

impl<T: Value> AnyValue for T {
    fn set(&mut self, raw: &Raw, unit: Unit) -> Result<(), String> {
        *self = T::parse(raw, unit)?;
        Ok(())
    }

    fn show(&self, unit: Unit) -> Raw {
        Value::show(self, unit)
    }
}

/// A list of nothing, where an empty one cannot be written or would be overlooked.
const NO_ITEMS: &str = "off";

/// A password or the like: it is neither logged nor shown.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// A time that may be without end, which zero stands for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timeout(pub Duration);

impl Raw {
    /// `expected` was, and this is not it.
    pub fn mismatch(&self, expected: &str) -> String {
        format!("{self} is not {expected}")
    }

    /// The words in it, if it is one text.
    pub fn as_text(&self) -> Option<&str> {
        if let Self::Word(text) | Self::Text(text) = self { Some(text) } else { None }
    }

    /// The number, if it is a whole one that is not below 0.
    fn as_integer(&self) -> Option<u64> {
        if let Self::Integer(number) = self { u64::try_from(*number).ok() } else { None }
    }
}

/// As in an error, and in a table.
impl fmt::Display for Raw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => f.write_str("nothing"),
            Self::Word(text) => write!(f, "'{text}'"),
            Self::Text(text) => write!(f, "\"{}\"", text.escape_default()),
            Self::Integer(number) => number.fmt(f),
            Self::Float(number) => number.fmt(f),
            Self::Boolean(is) => is.fmt(f),
            Self::List(items) => {
                f.write_str("[")?;
                for (index, item) in items.iter().enumerate() {
                    let separator = if index == 0 { "" } else { ", " };
                    write!(f, "{separator}{item}")?;
                }
                f.write_str("]")
            }
            Self::Other(what) => f.write_str(what),
        }
    }
}

impl Value for bool {
    fn parse(raw: &Raw, _: Unit) -> Result<Self, String> {
        if let Raw::Boolean(is) = raw {
            return Ok(*is);
        }
        let word = if let Raw::Word(word) = raw { word.to_ascii_lowercase() } else { String::new() };
        match word.as_str() {
            "true" | "yes" | "on" | "1" => Ok(true),
            "false" | "no" | "off" | "0" => Ok(false),
            _ => Err(raw.mismatch("true or false")),
        }
    }

    fn show(&self, _: Unit) -> Raw {
        Raw::Boolean(*self)
    }
}

impl Value for String {
    fn parse(raw: &Raw, _: Unit) -> Result<Self, String> {
        raw.as_text().map(str::to_owned).ok_or_else(|| raw.mismatch("text: write it in quotes"))
    }

    fn show(&self, _: Unit) -> Raw {
        Raw::Text(self.clone())
    }
}

impl Value for Secret {
    fn parse(raw: &Raw, unit: Unit) -> Result<Self, String> {
        // What was given does not appear in the error.
        String::parse(raw, unit).map(Self).map_err(|_| "is not text: write it in quotes".to_owned())
    }

    fn show(&self, _: Unit) -> Raw {
        Raw::Text(self.0.clone())
    }
}

impl Value for PathBuf {
    fn parse(raw: &Raw, _: Unit) -> Result<Self, String> {
        let path = raw.as_text().filter(|path| !path.is_empty());
        path.map(Self::from).ok_or_else(|| raw.mismatch("a path: write it in quotes"))
    }

    fn show(&self, _: Unit) -> Raw {
        Raw::Text(self.display().to_string())
    }
}

/// A port alone listens on all addresses, of IPv6 as well as of IPv4 where the system has both (RabbitMQ).
impl Value for SocketAddr {
    fn parse(raw: &Raw, _: Unit) -> Result<Self, String> {
        let everywhere = |port| Self::from((Ipv6Addr::UNSPECIFIED, port));
        let text = raw.as_text().unwrap_or_default();
        let port = text.strip_prefix(':').unwrap_or(text).parse().ok();
        let port = port.or_else(|| u16::try_from(raw.as_integer()?).ok());
        let address = text.parse().ok().or_else(|| port.map(everywhere));
        address.ok_or_else(|| {
            raw.mismatch("an address and port such as 127.0.0.1:5672 or [::1]:5672, or a port alone")
        })
    }

    fn show(&self, _: Unit) -> Raw {
        Raw::Text(self.to_string())
    }
}

impl Value for Duration {
    fn parse(raw: &Raw, _: Unit) -> Result<Self, String> {
        let text = raw.as_text().unwrap_or_default();
        let seconds = raw.as_integer().or_else(|| text.parse().ok());
        let time = seconds.map(Self::from_secs).or_else(|| humantime::parse_duration(text).ok());
        time.ok_or_else(|| raw.mismatch("a time such as \"30m\" or \"500ms\", or a number of seconds"))
    }

    fn show(&self, _: Unit) -> Raw {
        Raw::Text(humantime::format_duration(*self).to_string())
    }
}

/// `false` and `off` are without end, as zero is.
impl Value for Timeout {
    fn parse(raw: &Raw, unit: Unit) -> Result<Self, String> {
        let is_off = *raw == Raw::Boolean(false) || matches!(raw.as_text(), Some("false" | NO_ITEMS));
        if is_off { Ok(Self::default()) } else { Duration::parse(raw, unit).map(Self) }
    }

    fn show(&self, unit: Unit) -> Raw {
        Value::show(&self.0, unit)
    }
}

/// Whole numbers, by way of `u64`.
macro_rules! whole_numbers {
    ($($Number:ty),*) => {$(
        impl Value for $Number {
            fn parse(raw: &Raw, unit: Unit) -> Result<Self, String> {
                let number = whole_number(raw, unit)?;
                Self::try_from(number).map_err(|_| format!("{raw} is more than {}, the most there can be", Self::MAX))
            }

            fn show(&self, _: Unit) -> Raw {
                i64::try_from(*self).map_or_else(|_| Raw::Text(self.to_string()), Raw::Integer)
            }
        }
    )*};
}

whole_numbers!(u16, u32, u64, usize);

fn whole_number(raw: &Raw, unit: Unit) -> Result<u64, String> {
    let text = raw.as_text().unwrap_or_default();
    let number = raw.as_integer().or_else(|| match unit {
        Unit::Things => {
            if let Raw::Word(word) = raw {
                word.parse().ok()
            } else {
                None
            }
        }
        Unit::Octets => octets(text),
        Unit::Seconds => {
            text.parse().ok().or_else(|| humantime::parse_duration(text).ok().map(|time| time.as_secs()))
        }
    });
    number.ok_or_else(|| {
        raw.mismatch(match unit {
            Unit::Things => "a whole number",
            Unit::Octets => "a number of octets such as 1048576, \"50MB\" or \"1GiB\"",
            Unit::Seconds => "a number of seconds, or a time such as \"2m\"",
        })
    })
}

/// A number of octets with or without a unit.
pub(super) fn octets(text: &str) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, suffix) = text.split_at_checked(digits)?;
    let suffix = suffix.trim_start().to_ascii_lowercase();
    let (_, unit) = OCTET_UNITS.iter().find(|(name, _)| *name == suffix)?;
    number.parse::<u64>().ok()?.checked_mul(*unit)
}

impl<T: Value> Value for Vec<T> {
    fn parse(raw: &Raw, unit: Unit) -> Result<Self, String> {
        if *raw == Raw::Nothing {
            return Ok(Self::new());
        }
        let items = if let Raw::List(items) = raw { items.as_slice() } else { std::slice::from_ref(raw) };
        if items.len() == 1 && items.first().and_then(Raw::as_text) == Some(NO_ITEMS) {
            return Ok(Self::new());
        }
        let mut parsed = Self::new();
        for item in items {
            if let Raw::Word(words) = item {
                for word in words.split(',').map(str::trim).filter(|word| !word.is_empty()) {
                    parsed.push(T::parse(&Raw::Word(word.to_owned()), unit)?);
                }
            } else {
                parsed.push(T::parse(item, unit)?);
            }
        }
        Ok(parsed)
    }

    fn show(&self, unit: Unit) -> Raw {
        Raw::List(self.iter().map(|item| Value::show(item, unit)).collect())
    }
}

/// An empty word is nothing: a variable that is set to nothing counts as not set.
impl<T: Value> Value for Option<T> {
    fn parse(raw: &Raw, unit: Unit) -> Result<Self, String> {
        let is_nothing = *raw == Raw::Nothing || *raw == Raw::Word(String::new());
        if is_nothing { Ok(None) } else { T::parse(raw, unit).map(Some) }
    }

    fn show(&self, unit: Unit) -> Raw {
        self.as_ref().map_or(Raw::Nothing, |value| Value::show(value, unit))
    }
}

/// Makes an enum without data a [`Value`]: each variant has a word.
macro_rules! choices {
    ($Type:ty { $($word:literal => $Variant:ident),+ $(,)? }) => {
        impl $crate::config::value::Value for $Type {
            fn parse(
                raw: &$crate::config::value::Raw,
                _: $crate::config::value::Unit,
            ) -> Result<Self, String> {
                match raw.as_text() {
                    $(Some($word) => Ok(Self::$Variant),)+
                    _ => Err(raw.mismatch(&format!("one of {}", [$(concat!("\"", $word, "\"")),+].join(", ")))),
                }
            }

            fn show(&self, _: $crate::config::value::Unit) -> $crate::config::value::Raw {
                $crate::config::value::Raw::Text(match self { $(Self::$Variant => $word),+ }.to_owned())
            }
        }
    };
}

pub(super) use choices;

#[cfg(test)]
mod tests {
    use super::*;

    fn word(text: &str) -> Raw {
        Raw::Word(text.to_owned())
    }

    fn text(text: &str) -> Raw {
        Raw::Text(text.to_owned())
    }

    #[test]
    fn octets_have_rabbitmq_s_units() {
        let of = |given: &str| u64::parse(&word(given), Unit::Octets);
        assert_eq!(of("50MB"), Ok(50_000_000));
        assert_eq!(of("50M"), Ok(50 << 20));
        assert_eq!(of("1 GiB"), Ok(1 << 30));
        assert_eq!(of("7"), Ok(7));
        for bad in ["", "MB", "5 apples", "-1", "99999999999999TB"] {
            assert!(of(bad).unwrap_err().contains("octets"), "{bad}");
        }
    }

    #[test]
    fn times_have_units_or_are_seconds() {
        let of = |raw: Raw| Duration::parse(&raw, Unit::Things);
        assert_eq!(of(text("30m")), Ok(Duration::from_secs(1800)));
        assert_eq!(of(word("500ms")), Ok(Duration::from_millis(500)));
        assert_eq!(of(Raw::Integer(5)), Ok(Duration::from_secs(5)));
        assert!(of(Raw::Integer(-5)).is_err());
        assert_eq!(u16::parse(&text("2m"), Unit::Seconds), Ok(120));
        for off in [Raw::Boolean(false), word("false"), text("off"), Raw::Integer(0)] {
            assert_eq!(Timeout::parse(&off, Unit::Things), Ok(Timeout(Duration::ZERO)));
        }
        assert!(Timeout::parse(&Raw::Boolean(true), Unit::Things).is_err());
    }

    #[test]
    fn types_are_not_mixed_up_in_files_that_have_types() {
        assert!(bool::parse(&text("true"), Unit::Things).is_err());
        assert!(usize::parse(&text("7"), Unit::Things).is_err());
        assert!(String::parse(&Raw::Integer(7), Unit::Things).is_err());
        assert_eq!(usize::parse(&word("7"), Unit::Things), Ok(7));
        assert_eq!(bool::parse(&word("yes"), Unit::Things), Ok(true));
    }

    #[test]
    fn a_number_that_is_too_large_says_what_the_most_is() {
        assert!(u16::parse(&Raw::Integer(70_000), Unit::Things).unwrap_err().contains("65535"));
    }

    #[test]
    fn a_port_alone_is_every_address() {
        let of = |raw: Raw| SocketAddr::parse(&raw, Unit::Things).unwrap().to_string();
        assert_eq!(of(Raw::Integer(5672)), "[::]:5672");
        assert_eq!(of(word(":5672")), "[::]:5672");
        assert_eq!(of(word("[::1]:1")), "[::1]:1");
        assert!(SocketAddr::parse(&word("localhost"), Unit::Things).is_err());
    }

    #[test]
    fn lists_are_of_commas_or_of_items() {
        let of = |raw: Raw| Vec::<u16>::parse(&raw, Unit::Things).unwrap();
        assert_eq!(of(word("1, 2")), [1, 2]);
        assert_eq!(of(Raw::List(vec![word("1,2"), Raw::Integer(3)])), [1, 2, 3]);
        assert_eq!(of(Raw::Integer(4)), [4]);
        assert!(of(word("")).is_empty());
    }

    #[test]
    fn secrets_are_not_in_errors_nor_in_debug() {
        assert!(!Secret::parse(&Raw::Integer(4711), Unit::Things).unwrap_err().contains("4711"));
        assert!(!format!("{:?}", Secret("4711".to_owned())).contains("4711"));
    }
}
