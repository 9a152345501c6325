//! Short strings (§4.2.5.3): names, keys and tags; at most 255 octets, by custom UTF-8 but in truth any bytes.

use std::borrow::Cow;
use std::fmt;

use crate::error::TooLong;

/// A short string borrowed from a frame. Its length is checked once, when it is made.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct ShortStr<'a>(&'a [u8]);

impl<'a> ShortStr<'a> {
    /// The empty string: the default exchange, or a name for the server to choose.
    pub const EMPTY: Self = Self(&[]);

    /// Longest short string, in octets: what a length octet can say.
    pub const LENGTH_MAX: usize = 255;

    /// These octets as a short string.
    ///
    /// # Errors
    /// [`TooLong`] beyond [`Self::LENGTH_MAX`] octets.
    pub const fn new(octets: &'a [u8]) -> Result<Self, TooLong> {
        if octets.len() > Self::LENGTH_MAX {
            return Err(TooLong { length: octets.len() });
        }
        Ok(Self(octets))
    }

    /// As much of `text` as fits, cut between characters. For reply texts, where a cut sentence beats none.
    pub fn truncated(text: &'a str) -> Self {
        let (head, _) = text.split_at(text.floor_char_boundary(Self::LENGTH_MAX));
        Self(head.as_bytes())
    }

    /// Octets that were preceded by a length octet.
    #[inline]
    pub(crate) const fn from_counted(octets: &'a [u8]) -> Self {
        debug_assert!(octets.len() <= Self::LENGTH_MAX);
        Self(octets)
    }

    /// The octets.
    #[inline]
    pub const fn as_bytes(self) -> &'a [u8] {
        self.0
    }

    /// The text, or `None` if it is not UTF-8.
    pub fn as_str(self) -> Option<&'a str> {
        std::str::from_utf8(self.0).ok()
    }

    /// Whether there are no octets.
    #[inline]
    pub const fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    /// Length in octets, at most 255.
    #[inline]
    pub const fn len(self) -> usize {
        self.0.len()
    }

    /// Length as it stands on the wire.
    #[inline]
    pub(crate) const fn length_octet(self) -> u8 {
        #[expect(clippy::cast_possible_truncation, reason = "every constructor holds LENGTH_MAX")]
        let octet = self.0.len() as u8;
        octet
    }

    /// An owned copy.
    pub fn to_owned(self) -> ShortString {
        ShortString(self.0.into())
    }

    /// The text, with what is not UTF-8 replaced.
    fn lossy(self) -> Cow<'a, str> {
        String::from_utf8_lossy(self.0)
    }
}

impl<'a> TryFrom<&'a str> for ShortStr<'a> {
    type Error = TooLong;

    fn try_from(text: &'a str) -> Result<Self, TooLong> {
        Self::new(text.as_bytes())
    }
}

impl PartialEq<str> for ShortStr<'_> {
    fn eq(&self, other: &str) -> bool {
        self.0 == other.as_bytes()
    }
}

impl PartialEq<&str> for ShortStr<'_> {
    fn eq(&self, other: &&str) -> bool {
        self.0 == other.as_bytes()
    }
}

impl fmt::Debug for ShortStr<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.lossy(), f)
    }
}

impl fmt::Display for ShortStr<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.lossy(), f)
    }
}

/// A short string that owns its octets.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct ShortString(Box<[u8]>);

impl ShortString {
    /// These octets as a short string.
    ///
    /// # Errors
    /// [`TooLong`] beyond [`ShortStr::LENGTH_MAX`] octets.
    pub fn new(octets: impl Into<Vec<u8>>) -> Result<Self, TooLong> {
        let octets = octets.into();
        ShortStr::new(&octets)?;
        Ok(Self(octets.into_boxed_slice()))
    }

    /// The same string, borrowed.
    #[inline]
    pub const fn as_short_str(&self) -> ShortStr<'_> {
        ShortStr(&self.0)
    }

    /// The octets.
    pub const fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The text, or `None` if it is not UTF-8.
    pub fn as_str(&self) -> Option<&str> {
        self.as_short_str().as_str()
    }

    /// Whether there are no octets.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Length in octets, at most 255.
    pub const fn len(&self) -> usize {
        self.0.len()
    }
}

impl From<ShortStr<'_>> for ShortString {
    fn from(text: ShortStr<'_>) -> Self {
        text.to_owned()
    }
}

impl<'a> From<&'a ShortString> for ShortStr<'a> {
    fn from(text: &'a ShortString) -> Self {
        text.as_short_str()
    }
}

impl PartialEq<str> for ShortString {
    fn eq(&self, other: &str) -> bool {
        *self.0 == *other.as_bytes()
    }
}

impl PartialEq<&str> for ShortString {
    fn eq(&self, other: &&str) -> bool {
        *self.0 == *other.as_bytes()
    }
}

impl fmt::Debug for ShortString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.as_short_str(), f)
    }
}

impl fmt::Display for ShortString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.as_short_str(), f)
    }
}
