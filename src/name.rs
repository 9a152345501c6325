//! Names of virtual hosts, exchanges and queues, and how they appear in error texts.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use lepus_protocol::ShortStr;

/// Names that only the broker may create (§3.1.3.1, §2.1.4.1: names starting with "amq." are reserved).
pub const RESERVED_PREFIX: &str = "amq.";

/// The pseudo-queue of direct reply-to (RabbitMQ).
pub const REPLY_TO: &str = "amq.rabbitmq.reply-to";

/// Random octets in a generated name: 128 bits, so that names do not collide and cannot be guessed.
const GENERATED_OCTETS: usize = 16;

/// The name of an entity: UTF-8, at most 255 octets, cheap to clone.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name(Arc<str>);

impl Name {
    /// Takes a name from the wire. `None` if it is not UTF-8.
    ///
    /// RabbitMQ: carriage returns and line feeds are stripped, so that a name cannot forge a log line.
    pub fn from_wire(raw: ShortStr<'_>) -> Option<Self> {
        let text = raw.as_str()?;
        if text.contains(['\r', '\n']) {
            return Some(Self::from(text.replace(['\r', '\n'], "")));
        }
        Some(Self::from(text))
    }

    /// A fresh name: `prefix` and 22 characters of base64url.
    pub fn generate(prefix: &str) -> Self {
        Self::from(format!("{prefix}{}", random_token()))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this is the empty name (of the default exchange; of "the last declared queue").
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether only the broker may create an entity of this name.
    pub fn is_reserved(&self) -> bool {
        self.0.starts_with(RESERVED_PREFIX)
    }

    /// The name for the wire.
    pub fn as_short_str(&self) -> ShortStr<'_> {
        ShortStr::truncated(&self.0)
    }
}

/// 22 characters of base64url from 128 random bits.
pub fn random_token() -> String {
    URL_SAFE_NO_PAD.encode(rand::random::<[u8; GENERATED_OCTETS]>())
}

impl From<&str> for Name {
    fn from(text: &str) -> Self {
        Self(Arc::from(text))
    }
}

impl From<String> for Name {
    fn from(text: String) -> Self {
        Self(Arc::from(text))
    }
}

impl Borrow<str> for Name {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_breaks_are_stripped_from_wire_names() {
        let name = Name::from_wire(ShortStr::new(b"a\r\nb\n").unwrap()).unwrap();
        assert_eq!(name.as_str(), "ab");
    }

    #[test]
    fn a_name_that_is_not_utf8_is_refused() {
        assert!(Name::from_wire(ShortStr::new(&[0xff]).unwrap()).is_none());
    }

    #[test]
    fn generated_names_have_22_characters_after_their_prefix() {
        let (one, two) = (Name::generate("amq.gen-"), Name::generate("amq.gen-"));
        assert_eq!(one.as_str().len(), "amq.gen-".len() + 22);
        assert_ne!(one, two);
    }
}
