//! Patterns that users give: permissions, and whatever else names entities by a regular expression.
//!
//! RabbitMQ's are Perl's: not anchored, with look-ahead. Who gives a pattern may mean harm, so that a match ends after
//! a limited number of steps.

use std::fmt;

use fancy_regex::{Regex, RegexBuilder};

/// Octets of a pattern: names have 255.
pub const PATTERN_OCTETS_MAX: usize = 2048;

/// Steps that a match may take back; a hostile pattern would take them for ever.
const BACKTRACKS_MAX: usize = 100_000;

/// Octets of a compiled pattern: `(a{1000}){1000}` is short.
const COMPILED_OCTETS_MAX: usize = 1024 * 1024;

/// A compiled pattern.
#[derive(Clone, Debug)]
pub struct Pattern(Kind);

#[derive(Clone, Debug)]
enum Kind {
    /// Matches the empty name only.
    Empty,
    /// Matches everything.
    All,
    /// Matches what the expression finds anywhere in a name.
    Regex(Box<Regex>),
}

/// Why a pattern is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidPattern {
    /// The pattern as it was given.
    pub pattern: String,
    /// What is wrong with it.
    pub reason: String,
}

impl Pattern {
    /// Compiles a permission's pattern. RabbitMQ: an empty one permits nothing but the empty name.
    ///
    /// # Errors
    /// When it is not a regular expression, or too large a one.
    pub fn new(pattern: &str) -> Result<Self, InvalidPattern> {
        match pattern {
            "" | "^$" => return Ok(Self(Kind::Empty)),
            ".*" | "^.*$" | ".*?" => return Ok(Self(Kind::All)),
            _ => {}
        }
        if pattern.len() > PATTERN_OCTETS_MAX {
            let reason = format!("{} octets, at most {PATTERN_OCTETS_MAX} are accepted", pattern.len());
            return Err(InvalidPattern { pattern: pattern.to_owned(), reason });
        }
        if has_reversed_bounds(pattern) {
            // Perl's. The crate takes it for text, so that it would match something else in silence.
            let reason = "numbers out of order in {} quantifier".to_owned();
            return Err(InvalidPattern { pattern: pattern.to_owned(), reason });
        }
        let compiled = RegexBuilder::new(pattern)
            .backtrack_limit(BACKTRACKS_MAX)
            .delegate_size_limit(COMPILED_OCTETS_MAX)
            .build();
        match compiled {
            Ok(regex) => Ok(Self(Kind::Regex(Box::new(regex)))),
            Err(error) => Err(InvalidPattern { pattern: pattern.to_owned(), reason: error.to_string() }),
        }
    }

    /// One that matches the empty name only.
    pub fn empty() -> Self {
        Self(Kind::Empty)
    }

    /// Whether the pattern is found in `name`. One that takes too many steps is not.
    pub fn matches(&self, name: &str) -> bool {
        match &self.0 {
            Kind::Empty => name.is_empty(),
            Kind::All => true,
            Kind::Regex(regex) => regex.is_match(name).unwrap_or_else(|error| {
                tracing::warn!(pattern = regex.as_str(), name, %error, "a pattern takes too long");
                false
            }),
        }
    }
}

/// Whether something is to be repeated more often at least than at the utmost: `a{5,2}`.
fn has_reversed_bounds(pattern: &str) -> bool {
    let (mut rest, mut in_class) = (pattern, false);
    while let Some(next) = rest.chars().next() {
        rest = rest.get(next.len_utf8()..).unwrap_or_default();
        match next {
            '\\' => rest = rest.get(rest.chars().next().map_or(0, char::len_utf8)..).unwrap_or_default(),
            '[' if !in_class => {
                in_class = true;
                // A bracket that comes first is a member: `[]a]`, `[^]a]`.
                rest = rest.strip_prefix('^').unwrap_or(rest);
                rest = rest.strip_prefix(']').unwrap_or(rest);
            }
            ']' => in_class = false,
            '{' if !in_class && bounds(rest).is_some_and(|(least, most)| least > most) => return true,
            _ => {}
        }
    }
    false
}

/// The numbers of `5,2}`.
fn bounds(text: &str) -> Option<(u64, u64)> {
    let (bounds, _) = text.split_once('}')?;
    let (least, most) = bounds.split_once(',')?;
    Some((least.parse().ok()?, most.parse().ok()?))
}

/// `text` as a pattern that matches it and nothing else.
pub fn literal(text: &str) -> String {
    fancy_regex::escape(text).into_owned()
}

impl fmt::Display for InvalidPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "invalid regular expression '{}': {}", self.pattern, self.reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, name: &str) -> bool {
        Pattern::new(pattern).unwrap().matches(name)
    }

    #[test]
    fn a_pattern_is_found_anywhere_unless_it_says_where() {
        assert!(matches("ord", "my-orders"));
        assert!(!matches("^ord", "my-orders"));
        assert!(matches("^(a|b)$", "b"));
        assert!(matches(".*", "") && matches(".*", "anything\nat all"));
    }

    #[test]
    fn an_empty_pattern_matches_the_empty_name_only() {
        assert!(matches("", "") && !matches("", "a"));
        assert!(matches("^$", "") && !matches("^$", "a"));
    }

    #[test]
    fn look_ahead_is_understood() {
        assert!(matches(r"^(?!amq\.).*", "orders"));
        assert!(!matches(r"^(?!amq\.).*", "amq.direct"));
    }

    #[test]
    fn a_pattern_that_would_take_for_ever_matches_nothing() {
        let name = format!("{}!", "a".repeat(60));
        assert!(!matches(r"^(?=a)(a|aa|a\1)+$", &name));
    }

    #[test]
    fn what_is_no_pattern_is_said_to_be_none() {
        for pattern in
            ["(", "[z-a]", "a{5,2}", "[]a{]{10,9}b", "(a{1000}){1000}", &"a".repeat(PATTERN_OCTETS_MAX + 1)]
        {
            let invalid = Pattern::new(pattern).unwrap_err();
            assert!(invalid.to_string().starts_with("invalid regular expression"), "{invalid}");
        }
    }

    #[test]
    fn braces_that_repeat_nothing_are_text() {
        assert!(matches("^a{2,5}$", "aaa") && matches("^a{2,}$", "aaa") && !matches("^a{2,5}$", "a"));
        assert!(
            matches(r"^a\{5,2}$", "a{5,2}") && matches("^[{5,2}]+$", "{5,2}") && matches("^[]{5,2}]$", "]")
        );
    }

    #[test]
    fn a_literal_matches_itself_only() {
        let pattern = format!("^{}$", literal("a.*b"));
        assert!(matches(&pattern, "a.*b") && !matches(&pattern, "axxb"));
    }
}
